/* Seeds: documents that an app brings, put into its database once, all or none of them.
 *
 * seed/NAME.jsonl has a document a line, seed/NAME.json a list of them. Each is checked like any
 * other that is created; its id and its owner may be its own. That a collection's were loaded is
 * noted in the same transaction, so a restart, another server and a file that changes later bring
 * nothing twice. */
#include "docs/tables_impl.h"

#include "base/file.h"

#include <sys/stat.h>

#define SEED_BYTES (64u << 20) /* of one file */
#define SEED_ARENA ((size_t)1 << 30)

struct seed_doc {
    struct list link;
    struct slice place; /* "seed/notes.jsonl:3" */
    struct docs_writing writing;
    struct doc_change change;
    struct subject who;
    struct identity identity;
};

struct seed {
    struct list link;
    const struct doc_coll *coll;
    const char *path; /* beside the manifest */
    bool is_lines;
    struct list docs;
};

struct seeding {
    struct docs *docs;
    struct arena arena;
    struct list seeds;  /* those of collections that are referred to come first */
    struct slice place; /* where the first error is */
    const struct doc_coll *coll;
};

/* ---- reading --------------------------------------------------------------------------------- */

static bool fill_in(struct seeding *x, struct seed_doc *s, const struct json *body, struct err *e)
{
    struct slice id = json_str(json_find(body, SLICE("id")));
    const struct json *owner = json_find(body, SLICE("owner"));
    enum json_type type = json_type(owner);
    if (json_type(body) != JSON_OBJECT)
        return err_set(e, ERR_INVALID, "a document is an object, and not %s",
                       json_type_name(json_type(body)));
    if (json_find(body, SLICE("id")) && !doc_id_is_good(id))
        return err_set(e, ERR_INVALID, "/id must be text of %d to %d letters, digits, _ and -",
                       DOC_ID_MIN, DOC_ID_MAX);
    if (type != JSON_STRING && type != JSON_NULL && type != JSON_NONE)
        return err_set(e, ERR_INVALID, "/owner must be the id of an account, or null");
    s->identity = (struct identity){.is_signed_in = type == JSON_STRING && json_str(owner).len,
                                    .has_every_scope = true,
                                    .id = json_str(owner)};
    s->who = (struct subject){.who = &s->identity, .is_console = true};
    s->change = (struct doc_change){.op = DOC_CREATE, .coll = x->coll, .id = id, .body = body};
    s->writing = (struct docs_writing){.docs = x->docs,
                                       .arena = &x->arena,
                                       .who = &s->who,
                                       .changes = &s->change,
                                       .n = 1,
                                       .is_quiet = true};
    return docs_writing_plan(&s->writing, e);
}

static bool add_doc(struct seeding *x, struct seed *seed, const struct json *body,
                    struct slice place, struct err *e)
{
    struct seed_doc *s = arena_new(&x->arena, struct seed_doc);
    s->place = place;
    list_add(&seed->docs, &s->link);
    return fill_in(x, s, body, e);
}

static bool add_line(struct seeding *x, struct seed *seed, struct slice line, struct err *e)
{
    struct json_doc doc;
    return json_parse(&doc, &x->arena, line, NULL, e) &&
           add_doc(x, seed, json_root(&doc), x->place, e);
}

static bool add_lines(struct seeding *x, struct seed *seed, struct slice text, struct err *e)
{
    struct slice line;
    for (size_t n = 1; slice_cut(&text, '\n', &line); n++) {
        x->place = arena_printf(&x->arena, "%s:%zu", seed->path, n);
        if (slice_trim(line).len && !add_line(x, seed, line, e))
            return false;
    }
    return true;
}

static bool add_items(struct seeding *x, struct seed *seed, struct slice text, struct err *e)
{
    struct json_doc doc;
    x->place = slice_from(seed->path);
    if (!json_parse(&doc, &x->arena, text, NULL, e))
        return false;
    if (json_type(json_root(&doc)) != JSON_ARRAY)
        return err_set(e, ERR_INVALID,
                       "it must be a list of documents, such as [{\"title\": \"x\"}]");
    json_each (it, json_root(&doc)) {
        x->place = arena_printf(&x->arena, "%s, document %u,", seed->path, (unsigned)it.index + 1);
        if (!add_doc(x, seed, it.value, x->place, e))
            return false;
    }
    return true;
}

/* NULL: the app has none for it. */
static const char *find_file(struct seeding *x, const char *form)
{
    struct stat st;
    struct slice name = x->coll->name, dir = x->docs->manifest->dir;
    const char *path = arena_printf(&x->arena, "seed/%.*s.%s", SLICE_ARGS(name), form).ptr;
    const char *whole = arena_printf(&x->arena, "%.*s/%s", SLICE_ARGS(dir), path).ptr;
    return stat(whole, &st) == 0 ? path : NULL;
}

static bool read_file(struct seeding *x, struct seed *seed, struct err *e)
{
    struct buf b;
    buf_init(&b, SEED_BYTES);
    x->place = slice_from(seed->path);
    const char *whole =
        arena_printf(&x->arena, "%.*s/%s", SLICE_ARGS(x->docs->manifest->dir), seed->path).ptr;
    bool fine = file_read(whole, &b);
    struct slice text = arena_dup(&x->arena, buf_slice(&b));
    buf_done(&b);
    if (!fine)
        return err_set_sys(e, ERR_IO, "it cannot be read (it may have %u MB)", SEED_BYTES >> 20);
    return seed->is_lines ? add_lines(x, seed, text, e) : add_items(x, seed, text, e);
}

