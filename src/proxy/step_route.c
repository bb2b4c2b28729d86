/*
 * ROUTE: from a parsed head to an app, or to an answer of our own.
 */
#include "proxy/client_key.h"
#include "proxy/exchange.h"
#include "proxy/former_routes.h"
#include "proxy/forwarded.h"
#include "route/path.h"

/* RFC 9110 7.8: the first token offered that the app lets through; h2c never (it would speak another protocol past us).
 */
static struct str upgrade_token(struct exchange *x) {
    if (!x->request->upgrade)
        return STR_NONE;
    struct str list = x->request->upgrade_tokens, token;
    while (str_next_element(&list, &token)) {
        for (size_t i = 0; i < x->config->upgrade.n; i++) {
            struct str allowed = str_of(x->config->upgrade.v[i]);
            if (str_ieq(token, allowed) && !str_ieq(token, STR("h2c")))
                return allowed;
        }
    }
    return STR_NONE;
}

enum step_result exchange_redirect_to_slash(struct exchange *x) {
    struct str query = x->request->query;
    x->location = arena_printf(x->arena, "%.*s/%s%.*s", STR_ARG(x->path), query.p ? "?" : "", STR_ARG(query));
    return exchange_answer(x, 308, NULL, "This address ends with a slash.");
}

static bool normalise(struct exchange *x, const char **why) {
    x->host = host_normalise(x->arena, x->request->host);
    if (str_eq(x->request->path, STR("*"))) {
        *why = NULL;
        return false;
    }
    x->path = path_normalise(x->arena, x->request->path, why);
    return x->path.p != NULL;
}

static bool has_body(const struct http_head *h) {
    return h->framing == HTTP_CHUNKED || (h->framing == HTTP_LENGTH && h->content_length > 0);
}

static bool body_too_large(const struct exchange *x) {
    int64_t most = x->config->body_size;
    return most != SIZE_UNLIMITED && x->request->framing == HTTP_LENGTH && x->request->content_length > (uint64_t)most;
}

/* A client with a live tunnel is served where that leads, under the configuration it was opened with. */
static void follow_pin(struct exchange *x, struct route_match *match) {
    struct snapshot *former;
    if (list_empty(&x->proxy->former))
        return;
    if (!former_routes_find(x->proxy, x, match->app != NULL ? x->proxy->live[match->app->index] : NULL, &former, match,
                            &x->app))
        return;
    snapshot_unref(x->snapshot);
    x->snapshot = snapshot_ref(former);
}

/* False: it was answered, *decided says how to go on. */
static bool find_app(struct exchange *x, enum step_result *decided) {
    struct route_match match = route_find(x->proxy->routes, x->host, x->path);
    follow_pin(x, &match);
    if (match.app == NULL) {
        *decided = exchange_answer(x, 404, "no_route", "No app answers this address.");
        return false;
    }
    if (match.add_slash) {
        *decided = exchange_redirect_to_slash(x);
        return false;
    }
    x->config = match.app;
    x->prefix = match.prefix;
    x->worker_path = str_from(x->path, match.prefix.n - 1);
    if (x->app == NULL)
        x->app = x->proxy->live[x->config->index];
    if (x->app != NULL)
        app_hold(x->app);
    return true;
}

enum step_result step_route(struct exchange *x) {
    const struct http_head *request = x->request;
    const char *why = NULL;
    x->request_read = !has_body(request);
    forwarded_client(x);
    forwarded_trace(x);
    if (!normalise(x, &why))
        return why != NULL ? exchange_answer(x, 400, "bad_request", why)
                           : exchange_answer(x, 404, "no_route", "No app answers this address.");
    if (str_eq(request->method, STR("TRACE")) || str_eq(request->method, STR("CONNECT")))
        return exchange_answer(x, 405, "method_not_allowed", "This method is not served here.");

    enum step_result decided;
    if (!find_app(x, &decided))
        return decided;
    if (body_too_large(x))
        return exchange_answer(x, 413, "body_too_large", "The request's body is larger than this app takes.");
    if (x->config->type == APP_STATIC) {
        x->step = STEP_FILE;
        return STEP_MORE;
    }
    if (x->app == NULL)
        return exchange_answer(x, 503, "app_gone", "This app is not running.");
    forwarded_prefix(x);
    client_key_identify(x);
    x->upgrade = upgrade_token(x);
    x->buffered = app_config_buffers(x->config) && x->upgrade.n == 0;
    x->step = x->buffered && !x->request_read ? STEP_COLLECT : STEP_LEASE;
    return STEP_MORE;
}
