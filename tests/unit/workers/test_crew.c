/* Crews: what they claim and when, that nothing they were told is lost, whatever fails. */
#include "fake_queue.h"

#include "base/sha256.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- tasks --------------------------------------------------------------------------------------
 */

static bool nothing(void *user, struct task_call *t, struct err *e)
{
    (void)user;
    (void)t;
    (void)e;
    return true;
}
static const struct task nothing_task = {.name = "nothing", .run = nothing, .is_instant = true};

static bool echo(void *user, struct task_call *t, struct err *e)
{
    int64_t n;
    (void)user;
    t->say(t, 500000, SLICE("half"));
    if (json_i64(t->input, &n) && n == 1)
        return err_set(e, ERR_UNREACHABLE, "it cannot be reached");
    if (n == 2)
        return err_set(e, ERR_INVALID, "it is not valid");
    for (int i = 0; i < 120000 && n == 3 && !t->should_stop(t); i++)
        usleep(1000);
    if (t->should_stop(t))
        return err_set(e, ERR_TIMEOUT, "stopped");
    buf_printf(t->result, "{\"n\":%lld}", (long long)n);
    return true;
}
static const struct task echo_task = {.name = "echo", .run = echo};

static struct fake_type instant = {.name = "instant", .task = &nothing_task};
static struct fake_type slow = {.name = "slow", .task = &echo_task};

static void test_tasks(void **state)
{
    (void)state;
    fake_start(&slow, 1);
    struct fake_job *fine = fake_add(&slow, "0"), *away = fake_add(&slow, "1"),
                    *wrong = fake_add(&slow, "2");
    fake_wait(fine);
    assert_true(fake.has_tended_first);
    assert_int_equal(fine->outcome, OUTCOME_SUCCEEDED);
    assert_true(slice_is(buf_slice(&fine->result), "{\"n\":0}"));
    assert_int_equal(fine->progress, 500000);
    assert_string_equal(fine->message, "half");
    fake_wait(away);
    assert_int_equal(away->outcome, OUTCOME_AGAIN);
    assert_string_equal(away->error, "it cannot be reached");
    fake_wait(wrong);
    assert_int_equal(wrong->outcome, OUTCOME_FAILED);
    assert_int_equal(wrong->code, JOB_ERROR_TASK);
    fake_stop();
}

static void test_a_task_is_asked_to_stop(void **state)
{
    (void)state;
    fake_start(&slow, 1);
    struct fake_job *j = fake_add(&slow, "3");
    wait_until(fake_steps(j));
    pthread_mutex_lock(&fake.lock);
    j->is_cancelled = true;
    pthread_mutex_unlock(&fake.lock);
    fake_ring();
    fake_wait(j);
    assert_int_equal(j->outcome, OUTCOME_CANCELLED);
    j = fake_add(&slow, "3");
    wait_until(fake_steps(j));
    fake_end_crew();
    assert_int_equal(j->outcome, OUTCOME_RETURNED);
    fake_stop();
}

static _Atomic unsigned n_counted;

static bool count_it(void *user, struct task_call *t, struct err *e)
{
    (void)user, (void)t, (void)e;
    n_counted++;
    return true;
}
static const struct task count_task = {.name = "count", .run = count_it};

static void cancel(struct fake_job *j)
{
    pthread_mutex_lock(&fake.lock);
    j->is_cancelled = true;
    pthread_mutex_unlock(&fake.lock);
    fake_ring();
}

static bool crew_says(const char *words)
{
    struct buf text;
    buf_init(&text, 64u << 10);
    crew_text(fake.crew, &text);
    bool found = slice_search(buf_slice(&text), slice_from(words)) >= 0;
    buf_done(&text);
    return found;
}

