/* Tests of finding what is written in a page, as a browser would. */
#include "unit.h"
#include "base/base64.h"
#include "base/sha256.h"
#include "web/inline_impl.h"

#include <stdio.h>

/* Texts with a '|' between them, as the sources of a policy. */
static const char *sources_of(const char *texts)
{
    static struct buf b;
    struct slice rest = slice_from(texts), text;
    unsigned char sum[SHA256_LEN];
    buf_done(&b);
    buf_init(&b, 65536);
    while (slice_cut(&rest, '|', &text)) {
        sha256_of(text, sum);
        buf_add_str(&b, b.len ? " 'sha256-" : "'sha256-");
        base64_add(&b, (struct slice){(const char *)sum, sizeof sum}, BASE64);
        buf_add_char(&b, '\'');
    }
    return b.data ? b.data : "";
}

static void scripts_are_found_as_browsers_find_them(void **state)
{
    (void)state;
    static const struct {
        const char *html, *scripts;
    } rows[] = {
        {"<script>a()</script>", "a()"},
        {"<script>a()</script><p><script>b()</script>", "a()|b()"},
        {"<script>a()</script><script>a()</script>", "a()"},
        {"<SCRIPT>a()</Script >", "a()"},
        {"<script\n>a()</script\n>", "a()"},
        {"<script/>a()</script>", "a()"},
        {"<script type=module>a()</script>", "a()"},
        {"<script type=\" MODULE \">a()</script>", "a()"},
        {"<script type='importmap'>{}</script>", "{}"},
        {"<script type=text/javascript async>a()</script>", "a()"},
        {"<script type=\"application/json\">{}</script>", ""},
        {"<script type=application/ld+json>{}</script><script>b()</script>", "b()"},
        {"<script src=a.js></script>", ""},
        {"<script SRC = 'a.js' >left out</script>", ""},
        {"<script data-src=a.js>a()</script>", "a()"},
        {"<script data-x='>' data-y=\"</script>\">a()</script>", "a()"},
        {"<p title='<script>no()</script>'><script>a()</script>", "a()"},
        {"<!-- <script>no()</script> --><script>a()</script>", "a()"},
        {"<!--><script>a()</script>", "a()"},
        {"<!---><script>a()</script>-->", "a()"},
        {"<!-- --!><script>a()</script>", "a()"},
        {"<!-- <script>no()</script>", ""},
        {"<textarea><script>no()</script></textarea><script>a()</script>", "a()"},
        {"<title><!-- </title><script>a()</script>", "a()"},
        {"<style><script>no()</script></style>", ""},
        {"<noscript><script>no()</script></noscript>", ""},
        {"<scripts>no()</scripts>", ""},
        {"<script>a() < b() </scripty> </script>", "a() < b() </scripty> "},
        {"<script>'</script>'</script>", "'"},
        {"<script><!-- a() \n--></script>", "<!-- a() \n-->"},
        {"<script><!-- <script>a()</script> --></script>", "<!-- <script>a()</script> -->"},
        {"<script><!--> <script>a()</script>", "<!--> <script>a()"},
        {"<script><!-- a()</script>b()</script>", "<!-- a()"},
        {"<script>a\r\nb\rc\n</script>", "a\nb\nc\n"},
        {"<script></script>", "e3b0"},
        {"<script>a()", "a()"},
        {"<script", ""},
        {"<script ", ""},
        {"< script>no()</script>", ""},
        {"a < b <script>a()</script>", "a()"},
        {"<!doctype html><?x?></ ><script>a()</script>", "a()"},
        {"<p a=\"", ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct inline_found f;
        inline_scan(slice_from(rows[i].html), &f);
        bool is_empty_text = strcmp(rows[i].scripts, "e3b0") == 0;
        const char *want = is_empty_text ? "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='"
                                         : sources_of(rows[i].scripts);
        if (!slice_is(buf_slice(&f.scripts), want))
            fail_msg("%s: %s", rows[i].html, buf_slice(&f.scripts).ptr);
        inline_done(&f);
    }
    sources_of("");
}

static void styles_and_handlers_are_counted(void **state)
{
    (void)state;
    struct inline_found f;
    inline_scan(SLICE("<style>p{}</style><style media=x>b{}</style><p onclick='x()' on-x=1 one "
                      "ONLOAD=y()><a href=' javascript:void 0'></a></p onend=1>"),
                &f);
    assert_true(slice_is(buf_slice(&f.styles), sources_of("p{}|b{}")));
    assert_int_equal(f.n_handlers, 4); /* "one" could be one: better told once too often */
    assert_int_equal(f.scripts.len, 0);
    inline_done(&f);
    sources_of("");
}

static void there_is_a_limit(void **state)
{
    (void)state;
    struct inline_found f;
    struct buf html;
    buf_init(&html, 65536);
    for (int i = 0; i <= INLINE_MAX; i++)
        buf_printf(&html, "<script>a(%d)</script>", i);
    inline_scan(buf_slice(&html), &f);
    assert_true(f.is_too_many && f.n_scripts == INLINE_MAX && !f.scripts.full);
    inline_done(&f);
    buf_done(&html);
}

/* Every cut of a file that has everything in it. */
static void any_end_is_fine(void **state)
{
    (void)state;
    const char *html = "<!DOCTYPE x><p a='b\"' c=d e><!-- x --!><style>p{}</style><script type=\"x"
                       "\"><!--<script></script>--></script><title></titles></title></p>";
    for (size_t n = strlen(html); n > 0; n--) {
        char *copy = test_malloc(n);
        struct inline_found f;
        memcpy(copy, html, n);
        inline_scan((struct slice){copy, n}, &f);
        inline_done(&f);
        test_free(copy);
    }
}

TESTS(cmocka_unit_test(scripts_are_found_as_browsers_find_them),
      cmocka_unit_test(styles_and_handlers_are_counted), cmocka_unit_test(there_is_a_limit),
      cmocka_unit_test(any_end_is_fine))
