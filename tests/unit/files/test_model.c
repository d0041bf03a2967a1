/* A thousand random puts, deletes, moves and sweeps, each with the outcome that a simple model of
 * the bucket says, and the tables and blobs it says after it. DAIS_TEST_SEED chooses others. */
#include "files_test.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define STEPS    1000
#define PATHS    12
#define CONTENTS 9
#define QUOTA    60
#define HOUR     (3600 * 1000LL)

static const char manifest[] = "app: t\n"
                               "files:\n"
                               "  a: { quota: { bytes: 60, per: user } }\n"
                               "  b: { quota: { bytes: 60, per: app } }\n"
                               "  c: { visibility: choice }\n";
static const char *const buckets[] = {"a", "b", "c"};
static const char *const users[] = {"ada", "bob", "cy"};

static struct {
    bool is_there, is_public;
    int owner, content;
    int64_t version;
} model[3][PATHS];
static char contents[CONTENTS][32];
static uint64_t seed;

static unsigned any(unsigned n)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(seed >> 33) % n;
}

static int64_t length(int content)
{
    return (int64_t)strlen(contents[content]);
}

/* Of the bucket, or of an owner in it. */
static int64_t used(int bucket, int owner)
{
    int64_t all = 0;
    for (int i = 0; i < PATHS; i++) {
        bool counts = model[bucket][i].is_there && (owner < 0 || model[bucket][i].owner == owner);
        all += counts ? length(model[bucket][i].content) : 0;
    }
    return all;
}

static const char *path_of(int i)
{
    static char text[8][40];
    static int turn;
    snprintf(text[turn = (turn + 1) % 8], sizeof *text, i % 2 ? "dir/%d" : "%d", i);
    return text[turn];
}

static void expect(bool fine, enum err_code code, const char *what)
{
    if (fine ? code != ERR_NONE : err.code != code)
        fail_msg("%s: %s, not %s", what, fine ? "ok" : err.msg, err_slug(code));
}

/* ---- steps ----------------------------------------------------------------------------------- */

static void step_put(int user, int bucket, int i)
{
    int content = (int)any(CONTENTS);
    enum err_code code = ERR_NONE;
    bool was = model[bucket][i].is_there;
    int64_t more = length(content) - (was ? length(model[bucket][i].content) : 0);
    if (was && model[bucket][i].owner != user)
        code = ERR_EXISTS;
    else if (bucket < 2 && more > 0 && used(bucket, bucket ? -1 : user) + more > QUOTA)
        code = ERR_QUOTA;
    expect(put(buckets[bucket], path_of(i), contents[content]), code, "put");
    if (code != ERR_NONE)
        return;
    if (!was)
        model[bucket][i].version = 0, model[bucket][i].is_public = false;
    model[bucket][i].is_there = true;
    model[bucket][i].owner = user;
    model[bucket][i].content = content;
    model[bucket][i].version++;
}

static void step_drop(int user, int bucket, int i)
{
    bool may = model[bucket][i].is_there && model[bucket][i].owner == user;
    expect(drop(buckets[bucket], path_of(i)), may ? ERR_NONE : ERR_NOT_FOUND, "drop");
    model[bucket][i].is_there &= !may;
}

static void step_move(int user, int bucket, int i)
{
    int to = (int)any(PATHS);
    bool may = model[bucket][i].is_there && model[bucket][i].owner == user;
    enum err_code code = !may                                    ? ERR_NOT_FOUND
                         : to != i && model[bucket][to].is_there ? ERR_EXISTS
                                                                 : ERR_NONE;
    expect(change(buckets[bucket], path_of(i), path_of(to), -1), code, "move");
    if (code != ERR_NONE)
        return;
    model[bucket][i].version++;
    model[bucket][to] = model[bucket][i];
    model[bucket][i].is_there = to == i;
}

static void step_publish(int user, int bucket, int i)
{
    int is_public = (int)any(2);
    bool may = model[bucket][i].is_there && model[bucket][i].owner == user;
    enum err_code code = !may ? ERR_NOT_FOUND : is_public && bucket != 2 ? ERR_INVALID : ERR_NONE;
    expect(change(buckets[bucket], path_of(i), "", is_public), code, "publish");
    if (code != ERR_NONE)
        return;
    model[bucket][i].version++;
    model[bucket][i].is_public = is_public;
}

