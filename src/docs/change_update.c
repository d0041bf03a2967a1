/* Changing a document that is there: its row is read, what it becomes is decided, it is written. */
#include "docs/search_impl.h"

#include "schema/patch.h"

/* ---- what it becomes (pure) ------------------------------------------------------------------ */

struct patching {
    const struct doc_change *change;
    const struct json *target;
};

static bool write_patched(void *user, struct buf *to, struct err *e)
{
    const struct patching *p = user;
    if (p->change->op == DOC_PATCH)
        return patch_apply(p->target, p->change->body, to, e);
    patch_merge(p->target, p->change->body, to);
    return true;
}

static const struct json *only_object(const struct json *doc, struct arena *a, struct err *e)
{
    if (!doc || json_type(doc) == JSON_OBJECT)
        return doc ? doc_own(doc, a, e) : NULL;
    err_set(e, ERR_INVALID, "A document must stay a JSON object.");
    return NULL;
}

/* A JSON Patch sees what its sender sees: `test` and `copy` would tell of hidden fields. */
const struct json *change_next(const struct doc_change *ch, const struct json *before,
                               struct arena *a, struct err *e)
{
    struct patching p = {.change = ch, .target = before};
    const struct json *next = ch->plan->own;
    if (ch->op == DOC_PATCH && !(p.target = doc_shown(ch->coll, before, a, e)))
        return NULL;
    if (ch->op == DOC_MERGE || ch->op == DOC_PATCH)
        next = only_object(doc_written(write_patched, &p, a, e), a, e);
    ch->plan->names_hidden = doc_has_hidden(ch->coll, ch->op == DOC_MERGE ? ch->body : next);
    if (next && (ch->op == DOC_PUT || ch->op == DOC_PATCH))
        next = doc_keep_hidden(ch->coll, before, next, a, e);
    return next;
}

/* ---- patches that touch what is ours --------------------------------------------------------- */

static bool is_ours(const struct json *pointer)
{
    struct slice rest = json_str(pointer), name;
    return slice_starts(rest, SLICE("/")) && (rest = slice_skip(rest, 1), true) &&
           slice_cut(&rest, '/', &name) && doc_name_is_system(name);
}

bool patch_plan(struct docs_writing *w, struct doc_change *ch, struct err *e)
{
    struct violations v = {.a = w->arena};
    json_each (it, ch->body) {
        struct slice op = json_str(json_find(it.value, SLICE("op")));
        struct buf pointer;
        if (slice_is(op, "test") ||
            !(is_ours(json_find(it.value, SLICE("path"))) ||
              (slice_is(op, "move") && is_ours(json_find(it.value, SLICE("from"))))))
            continue;
        buf_init(&pointer, 64);
        json_pointer_add_index(&pointer, it.index);
        violations_add(&v, buf_slice(&pointer), "read_only",
                       "changes a field that dais keeps itself");
        buf_done(&pointer);
    }
    return violations_none(&v, ERR_INVALID, ch, e);
}

/* ---- on the writer --------------------------------------------------------------------------- */

struct updating {
    struct docs_writing *w;
    struct doc_change *ch;
    struct db_conn *conn;
    struct doc_row row;
    const struct json *before;
    struct doc_draft *draft;
};

/* What one may not change looks absent, but for who sees it and may change nothing here at all. */
static bool allowed(struct updating *u, struct err *e)
{
    const struct doc_plan *p = u->ch->plan;
    if (change_may(p, ACTION_WRITE, u->before))
        return true;
    if (!p->rules[ACTION_WRITE] && change_may(p, ACTION_READ, u->before))
        return err_set(e, ERR_FORBIDDEN, "There is a document %.*s, and you may not change it.",
                       SLICE_ARGS(u->row.meta.id));
    return doc_not_found(u->ch->coll, u->ch->id, e);
}

/* A put on what is in the trash would make a second one of it. Who could only read it is not told
 * where it went. */
static bool tell_trashed(struct updating *u, struct err *e)
{
    if (u->ch->op != DOC_PUT || !change_may(u->ch->plan, ACTION_WRITE, u->before))
        return doc_not_found(u->ch->coll, u->ch->id, e);
    return err_set(e, ERR_EXISTS,
                   "The document is in the trash: restore it first, or delete it for good with"
                   " ?purge=true.");
}

static const struct json *earlier(struct updating *u, struct err *e)
{
    struct docs_writing *w = u->w;
    struct json_doc doc;
    struct slice text;
    enum db_step step = version_find(u->conn, u->ch->coll, u->ch->id, u->ch->version,
                                     u->row.meta.version, w->arena, &text, e);
    if (step == DB_END)
        err_set(e, ERR_NOT_FOUND, "Version %lld is not kept.", (long long)u->ch->version);
    if (step != DB_ROW)
        return NULL;
    if (u->ch->version == u->row.meta.version)
        text = u->row.body;
    doc_arena_grow(w->arena, text.len);
    return doc_parse(w->arena, text, &doc_stored_limits, &doc, e)
               ? doc_own(json_root(&doc), w->arena, e)
               : NULL;
}

