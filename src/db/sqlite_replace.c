/* A database file takes another's place.
 *
 * A file's log (NAME-wal) says by itself whether it is to be applied, not to which file: the old
 * one's beside the new file would overwrite it. So the old one's log is copied into the old file
 * and removed first, while nobody else has it open; then each of the two is one file, and one
 * rename() decides. What is done before it leaves the old database as it was.
 *
 * An old file that is damaged cannot be read for that. It is kept beside under another name, its
 * log with it; what is left in its place until the rename is the damaged file. */
#include "db/sqlite_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const others[] = {"-wal", "-shm", "-journal"};
#define OTHERS 3

static bool failed(const char *path, const char *doing, struct err *e)
{
    enum err_code code = errno == ENOSPC || errno == EDQUOT ? ERR_FULL : ERR_UNAVAILABLE;
    return err_set_sys(e, code, "%s: %s failed", path, doing);
}

static char *beside(const char *path, const char *end)
{
    size_t n = strlen(path) + strlen(end) + 1;
    char *to = mem_alloc(n);
    snprintf(to, n, "%s%s", path, end);
    return to;
}

static bool remove_file(const char *path, const char *end, struct err *e)
{
    char *name = beside(path, end);
    bool fine = unlink(name) == 0 || errno == ENOENT || failed(name, "removing", e);
    free(name);
    return fine;
}

static bool remove_all(const char *path, struct err *e)
{
    bool fine = remove_file(path, "", e);
    for (int i = 0; fine && i < OTHERS; i++)
        fine = remove_file(path, others[i], e);
    return fine;
}

static bool sync_folder(const char *path, struct err *e)
{
    const char *slash = strrchr(path, '/');
    char *folder = mem_strdup(slash ? path : ".");
    if (slash)
        folder[slash == path ? 1 : slash - path] = '\0';
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool fine = (fd >= 0 && fsync(fd) == 0) || failed(folder, "writing the folder to the disk", e);
    if (fd >= 0)
        close(fd);
    free(folder);
    return fine;
}

/* ---- one file ---------------------------------------------------------------------------------
 */

enum alone { ALONE, ALONE_DAMAGED, ALONE_FAILED };

static enum alone tell(int rc, const char *path, struct err *e)
{
    switch (rc & 0xff) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        err_set(e, ERR_DAMAGED, "%s is damaged", path);
        return ALONE_DAMAGED;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        err_set(e, ERR_LOCKED, "%s is in use; stop what uses it first", path);
        return ALONE_FAILED;
    default:
        err_set(e, (rc & 0xff) == SQLITE_FULL ? ERR_FULL : ERR_UNAVAILABLE, "%s: %s", path,
                sqlite3_errstr(rc));
        return ALONE_FAILED;
    }
}

/* *ret: the first row's first column, as text; "" without one. */
static int ask_one(sqlite3 *handle, const char *text, char *to, size_t size)
{
    sqlite3_stmt *s = NULL;
    int rc = sqlite3_prepare_v2(handle, text, -1, &s, NULL);
    *to = '\0';
    if (rc == SQLITE_OK && (rc = sqlite3_step(s)) == SQLITE_ROW)
        snprintf(to, size, "%s", (const char *)sqlite3_column_text(s, 0));
    sqlite3_finalize(s);
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK : rc;
}

/* Leaving the log needs the file alone, copies all of the log, and removes it. */
static enum alone leave_log(sqlite3 *handle, const char *path, struct err *e)
{
    char answer[16];
    int rc = ask_one(handle,
                     "SELECT count(*) = 0 OR sum(name = 'dais_migrations') > 0 FROM sqlite_master",
                     answer, sizeof answer);
    if (rc == SQLITE_OK && strcmp(answer, "1") != 0) {
        err_set(e, ERR_USAGE, "%s holds another program's tables", path);
        return ALONE_FAILED;
    }
    if (rc == SQLITE_OK)
        rc = ask_one(handle, "PRAGMA journal_mode = DELETE", answer, sizeof answer);
    if (rc == SQLITE_OK && strcmp(answer, "delete") != 0)
        rc = SQLITE_BUSY;
    return rc == SQLITE_OK ? ALONE : tell(rc, path, e);
}

