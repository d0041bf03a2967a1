/* Addresses, IPs, trusted networks, and who the client is when proxies or liars speak. */
#include "net/net.h"
#include "unit.h"

#include <stdio.h>

/* ---- listen addresses ---------------------------------------------------------------------- */

static void good_addresses(void **state)
{
    static const struct {
        const char *text, *shown;
        bool is_loopback;
    } rows[] = {
        {"127.0.0.1:8000", "127.0.0.1:8000", true},
        {"8000", "127.0.0.1:8000", true},
        {"0", "127.0.0.1:0", true},
        {"localhost:80", "127.0.0.1:80", true},
        {":8000", "[::]:8000", false},
        {"0.0.0.0:65535", "0.0.0.0:65535", false},
        {"[::1]:8000", "[::1]:8000", true},
        {"::1:8000", "[::1]:8000", true}, /* the last colon is the port's */
        {"[::]:1", "[::]:1", false},
        {"[::ffff:127.0.0.1]:1", "[::ffff:127.0.0.1]:1", true},
        {"[2001:db8::5]:443", "[2001:db8::5]:443", false},
        {"10.1.2.3:5", "10.1.2.3:5", false},
        {"unix:/run/dais.sock", "unix:/run/dais.sock", true},
        {"unix:here.sock", "unix:here.sock", true},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct address a;
        struct err e;
        char text[ADDRESS_TEXT_LEN];
        if (!address_parse(&a, slice_from(rows[i].text), &e))
            fail_msg("%s: %s", rows[i].text, e.msg);
        address_text(&a, text);
        assert_string_equal(text, rows[i].shown);
        assert_int_equal(address_is_loopback(&a), rows[i].is_loopback);
        struct address again; /* what is shown can be said */
        assert_true(address_parse(&again, slice_from(text), &e));
        assert_memory_equal(&a.sa, &again.sa, sizeof a.sa.v6);
    }
}

static void bad_addresses(void **state)
{
    static const char *const bad[] = {
        "",
        ":",
        "a",
        "127.0.0.1",
        "127.0.0.1:",
        "127.0.0.1:65536",
        "1.2.3:80",
        "1.2.3.4:-1",
        "1.2.3.4: 1",
        "+80",
        "example.org:80",
        "[::1]",
        "[::1]:",
        "[::1:80",
        "[]:80",
        "[::1]x:80",
        "[::g]:80",
        "*:80",
        "unix:",
        "1.2.3.4:8000000000000000000000",
        "http://127.0.0.1:80",
        "[fe80::1%lo]:80",
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct address a;
        struct err e = {0};
        if (address_parse(&a, slice_from(bad[i]), &e))
            fail_msg("\"%s\" was taken", bad[i]);
        assert_int_equal(e.code, ERR_USAGE);
        assert_true(strlen(e.msg) > 10);
    }
}

static void bad_bytes_and_lengths(void **state)
{
    struct address a;
    struct err e;
    char text[400] = "unix:/";
    (void)state;
    assert_false(address_parse(&a, SLICE("127.0.0.1\0evil:80"), &e));
    assert_false(address_parse(&a, SLICE("unix:/tmp/a\0b"), &e));
    memset(text + 6, 'x', sizeof text - 7);
    assert_true(address_parse(&a, (struct slice){text, 5 + 255}, &e));
    assert_false(address_parse(&a, (struct slice){text, 5 + 256}, &e));
    assert_non_null(strstr(e.msg, "longer than 255 bytes"));
    memset(text, '1', sizeof text);
    text[396] = ':';
    assert_false(address_parse(&a, (struct slice){text, 399}, &e));
}

/* ---- IPs ----------------------------------------------------------------------------------- */

