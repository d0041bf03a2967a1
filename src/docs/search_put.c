/* Keeping the index of words true: changes are noted as they are applied, and brought to SQLite's
 * index at the end of the transaction, in the order in which they were made.
 *
 * The order is what makes "as it was put in" hold: the notes of a document follow each other, also
 * from one writing of the transaction to the next, and a number that was freed is given again only
 * after the note that took it out. */
#include "base/words.h"
#include "docs/search_impl.h"

#include <stdlib.h>
#include <string.h>

#define NOTES_BYTES   (1u << 30)   /* of the words of all that one writing changes */
#define NOTES_RESERVE (1u << 20)   /* for what is small */
#define TAKE_ARENA    (320u << 20) /* a parsed document takes some times its text */

struct known { /* a collection of this writing */
    struct known *next;
    const struct doc_coll *coll;
    struct search_state state;
    const struct search *search; /* with the fields of the state; NULL: nothing to keep */
    bool is_over;                /* the index was made anew since: see search_finish() */
};
struct note {
    struct note *next;
    const struct known *known;
    const struct search *search;
    int64_t n;
    const struct slice *before, *after; /* the words of each field; NULL: not there */
};
struct search_notes {
    struct arena arena; /* its own: a writing's is rewound in between */
    struct known *known;
    struct note *first, *last;
};

static void free_notes(void *arg)
{
    struct search_notes *notes = arg;
    arena_done(&notes->arena);
    free(notes);
}

void search_begin(struct docs_writing *w)
{
    if (!w->search) {
        w->search = mem_new(struct search_notes);
        arena_init(&w->search->arena, NOTES_BYTES + NOTES_RESERVE);
        arena_defer(w->arena, free_notes, w->search);
    }
    arena_reset(&w->search->arena);
    w->search->known = NULL;
    w->search->first = w->search->last = NULL;
}

/* ---- noting ---------------------------------------------------------------------------------- */

/* The index has words that we cannot take out of it. */
static bool give_up(struct db_conn *c, const struct doc_coll *coll, struct search_state *state,
                    struct err *e)
{
    state->is = SEARCH_STALE;
    return search_state_write(c, coll, state, e);
}

static bool look(struct docs_writing *w, struct known *k, struct db_conn *c, struct err *e)
{
    const struct doc_coll *coll = k->coll;
    if (!search_state_read(c, coll, &w->search->arena, &k->state, e))
        return false;
    if (k->state.is == SEARCH_NONE || k->state.is == SEARCH_STALE)
        return true;
    if (k->state.version != WORDS_VERSION)
        return give_up(c, coll, &k->state, e);
    bool is_ours = coll->search && slice_eq(coll->search->spec, k->state.spec);
    k->search = is_ours ? coll->search : search_of_spec(coll, &w->search->arena, k->state.spec);
    return true;
}

static struct known *known_of(struct docs_writing *w, const struct doc_coll *coll,
                              struct db_conn *c, struct err *e)
{
    must(w->search);
    for (struct known *k = w->search->known; k; k = k->next) {
        if (k->coll == coll)
            return k;
    }
    struct known *k = arena_new(&w->search->arena, struct known);
    k->coll = coll;
    k->next = w->search->known;
    if (!look(w, k, c, e))
        return NULL;
    w->search->known = k;
    return k;
}

/* NULL in *ret: no document, no words. A batch or a cascade may have any number of long texts,
 * which is refused and never ends the process. */
static bool all_words(const struct search *s, const struct json *doc, struct arena *a,
                      const struct slice **ret, struct err *e)
{
    struct slice words[SEARCH_FIELDS];
    bool fine = true;
    *ret = NULL;
    a->cap_bytes = NOTES_BYTES;
    for (size_t i = 0; fine && doc && i < s->n; i++)
        fine = search_words(s, i, doc, a, &words[i], e);
    a->cap_bytes = NOTES_BYTES + NOTES_RESERVE;
    if (!fine)
        return false;
    if (doc)
        *ret = memcpy(arena_alloc(a, s->n * sizeof *words), words, s->n * sizeof *words);
    return true;
}

static bool is_same(const struct note *note)
{
    if (!note->before || !note->after)
        return note->before == note->after;
    for (size_t i = 0; i < note->search->n; i++) {
        if (!slice_eq(note->before[i], note->after[i]))
            return false;
    }
    return true;
}

static bool find_n(const struct search *s, struct db_conn *c, struct slice id, int64_t *ret,
                   struct err *e)
{
    struct db_stmt *stmt = db_prepare_text(c, s->sql_n, e);
    if (!stmt)
        return false;
    db_bind_text(stmt, 1, id);
    enum db_step step = db_step(stmt, e);
    must(step != DB_END); /* called while the row is there */
    *ret = step == DB_ROW ? db_i64(stmt, 0) : 0;
    db_reset(stmt);
    return step == DB_ROW;
}

