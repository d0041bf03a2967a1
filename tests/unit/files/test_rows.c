/* Files and their rules on either database: who may do what, conditions, quotas, lists, owners who
 * leave. */
#include "files_test.h"

#include "base/file.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static const char manifest[] =
    "app: t\n"
    "auth: { roles: [editor] }\n"
    "files:\n"
    "  own: {}\n"
    "  pub: { owner: false, rules: { read: public, create: signed_in, write: signed_in } }\n"
    "  moved: { rules: { create: \"path ~ 'in/'\", write: signed_in } }\n"
    "  choice: { visibility: choice }\n"
    "  spaced: { scope: user, rules: { write: 'owner = @user.id || @user.roles ?= ''editor''' } }\n"
    "  small: { max: 10, types: [text/plain] }\n"
    "  byuser: { quota: { bytes: 100, per: user } }\n"
    "  byapp: { quota: { bytes: 100, per: app } }\n"
    "  ruled: { rules: { read: \"type = 'text/plain' && size > 2\", create: \"path ~ 'in/'\","
    " write: signed_in } }\n";

RIG_OF(manifest)

/* ---- rights ---------------------------------------------------------------------------------- */

static void test_owner(void **unused)
{
    struct file f;
    (void)unused;
    NOT(put("own", "a", "1"), ERR_UNAUTHENTICATED);
    rig_be("ada");
    OK(put("own", "a", "hello"));
    OK(get("own", "a", &f));
    assert_true(slice_is(f.owner, "ada") && slice_is(f.type, "text/plain") && f.size == 5);
    assert_true(f.version == 1 && !f.is_public && !f.is_open && !f.is_damaged);
    assert_int_equal(f.etag.len, 66);
    OK(put("own", "a", "again"));
    OK(get("own", "a", &f));
    assert_int_equal(f.version, 2);
    rig_be("bob");
    NOT(get("own", "a", NULL), ERR_NOT_FOUND);
    NOT(get("own", "b", NULL), ERR_NOT_FOUND);
    NOT(put("own", "a", "x"), ERR_EXISTS);
    NOT(drop("own", "a"), ERR_NOT_FOUND);
    NOT(change("own", "a", "b", -1), ERR_NOT_FOUND);
    rig_be("");
    NOT(get("own", "a", NULL), ERR_UNAUTHENTICATED);
    NOT(put("own", "a", "x"), ERR_UNAUTHENTICATED);
    rig_be("ada");
    OK(change("own", "a", "b/c", -1));
    NOT(get("own", "a", NULL), ERR_NOT_FOUND);
    OK(drop("own", "b/c"));
    NOT(drop("own", "b/c"), ERR_NOT_FOUND);
}

static void test_rules(void **unused)
{
    (void)unused;
    rig_be("ada");
    NOT(put("ruled", "out/a", "text"), ERR_FORBIDDEN);
    OK(put("ruled", "in/a", "text"));
    OK(get("ruled", "in/a", NULL));
    OK(put("ruled", "in/b", "te"));
    NOT(get("ruled", "in/b", NULL), ERR_NOT_FOUND); /* it is too small for the rule */
    OK(put("ruled", "in/b", "te\x01"));
    NOT(get("ruled", "in/b", NULL), ERR_NOT_FOUND); /* and now another type */
    NOT(put("pub", "a", "1") && change("pub", "a", "", 1), ERR_INVALID);
}

static void test_choice(void **unused)
{
    struct file f;
    struct sending s = {.bucket = "choice", .path = "a", .content = SLICE("1"), .is_public = 1};
    (void)unused;
    rig_be("ada");
    OK(put_sent(&s, &f));
    assert_true(f.is_public && f.is_open);
    OK(put("choice", "b", "2"));
    OK(put("choice", "a", "3")); /* it stays so */
    rig_be("");
    OK(get("choice", "a", &f));
    assert_true(f.is_public && f.is_open);
    NOT(get("choice", "b", NULL), ERR_NOT_FOUND);
    NOT(put("choice", "a", "x"), ERR_UNAUTHENTICATED);
    rig_be("bob");
    OK(get("choice", "a", NULL));
    NOT(put("choice", "a", "x"), ERR_EXISTS);
    NOT(change("choice", "a", "", 0), ERR_NOT_FOUND);
    rig_be("ada");
    OK(change("choice", "a", "", 0));
    rig_be("");
    NOT(get("choice", "a", NULL), ERR_NOT_FOUND);
    rig_be("ada");
    OK(put("pub", "a", "1"));
    OK(get("pub", "a", &f));
    assert_true(f.is_open && !f.is_public);
}

