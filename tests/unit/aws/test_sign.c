/* Signatures against a list of them: what Amazon published, and what another program computed. */
#include "aws/aws.h"
#include "base/file.h"
#include "base/sha256.h"
#include "unit.h"

#include <stdio.h>
#include <time.h>

#define VECTORS "tests/unit/aws/vectors.txt"
#define LIST    8

struct vector {
    struct slice name, style, body, signed_names, signature;
    struct aws_keys keys;
    struct aws_scope scope;
    struct aws_request rq;
    struct aws_field query[LIST], headers[LIST];
    char digest[SHA256_HEX_LEN + 1];
    int64_t now_s;
    uint64_t expires;
};

/* The lines that set one text. */
static struct slice *text_of(struct vector *v, struct slice word)
{
    const struct {
        const char *word;
        struct slice *to;
    } rows[] = {
        {"id", &v->keys.id},          {"secret", &v->keys.secret},    {"token", &v->keys.token},
        {"region", &v->scope.region}, {"service", &v->scope.service}, {"case", &v->name},
        {"style", &v->style},         {"method", &v->rq.method},      {"host", &v->rq.host},
        {"path", &v->rq.path},        {"payload", &v->rq.payload},    {"body", &v->body},
        {"signed", &v->signed_names}, {"signature", &v->signature},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (slice_is(word, rows[i].word))
            return rows[i].to;
    return NULL;
}

static int64_t seconds_of(struct slice text)
{
    struct tm tm = {0};
    char copy[32];
    snprintf(copy, sizeof copy, "%.*s", SLICE_ARGS(text));
    assert_non_null(strptime(copy, "%Y%m%dT%H%M%SZ", &tm));
    return timegm(&tm);
}

static void take_line(struct vector *v, struct slice word, struct slice rest)
{
    struct aws_field one = {.value = rest};
    struct slice *to = text_of(v, word);
    if (to) {
        *to = rest;
    } else if (slice_is(word, "query")) {
        slice_cut(&one.value, '=', &one.name);
        assert_in_range(v->rq.n_query, 0, LIST - 1);
        v->query[v->rq.n_query++] = one;
    } else if (slice_is(word, "header")) {
        slice_cut(&one.value, ':', &one.name);
        assert_in_range(v->rq.n_headers, 0, LIST - 1);
        v->headers[v->rq.n_headers++] = one;
    } else if (slice_is(word, "time")) {
        v->now_s = seconds_of(rest);
    } else if (slice_is(word, "expires")) {
        assert_true(slice_to_u64(rest, &v->expires));
    } else if (!slice_is(word, "source") && !slice_is(word, "#")) {
        fail_msg("unknown word: %.*s", SLICE_ARGS(word));
    }
}

static void forget(struct vector *v)
{
    v->rq = (struct aws_request){.query = v->query, .headers = v->headers};
    v->name = v->body = v->keys.token = SLICE("");
    v->expires = 0;
}

static void finish(struct vector *v)
{
    if (v->body.len) {
        struct sha256 h;
        sha256_init(&h);
        sha256_add(&h, v->body);
        sha256_end_hex(&h, v->digest);
        v->rq.payload = slice_from(v->digest);
    }
    v->rq.is_normal = slice_is(v->style, "normal");
    v->rq.hides_payload = !slice_is(v->style, "s3");
}

static void check_headers(const struct vector *v)
{
    char wanted[1024];
    struct buf to;
    buf_init(&to, 1 << 16);
    snprintf(wanted, sizeof wanted, "SignedHeaders=%.*s, Signature=%.*s\r\n",
             SLICE_ARGS(v->signed_names), SLICE_ARGS(v->signature));
    aws_sign(&v->rq, &v->keys, &v->scope, v->now_s, &to);
    if (!slice_ends(buf_slice(&to), slice_from(wanted)))
        fail_msg("%.*s:\n%s is not\n%s", SLICE_ARGS(v->name), to.data, wanted);
    assert_true(slice_starts(buf_slice(&to), SLICE("x-amz-date: 20")));
    assert_int_equal(!strstr(to.data, "\r\nx-amz-content-sha256: "), v->rq.hides_payload);
    assert_int_equal(!strstr(to.data, "\r\nx-amz-security-token: "), !v->keys.token.len);
    assert_null(strstr(to.data, "wJalr"));
    buf_done(&to);
}

static void check_url(const struct vector *v)
{
    char wanted[128];
    struct buf to;
    buf_init(&to, 1 << 16);
    snprintf(wanted, sizeof wanted, "&X-Amz-Signature=%.*s", SLICE_ARGS(v->signature));
    aws_presign(&v->rq, &v->keys, &v->scope, v->now_s, (uint32_t)v->expires, &to);
    if (!slice_ends(buf_slice(&to), slice_from(wanted)))
        fail_msg("%.*s:\n%s does not end in\n%s", SLICE_ARGS(v->name), to.data, wanted);
    buf_done(&to);
}

static void check(struct vector *v)
{
    finish(v);
    if (v->expires)
        check_url(v);
    else
        check_headers(v);
}

static void test_vectors(void **state)
{
    struct vector v = {0};
    struct slice rest, line, word;
    struct buf text;
    int n = 0;
    (void)state;
    buf_init(&text, 1 << 20);
    assert_true(file_read(VECTORS, &text));
    rest = buf_slice(&text);
    forget(&v);
    while (slice_cut(&rest, '\n', &line)) {
        if (line.len) {
            if (slice_cut(&line, ' ', &word))
                take_line(&v, word, line);
        } else if (v.name.len) {
            check(&v);
            n++;
            forget(&v);
        }
    }
    if (v.name.len)
        check(&v);
    assert_int_equal(n + 1, 52);
    buf_done(&text);
}

/* ---- texts ----------------------------------------------------------------------------------- */

#define S3_REQUEST(...) \
    ((struct aws_request){.method = SLICE("GET"), .payload = SLICE(AWS_PAYLOAD_NONE), __VA_ARGS__})

static const struct aws_keys keys = {SLICE_INIT("AKIAIOSFODNN7EXAMPLE"),
                                     SLICE_INIT("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
                                     SLICE_INIT("")};
static const struct aws_scope scope = {SLICE_INIT("us-east-1"), SLICE_INIT("s3")};

static void test_target(void **state)
{
    static const struct aws_field query[] = {{SLICE_INIT("prefix"), SLICE_INIT("a/b c+ü")},
                                             {SLICE_INIT("list-type"), SLICE_INIT("2")},
                                             {SLICE_INIT("delete"), SLICE_INIT("")}};
    const struct {
        struct aws_request rq;
        const char *wanted;
    } rows[] = {
        {S3_REQUEST(.path = SLICE("/b/k")), "/b/k"},
        {S3_REQUEST(.path = SLICE("")), "/"},
        {S3_REQUEST(.path = SLICE("k")), "/k"},
        {S3_REQUEST(.path = SLICE("/b//../k?#%41 +é")), "/b//../k%3F%23%2541%20%2B%C3%A9"},
        {S3_REQUEST(.path = SLICE("/"), .query = query, .n_query = 3),
         "/?delete=&list-type=2&prefix=a%2Fb%20c%2B%C3%BC"},
        {S3_REQUEST(.path = SLICE("/a/../b c/"), .is_normal = true), "/b%20c/"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct buf to;
        buf_init(&to, 1000);
        aws_target(&rows[i].rq, &to);
        assert_string_equal(to.data, rows[i].wanted);
        buf_done(&to);
    }
}

static void test_whole_header(void **state)
{
    const struct aws_request rq = S3_REQUEST(.path = SLICE("/x"), .host = SLICE("h"));
    struct buf to;
    (void)state;
    buf_init(&to, 1000);
    aws_sign(&rq, &keys, &scope, 1369353600, &to);
    assert_true(slice_starts(
        buf_slice(&to),
        SLICE("x-amz-date: 20130524T000000Z\r\nx-amz-content-sha256: " AWS_PAYLOAD_NONE "\r\n"
              "Authorization: AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/"
              "s3/aws4_request, SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature=")));
    buf_done(&to);
}

static void test_whole_url(void **state)
{
    const struct aws_request rq =
        S3_REQUEST(.path = SLICE("/test.txt"), .host = SLICE("examplebucket.s3.amazonaws.com"));
    struct buf to;
    (void)state;
    buf_init(&to, 1000);
    aws_presign(&rq, &keys, &scope, 1369353600, 86400, &to);
    assert_string_equal(
        to.data, "/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%"
                 "2F20130524"
                 "%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400"
                 "&X-Amz-SignedHeaders=host&X-Amz-Signature="
                 "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404");
    buf_done(&to);
}

static void test_too_long(void **state)
{
    static char path[600000];
    const struct aws_request rq = S3_REQUEST(.path = {path, sizeof path}, .host = SLICE("h"));
    struct buf to;
    (void)state;
    memset(path, '%', sizeof path);
    buf_init(&to, 1000);
    aws_sign(&rq, &keys, &scope, 1369353600, &to);
    assert_true(to.full);
    buf_done(&to);
}

TESTS(cmocka_unit_test(test_vectors), cmocka_unit_test(test_target),
      cmocka_unit_test(test_whole_header), cmocka_unit_test(test_whole_url),
      cmocka_unit_test(test_too_long))
