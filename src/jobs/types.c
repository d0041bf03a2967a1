/* An app's types of jobs, compiled from its manifest; being in their database; who sees a row. */
#include "jobs/jobs_impl.h"

#include "base/file.h"

#include <stdio.h>
#include <stdlib.h>

#define JOBS_BYTES   (64u << 20)
#define SCHEMA_BYTES (1u << 20)

/* ---- compiling ------------------------------------------------------------------------------- */

static bool load_schema(void *user, struct slice path, struct slice *ret_text, struct err *e)
{
    struct jobs *j = user;
    struct buf b;
    buf_init(&b, SCHEMA_BYTES);
    struct slice whole =
        arena_printf(&j->arena, "%.*s/%.*s", SLICE_ARGS(j->manifest->dir), SLICE_ARGS(path));
    bool fine = file_read(whole.ptr, &b);
    if (!fine)
        err_set_sys(e, ERR_NOT_FOUND, "%.*s cannot be read", SLICE_ARGS(path));
    else
        *ret_text = arena_dup(&j->arena, buf_slice(&b));
    buf_done(&b);
    return fine;
}

static bool is_told(const struct problems *p, struct slice file, struct pos pos)
{
    for (size_t i = 0; i < p->n; i++) {
        const struct problem *one = &p->items[i];
        if (one->kind == PROBLEM_ERROR && one->pos.line == pos.line && one->pos.col == pos.col &&
            slice_eq(one->file, file))
            return true;
    }
    return false;
}

/* What dais does itself, with the app's rights, is an operator's to start. */
static bool compile_policy(struct job_type *t, const struct text **ret_text, struct err *e)
{
    struct rules *rules = arena_new(&t->jobs->arena, struct rules); /* *ret_text is one of them */
    *rules = t->conf->rules;
    if (t->conf->use.s.len && !rules->run.s.len)
        rules->run.s = SLICE("operator");
    if (!policy_compile(&t->policy, &t->jobs->arena, rules, true, ret_text, e))
        return false;
    t->policy.name = t->name;
    return true;
}

static void compile(struct jobs *j, struct job_type *t, struct problems *p)
{
    const struct schema_loader loader = {.load = load_schema, .user = j};
    const struct text *wrong = &t->conf->name, *input = &t->conf->input;
    const struct quota *q = &t->conf->quota;
    struct err e;
    t->name = t->conf->name.s;
    t->has_quota = q->runs >= 0 || q->minutes >= 0;
    t->is_quota_per_app = slice_is(q->per.s, "app");
    if (!compile_policy(t, &wrong, &e) || !cache_compile(t, &j->arena, &wrong, &e))
        problems_add(p, PROBLEM_ERROR, j->manifest->file, wrong->pos, "%s", e.msg);
    if (input->s.len)
        t->schema = schema_compile(&j->arena, input->s, &loader, &e);
    if (input->s.len && !t->schema && !is_told(p, j->manifest->file, input->pos))
        problems_add(p, PROBLEM_ERROR, j->manifest->file, input->pos, "%s", e.msg);
}

static void compile_orphans(struct jobs *j)
{
    static const struct rules none;
    const struct text *wrong;
    struct err e;
    must(policy_compile(&j->orphans, &j->arena, &none, true, &wrong, &e));
}

struct jobs *jobs_new(const struct manifest *m, struct problems *p)
{
    struct jobs *j = mem_new(struct jobs);
    j->manifest = m;
    arena_init(&j->arena, JOBS_BYTES);
    map_init(&j->by_name);
    pthread_mutex_init(&j->lock, NULL);
    atomic_store(&j->must_look_at_clock, true);
    compile_orphans(j);
    j->n_types = m->jobs.n;
    j->types = arena_zalloc(&j->arena, j->n_types * sizeof *j->types);
    for (size_t i = 0; i < j->n_types; i++) {
        struct job_type *t = &j->types[i];
        *t = (struct job_type){.conf = &m->jobs.items[i], .jobs = j, .index = i};
        compile(j, t, p);
        map_put(&j->by_name, t->name, t);
    }
    triggers_compile(j, p);
    return j;
}

void jobs_attach(struct jobs *j, struct db_slot *slot)
{
    j->slot = slot;
}

void jobs_guard(struct jobs *j, jobs_is_in is_in)
{
    j->is_in = is_in;
}

void jobs_on_broken(struct jobs *j, jobs_broken tell, void *user)
{
    j->broken = tell;
    j->broken_user = user;
}

