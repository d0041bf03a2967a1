/* multipart/form-data as it comes, RFC 7578 and 2046.
 *
 * What ends a part is CR LF - - boundary. CR is nowhere in it but at its start, so whatever broke
 * off a match is content as it stands, and looking goes on at the byte that did not fit: no byte is
 * looked at twice, however the input is cut. The first delimiter needs no CR LF before it: the
 * engine begins as if it had seen one. */
#include "wire/percent_impl.h"
#include "wire/wire.h"

#include "base/utf8.h"

#include <string.h>

enum {
    IN_PREAMBLE,   /* before the first delimiter */
    IN_CONTENT,    /* of a part */
    AFTER_END,     /* a whole delimiter: a line's end, or the first dash of the last one? */
    AFTER_DASH,    /* the second dash has to follow */
    AFTER_PADDING, /* the CR of that line's end was there */
    IN_HEAD,
    IN_EPILOGUE,
    BROKEN
};

/* ---- parameters of a header ------------------------------------------------------------------ */

/* Takes `; name=value` off; a quoted value loses its quotes, and a backslash before a quote or a
 * backslash (elsewhere it is one: some send paths of Windows). False at the end, or when it is
 * none: *in says which. Added to `to`, which has room. */
static bool param_next(struct slice *in, struct slice *ret_name, struct buf *to,
                       struct slice *ret_value)
{
    struct slice rest = slice_trim(*in);
    *in = rest;
    if (!rest.len || rest.ptr[0] != ';')
        return false;
    rest = slice_trim(slice_skip(rest, 1));
    size_t n = 0;
    while (n < rest.len && scan_is(rest.ptr[n], CH_TOKEN))
        n++;
    *ret_name = slice_first(rest, n);
    rest = slice_trim(slice_skip(rest, n));
    if (!n || !rest.len || rest.ptr[0] != '=')
        return false;
    rest = slice_trim(slice_skip(rest, 1));
    size_t i = 0, at = to->len;
    bool is_quoted = rest.len && rest.ptr[0] == '"', is_closed = !is_quoted;
    for (i = is_quoted; i < rest.len; i++) {
        char c = rest.ptr[i];
        if (is_quoted && c == '"') {
            is_closed = true;
            i++;
            break;
        }
        if (!is_quoted && (c == ';' || c == ' ' || c == '\t'))
            break;
        bool is_escape = is_quoted && c == '\\' && i + 1 < rest.len &&
                         (rest.ptr[i + 1] == '"' || rest.ptr[i + 1] == '\\');
        buf_add_char(to, is_escape ? rest.ptr[++i] : c);
    }
    if (!is_closed || to->full || (!is_quoted && i == 0))
        return false;
    *ret_value = slice_skip(buf_slice(to), at);
    *in = slice_skip(rest, i);
    return true;
}

static bool is_boundary(struct slice s)
{
    if (!s.len || s.len > MULTIPART_BOUNDARY_MAX || s.ptr[s.len - 1] == ' ')
        return false;
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        bool is_alnum = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!is_alnum && (!c || !strchr("'()+_,-./:=? ", c)))
            return false;
    }
    return true;
}

bool multipart_boundary(struct slice content_type, char *to, struct slice *ret, struct err *e)
{
    struct slice rest = content_type, type, name, value;
    struct buf room;
    ptrdiff_t at = slice_index(rest, ';');
    type = slice_trim(at < 0 ? rest : slice_first(rest, (size_t)at));
    rest = slice_skip(rest, at < 0 ? rest.len : (size_t)at);
    *ret = (struct slice){0};
    if (!slice_eq_nocase(type, SLICE("multipart/form-data")))
        return err_set(e, ERR_MEDIA_TYPE,
                       "Send a form with Content-Type: multipart/form-data; boundary=…");
    buf_init(&room, MULTIPART_HEAD_MAX);
    while (param_next(&rest, &name, &room, &value)) {
        if (!slice_eq_nocase(name, SLICE("boundary")))
            continue;
        bool is_fine = !ret->ptr && is_boundary(value);
        *ret = (struct slice){is_fine ? to : NULL, is_fine ? value.len : 0};
        if (!is_fine)
            break;
        memcpy(to, value.ptr, value.len);
    }
    buf_done(&room);
    return (ret->ptr && !rest.len) ||
           err_set(e, ERR_MALFORMED, "The form's Content-Type has no boundary that can be used.");
}

/* ---- a part's head --------------------------------------------------------------------------- */

