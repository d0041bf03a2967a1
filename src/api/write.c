/* Changes on their way: planned where the request is, applied by the writer, answered when they are
 * on the disk. With an Idempotency-Key the answer is on the disk, too:
 *
 *   run_write     nobody had this key: applies, keeps the answer in the same transaction
 *                 somebody had: that answer again, and nothing is changed
 *   run_failure   a refusal that another try would get, too, is kept in a write of its own: it
 *                 changed nothing, so there is nothing it could be apart from
 *
 * What cannot even be read, a body that is no JSON or a batch with an unknown call, is refused
 * before anybody looks at who asks, and not kept: a stranger could fill the database with it. */
#include "api/api_impl.h"

/* ---- answers that are kept ------------------------------------------------------------------- */

/* What a client may get otherwise when it tries again: who it is, how often, what works. */
static bool is_kept(const struct err *e)
{
    int status = err_status(e->code);
    return status < 500 && status != 401 && status != 403 && status != 429;
}

static enum err_code code_of_slug(struct slice slug)
{
    for (int code = 0; code < ERR_COUNT; code++) {
        if (slice_is(slug, err_slug((enum err_code)code)))
            return (enum err_code)code;
    }
    return ERR_INTERNAL;
}

/* The header lines of an answer, as they were sent. */
static struct slice head_of(struct req *rq)
{
    return arena_printf(rq->arena, "%.*s%.*s", SLICE_ARGS(buf_slice(&rq->res.head)),
                        SLICE_ARGS(rq->res.prebuilt));
}

static void reply_known(struct api_write *aw)
{
    struct req *rq = aw->rq;
    reply_forget(rq); /* of a run that was undone, before somebody else was quicker */
    reply_header(rq, "Idempotency-Replayed", SLICE("true"));
    reply_prebuilt(rq, aw->known.head);
    if (aw->known.status == 204)
        reply_empty(rq, 204);
    else
        reply_bytes(rq, aw->known.status, NULL, aw->known.body);
}

/* The end of a request that was answered before. */
static void done_known(struct api_write *aw)
{
    struct err e;
    if (!aw->known.error.len) {
        reply_known(aw);
        req_done(aw->rq, NULL);
        return;
    }
    err_set(&e, code_of_slug(aw->known.error), "%.*s", SLICE_ARGS(aw->known.head));
    aw->rq->details = aw->known.body;
    req_done(aw->rq, &e);
}

/* ---- on the writer --------------------------------------------------------------------------- */

static bool begin_once(struct api_write *aw, struct db_conn *c, struct err *e)
{
    aw->is_known = false;
    if (!aw->once)
        return true;
    enum once_state state = once_begin(aw->once, c, aw->rq->arena, &aw->known, e);
    aw->is_known = state == ONCE_KNOWN;
    return state != ONCE_FAILED;
}

static bool keep_answer(struct api_write *aw, struct db_conn *c, struct err *e)
{
    struct req *rq = aw->rq;
    if (!aw->once)
        return true;
    reply_forget(rq); /* of an earlier run */
    aw->reply(aw);
    const struct once_answer answer = {
        .status = rq->res.status, .head = head_of(rq), .body = rq->res.bytes};
    return once_keep(aw->once, c, &answer, e);
}

static bool run_write(struct db_write *write, struct db_conn *c, struct err *e)
{
    struct api_write *aw = container_of(write, struct api_write, write);
    if (!begin_once(aw, c, e))
        return false;
    return aw->is_known || (aw->kind->apply(aw, c, e) && keep_answer(aw, c, e));
}

static bool finish_write(struct db_write *write, struct db_conn *c, struct err *e)
{
    struct api_write *aw = container_of(write, struct api_write, write);
    return aw->is_known || aw->kind->finish(aw, c, e);
}

static bool run_failure(struct db_write *write, struct db_conn *c, struct err *e)
{
    struct api_write *aw = container_of(write, struct api_write, write);
    if (!begin_once(aw, c, e))
        return false;
    const struct once_answer answer = {.status = err_status(aw->failure.code),
                                       .error = slice_from(err_slug(aw->failure.code)),
                                       .head = slice_from(aw->failure.msg),
                                       .body = aw->rq->details};
    return aw->is_known || once_keep(aw->once, c, &answer, e);
}

/* ---- back on the loop ------------------------------------------------------------------------ */

static void tell(struct api_write *aw, const struct err *e)
{
    if (aw->kind->tell)
        aw->kind->tell(aw, e);
}

static void on_kept(struct db_write *write, const struct err *e)
{
    struct api_write *aw = container_of(write, struct api_write, write);
    aw->kind->leave(aw);
    if (!e && aw->is_known)
        done_known(aw);
    else /* what could not be kept is told all the same: nothing was changed */
        req_done(aw->rq, e && e->code == ERR_INVALID ? e : &aw->failure);
}

/* Hands a refusal to the writer, to be kept; false: it takes no more. */
static bool keep_failure(struct api_write *aw, const struct err *e)
{
    aw->failure = *e;
    aw->write = (struct db_write){.run = run_failure, .done = on_kept, .home = aw->rq->loop};
    return db_write(aw->kind->db(aw), &aw->write);
}

