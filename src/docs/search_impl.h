/* Full-text search of a collection: what of a document is searched, how the index of it is kept,
 * made and asked.
 *
 *   search        the fields of a collection that are searched, and the statements for them
 *   search_state  what the database says about its index, a row of dais_meta: the truth for all who
 *                 write, whichever manifest they have read
 *   search_notes  what a writing changes in the index, noted while it is applied
 *
 * SQLite: f_NAME, FTS5 without content, a column w1, w2… for each field, its rowid the document's
 * n. What is taken out of it must be told exactly as it was put in, so who changes a document reads
 * the state in the same transaction and goes by the fields that it names. While the index is built,
 * by n, documents behind its position are left to the builder.
 *
 * Postgres: the columns words (weighted by field) and words_at (the version that they are of, times
 * SEARCH_NUMBERS, and the number of the index) in the document's row, written with it. Rows written
 * by somebody with another manifest have another words_at, by which they are found.
 *
 * A search is answered when the index is ready, has our fields, and was cut by our WORDS_VERSION;
 * else 503 until it was built. */
#pragma once
#include "docs/list_impl.h"

#define SEARCH_FIELDS  16
#define SEARCH_NUMBERS 1000
#define SEARCH_HITS    1000 /* by rank, that one can page through; a sort has no such end */

/* ---- search_fields.c: what of a document is searched ------------------------------------------
 */

struct search {
    const struct doc_coll *coll;
    struct slice spec; /* "title,notes.text" */
    struct {
        struct slice *steps;
        size_t n_steps;
    } fields[SEARCH_FIELDS];
    size_t n;
    _Atomic unsigned number;               /* of the index, once the tables are open */
    struct slice sql_n, sql_add, sql_take; /* SQLite */
    _Atomic bool is_due;                   /* the index is not whole, as far as we know */
    char position[DOC_ID_MAX + 1];         /* Postgres: looked at up to this id; who tends' own */
};

/* Of the manifest; coll->search stays NULL without fields. False: `e` says what is wrong with
 * *ret_text, one of the fields. */
bool search_compile(struct doc_coll *c, struct arena *a, const struct text **ret_text,
                    struct err *e);
/* Of a state's spec. */
struct search *search_of_spec(const struct doc_coll *c, struct arena *a, struct slice spec);
/* The words of the field's strings, those in lists too, as FTS5 is given them; in the arena. False
 * (ERR_OVER_BUDGET): there is no room. */
bool search_words(const struct search *s, size_t field, const struct json *doc, struct arena *a,
                  struct slice *ret, struct err *e);
/* Of all fields, as a tsvector. */
struct slice search_vector(const struct search *s, const struct json *doc, struct arena *a);

/* ---- search_state.c ---------------------------------------------------------------------------
 */

/*        state             in the row */
#define SEARCH_STATE_MAP(X)        \
    X(SEARCH_NONE, "none")         \
    X(SEARCH_BUILDING, "building") \
    X(SEARCH_READY, "ready")       \
    X(SEARCH_CHECKING, "checking") \
    X(SEARCH_STALE, "stale")
enum search_is {
#define X(id, name) id,
    SEARCH_STATE_MAP(X)
#undef X
        SEARCH_STATES
};
/* NONE: there is no index. CHECKING (Postgres): ready, but rows of an older manifest may have come
 * since. STALE: somebody changed documents who cuts words otherwise. */
struct search_state {
    enum search_is is;
    unsigned version, number;
    struct slice position; /* BUILDING: all up to this n are in the index */
    struct slice spec;
};
/* In the arena. */
bool search_state_read(struct db_conn *c, const struct doc_coll *coll, struct arena *a,
                       struct search_state *ret, struct err *e);
bool search_state_write(struct db_conn *c, const struct doc_coll *coll,
                        const struct search_state *s, struct err *e);
/* May searches be answered from it? */
bool search_state_serves(const struct search_state *state, const struct search *s);

/* ---- search_put.c: keeping the index -----------------------------------------------------------
 */

/* At the beginning of apply; what an earlier run noted did not happen. */
void search_begin(struct docs_writing *w);
/* In apply, for each change of a row, while the row is there: after it was added, before it is
 * removed. `before` NULL: search did not find it (new, or in the trash); `after` NULL: search must
 * not find it. Only SQLite needs it; of collections whose database has an index. */
bool search_put(struct docs_writing *w, const struct doc_coll *coll, struct db_conn *c,
                struct slice id, const struct json *before, const struct json *after,
                struct err *e);
/* The same before a row goes that was not read: to the trash or for good. */
bool search_take(struct docs_writing *w, const struct doc_coll *coll, struct db_conn *c,
                 struct slice id, struct err *e);
/* In finish: brings what was noted to the index. */
bool search_finish(struct docs_writing *w, struct db_conn *c, struct err *e);

/* Postgres: the columns and marks of statements that write a whole row, and their values; nothing
 * on SQLite and without search. search_bind() returns where the next value goes. */
void search_add_columns(const struct doc_coll *c, bool is_sqlite, struct buf *names,
                        struct buf *marks, struct buf *sets);
const char *search_sets(const struct doc_coll *c, bool is_sqlite); /* for an UPDATE alone */
struct slice search_row_words(const struct doc_coll *c, const struct json *doc, struct arena *a);
int search_bind(const struct doc_coll *c, struct db_stmt *s, int at, struct slice row_words,
                int64_t version);

/* ---- search_build.c: making the index ----------------------------------------------------------
 */

/* With the tables: what the manifest says is there, to be built if need be. */
bool search_make(struct doc_coll *c, struct db_conn *conn, bool is_sqlite, struct arena *a,
                 struct err *e);
/* Part of docs_tend(): puts some more documents into an index that is not whole, while others read
 * and write. *ret_some: there was something to do. */
bool search_build(struct docs *d, struct doc_coll *c, bool *ret_some, struct err *e);
/* A search found that the index is not to be used: it is looked at again soon. */
void search_is_wanted(struct docs *d, struct search *s);

/* ---- search.c: what is found ------------------------------------------------------------------
 */

/* What a search is to the database: MATCH of FTS5, or a tsquery. */
struct search_asked {
    struct slice match;
};
/* ERR_MALFORMED: no search here, or not for this text. ERR_UNAVAILABLE: the index is being built.
 */
bool search_read(struct search_asked *to, const struct docs_reading *r, const struct doc_coll *c,
                 const struct docs_query *q, struct err *e);
/* Found documents only, in whatever order the plan has. */
void search_condition(const struct search_asked *s, struct plan *p);

/* Those of a plan, the best first; newer ones first where they are as good. */
struct search_walk {
    const struct plan *plan;
    const struct search_asked *asked;
    struct db_stmt *stmt;
    struct arena docs; /* of one group */
    struct slice ids[8], texts[8], bodies[8];
    size_t n, at, n_looked_at;
    bool is_at_end;
    uint32_t skip;     /* hits to pass over yet */
    uint32_t position; /* hits up to the present one, which is `text` as it is sent */
    struct slice text;
};
void search_walk_init(struct search_walk *w, const struct plan *p, const struct search_asked *s,
                      uint32_t from);
/* DB_END after SEARCH_HITS, too. */
enum db_step search_walk_next(struct search_walk *w, struct err *e);
void search_walk_done(struct search_walk *w);

/* A position as the id of a place, for cursors. */
struct slice search_place(uint32_t position, struct arena *a);
uint32_t search_position(struct slice place);
