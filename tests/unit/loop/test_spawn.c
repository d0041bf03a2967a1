/* Starting commands: what they get, what they may use, what is said when it does not work. */
#include "spawn_fixture.h"

#include <pthread.h>
#include <sys/socket.h>
#include <sys/stat.h>

static void exit_code_and_output(void **state)
{
    char out[64];
    struct process_event ev =
        run(*state, (struct process_opts){.shell = "echo hello; exit 3"}, out, sizeof out);
    assert_string_equal(out, "hello\n");
    assert_int_equal(ev.reason, PROCESS_EXITED);
    assert_int_equal(ev.exit_code, 3);
    assert_true(ev.usage.wall_us > 0 && ev.usage.max_rss_kb > 0);
}

static void signal_is_told(void **state)
{
    char out[64];
    struct buf b;
    struct process_event ev =
        run(*state, (struct process_opts){.shell = "kill -SEGV $$"}, out, sizeof out);
    assert_int_equal(ev.reason, PROCESS_SIGNALLED);
    assert_int_equal(ev.signal, SIGSEGV);
    ev.reason = PROCESS_TIMEOUT;
    buf_init(&b, 100);
    process_ended_text(&ev, &b);
    assert_string_equal(b.data, "signal 11 (it ran longer than allowed)");
    buf_done(&b);
}

/* Exactly what was given, nothing of ours. */
static void environment_is_exact(void **state)
{
    char out[200];
    const char *const env[] = {"PATH=/bin:/usr/bin", "ONLY=this one", NULL};
    const char *const argv[] = {"env", NULL};
    setenv("SECRET_OF_THE_SERVER", "x", 1);
    run(*state, (struct process_opts){.argv = argv, .env = env}, out, sizeof out);
    assert_string_equal(out, "PATH=/bin:/usr/bin\nONLY=this one\n");
    const char *const none[] = {NULL}, *const path[] = {"/usr/bin/env", NULL};
    run(*state, (struct process_opts){.argv = path, .env = none}, out, sizeof out);
    assert_string_equal(out, "");
}

/* Signals 32 and 33 are glibc's own and cannot be set; make leaves them ignored. */
static void surroundings(void **state)
{
    char out[400];
    run(*state,
        (struct process_opts){.cwd = "/usr",
                              .shell = "pwd; umask; ulimit -c; wc -c </dev/stdin; "
                                       "sed -n 's/^SigBlk:.*\\(0000000000000000\\)$/blk \\1/p;"
                                       "s/^SigIgn:.*0000000[01]80*$/ign none/p;"
                                       "s/^SigIgn:.*0000000000000000$/ign none/p;"
                                       "s/^NoNewPrivs:./nnp /p' /proc/self/status"},
        out, sizeof out);
    assert_string_equal(out, "/usr\n0022\n0\n0\nblk 0000000000000000\n"
                             "ign none\nnnp 1\n");
    run(*state, (struct process_opts){.umask = 077, .nice = 5, .shell = "umask; nice"}, out,
        sizeof out);
    assert_string_equal(out, "0077\n5\n");
}

/* However many the server has open, the command sees its three (and the listing's own). */
static void no_foreign_descriptors(void **state)
{
    char out[200];
    struct fixture *f = *state;
    int leaky[20];
    for (int i = 0; i < 20; i++)
        leaky[i] = open("/dev/null", O_RDONLY); /* without O_CLOEXEC, on purpose */
    spawner_close(f->spawner);
    f->spawner = spawner_open(NULL); /* forked with all of them */
    assert_non_null(f->spawner);
    const char *const argv[] = {"ls", "/proc/self/fd", NULL};
    run(*state, (struct process_opts){.argv = argv}, out, sizeof out);
    assert_string_equal(out, "0\n1\n2\n3\n");
    for (int i = 0; i < 20; i++)
        close(leaky[i]);
}

