/* The JSON parser: one loop over the text, its stack threaded through the tape.
 *
 * Two machines share the code: json_parse keeps every value, json_validate keeps only what is open
 * (containers, and the keys of open objects for the duplicate check) and drops it when it closes.
 * While a container is open its `span` holds the index of its parent, so there is no other stack.
 * Duplicates are looked for when an object closes: up to MANY_KEYS by a 64-bit filter and then
 * comparison, beyond that by a table hashed with the process's secret, so that no choice of keys
 * makes it quadratic. */
#include "base/json.h"
#include "base/json_impl.h"
#include "base/map.h"

#include <stdio.h>
#include <string.h>

#define MANY_KEYS       16
#define MIN_TAPE        16u
#define FIRST_TAPE      65536u /* entries at most guessed from the text's length */
#define BYTES_PER_ENTRY 8u
#define CHECK_TAPE      64u /* entries json_validate has before it allocates */

struct parser {
    const char *text, *end;
    struct json *tape;
    uint32_t len, cap;
    uint32_t open; /* 1 + index of the innermost open container; 0 = none */
    uint32_t depth, nodes, max_depth, max_nodes;
    struct arena *arena;
    struct err *e;
};

/* ---- failing --------------------------------------------------------------------------------- */
static void find_place(const struct parser *p, const char *at, size_t *line, size_t *column)
{
    *line = *column = 1;
    for (const char *c = p->text; c < at; c++) {
        if (*c == '\n')
            ++*line, *column = 1;
        else if (((unsigned char)*c & 0xc0) != 0x80)
            ++*column;
    }
}

static void describe(const struct parser *p, const char *at, char *to, size_t n)
{
    if (at >= p->end)
        snprintf(to, n, "the end of the text");
    else if (p->end - at >= 3 && memcmp(at, "\xef\xbb\xbf", 3) == 0)
        snprintf(to, n, "a byte order mark");
    else if (*at == '\'')
        snprintf(to, n, "a single quote");
    else if (*at > ' ' && *at < 0x7f)
        snprintf(to, n, "'%c'", *at);
    else
        snprintf(to, n, "byte 0x%02x", (unsigned char)*at);
}

/* Always NULL, which is how every step below says that it failed. */
COLD static const char *fail(struct parser *p, const char *at, const char *expected)
{
    size_t line, column;
    char found[40];
    find_place(p, at, &line, &column);
    describe(p, at, found, sizeof found);
    err_set(p->e, ERR_JSON, "line %zu, column %zu: expected %s, found %s", line, column, expected,
            found);
    return NULL;
}

COLD static const char *fail_limit(struct parser *p, const char *at, const char *what, uint32_t max)
{
    size_t line, column;
    find_place(p, at, &line, &column);
    err_set(p->e, ERR_JSON, "line %zu, column %zu: %s (at most %u)", line, column, what, max);
    return NULL;
}

COLD static bool fail_memory(struct parser *p)
{
    return err_set(p->e, ERR_BODY_TOO_LARGE, "the JSON needs more memory than is allowed for it");
}

/* Where a string's text is: decoded ones have it noted in front of their bytes. */
static const char *source_of(const struct json *v)
{
    const char *source = v->ptr;
    if (v->flags & JSON_DECODED)
        memcpy(&source, v->ptr - sizeof source, sizeof source);
    return source;
}

COLD static bool fail_duplicate(struct parser *p, const struct json *key)
{
    size_t line, column;
    find_place(p, source_of(key) - 1, &line, &column);
    bool shown = key->len <= 60;
    for (uint32_t i = 0; i < key->len && shown; i++)
        shown = key->ptr[i] >= ' ' && key->ptr[i] < 0x7f;
    struct slice name = {key->ptr, shown ? key->len : 0};
    return err_set(p->e, ERR_JSON, "line %zu, column %zu: this object has the key%s%.*s%s before",
                   line, column, shown ? " \"" : "", SLICE_ARGS(name), shown ? "\"" : "");
}

/* ---- the tape -------------------------------------------------------------------------------- */
/* Doubles, or takes as much as the arena still gives. Not COLD: every parse begins with it, and the
 * compiler would take all that follows for cold too. */
