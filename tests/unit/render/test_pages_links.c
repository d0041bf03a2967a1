/* Tests of links that move below a base; tests/e2e/test_render_pages.py has the table of what is
 * one. */
#include "render/pages_impl.h"
#include "unit.h"

static size_t move(const char *name, const char *text, const char *folder, const char *expected)
{
    static const char *const paths[] = {"/index.html", "/a.js", "/a/index.html", "/a/b.js",
                                        "/b.js"};
    struct map map;
    struct buf out;
    map_init(&map);
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        map_put(&map, slice_from(paths[i]), &map);
    const struct links links = {SLICE("/c/"), &map, slice_from(folder)};
    buf_init(&out, 1 << 20);
    size_t moved = links_move(links_kind_of(slice_from(name)), slice_from(text), &links, &out);
    assert_string_equal(out.data ? out.data : "", expected);
    buf_done(&out);
    map_done(&map);
    return moved;
}

static void kinds_follow_from_the_name(void **state)
{
    (void)state;
    assert_int_equal(links_kind_of(SLICE("/x/y.HTML")), LINKS_HTML);
    assert_int_equal(links_kind_of(SLICE("/manifest.json")), LINKS_DATA);
    assert_int_equal(links_kind_of(SLICE("/my-manifest.json")), LINKS_NONE);
    assert_int_equal(links_kind_of(SLICE("/html")), LINKS_NONE);
}

static void relative_links_become_absolute_for_a_page_of_any_depth(void **state)
{
    (void)state;
    assert_int_equal(move("x.html", "<a href=\"b.js?x#y\">", "/a/", "<a href=\"/c/a/b.js?x#y\">"),
                     1);
    assert_int_equal(move("x.html", "<a href=\"../b.js\">", "/a/", "<a href=\"/c/b.js\">"), 1);
    assert_int_equal(move("x.html", "<a href=\"./\">", "/a/", "<a href=\"/c/a/\">"), 1);
    assert_int_equal(move("x.html", "<a href=\"..\">", "/a/", "<a href=\"/c/\">"), 1);
    assert_int_equal(move("x.html", "<a href=\"../../b.js\">", "/a/", "<a href=\"../../b.js\">"),
                     0);
    assert_int_equal(move("x.html", "<a href=\"b.js\">", "", "<a href=\"b.js\">"), 0);
    assert_int_equal(move("x.html", "<a href=\"mailto:b.js\">", "/a/", "<a href=\"mailto:b.js\">"),
                     0);
    assert_int_equal(move("x.html", "<a href=\"\">", "/a/", "<a href=\"\">"), 0);
}

static void what_is_cut_off_stays(void **state)
{
    static const char *const texts[] = {
        "<",      "<a",         "<a href",  "<a href=", "<a href=\"",
        "<!--",   "<script>'/", "</script", "<style>",  "<a href='/a.j",
        "<a =/a", "<a/",        "<a \"",    "<>",       "a<b"};
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        assert_int_equal(move("x.html", texts[i], "/", texts[i]), 0);
    assert_int_equal(move("x.css", "url(/a.js", "", "url(/a.js"), 0);
    assert_int_equal(move("x.js", "'/a.js\n'", "", "'/a.js\n'"), 0);
}

TESTS(cmocka_unit_test(kinds_follow_from_the_name),
      cmocka_unit_test(relative_links_become_absolute_for_a_page_of_any_depth),
      cmocka_unit_test(what_is_cut_off_stays))
