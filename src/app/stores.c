/* Where each app's files are; the same place for every reading of its manifest.
 *
 * Files of the data folder are below apps/SLUG/files. With STORAGE_BACKEND=s3 all apps share one
 * bucket, each below its slug, and that folder holds what comes in and a cache. Another bucket
 * needs a restart. */
#include "app/app_impl.h"

#include "aws/aws.h"
#include "s3/s3.h"

#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define STORE_PATH_MAX 4096
#define ASK_MS         10000 /* how often a store that answers is asked */
#define ASK_AGAIN_MS   2000  /* and one that does not */

struct store {
    struct list link;
    struct arena arena;
    struct slice slug;
    struct blob_store *blobs;
    _Atomic int64_t answered_ms; /* clock_mono_ms(); 0: nobody asked yet */
    _Atomic bool is_fine;        /* what it was */
    struct files_order order;
};

/* ---- settings -------------------------------------------------------------------------------- */

static struct slice setting(const struct host *h, enum setting_id id)
{
    return settings_get(&h->settings, id);
}

static bool is_s3(const struct host *h)
{
    return slice_is(setting(h, SET_STORAGE_BACKEND), "s3");
}

static bool has_files(const struct host *h)
{
    bool has = false;
    for (size_t i = 0; i < h->n_apps; i++)
        has |= h->apps[i].files != NULL;
    return has;
}

void storage_check(const struct site *site, const struct settings *s, struct problems *p)
{
    bool has_buckets = false;
    for (size_t i = 0; i < site->n_apps; i++)
        has_buckets |= site->apps[i]->files.n > 0;
    if (has_buckets && slice_is(settings_get(s, SET_STORAGE_BACKEND), "s3") &&
        !settings_get(s, SET_S3_BUCKET).len)
        problems_add(p, PROBLEM_ERROR, SLICE("S3_BUCKET"), (struct pos){0},
                     "STORAGE_BACKEND is s3, and no bucket is named; set S3_BUCKET");
}

/* ---- the object store ------------------------------------------------------------------------ */

/* Of the two spellings that the environment knows, ours first. */
static struct aws_keys keys_of(const struct host *h)
{
    if (setting(h, SET_S3_ACCESS_KEY_ID).len)
        return (struct aws_keys){.id = setting(h, SET_S3_ACCESS_KEY_ID),
                                 .secret = setting(h, SET_S3_SECRET_ACCESS_KEY)};
    return (struct aws_keys){.id = setting(h, SET_AWS_ACCESS_KEY_ID),
                             .secret = setting(h, SET_AWS_SECRET_ACCESS_KEY),
                             .token = setting(h, SET_AWS_SESSION_TOKEN)};
}

static struct slice region_of(const struct host *h)
{
    static const enum setting_id ids[] = {SET_S3_REGION, SET_AWS_REGION, SET_AWS_DEFAULT_REGION};
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
        if (setting(h, ids[i]).len)
            return setting(h, ids[i]);
    }
    return SLICE("");
}

/* "backups" means the same as "backups/". */
static struct slice prefix_of(const struct host *h, struct arena *a)
{
    struct slice prefix = setting(h, SET_S3_PREFIX);
    return !prefix.len || slice_ends(prefix, SLICE("/"))
               ? prefix
               : arena_printf(a, "%.*s/", SLICE_ARGS(prefix));
}

static bool open_s3(struct host *h, struct life *l, struct err *e)
{
    const struct aws_keys keys = keys_of(h);
    if (!l->aws)
        l->aws = aws_chain_new(NULL, keys.id.len && keys.secret.len ? &keys : NULL);
    l->s3 = s3_new(
        &(struct s3_options){
            .bucket = setting(h, SET_S3_BUCKET),
            .region = region_of(h),
            .endpoint = setting(h, SET_S3_ENDPOINT_URL),
            .prefix = prefix_of(h, &h->arena),
            .is_path_style = slice_is(setting(h, SET_S3_FORCE_PATH_STYLE), "true"),
            .chain = l->aws,
        },
        e);
    return l->s3 != NULL;
}

