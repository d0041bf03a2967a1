/* Full-text search against a scan: random documents in many scripts, random changes, several to one
 * transaction, random queries; indexes that are built meanwhile. The same on SQLite and, where
 * DAIS_TEST_DATABASE names one, on Postgres: both find what the scan finds. */
#include "base/words.h"
#include "base/words_query.h"
#include "docs/search_impl.h"
#include "docs_test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEAD          "app: t\ncollections:\n  c:\n    search: "
#define TAIL          "\n    hidden: secret\n    indexes: [rank]\n" RULES
#define RULES         "    rules: { read: public, create: public, write: public, delete: public }\n"
#define TITLE_TAGS    "[title, tags, notes.text]"
#define NOTES         "[notes.text, other]"
#define N_IDS         260
#define STR(i, field) json_str(json_find((i), SLICE(field)))

enum there { ABSENT, PRESENT, TRASHED };
static struct rig rig;
static struct {
    char id[24];
    enum there is;
    struct slice text;
} docs[N_IDS];
static bool has_old_fields; /* TITLE_TAGS, else NOTES */
static uint64_t state = 88172645463325252ull;
static struct arena texts;

static unsigned pick(unsigned n)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (unsigned)(state >> 32) % n;
}

/* ---- texts ----------------------------------------------------------------------------------- */

static const char *const parts[] = {
    "war",  "peace", "War",  "PEACE", "wars", "peaceful",   "Straße", "strasse", "don't", "é",
    "東",   "京",    "東京", "京東",  "カ",   "ガ",         "학교",   "한",      "ที่",     "نَم",
    "3.14", "3",     "क़",    "½",     "ﬁne",  "fine",       "NOT",    "OR",      "\\\\",  "'",
    "a:b",  "*",     "(",    "&",     "\\\"", "xxxxxxxxxx", "ab",     "abc",     "abcd",  "-war",
};
#define N_PARTS (sizeof parts / sizeof *parts)

static void add_text(struct buf *to, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        buf_add_str(to, parts[pick(N_PARTS)]);
        buf_add_str(to, pick(6) ? " " : "");
    }
}

static void add_string(struct buf *to, const char *before, unsigned n)
{
    buf_add_str(to, before);
    add_text(to, pick(n));
    buf_add_char(to, '"');
}

static struct slice new_text(const char *id)
{
    struct buf b;
    buf_init(&b, 1u << 16);
    buf_printf(&b, "{\"id\":\"%s\",\"rank\":%u", id, pick(10));
    if (pick(5))
        add_string(&b, ",\"title\":\"", 6);
    if (pick(3)) {
        add_string(&b, ",\"tags\":[\"", 3);
        add_string(&b, ",7,[\"", 3);
        buf_add_str(&b, "]]");
    }
    if (pick(3)) {
        add_string(&b, ",\"notes\":[{\"text\":\"", 4);
        add_string(&b, "},{\"text\":\"", 4);
        buf_add_str(&b, "}]");
    }
    if (pick(2))
        add_string(&b, ",\"other\":\"", 4);
    add_string(&b, ",\"secret\":\"", 2);
    buf_add_char(&b, '}');
    struct slice text = arena_dup(&texts, buf_slice(&b));
    buf_done(&b);
    return text;
}

/* ---- the scan -------------------------------------------------------------------------------- */

static bool is_here(struct words at, struct slice words, bool is_prefix)
{
    struct slice want, got;
    while (slice_cut(&words, ' ', &want)) {
        if (!words_cut(&at, &got))
            return false;
        bool is_part = is_prefix && !words.len;
        if (is_part ? !slice_starts(got, want) : !slice_eq(got, want))
            return false;
    }
    return true;
}

static bool text_has(struct slice text, const struct words_term *t)
{
    struct words at;
    struct slice word;
    words_init(&at, text);
    for (;;) {
        if (is_here(at, t->words, t->is_prefix))
            return true;
        if (!words_cut(&at, &word))
            return false;
    }
}

