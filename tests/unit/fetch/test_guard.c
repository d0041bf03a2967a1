/* Where a fetch must not get to: every way we know to spell, name or redirect to an inner address.
 */
#include "fetch/fetch_impl.h"
#include "site.c"

#include <signal.h>
#include <stdlib.h>

static struct site inside, inside6, allowed;
static bool has_v6;

static bool can_v6(void)
{
    const struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool can = fd >= 0 && bind(fd, (const struct sockaddr *)&a, sizeof a) == 0;
    if (fd >= 0)
        close(fd);
    return can;
}

static int setup(void **state)
{
    (void)state;
    site_open(&inside, "127.0.0.1:0");
    site_open(&allowed, "127.0.0.2:0");
    site_say(&inside, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecret");
    has_v6 = can_v6();
    if (has_v6) {
        site_open(&inside6, "[::1]:0");
        site_say(&inside6, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecret");
    }
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    site_close(&inside);
    site_close(&allowed);
    if (has_v6)
        site_close(&inside6);
    return 0;
}

static bool run(struct fetch_options o, const char *url, struct err *e)
{
    struct fetch_answer a;
    memset(e, 0, sizeof *e);
    o.url = slice_from(url);
    o.allow = &allowed.address;
    o.n_allow = 1;
    o.max_ms = 60000;
    bool fine = fetch_run(&o, &a, e);
    fetch_answer_done(&a);
    return fine;
}

static void expect_refused(struct fetch_options o, const char *url, enum err_code code)
{
    struct err e;
    if (run(o, url, &e))
        fail_msg("%s: answered", url);
    if (e.code != code)
        fail_msg("%s: %s: %s", url, err_slug(e.code), e.msg);
    assert_int_equal(inside.conns, 0);
    assert_true(!has_v6 || inside6.conns == 0);
}

/* Puts the number where the text says PORT. */
static void with_port(char *to, size_t room, const char *text, uint16_t port)
{
    const char *at = strstr(text, "PORT");
    if (at)
        snprintf(to, room, "%.*s%u%s", (int)(at - text), text, port, at + 4);
    else
        snprintf(to, room, "%s", text);
}

#define NOTHING ((struct fetch_options){.max_ms = 0})

/* ---- spellings ------------------------------------------------------------------------------- */

/* PORT is the port that listens inside; these reach it when nobody guards. */
static const char *const ways_in[] = {
    "http://127.0.0.1:PORT/",       "http://127.1:PORT/",
    "http://127.0.1:PORT/",         "http://0:PORT/",
    "http://0.0.0.0:PORT/",         "http://0x0:PORT/",
    "http://2130706433:PORT/",      "http://0x7f000001:PORT/",
    "http://0X7F.1:PORT/",          "http://0177.0.0.1:PORT/",
    "http://017700000001:PORT/",    "http://127.0x0.00.1:PORT/",
    "http://localhost:PORT/",       "http://LOCALHOST:PORT/",
    "HTTP://127.0.0.1:PORT/",       "http://127.0.0.1:PORT?x",
    "http://127.0.0.1:PORT#x",      "http:/127.0.0.1:PORT/",
    "http:///127.0.0.1:PORT/",      "http://[::ffff:127.0.0.1]:PORT/",
    "http://[::ffff:7f00:1]:PORT/", "http://[0:0:0:0:0:ffff:7f00:0001]:PORT/",
    "http://[::ffff:0:0]:PORT/",
};
static const char *const ways_in6[] = {
    "http://[::1]:PORT/",
    "http://[0:0:0:0:0:0:0:1]:PORT/",
    "http://[::]:PORT/",
    "http://[::0001]:PORT/",
};

static void try_ways(const char *const *ways, size_t n, struct site *s)
{
    for (size_t i = 0; i < n; i++) {
        char url[128];
        with_port(url, sizeof url, ways[i], s->port);
        expect_refused(NOTHING, url, ERR_FORBIDDEN);
    }
    for (size_t i = 0; i < n; i++) { /* the same without the guard: what is tried above is real */
        struct err e;
        char url[128];
        with_port(url, sizeof url, ways[i], s->port);
        if (!run((struct fetch_options){.is_unguarded = true}, url, &e))
            fail_msg("%s reaches nothing: %s", url, e.msg);
    }
    assert_int_equal(s->conns, n);
}

static void spellings(void **state)
{
    (void)state;
    try_ways(ways_in, sizeof ways_in / sizeof *ways_in, &inside);
}

static void spellings6(void **state)
{
    (void)state;
    if (!has_v6)
        skip();
    try_ways(ways_in6, sizeof ways_in6 / sizeof *ways_in6, &inside6);
}

/* Refused before a packet leaves, so that nothing here depends on a network. */
static void networks(void **state)
{
    static const char *const urls[] = {
        "http://169.254.169.254/latest/meta-data/",
        "http://2852039166/",
        "http://0xa9fea9fe/",
        "http://[::ffff:169.254.169.254]/",
        "http://[64:ff9b::a9fe:a9fe]/",
        "http://[64:ff9b::7f00:1]/",
        "http://[2002:7f00:1::]/",
        "http://[2001:0:4136:e378:8000:63bf:f5ff:fffe]/",
        "http://[fd00::]/",
        "http://[fd00:ec2::254]/",
        "http://[fe80::1%25lo]/",
        "http://[ff02::1]/",
        "http://[::7f00:1]/",
        "http://10.0.0.1/",
        "http://172.16.0.1/",
        "http://192.168.1.1/",
        "http://100.100.100.200/",
        "http://168.63.129.16/",
        "http://192.0.0.192/",
        "http://192.0.2.1/",
        "http://198.18.0.1/",
        "http://224.0.0.1/",
        "http://255.255.255.255/",
        "https://127.0.0.1/",
        "https://10.0.0.1/",
    };
    (void)state;
    for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
        if (strchr(urls[i], '[') && !has_v6)
            continue;
        expect_refused(NOTHING, urls[i], ERR_FORBIDDEN);
    }
}

/* Letters that name preparation turns into digits and dots. */
static void unicode_digits(void **state)
{
    static const char *const hosts[] = {"\xef\xbc\x91\xef\xbc\x92\xef\xbc\x97.0.0.1",
                                        "127\xe3\x80\x82"
                                        "0\xe3\x80\x82"
                                        "0\xe3\x80\x82"
                                        "1",
                                        "\xe2\x91\xa0\xe2\x91\xa1\xe2\x91\xa6.0.0.1"};
    (void)state;
    for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
        struct err e;
        char url[128];
        snprintf(url, sizeof url, "http://%s:%u/", hosts[i], inside.port);
        assert_false(run(NOTHING, url, &e));
        assert_int_equal(inside.conns, 0);
    }
}

