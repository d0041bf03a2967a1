/* prune.run: what is too old goes now, and not only when somebody looks for it once a day. */
#include "base/clock.h"
#include "journal/journal.h"
#include "tasks/tasks_impl.h"

#define ROWS 500 /* of one write: others come in between */

struct pruning {
    const struct task_place *place;
    int64_t n;
    bool has_more;
};

static bool prune_jobs(void *arg, struct db_conn *c, struct err *e)
{
    struct pruning *p = arg;
    p->n = 0;
    p->has_more = false;
    return !p->place->jobs ||
           jobs_prune(p->place->jobs, c, clock_wall_ms(), &p->n, &p->has_more, e);
}

static bool prune_events(void *arg, struct db_conn *c, struct err *e)
{
    struct pruning *p = arg;
    bool fine = events_prune(c, clock_wall_ms(), ROWS, &p->n, e);
    p->has_more = p->n == ROWS;
    return fine;
}

static bool prune_answers(void *arg, struct db_conn *c, struct err *e)
{
    struct pruning *p = arg;
    bool fine = once_prune(c, clock_wall_ms(), ROWS, &p->n, e);
    p->has_more = p->n == ROWS;
    return fine;
}

static const struct {
    const char *name;
    bool (*run)(void *arg, struct db_conn *c, struct err *e);
} parts[] = {{"jobs", prune_jobs}, {"events", prune_events}, {"answers", prune_answers}};

static bool prune(const struct task_place *place, struct task_call *t, struct db *db, size_t part,
                  int64_t *ret_n, struct err *e)
{
    struct pruning p = {.place = place};
    *ret_n = 0;
    do {
        if (t->should_stop && t->should_stop(t))
            return err_set(e, ERR_UNAVAILABLE, "Pruning was ended.");
        if (!db_write_now(db, parts[part].run, &p, e))
            return false;
        *ret_n += p.n;
    } while (p.has_more);
    return true;
}

static bool run(void *user, struct task_call *t, struct err *e)
{
    const struct task_place *place = user;
    const size_t all = sizeof parts / sizeof *parts;
    int64_t n = 0;
    struct db *db = db_slot_open(place->slot, e);
    if (!db)
        return false;
    bool fine = true;
    for (size_t i = 0; fine && i < all; i++) {
        fine = prune(place, t, db, i, &n, e);
        buf_printf(t->result, "%s\"%s\":%lld", i ? "," : "{", parts[i].name, (long long)n);
    }
    buf_add_char(t->result, '}');
    db_slot_leave(place->slot);
    return fine;
}

static bool check(const struct pairs *with, const struct manifest *m, struct err *e)
{
    (void)m;
    return with_check(with, "", e);
}

const struct task task_prune_run = {.name = "prune.run", .run = run, .check = check};
