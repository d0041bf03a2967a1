/* One write of a crew: what its runs have said, how they ended, the leases of the others, what is
 * due, and a claim for the room that is left; in this order, so that ends make room.
 *
 * What cannot be written just now is kept and written again. What can never be written (the
 * database refuses it) is found by writing one thing at a time, and dropped. */
#include "workers/workers_impl.h"

#include "base/base64.h"
#include "base/sha256.h"

#include <stdlib.h>
#include <string.h>

#define CLAIMED_MAX ((size_t)(WORKERS_PROCESSES + WORKERS_TASKS) * (JOB_INPUT_MAX + (64u << 10)))
#define NOTES_MAX   ((size_t)(WORKERS_PROCESSES + WORKERS_TASKS) * (JOB_LOG_MAX + (64u << 10)))

static size_t grown(size_t cap)
{
    return cap ? cap * 2 : 16;
}

void crew_write_init(struct crew *c)
{
    arena_init(&c->w.notes, NOTES_MAX);
    arena_init(&c->w.claimed, CLAIMED_MAX);
    c->w.holder = slice_from(c->workers->holder);
    c->w.cap_mine = grown(0);
    c->w.mine = mem_alloc(c->w.cap_mine * sizeof *c->w.mine);
}

void crew_write_done(struct crew *c)
{
    struct crew_write *w = &c->w;
    arena_done(&w->notes);
    arena_done(&w->claimed);
    free(w->said);
    free(w->ending);
    free(w->ends);
    free(w->held_runs);
    free(w->held);
    free(w->mine);
    free(w->rooms);
}

bool crew_write_has_left(const struct crew *c)
{
    return c->w.n_said || c->w.n_ending;
}

/* ---- what was said, how they ended --------------------------------------------------------------
 */

static void add_said(struct crew_write *w, const struct job_run *r, enum job_note_kind kind,
                     struct slice text)
{
    if (w->n_said == w->cap_said) {
        w->cap_said = grown(w->cap_said);
        w->said = mem_realloc(w->said, w->cap_said * sizeof *w->said);
    }
    w->said[w->n_said++] = (struct job_said){
        .id = arena_dup(&w->notes, r->id),
        .attempt = r->attempt,
        .kind = kind,
        .progress = kind == NOTE_PROGRESS ? r->talk.progress : -1,
        .text = arena_dup(&w->notes, text),
    };
}

static void take_notes(struct crew_write *w, struct job_run *r, int64_t now_ms)
{
    struct buf piece;
    buf_init(&piece, TALK_PIECE + 100);
    while (talk_take_log(&r->talk, &piece)) {
        add_said(w, r, NOTE_LOG, buf_slice(&piece));
        buf_clear(&piece);
    }
    buf_done(&piece);
    if (r->talk.has_step)
        add_said(w, r, NOTE_PROGRESS, buf_slice(&r->talk.message));
    r->talk.has_step = false;
    r->spoke_ms = 0;
    r->said_ms = now_ms;
}

static void add_ending(struct crew_write *w, struct job_run *r)
{
    if (w->n_ending == w->cap_ending) {
        w->cap_ending = grown(w->cap_ending);
        w->ending = mem_realloc(w->ending, w->cap_ending * sizeof *w->ending);
        w->ends = mem_realloc(w->ends, w->cap_ending * sizeof *w->ends);
    }
    atomic_store(&r->step, RUN_WRITING);
    w->ending[w->n_ending] = r;
    w->ends[w->n_ending++] = r->end;
}

static void add_held(struct crew_write *w, struct job_run *r)
{
    if (w->n_held == w->cap_held) {
        w->cap_held = grown(w->cap_held);
        w->held = mem_realloc(w->held, w->cap_held * sizeof *w->held);
        w->held_runs = mem_realloc(w->held_runs, w->cap_held * sizeof *w->held_runs);
    }
    w->held_runs[w->n_held] = r;
    w->held[w->n_held++] = (struct job_held){.id = r->id, .attempt = r->attempt};
}

static void gather_runs(struct crew *c, const struct crew_due *due, int64_t now_ms)
{
    struct crew_write *w = &c->w;
    list_each_safe (link, &c->runs) {
        struct job_run *r = container_of(link, struct job_run, link);
        bool has_ended = atomic_load(&r->step) == RUN_FINISHED;
        if (r->is_lost && has_ended) {
            run_remove(r);
            continue;
        }
        if (!r->is_lost && (has_ended || run_note_due(r) <= now_ms))
            take_notes(w, r, now_ms);
        if (has_ended)
            add_ending(w, r);
        else if (due->is_beat || due->is_check)
            add_held(w, r);
    }
}

