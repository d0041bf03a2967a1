/* Limits over several processes, through the Postgres they share; and who ran out, as events.
 *
 * A row per key says when its bucket is full again, by the clock of the database. Tries at accounts
 * take their token there, one by one. All else is told once a second: what keys took here is added
 * to their rows, and what others changed meanwhile is taken off the buckets here. A Postgres that
 * does not answer is left alone for a while, and every process counts for itself. */
#include "app/limits_impl.h"

#include "journal/journal.h"

#include <stdlib.h>
#include <string.h>

#define DOWN_MS    10000 /* how long one that failed is not asked */
#define PRUNE_MS   60000
#define AGAIN_MS   2000 /* changes are looked at again so long: a commit may be seen late */
#define READ_MAX   4096
#define ROWS_MAX   100000 /* that are kept */
#define STR(x)     #x
#define TEXT_OF(x) STR(x)

#define TABLE(kind, blob)                                                           \
    "CREATE " kind "TABLE dais_limits (bucket TEXT NOT NULL, id " blob " NOT NULL," \
    " full_ms BIGINT NOT NULL, seen BIGINT NOT NULL, PRIMARY KEY (bucket, id));"    \
    "CREATE INDEX dais_limits_seen ON dais_limits (seen);"

/* Nothing that a crash may not take: no log is written for it. */
const struct db_migration limits_migration = {"limits", TABLE("", "BLOB"),
                                              TABLE("UNLOGGED ", "BYTEA")};

#define NOW  "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)"
#define FULL "GREATEST(l.full_ms, " NOW ")"

/* One token, if it is there. */
static const struct sql take_one = {
    NULL,
    "INSERT INTO dais_limits AS l (bucket, id, full_ms, seen) VALUES ($1, $2, " NOW " + $3, " NOW
    ") ON CONFLICT (bucket, id) DO UPDATE SET full_ms = " FULL " + $3, seen = " NOW " WHERE " FULL
    " + $3 <= " NOW " + $4",
};
static const struct sql left_of = {
    NULL,
    "SELECT full_ms - " NOW " FROM dais_limits WHERE bucket = $1 AND id = $2",
};
/* What was taken already; never further ahead than an empty bucket. */
static const struct sql add = {
    NULL,
    "INSERT INTO dais_limits AS l (bucket, id, full_ms, seen) VALUES ($1, $2, " NOW
    " + LEAST($3, $4), " NOW ") ON CONFLICT (bucket, id) DO UPDATE SET full_ms = LEAST(" FULL
    " + $3, " NOW " + $4), seen = " NOW,
};
static const struct sql changed_since = {
    NULL,
    "SELECT bucket, id, full_ms - " NOW " FROM dais_limits WHERE seen >= " NOW " - $1"
    " AND full_ms > " NOW " ORDER BY seen DESC LIMIT " TEXT_OF(READ_MAX),
};
static const struct sql forget = {
    NULL,
    "DELETE FROM dais_limits WHERE full_ms < " NOW " OR seen < (SELECT seen FROM dais_limits"
    " ORDER BY seen DESC OFFSET " TEXT_OF(ROWS_MAX) " LIMIT 1)",
};

struct limit_share {
    struct db_slot *slot;
    bool is_postgres;
    struct ledger *ledger; /* NULL: nobody to tell */
    _Atomic int64_t down_until_ms;
    int64_t read_ms, pruned_ms; /* of the keeper; 0: never */
};

struct limit_share *limit_share_new(struct db_slot *slot, bool is_postgres)
{
    struct limit_share *s = mem_new(struct limit_share);
    s->slot = slot;
    s->is_postgres = is_postgres;
    s->ledger = is_postgres ? ledger_new() : NULL;
    return s;
}

void limit_share_free(struct limit_share *s)
{
    if (!s)
        return;
    ledger_free(s->ledger);
    free(s);
}

/* ---- in the database ------------------------------------------------------------------------- */

static const char letters[LIMIT_KINDS] = {
#define X(kind, letter) [kind] = letter,
    LIMIT_KIND_MAP(X)
#undef X
};

struct row_id {
    unsigned char bytes[LEDGER_KEY_MAX];
    size_t len; /* 0: too long for a row */
};

