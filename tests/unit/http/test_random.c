/* Random clients with fixed seeds: requests of every kind, cut anywhere, pipelined, broken off;
 * each is answered once, in order, and counted. */
#include "server_rig.c"
#include "fault_stream.c"

#include <netinet/tcp.h>
#include <signal.h>

#include <stdio.h>

#define SEEDS      60
#define CLIENTS    5 /* at the same time */
#define ASKED_MAX  24
#define BODY_MOST  3000
#define STREAM_LEN 208890 /* "line 0\n" to "line 19999\n" */

/* ---- chance -----------------------------------------------------------------------------------
 */

static uint64_t seed;
static unsigned n_seed; /* told when something is wrong */

static unsigned below(unsigned n)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (unsigned)((seed >> 11) % n);
}

/* ---- what is asked and what must come back ----------------------------------------------------
 */

struct asked {
    int status;
    bool has_no_body; /* HEAD */
    struct buf body;  /* what the answer holds; empty: not compared */
    size_t length;    /* or only how long it is */
};

enum ending { END_CLOSE, END_HALF, END_BAD, END_CUT, END_GONE, ENDINGS };

struct talker {
    struct client *c;
    struct buf text; /* all it will say */
    size_t said;
    struct asked asked[ASKED_MAX];
    unsigned n, n_large;
    enum ending ending;
    bool is_done;
};

static void random_bytes_of(struct buf *to, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char c = (char)below(256);
        buf_add(to, (struct slice){&c, 1});
    }
}

static void add_head(struct talker *t, const char *method, const char *path)
{
    buf_printf(&t->text, "%s %s HTTP/1.1\r\nHost: a\r\nX-Request-Id: r%u\r\n", method, path, t->n);
}

static void ask_show(struct talker *t, struct asked *a)
{
    char path[40];
    bool is_slow = below(4) == 0;
    snprintf(path, sizeof path, "/%s/%u", is_slow ? "slow" : "show", t->n);
    a->has_no_body = below(4) == 0;
    add_head(t, a->has_no_body ? "HEAD" : "GET", path);
    buf_add_str(&t->text, "\r\n");
    if (!a->has_no_body)
        buf_printf(&a->body, "path=%s query= id=%u host=a client=127.0.0.1", path, t->n);
}

static void ask_counted(struct talker *t, struct asked *a)
{
    random_bytes_of(&a->body, below(BODY_MOST));
    add_head(t, "POST", below(2) ? "/echo" : "/lane");
    buf_printf(&t->text, "Content-Length: %zu\r\n\r\n", a->body.len);
    buf_add(&t->text, buf_slice(&a->body));
}

static void ask_chunked(struct talker *t, struct asked *a)
{
    add_head(t, "POST", below(2) ? "/echo" : "/lane");
    buf_add_str(&t->text, "Transfer-Encoding: chunked\r\n\r\n");
    for (unsigned n = below(6); n > 0; n--) {
        size_t at = a->body.len;
        random_bytes_of(&a->body, 1 + below(BODY_MOST / 6));
        buf_printf(&t->text, "%zx%s\r\n", a->body.len - at, below(3) ? "" : ";ext=\"a\"");
        buf_add(&t->text, slice_skip(buf_slice(&a->body), at));
        buf_add_str(&t->text, "\r\n");
    }
    buf_add_str(&t->text, below(3) ? "0\r\n\r\n" : "0\r\nX-Sum: 1\r\n\r\n");
}

static void ask_odd(struct talker *t, struct asked *a)
{
    static const struct {
        const char *method, *path;
        int status;
    } odd[] = {{"GET", "/fail", 409},     {"GET", "/nowhere/at/all", 404},
               {"DELETE", "/hello", 405}, {"OPTIONS", "/hello", 204},
               {"BREW", "/hello", 405},   {"GET", "/tree/", 200}};
    unsigned i = below(sizeof odd / sizeof *odd);
    add_head(t, odd[i].method, odd[i].path);
    buf_add_str(&t->text, "\r\n");
    a->status = odd[i].status;
}

static void ask_large(struct talker *t, struct asked *a)
{
    static const struct {
        const char *path;
        size_t length;
    } large[] = {{"/stream", STREAM_LEN}, {"/file", (1u << 20) - 5}};
    bool is_half = t->ending == END_HALF || t->ending == END_CUT;
    unsigned i = is_half ? 1 : below(2); /* a stream ends with its client */
    a->has_no_body = below(8) == 0;
    add_head(t, a->has_no_body ? "HEAD" : "GET", large[i].path);
    buf_add_str(&t->text, "\r\n");
    a->length = a->has_no_body ? 0 : large[i].length;
}

