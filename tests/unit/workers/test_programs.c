/* Programs of jobs, good and hostile: each ends as it should, leaves no process and no folder. */
#include "fake_queue.h"

#include <sys/stat.h>
#include <unistd.h>

#define RUN(id, text, ...) static struct fake_type id = {.name = #id, .script = text, ##__VA_ARGS__}

/* Alone, to its end; `marker` is in the command line of whatever it starts. */
static struct fake_job *run_alone(struct fake_type *t, const char *input)
{
    fake_start(t, 1);
    struct fake_job *j = fake_add(t, input);
    fake_wait(j);
    assert_int_equal(folders_left(), 0); /* before anybody hears of the end */
    assert_int_equal(processes_with(fake.folder), 0);
    fake_end_crew();
    return j;
}

static void expect(const struct fake_job *j, enum job_outcome outcome, enum job_error code,
                   const char *words)
{
    if (j->outcome != outcome || j->code != code || !strstr(j->error, words))
        fail_msg("not that but outcome %d, code %d: %s", j->outcome, j->code, j->error);
    assert_int_equal(j->ends, 1);
}

/* ---- well behaved -------------------------------------------------------------------------------
 */

RUN(good, "#!/bin/sh\n"
          "read input\n"
          "echo '{\"progress\":0.5,\"message\":\"half\"}'\n"
          "echo to the log >&2\n"
          "echo '{\"result\":{\"input\":'\"$input\"',\"id\":\"'$DAIS_JOB_ID'\"}}'\n"
          "echo '{\"progress\":1}'\n");
static void test_input_progress_log_and_result(void **state)
{
    (void)state;
    struct fake_job *j = run_alone(&good, "{\"a\":1}");
    expect(j, OUTCOME_SUCCEEDED, JOB_ERROR_NONE, "");
    assert_true(
        slice_is(buf_slice(&j->result), "{\"input\":{\"a\":1},\"id\":\"job0000000000000000\"}"));
    assert_int_equal(j->progress, 1000000);
    assert_int_equal(j->end_progress, 1000000);
    assert_string_equal(j->message, "half");
    assert_true(slice_is(buf_slice(&j->log), "to the log\n"));
    fake_stop();
}

RUN(surroundings,
    "#!/bin/sh\n"
    "pwd >&2; env | sed 's/=.*//' | sort | tr '\\n' ' ' >&2\n"
    "test \"$HOME\" = \"$(pwd)\" && test \"$TMPDIR\" = \"$(pwd)\" && echo same >&2\n"
    "case $DAIS_TOKEN in djt_*) echo ${#DAIS_TOKEN} characters >&2;; esac\n"
    "echo $DAIS_TOKEN >&2; echo sesame-open >&2\n"
    "mkdir -p a/b/c; echo x > a/b/c/d; chmod 000 a/b/c; chmod 000 a\n",
    .secret = "sesame-open");
static void test_its_folder_and_environment(void **state)
{
    (void)state;
    struct fake_job *j = run_alone(&surroundings, "null");
    expect(j, OUTCOME_SUCCEEDED, JOB_ERROR_NONE, "");
    assert_int_equal(j->result.len, 0);
    assert_true(fake_log_has(j, fake.runs));
    assert_true(fake_log_has(j, "DAIS_JOB_ID DAIS_TOKEN HOME NAMED PATH PWD TMPDIR "));
    assert_true(fake_log_has(j, "same\n47 characters\n***\n***\n"));
    assert_false(fake_log_has(j, "sesame"));
    fake_stop();
}

RUN(again, "#!/bin/sh\nexit 75\n");
RUN(failing, "#!/bin/sh\necho first >&2\necho 'no such video' >&2\nexit 3\n");
RUN(crashing, "#!/bin/sh\nkill -SEGV $$\n");
static void test_exit_codes(void **state)
{
    (void)state;
    expect(run_alone(&again, "1"), OUTCOME_AGAIN, JOB_ERROR_AGAIN, "exit code 75");
    fake_stop();
    expect(run_alone(&failing, "1"), OUTCOME_FAILED, JOB_ERROR_EXIT, "exit code 3: no such video");
    fake_stop();
    struct fake_job *j = run_alone(&crashing, "1");
    expect(j, OUTCOME_AGAIN, JOB_ERROR_SIGNAL, "signal 11");
    assert_true(j->is_refunded);
    fake_stop();
}

/* ---- that cannot be started ---------------------------------------------------------------------
 */

