/* What becomes of blobs that nobody names: a bit at a time, on a lane.
 *
 * A loose one first loses its row, in a write that asks again whether it is loose, then its bytes;
 * who writes the same content in between has bytes and a key of their own. Bytes without a row are
 * what was left by a server that ended in the middle of an upload. */
#include "files/files_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SWEEP_ROWS 100
#define SWEEP_MS   (10 * 60 * 1000LL) /* between two looks */
#define WALK_MS    (24 * 60 * 60 * 1000LL)
#define RETRY_MS   (60 * 1000LL) /* after a failure; each further one doubles it */
#define RETRY_MAX  8             /* times: four hours */
#define ARENA      (4u << 20)

static const struct sql find_loose = {
    "SELECT hash, blob_key FROM dais_blobs WHERE loose_at IS NOT NULL AND loose_at <= ?"
    " ORDER BY loose_at LIMIT ?",
    NULL,
};
static const struct sql any_loose = {
    "SELECT 1 FROM dais_blobs WHERE loose_at IS NOT NULL LIMIT 1",
    NULL,
};
static const struct sql drop_loose = {
    "DELETE FROM dais_blobs WHERE hash = ? AND blob_key = ? AND loose_at IS NOT NULL"
    " AND loose_at <= ? AND NOT EXISTS (SELECT 1 FROM dais_files WHERE hash = ?)",
    NULL,
};
static const struct sql find_key = {"SELECT blob_key FROM dais_blobs WHERE hash = ?", NULL};
static const struct sql any_row = {"SELECT 1 FROM dais_blobs LIMIT 1", NULL};

static void warn(const struct files *f, const char *what, const struct err *e)
{
    log_line(LOG_WARN, what, F_STR("app", f->manifest->slug.s), F_CSTR("reason", e->msg));
}

/* One line for all of them: what refuses one mostly refuses them all. */
static void warn_left(const struct files *f, size_t n, const struct err *last)
{
    log_line(LOG_WARN, "unneeded bytes could not be removed; it is tried again tomorrow",
             F_STR("app", f->manifest->slug.s), F_INT("blobs", n), F_CSTR("reason", last->msg));
}

/* ---- loose ones ------------------------------------------------------------------------------ */

struct sweep {
    struct files *files;
    struct arena arena;
    int64_t before_ms;
    struct {
        struct slice hash, key;
        bool is_gone;
    } loose[SWEEP_ROWS];
    size_t n;
    bool has_others; /* loose, but not for long enough */
};

static bool is_any(struct db_conn *c, const struct sql *sql, bool *ret, struct err *e)
{
    struct db_stmt *s = db_prepare(c, sql, e);
    if (!s)
        return false;
    enum db_step step = db_step(s, e);
    *ret = step == DB_ROW;
    db_reset(s);
    return step != DB_FAILED;
}

static bool read_loose(struct sweep *w, struct db_conn *c, struct err *e)
{
    enum db_step step = DB_END;
    struct db_stmt *s = db_prepare(c, &find_loose, e);
    if (!s)
        return false;
    db_bind_i64(s, 1, w->before_ms);
    db_bind_i64(s, 2, SWEEP_ROWS);
    for (w->n = 0; w->n < SWEEP_ROWS && (step = db_step(s, e)) == DB_ROW; w->n++) {
        w->loose[w->n].hash = arena_dup(&w->arena, db_text(s, 0));
        w->loose[w->n].key = arena_dup(&w->arena, db_text(s, 1));
    }
    db_reset(s);
    return step != DB_FAILED && (w->n || is_any(c, &any_loose, &w->has_others, e));
}

static bool run_sweep(void *arg, struct db_conn *c, struct err *e)
{
    struct sweep *w = arg;
    for (size_t i = 0; i < w->n; i++) {
        int64_t n = 0;
        struct db_stmt *s = db_prepare(c, &drop_loose, e);
        if (!s)
            return false;
        db_bind_text(s, 1, w->loose[i].hash);
        db_bind_text(s, 2, w->loose[i].key);
        db_bind_i64(s, 3, w->before_ms);
        db_bind_text(s, 4, w->loose[i].hash);
        if (!db_run(s, &n, e))
            return false;
        w->loose[i].is_gone = n > 0;
    }
    return true;
}

