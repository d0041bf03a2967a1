/* Backups as commands make, list and restore them: beside a server, or with the data folder for
 * themselves. */
#include "app/app_impl.h"

#include "base/nearest.h"

#include <stdlib.h>
#include <unistd.h>

#define BACKUPS_BYTES (16u << 20)

struct backing_up {
    struct app_backups public; /* first */
    struct arena arena;
    struct host *host;
    struct life life;
    struct owner owner; /* of the data folder, before anything is made */
    const char *place;
};

static struct backing_up *inside(struct app_backups *b)
{
    return container_of(b, struct backing_up, public);
}

/* ---- which ----------------------------------------------------------------------------------- */

static bool add_unit(struct backing_up *b, struct app *app, struct err *e)
{
    struct backup of;
    if (!backup_of(b->host, app, NULL, b->place, &b->arena, &of, e))
        return false;
    b->public.units[b->public.n++] = (struct app_unit){
        .slug = of.source.app,
        .dir = of.dir,
        .rule = of.rule,
        .from = of.source,
        .into = {.db = of.source.db, .tables = of.source.tables},
        .persist = app ? &app->manifest->backend.persist : NULL,
        .app = app,
    };
    return true;
}

/* Where there are accounts, there may be operators. */
static bool may_have_operators(const struct backing_up *b)
{
    bool has_accounts = false;
    for (size_t i = 0; i < b->host->n_apps; i++)
        has_accounts |= app_has_accounts(&b->host->apps[i]);
    return has_accounts;
}

static bool is_wanted(const char *wanted, struct slice slug, struct nearest *near)
{
    nearest_offer(near, slug);
    return !wanted || slice_is(slug, wanted);
}

static bool no_such_unit(struct backing_up *b, const char *wanted, struct err *e)
{
    struct buf names;
    buf_init(&names, 4096);
    for (size_t i = 0; i < b->host->n_apps; i++) {
        const struct app *app = &b->host->apps[i];
        if (app_keeps_something(app))
            buf_printf(&names, "%s%.*s", names.len ? ", " : "", SLICE_ARGS(app->manifest->slug.s));
    }
    if (may_have_operators(b))
        buf_add_str(&names, ", " HOST_SLUG);
    err_set(e, ERR_NOT_FOUND, "no app `%.60s` is backed up here; there is: %.*s", wanted,
            (int)names.len, names.data);
    buf_done(&names);
    return false;
}

static bool add_units(struct backing_up *b, const char *wanted, struct err *e)
{
    struct host *h = b->host;
    struct nearest near = {.typed = slice_from(wanted)};
    bool keeps_any = false;
    b->public.units = arena_zalloc(&b->arena, (h->n_apps + 1) * sizeof *b->public.units);
    for (size_t i = 0; i < h->n_apps; i++) {
        struct app *app = &h->apps[i];
        if (!app_keeps_something(app))
            continue;
        keeps_any = true;
        if (is_wanted(wanted, app->manifest->slug.s, &near) && !add_unit(b, app, e))
            return false;
    }
    if (may_have_operators(b) && is_wanted(wanted, SLICE(HOST_SLUG), &near) &&
        !add_unit(b, NULL, e))
        return false;
    if (b->public.n)
        return true;
    if (!keeps_any)
        return err_set(e, ERR_NOT_FOUND,
                       "there is nothing to back up here: no app has collections, files, jobs or "
                       "accounts");
    if (near.best.len)
        return err_set(e, ERR_NOT_FOUND, "no app `%s` is backed up here; did you mean `%.*s`?",
                       wanted, SLICE_ARGS(near.best));
    return no_such_unit(b, wanted, e);
}

static bool is_folder_place(const char *place, struct err *e)
{
    return !place || slice_search(slice_from(place), SLICE("://")) < 0 ||
           err_set(e, ERR_USAGE,
                   "backups go into a folder; an object store as their place comes with a later "
                   "version of dais");
}

struct app_backups *app_backups_open(const struct app_options *options, const char *place,
                                     const char *app, struct err *e)
{
    struct host *h = NULL;
    if (!is_folder_place(place, e))
        return NULL;
    if (!(h = host_read(options))) {
        err_set(e, ERR_MANIFEST, "the manifests have errors");
        return NULL;
    }
    struct backing_up *b = mem_new(struct backing_up);
    *b = (struct backing_up){.host = h, .place = place, .owner = owner_of_data(h->data_dir)};
    arena_init(&b->arena, BACKUPS_BYTES);
    b->life = (struct life){.options = *options, .host = h, .lock_fd = -1};
    list_init(&b->life.databases);
    list_init(&b->life.stores);
    pthread_mutex_init(&b->life.databases_lock, NULL);
    b->public.is_postgres = databases_are_postgres(h);
    if (!add_units(b, app, e)) {
        app_backups_close(&b->public);
        return NULL;
    }
    return &b->public;
}