static enum alone be_alone(const struct db *db, struct err *e)
{
    sqlite3 *handle = NULL;
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
    int rc = sqlite3_open_v2(db->path, &handle, flags, NULL);
    enum alone ret;
    if (rc == SQLITE_OK) {
        sqlite3_busy_timeout(handle, (int)db->busy_ms);
        /* The log of a damaged file stays: closing would take it for one of nothing. */
        sqlite3_db_config(handle, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
        ret = leave_log(handle, db->path, e);
    } else {
        ret = tell(rc, db->path, e);
    }
    must(sqlite3_close(handle) == SQLITE_OK);
    return ret;
}

/* ---- the old one ------------------------------------------------------------------------------
 */

static bool move(const char *path, const char *end, const char *kept, struct err *e)
{
    char *from = beside(path, end), *to = beside(kept, end);
    bool fine = rename(from, to) == 0 || errno == ENOENT || failed(from, "moving it aside", e);
    free(from);
    free(to);
    return fine;
}

/* By one that was killed, or failed, and had moved the log as well. */
static bool is_kept(const char *path, const char *kept)
{
    struct stat a, b;
    return stat(path, &a) == 0 && stat(kept, &b) == 0 && a.st_ino == b.st_ino &&
           a.st_dev == b.st_dev;
}

static bool keep_damaged(const char *path, struct err *e)
{
    char *kept = beside(path, ".damaged");
    bool fine = is_kept(path, kept) ||
                (remove_all(kept, e) &&
                 (link(path, kept) == 0 || failed(path, "keeping the damaged file", e)));
    for (int i = 0; fine && i < OTHERS; i++)
        fine = move(path, others[i], kept, e);
    free(kept);
    return fine;
}

/* Who may use the old file may use the new one. */
static bool give(const char *made, const struct stat *to, struct err *e)
{
    struct stat st;
    int fd = open(made, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    bool fine = fd >= 0 && fstat(fd, &st) == 0;
    if (fine && to && (st.st_uid != to->st_uid || st.st_gid != to->st_gid))
        fine = fchown(fd, to->st_uid, to->st_gid) == 0;
    if (fine && to)
        fine = fchmod(fd, to->st_mode & 0777) == 0;
    fine = (fine && fsync(fd) == 0) || failed(made, "making it ready", e);
    if (fd >= 0)
        close(fd);
    return fine;
}

static bool look(const struct db *place, struct stat *ret, bool *ret_there, struct err *e)
{
    *ret_there = stat(place->path, ret) == 0;
    return *ret_there || errno == ENOENT || failed(place->path, "looking at it", e);
}

/* What is in the place can be replaced by a rename. */
static bool clear_place(const struct db *place, bool is_there, struct err *e)
{
    if (is_there) {
        enum alone alone = be_alone(place, e);
        return alone == ALONE || (alone == ALONE_DAMAGED && keep_damaged(place->path, e));
    }
    return remove_all(place->path, e); /* a log of nothing */
}

/* The new one is ready before the place is touched: little can fail from then on, and whoever comes
 * to read meanwhile has little time to. */
bool sqlite_replace(struct db *made, struct db *place, struct err *e)
{
    struct stat st;
    bool is_there;
    return be_alone(made, e) == ALONE && look(place, &st, &is_there, e) &&
           give(made->path, is_there ? &st : NULL, e) && clear_place(place, is_there, e) &&
           sync_folder(place->path, e) &&
           (rename(made->path, place->path) == 0 ||
            failed(place->path, "putting the new file in its place", e)) &&
           sync_folder(place->path, e);
}

bool sqlite_drop(struct db *made, struct err *e)
{
    return remove_all(made->path, e);
}
