/*
 * What the kinds share and nobody else sees: each kind's check and command, as
 * rows of kind.c, and the small tools those are made of. Every tool that looks
 * at the file system does nothing under check --no-paths.
 */
#ifndef FAUCET_APP_KIND_PARTS_H
#define FAUCET_APP_KIND_PARTS_H

#include "app/kind.h"
#include "config/config.h"

typedef const char *const *kind_command(struct arena *a, const struct daemon_settings *daemon,
                                        const struct app_config *app, const struct kind_listen *listen);

void kind_shiny_check(struct kind_check *check);
void kind_plumber_check(struct kind_check *check);
void kind_quarto_shiny_check(struct kind_check *check);
void kind_fast_api_check(struct kind_check *check);
void kind_command_check(struct kind_check *check);
void kind_static_check(struct kind_check *check);
void kind_upstream_check(struct kind_check *check);
kind_command kind_shiny_command, kind_plumber_command, kind_quarto_shiny_command, kind_fast_api_command,
    kind_command_command;
enum app_type kind_detect(struct kind_check *check);
/* "{socket}" or "{port}" somewhere in the command. */
bool kind_command_mentions(const struct app_config *app, const char *placeholder);

/* ---- tools of check (kind_tools.c) ---- */
/* NULL: it is a directory that can be read; otherwise why not. */
const char *kind_no_directory(const char *path);

/* An error at app key `key`. */
void kind_problem(struct kind_check *check, const char *key, const char *format, ...) PRINTF_LIKE(3, 4);
/* Strategy and concurrency of the kind's row where they were not written. */
void kind_defaults(struct kind_check *check, enum app_type type);
/* Is `dir` written, and does it exist, with app_dir below it? Returns that directory (dir, or dir/app_dir), NULL after
 * a problem or where paths are skipped. .Renviron and .env are read on the way. */
const char *kind_directory(struct kind_check *check);
/* The name under which `name` is a regular file in directory, whatever the case of its letters (R does not mind:
 * App.R). NULL: none. */
const char *kind_file(struct arena *a, const char *directory, const char *name);
/* Path of an executable `name` on the PATH that the app's workers have; absolute names are only looked at. NULL: none.
 */
const char *kind_program(struct kind_check *check, const char *name);
/* The PATH that kind_program searches, for messages. */
const char *kind_path(struct kind_check *check);
/* app->interpreter = these words; NULL-terminated, copied. */
void kind_interpreter(struct kind_check *check, const char *const *words);
/* Finds `program`, sets it as interpreter, or adds a problem: `what` it is needed for, `key` the setting that names it.
 */
void kind_find_interpreter(struct kind_check *check, const char *program, const char *what, const char *key);
/* The first bytes of a file, at most 64 KiB; empty when it cannot be read. */
struct str kind_read(struct arena *a, const char *path);
/* "directory/name" */
const char *kind_join(struct arena *a, const char *directory, const char *name);

/* ---- what a directory tells, for check and detect ---- */

/* The names of *.qmd files whose header says that Shiny serves them. */
struct strings kind_quarto_documents(struct arena *a, const char *directory);
/* main.py or app.py; fastapi: only one that makes a FastAPI. *variable: what it is called there ("app" when not seen).
 */
const char *kind_fast_api_module(struct arena *a, const char *directory, bool fastapi, const char **variable);

/* ---- building argv ---- */

struct kind_words {
    struct arena *arena;
    const char **v;
    size_t n, capacity;
};
/* Begins with the interpreter's words. */
struct kind_words kind_words_new(struct arena *a, const struct app_config *app);
void kind_word(struct kind_words *w, const char *word);
/* NULL-terminated. */
const char *const *kind_words_end(struct kind_words *w);

#endif
