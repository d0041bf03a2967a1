/* The same lists everywhere: random documents, filters and sorts; what the database and the walk
 * make of them against query_matches() over all documents in memory. DAIS_TEST_DATABASE names a
 * Postgres instead of a file, DAIS_TEST_DOCS and DAIS_TEST_ROUNDS how many. */
#include "docs_test.h"

#include <stdio.h>
#include <stdlib.h>

static const char manifest[] = "app: t\n"
                               "collections:\n"
                               "  c:\n"
                               "    indexes: [[a], [b, -c], [-c], [s], [list.0], [n.x, a]]\n"
                               "    rules: { read: public, create: public, delete: public }\n";

#define N_BATCH 100

struct one {
    struct slice id;
    const struct json *doc;
};
static struct rig rig;
static struct one *all;
static size_t n_all, n_rounds;
static uint64_t state = 88172645463325252ull;

static unsigned pick(unsigned n)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (unsigned)(state >> 32) % n;
}

/* ---- values ---------------------------------------------------------------------------------- */

static const char *const scalars[] = {"true",
                                      "false",
                                      "0",
                                      "-0",
                                      "1",
                                      "2",
                                      "3",
                                      "1.0",
                                      "0.1",
                                      "-1",
                                      "-0.1",
                                      "-1.5",
                                      "10",
                                      "1e1",
                                      "9007199254740992",
                                      "9007199254740993",
                                      "9007199254740994",
                                      "-9007199254740993",
                                      "18446744073709551616",
                                      "1e400",
                                      "1e401",
                                      "-1e400",
                                      "1e-400",
                                      "-1e-400",
                                      "0.30000000000000004",
                                      "\"\"",
                                      "\"a\"",
                                      "\"A\"",
                                      "\"b\"",
                                      "\"ab\"",
                                      "\"a b\"",
                                      "\"\\u00e9\"",
                                      "\"e\\u0301\"",
                                      "\"\\u6f22\\u5b57\"",
                                      "\"\\u0000\"",
                                      "\"a\\u0000\"",
                                      "\"a\\u0000b\"",
                                      "\"z\"",
                                      "\"Z\"",
                                      "\"\\ud83d\\ude00\"",
                                      "\"\\uffff\"",
                                      "\"null\"",
                                      "\"1\"",
                                      "\"true\"",
                                      "\"%\"",
                                      "\"_\"",
                                      "\"' OR 1=1 --\"",
                                      "\"\\\\\"",
                                      "\"ae\"",
                                      "\"\\u00e6\"",
                                      "\"\\u00df\"",
                                      "\"ss\""};
static const char *const others[] = {"null",         "[]",        "{}",    "[1,\"a\"]", "[null]",
                                     "[\"b\",true]", "{\"x\":1}", "[[1]]", "[0.1]"};

static const char *const users[] = {"", "ann", "bob", "Zoe"};

#define COUNT(list) (sizeof(list) / sizeof *(list))

/* Around where keys are cut: alike for 215 to 275 bytes. */
static void add_long(struct buf *to)
{
    buf_add_char(to, '"');
    for (unsigned i = 215 + 5 * pick(13); i > 0; i--)
        buf_add_char(to, 'x');
    buf_add_str(to, pick(2) ? "a" : "b");
    for (unsigned i = pick(2) ? 60 : pick(4); i > 0; i--)
        buf_add_char(to, 'y');
    buf_add_char(to, '"');
}

static void add_long_number(struct buf *to)
{
    buf_add_str(to, pick(2) ? "-" : "");
    for (unsigned i = 215 + pick(50); i > 0; i--)
        buf_add_char(to, (char)('1' + (i < 3 ? pick(9) : 0)));
}

static void add_scalar(struct buf *to)
{
    unsigned kind = pick(24);
    if (kind == 0)
        add_long(to);
    else if (kind == 1)
        add_long_number(to);
    else if (kind < 8)
        buf_printf(to, "%d", (int)pick(6));
    else
        buf_add_str(to, scalars[pick(COUNT(scalars))]);
}

static void add_value(struct buf *to)
{
    if (pick(6) == 0)
        buf_add_str(to, others[pick(COUNT(others))]);
    else
        add_scalar(to);
}

static const char *const names[] = {"a", "b", "c", "d", "s", "list", "n"};

static void add_document(struct buf *to, unsigned number)
{
    buf_printf(to, "{\"id\":\"doc%05u-%05u-%u\"", pick(100000), number, pick(1000));
    for (size_t i = 0; i < COUNT(names); i++) {
        if (pick(7) == 0)
            continue;
        buf_printf(to, ",\"%s\":", names[i]);
        if (i == 6 && pick(4)) {
            buf_add_str(to, "{\"x\":");
            add_value(to);
            buf_add_str(to, "}");
        } else if (i == 5 && pick(3)) {
            buf_add_str(to, "[");
            add_value(to);
            buf_add_str(to, "]");
        } else {
            add_value(to);
        }
    }
    buf_add_str(to, "}");
}

