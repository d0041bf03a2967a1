/* Accounts of apps: who has them, where they are kept. */
#include "app/app_impl.h"

bool app_has_accounts(const struct app *app)
{
    return app->manifest->auth.pos.line > 0;
}

/* Links in mails begin with this, whatever a request says its host is. Behind a socket without
 * PUBLIC_URL nobody knows; `dais check` says so. */
static struct slice public_url(struct host *h, const struct app *app, const struct life *life)
{
    struct slice url = app_public_url(h, app, life, &h->arena);
    return url.len ? url : arena_printf(&h->arena, "http://localhost%.*s", SLICE_ARGS(app->mount));
}

/* Once for all apps, with the first that has accounts. */
static void open_operators(struct host *h, const struct app *app, struct life *life)
{
    if (!h->operators)
        h->operators = accounts_of_operators(database_operators(h, life), &h->secret,
                                             public_url(h, app, life));
}

void app_accounts_open(struct host *h, struct app *app, struct life *life)
{
    open_operators(h, app, life);
    app->accounts = accounts_new(&(struct accounts_options){
        .manifest = app->manifest,
        .store = database_accounts(h, app, life),
        .operators = database_operators(h, life),
        .secret = &h->secret,
        .mount = app->mount,
        .public_url = public_url(h, app, life),
        .may = limits_may,
        .welcome = limits_welcome,
        .may_write = limits_may_write,
        .user = app,
    });
    if (app->docs && !app->is_given)
        docs_guard(app->docs, accounts_is_in);
    if (app->files && !app->is_given)
        files_guard(app->files, accounts_is_in);
    app->local.accounts = accounts_source(app->accounts);
    if (!app->is_given && !slice_is(app->manifest->auth.local.s, "none"))
        app->identities = app->local.accounts;
    app->signin = signin_new(&(struct signin_options){
        .manifest = app->manifest,
        .accounts = app->accounts,
        .operators = h->operators,
        .mount = app->mount,
    });
}
