/* Where keys come from: every place by itself, their order, and keeping, renewing and doubting. */
#include "cloud.c"

#include "aws/aws.h"
#include "base/clock.h"

#include <sys/stat.h>

#define SECRET  "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
#define NOTHING "http://127.0.0.1:1" /* nobody listens there */

/* A world of its own for each test. */
static struct world {
    struct cloud cloud;
    char home[64], path[256];
    char names[16][48], values[16][256];
    size_t n;
    int64_t now_ms;
    struct arena arena;
    struct aws_place place;
    struct aws_chain *chain;
    struct aws_keys keys;
    struct err e;
} w;

static struct slice env(void *user, const char *name)
{
    (void)user;
    for (size_t i = 0; i < w.n; i++)
        if (!strcmp(w.names[i], name))
            return slice_from(w.values[i]);
    return SLICE("");
}

static void set(const char *name, const char *value)
{
    size_t i = 0;
    while (i < w.n && strcmp(w.names[i], name) != 0)
        i++;
    w.n = i == w.n ? i + 1 : w.n;
    snprintf(w.names[i], sizeof w.names[i], "%s", name);
    snprintf(w.values[i], sizeof w.values[i], "%s", value);
}

static int64_t clock_of_test(void *user)
{
    (void)user;
    return __atomic_load_n(&w.now_ms, __ATOMIC_SEQ_CST);
}

/* A file in the test's home; its path. */
static const char *write_file(const char *name, const char *text)
{
    snprintf(w.path, sizeof w.path, "%s/%s", w.home, name);
    FILE *f = fopen(w.path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    return w.path;
}

static int setup(void **state)
{
    (void)state;
    memset(&w, 0, sizeof w);
    cloud_open(&w.cloud);
    snprintf(w.home, sizeof w.home, "/tmp/dais-aws-XXXXXX");
    assert_non_null(mkdtemp(w.home));
    snprintf(w.path, sizeof w.path, "%s/.aws", w.home);
    assert_int_equal(mkdir(w.path, 0700), 0);
    arena_init(&w.arena, 1 << 20);
    w.now_ms = 1800000000000;
    w.place = (struct aws_place){.env = env,
                                 .now_ms = clock_of_test,
                                 .home = w.home,
                                 .imds_url = NOTHING,
                                 .sts_url = w.cloud.url};
    return 0;
}

static int teardown(void **state)
{
    static const char *const files[] = {
        "/.aws/credentials", "/.aws/config", "/token", "/other", "/.aws", ""};
    (void)state;
    aws_chain_free(w.chain);
    cloud_close(&w.cloud);
    arena_done(&w.arena);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        snprintf(w.path, sizeof w.path, "%s%s", w.home, files[i]);
        remove(w.path);
    }
    return 0;
}

static bool get(void)
{
    memset(&w.e, 0, sizeof w.e);
    if (!w.chain)
        w.chain = aws_chain_new(&w.place, NULL);
    return aws_chain_get(w.chain, &w.arena, &w.keys, &w.e);
}

static void expect(const char *id, const char *token)
{
    if (!get())
        fail_msg("%s", w.e.msg);
    if (!slice_is(w.keys.id, id) || !slice_is(w.keys.token, token))
        fail_msg("%.*s is not %s", SLICE_ARGS(w.keys.id), id);
    assert_true(slice_is(w.keys.secret, SECRET));
}

static void expect_none(const char *words)
{
    if (get())
        fail_msg("there are keys: %.*s", SLICE_ARGS(w.keys.id));
    if (w.e.code != ERR_UNAVAILABLE || !strstr(w.e.msg, words))
        fail_msg("%s: %s", err_slug(w.e.code), w.e.msg);
    assert_null(strstr(w.e.msg, "wJalr"));
}

/* As places answer: keys that end so many seconds from now. */
static const char *json_keys(const char *id, int64_t seconds)
{
    static char text[1024];
    char end[RFC3339_LEN + 1];
    clock_rfc3339(w.now_ms + seconds * 1000, end);
    snprintf(text, sizeof text,
             "{\"Code\":\"Success\",\"AccessKeyId\":\"%s\",\"SecretAccessKey\":\"" SECRET
             "\",\"Token\":\"tok\",\"Expiration\":\"%s\"}",
             id, end);
    return text;
}

static const char *xml_keys(const char *id)
{
    static char text[1024];
    snprintf(
        text, sizeof text,
        "<AssumeRoleWithWebIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">"
        "<AssumeRoleWithWebIdentityResult><Credentials>\n <SessionToken>tok+/=</SessionToken>"
        "<SecretAccessKey>" SECRET "</SecretAccessKey>"
        "<Expiration>2027-10-24T23:00:23Z</Expiration><AccessKeyId>%s</AccessKeyId>"
        "</Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>",
        id);
    return text;
}

