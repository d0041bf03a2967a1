/* Jobs: listed, looked at, and what they logged. */
#include "api/jobs_impl.h"

#include "api/auth_impl.h"

static bool on_jobs(struct req *rq, struct err *e);
static bool on_job(struct req *rq, struct err *e);
static bool on_log(struct req *rq, struct err *e);

/* clang-format off */
const struct route job_routes[] = {
    {.path = "/jobs", .name = "jobs", .methods = ON_GET, .handle = on_jobs},
    {"/jobs/{id}", "job", ON_GET | ON_POST, on_job, .max_body = JOB_INPUT_MAX},
    {.path = "/jobs/{id}/events", .name = "job_events", .methods = ON_GET, .handle = job_events},
    {"/jobs/{id}/log", "job_log", ON_GET, on_log, .run = RUN_READ},
    {"/jobs/{id}/cancel", "job_cancel", ON_POST, job_cancel, .max_body = API_INLINE_MAX},
    {"/jobs/{id}/retry", "job_retry", ON_POST, job_retry, .max_body = API_INLINE_MAX},
    {"/jobs/{id}/charge", "job_charge", ON_POST, job_charge, .max_body = API_INLINE_MAX},
};
/* clang-format on */
const size_t n_job_routes = sizeof job_routes / sizeof *job_routes;

/* ---- being in the database ------------------------------------------------------------------- */

bool job_open(struct jobs *j, struct err *e)
{
    struct err why = {0};
    return jobs_open(j, &why) || api_tell_closed(&why, e);
}

static enum enter enter_on_lane(struct jobs_reading *r, struct err *e)
{
    if (!job_open(r->jobs, e))
        return REFUSED;
    r->conn = db_conn_take(jobs_db(r->jobs), e);
    if (r->conn)
        return ENTERED;
    jobs_leave(r->jobs);
    return REFUSED;
}

enum enter job_enter(struct req *rq, struct jobs_reading *r, struct err *e)
{
    const struct api *a = rq->site;
    struct subject *who = arena_new(rq->arena, struct subject);
    *r = (struct jobs_reading){
        .jobs = a->jobs, .arena = rq->arena, .who = who, .is_on_loop = !rq->is_on_lane};
    if (!a->jobs) {
        err_set(e, ERR_NOT_FOUND, "This app has no jobs.");
        return REFUSED;
    }
    if (!subject_of(rq, who, e))
        return REFUSED;
    if (rq->is_on_lane)
        return enter_on_lane(r, e);
    if (jobs_enter(r->jobs)) {
        r->conn = db_conn_of_loop(jobs_db(r->jobs), rq->loop);
        if (r->conn) {
            db_conn_budget(r->conn, API_LOOP_STEPS);
            return ENTERED;
        }
        jobs_leave(r->jobs);
    }
    req_move(rq, RUN_READ);
    return MOVED;
}

void job_leave(struct req *rq, struct jobs_reading *r)
{
    if (rq->is_on_lane)
        db_conn_give(r->conn);
    jobs_leave(r->jobs);
}

bool job_id(struct req *rq, struct slice *ret, struct err *e)
{
    *ret = req_param(rq, "id");
    return auth_is_id(*ret) || err_set(e, ERR_NOT_FOUND, "There is no such job.");
}

/* ---- answers --------------------------------------------------------------------------------- */

static bool reply_text(struct req *rq, int status, struct buf *text, struct err *e)
{
    if (text->full)
        return err_set(e, ERR_INTERNAL, "The answer is too large.");
    return api_reply_json(rq, status, buf_slice(text));
}

static struct buf *new_text(struct req *rq)
{
    struct buf *text = arena_new(rq->arena, struct buf);
    buf_init(text, JOB_TEXT_MAX);
    arena_defer(rq->arena, api_free_buf, text);
    return text;
}

bool job_reply(struct req *rq, int status, const struct job_row *row)
{
    struct buf *text = new_text(rq);
    job_json(text, row);
    return api_reply_json(rq, status, buf_slice(text));
}

/* ---- lists ----------------------------------------------------------------------------------- */

static const char *const states[] = {"queued", "running", "succeeded", "failed", "cancelled"};

