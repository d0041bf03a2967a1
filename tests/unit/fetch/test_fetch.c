/* Fetching from sites that answer as they should: methods, headers, bodies, redirects, bounds. */
#include "fetch/fetch_impl.h"
#include "site.c"

#include <signal.h>
#include <zlib.h>

static struct site site, other;

static int setup(void **state)
{
    (void)state;
    site_open(&site, "127.0.0.1:0");
    site_open(&other, "127.0.0.2:0");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    site_close(&site);
    site_close(&other);
    return 0;
}

/* A fetch from the two sites, which are allowed by their exact addresses. */
static bool get_with(struct fetch_options o, const char *path, struct fetch_answer *a,
                     struct err *e)
{
    struct address allow[2] = {site.address, other.address};
    char url[512];
    snprintf(url, sizeof url, "http://127.0.0.1:%u%s", site.port, path);
    o.url = slice_from(url);
    o.allow = allow;
    o.n_allow = 2;
    if (!o.max_ms)
        o.max_ms = 60000;
    memset(e, 0, sizeof *e);
    return fetch_run(&o, a, e);
}

static void expect_fine(struct fetch_options o, const char *path, int status, const char *body)
{
    struct fetch_answer a;
    struct err e;
    if (!get_with(o, path, &a, &e))
        fail_msg("%s", e.msg);
    assert_int_equal(a.status, status);
    if (body)
        assert_string_equal(a.body.data ? a.body.data : "", body);
    fetch_answer_done(&a);
}

static void expect_error(struct fetch_options o, enum err_code code, const char *words)
{
    struct fetch_answer a;
    struct err e;
    if (get_with(o, "/", &a, &e))
        fail_msg("answered %d", a.status);
    if (e.code != code || !strstr(e.msg, words))
        fail_msg("%s: %s", err_slug(e.code), e.msg);
    fetch_answer_done(&a);
}

#define OPTIONS(...) ((struct fetch_options){__VA_ARGS__})
#define PLAIN        OPTIONS(.max_ms = 0)

/* ---- requests -------------------------------------------------------------------------------- */

static void get_answers(void **state)
{
    struct fetch_answer a;
    struct err e;
    (void)state;
    site_say(&site, "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
                    "HTTP/1.1 200 OK\r\nX-One: a\r\nx-one:  b \r\n"
                    "Content-Length: 5\r\n\r\nhello");
    assert_true(get_with(PLAIN, "/a%20b?c=d#e", &a, &e));
    assert_int_equal(a.status, 200);
    assert_string_equal(a.body.data, "hello");
    assert_string_equal(a.ip, "127.0.0.1");
    assert_null(strchr(a.url, '#'));
    assert_int_equal(a.n_headers, 3);
    assert_true(slice_is(fetch_find(&a, "X-ONE", 0), "a"));
    assert_true(slice_is(fetch_find(&a, "x-one", 1), "b"));
    assert_null(fetch_find(&a, "x-one", 2).ptr);
    assert_null(fetch_find(&a, "link", 0).ptr);
    assert_memory_equal(site.asked, "GET /a%20b?c=d HTTP/1.1\r\n", 25);
    assert_non_null(strstr(site.asked, "\r\nUser-Agent: dais/"));
    fetch_answer_done(&a);
}

static void methods_and_bodies(void **state)
{
    static const struct {
        enum http_method method;
        const char *body, *wanted;
    } rows[] = {
        {METHOD_POST, "{}", "POST / "},  {METHOD_PUT, "x", "PUT / "},
        {METHOD_PATCH, "x", "PATCH / "}, {METHOD_DELETE, NULL, "DELETE / "},
        {METHOD_POST, NULL, "POST / "},  {METHOD_OPTIONS, NULL, "OPTIONS / "},
        {METHOD_HEAD, NULL, "HEAD / "},  {METHOD_DELETE, "x", "DELETE / "},
    };
    static const struct fetch_header type = {SLICE_INIT("Content-Type"), SLICE_INIT("a/b"), false};
    (void)state;
    site_say(&site, "HTTP/1.1 204 No Content\r\n\r\n");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *body = rows[i].body;
        expect_fine(OPTIONS(.method = rows[i].method, .headers = &type, .n_headers = 1,
                            .body = body ? slice_from(body) : (struct slice){0}),
                    "/", 204, "");
        assert_memory_equal(site.asked, rows[i].wanted, strlen(rows[i].wanted));
        assert_non_null(strstr(site.asked, "\r\nContent-Type: a/b\r\n"));
        assert_null(strstr(site.asked, "Expect:"));
        assert_string_equal(strstr(site.asked, "\r\n\r\n") + 4, body ? body : "");
    }
}

