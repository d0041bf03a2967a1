/* Files of an app: buckets of paths, each path a row that names a blob. One room for all doors:
 * names, types, quotas, who may do what, signed links, and what becomes of blobs that nobody names
 * any more.
 *
 *   files           an app's buckets as one reading of the manifest has them; read-only, shared
 *   file_bucket     one of them: its policy, types, quota
 *   file_place      bucket, space and path: what a request names. In a bucket of `scope: user` each
 *                   account has a space of its own, named by its id; elsewhere the space is empty
 *   file            a row: what is there
 *   file_put        one file on its way in: asked for, received, written
 *
 * Rules see a file as a document with the fields bucket, path, size, type, owner, public, created
 * and updated. Every read and change goes through authorize(), here and nowhere above. What a
 * subject may not see is told like what is not there; a path that is taken by what one may not
 * change is ERR_EXISTS.
 *
 * A blob is written before its row, and a row is removed before its blob: at any instant each row
 * has its blob. Both databases hold the same tables:
 *
 *   dais_files     (bucket, space, path) -> hash, size, type, owner, is_public, version, times
 *   dais_blobs     hash -> key, size, loose_at (since when no file names it; null: some do), state
 *   dais_file_use  (bucket, owner) -> bytes, files: the sums that quotas are held against
 *
 * A file is owned by whoever stored it first; in a bucket of `scope: user` by whose space it is in,
 * and there only who may write in another's space may begin a file in it. */
#pragma once
#include "auth/auth.h"
#include "blob/blob.h"
#include "db/db.h"
#include "db/slot.h"
#include "journal/journal.h"
#include "journal/journal.h"
#include "manifest/manifest.h"

#define FILE_PATH_MAX    1024 /* bytes */
#define FILE_NAME_MAX    255  /* of one segment */
#define FILE_LIMIT       30   /* of a list */
#define FILE_LIMIT_MAX   1000
#define FILE_SNIFF_BYTES 1024                    /* what the type is told from */
#define FILES_GRACE_MS   (60 * 60 * 1000LL)      /* a blob that no row names is kept so long */
#define FILES_ORPHAN_MS  (24 * 60 * 60 * 1000LL) /* and one that has no row of its own */

extern const struct db_migration files_migration;

/* ---- an app's buckets ------------------------------------------------------------------------ */

struct files;
struct file_bucket;

/* Compiles rules; what is wrong is added to the problems, with its place. Never NULL. */
struct files *files_new(const struct manifest *m, struct problems *p); /* m outlives it */
/* Before anybody is in it: where rows and blobs are; `secret` signs links. */
void files_attach(struct files *f, struct db_slot *slot, struct blob_store *store,
                  struct slice secret);
/* Asked in every write of somebody's files, in its transaction: is the session or key that asks
 * still there, and of a link (is_of_link) the account? NULL, as at first: always. */
typedef bool (*files_is_in)(struct db_conn *c, const struct identity *who, struct err *e);
void files_guard(struct files *f, files_is_in is_in);
void files_free(struct files *f); /* NULL is fine; nobody may be in it */

const struct file_bucket *files_find(const struct files *f, struct slice name); /* NULL: none */
/* Told of every change of a file; the text is file_json(), empty where whoever did it may not read
 * the file (and did not just create it), and when it goes with its owner. One that gets another
 * path is deleted and created. Before anybody is in it. */
void files_on_change(struct files *f, change_hook fn, void *user);
size_t files_count(const struct files *f);
const struct file_bucket *files_at(const struct files *f, size_t i); /* in the manifest's order */
const struct bucket *file_bucket_conf(const struct file_bucket *b);
struct blob_store *files_store(const struct files *f);

/* As docs_enter() and its like. */
bool files_enter(struct files *f);
bool files_open(struct files *f, struct err *e); /* blocks */
void files_leave(struct files *f);
struct db *files_db(const struct files *f);

/* ---- names and types (pure) ------------------------------------------------------------------ */

struct file_place {
    const struct file_bucket *bucket;
    struct slice space, path;
};
/* May this be a file's path? UTF-8 of 1 to FILE_PATH_MAX bytes; segments of 1 to FILE_NAME_MAX, no
 * "." nor ".."; no backslash, no control characters, none that turn the direction of text. */
bool file_path_check(struct slice path, struct err *e);
/* The place that a request names. `user`: whose space it asks for, empty: the caller's own. An
 * empty path is let through: a list has none. */
bool file_place_of(struct files *f, const struct subject *who, struct slice bucket,
                   struct slice user, struct slice path, struct file_place *ret, struct err *e);
/* The media type that these first bytes are, whatever anybody says; `said` (may be empty) and the
 * path's extension decide among those that bytes cannot tell (text, office documents). Never
 * empty; without parameters, lower case. `said` itself, or static. */
struct slice file_sniff(struct slice first, struct slice said, struct slice path);
/* May it be shown inside a page of the app's origin (images but SVG, audio, video, plain text)?
 * Everything else is sent as an attachment. */
