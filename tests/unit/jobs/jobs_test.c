/* What tests of jobs share. */
#include "jobs_test.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct rig rig;
struct err err;
static int64_t retry_ms;

bool is_postgres(void)
{
    return getenv("DAIS_TEST_DATABASE") != NULL;
}

void rig_start(const char *manifest)
{
    static int n_made;
    struct problems p;
    rig = (struct rig){0};
    arena_init(&rig.a, 1u << 30);
    problems_init(&p, &rig.a);
    rig.manifest = manifest_parse(&rig.a, slice_from(manifest), "dais.yaml", &p);
    assert_non_null(rig.manifest);
    rig.jobs = jobs_new(rig.manifest, &p);
    for (size_t i = 0; i < p.n; i++) {
        if (p.items[i].kind == PROBLEM_ERROR)
            fail_msg("%.*s", SLICE_ARGS(p.items[i].text));
    }
    snprintf(rig.folder, sizeof rig.folder, "/tmp/dais-jobs-XXXXXX");
    assert_non_null(mkdtemp(rig.folder));
    snprintf(rig.path, sizeof rig.path, "%s/app.db", rig.folder);
    rig.steps[0] = jobs_migrations[0];
    rig.options = (struct db_options){
        .url = slice_from(getenv("DAIS_TEST_DATABASE")),
        .path = rig.path,
        .schema = arena_printf(&rig.a, "jobs_%d_%d", (int)getpid(), n_made++),
        .read_ms = 120000,
        .migrations = rig.steps,
    };
    rig.slot = db_slot_new(&rig.options);
    jobs_attach(rig.jobs, rig.slot);
    OK(jobs_open(rig.jobs, &err));
    rig.now = clock_wall_ms();
    rig_be("ada");
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *where)
{
    (void)st;
    (void)flag;
    (void)where;
    return remove(path);
}

