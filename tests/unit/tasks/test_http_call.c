/* http.call against a server in the test: what it sends, what it makes of answers, where it does
 * not go. */
#include "tasks_test.h"

#define site fetch_site /* manifest.h has a struct site too */
#include "../fetch/site.c"
#undef site

#include <signal.h>

static struct fetch_site site, other;
static struct task_place place;

static int setup(void **state)
{
    (void)state;
    signal(SIGPIPE, SIG_IGN);
    site_open(&site, "127.0.0.1:0");
    site_open(&other, "127.0.0.2:0");
    place =
        (struct task_place){.app = SLICE("shop"), .breakers = breakers_new(), .is_unguarded = true};
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    site_close(&site);
    site_close(&other);
    breakers_free(place.breakers);
    return 0;
}

static const char *at(const char *fmt, ...) PRINTF(1, 2);
static const char *at(const char *fmt, ...)
{
    static char texts[16][512];
    static unsigned n;
    char *to = texts[n++ % 16];
    va_list list;
    va_start(list, fmt);
    vsnprintf(to, sizeof texts[0], fmt, list);
    va_end(list);
    return to;
}

static const char *site_url(const char *prefix)
{
    return at("%shttp://127.0.0.1:%u/hook", prefix, site.port);
}

/* ERR_NONE when it went well. */
static enum err_code run(const char *const *with, const char *input, char result[256])
{
    struct asked k;
    asked_init(&k, with, input);
    bool fine = task_http_call.run(&place, &k.call, &k.err);
    if (result)
        snprintf(result, 256, "%.*s", (int)k.result.len, k.result.data ? k.result.data : "");
    if (!fine && result)
        snprintf(result, 256, "%s", k.err.msg);
    asked_done(&k);
    return fine ? ERR_NONE : k.err.code;
}

static const char *asked_header(const char *name)
{
    static char value[256];
    const char *line = strcasestr(site.asked, at("\r\n%s: ", name));
    if (!line)
        return "";
    line += strlen(name) + 4;
    snprintf(value, sizeof value, "%.*s", (int)strcspn(line, "\r"), line);
    return value;
}

static const char *asked_body(void)
{
    return strstr(site.asked, "\r\n\r\n") + 4;
}

#define SAY(text) site_say(&site, "%s", "HTTP/1.1 " text "\r\nContent-Length: 0\r\n\r\n")

/* ---- what is sent ------------------------------------------------------------------------------
 */

/* Python: hmac.new(secret, b"1700000000." + body, "sha256").hexdigest() */
static void signature_is_as_others_make_it(void **state)
{
    struct arena a;
    (void)state;
    arena_init(&a, 1u << 20);
    assert_true(slice_is(
        call_signature(SLICE("whsec one"),
                       SLICE("{\"event\":\"orders.created\",\"n\":1,\"name\":\"Zo\xc3\xab\"}"),
                       1700000000, &a),
        "t=1700000000,v1=cb39532b6f600391106bbb690b0a643353c3f4b37d8321be7f2d409184e51084"));
    assert_true(
        slice_is(call_signature(SLICE("k"), SLICE(""), 0, &a),
                 "t=0,v1=6b4a4b8b3c40f1e8f53a3d36682e5f99f7ad2ac1df1c93dfe336f329167641e7"));
    arena_done(&a);
}

static void the_input_is_the_body(void **state)
{
    char result[256];
    (void)state;
    SAY("204 No Content");
    assert_int_equal(run(WITH(site_url("url=")), "{\"event\":\"a.created\",\"n\":1e3}", result), 0);
    assert_string_equal(result, "{\"status\":204}");
    assert_memory_equal(site.asked, "POST /hook HTTP/1.1\r\n", 21);
    assert_string_equal(asked_body(), "{\"event\":\"a.created\",\"n\":1e3}");
    assert_string_equal(asked_header("Content-Type"), "application/json");
    assert_string_equal(asked_header("X-Dais-Job"), "0123456789abcdefghij");
    assert_string_equal(asked_header("Idempotency-Key"), "0123456789abcdefghij");
    assert_string_equal(asked_header("X-Dais-Attempt"), "2");
    assert_memory_equal(asked_header("User-Agent"), "dais/", 5);
    assert_string_equal(asked_header("X-Dais-Signature"), "");
    assert_string_equal(asked_header("Authorization"), "");
}

static void signed_over_what_is_sent(void **state)
{
    struct arena a;
    uint64_t t = 0;
    (void)state;
    SAY("200 OK");
    assert_int_equal(run(WITH(site_url("url="), "secret=s3cret", "authorization=Bearer x"),
                         "{\"a\":[1,2]}", NULL),
                     0);
    assert_string_equal(asked_header("Authorization"), "Bearer x");
    struct slice rest = S(asked_header("X-Dais-Signature")), when = {0};
    assert_true(slice_cut(&rest, ',', &when) && slice_to_u64(slice_skip(when, 2), &t));
    arena_init(&a, 1u << 20);
    struct slice wanted = call_signature(SLICE("s3cret"), S(asked_body()), (int64_t)t, &a);
    assert_string_equal(asked_header("X-Dais-Signature"), arena_cstr(&a, wanted));
    arena_done(&a);
}

