/* Listening for real: no descriptors left, socket files of the living and the dead, both IPs, ports
 * that are taken. */
#include "net/net.h"
#include "unit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static struct loops *loops;
static pthread_t runner;

/* ---- what is accepted -------------------------------------------------------------------------
 */

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int fds[64];
    struct address peer;
    unsigned n;
} accepted = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static void on_accept(void *user, struct listener *ln, struct loop *l, int fd,
                      const struct address *peer)
{
    (void)user;
    (void)ln;
    (void)l;
    pthread_mutex_lock(&accepted.lock);
    accepted.fds[accepted.n++] = fd;
    accepted.peer = *peer;
    pthread_cond_signal(&accepted.changed);
    pthread_mutex_unlock(&accepted.lock);
}

static const struct listen_options options = {.on_accept = on_accept};

static void wait_accepted(unsigned n)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 30;
    pthread_mutex_lock(&accepted.lock);
    while (accepted.n < n) {
        if (pthread_cond_timedwait(&accepted.changed, &accepted.lock, &until) != 0)
            fail_msg("%u of %u connections accepted within 30 s", accepted.n, n);
    }
    assert_int_equal(accepted.n, n);
    pthread_mutex_unlock(&accepted.lock);
}

/* ---- running ----------------------------------------------------------------------------------
 */

static int start(void **state)
{
    (void)state;
    loops = loops_new(1);
    accepted.n = 0;
    return 0;
}

static void *run_loops(void *arg)
{
    loops_run(arg);
    return NULL;
}

static void run(struct listener *ln)
{
    listener_start(ln, loops_get(loops, 0));
    assert_int_equal(pthread_create(&runner, NULL, run_loops, loops), 0);
}

static void end(struct listener *ln)
{
    loops_stop(loops);
    pthread_join(runner, NULL);
    listener_stop(ln, loops_get(loops, 0)); /* who is in the queue is accepted after all */
    for (unsigned i = 0; i < accepted.n; i++)
        close(accepted.fds[i]);
    loops_free(loops);
    loops = NULL;
    listener_free(ln);
}

static int stop(void **state)
{
    (void)state;
    if (loops)
        loops_free(loops);
    return 0;
}

static struct listener *open_at(const char *text)
{
    struct address a;
    struct err e;
    assert_true(address_parse(&a, slice_from(text), &e));
    struct listener *ln = listener_open(loops, &a, &options, &e);
    if (!ln)
        fail_msg("%s: %s", text, e.msg);
    return ln;
}

static void refused_at(const char *text, const char *why)
{
    struct address a;
    struct err e;
    assert_true(address_parse(&a, slice_from(text), &e));
    struct listener *ln = listener_open(loops, &a, &options, &e);
    assert_null(ln);
    assert_int_equal(e.code, ERR_IO);
    if (!strstr(e.msg, why))
        fail_msg("\"%s\" is not in \"%s\"", why, e.msg);
}