static void descriptors_are_passed(void **state)
{
    struct fixture *f = *state;
    int pipes[2], listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
    int extra[] = {listener, pipes[1]};
    struct process_event ev;
    struct process *p = begin(f,
                              &(struct process_opts){.env = f->env,
                                                     .fds = extra,
                                                     .n_fds = 2,
                                                     .out = {STDIO_FD, pipes[1]},
                                                     .err.kind = STDIO_STDOUT,
                                                     .shell = "echo four >&4; echo one; echo "
                                                              "two >&2; test -S /dev/fd/3"},
                              &ev);
    assert_int_equal(finish(p).exit_code, 0);
    close(pipes[1]);
    char out[64] = "";
    ssize_t n = read(pipes[0], out, sizeof out - 1);
    assert_true(n > 0);
    assert_string_equal(out, "four\none\ntwo\n");
    close(pipes[0]);
    close(listener);
}

static void input_flows(void **state)
{
    struct fixture *f = *state;
    struct process_event ev;
    struct process *p = begin(
        f, &(struct process_opts){.env = f->env, .in.kind = STDIO_PIPE, .shell = "read a; exit $a"},
        &ev);
    int in = process_stdio_take(p, 0);
    assert_int_equal(process_stdio_take(p, 0), -1);
    assert_true(fcntl(in, F_GETFL) & O_NONBLOCK);
    assert_int_equal(write(in, "42\n", 3), 3);
    close(in);
    assert_int_equal(finish(p).exit_code, 42);
}

static void chatty_output_is_whole(void **state)
{
    struct fixture *f = *state;
    struct buf b;
    struct process_event ev;
    struct process_opts o = {
        .env = f->env, .out.kind = STDIO_PIPE, .shell = "seq 1 300000; echo end"};
    buf_init(&b, 8 << 20);
    assert_true(process_run(f->spawner, &o, &b, NULL, &ev, NULL));
    size_t lines = 0;
    for (size_t i = 0; i < b.len; i++)
        lines += b.data[i] == '\n';
    assert_int_equal(lines, 300001);
    assert_true(slice_ends(buf_slice(&b), SLICE("\n300000\nend\n")));
    buf_done(&b);
}

/* Its own session and group, by a runner of its own under the spawner. */
static void session_of_its_own(void **state)
{
    struct fixture *f = *state;
    struct process_event ev;
    struct process *p =
        begin(f, &(struct process_opts){.env = f->env, .shell = "sleep 100; :"}, &ev);
    assert_int_equal(getsid(ev.pid), ev.pid);
    assert_int_equal(getpgid(ev.pid), ev.pid);
    assert_int_equal(getsid(ev.runner), ev.runner);
    assert_true(process_signal(p, SIGHUP, NULL));
    struct process_event end = finish(p);
    assert_int_equal(end.reason, PROCESS_SIGNALLED);
    assert_int_equal(end.signal, SIGHUP);
}

/* ---- failing to start --------------------------------------------------------------------- */

static void fails(struct fixture *f, struct process_opts o, enum process_step step, int sys_errno,
                  const char *sentence)
{
    struct err e = {0};
    struct process_event ev;
    o.env = f->env;
    struct process *p = process_start(f->spawner, &o, &e);
    assert_non_null(p);
    assert_int_equal(process_wait(p, BOUND_MS, &ev), PROCESS_EVENT);
    assert_int_equal(ev.kind, EVENT_FAILED);
    assert_int_equal(ev.step, step);
    assert_int_equal(ev.sys_errno, sys_errno);
    assert_false(process_failed(p, &ev, &e));
    if (!strstr(e.msg, sentence))
        fail_msg("expected \"%s\" in \"%s\"", sentence, e.msg);
    assert_int_equal(process_next(p, &ev), PROCESS_OVER);
    process_free(p);
}

static void write_file(const char *path, const char *text, mode_t mode)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
    chmod(path, mode);
}

