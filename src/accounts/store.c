/* A database with accounts, and being in it. */
#include "accounts/accounts_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct account_store *account_store_new(struct db_slot *slot, bool is_operators)
{
    struct account_store *s = mem_new(struct account_store);
    s->slot = slot;
    s->is_operators = is_operators;
    s->cache = who_cache_new();
    return s;
}

void account_store_tell(struct account_store *s, struct events *events)
{
    s->events = events;
}

void account_store_free(struct account_store *s)
{
    if (!s)
        return;
    who_cache_free(s->cache);
    free(s);
}

/* Reasons (paths, addresses) are for the log and not for clients. */
struct db *store_open(struct account_store *s, struct err *e)
{
    struct err why = {0};
    struct db *db = db_slot_open(s->slot, &why);
    if (db)
        return db;
    log_line(LOG_ERROR, "the accounts cannot be opened", F_CSTR("reason", why.msg));
    err_set(e, ERR_UNAVAILABLE,
            "The accounts cannot be reached just now; the server's log says why.");
    return NULL;
}

void store_leave(struct account_store *s)
{
    db_slot_leave(s->slot);
}

bool store_write(struct account_store *s, bool (*run)(void *, struct db_conn *, struct err *),
                 void *arg, struct err *e)
{
    struct db *db = store_open(s, e);
    bool fine = db && db_write_now(db, run, arg, e);
    if (fine)
        mail_ring();
    if (db)
        store_leave(s);
    return fine;
}

void store_note(const struct account_store *s, enum event_kind kind, struct slice object,
                const struct asker *from, const char *detail)
{
    events_note(s->events,
                &(struct event){.kind = kind,
                                .object = object,
                                .ip = from->ip,
                                .request = from->request,
                                .detail = slice_from(detail)},
                clock_wall_ms());
}

bool store_read(struct account_store *s, bool (*run)(void *, struct db_conn *, struct err *),
                void *arg, struct err *e)
{
    struct db *db = store_open(s, e);
    struct db_conn *c = db ? db_conn_take(db, e) : NULL;
    bool fine = c && run(arg, c, e);
    if (c)
        db_conn_give(c);
    if (db)
        store_leave(s);
    return fine;
}

/* ---- a reading of the manifest --------------------------------------------------------------- */

static struct slice own(struct slice s)
{
    char *copy = mem_alloc(s.len + 1);
    memcpy(copy, s.ptr ? s.ptr : "", s.len);
    copy[s.len] = '\0';
    return (struct slice){copy, s.len};
}

struct accounts *accounts_new(const struct accounts_options *o)
{
    struct accounts *a = mem_new(struct accounts);
    struct slice slug = o->manifest->slug.s;
    a->manifest = o->manifest;
    a->store = o->store;
    a->operators = o->operators;
    snprintf(a->cookie, sizeof a->cookie, "dais_%.*s", SLICE_ARGS(slug));
    a->mount = own(o->mount);
    a->public_url = own(o->public_url);
    root_secret_derive(o->secret, "account links", slug, a->link_key, sizeof a->link_key);
    a->may = o->may;
    a->welcome = o->welcome;
    a->may_write = o->may_write;
    a->limits = o->user;
    accounts_source_init(a);
    return a;
}

void accounts_free(struct accounts *a)
{
    if (!a)
        return;
    free((void *)(uintptr_t)a->mount.ptr);
    free((void *)(uintptr_t)a->public_url.ptr);
    explicit_bzero(a->link_key, sizeof a->link_key);
    free(a);
}

/* ---- tries ----------------------------------------------------------------------------------- */

bool accounts_may(const struct accounts *acc, enum limit_bucket bucket, struct slice email,
                  const struct asker *from, struct err *e)
{
    return !acc->may || acc->may(acc->limits, bucket, email, from, e);
}

void accounts_welcome(const struct accounts *acc, struct slice email, const struct asker *from)
{
    if (acc->welcome)
        acc->welcome(acc->limits, email, from);
}

bool accounts_may_write(const struct accounts *acc, struct slice email, bool is_again,
                        const struct asker *from)
{
    return !acc->may_write || acc->may_write(acc->limits, email, is_again, from);
}
