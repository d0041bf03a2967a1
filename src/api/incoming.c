/* One file on its way in: reserved, told by its first bytes, written, kept, or dropped. */
#include "api/upload_impl.h"

#include <string.h>

bool incoming_too_large(const struct file_place *at, struct err *e)
{
    return file_too_large(at->bucket, e);
}

/* ---- room ------------------------------------------------------------------------------------ */

void incoming_release(struct incoming *in)
{
    if (in->is_reserved)
        files_release(in->files, &in->put->at, in->put->owner, in->reserved);
    in->is_reserved = false;
}

static bool reserve(struct incoming *in, int64_t size, struct err *e)
{
    incoming_release(in);
    in->reserved = size;
    in->is_reserved = files_reserve(in->files, &in->put->at, in->put->owner, size, e);
    return in->is_reserved;
}

bool incoming_begin(struct incoming *in, const struct files_reading *r, struct err *e)
{
    if (!files_put_may(r, in->put, e))
        return false;
    if (in->held_for && files_share_quota(in->put->at.bucket, *in->held_for, in->put->owner)) {
        in->reserved = INT64_MAX; /* never more than its form holds */
        return true;
    }
    return reserve(in, in->put->size > 0 ? in->put->size : 0, e);
}

/* ---- bytes ----------------------------------------------------------------------------------- */

bool incoming_see(struct incoming *in, struct slice bytes, bool is_last, struct err *e)
{
    struct file_put *p = in->put;
    size_t room = sizeof in->first - in->n_first;
    if (p->type.len)
        return true;
    bytes = slice_first(bytes, room);
    if (bytes.len)
        memcpy(in->first + in->n_first, bytes.ptr, bytes.len);
    in->n_first += bytes.len;
    if (in->n_first < sizeof in->first && !is_last)
        return true;
    p->type = file_sniff((struct slice){in->first, in->n_first}, p->said, p->at.path);
    return file_type_check(p->at.bucket, p->type, e);
}

static bool open_draft(struct incoming *in, struct err *e)
{
    uint64_t announced = in->put->size > 0 ? (uint64_t)in->put->size : 0;
    if (!in->is_open)
        in->is_open = blob_draft_open(&in->draft, files_store(in->files), announced, e);
    return in->is_open;
}

/* What was not announced is reserved as it comes. */
bool incoming_write(struct incoming *in, struct slice bytes, struct err *e)
{
    if (!open_draft(in, e))
        return false;
    uint64_t size = in->draft.size + bytes.len;
    if (size > (uint64_t)file_bucket_conf(in->put->at.bucket)->max_bytes)
        return incoming_too_large(&in->put->at, e);
    return ((int64_t)size <= in->reserved || reserve(in, (int64_t)size, e)) &&
           blob_draft_write(&in->draft, bytes, e);
}

void incoming_hash(struct incoming *in, struct slice bytes)
{
    blob_draft_hash(&in->draft, bytes);
}

bool incoming_add(struct incoming *in, struct slice bytes, struct err *e)
{
    bool fine = incoming_write(in, bytes, e);
    if (fine)
        incoming_hash(in, bytes);
    return fine;
}

bool incoming_end(struct incoming *in, struct err *e)
{
    struct file_put *p = in->put;
    if (!open_draft(in, e))
        return false;
    must(p->type.len);
    blob_draft_seal(&in->draft);
    p->size = (int64_t)in->draft.size;
    p->hash = slice_from(in->draft.hash);
    p->key = slice_from(in->draft.key);
    in->is_kept = blob_keep(&in->draft, arena_cstr(p->arena, p->type), e);
    blob_draft_drop(&in->draft);
    in->is_open = false;
    return in->is_kept || file_store_failed(in->files, e);
}

/* ---- what is left ---------------------------------------------------------------------------- */

bool incoming_has_leftovers(const struct incoming *in)
{
    return in->is_open || in->is_kept;
}

/* What cannot be removed now, files_tend() finds: it has no row. */
void incoming_drop(struct incoming *in, bool far)
{
    struct err e;
    if (in->is_open && far)
        blob_draft_drop(&in->draft);
    else if (in->is_open) /* removing a long file takes its time: blob_clean() does it */
        blob_draft_leave(&in->draft);
    in->is_open = false;
    struct blob_store *s = files_store(in->files);
    if (in->is_kept && far)
        blob_remove(s, slice_from(in->draft.key), &e);
    in->is_kept = false;
}
