/*
 * The cookie's value is a UUID that we made; anything else counts as none.
 */
#include "proxy/client_key.h"

static const char *const same_site_names[] = {"Lax", "Strict", "None"};

bool client_key_known(const struct exchange *x, const struct app_config *app, struct client_key *key) {
    struct uuid cookie;
    memset(key, 0, sizeof *key);
    if (app->strategy == STRATEGY_IP_HASH) {
        if (x->client_ip.family == AF_UNSPEC)
            return false;
        key->kind = CLIENT_ADDRESS;
        memcpy(key->b, x->client_ip.b, sizeof key->b);
        return true;
    }
    if (!uuid_parse(http_cookie(x->request, str_of(app->cookie_name)), &cookie))
        return false;
    key->kind = CLIENT_COOKIE;
    memcpy(key->b, cookie.b, sizeof key->b);
    return true;
}

void client_key_identify(struct exchange *x) {
    const struct app_config *app = x->config;
    if (client_key_known(x, app, &x->client_key) || app->strategy != STRATEGY_COOKIE_HASH)
        return;
    struct uuid cookie = uuid_v4();
    char text[37];
    uuid_format(&cookie, text);
    bool secure = app->cookie_same_site == SAME_SITE_NONE || str_eq(x->forwarded_proto, STR("https"));
    x->set_cookie = arena_printf(x->arena, "%s=%s; Path=/; HttpOnly; SameSite=%s%s", app->cookie_name, text,
                                 same_site_names[app->cookie_same_site], secure ? "; Secure" : "");
    x->client_key.kind = CLIENT_COOKIE;
    memcpy(x->client_key.b, cookie.b, sizeof x->client_key.b);
}
