/* Whose a store is: the database that asks first has it for good. Two that shared a store by
 * mistake would each take the other's blobs for bytes that nobody needs. */
#include "blob/blob_impl.h"

#include "base/file.h"
#include "base/must.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#define OWNER_NAME "owner"

/* ---- a folder: DIR/owner --------------------------------------------------------------------- */

/* True with *ret 0 when there is none. */
static bool read_owner(int folder, char *to, size_t room, size_t *ret, struct err *e)
{
    int fd = openat(folder, OWNER_NAME, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    *ret = 0;
    if (fd < 0)
        return errno == ENOENT || blob_failed(e, "reading whose the files are");
    ssize_t n = fd_read(fd, to, room);
    bool fine = n >= 0 || blob_failed(e, "reading whose the files are");
    close(fd);
    if (fine)
        *ret = (size_t)n;
    return fine;
}

/* The draft's content, if nobody else was first. */
static bool write_owner(struct blob_draft *d, struct err *e)
{
    const struct blob_store *s = d->store;
    bool fine = fdatasync(d->fd) == 0 &&
                (linkat(s->drafts_fd, d->name, s->dir_fd, OWNER_NAME, 0) == 0 || errno == EEXIST) &&
                fsync(s->dir_fd) == 0;
    return fine || blob_failed(e, "writing whose the files are");
}

static bool claim_folder(struct blob_store *s, struct blob_draft *d, struct slice id,
                         bool *ret_is_ours, struct err *e)
{
    char text[BLOB_OWNER_MAX + 1];
    size_t n;
    if (!read_owner(s->dir_fd, text, sizeof text, &n, e) ||
        (!n && (!write_owner(d, e) || !read_owner(s->dir_fd, text, sizeof text, &n, e))))
        return false;
    *ret_is_ours = slice_eq(id, (struct slice){text, n});
    return true;
}

/* ---- an object: PLACE/owner ------------------------------------------------------------------ */

/* Two may write it at once, and the later one has it: so who just wrote it does not have it yet. */
static bool claim_object(struct blob_store *s, struct blob_draft *d, struct slice id,
                         bool *ret_is_ours, struct err *e)
{
    char text[BLOB_OWNER_MAX + 1];
    struct arena a;
    struct s3_object object;
    arena_init(&a, 64u << 10);
    struct slice name = arena_printf(&a, "%s" OWNER_NAME, s->place);
    bool is_there = s3_head(s->s3, name, &a, &object, e), fine = true;
    *ret_is_ours = false;
    if (is_there && object.size == id.len) {
        fine = ftruncate(d->fd, 0) == 0 || blob_failed(e, "reading whose the files are");
        fine = fine && s3_get(s->s3, name, 0, id.len, d->fd, e);
        ssize_t n = fine ? pread(d->fd, text, id.len, 0) : -1;
        *ret_is_ours = n >= 0 && slice_eq(id, (struct slice){text, (size_t)n});
    } else if (!is_there && e->code == ERR_NOT_FOUND) {
        fine = s3_put(s->s3, name, d->fd, d->size, slice_from(d->hash), "text/plain", e);
    } else {
        fine = is_there;
    }
    arena_done(&a);
    return fine;
}

bool blob_claim(struct blob_store *s, struct slice id, bool *ret_is_ours, struct err *e)
{
    struct blob_draft d;
    must(id.len && id.len <= BLOB_OWNER_MAX);
    bool fine = blob_draft_open(&d, s, id.len, e) && blob_draft_add(&d, id, e);
    if (fine) {
        blob_draft_seal(&d);
        fine = (s->s3 ? claim_object : claim_folder)(s, &d, id, ret_is_ours, e);
    }
    blob_draft_drop(&d);
    return fine;
}
