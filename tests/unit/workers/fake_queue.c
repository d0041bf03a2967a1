/* The queue of tests of crews: jobs in memory, behind the functions that crews call. */
#include "fake_queue.h"

#include <dirent.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct fake fake;

/* ---- what crews call ----------------------------------------------------------------------------
 */

struct job_type {
    struct fake_type *of;
};
static struct job_type kept[16];

const struct job *job_type_conf(const struct job_type *t)
{
    return &t->of->conf;
}

bool jobs_enter(struct jobs *j)
{
    (void)j;
    return db_slot_enter(fake.slot);
}

static _Atomic bool opens_slowly, is_opening;

void fake_opens_slowly(bool slowly)
{
    atomic_store(&opens_slowly, slowly);
}

bool fake_is_opening(void)
{
    return atomic_load(&is_opening);
}

bool jobs_open(struct jobs *j, struct err *e)
{
    (void)j;
    atomic_store(&is_opening, true);
    while (atomic_load(&opens_slowly))
        usleep(500);
    atomic_store(&is_opening, false);
    return db_slot_open(fake.slot, e);
}

void jobs_leave(struct jobs *j)
{
    (void)j;
    db_slot_leave(fake.slot);
}

void jobs_leave_quietly(struct jobs *j)
{
    (void)j;
    db_slot_leave_quietly(fake.slot);
}

struct db *jobs_db(const struct jobs *j)
{
    (void)j;
    struct db *db = db_slot_enter(fake.slot);
    db_slot_leave_quietly(fake.slot);
    return db;
}

static bool is_refused(struct slice id)
{
    return fake.refuse_id && slice_is(id, fake.refuse_id);
}

/* All of a write is kept, or nothing: what its last part cannot keep, its first one must not. So
 * the first part asks for all of them. */
static bool is_write_refused(const struct crew_write *w)
{
    size_t n_said = w->is_careful && w->n_said ? 1 : w->n_said;
    size_t n_ends = !w->is_careful ? w->n_ending : n_said ? 0 : 1;
    for (size_t i = 0; !fake.refuses_ends && i < n_said; i++) {
        if (is_refused(w->said[i].id))
            return true;
    }
    for (size_t i = 0; fake.refuses_ends && i < n_ends && i < w->n_ending; i++) {
        if (is_refused(w->ends[i].id) && w->ends[i].code != JOB_ERROR_RESULT)
            return true;
    }
    return false;
}

enum part { PART_SAY, PART_FINISH, PART_BEAT, PART_TEND, PART_CLAIM };

static enum part first_part(const struct crew_write *w)
{
    return w->n_said     ? PART_SAY
           : w->n_ending ? PART_FINISH
           : w->n_held   ? PART_BEAT
           : w->is_look  ? PART_TEND
                         : PART_CLAIM;
}

/* Programs are claimed first, then tasks. */
static bool is_first(enum part part, const struct job_room *rooms)
{
    const struct crew_write *w = &fake.crew->w;
    return part == first_part(w) && (part != PART_CLAIM || rooms == w->rooms);
}

static bool goes_through(enum part part, const struct job_room *rooms, struct err *e)
{
    fake.writes++;
    if (is_first(part, rooms)) {
        fake.fails = fake.is_down;
        fake.refuses = is_write_refused(&fake.crew->w);
    }
    if (fake.fails)
        return err_set(e, ERR_UNAVAILABLE, "the database is down");
    return !fake.refuses || err_set(e, ERR_INVALID, "this cannot be kept");
}

static struct fake_job *find(struct slice id, int64_t attempt)
{
    for (size_t i = 0; i < fake.n; i++) {
        if (slice_is(id, fake.jobs[i].id) && fake.jobs[i].attempt == attempt)
            return &fake.jobs[i];
    }
    fail_msg("there is no such job");
    return NULL;
}

static bool take(const struct job_room *room, struct fake_job *j, struct job_claim *to)
{
    if (j->state != JOB_READY || j->type != room->type)
        return false;
    j->state = JOB_RUNNING;
    j->attempt++;
    *to = (struct job_claim){
        .type = j->type,
        .row = {.id = slice_from(j->id),
                .type = slice_from(j->type->of->name),
                .owner = SLICE("ann"),
                .attempt = j->attempt,
                .depth = 3,
                .created_ms = clock_wall_ms(),
                .input = slice_from(j->input)},
    };
    return true;
}