/* ---- an app's store -------------------------------------------------------------------------- */

static struct store *store_find(struct life *l, struct slice slug)
{
    list_each (link, &l->stores) {
        struct store *s = container_of(link, struct store, link);
        if (slice_eq(s->slug, slug))
            return s;
    }
    return NULL;
}

static bool name_folder(const struct host *h, struct slice slug, char to[STORE_PATH_MAX],
                        struct err *e)
{
    int n = snprintf(to, STORE_PATH_MAX, "%s/apps/%.*s/files", h->data_dir, SLICE_ARGS(slug));
    return n < STORE_PATH_MAX || err_set(e, ERR_USAGE, "the path of the data folder is too long");
}

/* There after a power cut as well, as what is kept in it is to be. */
static void make_folder(const char *path, const char *parent)
{
    if (mkdir(path, 0700) != 0)
        return;
    int fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return;
    if (fsync(fd) != 0)
        log_line(LOG_WARN, "a new folder could not be flushed to the disk", F_CSTR("path", path));
    close(fd);
}

/* DATA/apps and DATA/apps/SLUG. The store makes the last one, and tells what is wrong with any. */
static void make_folders(const struct host *h, struct slice slug)
{
    char parent[STORE_PATH_MAX], path[STORE_PATH_MAX];
    snprintf(parent, sizeof parent, "%s/apps", h->data_dir);
    make_folder(parent, h->data_dir);
    snprintf(path, sizeof path, "%s/apps/%.*s", h->data_dir, SLICE_ARGS(slug));
    make_folder(path, parent);
}

/* dir: made already, or is_reader. */
static struct store *store_new(const char *dir, struct slice slug, bool is_reader, struct life *l,
                               struct err *e)
{
    struct store *s = mem_new(struct store);
    arena_init(&s->arena, 1u << 16);
    s->slug = arena_dup(&s->arena, slug);
    s->blobs = blob_store_new(
        &(struct blob_options){
            .dir = dir,
            .s3 = l->s3,
            .place = arena_printf(&s->arena, "%.*s/", SLICE_ARGS(slug)),
            .is_reader = is_reader,
        },
        e);
    if (!s->blobs) {
        arena_done(&s->arena);
        free(s);
        return NULL;
    }
    list_add(&l->stores, &s->link);
    return s;
}

/* Nobody else uses it, as the data folder is ours: uploads that these were of have ended with the
 * process that took them. Once in a process, so that a reload leaves those under way alone. */
static void forget_drafts(struct store *s)
{
    struct err e;
    if (!blob_forget_drafts(s->blobs, &e))
        log_line(LOG_WARN, "what uploads of an earlier process left could not be removed",
                 F_STR("app", s->slug), F_CSTR("reason", e.msg));
}

static bool open_store(struct host *h, struct slice slug, struct life *l, struct err *e)
{
    char dir[STORE_PATH_MAX];
    if (store_find(l, slug))
        return true;
    if (!name_folder(h, slug, dir, e))
        return false;
    make_folders(h, slug);
    struct store *s = store_new(dir, slug, false, l, e);
    if (s)
        forget_drafts(s);
    return s != NULL;
}

bool stores_open(struct host *h, struct life *l, struct err *e)
{
    bool fine = true;
    if (!has_files(h))
        return true;
    pthread_mutex_lock(&l->databases_lock);
    if (is_s3(h) && !l->s3)
        fine = open_s3(h, l, e);
    for (size_t i = 0; fine && i < h->n_apps; i++) {
        if (h->apps[i].files)
            fine = open_store(h, h->apps[i].manifest->slug.s, l, e);
    }
    pthread_mutex_unlock(&l->databases_lock);
    return fine;
}

