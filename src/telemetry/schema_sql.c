/*
 * The assembler puts the files in (.incbin), so that sql/ is the one place where
 * the tables are written down. Paths are from the top of the tree, where make
 * runs; the Makefile says that this object is made of them.
 */
#include "telemetry/schema_sql.h"

#include "base/check.h"

/* clang-format off */
#define FILES(X)                                                       \
    X(http_events, "01_http_events.sql",       0)                      \
    X(events,      "02_events.sql",            0)                      \
    X(functions,   "03_functions.sql",         0)                      \
    X(partitions,  "04_option_partitions.sql", SCHEMA_PARTITIONS)      \
    X(timescale,   "05_option_timescale.sql",  SCHEMA_TIMESCALE)       \
    X(indexes,     "06_indexes.sql",           0)                      \
    X(comments,    "07_comments.sql",          0)                      \
    X(views,       "08_views.sql",             0)                      \
    X(roles,       "09_option_roles.sql",      SCHEMA_ROLES)           \
    X(policies,    "10_option_timescale_policies.sql", SCHEMA_TIMESCALE)

#define INCLUDE(label, name, option)                                   \
    __asm__(".pushsection .rodata\n"                                   \
            ".globl faucet_sql_" #label "\n"                           \
            "faucet_sql_" #label ":\n"                                 \
            ".incbin \"sql/" name "\"\n"                               \
            ".globl faucet_sql_" #label "_end\n"                       \
            "faucet_sql_" #label "_end:\n"                             \
            ".byte 0\n"                                                \
            ".popsection\n");                                          \
    extern const char faucet_sql_##label[], faucet_sql_##label##_end[];

#define ROW(label, name, option) {name, option, faucet_sql_##label, faucet_sql_##label##_end},
/* clang-format on */

FILES(INCLUDE)

const struct schema_file *schema_files(size_t *n) {
    static const struct schema_file files[] = {FILES(ROW)};
    *n = ARRAY_LENGTH(files);
    return files;
}
