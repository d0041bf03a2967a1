/* Templates: every tag, what stands alone on its line, and every mistake one can make in them. */
#include "base/embedded.h"
#include "render/render_impl.h"
#include "unit.h"

#include <stdio.h>

static const char facts_text[] =
    "{\"a\":\"x\",\"n\":7,\"zero\":0,\"half\":0.5,\"yes\":true,\"no\":false,\"nothing\":null,"
    "\"empty\":\"\",\"o\":{\"p\":{\"q\":\"deep\"}},\"none\":[],\"bare\":{},"
    "\"list\":[{\"v\":\"1\",\"in\":[\"a\",\"b\"]},{\"v\":\"2\",\"in\":[]},{\"v\":\"3\",\"in\":["
    "\"c\"]}],"
    "\"bad\":\"it's $HOME\",\"words\":[\"one\",\"two\"]}";

static bool fill(const char *text, struct buf *to, struct err *e)
{
    struct arena a;
    struct json_doc doc;
    arena_init(&a, 1u << 20);
    buf_init(to, 1u << 20);
    *e = (struct err){0};
    assert_true(json_parse(&doc, &a, slice_from(facts_text), NULL, NULL));
    bool fine = fill_text("test.txt", slice_from(text), json_root(&doc), to, e);
    arena_done(&a);
    return fine;
}

static void gives(const char *text, const char *wanted)
{
    struct buf to;
    struct err e;
    if (!fill(text, &to, &e))
        fail_msg("%s: %s", text, e.msg);
    assert_string_equal(to.data ? to.data : "", wanted);
    buf_done(&to);
}

static void fails(const char *text, const char *words)
{
    struct buf to;
    struct err e;
    if (fill(text, &to, &e))
        fail_msg("%s gave %s", text, to.data);
    buf_done(&to);
    if (!strstr(e.msg, words) || !strstr(e.msg, "test.txt"))
        fail_msg("%s: %s", text, e.msg);
}

static void values(void **state)
{
    (void)state;
    gives("", "");
    gives("plain > % < text\n", "plain > % < text\n");
    gives("<%a|raw%>", "x");
    gives("<% a | raw %>.", "x.");
    gives("<%n|raw%> <%half|raw%> <%yes|raw%> <%no|raw%> [<%nothing|raw%>]", "7 0.5 true false []");
    gives("<%o.p.q|json%>", "\"deep\"");
    gives("<%bad|sh%>", "'it'\\''s $HOME'");
    gives("  <%a|raw%>\n", "  x\n"); /* a value never takes its line */
}

static void conditions(void **state)
{
    static const char *const off[] = {"zero", "no", "nothing", "empty", "none", "bare"};
    static const char *const on[] = {"a", "n", "half", "yes", "o", "list", "o.p.q"};
    char text[100];
    (void)state;
    for (size_t i = 0; i < sizeof on / sizeof *on; i++) {
        snprintf(text, sizeof text, "<%%if %s%%>1<%%else%%>2<%%end%%>", on[i]);
        gives(text, "1");
        snprintf(text, sizeof text, "<%%unless %s%%>1<%%else%%>2<%%end%%>", on[i]);
        gives(text, "2");
    }
    for (size_t i = 0; i < sizeof off / sizeof *off; i++) {
        snprintf(text, sizeof text, "<%%if %s%%>1<%%else%%>2<%%end%%>", off[i]);
        gives(text, "2");
        snprintf(text, sizeof text, "<%%unless %s%%>1<%%end%%>", off[i]);
        gives(text, "1");
    }
    gives("<%if a%><%if no%>1<%else%>2<%end%>3<%else%>4<%end%>", "23");
    gives("<%if no%><%absent|nofilter%><%each absent as x%><%end%><%end%>.",
          "."); /* not looked at */
}

static void lists(void **state)
{
    (void)state;
    gives("<%each words as w%><%w|raw%><%unless @last%>, <%end%><%end%>", "one, two");
    gives("<%each words as w%><%if @first%>[<%end%><%w|raw%><%end%>", "[onetwo");
    gives("<%each none as w%>never<%end%>", "");
    gives("<%each nothing as w%>never<%end%>", "");
    gives("<%each list as l%><%l.v|raw%>:<%each l.in as i%><%l.v|raw%><%i|raw%>;<%end%> <%end%>",
          "1:1a;1b; 2: 3:3c; ");
    gives("<%each list as l%><%each words as l%><%l|raw%> <%end%><%end%>",
          "one two one two one two ");                                /* the inner name hides */
    gives("<%each words as a%><%a|raw%><%end%><%a|raw%>", "onetwox"); /* only until its end */
    gives("<%each words as w%><%each none as x%><%end%><%if @last%>.<%end%><%end%>", ".");
}

static void lines(void **state)
{
    (void)state;
    gives("a\n<%if yes%>\nb\n<%end%>\nc\n", "a\nb\nc\n");
    gives("a\n  <%if yes%>\n  b\n  <%else%>\n  d\n  <%end%>\nc\n", "a\n  b\nc\n");
    gives("<%! a remark | with a pipe, %{ and if a %>\nb\n", "b\n");
    gives("a <%! within %>b\n", "a b\n");
    gives("<%each words as w%>\n- <%w|raw%>\n<%end%>\n", "- one\n- two\n");
    gives("x<%if yes%>\ny<%end%>\n", "x\ny\n"); /* not alone: the line ends stay */
    gives("<%if yes%> \nb<%end%>", " \nb");     /* a space behind it is text */
    gives("a\n<%if no%>\nb\n<%end%>", "a\n");
    gives("<%if yes%><%if yes%>\nb\n<%end%><%end%>\n", "\nb\n\n");
}

