/* The bytes of files in a folder of backups: contents/ab/HASH, each once. */
#include "keep/keep_impl.h"

#include "base/mem.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define READ_BYTES (1u << 20)
#define DRAFT      ".draft"
#define DRAFT_MAX  (SHA256_HEX_LEN + sizeof DRAFT)
#define ASIDE      ".damaged"

/* A hash in hex, ready to be a name. */
struct content_name {
    char text[SHA256_HEX_LEN + 1], shelf[3], aside[SHA256_HEX_LEN + sizeof ASIDE];
};

static bool name_of(struct slice hash, struct content_name *ret, struct err *e)
{
    if (!keep_hash_check(hash))
        return err_set(e, ERR_DAMAGED, "It is not known which content this is.");
    memcpy(ret->text, hash.ptr, hash.len);
    ret->text[hash.len] = '\0';
    memcpy(ret->shelf, hash.ptr, 2);
    ret->shelf[2] = '\0';
    snprintf(ret->aside, sizeof ret->aside, "%s" ASIDE, ret->text);
    return true;
}

static int open_shelf(struct keep *k, const char *name)
{
    return openat(k->contents_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
}

static bool *is_new(struct keep *k, const struct content_name *name)
{
    return &k->shelf_is_new[strtoul(name->shelf, NULL, 16)];
}

/* ---- looking --------------------------------------------------------------------------------- */

/* One that an earlier process put there may not be flushed: it may have been killed before that. */
bool content_has(struct keep *k, struct slice hash, uint64_t size)
{
    struct content_name name;
    struct stat st;
    if (!name_of(hash, &name, NULL))
        return false;
    int shelf = open_shelf(k, name.shelf);
    bool has = shelf >= 0 && fstatat(shelf, name.text, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
               S_ISREG(st.st_mode) && (uint64_t)st.st_size == size;
    if (shelf >= 0)
        close(shelf);
    *is_new(k, &name) |= has;
    return has;
}

#define READ_FLAGS (O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY)

/* -1 with e. */
static int open_content(struct keep *k, struct slice hash, uint64_t size, struct err *e)
{
    struct content_name name;
    struct stat st;
    if (!name_of(hash, &name, e))
        return -1;
    int shelf = open_shelf(k, name.shelf);
    int fd = shelf < 0 ? -1 : openat(shelf, name.text, READ_FLAGS);
    if (fd < 0 && shelf >= 0 && errno == ENOENT)
        fd = openat(shelf, name.aside, READ_FLAGS);
    int why = errno;
    if (shelf >= 0)
        close(shelf);
    errno = why;
    if (fd < 0 && (errno == ENOENT || k->contents_fd < 0))
        err_set(e, ERR_NOT_FOUND, "The content %.12s… is missing from the backups.", name.text);
    else if (fd < 0 && (errno == ELOOP || errno == ENOTDIR || errno == ENXIO))
        err_set(e, ERR_DAMAGED, "The content %.12s… of the backups is no file.", name.text);
    else if (fd < 0)
        keep_failed(k, "opening a content", e);
    else if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && (uint64_t)st.st_size == size)
        return fd;
    else
        err_set(e, ERR_DAMAGED, "The content %.12s… of the backups is not as long as it was.",
                name.text);
    if (fd >= 0)
        close(fd);
    return -1;
}

/* Piece by piece; what was read for this alone does not push others out of the page cache. */
static bool each_piece(struct keep *k, int fd,
                       bool (*fn)(void *to, struct slice piece, struct err *e), void *to,
                       struct err *e)
{
    char *piece = mem_alloc(READ_BYTES);
    bool fine = true;
    for (uint64_t at = 0; fine;) {
        ssize_t n = pread(fd, piece, READ_BYTES, (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            fine = n == 0 || (errno == EIO ? err_set(e, ERR_DAMAGED, "The disk cannot read it.")
                                           : keep_failed(k, "reading a content", e));
            break;
        }
        fine = fn(to, (struct slice){piece, (size_t)n}, e);
        posix_fadvise(fd, (off_t)at, n, POSIX_FADV_DONTNEED);
        at += (uint64_t)n;
    }
    free(piece);
    return fine;
}

static bool other_bytes(struct slice hash, struct err *e)
{
    return err_set(e, ERR_DAMAGED, "The content %.12s… of the backups has other bytes than it had.",
                   hash.ptr);
}

static bool add_to_sum(void *to, struct slice piece, struct err *e)
{
    (void)e;
    sha256_add(to, piece);
    return true;
}

static bool has_bytes_of(struct keep *k, int fd, struct slice hash, struct err *e)
{
    struct sha256 sum;
    char is[SHA256_HEX_LEN + 1];
    sha256_init(&sum);
    if (!each_piece(k, fd, add_to_sum, &sum, e))
        return false;
    sha256_end_hex(&sum, is);
    return slice_is(hash, is) || other_bytes(hash, e);
}

bool content_verify(struct keep *k, struct slice hash, uint64_t size, struct err *e)
{
    int fd = open_content(k, hash, size, e);
    if (fd < 0)
        return false;
    bool fine = has_bytes_of(k, fd, hash, e);
    close(fd);
    return fine;
}

/* ---- setting aside --------------------------------------------------------------------------- */

/* Whatever the length is that somebody's rows say. */
static bool is_whole(struct keep *k, int shelf, const struct content_name *name)
{
    struct stat st;
    int fd = openat(shelf, name->text, READ_FLAGS);
    bool fine = fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
                has_bytes_of(k, fd, slice_from(name->text), NULL);
    if (fd >= 0)
        close(fd);
    return fine;
}

/* A writer may have put a good one there meanwhile: whoever has the lock looks again. */
static bool move_aside(struct keep *k, int shelf, const struct content_name *name)
{
    int lock = keep_borrow_lock(k);
    bool fine = lock >= 0 && !is_whole(k, shelf, name) &&
                renameat(shelf, name->text, shelf, name->aside) == 0;
    if (lock >= 0)
        close(lock);
    return fine;
}

static bool is_there(int shelf, const char *name)
{
    struct stat st;
    return fstatat(shelf, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

bool content_set_aside(struct keep *k, struct slice hash)
{
    struct content_name name;
    int shelf = name_of(hash, &name, NULL) ? open_shelf(k, name.shelf) : -1;
    if (shelf < 0)
        return false;
    bool fine =
        is_there(shelf, name.text) ? move_aside(k, shelf, &name) : is_there(shelf, name.aside);
    close(shelf);
    return fine;
}

/* ---- from a store ---------------------------------------------------------------------------- */

static bool make_shelf(struct keep *k, const struct content_name *name, int *ret, struct err *e)
{
    bool fine = mkdirat(k->contents_fd, name->shelf, 0700) == 0 || errno == EEXIST;
    *ret = fine ? open_shelf(k, name->shelf) : -1;
    return *ret >= 0 || keep_failed(k, "making a folder for contents", e);
}

static bool goes_on(const void *user, struct err *e)
{
    return keep_goes_on(user, e);
}

static bool copy_to_draft(struct keep *k, struct blob_store *from, struct slice key, uint64_t size,
                          const struct keep_hearer *to, const char *draft, struct err *e)
{
    int fd =
        openat(k->contents_fd, draft, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return keep_failed(k, "making a file for a content", e);
    const struct blob_sink sink = {.fd = fd, .goes_on = goes_on, .user = to};
    bool fine = blob_copy(from, key, size, &sink, e);
    if (!fine && e && e->code == ERR_FULL)
        err_prefix(e, "copying the content %.12s… to %s", draft, k->path);
    if (fine && fdatasync(fd) != 0)
        fine = keep_failed(k, "flushing a content to the disk", e);
    close(fd);
    return fine;
}

bool content_take(struct keep *k, struct blob_store *from, struct slice key, struct slice hash,
                  uint64_t size, const struct keep_hearer *to, struct err *e)
{
    struct content_name name;
    char draft[DRAFT_MAX + 1];
    int shelf;
    must(k->lock_fd >= 0);
    if (!name_of(hash, &name, e))
        return false;
    if (key.len != BLOB_KEY_LEN || !slice_starts(key, hash))
        return err_set(e, ERR_DAMAGED, "Its row names bytes of another content.");
    if (!keep_has_room(k, k->contents_fd, size, e) || !make_shelf(k, &name, &shelf, e))
        return false;
    snprintf(draft, sizeof draft, "%s" DRAFT, name.text);
    unlinkat(k->contents_fd, draft, 0); /* of one that was killed: nobody else writes here */
    bool fine = copy_to_draft(k, from, key, size, to, draft, e) &&
                (renameat(k->contents_fd, draft, shelf, name.text) == 0 ||
                 keep_failed(k, "moving a content to its place", e));
    if (fine)
        unlinkat(shelf, name.aside, 0);
    close(shelf);
    if (!fine)
        unlinkat(k->contents_fd, draft, 0);
    else
        *is_new(k, &name) = true;
    return fine;
}

/* ---- into a store ---------------------------------------------------------------------------- */

static bool add_to_draft(void *to, struct slice piece, struct err *e)
{
    return blob_draft_add(to, piece, e);
}

bool content_give(struct keep *k, struct blob_store *to, struct slice hash, uint64_t size,
                  char key[BLOB_KEY_LEN + 1], struct err *e)
{
    struct blob_draft d;
    int fd = open_content(k, hash, size, e);
    if (fd < 0)
        return false;
    bool fine = blob_draft_open(&d, to, size, e) && each_piece(k, fd, add_to_draft, &d, e);
    if (fine) {
        blob_draft_seal(&d);
        fine = slice_is(hash, d.hash) ? blob_keep(&d, "application/octet-stream", e)
                                      : other_bytes(hash, e);
    }
    if (fine)
        memcpy(key, d.key, sizeof d.key);
    blob_draft_drop(&d);
    close(fd);
    if (!fine && e && e->code == ERR_FULL)
        err_prefix(e, "bringing back the content %.12s… (%" PRIu64 " MB)", hash.ptr,
                   (size >> 20) + 1);
    return fine;
}

/* ---- keeping order --------------------------------------------------------------------------- */

/* NULL with e. */
static DIR *open_list(struct keep *k, const char *name, struct err *e)
{
    int fd = open_shelf(k, name);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (dir)
        return dir;
    keep_failed(k, "listing contents", e);
    if (fd >= 0)
        close(fd);
    return NULL;
}

void contents_tidy(struct keep *k)
{
    DIR *dir = open_list(k, ".", NULL);
    for (const struct dirent *entry; dir && (entry = readdir(dir));) {
        struct slice name = slice_from(entry->d_name);
        if (slice_ends(name, SLICE(DRAFT)) && keep_hash_check(slice_first(name, SHA256_HEX_LEN)) &&
            name.len == SHA256_HEX_LEN + strlen(DRAFT))
            unlinkat(k->contents_fd, entry->d_name, 0);
    }
    if (dir)
        closedir(dir);
}

static bool sweep_shelf(struct keep *k, const char *shelf,
                        bool (*is_needed)(void *user, struct slice hash), void *user, struct err *e)
{
    DIR *dir = open_list(k, shelf, e);
    bool fine = dir != NULL;
    struct stat st;
    for (const struct dirent *entry; fine;) {
        errno = 0;
        entry = readdir(dir);
        if (!entry) {
            fine = errno == 0 || keep_failed(k, "listing contents", e);
            break;
        }
        struct slice hash = slice_from(entry->d_name);
        if (slice_ends(hash, SLICE(ASIDE)))
            hash = slice_first(hash, hash.len - strlen(ASIDE));
        if (!keep_hash_check(hash) || !slice_starts(hash, slice_from(shelf)) ||
            fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0 ||
            !S_ISREG(st.st_mode) || is_needed(user, hash))
            continue;
        fine = unlinkat(dirfd(dir), entry->d_name, 0) == 0 || errno == ENOENT ||
               keep_failed(k, "removing a content", e);
    }
    if (dir)
        closedir(dir);
    return fine;
}

bool contents_sweep(struct keep *k, bool (*is_needed)(void *user, struct slice hash), void *user,
                    struct err *e)
{
    struct stat st;
    must(k->lock_fd >= 0);
    for (unsigned i = 0; i < KEEP_SHELVES; i++) {
        char shelf[3];
        snprintf(shelf, sizeof shelf, "%02x", i);
        bool is_there =
            fstatat(k->contents_fd, shelf, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
        if (is_there && !sweep_shelf(k, shelf, is_needed, user, e))
            return false;
    }
    return true;
}
