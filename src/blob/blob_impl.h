/* The inside of blob/: a store's folders, and which of the two places its blobs are in.
 *
 * The public functions are in store.c and draft.c; they ask local.c or remote.c, one of which has
 * what a store needs. Nothing of a cache (blocks.c) is ever the only copy. */
#pragma once
#include "blob/blob.h"

#include "base/list.h"
#include "base/map.h"

#include <pthread.h>
#include <stdatomic.h>

#define BLOB_FREE_MIN  (256ull << 20)
#define BLOB_CACHE_MAX (1ull << 30)
#define BLOB_NAME_MAX  128   /* of a file below a store's folder */
#define BLOB_SHELVES   256   /* folders of a store: the first two letters of its hashes */
#define BLOCKS_MAX     65536 /* in the cache: each costs memory and an inode, however short it is */

struct blocks {
    pthread_mutex_t lock;
    struct map by_name;                 /* of struct cached */
    struct list lately;                 /* the one used longest ago first */
    struct list by_shelf[BLOB_SHELVES]; /* in no order: a key's are found among few */
    struct list under_way;              /* of struct fetching */
    uint64_t bytes, n, hits, misses;
};

struct blob_store {
    char *dir;
    char *place;                               /* before every key in the bucket */
    int dir_fd, drafts_fd, blobs_fd, cache_fd; /* those it has no use for: -1 */
    struct s3 *s3;
    uint64_t free_min, cache_max;
    struct blocks cache;
    _Atomic bool shelf_is_safe[BLOB_SHELVES]; /* it is on the disk for good, as far as we saw */
    _Atomic uint64_t drafts_open, written_bytes;
};

/* ---- store.c --------------------------------------------------------------------------------- */

/* What errno means for who stores: a full disk, a quota, or something broken. Returns false. */
bool blob_failed(struct err *e, const char *what);
/* Is there room for so many more bytes, with free_min left? */
bool blob_has_room(const struct blob_store *s, uint64_t size, struct err *e);
unsigned blob_shelf(const char *key); /* below BLOB_SHELVES, by the first two letters */
bool blob_key_is_good(struct slice key);
bool blob_key_check(struct slice key, struct err *e); /* ERR_DAMAGED */
/* Is this the content that the key names? */
bool blob_sum_is(struct sha256 *sum, struct slice key);
/* Adds all of the file to the sum, and tells how long it is. */
bool blob_hash_more(int fd, struct sha256 *sum, uint64_t *ret_size, struct err *e);
/* The same, and into `to`, unless that is NULL. */
bool blob_copy_more(int fd, const struct blob_sink *to, struct sha256 *sum, uint64_t *ret_size,
                    struct err *e);

/* ---- local.c: blobs/ab/KEY ------------------------------------------------------------------- */

bool local_keep(struct blob_draft *d, struct err *e);
enum blob_found local_find(struct blob_store *s, struct slice key, uint64_t size, uint64_t offset,
                           struct blob_piece *ret, struct err *e);
bool local_remove(struct blob_store *s, struct slice key, struct err *e);
bool local_look(struct blob_store *s, struct slice key, uint64_t size, struct err *e);
/* Reads all of it, into `to` unless that is NULL. */
bool local_verify(struct blob_store *s, struct slice key, uint64_t size, const struct blob_sink *to,
                  struct err *e);
bool local_quarantine(struct blob_store *s, struct slice key, struct err *e);
bool local_walk(struct blob_store *s, struct slice after, struct arena *a, struct blob_item **ret,
                size_t *ret_n, struct slice *ret_next, struct err *e);

/* ---- remote.c: the object store -------------------------------------------------------------- */

bool remote_keep(struct blob_draft *d, const char *type, struct err *e);
enum blob_found remote_find(struct blob_store *s, struct slice key, uint64_t size, uint64_t offset,
                            struct blob_piece *ret, struct err *e);
enum blob_fetched remote_fetch(struct blob_store *s, struct slice key, uint64_t size,
                               uint64_t offset, struct err *e);
bool remote_remove(struct blob_store *s, struct slice key, struct err *e);
bool remote_look(struct blob_store *s, struct slice key, uint64_t size, struct err *e);
/* Reads all of it, into `to` unless that is NULL. */
bool remote_verify(struct blob_store *s, struct slice key, uint64_t size,
                   const struct blob_sink *to, struct err *e);
bool remote_walk(struct blob_store *s, struct slice after, struct arena *a, struct blob_item **ret,
                 size_t *ret_n, struct slice *ret_next, struct err *e);
bool remote_ping(struct blob_store *s, struct err *e);
bool remote_clean(struct blob_store *s, int64_t before_ms, struct err *e);

/* ---- blocks.c: blocks of objects ------------------------------------------------------------- */

bool blocks_open(struct blob_store *s, struct err *e); /* finds what an earlier process left */
void blocks_done(struct blob_store *s);
/* A descriptor of the block, to be closed by the caller; -1: it is not there. */
int blocks_find(struct blob_store *s, struct slice key, uint64_t block);
/* drafts/DRAFT becomes that block; what was used longest ago makes room. */
void blocks_take(struct blob_store *s, const char *draft, struct slice key, uint64_t block,
                 uint64_t size);
/* All blocks of it. */
void blocks_drop(struct blob_store *s, struct slice key);
struct fetching;
/* This thread is to fetch it and calls blocks_end_fetch(), with why it failed or NULL. Returns NULL
 * when it is there by now, or *ret_busy: another one fetches it. */
struct fetching *blocks_begin_fetch(struct blob_store *s, struct slice key, uint64_t block,
                                    bool *ret_busy);
void blocks_await(struct blob_store *s, struct slice key, uint64_t block, struct blob_wait *w);
void blocks_end_fetch(struct blob_store *s, struct fetching *f, const struct err *why);