/* What cannot be removed now has no row any more, and goes with other such bytes. */
static void remove_bytes(struct sweep *w)
{
    struct err e;
    size_t n_left = 0;
    for (size_t i = 0; i < w->n; i++)
        n_left += w->loose[i].is_gone && !blob_remove(w->files->store, w->loose[i].key, &e);
    if (n_left)
        warn_left(w->files, n_left, &e);
}

static bool read_now(struct files *f, struct sweep *w, struct err *e)
{
    struct db_conn *c = db_conn_take(files_db(f), e);
    bool fine = c && read_loose(w, c, e);
    if (c)
        db_conn_give(c);
    return fine;
}

static bool sweep(struct files *f, int64_t now_ms, bool *ret_more, struct err *e)
{
    struct sweep *w = mem_new(struct sweep);
    w->files = f;
    w->before_ms = now_ms - FILES_GRACE_MS;
    arena_init(&w->arena, ARENA);
    atomic_store(&f->order->has_loose, false); /* what comes loose from now on sets it again */
    bool fine = read_now(f, w, e) && (!w->n || db_write_now(files_db(f), run_sweep, w, e));
    if (fine)
        remove_bytes(w);
    if (!fine || w->n || w->has_others)
        atomic_store(&f->order->has_loose, true);
    *ret_more = fine && w->n == SWEEP_ROWS;
    arena_done(&w->arena);
    free(w);
    return fine;
}

/* ---- bytes without a row --------------------------------------------------------------------- */

/* Is this key the one that its hash's row has? */
static bool is_known(struct db_conn *c, struct slice key, bool *ret, struct err *e)
{
    struct db_stmt *s = db_prepare(c, &find_key, e);
    if (!s)
        return false;
    db_bind_text(s, 1, slice_first(key, BLOB_HASH_LEN));
    enum db_step step = db_step(s, e);
    *ret = step == DB_ROW && slice_eq(db_text(s, 0), key);
    db_reset(s);
    return step != DB_FAILED;
}

/* Keeps of the items those that nobody knows. A database that knows none at all is rather the wrong
 * one, or a new one beside an old folder: then nothing is removed. */
static bool pick_unknown(struct db_conn *c, struct blob_item *items, size_t *n, int64_t before_ms,
                         struct err *e)
{
    size_t kept = 0;
    bool knows_any = false, knows = false;
    if (!is_any(c, &any_row, &knows_any, e))
        return false;
    for (size_t i = 0; knows_any && i < *n; i++) {
        if (items[i].modified_ms >= before_ms)
            continue;
        if (!is_known(c, items[i].key, &knows, e))
            return false;
        if (!knows)
            items[kept++] = items[i];
    }
    *n = kept;
    return true;
}

static bool find_unknown(struct files *f, struct blob_item *items, size_t *n, int64_t before_ms,
                         struct err *e)
{
    struct db_conn *c = db_conn_take(files_db(f), e);
    bool fine = c && pick_unknown(c, items, n, before_ms, e);
    if (c)
        db_conn_give(c);
    return fine;
}

/* One that stays does not keep the others. */
static void remove_unknown(struct files *f, const struct blob_item *items, size_t n)
{
    struct err e;
    size_t n_left = 0;
    for (size_t i = 0; i < n; i++)
        n_left += !blob_remove(f->store, items[i].key, &e);
    if (n_left)
        warn_left(f, n_left, &e);
    if (n > n_left)
        log_line(LOG_INFO, "bytes without a file were removed", F_STR("app", f->manifest->slug.s),
                 F_INT("blobs", n - n_left));
}

static bool walk_page(struct files *f, struct arena *a, int64_t before_ms, bool *ret_more,
                      struct err *e)
{
    struct blob_item *items = NULL;
    struct slice next;
    size_t n = 0;
    if (!blob_walk(f->store, slice_from(f->order->walked), a, &items, &n, &next, e) ||
        (n && !find_unknown(f, items, &n, before_ms, e)))
        return false;
    if (next.len >= sizeof f->order->walked)
        return err_set(e, ERR_UNAVAILABLE, "the store tells of a name that is too long");
    remove_unknown(f, items, n);
    snprintf(f->order->walked, sizeof f->order->walked, "%.*s", SLICE_ARGS(next));
    *ret_more = next.len > 0;
    return true;
}

