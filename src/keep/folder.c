/* The folder of backups: opened and locked, listed, entries put there and dropped.
 *
 * Whatever is in it may be anybody's: names are checked before they are used, and what is no file
 * or no folder of its own (a symbolic link) is not followed. */
#include "keep/keep_impl.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/nearest.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define FILE_NAME_MAX  64
#define MB             (1u << 20)
#define ENTRY_TEXT_MAX (1u << 20)
#define ENTRIES_MAX    100000

/* ---- what all of keep/ says ------------------------------------------------------------------ */

bool keep_failed(const struct keep *k, const char *doing, struct err *e)
{
    const char *path = k ? k->path : "the backups";
    if (errno == ENOSPC || errno == EDQUOT)
        return err_set(e, ERR_FULL, "The disk with %s is full.", path);
    if (errno == EROFS)
        return err_set(e, ERR_UNAVAILABLE, "The disk with %s can only be read.", path);
    return k ? err_set_sys(e, ERR_IO, "%s in %s failed", doing, path)
             : err_set_sys(e, ERR_IO, "%s failed", doing);
}

bool keep_has_room(const struct keep *k, int fd, uint64_t size, struct err *e)
{
    struct statvfs v;
    if (fstatvfs(fd, &v) != 0)
        return keep_failed(k, "asking how much room the disk has", e);
    uint64_t free_bytes = (uint64_t)v.f_bavail * v.f_frsize;
    if (free_bytes >= KEEP_FREE_MIN && free_bytes - KEEP_FREE_MIN >= size)
        return true;
    return err_set(e, ERR_FULL,
                   "There is not enough room on the disk of %s: %" PRIu64 " MB are wanted, and %d "
                   "MB of it always stay free.",
                   k ? k->path : "the backups", size / MB + (size % MB != 0),
                   (int)(KEEP_FREE_MIN / MB));
}

bool keep_goes_on(const struct keep_hearer *to, struct err *e)
{
    return !to || !to->should_stop || !to->should_stop(to->user) ||
           err_set(e, ERR_UNAVAILABLE, "It was stopped before its end.");
}

void keep_tell_lost(const struct keep_hearer *to, struct slice hash, const struct err *why)
{
    if (to && to->lost)
        to->lost(to->user, hash, why);
}

/* ---- opening --------------------------------------------------------------------------------- */

static void close_one(int fd)
{
    if (fd >= 0)
        close(fd);
}