RUN(missing, NULL, .program = "/nonexistent/program");
RUN(not_executable, NULL, .program = "/etc/passwd");
RUN(bad_interpreter, "#!/nonexistent/interpreter\n");
RUN(no_interpreter, "echo hello\n");
static void test_programs_that_cannot_be_started(void **state)
{
    (void)state;
    struct fake_job *j = run_alone(&missing, "1");
    expect(j, OUTCOME_FAILED, JOB_ERROR_START, "There is no program missing.");
    assert_true(j->is_refunded);
    assert_null(strstr(j->error, "nonexistent"));
    fake_stop();
    expect(run_alone(&not_executable, "1"), OUTCOME_FAILED, JOB_ERROR_START, "may not be executed");
    fake_stop();
    expect(run_alone(&bad_interpreter, "1"), OUTCOME_FAILED, JOB_ERROR_START,
           "The interpreter named in the first line of bad_interpreter is not there.");
    fake_stop();
    expect(run_alone(&no_interpreter, "1"), OUTCOME_FAILED, JOB_ERROR_START, "begin it with #!");
    fake_stop();
}

/* ---- that print ---------------------------------------------------------------------------------
 */

RUN(flood, "#!/bin/sh\nhead -c 1000000000 /dev/zero\n", .conf.limits.output_bytes = 20 << 20);
RUN(flood_of_lines,
    "#!/bin/sh\nyes some line of text that is said again and again | head -c 1000000000\n",
    .conf.limits.output_bytes = 20 << 20);
static void test_a_gigabyte(void **state)
{
    (void)state;
    struct fake_job *j = run_alone(&flood, "1");
    expect(j, OUTCOME_FAILED, JOB_ERROR_OUTPUT, "printed more than it may (20MB)");
    fake_stop();
    j = run_alone(&flood_of_lines, "1");
    expect(j, OUTCOME_FAILED, JOB_ERROR_OUTPUT, "printed more than it may (20MB)");
    fake_stop();
}

RUN(endless_line, "#!/bin/sh\nhead -c 10000000 /dev/zero | tr '\\0' x\n");
RUN(zeros, "#!/bin/sh\nhead -c 5000000 /dev/zero >&2; echo; head -c 300 /dev/urandom\n");
RUN(nonsense, "#!/bin/sh\n"
              "echo '{\"progress\":\"much\"}'; echo '{\"progress\":7}'; echo '{nothing'\n"
              "echo '[1]'; echo '{\"other\":1}'; printf '{\"progress\":0.25}'\n");
static void test_lines_that_are_none(void **state)
{
    (void)state;
    struct fake_job *j = run_alone(&endless_line, "1");
    expect(j, OUTCOME_SUCCEEDED, JOB_ERROR_NONE, "");
    assert_true(fake_log_has(j, "xxxxx"));
    fake_stop();
    expect(run_alone(&zeros, "1"), OUTCOME_SUCCEEDED, JOB_ERROR_NONE, "");
    fake_stop();
    j = run_alone(&nonsense, "1");
    assert_true(
        slice_is(buf_slice(&j->log), "{\"progress\":\"much\"}\n{nothing\n[1]\n{\"other\":1}\n"));
    assert_int_equal(j->end_progress, 250000); /* the last line has no end */
    fake_stop();
}

RUN(large_result, "#!/bin/sh\n"
                  "printf '{\"result\":\"'; head -c 1100000 /dev/zero | tr '\\0' x; echo '\"}'\n");
static void test_a_result_that_is_too_large(void **state)
{
    (void)state;
    expect(run_alone(&large_result, "1"), OUTCOME_FAILED, JOB_ERROR_RESULT, "1024 KB");
    fake_stop();
}

RUN(chatty, "#!/usr/bin/python3\n"
            "import sys\n"
            "for i in range(20000): print('{\"progress\":%f}' % (i / 20000))\n"
            "print('{\"progress\":0.875,\"message\":\"last\"}')\n");
static void test_steps_are_few_and_the_last_one_comes(void **state)
{
    (void)state;
    struct fake_job *j = run_alone(&chatty, "1");
    assert_int_equal(j->progress, 875000);
    assert_string_equal(j->message, "last");
    assert_in_range(j->steps, 1, 22 + (unsigned)(j->run_ms / 50));
    fake_stop();
}

RUN(deaf, "#!/bin/sh\nexec sleep 0.3\n");
RUN(closes, "#!/bin/sh\nexec 0<&- 1>&- 2>&-\nsleep 0.2\nexit 4\n");
static void test_input_that_nobody_reads(void **state)
{
    static char input[1 << 20];
    (void)state;
    memset(input, 'x', sizeof input - 1);
    input[0] = input[sizeof input - 2] = '"';
    expect(run_alone(&deaf, input), OUTCOME_SUCCEEDED, JOB_ERROR_NONE, "");
    fake_stop();
    expect(run_alone(&closes, input), OUTCOME_FAILED, JOB_ERROR_EXIT, "exit code 4.");
    fake_stop();
}

/* ---- that do not end ----------------------------------------------------------------------------
 */

RUN(for_ever, "#!/bin/sh\nsleep 1000\n", .conf.timeout_ms = 300);
RUN(stubborn, "#!/bin/sh\ntrap '' TERM INT HUP\nwhile :; do sleep 0.1; done\n",
    .conf.timeout_ms = 300);

#define TRIES 8 /* others use this machine, too */