static void start_failures(void **state)
{
    struct fixture *f = *state;
    char dir[] = "/tmp/spawn-test-XXXXXX", plain[64], orphan[64], text[64];
    assert_non_null(mkdtemp(dir));
    snprintf(plain, sizeof plain, "%s/plain", dir);
    snprintf(orphan, sizeof orphan, "%s/orphan", dir);
    snprintf(text, sizeof text, "%s/text", dir);
    write_file(plain, "#!/bin/sh\n", 0644);
    write_file(orphan, "#!/no/such/shell\n", 0755);
    write_file(text, "no program\n", 0755);
    const char *missing[] = {"no-such-command", NULL}, *away[] = {"/no/such", NULL};
    const char *args[] = {plain, NULL};
    fails(f, (struct process_opts){.argv = missing}, STEP_MISSING, ENOENT,
          "there is no command \"no-such-command\"");
    fails(f, (struct process_opts){.argv = away}, STEP_MISSING, ENOENT, "no command \"/no/such\"");
    fails(f, (struct process_opts){.argv = args}, STEP_NOT_EXECUTABLE, EACCES,
          "is there but may not be executed");
    args[0] = orphan;
    fails(f, (struct process_opts){.argv = args}, STEP_INTERPRETER, ENOENT, "interpreter");
    args[0] = text;
    fails(f, (struct process_opts){.argv = args}, STEP_NOT_EXECUTABLE, ENOEXEC, "may not be");
    args[0] = "/bin";
    fails(f, (struct process_opts){.argv = args}, STEP_NOT_EXECUTABLE, EACCES, "may not be");
    fails(f, (struct process_opts){.shell = ":", .cwd = "/no/dir"}, STEP_CWD, ENOENT,
          "working directory of \":\" cannot be entered: No such file");
    fails(f, (struct process_opts){.shell = ":", .cwd = "/dev/null"}, STEP_CWD, ENOTDIR, "working");
    if (getuid() == 0) {
        chmod(dir, 0700);
        fails(f, (struct process_opts){.shell = ":", .cwd = dir, .uid = 65534, .gid = 65534},
              STEP_CWD, EACCES, "cannot be entered");
    } else {
        fails(f, (struct process_opts){.shell = ":", .uid = 1, .gid = 1}, STEP_IDENTITY, EPERM,
              "given its user");
    }
    unlink(plain);
    unlink(orphan);
    unlink(text);
    rmdir(dir);
    assert_int_equal(count_marked(f->mark), 0);
}

/* ---- limits ------------------------------------------------------------------------------- */

static void simple_limits(void **state)
{
    char out[200];
    struct process_opts o = {.open_files = 16,
                             .file_bytes = 512 * 100,
                             .address_space_bytes = 1 << 30,
                             .cpu_s = 7,
                             .shell = "ulimit -n; ulimit -f; ulimit -v; ulimit -t; ulimit -Ht"};
    run(*state, o, out, sizeof out);
    assert_string_equal(out, "16\n100\n1048576\n7\n8\n");
}

static void identity_is_dropped(void **state)
{
    char out[200];
    if (getuid() != 0) {
        print_message("SKIP: only root can change the user of a command\n");
        skip();
    }
    run(*state,
        (struct process_opts){.uid = 65534,
                              .gid = 65533,
                              .shell = "id -u; id -g; id -G; grep -c '^Cap[EP].*0000000000000000$' "
                                       "/proc/self/status"},
        out, sizeof out);
    assert_string_equal(out, "65534\n65533\n65533\n2\n");
}

static void wall_timeout(void **state)
{
    char out[64];
    struct process_opts o = {.wall_ms = 60, .shell = "sleep 100; :"};
    struct process_event ev = run(*state, o, out, sizeof out);
    assert_int_equal(ev.reason, PROCESS_TIMEOUT);
    assert_int_equal(ev.signal, SIGKILL);
    assert_in_range(ev.usage.wall_us, 60000, 1000 * BOUND_MS);
    o.grace_ms = BOUND_MS;
    o.shell = "trap 'echo bye; exit 5' TERM; sleep 100 & wait";
    ev = run(*state, o, out, sizeof out);
    assert_string_equal(out, "bye\n");
    assert_int_equal(ev.reason, PROCESS_TIMEOUT);
    assert_int_equal(ev.exit_code, 5);
}

