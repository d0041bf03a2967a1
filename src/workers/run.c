/* One attempt of a job, from its claim to its end:
 *
 *   claimed    run_new: its room is taken, its token made
 *   started    run_start: its folder is made, its program runs; on_out and on_err hear what it
 * says, on_in gives it its input as it takes it stopping   run_stop: somebody wants its end;
 * SIGTERM, then SIGKILL ended      on_event: nothing of its tree is left; what is still in the
 * pipes is read, the folder goes finished   run_ended: how it ended waits for the crew's next write
 *   writing    the crew writes it, then removes the run */
#include "workers/workers_impl.h"

#include "base/size.h"

#include <errno.h>
#include <stdio.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define READ_BYTES   (32u << 10)
#define READS_A_TURN 4
#define READS_AT_END 256   /* more than any pipe holds */
#define GATHER_MS    10    /* from the first word to its note */
#define PAUSE_MS     25    /* between notes of the same run */
#define LEASE_MAX_MS 20000 /* without its lease being renewed */
#define LEASE_END_MS 25000 /* then its runner ends it, as we seem to stand still */
#define SENTENCE_MAX 500

static struct loop *home(const struct job_run *r)
{
    return r->home;
}

bool run_is_program(const struct job_run *r)
{
    return !r->kind->task;
}

bool run_is_over(const struct job_run *r)
{
    return atomic_load(&r->step) >= RUN_FINISHED;
}

const char *run_step_name(enum run_step s)
{
    static const char *const names[] = {
#define X(id, name) [id] = name,
        RUN_STEP_MAP(X)
#undef X
    };
    return names[s];
}

static void set_step(struct job_run *r, enum run_step step)
{
    atomic_store(&r->step, (int)step);
}

/* ---- there and gone -----------------------------------------------------------------------------
 */

static void take_room(struct job_run *r)
{
    r->has_room = true;
    if (run_is_program(r))
        r->crew->n_programs++;
    else
        r->crew->n_tasks++;
}

static void leave_room(struct job_run *r)
{
    if (!r->has_room)
        return;
    r->has_room = false;
    if (!run_is_program(r)) {
        r->crew->n_tasks--;
        return;
    }
    r->crew->n_programs--;
    workers_give_back(r->crew->workers, 1);
}

static void copy_row(struct job_run *r, const struct job_row *row)
{
    r->id = arena_dup(&r->arena, row->id);
    r->type = arena_dup(&r->arena, row->type);
    r->owner = arena_dup(&r->arena, row->owner);
    r->input = arena_dup(&r->arena, row->input);
    r->is_strangers = row->is_strangers;
    r->attempt = row->attempt;
    r->depth = row->depth;
}

/* Nothing it says shows its secrets, nor its own token. */
static void make_mask(struct job_run *r)
{
    size_t n = r->kind->n_hidden;
    struct slice *hidden = arena_alloc(&r->arena, (n + 1) * sizeof *hidden);
    for (size_t i = 0; i < n; i++)
        hidden[i] = r->kind->hidden[i];
    hidden[n] = slice_from(r->token_text);
    mask_init(&r->mask, &r->arena, hidden, n + 1);
}

struct job_run *run_new(struct crew *c, struct plan *p, const struct job_claim *claim,
                        const char *token, int64_t lease_ms)
{
    struct job_run *r = mem_new(struct job_run);
    r->crew = c;
    r->home = workers_home(c->workers);
    r->plan = p;
    r->kind = plan_kind(p, claim->type);
    crew_ref(c);
    plan_ref(p);
    arena_init(&r->arena, 16u << 20);
    copy_row(r, &claim->row);
    r->lease_ms = lease_ms;
    r->began_ms = clock_mono_ms();
    r->end = (struct job_end){.id = r->id, .attempt = r->attempt, .progress = -1};
    if (run_is_program(r)) {
        memcpy(r->token, claim->token, sizeof r->token);
        snprintf(r->token_text, sizeof r->token_text, "%s", token);
        make_mask(r);
    }
    talk_init(&r->talk, &r->mask);
    take_room(r);
    pthread_mutex_lock(&c->lock);
    list_add(&c->runs, &r->link);
    pthread_mutex_unlock(&c->lock);
    return r;
}