struct blob_store *store_open_to_read(struct host *h, const struct app *app, struct life *l,
                                      bool *ret_there, struct err *e)
{
    char dir[STORE_PATH_MAX];
    struct slice slug = app->manifest->slug.s;
    *ret_there = true;
    if (!name_folder(h, slug, dir, e) || (is_s3(h) && !l->s3 && !open_s3(h, l, e)))
        return NULL;
    if (is_s3(h)) /* for what is fetched to be looked at */
        make_folders(h, slug);
    struct store *s = store_new(dir, slug, true, l, e);
    *ret_there = s || e->code != ERR_NOT_FOUND;
    return s ? s->blobs : NULL;
}

struct blob_store *store_open_to_write(struct host *h, const struct app *app, struct life *l,
                                       struct err *e)
{
    struct slice slug = app->manifest->slug.s;
    if ((is_s3(h) && !l->s3 && !open_s3(h, l, e)) || !open_store(h, slug, l, e))
        return NULL;
    const struct store *s = store_find(l, slug);
    must(s); /* open_store() has put it there */
    return s->blobs;
}

struct blob_store *store_blobs(const struct store *s)
{
    return s->blobs;
}

bool stores_are_remote(const struct host *h)
{
    return is_s3(h);
}

bool store_try(struct host *h, struct life *l, struct slice *ret_bucket, struct err *e)
{
    *ret_bucket = is_s3(h) ? setting(h, SET_S3_BUCKET) : SLICE("");
    if (!is_s3(h))
        return true;
    if (!ret_bucket->len)
        return err_set(e, ERR_MANIFEST,
                       "STORAGE_BACKEND is s3, and no bucket is named; set S3_BUCKET");
    return (l->s3 || open_s3(h, l, e)) && s3_check(l->s3, e);
}

void store_attach(struct host *h, struct app *app, struct life *l)
{
    unsigned char key[32];
    pthread_mutex_lock(&l->databases_lock);
    struct store *s = store_find(l, app->manifest->slug.s);
    pthread_mutex_unlock(&l->databases_lock);
    must(s && h->has_secret); /* stores_open and tokens_open came before */
    app->store = s;
    root_secret_derive(&h->secret, "file links", app->manifest->slug.s, key, sizeof key);
    files_attach(app->files, database_slot(l, app->manifest->slug.s), s->blobs,
                 (struct slice){(const char *)key, sizeof key});
    files_keep_order(app->files, &s->order);
    explicit_bzero(key, sizeof key);
}

void stores_free(struct life *l)
{
    list_each_safe (link, &l->stores) {
        struct store *s = container_of(link, struct store, link);
        blob_store_free(s->blobs);
        arena_done(&s->arena);
        free(s);
    }
    list_init(&l->stores);
    s3_free(l->s3);
    aws_chain_free(l->aws);
    l->s3 = NULL;
    l->aws = NULL;
}

/* ---- what is told of them -------------------------------------------------------------------- */

/* Told once when it ends to answer, and once when it does again. */
static void ask(struct store *s)
{
    struct err e;
    bool is_first = !atomic_load(&s->answered_ms), was_fine = is_first || atomic_load(&s->is_fine);
    bool fine = blob_ping(s->blobs, &e);
    if (!fine && was_fine)
        log_line(LOG_WARN, "the store of files does not answer", F_STR("app", s->slug),
                 F_CSTR("reason", e.msg));
    else if (fine && !was_fine)
        log_line(LOG_INFO, "the store of files answers again", F_STR("app", s->slug));
    atomic_store(&s->is_fine, fine);
    atomic_store(&s->answered_ms, clock_mono_ms());
}

static bool is_due(const struct store *s)
{
    int64_t then = atomic_load(&s->answered_ms);
    int64_t after = atomic_load(&s->is_fine) ? ASK_MS : ASK_AGAIN_MS;
    return !then || clock_mono_ms() - then >= after;
}

void stores_ask(const struct host *h)
{
    for (size_t i = 0; i < h->n_apps; i++) {
        if (h->apps[i].store && is_due(h->apps[i].store))
            ask(h->apps[i].store);
    }
}

bool stores_are_known(const struct host *h)
{
    bool known = true;
    for (size_t i = 0; i < h->n_apps; i++)
        known &= !h->apps[i].store || atomic_load(&h->apps[i].store->answered_ms);
    return known;
}

