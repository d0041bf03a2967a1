/* Keys of programs. */
#include "accounts/people_impl.h"

#define HINT_CHARS 8
#define KEYS_MAX   100 /* of an account; of the app: ten times as many */
#define LIST_MAX   1000
#define COLUMNS    "id, name, user_id, hint, scopes, roles, created, expires, used"

static const struct sql insert = {
    "INSERT INTO dais_keys (" COLUMNS ", token) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    NULL,
};
static const struct sql count = {"SELECT COUNT(*) FROM dais_keys WHERE user_id = ?", NULL};
static const struct sql list_own = {
    "SELECT " COLUMNS " FROM dais_keys WHERE user_id = ? ORDER BY id DESC LIMIT ?",
    NULL,
};
static const struct sql list_all = {
    "SELECT " COLUMNS " FROM dais_keys ORDER BY id DESC LIMIT ?",
    NULL,
};
static const struct sql find_user = {"SELECT user_id FROM dais_keys WHERE id = ?", NULL};
static const struct sql remove_one = {"DELETE FROM dais_keys WHERE id = ?", NULL};
static const struct sql remove_own = {"DELETE FROM dais_keys WHERE user_id = ?", NULL};

/* ---- scopes ---------------------------------------------------------------------------------- */

bool scope_is_good(const struct manifest *m, struct slice scope)
{
    static const char *const whole[] = {"read", "write", "jobs", "files", "admin"};
    struct slice rest = scope, verb;
    for (size_t i = 0; i < sizeof whole / sizeof *whole; i++) {
        if (slice_is(scope, whole[i]))
            return true;
    }
    if (!slice_cut(&rest, ':', &verb) || (!slice_is(verb, "read") && !slice_is(verb, "write")))
        return false;
    for (size_t i = 0; m && i < m->collections.n; i++) {
        if (slice_eq(m->collections.items[i].name.s, rest))
            return true;
    }
    return false;
}

static bool scopes_are_good(const struct manifest *m, const struct key_row *in, struct err *e)
{
    if (!in->n_scopes)
        return err_set(e, ERR_INVALID, "A key needs a scope: `read`, for example.");
    for (size_t i = 0; i < in->n_scopes; i++) {
        if (!scope_is_good(m, in->scopes[i]))
            return err_set(e, ERR_INVALID,
                           "There is no scope `%.*s`: take read, write, read:COLLECTION,"
                           " write:COLLECTION, jobs, files or admin.",
                           SLICE_ARGS(slice_first(in->scopes[i], 60)));
    }
    return true;
}

/* ---- making one ------------------------------------------------------------------------------ */

struct adding {
    struct accounts *acc;
    struct arena *arena;
    const struct asker *from;
    struct key_made *made;
};

static bool has_room(struct db_conn *c, struct slice user, bool *ret, struct err *e)
{
    struct db_stmt *s = db_prepare(c, &count, e);
    if (!s)
        return false;
    db_bind_text(s, 1, user);
    enum db_step step = db_step(s, e);
    *ret = step == DB_ROW && db_i64(s, 0) < (user.len ? KEYS_MAX : 10 * KEYS_MAX);
    db_reset(s);
    return step != DB_FAILED;
}

static bool write_row(struct adding *d, struct db_conn *c, struct err *e)
{
    const struct key_row *k = &d->made->row;
    unsigned char digest[DIGEST_LEN];
    struct db_stmt *s = db_prepare(c, &insert, e);
    if (!s)
        return false;
    token_digest(slice_from(d->made->token), digest);
    db_bind_text(s, 1, k->id);
    db_bind_text(s, 2, k->name);
    db_bind_text(s, 3, k->user);
    db_bind_text(s, 4, k->hint);
    db_bind_text(s, 5, words_text(k->scopes, k->n_scopes, d->arena));
    db_bind_text(s, 6, words_text(k->roles, k->n_roles, d->arena));
    db_bind_i64(s, 7, k->created_ms);
    db_bind_i64(s, 8, k->expires_ms);
    db_bind_i64(s, 9, 0);
    db_bind_blob(s, 10, (struct slice){(const char *)digest, sizeof digest});
    return db_run(s, NULL, e);
}