static void run_free(void *arg)
{
    struct job_run *r = arg;
    talk_done(&r->talk);
    task_free(r->task);
    explicit_bzero(r->token_text, sizeof r->token_text);
    arena_done(&r->arena);
    plan_unref(r->plan);
    crew_unref(r->crew);
    free(r);
}

static void free_if_gone(struct job_run *r)
{
    if (r->is_gone && !r->open)
        loop_retire(home(r), run_free, r);
}

void run_let_go(struct job_run *r)
{
    r->open--;
    free_if_gone(r);
}

/* Its kind is asked for no more, unless work of it is on a lane. It does not wait for its watches:
 * of a server that stops at once these close after all that its service holds. */
static void leave_plan(struct job_run *r)
{
    if (r->is_at_folder || (r->task && !run_is_over(r)))
        return;
    plan_unref(r->plan);
    r->plan = NULL;
    r->kind = NULL;
}

void run_remove(struct job_run *r)
{
    struct crew *c = r->crew;
    leave_room(r);
    pthread_mutex_lock(&c->lock);
    list_remove(&r->link);
    pthread_mutex_unlock(&c->lock);
    r->is_gone = true;
    leave_plan(r);
    free_if_gone(r);
}

/* ---- its end ------------------------------------------------------------------------------------
 */

void run_sets(struct job_run *r, enum job_outcome outcome, enum job_error code, const char *fmt,
              ...)
{
    char text[SENTENCE_MAX + 100];
    struct buf line, shown;
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    buf_init(&line, SENTENCE_MAX);
    buf_init(&shown, 2 * sizeof text);
    struct slice said = slice_first(slice_from(text), n > 0 ? (size_t)n : 0);
    (void)mask_add(&r->mask, said, true, &shown);
    text_as_line(&line, buf_slice(&shown), SENTENCE_MAX);
    buf_done(&shown);
    r->end.outcome = outcome;
    r->end.code = code;
    r->end.error = arena_dup(&r->arena, buf_slice(&line));
    r->end.is_refunded = code == JOB_ERROR_START || code == JOB_ERROR_LOST ||
                         code == JOB_ERROR_AGAIN || code == JOB_ERROR_SIGNAL;
    buf_done(&line);
}

static void sets_over(struct job_run *r, enum job_error code, const char *what, int64_t bytes)
{
    char size[SIZE_TEXT_LEN];
    size_text(bytes, size);
    run_sets(r, OUTCOME_FAILED, code, "%s (%s).", what, size);
}

static void sets_late(struct job_run *r, enum job_error code, const char *what, int64_t ms)
{
    bool is_whole = ms % 1000 == 0;
    run_sets(r, OUTCOME_FAILED, code, "%s (%lld %s).", what, (long long)(is_whole ? ms / 1000 : ms),
             is_whole ? "s" : "ms");
}

bool run_ended_by_us(struct job_run *r)
{
    const struct job *conf = job_type_conf(r->kind->type);
    const struct job_limits *l = &conf->limits;
    if (r->why == WHY_CANCELLED)
        run_sets(r, OUTCOME_CANCELLED, JOB_ERROR_NONE, "%s", "");
    else if (r->why == WHY_TIMEOUT)
        sets_late(r, JOB_ERROR_TIMEOUT, "It took longer than its timeout", conf->timeout_ms);
    else if (r->why == WHY_MEMORY)
        sets_over(r, JOB_ERROR_MEMORY, "It used more memory than it may", l->memory_bytes);
    else if (r->why == WHY_CPU)
        sets_late(r, JOB_ERROR_CPU, "It used more processor time than it may", l->cpu_ms);
    else if (r->why == WHY_OUTPUT)
        sets_over(r, JOB_ERROR_OUTPUT, "It printed more than it may", l->output_bytes);
    else if (r->why == WHY_FILES)
        sets_over(r, JOB_ERROR_FILES, "Its files are larger than they may be", l->files_bytes);
    else if (r->why == WHY_LEASE)
        run_sets(r, OUTCOME_LOST, JOB_ERROR_LOST,
                 "The database could not be reached for so long that the run was ended.");
    else if (r->why == WHY_STOP)
        run_sets(r, OUTCOME_RETURNED, JOB_ERROR_NONE, "%s", "");
    return r->why != WHY_NONE;
}

