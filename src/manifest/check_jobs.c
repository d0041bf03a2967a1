/* Jobs of a manifest: a program or a task, what starts them, what counts against a quota. */
#include "manifest/check_impl.h"

#include "base/cron.h"
#include "base/nearest.h"

#define report(r, at, ...) problems_add((r)->p, PROBLEM_ERROR, (r)->file, (at), __VA_ARGS__)

#define CHANGES "created updated deleted"
#define ENDS    "succeeded failed cancelled"

static struct pos first_of(const struct texts *list)
{
    return list->n ? list->items[0].pos : (struct pos){0};
}

static struct pos first_key(const struct pairs *map)
{
    return map->n ? map->items[0].key.pos : (struct pos){0};
}

/* ---- a program, or something dais does itself ------------------------------------------------ */

static void check_work(struct reader *r, const struct job *job)
{
    bool runs = job->run.pos.line, uses = job->use.pos.line;
    if (runs && uses)
        report(r, job->use.pos,
               "the job has both `run` (line %u) and `use`; keep `run` for a program of the app, "
               "`use` for what dais does itself",
               job->run.pos.line);
    if (!runs && !uses)
        report(r, job->name.pos,
               "a job needs `run`, a program of the app, or `use`, something dais does itself");
    if (!uses && job->with.n)
        report(r, first_key(&job->with),
               "`with` is what `use` works with; give a program its settings in `env`");
}

/* A task has no process that any of this could be for. */
static void check_task(struct reader *r, const struct job *job)
{
    const struct {
        const char *key;
        struct pos pos;
    } useless[] = {{"packages", first_of(&job->packages)},
                   {"env", first_key(&job->env)},
                   {"limits", job->limits.pos}};
    for (size_t i = 0; !job->run.pos.line && i < sizeof useless / sizeof *useless; i++) {
        if (job->use.pos.line && useless[i].pos.line)
            report(r, useless[i].pos,
                   "`%s` is for a program (`run`), and this job is done by dais itself (`use`); "
                   "remove it",
                   useless[i].key);
    }
}

/* ---- what starts it -------------------------------------------------------------------------- */

static bool has_job(const struct manifest *m, struct slice name, struct nearest *n)
{
    bool found = false;
    for (size_t i = 0; i < m->jobs.n; i++) {
        found |= slice_eq(m->jobs.items[i].name.s, name);
        nearest_offer(n, m->jobs.items[i].name.s);
    }
    return found;
}

static bool has_store(const struct manifest *m, struct slice name, struct nearest *n)
{
    bool found = false;
    for (size_t i = 0; i < m->collections.n; i++) {
        found |= slice_eq(m->collections.items[i].name.s, name);
        nearest_offer(n, m->collections.items[i].name.s);
    }
    for (size_t i = 0; i < m->files.n; i++) {
        found |= slice_eq(m->files.items[i].name.s, name);
        nearest_offer(n, m->files.items[i].name.s);
    }
    return found;
}

/* Of the other sort: `jobs.created` or `charts.succeeded`. */
static void tell_other(struct reader *r, const struct text *on, struct slice name, bool is_job)
{
    report(r, on->pos, "`%.*s` is a %s, and its events are %s; write one of them", SHOWN(name),
           is_job ? "job" : "collection or bucket",
           is_job ? "succeeded, failed and cancelled" : "created, updated and deleted");
}

static void tell_unknown(struct reader *r, const struct text *on, struct slice name, bool is_job,
                         struct slice best)
{
    const char *what = is_job ? "job" : "collection or bucket";
    if (best.len)
        report(r, on->pos, "there is no %s `%.*s`; did you mean `%.*s`?", what, SHOWN(name),
               SHOWN(best));
    else
        report(r, on->pos, "there is no %s `%.*s`; add it to %s", what, SHOWN(name),
               is_job ? "`jobs`" : "`collections` or `files`");
}

static void check_event(struct reader *r, const struct manifest *m, const struct job *job,
                        const struct text *on)
{
    ptrdiff_t dot = slice_rindex(on->s, '.');
    if (dot < 0) /* its form was told */
        return;
    struct slice name = slice_first(on->s, (size_t)dot), verb = slice_skip(on->s, (size_t)dot + 1);
    struct nearest of_jobs = {.typed = name}, of_stores = {.typed = name};
    bool is_job = has_job(m, name, &of_jobs), is_store = has_store(m, name, &of_stores);
    bool is_end = words_have(ENDS, verb);
    if (is_end ? is_store && !is_job : is_job && !is_store)
        tell_other(r, on, name, is_job);
    else if (is_end ? !is_job : !is_store)
        tell_unknown(r, on, name, is_end, is_end ? of_jobs.best : of_stores.best);
    else if (is_end && slice_eq(name, job->name.s))
        report(r, on->pos,
               "`%.*s` would start at its own end, again and again; `retries` tries one again that "
               "failed, `schedule` starts one again later",
               SHOWN(name));
}

static void check_starts(struct reader *r, const struct manifest *m, const struct job *job)
{
    struct cron c;
    for (size_t i = 0; i < job->on.n; i++) {
        check_event(r, m, job, &job->on.items[i]);
        for (size_t k = 0; k < i; k++) {
            if (slice_eq(job->on.items[k].s, job->on.items[i].s))
                report(r, job->on.items[i].pos, "`%.*s` stands here twice; keep one of them",
                       SHOWN(job->on.items[i].s));
        }
    }
    if (job->schedule.s.len && cron_read(job->schedule.s, &c) && !cron_comes(&c))
        report(r, job->schedule.pos, "`schedule` is `%.*s`, a day that never comes; correct it",
               SHOWN(job->schedule.s));
}

/* ---- quotas ---------------------------------------------------------------------------------- */

static void check_quota(struct reader *r, const struct quota *q, bool is_of_job)
{
    if (is_of_job && q->bytes >= 0)
        report(r, q->pos,
               "`bytes` is for the quota of a bucket; a job has `runs`, `minutes` or both");
    if (!is_of_job && (q->runs >= 0 || q->minutes >= 0 || q->window.pos.line))
        report(r, q->pos,
               "`runs`, `minutes` and `window` are for the quota of a job; a bucket has `bytes`");
    if (is_of_job && q->pos.line && q->bytes < 0 && q->runs < 0 && q->minutes < 0)
        report(r, q->pos, "`quota` limits nothing; give it `runs`, `minutes` or both");
}

static void check_rules(struct reader *r, const struct job *job)
{
    const struct {
        const char *key;
        const struct text *rule;
    } useless[] = {
        {"create", &job->rules.create}, {"write", &job->rules.write}, {"delete", &job->rules.del}};
    for (size_t i = 0; i < sizeof useless / sizeof *useless; i++) {
        if (useless[i].rule->pos.line)
            report(r, useless[i].rule->pos,
                   "`%s` means nothing for a job; its rules are `run` and `read`", useless[i].key);
    }
}

void manifest_check_jobs(struct reader *r, struct manifest *m)
{
    for (size_t i = 0; i < m->jobs.n; i++) {
        struct job *job = &m->jobs.items[i];
        if (job->use.pos.line && !job->concurrency.pos.line)
            job->concurrency.total = 0; /* dais's own threads are limit enough */
        check_work(r, job);
        check_task(r, job);
        check_starts(r, m, job);
        check_quota(r, &job->quota, true);
        check_rules(r, job);
    }
    for (size_t i = 0; i < m->files.n; i++)
        check_quota(r, &m->files.items[i].quota, false);
}
