/* `dais check --stored`: documents that the manifest of now would not take, with the server running
 * or not. Its own connection reads, and changes nothing. */
#include "app/app_impl.h"

#include <stdio.h>

#define EXIT_VIOLATIONS 10

struct report {
    struct json_writer *json; /* NULL: lines */
    struct slice app;
    uint64_t broken;
};

/* ---- as lines -------------------------------------------------------------------------------- */

static void print_finding(void *user, const struct docs_finding *f)
{
    (void)user;
    printf("%.*s %.*s%s%.*s: %.*s\n", SLICE_ARGS(f->collection), SLICE_ARGS(f->id),
           f->pointer.len ? " " : "", SLICE_ARGS(f->pointer), SLICE_ARGS(f->message));
}

static void print_verdict(void *user, const struct docs_verdict *v)
{
    struct report *r = user;
    r->broken += v->broken;
    if (v->broken > DOCS_FINDINGS_MAX)
        printf("%.*s: only the first %d are listed\n", SLICE_ARGS(v->collection),
               DOCS_FINDINGS_MAX);
    printf("%.*s, %.*s: %llu document%s, %llu of them break%s what dais.yaml says\n",
           SLICE_ARGS(r->app), SLICE_ARGS(v->collection), (unsigned long long)v->documents,
           v->documents == 1 ? "" : "s", (unsigned long long)v->broken, v->broken == 1 ? "s" : "");
}

static void print_left(void *user, struct slice name)
{
    struct report *r = user;
    printf("%.*s, %.*s: no collection of dais.yaml any more; its documents are kept\n",
           SLICE_ARGS(r->app), SLICE_ARGS(name));
}

/* ---- as JSON: one list of findings, verdicts and what is left ---------------------------------
 */

static void open_item(struct report *r, const char *kind, struct slice collection)
{
    json_write_object(r->json);
    json_write_key(r->json, SLICE("kind"));
    json_write_cstr(r->json, kind);
    json_write_key(r->json, SLICE("app"));
    json_write_str(r->json, r->app);
    json_write_key(r->json, SLICE("collection"));
    json_write_str(r->json, collection);
}

static void write_finding(void *user, const struct docs_finding *f)
{
    struct report *r = user;
    open_item(r, "violation", f->collection);
    json_write_key(r->json, SLICE("id"));
    json_write_str(r->json, f->id);
    json_write_key(r->json, SLICE("pointer"));
    json_write_str(r->json, f->pointer);
    json_write_key(r->json, SLICE("message"));
    json_write_str(r->json, f->message);
    json_write_object_end(r->json);
}

static void write_verdict(void *user, const struct docs_verdict *v)
{
    struct report *r = user;
    r->broken += v->broken;
    open_item(r, "collection", v->collection);
    json_write_key(r->json, SLICE("documents"));
    json_write_u64(r->json, v->documents);
    json_write_key(r->json, SLICE("broken"));
    json_write_u64(r->json, v->broken);
    json_write_object_end(r->json);
}

static void write_left(void *user, struct slice name)
{
    open_item(user, "left", name);
    json_write_object_end(((struct report *)user)->json);
}

/* ---- an app ---------------------------------------------------------------------------------- */

bool stored_check(const struct app *app, struct db *db, struct json_writer *json,
                  uint64_t *ret_broken, struct err *e)
{
    struct report r = {.json = json, .app = app->manifest->slug.s};
    const struct docs_hearer lines = {print_finding, print_verdict, print_left, &r},
                             items = {write_finding, write_verdict, write_left, &r};
    bool fine = docs_verify(app->docs, db, json ? &items : &lines, e);
    *ret_broken += r.broken;
    return fine;
}

static bool check_app(struct host *h, const struct app *app, struct report *r, struct err *e)
{
    bool is_there;
    r->app = app->manifest->slug.s;
    struct db *db = database_open_to_read(h, app, &is_there, e);
    if (!db && !is_there) {
        if (!r->json)
            printf("%.*s: nothing is stored yet\n", SLICE_ARGS(r->app));
        return true;
    }
    if (!db)
        return false;
    bool fine = stored_check(app, db, r->json, &r->broken, e);
    db_close(db);
    return fine;
}

static bool check_all(struct host *h, struct report *r, struct err *e)
{
    bool fine = true;
    for (size_t i = 0; fine && i < h->n_apps; i++)
        fine = !h->apps[i].docs || check_app(h, &h->apps[i], r, e);
    return fine;
}

int app_check_stored(const struct app_options *options, bool is_json)
{
    struct report r = {0};
    struct json_writer w;
    struct buf text;
    struct err e;
    struct host *h = host_read(options);
    if (!h)
        return err_exit(ERR_MANIFEST);
    buf_init(&text, 64u << 20);
    json_writer_init(&w, &text, 0);
    r.json = is_json ? &w : NULL;
    json_write_array(&w);
    bool fine = check_all(h, &r, &e);
    json_write_array_end(&w);
    if (!fine)
        fprintf(stderr, "dais check: %s\n", e.msg);
    if (fine && is_json)
        printf("{\"ok\":%s,\"stored\":%.*s}\n", r.broken ? "false" : "true", (int)text.len,
               text.data);
    buf_done(&text);
    service_unref(&h->service);
    return !fine ? err_exit(e.code) : r.broken ? EXIT_VIOLATIONS : 0;
}
