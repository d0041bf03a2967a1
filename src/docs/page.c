/* Pages of an export: by id, from the last one on, bounded in what they hold and what they cost. */
#include "docs/list_impl.h"

#include <string.h>

#define PAUSE 20000 /* rows looked at, after which a page ends with what it has */

static bool keep(struct arena *a, struct slice text, struct slice *ret, struct err *e)
{
    char *copy = arena_try_alloc(a, text.len);
    if (!copy)
        return err_set(e, ERR_OVER_BUDGET, "A page of documents does not fit into memory.");
    memcpy(copy, text.ptr, text.len);
    *ret = (struct slice){copy, text.len};
    return true;
}

static bool add(struct docs_page *to, struct walk *w, struct arena *a, struct err *e)
{
    struct slice text;
    struct doc *doc = &to->items[to->n];
    *doc = (struct doc){.id = arena_dup(a, walk_id(w))};
    if (!walk_text(w, &text, e) || !keep(a, text, &doc->text, e))
        return false;
    to->next = doc->id;
    to->n++;
    return true;
}

static bool fill(struct docs_page *to, struct walk *w, size_t limit, struct arena *a, struct err *e)
{
    enum db_step step = DB_END;
    size_t bytes = 0;
    to->is_last = true;
    while ((step = walk_next(w, e)) == DB_ROW) {
        to->is_last = to->n < limit && bytes <= DOC_PAGE_BYTES;
        if (!to->is_last)
            break;
        if (!add(to, w, a, e))
            return false;
        bytes += to->items[to->n - 1].text.len;
    }
    if (w->is_paused) {
        to->next = arena_dup(a, w->place.id);
        to->is_last = false;
    }
    return step != DB_FAILED;
}

bool docs_page(const struct docs_reading *r, const struct doc_coll *c, struct slice filter,
               struct slice after, size_t limit, struct docs_page *ret, struct err *e)
{
    struct asked asked = {.filter = filter};
    struct place from = {.id = after};
    struct plan p;
    struct walk w;
    limit = limit < 1 ? 1 : limit > DOC_LIMIT_MAX ? DOC_LIMIT_MAX : limit;
    if (!plan_make(&p, r, c, &asked, e))
        return false;
    *ret = (struct docs_page){.next = after};
    ret->items = arena_alloc(r->arena, limit * sizeof *ret->items);
    walk_init(&w, &p, &p.order, after.len ? &from : NULL, false, (uint32_t)limit + 1);
    w.pause_at = PAUSE;
    bool fine = fill(ret, &w, limit, r->arena, e);
    walk_done(&w);
    return fine;
}
