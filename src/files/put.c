/* A file comes: before its body is taken, and in the write that makes it so. */
#include "files/files_impl.h"

#include "wire/wire.h"

#define SAID_NOTHING "application/octet-stream application/x-www-form-urlencoded"

/* One put as it is being decided. */
struct putting {
    struct files *files;
    const struct file_put *p;
    const struct file *old; /* NULL: nothing is there */
    struct arena *arena;
    struct slice now;
    bool is_final; /* type and size are what came, not what was announced */
    struct file next;
};

/* ---- rights ---------------------------------------------------------------------------------- */

static bool is_unknown_yet(void *user, const struct query_operand *path)
{
    (void)user;
    return !(path->n_steps == 1 &&
             (slice_is(path->steps[0], "type") || slice_is(path->steps[0], "size")));
}

/* Before the body a rule may ask for what nobody knows. */
static bool next_matches(const struct putting *x, const struct query *rows)
{
    if (!x->is_final && !query_each_path(rows, is_unknown_yet, NULL))
        return true;
    return file_matches(rows, x->p->at.bucket, &x->next);
}

bool put_is_forbidden(const struct file_bucket *b, struct err *e)
{
    return err_set(e, ERR_FORBIDDEN, "The rules of %.*s do not let you store such a file there.",
                   SLICE_ARGS(b->name));
}

bool put_is_not_chosen(const struct file_bucket *b, struct err *e)
{
    return err_set(e, ERR_INVALID,
                   "public: in %.*s the rules alone say who may read; `visibility: choice` in"
                   " the manifest would let you choose.",
                   SLICE_ARGS(b->name));
}

bool file_too_large(const struct file_bucket *b, struct err *e)
{
    return err_set(e, ERR_BODY_TOO_LARGE, "A file in %.*s has at most %lld bytes.",
                   SLICE_ARGS(b->name), (long long)b->conf->max_bytes);
}

static bool not_so(const struct putting *x, struct err *e)
{
    return put_is_forbidden(x->p->at.bucket, e);
}

/* In somebody else's space only who may write there may begin a file, too. */
static bool may_create(const struct putting *x, struct err *e)
{
    const struct file_place *at = &x->p->at;
    const struct query *rows = NULL;
    const struct policy *policy = &at->bucket->policy;
    if (!authorize(x->p->who, policy, ACTION_CREATE, x->arena, &rows, e))
        return false;
    if (x->old)
        return err_set(e, ERR_EXISTS, "Somebody else has a file %.*s in %.*s; choose another path.",
                       SLICE_ARGS(slice_first(at->path, 100)), SLICE_ARGS(at->bucket->name));
    if (!next_matches(x, rows))
        return not_so(x, e);
    if (!at->bucket->has_spaces || slice_eq(at->space, subject_id(x->p->who)))
        return true;
    return authorize(x->p->who, policy, ACTION_WRITE, x->arena, &rows, e) &&
           (next_matches(x, rows) || not_so(x, e));
}

/* *ret_is_theirs: there is something, and they may write it; then what it becomes must be theirs to
 * write as well. */
static bool may_write(const struct putting *x, bool *ret_is_theirs, struct err *e)
{
    const struct query *rows = NULL;
    struct err why;
    const struct file_bucket *b = x->p->at.bucket;
    *ret_is_theirs = x->old &&
                     authorize(x->p->who, &b->policy, ACTION_WRITE, x->arena, &rows, &why) &&
                     file_matches(rows, b, x->old);
    return !*ret_is_theirs || next_matches(x, rows) || not_so(x, e);
}

/* ---- conditions ------------------------------------------------------------------------------ */

static bool has_changed(struct slice what, struct err *e)
{
    return err_set(e, ERR_STALE, "The file is not what `%.*s` says; read it again.",
                   SLICE_ARGS(what));
}

static bool conditions_hold(const struct putting *x, struct err *e)
{
    const struct file_put *p = x->p;
    if (p->if_match.len && (!x->old || !etag_match_strong(p->if_match, x->old->etag)))
        return has_changed(SLICE("If-Match"), e);
    if (p->if_none_match.len && x->old && etag_match_weak(p->if_none_match, x->old->etag))
        return has_changed(SLICE("If-None-Match"), e);
    return true;
}

/* ---- deciding -------------------------------------------------------------------------------- */

static void make_next(struct putting *x)
{
    const struct file_put *p = x->p;
    const struct file *old = x->old;
    bool was_public = old && old->is_public;
    x->next = (struct file){
        .bucket = p->at.bucket->name,
        .space = p->at.space,
        .path = p->at.path,
        .type = p->type.len   ? p->type
                : p->said.len ? p->said
                              : SLICE("application/octet-stream"),
        .owner = old ? old->owner : file_owner_of(&p->at, p->who),
        .created = old ? old->created : x->now,
        .updated = x->now,
        .hash = p->hash,
        .key = p->key,
        .size = p->size > 0 ? (uint64_t)p->size : 0,
        .version = old ? old->version + 1 : 1,
        .is_public = p->is_public < 0 ? was_public : p->is_public > 0,
    };
}

static bool size_fits(const struct file_put *p, struct err *e)
{
    return p->size <= p->at.bucket->conf->max_bytes || file_too_large(p->at.bucket, e);
}

