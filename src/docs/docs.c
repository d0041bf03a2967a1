/* An app's collections, compiled from its manifest: schemas, policies, fields and indexes. */
#include "docs/search_impl.h"

#include "base/file.h"

#include <stdlib.h>
#include <string.h>

#define DOCS_BYTES   (64u << 20)
#define SCHEMA_BYTES (1u << 20)

struct compiling {
    struct docs *docs;
    struct problems *problems;
};

static void report(struct compiling *x, struct pos pos, const char *what)
{
    problems_add(x->problems, PROBLEM_ERROR, x->docs->manifest->file, pos, "%s", what);
}

static bool is_told(const struct compiling *x, struct pos pos)
{
    for (size_t i = 0; i < x->problems->n; i++) {
        const struct problem *p = &x->problems->items[i];
        if (p->kind == PROBLEM_ERROR && p->pos.line == pos.line && p->pos.col == pos.col &&
            slice_eq(p->file, x->docs->manifest->file))
            return true;
    }
    return false;
}

/* ---- schemas --------------------------------------------------------------------------------- */

static bool load_schema(void *user, struct slice path, struct slice *ret_text, struct err *e)
{
    struct docs *d = user;
    struct buf b;
    buf_init(&b, SCHEMA_BYTES);
    struct slice whole =
        arena_printf(&d->arena, "%.*s/%.*s", SLICE_ARGS(d->manifest->dir), SLICE_ARGS(path));
    bool fine = file_read(whole.ptr, &b);
    if (!fine)
        err_set_sys(e, ERR_NOT_FOUND, "%.*s cannot be read", SLICE_ARGS(path));
    else
        *ret_text = arena_dup(&d->arena, buf_slice(&b));
    buf_done(&b);
    return fine;
}

static void compile_schema(struct compiling *x, struct doc_coll *c)
{
    const struct schema_loader loader = {.load = load_schema, .user = x->docs};
    struct err e;
    if (!c->conf->schema.s.len)
        return;
    c->schema = schema_compile(&x->docs->arena, c->conf->schema.s, &loader, &e);
    if (c->schema)
        c->is_closed = schema_properties(c->schema, &x->docs->arena, &c->known, &c->n_known);
    else if (!is_told(x, c->conf->schema.pos)) /* a file that is missing is, with the manifest */
        report(x, c->conf->schema.pos, e.msg);
}

/* ---- fields and indexes ---------------------------------------------------------------------- */

static void split(struct arena *a, struct doc_field *f, struct slice path)
{
    struct slice rest = path, step;
    f->path = path;
    f->steps = arena_alloc(a, (path.len + 1) * sizeof *f->steps);
    f->n_steps = 0;
    while (slice_cut(&rest, '.', &step))
        f->steps[f->n_steps++] = step;
}

/* Each field that an index, a unique or the read rule names has a column, once. */
static const struct doc_field *field_of(struct docs *d, struct doc_coll *c, struct slice path)
{
    struct doc_field f = {.kind = FIELD_KEY};
    split(&d->arena, &f, path);
    const struct doc_field *known = doc_coll_field(c, f.steps, f.n_steps);
    if (known)
        return known;
    c->fields[c->n_fields] = f;
    return &c->fields[c->n_fields++];
}

static bool is_owners(const struct query *rule)
{
    return rule && rule->kind == QUERY_TEST && rule->op == QUERY_EQ && rule->a.root == QUERY_DOC &&
           rule->a.n_steps == 1 && slice_is(rule->a.steps[0], "owner") &&
           rule->b.root == QUERY_USER;
}

static void add_index(struct compiling *x, struct doc_coll *c, const struct texts *terms,
                      bool is_unique)
{
    struct docs *d = x->docs;
    struct doc_index *index = &c->indexes[c->n_indexes];
    struct buf spec;
    if (terms->n > INDEX_TERMS) {
        report(x, terms->items[0].pos, "an index has at most 8 fields");
        return;
    }
    buf_init(&spec, 4096);
    *index = (struct doc_index){.is_unique = is_unique, .pos = terms->items[0].pos};
    index->is_by_owner = !is_unique && is_owners(c->policy.rules[ACTION_READ]);
    buf_add_str(&spec, is_unique ? "unique:" : index->is_by_owner ? "own:" : "");
    for (size_t i = 0; i < terms->n; i++) {
        struct slice path = terms->items[i].s;
        bool is_descending = slice_starts(path, SLICE("-"));
        buf_add_str(&spec, i ? "," : "");
        buf_add(&spec, path);
        index->terms[i].is_descending = is_descending;
        index->terms[i].field = field_of(d, c, slice_skip(path, is_descending));
    }
    index->n_terms = terms->n;
    index->spec = arena_dup(&d->arena, buf_slice(&spec));
    buf_done(&spec);
    c->n_indexes++;
}

