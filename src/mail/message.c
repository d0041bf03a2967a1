/* A letter as a message: headers that nobody can add to, words and page as its two alternatives. */
#include "mail/mail_impl.h"

#include "base/base64.h"
#include "base/clock.h"
#include "base/utf8.h"

#include <string.h>

#define PLAIN_MAX       60 /* longer ones are encoded, as that folds them */
#define WORD_BYTES      36 /* of an encoded word: with `Subject: ` before it, it fits into a line */
#define SENDER_NAME_MAX 100
#define QP_LINE_MAX     76

/* ---- headers --------------------------------------------------------------------------------- */

static bool is_plain(struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] < ' ' || s.ptr[i] > '~')
            return false;
    }
    return s.len <= PLAIN_MAX && slice_search(s, SLICE("=?")) < 0;
}

/* RFC 2047: whole characters in every word. */
static void add_encoded(struct buf *to, struct slice s)
{
    for (bool is_first = true; s.len; is_first = false) {
        size_t n = 0;
        while (n < s.len) {
            size_t one = utf8_length(slice_skip(s, n));
            one = one ? one : 1;
            if (n + one > WORD_BYTES)
                break;
            n += one;
        }
        buf_add_str(to, is_first ? "=?UTF-8?B?" : "\r\n =?UTF-8?B?");
        base64_add(to, slice_first(s, n), BASE64);
        buf_add_str(to, "?=");
        s = slice_skip(s, n);
    }
}

/* What came from outside is made one line first, whatever was done to it before. */
static void add_text(struct buf *to, struct slice s, size_t max, bool is_quoted)
{
    struct buf line;
    buf_init(&line, max);
    line_add(&line, s, max);
    struct slice text = slice_trim(buf_slice(&line));
    if (!is_plain(text))
        add_encoded(to, text);
    else if (is_quoted)
        buf_add_quoted(to, text);
    else
        buf_add(to, text);
    buf_done(&line);
}

static void add_from(struct buf *to, const struct sender *from)
{
    buf_add_str(to, "From: ");
    if (from->name.len) {
        add_text(to, from->name, SENDER_NAME_MAX, true);
        buf_add_str(to, "\r\n ");
    }
    buf_printf(to, "<%.*s>\r\n", SLICE_ARGS(from->address));
}

static void add_date(struct buf *to, int64_t at_ms)
{
    char date[HTTP_DATE_LEN + 1];
    clock_http_date(at_ms / 1000, date);
    buf_printf(to, "Date: %.*s+0000\r\n", HTTP_DATE_LEN - 3, date); /* `GMT` is for the web */
}

/* Ours have letters and digits only; a row may have been written by somebody else. */
static bool is_id(struct slice id)
{
    for (size_t i = 0; i < id.len; i++) {
        bool is_good =
            (id.ptr[i] >= 'a' && id.ptr[i] <= 'z') || (id.ptr[i] >= '0' && id.ptr[i] <= '9');
        if (!is_good)
            return false;
    }
    return id.len > 0 && id.len <= 40;
}

static void add_headers(struct buf *to, const struct posted *p, const struct sender *from)
{
    struct slice host = from->address;
    host = slice_skip(host, (size_t)(slice_index(host, '@') + 1));
    add_from(to, from);
    buf_printf(to, "To: %.*s\r\nSubject: ", SLICE_ARGS(p->to));
    add_text(to, p->subject, SUBJECT_MAX, false);
    buf_add_str(to, "\r\n");
    add_date(to, p->created_ms);
    buf_printf(to, "Message-ID: <%.*s@%.*s>\r\n", SLICE_ARGS(p->id), SLICE_ARGS(host));
    buf_printf(to,
               "Auto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n"
               "Content-Type: multipart/alternative;\r\n boundary=\"=_%.*s\"\r\n",
               SLICE_ARGS(p->id));
}

/* ---- parts ----------------------------------------------------------------------------------- */

static void add_quoted_char(struct buf *to, unsigned char c, bool is_last, size_t *column)
{
    static const char digits[] = "0123456789ABCDEF";
    bool is_space = c == ' ' || c == '\t';
    bool is_raw = (c > ' ' && c <= '~' && c != '=') || (is_space && !is_last);
    size_t n = is_raw ? 1 : 3;
    if (*column + n + !is_last > QP_LINE_MAX) {
        buf_add_str(to, "=\r\n");
        *column = 0;
    }
    if (is_raw) {
        buf_add_char(to, (char)c);
    } else {
        buf_add_char(to, '=');
        buf_add_char(to, digits[c >> 4]);
        buf_add_char(to, digits[c & 15]);
    }
    *column += n;
}

/* RFC 2045's quoted-printable: readable where there is a file instead of a server. */
static void add_quoted_printable(struct buf *to, struct slice text)
{
    struct slice line;
    while (slice_cut(&text, '\n', &line)) {
        size_t column = 0;
        for (size_t i = 0; i < line.len; i++)
            add_quoted_char(to, (unsigned char)line.ptr[i], i + 1 == line.len, &column);
        buf_add_str(to, "\r\n");
    }
}

/* The blank line before a boundary is the boundary's. Two dashes are never the start of a line of
 * ours with `=_` behind them: a `=` is always encoded. */
static void add_part(struct buf *to, const struct posted *p, const char *type, struct slice text)
{
    buf_printf(to,
               "\r\n--=_%.*s\r\nContent-Type: %s; charset=utf-8\r\n"
               "Content-Transfer-Encoding: quoted-printable\r\n\r\n",
               SLICE_ARGS(p->id), type);
    add_quoted_printable(to, text);
}

bool message_add(struct buf *to, const struct posted *p, const struct sender *from)
{
    if (!is_id(p->id) || !mail_is_address(p->to))
        return false;
    add_headers(to, p, from);
    add_part(to, p, "text/plain", p->words);
    add_part(to, p, "text/html", p->page);
    buf_printf(to, "\r\n--=_%.*s--\r\n", SLICE_ARGS(p->id));
    return !to->full;
}