void run_ended(struct job_run *r)
{
    struct talk *t = &r->talk;
    r->end.run_ms = clock_mono_ms() - r->began_ms;
    r->end.progress = t->progress;
    r->end.message = buf_slice(&t->message);
    if (r->end.outcome == OUTCOME_SUCCEEDED && run_is_program(r))
        r->end.result = buf_slice(&t->result);
    set_step(r, RUN_FINISHED);
    leave_room(r);
    if (r->is_gone)
        return;
    figures_ended(&r->crew->figures, r->type, r->end.outcome, r->end.run_ms);
    crew_notice(r->crew);
}

/* ---- its folder ---------------------------------------------------------------------------------
 */

static void remove_folder(struct work *w)
{
    struct job_run *r = container_of(w, struct job_run, folder_work);
    struct err e;
    if (!folder_remove(r->folder, &e))
        log_line(LOG_WARN, "the folder of a job is left", F_STR("job", r->id),
                 F_CSTR("why", e.msg));
}

static void on_folder_removed(struct work *w, struct loop *l)
{
    struct job_run *r = container_of(w, struct job_run, folder_work);
    (void)l;
    r->is_at_folder = false;
    run_ended(r);
    run_let_go(r);
}

static void leave_folder(struct job_run *r)
{
    if (r->is_at_folder) /* it is being measured: after that */
        return;
    if (!r->has_folder || folder_drop(r->folder)) {
        run_ended(r);
        return;
    }
    r->folder_work.run = remove_folder;
    r->folder_work.done = on_folder_removed;
    r->is_at_folder = lane_submit(home(r), LANE_STORE, &r->folder_work);
    if (r->is_at_folder)
        r->open++;
    else /* the lanes have stopped, or are full: the next start sweeps it */
        run_ended(r);
}

static void measure_folder(struct work *w)
{
    struct job_run *r = container_of(w, struct job_run, folder_work);
    uint64_t most = (uint64_t)job_type_conf(r->kind->type)->limits.files_bytes;
    folder_measure(r->folder, most, &r->is_over_files);
}

static void on_measured(struct work *w, struct loop *l)
{
    struct job_run *r = container_of(w, struct job_run, folder_work);
    (void)l;
    r->is_at_folder = false;
    if (r->is_over_files)
        run_stop(r, WHY_FILES);
    if (atomic_load(&r->step) == RUN_ENDED)
        leave_folder(r);
    run_let_go(r);
}

static void begin_measuring(struct job_run *r)
{
    if (!run_is_program(r) || r->is_at_folder || !job_type_conf(r->kind->type)->limits.files_bytes)
        return;
    r->folder_work.run = measure_folder;
    r->folder_work.done = on_measured;
    r->is_at_folder = lane_submit(home(r), LANE_STORE, &r->folder_work);
    r->open += r->is_at_folder;
}

/* ---- pipes --------------------------------------------------------------------------------------
 */

static void on_closed(struct watch *w)
{
    run_let_go(container_of(w, struct pipe_end, watch)->run);
}

static void open_end(struct job_run *r, struct pipe_end *p, int fd,
                     void (*on_ready)(struct watch *, int), int events)
{
    struct err e;
    p->run = r;
    p->fd = fd;
    p->watch.on_ready = on_ready;
    must(fd >= 0 && watch_open(&p->watch, home(r), fd, &e));
    p->is_open = true;
    r->open++;
    watch_want(&p->watch, events);
}