static void gather_ids(struct crew *c)
{
    struct crew_write *w = &c->w;
    w->n_mine = 0;
    list_each (link, &c->runs) {
        if (w->n_mine == w->cap_mine) {
            w->cap_mine = grown(w->cap_mine);
            w->mine = mem_realloc(w->mine, w->cap_mine * sizeof *w->mine);
        }
        w->mine[w->n_mine++] = container_of(link, struct job_run, link)->id;
    }
}

/* ---- room ---------------------------------------------------------------------------------------
 */

static void add_room(struct crew_write *w, const struct worker_kind *k, size_t most)
{
    w->rooms[w->n_programs + w->n_tasks] = (struct job_room){.type = k->type, .most = most};
    if (k->task)
        w->n_tasks++;
    else
        w->n_programs++;
}

static void make_token(struct crew_write *w, size_t i)
{
    unsigned char bytes[32];
    struct buf b;
    random_bytes(bytes, sizeof bytes);
    buf_init(&b, sizeof w->tokens[i] - 1);
    buf_add_str(&b, WORKER_TOKEN);
    base64_add(&b, (struct slice){(const char *)bytes, sizeof bytes}, BASE64_URL);
    must(!b.full);
    memcpy(w->tokens[i], b.data, b.len + 1);
    sha256_of(buf_slice(&b), w->digests[i]);
    explicit_bzero(bytes, sizeof bytes);
    explicit_bzero(b.data, b.len);
    buf_done(&b);
}

/* Another type is the first each time, so that all of them have their turn. */
static void gather_rooms(struct crew *c)
{
    struct crew_write *w = &c->w;
    const struct plan *p = c->plan;
    bool has_programs = false;
    for (size_t i = 0; i < p->of.n; i++)
        has_programs |= !p->kinds[i].task;
    w->max_programs = has_programs ? workers_take(c->workers, c) : 0;
    w->max_tasks = c->n_tasks < WORKERS_TASKS ? WORKERS_TASKS - c->n_tasks : 0;
    w->rooms = mem_realloc(w->rooms, (p->of.n + 1) * sizeof *w->rooms);
    for (int pass = 0; pass < 2; pass++) {
        size_t most = pass ? w->max_tasks : w->max_programs;
        for (size_t i = 0; i < p->of.n && most; i++) {
            const struct worker_kind *k = &p->kinds[(i + c->turn) % p->of.n];
            if (!k->task == !pass)
                add_room(w, k, most);
        }
    }
    c->turn++;
    for (size_t i = 0; i < w->max_programs; i++) {
        if (!w->tokens[i][0])
            make_token(w, i);
    }
}

void crew_write_use_tokens(struct crew *c, size_t n)
{
    explicit_bzero(c->w.tokens, n * sizeof c->w.tokens[0]);
}

/* ---- all of it ----------------------------------------------------------------------------------
 */

static struct plan *plan_for(struct crew *c)
{
    if (c->plan)
        return c->plan;
    must(!list_is_empty(&c->runs));
    return container_of(c->runs.next, struct job_run, link)->plan;
}

void crew_write_gather(struct crew *c, const struct crew_due *due, int64_t now_ms)
{
    struct crew_write *w = &c->w;
    w->n_held = w->n_programs = w->n_tasks = w->max_programs = w->max_tasks = 0;
    w->is_beat = w->is_look = false;
    w->began_ms = now_ms;
    w->plan = plan_for(c);
    plan_ref(w->plan);
    if (w->is_careful)
        return;
    bool is_all = !crew_write_has_left(c); /* else leases have to wait for the next one */
    if (is_all)
        gather_runs(c, due, now_ms);
    w->is_beat = due->is_beat && is_all;
    w->is_look = due->is_look;
    if (w->is_look)
        gather_ids(c);
    w->tending = (struct jobs_tending){.holder = w->holder, .mine = w->mine, .n_mine = w->n_mine};
    if (due->is_claim && c->plan && !c->is_stopping)
        gather_rooms(c);
}

static bool set_tokens(struct crew_write *w, struct db_conn *c, struct err *e)
{
    for (size_t i = 0; i < w->n_claimed_programs; i++) {
        struct job_claim *claim = &w->claims[i];
        memcpy(claim->token, w->digests[i], sizeof claim->token);
        if (!jobs_set_token(c, claim->row.id, claim->row.attempt, claim->token, e))
            return false;
    }
    return true;
}