static void use_container(const char *id, int64_t seconds)
{
    char url[128];
    cloud_say(&w.cloud, "GET /keys", 200, json_keys(id, seconds));
    snprintf(url, sizeof url, "%s/keys", w.cloud.url);
    set("AWS_CONTAINER_CREDENTIALS_FULL_URI", url);
}

/* ---- settings and environment ---------------------------------------------------------------- */

static void test_nowhere(void **state)
{
    (void)state;
    expect_none("There are no keys for AWS (settings: no S3_ACCESS_KEY_ID; environment: no "
                "AWS_ACCESS_KEY_ID; web identity: no AWS_WEB_IDENTITY_TOKEN_FILE; profile: no "
                "[default]; container: no AWS_CONTAINER_CREDENTIALS_*; machine: no answer)");
}

static void test_fixed(void **state)
{
    const struct aws_keys fixed = {SLICE("FIXED"), SLICE(SECRET), SLICE("")};
    (void)state;
    set("AWS_ACCESS_KEY_ID", "ENV");
    set("AWS_SECRET_ACCESS_KEY", SECRET);
    w.chain = aws_chain_new(&w.place, &fixed);
    expect("FIXED", "");
}

static void test_fixed_half(void **state)
{
    const struct aws_keys fixed = {SLICE("FIXED"), SLICE(""), SLICE("")};
    (void)state;
    w.chain = aws_chain_new(&w.place, &fixed);
    expect_none("S3_ACCESS_KEY_ID has a key id but no secret");
}

static void test_environment(void **state)
{
    (void)state;
    write_file(".aws/credentials", "broken");
    set("AWS_ACCESS_KEY_ID", "ENV");
    set("AWS_SECRET_ACCESS_KEY", SECRET);
    set("AWS_SESSION_TOKEN", "tok");
    expect("ENV", "tok");
}

static void test_environment_half(void **state)
{
    (void)state;
    set("AWS_ACCESS_KEY_ID", "ENV");
    expect_none("has a key id but no secret");
    aws_chain_free(w.chain);
    w.chain = NULL;
    set("AWS_SECRET_ACCESS_KEY", "two\r\nlines");
    expect_none("characters that no key has");
}

/* ---- profiles -------------------------------------------------------------------------------- */

static void test_profile(void **state)
{
    (void)state;
    write_file(".aws/credentials",
               "[other]\naws_access_key_id = NO\n\n[default]\n"
               "aws_access_key_id = PROFILE\naws_secret_access_key=" SECRET "\n");
    write_file(".aws/config", "[default]\nregion = eu-central-1\n[profile mine]\nregion=xx\n");
    expect("PROFILE", "");
    assert_true(slice_is(aws_chain_region(w.chain, &w.arena), "eu-central-1"));
    set("AWS_DEFAULT_REGION", "r2");
    assert_true(slice_is(aws_chain_region(w.chain, &w.arena), "r2"));
    set("AWS_REGION", "r1");
    assert_true(slice_is(aws_chain_region(w.chain, &w.arena), "r1"));
}

static void test_profile_named(void **state)
{
    (void)state;
    set("AWS_PROFILE", "mine");
    set("AWS_CONFIG_FILE", write_file("other", "[default]\naws_access_key_id = NO\n"
                                               "[profile mine]\naws_access_key_id = MINE\n"
                                               "aws_secret_access_key = " SECRET "\n"
                                               "aws_session_token = tok\n"));
    expect("MINE", "tok");
}

static void test_profile_missing(void **state)
{
    (void)state;
    set("AWS_PROFILE", "nobody");
    write_file(".aws/credentials", "[default]\naws_access_key_id = NO\n");
    expect_none("AWS_PROFILE names nobody, but no file in ~/.aws has that profile");
}

static void test_profile_broken(void **state)
{
    (void)state;
    write_file(".aws/credentials", "[default]\naws_access_key_id = A\n\n" SECRET "\n");
    use_container("CONTAINER", 3600);
    expect_none("/.aws/credentials: line 4 is no setting");
    assert_int_equal(cloud_asked(&w.cloud), 0);
}

static void test_profile_ways(void **state)
{
    (void)state;
    write_file(".aws/config", "[default]\nsso_session = x\nregion = y\n");
    expect_none("the profile default has sso_session, which dais does not follow");
}