__attribute__((noinline)) static bool grow(struct parser *p, const char *at, uint32_t by)
{
    if (p->cap == p->max_nodes)
        return fail_limit(p, at, "too many values", p->max_nodes) != NULL;
    if (by > p->max_nodes - p->cap)
        by = p->max_nodes - p->cap;
    struct json *tape = NULL;
    for (; by && !tape; by = tape ? by : by / 2)
        tape = arena_try_alloc(p->arena, ((size_t)p->cap + by) * sizeof *tape);
    if (!tape)
        return fail_memory(p);
    if (p->len)
        memcpy(tape, p->tape, p->len * sizeof *tape);
    p->tape = tape;
    p->cap += by;
    return true;
}

/* Room for one more entry; the validator, which keeps few, counts those it does not keep. */
ALWAYS_INLINE bool make_room(struct parser *p, const char *at, const bool keep)
{
    if (!keep && UNLIKELY(p->nodes++ == p->max_nodes))
        return fail_limit(p, at, "too many values", p->max_nodes) != NULL;
    return LIKELY(p->len < p->cap) || grow(p, at, p->cap);
}

ALWAYS_INLINE void count_child(struct parser *p)
{
    if (p->open)
        p->tape[p->open - 1].len++;
}

/* ---- strings --------------------------------------------------------------------------------- */
/* What stands behind a backslash, and for what. */
static const char escape_of[256] = {['"'] = '"',  ['\\'] = '\\', ['/'] = '/',  ['b'] = '\b',
                                    ['f'] = '\f', ['n'] = '\n',  ['r'] = '\r', ['t'] = '\t'};

static int hex4(const char *at)
{
    int v = 0;
    for (int i = 0; i < 4; i++) {
        char c = at[i], low = (char)(c | 0x20);
        if (is_digit(c))
            v = v << 4 | (c - '0');
        else if (low >= 'a' && low <= 'f')
            v = v << 4 | (low - 'a' + 10);
        else
            return -1;
    }
    return v;
}

/* Over one escape; a high surrogate takes its low one along. */
static const char *skip_escape(struct parser *p, const char *at)
{
    if (p->end - at < 2)
        return fail(p, p->end, "an escape");
    if (at[1] != 'u')
        return escape_of[(unsigned char)at[1]] ? at + 2 : fail(p, at + 1, "one of \"\\/bfnrtu");
    int unit = p->end - at >= 6 ? hex4(at + 2) : -1;
    if (unit < 0)
        return fail(p, at, "\\u and four hexadecimal digits");
    if (unit < 0xd800 || unit > 0xdfff)
        return at + 6;
    int low = p->end - at >= 12 && at[6] == '\\' && at[7] == 'u' ? hex4(at + 8) : -1;
    if (unit > 0xdbff || low < 0xdc00 || low > 0xdfff)
        return fail(p, at, "a pair of surrogates");
    return at + 12;
}

/* From behind the opening quote to the closing one. */
ALWAYS_INLINE const char *scan_string(struct parser *p, const char *at, bool *escaped)
{
    const char *end = p->end;
    for (;;) {
        at = skip_plain(at, end);
        if (UNLIKELY(at == end))
            return fail(p, at, "a closing quote");
        if (LIKELY(*at == '"'))
            return at;
        if (*at == '\\') {
            *escaped = true;
            if (!(at = skip_escape(p, at)))
                return NULL;
        } else if ((signed char)*at >= 0) {
            return fail(p, at, "no raw control character in a string");
        }
        while (at < end && (signed char)*at < 0) {
            size_t n = utf8_sequence(at, (size_t)(end - at));
            if (n == 0)
                return fail(p, at, "valid UTF-8");
            at += n;
        }
    }
}

static char *put_utf8(char *to, unsigned c)
{
    if (c < 0x80) {
        *to++ = (char)c;
    } else if (c < 0x800) {
        *to++ = (char)(0xc0 | c >> 6);
        *to++ = (char)(0x80 | (c & 0x3f));
    } else if (c < 0x10000) {
        *to++ = (char)(0xe0 | c >> 12);
        *to++ = (char)(0x80 | (c >> 6 & 0x3f));
        *to++ = (char)(0x80 | (c & 0x3f));
    } else {
        *to++ = (char)(0xf0 | c >> 18);
        *to++ = (char)(0x80 | (c >> 12 & 0x3f));
        *to++ = (char)(0x80 | (c >> 6 & 0x3f));
        *to++ = (char)(0x80 | (c & 0x3f));
    }
    return to;
}

