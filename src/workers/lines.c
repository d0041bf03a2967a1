/* What a program says: lines of standard output that are JSON of ours are its progress and its
 * result; all else is its log, which streams as it comes. */
#include "workers/workers_impl.h"

#include "base/utf8.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define CHUNK     (16u << 10)
#define TAIL_MAX  512
#define LINE_KEPT (64u << 10) /* memory of a longer one is given back */
#define PARSE_MAX (64u << 20) /* what the tree of a line may take */
#define GONE_CHAR "\xef\xbf\xbd"
#define ONE_WHOLE 1000000

void talk_init(struct talk *t, const struct mask *mask)
{
    *t = (struct talk){.mask = mask, .progress = -1};
    buf_init(&t->message, JOB_MESSAGE_MAX);
    buf_init(&t->result, JOB_RESULT_MAX);
    buf_init(&t->log, JOB_LOG_MAX);
    buf_init(&t->line, WORKER_LINE_MAX);
    buf_init(&t->tail, TAIL_MAX);
    for (int i = 0; i < TALK_STREAMS; i++)
        buf_init(&t->held[i].text, 4 * CHUNK + MASK_MAX_BYTES + MASK_MIN_BYTES);
}

void talk_done(struct talk *t)
{
    buf_done(&t->message);
    buf_done(&t->result);
    buf_done(&t->log);
    buf_done(&t->line);
    buf_done(&t->tail);
    for (int i = 0; i < TALK_STREAMS; i++)
        buf_done(&t->held[i].text);
}

/* ---- the log ------------------------------------------------------------------------------------
 */

/* Where a character begins, at `at` or before it: text is well-formed. */
static size_t char_start(struct slice text, size_t at)
{
    while (at && at < text.len && ((unsigned char)text.ptr[at] & 0xc0) == 0x80)
        at--;
    return at;
}

/* Keeps the last `max` bytes, dropping more than is needed so that it is not done each time. */
static void keep_last(struct buf *b, struct slice text, size_t max, uint64_t *left_out)
{
    if (text.len > max) {
        size_t from = char_start(text, text.len - max / 2);
        *left_out += from;
        text = slice_skip(text, from);
    }
    if (b->len + text.len > max) {
        size_t from = char_start(buf_slice(b), b->len > max / 2 ? b->len - max / 2 : b->len);
        if (b->len - from + text.len > max)
            from = b->len;
        *left_out += from;
        buf_consume(b, from);
    }
    buf_add(b, text);
}

static void log_text(struct talk *t, struct slice text)
{
    uint64_t ignored = 0;
    keep_last(&t->log, text, JOB_LOG_MAX, &t->left_out);
    keep_last(&t->tail, text, TAIL_MAX, &ignored);
}

/* A character that is not whole yet, and may become one? */
static bool may_become(struct slice rest)
{
    unsigned char first = (unsigned char)*rest.ptr;
    size_t want = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    return first >= 0xc2 && first <= 0xf4 && rest.len < want;
}

static void add_good(struct talk_held *h, struct slice text)
{
    buf_add(&h->text, text);
    h->is_after_gone &= !text.len;
}

/* Adds text to what is held: what is no character, and zero bytes, are shown as one sign however
 * many there are in a row. */
static void add_clean(struct talk_held *h, struct slice bytes, bool is_whole)
{
    size_t from = 0, at = 0;
    while (at < bytes.len) {
        struct slice rest = slice_skip(bytes, at);
        size_t n = *rest.ptr ? utf8_length(rest) : 0;
        if (n) {
            at += n;
            continue;
        }
        if (!is_whole && may_become(rest))
            break;
        add_good(h, slice_skip(slice_first(bytes, at), from));
        if (!h->is_after_gone)
            buf_add_str(&h->text, GONE_CHAR);
        h->is_after_gone = true;
        from = ++at;
    }
    add_good(h, slice_skip(slice_first(bytes, at), from));
    h->n_raw = bytes.len - at;
    must(h->n_raw < sizeof h->raw);
    memcpy(h->raw, bytes.ptr + at, h->n_raw);
}

static void log_chunk(struct talk *t, struct talk_held *h, struct slice bytes, bool is_whole)
{
    char joined[CHUNK + sizeof h->raw];
    struct buf shown;
    memcpy(joined, h->raw, h->n_raw);
    if (bytes.len)
        memcpy(joined + h->n_raw, bytes.ptr, bytes.len);
    add_clean(h, (struct slice){joined, h->n_raw + bytes.len}, is_whole);
    must(!h->text.full);
    buf_init(&shown, 8 * CHUNK);
    size_t taken = mask_add(t->mask, buf_slice(&h->text), is_whole, &shown);
    must(!shown.full);
    log_text(t, buf_slice(&shown));
    buf_consume(&h->text, taken);
    buf_done(&shown);
}

