/* A plan: who may see what, what is asked for of it, and what of that the database decides. */
#include "docs/list_impl.h"

#define TOLD    100 /* bytes of an index in a sentence */
#define LONG_MS 10000

static const struct query *both(struct arena *a, const struct query *left,
                                const struct query *right)
{
    if (left->kind == QUERY_TRUE || right->kind == QUERY_TRUE)
        return left->kind == QUERY_TRUE ? right : left;
    struct query *q = arena_new(a, struct query);
    *q = (struct query){.kind = QUERY_AND,
                        .left = (struct query *)(uintptr_t)left,
                        .right = (struct query *)(uintptr_t)right};
    return q;
}

/* What went to the trash is no longer for everybody who could read it: for those who may delete. */
static bool allowed(struct plan *p, struct err *e)
{
    const struct subject *who = p->r->who;
    const struct query *rows = NULL;
    if (!authorize(who, &p->coll->policy, ACTION_READ, p->a, &rows, e))
        return false;
    p->rest = condition_add(&p->where, p->coll, rows);
    p->is_ruled = p->where.facts.has_others;
    p->where.facts.has_others = false;
    if (!p->is_trash)
        return true;
    if (!authorize(who, &p->coll->policy, ACTION_DELETE, p->a, &rows, e))
        return false;
    p->rest = both(p->a, p->rest, condition_add(&p->where, p->coll, rows));
    return true;
}

static bool read_filter(struct plan *p, struct slice text, struct err *e)
{
    const struct query *q = query_parse(p->a, text, e);
    if (!q || !filter_is_known(p->coll, q, e))
        return false;
    p->filter = query_bind(p->a, q, &p->r->who->context);
    p->rest = both(p->a, p->rest, condition_add(&p->where, p->coll, p->filter));
    return true;
}

bool plan_make(struct plan *p, const struct docs_reading *r, const struct doc_coll *c,
               const struct asked *asked, struct err *e)
{
    *p = (struct plan){.r = r, .coll = c, .a = r->arena, .is_trash = asked->is_trash};
    condition_init(&p->where, p->a);
    return allowed(p, e) && read_filter(p, asked->filter, e) &&
           order_parse(&p->order, c, p->a, asked->sort, p->is_trash, e);
}

/* A rule that no index has may leave out many rows before a page is full. Mostly it does not; where
 * it did, lists of this collection go to a lane at once for a while. */
static struct doc_coll *coll_of(const struct plan *p)
{
    return &p->coll->docs->colls[p->coll - p->coll->docs->colls];
}

void plan_was_long(const struct plan *p)
{
    if (p->is_ruled)
        atomic_store(&coll_of(p)->long_until_ms, clock_mono_ms() + LONG_MS);
}

bool plan_is_short(const struct plan *p, uint32_t limit)
{
    if (p->is_ruled && clock_mono_ms() < atomic_load(&coll_of(p)->long_until_ms))
        return false;
    return limit <= LIST_LOOP_MAX && p->rest->kind == QUERY_TRUE &&
           order_is_served(&p->order, p->coll, &p->where.facts, p->is_trash);
}

/* ---- the index that would help --------------------------------------------------------------- */

struct advice {
    const struct plan *plan;
    struct buf text;
    bool is_range; /* looks for what lies between values, after those that are one value */
};

static void advise(struct advice *x, struct slice path, bool is_descending)
{
    struct buf *b = &x->text;
    if (slice_search(buf_slice(b), path) >= 0 || b->len + path.len > TOLD)
        return; /* one of a similar name goes with it: it is advice */
    buf_printf(b, "%s%s%.*s", b->len ? ", " : "", is_descending ? "-" : "", SLICE_ARGS(path));
}

static void advise_test(struct advice *x, const struct query *q)
{
    const struct query_operand *path = q->a.root == QUERY_DOC ? &q->a : &q->b;
    bool is_range = q->op >= QUERY_GT && q->op <= QUERY_LE;
    bool is_equal = q->op == QUERY_EQ || q->op == QUERY_NULL || q->op == QUERY_IN;
    if (!(x->is_range ? is_range : is_equal) || (q->b.root == QUERY_DOC && q->a.root == QUERY_DOC))
        return;
    struct buf name;
    buf_init(&name, QUERY_BYTES_MAX);
    for (size_t i = 0; i < path->n_steps; i++) {
        buf_add_str(&name, i ? "." : "");
        buf_add(&name, path->steps[i]);
    }
    advise(x, buf_slice(&name), false);
    buf_done(&name);
}

static void advise_all(struct advice *x, const struct query *q)
{
    if (q->kind == QUERY_AND) {
        advise_all(x, q->left);
        advise_all(x, q->right);
    } else if (q->kind == QUERY_TEST) {
        advise_test(x, q);
    }
}

/* Of the user's own filter and sort only: a rule's fields are nobody's business. */
bool plan_too_long(const struct plan *p, struct err *e)
{
    struct advice x = {.plan = p};
    const struct order *o = &p->order;
    buf_init(&x.text, 4096);
    advise_all(&x, p->filter);
    for (size_t i = 0; i < o->n; i++) {
        if (o->terms[i].field->kind != FIELD_DELETED)
            advise(&x, o->terms[i].field->path, o->terms[i].is_descending);
    }
    x.is_range = true;
    if (o->n == 0)
        advise_all(&x, p->filter);
    if (x.text.len)
        err_set(e, ERR_OVER_BUDGET,
                "This would look at too many documents. An index helps: `indexes: [[%.*s]]` of the"
                " collection %.*s in dais.yaml.",
                SLICE_ARGS(buf_slice(&x.text)), SLICE_ARGS(p->coll->name));
    else
        err_set(e, ERR_OVER_BUDGET,
                "This would look at too many documents. Narrow it down with a field that has an"
                " index: add it to `indexes` of the collection %.*s in dais.yaml.",
                SLICE_ARGS(p->coll->name));
    buf_done(&x.text);
    return false;
}