/* A non-blocking connect to the same address, so that nothing of it waits for accept. */
static int call(const struct address *a)
{
    int fd = socket(a->sa.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    if (a->sa.any.sa_family == AF_UNIX) {
        struct sockaddr_un un = {.sun_family = AF_UNIX};
        snprintf(un.sun_path, sizeof un.sun_path, "%.100s", a->path);
        assert_int_equal(connect(fd, (struct sockaddr *)&un, sizeof un), 0);
    } else {
        assert_int_equal(connect(fd, &a->sa.any, a->len), 0);
    }
    return fd;
}

/* ---- no descriptors ---------------------------------------------------------------------------
 */

#define CALLERS 8

static int64_t process_cpu_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Turns are counted: a loop that spins has very many of them. */
static _Atomic unsigned turns;

static void count_turn(struct tick *t, struct loop *l)
{
    (void)t;
    (void)l;
    turns++;
}

struct nap {
    struct timer timer;
    pthread_mutex_t lock;
    pthread_cond_t over;
    struct post post;
    bool is_over;
};

static void on_nap_over(struct timer *t, struct loop *l)
{
    struct nap *n = container_of(t, struct nap, timer);
    (void)l;
    pthread_mutex_lock(&n->lock);
    n->is_over = true;
    pthread_cond_signal(&n->over);
    pthread_mutex_unlock(&n->lock);
}

static void on_nap(struct post *p, struct loop *l)
{
    struct nap *n = container_of(p, struct nap, post);
    n->timer.fn = on_nap_over;
    timer_set(&n->timer, l, 400);
}

/* Four pauses of the listener go by, by the loop's own clock. */
static void let_pauses_pass(void)
{
    struct nap n = {.post.fn = on_nap};
    pthread_mutex_init(&n.lock, NULL);
    pthread_cond_init(&n.over, NULL);
    loop_post(loops_get(loops, 0), &n.post);
    pthread_mutex_lock(&n.lock);
    while (!n.is_over)
        pthread_cond_wait(&n.over, &n.lock);
    pthread_mutex_unlock(&n.lock);
    pthread_cond_destroy(&n.over);
    pthread_mutex_destroy(&n.lock);
}

static void without_descriptors_it_waits_and_goes_on(void **state)
{
    struct rlimit was, none;
    struct address a;
    static struct tick tick = {.fn = count_turn};
    int callers[CALLERS];
    (void)state;
    struct listener *ln = open_at("127.0.0.1:0");
    listener_address(ln, &a);
    loop_add_tick(loops_get(loops, 0), &tick);
    for (int i = 0; i < CALLERS; i++)
        callers[i] = call(&a);
    getrlimit(RLIMIT_NOFILE, &was);
    int lowest = dup(0); /* the next one to be given out, and so the first that may not be */
    close(lowest);
    none = (struct rlimit){.rlim_cur = (rlim_t)lowest, .rlim_max = was.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    run(ln);
    let_pauses_pass();
    unsigned few = turns;
    int64_t cpu = process_cpu_ms();
    let_pauses_pass();
    unsigned many = turns - few;
    cpu = process_cpu_ms() - cpu;
    pthread_mutex_lock(&accepted.lock);
    unsigned n = accepted.n;
    pthread_mutex_unlock(&accepted.lock);
    setrlimit(RLIMIT_NOFILE, &was);
    assert_int_equal(n, 0);
    assert_in_range(many, 2, 60); /* about 4 looks and as many timers: neither gone nor spinning */
    assert_in_range(cpu, 0, 200);
    wait_accepted(CALLERS);
    callers[0] = (close(callers[0]), call(&a)); /* and new ones as before */
    wait_accepted(CALLERS + 1);
    end(ln);
    for (int i = 0; i < CALLERS; i++)
        close(callers[i]);
}

static void stopping_while_it_waits(void **state)
{
    struct rlimit was, none;
    struct address a;
    (void)state;
    struct listener *ln = open_at("127.0.0.1:0");
    listener_address(ln, &a);
    int caller = call(&a);
    getrlimit(RLIMIT_NOFILE, &was);
    int lowest = dup(0);
    close(lowest);
    none = (struct rlimit){.rlim_cur = (rlim_t)lowest, .rlim_max = was.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    run(ln);
    let_pauses_pass();
    setrlimit(RLIMIT_NOFILE, &was);
    end(ln);
    assert_int_equal(accepted.n, 1);
    close(caller);
}

/* ---- unix sockets -----------------------------------------------------------------------------
 */

static char folder[] = "/tmp/dais-listener-XXXXXX";
static char path[sizeof folder + 8], name[sizeof path + 8];

static int make_folder(void **state)
{
    start(state);
    memcpy(folder + sizeof folder - 7, "XXXXXX", 6);
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/socket", folder);
    snprintf(name, sizeof name, "unix:%s", path);
    return 0;
}

static int remove_folder(void **state)
{
    unlink(path);
    assert_int_equal(rmdir(folder), 0);
    return stop(state);
}

static bool is_there(void)
{
    struct stat st;
    return lstat(path, &st) == 0;
}

/* Binds the path as another program would; the file stays when it closes. */
static int others_socket(int backlog)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    snprintf(un.sun_path, sizeof un.sun_path, "%.100s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&un, sizeof un), 0);
    assert_int_equal(listen(fd, backlog), 0);
    return fd;
}

static void a_socket_file_comes_and_goes(void **state)
{
    struct address a;
    struct stat st;
    (void)state;
    struct listener *ln = open_at(name);
    listener_address(ln, &a);
    assert_int_equal(stat(path, &st), 0);
    assert_true(S_ISSOCK(st.st_mode));
    assert_int_equal(st.st_mode & 0777, 0600);
    int caller = call(&a);
    run(ln);
    wait_accepted(1);
    assert_int_equal(accepted.peer.sa.any.sa_family, AF_UNIX);
    end(ln);
    close(caller);
    assert_false(is_there());
}

static void a_dead_socket_file_is_replaced(void **state)
{
    struct address a;
    (void)state;
    close(others_socket(1));
    assert_true(is_there());
    struct listener *ln = open_at(name);
    listener_address(ln, &a);
    int caller = call(&a);
    run(ln);
    wait_accepted(1);
    end(ln);
    close(caller);
    assert_false(is_there());
}

static void a_living_one_is_refused_and_stays(void **state)
{
    struct address a;
    struct err e;
    (void)state;
    int other = others_socket(4);
    refused_at(name, "is in use by another program");
    assert_true(is_there());
    assert_true(address_parse(&a, slice_from(name), &e));
    close(call(&a)); /* still the other's */
    close(other);
}

/* Whoever is too busy to accept is alive; asking must not wait for it. */
static void a_busy_one_is_refused_at_once(void **state)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    int callers[8], n = 0;
    (void)state;
    int other = others_socket(0);
    snprintf(un.sun_path, sizeof un.sun_path, "%.100s", path);
    do
        callers[n] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    while (connect(callers[n++], (struct sockaddr *)&un, sizeof un) == 0 && n < 8);
    assert_true(n < 8); /* the queue is full */
    alarm(60);          /* or the test ends here */
    refused_at(name, "is in use by another program");
    alarm(0);
    while (n > 0)
        close(callers[--n]);
    close(other);
}

/* connect() says "refused" of any file; only sockets are left over from us. */
static void a_file_that_is_no_socket_stays(void **state)
{
    (void)state;
    int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    assert_int_equal(write(fd, "precious", 8), 8);
    close(fd);
    refused_at(name, "is there already and is no socket");
    assert_true(is_there());
}

static void a_folder_that_is_not_there(void **state)
{
    (void)state;
    refused_at("unix:/nowhere/at/all/socket", "opening the folder of the unix socket");
}

/* ---- IP ---------------------------------------------------------------------------------------
 */

static bool has_ip6(void)
{
    struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool fine = fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof a) == 0;
    if (fd >= 0)
        close(fd);
    return fine;
}

static void calls_reach(const char *listens, const char *calls, const char *peer)
{
    struct address a, to;
    struct err e;
    struct ip ip;
    char text[IP_TEXT_LEN];
    struct listener *ln = open_at(listens);
    listener_address(ln, &a);
    assert_true(address_parse(&to, slice_from(calls), &e));
    assert_int_not_equal(a.sa.v4.sin_port, 0); /* v4 and v6 keep it in the same place */
    to.sa.v4.sin_port = a.sa.v4.sin_port;
    int caller = call(&to);
    run(ln);
    wait_accepted(1);
    assert_true(ip_of(&ip, &accepted.peer));
    ip_text(&ip, text);
    assert_string_equal(text, peer);
    assert_true(fcntl(accepted.fds[0], F_GETFL) & O_NONBLOCK);
    end(ln);
    close(caller);
}

static void ip4(void **state)
{
    (void)state;
    calls_reach("127.0.0.1:0", "127.0.0.1:1", "127.0.0.1");
}

static void ip6(void **state)
{
    (void)state;
    if (!has_ip6())
        return; /* this machine has none; the next test has its own way */
    calls_reach("[::1]:0", "[::1]:1", "::1");
}

static void every_address_takes_ip4_too(void **state)
{
    (void)state;
    calls_reach(":0", "127.0.0.1:1", "127.0.0.1");
}

static void a_taken_port_is_said(void **state)
{
    char text[ADDRESS_TEXT_LEN], want[ADDRESS_TEXT_LEN + 100];
    struct address a;
    (void)state;
    struct listener *ln = open_at("127.0.0.1:0");
    listener_address(ln, &a);
    address_text(&a, text);
    snprintf(want, sizeof want, "%s is in use by another program; stop it, or choose", text);
    refused_at(text, want);
    listener_free(ln);
    ln = open_at(text); /* and free again at once */
    listener_free(ln);
}

static void an_address_of_another_machine_is_said(void **state)
{
    (void)state;
    refused_at("192.0.2.1:0", "listening on 192.0.2.1:0 failed");
}

#define T(test) cmocka_unit_test_setup_teardown(test, start, stop)
#define U(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(without_descriptors_it_waits_and_goes_on),
        T(stopping_while_it_waits),
        U(a_socket_file_comes_and_goes),
        U(a_dead_socket_file_is_replaced),
        U(a_living_one_is_refused_and_stays),
        U(a_busy_one_is_refused_at_once),
        U(a_file_that_is_no_socket_stays),
        T(a_folder_that_is_not_there),
        T(ip4),
        T(ip6),
        T(every_address_takes_ip4_too),
        T(a_taken_port_is_said),
        T(an_address_of_another_machine_is_said),
    };
    log_setup(LOG_ERROR, LOG_TEXT, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