static bool run(void *arg, struct db_conn *c, struct err *e)
{
    struct adding *d = arg;
    const struct key_row *k = &d->made->row;
    struct user_row owner;
    bool is_active = true, fits = false;
    if (k->user.len && !active_user(c, k->user, d->arena, &owner, &is_active, e))
        return false;
    if (!is_active)
        return err_set(e, ERR_FORBIDDEN,
                       "Only accounts of this app have keys; operators make keys of the app.");
    if (!asker_is_in(c, d->from, e) || !has_room(c, k->user, &fits, e))
        return false;
    if (!fits)
        return err_set(e, ERR_INVALID, "There are too many keys: remove some first.");
    return write_row(d, c, e) && trail(c, EVENT_KEY_ADDED, k->user, k->id, d->from, NULL, e);
}

bool keys_add(struct accounts *acc, struct arena *a, const struct key_row *in,
              const struct asker *from, struct key_made *ret, struct err *e)
{
    struct adding d = {acc, a, from, ret};
    struct key_row *k = &ret->row;
    char *id = arena_alloc(a, ID_LEN + 1);
    int64_t now = clock_wall_ms();
    *k = *in;
    if (!given_name(in->name, a, &k->name, NULL, e) || !scopes_are_good(acc->manifest, in, e) ||
        !given_roles(acc, in->roles, in->n_roles, e))
        return false;
    if (in->user.len && in->n_roles)
        return err_set(e, ERR_INVALID, "A key of an account has the account's roles.");
    if (in->expires_ms && in->expires_ms <= now)
        return err_set(e, ERR_INVALID, "This key would have ended already.");
    random_id(id);
    token_make(TOKEN_KEY, ret->token);
    k->id = slice_from(id);
    k->user = in->user.len ? in->user : SLICE("");
    k->hint = arena_dup(a, slice_first(slice_from(ret->token), HINT_CHARS));
    k->created_ms = now;
    k->used_ms = 0;
    return store_write(acc->store, run, &d, e);
}

/* ---- listing --------------------------------------------------------------------------------- */

struct listing {
    struct arena *arena;
    struct slice user;
    bool of_all;
    struct key_row *rows;
    size_t n;
};

static struct key_row read_row(const struct db_stmt *s, struct arena *a)
{
    struct key_row k = {
        .id = arena_dup(a, db_text(s, 0)),
        .name = arena_dup(a, db_text(s, 1)),
        .user = arena_dup(a, db_text(s, 2)),
        .hint = arena_dup(a, db_text(s, 3)),
        .created_ms = db_i64(s, 6),
        .expires_ms = db_i64(s, 7),
        .used_ms = db_i64(s, 8),
    };
    words_read(db_text(s, 4), a, &k.scopes, &k.n_scopes);
    words_read(db_text(s, 5), a, &k.roles, &k.n_roles);
    return k;
}

/* What it takes at worst; json_parse says how much that is for a list. */
static bool row_fits(const struct db_stmt *s, const struct arena *a)
{
    size_t needed = 1024;
    for (int i = 0; i < 6; i++)
        needed += db_text(s, i).len * (i < 4 ? 1 : 32);
    return needed <= a->cap_bytes - a->used_bytes;
}