static void test_spaces(void **unused)
{
    struct file f;
    struct sending s = {.bucket = "spaced", .space = "ada", .path = "a", .content = SLICE("1")};
    (void)unused;
    rig_be("ada");
    OK(put_sent(&s, NULL));
    s.space = "bob";
    NOT(put_sent(&s, NULL), ERR_FORBIDDEN); /* nobody begins a file in another's space */
    rig_be("bob");
    OK(put_sent(&s, NULL)); /* the same path, another file */
    rig_be("editor");       /* whose role is called so, too */
    s.path = "b";
    OK(put_sent(&s, &f));
    assert_true(slice_is(f.owner, "bob"));
    assert_int_equal(number("SELECT COUNT(*) FROM dais_files"), 3);
}

static void test_moves(void **unused)
{
    (void)unused;
    rig_be("ada");
    OK(put("own", "a", "1"));
    OK(put("own", "b", "2"));
    NOT(change("own", "a", "b", -1), ERR_EXISTS);
    NOT(change("own", "a", "../b", -1), ERR_MALFORMED);
    OK(change("own", "a", "a", -1));
    rig_be("bob");
    OK(put("own", "c", "3"));
    NOT(change("own", "c", "a", -1), ERR_EXISTS);
    OK(put("moved", "in/a", "4"));
    NOT(change("moved", "in/a", "out/a", -1), ERR_FORBIDDEN); /* nor could it begin there */
    OK(change("moved", "in/a", "in/b", -1));
}

/* ---- conditions ------------------------------------------------------------------------------ */

static void test_conditions(void **unused)
{
    struct file f;
    struct sending s = {.bucket = "own", .path = "a", .content = SLICE("1")};
    bool is_created;
    (void)unused;
    rig_be("ada");
    s.if_match = "*";
    NOT(put_sent(&s, NULL), ERR_STALE);
    s.if_match = NULL;
    s.if_none_match = "*";
    OK(put_as(&rig.who, &s, &f, &is_created, &err));
    assert_true(is_created);
    NOT(put_sent(&s, NULL), ERR_STALE);
    s.if_none_match = NULL;
    s.if_match = arena_cstr(&rig.a, f.etag);
    s.content = SLICE("2");
    OK(put_as(&rig.who, &s, &f, &is_created, &err));
    assert_false(is_created);
    NOT(put_sent(&s, NULL), ERR_STALE);
    struct file_delete d = {
        .files = rig.files, .who = &rig.who, .arena = &rig.a, .at = place("own", "", "a")};
    d.if_match = S(s.if_match);
    assert_false(written((bool (*)(void *, struct db_conn *, struct err *))files_delete_apply, &d));
    assert_int_equal(err.code, ERR_STALE);
    d.if_match = f.etag;
    OK(written((bool (*)(void *, struct db_conn *, struct err *))files_delete_apply, &d));
}

/* ---- sizes, types, quotas -------------------------------------------------------------------- */

static void test_sizes_and_types(void **unused)
{
    (void)unused;
    rig_be("ada");
    NOT(put("small", "a", "12345678901"), ERR_BODY_TOO_LARGE);
    NOT(put("small", "a", "\1\2"), ERR_MEDIA_TYPE);
    NOT(put("small", "a", "<html>"), ERR_MEDIA_TYPE);
    OK(put("small", "a", "1234567890"));
}

static const char *text_of(size_t n)
{
    char *text = arena_alloc(&rig.a, n + 1);
    memset(text, 'x', n);
    text[n] = '\0';
    return text;
}

