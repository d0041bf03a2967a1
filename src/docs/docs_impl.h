/* The inside of docs/: what a collection is once compiled, and how a document lies in its table.
 *
 * A collection's table is c_NAME, its history h_NAME, its words (SQLite) f_NAME:
 *
 *   n        SQLite: the row's number. Postgres has none
 *   id, version, owner, created, updated   also in the text; times as RFC 3339 text, so that they
 *            sort and compare as the filter language says
 *   author, label   of this version
 *   deleted  when it went to the trash; null: it is there
 *   body     the whole document as JSON text
 *   shown    the same without hidden fields, where the collection has any, else null
 *   words    Postgres: tsvector of the search fields
 *   k1, k2…  the key (doc_key) of a field that an index or a unique has; which is which says the
 *            catalogue, dais_fields
 *
 * SQL is put together from these names and constants only; the names of collections are letters,
 * digits and underscores. Texts are the same for both databases unless sql_* says otherwise. */
#pragma once
#include "docs/docs.h"

#include "base/map.h"
#include "schema/checks.h"

#include <pthread.h>
#include <stdatomic.h>

#define KEY_MAX     256 /* bytes of a key in the database: databases limit rows of an index */
#define KEY_HEAD    224 /* of a longer one: so many, then its SHA-256 */
#define INDEX_TERMS 8

/* ---- a collection ---------------------------------------------------------------------------- */

enum field_kind {
    FIELD_KEY, /* of the app, in a column of its own */
    FIELD_ID,
    FIELD_VERSION,
    FIELD_OWNER,
    FIELD_CREATED,
    FIELD_UPDATED,
    FIELD_DELETED /* nobody can name it: the trash is sorted by it */
};

struct doc_field {
    struct slice path; /* "a.b" */
    struct slice *steps;
    size_t n_steps;
    enum field_kind kind;
    char column[12];       /* "k3", or "owner"; a key's is known once the tables are open */
    _Atomic bool is_ready; /* false: rows are still without it, and no reader may count on it */
};

struct doc_index {
    struct {
        const struct doc_field *field;
        bool is_descending;
    } terms[INDEX_TERMS];
    size_t n_terms;
    bool is_unique;
    bool is_by_owner;         /* the owner comes first: whoever lists, lists their own */
    _Atomic bool is_ready;    /* false: being built, and no list may count on it */
    _Atomic bool is_violated; /* unique, and documents of before are not: changes look themselves */
    _Atomic bool wants_try;   /* is_violated: documents may have been mended */
    struct slice spec;        /* "owner,status,-updated": what the catalogue knows it by */
    struct pos pos;
};

struct doc_ref {
    struct doc_field field;
    const struct doc_coll *to;
    enum { REF_RESTRICT, REF_CLEAR, REF_CASCADE } on_delete;
};

struct doc_coll {
    const struct collection *conf;
    struct docs *docs;
    struct slice name;
    const struct schema *schema;
    struct policy policy;
    struct doc_field *fields; /* with a key column, each once */
    size_t n_fields;
    struct doc_index *indexes; /* declared ones, then unique ones */
    size_t n_indexes;
    struct doc_ref *refs; /* of its documents */
    size_t n_refs;
    struct slice *known; /* top-level names that filters may use; with is_closed */
    size_t n_known;
    bool is_closed;        /* the schema declares all there is */
    struct search *search; /* NULL: its documents are not searched */
    const struct doc_check **checks;
    size_t n_checks;
    /* false: rows' `shown` may hold what is hidden now: see doc_text_public() */
    _Atomic bool is_shown_ready;
    _Atomic bool is_filling; /* rows are being made anew: see docs_tend() */
    _Atomic int64_t pruned_ms;
    _Atomic int64_t long_until_ms; /* see plan_was_long() */
    /* SQL made once the tables are open, in docs->arena */
    struct slice sql_get, sql_insert, sql_update, sql_touch, sql_lock, sql_fill;
    const struct rows_sql *sql;
};

struct docs {
    const struct manifest *manifest;
    struct db_slot *slot;
    docs_is_in is_in;      /* NULL: not asked */
    change_hook on_change; /* NULL: nobody is told */
    void *on_change_user;
    struct arena arena;
    struct doc_coll *colls;
    size_t n_colls;
    struct map by_name;
    pthread_mutex_t lock;      /* of opening */
    _Atomic uint64_t open_for; /* db_slot_times() when its tables were looked at; 0: not yet */
    struct db *_Atomic db;
    uint64_t reading;          /* its number among those of the slot */
    _Atomic int64_t tend_ms;   /* when to look for work on the tables again; monotonic */
    _Atomic int64_t forgot_ms; /* when old answers were looked for; monotonic */
    unsigned char cursor_key[16];
};

