/* Backups that no rule needs go, and then the contents that no other one names. */
#include "keep/keep_impl.h"

#include "base/clock.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ARENA (256u << 20) /* for as many entries as a folder may have */

/* Hashes that somebody names: those of earlier entries are in order, to be found among. */
struct needs {
    unsigned char (*items)[SHA256_LEN];
    size_t n, cap, sorted;
    const struct keep_hearer *to;
};

/* ---- what is needed -------------------------------------------------------------------------- */

static unsigned digit(char c)
{
    return (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
}

static void bytes_of(struct slice hash, unsigned char to[SHA256_LEN])
{
    for (size_t i = 0; i < SHA256_LEN; i++)
        to[i] = (unsigned char)(digit(hash.ptr[2 * i]) << 4 | digit(hash.ptr[2 * i + 1]));
}

static int by_bytes(const void *a, const void *b)
{
    return memcmp(a, b, SHA256_LEN);
}

static bool is_needed(void *user, struct slice hash)
{
    const struct needs *needs = user;
    unsigned char bytes[SHA256_LEN];
    bytes_of(hash, bytes);
    return needs->sorted &&
           bsearch(bytes, needs->items, needs->sorted, sizeof *needs->items, by_bytes) != NULL;
}

static bool add_need(void *user, struct slice hash, struct slice key, uint64_t size, struct err *e)
{
    struct needs *needs = user;
    (void)key;
    (void)size;
    if (is_needed(needs, hash))
        return true;
    if (needs->n == needs->cap) {
        needs->cap = needs->cap ? 2 * needs->cap : 1024;
        needs->items = mem_realloc(needs->items, needs->cap * sizeof *needs->items);
    }
    bytes_of(hash, needs->items[needs->n++]);
    return needs->n % 1024 || keep_goes_on(needs->to, e);
}

static bool add_needs_of(struct keep *k, const char *name, struct needs *needs, struct err *e)
{
    int fd = keep_open_rows(k, name, false, e);
    if (fd < 0)
        return false;
    bool fine = keep_each_content(fd, add_need, needs, e);
    close(fd);
    if (needs->n)
        qsort(needs->items, needs->n, sizeof *needs->items, by_bytes);
    needs->sorted = needs->n;
    return fine;
}

/* *ret_knows false: not everything that is needed is known, as some entry cannot be read. */
static bool find_needs(struct keep *k, const struct keep_entry *entries, size_t n, const bool *drop,
                       struct needs *needs, bool *ret_knows, struct err *e)
{
    *ret_knows = true;
    for (size_t i = 0; i < n && *ret_knows; i++) {
        struct err why = {0};
        if (drop[i])
            continue;
        if (!keep_goes_on(needs->to, e))
            return false;
        if (!entries[i].why_damaged[0] && add_needs_of(k, entries[i].name, needs, &why))
            continue;
        *ret_knows = false;
        if (why.code && why.code != ERR_DAMAGED && why.code != ERR_NOT_FOUND) {
            *e = why;
            return false;
        }
    }
    return true;
}

/* ---- removing -------------------------------------------------------------------------------- */

static bool drop_entries(struct keep *k, const struct keep_entry *entries, size_t n,
                         const bool *drop, const struct keep_hearer *to, uint64_t *ret_n,
                         struct err *e)
{
    for (size_t i = n; i-- > 0;) { /* the oldest first */
        if (!drop[i])
            continue;
        if (!keep_goes_on(to, e) || !keep_drop(k, entries[i].name, e))
            return false;
        ++*ret_n;
    }
    return true;
}

static bool prune(struct keep *k, const struct keep_rule *rule, struct needs *needs,
                  struct arena *a, uint64_t *ret_n, struct err *e)
{
    struct keep_entry *entries;
    size_t n;
    bool knows;
    if (!keep_list(k, a, &entries, &n, e))
        return false;
    bool *drop = arena_alloc(a, n + 1);
    keep_choose(entries, n, rule, clock_wall_ms(), drop);
    return drop_entries(k, entries, n, drop, needs->to, ret_n, e) &&
           find_needs(k, entries, n, drop, needs, &knows, e) &&
           (!knows || contents_sweep(k, is_needed, needs, e));
}

bool keep_prune(struct keep *k, const struct keep_rule *rule, const struct keep_hearer *to,
                uint64_t *ret_n, struct err *e)
{
    struct arena a;
    struct needs needs = {.to = to};
    *ret_n = 0;
    must(k->lock_fd >= 0);
    keep_tidy(k);
    arena_init(&a, ARENA);
    bool fine = prune(k, rule, &needs, &a, ret_n, e);
    arena_done(&a);
    free(needs.items);
    return fine;
}