static void test_profile_identity(void **state)
{
    char text[512];
    (void)state;
    cloud_say(&w.cloud, "POST /", 200, xml_keys("ROLE"));
    snprintf(text, sizeof text,
             "[default]\nrole_arn = arn:aws:iam::1:role/x\nweb_identity_token_file = %s\n",
             write_file("token", "a.b.c\n"));
    write_file(".aws/config", text);
    expect("ROLE", "tok+/=");
}

/* ---- web identity ---------------------------------------------------------------------------- */

static void use_identity(void)
{
    set("AWS_WEB_IDENTITY_TOKEN_FILE", write_file("token", "a.b+c/d\n"));
    set("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/my-role");
}

static void test_identity(void **state)
{
    (void)state;
    use_identity();
    set("AWS_ROLE_SESSION_NAME", "me@x");
    cloud_say(&w.cloud, "POST /", 200, xml_keys("ROLE"));
    expect("ROLE", "tok+/=");
    assert_non_null(strstr(w.cloud.asked[0], "\r\n\r\nAction=AssumeRoleWithWebIdentity&Version="
                                             "2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012"
                                             "%3Arole%2Fmy-role&RoleSessionName=me%40x"
                                             "&WebIdentityToken=a.b%2Bc%2Fd"));
    assert_non_null(strstr(w.cloud.asked[0], "application/x-www-form-urlencoded"));
}

static void test_identity_refused(void **state)
{
    (void)state;
    use_identity();
    cloud_say(&w.cloud, "POST /", 400,
              "<ErrorResponse><Error><Type>Sender</Type><Code>ExpiredTokenException</Code>"
              "<Message>no</Message></Error></ErrorResponse>");
    expect_none("STS gave no keys for the role: it answered 400 ExpiredTokenException");
}

static void test_identity_bad(void **state)
{
    (void)state;
    use_identity();
    cloud_say(&w.cloud, "POST /", 200, "<Credentials><AccessKeyId>A</AccessKeyId></Credentials>");
    expect_none("no SessionToken");
}

static void test_identity_half(void **state)
{
    (void)state;
    set("AWS_WEB_IDENTITY_TOKEN_FILE", "/nowhere/token");
    expect_none("no role (AWS_ROLE_ARN");
    aws_chain_free(w.chain);
    w.chain = NULL;
    set("AWS_ROLE_ARN", "arn:x");
    expect_none("/nowhere/token");
}

/* ---- container ------------------------------------------------------------------------------- */

static void test_container(void **state)
{
    (void)state;
    use_container("CONTAINER", 3600);
    set("AWS_CONTAINER_AUTHORIZATION_TOKEN", "not this one");
    set("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", write_file("token", "Bearer x\n"));
    expect("CONTAINER", "tok");
    assert_non_null(strstr(w.cloud.asked[0], "\r\nAuthorization: Bearer x\r\n"));
}

static void test_container_errors(void **state)
{
    static const struct {
        int status;
        const char *body, *words;
    } rows[] = {
        {500, "x", "answered 500"},
        {302, "x", "answered 302"},
        {200, "<html>", "is not JSON"},
        {200, "{}", "no AccessKeyId"},
        {200, "[]", "no AccessKeyId"},
        {200, "{\"Code\":\"AssumeRoleUnauthorizedAccess\"}", "AssumeRoleUnauthorizedAccess"},
        {200, "{\"Code\":\"\\u001b[31m\"}", "the error unknown"},
        {200, "{\"AccessKeyId\":\"A\"}", "no secret"},
        {200, "{\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"B\",\"Token\":\"a\\r\\nX: y\"}",
         "characters that no token has"},
        {200, "{\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"B\",\"Expiration\":\"soon\"}",
         "Expiration is no time"},
    };
    (void)state;
    use_container("X", 10);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        cloud_say(&w.cloud, "GET /keys", rows[i].status, rows[i].body);
        aws_chain_free(w.chain);
        w.chain = NULL;
        expect_none(rows[i].words);
    }
}

