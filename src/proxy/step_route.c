/*
 * ROUTE: from a parsed head to an app, or to an answer of our own.
 */
#include "proxy/exchange.h"
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

static const char *const same_site_names[] = {"Lax", "Strict", "None"};

/* The client is its LB cookie; without one and with ip-hash, its address; else nobody. A new cookie is made where the
 * strategy needs one. */
static void identify_client(struct exchange *x) {
    const struct app_config *app = x->config;
    struct uuid cookie;
    if (app->strategy == STRATEGY_IP_HASH) {
        if (x->client_ip.family != AF_UNSPEC) {
            x->client_key.kind = CLIENT_ADDRESS;
            memcpy(x->client_key.b, x->client_ip.b, sizeof x->client_key.b);
        }
        return;
    }
    if (!uuid_parse(http_cookie(x->request, str_of(app->cookie_name)), &cookie)) {
        if (app->strategy != STRATEGY_COOKIE_HASH)
            return;
        cookie = uuid_v4();
        char text[37];
        uuid_format(&cookie, text);
        bool secure = app->cookie_same_site == SAME_SITE_NONE || str_eq(x->forwarded_proto, STR("https"));
        x->set_cookie = arena_printf(x->arena, "%s=%s; Path=/; HttpOnly; SameSite=%s%s", app->cookie_name, text,
                                     same_site_names[app->cookie_same_site], secure ? "; Secure" : "");
    }
    x->client_key.kind = CLIENT_COOKIE;
    memcpy(x->client_key.b, cookie.b, sizeof x->client_key.b);
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

    struct route_match match = route_find(x->proxy->routes, x->host, x->path);
    if (match.app == NULL)
        return exchange_answer(x, 404, "no_route", "No app answers this address.");
    if (match.add_slash)
        return exchange_redirect_to_slash(x);
    x->config = match.app;
    x->prefix = match.prefix;
    x->worker_path = str_from(x->path, match.prefix.n - 1);
    if (body_too_large(x))
        return exchange_answer(x, 413, "body_too_large", "The request's body is larger than this app takes.");
    if (x->config->type == APP_STATIC) {
        x->step = STEP_FILE;
        return STEP_MORE;
    }
    x->app = x->proxy->live[x->config->index];
    if (x->app == NULL)
        return exchange_answer(x, 503, "app_gone", "This app is not running.");
    forwarded_prefix(x);
    identify_client(x);
    x->upgrade = upgrade_token(x);
    x->buffered = app_config_buffers(x->config) && x->upgrade.n == 0;
    x->step = x->buffered && !x->request_read ? STEP_COLLECT : STEP_LEASE;
    return STEP_MORE;
}
