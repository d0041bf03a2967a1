/* Blobs: the bytes of files, kept once each under the hash of their content, in a folder or in an
 * object store, and verified by that hash.
 *
 *   blob_store   one app's blobs; shared by all threads
 *   blob_draft   bytes that come in: a temporary file, hashed while it grows
 *   blob key     where a blob is: its hash and random letters. A key is never used twice, so that
 *                who removes one can never remove a later blob of the same content.
 *
 * Which blobs there are, and which of them anybody needs, is told by rows of a database that belong
 * to others (files/): a blob is written before its row and removed after it.
 *
 * In a folder: DIR/blobs/ab/abcd…-r4nd0m, DIR/drafts/. In an object store the keys are the same,
 * and DIR/cache/ holds what was read or written lately, in blocks of BLOB_BLOCK bytes, so that the
 * same file is not fetched twice and a long one can be sent while the next block comes.
 *
 * What says so blocks on the disk or on the network: it belongs on LANE_STORE or in a command.
 * Failures: ERR_UNAVAILABLE (the object store does not answer), ERR_FULL (the disk is; nothing is
 * written into the last free_min bytes), ERR_DAMAGED (it is not what was stored), ERR_NOT_FOUND,
 * ERR_IO. An object store has said ERR_DAMAGED and ERR_NOT_FOUND twice, with half a second between
 * them: what it said once is believed by nobody. */
#pragma once
#include "base/list.h"
#include "base/random.h"
#include "base/sha256.h"
#include "s3/s3.h"

#define BLOB_HASH_LEN SHA256_HEX_LEN
#define BLOB_KEY_LEN  (BLOB_HASH_LEN + 1 + 12) /* hash-random */
#define BLOB_BLOCK    (8u << 20)

struct blob_store;

struct blob_options {
    const char *dir;    /* made if need be, 0700; drafts, and blobs or the cache */
    struct s3 *s3;      /* NULL: blobs are files below dir. The caller's; several stores share it */
    struct slice place; /* before every key in the bucket: "app/" */
    uint64_t free_min;  /* bytes of the disk that are never written; 0: 256 MB */
    uint64_t cache_max; /* bytes in the cache; 0: 1 GB */
    bool is_reader; /* of blob_verify() and blob_copy(), beside a server: a folder is not made */
};
/* Blocks a little (folders). NULL: e says what is wrong; ERR_NOT_FOUND: a reader's folder is not
 * there. */
struct blob_store *blob_store_new(const struct blob_options *o, struct err *e);
void blob_store_free(struct blob_store *s);
bool blob_store_is_remote(const struct blob_store *s);

struct blob_stats {
    uint64_t drafts_open, written_bytes, cache_hits, cache_misses, cache_bytes;
};
void blob_stats(struct blob_store *s, struct blob_stats *ret);
/* Can it write and read? Blocks. */
bool blob_ping(struct blob_store *s, struct err *e);

/* ---- bytes that come in: one thread at a time ------------------------------------------------ */

struct blob_draft {
    struct blob_store *store;
    int fd;
    char name[ID_LEN + 1]; /* in drafts/; "" : it has none (any more) */
    uint64_t size, flushed;
    bool is_direct, is_cached; /* written past the page cache just now; never (again) */
    struct sha256 sum;
    char hash[BLOB_HASH_LEN + 1]; /* once sealed */
    char key[BLOB_KEY_LEN + 1];   /* once sealed; the blob's when it is kept */
};
/* `size`: as announced, 0 when nobody knows; room for it must be there (ERR_FULL). Blocks. */
bool blob_draft_open(struct blob_draft *d, struct blob_store *s, uint64_t size, struct err *e);
bool blob_draft_add(struct blob_draft *d, struct slice bytes, struct err *e); /* blocks */
/* The two halves of that, which two threads may do at the same time: every byte takes both, and the
 * hash has them in their order. */
bool blob_draft_write(struct blob_draft *d, struct slice bytes, struct err *e); /* blocks */
void blob_draft_hash(struct blob_draft *d, struct slice bytes);
/* No more comes: hash and key are known. */
void blob_draft_seal(struct blob_draft *d);
/* The draft becomes the blob `key`, on stable storage when this returns: written, flushed, moved
 * to its place, and the folder flushed; or acknowledged by the object store. Blocks. */
