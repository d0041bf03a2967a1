/* What the files of keep/ share: entries as JSON, lines of rows, the packed file, contents. */
#pragma once
#include "keep/keep.h"

#include "base/buf.h"
#include "base/json.h"
#include "base/map.h"

#define KEEP_SHELVES 256 /* folders below contents/: the first two letters of hashes */

struct keep {
    char *path;                      /* for messages */
    int fd, lock_fd;                 /* lock_fd -1: a reader */
    int contents_fd;                 /* -1: not there (a reader's) */
    bool shelf_is_new[KEEP_SHELVES]; /* has what the next entry needs: keep_put() flushes it */
};

/* False: it is to stop, ERR_UNAVAILABLE. `to` may be NULL, here and below. */
bool keep_goes_on(const struct keep_hearer *to, struct err *e);
void keep_tell_lost(const struct keep_hearer *to, struct slice hash, const struct err *why);

/* ---- entry.c (pure) -------------------------------------------------------------------------- */

void keep_name_make(int64_t made_ms, char to[KEEP_NAME_LEN + 1]); /* with random letters */
bool keep_name_check(struct slice name);                          /* no path can be one */
int64_t keep_name_ms(struct slice name);                          /* the second in a good name */
bool keep_hash_check(struct slice hash);                          /* SHA-256 in lower-case hex */
/* Into an empty one. */
void keep_entry_write(const struct keep_entry *entry, struct buf *to);
/* The end of an object that is not closed yet: a digest of all before it. */
void keep_entry_seal(struct buf *to);
/* Of `name`, whose text this is; every number and hash is checked. ERR_DAMAGED says what is wrong;
 * ERR_USAGE: a newer dais made it. */
bool keep_entry_read(struct slice name, struct slice text, struct arena *a, struct keep_entry *ret,
                     struct err *e);

/* ---- lines.c (pure): rows as lines of JSON ---------------------------------------------------- *
 *
 *   {"table":"dais_files","columns":["bucket","size","blob"],"kinds":"tib"}   t text, i number, b
 * bytes
 *   ["uploads",12,{"b":"base64url"}]                                          null is null
 *   {"end":"dais_files","rows":1}
 *   {"tables":1,"rows":1}                                                      the last line
 *
 * dais_blobs is the first table, so that who wants to know the contents reads no further. A text
 * that is no UTF-8 is written like bytes: what a database let in comes back as it was. */

#define KEEP_COLUMNS_MAX 64
#define KEEP_LINE_MAX    (96u << 20) /* of a row: a document is 8 MB, escaped at worst six times */

enum keep_kind { KIND_TEXT = 't', KIND_NUMBER = 'i', KIND_BYTES = 'b' };
struct keep_column {
    struct slice name;
    enum keep_kind kind;
};
struct keep_table {
    struct slice name;
    struct keep_column columns[KEEP_COLUMNS_MAX];
    size_t n;
};
struct keep_cell {
    bool is_null;
    int64_t number;
    struct slice bytes; /* of a text too */
};
/* Of a table or column: [a-z][a-z0-9_]*, up to 63; others cannot be kept. */
bool keep_word_check(struct slice name);
/* They end in a line feed. `to->full` says that it was too long. */
void keep_line_table(struct buf *to, const struct keep_table *t);
void keep_line_row(struct buf *to, const struct keep_table *t, const struct keep_cell *cells);
void keep_line_end(struct buf *to, struct slice table, uint64_t rows);
void keep_line_last(struct buf *to, uint64_t tables, uint64_t rows);

/* Reads them in their order and refuses any other, names that are no names of tables and columns,
 * a table that comes twice, cells of another kind, counts that do not fit, what follows the last
 * line. ERR_DAMAGED with the number of the line. Whoever has no more lines looks at is_over. */
enum keep_line { LINE_TABLE, LINE_ROW, LINE_END, LINE_LAST };
struct keep_reader {
    struct keep_table table; /* the present one; in memory of the reader */
    struct keep_cell cells[KEEP_COLUMNS_MAX];
    uint64_t line, rows, all_rows, tables;
    bool is_in_table, is_over;
    struct arena names, row; /* of the table; of the line */
    struct map seen;         /* tables */
    struct arena seen_names;
};
void keep_reader_init(struct keep_reader *r);
void keep_reader_done(struct keep_reader *r);
bool keep_reader_line(struct keep_reader *r, struct slice line, enum keep_line *ret, struct err *e);

/* ---- pack.c: the packed file ------------------------------------------------------------------
 */

struct pack_out; /* gzip and SHA-256 of what is packed, on the way to a file */
struct pack_out *pack_out_new(int fd); /* the caller's */
bool pack_out_add(struct pack_out *p, struct slice bytes, struct err *e);
/* Written and flushed to the disk; its size and hash. */
bool pack_out_end(struct pack_out *p, uint64_t *ret_bytes, char hash[SHA256_HEX_LEN + 1],
                  struct err *e);
void pack_out_free(struct pack_out *p); /* NULL is fine */

