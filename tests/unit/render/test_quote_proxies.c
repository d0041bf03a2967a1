/* Values in files for nginx and Caddy: what is plain stays plain, what is special is quoted or
 * refused. */
#include "render/render_impl.h"
#include "unit.h"

/* What the filter makes of it; NULL: it refuses. */
static const char *quoted(const char *filter, struct slice value)
{
    static char text[256];
    struct buf out;
    buf_init(&out, sizeof text - 1);
    bool fine = quote_find(slice_from(filter))(&out, value);
    assert_false(out.full);
    memcpy(text, out.len ? out.data : "", out.len);
    text[out.len] = '\0';
    buf_done(&out);
    return fine ? text : NULL;
}

static void test_nginx(void **state)
{
    (void)state;
    static const struct {
        const char *value, *text;
    } rows[] = {
        {"app.example.com", "app.example.com"},
        {"/_/metrics", "/_/metrics"},
        {"", "\"\""},
        {"a b", "\"a b\""},
        {"a;b{}#'", "\"a;b{}#'\""},
        {"say \"hi\" \\ there", "\"say \\\"hi\\\" \\\\ there\""},
        {"two\nlines", "\"two\nlines\""},
        {"Grüße", "\"Grüße\""},
        {"$host", NULL},
        {"a$", NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *text = quoted("nginx", slice_from(rows[i].value));
        if (rows[i].text)
            assert_string_equal(text, rows[i].text);
        else
            assert_null(text);
    }
    assert_null(quoted("nginx", SLICE("a\0b")));
}

static void test_caddy(void **state)
{
    (void)state;
    static const char *const fine[] = {
        "app.example.com", "/_/readyz", "o'neil+x@example.com", "a#b", "Grüße@example.com",
        "$HOME",           ""};
    static const char *const refused[] = {"a b", "a\"b", "a\\", "a`b",  "{$HOME}",
                                          "a}",  "a,b",  "#a",  "a\nb", "a\tb"};
    for (size_t i = 0; i < sizeof fine / sizeof *fine; i++)
        assert_string_equal(quoted("caddy", slice_from(fine[i])), fine[i]);
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        assert_null(quoted("caddy", slice_from(refused[i])));
    assert_null(quoted("caddy", SLICE("a\0b")));
}

TESTS(cmocka_unit_test(test_nginx), cmocka_unit_test(test_caddy))
