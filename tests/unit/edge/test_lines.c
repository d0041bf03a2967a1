/* What a process says as lines: cut anywhere, too long, without an end, with secrets in it. */
#include "edge/lines_impl.h"
#include "unit.h"

static struct buf told;

static void on_line(struct lines *l, struct slice line)
{
    (void)l;
    buf_add_char(&told, '<');
    buf_add(&told, line);
    buf_add_char(&told, '>');
}

/* The same text in pieces of `size` bytes. */
static void say(const struct mask *mask, struct slice text, size_t size, const char *want)
{
    struct lines l;
    buf_init(&told, 1u << 20);
    lines_init(&l, mask, on_line);
    while (text.len) {
        lines_add(&l, slice_first(text, size < text.len ? size : text.len));
        text = slice_skip(text, size < text.len ? size : text.len);
    }
    lines_end(&l);
    lines_done(&l);
    if (want)
        assert_true(slice_is(buf_slice(&told), want));
}

static void test_cut_anywhere(void **state)
{
    const struct slice secret = SLICE("hunter2-secret");
    struct arena a;
    struct mask mask;
    (void)state;
    arena_init(&a, 1u << 16);
    mask_init(&mask, &a, &secret, 1);
    for (size_t size = 1; size < 40; size++) {
        say(NULL, SLICE("one\r\n\n  two \nthree"), size, "<one><  two><three>");
        buf_done(&told);
        say(&mask, SLICE("a hunter2-secret b\nhunter2-secret"), size, "<a *** b><***>");
        buf_done(&told);
    }
    say(NULL, SLICE(""), 1, "");
    buf_done(&told);
    arena_done(&a);
}

/* Wherever the secret stands in a line that is too long, no part of it is told. */
static void test_over_the_edge(void **state)
{
    static char text[3 * SAID_MAX];
    const struct slice secret = SLICE("hunter2-secret");
    struct arena a;
    struct mask mask;
    (void)state;
    arena_init(&a, 1u << 16);
    mask_init(&mask, &a, &secret, 1);
    for (size_t at = SAID_MAX - 20; at < SAID_MAX + 20; at++) {
        memset(text, 'x', sizeof text);
        memcpy(text + at, secret.ptr, secret.len);
        say(&mask, (struct slice){text, sizeof text}, 5000, NULL);
        assert_true(slice_search(buf_slice(&told), SLICE("hunter")) < 0);
        assert_true(slice_search(buf_slice(&told), SLICE("secret")) < 0);
        assert_true(slice_search(buf_slice(&told), SLICE("***")) >= 0);
        buf_done(&told);
    }
    arena_done(&a);
}

TESTS(cmocka_unit_test(test_cut_anywhere), cmocka_unit_test(test_over_the_edge))
