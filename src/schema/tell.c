/* Violations in words: what must be so, for whoever wrote the document. */
#include "base/utf8.h"
#include "schema/check_impl.h"

#include <stdarg.h>
#include <stdio.h>

#define MESSAGE_MAX 300
#define POINTER_MAX 1000 /* bytes; a longer one becomes that of what it lies in */
#define VALUE_MAX   60   /* bytes of a value that is shown */

bool is_telling(const struct check *c)
{
    return c->to && !c->gave_up && c->to->n < SCHEMA_VIOLATIONS_MAX;
}

static struct violation *add(struct check *c)
{
    struct violations *to = c->to;
    if (to->n == SCHEMA_VIOLATIONS_MAX) {
        to->n_more++;
        return NULL;
    }
    if (!to->items)
        to->items = arena_zalloc(to->a, SCHEMA_VIOLATIONS_MAX * sizeof *to->items);
    return &to->items[to->n++];
}

static struct slice pointer_of(const struct check *c)
{
    struct slice p = buf_slice(&c->pointer);
    ptrdiff_t end = (ptrdiff_t)p.len;
    while (end > POINTER_MAX)
        end = slice_rindex(slice_first(p, (size_t)end), '/');
    return slice_first(p, (size_t)end);
}

/* Without half a character at the end. */
static struct slice whole(struct slice s)
{
    size_t n = s.len;
    while (n && ((unsigned char)s.ptr[n - 1] & 0xc0) == 0x80)
        n--;
    bool is_whole = n == 0 || utf8_is_valid(slice_skip(s, n - 1));
    return is_whole ? s : slice_first(s, n - 1);
}

static bool PRINTF(3, 0) vtell(struct check *c, const char *code, const char *fmt, va_list args)
{
    char message[MESSAGE_MAX];
    struct violation *it = c->to && !c->gave_up ? add(c) : NULL;
    if (!it)
        return false;
    vsnprintf(message, sizeof message, fmt, args);
    it->code = code;
    it->pointer = arena_dup(c->to->a, pointer_of(c));
    it->message = arena_dup(c->to->a, whole(slice_from(message)));
    return false;
}

bool tell(struct check *c, const char *code, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vtell(c, code, fmt, args);
    va_end(args);
    return false;
}

bool tell_at(struct check *c, struct slice name, const char *code, const char *fmt, ...)
{
    va_list args;
    size_t depth = c->pointer.len;
    json_pointer_add(&c->pointer, name);
    va_start(args, fmt);
    vtell(c, code, fmt, args);
    va_end(args);
    buf_truncate(&c->pointer, depth);
    return false;
}

struct slice told_value(struct check *c, const struct json *v)
{
    if (!is_telling(c))
        return SLICE("");
    struct buf out;
    struct json_writer w;
    buf_init(&out, 64u << 20);
    json_writer_init(&w, &out, 0);
    json_write_value(&w, v);
    size_t n = out.len;
    if (n > VALUE_MAX) {
        n = VALUE_MAX;
        while (n && ((unsigned char)out.data[n] & 0xc0) == 0x80)
            n--;
    }
    struct slice s =
        arena_printf(&c->scratch, "%.*s%s", (int)n, out.data, n < out.len ? "..." : "");
    buf_done(&out);
    return s;
}

static const char *const type_words[] = {
    [JSON_NULL] = "null",   [JSON_BOOL] = "true or false", [JSON_NUMBER] = "a number",
    [JSON_STRING] = "text", [JSON_ARRAY] = "a list",       [JSON_OBJECT] = "an object",
    [7] = "a whole number",
};

const char *told_type(const struct json *v)
{
    return type_words[json_type(v)];
}

struct slice told_types(struct check *c, uint32_t types)
{
    struct slice words = SLICE("");
    for (unsigned i = JSON_NULL; is_telling(c) && i <= 7; i++) {
        if (types & TYPE_BIT(i))
            words = arena_printf(&c->scratch, "%.*s%s%s", SLICE_ARGS(words),
                                 words.len ? " or " : "", type_words[i]);
    }
    return words;
}