bool jobs_claim(struct jobs *j, struct db_conn *c, struct slice holder,
                const struct job_room *rooms, size_t n_rooms, int64_t now_ms, struct arena *a,
                struct job_claim *ret, size_t max, size_t *ret_n, bool *ret_has_more, struct err *e)
{
    (void)j, (void)c, (void)holder, (void)now_ms, (void)a;
    pthread_mutex_lock(&fake.lock);
    *ret_n = 0;
    *ret_has_more = false;
    bool fine = goes_through(PART_CLAIM, rooms, e);
    for (size_t r = 0; fine && r < n_rooms; r++) {
        size_t taken = 0;
        for (size_t i = fake.n_ready_from; i < fake.n; i++) {
            bool has_room = *ret_n < max && taken < rooms[r].most;
            if (has_room && take(&rooms[r], &fake.jobs[i], &ret[*ret_n])) {
                ++*ret_n;
                ++taken;
            }
            *ret_has_more |= !has_room && fake.jobs[i].state == JOB_READY;
        }
    }
    while (fake.n_ready_from < fake.n && job_state_is_over(fake.jobs[fake.n_ready_from].state))
        fake.n_ready_from++;
    if (*ret_n > fake.max_claimed)
        fake.max_claimed = (unsigned)*ret_n;
    pthread_mutex_unlock(&fake.lock);
    return fine;
}

bool job_state_is_over(enum job_state s)
{
    return s >= JOB_SUCCEEDED;
}

static void end_one(struct fake_job *j, const struct job_end *end)
{
    static const enum job_state states[] = {
        [OUTCOME_SUCCEEDED] = JOB_SUCCEEDED, [OUTCOME_FAILED] = JOB_FAILED,
        [OUTCOME_AGAIN] = JOB_FAILED,        [OUTCOME_CANCELLED] = JOB_CANCELLED,
        [OUTCOME_RETURNED] = JOB_WAITING,    [OUTCOME_LOST] = JOB_FAILED,
    };
    j->ends++;
    j->outcome = end->outcome;
    j->code = end->code;
    j->is_refunded = end->is_refunded;
    j->run_ms = end->run_ms;
    j->end_progress = end->progress;
    snprintf(j->error, sizeof j->error, "%.*s", SLICE_ARGS(end->error));
    snprintf(j->message, sizeof j->message, "%.*s", SLICE_ARGS(end->message));
    buf_clear(&j->result);
    buf_add(&j->result, end->result);
    j->ended_ns = clock_mono_ns();
    j->state = states[end->outcome];
}

bool jobs_set_token(struct db_conn *c, struct slice id, int64_t attempt,
                    const unsigned char token[32], struct err *e)
{
    (void)c, (void)id, (void)attempt, (void)token, (void)e;
    return true;
}

bool jobs_finish(struct jobs *j, struct db_conn *c, struct slice holder, const struct job_end *ends,
                 size_t n, int64_t now_ms, struct arena *a, struct err *e)
{
    (void)j, (void)c, (void)holder, (void)now_ms, (void)a;
    pthread_mutex_lock(&fake.lock);
    bool fine = goes_through(PART_FINISH, NULL, e);
    for (size_t i = 0; fine && i < n; i++)
        end_one(find(ends[i].id, ends[i].attempt), &ends[i]);
    pthread_mutex_unlock(&fake.lock);
    return fine;
}

bool jobs_say(struct db_conn *c, const struct job_said *said, size_t n, int64_t now_ms,
              struct err *e)
{
    (void)c, (void)now_ms;
    pthread_mutex_lock(&fake.lock);
    bool fine = goes_through(PART_SAY, NULL, e);
    for (size_t i = 0; fine && i < n; i++) {
        struct fake_job *j = find(said[i].id, said[i].attempt);
        if (!j->said_ns)
            j->said_ns = clock_mono_ns();
        if (said[i].kind == NOTE_LOG) {
            buf_add(&j->log, said[i].text);
            continue;
        }
        j->steps++;
        j->progress = said[i].progress;
        snprintf(j->message, sizeof j->message, "%.*s", SLICE_ARGS(said[i].text));
    }
    pthread_mutex_unlock(&fake.lock);
    return fine;
}

bool jobs_beat(struct db_conn *c, struct slice holder, struct job_held *held, size_t n,
               bool is_beat, int64_t now_ms, struct err *e)
{
    (void)c, (void)holder, (void)now_ms;
    pthread_mutex_lock(&fake.lock);
    bool fine = goes_through(PART_BEAT, NULL, e);
    for (size_t i = 0; fine && i < n; i++) {
        struct fake_job *j = find(held[i].id, held[i].attempt);
        j->beats += is_beat;
        held[i].is_lost = j->is_stolen;
        held[i].is_cancelled = j->is_cancelled;
    }
    pthread_mutex_unlock(&fake.lock);
    return fine;
}

