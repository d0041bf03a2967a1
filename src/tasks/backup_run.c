/* backup.run: known by name, so that `dais check` can say when it comes. */
#include "tasks/tasks_impl.h"

static bool not_yet(struct err *e)
{
    return err_set(e, ERR_NOT_IMPLEMENTED,
                   "backup.run comes with `backups`, which are not served yet; remove the job.");
}

static bool run(void *user, struct task_call *t, struct err *e)
{
    (void)user;
    (void)t;
    return not_yet(e);
}

static bool check(const struct pairs *with, const struct manifest *m, struct err *e)
{
    (void)with;
    (void)m;
    return not_yet(e);
}

const struct task task_backup_run = {.name = "backup.run", .run = run, .check = check};
