/*
 * The table of what means nothing to whom: an app warns of a key that has no
 * effect on it, and a reload does not touch an app for the sake of one. Keys
 * that are not here mean something to every type; command and upstream are no
 * such keys, since they contradict another type.
 */
#include "config/meaning.h"

#define BIT(type)   (1U << (type))
#define IS_R        (BIT(APP_SHINY) | BIT(APP_PLUMBER) | BIT(APP_QUARTO_SHINY))
#define HAS_WORKERS (IS_R | BIT(APP_FAST_API) | BIT(APP_COMMAND))
#define IS_PROXIED  (HAS_WORKERS | BIT(APP_UPSTREAM))

static const struct {
    const char *key;
    unsigned types;
} meaningful[] = {
    {"dir", HAS_WORKERS | BIT(APP_STATIC)},
    {"qmd", BIT(APP_QUARTO_SHINY)},
    {"app_dir", IS_R | BIT(APP_FAST_API)},
    {"workers", HAS_WORKERS},
    {"env", HAS_WORKERS},
    {"start_timeout", HAS_WORKERS},
    {"strategy", IS_PROXIED},
    {"cookie.name", IS_PROXIED},
    {"cookie.same_site", IS_PROXIED},
    {"concurrency", IS_PROXIED},
    {"queue.size", IS_PROXIED},
    {"queue.timeout", IS_PROXIED},
    {"buffer", IS_PROXIED},
    {"upgrade", IS_PROXIED},
    {"request_timeout", IS_PROXIED},
    {"drain_timeout", IS_PROXIED},
    {"rscript", IS_R},
    {"quarto", BIT(APP_QUARTO_SHINY)},
    {"uv", BIT(APP_FAST_API)},
};

bool setting_means(const struct setting *s, enum app_type type) {
    for (size_t i = 0; i < ARRAY_LENGTH(meaningful); i++)
        if (strcmp(meaningful[i].key, s->key) == 0)
            return (int)type <= APP_AUTO || (meaningful[i].types & BIT(type)) != 0;
    return setting_in_app(s) || s->reload == RELOAD_PROCESS;
}