static void bodies_and_methods(void **state)
{
    static const struct {
        const char *with, *input, *line, *type, *body;
    } rows[] = {
        {"method=PUT", "{\"method\":\"GET\"}", "PUT ", "application/json", "{\"method\":\"GET\"}"},
        {"method=GET", "{\"a\":1}", "GET ", "", ""},
        {"method=DELETE", "{\"a\":1}", "DELETE ", "", ""},
        {"method=DELETE", "{\"body\":{\"a\":1}}", "DELETE ", "application/json", "{\"a\":1}"},
        {"body=hello", "{\"body\":\"other\"}", "POST ", "text/plain; charset=utf-8", "hello"},
        {"body={\"x\":1}", "null", "POST ", "application/json", "{\"x\":1}"},
        {"method=PATCH", "{\"body\":\"text\"}", "PATCH ", "text/plain; charset=utf-8", "text"},
        {"method=POST", "null", "POST ", "application/json", "null"},
    };
    (void)state;
    SAY("200 OK");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(run(WITH(site_url("url="), rows[i].with), rows[i].input, NULL), 0);
        assert_memory_equal(site.asked, rows[i].line, strlen(rows[i].line));
        assert_string_equal(asked_header("Content-Type"), rows[i].type);
        assert_string_equal(asked_body(), rows[i].body);
    }
}

/* ---- what it makes of answers ------------------------------------------------------------------
 */

static void some_are_tried_again(void **state)
{
    static const int again[] = {408, 425, 429, 500, 502, 503, 504, 599},
                     final[] = {300, 301, 302, 304, 307, 400, 401, 403, 404, 409, 410, 422};
    struct err e;
    (void)state;
    for (int status = 200; status < 300; status++)
        assert_true(call_judge(status, &e));
    for (size_t i = 0; i < sizeof again / sizeof *again; i++)
        assert_true(!call_judge(again[i], &e) && call_may_be_repeated(e.code));
    for (size_t i = 0; i < sizeof final / sizeof *final; i++)
        assert_true(!call_judge(final[i], &e) && !call_may_be_repeated(e.code));
}

static void redirects_are_not_followed(void **state)
{
    char why[256];
    (void)state;
    site_say(&other, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    site_say(&site, "HTTP/1.1 307 Go\r\nLocation: http://127.0.0.2:%u/\r\n\r\n", other.port);
    assert_int_equal(run(WITH(site_url("url=")), "{}", why), ERR_INVALID);
    assert_non_null(strstr(why, "307"));
    assert_int_equal(site.conns, 1);
    assert_int_equal(other.conns, 0);
}

/* Else it would be delivered again and again. */
static void a_long_answer_is_one(void **state)
{
    (void)state;
    site.after = SITE_REPEAT;
    site_say(&site, "HTTP/1.1 200 OK\r\n\r\n%0*d", 2000, 7);
    assert_int_equal(run(WITH(site_url("url=")), "{}", NULL), 0);
}

static void left_alone_after_five(void **state)
{
    char why[256];
    const struct task_place elsewhere = {
        .app = SLICE("other"), .breakers = place.breakers, .is_unguarded = true};
    (void)state;
    SAY("503 Busy");
    for (int i = 0; i < 5; i++)
        assert_int_equal(run(WITH(site_url("url=")), "{}", why), ERR_UNAVAILABLE);
    assert_int_equal(site.conns, 5);
    const char *again = at("url=HTTP://127.0.0.1:%u/other?x", site.port);
    assert_int_equal(run(WITH(again), "{}", why), ERR_UNAVAILABLE);
    assert_int_equal(site.conns, 5); /* without a connection */
    assert_non_null(strstr(why, "several times in a row"));
    place.app = elsewhere.app;
    assert_int_equal(run(WITH(site_url("url=")), "{}", why), ERR_UNAVAILABLE);
    assert_int_equal(site.conns, 6); /* another app has made no such experience */
}

static void nobody_listens(void **state)
{
    (void)state; /* the connection is closed without a word */
    enum err_code code = run(WITH(site_url("url=")), "{}", NULL);
    assert_true(call_may_be_repeated(code));
}

/* A 404 is an answer: whoever gives one is there. */
static void refusals_do_not_open_it(void **state)
{
    (void)state;
    SAY("404 Not Found");
    for (int i = 0; i < 7; i++)
        assert_int_equal(run(WITH(site_url("url=")), "{}", NULL), ERR_INVALID);
    assert_int_equal(site.conns, 7);
}

/* ---- where it does not go ----------------------------------------------------------------------
 */

static void not_into_our_own_network(void **state)
{
    static const char *const urls[] = {
        "http://127.0.0.1:%u/",       "http://localhost:%u/",
        "http://[::1]:%u/",           "http://[::ffff:127.0.0.1]:%u/",
        "http://2130706433:%u/",      "http://0x7f.1:%u/",
        "http://169.254.169.254/?%u", "http://[::ffff:169.254.169.254]/?%u",
        "http://0.0.0.0:%u/",         "http://10.0.0.1:%u/",
        "http://[fd00:ec2::254]/?%u",
    };
    (void)state;
    SAY("200 OK");
    place.is_unguarded = false;
    for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
        struct buf text;
        char port[8];
        buf_init(&text, 400);
        snprintf(port, sizeof port, "%u", site.port);
        buf_add_replacing(&text, S(urls[i]), SLICE("%u"), S(port));
        const char *input = at("{\"url\":\"%s\",\"internal\":\"true\"}", text.data);
        enum err_code code = run(NULL, input, NULL);
        if (call_may_be_repeated(code) || !code)
            fail_msg("%s: %s", text.data, err_slug(code));
        assert_int_not_equal(run(WITH(at("url=%s", text.data)), "{\"internal\":\"true\"}", NULL),
                             ERR_NONE);
        buf_done(&text);
    }
    assert_int_equal(site.conns, 0);
    assert_int_equal(run(WITH(site_url("url="), "internal=false"), "{}", NULL), ERR_FORBIDDEN);
    assert_int_equal(run(WITH(site_url("url="), "internal=true"), "{}", NULL), ERR_NONE);
    assert_int_equal(site.conns, 1);
}

