/* The inside of reading many documents: a plan says what goes to the database and what is left to
 * do here, a walk goes through the rows that the database gives, in an order that a cursor can
 * continue.
 *
 *   condition  part of a WHERE and its values
 *   order      the terms of a sort; the id is always the last
 *   place      where in an order a row is: the keys of its terms, and its id
 *   plan       who may see which rows, what is asked for of them
 *   walk       the rows of a plan, one after the other
 *
 * A filter and the read rule are one AND. Its parts that test nothing but columns go to the
 * database; the rest is query_matches() on the rows it gives, so both must mean the same. */
#pragma once
#include "docs/docs_impl.h"

#define SORT_TERMS     8
#define PATHS_MAX      64           /* names in `fields` */
#define EXPAND_MAX     8            /* names in `expand` */
#define GROUP_MAX      8            /* names in `group` */
#define LIST_BYTES     (16u << 20)  /* of an answer; a page ends early beyond it */
#define LIST_BUF       (64u << 20)  /* with documents that others refer to */
#define LIST_LOOP_MAX  100          /* items that a loop may read */
#define LIST_LOOP_KB   256          /* and of what size together */
#define DOC_ARENA      (256u << 20) /* a parsed document takes some times its text */
#define CONDITION_SIZE (64u << 10)

/* ---- condition.c: tests on columns ----------------------------------------------------------- */

struct bound {
    enum { BOUND_TEXT, BOUND_BLOB, BOUND_I64 } kind;
    struct slice bytes;
    int64_t n;
};
/* What the tests that an index can serve are about; the planner of the database knows the rest. */
#define FACTS_MAX 16
struct facts {
    const struct doc_field *equal[FACTS_MAX]; /* is one value */
    size_t n_equal;
    const struct doc_field *range; /* lies between values */
    bool has_others;
};
struct condition {
    struct arena *a;
    struct buf *text; /* " AND k1 = ? AND …" */
    struct bound *values;
    size_t n, cap;
    struct facts facts;
};
void condition_init(struct condition *c, struct arena *a); /* freed with the arena */
void condition_bind(struct condition *c, struct bound value);
/* Adds what the database can decide of the bound query; the rest, QUERY_TRUE when nothing is left,
 * is to be asked of every row. */
const struct query *condition_add(struct condition *c, const struct doc_coll *coll,
                                  const struct query *q);
/* Binds all of them, from `at` on; returns where the next one goes. */
int condition_bind_all(const struct condition *c, struct db_stmt *s, int at);
void bind_value(struct db_stmt *s, int at, const struct bound *v);
/* Has every row this field in a column of its own? */
bool doc_field_has_column(const struct doc_field *f);

/* ---- paths.c: names of fields ---------------------------------------------------------------- */

/* "a.b,`odd, name`" to fields of the collection, with columns where they have one. Fails with
 * ERR_MALFORMED, whose sentence begins with `what`; unknown and hidden ones are told alike. */
struct path_list {
    const struct doc_field **items;
    bool *is_descending; /* only where `-` may stand before a name */
    size_t n;
};
bool paths_parse(const struct doc_coll *c, struct arena *a, const char *what, struct slice text,
                 size_t max, bool has_directions, struct path_list *ret, struct err *e);
/* One name, without commas. */
const struct doc_field *path_parse(const struct doc_coll *c, struct arena *a, const char *what,
                                   struct slice text, struct err *e);
/* Every path of a user's filter is one that they may name. */
bool filter_is_known(const struct doc_coll *c, const struct query *q, struct err *e);

/* ---- order.c: sorting ------------------------------------------------------------------------ */

struct order {
    struct {
        const struct doc_field *field;
        bool is_descending;
    } terms[SORT_TERMS];
    size_t n;
    bool is_id_descending;
    bool has_columns; /* all of them: the database can sort */
};
struct place {
    struct slice keys[SORT_TERMS];
    struct slice id;
};
/* Empty: by id; in the trash the newest there first. */
bool order_parse(struct order *to, const struct doc_coll *c, struct arena *a, struct slice sort,
                 bool is_trash, struct err *e);
void order_by_id(struct order *to);
/* The key of a field in a document, as the column's bytes. */
void order_key(struct buf *to, const struct doc_field *f, const struct json *doc);
/* Of the n-th term, in the column of the statement's row. */
struct slice order_column(const struct doc_field *f, const struct db_stmt *s, int column,
                          char number[8]);
/* The field as it stands in SQL. */
const char *order_sql(const struct doc_field *f);
int place_cmp(const struct order *o, const struct place *a, const struct place *b);
/* " AND (k1, id) > (?, ?)": the rows behind the place. Terms that the facts fix are left out. */
void order_after(const struct order *o, const struct facts *facts, const struct place *p,
                 struct condition *to);
/* " ORDER BY k1 DESC, id DESC" */
void order_by(const struct order *o, const struct facts *facts, struct buf *to);
/* Is there an index in which these rows lie in this order, with nothing else between them? */
bool order_is_served(const struct order *o, const struct doc_coll *c, const struct facts *facts,
                     bool is_trash);

