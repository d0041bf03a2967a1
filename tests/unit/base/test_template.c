/* Tests of the template renderer and of the pages that are compiled in. */
#include "base/embedded.h"
#include "base/mem.h"
#include "base/template.h"
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static const struct template_value page_values[] = {
    {"title", SLICE_INIT("Tom & <Jerry>")},
    {"empty", SLICE_INIT("")},
    {"tagged", SLICE_INIT("{{title}}")},
};
static const struct template_value row_one[] = {{"name", SLICE_INIT("one")}};
static const struct template_value row_two[] = {
    {"name", SLICE_INIT("\"two\"")},
    {"title", SLICE_INIT("row's")},
};
static const struct template_row rows[] = {{row_one, COUNT(row_one)}, {row_two, COUNT(row_two)}};
static const struct template_list lists[] = {{"items", rows, COUNT(rows)}, {"none", NULL, 0}};
static const struct template_data data = {page_values, COUNT(page_values), lists, COUNT(lists)};

static void assert_renders(const char *template, const char *want)
{
    struct buf out;
    buf_init(&out, 4096);
    template_render(&out, slice_from(template), &data);
    assert_string_equal(out.data ? out.data : "", want);
    buf_done(&out);
}

static void values_are_escaped(void **state)
{
    (void)state;
    assert_renders("<h1>{{title}}</h1>", "<h1>Tom &amp; &lt;Jerry&gt;</h1>");
    assert_renders("{{empty}}", "");
    assert_renders("", "");
    assert_renders("a } b }} c { d", "a } b }} c { d");
    assert_renders("{{tagged}}", "{{title}}");
}

static void every_dangerous_byte_is_escaped(void **state)
{
    (void)state;
    struct buf out;
    buf_init(&out, 4096);
    template_escape(&out, (struct slice){"&<>\"'\0\xc3\xa4", 8});
    assert_string_equal(out.data, "&amp;&lt;&gt;&quot;&#39;\xef\xbf\xbd\xc3\xa4");
    buf_done(&out);
}

static void sections_repeat_over_rows(void **state)
{
    (void)state;
    assert_renders("<{{#items}}[{{name}} of {{title}}]{{/items}}>",
                   "<[one of Tom &amp; &lt;Jerry&gt;][&quot;two&quot; of row&#39;s]>");
    assert_renders("<{{#none}}[{{name}}]{{/none}}>", "<>");
}

static void inverted_sections_show_when_there_are_no_rows(void **state)
{
    (void)state;
    assert_renders("<{{^none}}nothing, {{title}}{{/none}}>", "<nothing, Tom &amp; &lt;Jerry&gt;>");
    assert_renders("<{{^items}}nothing{{/items}}>", "<>");
}

static void remarks_are_left_out(void **state)
{
    (void)state;
    assert_renders("{{! what this is }}\n<p>", "<p>");
    assert_renders("{{#items}}{{! inside }}{{name}} {{/items}}", "one &quot;two&quot; ");
}

static void a_full_buffer_latches(void **state)
{
    (void)state;
    struct buf out;
    buf_init(&out, 8);
    template_render(&out, SLICE("{{title}}{{title}}"), &data);
    assert_true(out.full);
    buf_done(&out);
}

/* Renders in a child that is expected to abort; keeps its complaint off the screen. */
static bool aborts(const char *template)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
        struct buf out;
        buf_init(&out, 4096);
        if (freopen("/dev/null", "w", stderr))
            template_render(&out, slice_from(template), &data);
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static void mistakes_in_a_template_fail_must(void **state)
{
    (void)state;
    assert_false(aborts("{{title}}"));
    assert_true(aborts("{{unknown}}"));
    assert_true(aborts("{{name}}"));
    assert_true(aborts("{{#unknown}}{{/unknown}}"));
    assert_true(aborts("{{#items}}{{unknown}}{{/items}}"));
    assert_true(aborts("{{#items}}never closed"));
    assert_true(aborts("{{#items}}{{/none}}"));
    assert_true(aborts("{{#items}}{{#none}}{{/none}}{{/items}}"));
    assert_true(aborts("{{/items}}"));
    assert_true(aborts("{{title"));
    assert_true(aborts("{{}}"));
}

