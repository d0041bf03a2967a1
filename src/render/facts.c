/* The facts of a manifest: one JSON object with everything that templates may ask for.
 *
 * A section per function, in the order of the table at the end. Facts are what is true of the app;
 * how a format writes them is the templates' and the filters' business. */
#include "base/build.h"
#include "render/rows_impl.h"

#include <stdlib.h>

#define FACTS_MAX (8u << 20)
#define MB        (1 << 20)

/* ---- writing ------------------------------------------------------------------------------------
 */

void facts_str(const struct facts *f, const char *key, struct slice value)
{
    json_write_key(f->w, slice_from(key));
    json_write_str(f->w, value);
}

void facts_i64(const struct facts *f, const char *key, int64_t value)
{
    json_write_key(f->w, slice_from(key));
    json_write_i64(f->w, value);
}

void facts_bool(const struct facts *f, const char *key, bool value)
{
    json_write_key(f->w, slice_from(key));
    json_write_bool(f->w, value);
}

void facts_begin(const struct facts *f, const char *key)
{
    json_write_key(f->w, slice_from(key));
    json_write_object(f->w);
}

void facts_begin_list(const struct facts *f, const char *key)
{
    json_write_key(f->w, slice_from(key));
    json_write_array(f->w);
}

void facts_end(const struct facts *f)
{
    json_write_object_end(f->w);
}

void facts_end_list(const struct facts *f)
{
    json_write_array_end(f->w);
}

void facts_texts(const struct facts *f, const char *key, const struct texts *list)
{
    facts_begin_list(f, key);
    for (size_t i = 0; i < list->n; i++)
        json_write_str(f->w, list->items[i].s);
    facts_end_list(f);
}

void facts_pairs(const struct facts *f, const char *key, const struct pairs *list)
{
    facts_begin_list(f, key);
    for (size_t i = 0; i < list->n; i++) {
        json_write_object(f->w);
        facts_str(f, "name", list->items[i].key.s);
        facts_str(f, "value", list->items[i].value.s);
        facts_end(f);
    }
    facts_end_list(f);
}

/* ---- sections -----------------------------------------------------------------------------------
 */

static void dais(const struct facts *f)
{
    facts_begin(f, "dais");
    facts_str(f, "version", slice_from(build_version));
    facts_end(f);
}

static void app(const struct facts *f)
{
    facts_begin(f, "app");
    facts_str(f, "slug", f->m->slug.s);
    facts_str(f, "title", f->m->title.s);
    facts_str(f, "description", f->m->description.s);
    facts_str(f, "api", f->m->api.s);
    facts_end(f);
}

static void target(const struct facts *f)
{
    facts_begin(f, "target");
    facts_str(f, "kind", slice_from(f->o->kind->name));
    facts_str(f, "name", f->t->name.s);
    facts_str(f, "domain", f->t->domain.s);
    facts_str(f, "admin_email", f->t->admin_email.s);
    facts_str(f, "region", f->t->region.s);
    facts_begin_list(f, "env");
    for (size_t i = 0; i < f->t->env.n; i++) {
        json_write_object(f->w);
        facts_str(f, "name", f->t->env.items[i].key.s);
        facts_str(f, "value", env_plain(f->a, f->t->env.items[i].value.s));
        facts_end(f);
    }
    facts_end_list(f);
    facts_end(f);
}

static void web(const struct facts *f)
{
    const struct web_conf *web = &f->m->web;
    facts_begin(f, "web");
    facts_str(f, "root", web->root.s);
    facts_str(f, "build", web->build.s);
    facts_str(f, "fallback", web->fallback.s);
    facts_begin_list(f, "mounts");
    for (size_t i = 0; i < web->mounts.n; i++) {
        json_write_object(f->w);
        facts_str(f, "prefix", web->mounts.items[i].prefix.s);
        facts_str(f, "folder", web->mounts.items[i].folder.s);
        facts_end(f);
    }
    facts_end_list(f);
    facts_end(f);
}

/* The longest of what the app allows anywhere, for a proxy before it. Never 0, which proxies take
 * for no limit at all, and never less than what dais takes for itself. */
static int64_t largest_body(const struct manifest *m)
{
    int64_t most = largest_request_bytes(&m->backend);
    most = most > MB ? most : MB;
    for (size_t i = 0; i < m->files.n; i++)
        most = m->files.items[i].max_bytes > most ? m->files.items[i].max_bytes : most;
    return most;
}

static void backend(const struct facts *f)
{
    const struct backend_conf *b = &f->m->backend;
    facts_begin(f, "backend");
    facts_bool(f, "is_there", b->pos.line != 0);
    facts_str(f, "setup", b->setup.s);
    facts_texts(f, "routes", &b->routes);
    facts_texts(f, "persist", &b->persist);
    facts_pairs(f, "env", &b->env);
    facts_end(f);
}