/* ---- what is no URL for us --------------------------------------------------------------------
 */

static void other_schemes(void **state)
{
    static const char *const urls[] = {
        "file:///etc/passwd",
        "file://localhost/etc/passwd",
        "FILE:///etc/passwd",
        "gopher://127.0.0.1:70/_x",
        "dict://127.0.0.1:11211/stats",
        "ftp://127.0.0.1/",
        "ldap://127.0.0.1/",
        "smb://127.0.0.1/",
        "tftp://127.0.0.1/",
        "scp://127.0.0.1/",
        "telnet://127.0.0.1/",
        "ws://127.0.0.1/",
        "unix:/run/x.sock",
        "javascript:alert(1)",
        "data:text/plain,x",
        "about:blank",
        "127.0.0.1",
        "//127.0.0.1/",
        "/etc/passwd",
        "http",
        "http://",
        "http:///",
        "http://:80/",
        "http://?x",
        "http://127.0.0.1:0/",
        "http://127.0.0.1:65536/",
        "http://127.0.0.1:99999999999999999999/",
        "http://127.0.0.1:-1/",
        "http://127.0.0.1:8x/",
        "http://127.0.0.1 /",
        "http://a b/",
        "http://127.0.0.1\r\nHost: x/",
        "http://[::1/",
        "http://[127.0.0.1]/",
        "",
        " ",
    };
    (void)state;
    for (size_t i = 0; i < sizeof urls / sizeof *urls; i++)
        expect_refused(NOTHING, urls[i], ERR_INVALID);
}

static void credentials(void **state)
{
    static const char *const urls[] = {
        "http://user@127.0.0.1:PORT/",           "http://user:word@127.0.0.1:PORT/",
        "http://:word@127.0.0.1:PORT/",          "http://example.com@127.0.0.1:PORT/",
        "http://example.com%40@127.0.0.1:PORT/", "http://example.com:80@127.0.0.1:PORT/",
    };
    (void)state;
    for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
        char url[128];
        with_port(url, sizeof url, urls[i], inside.port);
        expect_refused(NOTHING, url, ERR_INVALID);
    }
}

static void long_url(void **state)
{
    struct buf url;
    struct fetch_answer a;
    struct err e;
    (void)state;
    buf_init(&url, 1u << 20);
    buf_printf(&url, "http://127.0.0.1:%u/%09000d", inside.port, 0);
    const struct fetch_options o = {.url = buf_slice(&url), .is_unguarded = true};
    assert_false(fetch_run(&o, &a, &e));
    assert_int_equal(e.code, ERR_INVALID);
    fetch_answer_done(&a);
    const struct fetch_options nul = {.url = SLICE("http://127.0.0.1/\0x"), .is_unguarded = true};
    assert_false(fetch_run(&nul, &a, &e));
    assert_int_equal(e.code, ERR_INVALID);
    fetch_answer_done(&a);
    buf_done(&url);
}