static void test_quotas(void **unused)
{
    (void)unused;
    rig_be("ada");
    OK(put("byuser", "a", text_of(60)));
    OK(put("byuser", "b", text_of(40)));
    NOT(put("byuser", "c", "1"), ERR_QUOTA);
    NOT(put("byuser", "a", text_of(61)), ERR_QUOTA);
    OK(put("byuser", "a", text_of(59))); /* paths count, though the content is there already */
    OK(put("byuser", "c", "1"));
    OK(put("byapp", "a", text_of(60)));
    rig_be("bob");
    OK(put("byuser", "d", text_of(100)));
    NOT(put("byapp", "b", text_of(41)), ERR_QUOTA);
    OK(put("byapp", "b", text_of(40)));
    rig_be("ada");
    OK(drop("byapp", "a"));
    OK(put("byapp", "c", text_of(60)));
    assert_int_equal(
        number("SELECT bytes FROM dais_file_use WHERE bucket = 'byuser' AND owner = 'ada'"), 100);
    assert_int_equal(
        number("SELECT files FROM dais_file_use WHERE bucket = 'byuser' AND owner = 'ada'"), 3);
}

struct asking {
    struct file_put p;
    bool fine;
};

static bool run_may(const struct files_reading *r, void *arg)
{
    struct asking *k = arg;
    k->p.files = rig.files;
    k->p.who = &rig.who;
    k->p.arena = &rig.a;
    return k->fine = files_put_may(r, &k->p, &err);
}

static bool may(const char *bucket, const char *path, const char *said, int64_t size)
{
    struct asking k = {
        .p = {.at = place(bucket, "", path), .said = S(said), .size = size, .is_public = -1}};
    return read_with(run_may, &k);
}

static void test_may(void **unused)
{
    (void)unused;
    NOT(may("own", "a", "", 1), ERR_UNAUTHENTICATED);
    rig_be("ada");
    OK(may("own", "a", "", 1));
    OK(put("own", "a", "1"));
    NOT(may("own", "../a", "", 1), ERR_MALFORMED);
    NOT(may("small", "a", "", 11), ERR_BODY_TOO_LARGE);
    NOT(may("small", "a", "image/png", 1), ERR_MEDIA_TYPE);
    OK(may("small", "a", "application/octet-stream", -1)); /* the bytes will tell */
    OK(may("small", "a", "text/plain", -1));
    NOT(may("byuser", "a", "", 101), ERR_QUOTA);
    NOT(may("ruled", "out/a", "", 1), ERR_FORBIDDEN);
    rig_be("bob");
    NOT(may("own", "a", "", 1), ERR_EXISTS);
}

static void test_reservations(void **unused)
{
    struct file_place a = place("byuser", "", "a"), b = place("byuser", "", "b");
    (void)unused;
    rig_be("ada");
    OK(put("byuser", "a", text_of(80)));
    OK(may("byuser", "b", "", 20));
    OK(files_reserve(rig.files, &b, S("ada"), 20, &err));
    NOT(may("byuser", "c", "", 1), ERR_QUOTA);
    OK(may("byuser", "c", "", -1));
    OK(may("byuser", "a", "", 80)); /* in the place of what is there */
    OK(files_reserve(rig.files, &a, S("ada"), 80, &err));
    files_release(rig.files, &a, S("ada"), 80);
    OK(may("byuser", "d", "", -1));
    NOT(files_reserve(rig.files, &(struct file_place){a.bucket, S(""), S("d")}, S("ada"), 1, &err),
        ERR_QUOTA);
    OK(files_reserve(rig.files, &b, S("ada"), -1, &err));
    files_release(rig.files, &b, S("ada"), -1);
    files_release(rig.files, &b, S("ada"), 20);
    OK(may("byuser", "c", "", 1));
    assert_int_equal(rig.files->reserved.len, 0);
}

/* ---- many at once ---------------------------------------------------------------------------- */

#define THREADS 8
#define EACH    12

static struct {
    struct subject who;
    _Atomic int done, full, later, other;
} crowd;

static void *put_some(void *arg)
{
    for (int i = 0; i < EACH; i++) {
        char path[40];
        struct err e;
        snprintf(path, sizeof path, "%d/%d", *(int *)arg, i);
        const struct sending s = {
            .bucket = i % 2 ? "byuser" : "byapp", .path = path, .content = SLICE("1234567890")};
        if (put_as(&crowd.who, &s, NULL, NULL, &e))
            crowd.done++;
        else if (e.code == ERR_QUOTA)
            crowd.full++;
        else if (e.code == ERR_UNAVAILABLE)
            crowd.later++;
        else
            crowd.other++;
    }
    return NULL;
}