static void ips(void **state)
{
    static const char *const rows[][2] = {
        {"1.2.3.4", "1.2.3.4"},        {"::1", "::1"}, {"2001:DB8::1", "2001:db8::1"},
        {"::ffff:1.2.3.4", "1.2.3.4"}, {"::", "::"},
    };
    static const char *const bad[] = {
        "",         "1.2.3",   "1.2.3.4.5",  "256.1.1.1",        "01.2.3.4x",
        "unknown",  "_hidden", "[::1]",      "1.2.3.4, 5.6.7.8", "::1%lo",
        " 1.2.3.4", "0x7f.1",  "1.2.3.4:80", "[::1]:80"};
    struct ip ip;
    char text[IP_TEXT_LEN];
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_true(ip_parse(&ip, slice_from(rows[i][0])));
        ip_text(&ip, text);
        assert_string_equal(text, rows[i][1]);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (ip_parse(&ip, slice_from(bad[i])))
            fail_msg("\"%s\" was taken", bad[i]);
    }
    assert_false(ip_parse(&ip, SLICE("1.2.3.4\0")));
    assert_true(ip_parse(&ip, SLICE("127.255.255.254")) && ip_is_loopback(&ip));
    assert_true(ip_parse(&ip, SLICE("::ffff:127.0.0.1")) && ip_is_loopback(&ip));
    assert_true(ip_parse(&ip, SLICE("128.0.0.1")) && !ip_is_loopback(&ip));
    assert_true(ip_parse(&ip, SLICE("::2")) && !ip_is_loopback(&ip));
}

/* ---- trusted networks ------------------------------------------------------------------------ */

static bool is_trusted(const char *list, const char *address)
{
    struct trust t;
    struct err e;
    struct ip ip;
    if (!trust_parse(&t, slice_from(list), &e))
        fail_msg("%s: %s", list, e.msg);
    assert_true(ip_parse(&ip, slice_from(address)));
    return trust_has(&t, &ip);
}

static void trust_lists(void **state)
{
    (void)state;
    assert_false(is_trusted("", "127.0.0.1"));
    assert_true(is_trusted("loopback", "127.9.9.9"));
    assert_true(is_trusted("loopback", "::1"));
    assert_false(is_trusted("loopback", "10.0.0.1"));
    assert_true(is_trusted(" private , 1.2.3.4 ", "172.31.255.255"));
    assert_true(is_trusted("private,1.2.3.4", "1.2.3.4"));
    assert_false(is_trusted("private", "172.32.0.0"));
    assert_true(is_trusted("private", "fd00::1"));
    assert_false(is_trusted("private", "fe00::1"));
    assert_true(is_trusted("10.0.0.0/8", "10.255.0.1"));
    assert_true(is_trusted("10.0.0.0/8", "::ffff:10.1.1.1"));
    assert_false(is_trusted("10.0.0.0/8", "11.0.0.1"));
    assert_false(is_trusted("10.0.0.0/8", "a00::1"));
    assert_true(is_trusted("10.77.0.1/9", "10.1.1.1"));
    assert_false(is_trusted("10.77.0.1/9", "10.128.1.1"));
    assert_false(is_trusted("1.2.3.4/32", "1.2.3.5"));
    assert_true(is_trusted("1.2.3.4/31", "1.2.3.5"));
    assert_true(is_trusted("0.0.0.0/0", "9.9.9.9"));
    assert_false(is_trusted("0.0.0.0/0", "2001:db8::1"));
    assert_true(is_trusted("::/0", "9.9.9.9"));
    assert_true(is_trusted("2001:db8::/33", "2001:db8:7fff::1"));
    assert_false(is_trusted("2001:db8::/33", "2001:db8:8000::1"));
    assert_true(is_trusted(",,::1/128,", "::1"));
}

static void bad_trust_lists(void **state)
{
    static const char *const bad[] = {
        "nobody",      "10.0.0.0/33", "::1/129",       "10.0.0.0/", "/8",          "10.0.0.0/8/8",
        "10.0.0.0/-1", "1.2.3.4;::1", "10.0.0.1:80/8", "[::1]/8",   "10.0.0.1:80", "Loopback",
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct trust t = {.n = 7};
        struct err e;
        if (trust_parse(&t, slice_from(bad[i]), &e))
            fail_msg("\"%s\" was taken", bad[i]);
        assert_int_equal(t.n, 7);
        assert_int_equal(e.code, ERR_USAGE);
    }
}

static void a_trust_list_has_an_end(void **state)
{
    char list[65 * 8 + 1] = "";
    struct trust t;
    struct err e;
    (void)state;
    for (int i = 0; i < 65; i++)
        memcpy(list + i * 8, "1.1.1.1,", 9);
    assert_true(trust_parse(&t, (struct slice){list, 64 * 8}, &e));
    assert_int_equal(t.n, 64);
    assert_false(trust_parse(&t, (struct slice){list, 65 * 8}, &e));
    assert_non_null(strstr(e.msg, "more than 64"));
}

