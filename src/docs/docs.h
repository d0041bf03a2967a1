/* Documents of an app: its collections, read and changed through one database, whichever it is.
 *
 *   docs          an app's collections as one reading of the manifest has them; read-only, shared
 *   doc_coll      one of them: its schema, policy, indexes
 *   docs_reading  a connection and who asks, for one request
 *   doc_change    one change to one document: decided and applied inside a write
 *   docs_writing  a request's changes, one or a batch: all or none of them
 *
 * A document is stored as the text that is sent: the fields id, version, owner, created and updated
 * first, then the app's own in the order they came. So most reads copy bytes and parse nothing.
 *
 * Every read and every change goes through authorize(), here and nowhere above, so that no door
 * can forget it. What a subject may not see is told like what is not there. */
#pragma once
#include "auth/auth.h"
#include "db/db.h"
#include "db/slot.h"
#include "journal/journal.h"
#include "manifest/manifest.h"
#include "query/query.h"
#include "schema/schema.h"

#define DOC_ID_MIN     15
#define DOC_ID_MAX     64
#define DOC_BYTES_MAX  (8u << 20) /* of one document as it is stored */
#define DOC_LIMIT      30         /* of a list, when it does not say */
#define DOC_LIMIT_MAX  1000
#define DOC_PAGE_BYTES (16u << 20) /* after so many a page of an export ends */
#define DOC_SCAN_MAX   100000      /* rows that a list or count without an index may look at */
#define DOCS_BATCH_MAX 100
#define DOCS_SHOWN_MAX (32u << 20) /* of all documents that a batch answers with */
#define DOC_LABEL_MAX  200

extern const struct db_migration docs_migrations[]; /* every database of an app needs */

/* ---- an app's collections ------------------------------------------------------------------- */

struct docs;
struct doc_coll;

/* Compiles schemas, rules and checks; reads their files, so not on a loop that serves. What is
 * wrong is added to the problems, with its place in dais.yaml; the docs are not to be served then.
 * Never NULL. */
struct docs *docs_new(const struct manifest *m, struct problems *p); /* m outlives the docs */
/* Before anybody is in it: where its rows are, which all readings of the manifest share. */
void docs_attach(struct docs *d, struct db_slot *slot);
/* Asked in every write of somebody's documents, in its transaction: is who asked still there? NULL,
 * as at first: always. */
typedef bool (*docs_is_in)(struct db_conn *c, const struct identity *who, struct err *e);
void docs_guard(struct docs *d, docs_is_in is_in);
/* Told of every change, but for seeds and for what leaves the trash. Before anybody is in it. The
 * text is without hidden fields: what follows a change is shown to whoever made it. So it is empty,
 * too, where they may not read the document (and did not just create it), and when it goes with
 * its owner. */
void docs_on_change(struct docs *d, change_hook fn, void *user);
void docs_free(struct docs *d); /* NULL is fine; nobody may be in it */

const struct doc_coll *docs_find(const struct docs *d, struct slice name); /* NULL: none */
size_t docs_count(const struct docs *d);
const struct doc_coll *docs_at(const struct docs *d, size_t i); /* in the manifest's order */
const struct collection *doc_coll_conf(const struct doc_coll *c);
const struct schema *doc_coll_schema(const struct doc_coll *c); /* NULL: any object */
/* May a client name this top-level field? Neither a hidden one nor one that cannot be there. */
bool doc_coll_shows(const struct doc_coll *c, struct slice name);

/* Whoever uses the database is in it, from the first statement to the last answer. On any thread;
 * false: it is not open, or its tables are not what this manifest says: go to a lane and call
 * docs_open(), which blocks, makes that so, and is in it too. */
bool docs_enter(struct docs *d);
bool docs_open(struct docs *d, struct err *e);
void docs_leave(struct docs *d);
void docs_leave_quietly(struct docs *d);    /* who only looked after it */
struct db *docs_db(const struct docs *d);   /* between enter and leave */
bool docs_has_failed(const struct docs *d); /* the database could not be opened the last time */

/* For backups. Columns of a collection's tables that do not follow from others: of c_NAME, and of
 * its history, h_NAME. */