static bool read_seed(struct seeding *x, const struct doc_coll *c, struct err *e)
{
    x->coll = c;
    const char *lines = find_file(x, "jsonl"), *list = find_file(x, "json");
    if (!lines && !list)
        return true;
    struct seed *seed = arena_new(&x->arena, struct seed);
    *seed = (struct seed){.coll = c, .path = lines ? lines : list, .is_lines = lines != NULL};
    list_init(&seed->docs);
    list_add(&x->seeds, &seed->link);
    x->place = slice_from(seed->path);
    if (lines && list)
        return err_set(e, ERR_INVALID, "there is %s, too; keep one of them", list);
    return read_file(x, seed, e);
}

/* ---- in which order -------------------------------------------------------------------------- */

/* Is everything it refers to among the first `n` of the order? */
static bool is_next(const struct doc_coll *c, const struct doc_coll *const *order, size_t n)
{
    for (size_t i = 0; i < c->n_refs; i++) {
        bool is_there = c->refs[i].to == c;
        for (size_t k = 0; !is_there && k < n; k++)
            is_there = order[k] == c->refs[i].to;
        if (!is_there)
            return false;
    }
    return true;
}

static bool is_in(const struct doc_coll *c, const struct doc_coll *const *order, size_t n)
{
    while (n && order[n - 1] != c)
        n--;
    return n > 0;
}

/* What is referred to first; circles as the manifest has them. */
static const struct doc_coll **order_of(struct docs *d, struct arena *a)
{
    const struct doc_coll **order = arena_zalloc(a, (d->n_colls + 1) * sizeof *order);
    for (size_t n = 0; n < d->n_colls; n++) {
        const struct doc_coll *first = NULL, *next = NULL;
        for (size_t i = 0; !next && i < d->n_colls; i++) {
            const struct doc_coll *c = &d->colls[i];
            if (is_in(c, order, n))
                continue;
            first = first ? first : c;
            next = is_next(c, order, n) ? c : NULL;
        }
        order[n] = next ? next : first;
    }
    return order;
}

/* ---- loading --------------------------------------------------------------------------------- */

static bool was_loaded(struct seeding *x, struct db_conn *c, const struct doc_coll *coll, bool *ret,
                       struct err *e)
{
    struct slice when;
    return meta_find(c, "seed", coll->name, &x->arena, &when, ret, e);
}

static bool write_doc(struct seeding *x, struct seed_doc *s, struct db_conn *c, struct err *e)
{
    x->place = s->place;
    return docs_writing_apply(&s->writing, c, e) && docs_writing_finish(&s->writing, c, e);
}

static bool write_seed(struct seeding *x, struct seed *seed, struct db_conn *c, struct err *e)
{
    char now[RFC3339_LEN + 1];
    bool is_loaded;
    if (!was_loaded(x, c, seed->coll, &is_loaded, e))
        return false;
    if (is_loaded) /* by another server, meanwhile */
        return true;
    clock_rfc3339(clock_wall_ms(), now);
    if (!meta_put(c, "seed", seed->coll->name, slice_from(now), &x->arena, e))
        return false;
    list_each (link, &seed->docs) {
        if (!write_doc(x, container_of(link, struct seed_doc, link), c, e))
            return false;
    }
    return true;
}

static bool run_seeding(void *arg, struct db_conn *c, struct err *e)
{
    struct seeding *x = arg;
    bool is_turn = db_is_sqlite(docs_db(x->docs)) ||
                   run_text(c, SLICE("LOCK TABLE dais_fields IN EXCLUSIVE MODE"), e);
    if (!is_turn)
        return false;
    list_each (link, &x->seeds) {
        if (!write_seed(x, container_of(link, struct seed, link), c, e))
            return false;
    }
    return true;
}

/* Files of collections that were seeded are not even opened. */
static bool read_new(struct seeding *x, struct db_conn *c, struct err *e)
{
    const struct doc_coll **order = order_of(x->docs, &x->arena);
    for (size_t i = 0; i < x->docs->n_colls; i++) {
        bool is_loaded;
        if (!was_loaded(x, c, order[i], &is_loaded, e))
            return false;
        if (!is_loaded && !read_seed(x, order[i], e))
            return false;
    }
    return true;
}

static void log_loaded(const struct seeding *x)
{
    list_each (link, &x->seeds) {
        const struct seed *seed = container_of(link, struct seed, link);
        log_line(LOG_INFO, "seed loaded", F_STR("app", x->docs->manifest->slug.s),
                 F_CSTR("file", seed->path));
    }
}

static bool load(struct seeding *x, struct db *db, struct err *e)
{
    struct db_conn *c = db_conn_take(db, e);
    bool fine = c && read_new(x, c, e);
    if (c)
        db_conn_give(c);
    if (!fine || list_is_empty(&x->seeds))
        return fine;
    fine = db_write_now(db, run_seeding, x, e);
    if (fine)
        log_loaded(x);
    return fine;
}

void docs_load_seeds(struct docs *d, struct db *db)
{
    struct seeding x = {.docs = d};
    struct err e;
    arena_init(&x.arena, SEED_ARENA);
    list_init(&x.seeds);
    if (!load(&x, db, &e))
        log_line(LOG_ERROR, "nothing of the seed was loaded", F_STR("app", d->manifest->slug.s),
                 F_STR("place", x.place), F_CSTR("reason", e.msg));
    arena_done(&x.arena);
}

void docs_check_seeds(struct docs *d, struct problems *p)
{
    struct seeding x = {.docs = d};
    struct err e;
    for (size_t i = 0; i < d->n_colls; i++) {
        arena_init(&x.arena, SEED_ARENA);
        list_init(&x.seeds);
        if (!read_seed(&x, &d->colls[i], &e))
            problems_add(p, PROBLEM_ERROR, d->manifest->file, d->colls[i].conf->pos, "%.*s: %s",
                         SLICE_ARGS(x.place), e.msg);
        arena_done(&x.arena);
    }
}