static void close_end(struct pipe_end *p, bool closes_fd)
{
    if (!p->is_open)
        return;
    p->is_open = false;
    watch_close(&p->watch, on_closed);
    if (closes_fd)
        close(p->fd);
}

static void close_all(struct job_run *r)
{
    close_end(&r->in, true);
    close_end(&r->streams[TALK_OUT], true);
    close_end(&r->streams[TALK_ERR], true);
    close_end(&r->events, false);
}

/* As much as it takes now; one that wants no input is fine. */
static void on_in(struct watch *w, int events)
{
    struct job_run *r = container_of(w, struct job_run, in.watch);
    (void)events;
    while (r->in_at < r->input.len) {
        ssize_t n = write(r->in.fd, r->input.ptr + r->in_at, r->input.len - r->in_at);
        if (n < 0 && errno == EAGAIN)
            return;
        if (n < 0 && errno != EINTR)
            break;
        r->in_at += n > 0 ? (size_t)n : 0;
    }
    close_end(&r->in, true);
}

void run_spoke(struct job_run *r)
{
    bool has_note = r->talk.has_step || r->talk.log.len;
    if (!has_note || r->spoke_ms)
        return;
    r->spoke_ms = clock_mono_ms();
    workers_wake_at(r->crew->workers, run_note_due(r));
}

int64_t run_note_due(const struct job_run *r)
{
    if (!r->spoke_ms)
        return INT64_MAX;
    int64_t gathered = r->spoke_ms + GATHER_MS, paused = r->said_ms + PAUSE_MS;
    return gathered > paused ? gathered : paused;
}

static void heed_output_limit(struct job_run *r)
{
    int64_t most = job_type_conf(r->kind->type)->limits.output_bytes;
    if (!most || r->talk.bytes <= (uint64_t)most)
        return;
    close_end(&r->streams[TALK_OUT], true); /* whatever else it prints is not wanted */
    close_end(&r->streams[TALK_ERR], true);
    if (atomic_load(&r->step) < RUN_STOPPING)
        run_stop(r, WHY_OUTPUT);
    else if (r->why == WHY_NONE)
        r->why = WHY_OUTPUT;
}

static void read_some(struct job_run *r, enum talk_stream from, int reads)
{
    struct pipe_end *p = &r->streams[from];
    char bytes[READ_BYTES];
    while (p->is_open && reads-- > 0) {
        ssize_t n = read(p->fd, bytes, sizeof bytes);
        if (n > 0) {
            talk_add(&r->talk, from, (struct slice){bytes, (size_t)n});
            heed_output_limit(r);
        } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
            close_end(p, true);
        } else {
            break;
        }
    }
    run_spoke(r);
}

static void on_out(struct watch *w, int events)
{
    (void)events;
    read_some(container_of(w, struct job_run, streams[TALK_OUT].watch), TALK_OUT, READS_A_TURN);
}

static void on_err(struct watch *w, int events)
{
    (void)events;
    read_some(container_of(w, struct job_run, streams[TALK_ERR].watch), TALK_ERR, READS_A_TURN);
}

/* ---- its process --------------------------------------------------------------------------------
 */

static void process_over(struct job_run *r, const struct process_event *ev)
{
    if (ev->kind == EVENT_ENDED && atomic_load(&r->step) < RUN_STOPPING)
        set_step(r, RUN_STOPPING); /* too late to be stopped */
    read_some(r, TALK_ERR, READS_AT_END);
    read_some(r, TALK_OUT, READS_AT_END);
    talk_end(&r->talk);
    if (ev->kind == EVENT_FAILED)
        program_failed(r, ev);
    else
        program_ended(r, ev);
    close_all(r);
    process_free(r->process);
    r->process = NULL;
    atomic_store(&r->pid, 0);
    set_step(r, RUN_ENDED);
    leave_folder(r);
}