/* ---- filters and sorts ----------------------------------------------------------------------- */

static const char *const paths[] = {"a",      "b",       "c",     "d",       "s",      "n.x",
                                    "list.0", "list",    "n",     "a",       "b",      "s",
                                    "id",     "version", "owner", "created", "nowhere"};

static void add_path(struct buf *to)
{
    buf_add_str(to, paths[pick(COUNT(paths))]);
}

static void add_test(struct buf *to)
{
    static const char *const ops[] = {"=", "=", "!=", ">", ">=", "<", "<=", "~", "!~", "?="};
    unsigned kind = pick(14);
    if (kind == 12) {
        buf_printf(to, "%s %s ", pick(2) ? "a" : "s", ops[pick(7)]);
        add_long(to);
    } else if (kind == 13) {
        buf_printf(to, "owner %s '%s'", ops[pick(7)], users[pick(COUNT(users))]);
    } else if (kind == 0) {
        add_path(to);
        buf_add_str(to, pick(2) ? " is null" : " is not null");
    } else if (kind == 1) {
        add_path(to);
        buf_add_str(to, " in (");
        for (unsigned n = 1 + pick(4), i = 0; i < n; i++) {
            buf_add_str(to, i ? ", " : "");
            if (pick(8))
                add_scalar(to);
            else
                buf_add_str(to, "null");
        }
        buf_add_str(to, ")");
    } else {
        bool is_turned = pick(5) == 0;
        if (is_turned)
            add_scalar(to);
        else
            add_path(to);
        buf_printf(to, " %s ", ops[pick(COUNT(ops))]);
        if (is_turned || pick(12) == 0)
            add_path(to);
        else if (kind == 2)
            buf_printf(to, "'%.*s'", SLICE_ARGS(all[pick((unsigned)n_all)].id));
        else if (kind == 3)
            buf_add_str(to, pick(2) ? "@user.id" : "null");
        else
            add_scalar(to);
    }
}

static void add_filter(struct buf *to, int depth)
{
    unsigned kind = depth ? pick(6) : 0;
    if (kind < 2) {
        add_test(to);
    } else if (kind == 2) {
        buf_add_str(to, "!(");
        add_filter(to, depth - 1);
        buf_add_str(to, ")");
    } else {
        buf_add_str(to, "(");
        add_filter(to, depth - 1);
        buf_add_str(to, kind < 5 ? ") && (" : ") || (");
        add_filter(to, depth - 1);
        buf_add_str(to, ")");
    }
}

static void add_sort(struct buf *to)
{
    for (unsigned i = pick(4); i > 0; i--)
        buf_printf(to, "%s%s%s", to->len ? "," : "", pick(2) ? "-" : "", paths[pick(COUNT(paths))]);
}

/* ---- in memory ------------------------------------------------------------------------------- */

struct term {
    struct slice steps[2];
    size_t n;
    bool is_descending;
};
static struct term terms[4];
static size_t n_terms;
static bool is_id_descending;

static void read_sort(struct slice sort)
{
    struct slice item, step;
    n_terms = 0;
    is_id_descending = false;
    while (slice_cut(&sort, ',', &item)) {
        struct term *t = &terms[n_terms++];
        t->is_descending = is_id_descending = slice_starts(item, SLICE("-"));
        item = slice_skip(item, t->is_descending);
        for (t->n = 0; slice_cut(&item, '.', &step);)
            t->steps[t->n++] = step;
    }
}

static bool is_short(const struct json *v)
{
    return json_type(v) < JSON_ARRAY && (json_type(v) < JSON_NUMBER || v->len < 200);
}

/* Values by their order; lists, objects and what is too long for a key as keys are. */
static int by_value(const struct json *x, const struct json *y)
{
    struct buf a, b;
    if (is_short(x) && is_short(y))
        return query_order(x, y);
    buf_init(&a, 1u << 20);
    buf_init(&b, 1u << 20);
    doc_key(&a, x);
    doc_key(&b, y);
    int by = slice_cmp(buf_slice(&a), buf_slice(&b));
    buf_done(&a);
    buf_done(&b);
    return by;
}

static int compare(const void *a, const void *b)
{
    const struct one *x = *(struct one *const *)a, *y = *(struct one *const *)b;
    for (size_t i = 0; i < n_terms; i++) {
        int by = by_value(query_walk(x->doc, terms[i].steps, terms[i].n),
                          query_walk(y->doc, terms[i].steps, terms[i].n));
        if (by)
            return terms[i].is_descending ? -by : by;
    }
    int by = slice_cmp(x->id, y->id);
    return is_id_descending ? -by : by;
}

