/* `dais verify`: is all that is stored what was stored? Beside a server or without one. */
#include "app/app_impl.h"

#include "base/clock.h"
#include "files/files.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define EXIT_DAMAGE 10
#define TELL_MS     200
#define KEYS_AT     256

struct report {
    const struct app_verify *how;
    struct life life;
    struct json_writer *json; /* NULL: lines */
    struct slice app;
    uint64_t broken, damage; /* documents; files, rows, databases */
    struct arena arena;      /* of an app: keys */
    struct slice *keys;      /* to be looked at again */
    size_t n_keys, room, n_sums;
    int64_t told_ms;
    bool shows_progress, is_line_open;
};

/* ---- progress, on a terminal ----------------------------------------------------------------- */

static void clear_line(struct report *r)
{
    if (r->is_line_open)
        fputs("\r\033[K", stderr);
    r->is_line_open = false;
}

static void show_progress(void *user, const struct files_verdict *v, uint64_t all)
{
    struct report *r = user;
    int64_t now = clock_mono_ms();
    if (!r->shows_progress || now - r->told_ms < TELL_MS)
        return;
    r->told_ms = now;
    r->is_line_open = true;
    fprintf(stderr, "\r\033[K%.*s: %llu of %llu contents read, %.1f MB", SLICE_ARGS(r->app),
            (unsigned long long)v->blobs, (unsigned long long)all, (double)v->bytes / 1e6);
    fflush(stderr);
}

/* ---- findings -------------------------------------------------------------------------------- */

static const char *kind_of(enum err_code code)
{
    switch (code) {
    case ERR_NONE:
        return "mended";
    case ERR_NOT_FOUND:
        return "missing";
    case ERR_IO:
        return "unreadable";
    default:
        return "damaged";
    }
}

static void put(struct report *r, const char *key, struct slice text)
{
    json_write_key(r->json, slice_from(key));
    json_write_str(r->json, text);
}

static void put_count(struct report *r, const char *key, uint64_t n)
{
    json_write_key(r->json, slice_from(key));
    json_write_u64(r->json, n);
}

static void open_item(struct report *r, const char *kind)
{
    json_write_object(r->json);
    put(r, "kind", slice_from(kind));
    put(r, "app", r->app);
}

static void write_finding(struct report *r, const struct files_finding *f)
{
    open_item(r, kind_of(f->code));
    put(r, "bucket", f->bucket);
    put(r, "user", f->space);
    put(r, "path", f->path);
    put(r, "blob", f->hash);
    put(r, "message", f->message);
    json_write_object_end(r->json);
}

/* "uploads/a.png of USER: what is wrong", or what no file names by its hash. */
static void print_finding(struct report *r, const struct files_finding *f)
{
    clear_line(r);
    printf("%.*s, ", SLICE_ARGS(r->app));
    if (f->bucket.len)
        printf("%.*s%s%.*s", SLICE_ARGS(f->bucket), f->path.len ? "/" : "", SLICE_ARGS(f->path));
    else
        printf("content %.*s, which no file names", SLICE_ARGS(f->hash));
    if (f->space.len)
        printf(" of %.*s", SLICE_ARGS(f->space));
    printf(": %s: %.*s%s\n", kind_of(f->code), SLICE_ARGS(f->message),
           f->is_known && f->code != ERR_NONE ? " (This was known.)" : "");
}

/* A blob is told of once for each file that names it. */
static void keep_key(struct report *r, const struct files_finding *f)
{
    bool is_same = r->n_keys && slice_eq(r->keys[r->n_keys - 1], f->key);
    bool is_news = f->code == ERR_NONE || !f->is_known;
    if (!f->key.len || f->code == ERR_IO || is_same || !is_news)
        return;
    if (r->n_keys == r->room) {
        size_t room = r->room ? 2 * r->room : KEYS_AT;
        struct slice *grown =
            arena_try_grow(&r->arena, r->keys, r->room * sizeof *grown, room * sizeof *grown);
        if (!grown) /* the next run tells of the others */
            return;
        r->keys = grown;
        r->room = room;
    }
    r->keys[r->n_keys++] = arena_dup(&r->arena, f->key);
}

static void on_finding(void *user, const struct files_finding *f)
{
    struct report *r = user;
    if (r->json)
        write_finding(r, f);
    else
        print_finding(r, f);
    keep_key(r, f);
    r->n_sums += !f->key.len && !f->hash.len;
}

static void tell_verdict(struct report *r, const struct files_verdict *v)
{
    uint64_t bad = v->damaged + v->missing + v->unreadable;
    r->damage += bad;
    clear_line(r);
    if (!r->json) {
        printf("%.*s: %llu file%s, %llu content%s of %.1f MB: ", SLICE_ARGS(r->app),
               (unsigned long long)v->files, v->files == 1 ? "" : "s", (unsigned long long)v->blobs,
               v->blobs == 1 ? "" : "s", (double)v->bytes / 1e6);
        if (bad)
            printf("%llu damaged, %llu missing, %llu unreadable\n", (unsigned long long)v->damaged,
                   (unsigned long long)v->missing, (unsigned long long)v->unreadable);
        else
            printf("all as stored\n");
        return;
    }
    open_item(r, "files");
    put_count(r, "files", v->files);
    put_count(r, "contents", v->blobs);
    put_count(r, "bytes", v->bytes);
    put_count(r, "damaged", v->damaged);
    put_count(r, "missing", v->missing);
    put_count(r, "unreadable", v->unreadable);
    put_count(r, "mended", v->mended);
    put_count(r, "unneeded", v->unneeded);
    json_write_object_end(r->json);
}

