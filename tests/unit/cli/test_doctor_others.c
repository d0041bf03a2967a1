/* What the doctor says of answers that no test server on this machine can give. */
#include "cli/doctor_impl.h"
#include "unit.h"

static struct arena arena;
static struct probes p;
static struct report r;

static int setup(void **state)
{
    (void)state;
    arena_init(&arena, 16u << 20);
    memset(&p, 0, sizeof p);
    memset(&r, 0, sizeof r);
    p.arena = r.arena = &arena;
    p.origin = "https://a.example";
    p.host = "a.example";
    p.is_tls = true;
    p.all[PROBE_PAGE].is_whole = p.all[PROBE_PAGE].is_answered = true;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_done(&arena);
    return 0;
}

static void answer(enum probe_kind kind, int status, const char *name, const char *value)
{
    struct probe *to = &p.all[kind];
    to->is_asked = to->is_answered = true;
    to->answer.status = status;
    to->answer.n_headers = name ? 1 : 0;
    to->answer.headers[0] = (struct fetch_header){slice_from(name), slice_from(value), false};
}

static enum verdict verdict_of(const char *subject)
{
    memset(&r, 0, sizeof r);
    r.arena = &arena;
    judge_headers(&p, &r);
    judge_others(&p, &r);
    for (size_t i = 0; i < r.n; i++) {
        if (strcmp(r.items[i].subject, subject) == 0)
            return r.items[i].verdict;
    }
    return VERDICT_COUNT;
}

static void plain_http(void **state)
{
    (void)state;
    assert_int_equal(verdict_of("http://"), VERDICT_COUNT); /* not asked */
    p.all[PROBE_PLAIN].is_asked = true;
    assert_int_equal(verdict_of("http://"), VERDICT_NOTE);
    answer(PROBE_PLAIN, 301, "Location", "https://a.example/");
    assert_int_equal(verdict_of("http://"), VERDICT_GOOD);
    answer(PROBE_PLAIN, 301, "location", "http://www.a.example/");
    assert_int_equal(verdict_of("http://"), VERDICT_BAD);
    answer(PROBE_PLAIN, 200, NULL, NULL);
    assert_int_equal(verdict_of("http://"), VERDICT_BAD);
}

static void encryption(void **state)
{
    (void)state;
    assert_int_equal(verdict_of("HTTPS"), VERDICT_GOOD);
    assert_int_equal(verdict_of("Strict-Transport-Security"), VERDICT_MISSING);
    p.is_tls = false;
    assert_int_equal(verdict_of("HTTP"), VERDICT_BAD);
    assert_int_equal(verdict_of("Strict-Transport-Security"), VERDICT_COUNT);
    p.is_private = true;
    assert_int_equal(verdict_of("HTTP"), VERDICT_WEAK);
    p.is_loopback = true;
    assert_int_equal(verdict_of("HTTP"), VERDICT_NOTE);
}

/* Taken for strangers is bad, whatever happens to pages of our own. */
static void sockets(void **state)
{
    (void)state;
    answer(PROBE_WS_OWN, 403, NULL, NULL);
    answer(PROBE_WS_FOREIGN, 101, NULL, NULL);
    assert_int_equal(verdict_of("WebSocket"), VERDICT_BAD);
    answer(PROBE_WS_OWN, 101, NULL, NULL);
    p.all[PROBE_WS_FOREIGN].is_answered = false;
    assert_int_equal(verdict_of("WebSocket"), VERDICT_GOOD);
    p.all[PROBE_WS_OWN].is_answered = false;
    assert_int_equal(verdict_of("WebSocket"), VERDICT_NOTE);
    answer(PROBE_WS_OWN, 302, "Location", "/login");
    assert_int_equal(verdict_of("WebSocket"), VERDICT_NOTE);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

TESTS(CASE(plain_http), CASE(encryption), CASE(sockets))