/* One escape that was checked before: reads at *at, moves it on. */
static char *put_escape(char *to, const char **at)
{
    char c = (*at)[1];
    if (c != 'u') {
        *at += 2;
        *to++ = escape_of[(unsigned char)c];
        return to;
    }
    unsigned unit = (unsigned)hex4(*at + 2);
    *at += 6;
    if (unit >= 0xd800 && unit <= 0xdfff) {
        unit = 0x10000 + ((unit - 0xd800) << 10) + ((unsigned)hex4(*at + 2) - 0xdc00);
        *at += 6;
    }
    return put_utf8(to, unit);
}

/* Everything up to the next backslash. The room in `to` is that of the text, so that whole steps
 * may be written as long as whole steps can be read. */
ALWAYS_INLINE char *copy_run(char *to, const char **at, const char *end)
{
    const char *from = *at;
#if JSON_SSE2
    while (end - from >= 16) {
        __m128i v = load16(from);
        unsigned bits = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(v, _mm_set1_epi8('\\')));
        _mm_storeu_si128((__m128i *)(void *)to, v);
        size_t n = bits ? (size_t)__builtin_ctz(bits) : 16;
        to += n, from += n;
        if (bits)
            break;
    }
#endif
    while (from < end && *from != '\\')
        *to++ = *from++;
    *at = from;
    return to;
}

/* The decoded bytes, never longer than the text, behind a note of where the text was. */
static bool decode(struct parser *p, struct json *v, const char *at, const char *end)
{
    char *block = arena_try_alloc(p->arena, sizeof at + (size_t)(end - at));
    if (!block)
        return fail_memory(p);
    memcpy(block, &at, sizeof at);
    char *bytes = block + sizeof at, *to = bytes;
    while (at < end) {
        if (*at == '\\')
            to = put_escape(to, &at);
        else
            to = copy_run(to, &at, end);
    }
    v->flags = JSON_DECODED;
    v->ptr = bytes;
    v->len = (uint32_t)(to - bytes);
    return true;
}

/* A whole string from quote to quote onto the tape; `drop`: only looked at. */
ALWAYS_INLINE const char *take_string(struct parser *p, const char *at, const bool keep,
                                      const bool drop)
{
    bool escaped = false;
    const char *from = at + 1;
    const char *to = scan_string(p, from, &escaped);
    if (UNLIKELY(!to) || UNLIKELY(!make_room(p, at, keep)))
        return NULL;
    if (drop)
        return to + 1;
    struct json *v = &p->tape[p->len++];
    *v = (struct json){.type = JSON_STRING, .len = (uint32_t)(to - from), .ptr = from};
    if (UNLIKELY(escaped) && !decode(p, v, from, to))
        return NULL;
    return to + 1;
}

/* ---- numbers and words ----------------------------------------------------------------------- */
ALWAYS_INLINE const char *scan_digits(struct parser *p, const char *at)
{
    if (at == p->end || !is_digit(*at))
        return fail(p, at, "a digit");
    do {
        at++;
    } while (at < p->end && is_digit(*at));
    return at;
}

ALWAYS_INLINE const char *scan_number(struct parser *p, const char *at)
{
    const char *first = at + (*at == '-');
    at = scan_digits(p, first);
    if (UNLIKELY(!at))
        return NULL;
    if (UNLIKELY(*first == '0' && at != first + 1))
        return fail(p, first + 1, "no digit after a leading 0");
    if (at < p->end && *at == '.' && !(at = scan_digits(p, at + 1)))
        return NULL;
    if (at < p->end && (*at | 0x20) == 'e') {
        at++;
        if (at < p->end && (*at == '+' || *at == '-'))
            at++;
        at = scan_digits(p, at);
    }
    return at;
}

ALWAYS_INLINE bool is_word(const struct parser *p, const char *at, const char *word, size_t n)
{
    return (size_t)(p->end - at) >= n && memcmp(at, word, n) == 0;
}