/* ---- cursor.c: where a list goes on ---------------------------------------------------------- */

/* Made once per database and kept in it; in a write. */
bool cursor_key_make(struct docs *d, struct db_conn *c, struct err *e);
/* Texts of the place, good for the same list of the same app only. */
void cursor_add(struct buf *to, const struct doc_coll *c, const struct docs_query *q,
                const struct order *o, const struct place *p);
/* False (ERR_MALFORMED): edited, cut, or of another list. */
bool cursor_read(struct place *to, struct arena *a, const struct doc_coll *c,
                 const struct docs_query *q, const struct order *o, struct err *e);

/* ---- plan.c ---------------------------------------------------------------------------------- */

struct plan {
    const struct docs_reading *r;
    const struct doc_coll *coll;
    struct arena *a;
    struct condition where;
    const struct query *rest;   /* of the filter and the rules: asked of every row */
    const struct query *filter; /* as it was asked for, bound; for the sentence about an index */
    struct order order;
    bool is_trash, is_ruled; /* is_ruled: the rule asks rows for what no index has */
};
/* Who may read, what of it: authorize(), the filter, the sort. Empty texts mean all, and by id. */
struct asked {
    struct slice filter, sort;
    bool is_trash;
};
bool plan_make(struct plan *p, const struct docs_reading *r, const struct doc_coll *c,
               const struct asked *asked, struct err *e);
/* May a loop wait for it? */
bool plan_is_short(const struct plan *p, uint32_t limit);
void plan_was_long(const struct plan *p); /* it took too long for a loop */
/* ERR_OVER_BUDGET, with the index that would help. */
bool plan_too_long(const struct plan *p, struct err *e);

/* ---- walk.c ---------------------------------------------------------------------------------- */

struct walk {
    const struct plan *plan;
    struct order order; /* of the rows: the plan's, or by id */
    struct place place; /* of the last row looked at, where the statement is begun again */
    bool has_place;
    bool is_plain;        /* nothing is asked of the rows: their text as it is sent, not parsed */
    bool is_parsed;       /* json of every row is wanted */
    size_t pause_at;      /* rows looked at, after which it pauses (DB_END), or when it takes too
                             long; 0: it never pauses */
    bool is_paused;       /* `place` is where it goes on */
    uint32_t chunk, left; /* rows of one statement, and what is left of them */
    uint32_t wanted;      /* rows */
    bool is_chunked;
    size_t bytes; /* of this chunk's documents */
    size_t n_looked_at;
    int64_t until_ms; /* on a lane: no statement begins after it */
    struct db_stmt *stmt;
    struct arena docs;      /* of the row's json */
    struct arena places[2]; /* where this statement began and where the next one will */
    unsigned turn;
    const struct json *doc; /* the row's, unless is_plain */
};
/* From `from` on (NULL: the beginning); `wanted` rows are enough, as far as is known. */
void walk_init(struct walk *w, const struct plan *p, const struct order *o,
               const struct place *from, bool is_parsed, uint32_t wanted);
void walk_done(struct walk *w);
/* DB_ROW: the next row that the plan leaves. ERR_OVER_BUDGET beyond DOC_SCAN_MAX. */
enum db_step walk_next(struct walk *w, struct err *e);
struct slice walk_id(const struct walk *w);
/* As it is sent; until the next row. */
bool walk_text(struct walk *w, struct slice *ret, struct err *e);
/* Of the present row, copied. */
void walk_place(const struct walk *w, struct arena *a, struct place *ret);
/* Rows of the plan, in SQL where nothing is left to ask. */
bool plan_count(const struct plan *p, uint64_t *ret, struct err *e);

/* ---- shape.c, expand.c: less and more of a document ------------------------------------------ */

struct shape {
    struct path_list fields; /* none: all */
    bool has_fields;
    const struct doc_ref *refs[EXPAND_MAX];
    size_t n_refs;
};
bool shape_parse(struct shape *to, const struct doc_coll *c, struct arena *a, struct slice fields,
                 struct slice expand, struct err *e);
/* The id and the named fields; without `expand`, which the caller adds. Leaves the object open. */
void shape_write(struct json_writer *w, const struct shape *s, const struct json *doc);

/* Documents that others refer to, by collection and id. */
struct expansion;
struct expansion *expansion_new(const struct docs_reading *r, const struct shape *s,
                                struct arena *a);
void expansion_want(struct expansion *x, const struct json *doc);
bool expansion_fetch(struct expansion *x, struct err *e); /* a statement for 64 of them */
void expansion_write(const struct expansion *x, struct json_writer *w, const struct json *doc);

/* ---- by_id.c --------------------------------------------------------------------------------- */

/* Calls fn for those of the ids that are there (or in the trash), in no order. `shown`: as it is
 * sent. */
struct by_id {
    const struct doc_coll *coll;
    bool is_trash;
    bool (*fn)(void *user, struct slice id, struct slice shown, struct slice body, struct err *e);
    void *user;
};
bool docs_by_id(struct db_conn *conn, const struct by_id *b, const struct slice *ids, size_t n,
                struct err *e);
