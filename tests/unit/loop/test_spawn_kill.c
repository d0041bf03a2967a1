/* Ending trees: cancel, and kill -9 of everybody at every step; nothing may be left in /proc. */
#include "spawn_fixture.h"

#include <sys/socket.h>

/* Eight processes in five sessions, half of them deaf to SIGTERM, some orphaned on purpose. */
#define STUBBORN_TREE                                                         \
    "setsid sh -c 'trap \"\" TERM HUP INT; setsid sleep 1000 & sleep 1001 &"  \
    " wait' & (setsid sh -c 'sleep 1002 & exec sleep 1003' &); trap '' TERM;" \
    " sleep 1004 >&- 2>&- & while :; do sleep 1005; done"
#define STUBBORN_SIZE 8 /* with the last, which comes when all others are what they stay */

static void told(const char *what, int64_t us)
{
    print_message("  %-52s %8.2f ms\n", what, (double)us / 1000);
}

/* Measures to the final event, when /proc must be empty at once. */
static struct process_event end_and_measure(struct fixture *f, struct process *p, const char *what)
{
    int64_t from = clock_mono_ns();
    struct process_event ev = finish(p);
    int64_t us = (clock_mono_ns() - from) / 1000;
    assert_int_equal(count_marked(f->mark), 0);
    told(what, us);
    return ev;
}

static struct process *grow(struct fixture *f, const char *shell, int size)
{
    struct process_event ev;
    struct process *p = begin(f, &(struct process_opts){.env = f->env, .shell = shell}, &ev);
    wait_marked(f, size);
    return p;
}

static bool is_stopped(pid_t pid)
{
    char path[64], text[512];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    text[read_all(path, text, sizeof text - 1)] = '\0';
    const char *name_end = strrchr(text, ')');
    return name_end && strncmp(name_end, ") T", 3) == 0;
}

/* The command has stopped itself, so it has done all that comes before. */
static struct process *grow_stopped(struct fixture *f, const char *shell)
{
    struct process_event ev;
    struct process *p = begin(f, &(struct process_opts){.env = f->env, .shell = shell}, &ev);
    int64_t until = clock_mono_ms() + BOUND_MS;
    while (!is_stopped(ev.pid) && clock_mono_ms() < until)
        pause_us(500);
    assert_true(is_stopped(ev.pid));
    return p;
}

/* ---- cancel ------------------------------------------------------------------------------- */

static void cancel_kills_the_tree(void **state)
{
    struct fixture *f = *state;
    struct process *p = grow(f, STUBBORN_TREE, STUBBORN_SIZE);
    assert_true(process_cancel(p, 0, NULL));
    struct process_event ev = end_and_measure(f, p, "cancel without grace, 5 sessions");
    assert_int_equal(ev.reason, PROCESS_CANCELLED);
    assert_int_equal(ev.signal, SIGKILL);
}

static void cancel_with_grace(void **state)
{
    struct fixture *f = *state;
    struct process *p = grow(f, "trap 'exit 4' TERM; sleep 1000 & wait", 2);
    assert_true(process_cancel(p, BOUND_MS, NULL));
    struct process_event ev = end_and_measure(f, p, "cancel of one that obeys SIGTERM");
    assert_int_equal(ev.reason, PROCESS_CANCELLED);
    assert_int_equal(ev.exit_code, 4);
    p = grow(f, STUBBORN_TREE, STUBBORN_SIZE);
    int64_t from = clock_mono_ns();
    assert_true(process_cancel(p, 100, NULL));
    ev = end_and_measure(f, p, "cancel of a deaf one with 100 ms of grace");
    assert_true(clock_mono_ns() - from >= 100 * 1000000);
    assert_int_equal(ev.signal, SIGKILL);
    p = grow(f, STUBBORN_TREE, STUBBORN_SIZE);
    assert_true(process_cancel(p, 60000, NULL));
    assert_true(process_cancel(p, 0, NULL));
    end_and_measure(f, p, "cancel whose grace is cut short");
}

static void stopped_ones(void **state)
{
    struct fixture *f = *state;
    struct process *p = grow_stopped(f, "sleep 1000 & kill -STOP $! $$");
    assert_true(process_cancel(p, 0, NULL));
    end_and_measure(f, p, "cancel of stopped processes");
    /* With grace a stopped process is woken to hear its SIGTERM. */
    p = grow_stopped(f, "trap 'exit 6' TERM; kill -STOP $$; sleep 1000");
    assert_true(process_cancel(p, BOUND_MS, NULL));
    assert_int_equal(end_and_measure(f, p, "cancel of a stopped one that obeys").exit_code, 6);
}

