/* The head parser: the SSE2 and the portable scanner agree on every byte in every place, slices
 * point into the input, and trickled heads cost linear time. (Cases: tests/wire/.) */
#include "wire/h1_portable.h"

#include "unit.h"

#include <stdlib.h>
#include <time.h>

static void check_agree(struct slice in)
{
    struct h1_header ha[H1_HEADERS], hb[H1_HEADERS];
    struct h1_request a = {.headers = ha}, b = {.headers = hb};
    struct err ea = {0}, eb = {0};
    size_t sa = 0, sb = 0;
    enum io io = h1_parse_request(&a, in, &sa, &h1_default_limits, &ea);
    assert_int_equal(h1_parse_request_portable(&b, in, &sb, &h1_default_limits_portable, &eb), io);
    assert_string_equal(ea.msg, eb.msg);
    if (io != IO_OK)
        return;
    assert_int_equal(a.n_headers, b.n_headers);
    assert_true(a.head_len == b.head_len && a.content_length == b.content_length);
    assert_true(a.path.ptr == b.path.ptr && a.path.len == b.path.len);
    assert_true(a.query.ptr == b.query.ptr && a.query.len == b.query.len);
    assert_memory_equal(a.at, b.at, sizeof a.at);
    for (uint32_t i = 0; i < a.n_headers; i++) {
        assert_true(ha[i].name.ptr == hb[i].name.ptr && ha[i].name.len == hb[i].name.len);
        assert_true(ha[i].value.ptr == hb[i].value.ptr && ha[i].value.len == hb[i].value.len);
    }
}

static const char sample[] =
    "POST /some/longer/path?with=a&query=b HTTP/1.1\r\nHost: example.org\r\n"
    "X-A-Rather-Long-Name.x: \t a value longer than 16 bytes \t\r\n"
    "Content-Length: 12\r\nE:\r\n\r\n";

static void test_every_byte_everywhere(void **state)
{
    (void)state;
    size_t n = sizeof sample - 1;
    char *copy = malloc(n); /* of exact size, so that the sanitizer sees an overread */
    assert_non_null(copy);
    memcpy(copy, sample, n);
    for (size_t i = 0; i < n; i++) {
        for (int c = 0; c < 256; c++) {
            copy[i] = (char)c;
            check_agree((struct slice){copy, n});
        }
        copy[i] = sample[i];
    }
    free(copy);
}

static void test_every_prefix(void **state)
{
    (void)state;
    for (size_t n = 0; n < sizeof sample; n++) {
        char *copy = malloc(n ? n : 1);
        assert_non_null(copy);
        memcpy(copy, sample, n);
        check_agree((struct slice){copy, n});
        free(copy);
    }
}

static int64_t thread_cpu_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* 64 KB in single bytes: the number of bytes looked at is what counts, so only a loose bound in
 * time is asked, a hundred times what it takes and far below what the square would. */
static void test_trickle_is_linear(void **state)
{
    (void)state;
    static char filler[16000];
    struct h1_header headers[H1_HEADERS];
    struct h1_request rq = {.headers = headers};
    struct buf b;
    size_t scanned = 0;
    buf_init(&b, H1_HEAD_BYTES);
    memset(filler, 'a', sizeof filler);
    buf_add_str(&b, "GET / HTTP/1.1\r\nHost: a\r\n");
    for (int i = 0; i < 4; i++)
        h1_add(&b, "X", (struct slice){filler, sizeof filler});
    h1_end(&b);
    assert_false(b.full);
    int64_t start = thread_cpu_ms();
    for (size_t n = 1; n < b.len; n++)
        assert_int_equal(h1_parse_request(&rq, slice_first(buf_slice(&b), n), &scanned,
                                          &h1_default_limits, NULL),
                         IO_MORE);
    assert_int_equal(h1_parse_request(&rq, buf_slice(&b), &scanned, &h1_default_limits, NULL),
                     IO_OK);
    assert_in_range(thread_cpu_ms() - start, 0,
                    1000); /* of our own: others use this machine, too */
    assert_int_equal(rq.n_headers, 5);
    buf_done(&b);
}

static void test_error_is_a_sentence(void **state)
{
    (void)state;
    struct h1_header headers[H1_HEADERS];
    struct h1_request rq = {.headers = headers};
    struct err e = {0};
    size_t scanned = 0;
    assert_int_equal(
        h1_parse_request(&rq, SLICE("GET / HTTP/1.1\r\n\r\n"), &scanned, &h1_default_limits, &e),
        IO_FAIL);
    assert_int_equal(e.code, ERR_MALFORMED);
    assert_string_equal(e.msg, "A request in HTTP/1.1 needs a Host header.");
}

TESTS(cmocka_unit_test(test_every_byte_everywhere), cmocka_unit_test(test_every_prefix),
      cmocka_unit_test(test_trickle_is_linear), cmocka_unit_test(test_error_is_a_sentence))
