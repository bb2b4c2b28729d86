/* The upkeep of live apps; see janitor.h. */
#include "app/janitor.h"

#include "app/live.h"

#define JANITOR_EVERY (1 * DUR_S)

static void look_after(struct generation *g) {
    generation_mend(g);
    for (size_t s = 0; s < ENDPOINT_STATES; s++)
        LIST_FOREACH (&g->endpoints[s], struct endpoint, e, node) {
            endpoint_update_room(e); /* concurrency may be another one since a reload */
            if (s == ENDPOINT_READY || s == ENDPOINT_DRAINING)
                lease_offer(e);
            endpoint_consider(e);
        }
    generation_consider(g);
}

static void look_round(struct deadline *d) {
    struct apps *apps = CONTAINER_OF(d, struct apps, janitor);

    LIST_FOREACH (&apps->list, struct app, a, node) {
        LIST_FOREACH (&a->generations, struct generation, g, node) {
            look_after(g);
        }
        app_changed(a);
    }
    apps_check_stopped(apps);
    deadline_set(&apps->janitor, JANITOR_EVERY);
}

void janitor_start(struct apps *a) {
    deadline_init(&a->janitor, a->loop, look_round);
    deadline_set(&a->janitor, JANITOR_EVERY);
}

void janitor_stop(struct apps *a) {
    deadline_destroy(&a->janitor);
}
