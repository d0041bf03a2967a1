/* Settings: .env line by line, who wins over whom, what is refused, and what is never shown. */
#include "settings_fixture.h"

#include <fcntl.h>
#include <sys/stat.h>

static void test_dotenv(void **state)
{
    (void)state;
    struct fixture f;
    start(&f);
    struct pairs all = dotenv_parse(
        &f.a,
        slice_from("# remark\nA=1\nexport B = 2\nC= x y # end\nD='a $b \\n'\nE=\"q\\\"\\n\\$\"\r\n"
                   "F=\nG=\"two\nlines\"\nH=a#b\n"),
        ".env", &f.p);
    assert_string_equal(said(&f), ".env:3:9: a `=` is expected right after the name; write "
                                  "NAME=value\n");
    static const char *const want[][2] = {{"A", "1"},      {"C", "x y"}, {"D", "a $b \\n"},
                                          {"E", "q\"\n$"}, {"F", ""},    {"G", "two\nlines"},
                                          {"H", "a#b"}};
    assert_int_equal(all.n, 7);
    for (size_t i = 0; i < 7; i++) {
        assert_string_equal(all.items[i].key.s.ptr, want[i][0]);
        assert_string_equal(all.items[i].value.s.ptr, want[i][1]);
    }
    assert_int_equal(all.items[6].key.pos.line, 10);
    finish(&f);
}

static void test_dotenv_refuses(void **state)
{
    (void)state;
    struct fixture f;
    start(&f);
    dotenv_parse(&f.a,
                 slice_from("1A=x\nB\nC=\"x\" y\nD=it's\nE=\"\\q\"\nG=1\nG=2\nF=\"never\nends\n"),
                 ".env", &f.p);
    assert_string_equal(
        said(&f),
        ".env:1:1: a variable's name is expected here; write NAME=value\n"
        ".env:2:2: a `=` is expected right after the name; write NAME=value\n"
        ".env:3:7: something follows the closing quote; put all of the value in the quotes\n"
        ".env:4:3: a value with quotes inside must be in quotes altogether\n"
        ".env:5:5: this backslash sequence is unknown; use single quotes for text with "
        "backslashes\n"
        ".env:7:1: `G` stands here for the second time, first in line 6; keep one of them\n"
        ".env:8:3: this quote is never closed\n");
    finish(&f);
}

static void test_precedence(void **state)
{
    (void)state;
    struct fixture f;
    start(&f);
    put(&f, ".env",
        "DAIS_DATA=from-dotenv\nMAIL_FROM=a@b.example\nPORT=81\nKEY=k\n"
        "DAIS_SECRET_FILE=secret\nMINE=$KEY\n");
    put(&f, "secret", "s3cret\n");
    const char *const env[] = {"DAIS_DATA=from-env", "PUBLIC_URL=https://x.example",
                               "S3_BUCKET=", NULL};
    struct settings_sources from = {.dir = f.dir, .environ_ = env};
    from.flags[SET_PUBLIC_URL] = "https://flag.example";
    from.manifest[SET_LISTEN] = "0.0.0.0:9000";
    from.manifest[SET_DATA] = "from-manifest";
    settings_load(&f.a, &from, &f.p, &f.s);
    assert_string_equal(said(&f), "");
    assert_string_equal(settings_get(&f.s, SET_DATA).ptr, "from-env");
    assert_string_equal(settings_get(&f.s, SET_PUBLIC_URL).ptr, "https://flag.example");
    assert_string_equal(settings_get(&f.s, SET_MAIL_FROM).ptr, "a@b.example");
    assert_string_equal(settings_get(&f.s, SET_SECRET).ptr, "s3cret");
    assert_string_equal(settings_get(&f.s, SET_STORAGE_BACKEND).ptr, "local");
    assert_int_equal(settings_get(&f.s, SET_S3_BUCKET).len, 0);
    assert_string_equal(settings_listen(&f.s, &f.a).ptr, "0.0.0.0:81");
    assert_string_equal(f.s.of[SET_SECRET].from.ptr, ".env line 5");
    struct slice key;
    assert_true(settings_find(&f.s, SLICE("KEY"), &key));
    assert_string_equal(key.ptr, "k");
    assert_false(settings_find(&f.s, SLICE("NOPE"), &key));
    assert_string_equal(settings_expand(&f.s, SLICE("a$KEY-${KEY}$NOPE$$x$ ${"), &f.a).ptr,
                        "ak-k$x$ ${");
    settings_help(&f.s, &f.said);
    assert_null(strstr(f.said.data, "s3cret"));
    assert_non_null(strstr(f.said.data, "now:     set, not shown (from .env line 5)"));
    finish(&f);
}