/* System fields, for filters, sorting and indexes. NULL: none of them. */
const struct doc_field *doc_field_of_system(struct slice name);
/* The field's value in a document; NULL when it is missing. */
const struct json *doc_field_value(const struct doc_field *f, const struct json *doc);
/* The one of the collection with this path, or a system field; NULL: it has no column. */
const struct doc_field *doc_coll_field(const struct doc_coll *c, const struct slice *steps,
                                       size_t n_steps);
/* May a user's filter, sort, fields or group name this path? Not what is hidden, nor what a closed
 * schema does not declare: both are told alike. */
bool doc_coll_knows(const struct doc_coll *c, const struct slice *steps, size_t n_steps);

/* ---- keys.c: what databases sort by ---------------------------------------------------------- */

/* query_key() of the value, no longer than KEY_MAX: a longer one is cut, and its digest follows, so
 * that equal keys are still equal values, and order is right among those that differ in their first
 * KEY_HEAD bytes. Lists and objects all have the same key, behind all others. */
void doc_key(struct buf *to, const struct json *value);
/* Is a comparison (not only equality) with this literal's key exact? False for long ones. */
bool doc_key_is_whole(struct slice key);
extern const struct slice doc_key_unordered; /* of lists and objects */

/* ---- text.c: a document's text --------------------------------------------------------------- */

struct doc_meta {
    struct slice id, owner; /* owner empty: null */
    int64_t version;
    struct slice created, updated; /* RFC 3339 */
};
/* Writes {"id":…,"version":…,"owner":…,"created":…,"updated":…, and the fields of `own` that are
 * none of these. False (ERR_BODY_TOO_LARGE) beyond DOC_BYTES_MAX. */
bool doc_text(struct buf *to, const struct doc_meta *meta, const struct json *own, struct err *e);
/* The same text without the collection's hidden fields. */
bool doc_text_shown(struct buf *to, const struct doc_coll *c, const struct json *doc,
                    struct err *e);
/* 0: nothing at this path is hidden, 1: something inside it is, 2: it is hidden itself. */
int doc_path_hides(const struct doc_coll *c, const struct slice *steps, size_t n_steps);
bool doc_name_is_system(struct slice name);
bool doc_id_is_good(struct slice id);

/* ---- rows.c: a row of the table -------------------------------------------------------------- */

#define ROW_COLUMNS "id, version, owner, created, updated, author, label, deleted, body, shown"
enum {
    ROW_ID,
    ROW_VERSION,
    ROW_OWNER,
    ROW_CREATED,
    ROW_UPDATED,
    ROW_AUTHOR,
    ROW_LABEL,
    ROW_DELETED,
    ROW_BODY,
    ROW_SHOWN,
    ROW_COUNT
};
struct doc_row {
    struct doc_meta meta;
    struct slice author, label, deleted; /* deleted empty: it is there */
    struct slice body, shown;
};
/* Of the statement's present row, whose first columns are ROW_COLUMNS; copied to the arena. */
void doc_row_read(const struct db_stmt *s, struct arena *a, struct doc_row *ret);
/* DB_ROW, DB_END (none) or DB_FAILED. is_locking: nobody else changes it before we commit. */
enum db_step doc_row_find(struct db_conn *c, const struct doc_coll *coll, struct slice id,
                          bool is_locking, struct arena *a, struct doc_row *ret, struct err *e);
/* Is it there, and not in the trash? */
bool doc_row_is_there(struct db_conn *c, const struct doc_coll *coll, struct slice id, bool *ret,
                      struct err *e);
/* A copy; long ones are apart from the arena, whose cap is for what is made of a request. */
struct slice doc_row_text(struct arena *a, struct slice text);
/* The document, parsed; NULL: the row is damaged. */
const struct json *doc_row_json(const struct doc_row *row, struct arena *a, struct err *e);
struct doc doc_of_row(const struct doc_row *row);
/* What may be sent of a row: `shown`, or made of its body while that cannot be counted on. *ret may
 * be one of the two. Whoever reads rows otherwise than by doc_row_find() asks this. */
bool doc_text_public(const struct doc_coll *c, struct slice body, struct slice shown,
                     struct arena *a, struct slice *ret, struct err *e);
/* Present, and for this subject to read; else ERR_NOT_FOUND. */
bool docs_row(const struct docs_reading *r, const struct doc_coll *c, struct slice id,
              struct doc_row *ret, struct err *e);
/* Is the bound rule only `owner = …`? Then *ret_holds says whether it holds for this owner, and no
 * document has to be parsed for it. */
bool doc_rule_of_owner(const struct query *rows, struct slice owner, bool *ret_holds);
/* "There is no document ID in NAME." */
bool doc_not_found(const struct doc_coll *c, struct slice id, struct err *e);

