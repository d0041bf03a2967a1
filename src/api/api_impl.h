/* The inside of api/: what its handlers share. */
#pragma once
#include "api/api.h"
#include "journal/journal.h"

#define API_BODY_MAX   (10u << 20)   /* of a request */
#define API_IMPORT_MAX (64ull << 30) /* of an import, which is never held whole */
/* What one request may use at worst: a body or a document of the largest kind, parsed (a million
 * nodes are 16 MB), written anew, parsed again. */
#define API_ARENA_BYTES (512u << 20)
#define API_INLINE_MAX  (64u << 10) /* a larger body is read on a lane */
#define API_LOOP_STEPS  20000       /* of the database, for one read on a loop: some 0.5 ms */

struct api {
    const struct manifest *manifest;
    struct docs *docs;
    struct files *files;
    struct jobs *jobs;
    struct job_hub *hub; /* of those who watch jobs */
    struct accounts *accounts, *operators;
    bool (*count)(void *user, struct req *rq, struct slice method, struct slice path,
                  struct err *e);
    void *user;
    struct slice base;
    struct router *router;
};

extern const struct route document_routes[], transfer_routes[], batch_routes[],
    description_routes[], auth_routes[], key_routes[], change_routes[], version_routes[],
    list_routes[], file_routes[], job_routes[], usage_routes[];
extern const size_t n_document_routes, n_transfer_routes, n_batch_routes, n_description_routes,
    n_auth_routes, n_key_routes, n_change_routes, n_version_routes, n_list_routes, n_file_routes,
    n_job_routes, n_usage_routes;

/* files.c: what comes in is streamed, so its method has another row. */
const struct route *file_route_of(const struct route *row, const struct req *rq);

/* export.c, import.c: the handlers of transfer_routes */
bool export_collection(struct req *rq, struct err *e);
bool import_collection(struct req *rq, struct err *e);

bool api_list(struct req *rq, const struct doc_coll *c, struct err *e);

/* ---- being in the database ------------------------------------------------------------------- */

enum enter { ENTERED, MOVED, REFUSED };
/* What a read needs, whichever thread it is on. MOVED: the handler returns true at once, it runs
 * again on a lane. ENTERED: api_leave() before the handler returns. */
enum enter api_enter(struct req *rq, struct docs_reading *r, struct err *e);
/* The same for what is never sure to be short: on a lane at once, with who asks known before. */
enum enter api_enter_on_lane(struct req *rq, struct docs_reading *r, struct err *e);
void api_leave(struct req *rq, struct docs_reading *r);
/* docs_open(), whose reasons (paths, addresses) are for the log and not for clients. */
bool api_open(struct docs *d, struct err *e);
/* What is told of an opening that failed: `why` is logged. Returns false. */
bool api_tell_closed(const struct err *why, struct err *e);
/* What a read that failed means: on a loop, one that took too many steps moves to a lane. */
bool api_failed(struct req *rq, struct err *e);

/* The collection that the path names. NULL: ERR_NOT_FOUND. */
const struct doc_coll *api_coll(const struct req *rq, struct err *e);
/* One parameter of the query; absent leaves *ret. False: it is there twice, or badly escaped. */
bool api_param(struct req *rq, const char *name, struct slice *ret, struct err *e);
/* No parameter but these (ending in NULL), so that a typing error is not an unfiltered list. */
bool api_params_known(struct req *rq, const char *const *names, struct err *e);
/* A header that is a list, which may come in several lines: all of them as one. ptr NULL: none. */
struct slice api_lines(const struct req *rq, enum header_id id, struct arena *a);

/* ---- answers --------------------------------------------------------------------------------- */

bool api_reply_json(struct req *rq, int status, struct slice json);
/* With its ETag, and 304 where If-None-Match has it. */
bool api_reply_doc(struct req *rq, int status, const struct doc *doc);

/* ---- changes --------------------------------------------------------------------------------- */

struct api_write;
/* What is changed: documents (write.c), jobs. All of it is about `aw`. */
struct api_write_kind {
    bool (*enter)(struct api_write *aw); /* as docs_enter() and its like */
    bool (*open)(struct api_write *aw, struct err *e);
    void (*leave)(struct api_write *aw);
    struct db *(*db)(const struct api_write *aw);
    bool (*plan)(struct api_write *aw, struct err *e); /* before the write; pure; may be NULL */
    bool (*apply)(struct api_write *aw, struct db_conn *c, struct err *e);  /* a db_write's run */
    bool (*finish)(struct api_write *aw, struct db_conn *c, struct err *e); /* may be NULL */
    /* Of a refusal: puts what is known of it into rq->details. May be NULL. */
    void (*tell)(struct api_write *aw, const struct err *e);
};

/* One request's changes on their way through the writer. */
struct api_write {
    struct db_write write;
    const struct api_write_kind *kind;
    struct docs_writing writing; /* of documents */
    struct req *rq;
    struct subject who;
    /* When all is done; in bytes. On the writer's thread where the answer is kept with the change,
     * and then perhaps more than once. */
    bool (*reply)(struct api_write *aw);
    /* With an Idempotency-Key, else NULL */
    struct once *once;
    struct once_answer known; /* what the first one was answered */
    bool is_known, has_failed;
    bool is_batch;      /* what is wrong is told with its place */
    struct err failure; /* known before the writer had it, or by it: to be kept */
};
/* The body is too large to be read on a loop: the handler runs again on a lane. */
bool api_move_write(struct req *rq, struct err *e);
/* At first, before anything is taken from the request: slices of its head are gone after it. */
struct api_write *api_write_new(struct req *rq, size_t n_changes, struct err *e); /* documents */
/* The same for anything else; `aw` is zeroed, and lives in the request's arena. */
bool api_write_init(struct api_write *aw, struct req *rq, const struct api_write_kind *kind,
                    struct err *e);
/* The last thing a handler does: plans, hands over, and the answer follows. An Idempotency-Key of a
 * POST is heeded. */
bool api_write_go(struct api_write *aw, struct err *e);

/* changes.c: POST on a collection; PUT, PATCH and DELETE on a document. */
bool api_create(struct req *rq, const struct doc_coll *c, struct err *e);
bool api_change(struct req *rq, const struct doc_coll *c, struct err *e);
/* The parameters that a change of its kind may have: label, or purge. */
bool api_change_params(struct req *rq, struct doc_change *ch, struct err *e);
/* What If-Match says. */
bool api_match_tags(struct arena *a, struct slice list, struct doc_match *m, struct err *e);
bool api_is_json(struct req *rq, struct err *e); /* its Content-Type, or none */
const struct json *api_body(struct req *rq, struct err *e);
bool api_version(struct slice text, int64_t *ret, struct err *e);
void api_free_buf(void *buf); /* for arena_defer */
/* batch.c: where in the batch it was, before each pointer; of what has no details, one. */
struct slice api_batch_details(struct arena *a, size_t at, struct slice details,
                               const struct err *e);