static void cancel_before_the_start(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 50; i++) {
        struct process_event ev = {0};
        struct process_opts o = {.env = f->env, .shell = STUBBORN_TREE};
        struct process *p = process_start(f->spawner, &o, NULL);
        assert_non_null(p);
        assert_true(process_cancel(p, 0, NULL));
        while (ev.kind != EVENT_ENDED)
            assert_int_equal(process_wait(p, BOUND_MS, &ev), PROCESS_EVENT);
        assert_int_equal(ev.reason, PROCESS_CANCELLED);
        assert_int_equal(count_marked(f->mark), 0);
        assert_true(process_cancel(p, 0, NULL)); /* too late is fine */
        process_free(p);
    }
}

/* ---- ends of its own ---------------------------------------------------------------------- */

static void what_is_left_behind_goes(void **state)
{
    struct fixture *f = *state;
    struct process_event ev;
    struct process_opts o = {.env = f->env,
                             .out.kind = STDIO_PIPE,
                             .in.kind = STDIO_PIPE,
                             .shell = "(setsid sh -c 'setsid sleep 1000 & sleep 1001' &);"
                                      "sleep 1002 & read go; exit 8"};
    struct process *p = begin(f, &o, &ev);
    wait_marked(f, 5);
    int out = process_stdio_take(p, 1);
    int64_t from = clock_mono_ns();
    close(process_stdio_take(p, 0));
    ev = finish(p);
    assert_int_equal(count_marked(f->mark), 0);
    told("exit with daemons left behind", (clock_mono_ns() - from) / 1000);
    assert_int_equal(ev.reason, PROCESS_EXITED);
    assert_int_equal(ev.exit_code, 8);
    char byte;
    assert_int_equal(read(out, &byte, 1), 0); /* at its end already */
    close(out);
}

static void closed_pipes_are_no_end(void **state)
{
    struct fixture *f = *state;
    struct process_event ev;
    struct process_opts o = {.env = f->env,
                             .out.kind = STDIO_PIPE,
                             .err.kind = STDIO_PIPE,
                             .shell = "exec >&- 2>&-; exec sleep 1000"};
    struct process *p = begin(f, &o, &ev);
    struct pollfd on = {.fd = process_stdio_take(p, 1), .events = POLLIN};
    assert_int_equal(poll(&on, 1, BOUND_MS), 1);
    close(on.fd);
    assert_int_equal(process_next(p, &ev), PROCESS_WAIT);
    assert_int_equal(count_marked(f->mark), 1);
    assert_true(process_cancel(p, 0, NULL));
    end_and_measure(f, p, "cancel of one that closed its pipes");
}

static void free_kills(void **state)
{
    struct fixture *f = *state;
    process_free(grow(f, STUBBORN_TREE, STUBBORN_SIZE));
    told("process_free of a living tree", wait_gone(f));
}

/* A binary tree of 255 processes, each in a session of its own, whose inner ones exit at once. */
static void fork_bomb(void **state)
{
    static char bomb[] =
        "S=[ $1 -gt 0 ] || exec sleep 1000; setsid sh -c \"$S\" x $(($1-1)) & setsid sh -c \"$S\" "
        "x $(($1-1)) &";
    struct fixture *f = *state;
    f->env[2] = bomb;
    static const int sizes[] = {1, 10, 40, 120};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct process *p = grow(f, "sh -c \"$S\" x 7; sleep 1000", sizes[i]);
        assert_true(process_cancel(p, 0, NULL));
        char what[64];
        snprintf(what, sizeof what, "cancel of a fork bomb grown to %d", sizes[i]);
        end_and_measure(f, p, what);
    }
}

/* One chain of processes that never rests: each forks its successor into a session and exits. */
static void runaway_chain(void **state)
{
    static char chain[] = "S=[ $1 -gt 0 ] || exit 0; setsid sh -c \"$S\" x $(($1-1)) & exit 0";
    struct fixture *f = *state;
    f->env[2] = chain;
    struct process *p = grow(f, "for i in 1 2 3 4; do sh -c \"$S\" x 2000 & done; sleep 1000", 5);
    assert_true(process_cancel(p, 0, NULL));
    end_and_measure(f, p, "cancel of four chains that fork and exit");
}

/* ---- kill -9 of one of them ---------------------------------------------------------------- */

static void child_is_killed(void **state)
{
    struct fixture *f = *state;
    struct process_event ev;
    struct process *p =
        begin(f, &(struct process_opts){.env = f->env, .shell = STUBBORN_TREE}, &ev);
    wait_marked(f, STUBBORN_SIZE);
    kill(ev.pid, SIGKILL);
    ev = end_and_measure(f, p, "kill -9 of the command");
    assert_int_equal(ev.reason, PROCESS_SIGNALLED);
    assert_int_equal(ev.signal, SIGKILL);
}