static bool is_left_to_builder(const struct search_state *state, int64_t n)
{
    uint64_t position = 0;
    return state->is == SEARCH_BUILDING && slice_to_u64(state->position, &position) &&
           n > (int64_t)position;
}

static void keep(struct search_notes *notes, struct note *new)
{
    if (notes->last)
        notes->last->next = new;
    else
        notes->first = new;
    notes->last = new;
}

bool search_put(struct docs_writing *w, const struct doc_coll *coll, struct db_conn *c,
                struct slice id, const struct json *before, const struct json *after, struct err *e)
{
    if (!db_is_sqlite(docs_db(coll->docs)))
        return true;
    struct known *k = known_of(w, coll, c, e);
    if (!k || !k->search)
        return k != NULL;
    struct arena *a = &w->search->arena;
    struct arena_mark mark = arena_mark(a);
    struct note *new = arena_new(a, struct note);
    new->known = k;
    new->search = k->search;
    if (!all_words(k->search, before, a, &new->before, e) ||
        !all_words(k->search, after, a, &new->after, e))
        return false;
    bool is_noted = !is_same(new);
    if (is_noted && !find_n(k->search, c, id, &new->n, e))
        return false;
    if (is_noted && !is_left_to_builder(&k->state, new->n))
        keep(w->search, new);
    else
        arena_rewind(a, mark);
    return true;
}

bool search_take(struct docs_writing *w, const struct doc_coll *coll, struct db_conn *c,
                 struct slice id, struct err *e)
{
    struct arena a;
    struct doc_row row;
    const struct json *doc = NULL;
    if (!db_is_sqlite(docs_db(coll->docs)))
        return true;
    struct known *k = known_of(w, coll, c, e);
    if (!k || !k->search)
        return k != NULL;
    arena_init(&a, TAKE_ARENA);
    enum db_step step = doc_row_find(c, coll, id, false, &a, &row, e);
    bool is_there = step == DB_ROW && !row.deleted.len;
    bool fine = step != DB_FAILED && (!is_there || (doc = doc_row_json(&row, &a, e))) &&
                (!is_there || search_put(w, coll, c, id, doc, NULL, e));
    arena_done(&a);
    return fine;
}

/* ---- bringing it to the index ---------------------------------------------------------------- */

static bool run_words(struct db_conn *c, struct slice sql, const struct note *note,
                      const struct slice *words, struct err *e)
{
    struct db_stmt *s = db_prepare_text(c, sql, e);
    if (!s)
        return false;
    db_bind_i64(s, 1, note->n);
    for (size_t i = 0; i < note->search->n; i++)
        db_bind_text(s, 2 + (int)i, words[i]);
    return db_run(s, NULL, e);
}

/* Another write of the same transaction may have made the index anew, of all rows there are. */
static bool look_again(struct search_notes *notes, struct db_conn *c, struct err *e)
{
    for (struct known *k = notes->first ? notes->known : NULL; k; k = k->next) {
        struct search_state now;
        if (!search_state_read(c, k->coll, &notes->arena, &now, e))
            return false;
        k->is_over = now.is == SEARCH_NONE || now.number != k->state.number;
    }
    return true;
}

bool search_finish(struct docs_writing *w, struct db_conn *c, struct err *e)
{
    if (w->search && !look_again(w->search, c, e))
        return false;
    for (const struct note *n = w->search ? w->search->first : NULL; n; n = n->next) {
        if (n->known->is_over)
            continue;
        if (n->before && !run_words(c, n->search->sql_take, n, n->before, e))
            return false;
        if (n->after && !run_words(c, n->search->sql_add, n, n->after, e))
            return false;
    }
    return true;
}

/* ---- Postgres: with the row ------------------------------------------------------------------ */

const char *search_sets(const struct doc_coll *c, bool is_sqlite)
{
    return is_sqlite || !c->search ? "" : ", words = ?::tsvector, words_at = ?";
}

void search_add_columns(const struct doc_coll *c, bool is_sqlite, struct buf *names,
                        struct buf *marks, struct buf *sets)
{
    if (is_sqlite || !c->search)
        return;
    buf_add_str(names, ", words, words_at");
    buf_add_str(marks, ", ?::tsvector, ?");
    buf_add_str(sets, search_sets(c, is_sqlite));
}

/* Without a database, as when `dais check` plans seeds, there are no rows. */
static bool is_in_rows(const struct doc_coll *c)
{
    const struct db *db = docs_db(c->docs);
    return c->search && db && !db_is_sqlite(db);
}

struct slice search_row_words(const struct doc_coll *c, const struct json *doc, struct arena *a)
{
    return is_in_rows(c) ? search_vector(c->search, doc, a) : SLICE("");
}

int search_bind(const struct doc_coll *c, struct db_stmt *s, int at, struct slice row_words,
                int64_t version)
{
    if (!is_in_rows(c))
        return at;
    db_bind_text(s, at++, row_words);
    db_bind_i64(s, at++, version * SEARCH_NUMBERS + atomic_load(&c->search->number));
    return at;
}
