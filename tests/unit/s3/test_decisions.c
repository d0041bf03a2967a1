/* Addresses of buckets, and what follows on a failure: repeating, pausing, refusing, a sentence. */
#include "s3/s3_impl.h"
#include "unit.h"

static bool place(const char *bucket, const char *endpoint, bool is_path, struct s3_place *p)
{
    struct s3_options o = {
        .bucket = slice_from(bucket), .endpoint = slice_from(endpoint), .is_path_style = is_path};
    return s3_place_make(&o, SLICE("eu-central-1"), p, NULL);
}

static void test_places(void **state)
{
    static const struct {
        const char *bucket, *endpoint;
        bool is_path;
        const char *host, *base;
    } good[] = {
        {"files", "", false, "files.s3.eu-central-1.amazonaws.com", "/"},
        {"files", "", true, "s3.eu-central-1.amazonaws.com", "/files/"},
        {"my.files", "", false, "s3.eu-central-1.amazonaws.com", "/my.files/"},
        {"my.files", "http://a.b", false, "my.files.a.b", "/"},
        {"files", "HTTPS://Fra1.digitaloceanspaces.com/", false,
         "files.fra1.digitaloceanspaces.com", "/"},
        {"files", "https://storage.googleapis.com:443", true, "storage.googleapis.com", "/files/"},
        {"files", "http://127.0.0.1:9000", false, "127.0.0.1:9000", "/files/"},
        {"files", "http://[::1]:9000", false, "[::1]:9000", "/files/"},
        {"files", "http://localhost:80", false, "localhost", "/files/"},
        {"Old_Name", "https://a.b", false, "a.b", "/Old_Name/"},
        {"files", "https://x.supabase.co/storage/v1/S3/", true, "x.supabase.co",
         "/storage/v1/S3/files/"},
    };
    static const char *const bad[] = {"ftp://a",      "a.b",         "http://",
                                      "http://a b",   "http://a:0",  "http://a:70000",
                                      "http://u:p@a", "http://a/?x", "http://a/../b",
                                      "http://a:",    "http://[::1", "http://.a",
                                      "http://a//b"};
    struct s3_place p;
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_true(place(good[i].bucket, good[i].endpoint, good[i].is_path, &p));
        assert_string_equal(p.host, good[i].host);
        assert_string_equal(p.base, good[i].base);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(place("files", bad[i], false, &p));
    assert_false(place("a/b", "", false, &p) || place("ab", "", false, &p));
}

static struct s3_outcome answer(int status, const char *code)
{
    return (struct s3_outcome){.status = status, .code = code};
}

