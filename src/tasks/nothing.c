/* nothing: succeeds at once, without a result. For measuring, and as a place where chains meet. */
#include "tasks/tasks_impl.h"

static bool run(void *user, struct task_call *t, struct err *e)
{
    (void)user;
    (void)t;
    (void)e;
    return true;
}

static bool check(const struct pairs *with, const struct manifest *m, struct err *e)
{
    (void)m;
    return with_check(with, "", e);
}

const struct task task_nothing = {
    .name = "nothing", .run = run, .check = check, .is_instant = true};
