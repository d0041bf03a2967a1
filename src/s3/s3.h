/* An object store that speaks S3: AWS, MinIO and its like, Google Cloud Storage by HMAC keys,
 * DigitalOcean Spaces.
 *
 * A call is a question to the store and its answer. It blocks, so it belongs on LANE_STORE, in a
 * thread of a command, never on a loop; any number of threads may call. What may be repeated is
 * repeated (500, 503, SlowDown, a connection that broke, a time that is off), with pauses that grow
 * and differ, until its time is over; when the store failed for everybody for a while, calls are
 * refused at once for a few seconds (ERR_UNAVAILABLE), but for one that finds out.
 *
 * Failures: ERR_NOT_FOUND (no such key), ERR_UNAVAILABLE (the store is down, slow, or says no to
 * our keys; `e` has a sentence for the log), ERR_IO (our own file), ERR_STALE (a range of something
 * else: its ETag is another). */
#pragma once
#include "aws/aws.h"

struct s3;

struct s3_options {
    struct slice bucket, region;  /* region empty: the chain's, else us-east-1 */
    struct slice endpoint;        /* "https://host[:port]"; empty: AWS's own for the region */
    struct slice prefix;          /* before every key; empty, or ending in '/' */
    bool is_path_style;           /* the bucket in the path; always so for an IP address */
    struct aws_chain *chain;      /* the caller's */
    const char *ca_file;          /* trust these certificates and no others; NULL: the system's */
    uint32_t connect_ms, idle_ms; /* without a byte either way; 0: 5 s, 15 s */
    uint32_t call_ms;    /* for a call with all its repetitions, beside what it moves; 0: 30 s */
    uint32_t part_bytes; /* of a multipart upload; 0: 16 MB; at least 5 MB at AWS */
};
/* Copies all. NULL: something in it is wrong; e says what. Nothing is connected yet. */
struct s3 *s3_new(const struct s3_options *o, struct err *e);
void s3_free(struct s3 *s); /* nobody may be in a call */
/* Calls that begin from now on are made over new connections: for who asks the same thing again,
 * and wants to hear it from another server behind the same name. */
void s3_renew(struct s3 *s);

struct s3_stats {
    uint64_t calls[8]; /* by enum s3_verb */
    uint64_t repeats, failures, bytes_sent, bytes_received;
    bool is_open; /* the breaker: calls are refused */
};
/*        verb          name */
#define S3_VERB_MAP(X)     \
    X(S3_PUT, "put")       \
    X(S3_GET, "get")       \
    X(S3_HEAD, "head")     \
    X(S3_DELETE, "delete") \
    X(S3_LIST, "list")     \
    X(S3_MULTI, "multipart")
enum s3_verb {
#define X(id, name) id,
    S3_VERB_MAP(X)
#undef X
        S3_VERBS
};
void s3_stats(struct s3 *s, struct s3_stats *ret);

/* ---- one object ------------------------------------------------------------------------------ */

struct s3_object {
    struct slice key;  /* without the prefix */
    struct slice etag; /* with its quotes */
    uint64_t size;
    int64_t modified_ms;
};

/* All of the file from 0 to `size`: in one request up to twice part_bytes, else in parts, each
 * repeated by itself; a multipart upload that fails is aborted. sha256_hex: of the whole; signed
 * where it goes in one request, and over plain http every part's own is. */
bool s3_put(struct s3 *s, struct slice key, int fd, uint64_t size, struct slice sha256_hex,
            const char *type, struct err *e);
/* Bytes first..first+len-1 into the file at the same offset less `first`, so that it holds just
 * them. Repeated from where it broke. Fewer bytes than that are a failure, never a short file taken
 * for whole. */
bool s3_get(struct s3 *s, struct slice key, uint64_t first, uint64_t len, int fd, struct err *e);
bool s3_head(struct s3 *s, struct slice key, struct arena *a, struct s3_object *ret, struct err *e);
/* One that is not there is fine. */
bool s3_delete(struct s3 *s, struct slice key, struct err *e);
/* Up to 1,000 in one request; one by one where the store does not know that request. */
bool s3_delete_many(struct s3 *s, const struct slice *keys, size_t n, struct err *e);

/* ---- many ------------------------------------------------------------------------------------ */

struct s3_page {
    struct s3_object *items; /* in the arena */
    size_t n;
    struct slice next; /* for `after` of the next page; empty: that was all */
};
/* Keys that begin with `prefix`, in order, up to 1,000. */
bool s3_list(struct s3 *s, struct slice prefix, struct slice after, struct arena *a,
             struct s3_page *ret, struct err *e);
/* Ends multipart uploads below `prefix` that began before then; *ret_n: how many. */
bool s3_abort_stale(struct s3 *s, struct slice prefix, int64_t before_ms, size_t *ret_n,
                    struct err *e);
/* A URL that anybody may use for so long. GET or PUT. */
bool s3_presign(struct s3 *s, struct slice method, struct slice key, uint32_t seconds,
                struct buf *to, struct err *e);

/* Is the bucket there, and may we read, write and delete? Writes, reads and deletes a small object.
 * `e` says what to do about it. For `dais doctor` and readiness. */
bool s3_check(struct s3 *s, struct err *e);
