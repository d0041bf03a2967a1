/* All tasks there are, by name. */
#include "tasks/tasks_impl.h"

static const struct task *const tasks[] = {
    &task_nothing,   &task_http_call,  &task_mail_send,
    &task_prune_run, &task_export_run, &task_backup_run,
};
const char task_names[] = "nothing, http.call, mail.send, prune.run, export.run, backup.run";

const struct task *task_find(struct slice name)
{
    for (size_t i = 0; i < sizeof tasks / sizeof *tasks; i++) {
        if (slice_is(name, tasks[i]->name))
            return tasks[i];
    }
    return NULL;
}
