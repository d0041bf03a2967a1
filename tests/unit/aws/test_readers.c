/* Profiles, STS's XML, answers in JSON and a container's address: what is read, and what is not. */
#include "aws/aws_impl.h"
#include "unit.h"

static bool reads(const char *text, bool is_config, const char *name, struct profile *p,
                  struct err *e)
{
    memset(e, 0, sizeof *e);
    return profile_read(slice_from(text), is_config, slice_from(name), p, e);
}

static void test_profiles(void **state)
{
    static const struct {
        const char *text;
        bool is_config;
        const char *name, *id, *region;
    } rows[] = {
        {"[a]\naws_access_key_id=X\n", false, "a", "X", ""},
        {"\xef\xbb\xbf[a]\r\nAWS_Access_Key_ID  =  X \r\nregion=y", false, "a", "X", "y"},
        {"# c\n; c\n\n [ a ] # c\naws_access_key_id = X # c\nregion = y;z ; c\n", false, "a", "X",
         "y;z"},
        {"[a]\n  aws_access_key_id = X\n  region = y\n", false, "a", "X", "y"},
        {"[a]\ns3 =\n  max = 3\n  region = no\nregion = y\n[b]\nregion = z\n", false, "a", "", "y"},
        {"[a]\nregion = x\n[b]\nregion = y\n[a]\naws_access_key_id = X\n", false, "a", "X", "x"},
        {"[a]\nregion = x\nregion = y\n", false, "a", "", "y"},
        {"[a]\nregion =\n", false, "a", "", ""},
        {"[default]\nregion = x\n[profile a]\nregion = y\n", true, "a", "", "y"},
        {"[a]\nregion = x\n[profile\ta]\nregion = y\n", true, "a", "", "y"},
        {"[default]\nregion = x\naws_access_key_id = X\n[profile default]\nregion = y\n", true,
         "default", "", "y"},
        {"[profile default]\nregion = y\n[default]\nregion = x\n", true, "default", "", "y"},
        {"[sso-session a]\nregion = x\n[profile a]\nregion = y\n", true, "a", "", "y"},
        {"[profile a]\nregion = x\n", false, "profile a", "", "x"},
        {"[a]\naws_access_key_id = a=b==\n", false, "a", "a=b==", ""},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct profile p;
        struct err e;
        if (!reads(rows[i].text, rows[i].is_config, rows[i].name, &p, &e))
            fail_msg("%s: %s", rows[i].text, e.msg);
        if (!p.is_there || !slice_is(p.id, rows[i].id) || !slice_is(p.region, rows[i].region))
            fail_msg("%s: %.*s %.*s", rows[i].text, SLICE_ARGS(p.id), SLICE_ARGS(p.region));
    }
}

static void test_not_there(void **state)
{
    struct profile p;
    struct err e;
    (void)state;
    assert_true(reads("", false, "a", &p, &e) && !p.is_there);
    assert_true(reads("[b]\nregion = x\n", false, "a", &p, &e) && !p.is_there && !p.region.len);
    assert_true(reads("[a]\nregion = x\n", true, "a", &p, &e) && !p.is_there);
    assert_true(reads("[profilea]\nregion = x\n", true, "a", &p, &e) && !p.is_there);
}

static void test_broken_profiles(void **state)
{
    static const struct {
        const char *text, *words;
    } rows[] = {
        {"\n[a]\nsecretsecret\n", "line 3 is no setting"},
        {"[a]\n= secret\n", "line 2 is no setting"},
        {"region = secret\n", "line 1 stands before the first section"},
        {"[a\n", "line 1 is no section"},
        {"[a] secret\n", "line 1 is no section"},
        {"[b]\nx = 1\n[a]\nregion = x\n  secret\n", "line 5 goes on with a value"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct profile p;
        struct err e;
        assert_false(reads(rows[i].text, false, "a", &p, &e));
        if (!strstr(e.msg, rows[i].words))
            fail_msg("%s: %s", rows[i].text, e.msg);
        assert_null(strstr(e.msg, "secret"));
    }
}

static void test_xml(void **state)
{
    static const struct {
        const char *xml, *text;
    } rows[] = {
        {"<a>x</a>", "x"},
        {"<b><a> x\n</a></b>", "x"},
        {"<a></a>", ""},
        {"<a/>", ""},
        {"<a>x</a><a>y</a>", ""},
        {"<a>x", ""},
        {"x</a>", ""},
        {"</a>x<a>", ""},
        {"<a>x<c/></a>", ""},
        {"<a>x&amp;</a>", ""},
        {"<a >x</a>", ""},
        {"", ""},
        {"<a>x</a></a>", ""},
        {"<A>x</A>", ""},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (!slice_is(xml_find(slice_from(rows[i].xml), "a"), rows[i].text))
            fail_msg("%s", rows[i].xml);
}

static void test_container_hosts(void **state)
{
    static const char *const good[] = {
        "https://example.org/x",     "HTTPS://example.org",       "http://127.0.0.1/x",
        "http://127.9.9.9:80/x",     "http://localhost:8080?x=@", "http://169.254.170.2/v2",
        "http://169.254.170.23/v1",  "http://[::1]:80/",          "http://[fd00:ec2::23]/v1",
        "http://[FD00:EC2:0::23]/a", "http://LOCALHOST",
    };
    static const char *const bad[] = {
        "",
        "ftp://127.0.0.1/",
        "http://",
        "http:///x",
        "http://example.org/",
        "http://127.0.0.1.example.org/",
        "http://127.1/",
        "http://0177.0.0.1/",
        "http://2130706433/",
        "http://127.0.0.1@example.org/",
        "http://127.0.0.1:80@example.org/",
        "http://example.org\\@127.0.0.1/",
        "http://127.0.0.1\\.example.org/",
        "http://%31%32%37.0.0.1/",
        "http://169.254.169.254/",
        "http://169.254.170.22/",
        "http://[::ffff:127.0.0.1]/",
        "http://[::1/",
        "http://[127.0.0.1]/",
        "http://[::1%25lo]/",
        "http://127.0.0.1 /x",
        "http://127.0.0.1/\r\nx",
        " http://127.0.0.1/",
        "http://localhost.example.org/",
        "http://fd00:ec2::23/",
        "http:/127.0.0.1/",
    };
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        if (!container_may_ask(slice_from(good[i])))
            fail_msg("%s is refused", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (container_may_ask(slice_from(bad[i])))
            fail_msg("%s is asked", bad[i]);
}

TESTS(cmocka_unit_test(test_profiles), cmocka_unit_test(test_not_there),
      cmocka_unit_test(test_broken_profiles), cmocka_unit_test(test_xml),
      cmocka_unit_test(test_container_hosts))
