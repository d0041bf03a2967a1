/* Backups of an app: its rows and the bytes of its files, made while it serves, kept in a folder,
 * verified, and brought back into either database and either store.
 *
 *   keep          a folder of backups of one app, TO/APP
 *   keep_entry    one of them: what its NAME.json says
 *   keep_source   what is backed up: a database and a blob store, as an app has them
 *   keep_target   where it is brought back to
 *
 * In the folder:
 *
 *   NAME.jsonl.gz       every row, as the database was at one moment: lines of JSON, gzip
 *   NAME.json           what is in that, its SHA-256, when and by whom it was made. Written last:
 *                       without it there is no backup. Its own end is "digest", the SHA-256 of all
 *                       bytes before that member and its comma
 *   contents/ab/HASH    the bytes of files by their SHA-256, shared by all backups of the folder,
 *                       so that the next one copies only what is new
 *   contents/ab/HASH.damaged
 *                       one that keep_verify() has set aside: it is in nobody's way
 *   lock                held by whoever writes to the folder
 *
 * NAME is the time in UTC and random letters, 20261122T030000Z-k3v9. Nothing in a folder depends on
 * the database it came from: rows are lists of texts, numbers and bytes by the names of their
 * columns. Of tables whose columns follow from other columns (collections: keys of indexes, words)
 * only those are kept that do not (struct keep_family); what follows is made anew by the app.
 *
 * What is not in a backup: the secret and the store of secrets (an entry says the mark of the one
 * it belongs to), sessions and letters' links (who signed out stays so; everybody signs in again),
 * letters that wait (they would be sent twice), counters of limits, and folders of `persist`.
 *
 * A backup never keeps the app from writing: it reads one snapshot through a connection of its own.
 * Contents are copied after the rows. A content that went meanwhile (its file was deleted, and an
 * hour has passed) makes it begin again, with what was copied already in place.
 *
 * All of it blocks: in a command, or on LANE_JOB. Failures: ERR_LOCKED (somebody else writes to the
 * folder), ERR_FULL, ERR_DAMAGED (with what, by name), ERR_NOT_FOUND, ERR_UNAVAILABLE, ERR_USAGE
 * (what the one who asked can change), ERR_IO. */
#pragma once
#include "blob/blob.h"
#include "db/db.h"

#define KEEP_FORMAT   1
#define KEEP_NAME_LEN 21 /* 20261122T030000Z-k3v9 */

/* ---- the folder ------------------------------------------------------------------------------ */

struct keep;
/* is_writer: it is made where it is not there, nobody else may look into it (0700), and it is
 * locked until keep_close(). A reader's
 * that is not there is ERR_NOT_FOUND. */
struct keep *keep_open(const char *dir, bool is_writer, struct err *e);
void keep_close(struct keep *k); /* NULL is fine */

struct keep_entry {
    char name[KEEP_NAME_LEN + 1];
    struct slice app, made_by; /* the slug; "dais 0.1.0" */
    int64_t made_ms;           /* the moment the rows are of */
    bool is_sqlite;            /* where they came from; for people */
    bool is_of_restore;        /* what a restore was about to replace */
    const struct slice *steps; /* names of the migrations its tables had, in order */
    size_t n_steps;
    uint64_t tables, rows, rows_bytes;    /* bytes: of the gzip file */
    char rows_hash[SHA256_HEX_LEN + 1];   /* of the gzip file */
    uint64_t contents, content_bytes;     /* that its files need */
    uint64_t lost;                        /* of those, missing or damaged when it was made */
    uint64_t copied;                      /* of those, new in the folder: of one just made */
    char secret_mark[SHA256_HEX_LEN + 1]; /* "": nobody said */
    /* "": NAME.json can be read, and the rows are there with their size; else only name is set, and
     * made_ms as it says */
    char why_damaged[200];
};
/* The newest first, in the arena. One that cannot be read is listed as that. */
bool keep_list(struct keep *k, struct arena *a, struct keep_entry **ret, size_t *ret_n,
               struct err *e);
/* Made by a clock that was ahead: more than an hour after now. (pure) */
bool keep_is_of_future(const struct keep_entry *entry, int64_t now_ms);
/* By its name, or "latest": the newest, but one of the future or of a restore only when there is no
 * other; ERR_NOT_FOUND names the nearest, or says that there is none.
 * ERR_DAMAGED: it is there and cannot be read. */
bool keep_find(struct keep *k, struct slice name, struct arena *a, struct keep_entry *ret,
               struct err *e);

/* ---- which stay (pure) ----------------------------------------------------------------------- */

