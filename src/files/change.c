/* A file goes, is moved, or is made public. */
#include "files/files_impl.h"

#include "wire/wire.h"

/* There, theirs to do that with, and what If-Match says. */
static bool find(const struct file_place *at, const struct subject *who, struct arena *a,
                 enum action action, struct slice if_match, struct db_conn *c, struct file *ret,
                 const struct query **ret_rows, struct err *e)
{
    if (!file_path_check(at->path, e) ||
        !authorize(who, &at->bucket->policy, action, a, ret_rows, e))
        return false;
    enum db_step step = file_find(c, at, a, ret, e);
    if (step == DB_FAILED)
        return false;
    if (step != DB_ROW || !file_matches(*ret_rows, at->bucket, ret))
        return file_not_found(at, e);
    return !if_match.len || etag_match_strong(if_match, ret->etag) ||
           err_set(e, ERR_STALE, "The file is not what `If-Match` says; read it again.");
}

bool files_delete_apply(struct file_delete *d, struct db_conn *c, struct err *e)
{
    const struct query *rows = NULL;
    struct file f;
    return still_in(d->files, d->who, c, e) &&
           find(&d->at, d->who, d->arena, ACTION_DELETE, d->if_match, c, &f, &rows, e) &&
           file_remove(c, &d->at, e) && use_add(c, f.bucket, f.owner, -(int64_t)f.size, -1, e) &&
           blob_row_let_go(c, d->files, f.hash, e) &&
           tell_file(d->files, c, CHANGE_DELETED, d->at.bucket, &f, d->who, e);
}

static bool is_free(const struct file_change *ch, const struct file *next, struct db_conn *c,
                    struct err *e)
{
    struct file there;
    struct file_place to = {ch->at.bucket, ch->at.space, next->path};
    if (slice_eq(to.path, ch->at.path))
        return true;
    if (!file_path_check(to.path, e))
        return false;
    enum db_step step = file_find(c, &to, ch->arena, &there, e);
    if (step == DB_ROW)
        err_set(e, ERR_EXISTS, "There is a file %.*s in %.*s already; choose another path.",
                SLICE_ARGS(slice_first(to.path, 100)), SLICE_ARGS(to.bucket->name));
    return step == DB_END;
}

/* A new path is a new place: who may not begin a file there may not move one there either. */
static bool may_go_there(const struct file_change *ch, const struct file *next, struct err *e)
{
    const struct file_bucket *b = ch->at.bucket;
    const struct query *rows = NULL;
    if (slice_eq(next->path, ch->at.path))
        return true;
    return authorize(ch->who, &b->policy, ACTION_CREATE, ch->arena, &rows, e) &&
           (file_matches(rows, b, next) || put_is_forbidden(b, e));
}

static bool may_become(const struct file_change *ch, const struct query *rows,
                       const struct file *next, struct err *e)
{
    if (ch->is_public > 0 && !ch->at.bucket->has_choice)
        return put_is_not_chosen(ch->at.bucket, e);
    return file_matches(rows, ch->at.bucket, next) ||
           err_set(e, ERR_FORBIDDEN, "The rules of %.*s do not let you make the file so.",
                   SLICE_ARGS(ch->at.bucket->name));
}

static bool tell_change(const struct file_change *ch, const struct file *before, struct db_conn *c,
                        struct err *e)
{
    const struct file_bucket *b = ch->at.bucket;
    if (slice_eq(ch->file.path, ch->at.path))
        return tell_file(ch->files, c, CHANGE_UPDATED, b, &ch->file, ch->who, e);
    return tell_file(ch->files, c, CHANGE_DELETED, b, before, ch->who, e) &&
           tell_file(ch->files, c, CHANGE_CREATED, b, &ch->file, ch->who, e);
}

bool files_change_apply(struct file_change *ch, struct db_conn *c, struct err *e)
{
    const struct query *rows = NULL;
    struct file *next = &ch->file;
    if (!still_in(ch->files, ch->who, c, e) ||
        !find(&ch->at, ch->who, ch->arena, ACTION_WRITE, ch->if_match, c, next, &rows, e))
        return false;
    const struct file before = *next;
    next->path = ch->to_path.len ? ch->to_path : next->path;
    next->is_public = ch->is_public < 0 ? next->is_public : ch->is_public > 0;
    next->version++;
    next->updated = file_now(ch->arena);
    if (!may_become(ch, rows, next, e) || !may_go_there(ch, next, e) || !is_free(ch, next, c, e) ||
        !file_update(c, &ch->at, next, e))
        return false;
    file_own(next, ch->at.bucket, ch->arena);
    return tell_change(ch, &before, c, e);
}