static int64_t run_too_long(struct fake_type *t)
{
    struct fake_job *j = run_alone(t, "1");
    expect(j, OUTCOME_FAILED, JOB_ERROR_TIMEOUT, "(300 ms)");
    int64_t took = j->run_ms;
    assert_true(took >= 300);
    fake_stop();
    return took;
}

static void test_programs_that_run_for_ever(void **state)
{
    int64_t took = 0;
    (void)state;
    for (int i = 0; i < TRIES && (took == 0 || took > 1700); i++)
        took = run_too_long(&for_ever);
    assert_in_range(took, 300, 1700); /* SIGTERM is enough */
    took = 0;
    for (int i = 0; i < TRIES && (took < 1800 || took > 4000); i++)
        took = run_too_long(&stubborn); /* sooner only if it was not deaf yet */
    assert_in_range(took, 1800, 4000);
}

RUN(detached,
    "#!/bin/sh\n"
    "setsid sh -c 'trap \"\" TERM; while :; do sleep 0.1; done # '$(pwd) >/dev/null 2>&1 &\n"
    "setsid -f sh -c 'sleep 1000 # '$(pwd)\n"
    "echo '{\"result\":1}'\n");
static void test_programs_that_detach(void **state)
{
    (void)state;
    struct fake_job *j = run_alone(&detached, "1");
    expect(j, OUTCOME_SUCCEEDED, JOB_ERROR_NONE, "");
    assert_true(slice_is(buf_slice(&j->result), "1"));
    fake_stop();
}

RUN(cancelled, "#!/bin/sh\nsleep 1000 & sleep 1000\n");
static int64_t cancel_it(void)
{
    fake_start(&cancelled, 1);
    struct fake_job *j = fake_add(&cancelled, "1");
    wait_until(folders_left() == 1);
    pthread_mutex_lock(&fake.lock);
    j->is_cancelled = true;
    pthread_mutex_unlock(&fake.lock);
    int64_t began = clock_mono_ms();
    fake_ring();
    fake_wait(j);
    int64_t took = clock_mono_ms() - began;
    expect(j, OUTCOME_CANCELLED, JOB_ERROR_NONE, "");
    assert_false(j->is_refunded);
    fake_stop();
    return took;
}

static void test_cancelling(void **state)
{
    int64_t took = INT64_MAX;
    (void)state;
    for (int i = 0; i < TRIES && took > 1000; i++)
        took = cancel_it();
    assert_in_range(took, 0, 1000);
}

/* ---- that take too much -------------------------------------------------------------------------
 */

RUN(fills,
    "#!/bin/sh\nmkdir deep; while :; do head -c 1000000 /dev/zero > deep/$$.$(date +%N); done\n",
    .conf.limits.files_bytes = 20 << 20);
RUN(one_file, "#!/bin/sh\ncat /dev/zero > all\n", .conf.limits.files_bytes = 20 << 20);
RUN(memory, "#!/usr/bin/python3\nimport time\nx = b'x' * 300000000\ntime.sleep(1000)\n",
    .conf.limits.memory_bytes = 100 << 20);
RUN(processor, "#!/bin/sh\nwhile :; do :; done\n", .conf.limits.cpu_ms = 1000);
static void test_limits(void **state)
{
    (void)state;
    expect(run_alone(&fills, "1"), OUTCOME_FAILED, JOB_ERROR_FILES, "(20MB)");
    fake_stop();
    expect(run_alone(&one_file, "1"), OUTCOME_FAILED, JOB_ERROR_FILES, "(20MB)");
    fake_stop();
    expect(run_alone(&memory, "1"), OUTCOME_FAILED, JOB_ERROR_MEMORY, "(100MB)");
    fake_stop();
    expect(run_alone(&processor, "1"), OUTCOME_FAILED, JOB_ERROR_CPU, "(1 s)");
    fake_stop();
}

RUN(deep, "#!/usr/bin/python3\n"
          "import os\n"
          "for i in range(100):\n"
          "    os.mkdir(f'.dais-deep-{i}'); open(f'.dais-deep-{i}/f', 'w').close()\n"
          "    os.makedirs(f'{i}' + '/x' * 45)\n"
          "for i in range(3000):\n"
          "    os.mkdir('d'); open('f', 'w').close(); os.chdir('d')\n");
static void test_a_folder_of_great_depth(void **state)
{
    (void)state;
    expect(run_alone(&deep, "1"), OUTCOME_SUCCEEDED, JOB_ERROR_NONE, "");
    fake_stop();
}

#define T(name) cmocka_unit_test(name)
TESTS(T(test_input_progress_log_and_result), T(test_its_folder_and_environment), T(test_exit_codes),
      T(test_programs_that_cannot_be_started), T(test_a_gigabyte), T(test_lines_that_are_none),
      T(test_a_result_that_is_too_large), T(test_steps_are_few_and_the_last_one_comes),
      T(test_input_that_nobody_reads), T(test_programs_that_run_for_ever),
      T(test_programs_that_detach), T(test_cancelling), T(test_limits),
      T(test_a_folder_of_great_depth))