struct pack_in;
struct pack_in *pack_in_new(int fd); /* the caller's; read from its start, wherever it is */
/* The next line without its end; *ret_has false: that was all. ERR_DAMAGED: no gzip, cut off, more
 * behind its end, a line longer than KEEP_LINE_MAX. Valid until the next. */
bool pack_in_line(struct pack_in *p, struct slice *ret, bool *ret_has, struct err *e);
/* After the last line: of all that was packed. */
void pack_in_hash(struct pack_in *p, uint64_t *ret_bytes, char hash[SHA256_HEX_LEN + 1]);
void pack_in_free(struct pack_in *p); /* NULL is fine */

/* ---- folder.c ---------------------------------------------------------------------------------
 */

/* By errno; false. `k` may be NULL. */
bool keep_failed(const struct keep *k, const char *doing, struct err *e);
/* Is there room for so many more bytes where that file is, with KEEP_FREE_MIN left? ERR_FULL. `k`
 * may be NULL. */
#define KEEP_FREE_MIN (256ull << 20)
bool keep_has_room(const struct keep *k, int fd, uint64_t size, struct err *e);
/* For a moment, a reader's too: what is closed afterwards; -1: somebody else writes. */
int keep_borrow_lock(struct keep *k);
/* NAME.jsonl.gz, to read or to write anew; ERR_NOT_FOUND. -1: e. Without an entry, keep_tidy() of
 * the next one removes it. */
int keep_open_rows(struct keep *k, const char *name, bool is_new, struct err *e);
bool keep_has(struct keep *k, const char *name); /* is its entry there, whatever is in it? */
/* The entry is there from now on, after a power cut too. */
bool keep_put(struct keep *k, const struct keep_entry *entry, struct err *e);
bool keep_drop(struct keep *k, const char *name,
               struct err *e);  /* the entry first, then its rows */
void keep_tidy(struct keep *k); /* what earlier ones that were killed left; a writer's */

/* ---- contents.c -------------------------------------------------------------------------------
 */

void contents_tidy(struct keep *k); /* drafts go */
/* Is it there with that size? */
bool content_has(struct keep *k, struct slice hash, uint64_t size);
/* Copies it from the store, checked by its hash: ERR_NOT_FOUND, ERR_DAMAGED: of the store. A long
 * one asks on its way whether it goes on. */
bool content_take(struct keep *k, struct blob_store *from, struct slice key, struct slice hash,
                  uint64_t size, const struct keep_hearer *to, struct err *e);
/* ERR_NOT_FOUND, ERR_DAMAGED: of the backup. */
bool content_verify(struct keep *k, struct slice hash, uint64_t size, struct err *e);
/* Whose bytes are not those of its hash is no more in the way of content_take(); it is still what
 * content_verify() and content_give() look at, as long as there is no other. False: it is. */
bool content_set_aside(struct keep *k, struct slice hash);
/* Into the store: kept under a new key. The type is not known here. */
bool content_give(struct keep *k, struct blob_store *to, struct slice hash, uint64_t size,
                  char key[BLOB_KEY_LEN + 1], struct err *e);
/* Removes those whose hash `is_needed` does not know. */
bool contents_sweep(struct keep *k, bool (*is_needed)(void *user, struct slice hash), void *user,
                    struct err *e);

/* ---- dump.c, load.c: between a database and the packed file -----------------------------------
 */

#define KEEP_BLOBS "dais_blobs"
bool keep_list_has(const char *list, struct slice word); /* words with blanks between them */
/* The family that a table belongs to, or NULL. */
const struct keep_family *keep_family_of(const struct keep_tables *tables, struct slice table);

/* All tables as of one moment, in *entry: steps, counts, size and hash of the rows; its contents
 * are not counted yet. */
bool keep_dump(const struct keep_source *from, struct db *db, int fd, const struct keep_hearer *to,
               struct arena *a, struct keep_entry *entry, struct err *e);
/* Into a database that was made with the entry's steps and holds nothing; ERR_DAMAGED also when the
 * rows are not those of the entry. `place` says where a content is now, row by row of dais_blobs,
 * before any other; *ret_lost: nowhere. NULL: rows stay as they are. */
struct keep_placing {
    bool (*place)(void *user, struct slice hash, uint64_t size, struct slice key,
                  char to[BLOB_KEY_LEN + 1], bool *ret_lost, struct err *e);
    void *user;
};
bool keep_load(const struct keep_tables *tables, struct db *db, int fd,
               const struct keep_entry *entry, const struct keep_placing *placing,
               const struct keep_hearer *to, struct err *e);

/* ---- named.c ----------------------------------------------------------------------------------
 */

/* Calls `fn` for each content that a packed file names and somebody needs (loose_at is null); stops
 * reading after that table. False: `fn` said so, or ERR_DAMAGED. */
bool keep_each_content(int fd,
                       bool (*fn)(void *user, struct slice hash, struct slice key, uint64_t size,
                                  struct err *e),
                       void *user, struct err *e);