static void test_a_task_that_is_ended_before_it_has_a_thread(void **state)
{
    struct fake_type types[] = {slow, {.name = "count", .task = &count_task}};
    struct fake_job *busy[16];
    (void)state;
    n_counted = 0;
    fake_start(types, 2);
    for (int i = 0; i < 16; i++) {
        busy[i] = fake_add(&types[0], "3");
        wait_until(fake_steps(busy[i]));
    }
    struct fake_job *j = fake_add(&types[1], "0");
    wait_until(crew_says("attempt 1") && crew_says("app count"));
    cancel(j);
    wait_until(crew_says("stopping"));
    for (int i = 0; i < 16; i++)
        cancel(busy[i]);
    fake_wait(j);
    assert_int_equal(j->outcome, OUTCOME_CANCELLED);
    assert_int_equal(n_counted, 0);
    fake_stop();
}

static bool all_over(size_t n)
{
    size_t over = 0;
    pthread_mutex_lock(&fake.lock);
    for (size_t i = 0; i < fake.n; i++)
        over += fake.jobs[i].ends > 0;
    pthread_mutex_unlock(&fake.lock);
    return over == n;
}

static void test_many_instant_tasks_in_few_writes(void **state)
{
    (void)state;
    fake_start(&instant, 1);
    for (int i = 0; i < 4000; i++)
        fake_add_quietly(&instant, "{\"a\":1}");
    int64_t began = clock_mono_ms();
    fake_ring();
    wait_until(all_over(4000));
    pthread_mutex_lock(&fake.lock);
    print_message("4,000 instant tasks in %lld ms, %u calls of the queue\n",
                  (long long)(clock_mono_ms() - began), fake.writes);
    assert_int_equal(fake.max_claimed, WORKERS_TASKS);
    assert_true(fake.writes < 100);
    pthread_mutex_unlock(&fake.lock);
    for (size_t i = 0; i < fake.n; i++)
        assert_int_equal(fake.jobs[i].ends, 1);
    assert_int_equal(crew_figures(fake.crew, SLICE("instant")).succeeded, 4000);
    assert_int_equal(crew_figures(fake.crew, SLICE("instant")).running, 0);
    fake_stop();
}

/* ---- times --------------------------------------------------------------------------------------
 */

static struct fake_type stamp = {.name = "stamp",
                                 .script = "#!/usr/bin/python3\n"
                                           "import sys, time\n"
                                           "t = time.clock_gettime_ns(time.CLOCK_MONOTONIC)\n"
                                           "print('{\"message\":\"%d\"}' % t, flush=True)\n"
                                           "sys.stdin.read()\n"
                                           "time.sleep(0.3)\n"};

/* The best of ten, or of more while it is not good enough: others use this machine, too. */
static void test_how_long_it_takes(void **state)
{
    int64_t start = INT64_MAX, note = INT64_MAX;
    (void)state;
    fake_start(&stamp, 1);
    fake_wait(fake_add(&stamp, "0"));
    for (int i = 0; i < 10 || (i < 100 && (start >= 20000000 || note >= 25000000)); i++) {
        struct fake_job *j = fake_add(&stamp, "0");
        wait_until(folders_left() == 1);
        int64_t took = clock_mono_ns() - j->added_ns;
        start = took < start ? took : start;
        fake_wait(j);
        took = j->said_ns - strtoll(j->message, NULL, 10);
        note = took < note ? took : note;
    }
    print_message("from adding to the start %lld us, from a line to its note %lld us\n",
                  (long long)start / 1000, (long long)note / 1000);
    assert_true(start < 20000000 && note < 25000000);
    fake_stop();
}

/* ---- the database -------------------------------------------------------------------------------
 */

static struct fake_type says = {
    .name = "says", .script = "#!/bin/sh\necho one; sleep 0.2; echo two; echo '{\"result\":2}'\n"};
static struct fake_type sleeps = {.name = "sleeps", .script = "#!/bin/sh\nsleep 1000\n"};

static void set_down(bool is_down)
{
    pthread_mutex_lock(&fake.lock);
    fake.is_down = is_down;
    pthread_mutex_unlock(&fake.lock);
}

