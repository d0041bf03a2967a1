/* Asking Postgres and reading the answers: pipelined, with an end to every wait. */
#include "db/postgres_impl.h"

#include <poll.h>
#include <stdio.h>

/* ---- losing it ----------------------------------------------------------------------------- */

static void note(struct pg_conn *c, enum pg_trouble trouble, const struct err *e)
{
    if (c->trouble == PG_FINE)
        c->first = *e;
    if (trouble > c->trouble)
        c->trouble = trouble;
}

void pg_lose(struct pg_conn *c, const char *why)
{
    struct err e;
    struct buf text;
    buf_init(&text, sizeof e.msg);
    pg_clean(why ? why : pq.PQerrorMessage(c->handle), slice_from(c->base.db->path), &text);
    log_line(LOG_WARN, "a database connection was lost", F_STR("reason", buf_slice(&text)));
    buf_done(&text);
    err_set(&e, ERR_UNAVAILABLE, "the connection to the database was lost; try again soon");
    note(c, PG_LOST, &e);
    pq.PQfinish(c->handle);
    c->handle = NULL;
    c->n_asked = c->n_dead = 0;
}

/* ---- waiting ------------------------------------------------------------------------------- */

static int wait_ms(int64_t until)
{
    int64_t left = until ? until - clock_mono_ms() : 60000;
    return left < 0 ? 0 : (int)left;
}

/* Until libpq has an answer to give (a lost connection is one too). False: nothing came in time. */
static bool wait_for_answer(struct pg_conn *c, int64_t until)
{
    PGconn *h = c->handle;
    for (;;) {
        int unsent = pq.PQflush(h);
        if (!pq.PQisBusy(h))
            return true;
        struct pollfd p = {.fd = pq.PQsocket(h), .events = POLLIN};
        if (unsent > 0)
            p.events |= POLLOUT;
        int rc = poll(&p, 1, wait_ms(until));
        if (rc == 0 && until && clock_mono_ms() >= until)
            return false;
        if (rc > 0 && (p.revents & ~POLLOUT) && !pq.PQconsumeInput(h))
            return true;
    }
}

/* NULL without `ret_lost`: the end of one answer. */
static PGresult *next_result(struct pg_conn *c, int64_t until, bool *ret_lost)
{
    *ret_lost = true;
    if (!wait_for_answer(c, until)) {
        pg_lose(c, "no answer in time");
        return NULL;
    }
    PGresult *r = pq.PQgetResult(c->handle);
    *ret_lost = pq.PQstatus(c->handle) == CONNECTION_BAD;
    if (!*ret_lost)
        return r;
    pq.PQclear(r);
    pg_lose(c, NULL);
    return NULL;
}

static int64_t end_of_wait(const struct pg_conn *c)
{
    return c->answer_ms ? clock_mono_ms() + c->answer_ms : 0;
}

/* ---- asking -------------------------------------------------------------------------------- */

bool pg_ask(struct pg_conn *c, enum pg_ask what, int sent)
{
    if (!sent) {
        pg_lose(c, NULL);
        return false;
    }
    must(c->n_asked < ASKED_MAX);
    c->asked[c->n_asked++] = what;
    c->is_fresh = false;
    return true;
}

bool pg_ask_word(struct pg_conn *c, enum pg_ask what, const char *name)
{
    return pg_ask(c, what, pq.PQsendQueryPrepared(c->handle, name, 0, NULL, NULL, NULL, 1));
}

bool pg_ask_begin(struct pg_conn *c)
{
    return pg_ask_word(c, ASK_BEGIN, c->base.is_loose ? PG_BEGIN_LOOSE : PG_BEGIN);
}

bool pg_ask_sync(struct pg_conn *c)
{
    return pg_ask(c, ASK_SYNC, pq.PQpipelineSync(c->handle));
}

/* ---- reading ------------------------------------------------------------------------------- */

/* One answer, without its end; false: lost. */
static bool take_answer(struct pg_conn *c, enum pg_ask what, PGresult *r, PGresult **ret_run)
{
    struct err e;
    ExecStatusType status = pq.PQresultStatus(r);
    bool is_failure = status == PGRES_FATAL_ERROR || status == PGRES_BAD_RESPONSE;
    enum pg_trouble trouble = PG_FINE;
    if (is_failure)
        trouble = pg_fail(r, c->base.kind == CONN_LANE ? c->base.db->read_ms : 0, &e);
    if (trouble != PG_FINE)
        note(c, trouble, &e);
    if (what == ASK_COMMIT && !is_failure && slice_is(slice_from(pq.PQcmdStatus(r)), "ROLLBACK")) {
        err_set(&e, ERR_UNAVAILABLE, "the transaction was undone; try again");
        note(c, PG_FAILED, &e);
    }
    if (what == ASK_PREPARE && status == PGRES_COMMAND_OK)
        c->lacks_prepared = false;
    if (what == ASK_RUN && ret_run && !is_failure && status != PGRES_PIPELINE_ABORTED)
        *ret_run = r;
    else
        pq.PQclear(r);
    if (trouble == PG_LOST)
        pg_lose(c, e.msg);
    return trouble != PG_LOST;
}

static bool read_answer(struct pg_conn *c, enum pg_ask what, int64_t until, PGresult **ret_run)
{
    bool is_lost;
    PGresult *r = next_result(c, until, &is_lost);
    if (is_lost)
        return false;
    if (!r) {
        pg_lose(c, "an answer was missing");
        return false;
    }
    if (what == ASK_SYNC) {
        bool is_sync = pq.PQresultStatus(r) == PGRES_PIPELINE_SYNC;
        pq.PQclear(r);
        if (!is_sync)
            pg_lose(c, "an answer of another kind");
        return is_sync;
    }
    if (!take_answer(c, what, r, ret_run))
        return false;
    r = next_result(c, until, &is_lost);
    pq.PQclear(r);
    if (r)
        pg_lose(c, "two answers to one question");
    return !is_lost && !r;
}

bool pg_collect(struct pg_conn *c, PGresult **ret_run)
{
    int64_t until = end_of_wait(c);
    unsigned n = c->n_asked;
    for (unsigned i = 0; i < n; i++) {
        if (read_answer(c, c->asked[i], until, ret_run))
            continue;
        if (ret_run) {
            pq.PQclear(*ret_run);
            *ret_run = NULL;
        }
        return false;
    }
    c->n_asked = 0;
    return true;
}

PGresult *pg_say(struct pg_conn *c, const char *many)
{
    int64_t until = end_of_wait(c);
    PGresult *kept = NULL;
    if (!pq.PQsendQuery(c->handle, many)) {
        pg_lose(c, NULL);
        return NULL;
    }
    for (;;) {
        bool is_lost;
        PGresult *r = next_result(c, until, &is_lost);
        if (is_lost) {
            pq.PQclear(kept);
            return NULL;
        }
        if (!r)
            return kept;
        if (kept && pq.PQresultStatus(kept) == PGRES_FATAL_ERROR) {
            pq.PQclear(r);
            continue;
        }
        pq.PQclear(kept);
        kept = r;
    }
}

/* The server's goodbye, or the end of the stream, may wait to be read. */
bool pg_is_alive(struct pg_conn *c)
{
    for (int i = 0; c->handle && i < 8; i++) {
        struct pollfd p = {.fd = pq.PQsocket(c->handle), .events = POLLIN};
        if (poll(&p, 1, 0) <= 0)
            return true;
        if (!pq.PQconsumeInput(c->handle) || pq.PQstatus(c->handle) == CONNECTION_BAD)
            pg_lose(c, NULL);
    }
    return c->handle != NULL;
}
