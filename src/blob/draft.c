/* Bytes that come in: a temporary file of their own, hashed while it grows. */
#include "blob/blob_impl.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/must.h"
#include "base/random.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* So much is handed to the disk at a time while more comes in: a flush at the end of a long file
 * then waits for its last bytes only. */
#define FLUSH_BYTES (8u << 20)
/* So much stays in the page cache: of a longer file what follows goes to the disk past it, which
 * takes a third of the processor's time and leaves there what others read. Where a file system
 * cannot do that, it is the last bytes that stay. */
#define CACHED_BYTES (64u << 20)

bool blob_draft_open(struct blob_draft *d, struct blob_store *s, uint64_t size, struct err *e)
{
    *d = (struct blob_draft){.store = s, .fd = -1};
    if (!blob_has_room(s, size, e))
        return false;
    random_id(d->name);
    d->fd = openat(s->drafts_fd, d->name, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
    if (d->fd < 0) {
        d->name[0] = '\0';
        return blob_failed(e, "making a file");
    }
    sha256_init(&d->sum);
    s->drafts_open++;
    return true;
}

/* What is not on the disk yet stays as well. An object store is sent it again, from the start. */
static void forget_pages(const struct blob_draft *d)
{
    uint64_t from = d->flushed < CACHED_BYTES ? 0 : d->flushed - CACHED_BYTES;
    if (d->size > CACHED_BYTES && !d->store->s3)
        posix_fadvise(d->fd, (off_t)from, (off_t)(d->size - CACHED_BYTES - from),
                      POSIX_FADV_DONTNEED);
}

static void flush(const struct blob_draft *d)
{
    sync_file_range(d->fd, (off_t)d->flushed, (off_t)(d->size - d->flushed), SYNC_FILE_RANGE_WRITE);
    forget_pages(d);
}

/* An object store reads it again. */
static bool may_pass_cache(const struct blob_draft *d, struct slice bytes)
{
    return !d->is_cached && !d->store->s3 && d->size >= CACHED_BYTES && d->size % MEM_PAGE == 0 &&
           bytes.len % MEM_PAGE == 0 && (uintptr_t)bytes.ptr % MEM_PAGE == 0;
}

static void set_direct(struct blob_draft *d, bool is_direct)
{
    int flags = d->is_direct == is_direct ? -1 : fcntl(d->fd, F_GETFL);
    if (flags < 0)
        return;
    flags = is_direct ? flags | O_DIRECT : flags & ~O_DIRECT;
    if (fcntl(d->fd, F_SETFL, flags) == 0)
        d->is_direct = is_direct;
    else
        d->is_cached = true;
}

/* What the disk does not take as whole sectors is written as usual, and so is all that follows: a
 * full disk says so then. */
static bool write_bytes(struct blob_draft *d, struct slice bytes)
{
    set_direct(d, may_pass_cache(d, bytes));
    if (!d->is_direct)
        return fd_write_all(d->fd, bytes);
    ssize_t n = write(d->fd, bytes.ptr, bytes.len);
    if (n == (ssize_t)bytes.len)
        return true;
    d->is_cached = true;
    set_direct(d, false);
    return fd_write_all(d->fd, slice_skip(bytes, n > 0 ? (size_t)n : 0));
}

bool blob_draft_add(struct blob_draft *d, struct slice bytes, struct err *e)
{
    bool fine = blob_draft_write(d, bytes, e);
    if (fine)
        blob_draft_hash(d, bytes);
    return fine;
}

void blob_draft_hash(struct blob_draft *d, struct slice bytes)
{
    sha256_add(&d->sum, bytes);
}

bool blob_draft_write(struct blob_draft *d, struct slice bytes, struct err *e)
{
    must(d->fd >= 0 && !d->key[0]);
    if (!write_bytes(d, bytes))
        return blob_failed(e, "writing a file");
    d->size += bytes.len;
    if (d->size - d->flushed < FLUSH_BYTES)
        return true;
    if (!d->is_direct)
        flush(d);
    d->flushed = d->size;
    return blob_has_room(d->store, 0, e);
}

void blob_draft_seal(struct blob_draft *d)
{
    static const char letters[] = "0123456789abcdefghijklmnopqrstuv";
    unsigned char random[BLOB_KEY_LEN - BLOB_HASH_LEN - 1];
    sha256_end_hex(&d->sum, d->hash);
    random_bytes(random, sizeof random);
    memcpy(d->key, d->hash, BLOB_HASH_LEN);
    d->key[BLOB_HASH_LEN] = '-';
    for (size_t i = 0; i < sizeof random; i++)
        d->key[BLOB_HASH_LEN + 1 + i] = letters[random[i] % 32];
    d->key[BLOB_KEY_LEN] = '\0';
}

void blob_draft_leave(struct blob_draft *d)
{
    d->name[0] = '\0';
    blob_draft_drop(d);
}

void blob_draft_drop(struct blob_draft *d)
{
    if (d->name[0])
        unlinkat(d->store->drafts_fd, d->name, 0);
    d->name[0] = '\0';
    if (d->fd < 0)
        return;
    close(d->fd);
    d->fd = -1;
    d->store->drafts_open--;
}