static void ask(struct talker *t)
{
    static void (*const kinds[])(struct talker *, struct asked *) = {
        ask_show, ask_show, ask_show, ask_counted, ask_chunked, ask_odd};
    struct asked *a = &t->asked[t->n];
    *a = (struct asked){.status = 200};
    buf_init(&a->body, 1 << 16);
    if (below(30) == 0 && t->n_large++ < 3) /* a client has room for 4 MB */
        ask_large(t, a);
    else
        kinds[below(sizeof kinds / sizeof *kinds)](t, a);
    t->n++;
}

static void ask_last(struct talker *t)
{
    static const char *const bad[] = {
        "GET /\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "GET /a HTTP/1.1\r\nHost : a\r\n\r\n",
        "GET /%00 HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /../a HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n",
        "\0\1\2\r\n\r\n",
    };
    if (t->ending == END_BAD) {
        buf_add_str(&t->text, bad[below(sizeof bad / sizeof *bad - 1)]);
        if (below(2)) /* whatever follows is nobody's request */
            buf_add_str(&t->text, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
        t->asked[t->n] = (struct asked){.status = 400};
        buf_init(&t->asked[t->n].body, 0);
        t->n++;
    } else if (t->ending == END_CLOSE) {
        add_head(t, "GET", "/hello");
        buf_add_str(&t->text, "Connection: close\r\n\r\nGET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
        t->asked[t->n] = (struct asked){.status = 200};
        buf_init(&t->asked[t->n].body, 64);
        buf_add_str(&t->asked[t->n++].body, "hello");
    } else if (t->ending == END_CUT) { /* half a head, then the end */
        buf_add_str(&t->text, "GET /hello HTTP/1.1\r\nHo");
    }
}

/* ---- reading the answers ----------------------------------------------------------------------
 */

/* Takes one answer off *in and holds it against what was asked. False: it is not whole. */
static struct slice header(struct slice head, const char *name)
{
    ptrdiff_t at = slice_search(head, slice_from(name));
    if (at < 0)
        return (struct slice){0};
    struct slice value = slice_skip(head, (size_t)at + strlen(name));
    return slice_first(value, (size_t)slice_search(value, SLICE("\r\n")));
}

static bool take_chunks(struct slice *in, size_t *ret_len)
{
    struct chunked ch;
    struct slice data;
    struct err e;
    enum io io;
    chunked_init(&ch);
    *ret_len = 0;
    while ((io = chunked_next(&ch, in, &data, &e)) == IO_OK)
        *ret_len += data.len;
    assert_int_not_equal(io, IO_FAIL);
    return io == IO_EOF;
}

static bool take_answer(struct slice *in, const struct asked *a, unsigned number)
{
    char id[16];
    struct slice all = *in, body;
    size_t len = 0;
    ptrdiff_t end = slice_search(all, SLICE("\r\n\r\n"));
    if (end < 0)
        return false;
    struct slice head = slice_first(all, (size_t)end + 2);
    uint64_t status = 0, length = 0;
    assert_true(slice_starts(head, SLICE("HTTP/1.1 ")));
    assert_true(slice_to_u64(slice_first(slice_skip(head, 9), 3), &status));
    body = slice_skip(all, (size_t)end + 4);
    bool is_right = status == (uint64_t)a->status;
    snprintf(id, sizeof id, "r%u", number);
    if (status != 400)
        is_right = is_right && slice_is(header(head, "\r\nX-Request-Id: "), id);
    if (!is_right)
        fail_msg("seed %u, answer %u: %d was due, but: %.*s", n_seed, number, a->status,
                 SLICE_ARGS(slice_first(all, 600)));
    struct slice length_text = header(head, "\r\nContent-Length: ");
    bool is_chunked = header(head, "\r\nTransfer-Encoding: ").len > 0;
    assert_true(is_chunked + (length_text.len > 0) + (status == 204) == 1);
    if (a->has_no_body || status == 204) {
        len = 0;
    } else if (is_chunked) {
        if (!take_chunks(&body, &len))
            return false;
    } else {
        assert_true(slice_to_u64(length_text, &length));
        if (length > body.len)
            return false;
        len = (size_t)length;
        if (a->body.len)
            assert_true(slice_eq(slice_first(body, len), buf_slice(&a->body)));
        body = slice_skip(body, len);
    }
    if (a->length)
        assert_int_equal(len, a->length);
    *in = body;
    return true;
}

/* How many answers came; all of them right. */
static unsigned answers_of(const struct talker *t)
{
    struct slice in = {t->c->data, t->c->len};
    unsigned n = 0;
    while (n < t->n && take_answer(&in, &t->asked[n], n))
        n++;
    if (n == t->n)
        assert_int_equal(in.len, 0); /* no word more */
    return n;
}

/* ---- talking ----------------------------------------------------------------------------------
 */

static struct rig rig;

static void talker_open(struct talker *t)
{
    *t = (struct talker){.ending = (enum ending)below(ENDINGS)};
    buf_init(&t->text, 1 << 20);
    for (unsigned n = below(ASKED_MAX - 1); n > 0; n--)
        ask(t);
    ask_last(t);
    t->c = client_open(&rig);
    int on = 1;
    setsockopt(t->c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

static void hear(struct talker *t)
{
    struct client *c = t->c;
    assert_true(c->len + 1 < sizeof c->data);
    ssize_t n = recv(c->fd, c->data + c->len, sizeof c->data - 1 - c->len, MSG_DONTWAIT);
    if (n > 0)
        c->len += (size_t)n;
}

/* Says a random piece. False when all is said. */
static bool say(struct talker *t)
{
    size_t left = t->text.len - t->said, most = below(3) ? 1 + below(80) : 1 + below(4000);
    size_t n = left < most ? left : most;
    if (n == 0 || (t->ending == END_GONE && t->said > t->text.len / 2))
        return false;
    ssize_t did = send(t->c->fd, t->text.data + t->said, n, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (did < 0 && errno != EAGAIN)
        return false; /* the server may close early; what it answered tells */
    t->said += did > 0 ? (size_t)did : 0;
    return true;
}

/* Ends as planned, and judges. */
static void finish_talk(struct talker *t, unsigned *ret_least, unsigned *ret_most)
{
    *ret_most += t->n;
    if (t->ending != END_GONE) {
        if (t->ending == END_HALF || t->ending == END_CUT)
            shutdown(t->c->fd, SHUT_WR);
        client_read_all(t->c);
        unsigned n = answers_of(t);
        if (n != t->n)
            fail_msg("seed %u: %u of %u answers came, ending %d", n_seed, n, t->n, t->ending);
        *ret_least += n;
    }
    t->is_done = true;
    client_close(t->c);
    for (unsigned i = 0; i < t->n; i++)
        buf_done(&t->asked[i].body);
    buf_done(&t->text);
}

/* ---- the server's side of it ------------------------------------------------------------------
 */

static void counted(uint64_t *ret_answers)
{
    struct arena a;
    struct server_stats s;
    arena_init(&a, 1 << 20);
    rig_wait_lanes(&rig);
    server_stats_read(rig.server, &a, &s);
    *ret_answers = 0;
    for (size_t i = 0; i < s.n_routes; i++) {
        for (int n = 0; n < 500; n++)
            *ret_answers += s.routes[i].by_status[n];
    }
    assert_int_equal(s.conns_open, 0);
    assert_int_equal(s.conns_idle, 0);
    arena_done(&a);
}

static void one_seed(uint64_t value, bool is_odd)
{
    static struct talker talkers[CLIENTS];
    uint64_t before, after;
    unsigned least = 0, most = 0, left = CLIENTS;
    seed = value * 0x9e3779b97f4a7c15u + 1;
    n_seed = (unsigned)value;
    counted(&before);
    faults_plan(&(struct fault_plan){.side = SIDES,
                                     .is_odd = is_odd,
                                     .seed = seed,
                                     .copies_files = value % 3 == 1,
                                     .reads_ahead = value % 3 == 2});
    for (int i = 0; i < CLIENTS; i++)
        talker_open(&talkers[i]);
    while (left > 0) {
        struct talker *t = &talkers[below(CLIENTS)];
        if (t->is_done)
            continue;
        if (below(3) == 0)
            hear(t);
        if (say(t))
            continue;
        finish_talk(t, &least, &most);
        left--;
    }
    faults_wait_closed();
    counted(&after);
    assert_in_range(after - before, least, most);
}

static void many_seeds(bool is_odd)
{
    struct rig_options o = {.threads = 2, .wrap = faults_wrap};
    struct err e;
    assert_true(trust_parse(&o.server.trust, SLICE("loopback"), &e)); /* our request ids count */
    faults_plan(&(struct fault_plan){.side = SIDES});
    rig_start(&rig, &o);
    for (uint64_t i = 0; i < SEEDS; i++)
        one_seed(i + (is_odd ? 1000 : 1), is_odd);
    rig_stop(&rig);
}

static void whole_pieces(void **state)
{
    (void)state;
    many_seeds(false);
}

static void odd_pieces(void **state)
{
    (void)state;
    many_seeds(true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_pieces),
        cmocka_unit_test(odd_pieces),
    };
    signal(SIGPIPE, SIG_IGN);
    log_setup(LOG_ERROR + 1, LOG_TEXT, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
