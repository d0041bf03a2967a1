/* Where runs have their folders, and what else keeps a program or a crew from its work for a
 * moment: what is tidied away, exchanged, being copied, or slow to open. */
#include "fake_queue.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static struct fake_type quick = {.name = "quick", .script = "#!/bin/sh\npwd >&2\n"};
static struct fake_type sleeps = {.name = "sleeps", .script = "#!/bin/sh\nsleep 1000\n"};

/* ---- the place ----------------------------------------------------------------------------------
 */

static struct err said;

static bool can_make(const char *base, const char *rest, bool is_shared)
{
    said = (struct err){0};
    return crew_place_make(&(struct crew_place){.base = base, .rest = rest, .is_shared = is_shared},
                           &said);
}

static unsigned mode_of(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 ? st.st_mode & 0777 : 0;
}

static void test_a_place_is_made_and_left(void **state)
{
    char base[] = "/tmp/dais-place-XXXXXX", path[80], deep[80];
    (void)state;
    assert_non_null(mkdtemp(base));
    snprintf(path, sizeof path, "%s/a", base);
    snprintf(deep, sizeof deep, "%s/a/b", base);
    mode_t before = umask(077);
    assert_true(can_make(base, "a/b", true) && can_make(base, "a/b", true));
    umask(before);
    assert_int_equal(mode_of(path), 0711);
    assert_int_equal(mode_of(deep), 0711);
    assert_int_equal(chmod(path, 0700), 0); /* of one that was killed before it was done */
    assert_true(can_make(base, "a/b", true));
    assert_int_equal(mode_of(path), 0711);
    crew_place_leave(&(struct crew_place){.base = base, .rest = "a/b", .is_shared = true});
    assert_int_equal(access(path, F_OK), -1);
    assert_true(can_make(base, "a/b", false));
    assert_int_equal(mode_of(deep), 0700);
    crew_place_leave(&(struct crew_place){.base = base, .rest = "a/b"});
    assert_int_equal(access(deep, F_OK), -1);
    assert_int_equal(rmdir(path), 0); /* others have things there */
    assert_int_equal(rmdir(base), 0);
    assert_false(can_make(base, "a", true));
    assert_non_null(strstr(said.msg, "No such file or directory"));
}

static void refuses(const char *base, const char *why)
{
    if (can_make(base, "a/b", true) || !strstr(said.msg, why) || !strstr(said.msg, base))
        fail_msg("%s", said.msg);
}

static void test_what_somebody_else_made(void **state)
{
    char base[] = "/tmp/dais-place-XXXXXX", path[80], other[80], in_other[90];
    (void)state;
    assert_non_null(mkdtemp(base));
    snprintf(path, sizeof path, "%s/a", base);
    snprintf(other, sizeof other, "%s/other", base);
    snprintf(in_other, sizeof in_other, "%s/b", other);
    assert_int_equal(mkdir(other, 0711), 0);
    assert_int_equal(symlink(other, path), 0);
    refuses(base, "a is a link; remove it");
    assert_int_equal(access(in_other, F_OK), -1);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mknod(path, S_IFREG | 0600, 0), 0);
    refuses(base, "is no folder");
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkdir(path, 0777) | chmod(path, 0777), 0);
    refuses(base, "may be written to by others");
    if (getuid() == 0) {
        assert_int_equal(chmod(path, 0711) | chown(path, 65534, 65534), 0);
        refuses(base, "belongs to another user");
    }
    assert_int_equal(rmdir(path) | rmdir(other) | rmdir(base), 0);
}

static void test_a_place_that_is_gone_is_made_anew(void **state)
{
    char other[80];
    (void)state;
    fake_start(&quick, 1);
    assert_int_equal(rmdir(fake.runs), 0);
    struct fake_job *j = fake_add(&quick, "0");
    fake_wait(j);
    assert_int_equal(j->outcome, OUTCOME_SUCCEEDED);
    snprintf(other, sizeof other, "%s/other", fake.folder);
    assert_int_equal(mkdir(other, 0755) | rmdir(fake.runs) | symlink(other, fake.runs), 0);
    j = fake_add(&quick, "0");
    fake_wait(j);
    assert_int_equal(j->outcome, OUTCOME_AGAIN);
    assert_int_equal(j->code, JOB_ERROR_START);
    assert_int_equal(unlink(fake.runs) | mkdir(fake.runs, 0711), 0);
    fake_stop();
}