/* ---- tables.c: makes the database what the manifest says ------------------------------------- */

/* Tables, columns and indexes of every collection; fills in columns, readiness and SQL. Blocks. */
bool docs_make_tables(struct docs *d, struct db *db, struct err *e);
/* Loads what was not loaded yet; the log says what is wrong with it, and the app serves without. */
void docs_load_seeds(struct docs *d, struct db *db);
/* At the end of a change: a reading with other columns has taken over meanwhile. */
bool docs_is_present(const struct docs *d, struct err *e);

/* ---- tree.c: the same document with and without dais's own fields -----------------------------
 */

/* Trees of their own that share values with what they are made of; nothing is parsed. NULL: too
 * large, with e. */
const struct json *doc_own(const struct json *doc, struct arena *a, struct err *e);
const struct json *doc_whole(const struct doc_meta *meta, const struct json *own, struct arena *a,
                             struct err *e);
/* `to` and the hidden fields of `from` that it says nothing about: who cannot see them does not
 * take them away. */
const struct json *doc_keep_hidden(const struct doc_coll *c, const struct json *from,
                                   const struct json *to, struct arena *a, struct err *e);
/* Has it a hidden field? */
bool doc_has_hidden(const struct doc_coll *c, const struct json *doc);
/* The tree without what nobody may see. */
const struct json *doc_shown(const struct doc_coll *c, const struct json *doc, struct arena *a,
                             struct err *e);
/* Writes with fn to a buf, parses the outcome; what is too deep or too large is ERR_INVALID. */
typedef bool (*doc_writer)(void *user, struct buf *to, struct err *e);
const struct json *doc_written(doc_writer fn, void *user, struct arena *a, struct err *e);

/* ---- draft.c: a document as it is to be stored ------------------------------------------------
 */

struct doc_draft {
    const struct doc_coll *coll;
    struct doc_meta meta;
    struct slice author, label;
    const struct json *own;   /* the app's fields */
    const struct json *whole; /* with dais's; NULL until draft_whole() */
    struct buf body, shown;   /* freed with the arena */
    struct slice *keys;       /* of coll->fields, in order */
    struct slice words;       /* of search_row_words() */
};
struct doc_draft *draft_new(const struct doc_coll *c, struct arena *a);
/* Texts and keys of meta and own; again after either changed. */
bool draft_write(struct doc_draft *d, const struct json *own, struct arena *a, struct err *e);
const struct json *draft_whole(struct doc_draft *d, struct arena *a, struct err *e);
struct doc doc_of_draft(const struct doc_draft *d);
/* What the schema and the checks say; false: all of it is in ch->details. */
bool draft_check(const struct doc_coll *c, const struct json *own, struct doc_change *ch,
                 struct arena *a, struct err *e);

/* ---- rows_write.c: the only ones that change rows of a collection, its history, its references -
 */

struct rows_sql {
    struct slice keep, prune, trash, remove, forget, target;
    struct slice *unique; /* of coll->indexes, in order; empty where it is not unique */
};
void rows_make_sql(struct docs *d, struct db *db, struct doc_coll *c);
/* " AND k1 > … AND k1 < …" where the field has a key: a row without one, of null, a list or an
 * object holds nothing unique. In the index and in what asks it. */
void rows_unique_where(const struct doc_field *f, bool is_sqlite, struct buf *to);

/* *ret_is_new: false when the id or something unique is taken, and nothing was done. */
bool rows_insert(struct db_conn *c, const struct doc_draft *d, bool *ret_is_new, struct err *e);
/* The row as the draft says, present again if it was in the trash; the version before is kept as
 * history where that is another. */
bool rows_update(struct db_conn *c, const struct doc_draft *d, int64_t before, struct err *e);
bool rows_trash(struct db_conn *c, const struct doc_coll *coll, struct slice id, struct slice now,
                struct err *e);
bool rows_remove(struct db_conn *c, const struct doc_coll *coll, struct slice id, struct err *e);
/* Adds a violation for each unique field of the draft that another document has; of `before` (may
 * be NULL) what did not change is passed over. */
bool rows_unique(struct db_conn *c, const struct doc_draft *d, const struct json *before,
                 struct violations *to, struct err *e);
/* Is there a unique that the database does not keep, since documents of before break it? */
bool rows_must_look(const struct doc_coll *c);

/* ---- refs.c, refs_gone.c: what documents refer to ----------------------------------------------
 */

/* Adds a violation for each reference to what is not there for this subject. Those that `before`
 * (may be NULL) has, too, are passed over. */
bool refs_check(struct docs_writing *w, struct db_conn *c, const struct doc_draft *d,
                const struct json *before, struct violations *to, struct err *e);
