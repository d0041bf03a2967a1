/* Signed links hold for one file, one method, one app and some time; nobody makes one up. */
#include "files_test.h"

#include <stdio.h>
#include <stdlib.h>

#define NOW 1800000000000LL

static const char manifest[] = "app: t\nfiles:\n  a: {}\n  b: {}\n  own: { scope: user }\n";

RIG_OF(manifest)

static struct slice signed_for(struct file_place at, enum http_method method, int64_t until_ms,
                               const char *by)
{
    const struct file_link l = {at, method, until_ms, S(by)};
    struct buf b;
    buf_init(&b, 4096);
    file_link_sign(rig.files, &l, &b);
    struct slice text = arena_dup(&rig.a, buf_slice(&b));
    buf_done(&b);
    return text;
}

static bool holds(struct slice query, struct file_place at, enum http_method method, int64_t now)
{
    struct file_link l;
    bool fine = file_link_read(rig.files, &at, method, query, now, &rig.a, &l, &err);
    assert_true(fine || err.code == ERR_FORBIDDEN);
    return fine;
}

static void test_there_and_back(void **unused)
{
    struct file_place at = place("a", "", "x/ü &=.png");
    struct file_link l;
    struct slice q = signed_for(at, METHOD_GET, NOW + 60000, "ada & bob");
    (void)unused;
    struct slice more = arena_printf(&rig.a, "download=1&%.*s", SLICE_ARGS(q));
    if (!file_link_read(rig.files, &at, METHOD_GET, more, NOW, &rig.a, &l, &err))
        fail_msg("%s", err.msg);
    assert_true(slice_is(l.by, "ada & bob"));
    assert_int_equal(l.until_ms, NOW + 60000);
    assert_int_equal(l.method, METHOD_GET);
    assert_true(holds(q, at, METHOD_HEAD, NOW));
}

static void test_bounds(void **unused)
{
    struct file_place at = place("a", "", "x"), own = place("own", "ada", "x");
    struct slice q = signed_for(at, METHOD_GET, NOW + 60000, "ada");
    (void)unused;
    assert_true(holds(q, at, METHOD_GET, NOW));
    assert_false(holds(q, place("a", "", "y"), METHOD_GET, NOW));
    assert_false(holds(q, place("b", "", "x"), METHOD_GET, NOW));
    assert_false(holds(q, at, METHOD_PUT, NOW));
    assert_false(holds(q, at, METHOD_DELETE, NOW));
    assert_false(holds(q, at, METHOD_GET, NOW + 60000));
    assert_true(holds(q, at, METHOD_GET, NOW + 59999));
    assert_false(
        holds(signed_for(at, METHOD_GET, NOW + 8 * 86400000LL, "ada"), at, METHOD_GET, NOW));
    struct slice mine = signed_for(own, METHOD_PUT, NOW + 60000, "ada");
    assert_true(holds(mine, own, METHOD_PUT, NOW));
    assert_false(holds(mine, place("own", "bob", "x"), METHOD_PUT, NOW));
    assert_false(holds(mine, own, METHOD_GET, NOW));
}

/* Any one character that is another, left out or twice makes it another. */
static void test_changed(void **unused)
{
    struct file_place at = place("a", "", "x");
    struct slice q = signed_for(at, METHOD_GET, NOW + 60000, "ada");
    (void)unused;
    for (size_t i = 0; i < q.len; i++) {
        char *other = arena_alloc(&rig.a, q.len + 1);
        memcpy(other, q.ptr, q.len);
        other[i] = other[i] == 'A' ? 'B' : 'A';
        assert_false(holds((struct slice){other, q.len}, at, METHOD_GET, NOW));
        memcpy(other, q.ptr, i);
        memcpy(other + i, q.ptr + i + 1, q.len - i - 1);
        assert_false(holds((struct slice){other, q.len - 1}, at, METHOD_GET, NOW));
    }
    struct slice twice = arena_printf(&rig.a, "%.*s&by=ada", SLICE_ARGS(q));
    assert_false(holds(twice, at, METHOD_GET, NOW));
    struct slice padded = arena_printf(&rig.a, "%.*s=", SLICE_ARGS(q));
    assert_false(holds(padded, at, METHOD_GET, NOW));
    assert_false(holds(SLICE("sig="), at, METHOD_GET, NOW));
    assert_false(holds(SLICE(""), at, METHOD_GET, NOW));
}

static void test_other_secret(void **unused)
{
    struct file_place at = place("a", "", "x");
    struct slice q = signed_for(at, METHOD_GET, NOW + 60000, "ada");
    (void)unused;
    files_attach(rig.files, rig.slot, rig.store, SLICE("another secret"));
    assert_false(holds(q, at, METHOD_GET, NOW));
}

/* ---- cursors --------------------------------------------------------------------------------- */

static void test_cursors(void **unused)
{
    struct files_query q = {
        .bucket = files_find(rig.files, S("a")), .space = S(""), .prefix = S("secret/")};
    struct files_query other = q;
    struct slice from;
    struct buf b;
    char text[FILE_PATH_MAX + 1];
    (void)unused;
    memset(text, 'p', sizeof text);
    for (size_t n = 1; n <= sizeof text; n += 77) {
        buf_init(&b, 8192);
        file_cursor_add(&b, &q, (struct slice){text, n});
        q.after = arena_dup(&rig.a, buf_slice(&b));
        assert_true(slice_search(q.after, SLICE("cHBwcHBw")) < 0);
        assert_true(file_cursor_read(&q, &rig.a, &from, &err));
        assert_true(slice_eq(from, (struct slice){text, n}));
        other.after = q.after;
        other.prefix = S("");
        assert_false(file_cursor_read(&other, &rig.a, &from, &err));
        other.prefix = q.prefix;
        other.is_folders = true;
        assert_false(file_cursor_read(&other, &rig.a, &from, &err));
        other.is_folders = false;
        b.data[n % b.len] ^= 1;
        other.after = buf_slice(&b);
        assert_false(file_cursor_read(&other, &rig.a, &from, &err));
        buf_done(&b);
    }
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, start, stop)
TESTS(T(test_there_and_back), T(test_bounds), T(test_changed), T(test_other_secret),
      T(test_cursors))
