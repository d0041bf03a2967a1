/* How a framework that is less strict than dais may read a path.
 *
 * Behind dais a path is read once more. Some programs fold case, drop what follows a `;`, decode
 * escapes again, take a backslash for a slash, or drop dots and spaces that end a name; some do so
 * before they resolve "..". A rule has to hold for what they see, too. */
#include "wire/wire.h"

#include <string.h>

#define DECODE_ROUNDS 4

static int hex(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Of text in small letters. What is no escape stays; a NUL ends the path, as it does in C. */
static size_t decode_once(char *p, size_t n)
{
    size_t out = 0;
    for (size_t i = 0; i < n; i++) {
        int high = p[i] == '%' && i + 2 < n ? hex(p[i + 1]) : -1;
        int low = high >= 0 ? hex(p[i + 2]) : -1;
        char c = low >= 0 ? (char)(high * 16 + low) : p[i];
        if (!c)
            break;
        p[out++] = c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
        i += low >= 0 ? 2 : 0;
    }
    return out;
}

static size_t without_params(char *p, size_t n)
{
    size_t out = 0;
    bool is_param = false;
    for (size_t i = 0; i < n; i++) {
        is_param = p[i] != '/' && (is_param || p[i] == ';');
        if (!is_param)
            p[out++] = p[i];
    }
    return out;
}

/* Without the dots and spaces at its end, unless it is "." or "..". */
static struct slice without_tail(struct slice segment)
{
    while (segment.len && segment.ptr[segment.len - 1] == ' ')
        segment.len--;
    if (slice_is(segment, ".") || slice_is(segment, ".."))
        return segment;
    while (segment.len && strchr(" .", segment.ptr[segment.len - 1]))
        segment.len--;
    return segment;
}

/* Resolves in place: what is written never overtakes what is read. */
static size_t resolve(char *p, size_t n)
{
    struct slice rest = slice_skip((struct slice){p, n}, 1), segment;
    size_t out = 0;
    bool is_folder = n && p[n - 1] == '/';
    while (slice_cut(&rest, '/', &segment)) {
        segment = without_tail(segment);
        bool is_up = slice_is(segment, ".."), is_here = !segment.len || slice_is(segment, ".");
        is_folder |= !rest.len && (is_up || is_here);
        while (is_up && out && p[--out] != '/')
            continue;
        if (is_up || is_here)
            continue;
        memmove(p + out + 1, segment.ptr, segment.len);
        p[out] = '/';
        out += segment.len + 1;
    }
    if (is_folder || !out)
        p[out++] = '/';
    return out;
}

struct slice path_lax(struct slice path, unsigned how, struct arena *a)
{
    char *p = arena_alloc(a, path.len + 1);
    size_t n = path.len;
    for (size_t i = 0; i < n; i++)
        p[i] = path.ptr[i] >= 'A' && path.ptr[i] <= 'Z' ? (char)(path.ptr[i] | 0x20) : path.ptr[i];
    for (int round = 0; how & PATH_DECODE && round < DECODE_ROUNDS; round++)
        n = decode_once(p, n);
    for (size_t i = 0; i < n; i++)
        p[i] = p[i] == '\\' ? '/' : p[i];
    if (how & PATH_PARAMS)
        n = without_params(p, n);
    return (struct slice){p, resolve(p, n)};
}

unsigned path_ways(struct slice path)
{
    bool is_lax = slice_index(path, ';') >= 0 || slice_index(path, '%') >= 0;
    return is_lax ? (PATH_PARAMS | PATH_DECODE) + 1 : 1;
}

bool path_is_below(struct slice path, struct slice prefix)
{
    if (!prefix.len)
        return false;
    bool is_folder = prefix.ptr[prefix.len - 1] == '/';
    if (is_folder && path.len == prefix.len - 1) /* "/api" and "/api/" are one to many */
        return slice_starts(prefix, path);
    return slice_starts(path, prefix) &&
           (is_folder || path.len == prefix.len || path.ptr[prefix.len] == '/');
}