static bool look(void *arg, struct db_conn *c, struct err *e)
{
    struct listing *l = arg;
    enum db_step step = DB_END;
    bool fits = true;
    struct db_stmt *s = db_prepare(c, l->of_all ? &list_all : &list_own, e);
    int at = 1;
    if (!s)
        return false;
    if (!l->of_all)
        db_bind_text(s, at++, l->user);
    db_bind_i64(s, at, LIST_MAX);
    for (l->n = 0; l->n < LIST_MAX && (step = db_step(s, e)) == DB_ROW; l->n++) {
        if (!(fits = row_fits(s, l->arena)))
            break;
        l->rows[l->n] = read_row(s, l->arena);
    }
    db_reset(s);
    return fits ? step != DB_FAILED
                : err_set(e, ERR_UNAVAILABLE, "There are too many keys to list them all.");
}

bool keys_list(struct accounts *acc, struct arena *a, struct slice user, bool of_all,
               struct key_row **ret, size_t *ret_n, struct err *e)
{
    struct listing l = {.arena = a, .user = user.ptr ? user : SLICE(""), .of_all = of_all};
    l.rows = arena_try_alloc(a, LIST_MAX * sizeof *l.rows);
    if (!l.rows)
        return err_set(e, ERR_UNAVAILABLE, "There is no memory for this just now.");
    if (!store_read(acc->store, look, &l, e))
        return false;
    *ret = l.rows;
    *ret_n = l.n;
    return true;
}

static bool look_for(void *arg, struct db_conn *c, struct err *e)
{
    static const struct sql find = {
        "SELECT 1 FROM dais_keys WHERE id = ? AND (expires = 0 OR expires > ?)", NULL};
    const struct slice *id = arg;
    struct db_stmt *s = db_prepare(c, &find, e);
    if (!s)
        return false;
    db_bind_text(s, 1, *id);
    db_bind_i64(s, 2, clock_wall_ms());
    enum db_step step = db_step(s, e);
    db_reset(s);
    return step == DB_ROW || (step == DB_END && err_set(e, ERR_NOT_FOUND, "There is no such key."));
}

bool keys_find(struct accounts *acc, struct slice id, struct err *e)
{
    return store_read(acc->store, look_for, &id, e);
}

/* ---- removing -------------------------------------------------------------------------------- */

struct removing {
    struct arena *arena;
    struct slice user, id, owner; /* owner: who had it */
    bool of_all;
    const struct asker *from;
};

static bool run_one(struct db_conn *c, const struct sql *sql, struct slice id, struct err *e)
{
    struct db_stmt *s = db_prepare(c, sql, e);
    if (!s)
        return false;
    db_bind_text(s, 1, id);
    return db_run(s, NULL, e);
}

static bool run_remove(void *arg, struct db_conn *c, struct err *e)
{
    struct removing *r = arg;
    struct db_stmt *s = db_prepare(c, &find_user, e);
    if (!s)
        return false;
    db_bind_text(s, 1, r->id);
    enum db_step step = db_step(s, e);
    r->owner = step == DB_ROW ? arena_dup(r->arena, db_text(s, 0)) : SLICE("");
    db_reset(s);
    if (step == DB_FAILED)
        return false;
    if (step != DB_ROW || (!r->of_all && !(r->user.len && slice_eq(r->owner, r->user))))
        return err_set(e, ERR_NOT_FOUND, "There is no such key.");
    return run_one(c, &remove_one, r->id, e) &&
           trail(c, EVENT_KEY_REMOVED, r->of_all ? SLICE("operator") : r->user, r->id, r->from,
                 NULL, e);
}

bool keys_remove(struct accounts *acc, struct slice user, bool of_all, struct slice id,
                 const struct asker *from, struct err *e)
{
    struct arena a;
    struct removing r = {.arena = &a, .user = user, .id = id, .of_all = of_all, .from = from};
    arena_init(&a, 1u << 20);
    bool fine = store_write(acc->store, run_remove, &r, e);
    if (fine)
        cache_end(acc->store->cache, r.owner.len ? r.owner : id, id, SLICE(""));
    arena_done(&a);
    return fine;
}

bool keys_delete(struct db_conn *c, struct slice user, struct err *e)
{
    return run_one(c, &remove_own, user, e);
}