static void test_what_cannot_be_written_is_written_later(void **state)
{
    (void)state;
    fake_start(&says, 1);
    struct fake_job *j = fake_add(&says, "0");
    wait_until(folders_left() == 1);
    set_down(true);
    wait_until(folders_left() == 0); /* it has ended */
    unsigned before = fake_writes();
    int64_t began = clock_mono_ms();
    wait_until(fake_writes() > before + 4); /* and some writes have failed, with pauses */
    assert_true(clock_mono_ms() - began > 500);
    assert_int_equal(j->ends, 0);
    set_down(false);
    fake_wait(j);
    assert_int_equal(j->outcome, OUTCOME_SUCCEEDED);
    assert_true(slice_is(buf_slice(&j->log), "one\ntwo\n"));
    assert_true(slice_is(buf_slice(&j->result), "2"));
    fake_stop();
}

static void make_beat_due(void *arg)
{
    (void)arg;
    fake.crew->beat_ms = 0;
}

static void test_leases_are_renewed_as_soon_as_it_is_back(void **state)
{
    struct fake_type types[] = {says, sleeps};
    (void)state;
    fake_start(types, 2);
    struct fake_job *brief = fake_add(&types[0], "0"), *j = fake_add(&types[1], "0");
    wait_until(folders_left() == 2);
    set_down(true);
    wait_until(folders_left() == 1); /* something has to be written again */
    on_loop(make_beat_due, NULL);
    unsigned before = j->beats, failed = fake_writes();
    wait_until(fake_writes() > failed + 1);
    set_down(false);
    fake_wait(brief);
    int64_t began = clock_mono_ms();
    wait_until(j->beats > before);
    assert_in_range(clock_mono_ms() - began, 0, JOB_BEAT_MS - 1000);
    fake_stop();
}

static void refuse(bool refuses_ends)
{
    fake_start(&says, 1);
    fake.refuses_ends = refuses_ends;
    fake.refuse_id = "job0000000000000001";
    struct fake_job *jobs[3];
    for (int i = 0; i < 3; i++)
        jobs[i] = fake_add_quietly(&says, "0");
    fake_ring();
    for (int i = 0; i < 3; i++)
        fake_wait(jobs[i]);
    assert_int_equal(jobs[0]->outcome, OUTCOME_SUCCEEDED);
    assert_int_equal(jobs[2]->outcome, OUTCOME_SUCCEEDED);
    assert_true(slice_is(buf_slice(&jobs[0]->log), "one\ntwo\n"));
    assert_true(slice_is(buf_slice(&jobs[2]->log), "one\ntwo\n"));
    assert_int_equal(jobs[1]->outcome, refuses_ends ? OUTCOME_FAILED : OUTCOME_SUCCEEDED);
    assert_int_equal(jobs[1]->code, refuses_ends ? JOB_ERROR_RESULT : JOB_ERROR_NONE);
    fake_stop();
}

static void test_what_is_refused_holds_up_nobody(void **state)
{
    (void)state;
    refuse(false);
    refuse(true);
}

static void test_one_that_is_not_ours_any_more(void **state)
{
    (void)state;
    fake_start(&sleeps, 1);
    struct fake_job *j = fake_add(&sleeps, "0");
    wait_until(folders_left() == 1);
    pthread_mutex_lock(&fake.lock);
    j->is_stolen = true;
    pthread_mutex_unlock(&fake.lock);
    fake_ring();
    wait_until(folders_left() == 0 && processes_with(fake.folder) == 0);
    fake_end_crew();
    assert_int_equal(j->ends, 0);
    fake_stop();
}

static void make_lease_old(void *arg)
{
    (void)arg;
    list_each (link, &fake.crew->runs)
        container_of(link, struct job_run, link)->lease_ms -= 20001;
}