bool stores_check_ready(const struct host *h, struct buf *to)
{
    bool is_ready = true;
    for (size_t i = 0; i < h->n_apps; i++) {
        struct store *s = h->apps[i].store;
        if (!s)
            continue;
        if (!atomic_load(&s->answered_ms))
            ask(s);
        bool fine = atomic_load(&s->is_fine);
        is_ready &= fine;
        buf_printf(to, "%s\"files:%.*s\":\"%s\"", to->len ? "," : "",
                   SLICE_ARGS(h->apps[i].manifest->slug.s), fine ? "ready" : "failing");
    }
    return is_ready;
}

/*        name                              type       help */
#define STORE_FIGURES(X)                                                                         \
    X("dais_files_arriving", "gauge", "Files whose bytes are coming in.", drafts_open)           \
    X("dais_files_written_bytes_total", "counter", "Bytes of files that were kept.",             \
      written_bytes)                                                                             \
    X("dais_files_cache_hits_total", "counter", "Blocks of the object store found on the disk.", \
      cache_hits)                                                                                \
    X("dais_files_cache_misses_total", "counter", "Blocks that were not.", cache_misses)         \
    X("dais_files_cache_bytes", "gauge", "Bytes in that cache.", cache_bytes)

static void write_store_figures(struct life *l, struct buf *out)
{
    static const struct {
        const char *name, *type, *help;
        size_t at;
    } rows[] = {
#define X(name, type, help, member) {name, type, help, offsetof(struct blob_stats, member)},
        STORE_FIGURES(X)
#undef X
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", rows[i].name, rows[i].help, rows[i].name,
                   rows[i].type);
        list_each (link, &l->stores) {
            const struct store *s = container_of(link, struct store, link);
            struct blob_stats stats;
            blob_stats(s->blobs, &stats);
            const uint64_t *value = (const uint64_t *)(const void *)((char *)&stats + rows[i].at);
            buf_printf(out, "%s{app=\"%.*s\"} %" PRIu64 "\n", rows[i].name, SLICE_ARGS(s->slug),
                       *value);
        }
    }
}

static void write_s3_figures(struct s3 *s3, struct buf *out)
{
    static const char *const verbs[S3_VERBS] = {
#define X(id, name) [id] = name,
        S3_VERB_MAP(X)
#undef X
    };
    struct s3_stats s;
    s3_stats(s3, &s);
    buf_add_str(out, "# HELP dais_s3_calls_total Questions to the object store.\n"
                     "# TYPE dais_s3_calls_total counter\n");
    for (size_t i = 0; i < S3_VERBS; i++)
        buf_printf(out, "dais_s3_calls_total{verb=\"%s\"} %llu\n", verbs[i],
                   (unsigned long long)s.calls[i]);
    buf_printf(out,
               "# HELP dais_s3_repeats_total Questions that were asked again.\n"
               "# TYPE dais_s3_repeats_total counter\ndais_s3_repeats_total %llu\n"
               "# HELP dais_s3_failures_total Questions without a good answer in the end.\n"
               "# TYPE dais_s3_failures_total counter\ndais_s3_failures_total %llu\n"
               "# HELP dais_s3_refusing Is the object store taken to be down?\n"
               "# TYPE dais_s3_refusing gauge\ndais_s3_refusing %d\n",
               (unsigned long long)s.repeats, (unsigned long long)s.failures, s.is_open);
}

void stores_metrics(struct life *l, struct buf *out)
{
    pthread_mutex_lock(&l->databases_lock);
    if (!list_is_empty(&l->stores))
        write_store_figures(l, out);
    if (l->s3)
        write_s3_figures(l->s3, out);
    pthread_mutex_unlock(&l->databases_lock);
}

/* ---- order ----------------------------------------------------------------------------------- */

bool stores_tend(struct host *h)
{
    bool has_more = false;
    for (size_t i = 0; i < h->n_apps; i++) {
        if (h->apps[i].files)
            has_more |= files_tend(h->apps[i].files, clock_wall_ms());
    }
    return has_more;
}
