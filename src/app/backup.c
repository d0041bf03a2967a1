/* What is backed up of an app, and where to: a database as databases.c opens it, a store as
 * stores.c does, and which of the tables stay behind. */
#include "app/app_impl.h"

#include "base/build.h"

#include <string.h>
#include <unistd.h>

#define MARK_BYTES 32

/* ---- tables ---------------------------------------------------------------------------------- */

/* Of what is left out: whoever signed out stays so, a letter is not sent twice, a counter of before
 * says nothing, and answers to repeated requests are of requests that the app does not know any
 * more. Fields and indexes are made anew, from the manifest. */
static const char left_out[] = "dais_migrations dais_fields dais_indexes dais_limits dais_sessions "
                               "dais_links dais_mail dais_once";

static const struct keep_family families[] = {
    {"c_", DOCS_KEPT, docs_make_named},
    {"h_", DOCS_KEPT_HISTORY, docs_make_named},
};

static struct keep_tables *tables_of(struct arena *a)
{
    struct keep_tables *t = arena_new(a, struct keep_tables);
    *t = (struct keep_tables){
        .steps = app_migrations(),
        .families = families,
        .n_families = sizeof families / sizeof *families,
        .left_out = left_out,
        .settle = docs_settle,
    };
    return t;
}

/* ---- the mark of the secret ------------------------------------------------------------------ */

/* *ret_there false: nobody needed one yet. */
static bool find_secret(const struct host *h, struct root_secret *ret, bool *ret_there,
                        struct err *e)
{
    struct slice given = settings_get(&h->settings, SET_SECRET);
    *ret_there = true;
    if (h->has_secret)
        *ret = h->secret;
    else if (given.len)
        return root_secret_from(ret, given, e);
    else
        return root_secret_find(ret, h->data_dir, ret_there, e);
    return true;
}

/* Follows from the secret and tells nothing about it: a key that is used for nothing else. */
static bool mark_of(const struct host *h, struct arena *a, const char **ret, struct err *e)
{
    static const char digits[] = "0123456789abcdef";
    struct root_secret secret;
    unsigned char key[MARK_BYTES];
    bool is_there;
    *ret = "";
    if (!find_secret(h, &secret, &is_there, e))
        return false;
    if (is_there) {
        char *hex = arena_zalloc(a, 2 * sizeof key + 1);
        root_secret_derive(&secret, "mark of backups", SLICE(""), key, sizeof key);
        for (size_t i = 0; i < sizeof key; i++) {
            hex[2 * i] = digits[key[i] >> 4];
            hex[2 * i + 1] = digits[key[i] & 15];
        }
        *ret = hex;
    }
    explicit_bzero(&secret, sizeof secret);
    return true;
}

/* ---- the place ------------------------------------------------------------------------------- */

const char *backup_place(const char *data_dir, const struct manifest *m, struct arena *a)
{
    struct slice to = m->backups.to.s, data = SLICE("data");
    if (slice_starts(to, SLICE("/")))
        return arena_cstr(a, to);
    if (slice_eq(to, data) || slice_starts(to, SLICE("data/")))
        return arena_printf(a, "%s%.*s", data_dir, SLICE_ARGS(slice_skip(to, data.len))).ptr;
    return arena_printf(a, "%.*s/%.*s", SLICE_ARGS(m->dir), SLICE_ARGS(to)).ptr;
}

bool app_keeps_something(const struct app *app)
{
    return manifest_keeps_something(app->manifest);
}

/* The operators' are beside those of the first app that keeps something. */
static const struct app *first_that_keeps(const struct host *h)
{
    size_t i = 0;
    while (i < h->n_apps && !app_keeps_something(&h->apps[i]))
        i++;
    return i < h->n_apps ? &h->apps[i] : NULL;
}

bool backup_of(struct host *h, const struct app *app, struct blob_store *blobs, const char *place,
               struct arena *a, struct backup *ret, struct err *e)
{
    const struct app *conf = app ? app : first_that_keeps(h);
    struct db_options *db = arena_zalloc(a, sizeof *db);
    const char *mark;
    must(conf); /* there are no operators without an app */
    if (!mark_of(h, a, &mark, e))
        return false;
    database_options(h, app, a, db);
    const struct backup_keep *keep = &conf->manifest->backups.keep;
    *ret = (struct backup){
        .source = {.app = app ? app->manifest->slug.s : SLICE(HOST_SLUG),
                   .made_by = arena_printf(a, "dais %s", build_version),
                   .db = db,
                   .blobs = blobs,
                   .tables = tables_of(a),
                   .secret_mark = mark},
        .rule = {.daily = keep->daily, .weekly = keep->weekly, .monthly = keep->monthly},
    };
    if (!place)
        place = backup_place(h->data_dir, conf->manifest, a);
    ret->dir = arena_printf(a, "%s/%.*s", place, SLICE_ARGS(ret->source.app)).ptr;
    return true;
}
