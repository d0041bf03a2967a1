/* From a kind's tables to its files: facts, templates, JSON where it is JSON, headers. */
#include "render/render_impl.h"

#define TEXT_MAX  (4u << 20)
#define FILES_MAX 20000 /* a site of pages may hold many */
#define ENV_MAX   500   /* of a target */

static bool is_json_template(const char *name)
{
    return slice_ends(slice_from(name), SLICE(".json.yaml"));
}

/* The text of one row, before its header. */
static bool fill_row(struct arena *a, const struct render_row *row, const struct json *facts,
                     struct buf *to, struct err *e)
{
    if (!is_json_template(row->template))
        return fill_template(row->template, facts, to, e);
    struct buf yaml;
    buf_init(&yaml, TEXT_MAX);
    bool fine =
        fill_template(row->template, facts, &yaml, e) && yaml_to_json(buf_slice(&yaml), a, to, e);
    buf_done(&yaml);
    return fine;
}

static bool make_row(struct arena *a, const struct render_row *row, const struct json *facts,
                     struct render_file *ret, struct err *e)
{
    struct buf text, whole;
    struct slice path = slice_from(row->path);
    buf_init(&text, TEXT_MAX);
    buf_init(&whole, TEXT_MAX);
    bool fine = fill_row(a, row, facts, &text, e);
    if (fine && !header_add(path, buf_slice(&text), &whole))
        fine = err_set(e, ERR_MANIFEST, "no value may be exactly \"dais-header\"");
    if (fine && (text.full || whole.full))
        fine = err_set(e, ERR_MANIFEST, "would be larger than 4 MB");
    if (!fine)
        err_prefix(e, "%s", row->path);
    *ret = (struct render_file){.path = path,
                                .text = arena_dup(a, buf_slice(&whole)),
                                .mode = row->is_executable ? 0755 : 0644};
    buf_done(&whole);
    buf_done(&text);
    return fine;
}

static bool make_table(struct arena *a, const struct render_row *row, const struct json *facts,
                       struct render_files *to, struct err *e)
{
    for (; row->path; row++) {
        const struct json *when = row->when ? facts_find(facts, slice_from(row->when)) : NULL;
        if (row->when && !facts_is_true(when))
            continue;
        must(to->n < FILES_MAX);
        if (!make_row(a, row, facts, &to->items[to->n], e))
            return false;
        to->n++;
    }
    return true;
}

static bool make_next(struct arena *a, const struct render_kind *kind, const struct json *facts,
                      struct slice *ret, struct err *e)
{
    struct buf text;
    buf_init(&text, TEXT_MAX);
    bool fine = !kind->next || fill_template(kind->next, facts, &text, e);
    *ret = arena_dup(a, buf_slice(&text));
    buf_done(&text);
    return fine;
}

/* More than a process would be given; every kind writes each of them several times. */
static void check_counts(const struct manifest *m, const struct target *t, struct problems *p)
{
    if (m->secrets.n >= SECRETS_MAX)
        problems_add(p, PROBLEM_ERROR, m->file, m->secrets.items[SECRETS_MAX - 1].pos,
                     "`secrets` has %zu rows; an app gets at most %d variables of its own",
                     m->secrets.n, SECRETS_MAX - 1);
    if (t && t->env.n > ENV_MAX)
        problems_add(p, PROBLEM_ERROR, m->file, t->env.items[ENV_MAX].key.pos,
                     "`env` has %zu rows; at most %d, as in a file .env", t->env.n, ENV_MAX);
}

bool render_files(struct arena *a, const struct render_options *o, struct render_files *ret,
                  struct problems *p, struct err *e)
{
    /* Not cleared, so that rows that are never used cost nothing. */
    struct render_files files = {.items = arena_alloc(a, FILES_MAX * sizeof *files.items)};
    check_counts(o->manifest, o->target, p);
    if (o->kind->check)
        o->kind->check(o->manifest, o->target, p);
    if (problems_has_errors(p))
        return err_set(e, ERR_MANIFEST, "the manifest holds what %s cannot express", o->kind->name);
    const struct json *facts = render_facts(a, o, e);
    if (!facts)
        return false;
    for (const struct render_row *const *table = o->kind->tables; *table; table++) {
        if (!make_table(a, *table, facts, &files, e))
            return false;
    }
    if (o->kind->add && !o->kind->add(a, o, &files, p, e))
        return false;
    if (!make_next(a, o->kind, facts, &files.next, e))
        return false;
    *ret = files;
    return true;
}
