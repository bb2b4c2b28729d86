#include "base/environ.h"

const char *environ_value(char *const *environ_, struct str name) {
    for (; environ_ != NULL && *environ_ != NULL; environ_++) {
        struct str entry = str_of(*environ_);

        if (str_starts(entry, name) && entry.n > name.n && entry.p[name.n] == '=')
            return entry.p + name.n + 1;
    }
    return NULL;
}

const char *environ_nonempty(char *const *environ_, struct str name) {
    const char *value = environ_value(environ_, name);
    return value != NULL && value[0] != '\0' ? value : NULL;
}

const char *environ_path(char *const *environ_, struct str name) {
    const char *value = environ_value(environ_, name);
    return value != NULL && value[0] == '/' ? value : NULL;
}