static void test_listen_flag_beats_port(void **state)
{
    (void)state;
    struct fixture f;
    start(&f);
    const char *const env[] = {"PORT=99", NULL};
    struct settings_sources from = {.environ_ = env};
    settings_load(&f.a, &from, &f.p, &f.s);
    assert_string_equal(settings_listen(&f.s, &f.a).ptr, "127.0.0.1:99");
    from.flags[SET_LISTEN] = "[::1]:0";
    settings_load(&f.a, &from, &f.p, &f.s);
    assert_string_equal(settings_listen(&f.s, &f.a).ptr, "[::1]:0");
    finish(&f);
}

static void test_refused_values(void **state)
{
    (void)state;
    struct fixture f;
    start(&f);
    const char *const env[] = {
        "DATABASE_URL=mysql://me:pw@h/db",  "STORAGE_BACKEND=ftp", "PORT=70000", "DAIS_LOG=loud",
        "DAIS_TRUSTED_PROXIES=10.0.0.0/33", "REDIS_URL=secret",    NULL};
    struct settings_sources from = {.environ_ = env};
    settings_load(&f.a, &from, &f.p, &f.s);
    assert_string_equal(
        said(&f),
        "settings: PORT is `70000` (from environment); it must be a number from 0 to 65535\n"
        "settings: DATABASE_URL is `mysql://...` (from environment); it must be sqlite:///path for "
        "a file or postgres://user@host/name for a server; no other database is supported\n"
        "settings: STORAGE_BACKEND is `ftp` (from environment); it must be local or s3\n"
        "settings: REDIS_URL is `...` (from environment); it must be a redis:// or rediss:// "
        "address\n"
        "settings: DAIS_TRUSTED_PROXIES is `10.0.0.0/33` (from environment); it must be addresses "
        "such as 10.0.0.1 or networks such as 10.0.0.0/8, separated by commas\n"
        "settings: DAIS_LOG is `loud` (from environment); it must be a level (debug, info, warn, "
        "error), json or text, and a file with a `/` in its path, separated by commas\n");
    finish(&f);
}

static void test_log(void **state)
{
    (void)state;
    struct fixture f;
    struct log_conf conf;
    struct err e = {0};
    start(&f);
    assert_true(log_conf_parse(SLICE("debug,json, ./a.log"), &f.a, &conf, &e));
    assert_int_equal(conf.level, LOG_DEBUG);
    assert_int_equal(conf.format, LOG_JSON);
    assert_string_equal(conf.path, "./a.log");
    assert_true(log_conf_parse(SLICE("json"), &f.a, &conf, &e));
    assert_int_equal(conf.level, LOG_INFO);
    assert_null(conf.path);
    assert_false(log_conf_parse(SLICE("verbose"), &f.a, &conf, &e));
    assert_int_equal(e.code, ERR_USAGE);
    finish(&f);
}

/* A .env that is a pipe is an error at once, never a wait. */
static void test_pipe(void **state)
{
    (void)state;
    struct fixture f;
    char path[128], want[256];
    start(&f);
    snprintf(path, sizeof path, "%s/.env", f.dir);
    assert_int_equal(mkfifo(path, 0600), 0);
    settings_load(&f.a, &(struct settings_sources){.dir = f.dir}, &f.p, &f.s);
    snprintf(want, sizeof want, "%s: this is a pipe, socket or device; a file is expected here\n",
             path);
    assert_string_equal(said(&f), want);
    finish(&f);
}

TESTS(cmocka_unit_test(test_dotenv), cmocka_unit_test(test_dotenv_refuses),
      cmocka_unit_test(test_precedence), cmocka_unit_test(test_listen_flag_beats_port),
      cmocka_unit_test(test_refused_values), cmocka_unit_test(test_log),
      cmocka_unit_test(test_pipe))