static void test_a_lease_that_could_not_be_renewed(void **state)
{
    (void)state;
    fake_start(&sleeps, 1);
    struct fake_job *j = fake_add(&sleeps, "0");
    wait_until(folders_left() == 1);
    set_down(true);
    on_loop(make_lease_old, NULL);
    wait_until(folders_left() == 0 && processes_with(fake.folder) == 0);
    set_down(false);
    fake_wait(j);
    assert_int_equal(j->outcome, OUTCOME_LOST);
    assert_int_equal(j->code, JOB_ERROR_LOST);
    fake_stop();
}

/* ---- starting and stopping ----------------------------------------------------------------------
 */

#define TRIES 5 /* of which the best counts: others use this machine, too */

/* How long that took. */
static int64_t stop_five(void)
{
    fake_start(&sleeps, 1);
    struct fake_job *jobs[5];
    for (int i = 0; i < 5; i++)
        jobs[i] = fake_add(&sleeps, "0");
    wait_until(folders_left() == 5);
    int64_t began = clock_mono_ms();
    fake_end_crew();
    int64_t took = clock_mono_ms() - began;
    for (int i = 0; i < 5; i++)
        assert_int_equal(jobs[i]->outcome, OUTCOME_RETURNED);
    assert_int_equal(processes_with(fake.folder), 0);
    fake_stop();
    return took;
}

static void test_stopping_gives_back(void **state)
{
    int64_t took = INT64_MAX;
    (void)state;
    for (int i = 0; i < TRIES && took > 2500; i++)
        took = stop_five();
    assert_in_range(took, 0, 2500);
}

static int64_t stop_without_a_database(void)
{
    fake_start(&sleeps, 1);
    struct fake_job *j = fake_add(&sleeps, "0");
    wait_until(folders_left() == 1);
    set_down(true);
    int64_t began = clock_mono_ms();
    fake_end_crew();
    int64_t took = clock_mono_ms() - began;
    assert_int_equal(j->ends, 0);
    fake_stop();
    return took;
}

static void test_stopping_without_a_database(void **state)
{
    int64_t took = INT64_MAX;
    (void)state;
    for (int i = 0; i < TRIES && took > 8000; i++)
        took = stop_without_a_database();
    assert_in_range(took, 4000, 8000);
}