#define DOCS_KEPT         "id version owner created updated author label deleted body"
#define DOCS_KEPT_HISTORY "id version updated author label body"
/* Makes both tables of a collection as they are at first, one of them called so; inside a write.
 * ERR_DAMAGED: no collection can have it. */
bool docs_make_named(struct db_conn *c, struct slice table, struct err *e);
/* Inside a write: nothing that follows from documents is there (any more), so that the next
 * opening makes it anew: keys, what is shown, indexes, words. */
bool docs_settle(struct db_conn *c, struct err *e);

/* Seeds of the app's folder that could not be loaded, as problems. Not on a loop that serves. */
void docs_check_seeds(struct docs *d, struct problems *p);

#define DOCS_FINDINGS_MAX 100 /* documents of a collection that are told with their ids */
struct docs_finding {
    struct slice collection, id, pointer, message;
};
struct docs_verdict {
    struct slice collection;
    uint64_t documents, broken; /* the trash is not looked at */
};
struct docs_hearer {
    void (*finding)(void *user, const struct docs_finding *f);
    void (*verdict)(void *user, const struct docs_verdict *v); /* of each collection */
    void (*left)(void *user, struct slice name);               /* documents without a collection */
    void *user;
};
/* Which stored documents does the manifest not take: schema, checks, unique, references? Reads
 * only, also beside a server. False: it could not be read. Blocks. */
bool docs_verify(struct docs *d, struct db *db, const struct docs_hearer *to, struct err *e);

/* Work on the tables that is done bit by bit while the app serves: new columns are filled, indexes
 * built, the trash emptied. Blocks for one bit of it; on a lane, in the database. */
bool docs_tend(struct docs *d);
/* Is there any, by now? Any thread, in the database or not. */
bool docs_wants_tending(const struct docs *d, int64_t now_ms);

/* Whoever leaves: some hundred of the user's documents go for good, those in the trash and versions
 * too; *ret_more: there may be others. References to them are cleared, or they take along what the
 * manifest says (cascade). One that somebody else's document holds (restrict) stays without an
 * owner and without its history. What only names the user as an author is left as it is. And the
 * other way: they become another user's. ERR_EXISTS: one cannot, for something unique; those before
 * it have. Both are in the database and block: on a lane, or in a command. */
bool docs_purge_owner(struct docs *d, struct slice user, bool *ret_more, struct err *e);
bool docs_adopt_owner(struct docs *d, struct slice from, struct slice to, bool *ret_more,
                      struct err *e);

/* ---- reading --------------------------------------------------------------------------------- */

struct docs_reading {
    struct docs *docs;
    struct db_conn *conn; /* the loop's, or one of a lane's */
    struct arena *arena;  /* what is returned lives here */
    const struct subject *who;
    bool is_on_loop; /* nothing may take long: ERR_OVER_BUDGET means again, on a lane */
};

/* A document as it is sent. */
struct doc {
    struct slice id, text; /* text: the JSON object, without hidden fields */
    int64_t version;
    bool is_trashed;
};

/* ERR_NOT_FOUND: absent, in the trash, or not for this subject. */
bool docs_get(const struct docs_reading *r, const struct doc_coll *c, struct slice id,
              struct doc *ret, struct err *e);

/* What a list is asked for, as the parameters say it; docs_list() finds what is wrong with them. */
struct docs_query {
    struct slice filter, sort, after, fields, expand, search;
    uint32_t limit;   /* 0: DOC_LIMIT */
    bool wants_total; /* count=exact */
    bool is_trash;    /* trash=only */
};
/* Adds {"items":[…],"next":…,"total":…} to `to`. On a loop only what is sure to be short is done;
 * else ERR_OVER_BUDGET. A page may have fewer items than its limit when they are large: `next` says
 * whether there are more. */
bool docs_list(const struct docs_reading *r, const struct doc_coll *c, const struct docs_query *q,
               struct buf *to, struct err *e);
/* The parameters `fields` and `expand` for one document: its text is exchanged. */
bool docs_shape(const struct docs_reading *r, const struct doc_coll *c, struct slice fields,
                struct slice expand, struct doc *doc, struct err *e);

struct docs_aggregate {
    struct slice fn, group, filter; /* "count,sum(n)", "status,year" */
};
bool docs_aggregate(const struct docs_reading *r, const struct doc_coll *c,
                    const struct docs_aggregate *q, struct buf *to, struct err *e);