/* ---- the pages that dais brings along ------------------------------------------------------- */

static const struct template_value home_values[] = {{"version", SLICE_INIT("0.1.0")},
                                                    {"title", SLICE_INIT("Apps")}};
static const struct template_value home_row[] = {
    {"title", SLICE_INIT("Field Notes")},  {"description", SLICE_INIT("Twelve trees.")},
    {"href", SLICE_INIT("/field-notes/")}, {"where", SLICE_INIT("/field-notes/")},
    {"state", SLICE_INIT("ready")},
};
static const struct template_row home_rows[] = {{home_row, COUNT(home_row)}};
static const struct template_value error_values[] = {
    {"status", SLICE_INIT("404")},
    {"title", SLICE_INIT("There is nothing here")},
    {"what", SLICE_INIT("No page has this address.")},
    {"next", SLICE_INIT("Check the address.")},
    {"home", SLICE_INIT("/")},
    {"request_id", SLICE_INIT("01J9")},
};

static char *page_rendered(const char *name, const struct template_data *with)
{
    struct buf out;
    buf_init(&out, 65536);
    template_render(&out, embedded_get(name), with);
    assert_false(out.full);
    return buf_take(&out, NULL);
}

static void the_home_page_lists_apps_or_says_there_is_none(void **state)
{
    (void)state;
    struct template_list apps = {"apps", home_rows, COUNT(home_rows)};
    struct template_data with = {home_values, COUNT(home_values), &apps, 1};
    char *page = page_rendered("home.html", &with);
    assert_int_equal(strncmp(page, "<!doctype html>", 15), 0);
    assert_non_null(strstr(page, "<a href=\"/field-notes/\">Field Notes</a>"));
    assert_null(strstr(page, "No app is served"));
    free(page);

    apps.n_rows = 0;
    page = page_rendered("home.html", &with);
    assert_non_null(strstr(page, "No app is served"));
    assert_null(strstr(page, "<li>"));
    free(page);
}

static void the_error_page_says_what_happened(void **state)
{
    (void)state;
    struct template_data with = {error_values, COUNT(error_values), NULL, 0};
    char *page = page_rendered("error.html", &with);
    assert_non_null(strstr(page, "No page has this address."));
    assert_non_null(strstr(page, "<code>01J9</code>"));
    free(page);
}

/* One <style>, no script, nothing from elsewhere: what a strict content policy with one hash asks.
 */
static void the_pages_are_self_contained_and_small(void **state)
{
    (void)state;
    for (const struct embedded *page = embedded_pages; page->name; page++) {
        assert_int_equal(strlen(page->data), page->len);
        if (strchr(page->name, '/')) /* what `dais new` writes */
            continue;
        assert_true(page->len < 6144);
        assert_null(strstr(page->data, "<script"));
        assert_null(strstr(page->data, "style=\""));
        assert_null(strstr(page->data, "url("));
        const char *style = strstr(page->data, "<style>");
        assert_non_null(style);
        assert_null(strstr(style + 1, "<style>"));
    }
}

static void files_are_found_by_the_start_of_their_names(void **state)
{
    (void)state;
    size_t n = 0;
    for (const struct embedded *it = NULL; (it = embedded_next(it, "model/"));) {
        assert_int_equal(strncmp(it->name, "model/", 6), 0);
        assert_int_equal(strncmp(it->data, "# ", 2), 0);
        n++;
    }
    assert_int_equal(n, 4);
    assert_null(embedded_next(NULL, "nothing/"));
}

TESTS(cmocka_unit_test(values_are_escaped), cmocka_unit_test(every_dangerous_byte_is_escaped),
      cmocka_unit_test(sections_repeat_over_rows),
      cmocka_unit_test(inverted_sections_show_when_there_are_no_rows),
      cmocka_unit_test(remarks_are_left_out), cmocka_unit_test(a_full_buffer_latches),
      cmocka_unit_test(mistakes_in_a_template_fail_must),
      cmocka_unit_test(the_home_page_lists_apps_or_says_there_is_none),
      cmocka_unit_test(the_error_page_says_what_happened),
      cmocka_unit_test(the_pages_are_self_contained_and_small),
      cmocka_unit_test(files_are_found_by_the_start_of_their_names))