static struct row_id row_id(enum limit_kind kind, struct slice key)
{
    struct row_id id = {.len = key.len < LEDGER_KEY_MAX ? key.len + 1 : 0};
    if (id.len) {
        id.bytes[0] = (unsigned char)letters[kind];
        memcpy(id.bytes + 1, key.ptr, key.len);
    }
    return id;
}

static bool is_up(const struct limit_share *s)
{
    return clock_mono_ms() >= atomic_load(&s->down_until_ms);
}

static void is_down(struct limit_share *s, const struct err *e)
{
    atomic_store(&s->down_until_ms, clock_mono_ms() + DOWN_MS);
    log_line(LOG_WARN, "limits are counted by this process alone for a while",
             F_CSTR("reason", e->msg));
}

/* ---- tries, one by one ----------------------------------------------------------------------- */

struct taking {
    const struct counter *c;
    const struct share_key *keys;
    size_t n;
    int64_t left_ms; /* of the one that was empty: until it is full */
    size_t refused;  /* which; n: none */
};

static void bind_key(struct db_stmt *s, const char *bucket, const unsigned char *id, size_t len)
{
    db_bind_text(s, 1, slice_from(bucket));
    db_bind_blob(s, 2, (struct slice){(const char *)id, len});
}

static int64_t token_ms(const struct counter *c)
{
    return c->rate.count ? c->rate.per_ms / c->rate.count : 0;
}

static bool read_left(struct taking *t, struct db_conn *c, const struct row_id *id, struct err *e)
{
    struct db_stmt *s = db_prepare(c, &left_of, e);
    if (!s)
        return false;
    bind_key(s, t->c->id, id->bytes, id->len);
    enum db_step step = db_step(s, e);
    if (step == DB_ROW)
        t->left_ms = db_i64(s, 0);
    db_reset(s);
    return step != DB_FAILED;
}

static bool run_take(void *arg, struct db_conn *c, struct err *e)
{
    struct taking *t = arg;
    t->refused = t->n;
    for (size_t i = 0; i < t->n; i++) {
        int64_t changed = 0;
        struct row_id id = row_id(t->keys[i].kind, t->keys[i].key);
        struct db_stmt *s = db_prepare(c, &take_one, e);
        if (!s)
            return false;
        bind_key(s, t->c->id, id.bytes, id.len);
        db_bind_i64(s, 3, token_ms(t->c));
        db_bind_i64(s, 4, t->c->rate.per_ms);
        if (!db_run(s, &changed, e))
            return false;
        if (!changed) {
            t->refused = i;
            return read_left(t, c, &id, e);
        }
    }
    return true;
}

/* What the database knows better is known here from now on, so that the next ones cost little. */
static void learn(const struct counter *c, enum limit_kind kind, struct slice key, int64_t left_ms,
                  struct limit_state *ret)
{
    int64_t now_ns = clock_mono_ns();
    limit_raise(c->of[kind], key, now_ns, now_ns + left_ms * 1000000);
    limit_look(c->of[kind], key, now_ns, ret);
}

bool share_take(struct limit_share *s, const struct counter *c, const struct share_key *keys,
                size_t n, struct limit_state *ret)
{
    struct taking t = {.c = c, .keys = keys, .n = n};
    struct err e;
    if (!s || !s->is_postgres || !token_ms(c) || !is_up(s))
        return true;
    struct db *db = db_slot_open(s->slot, &e);
    bool fine = db && db_write_now(db, run_take, &t, &e);
    if (db)
        db_slot_leave(s->slot);
    if (!fine)
        is_down(s, &e);
    if (!fine || t.refused == n)
        return true;
    learn(c, keys[t.refused].kind, keys[t.refused].key, t.left_ms, ret);
    if (!ret->retry_s)
        ret->retry_s = 1; /* a moment passed since */
    return false;
}

/* ---- all else, once a second ----------------------------------------------------------------- */

void share_told(struct limit_share *s, const struct counter *c, enum limit_kind kind,
                struct slice key)
{
    struct row_id id;
    if (!s || !s->ledger || !token_ms(c))
        return;
    id = row_id(kind, key);
    struct ledger_row row = {
        .key_len = id.len, .token_ms = token_ms(c), .per_ms = c->rate.per_ms, .taken = 1};
    memcpy(row.bucket, c->id, sizeof row.bucket);
    memcpy(row.key, id.bytes, id.len);
    if (id.len)
        ledger_add(s->ledger, &row);
}

struct telling {
    struct ledger_row *rows;
    size_t n;
    bool prunes;
};

