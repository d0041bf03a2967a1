/* Fields of documents: which have a column, what of a document they are, who may name them. */
#include "docs/docs_impl.h"

static const struct doc_field system_fields[] = {
    {.path = SLICE_INIT("id"), .kind = FIELD_ID, .column = "id", .is_ready = true},
    {.path = SLICE_INIT("version"), .kind = FIELD_VERSION, .column = "version", .is_ready = true},
    {.path = SLICE_INIT("owner"), .kind = FIELD_OWNER, .column = "owner", .is_ready = true},
    {.path = SLICE_INIT("created"), .kind = FIELD_CREATED, .column = "created", .is_ready = true},
    {.path = SLICE_INIT("updated"), .kind = FIELD_UPDATED, .column = "updated", .is_ready = true},
};
#define N_SYSTEM (sizeof system_fields / sizeof *system_fields)

const struct doc_field *doc_field_of_system(struct slice name)
{
    for (size_t i = 0; i < N_SYSTEM; i++) {
        if (slice_eq(system_fields[i].path, name))
            return &system_fields[i];
    }
    return NULL;
}

bool doc_name_is_system(struct slice name)
{
    return doc_field_of_system(name) != NULL;
}

const struct json *doc_field_value(const struct doc_field *f, const struct json *doc)
{
    if (f->kind != FIELD_KEY)
        return json_find(doc, f->path);
    return query_walk(doc, f->steps, f->n_steps);
}

static bool is_path(const struct doc_field *f, const struct slice *steps, size_t n)
{
    if (f->n_steps != n)
        return false;
    for (size_t i = 0; i < n; i++) {
        if (!slice_eq(f->steps[i], steps[i]))
            return false;
    }
    return true;
}

const struct doc_field *doc_coll_field(const struct doc_coll *c, const struct slice *steps,
                                       size_t n_steps)
{
    if (n_steps == 1 && doc_name_is_system(steps[0]))
        return doc_field_of_system(steps[0]);
    for (size_t i = 0; i < c->n_fields; i++) {
        if (is_path(&c->fields[i], steps, n_steps))
            return &c->fields[i];
    }
    return NULL;
}

/* Is `path`, such as "a.b", where the steps lead, or something that holds it? Of a list it is the
 * b of each item. */
static bool path_holds(struct slice path, const struct slice *steps, size_t n_steps)
{
    struct slice step;
    uint64_t place;
    for (size_t i = 0; slice_cut(&path, '.', &step); i++) {
        while (i > 0 && i < n_steps && !slice_eq(step, steps[i]) && slice_to_u64(steps[i], &place))
            i++;
        if (i == n_steps || !slice_eq(step, steps[i]))
            return false;
    }
    return true;
}

static bool is_hidden(const struct doc_coll *c, const struct slice *steps, size_t n_steps)
{
    for (size_t i = 0; i < c->conf->hidden.n; i++) {
        if (path_holds(c->conf->hidden.items[i].s, steps, n_steps))
            return true;
    }
    return false;
}

bool doc_coll_knows(const struct doc_coll *c, const struct slice *steps, size_t n_steps)
{
    if (n_steps == 0 || is_hidden(c, steps, n_steps))
        return false;
    if (doc_name_is_system(steps[0]))
        return n_steps == 1;
    return !c->schema || schema_has_path(c->schema, steps, n_steps);
}

bool doc_coll_shows(const struct doc_coll *c, struct slice name)
{
    return doc_coll_knows(c, &name, 1);
}
