/* Where each app's database is; the same one for every reading of its manifest. */
#include "app/app_impl.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct database {
    struct list link;
    struct arena arena;
    struct slice slug;
    struct db_options options;
    struct db_slot *slot;
};

static bool is_postgres(struct slice url)
{
    return slice_starts(url, SLICE("postgres://")) || slice_starts(url, SLICE("postgresql://"));
}

void databases_check(struct host *h, struct problems *p)
{
    struct slice url = settings_get(&h->settings, SET_DATABASE_URL);
    size_t n = 0;
    for (size_t i = 0; i < h->n_apps; i++)
        n += h->apps[i].docs != NULL;
    if (n > 1 && url.len && !is_postgres(url))
        problems_add(p, PROBLEM_ERROR, SLICE("DATABASE_URL"), (struct pos){0},
                     "%.*s is one file, and there are %zu apps with collections; leave it out "
                     "(each has its own below %s), or name a Postgres",
                     SLICE_ARGS(url), n, h->data_dir);
}

/* "sqlite:///notes.db" is beside the manifest, "sqlite:////var/lib/notes.db" is not. */
static struct slice file_of(struct host *h, const struct app *app, struct arena *a)
{
    struct slice url = settings_get(&h->settings, SET_DATABASE_URL);
    struct slice path = slice_skip(url, sizeof "sqlite:///" - 1);
    if (!url.len)
        return arena_printf(a, "%s/apps/%.*s/app.db", h->data_dir,
                            SLICE_ARGS(app->manifest->slug.s));
    if (slice_starts(path, SLICE("/")))
        return arena_dup(a, path);
    return arena_printf(a, "%.*s/%.*s", SLICE_ARGS(h->site->dir), SLICE_ARGS(path));
}

/* What cannot be made is told when the database is opened. */
static void make_folders(struct arena *a, struct slice file)
{
    for (size_t i = 1; i < file.len; i++) {
        if (file.ptr[i] == '/')
            mkdir(arena_cstr(a, slice_first(file, i)), 0700);
    }
}

static struct database *database_new(struct host *h, const struct app *app, struct life *life)
{
    struct database *d = mem_new(struct database);
    struct slice url = settings_get(&h->settings, SET_DATABASE_URL);
    arena_init(&d->arena, 1u << 20);
    d->slug = arena_dup(&d->arena, app->manifest->slug.s);
    d->options = (struct db_options){.loops = life->loops, .migrations = docs_migrations};
    if (is_postgres(url)) {
        d->options.url = arena_dup(&d->arena, url);
        d->options.schema = d->slug;
    } else {
        struct slice file = file_of(h, app, &d->arena);
        make_folders(&d->arena, file);
        d->options.path = file.ptr;
    }
    d->slot = db_slot_new(&d->options);
    list_add(&life->databases, &d->link);
    return d;
}

void database_attach(struct host *h, struct app *app, struct life *life)
{
    struct database *found = NULL;
    list_each (link, &life->databases) {
        struct database *d = container_of(link, struct database, link);
        if (slice_eq(d->slug, app->manifest->slug.s))
            found = d;
    }
    docs_attach(app->docs, (found ? found : database_new(h, app, life))->slot);
}

void databases_close(struct life *l)
{
    for (struct list *link; (link = list_pop(&l->databases));) {
        struct database *d = container_of(link, struct database, link);
        db_slot_free(d->slot);
        arena_done(&d->arena);
        free(d);
    }
}