/* What was just made in it is there after a power cut as well. */
static bool flush_parent(int fd)
{
    int parent = openat(fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool fine = parent >= 0 && fsync(parent) == 0;
    int why = errno;
    close_one(parent);
    errno = why;
    return fine;
}

/* One that is there is fine, also where nobody may make any. */
static bool make_folder(const char *path, struct err *e)
{
    if (access(path, F_OK) == 0)
        return true;
    bool fine = mkdir(path, 0700) == 0;
    int fd = fine ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    fine = fd >= 0 && flush_parent(fd);
    if (!fine)
        err_set_sys(e, ERR_IO, "making the folder %s for backups failed", path);
    close_one(fd);
    return fine;
}

/* With those above it. The path is the operator's own, so links in it are theirs too. */
static bool make_folders(char *path, struct err *e)
{
    for (char *end = path + 1;; end++) {
        char held = *end;
        if (held && held != '/')
            continue;
        *end = '\0';
        bool fine = make_folder(path, e);
        *end = held;
        if (!fine || !held)
            return fine;
    }
}

/* Where it cannot be (another one's folder, a disk that has no modes), it is as the operator made
 * it: what is in it is private by itself. */
static void make_private(int fd)
{
    struct stat st;
    if (fstat(fd, &st) == 0 && st.st_uid == geteuid() && (st.st_mode & 0077))
        (void)!fchmod(fd, 0700);
}

static bool open_folder(struct keep *k, struct err *e)
{
    k->fd = open(k->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (k->fd >= 0)
        return true;
    return errno == ENOENT
               ? err_set(e, ERR_NOT_FOUND, "There are no backups: %s is not there.", k->path)
               : err_set_sys(e, ERR_IO, "opening the folder %s of backups failed", k->path);
}

static bool lock_folder(struct keep *k, struct err *e)
{
    struct stat st;
    k->lock_fd =
        openat(k->fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    if (k->lock_fd < 0 || fstat(k->lock_fd, &st) != 0)
        return keep_failed(k, "opening the lock", e);
    if (!S_ISREG(st.st_mode))
        return err_set(e, ERR_USAGE, "The lock in %s is no file; remove it.", k->path);
    if (flock(k->lock_fd, LOCK_EX | LOCK_NB) == 0)
        return true;
    return errno == EWOULDBLOCK
               ? err_set(e, ERR_LOCKED, "Another backup is being made in %s; try again later.",
                         k->path)
               : keep_failed(k, "taking the lock", e);
}

int keep_borrow_lock(struct keep *k)
{
    if (k->lock_fd >= 0)
        return fcntl(k->lock_fd, F_DUPFD_CLOEXEC, 0);
    int fd = openat(k->fd, "lock", O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0)
        return fd;
    close_one(fd);
    return -1;
}

static bool open_contents(struct keep *k, bool is_writer, struct err *e)
{
    if (is_writer && mkdirat(k->fd, "contents", 0700) != 0 && errno != EEXIST)
        return keep_failed(k, "making the folder for contents", e);
    k->contents_fd = openat(k->fd, "contents", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (k->contents_fd >= 0 || (!is_writer && errno == ENOENT))
        return true;
    if (errno == ELOOP || errno == ENOTDIR)
        return err_set(e, ERR_USAGE, "contents in %s is no folder of its own.", k->path);
    return keep_failed(k, "opening the folder of contents", e);
}

struct keep *keep_open(const char *dir, bool is_writer, struct err *e)
{
    struct keep *k = mem_new(struct keep);
    *k = (struct keep){.path = mem_strdup(dir), .fd = -1, .lock_fd = -1, .contents_fd = -1};
    must(*dir);
    if ((!is_writer || make_folders(k->path, e)) && open_folder(k, e) &&
        (!is_writer || lock_folder(k, e)) && open_contents(k, is_writer, e)) {
        if (is_writer)
            make_private(k->fd), make_private(k->contents_fd);
        return k;
    }
    keep_close(k);
    return NULL;
}

void keep_close(struct keep *k)
{
    if (!k)
        return;
    close_one(k->contents_fd);
    close_one(k->lock_fd); /* and so it is given back */
    close_one(k->fd);
    free(k->path);
    free(k);
}

/* ---- one entry ------------------------------------------------------------------------------- */

#define ENTRY ".json"
#define ROWS  ".jsonl.gz"
#define DRAFT ".json.draft"

static const char *file_of(struct slice name, const char *what, char to[FILE_NAME_MAX])
{
    must(keep_name_check(name));
    snprintf(to, FILE_NAME_MAX, "%.*s%s", SLICE_ARGS(name), what);
    return to;
}

/* A regular file, and nothing else. -1 with errno; what is no file is ELOOP. */
static int open_file(struct keep *k, const char *name)
{
    struct stat st;
    int fd = openat(k->fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 || (fstat(fd, &st) == 0 && S_ISREG(st.st_mode)))
        return fd;
    close(fd);
    errno = ELOOP;
    return -1;
}

/* False with errno, EFBIG: it is longer than any entry. */
static bool read_text(struct keep *k, const char *name, struct buf *to)
{
    int fd = open_file(k, name);
    if (fd < 0)
        return false;
    char *room = buf_reserve(to, ENTRY_TEXT_MAX + 1);
    ssize_t n = room ? fd_read(fd, room, ENTRY_TEXT_MAX + 1) : -1;
    int why = n > ENTRY_TEXT_MAX ? EFBIG : n < 0 ? errno : 0;
    buf_grew(to, n > 0 ? (size_t)n : 0);
    close(fd);
    errno = why;
    return !why;
}

/* Without them it is no backup, whatever its entry says. */
static bool check_rows(struct keep *k, const struct keep_entry *entry, struct err *why)
{
    char file[FILE_NAME_MAX];
    struct stat st;
    if (fstatat(k->fd, file_of(slice_from(entry->name), ROWS, file), &st, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT ? err_set(why, ERR_DAMAGED, "Its rows are missing.")
                               : err_set_sys(why, ERR_IO, "looking for its rows failed");
    if (!S_ISREG(st.st_mode))
        return err_set(why, ERR_DAMAGED, "Its rows are no file.");
    return (uint64_t)st.st_size == entry->rows_bytes ||
           err_set(why, ERR_DAMAGED, "The file of its rows is not as long as it was.");
}

/* False with errno ENOENT: it went meanwhile. Anything else that is wrong with it is said in it. */
static bool load_entry(struct keep *k, struct slice name, struct arena *a, struct keep_entry *ret,
                       struct err *why)
{
    char file[FILE_NAME_MAX];
    struct buf text;
    buf_init(&text, ENTRY_TEXT_MAX + 64);
    bool fine = read_text(k, file_of(name, ENTRY, file), &text);
    int sys = errno;
    if (!fine && sys == ELOOP)
        err_set(why, ERR_DAMAGED, "It is no file.");
    else if (!fine && sys == EFBIG)
        err_set(why, ERR_DAMAGED, "It is longer than any is.");
    else if (!fine)
        err_set_sys(why, ERR_IO, "reading it failed");
    fine = fine && keep_entry_read(name, buf_slice(&text), a, ret, why);
    buf_done(&text);
    if (fine && !check_rows(k, ret, why)) {
        fine = false;
        sys = keep_has(k, ret->name) ? 0 : ENOENT; /* somebody dropped it: the entry goes first */
    }
    if (fine)
        return true;
    *ret = (struct keep_entry){.made_ms = keep_name_ms(name)};
    memcpy(ret->name, name.ptr, name.len);
    snprintf(ret->why_damaged, sizeof ret->why_damaged, "%.190s", why->msg);
    errno = sys;
    return sys != ENOENT;
}

int keep_open_rows(struct keep *k, const char *name, bool is_new, struct err *e)
{
    char file[FILE_NAME_MAX];
    file_of(slice_from(name), ROWS, file);
    must(!is_new || k->lock_fd >= 0);
    int fd = is_new ? openat(k->fd, file, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600)
                    : open_file(k, file);
    if (fd >= 0)
        return fd;
    if (!is_new && errno == ENOENT)
        err_set(e, ERR_NOT_FOUND, "The rows of the backup %s are missing.", name);
    else if (errno == ELOOP)
        err_set(e, ERR_DAMAGED, "The rows of the backup %s are no file.", name);
    else
        keep_failed(k, "opening the rows of a backup", e);
    return -1;
}

/* ---- listing --------------------------------------------------------------------------------- */

struct entries {
    struct keep_entry *items;
    size_t n, cap;
};

/* Its own descriptor: another's position in the folder is not moved. NULL with e. */
static DIR *open_list(struct keep *k, struct err *e)
{
    int fd = openat(k->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (dir)
        return dir;
    keep_failed(k, "listing the backups", e);
    close_one(fd);
    return NULL;
}

/* NULL at the end, where *ret_fine says whether it was one. */
static const char *next_name(struct keep *k, DIR *dir, bool *ret_fine, struct err *e)
{
    errno = 0;
    const struct dirent *entry = readdir(dir);
    *ret_fine = entry || errno == 0 || keep_failed(k, "listing the backups", e);
    return entry ? entry->d_name : NULL;
}

/* Is it NAME and then `what`? */
static bool is_named(const char *file, const char *what)
{
    struct slice name = slice_from(file);
    return keep_name_check(slice_first(name, KEEP_NAME_LEN)) &&
           slice_is(slice_skip(name, KEEP_NAME_LEN), what);
}

static bool add_entry(struct keep *k, struct entries *to, struct slice name, struct arena *a,
                      struct err *e)
{
    struct err why = {0};
    if (to->n == ENTRIES_MAX)
        return err_set(e, ERR_USAGE, "There are more backups in %s than can be listed.", k->path);
    if (to->n == to->cap) {
        to->cap = to->cap ? 2 * to->cap : 64;
        to->items = mem_realloc(to->items, to->cap * sizeof *to->items);
    }
    to->n += load_entry(k, name, a, &to->items[to->n], &why);
    return true;
}

static int newest_first(const void *left, const void *right)
{
    const struct keep_entry *a = left, *b = right;
    if (a->made_ms != b->made_ms)
        return a->made_ms < b->made_ms ? 1 : -1;
    return -strcmp(a->name, b->name);
}

bool keep_list(struct keep *k, struct arena *a, struct keep_entry **ret, size_t *ret_n,
               struct err *e)
{
    struct entries all = {0};
    DIR *dir = open_list(k, e);
    bool fine = dir != NULL;
    for (const char *file; fine && (file = next_name(k, dir, &fine, e));) {
        if (is_named(file, ENTRY))
            fine = add_entry(k, &all, slice_first(slice_from(file), KEEP_NAME_LEN), a, e);
    }
    if (dir)
        closedir(dir);
    struct keep_entry *to = fine ? arena_try_alloc(a, (all.n + 1) * sizeof *to) : NULL;
    if (fine && !to)
        fine = err_set(e, ERR_USAGE, "There are more backups in %s than can be listed.", k->path);
    if (fine && all.n) {
        qsort(all.items, all.n, sizeof *all.items, newest_first);
        memcpy(to, all.items, all.n * sizeof *to);
    }
    free(all.items);
    if (fine)
        *ret = to, *ret_n = all.n;
    return fine;
}

/* ---- finding --------------------------------------------------------------------------------- */

static bool not_found(struct keep *k, struct slice name, const struct keep_entry *all, size_t n,
                      struct err *e)
{
    struct nearest nearest = {.typed = name};
    if (!n)
        return err_set(e, ERR_NOT_FOUND, "There is no backup in %s.", k->path);
    for (size_t i = 0; i < n; i++)
        nearest_offer(&nearest, slice_from(all[i].name));
    struct slice best = nearest.best.len ? nearest.best : slice_from(all[0].name);
    return err_set(e, ERR_NOT_FOUND, "There is no backup \"%.*s\"; %s is %.*s.",
                   (int)slice_first(name, 60).len, name.ptr,
                   nearest.best.len ? "the nearest name" : "the newest one", SLICE_ARGS(best));
}

/* Where whoever brings one back begins: a restore's own is not wanted before what was made by the
 * clock of another machine, and each only when there is no better one. */
static size_t find_latest(const struct keep_entry *all, size_t n)
{
    int64_t now_ms = clock_wall_ms();
    size_t best = 0;
    unsigned least = UINT_MAX;
    for (size_t i = 0; i < n; i++) {
        unsigned faults = 2 * all[i].is_of_restore + (unsigned)keep_is_of_future(&all[i], now_ms);
        if (faults < least)
            best = i, least = faults;
    }
    return best;
}

bool keep_find(struct keep *k, struct slice name, struct arena *a, struct keep_entry *ret,
               struct err *e)
{
    struct keep_entry *all;
    size_t n, at = 0;
    struct err why = {0};
    if (!keep_list(k, a, &all, &n, e))
        return false;
    bool is_latest = slice_is(name, "latest");
    while (at < n && !is_latest && !slice_is(name, all[at].name))
        at++;
    if (is_latest)
        at = find_latest(all, n);
    if (at == n)
        return not_found(k, name, all, n, e);
    *ret = all[at];
    if (!ret->why_damaged[0])
        return true;
    /* Again, for the code it fails with. */
    if (!load_entry(k, slice_from(all[at].name), a, ret, &why))
        return err_set(e, ERR_NOT_FOUND, "The backup %s was removed just now.", all[at].name);
    return !why.code ||
           err_set(e, why.code, "The backup %s cannot be read: %.150s", all[at].name, why.msg);
}

/* ---- writing --------------------------------------------------------------------------------- */

static bool write_draft(struct keep *k, const char *draft, const struct keep_entry *entry,
                        struct err *e)
{
    struct buf text;
    int fd = openat(k->fd, draft, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return keep_failed(k, "writing an entry", e);
    buf_init(&text, ENTRY_TEXT_MAX);
    keep_entry_write(entry, &text);
    must(!text.full);
    bool fine = (fd_write_all(fd, buf_slice(&text)) && fsync(fd) == 0) ||
                keep_failed(k, "writing an entry", e);
    buf_done(&text);
    close(fd);
    return fine;
}

/* Contents, then the folder with the rows: an entry names nothing that could still go. */
static bool flush_all(struct keep *k, struct err *e)
{
    for (unsigned i = 0; i < KEEP_SHELVES; i++) {
        char name[3];
        snprintf(name, sizeof name, "%02x", i);
        if (!k->shelf_is_new[i])
            continue;
        int fd = openat(k->contents_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        bool fine = fd >= 0 && fsync(fd) == 0;
        if (!fine)
            keep_failed(k, "flushing contents to the disk", e);
        close_one(fd);
        if (!fine)
            return false;
        k->shelf_is_new[i] = false;
    }
    return (fsync(k->contents_fd) == 0 && fsync(k->fd) == 0) ||
           keep_failed(k, "flushing a backup to the disk", e);
}

bool keep_put(struct keep *k, const struct keep_entry *entry, struct err *e)
{
    char draft[FILE_NAME_MAX], file[FILE_NAME_MAX];
    must(k->lock_fd >= 0);
    file_of(slice_from(entry->name), DRAFT, draft);
    file_of(slice_from(entry->name), ENTRY, file);
    if (!flush_all(k, e))
        return false;
    bool fine = write_draft(k, draft, entry, e) &&
                (renameat(k->fd, draft, k->fd, file) == 0 || keep_failed(k, "moving an entry", e));
    if (!fine) {
        unlinkat(k->fd, draft, 0);
        return false;
    }
    if (fsync(k->fd) == 0)
        return true;
    keep_failed(k, "flushing an entry to the disk", e);
    unlinkat(k->fd, file, 0); /* whether it is there after a power cut, nobody knows */
    return false;
}

/* One that is not there is fine. */
static bool remove_file(struct keep *k, const char *file, struct err *e)
{
    return unlinkat(k->fd, file, 0) == 0 || errno == ENOENT ||
           keep_failed(k, "removing a backup", e);
}

bool keep_drop(struct keep *k, const char *name, struct err *e)
{
    char file[FILE_NAME_MAX];
    must(k->lock_fd >= 0);
    return remove_file(k, file_of(slice_from(name), ENTRY, file), e) &&
           (fsync(k->fd) == 0 || keep_failed(k, "removing a backup", e)) &&
           remove_file(k, file_of(slice_from(name), ROWS, file), e);
}

bool keep_has(struct keep *k, const char *name)
{
    char file[FILE_NAME_MAX];
    struct stat st;
    return fstatat(k->fd, file_of(slice_from(name), ENTRY, file), &st, AT_SYMLINK_NOFOLLOW) == 0 ||
           errno != ENOENT; /* who cannot tell removes nothing for it */
}

/* Rows without an entry, an entry's draft: its maker was killed, or killed while it dropped it. */
static bool is_left_over(struct keep *k, const char *file)
{
    char name[KEEP_NAME_LEN + 1];
    if (is_named(file, DRAFT))
        return true;
    snprintf(name, sizeof name, "%.21s", file);
    return is_named(file, ROWS) && !keep_has(k, name);
}

void keep_tidy(struct keep *k)
{
    DIR *dir = open_list(k, NULL);
    must(k->lock_fd >= 0);
    for (const struct dirent *entry; dir && (entry = readdir(dir));) {
        if (is_left_over(k, entry->d_name))
            unlinkat(k->fd, entry->d_name, 0);
    }
    if (dir)
        closedir(dir);
    contents_tidy(k);
}