/* is_whole: the next that comes does not belong to it. */
static void log_bytes(struct talk *t, enum talk_stream from, struct slice bytes, bool is_whole)
{
    struct talk_held *h = &t->held[from];
    while (bytes.len > CHUNK) {
        log_chunk(t, h, slice_first(bytes, CHUNK), false);
        bytes = slice_skip(bytes, CHUNK);
    }
    log_chunk(t, h, bytes, is_whole);
}

bool talk_take_log(struct talk *t, struct buf *to)
{
    if (t->left_out) {
        buf_printf(to, "[%llu bytes are left out]\n", (unsigned long long)t->left_out);
        t->left_out = 0;
    }
    struct slice all = buf_slice(&t->log);
    size_t n = all.len > TALK_PIECE ? char_start(all, TALK_PIECE) : all.len;
    buf_add(to, slice_first(all, n));
    buf_consume(&t->log, n);
    return to->len;
}

struct slice talk_last_line(const struct talk *t)
{
    struct slice text = slice_trim(buf_slice(&t->tail));
    ptrdiff_t at = slice_rindex(text, '\n');
    return at < 0 ? text : slice_trim(slice_skip(text, (size_t)at + 1));
}

/* ---- lines of standard output -------------------------------------------------------------------
 */

void text_as_line(struct buf *to, struct slice text, size_t max)
{
    while (text.len) {
        size_t n = utf8_length(text);
        bool is_plain = n && !utf8_is_control(text) && !utf8_is_unseen(text);
        struct slice piece = is_plain ? slice_first(text, n) : SLICE(" ");
        if (to->len + piece.len > max)
            break;
        buf_add(to, piece);
        text = slice_skip(text, n ? n : 1);
    }
}

static void set_message(struct talk *t, struct slice message)
{
    struct buf shown;
    buf_init(&shown, 3 * message.len + 16);
    (void)mask_add(t->mask, message, true, &shown);
    buf_clear(&t->message);
    text_as_line(&t->message, buf_slice(&shown), JOB_MESSAGE_MAX);
    buf_done(&shown);
}

void talk_step(struct talk *t, int32_t progress, struct slice message)
{
    if (progress >= 0)
        t->progress = progress < ONE_WHOLE ? progress : ONE_WHOLE;
    set_message(t, message);
    t->has_step = true;
}

static size_t size_of(const struct json *v)
{
    return v->type < JSON_ARRAY ? 1 : v->span;
}

/* The same value with what is hidden masked in its strings and keys: so it stays JSON. */
static const struct json *masked(const struct talk *t, const struct json *value, struct arena *a)
{
    size_t n = size_of(value);
    struct json *to = arena_alloc(a, n * sizeof *to);
    struct buf shown;
    memcpy(to, value, n * sizeof *to);
    for (size_t i = 0; i < n; i++) {
        if (to[i].type != JSON_STRING || to[i].len < MASK_MIN_BYTES)
            continue;
        buf_init(&shown, (size_t)to[i].len + 16); /* a value is longer than what stands for it */
        (void)mask_add(t->mask, json_str(&to[i]), true, &shown);
        struct slice text = buf_slice(&shown);
        if (!slice_eq(text, json_str(&to[i]))) {
            to[i].ptr = arena_dup(a, text).ptr;
            to[i].len = (uint32_t)text.len;
        }
        buf_done(&shown);
    }
    return to;
}

/* What it was is not repeated, but for a name in it, perhaps. */
static void PRINTF(2, 3) spoil_result(struct talk *t, const char *fmt, ...)
{
    char text[sizeof t->bad_result];
    struct buf shown, line;
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    buf_init(&shown, 4 * sizeof text);
    buf_init(&line, sizeof t->bad_result);
    (void)mask_add(t->mask, slice_from(text), true, &shown);
    text_as_line(&line, buf_slice(&shown), sizeof t->bad_result - 1);
    (void)snprintf(t->bad_result, sizeof t->bad_result, "%.*s", SLICE_ARGS(buf_slice(&line)));
    buf_done(&line);
    buf_done(&shown);
    t->has_result = true;
    buf_clear(&t->result);
}

/* Does it begin as nothing but a result does? Then it is not for the log alone. */
static bool is_like_result(struct slice line)
{
    line = slice_trim(line);
    if (!slice_starts(line, SLICE("{")))
        return false;
    return slice_starts(slice_trim(slice_skip(line, 1)), SLICE("\"result\""));
}