/* Any value but a container. */
ALWAYS_INLINE const char *take_scalar(struct parser *p, const char *at, const bool keep)
{
    if (UNLIKELY(at == p->end))
        return fail(p, at, "a value");
    count_child(p);
    if (*at == '"')
        return take_string(p, at, keep, !keep);
    struct json v = {.ptr = at};
    const char *to = at;
    if (is_digit(*at) || *at == '-') {
        if (!(to = scan_number(p, at)))
            return NULL;
        v.type = JSON_NUMBER;
        v.len = (uint32_t)(to - at);
    } else if (is_word(p, at, "true", 4)) {
        v.type = JSON_BOOL, v.len = 1, to += 4;
    } else if (is_word(p, at, "false", 5)) {
        v.type = JSON_BOOL, to += 5;
    } else if (is_word(p, at, "null", 4)) {
        v.type = JSON_NULL, to += 4;
    } else {
        return fail(p, at, "a value");
    }
    if (UNLIKELY(!make_room(p, at, keep)))
        return NULL;
    if (keep)
        p->tape[p->len++] = v;
    return to;
}

/* ---- keys ------------------------------------------------------------------------------------ */
/* A key and its colon; stops at the value. */
ALWAYS_INLINE const char *take_key(struct parser *p, const char *at, const bool keep)
{
    if (UNLIKELY(at == p->end || *at != '"'))
        return fail(p, at, "a key in double quotes");
    if (UNLIKELY(!(at = take_string(p, at, keep, false))))
        return NULL;
    at = skip_space(at, p->end);
    if (UNLIKELY(at == p->end || *at != ':'))
        return fail(p, at, "a colon");
    return skip_space(at + 1, p->end);
}

ALWAYS_INLINE bool same_key(const struct json *a, const struct json *b)
{
    return a->len == b->len && memcmp(a->ptr, b->ptr, a->len) == 0;
}

ALWAYS_INLINE uint32_t key_after(const struct parser *p, uint32_t key, const bool keep)
{
    if (!keep)
        return key + 1;
    const struct json *value = &p->tape[key + 1];
    return key + 1 + (value->type >= JSON_ARRAY ? (uint32_t)value->span : 1);
}

/* Few keys: those that share a bit of the filter with an earlier one are compared with all. */
ALWAYS_INLINE bool check_few_keys(struct parser *p, uint32_t object, const bool keep)
{
    uint64_t seen = 0;
    uint32_t n = p->tape[object].len, at = object + 1;
    for (uint32_t i = 0; i < n; i++, at = key_after(p, at, keep)) {
        const struct json *key = &p->tape[at];
        unsigned sum = key->len * 11;
        if (key->len)
            sum += (unsigned char)key->ptr[0] * 3u + (unsigned char)key->ptr[key->len - 1];
        uint64_t bit = (uint64_t)1 << (sum & 63);
        if (seen & bit) {
            for (uint32_t was = object + 1; was != at; was = key_after(p, was, keep)) {
                if (same_key(&p->tape[was], key))
                    return fail_duplicate(p, key);
            }
        }
        seen |= bit;
    }
    return true;
}

/* A table of indices, open addressing, at most half full; the arena has it back afterwards. */
static bool check_many_keys(struct parser *p, uint32_t object, bool keep)
{
    size_t cap = 4 * MANY_KEYS;
    uint32_t n = p->tape[object].len, at = object + 1, i = 0;
    while (cap < (size_t)n * 2)
        cap *= 2;
    struct arena_mark mark = arena_mark(p->arena);
    uint32_t *slots = arena_try_alloc(p->arena, cap * sizeof *slots);
    if (!slots)
        return fail_memory(p);
    memset(slots, 0, cap * sizeof *slots);
    for (; i < n; i++, at = key_after(p, at, keep)) {
        const struct json *key = &p->tape[at];
        size_t slot = (size_t)map_hash((struct slice){key->ptr, key->len}) & (cap - 1);
        while (slots[slot] && !same_key(&p->tape[slots[slot]], key))
            slot = (slot + 1) & (cap - 1);
        if (slots[slot])
            break;
        slots[slot] = at;
    }
    arena_rewind(p->arena, mark);
    return i == n || fail_duplicate(p, &p->tape[at]);
}

