/* A job that dais does itself: run on a lane, or where it was claimed; what it says comes back to
 * the loop. */
#include "workers/workers_impl.h"

#include <stdlib.h>
#include <string.h>

#define ARENA_MAX (64u << 20)

struct task_run {
    struct task_call call;
    struct job_run *run;
    struct work work;
    struct arena arena;
    struct buf result;
    struct err err;
    bool is_done_well;
    _Atomic bool should_stop;
    /* what it said last, on its way */
    pthread_mutex_t lock;
    struct post post;
    bool is_posted;
    int32_t progress;
    char message[JOB_MESSAGE_MAX];
    size_t message_len;
};

static struct task_run *task_of(struct task_call *call)
{
    return container_of(call, struct task_run, call);
}

static bool should_stop(struct task_call *call)
{
    return atomic_load(&task_of(call)->should_stop);
}

/* ---- what it says -------------------------------------------------------------------------------
 */

static void on_said(struct post *p, struct loop *l)
{
    struct task_run *t = container_of(p, struct task_run, post);
    char message[JOB_MESSAGE_MAX];
    (void)l;
    pthread_mutex_lock(&t->lock);
    struct slice said = {message, t->message_len};
    int32_t progress = t->progress;
    memcpy(message, t->message, t->message_len);
    t->is_posted = false;
    pthread_mutex_unlock(&t->lock);
    talk_step(&t->run->talk, progress, said);
    if (!t->run->is_gone)
        run_spoke(t->run);
}

static void say(struct task_call *call, int32_t progress, struct slice message)
{
    struct task_run *t = task_of(call);
    message = slice_first(message, sizeof t->message);
    if (t->run->kind->task->is_instant) {
        talk_step(&t->run->talk, progress, message);
        return;
    }
    pthread_mutex_lock(&t->lock);
    t->progress = progress;
    t->message_len = message.len;
    if (message.len)
        memcpy(t->message, message.ptr, message.len);
    bool was_posted = t->is_posted;
    t->is_posted = true;
    if (!was_posted)
        loop_post(workers_home(t->run->crew->workers), &t->post);
    pthread_mutex_unlock(&t->lock);
}

/* ---- its end ------------------------------------------------------------------------------------
 */

static bool may_be_tried_again(enum err_code code)
{
    return code == ERR_UNAVAILABLE || code == ERR_UNREACHABLE || code == ERR_GATEWAY_TIMEOUT ||
           code == ERR_BAD_GATEWAY;
}

static void judge(struct job_run *r)
{
    const struct task_run *t = r->task;
    if (t->is_done_well && t->result.full)
        run_sets(r, OUTCOME_FAILED, JOB_ERROR_RESULT, "Its result is larger than %u KB.",
                 JOB_RESULT_MAX >> 10);
    else if (t->is_done_well) {
        r->end.outcome = OUTCOME_SUCCEEDED;
        r->end.result = buf_slice(&t->result);
    } else if (!run_ended_by_us(r)) {
        run_sets(r, may_be_tried_again(t->err.code) ? OUTCOME_AGAIN : OUTCOME_FAILED,
                 JOB_ERROR_TASK, "%s", t->err.msg);
        r->end.pause_ms = t->err.retry_s * 1000LL;
    }
}

static void run_task(struct work *w)
{
    struct task_run *t = container_of(w, struct task_run, work);
    const struct worker_kind *k = t->run->kind;
    struct json_doc doc;
    if (atomic_load(&t->should_stop)) { /* it waited for a thread meanwhile */
        err_set(&t->err, ERR_UNAVAILABLE, "It was ended before it began.");
        return;
    }
    if (!json_parse(&doc, &t->arena, t->run->input, NULL, &t->err))
        return;
    t->call.input = json_root(&doc);
    t->is_done_well = k->task->run(k->user, &t->call, &t->err);
}

static void on_done(struct work *w, struct loop *l)
{
    struct job_run *r = container_of(w, struct task_run, work)->run;
    (void)l;
    judge(r);
    run_ended(r);
    run_let_go(r);
}

/* ---- its start ----------------------------------------------------------------------------------
 */

static struct task_run *task_new(struct job_run *r)
{
    struct task_run *t = mem_new(struct task_run);
    arena_init(&t->arena, ARENA_MAX);
    buf_init(&t->result, JOB_RESULT_MAX);
    pthread_mutex_init(&t->lock, NULL);
    t->run = r;
    t->post.fn = on_said;
    t->work.run = run_task;
    t->work.done = on_done;
    t->call = (struct task_call){
        .id = r->id,
        .owner = r->owner,
        .attempt = r->attempt,
        .depth = r->depth,
        .with = r->kind->with,
        .arena = &t->arena,
        .result = &t->result,
        .should_stop = should_stop,
        .say = say,
    };
    return t;
}

void task_start(struct job_run *r)
{
    r->task = task_new(r);
    if (r->kind->task->is_instant) {
        run_task(&r->task->work);
        judge(r);
        run_ended(r);
        return;
    }
    if (lane_submit(workers_home(r->crew->workers), LANE_JOB, &r->task->work)) {
        r->open++;
        return;
    }
    run_refuse(r);
}

void task_stop(struct job_run *r)
{
    if (r->task)
        atomic_store(&r->task->should_stop, true);
}

void task_free(struct task_run *t)
{
    if (!t)
        return;
    buf_done(&t->result);
    arena_done(&t->arena);
    pthread_mutex_destroy(&t->lock);
    free(t);
}