struct head {
    struct buf *names;
    struct multipart_part *part;
    bool has_disposition, has_type, has_plain, has_extended;
};

static bool bad_head(struct err *e, const char *what)
{
    return err_set(e, ERR_MALFORMED, "The form has a part whose %s.", what);
}

/* What no name may hold, whoever wrote it and however it was escaped. */
static void make_plain(struct slice s)
{
    char *at = (char *)(uintptr_t)s.ptr;
    for (size_t i = 0; i < s.len; i++) {
        if ((unsigned char)at[i] < 0x20 || at[i] == 0x7f)
            at[i] = '_';
    }
}

/* Browsers write a quote in a name as %22, and line breaks as %0D and %0A, which stay as they are.
 * In place. */
static struct slice unquoted(struct slice s)
{
    char *to = (char *)(uintptr_t)s.ptr;
    size_t n = 0;
    for (size_t i = 0; i < s.len; i++) {
        bool is_quote = s.len - i >= 3 && memcmp(s.ptr + i, "%22", 3) == 0;
        to[n++] = is_quote ? '"' : s.ptr[i];
        i += is_quote ? 2 : 0;
    }
    return (struct slice){s.ptr, n};
}

/* UTF-8'language'escaped; others have no meaning that all share. In place. */
static bool read_extended(struct slice s, struct slice *ret)
{
    struct slice charset, language, rest = s;
    char *to = (char *)(uintptr_t)s.ptr;
    size_t n = 0;
    if (!slice_cut(&rest, '\'', &charset) || !slice_eq_nocase(charset, SLICE("utf-8")) ||
        slice_index(rest, '\'') < 0)
        return false;
    slice_cut(&rest, '\'', &language);
    for (size_t i = 0; i < rest.len; i++) {
        char c = rest.ptr[i];
        if (c == '%' && !percent_decode(rest, i, &c))
            return false;
        i += rest.ptr[i] == '%' ? 2 : 0;
        to[n++] = c;
    }
    *ret = (struct slice){s.ptr, n};
    return utf8_is_valid(*ret);
}

static bool read_param(struct head *h, struct slice name, struct slice value, bool *ret_has_name,
                       struct err *e)
{
    struct multipart_part *p = h->part;
    if (slice_eq_nocase(name, SLICE("name"))) {
        if (*ret_has_name)
            return bad_head(e, "name is there twice");
        *ret_has_name = true;
        p->name = unquoted(value);
        make_plain(p->name);
    } else if (slice_eq_nocase(name, SLICE("filename*"))) {
        if (h->has_extended || !read_extended(value, &p->filename))
            return bad_head(e, "filename* is not UTF-8''… with escapes");
        h->has_extended = p->is_file = true;
        make_plain(p->filename);
    } else if (slice_eq_nocase(name, SLICE("filename"))) {
        if (h->has_plain)
            return bad_head(e, "filename is there twice");
        if (!h->has_extended)
            p->filename = unquoted(value);
        make_plain(p->filename);
        h->has_plain = p->is_file = true;
    }
    return true;
}

static bool read_disposition(struct head *h, struct slice value, struct err *e)
{
    struct slice name, text, rest;
    bool has_name = false;
    ptrdiff_t at = slice_index(value, ';');
    rest = slice_skip(value, at < 0 ? value.len : (size_t)at);
    if (h->has_disposition)
        return bad_head(e, "Content-Disposition is there twice");
    h->has_disposition = true;
    if (at < 0 || !slice_eq_nocase(slice_trim(slice_first(value, (size_t)at)), SLICE("form-data")))
        return bad_head(e, "Content-Disposition is not form-data");
    while (param_next(&rest, &name, h->names, &text)) {
        if (!read_param(h, name, text, &has_name, e))
            return false;
    }
    return (!rest.len && has_name) ||
           bad_head(e, "Content-Disposition has no name, or is badly written");
}

static bool read_line(struct head *h, struct slice line, struct err *e)
{
    ptrdiff_t colon = slice_index(line, ':');
    if (colon <= 0 || !token_is_valid(slice_first(line, (size_t)colon)) ||
        !header_value_is_valid(slice_skip(line, (size_t)colon + 1)))
        return bad_head(e, "headers are badly written");
    struct slice name = slice_first(line, (size_t)colon);
    struct slice value = slice_trim(slice_skip(line, (size_t)colon + 1));
    if (slice_eq_nocase(name, SLICE("content-disposition")))
        return read_disposition(h, value, e);
    if (slice_eq_nocase(name, SLICE("content-type"))) {
        if (h->has_type)
            return bad_head(e, "Content-Type is there twice");
        h->has_type = true;
        h->part->type = value;
    }
    if (slice_eq_nocase(name, SLICE("content-transfer-encoding")) &&
        !slice_eq_nocase(value, SLICE("binary")) && !slice_eq_nocase(value, SLICE("8bit")) &&
        !slice_eq_nocase(value, SLICE("7bit")))
        return bad_head(e, "content is encoded; send its bytes as they are");
    return true;
}