static void test_container_far(void **state)
{
    (void)state;
    set("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://example.org/keys");
    expect_none("AWS_CONTAINER_CREDENTIALS_FULL_URI must be https, or http at this machine");
    aws_chain_free(w.chain);
    w.chain = NULL;
    set("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "@example.org/keys");
    expect_none("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI must be a path");
}

/* ---- the machine ----------------------------------------------------------------------------- */

#define ROLES "/latest/meta-data/iam/security-credentials/"

static void use_machine(void)
{
    w.place.imds_url = w.cloud.url;
    cloud_say(&w.cloud, "PUT /latest/api/token", 200, "imds-token");
    cloud_say(&w.cloud, "GET " ROLES, 200, "my-role\n");
    cloud_say(&w.cloud, "GET " ROLES "my-role", 200, json_keys("MACHINE", 3600));
}

static void test_machine(void **state)
{
    (void)state;
    use_machine();
    expect("MACHINE", "tok");
    assert_int_equal(cloud_asked(&w.cloud), 3);
    assert_non_null(
        strstr(w.cloud.asked[0], "\r\nX-aws-ec2-metadata-token-ttl-seconds: 21600\r\n"));
    assert_non_null(strstr(w.cloud.asked[1], "\r\nX-aws-ec2-metadata-token: imds-token\r\n"));
    assert_non_null(strstr(w.cloud.asked[2], "\r\nX-aws-ec2-metadata-token: imds-token\r\n"));
}

static void test_machine_off(void **state)
{
    (void)state;
    use_machine();
    set("AWS_EC2_METADATA_DISABLED", "True");
    expect_none("machine: switched off)");
    assert_int_equal(cloud_asked(&w.cloud), 0);
}

static void test_machine_without_role(void **state)
{
    static const struct {
        const char *line;
        int status;
        const char *body, *words;
    } rows[] = {
        {"GET " ROLES "my-role", 500, "", "answered 500 for the keys of its role"},
        {"GET " ROLES "my-role", 200, "x", "not JSON"},
        {"GET " ROLES, 500, "", "answered 500 for its role"},
        {"GET " ROLES, 200, "../../x", "machine: it has no role"},
        {"GET " ROLES, 404, "", "machine: it has no role"},
        {"PUT /latest/api/token", 403, "", "machine: no metadata service"},
    };
    (void)state;
    use_machine();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        cloud_say(&w.cloud, rows[i].line, rows[i].status, rows[i].body);
        aws_chain_free(w.chain);
        w.chain = NULL;
        expect_none(rows[i].words);
    }
}

/* ---- keeping --------------------------------------------------------------------------------- */

static void test_order(void **state)
{
    (void)state;
    use_machine();
    expect("MACHINE", "tok");
    use_container("CONTAINER", 3600);
    aws_chain_free(w.chain);
    w.chain = NULL;
    expect("CONTAINER", "tok");
    write_file(".aws/credentials",
               "[default]\naws_access_key_id=PROFILE\naws_secret_access_key=" SECRET);
    aws_chain_free(w.chain);
    w.chain = NULL;
    expect("PROFILE", "");
    use_identity();
    cloud_say(&w.cloud, "POST /", 200, xml_keys("ROLE"));
    aws_chain_free(w.chain);
    w.chain = NULL;
    expect("ROLE", "tok+/=");
}

static void move_clock(int64_t ms)
{
    __atomic_add_fetch(&w.now_ms, ms, __ATOMIC_SEQ_CST);
}

static void test_renewal(void **state)
{
    (void)state;
    use_container("ONE", 3600);
    expect("ONE", "tok");
    cloud_say(&w.cloud, "GET /keys", 200, json_keys("TWO", 7200));
    move_clock((3600 - 301) * 1000);
    expect("ONE", "tok");
    assert_int_equal(cloud_asked(&w.cloud), 1);
    move_clock(1000);
    expect("TWO", "tok");
    assert_int_equal(cloud_asked(&w.cloud), 2);
}

static void test_renewal_fails(void **state)
{
    (void)state;
    use_container("ONE", 3600);
    expect("ONE", "tok");
    cloud_say(&w.cloud, "GET /keys", 500, "");
    move_clock(3400 * 1000);
    expect("ONE", "tok");
    expect("ONE", "tok");
    assert_int_equal(cloud_asked(&w.cloud), 2); /* not again at every call */
    move_clock(31 * 1000);
    expect("ONE", "tok");
    assert_int_equal(cloud_asked(&w.cloud), 3);
    move_clock(200 * 1000); /* now they ended */
    expect_none("answered 500");
    expect_none("answered 500"); /* the same failure */
    assert_int_equal(cloud_asked(&w.cloud), 4);
    cloud_say(&w.cloud, "GET /keys", 200, json_keys("TWO", 3600));
    move_clock(2001);
    expect("TWO", "tok");
}

static void test_ended_when_they_came(void **state)
{
    (void)state;
    use_container("OLD", -10);
    expect("OLD", "tok"); /* our clock may be wrong; the place is asked again soon */
    expect("OLD", "tok");
    assert_int_equal(cloud_asked(&w.cloud), 1);
    move_clock(30001);
    expect("OLD", "tok");
    assert_int_equal(cloud_asked(&w.cloud), 2);
}

