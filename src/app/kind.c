/*
 * The kinds of app, one row each. A new kind is a row here and a file
 * kind_NAME.c with its check and command.
 */
#include "app/kind_parts.h"

#include <signal.h>

static const struct kind kinds[] = {
    {
        .type = APP_SHINY,
        .name = "shiny",
        .concurrency = COUNT_IS_UNLIMITED,
        .strategy = STRATEGY_COOKIE_HASH,
        .has_workers = true,
        .unix_socket = true,
        .stop_signal = SIGINT,
        .check = kind_shiny_check,
        .command = kind_shiny_command,
    },
    {
        .type = APP_PLUMBER,
        .name = "plumber",
        .concurrency = 1,
        .strategy = STRATEGY_ROUND_ROBIN,
        .has_workers = true,
        .unix_socket = true,
        .stop_signal = SIGINT,
        .check = kind_plumber_check,
        .command = kind_plumber_command,
    },
    {
        .type = APP_QUARTO_SHINY,
        .name = "quarto-shiny",
        .concurrency = COUNT_IS_UNLIMITED,
        .strategy = STRATEGY_COOKIE_HASH,
        .has_workers = true,
        .stop_signal = SIGTERM,
        .check = kind_quarto_shiny_check,
        .command = kind_quarto_shiny_command,
    },
    {
        .type = APP_FAST_API,
        .name = "fast-api",
        .alias = "fastapi",
        .concurrency = COUNT_IS_UNLIMITED,
        .strategy = STRATEGY_ROUND_ROBIN,
        .has_workers = true,
        .parallel = true,
        .unix_socket = true,
        .learns_base_path = true,
        .stop_signal = SIGTERM,
        .check = kind_fast_api_check,
        .command = kind_fast_api_command,
    },
    {
        .type = APP_COMMAND,
        .name = "command",
        .concurrency = COUNT_IS_UNLIMITED,
        .strategy = STRATEGY_ROUND_ROBIN,
        .has_workers = true,
        .unix_socket = true, /* if it asks for one, see kind_uses_socket */
        .stop_signal = SIGTERM,
        .check = kind_command_check,
        .command = kind_command_command,
    },
    {
        .type = APP_STATIC,
        .name = "static",
        .concurrency = COUNT_IS_UNLIMITED,
        .strategy = STRATEGY_ROUND_ROBIN,
        .check = kind_static_check,
    },
    {
        .type = APP_UPSTREAM,
        .name = "upstream",
        .concurrency = COUNT_IS_UNLIMITED,
        .strategy = STRATEGY_ROUND_ROBIN,
        .parallel = true,
        .check = kind_upstream_check,
    },
};

/* The same for config, which may not see struct kind. In the order of `kinds`. */
static const struct kind_row rows[ARRAY_LENGTH(kinds)] = {
    {"shiny", NULL, APP_SHINY, kind_shiny_check, false},
    {"plumber", NULL, APP_PLUMBER, kind_plumber_check, false},
    {"quarto-shiny", NULL, APP_QUARTO_SHINY, kind_quarto_shiny_check, false},
    {"fast-api", "fastapi", APP_FAST_API, kind_fast_api_check, true},
    {"command", NULL, APP_COMMAND, kind_command_check, false},
    {"static", NULL, APP_STATIC, kind_static_check, false},
    {"upstream", NULL, APP_UPSTREAM, kind_upstream_check, false},
};

const struct kind *kind_of(enum app_type type) {
    for (size_t i = 0; i < ARRAY_LENGTH(kinds); i++)
        if (kinds[i].type == type)
            return &kinds[i];
    WRONG("an app of type auto in a snapshot");
}

const struct kind_table *kind_table(void) {
    static const struct kind_table table = {.rows = rows, .n = ARRAY_LENGTH(rows), .detect = kind_detect};
    return &table;
}

bool kind_uses_socket(const struct app_config *app) {
    if (app->type == APP_COMMAND)
        return kind_command_mentions(app, "{socket}");
    return kind_of((enum app_type)app->type)->unix_socket;
}