/* The name by which the store knows this database: random, made once. */
static bool run_name(void *arg, struct db_conn *c, struct err *e)
{
    static const struct sql put = {
        "INSERT INTO dais_meta (name, value) VALUES ('files_owner', ?) ON CONFLICT DO NOTHING",
        NULL};
    static const struct sql get = {"SELECT value FROM dais_meta WHERE name = 'files_owner'", NULL};
    char *name = arg;
    struct db_stmt *s = db_prepare(c, &put, e);
    if (!s)
        return false;
    random_id(name);
    db_bind_text(s, 1, slice_from(name));
    if (!db_run(s, NULL, e) || !(s = db_prepare(c, &get, e)))
        return false;
    bool fine = db_step(s, e) == DB_ROW && db_text(s, 0).len == ID_LEN;
    if (fine)
        memcpy(name, db_text(s, 0).ptr, ID_LEN);
    db_reset(s);
    return fine;
}

/* Another database's blobs are all unknown here. */
static bool is_ours(struct files *f, bool *ret, struct err *e)
{
    char name[ID_LEN + 1];
    *ret = false;
    if (!db_write_now(files_db(f), run_name, name, e) ||
        !blob_claim(f->store, slice_from(name), ret, e))
        return false;
    return *ret || err_set(e, ERR_FORBIDDEN,
                           "another database keeps its files in the same place, or this one has "
                           "just begun to");
}

/* What it cannot do now, it does after the next walk. */
static void clean(struct files *f, int64_t before_ms)
{
    struct err e;
    if (!blob_clean(f->store, before_ms, &e))
        warn(f, "what uploads left behind could not be removed; it is tried again tomorrow", &e);
}

static bool walk(struct files *f, int64_t now_ms, bool *ret_more, struct err *e)
{
    struct arena a;
    bool ours, goes_on = f->order->walked[0] && !f->order->n_failed;
    if (!goes_on && !is_ours(f, &ours, e)) /* after a pause it may be another's by now */
        return false;
    arena_init(&a, ARENA);
    bool fine = walk_page(f, &a, now_ms - FILES_ORPHAN_MS, ret_more, e);
    arena_done(&a);
    if (fine && !*ret_more)
        clean(f, now_ms - FILES_ORPHAN_MS);
    return fine;
}

/* ---- when ------------------------------------------------------------------------------------ */

/* Either is done in a database that is open anyway; what is known to be loose opens it. */
static bool enter(struct files *f, bool is_due)
{
    struct err e;
    if (files_enter(f))
        return true;
    if (!is_due || files_open(f, &e))
        return is_due;
    warn(f, "the files' database could not be opened", &e);
    return false;
}

static int64_t pause_of(struct files_order *o, bool is_sweep, bool fine)
{
    unsigned n = o->n_failed < RETRY_MAX ? o->n_failed : RETRY_MAX;
    if (is_sweep)
        return fine ? SWEEP_MS : RETRY_MS;
    o->n_failed = fine ? 0 : o->n_failed + 1;
    return fine ? WALK_MS : RETRY_MS << n;
}

static bool tend(struct files *f, int64_t now_ms, bool is_sweep)
{
    struct err e;
    bool has_more = false;
    int64_t *due = is_sweep ? &f->order->sweep_ms : &f->order->walk_ms;
    bool fine = is_sweep ? sweep(f, now_ms, &has_more, &e) : walk(f, now_ms, &has_more, &e);
    if (!fine)
        warn(f, "unneeded bytes could not be looked for; it is tried again", &e);
    int64_t pause = pause_of(f->order, is_sweep, fine);
    *due = has_more ? 0 : now_ms + pause;
    return has_more;
}

bool files_tend(struct files *f, int64_t now_ms)
{
    struct files_order *o = f->order;
    bool wants_sweep = now_ms >= o->sweep_ms, wants_walk = now_ms >= o->walk_ms;
    if (!f->n_buckets || (!wants_sweep && !wants_walk))
        return false;
    if (!enter(f, wants_sweep && atomic_load(&o->has_loose)))
        return false;
    bool has_more = wants_sweep && tend(f, now_ms, true);
    if (!has_more && wants_walk)
        has_more = tend(f, now_ms, false);
    db_slot_leave_quietly(f->slot);
    return has_more;
}

void files_keep_order(struct files *f, struct files_order *o)
{
    f->order = o ? o : &f->own_order;
}