bool file_type_is_passive(struct slice type);
/* ERR_BODY_TOO_LARGE, with how much a file may have there. False. */
bool file_too_large(const struct file_bucket *b, struct err *e);
/* Does the bucket take this type? ERR_MEDIA_TYPE says which it takes. */
bool file_type_check(const struct file_bucket *b, struct slice type, struct err *e);

/* ---- reading --------------------------------------------------------------------------------- */

struct file {
    struct slice bucket, space, path, type, owner;
    struct slice created, updated; /* RFC 3339 */
    struct slice hash, key;        /* of the blob */
    struct slice etag;             /* with its quotes */
    uint64_t size;
    int64_t version;
    bool is_public;  /* whoever wrote it says so, where the bucket lets them choose */
    bool is_open;    /* strangers may read it: shared caches may keep it */
    bool is_damaged; /* the blob is: ERR_DAMAGED for who wants its bytes */
};

struct files_reading {
    struct files *files;
    struct db_conn *conn;
    struct arena *arena; /* what is returned lives here */
    const struct subject *who;
    bool is_on_loop; /* nothing may take long: ERR_OVER_BUDGET means again, on a lane */
};

/* ERR_NOT_FOUND: absent, or not for this subject. */
bool files_get(const struct files_reading *r, const struct file_place *at, struct file *ret,
               struct err *e);
/* {"path","size","type","etag","owner","public","created","updated"} */
void file_json(struct buf *to, const struct file *f);

struct files_query {
    const struct file_bucket *bucket;
    struct slice space, prefix, after; /* after: opaque */
    uint32_t limit;                    /* 0: FILE_LIMIT */
    bool is_folders; /* delimiter=/: what is deeper is told as a folder, once: {"path":"a/"} */
};
/* Adds {"items":[…],"next":…}. One index range; what the subject may not see is skipped, within a
 * bound: a page may have fewer items than its limit, `next` says whether there are more. */
bool files_list(const struct files_reading *r, const struct files_query *q, struct buf *to,
                struct err *e);

/* ---- changing -------------------------------------------------------------------------------- */

struct file_put {
    /* asked for; lives in `arena` */
    struct files *files;
    const struct subject *who;
    struct arena *arena;
    struct file_place at;
    struct slice said;                    /* Content-Type, without parameters; may be empty */
    struct slice if_match, if_none_match; /* as sent */
    int64_t size;       /* as announced, -1: nobody knows; by files_put_apply() as received */
    int is_public;      /* 1, 0; -1: as it was, at first not */
    struct slice owner; /* whose quota it is held against, as files_put_may() found it */
    /* received: by whoever receives it, before files_put_apply() */
    struct slice hash, key, type;
    /* the outcome */
    struct file file;
    bool is_created;
    bool uses_other; /* the same content was there already: the new blob is not needed */
};

/* Before the body: may they, is there room (type as said, size as announced, quota)? On any thread
 * with a reader. What can be said now is said now; the write asks everything again.
 * ERR_MEDIA_TYPE, ERR_BODY_TOO_LARGE, ERR_QUOTA, ERR_EXISTS, ERR_STALE, … */
bool files_put_may(const struct files_reading *r, struct file_put *p, struct err *e);
/* The same for a form, whose paths come later: may they put anything there at all? Pure. */
bool files_form_may(const struct subject *who, const struct file_place *at, struct arena *a,
                    struct err *e);
/* And of so many bytes, as announced: is there room for all of them beside what is there? `at` has
 * no path. Then files_reserve() with *ret_owner, whose they are counted as; files that replace some
 * need less in the end, which nobody knows yet. ERR_QUOTA. */
bool files_form_fits(const struct files_reading *r, const struct file_place *at, int64_t size,
                     struct slice *ret_owner, struct err *e);
/* Are the bytes of these owners held against one quota there? Pure. */
bool files_share_quota(const struct file_bucket *b, struct slice one, struct slice other);
/* While uploads are under way, their announced sizes count too, so that many at once are refused
 * before their bodies; undone by files_release() with the same values. After files_put_may() for
 * the same place; `owner`: the put's. False: ERR_QUOTA. */
bool files_reserve(struct files *f, const struct file_place *at, struct slice owner, int64_t size,
                   struct err *e);
void files_release(struct files *f, const struct file_place *at, struct slice owner, int64_t size);

/* Inside a db_write's run; may run again from the start. All of `puts` or none (e says which with
 * *ret_failed). */
bool files_put_apply(struct file_put *puts, size_t n, size_t *ret_failed, struct db_conn *c,
                     struct err *e);
/* After that write, for one that `uses_other`, before the new blob goes: is the other one there, as
 * long as it was? If not, its row names the new one from now on, and `uses_other` is false. False:
 * the row could not be changed; both blobs have to stay. In the database; blocks. */
