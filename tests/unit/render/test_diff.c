/* The diff: what `diff -u` would say, and applying it to the one text gives the other. */
#include "render/render_impl.h"
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>

static void gives(const char *before, const char *after, const char *wanted)
{
    struct buf to;
    buf_init(&to, 1u << 20);
    diff_add(&to, SLICE("f"), slice_from(before), slice_from(after));
    const char *head = "--- f (what is there)\n+++ f (what dais would write)\n";
    assert_memory_equal(to.data, head, strlen(head));
    assert_string_equal(to.data + strlen(head), wanted);
    buf_done(&to);
}

static void hunks(void **state)
{
    (void)state;
    gives("", "", "");
    gives("a\n", "a\n", "");
    gives("", "a\n", "@@ -0,0 +1,1 @@\n+a\n");
    gives("a\n", "", "@@ -1,1 +0,0 @@\n-a\n");
    gives("a\nb\nc\n", "a\nX\nc\n", "@@ -1,3 +1,3 @@\n a\n-b\n+X\n c\n");
    gives("1\n2\n3\n4\n5\n6\n7\n8\n9\n", "1\n2\n3\n4\nX\n6\n7\n8\n9\n",
          "@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+X\n 6\n 7\n 8\n");
    gives("1\n2\n3\n4\n", "1\n2\n3\n4\n5\n", "@@ -2,3 +2,4 @@\n 2\n 3\n 4\n+5\n");
}

/* Six equal lines between two changes are one hunk, seven are two. */
static void near_and_far(void **state)
{
    (void)state;
    gives("a\n1\n2\n3\n4\n5\n6\nb\n", "A\n1\n2\n3\n4\n5\n6\nB\n",
          "@@ -1,8 +1,8 @@\n-a\n+A\n 1\n 2\n 3\n 4\n 5\n 6\n-b\n+B\n");
    gives("a\n1\n2\n3\n4\n5\n6\n7\nb\n", "A\n1\n2\n3\n4\n5\n6\n7\nB\n",
          "@@ -1,4 +1,4 @@\n-a\n+A\n 1\n 2\n 3\n@@ -6,4 +6,4 @@\n 5\n 6\n 7\n-b\n+B\n");
}

static void last_line_end(void **state)
{
    (void)state;
    gives("a", "a", "");
    gives("a", "a\n", "@@ -1,1 +1,1 @@\n-a\n\\ No newline at end of file\n+a\n");
    gives("a\n", "a", "@@ -1,1 +1,1 @@\n-a\n+a\n\\ No newline at end of file\n");
    gives("a\nb", "x\nb", "@@ -1,2 +1,2 @@\n-a\n+x\n b\n\\ No newline at end of file\n");
}

static void too_large(void **state)
{
    struct buf a, b, to;
    (void)state;
    buf_init(&a, 1u << 20), buf_init(&b, 1u << 20), buf_init(&to, 1u << 20);
    for (int i = 0; i < 3000; i++)
        buf_printf(&a, "a%d\n", i), buf_printf(&b, "b%d\n", i);
    diff_add(&to, SLICE("f"), buf_slice(&a), buf_slice(&b));
    assert_non_null(strstr(to.data, "@@ 3000 and 3000 lines, too many to compare @@"));
    buf_clear(&to);
    buf_add_str(&a, "one more\n"); /* long, but hardly different */
    diff_add(&to, SLICE("f"), slice_first(buf_slice(&a), a.len - 9), buf_slice(&a));
    assert_non_null(strstr(to.data, "@@ -2998,3 +2998,4 @@"));
    buf_done(&a), buf_done(&b), buf_done(&to);
}

/* ---- applying ---------------------------------------------------------------------------------*/

/* Takes n lines of text to `to`; strict about what a hunk claims. */
static struct slice line_take(struct slice *text)
{
    ptrdiff_t at = slice_index(*text, '\n');
    struct slice line = slice_first(*text, at < 0 ? text->len : (size_t)at + 1);
    *text = slice_skip(*text, line.len);
    return line;
}

static void apply_hunk(struct slice *diff, struct slice *before, struct buf *to, unsigned n_a,
                       unsigned n_b)
{
    while (n_a || n_b) {
        struct slice line = line_take(diff);
        assert_true(line.len >= 1);
        char kind = line.ptr[0];
        line = slice_skip(line, 1);
        if (slice_starts(*diff, SLICE("\\"))) {
            line_take(diff);
            line.len--;
        }
        if (kind != '+') {
            struct slice there = line_take(before);
            assert_true(n_a-- > 0 && slice_eq(there, line));
        }
        if (kind != '-') {
            assert_true(n_b-- > 0);
            buf_add(to, line);
        }
    }
}

static void apply(struct slice before, struct slice diff, struct buf *to)
{
    unsigned at = 1, from_a, n_a, from_b, n_b;
    line_take(&diff), line_take(&diff);
    while (diff.len) {
        const char *head = line_take(&diff).ptr;
        char *end;
        assert_memory_equal(head, "@@ -", 4);
        from_a = (unsigned)strtoul(head + 4, &end, 10);
        n_a = (unsigned)strtoul(end + 1, &end, 10);
        from_b = (unsigned)strtoul(end + 2, &end, 10);
        n_b = (unsigned)strtoul(end + 1, &end, 10);
        (void)from_b;
        for (; at < from_a + (n_a == 0); at++)
            buf_add(to, line_take(&before));
        at += n_a;
        apply_hunk(&diff, &before, to, n_a, n_b);
    }
    buf_add(to, before);
}

static unsigned next_random(unsigned *seed)
{
    *seed = *seed * 1103515245u + 12345u;
    return *seed >> 16;
}

static void random_text(unsigned *seed, struct buf *to)
{
    unsigned n = next_random(seed) % 40;
    for (unsigned i = 0; i < n; i++)
        buf_printf(to, "%c\n", 'a' + next_random(seed) % 4);
    if (next_random(seed) % 4 == 0)
        buf_add_str(to, "end");
}

static void random_texts(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 3000; seed++) {
        unsigned s = seed;
        struct buf a, b, d, back;
        buf_init(&a, 1000), buf_init(&b, 1000), buf_init(&d, 10000), buf_init(&back, 1000);
        random_text(&s, &a), random_text(&s, &b);
        diff_add(&d, SLICE("f"), buf_slice(&a), buf_slice(&b));
        apply(buf_slice(&a), buf_slice(&d), &back);
        if (!slice_eq(buf_slice(&back), buf_slice(&b)))
            fail_msg("seed %u\n%s", seed, d.data);
        buf_done(&a), buf_done(&b), buf_done(&d), buf_done(&back);
    }
}

TESTS(cmocka_unit_test(hunks), cmocka_unit_test(near_and_far), cmocka_unit_test(last_line_end),
      cmocka_unit_test(too_large), cmocka_unit_test(random_texts))