static size_t contents_named(void)
{
    bool seen[CONTENTS] = {false};
    size_t n = 0;
    for (int b = 0; b < 3; b++) {
        for (int i = 0; i < PATHS; i++)
            seen[model[b][i].content] |= model[b][i].is_there;
    }
    for (int i = 0; i < CONTENTS; i++)
        n += seen[i];
    return n;
}

static void step_sweep(bool is_late)
{
    rig.files->order->sweep_ms = rig.files->order->walk_ms = 0;
    while (files_tend(rig.files, clock_wall_ms() + (is_late ? 2 * HOUR : 0)))
        ;
    if (is_late)
        assert_int_equal(blobs_on_disk(), contents_named());
}

static void step_purge(int user)
{
    bool more;
    assert_true(files_purge_owner(rig.files, S(users[user]), &more, &err) && !more);
    for (int b = 0; b < 3; b++) {
        for (int i = 0; i < PATHS; i++)
            model[b][i].is_there &= model[b][i].owner != user;
    }
}

/* ---- what is there --------------------------------------------------------------------------- */

static void check_file(int bucket, int i)
{
    struct file f;
    int owner = model[bucket][i].owner;
    rig_be(users[model[bucket][i].is_there ? owner : 0]);
    bool is_there = get(buckets[bucket], path_of(i), &f);
    assert_int_equal(is_there, model[bucket][i].is_there);
    if (!is_there)
        return;
    struct blob_piece piece;
    assert_true(slice_is(f.owner, users[owner]));
    assert_int_equal(f.version, model[bucket][i].version);
    assert_int_equal(f.is_public, model[bucket][i].is_public);
    assert_int_equal(f.size, length(model[bucket][i].content));
    assert_false(f.is_damaged);
    assert_true(blob_verify(rig.store, f.key, f.size, &err));
    assert_int_equal(blob_find(rig.store, f.key, f.size, 0, &piece, &err), BLOB_HERE);
    close(piece.fd);
}

static void check_all(void)
{
    for (int b = 0; b < 3; b++) {
        for (int i = 0; i < PATHS; i++)
            check_file(b, i);
        for (int u = 0; u < 3; u++) {
            char sql[200];
            snprintf(sql, sizeof sql,
                     "SELECT CAST(COALESCE(SUM(bytes), 0) AS BIGINT) FROM dais_file_use"
                     " WHERE bucket = '%s' AND owner = '%s'",
                     buckets[b], users[u]);
            assert_int_equal(number(sql), used(b, u));
        }
    }
    assert_int_equal(number("SELECT COUNT(*) FROM dais_blobs b WHERE (loose_at IS NULL) <>"
                            " EXISTS (SELECT 1 FROM dais_files f WHERE f.hash = b.hash)"),
                     0);
    assert_int_equal(number("SELECT COUNT(*) FROM dais_blobs WHERE loose_at IS NULL"),
                     contents_named());
}

static void test_model(void **unused)
{
    (void)unused;
    const char *given = getenv("DAIS_TEST_SEED");
    seed = given ? strtoull(given, NULL, 10) : 7;
    for (int i = 0; i < CONTENTS; i++)
        snprintf(contents[i], sizeof *contents, "%.*s%d", i * 2, "aaaaaaaaaaaaaaaaaaaa", i);
    rig_start(manifest);
    for (int step = 0; step < STEPS; step++) {
        int user = (int)any(3), bucket = (int)any(3), i = (int)any(PATHS);
        unsigned what = any(100);
        rig_be(users[user]);
        if (what < 55)
            step_put(user, bucket, i);
        else if (what < 75)
            step_drop(user, bucket, i);
        else if (what < 85)
            step_move(user, bucket, i);
        else if (what < 93)
            step_publish(user, bucket, i);
        else if (what < 99)
            step_sweep(what >= 96);
        else
            step_purge(user);
        if (step % 50 == 49)
            check_all();
    }
    rig_stop();
}

TESTS(cmocka_unit_test(test_model))
