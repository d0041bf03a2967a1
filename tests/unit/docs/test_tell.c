/* Who follows changes of documents is told of each of them once, in its write: of none that did not
 * happen, of none that nobody made, and not of what whoever made it may not read. */
#include "docs/docs_impl.h"
#include "docs_test.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static struct rig rig;

#define OPEN "rules: { read: public, create: public, write: public }"
static const char manifest[] =
    "app: t\n"
    "collections:\n"
    "  notes: { owner: true, trash: 30d, versions: 5, " OPEN " }\n"
    "  final: { trash: 0, " OPEN " }\n"
    "  veiled: { hidden: [secret], " OPEN " }\n"
    "  box: { rules: { read: nobody, create: public, write: public, delete: public } }\n"
    "  theirs: { owner: true, rules: { write: public } }\n"
    "  books: { " OPEN ", refs: { by: { to: notes, on_delete: cascade } } }\n"
    "  marks: { " OPEN ", refs: { on: { to: notes, on_delete: clear } } }\n"
    "  locks: { " OPEN ", refs: { on: { to: final, on_delete: restrict } } }\n";

#define A "aaaaaaaaaaaaaaa"
#define B "bbbbbbbbbbbbbbb"
#define C "ccccccccccccccc"

/* ---- who is told writes it down, in the same transaction ------------------------------------- */

static const struct sql note = {"INSERT INTO told (n, line) VALUES (?, ?)", NULL};
static int64_t n_notes;
static bool refuses;

static bool on_change(void *user, struct db_conn *c, const struct change *ch, struct err *e)
{
    static const char *const kinds[] = {"created", "updated", "deleted"};
    char line[4096];
    assert_ptr_equal(user, &rig);
    assert_false(ch->is_file);
    if (refuses)
        return err_set(e, ERR_QUOTA, "No.");
    struct db_stmt *s = db_prepare(c, &note, e);
    if (!s)
        return false;
    ptrdiff_t own = slice_search(ch->text, SLICE("\"updated\":"));
    struct slice rest = own < 0 ? ch->text : slice_skip(ch->text, (size_t)own + 37);
    snprintf(line, sizeof line, "%.*s.%s %.3s %.*s/%u %.*s", SLICE_ARGS(ch->of), kinds[ch->kind],
             ch->id.ptr, SLICE_ARGS(ch->by), ch->depth, SLICE_ARGS(rest));
    db_bind_i64(s, 1, ++n_notes);
    db_bind_text(s, 2, slice_from(line));
    return db_run(s, NULL, e);
}

static bool run_text(void *arg, struct db_conn *c, struct err *e)
{
    struct db_stmt *s = db_prepare_text(c, slice_from(arg), e);
    return s && db_run(s, NULL, e);
}

static void sql(const char *text)
{
    char copy[200];
    snprintf(copy, sizeof copy, "%s", text);
    rig_rest(&rig);
    if (!db_write_now(docs_db(rig.docs), run_text, copy, &err))
        fail_msg("%s", err.msg);
}

/* All that was told since, a line each, is this. */
static void assert_told(const char *want)
{
    struct buf b;
    struct db_stmt *s =
        db_prepare_text(rig_read(&rig)->conn, SLICE("SELECT line FROM told ORDER BY n"), &err);
    buf_init(&b, 1 << 20);
    assert_non_null(s);
    while (db_step(s, &err) == DB_ROW) {
        buf_add(&b, slice_trim(db_text(s, 0)));
        buf_add_char(&b, '\n');
    }
    db_reset(s);
    buf_add_char(&b, '\0');
    assert_string_equal(b.data, want);
    buf_done(&b);
    sql("DELETE FROM told");
}

static int start(void **unused)
{
    (void)unused;
    rig_start(&rig, manifest);
    refuses = false;
    docs_on_change(rig.docs, on_change, &rig);
    sql("CREATE TABLE told (n BIGINT, line TEXT)");
    rig_be(&rig, "ada");
    return 0;
}

static int stop(void **unused)
{
    (void)unused;
    rig_stop(&rig);
    return 0;
}

/* ---- changing -------------------------------------------------------------------------------- */