/* All of its lines, each with its CR LF. */
static bool read_head(struct multipart *m, struct multipart_part *ret, struct err *e)
{
    struct head h = {.names = &m->names, .part = ret};
    struct slice rest = buf_slice(&m->head);
    *ret = (struct multipart_part){.name = SLICE(""), .filename = SLICE(""), .type = SLICE("")};
    buf_clear(&m->names);
    if (!buf_reserve(&m->names, MULTIPART_HEAD_MAX)) /* it does not move while it is filled */
        return bad_head(e, "head is too long");
    while (rest.len) {
        ptrdiff_t end = slice_search(rest, SLICE("\r\n"));
        must(end >= 0);
        if (!read_line(&h, slice_first(rest, (size_t)end), e))
            return false;
        rest = slice_skip(rest, (size_t)end + 2);
    }
    return h.has_disposition || bad_head(e, "Content-Disposition is missing");
}

/* ---- steps ----------------------------------------------------------------------------------- */

void multipart_init(struct multipart *m, struct slice boundary)
{
    must(is_boundary(boundary));
    *m =
        (struct multipart){.delimiter_len = (uint8_t)(4 + boundary.len), .matched = 2, .unsent = 2};
    memcpy(m->delimiter, "\r\n--", 4);
    memcpy(m->delimiter + 4, boundary.ptr, boundary.len);
    buf_init(&m->head, MULTIPART_HEAD_MAX);
    buf_init(&m->names, MULTIPART_HEAD_MAX);
}

void multipart_done(struct multipart *m)
{
    buf_done(&m->head);
    buf_done(&m->names);
}

static enum io broken(struct multipart *m, struct err *e, const char *what)
{
    m->state = BROKEN;
    err_set(e, ERR_MALFORMED, "The form %s.", what);
    return IO_FAIL;
}

/* Goes on with a delimiter that began. IO_OK: there it is. IO_EOF: it was none, what matched of it
 * is content. */
static enum io match(struct multipart *m, struct slice *in)
{
    while (in->len && m->matched < m->delimiter_len) {
        if (in->ptr[0] != m->delimiter[m->matched])
            return IO_EOF;
        m->matched++;
        *in = slice_skip(*in, 1);
    }
    return m->matched == m->delimiter_len ? IO_OK : IO_MORE;
}

static bool is_idle_too_long(struct multipart *m, size_t n)
{
    m->idle += (uint32_t)(n < MULTIPART_IDLE_MAX ? n : MULTIPART_IDLE_MAX + 1);
    return m->idle > MULTIPART_IDLE_MAX;
}

/* The next delimiter, or what may become one at the end of the input. IO_OK: it is first. */
static enum io find(struct multipart *m, struct slice *in, struct slice *ret_data)
{
    size_t at = 0;
    ptrdiff_t cr;
    while ((cr = slice_index(slice_skip(*in, at), '\r')) >= 0) {
        at += (size_t)cr;
        size_t left = in->len - at, n = left < m->delimiter_len ? left : m->delimiter_len;
        if (memcmp(in->ptr + at, m->delimiter, n) == 0) {
            bool is_whole = n == m->delimiter_len;
            *ret_data = slice_first(*in, at);
            *in = slice_skip(*in, is_whole && at ? at : at + n); /* after its content, once more */
            m->matched = is_whole ? 0 : (uint8_t)n;
            return is_whole && !at ? IO_OK : IO_MORE;
        }
        at++;
    }
    *ret_data = *in;
    *in = slice_skip(*in, in->len);
    return IO_MORE;
}

/* Some of what is up to the next delimiter: what is content is in *ret_data. IO_OK: the delimiter.
 */
static enum io step_content(struct multipart *m, struct slice *in, struct slice *ret_data)
{
    *ret_data = SLICE("");
    if (m->matched) {
        enum io io = match(m, in);
        if (io == IO_MORE)
            return io;
        if (io == IO_EOF)
            *ret_data = slice_skip((struct slice){m->delimiter, m->matched}, m->unsent);
        m->matched = m->unsent = 0;
        return io == IO_EOF ? IO_MORE : IO_OK;
    }
    return find(m, in, ret_data);
}

