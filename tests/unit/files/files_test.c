/* What tests of files share: an app from a manifest's text, its database, a folder of blobs, who
 * asks. */
#include "files_test.h"

#include "docs/docs.h"
#include "journal/journal.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct rig rig;
struct err err;

static void open_slot(void)
{
    static struct db_migration steps[5];
    static int n_made;
    steps[0] = docs_migrations[0];
    steps[1] = docs_migrations[1];
    steps[2] = events_migration;
    steps[3] = files_migration;
    snprintf(rig.path, sizeof rig.path, "%s/app.db", rig.folder);
    rig.options = (struct db_options){
        .url = slice_from(getenv("DAIS_TEST_DATABASE")),
        .path = rig.path,
        .schema = arena_printf(&rig.a, "files_%d_%d", (int)getpid(), n_made++),
        .read_ms = 120000,
        .migrations = steps,
    };
    rig.slot = db_slot_new(&rig.options);
}

static void open_store(void)
{
    snprintf(rig.blobs, sizeof rig.blobs, "%s/files", rig.folder);
    const struct blob_options o = {.dir = rig.blobs, .free_min = 1};
    rig.store = blob_store_new(&o, &err);
    if (!rig.store)
        fail_msg("%s", err.msg);
}

void rig_start(const char *manifest)
{
    struct problems p;
    rig = (struct rig){0};
    arena_init(&rig.a, 1u << 30);
    problems_init(&p, &rig.a);
    rig.manifest = manifest_parse(&rig.a, slice_from(manifest), "dais.yaml", &p);
    assert_non_null(rig.manifest);
    rig.files = files_new(rig.manifest, &p);
    if (problems_has_errors(&p))
        fail_msg("the manifest has errors");
    snprintf(rig.folder, sizeof rig.folder, "/tmp/dais-files-XXXXXX");
    assert_non_null(mkdtemp(rig.folder));
    open_slot();
    open_store();
    files_attach(rig.files, rig.slot, rig.store, SLICE("a secret of thirty-two characters"));
    if (!files_open(rig.files, &err))
        fail_msg("%s", err.msg);
    rig_be("");
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *where)
{
    (void)st;
    (void)flag;
    (void)where;
    return remove(path);
}