static void test_doubt(void **state)
{
    (void)state;
    use_container("ONE", 3600);
    expect("ONE", "tok");
    cloud_say(&w.cloud, "GET /keys", 200, json_keys("TWO", 3600));
    aws_chain_doubt(w.chain);
    expect("TWO", "tok");
    cloud_say(&w.cloud, "GET /keys", 200, json_keys("THREE", 3600));
    aws_chain_doubt(w.chain); /* too soon after the other */
    expect("TWO", "tok");
    move_clock(10001);
    aws_chain_doubt(w.chain);
    expect("THREE", "tok");
    cloud_say(&w.cloud, "GET /keys", 500, "");
    move_clock(10001);
    aws_chain_doubt(w.chain);
    expect("THREE", "tok"); /* better than none */
    assert_int_equal(cloud_asked(&w.cloud), 4);
}

static void test_profile_changes(void **state)
{
    (void)state;
    write_file(".aws/credentials",
               "[default]\naws_access_key_id=ONE\naws_secret_access_key=" SECRET);
    expect("ONE", "");
    write_file(".aws/credentials",
               "[default]\naws_access_key_id=TWO\naws_secret_access_key=" SECRET);
    expect("ONE", "");
    aws_chain_doubt(w.chain);
    expect("TWO", "");
}

/* ---- many at once ---------------------------------------------------------------------------- */

#define MANY 8

static void *get_one(void *arg)
{
    struct arena a;
    struct aws_keys keys;
    struct err e;
    arena_init(&a, 1 << 16);
    *(bool *)arg = aws_chain_get(w.chain, &a, &keys, &e) && slice_is(keys.id, "ONE");
    arena_done(&a);
    return NULL;
}

static void let_go(void)
{
    pthread_mutex_lock(&w.cloud.lock);
    w.cloud.may_go = true;
    pthread_cond_broadcast(&w.cloud.change);
    pthread_mutex_unlock(&w.cloud.lock);
}

static void wait_asked(size_t n)
{
    pthread_mutex_lock(&w.cloud.lock);
    while (w.cloud.n_asked < n)
        pthread_cond_wait(&w.cloud.change, &w.cloud.lock);
    pthread_mutex_unlock(&w.cloud.lock);
}

static void test_one_asks(void **state)
{
    pthread_t threads[MANY];
    bool got[MANY];
    (void)state;
    use_container("ONE", 3600);
    w.cloud.routes[0].waits = true;
    w.chain = aws_chain_new(&w.place, NULL);
    for (size_t i = 0; i < MANY; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, get_one, &got[i]), 0);
    wait_asked(1);
    let_go();
    for (size_t i = 0; i < MANY; i++) {
        pthread_join(threads[i], NULL);
        assert_true(got[i]);
    }
    assert_int_equal(cloud_asked(&w.cloud), 1);
}

/* While one renews, the others go on with what is still good. */
static void test_nobody_waits_for_renewal(void **state)
{
    pthread_t thread;
    bool got;
    (void)state;
    use_container("ONE", 3600);
    expect("ONE", "tok");
    pthread_mutex_lock(&w.cloud.lock);
    w.cloud.routes[0].waits = true;
    pthread_mutex_unlock(&w.cloud.lock);
    move_clock(3400 * 1000);
    assert_int_equal(pthread_create(&thread, NULL, get_one, &got), 0);
    wait_asked(2);
    expect("ONE", "tok");
    let_go();
    pthread_join(thread, NULL);
    assert_true(got);
    assert_int_equal(cloud_asked(&w.cloud), 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

TESTS(TEST(test_nowhere), TEST(test_fixed), TEST(test_fixed_half), TEST(test_environment),
      TEST(test_environment_half), TEST(test_profile), TEST(test_profile_named),
      TEST(test_profile_missing), TEST(test_profile_broken), TEST(test_profile_ways),
      TEST(test_profile_identity), TEST(test_identity), TEST(test_identity_refused),
      TEST(test_identity_bad), TEST(test_identity_half), TEST(test_container),
      TEST(test_container_errors), TEST(test_container_far), TEST(test_machine),
      TEST(test_machine_off), TEST(test_machine_without_role), TEST(test_order), TEST(test_renewal),
      TEST(test_renewal_fails), TEST(test_ended_when_they_came), TEST(test_doubt),
      TEST(test_profile_changes), TEST(test_one_asks), TEST(test_nobody_waits_for_renewal))