static bool doc_has(const struct json *d, const struct words_term *t)
{
    bool has = false;
    const struct json *tags = json_find(d, SLICE("tags"));
    if (has_old_fields)
        has = text_has(STR(d, "title"), t) || text_has(json_str(json_item(tags, 0)), t) ||
              text_has(json_str(json_item(json_item(tags, 2), 0)), t);
    else
        has = text_has(STR(d, "other"), t);
    json_each (it, json_find(d, SLICE("notes")))
        has = has || text_has(STR(it.value, "text"), t);
    return has;
}

static bool found(const struct json *d, const struct words_query *q)
{
    for (size_t i = 0; i < q->n_terms; i++) {
        if (doc_has(d, &q->terms[i]) == q->terms[i].is_excluded)
            return false;
    }
    return true;
}

/* ---- queries --------------------------------------------------------------------------------- */

static struct slice new_query(void)
{
    struct buf b;
    buf_init(&b, 1000);
    for (unsigned n = 1 + pick(3); n--;) {
        bool is_phrase = pick(3) == 0;
        buf_add_str(&b, pick(5) ? "" : "-");
        buf_add_str(&b, is_phrase ? "\"" : "");
        add_text(&b, is_phrase ? 1 + pick(3) : 1);
        buf_add_str(&b, is_phrase ? "\"" : "");
        buf_add_str(&b, pick(3) ? " " : "* ");
    }
    struct slice text = arena_dup(&texts, buf_slice(&b));
    buf_done(&b);
    return text;
}

static const struct json *item_of(const struct json *items, const char *id)
{
    json_each (it, items) {
        if (slice_is(STR(it.value, "id"), id))
            return it.value;
    }
    return NULL;
}

static const struct json *parse(struct slice text)
{
    struct json_doc doc;
    assert_true(json_parse(&doc, &texts, text, NULL, &err));
    return json_root(&doc);
}

/* Page by page, in this order or by rank; `filter` leaves those of rank < 5. */
static size_t compare(struct slice text, const struct words_query *q, const char *sort,
                      const char *filter, uint32_t limit)
{
    size_t n = 0, n_got = 0, n_seen = 0;
    struct docs_query query = {.search = text,
                               .sort = slice_from(sort),
                               .filter = slice_from(filter),
                               .limit = limit,
                               .wants_total = true};
    bool seen[N_IDS] = {false};
    for (;;) {
        const struct json *page = rig_list(&rig, "c", &query);
        if (!page)
            fail_msg("%.*s: %s", SLICE_ARGS(text), err.msg);
        const struct json *items = json_find(page, SLICE("items"));
        int64_t total = -1;
        for (size_t i = 0; i < N_IDS; i++) {
            if (!item_of(items, docs[i].id))
                continue;
            assert_false(seen[i]);
            seen[i] = true;
            n_seen++;
        }
        n_got += json_len(items);
        query.after = STR(page, "next");
        if (query.after.len)
            continue;
        json_i64(json_find(page, SLICE("total")), &total);
        assert_int_equal(total, n_got);
        break;
    }
    assert_int_equal(n_seen, n_got);
    for (size_t i = 0; i < N_IDS; i++) {
        int64_t rank = 0;
        const struct json *d = docs[i].is == PRESENT ? parse(docs[i].text) : NULL;
        bool wanted = d && found(d, q) &&
                      (!*filter || (json_i64(json_find(d, SLICE("rank")), &rank) && rank < 5));
        if (wanted != seen[i])
            fail_msg("%.*s: %s is %sfound: %.*s", SLICE_ARGS(text), docs[i].id,
                     seen[i] ? "" : "not ", SLICE_ARGS(docs[i].text));
        n += wanted;
    }
    return n;
}

