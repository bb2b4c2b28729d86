/*
 * The names and sentences of close reasons. One row of close_reason.def gives
 * the enum, the name in logs, counters and telemetry, and the text for people.
 */
#include "base/check.h"
#include "net/conn.h"

static const struct {
    const char *name, *text;
} reasons[CLOSE_REASON_COUNT] = {
#define CLOSE(id, name, text) [CLOSE_##id] = {name, text},
#include "net/close_reason.def"
#undef CLOSE
};

const char *close_reason_name(enum close_reason r) {
    ASSERT((unsigned)r < CLOSE_REASON_COUNT);
    return reasons[r].name;
}

const char *close_reason_text(enum close_reason r) {
    ASSERT((unsigned)r < CLOSE_REASON_COUNT);
    return reasons[r].text;
}