static void unspeakable_headers(void **state)
{
    static const struct fetch_header bad[] = {
        {SLICE_INIT("X-A"), SLICE_INIT("a\r\nX-B: b"), false},
        {SLICE_INIT("X-A"), SLICE_INIT("a\nb"), false},
        {SLICE_INIT("X-A"), SLICE_INIT("a\0b"), false},
        {SLICE_INIT("X A"), SLICE_INIT("a"), false},
        {SLICE_INIT("X-A:"), SLICE_INIT("a"), false},
        {SLICE_INIT(""), SLICE_INIT("a"), false},
        {SLICE_INIT("host"), SLICE_INIT("other.test"), false},
        {SLICE_INIT("Content-Length"), SLICE_INIT("1"), false},
        {SLICE_INIT("Transfer-Encoding"), SLICE_INIT("chunked"), false},
        {SLICE_INIT("Connection"), SLICE_INIT("x"), false},
        {SLICE_INIT("Upgrade"), SLICE_INIT("h2c"), false},
    };
    static const struct fetch_header empty = {SLICE_INIT("X-Empty"), SLICE_INIT(""), false};
    (void)state;
    site_say(&site, "HTTP/1.1 204 No Content\r\n\r\n");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        expect_error(OPTIONS(.headers = &bad[i], .n_headers = 1), ERR_INVALID, "header");
    assert_int_equal(site.conns, 0);
    expect_fine(OPTIONS(.headers = &empty, .n_headers = 1), "/", 204, NULL);
    assert_non_null(strstr(site.asked, "\r\nX-Empty:\r\n"));
}

static bool take_some(void *user, struct slice piece, struct err *e)
{
    size_t *taken = user;
    *taken += piece.len;
    return *taken < 4 ? true : err_set(e, ERR_INVALID, "that is no picture");
}