bool jobs_tend(struct jobs *j, struct db_conn *c, int64_t now_ms, struct jobs_tending *t,
               struct err *e)
{
    (void)j, (void)c, (void)now_ms;
    pthread_mutex_lock(&fake.lock);
    bool fine = goes_through(PART_TEND, NULL, e);
    fake.has_tended_first |= fine && t->is_first && t->holder.len;
    pthread_mutex_unlock(&fake.lock);
    return fine;
}

/* ---- the place ----------------------------------------------------------------------------------
 */

static struct worker_kind kinds[16];
static struct crew_plan plan;
static struct db_options options;
static const struct db_migration no_tables[] = {{0}};
static const char *const env[] = {"PATH=/usr/bin:/bin", "NAMED=yes", NULL};
static struct slice secrets[16];

struct call {
    struct post post;
    void (*fn)(void *arg);
    void *arg;
    _Atomic bool is_done;
};

static void on_call(struct post *p, struct loop *l)
{
    struct call *c = container_of(p, struct call, post);
    (void)l;
    c->fn(c->arg);
    atomic_store(&c->is_done, true);
}

void on_loop(void (*fn)(void *arg), void *arg)
{
    struct call c = {.post.fn = on_call, .fn = fn, .arg = arg};
    loop_post(loops_get(fake.loops, 0), &c.post);
    while (!atomic_load(&c.is_done))
        usleep(100);
}

static void *run_loops(void *arg)
{
    loops_run(arg);
    return NULL;
}

static const char *write_script(const struct fake_type *t)
{
    char path[160];
    snprintf(path, sizeof path, "%s/%s", fake.folder, t->name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(t->script, f);
    fclose(f);
    assert_int_equal(chmod(path, 0755), 0);
    return mem_strdup(path);
}

static void make_kinds(struct fake_type *types, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        kept[i].of = &types[i];
        types[i].conf.run.s = slice_from(types[i].name);
        secrets[i] = slice_from(types[i].secret);
        kinds[i] = (struct worker_kind){.type = &kept[i],
                                        .env = env,
                                        .hidden = &secrets[i],
                                        .n_hidden = types[i].secret != NULL,
                                        .uid = types[i].uid,
                                        .gid = types[i].uid,
                                        .task = types[i].task};
        if (types[i].program)
            kinds[i].program = mem_strdup(types[i].program);
        else if (!types[i].task)
            kinds[i].program = write_script(&types[i]);
    }
    plan = (struct crew_plan){.kinds = kinds, .n = n};
}

static void serve(void *arg)
{
    crew_serve(fake.crew, arg);
}

void fake_start(struct fake_type *types, size_t n)
{
    struct err e;
    signal(SIGPIPE, SIG_IGN);
    fake = (struct fake){.folder = "/tmp/dais-workers-XXXXXX"};
    pthread_mutex_init(&fake.lock, NULL);
    assert_non_null(mkdtemp(fake.folder));
    snprintf(fake.path, sizeof fake.path, "%s/app.db", fake.folder);
    snprintf(fake.runs, sizeof fake.runs, "%s/runs", fake.folder);
    assert_int_equal(mkdir(fake.runs, 0755), 0);
    fake.spawner = spawner_open(&e);
    fake.loops = loops_new(1);
    assert_true(lanes_start(fake.loops, 2, &e));
    options = (struct db_options){.path = fake.path, .migrations = no_tables, .loops = fake.loops};
    fake.slot = db_slot_new(&options);
    fake.workers = workers_new(fake.loops, fake.spawner);
    const struct crew_place place = {.base = fake.folder, .rest = "runs", .is_shared = true};
    fake.crew = crew_new(fake.workers, SLICE("app"), fake.slot, &place);
    make_kinds(types, n);
    assert_int_equal(pthread_create(&fake.thread, NULL, run_loops, fake.loops), 0);
    on_loop(serve, &plan);
}

static _Atomic bool has_stopped;

static void on_stopped(void *user)
{
    (void)user;
    atomic_store(&has_stopped, true);
}

static void stop_crew(void *arg)
{
    (void)arg;
    crew_stop(fake.crew, on_stopped, NULL);
}

static void free_crew(void *arg)
{
    (void)arg;
    crew_free(fake.crew);
    fake.crew = NULL;
}