static void test_no_more_processes_than_there_may_be(void **state)
{
    static struct fake_type gated = {
        .name = "gated",
        .script = "#!/bin/sh\nwhile [ ! -e \"${0%/*}/gate\" ]; do sleep 0.2; done\n"};
    char gate[120];
    unsigned most = 0;
    (void)state;
    fake_start(&gated, 1);
    for (int i = 0; i < 150; i++)
        fake_add_quietly(&gated, "0");
    fake_ring();
    wait_until(crew_figures(fake.crew, SLICE("gated")).running >= WORKERS_PROCESSES);
    snprintf(gate, sizeof gate, "%s/gate", fake.folder);
    close(open(gate, O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
    while (!all_over(150)) {
        unsigned n = crew_figures(fake.crew, SLICE("gated")).running;
        most = n > most ? n : most;
        usleep(1000);
    }
    assert_in_range(most, 20, WORKERS_PROCESSES);
    fake_stop();
}

static void test_what_an_earlier_server_left_is_swept(void **state)
{
    char path[120];
    (void)state;
    fake_start(&says, 1);
    snprintf(path, sizeof path, "%s/left", fake.runs);
    assert_int_equal(mkdir(path, 0700), 0);
    wait_until(folders_left() == 0);
    fake_stop();
}

static void test_a_killed_spawner(void **state)
{
    (void)state;
    fake_start(&sleeps, 1);
    struct fake_job *j = fake_add(&sleeps, "0");
    wait_until(folders_left() == 1);
    kill(spawner_pid(fake.spawner), SIGKILL);
    fake_wait(j);
    assert_int_equal(j->outcome, OUTCOME_LOST);
    assert_true(j->is_refunded);
    wait_until(spawner_is_lost(fake.spawner)); /* its sockets close one by one */
    j = fake_add(&sleeps, "0");                /* there is a new one */
    wait_until(folders_left() == 1);
    fake_end_crew();
    assert_int_equal(j->outcome, OUTCOME_RETURNED);
    fake_stop();
}

/* ---- users --------------------------------------------------------------------------------------
 */

static struct fake_type user = {
    .name = "user",
    .script = "#!/bin/sh\n"
              "id -u >&2; stat -c '%u %a' . >&2; echo x > mine && cat mine >&2\n"
              "grep NoNewPrivs /proc/self/status >&2\n",
    .uid = 65534};

static void test_another_user(void **state)
{
    (void)state;
    if (getuid() != 0)
        skip();
    fake_start(&user, 1);
    assert_int_equal(chmod(fake.folder, 0755), 0);
    struct fake_job *j = fake_add(&user, "0");
    fake_wait(j);
    assert_int_equal(j->outcome, OUTCOME_SUCCEEDED);
    assert_true(slice_is(buf_slice(&j->log), "65534\n65534 700\nx\nNoNewPrivs:\t1\n"));
    assert_int_equal(chmod(fake.folder, 0700), 0); /* now it cannot get there */
    j = fake_add(&user, "0");
    fake_wait(j);
    assert_int_equal(j->outcome, OUTCOME_FAILED);
    assert_int_equal(j->code, JOB_ERROR_START);
    assert_non_null(strstr(j->error, "cannot be entered by the user that jobs run as"));
    fake_stop();
}

/* ---- tokens -------------------------------------------------------------------------------------
 */

static struct fake_type tells = {.name = "tells",
                                 .script = "#!/bin/sh\n"
                                           "echo $DAIS_TOKEN > token; sleep 1000\n"};

static bool knows_it(struct job_bearer *ret, struct arena *a)
{
    unsigned char digest[SHA256_LEN];
    char command[200], token[100];
    struct buf line;
    buf_init(&line, 4000);
    crew_text(fake.crew, &line);
    const char *id = line.len ? strstr(line.data, "job0") : NULL;
    snprintf(command, sizeof command, "%s/%s%.19s-1/token", fake.runs, fake.crew->mark,
             id ? id : "");
    buf_clear(&line);
    bool fine = file_read(command, &line) && line.len == 48;
    if (fine) {
        memcpy(token, line.data, 47);
        sha256_of((struct slice){token, 47}, digest);
        fine = crew_knows(fake.crew, digest, a, ret);
        digest[0] ^= 1;
        assert_false(crew_knows(fake.crew, digest, a, ret));
    }
    buf_done(&line);
    return fine;
}

static void test_a_token_is_known_while_it_runs(void **state)
{
    struct job_bearer who;
    struct arena a;
    (void)state;
    arena_init(&a, 1u << 20);
    fake_start(&tells, 1);
    fake_add(&tells, "0");
    wait_until(knows_it(&who, &a));
    assert_true(slice_is(who.id, "job0000000000000000") && slice_is(who.owner, "ann"));
    assert_true(slice_is(who.type, "tells"));
    assert_int_equal(who.depth, 3 + 1); /* itself included */
    fake_stop();
    arena_done(&a);
}

#define T(name) cmocka_unit_test(name)
TESTS(T(test_tasks), T(test_a_task_is_asked_to_stop),
      T(test_a_task_that_is_ended_before_it_has_a_thread),
      T(test_leases_are_renewed_as_soon_as_it_is_back), T(test_many_instant_tasks_in_few_writes),
      T(test_how_long_it_takes), T(test_what_cannot_be_written_is_written_later),
      T(test_what_is_refused_holds_up_nobody), T(test_one_that_is_not_ours_any_more),
      T(test_a_lease_that_could_not_be_renewed), T(test_stopping_gives_back),
      T(test_stopping_without_a_database), T(test_no_more_processes_than_there_may_be),
      T(test_what_an_earlier_server_left_is_swept), T(test_a_killed_spawner), T(test_another_user),
      T(test_a_token_is_known_while_it_runs))