void app_backups_close(struct app_backups *backups)
{
    struct backing_up *b = inside(backups);
    stores_free(&b->life);
    pthread_mutex_destroy(&b->life.databases_lock);
    if (b->life.lock_fd >= 0)
        close(b->life.lock_fd);
    service_unref(&b->host->service);
    arena_done(&b->arena);
    free(b);
}

void app_backups_give(struct app_backups *backups)
{
    struct backing_up *b = inside(backups);
    const char *data = b->host->data_dir;
    if (b->life.lock_fd >= 0) /* it was restored */
        owner_give(&b->owner, data, data);
    for (size_t i = 0; i < b->public.n; i++)
        owner_give(&b->owner, data, b->public.units[i].dir);
}

/* ---- what is there, and what is to be -------------------------------------------------------- */

bool app_backups_own(struct app_backups *b, struct err *e)
{
    return life_take_data(&inside(b)->life, e);
}

bool app_backups_have_data(struct app_backups *backups, struct err *e)
{
    struct backing_up *b = inside(backups);
    bool is_elsewhere = b->public.is_postgres && stores_are_remote(b->host);
    return is_elsewhere || access(b->host->data_dir, F_OK) == 0 ||
           err_set(e, ERR_NOT_FOUND,
                   "there is no data folder %.100s; name the one that `dais serve` uses with "
                   "--data or DAIS_DATA",
                   b->host->data_dir);
}

bool app_backups_are_private(struct app_backups *backups, struct err *e)
{
    struct backing_up *b = inside(backups);
    return !b->place ||
           private_check_place(b->host->site, b->host->data_dir, b->place, &b->arena, e);
}

/* Without a folder nothing is stored. An app that has no buckets any more may still have files. */
static bool find_blobs(struct backing_up *b, struct app_unit *u, struct err *e)
{
    bool is_there = false;
    struct err why;
    if (u->from.blobs || (!u->app->files && stores_are_remote(b->host)))
        return true;
    u->from.blobs = store_open_to_read(b->host, u->app, &b->life, &is_there, &why);
    if (!u->from.blobs && is_there && e)
        *e = why;
    return u->from.blobs || !is_there;
}

static bool make_blobs(struct backing_up *b, struct app_unit *u, struct err *e)
{
    u->into.blobs = u->from.blobs = store_open_to_write(b->host, u->app, &b->life, e);
    return u->into.blobs != NULL;
}

bool app_backups_look(struct app_backups *backups, struct app_unit *u, struct err *e)
{
    struct backing_up *b = inside(backups);
    bool is_there = !u->from.db->path || access(u->from.db->path, F_OK) == 0;
    if (!is_there)
        return err_set(e, ERR_NOT_FOUND, "nothing is stored yet");
    if (!u->app)
        return true;
    return b->life.lock_fd < 0 ? find_blobs(b, u, e) : make_blobs(b, u, e);
}

/* Keys, indexes and words that follow from what was brought back, before anybody uses it: until a
 * unique one is built nothing would keep doubles out. What cannot be built now is built, as ever,
 * while the app serves. */
static bool build(void *user, const struct db_options *made, struct err *e)
{
    struct app *app = user;
    if (!app->docs)
        return true;
    struct db_slot *slot = db_slot_new(made);
    docs_attach(app->docs, slot);
    bool fine = docs_open(app->docs, e);
    while (fine && docs_tend(app->docs))
        ;
    if (fine)
        docs_leave(app->docs);
    db_slot_end(slot);
    db_slot_free(slot);
    return fine;
}

bool app_backups_make(struct app_backups *backups, struct app_unit *u, bool has_contents,
                      struct err *e)
{
    struct backing_up *b = inside(backups);
    must(b->life.lock_fd >= 0);
    if (u->into.db->path)
        database_make_folders(&b->arena, slice_from(u->into.db->path));
    u->into.finish = u->app ? build : NULL;
    u->into.user = u->app;
    return !u->app || (!u->app->files && !has_contents) || make_blobs(b, u, e);
}
