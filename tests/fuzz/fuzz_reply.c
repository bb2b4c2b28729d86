/* Replies: cuts, and the round through the writer. */
#include "http_differential.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    (void)argc;
    (void)argv;
    http_reader_setup();
    return 0;
}

static void round_trip(struct arena *a, const struct feed *how, const struct message *m) {
    const struct http_head *h = m->head;
    struct http_limits limits = {1024 * 1024, 300};
    struct buf bytes = {0};
    http_write_reply(&bytes, &(struct http_reply_out){.head = h,
                                                      .client_minor = 1,
                                                      .framing = h->framing,
                                                      .framing_fields = true,
                                                      .content_length = h->content_length,
                                                      .keep_alive = h->keep_alive,
                                                      .upgrade = h->status == 101 ? STR("websocket") : STR_NONE});
    body_write(&bytes, m, h->framing);
    struct message w = message_read(http_reply_reader(a, &limits, how->head_method, true), buf_str(&bytes), true);
    ASSERT(w.head != NULL);
    ASSERT(w.head->status == h->status && w.head->minor == 1 && w.head->framing == h->framing);
    if (h->status != 204 && h->status >= 200)
        ASSERT(w.head->content_length == h->content_length);
    message_agrees(m, &w);
    buf_free(&w.body);
    buf_free(&bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < CHOICES)
        return 0;
    struct feed how = {.eof = data[0] & 1,
                       .header_size = data[0] & 2 ? 128 : 0,
                       .fields = data[0] & 4 ? 4 : 0,
                       .head_method = data[0] & 8,
                       .upgrade_sent = data[0] & 16};
    struct str bytes = str_make((const char *)data + CHOICES, size - CHOICES);
    cuts_agree(&how, bytes, (size_t)(data[1] << 8 | data[2]) % (bytes.n + 1));
    struct arena *a = arena_new(4096);
    struct http_limits limits = {FEED_HEADER_SIZE, 0};
    struct message m = message_read(http_reply_reader(a, &limits, how.head_method, how.upgrade_sent), bytes, how.eof);
    if (m.whole && m.head != NULL)
        round_trip(a, &how, &m);
    buf_free(&m.body);
    arena_free(a);
    return 0;
}