/* For a document that comes back: what it refers to must be there, whoever may read it; what would
 * have been cleared meanwhile is taken out of *own. */
bool refs_refresh(struct docs_writing *w, struct db_conn *c, const struct doc_draft *d,
                  const struct json **own, struct violations *to, struct err *e);
/* Keeps dais_refs what the document says; before NULL: it had none. */
bool refs_store(struct docs_writing *w, struct db_conn *c, const struct doc_draft *d,
                const struct json *before, struct err *e);
bool refs_forget(struct db_conn *c, const struct doc_coll *from, struct slice id, struct err *e);
/* A document goes, for good or not, and with it what its references' owners said should. */
bool refs_gone(struct docs_writing *w, struct doc_change *ch, struct db_conn *c,
               const struct doc_row *row, bool is_final, struct err *e);
/* The own fields without references that are in `gone` (keys as refs_key makes them). */
const struct json *refs_without(const struct doc_coll *c, const struct json *own,
                                const struct map *gone, struct arena *a, struct err *e);
struct slice refs_key(const struct doc_coll *c, struct slice id, struct arena *a);

/* ---- change_*.c: one change ------------------------------------------------------------------ */

/* What is worked out before the writer has it. */
struct doc_plan {
    const struct query *rules[ACTION_COUNT]; /* NULL: nobody may, or it is not asked for */
    struct slice now;
    const struct json *own;  /* of a whole body: its fields without dais's */
    struct doc_draft *draft; /* of a document that may be new */
    bool is_checked;         /* own is what the schema wants, whatever was there before */
    bool names_hidden;       /* a hidden field is written, with whatever value */
};
/* The JSON array of problem+json's "errors". */
struct slice violations_json(const struct violations *v, struct arena *a);
void violations_add(struct violations *v, struct slice pointer, const char *code,
                    const char *message);
/* False with them in ch->details and the first in e, if there are any. */
bool violations_none(const struct violations *v, enum err_code code, struct doc_change *ch,
                     struct err *e);

/* May this document be seen, changed...? The tree is needed only by a rule that looks at it. */
bool change_may(const struct doc_plan *p, enum action action, const struct json *doc);
/* The same for what is about to be stored; its tree is made only then. False: it could not be. */
bool change_may_store(struct docs_writing *w, const struct doc_plan *p, enum action action,
                      struct doc_draft *d, bool *ret, struct err *e);
/* Is the version what the request says it must be? `row` NULL: there is none. */
bool change_matches(struct doc_change *ch, const struct doc_row *row, struct arena *a,
                    struct err *e);
/* What the document's own fields are to be: of put and the patches. Pure. */
const struct json *change_next(const struct doc_change *ch, const struct json *before,
                               struct arena *a, struct err *e);

bool change_plan(struct docs_writing *w, struct doc_change *ch, struct err *e);
bool create_plan(struct docs_writing *w, struct doc_change *ch, struct err *e);
bool patch_plan(struct docs_writing *w, struct doc_change *ch, struct err *e);
bool create_apply(struct docs_writing *w, struct doc_change *ch, struct db_conn *c, struct err *e);
bool read_apply(struct docs_writing *w, struct doc_change *ch, struct db_conn *c, struct err *e);
bool update_apply(struct docs_writing *w, struct doc_change *ch, struct db_conn *c, struct err *e);
bool remove_apply(struct docs_writing *w, struct doc_change *ch, struct db_conn *c, struct err *e);
bool restore_apply(struct docs_writing *w, struct doc_change *ch, struct db_conn *c, struct err *e);
/* Answers with the draft's document, if its reader may see it. */
bool change_done(struct docs_writing *w, struct doc_change *ch, struct doc_draft *d, struct err *e);

/* ---- tell.c: who follows changes is told of each, inside its write ----------------------------
 */

/* Also when there is nobody to tell. False: the write is refused. */
bool tell_new(struct docs_writing *w, struct db_conn *c, const struct doc_draft *d, struct err *e);
/* Of one that whoever did it may not know: changed, or back from the trash. */
bool tell_draft(struct docs_writing *w, struct db_conn *c, enum change_kind kind,
                struct doc_draft *d, struct err *e);
/* `row` as it was. */
bool tell_gone(struct docs_writing *w, struct db_conn *c, const struct doc_coll *coll,
               const struct doc_row *row, struct err *e);
/* Is there anybody? */
bool tells(const struct docs_writing *w);

/* ---- versions.c -------------------------------------------------------------------------------
 */

/* The body of an earlier version. DB_END: it is not kept. */
enum db_step version_find(struct db_conn *c, const struct doc_coll *coll, struct slice id,
                          int64_t version, int64_t present, struct arena *a, struct slice *ret,
                          struct err *e);
