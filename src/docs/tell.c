/* Who follows changes of documents is told of each of them, inside its write. */
#include "docs/search_impl.h"

bool tells(const struct docs_writing *w)
{
    return w->docs->on_change && !w->is_quiet;
}

/* What follows is shown to whoever made the change, so it must not show more than they may read. A
 * key may do less than its account, which is who is asked here. */
static bool may_read(const struct docs_writing *w, const struct doc_coll *coll,
                     const struct json *whole)
{
    const struct query *rows = NULL;
    struct identity all = *w->who->who;
    struct subject who = *w->who;
    all.has_every_scope = true;
    who.who = &all;
    return authorize(&who, &coll->policy, ACTION_READ, w->arena, &rows, NULL) &&
           authorize_row(rows, whole);
}

static bool tell(struct docs_writing *w, struct db_conn *c, struct change *ch, struct err *e)
{
    const struct docs *d = w->docs;
    ch->by = subject_id(w->who);
    ch->is_stranger = subject_is_stranger(w->who);
    ch->depth = w->who->who ? w->who->who->depth : 0;
    return d->on_change(d->on_change_user, c, ch, e);
}

/* What follows is the app's own then. */
static bool is_app(const struct docs_writing *w)
{
    return !subject_id(w->who).len && !subject_is_stranger(w->who);
}

/* Who creates a document knows what is in it. */
bool tell_new(struct docs_writing *w, struct db_conn *c, const struct doc_draft *d, struct err *e)
{
    struct change ch = {.kind = CHANGE_CREATED, .of = d->coll->name, .id = d->meta.id};
    ch.text = doc_of_draft(d).text;
    return !tells(w) || tell(w, c, &ch, e);
}

bool tell_draft(struct docs_writing *w, struct db_conn *c, enum change_kind kind,
                struct doc_draft *d, struct err *e)
{
    struct change ch = {.kind = kind, .of = d->coll->name, .id = d->meta.id};
    if (!tells(w))
        return true;
    if (!is_app(w) && !draft_whole(d, w->arena, e))
        return false;
    if (is_app(w) || may_read(w, d->coll, d->whole))
        ch.text = doc_of_draft(d).text;
    return tell(w, c, &ch, e);
}

bool tell_gone(struct docs_writing *w, struct db_conn *c, const struct doc_coll *coll,
               const struct doc_row *row, struct err *e)
{
    struct change ch = {.kind = CHANGE_DELETED, .of = coll->name, .id = row->meta.id};
    const struct json *whole = NULL;
    if (!tells(w))
        return true;
    if (!is_app(w) && !(whole = doc_row_json(row, w->arena, e)))
        return false;
    if (!w->is_leaving && (is_app(w) || may_read(w, coll, whole)))
        ch.text = doc_of_row(row).text;
    return tell(w, c, &ch, e);
}