static void set_result(struct talk *t, const struct json *value)
{
    struct json_writer w;
    struct arena a;
    arena_init(&a, 2 * PARSE_MAX); /* a tape, and what its strings become */
    if (t->mask && t->mask->n)
        value = masked(t, value, &a);
    buf_clear(&t->result);
    json_writer_init(&w, &t->result, 0);
    json_write_value(&w, value);
    arena_done(&a);
    t->has_result = true;
    t->bad_result[0] = 0;
    if (t->result.full)
        spoil_result(t, "Its result is larger than %u KB.", JOB_RESULT_MAX >> 10);
}

/* Is it a line of ours? */
static bool take_members(struct talk *t, const struct json *line)
{
    double part;
    const struct json *result = json_find(line, SLICE("result"));
    const struct json *progress = json_find(line, SLICE("progress"));
    const struct json *message = json_find(line, SLICE("message"));
    bool has_progress = json_type(progress) == JSON_NUMBER && json_double(progress, &part, NULL);
    bool has_message = json_type(message) == JSON_STRING;
    if (has_progress)
        t->progress = part <= 0 ? 0 : part >= 1 ? ONE_WHOLE : (int32_t)(part * ONE_WHOLE + 0.5);
    if (has_message)
        set_message(t, json_str(message));
    if (result)
        set_result(t, result);
    t->has_step |= has_progress || has_message;
    return has_progress || has_message || result;
}

static bool is_ours(struct talk *t, struct slice line)
{
    struct arena a;
    struct json_doc doc;
    struct err e;
    if (!slice_starts(line, SLICE("{")))
        return false;
    arena_init(&a, PARSE_MAX);
    bool is_json = json_parse(&doc, &a, line, NULL, &e);
    if (!is_json && is_like_result(line))
        spoil_result(t, "Its result is not JSON that can be taken: %s.", e.msg);
    bool fine = is_json && take_members(t, json_root(&doc));
    arena_done(&a);
    return fine;
}

static void log_line_of_out(struct talk *t, struct slice line, bool is_whole)
{
    if (t->log.len && t->log.data[t->log.len - 1] != '\n') /* the other stream is in a line */
        log_text(t, SLICE("\n"));
    log_bytes(t, TALK_OUT, line, is_whole);
    if (is_whole)
        log_text(t, SLICE("\n"));
}

static void end_line(struct talk *t)
{
    struct slice line = slice_trim(buf_slice(&t->line));
    if (t->is_long) {
        log_bytes(t, TALK_OUT, SLICE(""), true);
        log_text(t, SLICE("\n"));
    } else if (line.len && !is_ours(t, line)) {
        log_line_of_out(t, line, true);
    }
    t->is_long = false;
    if (t->line.cap > LINE_KEPT)
        buf_done(&t->line);
    buf_clear(&t->line);
}

/* A part of a line, without its end. */
static void add_to_line(struct talk *t, struct slice part)
{
    if (t->is_long) {
        log_bytes(t, TALK_OUT, part, false);
    } else if (t->line.len + part.len <= WORKER_LINE_MAX) {
        buf_add(&t->line, part);
    } else {
        t->is_long = true;
        if (is_like_result(buf_slice(&t->line)))
            spoil_result(t, "The line of its result is longer than %u KB; a result may have %u KB.",
                         WORKER_LINE_MAX >> 10, JOB_RESULT_MAX >> 10);
        log_line_of_out(t, buf_slice(&t->line), false);
        log_bytes(t, TALK_OUT, part, false);
        buf_done(&t->line);
    }
}

static void add_out(struct talk *t, struct slice bytes)
{
    for (ptrdiff_t end; (end = slice_index(bytes, '\n')) >= 0;) {
        add_to_line(t, slice_first(bytes, (size_t)end));
        end_line(t);
        bytes = slice_skip(bytes, (size_t)end + 1);
    }
    add_to_line(t, bytes);
}

/* ---- all of it ----------------------------------------------------------------------------------
 */

void talk_add(struct talk *t, enum talk_stream from, struct slice bytes)
{
    t->bytes += bytes.len;
    if (from == TALK_OUT)
        add_out(t, bytes);
    else
        log_bytes(t, TALK_ERR, bytes, false);
}

void talk_end(struct talk *t)
{
    if (t->line.len || t->is_long)
        end_line(t);
    log_bytes(t, TALK_ERR, SLICE(""), true);
}