void jobs_tell_broken(const struct jobs *j, const struct job_row *row)
{
    enum job_error code = row->error_code;
    const struct job_type *t = job_type_find(j, row->type);
    bool is_broken = code == JOB_ERROR_START || code == JOB_ERROR_LOST || code == JOB_ERROR_LOOP;
    is_broken |= t && t->conf->use.s.len && code != JOB_ERROR_AFTER && code != JOB_ERROR_QUOTA;
    if (j->broken && is_broken && row->state == JOB_FAILED)
        j->broken(j->broken_user, row);
}

void jobs_free(struct jobs *j)
{
    if (!j)
        return;
    map_done(&j->by_name);
    pthread_mutex_destroy(&j->lock);
    arena_done(&j->arena);
    free(j);
}

/* ---- types ----------------------------------------------------------------------------------- */

const struct job_type *job_type_find(const struct jobs *j, struct slice name)
{
    return map_find(&j->by_name, name);
}

size_t job_type_count(const struct jobs *j)
{
    return j->n_types;
}

const struct job_type *job_type_at(const struct jobs *j, size_t i)
{
    return &j->types[i];
}

const struct job *job_type_conf(const struct job_type *t)
{
    return t->conf;
}

const struct schema *job_type_schema(const struct job_type *t)
{
    return t->schema;
}

/* ---- being in the database ------------------------------------------------------------------- */

bool jobs_enter(struct jobs *j)
{
    struct db *db = db_slot_enter(j->slot);
    if (db)
        atomic_store(&j->db, db);
    return db != NULL;
}

bool jobs_open(struct jobs *j, struct err *e)
{
    struct db *db = db_slot_open(j->slot, e);
    if (db)
        atomic_store(&j->db, db);
    return db != NULL;
}

void jobs_leave(struct jobs *j)
{
    db_slot_leave(j->slot);
}

void jobs_leave_quietly(struct jobs *j)
{
    db_slot_leave_quietly(j->slot);
}

struct db *jobs_db(const struct jobs *j)
{
    return atomic_load(&j->db);
}

struct db_slot *jobs_slot(const struct jobs *j)
{
    return j->slot;
}

/* ---- who sees a row -------------------------------------------------------------------------- */

/* Others without a session are no rows. */
bool jobs_still_in(const struct jobs *j, const struct subject *who, struct db_conn *c,
                   struct err *e)
{
    const struct identity *it = who->who;
    bool is_asked = it && (it->is_signed_in || it->is_of_job) && it->session.len;
    return !j->is_in || !is_asked || j->is_in(c, it, e);
}

const struct policy *job_policy(const struct jobs *j, struct slice type)
{
    const struct job_type *t = job_type_find(j, type);
    return t ? &t->policy : &j->orphans;
}

static struct json string_of(struct slice s)
{
    return (struct json){.type = JSON_STRING, .len = (uint32_t)s.len, .ptr = s.ptr ? s.ptr : ""};
}

/* The job as a document, as a parser would leave it: a list asks it of each row. */
bool job_matches(const struct query *rows, const struct job_row *row)
{
    char created[RFC3339_LEN + 1], priority[16];
    if (rows->kind == QUERY_TRUE)
        return true;
    struct json owner = row->owner.len ? string_of(row->owner) : (struct json){.type = JSON_NULL};
    int n = snprintf(priority, sizeof priority, "%d", (int)row->priority);
    clock_rfc3339(row->created_ms, created);
    const struct json tape[] = {
        {.type = JSON_OBJECT, .len = 6, .span = 13},
        string_of(SLICE("id")),
        string_of(row->id),
        string_of(SLICE("type")),
        string_of(row->type),
        string_of(SLICE("owner")),
        owner,
        string_of(SLICE("state")),
        string_of(slice_from(job_state_name(row->state))),
        string_of(SLICE("priority")),
        {.type = JSON_NUMBER, .len = (uint32_t)n, .ptr = priority},
        string_of(SLICE("created")),
        string_of(slice_from(created)),
    };
    return authorize_row(rows, tape);
}

bool job_may_read(const struct jobs *j, const struct subject *who, const struct job_row *row,
                  struct arena *a)
{
    const struct query *rows;
    struct err e;
    return authorize(who, job_policy(j, row->type), ACTION_READ, a, &rows, &e) &&
           job_matches(rows, row);
}
