/* Accounts whose owners left: what is theirs goes bit by bit, then they are forgotten. And what
 * ended of all accounts is taken away. Nothing is opened for it: an app that nobody asks has time.
 */
#include "app/app_impl.h"

#include "accounts/accounts.h"
#include "journal/journal.h"

#include <stdio.h>

#define LOOK_MS       5000
#define PRUNE_MS      (5 * 60 * 1000)
#define WAIT_LEAST_MS 10000 /* of one whose things could not be removed */
#define WAIT_MOST_MS  (60 * 60 * 1000)

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

static bool purge_jobs(struct app *app, struct slice id, bool *ret_more, struct err *e)
{
    if (!jobs_open(app->jobs, e))
        return false;
    bool fine = jobs_purge_owner(app->jobs, id, ret_more, e);
    jobs_leave(app->jobs);
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

/* ---- one after the other --------------------------------------------------------------------- */

/* Its place among those whose things could not be removed; -1. */
static int held_at(const struct leavers *l, struct slice id)
{
    for (int i = 0; i < LEAVERS_HELD; i++) {
        if (l->held[i].wait_ms && slice_is(id, l->held[i].id))
            return i;
    }
    return -1;
}

static void release(struct leavers *l, struct slice id)
{
    int at = held_at(l, id);
    if (at >= 0)
        l->held[at].wait_ms = 0;
}

/* Whoever was not tried again for that long is gone. */
static int free_place(const struct leavers *l, int64_t now)
{
    for (int i = 0; i < LEAVERS_HELD; i++) {
        if (!l->held[i].wait_ms || now - l->held[i].until_ms > WAIT_MOST_MS)
            return i;
    }
    return -1;
}

static void tell_held(const struct app *app, struct life *life, struct slice id,
                      const struct err *e)
{
    log_line(LOG_WARN,
             "what belongs to an account that left could not be removed; it is tried again",
             F_STR("app", app->manifest->slug.s), F_STR("account", id), F_CSTR("reason", e->msg));
    life_note(life, app->manifest->slug.s,
              &(struct event){.kind = EVENT_NOT_REMOVED,
                              .object = id,
                              .detail = SLICE("what belongs to it could not be removed; the log "
                                              "says why, and it is tried again")});
}

/* The others come first for a while, each time a longer one. Told once. False: too many wait. */
static bool hold(struct leavers *l, const struct app *app, struct life *life, struct slice id,
                 int64_t now, const struct err *e)
{
    int at = held_at(l, id);
    bool is_new = at < 0;
    if (is_new && (at = free_place(l, now)) < 0)
        return false;
    int64_t wait = is_new ? WAIT_LEAST_MS : 2 * l->held[at].wait_ms;
    snprintf(l->held[at].id, sizeof l->held[at].id, "%.*s", SLICE_ARGS(id));
    l->held[at].wait_ms = wait < WAIT_MOST_MS ? wait : WAIT_MOST_MS;
    l->held[at].until_ms = now + l->held[at].wait_ms;
    if (is_new)
        tell_held(app, life, id, e);
    return true;
}

/* The first that is not held; *ret_id empty: none. */
static bool next_one(const struct leavers *l, struct app *app, struct arena *a, int64_t now,
                     struct slice *ret_id, struct err *e)
{
    struct slice after = SLICE("");
    for (;;) {
        if (!accounts_next_leaving(app->accounts, a, after, ret_id, e))
            return false;
        int at = ret_id->len ? held_at(l, *ret_id) : -1;
        if (at < 0 || l->held[at].until_ms <= now)
            return true;
        after = *ret_id;
    }
}

/* A bit of what is theirs, or the last of it with their row. */
static bool remove_some(struct leavers *l, struct app *app, struct slice id, struct err *e)
{
    bool has_things = false;
    if ((app->jobs && !purge_jobs(app, id, &has_things, e)) ||
        (app->docs && !has_things && !purge(app, id, &has_things, e)) ||
        (app->files && !has_things && !purge_files(app, id, &has_things, e)) ||
        (!has_things && !accounts_forget(app->accounts, id, e)))
        return false;
    release(l, id);
    return true;
}

/* True: there is somebody. */
static bool tend_app(struct host *h, struct app *app, struct leavers *l, int64_t now)
{
    struct arena a;
    struct err e;
    struct slice id = {0};
    bool has_more = false;
    arena_init(&a, 1u << 16);
    if (!next_one(l, app, &a, now, &id, &e))
        tell(app, &e);
    else if (id.len)
        has_more = remove_some(l, app, id, &e) || hold(l, app, h->life, id, now, &e);
    arena_done(&a);
    return has_more;
}

bool leavers_tend(struct host *h, struct leavers *l)
{
    int64_t now = clock_mono_ms();
    if (now < l->look_ms)
        return false;
    if (now >= l->prune_ms) {
        l->prune_ms = now + PRUNE_MS;
        prune(h);
    }
    for (size_t i = 0; i < h->n_apps; i++) {
        struct app *app = &h->apps[i];
        if (app->accounts && tend_app(h, app, l, now))
            return true;
    }
    l->look_ms = now + LOOK_MS;
    return false;
}
