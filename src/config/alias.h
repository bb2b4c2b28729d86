/* The names that the original faucet gave to settings, kept as aliases; and how a name is matched with a key. */
#ifndef FAUCET_CONFIG_ALIAS_H
#define FAUCET_CONFIG_ALIAS_H

#include "base/arena.h"
#include "config/config.h"

struct setting_alias {
    const char *variable; /* "FAUCET_HOST", or NULL */
    const char *flag;     /* "--host", or NULL */
    const char *brief;    /* "-l", or NULL */
    const char *key;      /* "listen"; in `faucet start` "apps.*.workers"; ALIAS_IGNORED: read by nobody any more */
    bool start;           /* in `faucet start` only */
    /* The value as ours is written; NULL: it is the same. */
    const char *(*translate)(struct arena *a, const char *value);
};
/* The key of --max-message-size: config_load says that it has no effect. */
#define ALIAS_IGNORED "max_message_size"

extern const struct setting_alias setting_aliases[];
extern const size_t setting_alias_count;

/* value as the alias of that variable or flag wants it. */
const char *alias_translate(const struct setting_alias *alias, struct arena *a, const char *value);
/* The row with that flag ("--host", "-l") or variable; NULL: none. */
const struct setting_alias *alias_of_flag(struct str flag, bool start);
const struct setting_alias *alias_of_variable(struct str variable);

/* Is `text` the key with its letters upper-cased and all else '_'? */
bool name_is_variable(struct str text, const char *key);
/* Does `text` begin so and go on with "_"? Then *rest is what follows that. */
bool name_begins_variable(struct str text, const char *key, struct str *rest);

#endif
