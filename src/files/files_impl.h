/* The inside of files/: what a bucket is once compiled, its rows, and the sums of its quota. */
#pragma once
#include "files/files.h"

#include "base/base.h"

#include <pthread.h>
#include <stdatomic.h>

#define KEY_LEN 32 /* of those that sign links and hide cursors */

struct file_bucket {
    const struct bucket *conf;
    struct files *files;
    struct slice name;
    struct policy policy;
    const struct query *open; /* what strangers may read; NULL: nothing */
    bool has_choice;          /* `visibility: choice` */
    bool has_spaces;          /* `scope: user` */
    bool is_per_app;          /* its quota */
};

/* What a path was worth in the sums when somebody was about to write it: see files_reserve(). */
struct seen_use {
    uint64_t id;
    int64_t bytes;
};
#define SEEN_USES 256

struct reserved { /* by bucket and whose use is counted together */
    char *key;
    size_t key_len;
    int64_t bytes;
    unsigned n;
};

struct files {
    const struct manifest *manifest;
    struct db_slot *slot;
    struct db *_Atomic db;
    struct blob_store *store;
    files_is_in is_in;
    change_hook on_change; /* NULL: nobody is told */
    void *on_change_user;
    struct arena arena;
    struct file_bucket *buckets;
    size_t n_buckets;
    struct map by_name;
    unsigned char link_key[KEY_LEN], cursor_key[KEY_LEN];
    pthread_mutex_t lock; /* of what follows */
    struct map reserved;  /* of struct reserved */
    struct seen_use seen[SEEN_USES];
    struct files_order *order, own_order; /* tend.c; one thread at a time */
};

/* ---- row.c: rows of dais_files --------------------------------------------------------------- */

#define FILE_COLUMNS                                                                       \
    "f.bucket, f.space, f.path, f.owner, f.hash, f.size, f.type, f.is_public, f.version, " \
    "f.created,"                                                                           \
    " f.updated"
#define FILE_COLUMNS_N 11
enum { BLOB_FINE, BLOB_DAMAGED }; /* dais_blobs.state */

/* Of the statement's present row, whose first columns are FILE_COLUMNS; borrowed from it. */
void file_borrow(const struct db_stmt *s, struct file *ret);
/* Makes a borrowed one the arena's, with its etag and whether it is open. */
void file_own(struct file *f, const struct file_bucket *b, struct arena *a);
/* With the blob's key. DB_END: there is none. */
enum db_step file_find(struct db_conn *c, const struct file_place *at, struct arena *a,
                       struct file *ret, struct err *e);
/* Does what authorize() left hold for this file? `public` counts where the bucket lets choose. */
bool file_matches(const struct query *rows, const struct file_bucket *b, const struct file *f);
/* The id of `owner = '…'`, when that is all that is left of a rule; NULL: it is another. */
const struct json *rows_of_owner(const struct query *rows);
void file_write(struct json_writer *w, const struct file *f); /* the members of file_json() */
bool file_not_found(const struct file_place *at, struct err *e);

bool file_insert(struct db_conn *c, const struct file *f, struct err *e);
bool file_update(struct db_conn *c, const struct file_place *at, const struct file *f,
                 struct err *e); /* the one at `at`, which may be another path */
bool file_remove(struct db_conn *c, const struct file_place *at, struct err *e);

/* ---- blobs.c: rows of dais_blobs, in a write ------------------------------------------------- */

/* A file is about to name p->hash: *ret_key is where its bytes are, p->key or that of before. */
bool blob_row_take(struct db_conn *c, struct file_put *p, struct slice *ret_key, struct err *e);
/* A file has ceased to name it. */
bool blob_row_let_go(struct db_conn *c, struct files *f, struct slice hash, struct err *e);

/* ---- use.c ----------------------------------------------------------------------------------- */

/* Of a row that may be damaged, at most 1024 TB: no sum of them is larger than a number can be. */
#define FILES_SIZE "CASE WHEN size BETWEEN 0 AND 1125899906842624 THEN size ELSE 0 END"

struct file_use {
    int64_t bytes, files;
};
/* Of whoever is counted together with `owner`. */
bool use_read(struct db_conn *c, const struct file_bucket *b, struct slice owner,
              struct file_use *ret, struct err *e);
bool use_add(struct db_conn *c, struct slice bucket, struct slice owner, int64_t bytes,
             int64_t files, struct err *e);
/* `bytes` are used, `more` come (fewer: negative). Pure. */
bool use_allows(const struct file_bucket *b, int64_t bytes, int64_t more, struct err *e);
/* What is reserved by others; and what is used without what is at this place now, for
 * files_reserve(). */
int64_t use_reserved(struct files *f, const struct file_bucket *b, struct slice owner);
void use_saw(struct files *f, const struct file_place *at, struct slice owner, int64_t bytes);

/* ---- cursor.c: where a list goes on ---------------------------------------------------------- */

/* A list may stop at a file that its reader may not see: so the place is not only vouched for, but
 * hidden. Good for the same bucket, space, prefix and shape. */
void file_cursor_add(struct buf *to, const struct files_query *q, struct slice from);
bool file_cursor_read(const struct files_query *q, struct arena *a, struct slice *ret_from,
                      struct err *e);

/* ---- tell.c: who follows changes is told of each, inside its write ----------------------------
 */

/* `who` NULL: its owner leaves. Also when there is nobody to tell. False: the write is refused.
 */
bool tell_file(const struct files *f, struct db_conn *c, enum change_kind kind,
               const struct file_bucket *b, const struct file *file, const struct subject *who,
               struct err *e);
/* ---- put.c: what those who change are told, too; all false ----------------------------------- */

bool put_is_forbidden(const struct file_bucket *b, struct err *e);
bool put_is_not_chosen(const struct file_bucket *b, struct err *e); /* of `public` */

/* ---- shared ---------------------------------------------------------------------------------- */

/* Numbers and lengths first, so that no two lists of parts are the same bytes. */
void mac_of(const unsigned char key[KEY_LEN], const struct slice *parts, size_t n,
            unsigned char to[KEY_LEN]);
bool mac_is(const unsigned char *a,
            const unsigned char *b); /* in the same time wherever they differ */
/* Inside a write. */
bool still_in(const struct files *f, const struct subject *who, struct db_conn *c, struct err *e);
/* In the arena. */
struct slice file_now(struct arena *a);
/* Whose a new file at this place is. */
struct slice file_owner_of(const struct file_place *at, const struct subject *who);
