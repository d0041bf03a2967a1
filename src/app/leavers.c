/* Accounts whose owners left: what is theirs goes bit by bit, then they are forgotten. And what
 * ended of all accounts is taken away. Nothing is opened for it: an app that nobody asks has time.
 */
#include "app/app_impl.h"

#include "accounts/accounts.h"

#define LOOK_MS  5000
#define PRUNE_MS (5 * 60 * 1000)

static bool purge(struct app *app, struct slice id, bool *ret_more, struct err *e)
{
    if (!docs_open(app->docs, e))
        return false;
    bool fine = docs_purge_owner(app->docs, id, ret_more, e);
    docs_leave(app->docs);
    return fine;
}

static bool purge_files(struct app *app, struct slice id, bool *ret_more, struct err *e)
{
    if (!files_open(app->files, e))
        return false;
    bool fine = files_purge_owner(app->files, id, ret_more, e);
    files_leave(app->files);
    return fine;
}

/* *ret_more: there is somebody. */
static bool tend_app(struct app *app, bool *ret_more, struct err *e)
{
    struct arena a;
    struct slice id = {0};
    bool has_things = false;
    arena_init(&a, 1u << 16);
    bool fine = accounts_next_leaving(app->accounts, &a, &id, e);
    *ret_more = fine && id.len;
    if (*ret_more)
        fine = !app->docs || purge(app, id, &has_things, e);
    if (*ret_more && fine && !has_things)
        fine = !app->files || purge_files(app, id, &has_things, e);
    if (*ret_more && fine && !has_things)
        fine = accounts_forget(app->accounts, id, e);
    arena_done(&a);
    return fine;
}

/* app NULL: operators */
static void tell(const struct app *app, const struct err *e)
{
    log_line(LOG_WARN, "what ended of the accounts could not be removed; it is tried again",
             F_STR("app", app ? app->manifest->slug.s : SLICE("_host")), F_CSTR("reason", e->msg));
}

static void prune(struct host *h)
{
    struct err e;
    int64_t now = clock_wall_ms();
    for (size_t i = 0; i < h->n_apps; i++) {
        struct app *app = &h->apps[i];
        if (app->accounts && !accounts_prune(database_accounts(h, app, h->life), now, &e))
            tell(app, &e);
    }
    if (h->operators && !accounts_prune(database_operators(h, h->life), now, &e))
        tell(NULL, &e);
}

bool leavers_tend(struct host *h, struct leavers *l)
{
    int64_t now = clock_mono_ms();
    struct err e;
    if (now < l->look_ms)
        return false;
    if (now >= l->prune_ms) {
        l->prune_ms = now + PRUNE_MS;
        prune(h);
    }
    for (size_t i = 0; i < h->n_apps; i++) {
        struct app *app = &h->apps[i];
        bool has_more = false;
        if (!app->accounts)
            continue;
        if (tend_app(app, &has_more, &e) && has_more)
            return true;
        if (has_more)
            tell(app, &e);
    }
    l->look_ms = now + LOOK_MS;
    return false;
}