static void grandchild_is_killed(void **state)
{
    struct fixture *f = *state;
    char out[64];
    struct process_event ev =
        run(f, (struct process_opts){.shell = "setsid sleep 1000 & kill -9 $!; wait $!; echo $?"},
            out, sizeof out);
    assert_int_equal(ev.exit_code, 0);
    assert_string_equal(out, "137\n");
    assert_int_equal(count_marked(f->mark), 0);
}

/* The spawner takes over: when it says LOST, nothing is left; other runs go on. */
static void runner_is_killed(void **state)
{
    struct fixture *f = *state;
    struct fixture other = *f;
    struct process_event ev, bystander;
    fixture_mark(&other);
    struct process *q = begin(
        &other, &(struct process_opts){.env = other.env, .shell = "sleep 1000; :"}, &bystander);
    for (int grace = 0; grace < 2; grace++) {
        struct process *p =
            begin(f, &(struct process_opts){.env = f->env, .shell = STUBBORN_TREE}, &ev);
        wait_marked(f, STUBBORN_SIZE);
        if (grace)
            assert_true(process_cancel(p, 60000, NULL));
        kill(ev.runner, SIGKILL);
        ev = end_and_measure(
            f, p, grace ? "kill -9 of the runner during a cancel" : "kill -9 of the runner");
        assert_int_equal(ev.reason, PROCESS_LOST);
        assert_false(ev.is_unproven);
    }
    assert_int_equal(process_next(q, &ev), PROCESS_WAIT);
    assert_int_equal(kill(bystander.pid, 0), 0);
    assert_true(process_cancel(q, 0, NULL));
    finish(q);
}

/* Ten runners at once, each with a tree of its own. */
static void many_runners_are_killed(void **state)
{
    struct fixture *f = *state;
    struct process *p[10];
    struct process_event ev[10];
    for (int i = 0; i < 10; i++)
        p[i] = begin(f, &(struct process_opts){.env = f->env, .shell = STUBBORN_TREE}, &ev[i]);
    wait_marked(f, 10 * STUBBORN_SIZE);
    int64_t from = clock_mono_ns();
    for (int i = 0; i < 10; i++)
        kill(ev[i].runner, SIGKILL);
    for (int i = 0; i < 10; i++)
        assert_int_equal(finish(p[i]).reason, PROCESS_LOST);
    int64_t us = (clock_mono_ns() - from) / 1000;
    assert_int_equal(count_marked(f->mark), 0);
    told("kill -9 of ten runners with seven processes each", us);
}

static void spawner_is_killed(void **state)
{
    struct fixture *f = *state;
    struct process *p = grow(f, STUBBORN_TREE, STUBBORN_SIZE);
    assert_false(spawner_is_lost(f->spawner));
    kill(spawner_pid(f->spawner), SIGKILL);
    struct process_event ev = end_and_measure(f, p, "kill -9 of the spawner");
    assert_int_equal(ev.reason, PROCESS_LOST);
    assert_false(ev.is_unproven);
    struct pollfd on = {.fd = spawner_fd(f->spawner), .events = POLLIN};
    assert_int_equal(poll(&on, 1, BOUND_MS), 1);
    assert_true(spawner_is_lost(f->spawner));
    struct err e = {0};
    assert_null(process_start(f->spawner, &(struct process_opts){.shell = ":"}, &e));
    assert_int_equal(e.code, ERR_UNAVAILABLE);
    assert_true(spawner_reopen(f->spawner, &e));
    assert_false(spawner_is_lost(f->spawner));
    p = grow(f, STUBBORN_TREE, STUBBORN_SIZE);
    assert_true(process_cancel(p, 0, NULL));
    end_and_measure(f, p, "cancel under the new spawner");
}

/* ---- kill -9 of the server ------------------------------------------------------------------ */

/* What the small server of these tests does before it is killed. */
enum moment {
    AFTER_OPEN,
    AFTER_SEND,
    AFTER_START,
    IN_CANCEL,
    WITH_RUNNER,
    STOPPED_RUNNER,
    MOMENTS
};

struct victims {
    pid_t spawner, runner;
};

/* A process that opens a spawner and runs a tree, tells its pids and waits to be killed. */
static _Noreturn void serve(struct fixture *f, enum moment moment, int tell)
{
    struct process_event ev = {0};
    struct process_opts o = {.env = f->env, .shell = STUBBORN_TREE};
    struct spawner *s = spawner_open(NULL);
    must(s);
    struct process *p = moment > AFTER_OPEN ? process_start(s, &o, NULL) : NULL;
    if (moment == AFTER_SEND)
        kill(getpid(), SIGKILL);
    if (p)
        process_wait(p, BOUND_MS, &ev);
    while (p && count_marked(f->mark) < STUBBORN_SIZE)
        pause_us(1000);
    if (moment == IN_CANCEL)
        process_cancel(p, 60000, NULL);
    struct victims v = {.spawner = spawner_pid(s), .runner = ev.runner};
    must(write(tell, &v, sizeof v) == sizeof v);
    for (;;)
        pause();
}

