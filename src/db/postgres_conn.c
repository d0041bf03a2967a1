/* Postgres connections: opening with the right settings, transactions. */
#include "db/postgres_impl.h"

#include <stdlib.h>

#define GRACE_MS  1000  /* the server ends a statement itself; later than this it does not live */
#define WRITE_MS  10000 /* a statement of a writer */
#define ASLEEP_MS 30000 /* a transaction of ours that asks nothing: we are gone; or as read_ms */

/* Defaults stand before the address, which may say otherwise. */
#define PARAM_MAP(X)                                                                        \
    X("connect_timeout", "2")                                                               \
    X("tcp_user_timeout", "10000")                                                          \
    X("keepalives_idle", "10")                                                              \
    X("keepalives_interval", "5")                                                           \
    X("keepalives_count", "3")                                                              \
    X("gssencmode", "disable")                                                              \
    X("target_session_attrs", "read-write") /* of several hosts: the one that is written */ \
    X("fallback_application_name", "dais")
#define PARAM_COUNT 8

/* A commit that does not wait for the disk is never what we promise; more than "on" may stay. */
static const char settings[] = "SET client_min_messages = warning; SET timezone = 'UTC';"
                               " SET standard_conforming_strings = on;"
                               " SELECT set_config('synchronous_commit', 'on', false)"
                               " WHERE current_setting('synchronous_commit') IN ('off', 'local');"
                               " SET search_path = ";

/* ---- opening ------------------------------------------------------------------------------- */

static void on_notice(void *arg, const char *text)
{
    (void)arg;
    (void)text; /* libpq would print it */
}

/* Whoever opens it gets the reason. Later on requests get it, whose clients are told no addresses:
 * then the log does, once a second. */
static void tell_unreached(struct db *db, struct slice why, struct err *e)
{
    static _Atomic int64_t told_s;
    int64_t now_s = clock_mono_ms() / 1000;
    if (!db->has_opened) {
        err_set(e, ERR_UNAVAILABLE, "the database is not reached: %.*s", SLICE_ARGS(why));
        return;
    }
    if (atomic_exchange(&told_s, now_s) != now_s)
        log_line(LOG_WARN, "the database is not reached", F_STR("reason", why));
    err_set(e, ERR_UNAVAILABLE, "the database is not reached; try again soon");
}

bool pg_dial(struct pg_conn *c, struct buf *why)
{
    const char *url = c->base.db->path;
    const char *names[PARAM_COUNT + 3] = {
#define X(name, value) name,
        PARAM_MAP(X)
#undef X
            "dbname",
        "client_encoding"};
    const char *values[PARAM_COUNT + 3] = {
#define X(name, value) value,
        PARAM_MAP(X)
#undef X
            url,
        "UTF8"};
    c->handle = pq.PQconnectdbParams(names, values, 1);
    if (c->handle && pq.PQstatus(c->handle) == CONNECTION_OK) {
        pq.PQsetNoticeProcessor(c->handle, on_notice, NULL);
        if (pq.PQsetnonblocking(c->handle, 1) == 0)
            return true;
    }
    pg_clean(c->handle ? pq.PQerrorMessage(c->handle) : "no memory", slice_from(url), why);
    if (!why->len)
        buf_add_str(why, "it closed the connection");
    return false;
}

static bool open_handle(struct pg_conn *c, struct err *e)
{
    struct buf why;
    buf_init(&why, 180);
    bool fine = pg_dial(c, &why);
    if (!fine)
        tell_unreached(c->base.db, buf_slice(&why), e);
    buf_done(&why);
    return fine;
}

static bool check_server(const struct pg_conn *c, struct err *e)
{
    struct slice encoding = slice_from(pq.PQparameterStatus(c->handle, "server_encoding"));
    if (pq.PQserverVersion(c->handle) < 130000)
        return err_set(e, ERR_USAGE, "the database is Postgres %d; 13 or newer is needed",
                       pq.PQserverVersion(c->handle) / 10000);
    if (!slice_is(encoding, "UTF8"))
        return err_set(e, ERR_USAGE,
                       "the database's encoding is %.*s: make one with ENCODING 'UTF8'",
                       SLICE_ARGS(encoding));
    return true;
}