static bool add_row(struct db_conn *c, const struct ledger_row *row, struct err *e)
{
    int64_t most = row->per_ms / row->token_ms;
    struct db_stmt *s = db_prepare(c, &add, e);
    if (!s)
        return false;
    bind_key(s, row->bucket, row->key, row->key_len);
    db_bind_i64(s, 3, row->token_ms * (row->taken < most ? row->taken : most));
    db_bind_i64(s, 4, row->per_ms);
    return db_run(s, NULL, e);
}

static bool run_tell(void *arg, struct db_conn *c, struct err *e)
{
    const struct telling *t = arg;
    struct db_stmt *s;
    for (size_t i = 0; i < t->n; i++) {
        if (!add_row(c, &t->rows[i], e))
            return false;
    }
    return !t->prunes || ((s = db_prepare(c, &forget, e)) && db_run(s, NULL, e));
}

static bool tell(struct limit_share *s, struct db *db, struct ledger_row *rows, size_t n,
                 struct err *e)
{
    int64_t now = clock_mono_ms();
    struct telling t = {.rows = rows, .n = n, .prunes = now - s->pruned_ms >= PRUNE_MS};
    if (!n && !t.prunes)
        return true;
    if (!db_write_now(db, run_tell, &t, e))
        return false;
    if (t.prunes)
        s->pruned_ms = now;
    return true;
}

static void learn_row(const struct app *app, struct slice bucket, struct slice id, int64_t left_ms)
{
    const struct counter *c = counter_find(app, bucket);
    struct limit_state ignored;
    for (int kind = 0; c && id.len && kind < LIMIT_KINDS; kind++) {
        if (id.ptr[0] == letters[kind] && c->of[kind])
            learn(c, (enum limit_kind)kind, slice_skip(id, 1), left_ms, &ignored);
    }
}

static bool hear(const struct app *app, struct limit_share *s, struct db *db, struct err *e)
{
    int64_t now = clock_mono_ms();
    struct db_conn *c = db_conn_take(db, e);
    struct db_stmt *stmt;
    enum db_step step = DB_FAILED;
    if (!c)
        return false;
    db_conn_once(c);
    stmt = db_prepare(c, &changed_since, e);
    if (stmt) {
        db_bind_i64(stmt, 1, s->read_ms ? now - s->read_ms + AGAIN_MS : INT64_C(1) << 40);
        while ((step = db_step(stmt, e)) == DB_ROW)
            learn_row(app, db_text(stmt, 0), db_blob(stmt, 1), db_i64(stmt, 2));
        db_reset(stmt);
    }
    db_conn_give(c);
    if (step == DB_END)
        s->read_ms = now;
    return step == DB_END;
}

/* An app that nobody asks for anything is left alone. */
static void share_tick(const struct app *app, struct limit_share *s)
{
    struct err e = {0};
    struct ledger_row *rows = mem_alloc(LEDGER_ROWS * sizeof *rows);
    size_t n = ledger_take(s->ledger, rows);
    struct db *db = n ? db_slot_open(s->slot, &e) : db_slot_enter(s->slot);
    if (db) {
        bool fine = tell(s, db, rows, n, &e) && hear(app, s, db, &e);
        db_slot_leave_quietly(s->slot);
        if (!fine)
            is_down(s, &e);
    } else if (n) {
        is_down(s, &e);
    }
    free(rows);
}

/* ---- who ran out ----------------------------------------------------------------------------- */

/* Merged there: one a minute of the same key. */
void limits_note(const struct app *app, const struct counter *c, struct slice account,
                 const struct ip *from)
{
    char text[IP_TEXT_LEN];
    struct ip room;
    limits_address_key(from, &room);
    ip_text(&room, text);
    atomic_fetch_add_explicit(&app->life->refusals[c->bucket], 1, memory_order_relaxed);
    life_note(app->life, app->manifest->slug.s,
              &(struct event){.kind = EVENT_LIMIT,
                              .who = account,
                              .object = slice_from(limit_bucket_name(c->bucket)),
                              .ip = slice_from(account.len ? "" : text),
                              .detail = SLICE("came too often and was refused")});
}

void limits_tick(const struct host *h)
{
    for (size_t i = 0; i < h->n_apps; i++) {
        struct limit_share *s = h->apps[i].share;
        if (s && s->ledger && is_up(s))
            share_tick(&h->apps[i], s);
    }
}
