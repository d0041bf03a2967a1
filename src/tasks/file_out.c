/* A file that a task makes: told by its first bytes, written to a draft, kept, then named by a row;
 * in the same order as one that somebody uploads, so that at any instant each row has its blob. */
#include "tasks/tasks_impl.h"

#include "base/size.h"

#include <string.h>

/* May it be there at all? Said before the work, and again by the write. */
bool file_out_begin(struct file_out *f, struct err *e)
{
    struct file_put *p = &f->put;
    struct files_reading r = {.files = p->files, .arena = p->arena, .who = p->who};
    r.conn = db_conn_take(files_db(p->files), e);
    if (!r.conn)
        return false;
    p->size = -1;
    bool fine = files_put_may(&r, p, e);
    db_conn_give(r.conn);
    f->is_open = fine && blob_draft_open(&f->draft, files_store(p->files), 0, e);
    return f->is_open;
}

static bool tell_type(struct file_out *f, struct err *e)
{
    struct file_put *p = &f->put;
    p->type = file_sniff((struct slice){f->first, f->n_first}, p->said, p->at.path);
    return file_type_check(p->at.bucket, p->type, e);
}

static bool tell_size(const struct bucket *conf, struct err *e)
{
    char size[SIZE_TEXT_LEN];
    size_text(conf->max_bytes, size);
    return err_set(e, ERR_BODY_TOO_LARGE, "A file in %.*s has at most %s.",
                   SLICE_ARGS(conf->name.s), size);
}

bool file_out_add(struct file_out *f, struct slice bytes, struct err *e)
{
    const struct bucket *conf = file_bucket_conf(f->put.at.bucket);
    struct slice first = slice_first(bytes, sizeof f->first - f->n_first);
    if (f->draft.size + bytes.len > (uint64_t)conf->max_bytes)
        return tell_size(conf, e);
    if (first.len)
        memcpy(f->first + f->n_first, first.ptr, first.len);
    f->n_first += first.len;
    if (!f->put.type.len && f->n_first == sizeof f->first && !tell_type(f, e))
        return false;
    return blob_draft_add(&f->draft, bytes, e);
}

static bool keep(struct file_out *f, struct err *e)
{
    struct file_put *p = &f->put;
    if (!p->type.len && !tell_type(f, e))
        return false;
    blob_draft_seal(&f->draft);
    p->size = (int64_t)f->draft.size;
    p->hash = slice_from(f->draft.hash);
    p->key = slice_from(f->draft.key);
    f->is_kept = blob_keep(&f->draft, arena_cstr(p->arena, p->type), e);
    blob_draft_drop(&f->draft);
    f->is_open = false;
    return f->is_kept;
}

static bool write_row(void *arg, struct db_conn *c, struct err *e)
{
    struct file_out *f = arg;
    size_t failed;
    f->has_row = files_put_apply(&f->put, 1, &failed, c, e);
    return f->has_row;
}

/* Of a commit that failed nobody may know whether it happened: then the blob stays, and it is for
 * files_tend() to find out. Of content that was there already our blob is not needed. */
bool file_out_end(struct file_out *f, struct err *e)
{
    if (!keep(f, e))
        return false;
    bool fine = db_write_now(files_db(f->put.files), write_row, f, e);
    if (f->has_row)
        f->is_kept = false;
    if (!fine || !f->put.uses_other)
        return fine;
    fine = files_put_confirm(&f->put, e);
    f->is_kept = fine && f->put.uses_other;
    return fine;
}

void file_out_done(struct file_out *f)
{
    struct err e;
    if (f->is_open)
        blob_draft_drop(&f->draft);
    f->is_open = false;
    if (f->is_kept) /* what cannot be removed now has no row: files_tend() finds it */
        blob_remove(files_store(f->put.files), slice_from(f->draft.key), &e);
    f->is_kept = false;
}