/* What was hidden from whoever sent the rest is put back behind it: order says nothing then. */
static bool is_alike(const struct json *before, const struct json *own)
{
    struct buf b;
    buf_init(&b, DOC_BYTES_MAX);
    patch_diff(before, own, &b);
    bool alike = slice_is(buf_slice(&b), "[]");
    buf_done(&b);
    return alike;
}

/* The same text: nothing is written, the version stays. Not where a hidden field was written: that
 * it is the same would tell what it is, as often as one likes in batches that are undone. */
static bool is_same(struct updating *u, const struct json *own, bool *ret, struct err *e)
{
    struct arena *a = u->w->arena;
    struct doc_draft *d = u->draft;
    if (!draft_write(d, own, a, e))
        return false;
    if (u->ch->plan->names_hidden)
        return true;
    *ret = slice_eq(buf_slice(&d->body), u->row.body);
    if (*ret || !u->ch->coll->conf->hidden.n)
        return true;
    const struct json *was = doc_own(u->before, a, e);
    *ret = was && is_alike(was, own);
    return was != NULL;
}

static bool may_become(struct updating *u, struct err *e)
{
    bool may = false;
    if (!change_may_store(u->w, u->ch->plan, ACTION_WRITE, u->draft, &may, e))
        return false;
    if (may)
        return true;
    return err_set(e, ERR_FORBIDDEN,
                   "The rules do not let you make this of the document: you could not change it"
                   " any more.");
}

static bool store(struct updating *u, struct err *e)
{
    struct docs_writing *w = u->w;
    struct doc_draft *d = u->draft;
    struct violations refs = {.a = w->arena}, taken = {.a = w->arena};
    if (!may_become(u, e) || !refs_check(w, u->conn, d, u->before, &refs, e) ||
        !violations_none(&refs, ERR_INVALID, u->ch, e) ||
        !rows_unique(u->conn, d, u->before, &taken, e) ||
        !violations_none(&taken, ERR_EXISTS, u->ch, e))
        return false;
    return rows_update(u->conn, d, u->row.meta.version, e) &&
           refs_store(w, u->conn, d, u->before, e) &&
           search_put(w, d->coll, u->conn, d->meta.id, u->before, d->own, e) &&
           change_done(w, u->ch, d, e) && tell_draft(w, u->conn, CHANGE_UPDATED, d, e);
}

static struct slice later_of(struct slice a, struct slice b)
{
    return slice_cmp(a, b) > 0 ? a : b;
}

static bool update(struct updating *u, struct err *e)
{
    struct docs_writing *w = u->w;
    struct doc_change *ch = u->ch;
    struct doc_draft *d = u->draft = draft_new(ch->coll, w->arena);
    bool is_unchanged = false;
    if (!allowed(u, e) || !change_matches(ch, &u->row, w->arena, e))
        return false;
    const struct json *own =
        ch->op == DOC_REVERT ? earlier(u, e) : change_next(ch, u->before, w->arena, e);
    d->meta = u->row.meta;
    if (!own || !is_same(u, own, &is_unchanged, e))
        return false;
    if (is_unchanged)
        return change_done(w, ch, d, e);
    if (!ch->plan->is_checked && !draft_check(ch->coll, own, ch, w->arena, e))
        return false;
    d->meta.version++;
    d->meta.updated = later_of(u->row.meta.updated, ch->plan->now);
    d->author = subject_id(w->who);
    d->label = ch->label;
    return draft_write(d, own, w->arena, e) && store(u, e);
}

static bool put_new(struct docs_writing *w, struct doc_change *ch, struct db_conn *c, struct err *e)
{
    return (ch->plan->is_checked || draft_check(ch->coll, ch->plan->own, ch, w->arena, e)) &&
           create_apply(w, ch, c, e);
}

bool update_apply(struct docs_writing *w, struct doc_change *ch, struct db_conn *c, struct err *e)
{
    struct updating u = {.w = w, .ch = ch, .conn = c};
    enum db_step step = doc_row_find(c, ch->coll, ch->id, true, w->arena, &u.row, e);
    if (step == DB_FAILED)
        return false;
    if (step == DB_END)
        return ch->op == DOC_PUT ? put_new(w, ch, c, e) : doc_not_found(ch->coll, ch->id, e);
    u.before = doc_row_json(&u.row, w->arena, e);
    if (!u.before)
        return false;
    return u.row.deleted.len ? tell_trashed(&u, e) : update(&u, e);
}
