/* Every read and every write of every kind of conversation fails once: never a hang, a leak, or an
 * answer that is torn or told twice. */
#include "server_rig.c"
#include "fault_stream.c"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>

#define CALLS_MAX 400 /* a conversation has fewer reads and writes */
#define HOST      "Host: a\r\nX-Request-Id: "
#define LAST      "Connection: close\r\n"

static const struct conversation {
    const char *name, *text;
    unsigned n_requests;
    const char *says; /* the untouched answer has this */
} conversations[] = {
    {"small", "GET /hello HTTP/1.1\r\n" HOST "r1\r\n" LAST "\r\n", 1, "hello"},
    {"file", "GET /file HTTP/1.1\r\n" HOST "r1\r\n" LAST "\r\n", 1, "200 OK"},
    {"shared block", "GET /big HTTP/1.1\r\n" HOST "r1\r\n" LAST "\r\n", 1, "200 OK"},
    {"chunked upload",
     "POST /echo HTTP/1.1\r\n" HOST "r1\r\nTransfer-Encoding: chunked\r\n" LAST "\r\n"
     "5\r\nabcde\r\n1a;x=y\r\nabcdefghijklmnopqrstuvwxyz\r\n0\r\nX-Sum: one\r\n\r\n",
     1, "abcdeabcdefghij"},
    {"upload to a lane",
     "POST /lane HTTP/1.1\r\n" HOST "r1\r\nContent-Length: 26\r\n" LAST
     "\r\nabcdefghijklmnopqrstuvwxyz",
     1, "abcdefghijklmnop"},
    {"upload that waits to be invited",
     "POST /echo HTTP/1.1\r\n" HOST "r1\r\nContent-Length: 3\r\nExpect: 100-continue\r\n" LAST
     "\r\nxyz",
     1, "\r\n\r\nxyz"},
    {"three at once",
     "GET /hello HTTP/1.1\r\n" HOST "r1\r\n\r\nGET /slow/7 HTTP/1.1\r\n" HOST "r2\r\n\r\n"
     "GET /show/x HTTP/1.1\r\n" HOST "r3\r\n" LAST "\r\n",
     3, "id=x"},
    {"a file between others",
     "GET /hello HTTP/1.1\r\n" HOST "r1\r\n\r\nGET /file HTTP/1.1\r\n" HOST "r2\r\n\r\n"
     "POST /echo HTTP/1.1\r\n" HOST "r3\r\nContent-Length: 2\r\n" LAST "\r\nok",
     3, "\r\n\r\nok"},
    {"stream", "GET /stream HTTP/1.1\r\n" HOST "r1\r\n" LAST "\r\n", 1, "line 19999"},
    {"stream of HTTP/1.0", "GET /stream HTTP/1.0\r\n" HOST "r1\r\n\r\n", 1, "line 19999"},
    {"events", "GET /events HTTP/1.1\r\n" HOST "r1\r\n" LAST "\r\n", 1, "data: 9\n"},
    {"head",
     "HEAD /file HTTP/1.1\r\n" HOST "r1\r\n\r\nHEAD /stream HTTP/1.1\r\n" HOST "r2\r\n\r\n"
     "HEAD /hello HTTP/1.1\r\n" HOST "r3\r\n" LAST "\r\n",
     3, "200 OK"},
    {"errors",
     "GET /nowhere HTTP/1.1\r\n" HOST "r1\r\n\r\nDELETE /hello HTTP/1.1\r\n" HOST "r2\r\n\r\n"
     "GET /fail HTTP/1.1\r\n" HOST "r3\r\n\r\nGET /.. HTTP/1.1\r\n" HOST "r4\r\n\r\n",
     4, "400 Bad"},
};
#define N_CONVERSATIONS (sizeof conversations / sizeof *conversations)

static struct rig rig;
static struct client *said; /* the untouched conversation */
static unsigned n_descriptors;

/* ---- what is compared -------------------------------------------------------------------------
 */

/* Cuts every line out that starts so; a date would differ, and a half-closed connection says
 * sooner that it will close. */