struct step {
    enum doc_op op;
    const char *coll, *id, *body;
    int64_t version; /* of DOC_REVERT */
};

static bool apply(void *arg, struct db_conn *c, struct err *e)
{
    return docs_writing_apply(arg, c, e) && docs_writing_finish(arg, c, e);
}

static bool run(const struct step *steps, size_t n)
{
    struct doc_change changes[8];
    struct docs_writing w = {
        .docs = rig.docs, .arena = &rig.a, .who = &rig.who, .changes = changes, .n = n};
    for (size_t i = 0; i < n; i++) {
        struct json_doc doc;
        const char *body = steps[i].body ? steps[i].body : "null";
        assert_true(json_parse(&doc, &rig.a, slice_from(body), NULL, &err));
        changes[i] = (struct doc_change){.op = steps[i].op,
                                         .coll = docs_find(rig.docs, slice_from(steps[i].coll)),
                                         .id = slice_from(steps[i].id),
                                         .version = steps[i].version,
                                         .body = json_root(&doc)};
    }
    rig_rest(&rig);
    return docs_writing_plan(&w, &err) && db_write_now(docs_db(rig.docs), apply, &w, &err);
}

static bool change(enum doc_op op, const char *coll, const char *id, const char *body)
{
    const struct step s = {op, coll, id, body, 1};
    return run(&s, 1);
}
#define DO(...)                      \
    do {                             \
        if (!change(__VA_ARGS__))    \
            fail_msg("%s", err.msg); \
    } while (0)

/* ---- tests ----------------------------------------------------------------------------------- */

static void each_way_of_changing_is_told_once(void **unused)
{
    (void)unused;
    DO(DOC_CREATE, "notes", A, "{\"a\":1}");
    DO(DOC_PUT, "notes", B, "{\"b\":1}");
    DO(DOC_PUT, "notes", A, "{\"a\":2}");
    DO(DOC_MERGE, "notes", A, "{\"a\":3}");
    DO(DOC_PATCH, "notes", A, "[{\"op\":\"add\",\"path\":\"/a\",\"value\":4}]");
    DO(DOC_REVERT, "notes", A, NULL);
    assert_told("notes.created aaa ada/0 \"a\":1}\n"
                "notes.created bbb ada/0 \"b\":1}\n"
                "notes.updated aaa ada/0 \"a\":2}\n"
                "notes.updated aaa ada/0 \"a\":3}\n"
                "notes.updated aaa ada/0 \"a\":4}\n"
                "notes.updated aaa ada/0 \"a\":1}\n");
    DO(DOC_DELETE, "notes", A, NULL);
    DO(DOC_RESTORE, "notes", A, NULL);
    DO(DOC_RESTORE, "notes", A, NULL); /* it is back already */
    DO(DOC_PURGE, "notes", A, NULL);
    DO(DOC_DELETE, "notes", B, NULL);
    DO(DOC_PURGE, "notes", B, NULL); /* it had gone */
    assert_told("notes.deleted aaa ada/0 \"a\":1}\n"
                "notes.created aaa ada/0 \"a\":1}\n"
                "notes.deleted aaa ada/0 \"a\":1}\n"
                "notes.deleted bbb ada/0 \"b\":1}\n");
    DO(DOC_CREATE, "final", A, "{}");
    DO(DOC_DELETE, "final", A, NULL);
    assert_told("final.created aaa ada/0\nfinal.deleted aaa ada/0\n");
}

static void what_does_not_happen_is_not_told(void **unused)
{
    (void)unused;
    DO(DOC_CREATE, "notes", A, "{\"a\":1}");
    assert_told("notes.created aaa ada/0 \"a\":1}\n");
    DO(DOC_MERGE, "notes", A, "{\"a\":1}"); /* the same as before */
    DO(DOC_READ, "notes", A, NULL);
    assert_false(change(DOC_CREATE, "notes", A, "{}"));
    assert_false(change(DOC_DELETE, "notes", B, NULL));
    assert_false(change(DOC_MERGE, "notes", B, "{}"));
    assert_false(change(DOC_REVERT, "notes", B, NULL));
    assert_told("");
}