/* Behind a delimiter: spaces and a line's end before a head, or two dashes at the end of all. */
static bool step_after(struct multipart *m, char c)
{
    bool is_space = c == ' ' || c == '\t';
    if (m->state == AFTER_DASH && c == '-') {
        m->state = IN_EPILOGUE;
        m->idle = 0;
    } else if (m->state == AFTER_PADDING && c == '\n') {
        m->state = IN_HEAD;
        buf_clear(&m->head);
    } else if (m->state == AFTER_END && c == '-' && !m->idle) {
        m->state = AFTER_DASH;
    } else if (m->state == AFTER_END && c == '\r') {
        m->state = AFTER_PADDING;
    } else {
        return m->state == AFTER_END && is_space && !is_idle_too_long(m, 1);
    }
    return true;
}

/* IO_OK: all of the head is there, without its empty line. */
static enum io step_head(struct multipart *m, struct slice *in, struct err *e)
{
    while (in->len) {
        ptrdiff_t lf = slice_index(*in, '\n');
        struct slice piece = lf < 0 ? *in : slice_first(*in, (size_t)lf + 1);
        *in = slice_skip(*in, piece.len);
        buf_add(&m->head, piece);
        if (m->head.full) {
            m->state = BROKEN;
            err_set(e, ERR_HEADERS_TOO_LARGE, "A part of the form has a head of more than %d KB.",
                    MULTIPART_HEAD_MAX / 1024);
            return IO_FAIL;
        }
        struct slice head = buf_slice(&m->head);
        if (slice_ends(head, SLICE("\n")) && !slice_ends(head, SLICE("\r\n")))
            return broken(m, e, "has a line that does not end in CR LF");
        if (slice_is(head, "\r\n") || slice_ends(head, SLICE("\r\n\r\n"))) {
            buf_truncate(&m->head, head.len - 2);
            return IO_OK;
        }
    }
    return IO_MORE;
}

static enum io skip_preamble(struct multipart *m, struct slice *in, struct err *e)
{
    enum io io = IO_MORE;
    struct slice data;
    while (in->len && io == IO_MORE) {
        io = step_content(m, in, &data);
        if (is_idle_too_long(m, data.len))
            return broken(m, e, "has too much before its first part");
    }
    return io;
}

static void begin_after(struct multipart *m)
{
    m->state = AFTER_END;
    m->idle = 0;
}

static enum io next_in_content(struct multipart *m, struct slice *in, struct multipart_event *ret)
{
    while (in->len) {
        if (step_content(m, in, &ret->data) == IO_OK) {
            begin_after(m);
            ret->kind = MULTIPART_END;
            return IO_OK;
        }
        ret->kind = MULTIPART_DATA;
        if (ret->data.len)
            return IO_OK;
    }
    return IO_MORE;
}

static enum io next_head(struct multipart *m, struct slice *in, struct multipart_event *ret,
                         struct err *e)
{
    enum io io = step_head(m, in, e);
    if (io != IO_OK)
        return io;
    ret->kind = MULTIPART_PART;
    if (!read_head(m, &ret->part, e)) {
        m->state = BROKEN;
        return IO_FAIL;
    }
    m->state = IN_CONTENT;
    m->matched = m->unsent = 2; /* the empty line may be the one before the delimiter */
    return IO_OK;
}

static enum io skip_epilogue(struct multipart *m, struct slice *in, struct err *e)
{
    size_t n = in->len;
    *in = slice_skip(*in, n);
    return is_idle_too_long(m, n) ? broken(m, e, "has too much behind its last part") : IO_EOF;
}

enum io multipart_next(struct multipart *m, struct slice *in, struct multipart_event *ret,
                       struct err *e)
{
    if (m->state == IN_PREAMBLE) {
        enum io io = skip_preamble(m, in, e);
        if (io != IO_OK)
            return io;
        begin_after(m);
    }
    while (m->state >= AFTER_END && m->state <= AFTER_PADDING) {
        if (!in->len)
            return IO_MORE;
        if (!step_after(m, in->ptr[0]))
            return broken(m, e, "has something behind a boundary");
        *in = slice_skip(*in, 1);
    }
    switch (m->state) {
    case IN_HEAD:
        return next_head(m, in, ret, e);
    case IN_CONTENT:
        return next_in_content(m, in, ret);
    case IN_EPILOGUE:
        return skip_epilogue(m, in, e);
    default:
        return broken(m, e, "is broken");
    }
}