/* ---- fields of rules ------------------------------------------------------------------------- */

#define RULE_FIELDS 8 /* of a collection; what more of them ask is asked of the rows */

struct rule_fields {
    struct docs *docs;
    struct doc_coll *coll;
    size_t n;
};

/* What `a.b` in the manifest can name, as one text; empty: it cannot. */
static struct slice path_text(struct arena *a, const struct query_operand *path)
{
    struct slice text = SLICE("");
    for (size_t i = 0; i < path->n_steps; i++) {
        if (!path->steps[i].len || slice_index(path->steps[i], '.') >= 0)
            return SLICE("");
        text = i ? arena_printf(a, "%.*s.%.*s", SLICE_ARGS(text), SLICE_ARGS(path->steps[i]))
                 : path->steps[i];
    }
    return text;
}

static bool add_rule_field(void *user, const struct query_operand *path)
{
    struct rule_fields *f = user;
    struct slice text = path_text(&f->docs->arena, path);
    if (!text.len || doc_coll_field(f->coll, path->steps, path->n_steps))
        return true;
    field_of(f->docs, f->coll, text);
    return ++f->n < RULE_FIELDS;
}

/* The rules that lists are filtered by: with columns the database decides, and no document is
 * parsed to see whether somebody may see it. */
static void add_rule_fields(struct docs *d, struct doc_coll *c)
{
    struct rule_fields f = {.docs = d, .coll = c};
    const struct query *read = c->policy.rules[ACTION_READ];
    if (read)
        query_each_path(read, add_rule_field, &f);
}

static void compile_indexes(struct compiling *x, struct doc_coll *c)
{
    const struct collection *conf = c->conf;
    size_t n_terms = RULE_FIELDS;
    for (size_t i = 0; i < conf->indexes.n; i++)
        n_terms += conf->indexes.items[i].n;
    for (size_t i = 0; i < conf->unique.n; i++)
        n_terms += conf->unique.items[i].n;
    c->fields = arena_zalloc(&x->docs->arena, n_terms * sizeof *c->fields);
    c->indexes =
        arena_zalloc(&x->docs->arena, (conf->indexes.n + conf->unique.n) * sizeof *c->indexes);
    for (size_t i = 0; i < conf->indexes.n; i++)
        add_index(x, c, &conf->indexes.items[i], false);
    for (size_t i = 0; i < conf->unique.n; i++)
        add_index(x, c, &conf->unique.items[i], true);
    add_rule_fields(x->docs, c);
}

static void compile_policy(struct compiling *x, struct doc_coll *c)
{
    const struct text *wrong = NULL;
    struct err e;
    if (!policy_compile(&c->policy, &x->docs->arena, &c->conf->rules, c->conf->owner, &wrong, &e))
        report(x, wrong->pos, e.msg);
    c->policy.name = c->conf->name.s;
}

static void compile_checks(struct compiling *x, struct doc_coll *c)
{
    const struct texts *conf = &c->conf->checks;
    struct err e;
    c->checks = arena_zalloc(&x->docs->arena, conf->n * sizeof *c->checks);
    for (size_t i = 0; i < conf->n; i++) {
        const struct doc_check *check = doc_check_parse(&x->docs->arena, conf->items[i].s, &e);
        if (!check || (c->schema && !doc_check_fits(check, c->schema, &e)))
            report(x, conf->items[i].pos, e.msg);
        else
            c->checks[c->n_checks++] = check;
    }
}

static void compile_search(struct compiling *x, struct doc_coll *c)
{
    const struct text *wrong = NULL;
    struct err e;
    if (!search_compile(c, &x->docs->arena, &wrong, &e))
        report(x, wrong->pos, e.msg);
}