/* Outside the pipeline. */
static bool say(struct pg_conn *c, const char *many, struct err *e)
{
    PGresult *r = pg_say(c, many);
    if (!r) {
        if (e)
            *e = c->first;
        return false;
    }
    ExecStatusType status = pq.PQresultStatus(r);
    bool fine =
        status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK || status == PGRES_EMPTY_QUERY;
    enum pg_trouble trouble = fine ? PG_FINE : pg_fail(r, 0, e);
    pq.PQclear(r);
    if (trouble == PG_LOST)
        pg_lose(c, "it ended the connection");
    return fine;
}

static void add_limits(const struct pg_conn *c, struct buf *to)
{
    bool is_lane = c->base.kind == CONN_LANE;
    unsigned read_ms = c->base.db->read_ms;
    buf_printf(to, "; SET idle_in_transaction_session_timeout = %u",
               is_lane && read_ms > ASLEEP_MS ? read_ms : ASLEEP_MS);
    if (c->answer_ms)
        buf_printf(to, "; SET statement_timeout = %u; SET lock_timeout = %u",
                   is_lane ? read_ms : WRITE_MS, c->base.db->busy_ms);
    else /* another one migrates */
        buf_add_str(to, "; SET statement_timeout = 0; SET lock_timeout = 60000");
    /* A writer sees what it would see if there were no other. */
    buf_printf(to,
               "; SET default_transaction_isolation = '%s'; SET default_transaction_read_only = %s",
               is_lane ? "repeatable read" : "serializable", is_lane ? "on" : "off");
}

static bool set_up(struct pg_conn *c, struct err *e)
{
    struct buf text;
    buf_init(&text, 2000);
    buf_add_str(&text, settings);
    pg_add_ident(&text, slice_from(c->base.db->schema));
    add_limits(c, &text);
    bool fine = say(c, text.data, e);
    buf_done(&text);
    return fine;
}

/* Answered with the first statement. */
static bool ask_words(struct pg_conn *c)
{
    static const char *const words[] = {PG_BEGIN, PG_BEGIN_LOOSE, "COMMIT", "ROLLBACK"};
    if (!pq.PQenterPipelineMode(c->handle)) {
        pg_lose(c, NULL);
        return false;
    }
    for (int i = 0; i < 4; i++) {
        if (!pg_ask(c, ASK_PLAIN, pq.PQsendPrepare(c->handle, words[i], words[i], 0, NULL)))
            return false;
    }
    return pg_ask_sync(c);
}

static bool connect_now(struct pg_conn *c, struct err *e)
{
    c->n_asked = c->n_dead = 0;
    c->trouble = PG_FINE;
    c->life++;
    c->owes_begin = c->owes_rollback = false;
    bool fine = open_handle(c, e) && check_server(c, e) && set_up(c, e);
    if (fine && !ask_words(c)) {
        fine = false;
        if (e)
            *e = c->first;
    }
    if (!fine && c->handle) {
        pq.PQfinish(c->handle);
        c->handle = NULL;
    }
    c->is_fresh = fine;
    return fine;
}

bool pg_connect(struct pg_conn *c, struct err *e)
{
    struct pg_db *own = c->base.db->own;
    bool is_turn;
    struct err failure;
    if (!pg_gate_enter(&own->gate, c->base.kind == CONN_LANE, &is_turn, e))
        return false;
    bool fine = connect_now(c, &failure);
    pg_gate_leave(&own->gate, is_turn, fine ? NULL : &failure);
    if (!fine && e)
        *e = failure;
    return fine;
}

