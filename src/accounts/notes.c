/* Writes that follow from a check of who asks: nobody waits for them, and none is tried twice. */
#include "accounts/accounts_impl.h"

#include <stdlib.h>

static const struct sql used = {
    "UPDATE dais_keys SET used = ? WHERE id = ? AND used < ?",
    NULL,
};
static const struct sql end_reused = {
    "DELETE FROM dais_sessions WHERE id = ? AND old IS NOT NULL AND old_until <= ?",
    NULL,
};

struct note {
    struct db_write write;
    struct account_store *store;
    struct arena arena; /* of what follows */
    struct slice session, user, ip, request;
    bool has_ended;
};

static struct note *note_new(struct account_store *s, struct slice session)
{
    struct note *n = mem_new(struct note);
    arena_init(&n->arena, 64u << 10);
    n->store = s;
    n->session = arena_dup(&n->arena, session);
    return n;
}

static void note_free(struct note *n)
{
    arena_done(&n->arena);
    free(n);
}

/* By the writer. */
static void done(struct db_write *w, const struct err *e)
{
    struct note *n = container_of(w, struct note, write);
    if (e)
        log_line(LOG_WARN, "a note about an account was not kept", F_CSTR("why", e->msg));
    else if (n->has_ended)
        cache_end(n->store->cache, n->user, n->session, SLICE(""));
    store_leave(n->store);
    note_free(n);
}

/* A store that is not open, or has too much to do, keeps none. */
static void submit(struct note *n, bool (*run)(struct db_write *, struct db_conn *, struct err *))
{
    struct db *db = db_slot_enter(n->store->slot);
    n->write = (struct db_write){.run = run, .done = done};
    if (db && db_write(db, &n->write))
        return;
    if (db)
        store_leave(n->store);
    note_free(n);
}

static bool run_use(struct db_write *w, struct db_conn *c, struct err *e)
{
    struct note *n = container_of(w, struct note, write);
    int64_t now = clock_wall_ms();
    struct db_stmt *s = db_prepare(c, &used, e);
    if (!s)
        return false;
    db_bind_i64(s, 1, now);
    db_bind_text(s, 2, n->session);
    db_bind_i64(s, 3, now - KEY_USED_MS);
    return db_run(s, NULL, e);
}

void note_use(struct account_store *s, struct slice key)
{
    submit(note_new(s, key), run_use);
}

static bool run_reuse(struct db_write *w, struct db_conn *c, struct err *e)
{
    struct note *n = container_of(w, struct note, write);
    int64_t now = clock_wall_ms(), changed = 0;
    struct db_stmt *s = db_prepare(c, &end_reused, e);
    if (!s)
        return false;
    db_bind_text(s, 1, n->session);
    db_bind_i64(s, 2, now);
    if (!db_run(s, &changed, e))
        return false;
    n->has_ended = changed > 0;
    const struct event event = {.kind = EVENT_TOKEN_REUSED,
                                .who = n->user,
                                .object = n->session,
                                .ip = n->ip,
                                .request = n->request};
    return !n->has_ended || event_add(c, &event, now, e);
}

void note_reuse(struct account_store *s, const struct req *rq, const struct known *k)
{
    char ip[IP_TEXT_LEN];
    struct note *n = note_new(s, k->session);
    ip_text(&rq->client, ip);
    n->user = arena_dup(&n->arena, k->user);
    n->ip = arena_dup(&n->arena, slice_from(ip));
    n->request = arena_dup(&n->arena, slice_from(rq->id));
    submit(n, run_reuse);
}
