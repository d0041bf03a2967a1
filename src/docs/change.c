/* A request's changes: planned before the writer has them, applied by it one after the other. */
#include "docs/search_impl.h"

#define ROOM_BYTES     (128u << 10)
#define ROOM_PER_VALUE 4

/*        op           who may           applies         changes what is there */
#define OPS(X)                                          \
    X(DOC_CREATE, ACTION_CREATE, create_apply, false)   \
    X(DOC_PUT, ACTION_WRITE, update_apply, true)        \
    X(DOC_MERGE, ACTION_WRITE, update_apply, true)      \
    X(DOC_PATCH, ACTION_WRITE, update_apply, true)      \
    X(DOC_DELETE, ACTION_DELETE, remove_apply, false)   \
    X(DOC_PURGE, ACTION_DELETE, remove_apply, false)    \
    X(DOC_RESTORE, ACTION_DELETE, restore_apply, false) \
    X(DOC_REVERT, ACTION_WRITE, update_apply, true)     \
    X(DOC_READ, ACTION_READ, read_apply, false)
static const struct {
    enum action action;
    bool (*apply)(struct docs_writing *w, struct doc_change *ch, struct db_conn *c, struct err *e);
    bool is_edit;
} ops[] = {
#define X(op, action, apply, is_edit) [op] = {action, apply, is_edit},
    OPS(X)
#undef X
};

/* ---- what needs no row ----------------------------------------------------------------------- */

static struct slice now_text(struct arena *a)
{
    char text[RFC3339_LEN + 1];
    clock_rfc3339(clock_wall_ms(), text);
    return arena_dup(a, (struct slice){text, RFC3339_LEN});
}

/* What a put needs to create is not asked for before it has to. */
static bool find_rules(struct docs_writing *w, struct doc_change *ch, struct err *e)
{
    struct doc_plan *p = ch->plan;
    const struct policy *policy = &ch->coll->policy;
    enum action action = ops[ch->op].action;
    struct subject who = *w->who;
    who.context.body = ch->body;
    bool may = authorize(&who, policy, action, w->arena, &p->rules[action], e);
    if (ch->op == DOC_PUT)
        may |= authorize(&who, policy, ACTION_CREATE, w->arena, &p->rules[ACTION_CREATE], NULL);
    if (!authorize(&who, policy, ACTION_READ, w->arena, &p->rules[ACTION_READ], NULL))
        p->rules[ACTION_READ] = NULL;
    return may;
}

static bool is_appended_only(const struct doc_change *ch, struct err *e)
{
    if (!ch->coll->conf->append_only || !ops[ch->op].is_edit)
        return true;
    return err_set(e, ERR_METHOD, "Documents of %.*s are never changed: add another one.",
                   SLICE_ARGS(ch->coll->name));
}

static bool is_object(struct docs_writing *w, struct doc_change *ch, struct err *e)
{
    struct violations v = {.a = w->arena};
    if ((ch->op != DOC_CREATE && ch->op != DOC_PUT) || json_type(ch->body) == JSON_OBJECT)
        return true;
    violations_add(&v, SLICE(""), "type", "must be a JSON object");
    return violations_none(&v, ERR_INVALID, ch, e);
}

bool change_plan(struct docs_writing *w, struct doc_change *ch, struct err *e)
{
    struct doc_plan *p = ch->plan = arena_new(w->arena, struct doc_plan);
    p->now = now_text(w->arena);
    if (!is_appended_only(ch, e) || !find_rules(w, ch, e) || !is_object(w, ch, e))
        return false;
    if (ch->op == DOC_CREATE || ch->op == DOC_PUT)
        return create_plan(w, ch, e);
    return ch->op != DOC_PATCH || patch_plan(w, ch, e);
}

/* ---- what each of them asks ------------------------------------------------------------------ */

bool change_may(const struct doc_plan *p, enum action action, const struct json *doc)
{
    const struct query *rule = p->rules[action];
    return rule && (rule->kind == QUERY_TRUE || authorize_row(rule, doc));
}

static bool tell_stale(struct doc_change *ch, const struct doc_row *row, struct arena *a,
                       struct err *e)
{
    struct violations v = {.a = a};
    if (!row) {
        violations_add(&v, SLICE("/version"), "stale", "is none: there is no such document");
    } else {
        struct slice now = arena_printf(a, "is %lld now", (long long)row->meta.version);
        violations_add(&v, SLICE("/version"), "stale", now.ptr);
    }
    ch->details = violations_json(&v, a);
    if (!row)
        return err_set(e, ERR_STALE, "There is no such document, and If-Match wants one.");
    return err_set(e, ERR_STALE, "The document is at version %lld now: read it again.",
                   (long long)row->meta.version);
}

