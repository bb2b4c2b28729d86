/* Files, served by ourselves: no workers, only a directory that must be there. */
#include "app/kind_parts.h"

void kind_static_check(struct kind_check *check) {
    kind_defaults(check, APP_STATIC);
    (void)kind_directory(check);
}