void rig_stop(void)
{
    files_leave(rig.files);
    files_free(rig.files);
    db_slot_free(rig.slot);
    blob_store_free(rig.store);
    nftw(rig.folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    arena_done(&rig.a);
}

void rig_be(const char *user)
{
    struct json_doc doc;
    rig.identity = (struct identity){
        .is_signed_in = *user != 0, .has_every_scope = true, .id = slice_from(user)};
    rig.who = (struct subject){.who = &rig.identity};
    struct slice text = arena_printf(&rig.a, "{\"id\":\"%s\",\"roles\":[\"%s\"]}", user, user);
    assert_true(json_parse(&doc, &rig.a, text, NULL, &err));
    if (*user)
        rig.who.context.user = json_root(&doc);
}

struct file_place place(const char *bucket, const char *space, const char *path)
{
    return (struct file_place){files_find(rig.files, S(bucket)), S(space), S(path)};
}

bool written(bool (*run)(void *arg, struct db_conn *c, struct err *e), void *arg)
{
    return db_write_now(files_db(rig.files), run, arg, &err);
}

bool read_with(bool (*run)(const struct files_reading *r, void *arg), void *arg)
{
    struct db_conn *c = db_conn_take(files_db(rig.files), &err);
    assert_non_null(c);
    const struct files_reading r = {rig.files, c, &rig.a, &rig.who, false};
    bool fine = run(&r, arg);
    db_conn_give(c);
    return fine;
}

/* ---- putting --------------------------------------------------------------------------------- */

static bool run_put(void *arg, struct db_conn *c, struct err *e)
{
    size_t failed;
    return files_put_apply(arg, 1, &failed, c, e);
}

static void receive(struct blob_draft *d, const struct sending *s)
{
    struct err e;
    if (!blob_draft_open(d, rig.store, s->content.len, &e) || !blob_draft_add(d, s->content, &e))
        fail_msg("%s", e.msg);
    blob_draft_seal(d);
    if (!blob_keep(d, "text/plain", &e))
        fail_msg("%s", e.msg);
}

static const char *or_empty(const char *s)
{
    return s ? s : "";
}

/* Any thread. */
bool put_as(const struct subject *who, const struct sending *s, struct file *ret, bool *ret_created,
            struct err *e)
{
    struct blob_draft d;
    struct arena a;
    struct err ignored;
    arena_init(&a, 1u << 20);
    receive(&d, s);
    struct file_put p = {
        .files = rig.files,
        .who = who,
        .arena = &a,
        .at = place(s->bucket, or_empty(s->space), s->path),
        .said = S(or_empty(s->said)),
        .if_match = S(or_empty(s->if_match)),
        .if_none_match = S(or_empty(s->if_none_match)),
        .size = (int64_t)s->content.len,
        .is_public = s->is_public == 0 ? -1 : s->is_public > 0,
        .hash = S(d.hash),
        .key = S(d.key),
    };
    p.type = file_sniff(s->content, p.said, p.at.path);
    bool fine = db_write_now(files_db(rig.files), run_put, &p, e);
    if (!fine || p.uses_other)
        assert_true(blob_remove(rig.store, S(d.key), &ignored));
    blob_draft_drop(&d);
    if (fine && ret) {
        *ret = p.file;
        file_own(ret, p.at.bucket, &rig.a);
    }
    if (fine && ret_created)
        *ret_created = p.is_created;
    arena_done(&a);
    return fine;
}

bool put_sent(const struct sending *s, struct file *ret)
{
    return put_as(&rig.who, s, ret, NULL, &err);
}

bool put(const char *bucket, const char *path, const char *content)
{
    const struct sending s = {.bucket = bucket, .path = path, .content = S(content)};
    return put_sent(&s, NULL);
}

/* ---- the rest -------------------------------------------------------------------------------- */

static bool run_drop(void *arg, struct db_conn *c, struct err *e)
{
    return files_delete_apply(arg, c, e);
}

bool drop(const char *bucket, const char *path)
{
    struct file_delete d = {
        .files = rig.files, .who = &rig.who, .arena = &rig.a, .at = place(bucket, "", path)};
    return written(run_drop, &d);
}

static bool run_change(void *arg, struct db_conn *c, struct err *e)
{
    return files_change_apply(arg, c, e);
}

bool change(const char *bucket, const char *path, const char *to_path, int is_public)
{
    struct file_change ch = {.files = rig.files,
                             .who = &rig.who,
                             .arena = &rig.a,
                             .at = place(bucket, "", path),
                             .to_path = S(to_path),
                             .is_public = is_public};
    return written(run_change, &ch);
}

struct getting {
    struct file_place at;
    struct file *ret;
};

static bool run_get(const struct files_reading *r, void *arg)
{
    struct getting *g = arg;
    return files_get(r, &g->at, g->ret, &err);
}

bool get(const char *bucket, const char *path, struct file *ret)
{
    struct file unseen;
    struct getting g = {place(bucket, "", path), ret ? ret : &unseen};
    return read_with(run_get, &g);
}

struct listing {
    const struct files_query *q;
    struct buf text;
};

static bool run_list(const struct files_reading *r, void *arg)
{
    struct listing *l = arg;
    return files_list(r, l->q, &l->text, &err);
}

const struct json *list(const struct files_query *q)
{
    struct listing l = {.q = q};
    struct json_doc doc;
    buf_init(&l.text, 16u << 20);
    bool fine = read_with(run_list, &l);
    struct slice text = arena_dup(&rig.a, buf_slice(&l.text));
    buf_done(&l.text);
    if (fine && !json_parse(&doc, &rig.a, text, NULL, &err))
        fail_msg("%s: %.*s", err.msg, SLICE_ARGS(slice_first(text, 2000)));
    return fine ? json_root(&doc) : NULL;
}

struct asked {
    const char *sql;
    int64_t n;
};

static bool run_number(const struct files_reading *r, void *arg)
{
    struct asked *k = arg;
    struct db_stmt *s = db_prepare_text(r->conn, S(k->sql), &err);
    if (!s || db_step(s, &err) != DB_ROW)
        fail_msg("%s: %s", k->sql, err.msg);
    k->n = db_i64(s, 0);
    db_reset(s);
    return true;
}

int64_t number(const char *sql)
{
    struct asked k = {.sql = sql};
    read_with(run_number, &k);
    return k.n;
}

size_t blobs_on_disk(void)
{
    struct arena a;
    struct slice after = SLICE("");
    size_t all = 0;
    arena_init(&a, 16u << 20);
    do {
        struct blob_item *items;
        size_t n;
        if (!blob_walk(rig.store, after, &a, &items, &n, &after, &err))
            fail_msg("%s", err.msg);
        all += n;
    } while (after.len);
    arena_done(&a);
    return all;
}
