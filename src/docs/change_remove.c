/* Documents go to the trash, for good, and come back. */
#include "docs/search_impl.h"

static bool find(struct docs_writing *w, struct doc_change *ch, struct db_conn *c,
                 struct doc_row *row, const struct json **ret_doc, struct err *e)
{
    enum db_step step = doc_row_find(c, ch->coll, ch->id, true, w->arena, row, e);
    if (step == DB_FAILED)
        return false;
    if (step == DB_END || (row->deleted.len && ch->op == DOC_DELETE))
        return doc_not_found(ch->coll, ch->id, e);
    *ret_doc = doc_row_json(row, w->arena, e);
    if (!*ret_doc)
        return false;
    if (!change_may(ch->plan, ACTION_DELETE, *ret_doc))
        return doc_not_found(ch->coll, ch->id, e);
    return change_matches(ch, row, w->arena, e);
}

bool remove_apply(struct docs_writing *w, struct doc_change *ch, struct db_conn *c, struct err *e)
{
    struct doc_row row;
    const struct json *doc;
    if (!find(w, ch, c, &row, &doc, e))
        return false;
    ch->doc = (struct doc){.id = row.meta.id, .version = row.meta.version};
    if (row.deleted.len) /* nobody refers to it any more */
        return rows_remove(c, ch->coll, row.meta.id, e);
    return refs_gone(w, ch, c, &row, ch->op == DOC_PURGE, e);
}

/* ---- back from the trash --------------------------------------------------------------------- */

struct returning {
    struct docs_writing *w;
    struct doc_change *ch;
    struct db_conn *conn;
    struct doc_row row;
    struct doc_draft *draft;
};

/* Without what is to be cleared it must be what its collection takes. */
static void check_cleared(struct returning *r, const struct json *own, struct violations *to)
{
    const struct doc_coll *c = r->ch->coll;
    struct doc_change unseen = {.coll = c};
    if (c->conf->append_only || !draft_check(c, own, &unseen, r->w->arena, NULL))
        violations_add(to, SLICE(""), "reference",
                       "refers to a document that is gone, and may not be without it: bring that"
                       " back first");
}

/* As it was, but for references to what went meanwhile and was to be cleared. */
static bool make_draft(struct returning *r, const struct json *doc, struct err *e)
{
    struct arena *a = r->w->arena;
    struct doc_draft *d = r->draft = draft_new(r->ch->coll, a);
    struct violations v = {.a = a};
    const struct json *was = doc_own(doc, a, e), *own = was;
    d->meta = r->row.meta;
    d->author = r->row.author;
    d->label = r->row.label;
    d->own = was;
    if (!was || (r->row.deleted.len && !refs_refresh(r->w, r->conn, d, &own, &v, e)))
        return false;
    if (own != was)
        check_cleared(r, own, &v);
    if (!violations_none(&v, ERR_EXISTS, r->ch, e))
        return false;
    if (own != was) {
        d->meta.version++;
        d->meta.updated = r->ch->plan->now;
        d->author = subject_id(r->w->who);
    }
    return draft_write(d, own, a, e);
}

bool restore_apply(struct docs_writing *w, struct doc_change *ch, struct db_conn *c, struct err *e)
{
    struct returning r = {.w = w, .ch = ch, .conn = c};
    struct violations taken = {.a = w->arena};
    const struct json *doc = NULL;
    if (!find(w, ch, c, &r.row, &doc, e) || !make_draft(&r, doc, e))
        return false;
    if (!r.row.deleted.len) /* it is back already */
        return change_done(w, ch, r.draft, e);
    return rows_unique(c, r.draft, NULL, &taken, e) && violations_none(&taken, ERR_EXISTS, ch, e) &&
           rows_update(c, r.draft, r.row.meta.version, e) && refs_store(w, c, r.draft, NULL, e) &&
           search_put(w, ch->coll, c, r.row.meta.id, NULL, r.draft->own, e) &&
           change_done(w, ch, r.draft, e) && tell_draft(w, c, CHANGE_CREATED, r.draft, e);
}