static void on_event(struct watch *w, int events)
{
    struct job_run *r = container_of(w, struct job_run, events.watch);
    struct process_event ev;
    (void)events;
    while (r->process && process_next(r->process, &ev) == PROCESS_EVENT) {
        if (ev.kind == EVENT_STARTED)
            atomic_store(&r->pid, (int)ev.pid);
        else
            process_over(r, &ev);
    }
}

/* Of ours: a disk that is full, too many processes. */
static void not_now(struct job_run *r, const struct err *why)
{
    log_line(LOG_ERROR, "a job could not be started", F_STR("app", r->crew->slug),
             F_STR("type", r->type), F_STR("job", r->id), F_CSTR("why", why->msg));
    run_sets(r, OUTCOME_AGAIN, JOB_ERROR_START, "It could not be started just now.");
    set_step(r, RUN_ENDED);
    leave_folder(r);
}

static void start_program(struct job_run *r)
{
    struct err e = {0};
    r->folder = arena_printf(&r->arena, "%s/%s%.*s-%lld", r->crew->folder, r->crew->mark,
                             SLICE_ARGS(r->id), (long long)r->attempt)
                    .ptr;
    r->has_folder = crew_place_make(&r->crew->place, &e) &&
                    folder_make(r->folder, r->kind->uid, r->kind->gid, &e);
    r->process = r->has_folder ? program_start(r, &e) : NULL;
    if (!r->process) {
        not_now(r, &e);
        return;
    }
    set_step(r, RUN_STARTED);
    open_end(r, &r->events, process_fd(r->process), on_event, WATCH_READ);
    open_end(r, &r->streams[TALK_OUT], process_stdio_take(r->process, 1), on_out, WATCH_READ);
    open_end(r, &r->streams[TALK_ERR], process_stdio_take(r->process, 2), on_err, WATCH_READ);
    open_end(r, &r->in, process_stdio_take(r->process, 0), on_in, WATCH_WRITE);
}

void run_start(struct job_run *r)
{
    if (run_is_program(r)) {
        start_program(r);
        return;
    }
    set_step(r, RUN_STARTED);
    task_start(r);
}

void run_refuse(struct job_run *r)
{
    run_sets(r, OUTCOME_RETURNED, JOB_ERROR_NONE, "%s", "");
    run_ended(r);
}

void run_stop(struct job_run *r, enum run_why why)
{
    struct err ignored;
    if (atomic_load(&r->step) != RUN_STARTED)
        return;
    r->why = why;
    set_step(r, RUN_STOPPING);
    if (r->process)
        (void)process_cancel(r->process, r->is_lost ? 0 : WORKER_GRACE_MS, &ignored);
    else
        task_stop(r);
}

_Static_assert(LEASE_MAX_MS + WORKER_GRACE_MS + 2000 < LEASE_END_MS, "we are the first to end it");
_Static_assert(LEASE_END_MS < JOB_LEASE_MS, "it is gone before another has it");

int64_t run_lease_until(const struct job_run *r)
{
    return r->lease_ms + LEASE_END_MS;
}

void run_renew(struct job_run *r, int64_t lease_ms)
{
    struct err ignored;
    r->lease_ms = lease_ms;
    if (r->process)
        (void)process_renew(r->process, run_lease_until(r), &ignored);
}

void run_look(struct job_run *r, int64_t now_ms)
{
    int64_t timeout_ms = job_type_conf(r->kind->type)->timeout_ms;
    if (atomic_load(&r->step) != RUN_STARTED)
        return;
    if (now_ms - r->lease_ms > LEASE_MAX_MS)
        run_stop(r, WHY_LEASE);
    else if (!run_is_program(r) && timeout_ms && now_ms - r->began_ms > timeout_ms)
        run_stop(r, WHY_TIMEOUT);
    else
        begin_measuring(r);
}

void run_abandon(struct job_run *r)
{
    close_all(r);
    process_free(r->process);
    r->process = NULL;
    task_stop(r);
    if (!run_is_over(r))
        figures_ended(&r->crew->figures, r->type, OUTCOME_RETURNED, 0);
    run_remove(r);
}