static void a_batch_is_told_whole_or_not_at_all(void **unused)
{
    static const struct step steps[] = {{DOC_CREATE, "notes", A, "{\"a\":1}", 0},
                                        {DOC_MERGE, "notes", A, "{\"a\":2}", 0},
                                        {DOC_DELETE, "notes", A, NULL, 0},
                                        {DOC_CREATE, "final", B, "{}", 0},
                                        {DOC_DELETE, "notes", C, NULL, 0}};
    (void)unused;
    assert_false(run(steps, 5));
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_told("");
    assert_true(run(steps, 4));
    assert_told("notes.created aaa ada/0 \"a\":1}\n"
                "notes.updated aaa ada/0 \"a\":2}\n"
                "notes.deleted aaa ada/0 \"a\":2}\n"
                "final.created bbb ada/0\n");
}

static void who_follows_can_refuse(void **unused)
{
    (void)unused;
    refuses = true;
    assert_false(change(DOC_CREATE, "notes", A, "{}"));
    assert_int_equal(err.code, ERR_QUOTA);
    refuses = false;
    assert_false(change(DOC_MERGE, "notes", A, "{}"));
    assert_int_equal(err.code, ERR_NOT_FOUND);
    DO(DOC_CREATE, "notes", A, "{}");
    refuses = true;
    assert_false(change(DOC_DELETE, "notes", A, NULL));
    refuses = false;
    DO(DOC_DELETE, "notes", A, NULL);
}

static void what_goes_along_is_told_too(void **unused)
{
    (void)unused;
    DO(DOC_CREATE, "notes", A, "{}");
    DO(DOC_CREATE, "books", B, "{\"by\":\"" A "\"}");
    DO(DOC_CREATE, "books", C, "{\"by\":\"" A "\"}");
    DO(DOC_CREATE, "marks", B, "{\"on\":\"" A "\",\"x\":1}");
    sql("DELETE FROM told");
    rig_be(&rig, "bob");
    DO(DOC_DELETE, "notes", A, NULL);
    assert_told("marks.updated bbb bob/0 \"x\":1}\n"
                "books.deleted ccc bob/0 \"by\":\"" A "\"}\n"
                "books.deleted bbb bob/0 \"by\":\"" A "\"}\n"
                "notes.deleted aaa bob/0\n");
    DO(DOC_CREATE, "final", A, "{}");
    DO(DOC_CREATE, "locks", A, "{\"on\":\"" A "\"}");
    sql("DELETE FROM told");
    assert_false(change(DOC_DELETE, "final", A, NULL));
    assert_told("");
}

static void no_more_is_shown_than_may_be_read(void **unused)
{
    (void)unused;
    DO(DOC_CREATE, "veiled", A, "{\"a\":1,\"secret\":2}");
    DO(DOC_MERGE, "veiled", A, "{\"secret\":3}");
    DO(DOC_DELETE, "veiled", A, NULL);
    assert_told("veiled.created aaa ada/0 \"a\":1}\n"
                "veiled.updated aaa ada/0 \"a\":1}\n"
                "veiled.deleted aaa ada/0 \"a\":1}\n");
    DO(DOC_CREATE, "box", A, "{\"a\":1}"); /* they wrote it themselves */
    DO(DOC_MERGE, "box", A, "{\"b\":1}");
    DO(DOC_DELETE, "box", A, NULL);
    assert_told("box.created aaa ada/0 \"a\":1}\nbox.updated aaa ada/0\nbox.deleted aaa ada/0\n");
    DO(DOC_CREATE, "theirs", A, "{\"a\":1}");
    DO(DOC_MERGE, "theirs", A, "{\"a\":2}");
    rig_be(&rig, "bob");
    DO(DOC_MERGE, "theirs", A, "{\"b\":1}");
    DO(DOC_DELETE, "theirs", A, NULL);
    assert_told("theirs.created aaa ada/0 \"a\":1}\n"
                "theirs.updated aaa ada/0 \"a\":2}\n"
                "theirs.updated aaa bob/0\ntheirs.deleted aaa bob/0\n");
    rig_be(&rig, ""); /* a stranger, whose job acts as one too */
    DO(DOC_CREATE, "box", B, "{\"a\":1}");
    DO(DOC_MERGE, "box", B, "{\"b\":1}");
    DO(DOC_DELETE, "box", B, NULL);
    assert_told("box.created bbb /0 \"a\":1}\nbox.updated bbb /0\nbox.deleted bbb /0\n");
}

