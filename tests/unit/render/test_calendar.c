/* Schedules of cron as systemd says them. That both elapse at the same times is tested with systemd
 * itself (tests/e2e/test_render_machine.py). */
#include "render/render_impl.h"
#include "unit.h"

#include <stdio.h>

static const struct {
    const char *cron, *first, *second; /* NULL: there is none */
} rows[] = {
    {"0 3 * * *", "*-*-* 03:00:00 UTC", NULL},
    {"* * * * *", "*-*-* *:*:00 UTC", NULL},
    {"*/15 * * * *", "*-*-* *:00/15:00 UTC", NULL},
    {"5/20 * * * *", "*-*-* *:05/20:00 UTC", NULL},
    {"*/7 * * * *", "*-*-* *:00/7:00 UTC", NULL},
    {"10-50/20 * * * *", "*-*-* *:10/20:00 UTC", NULL},
    {"10-40/20 * * * *", "*-*-* *:10,30:00 UTC", NULL},
    {"0-4 0,12 * * *", "*-*-* 00,12:00..04:00 UTC", NULL},
    {"0,1,30,31,32 6 * * *", "*-*-* 06:00,01,30..32:00 UTC", NULL},
    {"0 0-23 * * *", "*-*-* *:00:00 UTC", NULL},
    {"0 */2 * * *", "*-*-* 00/2:00:00 UTC", NULL},
    {"30 4 1 * *", "*-*-01 04:30:00 UTC", NULL},
    {"30 4 */2 * *", "*-*-01/2 04:30:00 UTC", NULL},
    {"0 0 1 1-3,6,12 *", "*-01..03,06,12-01 00:00:00 UTC", NULL},
    {"0 0 * * 0", "Sun *-*-* 00:00:00 UTC", NULL},
    {"0 0 * * 7", "Sun *-*-* 00:00:00 UTC", NULL},
    {"0 0 * * 0,6", "Sat,Sun *-*-* 00:00:00 UTC", NULL},
    {"0 0 * * 1-5", "Mon..Fri *-*-* 00:00:00 UTC", NULL},
    {"0 0 * * 0-3", "Mon..Wed,Sun *-*-* 00:00:00 UTC", NULL},
    {"0 0 * * 1-7", "*-*-* 00:00:00 UTC", NULL},
    {"0 0 * * */2", "Tue,Thu,Sat,Sun *-*-* 00:00:00 UTC", NULL},
    /* either of two days */
    {"0 0 1,15 * 1", "*-*-01,15 00:00:00 UTC", "Mon *-*-* 00:00:00 UTC"},
    {"0 0 30 2 1", "Mon *-02-* 00:00:00 UTC", NULL},
    /* both of them: a field that begins with `*` restricts, but does not add */
    {"0 0 */10 * 1", "Mon *-*-01/10 00:00:00 UTC", NULL},
    {"0 0 13 * */5", "Fri,Sun *-*-13 00:00:00 UTC", NULL},
    {"  0   3 * *    * ", "*-*-* 03:00:00 UTC", NULL},
    {"0 0 29 2 *", "*-02-29 00:00:00 UTC", NULL},
    /* never, or no schedule at all */
    {"0 0 30 2 *", NULL, NULL},
    {"0 0 31 4,6,9,11 *", NULL, NULL},
    {"off", NULL, NULL},
    {"", NULL, NULL},
    {"0 3 * *", NULL, NULL},
    {"0 3 * * * *", NULL, NULL},
    {"60 3 * * *", NULL, NULL},
    {"0 24 * * *", NULL, NULL},
    {"0 0 0 * *", NULL, NULL},
    {"0 0 * 13 *", NULL, NULL},
    {"0 0 * * 8", NULL, NULL},
    {"5-3 0 * * *", NULL, NULL},
    {"*/0 0 * * *", NULL, NULL},
    {"/5 0 * * *", NULL, NULL},
    {"- 0 * * *", NULL, NULL},
    {"1- 0 * * *", NULL, NULL},
    {"*-5 0 * * *", NULL, NULL},
    {"1,,2 0 * * *", NULL, NULL},
    {"99999999999999999999 0 * * *", NULL, NULL},
    {"*/99999999999999999999 0 * * *", NULL, NULL},
    {"jan 0 * * *", NULL, NULL}, /* the manifest takes numbers only */
};

static void test_rows(void **state)
{
    struct arena a;
    (void)state;
    arena_init(&a, 1u << 20);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct slice got[CALENDARS_MAX] = {0};
        const char *want[CALENDARS_MAX] = {rows[i].first, rows[i].second};
        size_t n = cron_calendars(slice_from(rows[i].cron), &a, got);
        size_t n_want = want[1] ? 2 : want[0] ? 1 : 0;
        if (n != n_want)
            fail_msg("\"%s\" gave %zu expressions, not %zu", rows[i].cron, n, n_want);
        for (size_t k = 0; k < n && k < CALENDARS_MAX; k++) {
            if (!slice_is(got[k], want[k]))
                fail_msg("\"%s\" became \"%.*s\", not \"%s\"", rows[i].cron, SLICE_ARGS(got[k]),
                         want[k]);
        }
    }
    arena_done(&a);
}

TESTS(cmocka_unit_test(test_rows))
