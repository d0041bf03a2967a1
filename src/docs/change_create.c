/* Creating a document: everything but the row is worked out before the writer has it. */
#include "docs/search_impl.h"

/* ---- before ---------------------------------------------------------------------------------- */

static struct slice new_id(struct arena *a)
{
    char text[ID_LEN + 1];
    random_id(text);
    return arena_dup(a, (struct slice){text, ID_LEN});
}

/* The path's, or the body's own, or a new one. */
static bool choose_id(struct docs_writing *w, struct doc_change *ch, struct slice *ret,
                      struct err *e)
{
    const struct json *own = json_find(ch->body, SLICE("id"));
    struct violations v = {.a = w->arena};
    *ret = ch->id.len ? ch->id : json_str(own);
    if (!ch->id.len && (!own || json_type(own) == JSON_NULL))
        *ret = new_id(w->arena);
    if (doc_id_is_good(*ret))
        return true;
    violations_add(&v, SLICE("/id"), "id",
                   "must be 15 to 64 characters: letters, digits, '-' and '_'");
    return violations_none(&v, ERR_INVALID, ch, e);
}

/* Also of a put, which creates when there is none. */
bool create_plan(struct docs_writing *w, struct doc_change *ch, struct err *e)
{
    struct doc_plan *p = ch->plan;
    struct doc_draft *d = p->draft = draft_new(ch->coll, w->arena);
    struct slice id;
    if (!choose_id(w, ch, &id, e))
        return false;
    p->own = doc_own(ch->body, w->arena, e);
    p->is_checked = ch->op == DOC_CREATE || !ch->coll->conf->hidden.n;
    if (!p->own || (p->is_checked && !draft_check(ch->coll, p->own, ch, w->arena, e)))
        return false;
    d->author = subject_id(w->who);
    d->label = ch->label;
    d->meta = (struct doc_meta){
        .id = id, .version = 1, .owner = d->author, .created = p->now, .updated = p->now};
    return draft_write(d, p->own, w->arena, e);
}

/* ---- on the writer --------------------------------------------------------------------------- */

static bool allowed(struct docs_writing *w, struct doc_change *ch, struct doc_draft *d,
                    struct err *e)
{
    bool may = false;
    if (!change_may_store(w, ch->plan, ACTION_CREATE, d, &may, e))
        return false;
    if (may)
        return true;
    if (ch->op == DOC_PUT) /* absent and a stranger's look alike */
        return doc_not_found(ch->coll, ch->id, e);
    return err_set(e, ERR_FORBIDDEN, "The rules do not let you create this document.");
}

/* Nothing was inserted: why? */
static bool tell_conflict(struct docs_writing *w, struct doc_change *ch, struct db_conn *c,
                          const struct doc_draft *d, struct err *e)
{
    struct violations v = {.a = w->arena};
    struct doc_row row;
    enum db_step step = doc_row_find(c, ch->coll, d->meta.id, false, w->arena, &row, e);
    if (step == DB_FAILED)
        return false;
    if (step == DB_ROW)
        violations_add(&v, SLICE("/id"), "unique", "is taken by another document");
    else if (!rows_unique(c, d, NULL, &v, e))
        return false;
    return violations_none(&v, ERR_EXISTS, ch, e) &&
           err_set(e, ERR_EXISTS, "A value that must be unique was taken just now; try again.");
}

bool create_apply(struct docs_writing *w, struct doc_change *ch, struct db_conn *c, struct err *e)
{
    struct doc_draft *d = ch->plan->draft;
    struct violations v = {.a = w->arena};
    bool is_new = false;
    if (!allowed(w, ch, d, e) || !change_matches(ch, NULL, w->arena, e) ||
        !refs_check(w, c, d, NULL, &v, e) || !violations_none(&v, ERR_INVALID, ch, e) ||
        (rows_must_look(ch->coll) && !rows_unique(c, d, NULL, &v, e)) ||
        !violations_none(&v, ERR_EXISTS, ch, e) || !rows_insert(c, d, &is_new, e))
        return false;
    if (!is_new)
        return tell_conflict(w, ch, c, d, e);
    ch->is_created = true;
    return refs_store(w, c, d, NULL, e) &&
           search_put(w, ch->coll, c, d->meta.id, NULL, d->own, e) && change_done(w, ch, d, e) &&
           tell_new(w, c, d, e);
}
