/* What the files of s3/ share: addresses, answers in XML, what to do after a failure, one call. */
#pragma once
#include "base/breaker.h"
#include "base/list.h"
#include "fetch/curl_library.h"
#include "s3/s3.h"

#include <pthread.h>
#include <stdatomic.h>

/* ---- where the bucket is (place.c, pure) ------------------------------------------------------
 */

#define S3_HOST_MAX   300
#define S3_REGION_MAX 64

struct s3_place {
    bool is_tls, is_path_style;
    bool is_aws;            /* no endpoint was named: the host follows the region */
    char host[S3_HOST_MAX]; /* as Host has it: with the bucket, with a port that is not usual */
    char base[S3_HOST_MAX]; /* before the key: "/" or "/bucket/", after the endpoint's own path */
    char region[S3_REGION_MAX]; /* that requests are signed for */
};
/* ERR_MANIFEST: bucket, endpoint or region is none; e says what one looks like. */
bool s3_place_make(const struct s3_options *o, struct slice region, struct s3_place *ret,
                   struct err *e);
bool s3_region_is_valid(struct slice region);

/* ---- XML (xml.c, pure) -------------------------------------------------------------------------
 * As much of it as stores send: elements, attributes that are skipped, text with the five entities
 * and numbered characters. No document types, no processing instructions but the first line, at
 * most XML_DEPTH_MAX deep. Text beside elements may only be blank. */

#define XML_DEPTH_MAX 8

enum xml_event { XML_OPEN, XML_CLOSE, XML_END, XML_BAD };

struct xml {
    struct slice rest;
    int depth; /* of `name`, the root is 1 */
    struct slice names[XML_DEPTH_MAX + 1], name;
    struct slice text; /* at XML_CLOSE of an element without elements: as it stands; else empty */
    bool has_root, is_leaf, is_empty, is_closing;
};
void xml_init(struct xml *x, struct slice text);
/* `name` is without its prefix. After XML_END and XML_BAD the same again. */
enum xml_event xml_next(struct xml *x);
/* Entities replaced; false: one is none, or what comes is no UTF-8. */
bool xml_decode(struct slice text, struct arena *a, struct slice *ret);
void xml_escape(struct buf *to, struct slice text);
bool xml_can_hold(struct slice text); /* every character is one XML 1.0 has */

/* ---- what stores answer (answer.c, pure) ------------------------------------------------------
 */

#define S3_CODE_MAX 64

/* Cleaned: letters, digits, '.', '-' and '_', so that they may stand in a sentence. */
struct s3_error {
    char code[S3_CODE_MAX], region[S3_REGION_MAX];
};
/* False: the body is no such document. */
bool s3_error_read(struct slice body, struct s3_error *ret);
bool s3_list_read(struct slice body, struct arena *a, struct s3_page *ret);
bool s3_upload_id_read(struct slice body, struct arena *a, struct slice *ret);

/* Is this the whole document that says an upload in parts is an object now? */
bool s3_completed_read(struct slice body);

struct s3_upload {
    struct slice key, id;
    int64_t began_ms;
};
struct s3_uploads {
    struct s3_upload *items;
    size_t n;
    bool has_more;
    struct slice next_key, next_id;
};
bool s3_uploads_read(struct slice body, struct arena *a, struct s3_uploads *ret);
/* The keys that were not deleted; those that were not there are fine. */
bool s3_undeleted_read(struct slice body, struct arena *a, struct slice **ret, size_t *ret_n);

/* ---- after a failure (verdict.c, pure) ---------------------------------------------
 */

/* How an attempt ended. */
struct s3_outcome {
    CURLcode transport; /* CURLE_OK: there is an answer */
    int status;
    const char *code; /* of the error's document; "" */
    bool is_head;     /* answers to HEAD have no document */
    uint32_t retry_after_s;
    int64_t clock_off_ms; /* the store's Date less our time as corrected so far; 0: unknown */
    bool names_region;    /* another one than we signed for */
};
enum s3_verdict {
    S3_DONE,     /* the caller looks at the status */
    S3_GIVE_UP,  /* s3_explain() */
    S3_REPEAT,   /* after a pause */
    S3_SET_TIME, /* then at once, once */
    S3_SET_REGION,
    S3_NEW_KEYS
};
enum s3_verdict s3_judge(const struct s3_outcome *o);
/* Is it the store that failed, and not what we asked of it? */
bool s3_is_outage(const struct s3_outcome *o);
/* Before repetition n (from 1): grows, and differs by `random` (any number). */
uint32_t s3_pause_ms(const struct s3_outcome *o, unsigned n, uint32_t random);

/* Time for all attempts of a call. While bytes move it stands still, as long as they are 16 KB in a
 * second. */
