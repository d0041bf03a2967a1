/* With and without SSE2 the same comes out, for many documents broken at random (fixed seed). */
#define fail parser_fail /* cmocka has one too */
#include "base/json_portable.h"
#undef json_parse
#undef json_validate
#undef json_escape
#include "unit.h"

#define ROUNDS 60000

static const char *const seeds[] = {
    "{\"id\":\"0k3v9q\",\"title\":\"Monthly revenue by region\",\"n\":[1,-2.5e10,0,123456789],"
    "\"ok\":true,\"no\":false,\"nil\":null,\"nested\":{\"deep\":[[[{\"x\":\"y\"}]]]}}",
    "[\"caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80 and more text behind "
    "it\",\"\\u00e9\\ud83d\\ude00\\n\\t\","
    "\"\\\"quoted\\\\\",\"\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e\"]",
    "{\n    \"a\" : 1,\n    \"b\" : [\n        1.0,\n                              2\n    "
    "],\n\t\"c\":{}\n}\n",
    "{\"k0\":0,\"k1\":1,\"k2\":2,\"k3\":3,\"k4\":4,\"k5\":5,\"k6\":6,\"k7\":7,\"k8\":8,\"k9\":9,"
    "\"k10\":0,"
    "\"k11\":1,\"k12\":2,\"k13\":3,\"k14\":4,\"k15\":5,\"k16\":6,\"k17\":7}",
};

static uint64_t rng = 0x9e3779b97f4a7c15u;

static unsigned pick(unsigned n)
{
    rng ^= rng << 13, rng ^= rng >> 7, rng ^= rng << 17;
    return (unsigned)(rng >> 33) % n;
}

/* Changes, drops, doubles or copies a few bytes; mostly to bytes that mean something. */
static size_t mutate(char *text, size_t n, size_t room)
{
    static const char spice[] = "{}[]:,\"\\ \n\t0123456789-+.eEu\x80\xbf\xc3\xed\xf0\xff\x01tfn/";
    for (unsigned times = pick(4); times; times--) {
        size_t at = pick((unsigned)n), from = pick((unsigned)n);
        size_t len = 1 + pick(8);
        switch (pick(4)) {
        case 0:
            text[at] = spice[pick(sizeof spice - 1)];
            break;
        case 1:
            text[at] = (char)pick(256);
            break;
        case 2: /* out with it */
            len = len < n - at ? len : n - at;
            if (n - len < 2)
                break;
            memmove(text + at, text + at + len, n - at - len);
            n -= len;
            break;
        default: /* one part once more elsewhere */
            len = len < n - from ? len : n - from;
            if (n + len > room)
                break;
            memmove(text + at + len, text + at, n - at);
            n += len;
            memmove(text + at, text + (from + len <= n ? from : 0), len);
        }
    }
    return n;
}

static void same_documents(const struct json_doc *x, const struct json_doc *y)
{
    assert_int_equal(x->len, y->len);
    for (uint32_t i = 0; i < x->len; i++) {
        must(x->nodes && y->nodes);
        const struct json *a = &x->nodes[i], *b = &y->nodes[i];
        assert_int_equal(a->type, b->type);
        assert_int_equal(a->flags, b->flags);
        assert_int_equal(a->len, b->len);
        if (a->flags & JSON_DECODED)
            assert_memory_equal(a->ptr, b->ptr, a->len);
        else if (a->type != JSON_NULL && a->type != JSON_BOOL)
            assert_int_equal(a->span, b->span);
    }
}

/* Returns whether it was valid. */
static bool compare(struct slice text)
{
    struct arena a;
    struct json_doc x = {0}, y = {0};
    struct err e[4] = {{0}};
    arena_init(&a, 1 << 20);
    bool ok = json_parse(&x, &a, text, NULL, &e[0]);
    assert_int_equal(json_parse_portable(&y, &a, text, NULL, &e[1]), ok);
    assert_int_equal(json_validate(text, NULL, &e[2]), ok);
    assert_int_equal(json_validate_portable(text, NULL, &e[3]), ok);
    for (int i = 1; i < 4; i++)
        assert_string_equal(e[0].msg, e[i].msg);
    if (ok)
        same_documents(&x, &y);
    arena_done(&a);
    return ok;
}

static void mutated_documents(void **state)
{
    (void)state;
    unsigned valid = 0;
    for (unsigned i = 0; i < ROUNDS; i++) {
        char text[600];
        const char *seed = seeds[i % (sizeof seeds / sizeof *seeds)];
        size_t n = strlen(seed);
        memcpy(text, seed, n);
        n = mutate(text, n, sizeof text);
        valid += compare((struct slice){text, n});
    }
    /* The sample is worth something only if both outcomes are frequent. */
    assert_in_range(valid, ROUNDS / 10, ROUNDS - ROUNDS / 10);
}

static void escaped_bytes(void **state)
{
    (void)state;
    struct buf x, y;
    buf_init(&x, 1 << 16);
    buf_init(&y, 1 << 16);
    for (unsigned i = 0; i < ROUNDS; i++) {
        char text[80];
        size_t n = pick(sizeof text);
        for (size_t j = 0; j < n; j++)
            text[j] = pick(8) ? (char)(' ' + pick(95)) : (char)pick(256);
        buf_clear(&x);
        buf_clear(&y);
        json_escape(&x, (struct slice){text, n}, i & 1);
        json_escape_portable(&y, (struct slice){text, n}, i & 1);
        assert_int_equal(x.len, y.len);
        assert_memory_equal(x.data, y.data, x.len);
    }
    buf_done(&x);
    buf_done(&y);
}

TESTS(cmocka_unit_test(mutated_documents), cmocka_unit_test(escaped_bytes))