/* Programs that do not know a type say one of these. */
static bool says_nothing(struct slice said)
{
    struct slice rest = SLICE(SAID_NOTHING), one;
    while (slice_cut(&rest, ' ', &one)) {
        if (slice_eq_nocase(said, one))
            return true;
    }
    return !said.len;
}

static bool type_fits(const struct putting *x, struct err *e)
{
    return (!x->is_final && says_nothing(x->p->said)) ||
           file_type_check(x->p->at.bucket, x->next.type, e);
}

/* All but the quota. Pure. */
static bool decide(struct putting *x, struct err *e)
{
    const struct file_put *p = x->p;
    bool is_theirs = false;
    make_next(x);
    if (!file_path_check(p->at.path, e) || !may_write(x, &is_theirs, e) ||
        (!is_theirs && !may_create(x, e)) || !conditions_hold(x, e))
        return false;
    if (p->is_public > 0 && !p->at.bucket->has_choice)
        return put_is_not_chosen(p->at.bucket, e);
    return size_fits(p, e) && type_fits(x, e);
}

static int64_t more_of(const struct putting *x)
{
    return (int64_t)x->next.size - (x->old ? (int64_t)x->old->size : 0);
}

static enum db_step look(struct putting *x, struct db_conn *c, struct file *old, struct err *e)
{
    enum db_step step = file_find(c, &x->p->at, x->arena, old, e);
    x->old = step == DB_ROW ? old : NULL;
    x->now = file_now(x->arena);
    return step;
}

bool files_put_may(const struct files_reading *r, struct file_put *p, struct err *e)
{
    struct putting x = {.files = r->files, .p = p, .arena = r->arena};
    struct file_use use;
    struct file old;
    if (look(&x, r->conn, &old, e) == DB_FAILED || !decide(&x, e) ||
        !use_read(r->conn, p->at.bucket, x.next.owner, &use, e))
        return false;
    p->owner = x.next.owner;
    use_saw(r->files, &p->at, x.next.owner, use.bytes - (x.old ? (int64_t)x.old->size : 0));
    int64_t reserved = use_reserved(r->files, p->at.bucket, x.next.owner);
    return p->size < 0 || use_allows(p->at.bucket, use.bytes + reserved, more_of(&x), e);
}

bool files_form_may(const struct subject *who, const struct file_place *at, struct arena *a,
                    struct err *e)
{
    const struct policy *policy = &at->bucket->policy;
    const struct query *rows;
    struct err why;
    return authorize(who, policy, ACTION_WRITE, a, &rows, &why) ||
           authorize(who, policy, ACTION_CREATE, a, &rows, e);
}

bool files_form_fits(const struct files_reading *r, const struct file_place *at, int64_t size,
                     struct slice *ret_owner, struct err *e)
{
    struct file_use use;
    *ret_owner = file_owner_of(at, r->who);
    if (!use_read(r->conn, at->bucket, *ret_owner, &use, e))
        return false;
    use_saw(r->files, at, *ret_owner, use.bytes);
    int64_t reserved = use_reserved(r->files, at->bucket, *ret_owner);
    return use_allows(at->bucket, use.bytes + reserved, size, e);
}

/* ---- the write ------------------------------------------------------------------------------- */

static bool store(struct putting *x, struct file_put *p, struct db_conn *c, struct err *e)
{
    bool is_same = x->old && slice_eq(x->old->hash, p->hash);
    if (!blob_row_take(c, p, &x->next.key, e) ||
        !(x->old ? file_update(c, &p->at, &x->next, e) : file_insert(c, &x->next, e)) ||
        !use_add(c, x->next.bucket, x->next.owner, more_of(x), x->old ? 0 : 1, e))
        return false;
    return !x->old || is_same || blob_row_let_go(c, x->files, x->old->hash, e);
}

static bool put(struct file_put *p, struct db_conn *c, struct err *e)
{
    struct putting x = {.files = p->files, .p = p, .arena = p->arena, .is_final = true};
    struct file_use use;
    struct file old;
    must(p->hash.len == BLOB_HASH_LEN && p->key.len && p->type.len && p->size >= 0);
    if (look(&x, c, &old, e) == DB_FAILED || !decide(&x, e) ||
        !use_read(c, p->at.bucket, x.next.owner, &use, e) ||
        !use_allows(p->at.bucket, use.bytes, more_of(&x), e) || !store(&x, p, c, e))
        return false;
    p->is_created = !x.old;
    p->file = x.next;
    file_own(&p->file, p->at.bucket, p->arena);
    return tell_file(p->files, c, x.old ? CHANGE_UPDATED : CHANGE_CREATED, p->at.bucket, &p->file,
                     p->who, e);
}

bool files_put_apply(struct file_put *puts, size_t n, size_t *ret_failed, struct db_conn *c,
                     struct err *e)
{
    *ret_failed = 0;
    if (n && !still_in(puts->files, puts->who, c, e))
        return false;
    for (size_t i = 0; i < n; i++) {
        if (!put(&puts[i], c, e)) {
            *ret_failed = i;
            return false;
        }
    }
    return true;
}
