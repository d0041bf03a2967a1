/* A letter in words and as a page, from the same parts. */
#include "mail/mail_impl.h"

#include "base/template.h"
#include "base/utf8.h"

#define LINK_MAX     2000
#define GREETING_MAX 200

/* ---- what may stand in a letter -------------------------------------------------------------- */

void line_add(struct buf *to, struct slice s, size_t max)
{
    size_t before = to->len;
    while (s.len) {
        size_t n = utf8_length(s);
        struct slice one = n ? slice_first(s, n) : SLICE("\xef\xbf\xbd");
        if (n && utf8_is_unseen(s))
            one = SLICE(" ");
        if (to->len - before + one.len > max)
            return;
        buf_add(to, one);
        s = slice_skip(s, n ? n : 1);
    }
}

bool link_is_good(struct slice link)
{
    for (size_t i = 0; i < link.len; i++) {
        if (link.ptr[i] <= ' ' || link.ptr[i] == 0x7f || link.ptr[i] == '"' || link.ptr[i] == '<' ||
            link.ptr[i] == '>')
            return false;
    }
    return link.len <= LINK_MAX &&
           (slice_starts(link, SLICE("http://")) || slice_starts(link, SLICE("https://")));
}

/* The next paragraph with something in it; its lines are one. False: there is none. */
static bool next_paragraph(struct slice *text, struct buf *ret)
{
    struct slice line;
    buf_clear(ret);
    while (slice_cut(text, '\n', &line)) {
        line = slice_trim(line);
        if (!line.len && ret->len)
            return true;
        if (line.len && ret->len)
            buf_add_char(ret, ' ');
        line_add(ret, line, PART_MAX);
    }
    return ret->len > 0;
}

/* ---- in words -------------------------------------------------------------------------------- */

static void add_block(struct buf *to, struct slice s, size_t max)
{
    size_t before = to->len;
    line_add(to, s, max);
    if (to->len > before)
        buf_add_str(to, "\n\n");
}

void compose_words(struct buf *to, const struct letter *l)
{
    struct slice text = l->text;
    struct buf paragraph;
    buf_init(&paragraph, PART_MAX);
    add_block(to, l->greeting, GREETING_MAX);
    while (next_paragraph(&text, &paragraph))
        add_block(to, buf_slice(&paragraph), PART_MAX);
    buf_done(&paragraph);
    if (link_is_good(l->link)) {
        line_add(to, l->button, SUBJECT_MAX);
        buf_add_str(to, ":\n");
        buf_add(to, l->link);
        buf_add_str(to, "\n\n");
    }
    buf_add_str(to, "-- \n");
    line_add(to, l->app, SUBJECT_MAX);
    buf_add_char(to, '\n');
}

/* ---- as a page ------------------------------------------------------------------------------- */

/* No colours but the button's: a reader's own, light or dark, are the readable ones. */
static const char head[] =
    "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
    "<meta name=\"viewport\" content=\"width=device-width\">\n"
    "<meta name=\"color-scheme\" content=\"light dark\">\n"
    "<meta name=\"supported-color-schemes\" content=\"light dark\">\n<title>";
static const char body[] =
    "</title></head>\n<body style=\"margin:0;padding:24px;font:16px/1.5 sans-serif\">\n"
    "<div style=\"max-width:34em;margin:0 auto\">\n<p><strong>";
static const char button[] =
    "\" style=\"display:inline-block;padding:12px 20px;border-radius:6px;background:#1d4ed8;"
    "color:#ffffff;font-weight:bold;text-decoration:none\">";

/* Escaped; through `line` so that it is one. */
static void add_escaped(struct buf *to, struct slice s, size_t max)
{
    struct buf line;
    buf_init(&line, max);
    line_add(&line, s, max);
    template_escape(to, buf_slice(&line));
    buf_done(&line);
}

static void add_paragraph(struct buf *to, struct slice s, size_t max)
{
    if (!s.len)
        return;
    buf_add_str(to, "<p>");
    add_escaped(to, s, max);
    buf_add_str(to, "</p>\n");
}

static void add_button(struct buf *to, const struct letter *l)
{
    buf_add_str(to, "<p><a href=\"");
    template_escape(to, l->link);
    buf_add_str(to, button);
    add_escaped(to, l->button, SUBJECT_MAX);
    buf_add_str(to, "</a></p>\n<p style=\"font-size:14px\">If the button does nothing, open this "
                    "address:<br>\n<a href=\"");
    template_escape(to, l->link);
    buf_add_str(to, "\" style=\"word-break:break-all\">");
    template_escape(to, l->link);
    buf_add_str(to, "</a></p>\n");
}

void compose_page(struct buf *to, const struct letter *l)
{
    struct slice text = l->text;
    struct buf paragraph;
    buf_init(&paragraph, PART_MAX);
    buf_add_str(to, head);
    add_escaped(to, l->subject, SUBJECT_MAX);
    buf_add_str(to, body);
    add_escaped(to, l->app, SUBJECT_MAX);
    buf_add_str(to, "</strong></p>\n");
    add_paragraph(to, l->greeting, GREETING_MAX);
    while (next_paragraph(&text, &paragraph))
        add_paragraph(to, buf_slice(&paragraph), PART_MAX);
    buf_done(&paragraph);
    if (link_is_good(l->link))
        add_button(to, l);
    buf_add_str(to, "<p style=\"font-size:14px\">");
    add_escaped(to, l->app, SUBJECT_MAX);
    buf_add_str(to, "</p>\n</div></body></html>\n");
}