static bool is_state(struct slice name)
{
    for (size_t i = 0; i < sizeof states / sizeof *states; i++) {
        if (slice_is(name, states[i]))
            return true;
    }
    return false;
}

static bool read_query(struct req *rq, struct jobs_query *q, struct err *e)
{
    static const char *const params[] = {"state", "type", "after", "limit", NULL};
    struct slice limit = {0};
    uint64_t n = 0;
    *q = (struct jobs_query){0};
    if (!api_params_known(rq, params, e) || !api_param(rq, "state", &q->state, e) ||
        !api_param(rq, "type", &q->type, e) || !api_param(rq, "after", &q->after, e) ||
        !api_param(rq, "limit", &limit, e))
        return false;
    if (q->state.ptr && !is_state(q->state))
        return err_set(e, ERR_MALFORMED,
                       "state is queued, running, succeeded, failed or cancelled.");
    if (limit.ptr && (!slice_to_u64(limit, &n) || n < 1 || n > JOB_LIMIT_MAX))
        return err_set(e, ERR_MALFORMED, "limit is a number from 1 to %d.", JOB_LIMIT_MAX);
    q->limit = (uint32_t)n;
    return true;
}

static bool on_jobs(struct req *rq, struct err *e)
{
    struct jobs_reading r;
    struct jobs_query q;
    if (!read_query(rq, &q, e))
        return false;
    enum enter entered = job_enter(rq, &r, e);
    if (entered != ENTERED)
        return entered == MOVED;
    struct buf *text = new_text(rq);
    bool fine = jobs_list(&r, &q, text, e);
    job_leave(rq, &r);
    return fine ? reply_text(rq, 200, text, e) : api_failed(rq, e);
}

/* ---- one ------------------------------------------------------------------------------------- */

static bool on_job(struct req *rq, struct err *e)
{
    static const char *const none[] = {NULL};
    struct jobs_reading r;
    struct job_row row;
    struct slice id;
    if (rq->method == METHOD_POST)
        return job_add(rq, e);
    if (!api_params_known(rq, none, e) || !job_id(rq, &id, e))
        return false;
    enum enter entered = job_enter(rq, &r, e);
    if (entered != ENTERED)
        return entered == MOVED;
    bool fine = jobs_get(&r, id, &row, e);
    job_leave(rq, &r);
    return fine ? job_reply(rq, 200, &row) : api_failed(rq, e);
}

/* ---- its log --------------------------------------------------------------------------------- */

#define NOTES 500 /* at once */

static bool read_log(const struct jobs_reading *r, struct slice id, struct buf *to, struct err *e)
{
    struct job_note *notes = arena_alloc(r->arena, NOTES * sizeof *notes);
    int64_t seq = 0;
    size_t n;
    do {
        bool has_gap;
        if (!job_notes_read(r->conn, r->arena, id, seq, NOTES, notes, &n, &has_gap, e))
            return false;
        if (has_gap)
            buf_add_str(to, "[what was logged before this is not kept any more]\n");
        for (size_t i = 0; i < n; i++) {
            seq = notes[i].seq;
            if (notes[i].kind == NOTE_LOG)
                buf_add(to, notes[i].text);
        }
    } while (n == NOTES);
    return true;
}

/* Whatever its program printed: never a page of this origin. */
static bool on_log(struct req *rq, struct err *e)
{
    static const char *const none[] = {NULL};
    struct jobs_reading r;
    struct job_row row;
    struct slice id;
    if (!api_params_known(rq, none, e) || !job_id(rq, &id, e))
        return false;
    if (job_enter(rq, &r, e) != ENTERED)
        return false;
    struct buf *text = new_text(rq);
    bool fine = jobs_get(&r, id, &row, e) && read_log(&r, id, text, e);
    job_leave(rq, &r);
    if (!fine)
        return false;
    reply_prebuilt(rq,
                   SLICE("Cache-Control: private, no-cache\r\nX-Content-Type-Options: nosniff\r\n"
                         "Content-Security-Policy: sandbox; default-src 'none'\r\n"));
    return reply_bytes(rq, 200, "text/plain; charset=utf-8", buf_slice(text));
}
