/* An app's database, its files and a folder of backups, for tests. */
#include "keep_rig.h"

#include "files/files.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct err err;
char keep_folder[64];
struct db_migration rig_steps[6];
static struct pg_server server;

#define THINGS(blob, number)                                                              \
    "CREATE TABLE dais_things (id " number " PRIMARY KEY, t TEXT, n BIGINT, b " blob ");" \
    "CREATE TABLE dais_secrets (id BIGINT PRIMARY KEY, t TEXT)"
static const struct db_migration things = {"things", THINGS("BLOB", "INTEGER"),
                                           THINGS("BYTEA", "BIGINT")};
static const struct keep_family families[] = {
    {"c_", DOCS_KEPT, docs_make_named},
    {"h_", DOCS_KEPT_HISTORY, docs_make_named},
};
const struct keep_tables rig_tables = {
    .steps = rig_steps,
    .families = families,
    .n_families = 2,
    .left_out = "dais_once dais_secrets",
    .settle = docs_settle,
};

int rig_begin(void **state)
{
    (void)state;
    rig_steps[0] = docs_migrations[0];
    rig_steps[1] = docs_migrations[1];
    rig_steps[2] = files_migration;
    rig_steps[3] = things;
    snprintf(keep_folder, sizeof keep_folder, "/tmp/dais-keep-XXXXXX");
    return mkdtemp(keep_folder) ? 0 : -1;
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *where)
{
    (void)st;
    (void)flag;
    (void)where;
    return remove(path);
}

int rig_end(void **state)
{
    (void)state;
    return nftw(keep_folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* ---- one app ----------------------------------------------------------------------------------
 */

void rig_start(struct rig *r, bool is_sqlite)
{
    static unsigned n;
    *r = (struct rig){0};
    arena_init(&r->a, 1u << 30);
    snprintf(r->folder, sizeof r->folder, "/tmp/dais-keep-app-XXXXXX");
    assert_non_null(mkdtemp(r->folder));
    snprintf(r->path, sizeof r->path, "%s/app.db", r->folder);
    r->options = (struct db_options){
        .path = r->path, .read_ms = 120000, .busy_ms = 300, .migrations = rig_steps};
    if (!is_sqlite && !server.port)
        pg_server_make(&server);
    if (!is_sqlite)
        r->options.url = slice_from(server.url);
    r->options.schema = arena_printf(&r->a, "app-%u", ++n);
    const struct blob_options o = {.dir = arena_printf(&r->a, "%s/files", r->folder).ptr,
                                   .free_min = 1};
    r->blobs = blob_store_new(&o, &err);
    assert_non_null(r->blobs);
    rig_open(r);
}

void rig_open(struct rig *r)
{
    r->db = r->db ? r->db : db_open(&r->options, &err);
    if (!r->db)
        fail_msg("%s", err.msg);
}

void rig_close(struct rig *r)
{
    db_close(r->db);
    r->db = NULL;
}

void rig_stop(struct rig *r)
{
    rig_close(r);
    blob_store_free(r->blobs);
    assert_int_equal(nftw(r->folder, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
    arena_done(&r->a);
}

/* ---- statements -------------------------------------------------------------------------------
 */

bool rig_try(struct rig *r, const char *many)
{
    const char *const texts[] = {many, NULL};
    rig_open(r);
    return db_run_alone(r->db, texts, &err);
}

void rig_say(struct rig *r, const char *many)
{
    OK(rig_try(r, many));
}

static bool read_first(struct rig *r, const char *sql, int64_t *ret_number, struct slice *ret_text)
{
    rig_open(r);
    struct db_conn *c = db_conn_take(r->db, &err);
    struct db_stmt *s = c ? db_prepare_text(c, slice_from(sql), &err) : NULL;
    enum db_step step = s ? db_step(s, &err) : DB_FAILED;
    if (step == DB_FAILED)
        fail_msg("%s: %s", sql, err.msg);
    if (step == DB_ROW && ret_number)
        *ret_number = db_i64(s, 0);
    else if (step == DB_ROW)
        *ret_text = arena_dup(&r->a, db_text(s, 0));
    db_reset(s);
    db_conn_give(c);
    return step == DB_ROW;
}

int64_t rig_number(struct rig *r, const char *sql)
{
    int64_t n = -1;
    read_first(r, sql, &n, NULL);
    return n;
}

struct slice rig_text(struct rig *r, const char *sql)
{
    struct slice text = SLICE("");
    read_first(r, sql, NULL, &text);
    return text;
}

/* ---- files ------------------------------------------------------------------------------------
 */

void rig_put(struct rig *r, const char *path, const char *content)
{
    struct blob_draft d;
    OK(blob_draft_open(&d, r->blobs, strlen(content), &err));
    OK(blob_draft_add(&d, slice_from(content), &err));
    blob_draft_seal(&d);
    OK(blob_keep(&d, "text/plain", &err));
    rig_say(r, arena_printf(&r->a,
                            "INSERT INTO dais_files (bucket, space, path, owner, hash, size, type,"
                            " is_public, version, created, updated) VALUES ('b', '', '%s', '',"
                            " '%s', %zu, 'text/plain', 0, 1, '-', '-');"
                            "INSERT INTO dais_blobs (hash, blob_key, size, state) VALUES"
                            " ('%s', '%s', %zu, 0) ON CONFLICT DO NOTHING",
                            path, d.hash, strlen(content), d.hash, d.key, strlen(content))
                   .ptr);
    blob_draft_drop(&d);
}

struct slice rig_get(struct rig *r, const char *path)
{
    const char *of = "FROM dais_files f JOIN dais_blobs b ON b.hash = f.hash WHERE f.path";
    struct slice key =
        rig_text(r, arena_printf(&r->a, "SELECT b.blob_key %s = '%s'", of, path).ptr);
    int64_t size = rig_number(r, arena_printf(&r->a, "SELECT b.size %s = '%s'", of, path).ptr);
    struct blob_piece piece;
    if (size < 0 || !blob_verify(r->blobs, key, (uint64_t)size, &err) ||
        blob_find(r->blobs, key, (uint64_t)size, 0, &piece, &err) != BLOB_HERE)
        return SLICE("");
    char *to = arena_alloc(&r->a, (size_t)size + 1);
    assert_int_equal(pread(piece.fd, to, (size_t)size, (off_t)piece.at), size);
    close(piece.fd);
    return (struct slice){to, (size_t)size};
}

/* ---- backups ----------------------------------------------------------------------------------
 */

struct keep *keep_of(bool is_writer)
{
    struct keep *k = keep_open(keep_folder, is_writer, &err);
    if (!k)
        fail_msg("%s", err.msg);
    return k;
}

struct keep_entry make_backup(struct rig *r)
{
    const struct keep_source from = {.app = SLICE("notes"),
                                     .made_by = SLICE("dais of a test"),
                                     .db = &r->options,
                                     .blobs = r->blobs,
                                     .tables = &rig_tables};
    struct keep_entry entry;
    struct keep *k = keep_of(true);
    OK(keep_create(k, &from, NULL, &r->a, &entry, &err));
    keep_close(k);
    return entry;
}

struct keep_target target_of(struct rig *r)
{
    return (struct keep_target){.db = &r->options, .blobs = r->blobs, .tables = &rig_tables};
}

bool bring_back(struct rig *into, const struct keep_entry *entry)
{
    struct keep_target target = target_of(into);
    struct keep *k = keep_of(false);
    rig_close(into);
    bool fine = keep_restore(k, entry, &target, NULL, &err);
    keep_close(k);
    return fine;
}