static bool claim(struct crew_write *w, struct db_conn *c, int64_t now_ms, struct err *e)
{
    struct jobs *j = w->plan->of.jobs;
    bool more_programs = false, more_tasks = false;
    arena_reset(&w->claimed);
    w->n_claimed_programs = w->n_claimed_tasks = 0;
    if (w->n_programs &&
        !jobs_claim(j, c, w->holder, w->rooms, w->n_programs, now_ms, &w->claimed, w->claims,
                    w->max_programs, &w->n_claimed_programs, &more_programs, e))
        return false;
    if (w->n_tasks && !jobs_claim(j, c, w->holder, w->rooms + w->n_programs, w->n_tasks, now_ms,
                                  &w->claimed, w->claims + WORKERS_PROCESSES, w->max_tasks,
                                  &w->n_claimed_tasks, &more_tasks, e))
        return false;
    w->has_more = more_programs || more_tasks;
    if (w->n_claimed_programs)
        db_tell(c, TOPIC_JOB_EVENTS);
    return set_tokens(w, c, e);
}

/* On a writer's thread; only what the write holds itself is touched. */
static bool run_write(struct db_write *write, struct db_conn *c, struct err *e)
{
    struct crew_write *w = container_of(write, struct crew_write, write);
    struct jobs *j = w->plan->of.jobs;
    int64_t now_ms = clock_wall_ms();
    size_t n_said = w->is_careful && w->n_said ? 1 : w->n_said;
    size_t n_ends = !w->is_careful ? w->n_ending : w->n_said ? 0 : w->n_ending ? 1 : 0;
    struct arena scratch;
    arena_init(&scratch, CLAIMED_MAX);
    bool fine =
        (!n_said || jobs_say(c, w->said, n_said, now_ms, e)) &&
        (!n_ends || jobs_finish(j, c, w->holder, w->ends, n_ends, now_ms, &scratch, e)) &&
        (!w->n_held || jobs_beat(c, w->holder, w->held, w->n_held, w->is_beat, now_ms, e)) &&
        (!w->is_look || jobs_tend(j, c, now_ms, &w->tending, e)) && claim(w, c, now_ms, e);
    arena_done(&scratch);
    return fine;
}

static void on_written(struct db_write *write, const struct err *e)
{
    crew_written(container_of(write, struct crew, w.write), e);
}

bool crew_write_send(struct crew *c, struct db *db)
{
    struct crew_write *w = &c->w;
    w->tending.is_first = !c->has_tended && db_is_sqlite(db);
    w->write = (struct db_write){
        .run = run_write,
        .done = on_written,
        .home = workers_home(c->workers),
        .is_loose = true,
        .is_first = true, /* leases are not lost, and jobs are done, also while many are added */
    };
    return db_write(db, &w->write);
}

/* ---- afterwards ---------------------------------------------------------------------------------
 */

static void drop_front(struct crew_write *w)
{
    if (w->n_said) {
        memmove(w->said, w->said + 1, --w->n_said * sizeof *w->said);
    } else if (w->n_ending) {
        run_remove(w->ending[0]);
        w->n_ending--;
        memmove(w->ending, w->ending + 1, w->n_ending * sizeof *w->ending);
        memmove(w->ends, w->ends + 1, w->n_ending * sizeof *w->ends);
    }
    if (!w->n_said && !w->n_ending)
        w->is_careful = false;
}

bool crew_write_soften(struct crew *c)
{
    struct crew_write *w = &c->w;
    if (w->n_said || !w->n_ending || w->ends[0].code == JOB_ERROR_RESULT)
        return false;
    struct job_end *end = &w->ends[0];
    *end = (struct job_end){.id = end->id,
                            .attempt = end->attempt,
                            .outcome = OUTCOME_FAILED,
                            .code = JOB_ERROR_RESULT,
                            .error = SLICE("How it ended could not be stored."),
                            .progress = -1,
                            .run_ms = end->run_ms};
    return true;
}

void crew_write_drop_items(struct crew *c)
{
    struct crew_write *w = &c->w;
    if (w->is_careful) {
        drop_front(w);
    } else {
        for (size_t i = 0; i < w->n_ending; i++)
            run_remove(w->ending[i]);
        w->n_said = w->n_ending = 0;
    }
    if (!w->n_said)
        arena_reset(&w->notes);
}