static void on_written(struct db_write *write, const struct err *e)
{
    struct api_write *aw = container_of(write, struct api_write, write);
    struct req *rq = aw->rq;
    struct err failure;
    if (e) {
        failure = *e; /* the write it is in is used again */
        tell(aw, e);
        if (aw->once && is_kept(e) && keep_failure(aw, &failure))
            return;
    }
    aw->kind->leave(aw);
    if (!e && aw->is_known) {
        done_known(aw);
        return;
    }
    if (!e && !aw->once)
        aw->reply(aw);
    req_done(rq, e ? &failure : NULL);
}

/* ---- from a handler -------------------------------------------------------------------------- */

/* A job has keys of its own: whoever it works for may use the same words. */
static struct slice subject_of_key(const struct api_write *aw)
{
    const struct identity *who = aw->who.who;
    return who->is_of_job ? arena_printf(aw->rq->arena, "job %.*s", SLICE_ARGS(who->session))
                          : subject_id(&aw->who);
}

static bool read_key(struct api_write *aw, struct err *e)
{
    struct req *rq = aw->rq;
    struct slice key = h1_get(rq->h1, HEADER_IDEMPOTENCY_KEY);
    if (!key.ptr || rq->method != METHOD_POST)
        return true;
    if (!once_key_is_good(key))
        return err_set(e, ERR_MALFORMED, "An Idempotency-Key has 1 to %d visible characters.",
                       ONCE_KEY_MAX);
    char address[IP_TEXT_LEN];
    struct slice who = subject_of_key(aw);
    if (!who.len) {
        ip_text(&rq->client, address);
        who = slice_from(address);
    }
    aw->once = arena_new(rq->arena, struct once);
    once_init(aw->once, who, SLICE("POST"),
              arena_printf(rq->arena, "%.*s?%.*s", SLICE_ARGS(rq->path), SLICE_ARGS(rq->query)),
              key, rq->body);
    return true;
}

bool api_move_write(struct req *rq, struct err *e)
{
    return req_identity(rq, e) && req_move(rq, RUN_WRITE); /* who asks is known on the loop only */
}

bool api_write_init(struct api_write *aw, struct req *rq, const struct api_write_kind *kind,
                    struct err *e)
{
    req_keep(rq);
    aw->rq = rq;
    aw->kind = kind;
    aw->write = (struct db_write){.run = run_write,
                                  .finish = kind->finish ? finish_write : NULL,
                                  .done = on_written,
                                  .home = rq->loop};
    return subject_of(rq, &aw->who, e) && read_key(aw, e);
}

static bool enter(struct api_write *aw, bool *ret_moved, struct err *e)
{
    struct req *rq = aw->rq;
    *ret_moved = false;
    if (aw->kind->enter(aw))
        return true;
    if (rq->is_on_lane)
        return aw->kind->open(aw, e);
    *ret_moved = true;
    return req_move(rq, RUN_WRITE);
}

bool api_write_go(struct api_write *aw, struct err *e)
{
    struct req *rq = aw->rq;
    bool is_moved;
    if (!enter(aw, &is_moved, e) || is_moved)
        return is_moved;
    bool is_planned = !aw->kind->plan || aw->kind->plan(aw, e);
    if (!is_planned)
        tell(aw, e);
    if (is_planned || (aw->once && is_kept(e))) {
        req_wait(rq);
        if (is_planned ? db_write(aw->kind->db(aw), &aw->write) : keep_failure(aw, e))
            return true;
        err_set(e, ERR_UNAVAILABLE, "Too many changes are waiting; try again in a moment.");
    }
    aw->kind->leave(aw);
    return false;
}

/* ---- documents ------------------------------------------------------------------------------- */

static bool enter_docs(struct api_write *aw)
{
    return docs_enter(aw->writing.docs);
}

static bool open_docs(struct api_write *aw, struct err *e)
{
    return api_open(aw->writing.docs, e);
}

static void leave_docs(struct api_write *aw)
{
    docs_leave(aw->writing.docs);
}

static struct db *db_of_docs(const struct api_write *aw)
{
    return docs_db(aw->writing.docs);
}

static bool plan_docs(struct api_write *aw, struct err *e)
{
    return docs_writing_plan(&aw->writing, e);
}

static bool apply_docs(struct api_write *aw, struct db_conn *c, struct err *e)
{
    return docs_writing_apply(&aw->writing, c, e);
}

static bool finish_docs(struct api_write *aw, struct db_conn *c, struct err *e)
{
    return docs_writing_finish(&aw->writing, c, e);
}

/* What is wrong with one of several is told with its place in the batch. */
static void tell_docs(struct api_write *aw, const struct err *e)
{
    const struct docs_writing *w = &aw->writing;
    if (w->failed >= w->n)
        return;
    struct slice details = w->changes[w->failed].details;
    aw->rq->details = aw->is_batch ? api_batch_details(w->arena, w->failed, details, e) : details;
}

static const struct api_write_kind of_docs = {
    .enter = enter_docs,
    .open = open_docs,
    .leave = leave_docs,
    .db = db_of_docs,
    .plan = plan_docs,
    .apply = apply_docs,
    .finish = finish_docs,
    .tell = tell_docs,
};

struct api_write *api_write_new(struct req *rq, size_t n_changes, struct err *e)
{
    const struct api *a = rq->site;
    struct api_write *aw = arena_new(rq->arena, struct api_write);
    aw->writing = (struct docs_writing){.docs = a->docs, .arena = rq->arena, .who = &aw->who};
    aw->writing.n = n_changes;
    aw->writing.changes = arena_zalloc(rq->arena, n_changes * sizeof *aw->writing.changes);
    return api_write_init(aw, rq, &of_docs, e) ? aw : NULL;
}