static void ports_of_others(void **state)
{
    static const unsigned ports[] = {1, 22, 25, 53, 110, 143, 465, 587, 6667, 10080};
    (void)state;
    for (size_t i = 0; i < sizeof ports / sizeof *ports; i++) {
        char url[64];
        snprintf(url, sizeof url, "http://127.0.0.2:%u/", ports[i]);
        expect_refused(NOTHING, url, ERR_FORBIDDEN);
    }
    assert_true(port_is_for_web(80) && port_is_for_web(443) && port_is_for_web(8080));
    assert_false(port_is_for_web(25) || port_is_for_web(0));
}

/* ---- names that lead inside -------------------------------------------------------------------
 */

static void names_that_lead_inside(void **state)
{
    static const char *const lines[] = {
        "inside.test:PORT:127.0.0.1",        "inside.test:PORT:0.0.0.0",
        "inside.test:PORT:::ffff:127.0.0.1", "inside.test:PORT:10.0.0.1",
        "inside.test:PORT:169.254.1.1",      "inside.test:PORT:192.168.0.1,127.0.0.1",
    };
    (void)state;
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        char line[128], url[64];
        const char *const resolve[] = {line, NULL};
        with_port(line, sizeof line, lines[i], inside.port);
        snprintf(url, sizeof url, "http://inside.test:%u/", inside.port);
        expect_refused((struct fetch_options){.resolve = resolve}, url, ERR_FORBIDDEN);
    }
}

