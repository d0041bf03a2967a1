/* Changes on their way: planned here, applied by the writer, answered when they are on the disk. */
#include "api/api_impl.h"

static bool run_write(struct db_write *write, struct db_conn *c, struct err *e)
{
    struct api_write *aw = container_of(write, struct api_write, write);
    return docs_writing_apply(&aw->writing, c, e);
}

static bool finish_write(struct db_write *write, struct db_conn *c, struct err *e)
{
    struct api_write *aw = container_of(write, struct api_write, write);
    return docs_writing_finish(&aw->writing, c, e);
}

/* What is wrong with one of several is told with its place in the batch. */
static void tell_details(struct api_write *aw)
{
    const struct docs_writing *w = &aw->writing;
    if (w->failed < w->n)
        aw->rq->details = w->changes[w->failed].details;
}

static void on_written(struct db_write *write, const struct err *e)
{
    struct api_write *aw = container_of(write, struct api_write, write);
    struct req *rq = aw->rq;
    docs_leave(aw->writing.docs);
    if (e)
        tell_details(aw);
    else
        aw->reply(aw);
    req_done(rq, e);
}

struct api_write *api_write_new(struct req *rq, size_t n_changes, struct err *e)
{
    const struct api *a = rq->site;
    struct api_write *aw = arena_new(rq->arena, struct api_write);
    aw->rq = rq;
    aw->writing = (struct docs_writing){.docs = a->docs, .arena = rq->arena, .who = &aw->who};
    aw->writing.n = n_changes;
    aw->writing.changes = arena_zalloc(rq->arena, n_changes * sizeof *aw->writing.changes);
    aw->write = (struct db_write){
        .run = run_write, .finish = finish_write, .done = on_written, .home = rq->loop};
    return subject_of(rq, &aw->who, e) ? aw : NULL;
}

static bool enter(struct api_write *aw, bool *ret_moved, struct err *e)
{
    struct req *rq = aw->rq;
    *ret_moved = false;
    if (docs_enter(aw->writing.docs))
        return true;
    if (rq->is_on_lane)
        return docs_open(aw->writing.docs, e);
    *ret_moved = true;
    return req_move(rq, RUN_WRITE);
}

bool api_write_go(struct api_write *aw, struct err *e)
{
    struct req *rq = aw->rq;
    bool is_moved;
    if (!enter(aw, &is_moved, e) || is_moved)
        return is_moved;
    if (!docs_writing_plan(&aw->writing, e)) {
        tell_details(aw);
        docs_leave(aw->writing.docs);
        return false;
    }
    req_wait(rq);
    if (db_write(docs_db(aw->writing.docs), &aw->write))
        return true;
    docs_leave(aw->writing.docs);
    return err_set(e, ERR_UNAVAILABLE, "Too many changes are waiting; try again in a moment.");
}
