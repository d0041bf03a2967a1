/* What the manifest takes for `use` is what there is, and the other way round. */
#include "tasks/tasks.h"
#include "unit.h"

static size_t count(struct slice names, char between)
{
    size_t n = 0;
    for (struct slice name; slice_cut(&names, between, &name); n++) {
        name = slice_trim(name);
        const struct task *t = task_find(name);
        if (!t || !slice_is(name, t->name))
            fail_msg("there is no task %.*s", SLICE_ARGS(name));
    }
    return n;
}

static void the_manifest_and_the_tasks_agree(void **unused)
{
    (void)unused;
    assert_int_equal(count(slice_from(job_tasks), ' '), count(slice_from(task_names), ','));
    assert_null(task_find(SLICE("")));
    assert_null(task_find(SLICE("http.cal")));
}

TESTS(cmocka_unit_test(the_manifest_and_the_tasks_agree))