bool files_put_confirm(struct file_put *p, struct err *e);
struct file_delete {
    struct files *files;
    const struct subject *who;
    struct arena *arena;
    struct file_place at;
    struct slice if_match;
};
bool files_delete_apply(struct file_delete *d, struct db_conn *c, struct err *e);
/* PATCH {"public":true,"path":"new/name"}: what is not given stays. */
struct file_change {
    struct files *files;
    const struct subject *who;
    struct arena *arena;
    struct file_place at;
    struct slice if_match;
    struct slice to_path; /* empty: stays */
    int is_public;        /* -1: stays */
    struct file file;     /* the outcome */
};
bool files_change_apply(struct file_change *ch, struct db_conn *c, struct err *e);

/* ---- signed links (pure but for the key) ----------------------------------------------------- */

#define FILES_LINK_MS_MAX (7 * 24 * 60 * 60 * 1000LL)
struct file_link {
    struct file_place at;
    enum http_method method; /* GET (and HEAD) or PUT */
    int64_t until_ms;
    struct slice by; /* whoever made it: it shows what they may see when it is used */
};
/* Adds "exp=…&by=…&method=…&sig=…". */
void file_link_sign(const struct files *f, const struct file_link *l, struct buf *to);
/* Of a query with `sig`. ERR_FORBIDDEN: it is another file's, method's, app's; it is over; or it is
 * none of ours. All of it in constant time. */
bool file_link_read(const struct files *f, const struct file_place *at, enum http_method method,
                    struct slice query, int64_t now_ms, struct arena *a, struct file_link *ret,
                    struct err *e);

/* ---- usage, people who leave, order ---------------------------------------------------------- */

/* Adds the member of GET /api/usage that is about files, of the buckets that the subject may use:
 * "files":{"uploads":{"bytes","files","limit" (or null),"per":"user"|"app"},…} */
bool files_usage(const struct files_reading *r, struct buf *to, struct err *e);

/* As docs_purge_owner() and docs_adopt_owner(). */
bool files_purge_owner(struct files *f, struct slice user, bool *ret_more, struct err *e);
bool files_adopt_owner(struct files *f, struct slice from, struct slice to, bool *ret_more,
                       struct err *e);
/* All files of an owner, for the export of one's own data: {"file":{"bucket","path",…}} as JSON
 * lines. */
bool files_export_owner(const struct files_reading *r, struct slice owner, struct slice after,
                        struct buf *to, struct slice *ret_next, struct err *e);

/* When what is due, and how far it came: outlives a reading of the manifest, so that the daily work
 * goes on where the reading before was. */
struct files_order {
    _Atomic bool has_loose; /* there may be loose blobs, so the database is opened for them */
    int64_t sweep_ms, walk_ms;
    unsigned n_failed; /* walks, one after the other */
    char walked[1200]; /* where the walk over all blobs goes on: a key, with its place */
};
/* Before the first files_tend(), and before anybody is in it. NULL, as at first: one of its own. */
void files_keep_order(struct files *f, struct files_order *o);
/* One thread at a time; cheap when nothing is due. One bit of the daily work: blobs that were loose
 * for longer than the grace lose their row, then their bytes; bytes without a row that are old go;
 * drafts too. True: there is more at once. What fails is tried again later and later, and a walk
 * from where it failed. */
bool files_tend(struct files *f, int64_t now_ms);
/* This blob is not what it was: told as an event, never sent, until the same content comes again.
 * False: it could not be marked or set aside, which the log says. */
bool files_damaged(struct files *f, struct slice hash, struct slice key, const struct err *why);

/* Reads the blob again, for a command that found it damaged: it is marked as that and set aside, or
 * a mark that does not hold any more is taken off. In the database; blocks. */
enum files_recheck { FILES_NOTHING, FILES_SET_ASIDE, FILES_MENDED };
bool files_recheck(struct files *f, struct slice key, enum files_recheck *ret, struct err *e);

/* The sums that quotas are held against, added up anew. In the database; blocks. */
bool files_recount(struct files *f, struct err *e);

/* One for each file that names the blob. */
struct files_finding {
    struct slice hash, key;           /* key empty: it is about the row */
    struct slice bucket, space, path; /* path empty: no file names it, or it is about a sum */
    struct slice message;
    enum err_code code; /* ERR_DAMAGED, ERR_NOT_FOUND, ERR_IO (unreadable); ERR_NONE: fine again */
    bool is_known;      /* marked as damaged already */
};
struct files_verdict {
    uint64_t files, blobs, bytes, damaged, missing, unreadable, mended, unneeded;
};
struct files_hearer {
    void (*finding)(void *user, const struct files_finding *f);
    void (*progress)(void *user, const struct files_verdict *so_far, uint64_t blobs_all);
    bool (*should_stop)(void *user);
    void *user;
};
/* Hashes every blob again, and looks whether rows fit each other. Reads only, also beside a server;
 * blocks. store NULL: its folder is not there. False: it could not be read. */
bool files_verify(struct blob_store *store, struct db *db, const struct files_hearer *to,
                  struct files_verdict *ret, struct err *e);