/* ---- the database itself --------------------------------------------------------------------- */

static void tell_row(struct report *r, struct slice text)
{
    r->damage++;
    if (!r->json) {
        printf("%.*s, database: damaged: %.*s\n", SLICE_ARGS(r->app), SLICE_ARGS(text));
        return;
    }
    open_item(r, "database");
    put(r, "message", text);
    json_write_object_end(r->json);
}

/* Pages, rows and indexes of SQLite; a Postgres looks after its own (amcheck, checksums). */
static bool check_pages(struct report *r, struct db *db, struct err *e)
{
    static const struct sql check = {"PRAGMA integrity_check(20)", "SELECT 'ok'"};
    struct db_conn *c = db_is_sqlite(db) ? db_conn_take(db, e) : NULL;
    if (!c)
        return !db_is_sqlite(db);
    enum db_step step = DB_FAILED;
    struct db_stmt *s = db_prepare(c, &check, e);
    while (s && (step = db_step(s, e)) == DB_ROW) {
        if (!slice_is(db_text(s, 0), "ok"))
            tell_row(r, db_text(s, 0));
    }
    if (s)
        db_reset(s);
    db_conn_give(c);
    return step != DB_FAILED;
}

/* ---- an app ---------------------------------------------------------------------------------- */

static bool verify_files(struct host *h, const struct app *app, struct report *r, struct db *db,
                         struct err *e)
{
    const struct files_hearer to = {.finding = on_finding, .progress = show_progress, .user = r};
    struct files_verdict verdict;
    bool is_there;
    struct blob_store *store = store_open_to_read(h, app, &r->life, &is_there, e);
    if (!store && is_there)
        return false;
    bool fine = files_verify(store, db, &to, &verdict, e);
    clear_line(r);
    if (!fine)
        return false;
    tell_verdict(r, &verdict);
    return (!r->n_keys || !r->how->recheck ||
            r->how->recheck(r->how->user, r->app, r->keys, r->n_keys, e)) &&
           (!r->n_sums || !r->how->recount || r->how->recount(r->how->user, r->app, e));
}

static bool verify_app(struct host *h, const struct app *app, struct report *r, struct err *e)
{
    bool is_there;
    struct db *db = database_open_to_read(h, app, &is_there, e);
    if (!db && !is_there && !r->json)
        printf("%.*s: nothing is stored yet\n", SLICE_ARGS(r->app));
    if (!db)
        return !is_there;
    bool fine = check_pages(r, db, e) &&
                (!app->docs || stored_check(app, db, r->json, &r->broken, e)) &&
                (!app->files || verify_files(h, app, r, db, e));
    db_close(db);
    return fine;
}

static bool verify_all(struct host *h, struct report *r, struct err *e)
{
    bool fine = true;
    for (size_t i = 0; fine && i < h->n_apps; i++) {
        const struct app *app = &h->apps[i];
        if (!app->docs && !app->files && !app_has_accounts(app))
            continue;
        r->app = app->manifest->slug.s;
        r->keys = NULL;
        r->n_keys = r->room = r->n_sums = 0;
        arena_init(&r->arena, 256u << 20);
        fine = verify_app(h, app, r, e);
        arena_done(&r->arena);
    }
    return fine;
}

static void begin(struct report *r, const struct app_options *options, const struct app_verify *how)
{
    r->how = how;
    r->life = (struct life){.options = *options, .lock_fd = -1};
    list_init(&r->life.databases);
    list_init(&r->life.stores);
    pthread_mutex_init(&r->life.databases_lock, NULL);
    r->shows_progress = isatty(STDERR_FILENO) && !how->is_json;
}

int app_verify(const struct app_options *options, const struct app_verify *how)
{
    struct report r = {0};
    struct json_writer w;
    struct buf text;
    struct err e = {0};
    struct host *h = host_read(options);
    if (!h)
        return err_exit(ERR_MANIFEST);
    begin(&r, options, how);
    buf_init(&text, 64u << 20);
    json_writer_init(&w, &text, 0);
    r.json = how->is_json ? &w : NULL;
    json_write_array(&w);
    bool fine = verify_all(h, &r, &e);
    json_write_array_end(&w);
    if (!fine)
        fprintf(stderr, "dais verify: %s\n", e.msg);
    if (fine && how->is_json)
        printf("{\"ok\":%s,\"found\":%.*s}\n", r.broken || r.damage ? "false" : "true",
               (int)text.len, text.data);
    if (fine && !how->is_json && r.damage)
        printf(
            "A damaged or missing file is whole again once the same content is sent again, to any "
            "path; otherwise restore it from a backup, or delete it.\n");
    buf_done(&text);
    stores_free(&r.life);
    pthread_mutex_destroy(&r.life.databases_lock);
    service_unref(&h->service);
    return !fine ? err_exit(e.code) : r.broken || r.damage ? EXIT_DAMAGE : 0;
}