static void mistakes(void **state)
{
    (void)state;
    fails("<%a%>", "no filter that is known");
    fails("<%%>", "no filter that is known");
    fails("<%|raw%>", "list or an object");
    fails("<%each words as w%><%|raw%><%end%>", "list or an object");
    fails("<%a|nosuch%>", "no filter that is known");
    fails("<%a|raw|raw%>", "no filter that is known");
    fails("<%nosuch|raw%>", "names no fact");
    fails("<%o.p.z|raw%>", "names no fact");
    fails("<%a.b|raw%>", "names no fact");
    fails("<%list|raw%>", "list or an object");
    fails("<%o|raw%>", "list or an object");
    fails("<%if nosuch%><%end%>", "names no fact");
    fails("<%if @first%><%end%>", "names no fact");
    fails("<%if a%>", "is not closed");
    fails("<%if a%><%else%>", "is not closed");
    fails("<%if a%>1<%else%>2<%else%>3<%end%>", "is not closed");
    fails("<%if no%><%if a%><%end%>", "is not closed");
    fails("<%each words as w%>", "is not closed");
    fails("<%each words as w%><%else%><%end%>", "is not closed");
    fails("<%each words%><%end%>", "is not LIST as NAME");
    fails("<%each words in w%><%end%>", "is not LIST as NAME");
    fails("<%each words as %><%end%>", "is not LIST as NAME");
    fails("<%each a as w%><%end%>", "is no list");
    fails("<%each o as w%><%end%>", "is no list");
    fails("<%each nosuch as w%><%end%>", "names no fact");
    fails("<%end%>", "closes nothing");
    fails("<%else%>", "closes nothing");
    fails("text <%a|raw", "has no end");
    fails("<%if no%><%a|raw", "has no end");
    fails("<%endless%>", "no filter that is known");
    fails("<%elsewhere%>", "no filter that is known");
    fails("<%include local/next%>", "names no template"); /* only how a name begins */
    fails("<%include nosuch.txt%>", "names no template");
    fails("<%include %>", "no filter that is known");
}

static void refused_values(void **state)
{
    struct buf to;
    struct err e;
    (void)state;
    assert_false(fill("<%bad|env%>", &to, &e));
    assert_int_equal(e.code, ERR_MANIFEST);
    assert_non_null(strstr(e.msg, "bad cannot be written"));
    buf_done(&to);
}

/* Any template of the program that has no tags, so that it stays what it is. */
static const struct embedded *plain_template(void)
{
    const struct embedded *it = NULL;
    while ((it = embedded_next(it, "render/")) && strstr(it->data, "<%"))
        continue;
    assert_non_null(it);
    return it;
}

/* The tag stands `column` blanks in: so do the lines of what it includes. */
static void includes(const char *word, size_t column, const char *before, const char *after)
{
    const struct embedded *it = plain_template();
    struct slice rest = {it->data, it->len}, line;
    struct buf text, wanted;
    buf_init(&text, 1u << 20), buf_init(&wanted, 1u << 20);
    buf_printf(&text, "%s%*s<%%%s %s%%>\n%s", before, (int)column, "", word,
               it->name + strlen("render/"), after);
    buf_add_str(&wanted, before);
    while (slice_cut(&rest, '\n', &line))
        buf_printf(&wanted, "%*s%.*s\n", (int)(line.len ? column : 0), "", SLICE_ARGS(line));
    buf_add_str(&wanted, after);
    gives(text.data, wanted.data);
    buf_done(&text), buf_done(&wanted);
}

static void include(void **state)
{
    (void)state;
    includes("include", 0, "a\n", "b\n");
    includes("include", 2, "a: |\n", "b\n");
    includes("indented", 4, "a: |\n", "b\n");
    gives("<%if no%><%include nosuch%><%end%>", "");
    gives("<%if no%><%indented nosuch%><%end%>", "");
    fails("<%indented nosuch%>", "names no template");
}

static void depth(void **state)
{
    char text[1000] = "";
    (void)state;
    for (int n = 15; n <= 16; n++) {
        size_t len = 0;
        for (int i = 0; i < n; i++)
            len += (size_t)snprintf(text + len, sizeof text - len, "<%%if a%%>");
        len += (size_t)snprintf(text + len, sizeof text - len, "!");
        for (int i = 0; i < n; i++)
            len += (size_t)snprintf(text + len, sizeof text - len, "<%%end%%>");
        if (n == 15)
            gives(text, "!");
        else
            fails(text, "nested too deeply");
    }
}

TESTS(cmocka_unit_test(values), cmocka_unit_test(conditions), cmocka_unit_test(lists),
      cmocka_unit_test(lines), cmocka_unit_test(mistakes), cmocka_unit_test(refused_values),
      cmocka_unit_test(include), cmocka_unit_test(depth))