/* Whoever started it need not be there for that. */
static void lease_ends(void **state)
{
    struct fixture *f = *state;
    char out[64];
    struct err e;
    int64_t until = clock_mono_ms() + 1000; /* by then it has begun, on a slow machine, too */
    struct process_opts o = {.lease_until_ms = until,
                             .shell = "trap '' TERM; (trap '' TERM; sleep 100) & sleep 100; :"};
    struct process_event ev = run(f, o, out, sizeof out);
    assert_int_equal(ev.reason, PROCESS_UNRENEWED);
    assert_true(clock_mono_ms() >= until && ev.usage.wall_us < 1000 * BOUND_MS);
    assert_int_equal(count_marked(f->mark), 0);
    until = clock_mono_ms() + 2500;
    o = (struct process_opts){.env = f->env, .lease_until_ms = until - 500, .shell = "sleep 100"};
    struct process *p = process_start(f->spawner, &o, &e);
    assert_non_null(p);
    assert_int_equal(process_wait(p, BOUND_MS, &ev), PROCESS_EVENT); /* it has started */
    assert_true(process_renew(p, until, &e));
    assert_int_equal(finish(p).reason, PROCESS_UNRENEWED);
    assert_true(clock_mono_ms() >= until);
}

/* Nothing of it runs, not even for a moment. */
static void lease_was_over(void **state)
{
    struct fixture *f = *state;
    char dir[] = "/tmp/spawn-test-XXXXXX", file[64];
    struct process_event ev;
    assert_non_null(mkdtemp(dir));
    const struct process_opts o = {
        .env = f->env, .cwd = dir, .lease_until_ms = clock_mono_ms(), .shell = ">ran"};
    struct process *p = process_start(f->spawner, &o, NULL);
    assert_int_equal(process_wait(p, BOUND_MS, &ev), PROCESS_EVENT);
    assert_true(ev.kind == EVENT_FAILED && ev.step == STEP_LEASE);
    process_free(p);
    snprintf(file, sizeof file, "%s/ran", dir);
    assert_int_not_equal(access(file, F_OK), 0);
    rmdir(dir);
}

/* The memory is in a grandchild. */
static void memory_limit(void **state)
{
    char out[64];
    struct process_opts o = {.memory_bytes = 48 << 20,
                             .wall_ms = BOUND_MS,
                             .shell = "{ head -c 100m /dev/zero; sleep 100; } | tail; :"};
    struct process_event ev = run(*state, o, out, sizeof out);
    assert_int_equal(ev.reason, PROCESS_OVER_MEMORY);
    o.shell = "{ head -c 10m /dev/zero; sleep 0.4; } | tail >/dev/null; echo fine";
    ev = run(*state, o, out, sizeof out);
    assert_string_equal(out, "fine\n");
    assert_int_equal(ev.reason, PROCESS_EXITED);
}

static void cpu_limit(void **state)
{
    char out[64];
    struct process_opts o = {.cpu_s = 1, .wall_ms = BOUND_MS, .shell = "while :; do :; done"};
    struct process_event ev = run(*state, o, out, sizeof out);
    assert_int_equal(ev.reason, PROCESS_OVER_CPU);
    assert_in_range(ev.usage.user_us + ev.usage.system_us, 500000, 2500000);
    o.shell = "(while :; do :; done) & (while :; do :; done) & (while :; do :; done) & wait";
    ev = run(*state, o, out, sizeof out);
    assert_int_equal(ev.reason, PROCESS_OVER_CPU);
    /* nobody looked while it was over */
    o.shell = "kill -STOP $PPID; (while :; do :; done) & (while :; do :; done) & wait; "
              "exec kill -CONT $PPID";
    ev = run(*state, o, out, sizeof out);
    assert_int_equal(ev.reason, PROCESS_OVER_CPU);
}

static void file_limit(void **state)
{
    char out[64], dir[] = "/tmp/spawn-test-XXXXXX", file[64];
    assert_non_null(mkdtemp(dir));
    struct process_opts o = {
        .file_bytes = 4096, .cwd = dir, .shell = "exec head -c 100000 /dev/zero >f"};
    struct process_event ev = run(*state, o, out, sizeof out);
    assert_int_equal(ev.reason, PROCESS_OVER_FILE);
    assert_int_equal(ev.signal, SIGXFSZ);
    struct stat st;
    snprintf(file, sizeof file, "%s/f", dir);
    assert_int_equal(stat(file, &st), 0);
    assert_int_equal(st.st_size, 4096);
    unlink(file);
    rmdir(dir);
}

/* ---- many --------------------------------------------------------------------------------- */

