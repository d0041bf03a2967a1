/* What several rows_*.c need: texts made to fit a place, and what the app allows at most. */
#include "render/rows_impl.h"

/* ---- texts --------------------------------------------------------------------------------------
 */

bool text_is_one_of(struct slice s, const char *const *texts)
{
    while (*texts && !slice_is(s, *texts))
        texts++;
    return *texts != NULL;
}

struct slice text_first(struct slice s, size_t max)
{
    if (s.len <= max)
        return s;
    while (max && ((unsigned char)s.ptr[max] & 0xc0) == 0x80)
        max--;
    return slice_first(s, max);
}

struct slice text_lower(struct arena *a, struct slice s)
{
    char *to = arena_zalloc(a, s.len + 1);
    for (size_t i = 0; i < s.len; i++)
        to[i] = s.ptr[i] >= 'A' && s.ptr[i] <= 'Z' ? (char)(s.ptr[i] + 'a' - 'A') : s.ptr[i];
    return (struct slice){to, s.len};
}

struct slice text_underscored(struct arena *a, struct slice s)
{
    char *to = arena_zalloc(a, s.len + 1);
    for (size_t i = 0; i < s.len; i++)
        to[i] = s.ptr[i] == '-' ? '_' : s.ptr[i];
    return (struct slice){to, s.len};
}

struct slice text_digest(struct arena *a, struct slice s, size_t max)
{
    char hex[SHA256_HEX_LEN + 1];
    struct sha256 h;
    sha256_init(&h);
    sha256_add(&h, s);
    sha256_end_hex(&h, hex);
    return arena_dup(a, slice_first((struct slice){hex, SHA256_HEX_LEN}, max));
}

/* ---- what the app allows ------------------------------------------------------------------------
 */

int64_t longest_answer_ms(const struct backend_conf *b)
{
    int64_t most = b->pos.line ? b->timeout_ms : 0;
    for (size_t i = 0; i < b->bounds.n; i++)
        most = b->bounds.items[i].timeout_ms > most ? b->bounds.items[i].timeout_ms : most;
    return most;
}

int64_t largest_request_bytes(const struct backend_conf *b)
{
    int64_t most = b->pos.line ? b->max_body_bytes : 0;
    for (size_t i = 0; i < b->bounds.n; i++)
        most = b->bounds.items[i].max_body_bytes > most ? b->bounds.items[i].max_body_bytes : most;
    return most;
}