struct pg_conn *pg_conn_new(struct db *db, enum conn_kind kind)
{
    struct pg_conn *c = mem_new(struct pg_conn);
    db_conn_init(&c->base, db, kind);
    c->answer_ms = (kind == CONN_LANE ? db->read_ms : WRITE_MS) + GRACE_MS;
    return c;
}

struct db_conn *pg_conn_open(struct db *db, enum conn_kind kind, struct err *e)
{
    struct pg_conn *c = pg_conn_new(db, kind);
    if (pg_connect(c, e))
        return &c->base;
    db_conn_close(&c->base);
    return NULL;
}

void pg_conn_close(struct db_conn *base)
{
    struct pg_conn *c = pg_of(base);
    if (c->handle)
        pq.PQfinish(c->handle);
    free(c);
}

bool pg_set_limits(struct pg_conn *c, struct err *e)
{
    c->answer_ms = WRITE_MS + GRACE_MS;
    struct buf text;
    buf_init(&text, 1000);
    buf_add_str(&text, "SELECT pg_advisory_unlock_all()");
    add_limits(c, &text);
    bool fine = pg_exec(&c->base, text.data, e);
    buf_done(&text);
    return fine;
}

/* ---- transactions -------------------------------------------------------------------------- */

/* Nothing is sent yet: BEGIN goes with the first statement. */
bool pg_begin(struct db_conn *base, struct err *e)
{
    struct pg_conn *c = pg_of(base);
    if (!pg_is_alive(c) && !pg_connect(c, e))
        return false;
    c->owes_begin = true;
    c->owes_rollback = c->has_changed = false;
    c->trouble = PG_FINE;
    base->in_transaction = true;
    return true;
}

/* Not waited for: the next that is asked reads the answer. */
void pg_rollback(struct db_conn *base)
{
    struct pg_conn *c = pg_of(base);
    bool is_open = c->handle && (!c->owes_begin || c->owes_rollback);
    bool is_fine = base->kind == CONN_LANE && c->trouble == PG_FINE;
    base->in_transaction = c->owes_begin = c->owes_rollback = false;
    if (is_open && pg_ask_word(c, ASK_PLAIN, is_fine ? "COMMIT" : "ROLLBACK"))
        pg_ask_sync(c);
}

enum pg_trouble pg_end(struct pg_conn *c, struct err *e)
{
    c->base.in_transaction = false;
    bool is_empty = c->owes_begin; /* nothing was asked: is it there at all? */
    c->owes_begin = false;
    bool fine = c->handle && (is_empty || pg_ask_word(c, ASK_COMMIT, "COMMIT")) && pg_ask_sync(c) &&
                pg_collect(c, NULL);
    if (fine && c->trouble == PG_FINE)
        return PG_FINE;
    if (c->trouble == PG_LOST && !is_empty)
        err_set(e, ERR_UNAVAILABLE,
                "the connection to the database was lost in a commit: it may have been done or"
                " not; look before you try again");
    else if (e)
        *e = c->first;
    return c->trouble;
}

bool pg_commit(struct db_conn *base, struct err *e)
{
    return pg_end(pg_of(base), e) == PG_FINE;
}

/* Leaves the pipeline: only one statement at a time fits into it. */
bool pg_exec(struct db_conn *base, const char *many, struct err *e)
{
    struct pg_conn *c = pg_of(base);
    if (base->in_transaction && c->owes_begin) {
        c->owes_begin = false;
        if (!pg_ask_begin(c))
            goto lost;
    }
    if (!c->handle || !pg_ask_sync(c) || !pg_collect(c, NULL))
        goto lost;
    if (c->trouble == PG_FINE) {
        must(pq.PQexitPipelineMode(c->handle));
        bool fine = say(c, many, e);
        if (c->handle && !pq.PQenterPipelineMode(c->handle))
            pg_lose(c, NULL);
        return fine;
    }
lost:
    if (e)
        *e = c->first;
    return false;
}

void pg_budget(struct db_conn *base, uint64_t steps)
{
    (void)base;
    (void)steps; /* no loop waits for it; time is the limit */
}