/* A name with two addresses: whichever is tried is checked, not the first one only. */
static void every_address_is_checked(void **state)
{
    struct site near;
    struct err e;
    char line[128], url[64], text[32];
    const char *const resolve[] = {line, NULL};
    (void)state;
    snprintf(text, sizeof text, "127.0.0.1:%u", allowed.port);
    site_open(&near, text); /* the same port, another address */
    site_say(&near, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    site_say(&allowed, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    snprintf(url, sizeof url, "http://both.test:%u/", allowed.port);
    snprintf(line, sizeof line, "both.test:%u:127.0.0.1,127.0.0.2", allowed.port);
    if (!run((struct fetch_options){.resolve = resolve}, url, &e))
        fail_msg("%s", e.msg);
    assert_int_equal(allowed.conns, 1);
    assert_int_equal(near.conns, 0);
    assert_true(run((struct fetch_options){.resolve = resolve, .is_unguarded = true}, url, &e));
    assert_int_equal(near.conns, 1); /* it was the first one indeed */
    site_close(&near);
}

static char answer_of_dns[128];

/* Asked all along: once the first request is there, the name leads elsewhere. */
static bool rebind(void *user)
{
    (void)user;
    char *last = strrchr(answer_of_dns, '.');
    if (allowed.conns)
        last[1] = '1';
    return false;
}

/* The name is fine at first and leads inside when it is asked for again. */
static void rebinding(void **state)
{
    const char *const resolve[] = {answer_of_dns, NULL};
    struct fetch_options o = {.resolve = resolve, .should_stop = rebind};
    struct site near;
    struct err e;
    char url[64], text[32];
    (void)state;
    snprintf(text, sizeof text, "127.0.0.1:%u", allowed.port);
    site_open(&near, text);
    site_say(&near, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    site_say(&allowed, "HTTP/1.1 302 Found\r\nLocation: /again\r\n\r\n");
    snprintf(url, sizeof url, "http://rebind.test:%u/", allowed.port);
    snprintf(answer_of_dns, sizeof answer_of_dns, "rebind.test:%u:127.0.0.2", allowed.port);
    assert_false(run(o, url, &e));
    assert_int_equal(e.code, ERR_FORBIDDEN);
    assert_int_equal(allowed.conns, 1);
    assert_int_equal(near.conns, 0);
    o.is_unguarded = true;
    assert_true(run(o, url, &e)); /* it leads there indeed */
    assert_int_equal(near.conns, 1);
    site_close(&near);
}

/* ---- redirects --------------------------------------------------------------------------------
 */

static void redirects_inside(void **state)
{
    static const struct {
        const char *location;
        enum err_code code;
    } rows[] = {
        {"http://127.0.0.1:PORT/", ERR_FORBIDDEN},
        {"//127.0.0.1:PORT/", ERR_FORBIDDEN},
        {"http://0:PORT/", ERR_FORBIDDEN},
        {"http://[::ffff:7f00:1]:PORT/", ERR_FORBIDDEN},
        {"http://127.0.0.2:PORT/", ERR_FORBIDDEN}, /* the allowed address, another port */
        {"http://127.0.0.2:25/", ERR_FORBIDDEN},
        {"http://169.254.169.254/", ERR_FORBIDDEN},
        {"http://user@127.0.0.1:PORT/", ERR_INVALID},
        {"file:///etc/passwd", ERR_INVALID},
        {"FILE:/etc/passwd", ERR_INVALID},
        {"gopher://127.0.0.1:PORT/_GET", ERR_INVALID},
        {"ftp://127.0.0.1:PORT/", ERR_INVALID},
        {"http://127.0.0.1:0/", ERR_INVALID},
        {"http://[::1", ERR_INVALID},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char url[64], location[128];
        allowed.n_answers = 0;
        buf_clear(&allowed.answers[0]);
        with_port(location, sizeof location, rows[i].location, inside.port);
        site_say(&allowed, "HTTP/1.1 302 Found\r\nLocation: %s\r\n\r\n", location);
        snprintf(url, sizeof url, "http://127.0.0.2:%u/", allowed.port);
        unsigned before = allowed.conns;
        expect_refused(NOTHING, url, rows[i].code);
        assert_int_equal(allowed.conns, before + 1);
    }
}

/* ---- the surroundings -------------------------------------------------------------------------
 */

/* A proxy would make the connections for us, where nothing checks them. */
static void no_proxy_from_outside(void **state)
{
    static const char *const names[] = {"http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy",
                                        "ALL_PROXY"};
    struct err e;
    char proxy[64], url[64];
    (void)state;
    snprintf(proxy, sizeof proxy, "http://127.0.0.1:%u", inside.port);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        setenv(names[i], proxy, 1);
    site_say(&allowed, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    snprintf(url, sizeof url, "http://127.0.0.2:%u/", allowed.port);
    bool fine = run(NOTHING, url, &e);
    fine = fine && run((struct fetch_options){.is_unguarded = true}, url, &e);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        unsetenv(names[i]);
    assert_true(fine);
    assert_int_equal(allowed.conns, 2);
    assert_int_equal(inside.conns, 0);
}

static void who_may(void **state)
{
    static const struct {
        const char *address;
        bool may;
    } rows[] = {
        {"8.8.8.8:1", true},           {"127.0.0.1:80", false}, {"127.0.0.1:81", true},
        {"127.0.0.2:80", false},       {"10.0.0.5:1", true},    {"10.0.0.5:65535", true},
        {"10.0.0.6:1", false},         {"[fd00::5]:443", true}, {"[fd00::5]:444", false},
        {"[::ffff:10.0.0.5]:9", true}, {"unix:/run/x", false},
    };
    static const char *const texts[] = {"127.0.0.1:81", "10.0.0.5:0", "[fd00::5]:443"};
    struct address allow[3], a;
    struct err e;
    (void)state;
    for (size_t i = 0; i < 3; i++)
        assert_true(address_parse(&allow[i], slice_from(texts[i]), &e));
    const struct fetch_options o = {.allow = allow, .n_allow = 3};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_true(address_parse(&a, slice_from(rows[i].address), &e));
        if (guard_allows(&o, &a) != rows[i].may)
            fail_msg("%s", rows[i].address);
    }
    const struct fetch_options all = {.is_unguarded = true};
    assert_false(guard_allows(&all, &a)); /* never a unix socket */
}

/* What a firewall keeps shut for strangers is open to ourselves. */
static void own_addresses(void **state)
{
    struct address a;
    struct err e;
    (void)state;
    assert_true(address_parse(&a, SLICE("127.0.0.1:9"), &e));
    assert_true(guard_is_own(&a));
    assert_true(address_parse(&a, SLICE("8.8.8.8:9"), &e));
    assert_false(guard_is_own(&a));
    assert_true(guard_decides(true, false, 8443));
    assert_true(guard_decides(true, true, 80) && guard_decides(true, true, 443));
    assert_false(guard_decides(true, true, 8443) || guard_decides(true, true, 5432));
    assert_false(guard_decides(false, true, 443) || guard_decides(false, false, 443));
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        CASE(spellings),
        CASE(spellings6),
        CASE(networks),
        CASE(unicode_digits),
        CASE(other_schemes),
        CASE(credentials),
        CASE(long_url),
        CASE(ports_of_others),
        CASE(names_that_lead_inside),
        CASE(every_address_is_checked),
        CASE(rebinding),
        CASE(redirects_inside),
        CASE(no_proxy_from_outside),
        cmocka_unit_test(who_may),
        cmocka_unit_test(own_addresses),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