bool change_matches(struct doc_change *ch, const struct doc_row *row, struct arena *a,
                    struct err *e)
{
    const struct doc_match *m = &ch->match;
    bool fits = !m->is_given || (row && m->is_any);
    for (size_t i = 0; row && i < m->n; i++)
        fits |= m->versions[i] == row->meta.version;
    if (m->is_absent && row)
        fits = false;
    return fits || tell_stale(ch, row, a, e);
}

bool change_may_store(struct docs_writing *w, const struct doc_plan *p, enum action action,
                      struct doc_draft *d, bool *ret, struct err *e)
{
    const struct query *rule = p->rules[action];
    const struct json *whole = NULL;
    if (rule && doc_rule_of_owner(rule, d->meta.owner, ret))
        return true;
    if (rule && rule->kind != QUERY_TRUE && !(whole = draft_whole(d, w->arena, e)))
        return false;
    *ret = change_may(p, action, whole);
    return true;
}

/* The read rule may be narrower than the others: then nothing of it is shown. */
bool change_done(struct docs_writing *w, struct doc_change *ch, struct doc_draft *d, struct err *e)
{
    bool is_shown = false;
    ch->doc = doc_of_draft(d);
    if (!change_may_store(w, ch->plan, ACTION_READ, d, &is_shown, e))
        return false;
    if (!is_shown)
        ch->doc.text = (struct slice){0};
    return true;
}

bool read_apply(struct docs_writing *w, struct doc_change *ch, struct db_conn *c, struct err *e)
{
    const struct docs_reading r = {.docs = w->docs, .conn = c, .arena = w->arena, .who = w->who};
    struct doc_row row;
    if (!docs_row(&r, ch->coll, ch->id, &row, e) || !change_matches(ch, &row, w->arena, e))
        return false;
    ch->doc = doc_of_row(&row);
    return true;
}

/* ---- one after the other --------------------------------------------------------------------- */

/* Each of a batch has as much room as if it were alone. */
static void make_room(struct docs_writing *w, const struct doc_change *ch)
{
    size_t n_values = json_type(ch->body) >= JSON_ARRAY ? ch->body->span : 1;
    doc_arena_grow(w->arena, ROOM_BYTES + n_values * ROOM_PER_VALUE);
}

bool docs_writing_plan(struct docs_writing *w, struct err *e)
{
    for (w->failed = 0; w->failed < w->n; w->failed++) {
        struct doc_change *ch = &w->changes[w->failed];
        make_room(w, ch);
        if (!change_plan(w, ch, e))
            return false;
    }
    return true;
}

static struct slice copy(struct arena *a, const struct buf *b)
{
    return b->len ? doc_row_text(a, buf_slice(b)) : (struct slice){0};
}

/* Of what one of many took, only what is answered stays: a hundred of the largest documents must
 * not be there at once. What is created is no larger than the request. */
static void give_back(struct docs_writing *w, struct doc_change *ch, struct arena_mark mark)
{
    struct buf text, details;
    if (w->n == 1 || ch->op == DOC_CREATE)
        return;
    buf_init(&text, 2 * DOC_BYTES_MAX);
    buf_init(&details, DOC_BYTES_MAX);
    buf_add(&text, ch->doc.text);
    buf_add(&details, ch->details);
    if (ch->plan->draft)
        ch->plan->draft->whole = NULL; /* made since */
    arena_rewind(w->arena, mark);
    ch->doc.id = ch->id;
    ch->doc.text = copy(w->arena, &text);
    ch->details = copy(w->arena, &details);
    buf_done(&text);
    buf_done(&details);
}

static bool apply_one(struct docs_writing *w, struct doc_change *ch, struct db_conn *c,
                      struct err *e)
{
    ch->doc = (struct doc){0};
    ch->details = (struct slice){0};
    ch->is_created = false;
    make_room(w, ch);
    struct arena_mark mark = arena_mark(w->arena);
    bool fine = ops[ch->op].apply(w, ch, c, e);
    give_back(w, ch, mark);
    if (!fine)
        search_begin(w); /* nothing of it happens; its words may be many */
    return fine;
}

bool docs_writing_apply(struct docs_writing *w, struct db_conn *c, struct err *e)
{
    size_t shown = 0;
    const struct identity *who = w->who->who;
    if (w->docs->is_in && who && (who->is_signed_in || who->is_of_job) &&
        !w->docs->is_in(c, who, e))
        return false;
    search_begin(w);
    for (w->failed = 0; w->failed < w->n; w->failed++) {
        const struct doc_change *ch = &w->changes[w->failed];
        if (!apply_one(w, &w->changes[w->failed], c, e))
            return false;
        shown += ch->doc.text.len;
        if (shown > DOCS_SHOWN_MAX)
            return err_set(e, ERR_BODY_TOO_LARGE,
                           "The answers would be larger than %u MB: fewer at a time.",
                           DOCS_SHOWN_MAX >> 20);
    }
    return docs_is_present(w->docs, e);
}

bool docs_writing_finish(struct docs_writing *w, struct db_conn *c, struct err *e)
{
    return search_finish(w, c, e);
}
