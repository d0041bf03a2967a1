/* What is to be done on an app's tables while it serves, one bit at a time. */
#include "docs/search_impl.h"
#include "docs/tables_impl.h"

#include "journal/journal.h"

#define RETRY_MS 5000
#define PRUNE_MS (24 * 3600 * 1000)
#define ONCE_MS  (PRUNE_MS / 24)
#define ONCE_MAX 100 /* answers that are forgotten at once: each may be large */

enum tended { TENDED_NOTHING, TENDED_SOME, TENDED_BADLY };

static bool can_be_built(const struct doc_index *index)
{
    for (size_t i = 0; i < index->n_terms; i++) {
        if (!atomic_load(&index->terms[i].field->is_ready))
            return false;
    }
    return !atomic_load(&index->is_ready) &&
           (!atomic_load(&index->is_violated) || atomic_load(&index->wants_try));
}

static enum tended tend_rows(struct docs *d, struct doc_coll *c, struct err *e)
{
    bool is_done;
    if (!atomic_load(&c->is_filling))
        return TENDED_NOTHING;
    return fill_some(d, c, &is_done, e) ? TENDED_SOME : TENDED_BADLY;
}

static enum tended tend_indexes(struct docs *d, struct doc_coll *c, struct err *e)
{
    for (size_t i = 0; i < c->n_indexes; i++) {
        if (can_be_built(&c->indexes[i]))
            return index_build(d, c, &c->indexes[i], e) ? TENDED_SOME : TENDED_BADLY;
    }
    return TENDED_NOTHING;
}

static void try_violated_again(struct doc_coll *c)
{
    for (size_t i = 0; i < c->n_indexes; i++)
        atomic_store(&c->indexes[i].wants_try, atomic_load(&c->indexes[i].is_violated));
}

/* Once after each opening, then daily. */
static enum tended tend_trash(struct docs *d, struct doc_coll *c, struct err *e)
{
    int64_t now = clock_mono_ms(), last = atomic_load(&c->pruned_ms);
    bool is_done;
    if (last && now - last < PRUNE_MS)
        return TENDED_NOTHING;
    if (!prune_some(d, c, clock_wall_ms(), &is_done, e))
        return TENDED_BADLY;
    if (is_done) {
        if (last)
            try_violated_again(c);
        atomic_store(&c->pruned_ms, now);
    }
    return TENDED_SOME;
}

static enum tended tend_search(struct docs *d, struct doc_coll *c, struct err *e)
{
    bool some;
    if (!search_build(d, c, &some, e))
        return TENDED_BADLY;
    return some ? TENDED_SOME : TENDED_NOTHING;
}

static bool run_once_prune(void *arg, struct db_conn *c, struct err *e)
{
    return once_prune(c, clock_wall_ms(), ONCE_MAX, arg, e);
}

/* Answers to requests that may have come twice; once after each opening, then hourly. */
static enum tended tend_answers(struct docs *d, struct err *e)
{
    int64_t now = clock_mono_ms(), last = atomic_load(&d->forgot_ms), n = 0;
    if (last && now - last < ONCE_MS)
        return TENDED_NOTHING;
    if (!db_write_now(docs_db(d), run_once_prune, &n, e))
        return TENDED_BADLY;
    if (n < ONCE_MAX)
        atomic_store(&d->forgot_ms, now);
    return TENDED_SOME;
}

bool docs_tend(struct docs *d)
{
    static enum tended (*const bits[])(struct docs *, struct doc_coll *, struct err *) = {
        tend_rows, tend_indexes, tend_search, tend_trash};
    enum tended how = TENDED_NOTHING;
    struct err e;
    for (size_t i = 0; how == TENDED_NOTHING && i < d->n_colls; i++) {
        for (size_t n = 0; how == TENDED_NOTHING && n < sizeof bits / sizeof *bits; n++)
            how = bits[n](d, &d->colls[i], &e);
    }
    if (how == TENDED_NOTHING)
        how = tend_answers(d, &e);
    if (how == TENDED_BADLY)
        log_line(LOG_WARN, "the tables could not be worked on; it is tried again",
                 F_STR("app", d->manifest->slug.s), F_CSTR("reason", e.msg));
    atomic_store(&d->tend_ms, clock_mono_ms() + (how == TENDED_BADLY     ? RETRY_MS
                                                 : how == TENDED_NOTHING ? PRUNE_MS / 24
                                                                         : 0));
    return how == TENDED_SOME;
}

bool docs_wants_tending(const struct docs *d, int64_t now_ms)
{
    int64_t at = atomic_load(&d->tend_ms);
    return at && at <= now_ms;
}