static void body_in_pieces(void **state)
{
    size_t taken = 0;
    (void)state;
    site_say(&site, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc");
    expect_fine(OPTIONS(.on_body = take_some, .user = &taken), "/", 200, "");
    assert_int_equal(taken, 3);
    expect_error(OPTIONS(.on_body = take_some, .user = &taken), ERR_INVALID, "no picture");
}

static bool stop_now(void *user)
{
    (void)user;
    return true;
}

static void can_be_stopped(void **state)
{
    (void)state;
    site_say(&site, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc");
    site.after = SITE_HANG;
    expect_error(OPTIONS(.should_stop = stop_now), ERR_UNAVAILABLE, "stopped");
}

/* ---- redirects ------------------------------------------------------------------------------- */

static void follows_within_the_site(void **state)
{
    struct fetch_answer a;
    struct err e;
    (void)state;
    site_say(&site,
             "HTTP/1.1 302 Found\r\nLocation: /two words?x\r\nContent-Length: 4\r\n\r\nmore");
    site_say(&site, "HTTP/1.1 301 Moved\r\nLocation: three\r\n\r\n");
    site_say(&site, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood");
    assert_true(get_with(PLAIN, "/a/b", &a, &e));
    assert_int_equal(a.n_hops, 2);
    assert_int_equal(a.hops[0].status, 302);
    assert_non_null(strstr(a.hops[1].url, "/two%20words?x"));
    assert_non_null(strstr(a.url, "/three"));
    assert_string_equal(a.body.data, "good");
    fetch_answer_done(&a);
}

static void redirect_that_is_the_answer(void **state)
{
    (void)state;
    site_say(&site, "HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 4\r\n\r\nmore");
    expect_fine(OPTIONS(.max_redirects = -1), "/", 302, "more");
    site.n_answers = 0;
    buf_clear(&site.answers[0]);
    site_say(&site, "HTTP/1.1 302 Found\r\nContent-Length: 4\r\n\r\nmore"); /* leads nowhere */
    expect_fine(PLAIN, "/", 302, "more");
}

static void redirects_have_an_end(void **state)
{
    (void)state;
    site_say(&site, "HTTP/1.1 302 Found\r\nLocation: /again\r\n\r\n");
    expect_error(PLAIN, ERR_BAD_GATEWAY, "more than 5 redirects");
    assert_int_equal(site.conns, 6);
    expect_error(OPTIONS(.max_redirects = 1), ERR_BAD_GATEWAY, "more than 1 redirects");
    assert_int_equal(site.conns, 8);
}

static void method_after_redirect(void **state)
{
    static const struct {
        int status;
        enum http_method method;
        const char *then, *body;
    } rows[] = {
        {301, METHOD_POST, "GET ", ""},   {302, METHOD_POST, "GET ", ""},
        {303, METHOD_POST, "GET ", ""},   {303, METHOD_PUT, "GET ", ""},
        {307, METHOD_POST, "POST ", "b"}, {308, METHOD_POST, "POST ", "b"},
        {302, METHOD_PUT, "PUT ", "b"},
    };
    static const struct fetch_header type = {SLICE_INIT("Content-Type"), SLICE_INIT("a/b"), false};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        site.n_answers = site.conns = 0;
        buf_clear(&site.answers[0]);
        buf_clear(&site.answers[1]);
        site_say(&site, "HTTP/1.1 %d Go\r\nLocation: /x\r\n\r\n", rows[i].status);
        site_say(&site, "HTTP/1.1 204 No Content\r\n\r\n");
        expect_fine(
            OPTIONS(.method = rows[i].method, .body = SLICE("b"), .headers = &type, .n_headers = 1),
            "/", 204, "");
        assert_memory_equal(site.asked, rows[i].then, strlen(rows[i].then));
        assert_string_equal(strstr(site.asked, "\r\n\r\n") + 4, rows[i].body);
        assert_int_equal(strstr(site.asked, "Content-Type") != NULL, rows[i].body[0] == 'b');
    }
}

/* What is secret stays with the origin it was meant for, also when the way leads back there. */
static void secrets_stay(void **state)
{
    static const struct fetch_header headers[] = {
        {SLICE_INIT("Authorization"), SLICE_INIT("Bearer hidden"), false},
        {SLICE_INIT("cookie"), SLICE_INIT("a=hidden"), false},
        {SLICE_INIT("X-Signature"), SLICE_INIT("hidden"), true},
        {SLICE_INIT("X-Open"), SLICE_INIT("open"), false},
    };
    const struct fetch_options o = {.headers = headers, .n_headers = 4};
    (void)state;
    site_say(&site, "HTTP/1.1 307 Go\r\nLocation: /same\r\n\r\n");
    site_say(&site, "HTTP/1.1 307 Go\r\nLocation: http://127.0.0.2:%u/\r\n\r\n", other.port);
    site_say(&site, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    site.n_answers = 3;
    expect_fine(OPTIONS(.headers = headers, .n_headers = 4, .max_redirects = -1), "/", 307, "");
    assert_non_null(strstr(site.asked, "hidden"));
    site.conns = 0;
    site_say(&other, "HTTP/1.1 307 Go\r\nLocation: /there\r\n\r\n");
    site_say(&other, "HTTP/1.1 307 Go\r\nLocation: http://127.0.0.1:%u/back\r\n\r\n", site.port);
    expect_fine(o, "/", 200, "");
    assert_memory_equal(other.asked, "GET /there ", 11);
    assert_non_null(strstr(other.asked, "X-Open: open"));
    assert_null(strstr(other.asked, "hidden"));
    assert_memory_equal(site.asked, "GET /back ", 10);
    assert_null(strstr(site.asked, "hidden"));
}

static void secrets_go_on_within_the_origin(void **state)
{
    static const struct fetch_header key = {SLICE_INIT("Authorization"), SLICE_INIT("k"), false};
    (void)state;
    site_say(&site, "HTTP/1.1 307 Go\r\nLocation: /same\r\n\r\n");
    site_say(&site, "HTTP/1.1 204 No Content\r\n\r\n");
    expect_fine(OPTIONS(.headers = &key, .n_headers = 1), "/", 204, "");
    assert_memory_equal(site.asked, "GET /same ", 10);
    assert_non_null(strstr(site.asked, "\r\nAuthorization: k\r\n"));
}

/* ---- bounds ---------------------------------------------------------------------------------- */

static void too_long(void **state)
{
    (void)state;
    site_say(&site, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabcdef");
    expect_fine(OPTIONS(.max_bytes = 6), "/", 200, "abcdef");
    expect_error(OPTIONS(.max_bytes = 5), ERR_BAD_GATEWAY, "longer than 5 bytes");
}

static void without_an_end(void **state)
{
    (void)state;
    site.after = SITE_REPEAT; /* the head is repeated too, and is body then */
    site_say(&site, "HTTP/1.1 200 OK\r\n\r\n%02000d", 0);
    expect_error(PLAIN, ERR_BAD_GATEWAY, "longer than 1048576 bytes");
}

static void bomb(void **state)
{
    enum { SIZE = 32 << 20 };
    static unsigned char packed[64 << 10];
    char *zeros = test_calloc(1, SIZE);
    z_stream z = {.next_in = (unsigned char *)zeros,
                  .avail_in = SIZE,
                  .next_out = packed,
                  .avail_out = sizeof packed};
    char head[128];
    (void)state;
    assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, 15 + 16, 9, Z_DEFAULT_STRATEGY), Z_OK);
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    deflateEnd(&z);
    test_free(zeros);
    snprintf(head, sizeof head,
             "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %lu\r\n\r\n",
             z.total_out);
    site_say_bytes(&site, slice_from(head), (struct slice){(char *)packed, z.total_out});
    expect_error(PLAIN, ERR_BAD_GATEWAY, "longer than");
    expect_fine(OPTIONS(.max_bytes = SIZE), "/", 200, NULL);
}

static void heads_have_an_end(void **state)
{
    struct buf many;
    (void)state;
    buf_init(&many, 1u << 20);
    buf_add_str(&many, "HTTP/1.1 200 OK\r\n");
    for (int i = 0; i <= FETCH_HEADERS_MAX; i++)
        buf_printf(&many, "X-%d: y\r\n", i);
    buf_add_str(&many, "\r\n");
    site_say_bytes(&site, buf_slice(&many), SLICE(""));
    expect_error(PLAIN, ERR_BAD_GATEWAY, "more than 200 headers");
    buf_done(&many);
}

static void heads_are_short(void **state)
{
    (void)state;
    site.after = SITE_REPEAT; /* interim answers, for ever */
    site_say(&site, "HTTP/1.1 100 Continue\r\nX: %0900d\r\n\r\n", 0);
    expect_error(PLAIN, ERR_BAD_GATEWAY, "more than 64 KB of headers");
}

static void one_long_header(void **state)
{
    (void)state;
    site.after = SITE_REPEAT;
    site_say(&site, "HTTP/1.1 200 OK\r\nX: %03000d", 0);
    site.answers[0].data[4] = '/';
    expect_error(PLAIN, ERR_BAD_GATEWAY, "");
}

static void slow(void **state)
{
    static const char *const heads[] = {"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc",
                                        "HTTP/1.1 200 OK\r\nX", ""};
    (void)state;
    site.after = SITE_HANG;
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        site.n_answers = 0;
        buf_clear(&site.answers[0]);
        site_say(&site, "%s", heads[i]);
        expect_error(OPTIONS(.max_ms = 150), ERR_GATEWAY_TIMEOUT, "in time");
    }
}

/* Every redirect is quick, but together they are not. */
static void slow_in_all(void **state)
{
    (void)state;
    site.delay_ms = 300;
    site_say(&site, "HTTP/1.1 302 Found\r\nLocation: /again\r\n\r\n");
    expect_error(OPTIONS(.max_ms = 1000), ERR_GATEWAY_TIMEOUT, "in time");
    assert_in_range(site.conns, 1, 5);
}

static void not_http(void **state)
{
    static const struct {
        const char *said, *words;
    } rows[] = {
        {"SSH-2.0-OpenSSH\r\n\r\n", ""},
        {"", "without an answer"},
        {"HTTP/1.1 200 OK\r\nno colon\r\n\r\n", ""},
        {"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", "too early"},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc", ""},
        {"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc",
         "compression"},
        {"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n",
         "unasked"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        site.n_answers = 0;
        buf_clear(&site.answers[0]);
        site_say(&site, "%s", rows[i].said);
        expect_error(PLAIN, ERR_BAD_GATEWAY, rows[i].words);
    }
}

/* ---- WebSocket, libcurl ---------------------------------------------------------------------- */

static void asks_for_a_websocket(void **state)
{
    (void)state;
    site.after = SITE_HANG;
    site_say(&site, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                    "Connection: Upgrade\r\n\r\n");
    site_say(&site, "HTTP/1.1 403 Forbidden\r\nContent-Length: 100\r\n\r\nno");
    expect_fine(OPTIONS(.is_websocket = true), "/ws", 101, "");
    expect_fine(OPTIONS(.is_websocket = true), "/ws", 403, "");
    const char *key = strstr(site.asked, "\r\nSec-WebSocket-Key: ");
    assert_non_null(key);
    assert_memory_equal(key + 21 + 22, "==\r\n", 4);
    assert_non_null(strstr(site.asked, "\r\nUpgrade: websocket\r\n"));
    assert_non_null(strstr(site.asked, "\r\nConnection: Upgrade\r\n"));
}

static void *fetch_some(void *arg)
{
    bool *fine = arg;
    *fine = true;
    for (int i = 0; i < 8; i++) {
        struct fetch_answer a;
        struct err e;
        *fine = get_with(PLAIN, "/", &a, &e) && slice_is(buf_slice(&a.body), "hello") && *fine;
        fetch_answer_done(&a);
    }
    return NULL;
}

static void many_threads(void **state)
{
    pthread_t threads[4];
    bool fine[4];
    (void)state;
    site_say(&site, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, fetch_some, &fine[i]), 0);
    for (size_t i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    assert_true(fine[0] && fine[1] && fine[2] && fine[3]);
    assert_int_equal(site.conns, 32);
}

static void head_alone(void **state)
{
    struct fetch_answer a;
    struct err e;
    (void)state;
    site.after = SITE_HANG;
    site_say(&site, "HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc");
    expect_fine(OPTIONS(.is_head_only = true), "/", 200, "");
    assert_false(get_with(OPTIONS(.max_ms = 1500), "/", &a, &e)); /* else the body is waited for */
    assert_true(a.has_head);
    assert_string_equal(a.body.data, "abc");
    fetch_answer_done(&a);
}

static void libcurl_is_not_there(void **state)
{
    struct libcurl lib;
    struct err e;
    (void)state;
    assert_false(libcurl_open(&lib, "libcurl-that-nobody-has.so.4", &e));
    assert_int_equal(e.code, ERR_UNAVAILABLE);
    assert_non_null(strstr(e.msg, "apt-get install libcurl4"));
    assert_false(libcurl_open(&lib, "libm.so.6", &e));
    assert_non_null(strstr(e.msg, "lacks curl_global_init"));
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        CASE(many_threads), /* first: they open the library together */
        CASE(get_answers),
        CASE(methods_and_bodies),
        CASE(unspeakable_headers),
        CASE(body_in_pieces),
        CASE(can_be_stopped),
        CASE(follows_within_the_site),
        CASE(redirect_that_is_the_answer),
        CASE(redirects_have_an_end),
        CASE(method_after_redirect),
        CASE(secrets_stay),
        CASE(secrets_go_on_within_the_origin),
        CASE(too_long),
        CASE(without_an_end),
        CASE(bomb),
        CASE(heads_have_an_end),
        CASE(heads_are_short),
        CASE(one_long_header),
        CASE(slow),
        CASE(slow_in_all),
        CASE(not_http),
        CASE(asks_for_a_websocket),
        CASE(head_alone),
        CASE(libcurl_is_not_there),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
