/* Accounts of apps: who has them, where they are kept. */
#include "app/app_impl.h"

bool app_has_accounts(const struct app *app)
{
    const struct auth_conf *auth = &app->manifest->auth;
    return auth->pos.line && !slice_is(auth->local.s, "none");
}

/* Links in mails begin with this, whatever a request says its host is. */
static struct slice public_url(struct host *h, const struct app *app)
{
    struct slice url = settings_get(&h->settings, SET_PUBLIC_URL);
    while (url.len && url.ptr[url.len - 1] == '/')
        url.len--;
    return url.len ? arena_printf(&h->arena, "%.*s%.*s", SLICE_ARGS(url), SLICE_ARGS(app->mount))
                   : SLICE("");
}

void app_accounts_open(struct host *h, struct app *app, struct life *life)
{
    app->accounts = accounts_new(&(struct accounts_options){
        .manifest = app->manifest,
        .store = database_accounts(h, app, life),
        .operators = database_operators(h, life),
        .secret = &h->secret,
        .mount = app->mount,
        .public_url = public_url(h, app),
        .may = limits_may,
        .welcome = limits_welcome,
        .user = app,
    });
    if (!app->is_given)
        app->identities = accounts_source(app->accounts);
}
