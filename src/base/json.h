/* Writing JSON (RFC 8259) into a buffer, for log lines and replies. Reading JSON is jansson's work, elsewhere. */
#ifndef FAUCET_BASE_JSON_H
#define FAUCET_BASE_JSON_H

#include "base/buf.h"

/* With quotes; control characters escaped; invalid UTF-8 replaced by U+FFFD. */
void json_append_string(struct buf *b, struct str s);

#endif