bool blob_keep(struct blob_draft *d, const char *type, struct err *e);
/* Closes it without waiting for anything: what it has on the disk is for blob_clean(). */
void blob_draft_leave(struct blob_draft *d);
/* Nothing of it is left but what was kept; again is fine. */
void blob_draft_drop(struct blob_draft *d);

/* ---- reading --------------------------------------------------------------------------------- */

/* Where the bytes from `offset` on are. */
struct blob_piece {
    int fd;           /* the caller's to close */
    uint64_t at, len; /* in that file: the byte at `offset` and how many follow, all of them */
};
enum blob_found {
    BLOB_HERE,   /* *ret */
    BLOB_REMOTE, /* it has to be fetched: blob_fetch(), then again */
    BLOB_GONE    /* e: it is not there, or its size is another (ERR_DAMAGED) */
};
/* Opens without waiting for a network; on a loop or a lane. `size`: the whole's, as its row says.
 */
enum blob_found blob_find(struct blob_store *s, struct slice key, uint64_t size, uint64_t offset,
                          struct blob_piece *ret, struct err *e);
/* Brings the block of that offset into the cache. A blob of one block is checked by its hash.
 * Blocks, but never behind another who fetches the same block: an object that hangs holds the one
 * thread that asks for it, and whoever else wants it gives theirs back. */
enum blob_fetched { BLOB_FETCHED, BLOB_FETCH_FAILED, BLOB_FETCH_BUSY /* then blob_await() */ };
enum blob_fetched blob_fetch(struct blob_store *s, struct slice key, uint64_t size, uint64_t offset,
                             struct err *e);
struct blob_wait {
    struct list link;
    /* Once: it is there (code ERR_NONE), or why it is not. On the thread that fetched it, or inside
     * blob_await() when that was over by then: blob_find() says how it went. */
    void (*fn)(struct blob_wait *w, const struct err *why);
};
void blob_await(struct blob_store *s, struct slice key, uint64_t offset, struct blob_wait *w);

/* ---- keeping order: blocks ------------------------------------------------------------------- */

/* One that is not there is fine. */
bool blob_remove(struct blob_store *s, struct slice key, struct err *e);
/* Is it there, as long as it was? Asks the folder or the object store itself, and reads none of it.
 * ERR_DAMAGED, ERR_NOT_FOUND. */
bool blob_look(struct blob_store *s, struct slice key, uint64_t size, struct err *e);
/* Reads all of it again. ERR_DAMAGED: these are not its bytes. ERR_NOT_FOUND. */
bool blob_verify(struct blob_store *s, struct slice key, uint64_t size, struct err *e);
/* The same, and all of it into that file, from its present position on. Never from the cache. When
 * this fails, what is in the file from there on is of no use. */
struct blob_sink {
    int fd;
    bool (*goes_on)(const void *user, struct err *e); /* asked now and then; may be NULL */
    const void *user;
};
bool blob_copy(struct blob_store *s, struct slice key, uint64_t size, const struct blob_sink *to,
               struct err *e);
/* Moves it aside (DIR/damaged/, or the same name in the bucket), so that nobody is sent it. */
bool blob_quarantine(struct blob_store *s, struct slice key, struct err *e);

struct blob_item {
    struct slice key;
    uint64_t size;
    int64_t modified_ms;
};
/* What is stored, in some order, a page at a time: up to 1,000. `after`: the page before's
 * *ret_next; empty at first and, as *ret_next, at the end. */
bool blob_walk(struct blob_store *s, struct slice after, struct arena *a, struct blob_item **ret,
               size_t *ret_n, struct slice *ret_next, struct err *e);
/* Is this the store of the database that calls itself so? The first that asks has it; false with
 * fine: it is another's, or not surely ours yet. */
#define BLOB_OWNER_MAX 64
bool blob_claim(struct blob_store *s, struct slice id, bool *ret_is_ours, struct err *e);
/* All drafts go: for whoever has just opened the store and knows that nobody else uses it. */
bool blob_forget_drafts(struct blob_store *s, struct err *e);
/* Drafts that nobody has written to since then go, and multipart uploads. */
bool blob_clean(struct blob_store *s, int64_t before_ms, struct err *e);