struct s3_budget {
    int64_t since_ms;
    uint32_t call_ms;
    uint64_t moved;
    int64_t moving_ms;
};
void s3_budget_moved(struct s3_budget *b, uint64_t bytes, int64_t gap_ms);
int64_t s3_budget_left(const struct s3_budget *b, int64_t now_ms);

/* A store is asked again soon: people wait. */
extern const struct breaker_rule s3_breaker_rule;

/* ---- sentences (explain.c, pure) --------------------------------------------------------------
 */

struct s3_asked {
    const char *bucket, *host, *region;
    enum s3_verb verb;
    const char *other_region; /* that the store named; "" */
    int64_t clock_off_ms;
};
/* What happened and what to do. Returns false. */
bool s3_explain(const struct s3_outcome *o, const struct s3_asked *a, struct err *e);

/* ---- one call (call.c, transfer.c) ------------------------------------------------------------
 */

#define S3_POOL 32

struct s3 {
    const struct libcurl *lib;
    struct s3_options options; /* copies in the arena, with the defaults */
    pthread_mutex_t lock;      /* for these */
    struct s3_place place;
    struct breaker breaker;
    CURL *pool[S3_POOL]; /* idle, with their connections */
    size_t n_pool;
    unsigned era;             /* s3_renew() begins another */
    _Atomic int64_t clock_ms; /* the store's time less ours */
    _Atomic bool has_no_bulk; /* it does not know how to delete many */
    _Atomic uint64_t calls[S3_VERBS], repeats, failures, sent, received;
    struct arena arena;
};

#define S3_BODY_MAX  (8u << 20) /* of an answer that is read whole */
#define S3_QUERY_MAX 6
#define S3_FIELD_MAX 3

/* A question and its answer; zeroed, then filled. */
struct s3_call {
    struct s3 *s3;
    enum s3_verb verb;
    const char *method;
    struct slice key; /* with the prefix; empty: the bucket itself */
    struct aws_field query[S3_QUERY_MAX], headers[S3_FIELD_MAX];
    size_t n_query, n_headers;
    struct slice body; /* or, fd >= 0, so many bytes of a file */
    int fd;
    uint64_t offset, len;
    struct slice payload; /* its hash; empty: whatever goes */
    bool is_get;          /* bytes first.. go into fd; offset and len as above */
    uint64_t first;
    bool may_fail_inside; /* 200 with an error in it is one: completing a multipart upload */

    struct buf answer;      /* the body */
    int status;             /* 0: none came */
    char etag[256];         /* with quotes */
    uint64_t total;         /* Content-Length */
    int64_t modified_ms;    /* Last-Modified; 0: not said */
    char code[S3_CODE_MAX]; /* of an error */
    unsigned n_repeats;
    /* the room's own */
    uint64_t done;    /* bytes of a get that are in the file */
    bool was_damaged; /* it was another object meanwhile, or not that range */
};
void s3_call_init(struct s3_call *c, struct s3 *s, enum s3_verb verb, const char *method);
void s3_call_done(struct s3_call *c);
void s3_call_ask(struct s3_call *c, const char *name, struct slice value);  /* in the query */
void s3_call_tell(struct s3_call *c, const char *name, struct slice value); /* a header */
/* With all repetitions. True: status is 2xx. */
bool s3_call_run(struct s3_call *c, struct err *e);
/* A connection for a call, which takes all of it; the era is given back with it. */
CURL *s3_handle_take(struct s3 *s, unsigned *ret_era);
void s3_handle_give(struct s3 *s, CURL *easy, unsigned era);
struct s3_place s3_place_now(struct s3 *s);
int64_t s3_now_s(const struct s3 *s); /* the store's time, as far as we know */
struct slice s3_full_key(const struct s3 *s, struct arena *a, struct slice key);

/* One attempt. */
struct s3_attempt {
    struct s3_call *call;
    CURL *easy;
    const struct s3_place *place;
    struct slice target, signed_lines;
    struct s3_budget *budget;
    struct s3_outcome *outcome;
    struct s3_error error;
    struct err failed; /* of our own file */
    bool has_failed;
    /* the room's own */
    uint64_t sent, received, head_bytes, moved; /* moved: by the clock of `moved_ms` */
    int64_t moved_ms, date_ms;
    uint64_t range_first, range_last, want_first;
    bool has_range, has_length, takes_body, is_idle, is_over;
    char etag[256];
};
/* False: only our own file failed, or libcurl lacks an option; else the outcome says. */
bool s3_attempt_run(struct s3_attempt *t, struct err *e);

/* ---- parts (multipart.c), and what md5.c gives ------------------------------------------------
 */

bool s3_put_parts(struct s3 *s, struct slice key, int fd, uint64_t size, const char *type,
                  struct err *e);
/* Bytes of a part of so large a file: part_bytes, or more when 10,000 would not be enough. */
uint64_t s3_part_size(uint64_t size, uint32_t part_bytes);

#define MD5_LEN 16
void md5_of(struct slice bytes, unsigned char to[MD5_LEN]);