/* Who started it need not know where it went. */
static void an_address_of_the_maker_is_not_told(void **state)
{
    char told[256];
    (void)state;
    place.is_unguarded = false;
    assert_int_equal(run(WITH("url=http://127.0.0.9/hook"), "{}", told), ERR_FORBIDDEN);
    assert_string_equal(told, "The receiver is not open to everybody.");
    assert_int_equal(run(WITH("method=PUT"), "{\"url\":\"http://127.0.0.9/\"}", told),
                     ERR_FORBIDDEN);
    assert_non_null(strstr(told, "127.0.0.9"));
    place.is_unguarded = true;
    for (int i = 0; i < 6; i++) /* it does not answer; then it is left alone */
        assert_int_not_equal(run(WITH("url=http://127.0.0.9:1/hook"), "{}", told), ERR_NONE);
    assert_non_null(strstr(told, "left alone"));
    assert_null(strstr(told, "127.0.0.9"));
}

/* What the maker gives away goes to where the maker says. */
static void no_secrets_for_places_of_others(void **state)
{
    static const char *const given[] = {"secret=s", "authorization=Bearer x", "internal=true",
                                        "body=of a setting"};
    const char *input = at("{\"url\":\"%s\"}", site_url(""));
    (void)state;
    SAY("200 OK");
    for (size_t i = 0; i < sizeof given / sizeof *given; i++)
        assert_int_equal(run(WITH(given[i]), input, NULL), ERR_INVALID);
    assert_int_equal(site.conns, 0);
    /* a fixed URL stays, and only `with` has an authorization */
    input = at("{\"url\":\"http://127.0.0.2:%u/\",\"authorization\":\"Bearer y\"}", other.port);
    assert_int_equal(run(WITH(site_url("url=")), input, NULL), 0);
    assert_int_equal(site.conns, 1);
    assert_int_equal(other.conns, 0);
    assert_string_equal(asked_header("Authorization"), "");
    /* a setting that is missing is not the same as none: nothing goes out unsigned */
    assert_int_equal(run(WITH(site_url("url="), "secret="), "{}", NULL), ERR_INVALID);
    assert_int_equal(run(WITH(site_url("url="), "authorization="), "{}", NULL), ERR_INVALID);
    assert_int_equal(run(WITH("url="), input, NULL), ERR_INVALID);
    assert_int_equal(site.conns, 1);
    assert_int_equal(other.conns, 0);
}

static void what_is_no_address(void **state)
{
    static const char *const bad[] = {"",
                                      "example.com",
                                      "ftp://example.com/",
                                      "file:///etc/passwd",
                                      "http://",
                                      "https:///x",
                                      "http://a b/",
                                      "http://u:p@example.com/",
                                      "http://example.com/\x01",
                                      "javascript:1"};
    char to[CALL_ORIGIN_MAX];
    struct slice origin;
    struct err e;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (call_origin(S(bad[i]), to, &origin, &e))
            fail_msg("%s", bad[i]);
        assert_int_equal(e.code, ERR_INVALID);
    }
    assert_true(call_origin(S("HTTPS://Example.COM:8443?x"), to, &origin, &e));
    assert_true(slice_is(origin, "https://example.com:8443"));
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

TESTS(TEST(signature_is_as_others_make_it), TEST(the_input_is_the_body),
      TEST(signed_over_what_is_sent), TEST(bodies_and_methods), TEST(some_are_tried_again),
      TEST(redirects_are_not_followed), TEST(a_long_answer_is_one), TEST(left_alone_after_five),
      TEST(nobody_listens), TEST(refusals_do_not_open_it), TEST(not_into_our_own_network),
      TEST(no_secrets_for_places_of_others), TEST(an_address_of_the_maker_is_not_told),
      TEST(what_is_no_address))