void rig_stop(void)
{
    jobs_leave(rig.jobs);
    jobs_free(rig.jobs);
    db_slot_free(rig.slot);
    nftw(rig.folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    arena_done(&rig.a);
}

void rig_be(const char *user)
{
    struct json_doc doc;
    rig.identity = (struct identity){
        .is_signed_in = *user != 0, .has_every_scope = true, .id = slice_from(user)};
    rig.who = (struct subject){.who = &rig.identity};
    struct slice text = arena_printf(&rig.a, "{\"id\":\"%s\",\"operator\":%s}", user,
                                     strcmp(user, "op") ? "false" : "true");
    rig.identity.is_operator = strcmp(user, "op") == 0;
    assert_true(json_parse(&doc, &rig.a, text, NULL, &err));
    if (*user)
        rig.who.context.user = json_root(&doc);
}

/* ---- writing and reading --------------------------------------------------------------------- */

struct waiting {
    struct db_write write;
    bool (*run)(void *arg, struct db_conn *c, struct err *e);
    void *arg;
    struct err *e;
    pthread_mutex_t lock;
    pthread_cond_t cond;
    bool is_done, is_fine;
};

static bool run_waiting(struct db_write *w, struct db_conn *c, struct err *e)
{
    struct waiting *x = container_of(w, struct waiting, write);
    return x->run(x->arg, c, e);
}

static void done_waiting(struct db_write *w, const struct err *e)
{
    struct waiting *x = container_of(w, struct waiting, write);
    pthread_mutex_lock(&x->lock);
    x->is_done = true;
    x->is_fine = !e;
    if (e)
        *x->e = *e;
    pthread_cond_signal(&x->cond);
    pthread_mutex_unlock(&x->lock);
}

static bool write_it(bool (*run)(void *arg, struct db_conn *c, struct err *e), void *arg,
                     bool is_loose, struct err *e)
{
    struct waiting x = {
        .write = {.run = run_waiting, .done = done_waiting, .is_loose = is_loose},
        .run = run,
        .arg = arg,
        .e = e,
        .lock = PTHREAD_MUTEX_INITIALIZER,
        .cond = PTHREAD_COND_INITIALIZER,
    };
    assert_true(db_write(jobs_db(rig.jobs), &x.write));
    pthread_mutex_lock(&x.lock);
    while (!x.is_done)
        pthread_cond_wait(&x.cond, &x.lock);
    pthread_mutex_unlock(&x.lock);
    return x.is_fine;
}

bool written(bool (*run)(void *arg, struct db_conn *c, struct err *e), void *arg, struct err *e)
{
    return write_it(run, arg, false, e);
}

bool written_loosely(bool (*run)(void *arg, struct db_conn *c, struct err *e), void *arg,
                     struct err *e)
{
    return write_it(run, arg, true, e);
}

bool read_with(bool (*run)(const struct jobs_reading *r, void *arg), void *arg)
{
    struct db_conn *c = db_conn_take(jobs_db(rig.jobs), &err);
    assert_non_null(c);
    const struct jobs_reading r = {rig.jobs, c, &rig.a, &rig.who, false};
    bool fine = run(&r, arg);
    db_conn_give(c);
    return fine;
}

/* ---- adding ---------------------------------------------------------------------------------- */

struct applying {
    struct job_order *o;
    int64_t now, retry_ms;
};

static bool run_apply(void *arg, struct db_conn *c, struct err *e)
{
    struct applying *x = arg;
    return job_order_apply(x->o, c, x->now, &x->retry_ms, e);
}

static bool make(struct arena *a, const struct subject *who, const struct wish *w,
                 struct job_order *o, struct err *e)
{
    struct json_doc doc;
    struct slice text = slice_from(w->input ? w->input : "null");
    struct slice *after = arena_alloc(a, 4 * sizeof *after);
    *o = (struct job_order){
        .jobs = rig.jobs,
        .type = job_type_find(rig.jobs, S(w->type)),
        .who = who,
        .arena = a,
        .text = text,
        .after = after,
        .delay_ms = w->delay_ms,
        .priority = w->priority,
        .owner = S(w->owner),
        .depth = w->depth,
        .is_trusted = w->is_trusted,
        .may_fail = w->may_fail,
    };
    assert_non_null(o->type);
    assert_true(json_parse(&doc, a, text, NULL, e));
    o->input = json_root(&doc);
    for (; o->n_after < 4 && w->after[o->n_after]; o->n_after++)
        after[o->n_after] = S(w->after[o->n_after]);
    return job_order_check(o, e);
}

bool add_as(const struct subject *who, const struct wish *w, struct err *e)
{
    struct job_order o;
    struct arena a;
    arena_init(&a, 1u << 24);
    struct applying x = {&o, rig.now, 0};
    bool fine =
        make(&a, who, w, &o, e) && (w->is_trusted ? written_loosely : written)(run_apply, &x, e);
    arena_done(&a);
    return fine;
}

const struct job_row *add_wish(const struct wish *w)
{
    struct job_order *o = arena_new(&rig.a, struct job_order);
    struct applying x = {o, rig.now, 0};
    bool fine = make(&rig.a, &rig.who, w, o, &err) && written(run_apply, &x, &err);
    retry_ms = x.retry_ms;
    return fine ? &o->row : NULL;
}

int64_t last_retry_ms(void)
{
    return retry_ms;
}

const char *add(const char *type)
{
    const struct job_row *r = add_wish(&(struct wish){.type = type});
    if (!r)
        fail_msg("%s: %s", type, err.msg);
    return arena_cstr(&rig.a, r->id);
}

/* ---- looking --------------------------------------------------------------------------------- */

struct getting {
    const char *id;
    struct job_row row;
};

static bool run_get(const struct jobs_reading *r, void *arg)
{
    static const struct subject console = {.is_console = true};
    struct getting *g = arg;
    struct jobs_reading own = *r;
    own.who = &console;
    return jobs_get(&own, S(g->id), &g->row, &err);
}

struct job_row row(const char *id)
{
    struct getting g = {.id = id};
    OK(read_with(run_get, &g));
    return g.row;
}

struct counting {
    const char *sql;
    int64_t n;
};

static bool run_count(const struct jobs_reading *r, void *arg)
{
    struct counting *x = arg;
    struct db_stmt *s = db_prepare_text(r->conn, S(x->sql), &err);
    if (!s || db_step(s, &err) != DB_ROW)
        return false;
    x->n = db_i64(s, 0);
    db_reset(s);
    return true;
}

int64_t count_rows(const char *sql)
{
    struct counting x = {sql, 0};
    OK(read_with(run_count, &x));
    return x.n;
}

static bool run_text(void *arg, struct db_conn *c, struct err *e)
{
    struct db_stmt *s = db_prepare_text(c, S(arg), e);
    return s && db_run(s, NULL, e);
}

void run_sql(const char *sql)
{
    OK(written(run_text, (void *)(uintptr_t)sql, &err));
}

struct using
{
    const char *type, *owner;
    struct quota_use use;
};

static bool run_used(const struct jobs_reading *r, void *arg)
{
    struct using *u = arg;
    const struct job_type *t = job_type_find(rig.jobs, S(u->type));
    return quota_read(r->conn, t, S(u->owner), quota_since(t, rig.now), &u->use, &err);
}

struct quota_use used(const char *type, const char *owner)
{
    struct using u = {.type = type, .owner = owner};
    OK(read_with(run_used, &u));
    return u.use;
}

struct listing_them {
    const struct jobs_query *q;
    struct buf text;
};

static bool run_list(const struct jobs_reading *r, void *arg)
{
    struct listing_them *l = arg;
    return jobs_list(r, l->q, &l->text, &err);
}

const struct json *list(const struct jobs_query *q)
{
    struct listing_them l = {.q = q};
    struct json_doc doc;
    buf_init(&l.text, 16u << 20);
    bool fine = read_with(run_list, &l);
    struct slice text = arena_dup(&rig.a, buf_slice(&l.text));
    buf_done(&l.text);
    if (!fine)
        return NULL;
    assert_true(json_parse(&doc, &rig.a, text, NULL, &err));
    return json_root(&doc);
}

/* ---- running --------------------------------------------------------------------------------- */

struct claiming_them {
    struct slice holder;
    struct job_room *rooms;
    size_t n_rooms;
    struct claims out;
};

static bool run_claim(void *arg, struct db_conn *c, struct err *e)
{
    struct claiming_them *x = arg;
    return jobs_claim(rig.jobs, c, x->holder, x->rooms, x->n_rooms, rig.now, &rig.a, x->out.items,
                      256, &x->out.n, &x->out.has_more, e);
}

static struct claims claim_types(const char *holder, const char *type, size_t most)
{
    size_t n = job_type_count(rig.jobs);
    struct claiming_them x = {.holder = S(holder)};
    x.rooms = arena_alloc(&rig.a, n * sizeof *x.rooms);
    x.out.items = arena_alloc(&rig.a, 256 * sizeof *x.out.items);
    for (size_t i = 0; i < n; i++) {
        const struct job_type *t = job_type_at(rig.jobs, i);
        if (!type || slice_is(t->name, type))
            x.rooms[x.n_rooms++] = (struct job_room){t, most};
    }
    OK(written_loosely(run_claim, &x, &err));
    return x.out;
}

struct claims claim(const char *holder, size_t most)
{
    return claim_types(holder, NULL, most);
}

struct claims claim_of(const char *holder, const char *type, size_t most)
{
    return claim_types(holder, type, most);
}

struct job_claim claim_one(const char *holder)
{
    struct claims c = claim(holder, 1);
    assert_true(c.n >= 1);
    return c.items[0];
}

struct finishing {
    struct slice holder;
    const struct job_end *end;
};

static bool run_finish(void *arg, struct db_conn *c, struct err *e)
{
    struct finishing *f = arg;
    return jobs_finish(rig.jobs, c, f->holder, f->end, 1, rig.now, &rig.a, e);
}

void finish_with(const char *holder, const struct job_end *end)
{
    struct finishing f = {S(holder), end};
    OK(written_loosely(run_finish, &f, &err));
}

void finish(const char *holder, const struct job_claim *c, enum job_outcome outcome)
{
    const struct job_end end = {
        .id = c->row.id,
        .attempt = c->row.attempt,
        .outcome = outcome,
        .code = outcome == OUTCOME_FAILED  ? JOB_ERROR_EXIT
                : outcome == OUTCOME_AGAIN ? JOB_ERROR_AGAIN
                                           : JOB_ERROR_NONE,
        .error = outcome == OUTCOME_FAILED ? SLICE("It ended with exit code 1.") : SLICE(""),
        .result = outcome == OUTCOME_SUCCEEDED ? SLICE("{\"n\":1}") : SLICE(""),
        .progress = -1,
        .run_ms = 1000,
    };
    finish_with(holder, &end);
}

void succeed(const char *id)
{
    for (int i = 0; i < 100; i++) {
        struct claims c = claim("s", 1);
        assert_true(c.n > 0);
        bool is_it = false;
        for (size_t k = 0; k < c.n; k++) {
            is_it |= slice_is(c.items[k].row.id, id);
            finish("s", &c.items[k], OUTCOME_SUCCEEDED);
        }
        if (is_it)
            return;
    }
    fail_msg("%s is never claimed", id);
}

struct tending_them {
    struct jobs_tending t;
};

static bool run_tend(void *arg, struct db_conn *c, struct err *e)
{
    struct tending_them *x = arg;
    return jobs_tend(rig.jobs, c, rig.now, &x->t, e);
}

struct jobs_tending tend(const char *holder, bool is_first)
{
    struct tending_them x = {.t = {.holder = S(holder), .is_first = is_first}};
    for (int i = 0; i < 1000; i++) {
        OK(written_loosely(run_tend, &x, &err));
        if (!x.t.has_more)
            return x.t;
    }
    fail_msg("tending has no end");
    return x.t;
}

struct beating {
    struct slice holder;
    struct job_held *held;
};

static bool run_beat(void *arg, struct db_conn *c, struct err *e)
{
    struct beating *b = arg;
    return jobs_beat(c, b->holder, b->held, 1, true, rig.now, e);
}

bool beat(const char *holder, const struct job_claim *c, struct job_held *ret)
{
    *ret = (struct job_held){.id = c->row.id, .attempt = c->row.attempt};
    struct beating b = {S(holder), ret};
    return written_loosely(run_beat, &b, &err);
}

/* ---- acting ---------------------------------------------------------------------------------- */

struct acting {
    struct job_act act;
    bool (*fn)(struct job_act *a, struct db_conn *c, int64_t now_ms, struct err *e);
};

static bool run_act(void *arg, struct db_conn *c, struct err *e)
{
    struct acting *x = arg;
    return x->fn(&x->act, c, rig.now, e);
}

static bool act(const char *id, int64_t ms,
                bool (*fn)(struct job_act *a, struct db_conn *c, int64_t now_ms, struct err *e))
{
    struct acting x = {
        .act = {.jobs = rig.jobs, .who = &rig.who, .arena = &rig.a, .id = S(id), .charge_ms = ms},
        .fn = fn,
    };
    return (fn == jobs_cancel ? written_loosely : written)(run_act, &x, &err);
}

bool cancel(const char *id)
{
    return act(id, 0, jobs_cancel);
}

bool retry(const char *id)
{
    return act(id, 0, jobs_retry);
}

bool charge(const char *id, int64_t ms)
{
    return act(id, ms, jobs_charge);
}