static size_t compare_some(unsigned n)
{
    static const char *const sorts[] = {"", "", "id", "-rank", "other"};
    static const char *const filters[] = {"", "", "rank < 5", "rank < 5 && !(id = 'x')"};
    size_t hits = 0;
    for (struct words_query q; n--;) {
        struct arena_mark mark = arena_mark(&texts);
        struct slice text = new_query();
        if (words_query_parse(&texts, text, &q, &err))
            hits += compare(text, &q, sorts[pick(5)], filters[pick(4)], pick(3) ? 1000 : 7);
        arena_rewind(&texts, mark);
    }
    rig_rest(&rig);
    return hits;
}

/* ---- changes --------------------------------------------------------------------------------- */

#define TOGETHER 5

struct together {
    struct docs_writing writings[TOGETHER];
    size_t n;
    bool is_undone;
};

/* As a writer does it: all runs, and then all finishes. */
static bool run(void *arg, struct db_conn *c, struct err *e)
{
    struct together *t = arg;
    for (size_t i = 0; i < t->n; i++) {
        if (!docs_writing_apply(&t->writings[i], c, e))
            return false;
    }
    if (t->is_undone)
        return err_set(e, ERR_UNAVAILABLE, "undone");
    for (size_t i = 0; i < t->n; i++) {
        if (!docs_writing_finish(&t->writings[i], c, e))
            return false;
    }
    return true;
}

static struct doc_change change(size_t i)
{
    struct doc_change ch = {.coll = docs_find(rig.docs, SLICE("c")), .id = slice_from(docs[i].id)};
    unsigned how = pick(10);
    if (docs[i].is == ABSENT) {
        ch.op = pick(2) ? DOC_CREATE : DOC_PUT;
    } else if (docs[i].is == TRASHED) {
        ch.op = pick(3) ? DOC_RESTORE : DOC_PURGE;
        docs[i].is = ch.op == DOC_RESTORE ? PRESENT : ABSENT;
    } else if (how < 3) {
        ch.op = how ? DOC_DELETE : DOC_PURGE;
        docs[i].is = how ? TRASHED : ABSENT;
    } else {
        ch.op = DOC_PUT;
    }
    if (ch.op == DOC_CREATE || ch.op == DOC_PUT) {
        docs[i].text = new_text(docs[i].id);
        docs[i].is = PRESENT;
        ch.body = parse(docs[i].text);
    }
    return ch;
}