static void thousand_runs_leave_nothing(void **state)
{
    struct fixture *f = *state;
    const char *const argv[] = {"/bin/true", NULL};
    struct process_opts o = {.argv = argv, .env = f->env, .out.kind = STDIO_PIPE};
    struct process_event ev;
    assert_true(process_run(f->spawner, &o, NULL, NULL, &ev, NULL));
    int ours = count_fds(getpid()), theirs = count_fds(spawner_pid(f->spawner));
    int64_t from = clock_mono_ns();
    for (int i = 0; i < 1000; i++) {
        assert_true(process_run(f->spawner, &o, NULL, NULL, &ev, NULL));
        assert_int_equal(ev.exit_code, 0);
    }
    print_message("1,000 runs: %.2f ms each\n", (double)(clock_mono_ns() - from) / 1e9);
    assert_int_equal(count_fds(getpid()), ours);
    int64_t until = clock_mono_ms() + BOUND_MS;
    while (count_children(spawner_pid(f->spawner)) && clock_mono_ms() < until)
        pause_us(500);
    assert_int_equal(count_children(spawner_pid(f->spawner)), 0);
    assert_true(count_fds(spawner_pid(f->spawner)) <= theirs);
    assert_int_equal(count_marked(f->mark), 0);
}

/* More at once than fit in the socket's queue. */
static void hundred_at_once(void **state)
{
    struct fixture *f = *state;
    struct process *p[100];
    struct process_event ev;
    struct process_opts o = {.env = f->env, .in.kind = STDIO_PIPE, .shell = "read a; exit 7"};
    for (int i = 0; i < 100; i++)
        assert_non_null(p[i] = process_start(f->spawner, &o, NULL));
    for (int i = 0; i < 100; i++) {
        assert_int_equal(process_wait(p[i], BOUND_MS, &ev), PROCESS_EVENT);
        assert_int_equal(ev.kind, EVENT_STARTED);
    }
    for (int i = 0; i < 100; i++) {
        close(process_stdio_take(p[i], 0));
        assert_int_equal(finish(p[i]).exit_code, 7);
    }
}

static void *start_twenty(void *arg)
{
    struct fixture *f = arg;
    struct process_opts o = {.env = f->env, .shell = "exit 9"};
    size_t good = 0;
    for (int i = 0; i < 20; i++) {
        struct process_event ev;
        if (process_run(f->spawner, &o, NULL, NULL, &ev, NULL))
            good += ev.exit_code == 9 || ev.reason == PROCESS_LOST;
    }
    return (void *)good;
}

/* While threads start processes the spawner is killed and forked anew. */
static void threads_and_reopen(void **state)
{
    struct fixture *f = *state;
    pthread_t threads[4];
    for (int round = 0; round < 3; round++) {
        size_t good = 0;
        for (int i = 0; i < 4; i++)
            pthread_create(&threads[i], NULL, start_twenty, f);
        if (round) {
            pid_t old = spawner_pid(f->spawner);
            kill(old, SIGKILL);
            int64_t until = clock_mono_ms() + BOUND_MS;
            while (!spawner_is_lost(f->spawner))
                assert_true(clock_mono_ms() < until);
            assert_true(spawner_reopen(f->spawner, NULL));
            assert_int_not_equal(spawner_pid(f->spawner), old);
        }
        for (int i = 0; i < 4; i++) {
            void *n;
            pthread_join(threads[i], &n);
            good += (size_t)n;
        }
        if (!round)
            assert_int_equal(good, 80);
        char out[64];
        run(f, (struct process_opts){.shell = "echo again"}, out, sizeof out);
        assert_string_equal(out, "again\n");
    }
}

#define T(f) cmocka_unit_test_setup_teardown(f, fixture_open, fixture_close)
TESTS(T(exit_code_and_output), T(signal_is_told), T(environment_is_exact), T(surroundings),
      T(no_foreign_descriptors), T(descriptors_are_passed), T(input_flows),
      T(chatty_output_is_whole), T(session_of_its_own), T(start_failures), T(simple_limits),
      T(identity_is_dropped), T(wall_timeout), T(lease_ends), T(lease_was_over), T(memory_limit),
      T(cpu_limit), T(file_limit), T(thousand_runs_leave_nothing), T(hundred_at_once),
      T(threads_and_reopen))