static void without_lines(struct client *c, const char *start)
{
    char *at = c->data, *end;
    while ((at = memmem(at, c->len - (size_t)(at - c->data), start, strlen(start)))) {
        size_t rest = c->len - (size_t)(at - c->data);
        end = memmem(at, rest, "\r\n", 2);
        size_t n = end ? (size_t)(end + 2 - at) : rest;
        memmove(at, at + n, rest - n);
        c->len -= n;
    }
}

static uint64_t answers_counted(void)
{
    struct arena a;
    struct server_stats s;
    uint64_t sum = 0;
    arena_init(&a, 1 << 20);
    rig_wait_lanes(&rig);
    server_stats_read(rig.server, &a, &s);
    for (size_t i = 0; i < s.n_routes; i++) {
        for (int n = 0; n < 500; n++)
            sum += s.routes[i].by_status[n];
    }
    assert_int_equal(s.conns_open, 0);
    assert_int_equal(s.conns_idle, 0);
    arena_done(&a);
    return sum;
}

static unsigned descriptors(void)
{
    unsigned n = 0;
    DIR *dir = opendir("/proc/self/fd");
    assert_non_null(dir);
    while (readdir(dir))
        n++;
    closedir(dir);
    return n;
}

/* ---- one conversation under a plan ------------------------------------------------------------
 */

struct outcome {
    struct client *client; /* what it was told */
    unsigned faults;
    uint64_t answers;
};

static struct outcome talk(const struct conversation *v, const struct fault_plan *plan)
{
    uint64_t before = answers_counted();
    faults_plan(plan);
    struct client *c = client_open(&rig);
    client_say(c, v->text);
    client_read_all(c);
    shutdown(c->fd, SHUT_RDWR);
    struct outcome o = {.client = c, .faults = faults_wait_closed()};
    o.answers = answers_counted() - before;
    without_lines(c, "Date: ");
    if (plan->side == READS && plan->fault == FAULT_END)
        without_lines(c, "Connection: close\r\n");
    return o;
}

static void check(const struct conversation *v, const struct fault_plan *plan,
                  const struct outcome *o, const struct client *want)
{
    static const char *const faults_said[] = {"short", "later", "broken", "ended"};
    const struct client *c = o->client;
    bool is_whole = plan->fault == FAULT_SHORT || plan->fault == FAULT_MORE || o->faults == 0;
    bool is_prefix = c->len <= want->len && memcmp(c->data, want->data, c->len) == 0;
    bool fine = is_prefix && (!is_whole || c->len == want->len) && o->answers <= v->n_requests &&
                (!is_whole || o->answers == v->n_requests);
    if (!fine)
        fail_msg("\"%s\", %s %u%s %s: %zu of %zu bytes%s, %u answers counted", v->name,
                 plan->side == READS ? "read" : "write", plan->at, plan->is_every ? " (all)" : "",
                 faults_said[plan->fault], c->len, want->len, is_prefix ? "" : ", and they differ",
                 (unsigned)o->answers);
}

/* True when the plan's fault came to pass. */
static bool try(const struct conversation *v, const struct fault_plan *plan)
{
    struct client *want = said;
    if (plan->side == READS && plan->fault == FAULT_END) {
        want = mem_alloc(sizeof *want);
        memcpy(want->data, said->data, want->len = said->len);
        without_lines(want, "Connection: close\r\n");
    }
    struct outcome o = talk(v, plan);
    check(v, plan, &o, want);
    client_close(o.client);
    if (want != said)
        free(want);
    assert_int_equal(descriptors(), n_descriptors);
    return o.faults > 0;
}

static void every_call_once(const struct conversation *v, struct fault_plan plan)
{
    for (int fault = 0; fault < FAULTS; fault++) {
        plan.fault = (enum fault)fault;
        for (plan.at = 1; try(v, &plan); plan.at++)
            assert_true(plan.at < CALLS_MAX);
        assert_true(plan.at > 1); /* there was something to break */
    }
}

static void all_calls_at_once(const struct conversation *v, struct fault_plan plan)
{
    plan.is_every = true;
    plan.short_bytes = said->len < 5000 ? 1 : 1999;
    for (int fault = FAULT_SHORT; fault <= FAULT_MORE; fault++) {
        plan.fault = (enum fault)fault;
        assert_true(try(v, &plan));
    }
}

