/* What happens to a job, as it happens: a stream of server-sent events.
 *
 *   state     {the job}: at first, whenever its state changes, and as the last one of all
 *   progress  {"progress","message","at"}
 *   log       {"text","at"}: a piece of what it logged
 *   gap       {"after"}: what was noted behind that number is not kept any more
 *
 * The id of an event is the number of the last note before it, so whoever comes back with it
 * (Last-Event-ID, or ?after=) misses nothing and hears nothing twice. The last event's id ends in
 * ".end": whoever comes back with that is answered 204, and a browser then stops asking. */
#include "api/jobs_impl.h"

#include <stdlib.h>
#include <string.h>

#define RETRY_MS 2000
#define END      ".end"

struct job_stream {
    struct source source;
    struct watcher watcher;
    struct session_watch session;
    struct timer timer;
    struct req *rq; /* until the source is closed */
    struct jobs *jobs;
    struct job_hub *hub;
    int64_t said_ms;
    bool is_joined, is_silent;
    char id[DOC_ID_MAX + 1];
};

/* ---- the source ------------------------------------------------------------------------------ */

static void on_second(struct timer *t, struct loop *l)
{
    struct job_stream *s = container_of(t, struct job_stream, timer);
    timer_set(t, l, WATCH_LOOK_MS);
    if (loop_now_ms(l) - s->said_ms >= WATCH_SILENCE_MS) {
        s->is_silent = true;
        source_wake(&s->source);
    }
    job_hub_tick(&s->watcher);
}

static void on_session_ended(struct session_watch *w)
{
    struct job_stream *s = container_of(w, struct job_stream, session);
    job_hub_end(&s->watcher);
}

static void on_wake(struct watcher *w)
{
    source_wake(&container_of(w, struct job_stream, watcher)->source);
}

static void on_freed(struct watcher *w)
{
    free(container_of(w, struct job_stream, watcher));
}

/* Here and not in the handler, which may have run elsewhere. */
static void join(struct job_stream *s)
{
    struct loop *l = s->rq->loop;
    s->is_joined = true;
    s->said_ms = loop_now_ms(l);
    s->watcher.loop = l;
    s->timer.fn = on_second;
    timer_set(&s->timer, l, WATCH_LOOK_MS);
    job_hub_join(s->hub, &s->watcher, slice_from(s->id), s->rq->service);
    s->session.ended = on_session_ended;
    session_watch(s->rq, &s->session);
}

static enum io on_pull(struct source *source, struct buf *to, size_t room)
{
    struct job_stream *s = container_of(source, struct job_stream, source);
    if (!s->is_joined) {
        join(s);
        sse_add_retry(to, RETRY_MS);
        return IO_OK;
    }
    enum io io = job_hub_take(&s->watcher, to, room);
    if (io == IO_MORE && s->is_silent) {
        sse_add_heartbeat(to);
        io = IO_OK;
    }
    if (io == IO_OK)
        s->said_ms = loop_now_ms(s->watcher.loop);
    s->is_silent = false;
    return io;
}

static void on_close(struct source *source)
{
    struct job_stream *s = container_of(source, struct job_stream, source);
    struct jobs *jobs = s->jobs;
    if (!s->is_joined) {
        free(s);
    } else {
        timer_off(&s->timer);
        session_unwatch(s->rq, &s->session);
        job_hub_leave(&s->watcher); /* `s` may be gone */
    }
    jobs_leave(jobs);
}

static void on_leave(struct source *source)
{
    struct job_stream *s = container_of(source, struct job_stream, source);
    if (s->is_joined)
        job_hub_end(&s->watcher);
}

/* ---- the call -------------------------------------------------------------------------------- */

static bool read_start(struct req *rq, int64_t *ret_seq, bool *ret_had_end, struct err *e)
{
    static const char *const params[] = {"after", NULL};
    struct slice text = {0}, last = slice_trim(req_header(rq, "Last-Event-ID"));
    uint64_t seq = 0;
    if (!api_params_known(rq, params, e) || !api_param(rq, "after", &text, e))
        return false;
    if (last.len)
        text = last; /* of who comes back; the address is the one it began with */
    *ret_had_end = slice_ends(text, SLICE(END));
    if (*ret_had_end)
        text = slice_first(text, text.len - (sizeof END - 1));
    if (text.len && (!slice_to_u64(text, &seq) || seq > INT64_MAX / 2))
        return err_set(e, ERR_MALFORMED, "after is the id of an event of this job.");
    *ret_seq = (int64_t)seq;
    return true;
}

static bool reply_stream(struct req *rq, const struct jobs_reading *r, struct slice id, int64_t seq)
{
    const struct api *a = rq->site;
    struct job_stream *s = mem_new(struct job_stream);
    s->source =
        (struct source){.pull = on_pull, .close = on_close, .leave = on_leave, .is_endless = true};
    s->watcher = (struct watcher){.wake = on_wake, .freed = on_freed, .who = r->who, .seq = seq};
    s->rq = rq;
    s->jobs = a->jobs;
    s->hub = a->hub;
    must(id.len < sizeof s->id);
    memcpy(s->id, id.ptr, id.len);
    reply_prebuilt(rq, SLICE("Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n"
                             "X-Accel-Buffering: no\r\n"));
    return reply_source(rq, 200, "text/event-stream", &s->source);
}

bool job_events(struct req *rq, struct err *e)
{
    struct jobs_reading r;
    struct job_row row;
    struct slice id;
    bool had_end = false;
    int64_t seq = 0;
    if (!job_id(rq, &id, e) || !read_start(rq, &seq, &had_end, e))
        return false;
    enum enter entered = job_enter(rq, &r, e);
    if (entered != ENTERED)
        return entered == MOVED;
    bool fine = jobs_get(&r, id, &row, e);
    bool is_streamed = fine && !(had_end && job_state_is_over(row.state));
    if (is_streamed && !jobs_enter(r.jobs)) /* once more, for as long as it is watched */
        fine = err_set(e, ERR_UNAVAILABLE, "The server is stopping.");
    job_leave(rq, &r);
    if (!fine)
        return api_failed(rq, e);
    return is_streamed ? reply_stream(rq, &r, id, seq) : reply_empty(rq, 204);
}