/* All that is left of a killed server becomes ours, as we are a subreaper: waits for its end. */
static int64_t reap_everything(void)
{
    int64_t from = clock_mono_ns(), until = clock_mono_ms() + BOUND_MS;
    while (waitpid(-1, NULL, WNOHANG) >= 0 || errno != ECHILD) {
        assert_true(clock_mono_ms() < until);
        pause_us(50);
    }
    return (clock_mono_ns() - from) / 1000;
}

static int64_t kill_server(struct fixture *f, enum moment moment)
{
    int tell[2];
    struct victims v = {0};
    assert_int_equal(pipe2(tell, O_CLOEXEC), 0);
    pid_t server = fork();
    if (server == 0)
        serve(f, moment, tell[1]);
    close(tell[1]);
    bool is_told = read(tell[0], &v, sizeof v) == sizeof v;
    assert_int_equal(is_told, moment != AFTER_SEND);
    close(tell[0]);
    if (moment == WITH_RUNNER)
        kill(v.runner, SIGKILL);
    if (moment == STOPPED_RUNNER)
        kill(v.runner, SIGSTOP);
    kill(server, SIGKILL);
    int64_t us = reap_everything();
    assert_int_equal(count_marked(f->mark), 0);
    return us;
}

static void server_is_killed(void **state)
{
    static const char *const names[MOMENTS] = {
        [AFTER_OPEN] = "kill -9 of the server before a start",
        [AFTER_SEND] = "kill -9 of the server while it starts a command",
        [AFTER_START] = "kill -9 of the server with a tree",
        [IN_CANCEL] = "kill -9 of the server during a cancel",
        [WITH_RUNNER] = "kill -9 of the runner and the server",
        [STOPPED_RUNNER] = "kill -9 of the server, its runner stopped",
    };
    struct fixture *f = *state;
    spawner_close(f->spawner);
    f->spawner = NULL;
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    for (enum moment m = 0; m < MOMENTS; m++) {
        int64_t worst = 0;
        for (int i = 0; i < 5; i++) {
            int64_t us = kill_server(f, m);
            worst = us > worst ? us : worst;
        }
        told(names[m], worst);
    }
    prctl(PR_SET_CHILD_SUBREAPER, 0);
}

/* The server dies at every tenth of a millisecond of the first four after a start was sent. */
static void server_is_killed_at_any_time(void **state)
{
    struct fixture *f = *state;
    spawner_close(f->spawner);
    f->spawner = NULL;
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    for (int us = 0; us < 4000; us += 100) {
        pid_t server = fork();
        if (server == 0) {
            struct process_opts o = {.env = f->env, .shell = STUBBORN_TREE};
            struct spawner *s = spawner_open(NULL);
            must(s && process_start(s, &o, NULL));
            for (int64_t until = clock_mono_ns() + us * 1000; clock_mono_ns() < until;)
                ;
            kill(getpid(), SIGKILL);
        }
        reap_everything();
        assert_int_equal(count_marked(f->mark), 0);
    }
    prctl(PR_SET_CHILD_SUBREAPER, 0);
}

/* ---- not the clock, nor strangers ---------------------------------------------------------- */

/* What the server's own terminal or service manager sends does not reach runner and spawner. */
static void polite_signals_do_nothing(void **state)
{
    struct fixture *f = *state;
    struct process_event ev;
    struct process *p =
        begin(f, &(struct process_opts){.env = f->env, .shell = "sleep 1000; :"}, &ev);
    static const int signals[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGPIPE, SIGALRM};
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
        kill(ev.runner, signals[i]);
        kill(spawner_pid(f->spawner), signals[i]);
    }
    char out[64];
    run(f, (struct process_opts){.shell = "echo alive"}, out, sizeof out);
    assert_string_equal(out, "alive\n");
    assert_int_equal(process_next(p, &ev), PROCESS_WAIT);
    assert_true(process_cancel(p, 0, NULL));
    finish(p);
}

#define T(f) cmocka_unit_test_setup_teardown(f, fixture_open, fixture_close)
TESTS(T(cancel_kills_the_tree), T(cancel_with_grace), T(stopped_ones), T(cancel_before_the_start),
      T(what_is_left_behind_goes), T(closed_pipes_are_no_end), T(free_kills), T(fork_bomb),
      T(runaway_chain), T(child_is_killed), T(grandchild_is_killed), T(runner_is_killed),
      T(many_runners_are_killed), T(spawner_is_killed), T(server_is_killed),
      T(server_is_killed_at_any_time), T(polite_signals_do_nothing))
