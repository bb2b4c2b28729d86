/* Requests: cuts, and the round through path_normalise and the writer. */
#include "http_differential.h"

#include "route/path.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    (void)argc;
    (void)argv;
    http_reader_setup();
    return 0;
}

static void round_trip(struct arena *a, const struct message *m) {
    const struct http_head *h = m->head;
    const char *why = NULL;
    struct str path = str_eq(h->path, STR("*")) ? h->path : path_normalise(a, h->path, &why);
    if (path.p == NULL)
        return;
    struct http_limits limits = {1024 * 1024, 300};
    struct buf bytes = {0};
    struct http_request_out out = {.head = h,
                                   .path = path,
                                   .query = h->query,
                                   .host = h->host.n > 0 ? h->host : STR("nohost"),
                                   .framing = h->framing,
                                   .content_length = h->content_length,
                                   .keep_alive = h->keep_alive,
                                   .upgrade = h->upgrade ? STR("websocket") : STR_NONE};
    http_write_request(&bytes, &out);
    body_write(&bytes, m, h->framing);
    struct message w = message_read(http_request_reader(a, &limits), buf_str(&bytes), false);
    ASSERT(w.head != NULL);
    ASSERT(str_eq(w.head->method, h->method) && str_eq(w.head->path, path) && str_eq(w.head->query, h->query));
    ASSERT((w.head->query.p == NULL) == (h->query.p == NULL) && str_eq(w.head->host, out.host));
    ASSERT(w.head->minor == 1 && w.head->framing == h->framing && w.head->content_length == h->content_length);
    ASSERT(w.head->upgrade == h->upgrade && w.head->keep_alive == (h->keep_alive || h->upgrade));
    message_agrees(m, &w);
    buf_free(&w.body);
    buf_free(&bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < CHOICES)
        return 0;
    struct feed how = {
        .request = true, .eof = data[0] & 1, .header_size = data[0] & 2 ? 128 : 0, .fields = data[0] & 4 ? 4 : 0};
    struct str bytes = str_make((const char *)data + CHOICES, size - CHOICES);
    cuts_agree(&how, bytes, (size_t)(data[1] << 8 | data[2]) % (bytes.n + 1));
    struct arena *a = arena_new(4096);
    struct http_limits limits = {FEED_HEADER_SIZE, 0};
    struct message m = message_read(http_request_reader(a, &limits), bytes, false);
    if (m.whole)
        round_trip(a, &m);
    buf_free(&m.body);
    arena_free(a);
    return 0;
}