/* In one writing, and so of one transaction, the same documents come again and again. */
static void change_some(size_t n_docs)
{
    struct together t = {.n = 1 + pick(TOGETHER)};
    size_t first = pick(N_IDS);
    for (size_t i = 0; i < t.n; i++) {
        struct docs_writing *w = &t.writings[i];
        *w = (struct docs_writing){
            .docs = rig.docs, .arena = &rig.a, .who = &rig.who, .n = 1 + pick(6)};
        w->changes = arena_zalloc(&rig.a, w->n * sizeof *w->changes);
        for (size_t k = 0; k < w->n; k++) {
            w->changes[k] = change((first + pick((unsigned)n_docs)) % N_IDS);
            struct docs_writing one = *w; /* planned now: its state is that of now */
            one.changes = &w->changes[k];
            one.n = 1;
            if (!docs_writing_plan(&one, &err))
                fail_msg("%s", err.msg);
        }
    }
    t.is_undone = pick(4) == 0;
    if (t.is_undone)
        assert_false(db_write_now(docs_db(rig.docs), run, &t, &err));
    t.is_undone = false;
    if (!db_write_now(docs_db(rig.docs), run, &t, &err))
        fail_msg("%s", err.msg);
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void begin(const char *manifest)
{
    rig_start(&rig, manifest);
    arena_init(&texts, 1u << 30);
    has_old_fields = true;
    for (size_t i = 0; i < N_IDS; i++) {
        snprintf(docs[i].id, sizeof docs[i].id, "document_%08zu", i);
        docs[i].is = ABSENT;
    }
}

static void end(void)
{
    rig_stop(&rig);
    arena_done(&texts);
}

static void test_changes(void **s)
{
    size_t hits = 0;
    (void)s;
    begin(HEAD TITLE_TAGS TAIL);
    for (unsigned round = 0; round < 60; round++) {
        for (int i = 0; i < 8; i++)
            change_some(round % 2 ? 3 : N_IDS);
        hits += compare_some(12);
    }
    assert_true(hits > 500);
    end();
}

/* Another manifest takes over, while documents are there and change. */
static void reopen(const char *text)
{
    struct problems p;
    rig_rest(&rig);
    problems_init(&p, &rig.a);
    struct docs *old = rig.docs;
    rig.manifest = manifest_parse(&rig.a, slice_from(text), "dais.yaml", &p);
    rig.docs = docs_new(rig.manifest, &p);
    assert_false(problems_has_errors(&p));
    docs_attach(rig.docs, rig.slot);
    if (!docs_open(rig.docs, &err))
        fail_msg("%s", err.msg);
    docs_leave(old);
    docs_free(old);
}

static bool is_found(const char *text)
{
    return rig_list(&rig, "c", &(struct docs_query){.search = slice_from(text)}) != NULL;
}

static void tend_all(void)
{
    while (docs_tend(rig.docs))
        ;
}

static void test_building(void **s)
{
    (void)s;
    begin("app: t\ncollections:\n  c:\n" RULES);
    for (int i = 0; i < 120; i++)
        change_some(N_IDS);
    assert_false(is_found("war"));
    assert_int_equal(err.code, ERR_MALFORMED);
    for (int turn = 0; turn < 4; turn++) {
        has_old_fields = turn % 2 == 0;
        reopen(has_old_fields ? HEAD TITLE_TAGS TAIL : HEAD NOTES TAIL);
        assert_false(is_found("war"));
        assert_int_equal(err.code, ERR_UNAVAILABLE);
        rig_rest(&rig);
        do {
            for (int i = 0; i < 6; i++)
                change_some(N_IDS);
        } while (docs_tend(rig.docs));
        assert_true(compare_some(40) > 20);
        for (int i = 0; i < 20; i++)
            change_some(20);
        compare_some(40);
    }
    reopen("app: t\ncollections:\n  c:\n" RULES);
    for (int i = 0; i < 20; i++)
        change_some(N_IDS);
    has_old_fields = false;
    reopen(HEAD NOTES TAIL);
    tend_all();
    assert_true(compare_some(60) > 20);
    end();
}

static bool make_stale(void *arg, struct db_conn *c, struct err *e)
{
    struct search_state st;
    const struct doc_coll *coll = arg;
    if (!search_state_read(c, coll, &rig.a, &st, e))
        return false;
    st.version = WORDS_VERSION + 1;
    return search_state_write(c, coll, &st, e);
}

/* Somebody else's words: nobody searches in them, and they are cut anew. */
static void test_another_version(void **s)
{
    (void)s;
    begin(HEAD TITLE_TAGS TAIL);
    for (int i = 0; i < 30; i++)
        change_some(N_IDS);
    const struct doc_coll *c = docs_find(rig.docs, SLICE("c"));
    assert_true(db_write_now(docs_db(rig.docs), make_stale, (void *)(uintptr_t)c, &err));
    assert_false(is_found("war"));
    assert_int_equal(err.code, ERR_UNAVAILABLE);
    for (int i = 0; i < 5; i++)
        change_some(N_IDS);
    reopen(HEAD TITLE_TAGS TAIL);
    tend_all();
    assert_true(compare_some(40) > 20);
    end();
}

static void add_docs(const char *const *bodies, size_t n)
{
    struct slice all[8];
    for (size_t i = 0; i < n; i++)
        all[i] = slice_from(bodies[i]);
    if (!rig_add(&rig, "c", all, n))
        fail_msg("%s", err.msg);
}

static void test_ranks(void **s)
{
    static const char *const bodies[] = {
        "{\"id\":\"in_the_notes_00\",\"title\":\"other things\",\"notes\":[{\"text\":\"wombat\"}]}",
        "{\"id\":\"in_the_title_00\",\"title\":\"wombat\"}",
        "{\"id\":\"in_the_tags_000\",\"title\":\"other things\",\"tags\":[\"wombat\"]}",
        "{\"id\":\"in_no_field_000\",\"title\":\"other things\",\"secret\":\"wombat\"}",
    };
    static const char *const order[] = {"in_the_title_00", "in_the_tags_000", "in_the_notes_00"};
    (void)s;
    begin(HEAD TITLE_TAGS TAIL);
    add_docs(bodies, 4);
    const struct json *page =
        rig_list(&rig, "c", &(struct docs_query){.search = SLICE("Wombat"), .wants_total = true});
    assert_non_null(page);
    const struct json *items = json_find(page, SLICE("items"));
    assert_int_equal(json_len(items), 3);
    for (size_t i = 0; i < 3; i++)
        assert_true(slice_is(STR(json_item(items, i), "id"), order[i]));
    end();
}

static void expect_refused(const struct docs_query *q, enum err_code code, const char *words)
{
    assert_null(rig_list(&rig, "c", q));
    assert_int_equal(err.code, code);
    if (!strstr(err.msg, words))
        fail_msg("%s", err.msg);
}

static void test_refusals(void **s)
{
    char many[2000];
    (void)s;
    begin(HEAD TITLE_TAGS TAIL);
    memset(many, 'x', sizeof many);
    expect_refused(&(struct docs_query){.search = {many, 1025}}, ERR_MALFORMED, "1024 bytes");
    expect_refused(&(struct docs_query){.search = SLICE("!?")}, ERR_MALFORMED, "no word");
    expect_refused(&(struct docs_query){.search = SLICE("-x")}, ERR_MALFORMED, "leave out");
    expect_refused(&(struct docs_query){.search = SLICE("x"), .is_trash = true}, ERR_MALFORMED,
                   "trash");
    expect_refused(&(struct docs_query){.search = SLICE("x"), .after = SLICE("bm9uc2Vuc2U")},
                   ERR_MALFORMED, "after");
    static const char *const hostile[] = {"title:x", "\" OR 1=1 --", "x NEAR y",
                                          "^x",      "{title}: x",   "x' | 'y",
                                          "x:*B",    "!x & y",       "\\' x"};
    for (size_t i = 0; i < sizeof hostile / sizeof *hostile; i++)
        assert_true(is_found(hostile[i]));
    end();
}

static void expect_wrong(const char *manifest, const char *words)
{
    struct arena a;
    struct problems p;
    bool is_told = false;
    arena_init(&a, 1u << 24);
    problems_init(&p, &a);
    struct manifest *m = manifest_parse(&a, slice_from(manifest), "dais.yaml", &p);
    assert_non_null(m);
    struct docs *d = docs_new(m, &p);
    for (size_t i = 0; i < p.n; i++)
        is_told |= slice_search(p.items[i].text, slice_from(words)) >= 0;
    assert_true(is_told);
    docs_free(d);
    arena_done(&a);
}

static void test_manifests(void **s)
{
    (void)s;
    expect_wrong(HEAD "[secret]" TAIL, "hidden");
    expect_wrong(HEAD "[secret.part]" TAIL, "hidden");
    expect_wrong(HEAD "[-title]" TAIL, "order");
    expect_wrong(HEAD "[title, owner]" TAIL, "not text");
    expect_wrong(HEAD "[a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q]" TAIL, "at most 16");
}

TESTS(cmocka_unit_test(test_changes), cmocka_unit_test(test_building),
      cmocka_unit_test(test_another_version), cmocka_unit_test(test_ranks),
      cmocka_unit_test(test_refusals), cmocka_unit_test(test_manifests))