struct keep_rule {
    int64_t daily, weekly, monthly; /* days, ISO weeks and months (UTC) that have one */
};
/* Sets drop[i] for those that no day, week or month of the rule needs: of each the newest one
 * counts. The newest of all and those of the last day stay whatever the rule says; what is damaged,
 * or more than a day ahead of now, is never counted and never dropped. `entries` as keep_list()
 * gives them. */
void keep_choose(const struct keep_entry *entries, size_t n, const struct keep_rule *rule,
                 int64_t now_ms, bool *drop);

/* ---- making ---------------------------------------------------------------------------------- */

/* Tables whose name begins with `prefix`, of which only these columns are kept. */
struct keep_family {
    const char *prefix;  /* "c_" */
    const char *columns; /* "id version owner …", with blanks between them */
    /* Makes the (empty) table of that whole name, when it is brought back; ERR_DAMAGED: no such
     * table can be. */
    bool (*make)(struct db_conn *c, struct slice table, struct err *e);
};
struct keep_tables {
    const struct db_migration *steps; /* ends in one without a name */
    const struct keep_family *families;
    size_t n_families;
    const char *left_out; /* names of tables, with blanks between them */
    /* Inside the last write of bringing back: drops what the rows say of what was not kept. */
    bool (*settle)(struct db_conn *c, struct err *e);
};

struct keep_hearer { /* any may be NULL */
    void (*progress)(void *user, uint64_t rows, uint64_t contents, uint64_t contents_all);
    /* A content that is missing or damaged: of which file is for others to say. */
    void (*lost)(void *user, struct slice hash, const struct err *why);
    bool (*should_stop)(void *user);
    void *user;
};

struct keep_source {
    struct slice app, made_by;
    const struct db_options *db; /* opened anew, to read */
    struct blob_store *blobs;    /* NULL: it keeps no files */
    const struct keep_tables *tables;
    const char *secret_mark;
    bool is_of_restore;
};
/* *ret: in the arena. What is not there yet (no database) is ERR_NOT_FOUND. A stop or a failure
 * leaves no entry; contents that were copied stay for the next one. A content that is lost is told
 * and counted, and the backup is made all the same. */
bool keep_create(struct keep *k, const struct keep_source *from, const struct keep_hearer *to,
                 struct arena *a, struct keep_entry *ret, struct err *e);

/* Drops what the rule does not need (nothing of the future), then contents that no entry names any
 * more. *ret_n: entries that went. With an entry that cannot be read no content goes. */
bool keep_prune(struct keep *k, const struct keep_rule *rule, const struct keep_hearer *to,
                uint64_t *ret_n, struct err *e);

/* ---- reading --------------------------------------------------------------------------------- */

struct keep_verdict {
    uint64_t rows, contents, damaged, missing;
    uint64_t aside; /* of the damaged: contents that the next backup copies anew */
    /* The first thing that is wrong; "": nothing is. As many contents as were lost when it was made
     * may be missing: they are counted and told, and nothing is wrong for that. */
    char why[300];
};
/* Reads all of it again: the rows against the entry, every content against its hash (when the rows
 * are damaged, no content). False: it could not be looked at, or was stopped. What is damaged is
 * told in *ret, each content by `lost`, and set aside where nobody else writes to the folder and it
 * can be written: else the next backup would take it for what it was. Once nobody names it,
 * keep_prune() removes it. */
bool keep_verify(struct keep *k, const struct keep_entry *entry, const struct keep_hearer *to,
                 struct keep_verdict *ret, struct err *e);

struct keep_target {
    const struct db_options *db; /* as it is to be served; nobody may use it meanwhile */
    struct blob_store *blobs;    /* NULL: it keeps no files; an entry with contents is ERR_USAGE */
    const struct keep_tables *tables;
    /* Contents that are damaged in the backup stop nothing: their files are brought back as damaged
     * ones. Else that is ERR_DAMAGED, but for those that were lost when it was made. */
    bool takes_damaged;
    /* May be NULL. With the new database, which is closed, before it takes the old one's place: for
     * what is better done before anybody uses it. False: nothing was changed. */
    bool (*finish)(void *user, const struct db_options *made, struct err *e);
    void *user; /* of finish */
};
/* Verifies it, makes a new database beside the one that is there, puts the contents into the store,
 * and only then puts the new database in the old one's place, at once: until then, and whenever
 * this fails or is killed, everything is as it was (but for contents that nobody needs, which the
 * app's own order removes). A content that the store still has is not copied again. ERR_DAMAGED:
 * the backup is, and nothing was changed. */
bool keep_restore(struct keep *k, const struct keep_entry *entry, const struct keep_target *into,
                  const struct keep_hearer *to, struct err *e);