/* {"items":[{"version","updated","by","label"}],"next"} and one of them as it was. */
bool docs_versions(const struct docs_reading *r, const struct doc_coll *c, struct slice id,
                   struct slice after, uint32_t limit, struct buf *to, struct err *e);
bool docs_version(const struct docs_reading *r, const struct doc_coll *c, struct slice id,
                  int64_t version, struct doc *ret, struct err *e);
/* A JSON Patch that makes version `to_version` (0: the present one) of `version`. */
bool docs_diff(const struct docs_reading *r, const struct doc_coll *c, struct slice id,
               int64_t version, int64_t to_version, struct buf *to, struct err *e);

/* Page by page, for exports: documents after `after` in the order of their ids, up to `limit`, or
 * fewer when they are large or few among many. In the arena, which needs room for DOC_PAGE_BYTES.
 */
struct docs_page {
    struct doc *items;
    size_t n;
    struct slice next; /* what `after` is for the next page; there may be no item in this one */
    bool is_last;
};
bool docs_page(const struct docs_reading *r, const struct doc_coll *c, struct slice filter,
               struct slice after, size_t limit, struct docs_page *ret, struct err *e);

/* What is stored has more values than the largest body: dais's own fields. */
extern const struct json_limits doc_stored_limits;
/* A request's arena is capped; what is in proportion to a document of so many bytes is let in, and
 * more than that is refused with some left for messages. */
void doc_arena_grow(struct arena *a, size_t n_bytes);
bool doc_parse(struct arena *a, struct slice text, const struct json_limits *limits,
               struct json_doc *ret, struct err *e);

/* ---- changing -------------------------------------------------------------------------------- */

/*        what            for logs */
#define DOC_OP_MAP(X)                \
    X(DOC_CREATE, "create")          \
    X(DOC_PUT, "put")                \
    X(DOC_MERGE, "merge patch")      \
    X(DOC_PATCH, "json patch")       \
    X(DOC_DELETE, "delete")          \
    X(DOC_PURGE, "purge")            \
    X(DOC_RESTORE, "restore")        \
    X(DOC_REVERT, "restore version") \
    X(DOC_READ, "read") /* among changes: as they left it */
enum doc_op {
#define X(id, name) id,
    DOC_OP_MAP(X)
#undef X
};

/* What must be so before a change, as If-Match and If-None-Match say it. */
struct doc_match {
    bool is_given;           /* it is there, and has one of the versions */
    bool is_any;             /* "*": whichever */
    bool is_absent;          /* it is not there */
    const int64_t *versions; /* one that cannot be is 0 */
    size_t n;
};

struct doc_change {
    /* asked for; all of it lives in the arena of the writing */
    enum doc_op op;
    const struct doc_coll *coll;
    struct slice id;         /* of DOC_CREATE: empty, or one that goes before the body's */
    const struct json *body; /* of create, put, merge, patch */
    struct doc_match match;
    int64_t version; /* of DOC_REVERT: which */
    struct slice label;
    /* made by docs_writing_plan() */
    struct doc_plan *plan;
    /* the outcome, once it was applied */
    struct doc doc; /* of all but delete and purge; its text is empty when whoever may change it may
                       not read it */
    bool is_created;
    struct slice details; /* when it failed: the JSON array of problem+json's "errors" */
};

struct docs_writing {
    struct docs *docs;
    struct arena *arena; /* the request's: nobody else uses it until it is done */
    const struct subject *who;
    struct doc_change *changes;
    size_t n;
    bool is_quiet;               /* nobody is told of them (docs_on_change) */
    bool is_leaving;             /* with their owner: that they went is told, not what they were */
    size_t failed;               /* which of them, when it failed */
    struct search_notes *search; /* of this run, for its finish */
};

/* Before the write, on the request's own thread: rules that need no row, schemas of what is
 * already whole, ids, keys. What it finds wrong costs the writer nothing. */
bool docs_writing_plan(struct docs_writing *w, struct err *e);
/* Inside a db_write's run, on the writer: may run again from the start. */
bool docs_writing_apply(struct docs_writing *w, struct db_conn *c, struct err *e);
/* In its finish: what is costly inside a savepoint (full text). */
bool docs_writing_finish(struct docs_writing *w, struct db_conn *c, struct err *e);