static size_t expected(struct slice filter, struct slice sort, struct one **to)
{
    const struct query *q = query_parse(&rig.a, filter, &err);
    size_t n = 0;
    if (!q)
        fail_msg("%s: %.*s", err.msg, SLICE_ARGS(filter));
    for (size_t i = 0; i < n_all; i++) {
        if (query_matches(q, all[i].doc, &rig.who.context))
            to[n++] = &all[i];
    }
    read_sort(sort);
    qsort(to, n, sizeof *to, compare);
    return n;
}

/* ---- both ------------------------------------------------------------------------------------ */

static void check(struct slice filter, struct slice sort)
{
    struct one **want = arena_alloc(&rig.a, n_all * sizeof *want);
    size_t n = expected(filter, sort, want), at = 0;
    struct docs_query q = {.filter = filter, .sort = sort, .wants_total = pick(4) == 0};
    q.limit = pick(3) ? 1000 : 1 + (uint32_t)n / (1 + pick(5));
    q.limit = q.limit > 1000 ? 1000 : q.limit;
    for (;;) {
        const struct json *page = rig_list(&rig, "c", &q);
        if (!page)
            fail_msg("%s\nfilter %.*s\nsort %.*s", err.msg, SLICE_ARGS(filter), SLICE_ARGS(sort));
        uint64_t total = n;
        json_u64(json_find(page, SLICE("total")), &total);
        json_each (it, json_find(page, SLICE("items"))) {
            struct slice id = json_str(json_find(it.value, SLICE("id")));
            if (at >= n || !slice_eq(id, want[at]->id))
                fail_msg("item %zu of %zu is %.*s, not %.*s\nfilter %.*s\nsort %.*s", at, n,
                         SLICE_ARGS(id), SLICE_ARGS(at < n ? want[at]->id : SLICE("-")),
                         SLICE_ARGS(filter), SLICE_ARGS(sort));
            at++;
        }
        q.after = json_str(json_find(page, SLICE("next")));
        if (total != n || (!q.after.len && at != n))
            fail_msg("%zu of %zu, total %zu\nfilter %.*s\nsort %.*s", at, n, (size_t)total,
                     SLICE_ARGS(filter), SLICE_ARGS(sort));
        if (!q.after.len)
            return;
    }
}

static void test_same(void **unused)
{
    struct buf filter, sort;
    (void)unused;
    buf_init(&filter, 1u << 20);
    buf_init(&sort, 1u << 20);
    rig_be(&rig, "ann");
    for (size_t i = 0; i < n_rounds; i++) {
        struct arena_mark mark = arena_mark(&rig.a);
        buf_clear(&filter);
        buf_clear(&sort);
        if (pick(8))
            add_filter(&filter, 3);
        add_sort(&sort);
        if (filter.len <= QUERY_BYTES_MAX)
            check(buf_slice(&filter), buf_slice(&sort));
        rig_rest(&rig); /* a reading may only last so long */
        arena_rewind(&rig.a, mark);
    }
    buf_done(&filter);
    buf_done(&sort);
}

/* ---- documents ------------------------------------------------------------------------------- */

static size_t from_env(const char *name, size_t usual)
{
    const char *text = getenv(name);
    uint64_t n = usual;
    slice_to_u64(slice_from(text), &n);
    return (size_t)n;
}

static int fill(void **unused)
{
    struct slice texts[N_BATCH];
    struct docs_query q = {.limit = 1000};
    (void)unused;
    size_t n_docs = from_env("DAIS_TEST_DOCS", 1200);
    n_rounds = from_env("DAIS_TEST_ROUNDS", 300);
    rig_start(&rig, manifest);
    all = arena_zalloc(&rig.a, n_docs * sizeof *all);
    for (size_t i = 0; i < n_docs; i += N_BATCH) {
        size_t n = n_docs - i < N_BATCH ? n_docs - i : N_BATCH;
        for (size_t k = 0; k < n; k++) {
            struct buf b;
            buf_init(&b, 1u << 20);
            add_document(&b, (unsigned)(i + k));
            texts[k] = arena_dup(&rig.a, buf_slice(&b));
            buf_done(&b);
        }
        rig_be(&rig, users[i / N_BATCH % COUNT(users)]);
        if (!rig_add(&rig, "c", texts, n))
            fail_msg("%s", err.msg);
    }
    do { /* as they are stored: with owner and times */
        const struct json *page = rig_list(&rig, "c", &q);
        assert_non_null(page);
        json_each (it, json_find(page, SLICE("items")))
            all[n_all++] = (struct one){json_str(json_find(it.value, SLICE("id"))), it.value};
        q.after = json_str(json_find(page, SLICE("next")));
    } while (q.after.len);
    assert_int_equal(n_all, n_docs);
    return 0;
}

static int empty(void **unused)
{
    (void)unused;
    rig_stop(&rig);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_same)};
    return cmocka_run_group_tests(tests, fill, empty);
}
