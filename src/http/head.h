/*
 * Judging a head whose fields are known: host, target, framing, connection. It
 * fills what struct http_head says of them or refuses (reader.h, http_error).
 * For the reader only.
 */
#ifndef FAUCET_HTTP_HEAD_H
#define FAUCET_HTTP_HEAD_H

#include "http/message.h"
#include "http/reader.h"

#define HTTP_CONNECTION_OPTIONS_MAX 32 /* named in Connection fields of one message */

/* In: method, target, minor and fields, as the guard let them through. False: *e is set but for its offset; *at points
 * at the offending bytes, NULL: unknown. */
bool http_judge_request(struct http_head *h, struct http_error *e, const char **at);
/* In: status, minor and fields. head_method: the request was HEAD. */
bool http_judge_reply(struct http_head *h, bool head_method, struct http_error *e, const char **at);
/* Are these trailers free of framing, routing, credentials? */
bool http_judge_trailers(const struct http_field *fields, size_t n, struct http_error *e, const char **at);

/* target.c: sets path, query and, for absolute-form, host. False with *why. */
bool http_split_target(struct http_head *h, const char **why);
/* uri-host [ ":" port ] of RFC 3986, not empty; no userinfo, no IPvFuture, no zone. */
bool http_host_valid(struct str host);

#endif