/* ---- containers and the loop ----------------------------------------------------------------- */
/* Stops at what follows the bracket. */
ALWAYS_INLINE const char *open_container(struct parser *p, const char *at, const bool keep)
{
    if (UNLIKELY(p->depth == p->max_depth))
        return fail_limit(p, at, "nested too deeply", p->max_depth);
    count_child(p);
    if (UNLIKELY(!make_room(p, at, keep)))
        return NULL;
    p->tape[p->len++] =
        (struct json){.type = *at == '{' ? JSON_OBJECT : JSON_ARRAY, .span = p->open};
    p->open = p->len;
    p->depth++;
    return skip_space(at + 1, p->end);
}

ALWAYS_INLINE bool close_container(struct parser *p, const bool keep)
{
    uint32_t index = p->open - 1;
    struct json *v = &p->tape[index];
    if (v->type == JSON_OBJECT && v->len > 1) {
        if (!(v->len > MANY_KEYS ? check_many_keys(p, index, keep)
                                 : check_few_keys(p, index, keep)))
            return false;
    }
    p->open = (uint32_t)v->span;
    p->depth--;
    v->span = p->len - index;
    if (!keep)
        p->len = index;
    return true;
}

/* Behind a value: closes what closes here and stops at the next value, or behind the root. */
ALWAYS_INLINE const char *take_separators(struct parser *p, const char *at, const bool keep)
{
    while (p->open) {
        bool object = p->tape[p->open - 1].type == JSON_OBJECT;
        at = skip_space(at, p->end);
        char c = at < p->end ? *at : '\0';
        if (c == ',') {
            at = skip_space(at + 1, p->end);
            return object ? take_key(p, at, keep) : at;
        }
        if (UNLIKELY(c != (object ? '}' : ']')))
            return fail(p, at, object ? "a comma or '}'" : "a comma or ']'");
        if (UNLIKELY(!close_container(p, keep)))
            return NULL;
        at++;
    }
    return at;
}

ALWAYS_INLINE bool run(struct parser *p, const bool keep)
{
    const char *at = skip_space(p->text, p->end);
    do {
        if (at < p->end && (*at == '{' || *at == '[')) {
            char closing = (char)(*at + 2);
            if (!(at = open_container(p, at, keep)))
                return false;
            if (at == p->end || *at != closing) {
                if (closing == '}' && !(at = take_key(p, at, keep)))
                    return false;
                continue;
            }
        } else if (!(at = take_scalar(p, at, keep))) {
            return false;
        }
        if (!(at = take_separators(p, at, keep)))
            return false;
    } while (p->open);
    at = skip_space(at, p->end);
    return at == p->end || fail(p, at, "the end of the text") != NULL;
}

static bool begin(struct parser *p, struct slice text, const struct json_limits *limits)
{
    p->text = text.ptr ? text.ptr : "";
    p->end = p->text + text.len;
    p->max_depth = limits && limits->max_depth ? limits->max_depth : JSON_DEPTH_DEFAULT;
    p->max_nodes = limits && limits->max_nodes ? limits->max_nodes : JSON_NODES_DEFAULT;
    must(p->max_depth <= JSON_DEPTH_MAX && p->max_nodes < UINT32_MAX / 2);
    if (text.len < UINT32_MAX)
        return true;
    return err_set(p->e, ERR_BODY_TOO_LARGE, "JSON of 4 GB or more cannot be read");
}

bool json_parse(struct json_doc *doc, struct arena *a, struct slice text,
                const struct json_limits *limits, struct err *e)
{
    struct parser p = {.arena = a, .e = e};
    if (!begin(&p, text, limits))
        return false;
    size_t guess = text.len / BYTES_PER_ENTRY + MIN_TAPE;
    if (!grow(&p, p.text, guess < FIRST_TAPE ? (uint32_t)guess : FIRST_TAPE))
        return false;
    if (!run(&p, true))
        return false;
    arena_shrink(a, p.tape, p.cap * sizeof *p.tape, p.len * sizeof *p.tape);
    *doc = (struct json_doc){p.tape, p.len};
    return true;
}

bool json_validate(struct slice text, const struct json_limits *limits, struct err *e)
{
    struct json tape[CHECK_TAPE];
    struct arena scratch;
    arena_init(&scratch, SIZE_MAX / 4);
    struct parser p = {.arena = &scratch, .e = e, .tape = tape, .cap = CHECK_TAPE};
    bool ok = begin(&p, text, limits) && run(&p, false);
    arena_done(&scratch);
    return ok;
}
