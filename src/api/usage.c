/* What the caller uses of files and jobs, and how much they may. */
#include "api/files_impl.h"
#include "api/jobs_impl.h"

#include "base/clock.h"

static bool on_usage(struct req *rq, struct err *e);

const struct route usage_routes[] = {
    {.path = "/usage", .name = "usage", .methods = ON_GET, .handle = on_usage},
};
const size_t n_usage_routes = sizeof usage_routes / sizeof *usage_routes;

#define USAGE_MAX (1u << 20)

static enum enter add_files(struct req *rq, struct buf *to, struct err *e)
{
    const struct api *a = rq->site;
    struct file_call call = {.files = a->files, .who = arena_new(rq->arena, struct subject)};
    struct files_reading r;
    if (!subject_of(rq, call.who, e))
        return REFUSED;
    enum enter entered = file_enter(rq, &call, &r, e);
    if (entered != ENTERED)
        return entered;
    bool fine = files_usage(&r, to, e);
    file_leave(rq, &r);
    return fine ? ENTERED : file_failed(rq, &call, e) ? MOVED : REFUSED;
}

static enum enter add_jobs(struct req *rq, struct buf *to, struct err *e)
{
    struct jobs_reading r;
    enum enter entered = job_enter(rq, &r, e);
    if (entered != ENTERED)
        return entered;
    if (to->len > 1)
        buf_add_char(to, ',');
    bool fine = jobs_usage(&r, clock_wall_ms(), to, e);
    job_leave(rq, &r);
    return fine ? ENTERED : api_failed(rq, e) ? MOVED : REFUSED;
}

static bool on_usage(struct req *rq, struct err *e)
{
    static const char *const none[] = {NULL};
    const struct api *a = rq->site;
    const struct identity *who;
    if (!a->files && !a->jobs)
        return err_set(e, ERR_NOT_FOUND, "This app keeps no files, and has no jobs.");
    if (!api_params_known(rq, none, e) || !(who = req_identity(rq, e)))
        return false;
    if (!who->is_signed_in)
        return err_set(e, ERR_UNAUTHENTICATED, "Nobody is signed in.");
    struct buf *out = arena_new(rq->arena, struct buf);
    buf_init(out, USAGE_MAX);
    arena_defer(rq->arena, api_free_buf, out);
    buf_add_char(out, '{');
    enum enter got = a->files ? add_files(rq, out, e) : ENTERED;
    if (got == ENTERED && a->jobs)
        got = add_jobs(rq, out, e);
    buf_add_char(out, '}');
    if (got != ENTERED)
        return got == MOVED;
    return api_reply_json(rq, 200, buf_slice(out));
}