/* Ten fit into each: whatever comes at once, never one more. */
static void test_together(void **unused)
{
    pthread_t threads[THREADS];
    int numbers[THREADS];
    (void)unused;
    rig_be("ada");
    crowd.who = rig.who;
    crowd.done = crowd.full = crowd.later = crowd.other = 0;
    for (int i = 0; i < THREADS; i++) {
        numbers[i] = i;
        assert_int_equal(pthread_create(&threads[i], NULL, put_some, &numbers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    print_message("%d stored, %d refused, %d later\n", crowd.done, crowd.full, crowd.later);
    assert_int_equal(crowd.other, 0);
    assert_true(crowd.done <= 20);
    assert_int_equal(crowd.done + crowd.full + crowd.later, THREADS * EACH);
    assert_true(crowd.later || crowd.done == 20);
    assert_int_equal(number("SELECT CAST(SUM(bytes) AS BIGINT) FROM dais_file_use"),
                     10 * crowd.done);
    assert_int_equal(number("SELECT CAST(SUM(size) AS BIGINT) FROM dais_files"), 10 * crowd.done);
    assert_true(number("SELECT MAX(bytes) FROM dais_file_use") <= 100);
    assert_int_equal(number("SELECT COUNT(*) FROM dais_blobs"), 1);
    assert_int_equal(blobs_on_disk(), 1);
}

/* ---- lists ----------------------------------------------------------------------------------- */

static const struct json *items(const struct json *page)
{
    if (!page)
        fail_msg("%s", err.msg);
    return json_find(page, SLICE("items"));
}

static const char *path_at(const struct json *page, size_t i)
{
    return arena_cstr(&rig.a, json_str(json_find(json_item(items(page), i), SLICE("path"))));
}

static struct files_query query(const char *bucket, const char *prefix, uint32_t limit)
{
    return (struct files_query){
        files_find(rig.files, S(bucket)), S(""), S(prefix), S(""), limit, false};
}

static size_t walk_all(struct files_query q, const char *const *paths)
{
    size_t n = 0;
    for (;;) {
        const struct json *page = list(&q);
        json_each (it, items(page)) {
            struct slice path = json_str(json_find(it.value, SLICE("path")));
            if (paths && !slice_is(path, paths[n]))
                fail_msg("%zu: %.*s, not %s", n, SLICE_ARGS(path), paths[n]);
            n++;
        }
        q.after = json_str(json_find(page, SLICE("next")));
        if (!q.after.len)
            return n;
    }
}

static void test_lists(void **unused)
{
    static const char *const paths[] = {"a",     "a/1",   "a/2/x", "a/2/y", "a0",
                                        "b/1/2", "b/1/3", "b/2",   "c",     "é/x"};
    static const char *const top[] = {"a", "a/", "a0", "b/", "c", "é/"};
    static const char *const below[] = {"a/1", "a/2/"};
    (void)unused;
    rig_be("ada");
    for (size_t i = 0; i < 10; i++)
        OK(put("own", paths[(i * 7) % 10], "1"));
    rig_be("bob");
    OK(put("own", "a/1a", "1"));
    OK(put("own", "d/1", "1"));
    rig_be("ada");
    for (uint32_t limit = 1; limit < 12; limit++) {
        struct files_query q = query("own", "", limit);
        assert_int_equal(walk_all(q, paths), 10);
        q.is_folders = true;
        assert_int_equal(walk_all(q, top), 6);
        q.prefix = SLICE("a/");
        assert_int_equal(walk_all(q, below), 2);
        q.is_folders = false;
        assert_int_equal(walk_all(q, paths + 1), 3);
        q.prefix = SLICE("zz");
        assert_int_equal(walk_all(q, paths), 0);
    }
    struct files_query q = query("own", "", 10);
    assert_true(json_type(json_find(list(&q), SLICE("next"))) == JSON_NULL);
    q.limit = FILE_LIMIT_MAX + 1;
    NOT(list(&q), ERR_MALFORMED);
    q = query("own", "a\xff", 1);
    NOT(list(&q), ERR_MALFORMED);
    q = query("own", "", 1);
    q.after = SLICE("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
    NOT(list(&q), ERR_MALFORMED);
    rig_be("");
    q.after = SLICE("");
    NOT(list(&q), ERR_UNAUTHENTICATED);
}

static void test_filtered_lists(void **unused)
{
    (void)unused;
    rig_be("ada");
    for (int i = 0; i < 60; i++)
        OK(put("choice", arena_printf(&rig.a, "f%d/%03d", i / 20, i).ptr, "1"));
    OK(change("choice", "f0/013", "", 1));
    OK(change("choice", "f2/059", "", 1));
    rig_be("");
    struct files_query q = query("choice", "", 1);
    const struct json *page = list(&q);
    assert_string_equal(path_at(page, 0), "f0/013");
    assert_true(json_bool(json_find(json_item(items(page), 0), SLICE("public"))));
    assert_int_equal(walk_all(q, (const char *const[]){"f0/013", "f2/059"}), 2);
    q.is_folders = true; /* no folder of files that nobody sees */
    assert_int_equal(walk_all(q, (const char *const[]){"f0/", "f2/"}), 2);
}

struct filling {
    int from, n;
    const char *owner;
};

/* Rows alone, so that there are many soon. */
static bool run_fill(void *arg, struct db_conn *c, struct err *e)
{
    const struct filling *x = arg;
    struct arena a;
    arena_init(&a, 1u << 30);
    bool fine = true;
    for (int i = x->from; fine && i < x->from + x->n; i++) {
        struct file f = {.bucket = S("own"),
                         .path = arena_printf(&a, "many/%06d.txt", i),
                         .owner = S(x->owner),
                         .hash = arena_printf(&a, "%064d", i),
                         .type = S("text/plain"),
                         .size = 1,
                         .version = 1,
                         .created = S("2026-01-01T00:00:00.000Z"),
                         .updated = S("2026-01-01T00:00:00.000Z")};
        fine = file_insert(c, &f, e);
    }
    arena_done(&a);
    return fine;
}

struct timing {
    struct files_query q;
    int64_t best_us;
};

static bool run_timed(const struct files_reading *r, void *arg)
{
    struct timing *t = arg;
    t->best_us = INT64_MAX;
    for (int i = 0; i < 20; i++) {
        struct buf b;
        buf_init(&b, 1u << 20);
        int64_t at = clock_mono_ns();
        OK(files_list(r, &t->q, &b, &err));
        int64_t us = (clock_mono_ns() - at) / 1000;
        t->best_us = us < t->best_us ? us : t->best_us;
        buf_done(&b);
    }
    return true;
}

/* A page costs what it tells, however many rows there are: of another's rows none is looked at. */
static void test_many(void **unused)
{
    struct filling ada = {0, 10000, "ada"}, bob = {10000, 10000, "bob"};
    (void)unused;
    OK(written(run_fill, &ada));
    OK(written(run_fill, &bob));
    rig_be("bob");
    struct timing t = {.q = query("own", "many/", 100)};
    OK(read_with(run_timed, &t));
    print_message("a page of 100 of 10,000 in %lld us\n", (long long)t.best_us);
    const struct json *page = list(&t.q);
    assert_string_equal(path_at(page, 0), "many/010000.txt");
    assert_int_equal(json_len(items(page)), 100);
    t.q.limit = 1000;
    assert_int_equal(walk_all(t.q, NULL), 10000);
#ifdef __OPTIMIZE__
    assert_true(t.best_us < 30000); /* the debug build with its sanitizers on a busy machine */
#endif
}

/* ---- people who leave ------------------------------------------------------------------------ */

static void test_purge(void **unused)
{
    bool more = true;
    (void)unused;
    for (int i = 0; i < 2; i++) {
        rig_be(i ? "bob" : "ada");
        for (int n = 0; n < 210; n++)
            OK(put("own", arena_printf(&rig.a, "%s%d", i ? "b" : "a", n).ptr,
                   i ? "bob's" : "ada's"));
        const struct sending s = {
            .bucket = "spaced", .space = i ? "bob" : "ada", .path = "a", .content = SLICE("1")};
        OK(put_sent(&s, NULL));
    }
    OK(files_purge_owner(rig.files, S("ada"), &more, &err));
    assert_true(more);
    OK(files_purge_owner(rig.files, S("ada"), &more, &err));
    assert_false(more);
    assert_int_equal(number("SELECT COUNT(*) FROM dais_files WHERE owner = 'ada' OR space = 'ada'"),
                     0);
    assert_int_equal(number("SELECT COUNT(*) FROM dais_files"), 211);
    assert_int_equal(number("SELECT COUNT(*) FROM dais_file_use WHERE owner = 'ada'"), 0);
    assert_int_equal(number("SELECT COUNT(*) FROM dais_blobs WHERE loose_at IS NOT NULL"), 1);
}

static void test_adopt(void **unused)
{
    bool more = true;
    struct file f;
    struct sending s = {.bucket = "spaced", .space = "local", .path = "a", .content = SLICE("1")};
    (void)unused;
    rig_be("local");
    OK(put("byuser", "x", text_of(30)));
    OK(put_sent(&s, NULL));
    rig_be("ada");
    OK(put("byuser", "y", text_of(30)));
    OK(files_adopt_owner(rig.files, S("local"), S("ada"), &more, &err));
    assert_false(more);
    OK(get("byuser", "x", &f));
    assert_true(slice_is(f.owner, "ada") && f.version == 2);
    assert_int_equal(
        number("SELECT bytes FROM dais_file_use WHERE bucket = 'byuser' AND owner = 'ada'"), 60);
    assert_int_equal(
        number("SELECT COUNT(*) FROM dais_files WHERE space = 'ada' AND owner = 'ada'"), 1);
    rig_be("local");
    OK(put_sent(&s, NULL));
    NOT(files_adopt_owner(rig.files, S("local"), S("ada"), &more, &err), ERR_EXISTS);
}

struct exporting {
    struct slice after;
    struct buf text;
    size_t pages;
};

static bool run_export(const struct files_reading *r, void *arg)
{
    struct exporting *x = arg;
    x->pages++;
    return files_export_owner(r, S("ada"), x->after, &x->text, &x->after, &err);
}

static void test_export(void **unused)
{
    struct exporting x = {.after = SLICE("")};
    struct filling ada = {0, 1100, "ada"}, bob = {5000, 10, "bob"};
    size_t lines = 0;
    (void)unused;
    OK(written(run_fill, &ada));
    OK(written(run_fill, &bob));
    buf_init(&x.text, 16u << 20);
    do
        OK(read_with(run_export, &x));
    while (x.after.len);
    for (size_t i = 0; i < x.text.len; i++)
        lines += x.text.data[i] == '\n';
    assert_int_equal(lines, 1100);
    assert_int_equal(x.pages, 3);
    assert_true(slice_starts(buf_slice(&x.text),
                             SLICE("{\"file\":{\"bucket\":\"own\",\"path\":\"many/000000.txt\"")));
    buf_done(&x.text);
}

static bool run_usage(const struct files_reading *r, void *arg)
{
    return files_usage(r, arg, &err);
}

static void test_usage(void **unused)
{
    struct buf b;
    struct json_doc doc;
    (void)unused;
    rig_be("ada");
    OK(put("byuser", "a", text_of(30)));
    OK(put("byapp", "a", text_of(30)));
    rig_be("bob");
    OK(put("byapp", "b", text_of(12)));
    buf_init(&b, 1u << 20);
    buf_add_char(&b, '{');
    OK(read_with(run_usage, &b));
    buf_add_char(&b, '}');
    OK(json_parse(&doc, &rig.a, arena_dup(&rig.a, buf_slice(&b)), NULL, &err));
    buf_done(&b);
    const struct json *all = json_find(json_root(&doc), SLICE("files"));
    int64_t n = 0;
    assert_true(json_i64(json_find(json_find(all, SLICE("byapp")), SLICE("bytes")), &n) && n == 42);
    assert_true(json_i64(json_find(json_find(all, SLICE("byapp")), SLICE("limit")), &n) &&
                n == 100);
    assert_true(json_i64(json_find(json_find(all, SLICE("byuser")), SLICE("bytes")), &n) && n == 0);
    assert_int_equal(json_type(json_find(json_find(all, SLICE("own")), SLICE("limit"))), JSON_NULL);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, start, stop)
TESTS(T(test_owner), T(test_rules), T(test_choice), T(test_spaces), T(test_moves),
      T(test_conditions), T(test_sizes_and_types), T(test_quotas), T(test_may),
      T(test_reservations), T(test_together), T(test_lists), T(test_filtered_lists), T(test_many),
      T(test_purge), T(test_adopt), T(test_export), T(test_usage))
