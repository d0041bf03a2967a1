/* What a database says about a collection's index of words: "1 3 building 1200 title,notes". */
#include "docs/search_impl.h"

#include "base/words.h"

static const char *const names[] = {
#define X(id, name) [id] = name,
    SEARCH_STATE_MAP(X)
#undef X
};

static const struct sql read_state = {"SELECT value FROM dais_meta WHERE name = ?", NULL};
static const struct sql write_state = {"INSERT INTO dais_meta (name, value) VALUES (?, ?)"
                                       " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                                       NULL};

static struct slice row_name(const struct doc_coll *coll, struct arena *a)
{
    return arena_printf(a, "search:%.*s", SLICE_ARGS(coll->name));
}

/* What nobody can read is as if built by somebody else: it is built anew. */
static void parse(struct slice text, struct search_state *ret)
{
    struct slice version, number, is;
    uint64_t v = 0, n = 0;
    slice_cut(&text, ' ', &version);
    slice_cut(&text, ' ', &number);
    slice_cut(&text, ' ', &is);
    slice_cut(&text, ' ', &ret->position);
    ret->spec = text;
    ret->is = SEARCH_STALE;
    if (!slice_to_u64(version, &v) || !slice_to_u64(number, &n) || n >= SEARCH_NUMBERS)
        return;
    ret->version = (unsigned)v;
    ret->number = (unsigned)n;
    for (int i = 0; i < SEARCH_STATES; i++) {
        if (slice_is(is, names[i]))
            ret->is = (enum search_is)i;
    }
}

bool search_state_read(struct db_conn *c, const struct doc_coll *coll, struct arena *a,
                       struct search_state *ret, struct err *e)
{
    struct db_stmt *s = db_prepare(c, &read_state, e);
    *ret = (struct search_state){.is = SEARCH_NONE};
    if (!s)
        return false;
    db_bind_text(s, 1, row_name(coll, a));
    enum db_step step = db_step(s, e);
    if (step == DB_ROW)
        parse(arena_dup(a, db_text(s, 0)), ret);
    db_reset(s);
    return step != DB_FAILED;
}

bool search_state_write(struct db_conn *c, const struct doc_coll *coll,
                        const struct search_state *s, struct err *e)
{
    struct arena a;
    struct db_stmt *stmt = db_prepare(c, &write_state, e);
    if (!stmt)
        return false;
    arena_init(&a, 1u << 20);
    db_bind_text(stmt, 1, row_name(coll, &a));
    db_bind_text(stmt, 2,
                 arena_printf(&a, "%u %u %s %.*s %.*s", s->version, s->number, names[s->is],
                              SLICE_ARGS(s->position.len ? s->position : SLICE("0")),
                              SLICE_ARGS(s->spec)));
    bool fine = db_run(stmt, NULL, e);
    arena_done(&a);
    return fine;
}

bool search_state_serves(const struct search_state *state, const struct search *s)
{
    return (state->is == SEARCH_READY || state->is == SEARCH_CHECKING) &&
           state->version == WORDS_VERSION && state->number == atomic_load(&s->number) &&
           slice_eq(state->spec, s->spec);
}