/* A key that may only write is an account's that may read. */
static void a_key_is_its_account(void **unused)
{
    static const struct slice write = SLICE("write");
    (void)unused;
    DO(DOC_CREATE, "notes", A, "{\"a\":1}");
    rig.identity.has_every_scope = false;
    rig.identity.is_key = true;
    rig.identity.scopes = &write;
    rig.identity.n_scopes = 1;
    DO(DOC_MERGE, "notes", A, "{\"a\":2}");
    assert_told("notes.created aaa ada/0 \"a\":1}\nnotes.updated aaa ada/0 \"a\":2}\n");
}

static void the_depth_goes_along(void **unused)
{
    (void)unused;
    rig.identity.is_of_job = true;
    rig.identity.depth = 3;
    DO(DOC_CREATE, "notes", A, "{}");
    assert_told("notes.created aaa ada/3\n");
}

static void whoever_leaves_is_told_of(void **unused)
{
    bool more = true;
    (void)unused;
    DO(DOC_CREATE, "notes", A, "{\"a\":1}");
    DO(DOC_CREATE, "notes", B, "{}");
    DO(DOC_DELETE, "notes", B, NULL);
    sql("DELETE FROM told");
    assert_true(docs_adopt_owner(rig.docs, SLICE("ada"), SLICE("bob"), &more, &err));
    assert_told("notes.updated aaa /0 \"a\":1}\n");
    while (more)
        assert_true(docs_adopt_owner(rig.docs, SLICE("ada"), SLICE("bob"), &more, &err));
    assert_told("");
    for (more = true; more;)
        assert_true(docs_purge_owner(rig.docs, SLICE("bob"), &more, &err));
    assert_told("notes.deleted aaa /0\n"); /* what it was goes with them */
}

static void write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0 && fclose(f) == 0);
}

/* Another reading of the manifest, whose folder has documents. */
static void seeds_are_not_told(void **unused)
{
    struct problems p;
    char seed[100], file[140];
    (void)unused;
    snprintf(seed, sizeof seed, "%s/seed", rig.folder);
    snprintf(file, sizeof file, "%s/notes.jsonl", seed);
    assert_int_equal(mkdir(seed, 0700), 0);
    write_file(file, "{\"id\":\"" A "\",\"a\":1}\n");
    rig.manifest->dir = slice_from(rig.folder);
    problems_init(&p, &rig.a);
    struct docs *docs = docs_new(rig.manifest, &p);
    docs_on_change(docs, on_change, &rig);
    docs_attach(docs, rig.slot);
    assert_true(docs_open(docs, &err));
    docs_leave(docs);
    unlink(file);
    rmdir(seed);
    struct docs *first = rig.docs;
    rig.docs = docs;
    assert_told("");
    DO(DOC_MERGE, "notes", A, "{\"a\":2}"); /* it is there */
    assert_told("notes.updated aaa ada/0 \"a\":2}\n");
    rig.docs = first;
    docs_free(docs);
}

static void nobody_has_to_be_told(void **unused)
{
    (void)unused;
    docs_on_change(rig.docs, NULL, NULL);
    DO(DOC_CREATE, "notes", A, "{}");
    DO(DOC_DELETE, "notes", A, NULL);
    assert_told("");
}

#define T(name) cmocka_unit_test_setup_teardown(name, start, stop)
TESTS(T(each_way_of_changing_is_told_once), T(what_does_not_happen_is_not_told),
      T(a_batch_is_told_whole_or_not_at_all), T(who_follows_can_refuse),
      T(what_goes_along_is_told_too), T(no_more_is_shown_than_may_be_read), T(a_key_is_its_account),
      T(the_depth_goes_along), T(whoever_leaves_is_told_of), T(seeds_are_not_told),
      T(nobody_has_to_be_told))