static void start(const struct fault_plan *plan)
{
    struct rig_options o = {.threads = 1, .wrap = faults_wrap};
    struct err e;
    assert_true(trust_parse(&o.server.trust, SLICE("loopback"), &e)); /* our request ids count */
    faults_plan(plan);
    rig_start(&rig, &o);
    n_descriptors = descriptors();
}

static void break_each(const struct fault_plan *plan)
{
    start(plan);
    for (size_t i = 0; i < N_CONVERSATIONS; i++) {
        const struct conversation *v = &conversations[i];
        const struct fault_plan none = {.side = SIDES, .copies_files = plan->copies_files};
        struct outcome untouched = talk(v, &none);
        said = untouched.client;
        assert_int_equal(untouched.answers, v->n_requests);
        assert_non_null(memmem(said->data, said->len, v->says, strlen(v->says)));
        close(said->fd);
        every_call_once(v, *plan);
        all_calls_at_once(v, *plan);
        free(said);
    }
    rig_stop(&rig);
}

static void every_read(void **state)
{
    (void)state;
    break_each(&(struct fault_plan){.side = READS});
}

static void every_write(void **state)
{
    (void)state;
    break_each(&(struct fault_plan){.side = WRITES});
}

static void every_write_of_a_stream_that_cannot_send_files(void **state)
{
    (void)state;
    break_each(&(struct fault_plan){.side = WRITES, .copies_files = true});
}

static void every_read_of_a_stream_that_reads_ahead(void **state)
{
    (void)state;
    break_each(&(struct fault_plan){.side = READS, .reads_ahead = true});
}

/* While an answer is made the server reads a little ahead and then stops. What the filter still
 * holds then shows on no descriptor: it must be asked again. */
static void what_a_filter_holds_is_not_forgotten(void **state)
{
    struct buf all;
    (void)state;
    gate_set(false);
    start(&(struct fault_plan){.side = SIDES, .reads_ahead = true});
    struct client *c = client_open(&rig);
    buf_init(&all, 1 << 20);
    buf_add_str(&all, "GET /gate/1 HTTP/1.1\r\nHost: a\r\n\r\n");
    int n = 0;
    while (all.len < READ_BYTES + HELD_MOST / 2)
        buf_printf(&all, "GET /show/%d HTTP/1.1\r\nHost: a\r\n\r\n", n++);
    buf_add_str(&all, "GET /show/last HTTP/1.1\r\nHost: a\r\n" LAST "\r\n");
    client_send(c, all.data, all.len);
    faults_wait_read(READ_BYTES);
    gate_set(true);
    client_read_all(c);
    assert_non_null(memmem(c->data, c->len, "id=last", 7));
    client_close(c);
    buf_done(&all);
    rig_stop(&rig);
}

/* Nothing more can come: neither the time-out of bodies nor an invitation may hold it open. */
static void a_body_cut_off_behind_a_slow_request(void **state)
{
    static const char *const more[] = {"", "Expect: 100-continue\r\n"};
    (void)state;
    start(&(struct fault_plan){.side = SIDES});
    for (int i = 0; i < 2; i++) {
        struct buf b;
        buf_init(&b, 1000);
        buf_printf(&b,
                   "GET /gate/1 HTTP/1.1\r\nHost: a\r\n\r\n"
                   "POST /echo HTTP/1.1\r\nHost: a\r\n%sContent-Length: 9\r\n\r\nabc",
                   more[i]);
        gate_set(false);
        faults_plan(&(struct fault_plan){.side = SIDES});
        struct client *c = client_open(&rig);
        client_send(c, b.data, b.len);
        shutdown(c->fd, SHUT_WR);
        faults_wait_end();
        gate_set(true);
        client_read_all(c);
        assert_non_null(strstr(c->data, "id=1"));
        assert_null(strstr(c->data, "abc"));
        client_close(c);
        buf_done(&b);
    }
    rig_stop(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_read),
        cmocka_unit_test(every_write),
        cmocka_unit_test(every_write_of_a_stream_that_cannot_send_files),
        cmocka_unit_test(every_read_of_a_stream_that_reads_ahead),
        cmocka_unit_test(what_a_filter_holds_is_not_forgotten),
        cmocka_unit_test(a_body_cut_off_behind_a_slow_request),
    };
    signal(SIGPIPE, SIG_IGN);
    log_setup(LOG_ERROR + 1, LOG_TEXT, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