static void test_verdicts(void **state)
{
    static const struct {
        int status;
        const char *code;
        enum s3_verdict verdict;
        bool is_outage;
    } cases[] = {
        {200, "", S3_DONE, false},
        {206, "", S3_DONE, false},
        {200, "InternalError", S3_REPEAT, false},
        {500, "InternalError", S3_REPEAT, true},
        {503, "SlowDown", S3_REPEAT, true},
        {502, "", S3_REPEAT, true},
        {429, "", S3_REPEAT, true},
        {501, "NotImplemented", S3_GIVE_UP, false},
        {400, "RequestTimeout", S3_REPEAT, false},
        {400, "BadDigest", S3_REPEAT, false},
        {403, "AccessDenied", S3_GIVE_UP, false},
        {404, "NoSuchKey", S3_GIVE_UP, false},
        {400, "ExpiredToken", S3_NEW_KEYS, false},
        {412, "PreconditionFailed", S3_GIVE_UP, false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct s3_outcome o = answer(cases[i].status, cases[i].code);
        assert_int_equal(s3_judge(&o), cases[i].verdict);
        assert_int_equal(s3_is_outage(&o), cases[i].is_outage);
    }
    struct s3_outcome o = answer(403, "RequestTimeTooSkewed");
    o.clock_off_ms = -20 * 60 * 1000;
    assert_int_equal(s3_judge(&o), S3_SET_TIME);
    o.clock_off_ms = 1000; /* it says so, but its own Date does not */
    assert_int_equal(s3_judge(&o), S3_GIVE_UP);
    o = (struct s3_outcome){.status = 403, .code = "", .is_head = true};
    assert_int_equal(s3_judge(&o), S3_NEW_KEYS);
    o = (struct s3_outcome){.status = 301, .code = "PermanentRedirect", .names_region = true};
    assert_int_equal(s3_judge(&o), S3_SET_REGION);
    o = (struct s3_outcome){.transport = CURLE_COULDNT_CONNECT, .code = ""};
    assert_true(s3_judge(&o) == S3_REPEAT && s3_is_outage(&o));
    o.transport = CURLE_PEER_FAILED_VERIFICATION;
    assert_int_equal(s3_judge(&o), S3_GIVE_UP);
}

static void test_pauses(void **state)
{
    struct s3_outcome o = answer(500, "");
    (void)state;
    for (uint32_t random = 0; random < 1000; random += 7) {
        assert_in_range(s3_pause_ms(&o, 1, random), 50, 100);
        assert_in_range(s3_pause_ms(&o, 4, random), 400, 800);
        assert_in_range(s3_pause_ms(&o, 1000, random * 99991), 3200, 6400);
    }
    o.retry_after_s = 7;
    assert_in_range(s3_pause_ms(&o, 1, 5), 7000, 7100);
}

static void test_budget(void **state)
{
    struct s3_budget b = {1000, 500, 0, 0};
    (void)state;
    assert_int_equal(s3_budget_left(&b, 1200), 300);
    s3_budget_moved(&b, 1 << 20, 200); /* fast: the time it took is free */
    assert_int_equal(s3_budget_left(&b, 1400), 300);
    s3_budget_moved(&b, 1 << 20, 60000); /* a second of a pause at most */
    assert_int_equal(s3_budget_left(&b, 1400), 1300);
    struct s3_budget slow = {0, 500, 0, 0};
    for (int64_t now = 0; now < 10000; now += 1000)
        s3_budget_moved(&slow, 100, 1000); /* a trickle is not */
    assert_true(s3_budget_left(&slow, 10000) < 0);
}

static void test_parts(void **state)
{
    (void)state;
    assert_int_equal(s3_part_size(40u << 20, 16u << 20), 16u << 20);
    uint64_t huge = (uint64_t)4 << 40; /* 4 TB */
    uint64_t part = s3_part_size(huge, 16u << 20);
    assert_true((huge + part - 1) / part <= 10000 && part % (1u << 20) == 0);
}

static void test_sentences(void **state)
{
    struct s3_asked a = {"files", "s3.test", "eu-1", S3_PUT, "", 3600000};
    struct err e;
    struct s3_outcome o = answer(403, "RequestTimeTooSkewed");
    (void)state;
    s3_explain(&o, &a, &e);
    assert_true(e.code == ERR_UNAVAILABLE && strstr(e.msg, "3600 s"));
    a.other_region = "us-2";
    o = answer(301, "PermanentRedirect");
    s3_explain(&o, &a, &e);
    assert_true(strstr(e.msg, "S3_REGION=us-2"));
    a.other_region = "";
    o = answer(404, "");
    s3_explain(&o, &a, &e); /* a web server of another kind has lost no object of ours */
    assert_int_equal(e.code, ERR_UNAVAILABLE);
    o = answer(404, "NoSuchBucket");
    s3_explain(&o, &a, &e);
    assert_int_equal(e.code, ERR_UNAVAILABLE);
    o = answer(404, "NoSuchKey");
    s3_explain(&o, &a, &e);
    assert_int_equal(e.code, ERR_NOT_FOUND);
    o = answer(416, "InvalidRange");
    s3_explain(&o, &a, &e);
    assert_int_equal(e.code, ERR_STALE);
}

TESTS(cmocka_unit_test(test_places), cmocka_unit_test(test_verdicts), cmocka_unit_test(test_pauses),
      cmocka_unit_test(test_budget), cmocka_unit_test(test_parts), cmocka_unit_test(test_sentences))
