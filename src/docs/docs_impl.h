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
    bool is_by_owner;      /* the owner comes first: whoever lists, lists their own */
    _Atomic bool is_ready; /* false: being built, and no list may count on it */
    struct slice spec;     /* "owner,status,-updated": what the catalogue knows it by */
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
    bool is_closed; /* the schema declares all there is */
    /* SQL made once the tables are open, in docs->arena */
    struct slice sql_get, sql_insert, sql_update, sql_lock;
};

struct docs {
    const struct manifest *manifest;
    struct db_slot *slot;
    struct arena arena;
    struct doc_coll *colls;
    size_t n_colls;
    struct map by_name;
    pthread_mutex_t lock;      /* of opening */
    _Atomic uint64_t open_for; /* db_slot_times() when its tables were looked at; 0: not yet */
    struct db *_Atomic db;
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
/* The document, parsed; NULL: the row is damaged. */
const struct json *doc_row_json(const struct doc_row *row, struct arena *a, struct err *e);
struct doc doc_of_row(const struct doc_row *row);
/* "There is no document ID in NAME." */
bool doc_not_found(const struct doc_coll *c, struct slice id, struct err *e);

/* ---- tables.c: makes the database what the manifest says ------------------------------------- */

/* Tables, columns and indexes of every collection; fills in columns, readiness and SQL. Blocks. */
bool docs_make_tables(struct docs *d, struct db *db, struct err *e);

/* ---- change_*.c: one change ------------------------------------------------------------------ */

/* What is worked out before the writer has it, and again on what it read. */
struct doc_plan {
    const struct query *rows; /* what the rule leaves them */
    struct doc_meta meta;
    struct buf body, shown; /* of the new text; freed with the arena */
    struct slice *keys;     /* of coll->fields, in order */
};
/* The JSON array of problem+json's "errors". */
struct slice violations_json(const struct violations *v, struct arena *a);
bool change_plan(struct docs_writing *w, struct doc_change *ch, struct err *e);
bool change_apply(struct docs_writing *w, struct doc_change *ch, struct db_conn *c, struct err *e);
bool change_finish(struct docs_writing *w, struct doc_change *ch, struct db_conn *c, struct err *e);