static void compile_refs(struct docs *d, struct doc_coll *c)
{
    c->refs = arena_zalloc(&d->arena, c->conf->refs.n * sizeof *c->refs);
    for (size_t i = 0; i < c->conf->refs.n; i++) {
        const struct ref *conf = &c->conf->refs.items[i];
        struct doc_ref *ref = &c->refs[c->n_refs];
        split(&d->arena, &ref->field, conf->field.s);
        ref->to = docs_find(d, conf->to.s);
        ref->on_delete = slice_is(conf->on_delete.s, "clear")     ? REF_CLEAR
                         : slice_is(conf->on_delete.s, "cascade") ? REF_CASCADE
                                                                  : REF_RESTRICT;
        c->n_refs += ref->to != NULL; /* the manifest's own check has told of it */
    }
}

/* ---- life ------------------------------------------------------------------------------------ */

struct docs *docs_new(const struct manifest *m, struct problems *p)
{
    struct docs *d = mem_new(struct docs);
    struct compiling x = {.docs = d, .problems = p};
    d->manifest = m;
    arena_init(&d->arena, DOCS_BYTES);
    map_init(&d->by_name);
    pthread_mutex_init(&d->lock, NULL);
    d->n_colls = m->collections.n;
    d->colls = arena_zalloc(&d->arena, d->n_colls * sizeof *d->colls);
    for (size_t i = 0; i < d->n_colls; i++) {
        struct doc_coll *c = &d->colls[i];
        *c = (struct doc_coll){.conf = &m->collections.items[i], .docs = d};
        c->name = c->conf->name.s;
        map_put(&d->by_name, c->name, c);
        compile_schema(&x, c);
        compile_checks(&x, c);
        compile_policy(&x, c);
        compile_indexes(&x, c);
        compile_search(&x, c);
    }
    for (size_t i = 0; i < d->n_colls; i++)
        compile_refs(d, &d->colls[i]);
    return d;
}

void docs_attach(struct docs *d, struct db_slot *slot)
{
    d->slot = slot;
    d->reading = db_slot_join(slot);
}

void docs_free(struct docs *d)
{
    if (!d)
        return;
    map_done(&d->by_name);
    pthread_mutex_destroy(&d->lock);
    arena_done(&d->arena);
    free(d);
}

const struct doc_coll *docs_find(const struct docs *d, struct slice name)
{
    return map_find(&d->by_name, name);
}

size_t docs_count(const struct docs *d)
{
    return d->n_colls;
}

const struct doc_coll *docs_at(const struct docs *d, size_t i)
{
    return &d->colls[i];
}

const struct collection *doc_coll_conf(const struct doc_coll *c)
{
    return c->conf;
}

const struct schema *doc_coll_schema(const struct doc_coll *c)
{
    return c->schema;
}

/* ---- being in the database ------------------------------------------------------------------- */

static bool is_open_for(const struct docs *d)
{
    return atomic_load(&d->open_for) == db_slot_times(d->slot);
}

bool docs_enter(struct docs *d)
{
    struct db *db = db_slot_enter(d->slot);
    if (!db)
        return false;
    if (is_open_for(d))
        return true;
    db_slot_leave(d->slot);
    return false;
}

static bool make_tables(struct docs *d, struct db *db, struct err *e)
{
    if (is_open_for(d))
        return true;
    if (!docs_make_tables(d, db, e))
        return false;
    atomic_store(&d->db, db);
    docs_load_seeds(d, db);
    atomic_store(&d->tend_ms, clock_mono_ms());
    atomic_store(&d->open_for, db_slot_times(d->slot));
    return true;
}

bool docs_open(struct docs *d, struct err *e)
{
    struct db *db = db_slot_open(d->slot, e);
    if (!db)
        return false;
    pthread_mutex_lock(&d->lock);
    bool fine = make_tables(d, db, e);
    pthread_mutex_unlock(&d->lock);
    if (!fine)
        db_slot_leave(d->slot);
    return fine;
}

bool docs_has_failed(const struct docs *d)
{
    return db_slot_has_failed(d->slot);
}

void docs_leave(struct docs *d)
{
    db_slot_leave(d->slot);
}

void docs_leave_quietly(struct docs *d)
{
    db_slot_leave_quietly(d->slot);
}

struct db *docs_db(const struct docs *d)
{
    return atomic_load(&d->db);
}

void docs_guard(struct docs *d, docs_is_in is_in)
{
    d->is_in = is_in;
}

void docs_on_change(struct docs *d, change_hook fn, void *user)
{
    d->on_change = fn;
    d->on_change_user = user;
}

bool docs_is_present(const struct docs *d, struct err *e)
{
    if (db_slot_is_present(d->slot, d->reading))
        return true;
    return err_set(e, ERR_UNAVAILABLE, "The app was just changed; ask again.");
}