/* ---- who is the client? ------------------------------------------------------------------------
 */

static void clients(void **state)
{
    static const struct {
        const char *trust, *peer, *headers, *client;
    } rows[] = {
        /* nobody is trusted: the headers are lies */
        {"", "9.9.9.9", "X-Forwarded-For: 1.1.1.1\r\n", "9.9.9.9"},
        {"loopback", "9.9.9.9", "X-Forwarded-For: 1.1.1.1\r\n", "9.9.9.9"},
        /* one proxy: what it appended counts, not what the client sent before */
        {"loopback", "127.0.0.1", "X-Forwarded-For: 6.6.6.6, 1.1.1.1\r\n", "1.1.1.1"},
        {"loopback", "127.0.0.1", "X-Forwarded-For: 127.0.0.1, 1.1.1.1\r\n", "1.1.1.1"},
        {"loopback", "127.0.0.1", "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 1.1.1.1\r\n",
         "1.1.1.1"},
        {"loopback", "127.0.0.1", "", "127.0.0.1"},
        {"loopback", "127.0.0.1", "X-Forwarded-For: \r\n", "127.0.0.1"},
        /* a chain of trusted ones */
        {"10.0.0.0/8", "10.0.0.1", "X-Forwarded-For: 6.6.6.6, 1.1.1.1, 10.0.0.3, 10.0.0.2\r\n",
         "1.1.1.1"},
        {"10.0.0.0/8", "10.0.0.1", "X-Forwarded-For: 10.0.0.3, 10.0.0.2\r\n", "10.0.0.3"},
        {"::/0", "10.0.0.1", "X-Forwarded-For: 6.6.6.6, 1.1.1.1\r\n", "6.6.6.6"},
        /* rubbish in the chain: nobody beyond it is believed */
        {"10.0.0.0/8", "10.0.0.1", "X-Forwarded-For: 1.1.1.1, rubbish, 10.0.0.2\r\n", "10.0.0.2"},
        {"10.0.0.0/8", "10.0.0.1", "X-Forwarded-For: 1.1.1.1, , 10.0.0.2\r\n", "10.0.0.2"},
        {"10.0.0.0/8", "10.0.0.1", "X-Forwarded-For: unknown\r\n", "10.0.0.1"},
        {"10.0.0.0/8", "10.0.0.1", "X-Forwarded-For: 1.1.1.1:1234\r\n", "1.1.1.1"},
        {"10.0.0.0/8", "10.0.0.1", "X-Forwarded-For: [2001:db8::1]:99\r\n", "2001:db8::1"},
        /* the same address in its other form is the same address */
        {"10.0.0.0/8", "10.0.0.1", "X-Forwarded-For: 1.1.1.1, ::ffff:10.0.0.2\r\n", "1.1.1.1"},
        {"loopback", "::1", "X-Forwarded-For: 1.1.1.1\r\n", "1.1.1.1"},
        /* other headers never name the client */
        {"loopback", "127.0.0.1", "X-Real-IP: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\n", "127.0.0.1"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char head[500], text[IP_TEXT_LEN];
        struct h1_header headers[10];
        struct h1_request rq = {.headers = headers};
        struct h1_limits limits = {4096, 4096, 10};
        struct trust t;
        struct ip peer;
        struct err e;
        size_t scanned = 0;
        snprintf(head, sizeof head, "GET / HTTP/1.1\r\nHost: a\r\n%s\r\n", rows[i].headers);
        assert_int_equal(h1_parse_request(&rq, slice_from(head), &scanned, &limits, &e), IO_OK);
        assert_true(trust_parse(&t, slice_from(rows[i].trust), &e));
        assert_true(ip_parse(&peer, slice_from(rows[i].peer)));
        struct ip client = client_ip(&t, &peer, &rq);
        ip_text(&client, text);
        if (strcmp(text, rows[i].client) != 0)
            fail_msg("row %zu: %s, not %s", i, text, rows[i].client);
    }
}

TESTS(cmocka_unit_test(good_addresses), cmocka_unit_test(bad_addresses),
      cmocka_unit_test(bad_bytes_and_lengths), cmocka_unit_test(ips), cmocka_unit_test(trust_lists),
      cmocka_unit_test(bad_trust_lists), cmocka_unit_test(a_trust_list_has_an_end),
      cmocka_unit_test(clients))