/* Of the app as a whole, rounded up: a proxy must never be stricter than dais. */
static void limits(const struct facts *f)
{
    facts_begin(f, "limits");
    facts_i64(f, "body_mb", (largest_body(f->m) + MB - 1) / MB);
    facts_end(f);
}

static int by_bytes(const void *a, const void *b)
{
    return slice_cmp(*(const struct slice *)a, *(const struct slice *)b);
}

/* dais opens libcrypto for the tokens that {jwt} is replaced by. */
static bool wants_crypto(const struct manifest *m)
{
    return slice_search(m->backend.identity.value.s, SLICE("{jwt}")) >= 0;
}

/* It opens libpq where DATABASE_URL is a Postgres, which is known only where the app runs. */
static bool wants_postgres(const struct manifest *m)
{
    return m->collections.n > 0;
}

/* Those of the backend, of all jobs and of dais, each once, sorted. */
static void packages(const struct facts *f)
{
    const struct manifest *m = f->m;
    size_t n = m->backend.packages.n + wants_crypto(m) + wants_postgres(m), k = 0;
    for (size_t i = 0; i < m->jobs.n; i++)
        n += m->jobs.items[i].packages.n;
    struct slice *all = arena_zalloc(f->a, (n + 1) * sizeof *all);
    if (wants_crypto(m))
        all[k++] = SLICE("libssl3");
    if (wants_postgres(m))
        all[k++] = SLICE("libpq5");
    for (size_t i = 0; i < m->backend.packages.n; i++)
        all[k++] = m->backend.packages.items[i].s;
    for (size_t i = 0; i < m->jobs.n; i++)
        for (size_t j = 0; j < m->jobs.items[i].packages.n; j++)
            all[k++] = m->jobs.items[i].packages.items[j].s;
    qsort(all, n, sizeof *all, by_bytes);
    facts_begin_list(f, "packages");
    for (size_t i = 0; i < n; i++) {
        if (i == 0 || !slice_eq(all[i], all[i - 1]))
            json_write_str(f->w, all[i]);
    }
    facts_end_list(f);
}

static void secrets(const struct facts *f)
{
    facts_begin_list(f, "secrets");
    for (size_t i = 0; i < f->m->secrets.n; i++) {
        char mark;
        json_write_object(f->w);
        facts_str(f, "name", secret_stem(f->m->secrets.items[i].s, &mark));
        facts_bool(f, "is_pattern", mark == '*');
        facts_bool(f, "is_required", mark == '\0');
        facts_end(f);
    }
    facts_end_list(f);
}

static bool makes_them_itself(const struct manifest *m)
{
    bool has = false;
    for (size_t i = 0; i < m->jobs.n; i++)
        has |= slice_is(m->jobs.items[i].use.s, "backup.run") && m->jobs.items[i].schedule.s.len;
    return has;
}

static void backups(const struct facts *f)
{
    const struct backups_conf *b = &f->m->backups;
    bool is_off = slice_is(b->schedule.s, "off");
    facts_begin(f, "backups");
    facts_bool(f, "is_off", is_off);
    facts_bool(f, "is_on", !is_off && manifest_keeps_something(f->m));
    facts_bool(f, "is_job", makes_them_itself(f->m));
    facts_str(f, "folder", slice_starts(b->to.s, SLICE("/")) ? b->to.s : SLICE(""));
    facts_str(f, "schedule", b->schedule.s);
    facts_str(f, "to", b->to.s);
    facts_i64(f, "daily", b->keep.daily);
    facts_i64(f, "weekly", b->keep.weekly);
    facts_i64(f, "monthly", b->keep.monthly);
    facts_end(f);
}

static void (*const sections[])(const struct facts *f) = {
    dais,           app,
    target,         web,
    backend,        limits,
    packages,       secrets,
    backups,        facts_settings,
    facts_image,    facts_compose,
    facts_proxies,  facts_machine,
    facts_workflow, facts_aws,
    facts_clouds,   facts_pythonanywhere,
    facts_pages,
};

const struct json *render_facts(struct arena *a, const struct render_options *o, struct err *e)
{
    static const struct target none = {0};
    struct buf text;
    struct json_writer *w = arena_new(a, struct json_writer);
    const struct facts f = {w, a, o, o->manifest, o->target ? o->target : &none};
    struct json_doc doc = {0};
    buf_init(&text, FACTS_MAX);
    json_writer_init(w, &text, 0);
    json_write_object(w);
    for (size_t i = 0; i < sizeof sections / sizeof *sections; i++)
        sections[i](&f);
    json_write_object_end(w);
    json_writer_done(w);
    struct slice kept = arena_dup(a, buf_slice(&text));
    bool fine = !text.full || err_set(e, ERR_MANIFEST, "the manifest is too large to render");
    buf_done(&text);
    if (!fine || !json_parse(&doc, a, kept, NULL, e))
        return NULL;
    return json_root(&doc);
}