void fake_end_crew(void)
{
    atomic_store(&has_stopped, false);
    on_loop(stop_crew, NULL);
    wait_until(atomic_load(&has_stopped));
    on_loop(free_crew, NULL);
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *where)
{
    (void)st;
    (void)flag;
    (void)where;
    return remove(path);
}

void fake_stop(void)
{
    if (fake.crew)
        fake_end_crew();
    loops_stop(fake.loops);
    pthread_join(fake.thread, NULL);
    lanes_stop(fake.loops);
    db_slot_free(fake.slot);
    workers_free(fake.workers);
    loops_free(fake.loops);
    spawner_close(fake.spawner);
    assert_int_equal(folders_left(), 0);
    nftw(fake.folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    for (size_t i = 0; i < plan.n; i++)
        free((char *)(uintptr_t)kinds[i].program);
    for (size_t i = 0; i < fake.n; i++) {
        free(fake.jobs[i].input);
        buf_done(&fake.jobs[i].log);
        buf_done(&fake.jobs[i].result);
    }
}

/* ---- what tests do ------------------------------------------------------------------------------
 */

struct fake_job *fake_add_quietly(struct fake_type *t, const char *input)
{
    pthread_mutex_lock(&fake.lock);
    assert_true(fake.n < FAKE_JOBS);
    struct fake_job *j = &fake.jobs[fake.n];
    *j = (struct fake_job){.input = mem_strdup(input), .progress = -1, .end_progress = -1};
    snprintf(j->id, sizeof j->id, "job%016zu", fake.n);
    buf_init(&j->log, 64u << 20);
    buf_init(&j->result, JOB_RESULT_MAX);
    for (size_t i = 0; i < plan.n; i++) {
        if (kept[i].of == t)
            j->type = &kept[i];
    }
    assert_non_null(j->type);
    j->added_ns = clock_mono_ns();
    fake.n++;
    pthread_mutex_unlock(&fake.lock);
    return j;
}

static bool tell(void *arg, struct db_conn *c, struct err *e)
{
    (void)arg;
    (void)e;
    db_tell(c, TOPIC_JOBS);
    return true;
}

void fake_ring(void)
{
    struct err e = {0};
    struct db *db = db_slot_open(fake.slot, &e);
    assert_non_null(db);
    if (!db_write_now(db, tell, NULL, &e))
        fail_msg("%s", e.msg);
    db_slot_leave(fake.slot);
}

struct fake_job *fake_add(struct fake_type *t, const char *input)
{
    struct fake_job *j = fake_add_quietly(t, input);
    fake_ring();
    return j;
}

static bool is_over(const struct fake_job *j)
{
    pthread_mutex_lock(&fake.lock);
    bool over = j->ends > 0;
    pthread_mutex_unlock(&fake.lock);
    return over;
}

void fake_wait(struct fake_job *j)
{
    wait_until(is_over(j));
}

bool fake_log_has(struct fake_job *j, const char *words)
{
    pthread_mutex_lock(&fake.lock);
    bool has = slice_search(buf_slice(&j->log), slice_from(words)) >= 0;
    pthread_mutex_unlock(&fake.lock);
    return has;
}

unsigned fake_steps(const struct fake_job *j)
{
    pthread_mutex_lock(&fake.lock);
    unsigned n = j->steps;
    pthread_mutex_unlock(&fake.lock);
    return n;
}

unsigned fake_writes(void)
{
    pthread_mutex_lock(&fake.lock);
    unsigned n = fake.writes;
    pthread_mutex_unlock(&fake.lock);
    return n;
}

unsigned folders_left(void)
{
    unsigned n = 0;
    DIR *dir = opendir(fake.runs);
    assert_non_null(dir);
    for (struct dirent *it; (it = readdir(dir));)
        n += it->d_name[0] != '.';
    closedir(dir);
    return n;
}

static bool has_text(const char *pid, const char *text)
{
    char path[300], line[4096];
    snprintf(path, sizeof path, "/proc/%s/cmdline", pid);
    FILE *f = fopen(path, "r");
    if (!f)
        return false;
    size_t n = fread(line, 1, sizeof line, f);
    fclose(f);
    return memmem(line, n, text, strlen(text)) != NULL;
}

unsigned processes_with(const char *text)
{
    unsigned n = 0;
    DIR *dir = opendir("/proc");
    assert_non_null(dir);
    for (struct dirent *it; (it = readdir(dir));)
        n += it->d_name[0] >= '0' && it->d_name[0] <= '9' && has_text(it->d_name, text);
    closedir(dir);
    return n;
}