/* ---- programs -----------------------------------------------------------------------------------
 */

static void test_a_program_that_is_being_copied(void **state)
{
    char path[160];
    (void)state;
    fake_start(&quick, 1);
    snprintf(path, sizeof path, "%s/quick", fake.folder);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    struct fake_job *j = fake_add(&quick, "0");
    fake_wait(j);
    assert_int_equal(j->outcome, OUTCOME_AGAIN);
    assert_int_equal(j->code, JOB_ERROR_START);
    assert_non_null(strstr(j->error, "quick is being written to"));
    close(fd);
    j = fake_add(&quick, "0");
    fake_wait(j);
    assert_int_equal(j->outcome, OUTCOME_SUCCEEDED);
    fake_stop();
}

static struct fake_type closed = {.name = "closed", .script = "#!/bin/sh\n", .uid = 65534};
static void test_a_program_that_is_closed_to_its_user(void **state)
{
    char path[160];
    (void)state;
    if (getuid() != 0)
        skip();
    fake_start(&closed, 1);
    snprintf(path, sizeof path, "%s/closed", fake.folder);
    assert_int_equal(chmod(fake.folder, 0755) | chmod(path, 0700), 0);
    struct fake_job *j = fake_add(&closed, "0");
    fake_wait(j);
    assert_int_equal(j->outcome, OUTCOME_FAILED);
    assert_int_equal(j->code, JOB_ERROR_START);
    assert_string_equal(j->error, "closed may not be read and executed by user 65534, as whom jobs "
                                  "run: chmod o+rx it.");
    assert_int_equal(chmod(path, 0644), 0); /* nobody may */
    j = fake_add(&closed, "0");
    fake_wait(j);
    assert_non_null(strstr(j->error, "chmod +x"));
    fake_stop();
}

/* ---- crews --------------------------------------------------------------------------------------
 */

static int64_t stop_while_it_is_opened(void)
{
    fake_opens_slowly(true);
    fake_start(&quick, 1);
    wait_until(fake_is_opening());
    int64_t began = clock_mono_ms();
    fake_end_crew();
    int64_t took = clock_mono_ms() - began;
    fake_opens_slowly(false);
    fake_stop();
    return took;
}

/* The best of some tries: others use this machine, too. */
static void test_stopping_while_the_database_is_opened(void **state)
{
    int64_t took = INT64_MAX;
    (void)state;
    for (int i = 0; i < 5 && took > 8000; i++)
        took = stop_while_it_is_opened();
    assert_in_range(took, 4000, 8000);
}

static struct job_run *only_run(void)
{
    return container_of(fake.crew->runs.next, struct job_run, link);
}

static void test_the_token_of_a_run_that_is_lost(void **state)
{
    struct job_bearer who;
    struct arena a;
    unsigned char token[32];
    (void)state;
    arena_init(&a, 1u << 20);
    fake_start(&sleeps, 1);
    fake_add(&sleeps, "0");
    wait_until(folders_left() == 1);
    memcpy(token, only_run()->token, sizeof token);
    assert_true(crew_knows(fake.crew, token, &a, &who));
    atomic_store(&only_run()->is_lost, true); /* its process goes on */
    assert_false(crew_knows(fake.crew, token, &a, &who));
    fake_stop();
    arena_done(&a);
}

#define T(name) cmocka_unit_test(name)
TESTS(T(test_a_place_is_made_and_left), T(test_what_somebody_else_made),
      T(test_a_place_that_is_gone_is_made_anew), T(test_a_program_that_is_being_copied),
      T(test_a_program_that_is_closed_to_its_user), T(test_stopping_while_the_database_is_opened),
      T(test_the_token_of_a_run_that_is_lost))
