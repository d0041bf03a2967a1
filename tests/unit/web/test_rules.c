/* Tests of what `web:` compiles to: redirects, globs, rewrites, the env script, header profiles. */
#include "fixture.h"

static const char *redirect(struct app *app, const char *path, const char *query)
{
    static char location[16384];
    struct slice to;
    int status;
    if (!rules_redirect(&app->web->rules, slice_from(path), SLICE("/app"), slice_from(query),
                        &app->arena, &status, &to))
        return NULL;
    snprintf(location, sizeof location, "%d %.*s", status, SLICE_ARGS(to));
    return location;
}

static void redirects_keep_splat_query_and_mount(void **state)
{
    (void)state;
    struct app app;
    app_init(&app);
    app_open(&app, "  redirects:\n"
                   "    /old/*: /new/:splat\n"
                   "    /gone: { to: https://example.com/x, status: 301 }\n"
                   "    /q: /to?a=1\n"
                   "    /frag: /to#part\n"
                   "    /away/*: https://example.com/in/:splat\n"
                   "    /flat/*: /:splat\n");
    assert_string_equal(redirect(&app, "/old/a/b", ""), "302 /app/new/a/b");
    assert_string_equal(redirect(&app, "/old/a", "x=1&y"), "302 /app/new/a?x=1&y");
    assert_string_equal(redirect(&app, "/gone", "k=v"), "301 https://example.com/x?k=v");
    assert_string_equal(redirect(&app, "/q", "b=2"), "302 /app/to?a=1&b=2");
    assert_string_equal(redirect(&app, "/frag", "b=2"), "302 /app/to?b=2#part");
    assert_string_equal(redirect(&app, "/away/z", ""), "302 https://example.com/in/z");
    assert_null(redirect(&app, "/old", ""));
    assert_null(redirect(&app, "/other", ""));
    app_done(&app);
}

static void redirects_lead_nowhere_else(void **state)
{
    (void)state;
    struct app app;
    app_init(&app);
    app_open(&app, "  redirects:\n"
                   "    /r*: /:splat\n"
                   "    /s/*: /x/:splat\n");
    /* "//host" is another host for a browser; a backslash is a slash. */
    assert_string_equal(redirect(&app, "/r/evil.example", ""), "302 /app/evil.example");
    assert_string_equal(redirect(&app, "/r//evil.example", ""), "302 /app/evil.example");
    assert_string_equal(redirect(&app, "/s/a b\"<", ""), "302 /app/x/a%20b%22%3C");
    assert_string_equal(redirect(&app, "/s/a\r\nSet-Cookie: x", ""),
                        "302 /app/x/a%0D%0ASet-Cookie:%20x");
    assert_string_equal(redirect(&app, "/s/a?b#c", ""), "302 /app/x/a%3Fb%23c");
    assert_string_equal(redirect(&app, "/s/a", "x\r\nSet-Cookie: y"), "302 /app/x/a");
    struct slice location =
        rules_folder_location(SLICE("/a b"), SLICE("/app"), SLICE("q=1"), &app.arena);
    assert_string_equal(location.ptr, "/app/a%20b/?q=1");
    app_done(&app);
}

static void a_splat_never_extends_a_host(void **state)
{
    (void)state;
    struct app app;
    app_init(&app);
    struct web_options o = app_options(&app, "  redirects: { \"/x*\": https://good.example/y }\n");
    app.manifest->web.redirects.items[0].to.s = SLICE("https://good.example:splat");
    app.web = web_new(&o);
    assert_string_equal(redirect(&app, "/x.evil.example", ""), "302 https://good.example:splat");
    app_done(&app);
}

static void globs_stay_in_their_folder(void **state)
{
    (void)state;
    static const struct {
        const char *glob, *path;
        bool matches;
    } rows[] = {
        {"*.js", "app.js", true},
        {"*.js", "a/b/app.js", true},
        {"*.js", "app.jsx", false},
        {"a/*.js", "a/b.js", true},
        {"a/*.js", "a/b/c.js", false},
        {"a/*.js", "x/a/b.js", false},
        {"/a/*.js", "a/b.js", true},
        {"?.js", "a.js", true},
        {"?.js", "ab.js", false},
        {"a/?", "a/b", true},
        {"a?b", "a/b", false},
        {"*", "a/b/c", true},
        {"*a*a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaa", false},
        {"", "a", false},
        {"a*c", "abbc", true},
        {"**.js", "a.js", true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (glob_matches(slice_from(rows[i].glob), slice_from(rows[i].path)) != rows[i].matches)
            fail_msg("%s, %s", rows[i].glob, rows[i].path);
}

static void rewrites_follow_each_other(void **state)
{
    (void)state;
    struct app app;
    struct buf out;
    app_init(&app);
    app_open(&app, "  rewrite:\n"
                   "    - { files: \"*.js\", from: \"http://127.0.0.1:8000\", to: \"\" }\n"
                   "    - { files: \"a/*.js\", from: \"one\", to: \"two two\" }\n");
    buf_init(&out, 1000);
    assert_true(rules_rewrite(&app.web->rules, SLICE("a/x.js"), false,
                              SLICE("one http://127.0.0.1:8000/api one"), &out));
    assert_string_equal(out.data, "two two /api two two");
    buf_done(&out);
    buf_init(&out, 10);
    assert_false(rules_rewrite(&app.web->rules, SLICE("a/x.js"), false, SLICE("one one"), &out));
    buf_done(&out);
    assert_false(rules_rewrites(&app.web->rules, SLICE("a/x.css")));
    app_done(&app);
}

static void the_env_script_is_safe_text(void **state)
{
    (void)state;
    struct app app;
    app_init(&app);
    app_open(&app, "  env: { path: /_app/env.js, values: { PUBLIC_URL: \"\", "
                   "PUBLIC_X: \"a\\\"b</script>\\n\\u2028\" } }\n");
    assert_string_equal(app.web->rules.script.ptr,
                        "export const env={\"PUBLIC_URL\":\"\",\"PUBLIC_X\":"
                        "\"a\\\"b\\u003c/script\\u003e\\n\\u2028\"};\n");
    app_done(&app);
}

static const struct web_profile *profile(struct app *app, const char *path)
{
    struct web_rules *r = &app->web->rules;
    return &r->profiles[rules_profile(r, slice_from(path))];
}

static void profiles_inherit(void **state)
{
    (void)state;
    struct app app;
    app_init(&app);
    app_open(&app, "  headers:\n"
                   "    /widget/*: { frame_ancestors: \"*\" }\n"
                   "    /widget/deep/*: { cache_control: \"max-age=60\", hsts: off }\n"
                   "    /exact.html: { frame_ancestors: [self, https://a.example],\n"
                   "      csp: \"script-src 'self'\", extra: { X-Own: one,\n"
                   "      Referrer-Policy: no-referrer } }\n");
    assert_string_equal(profile(&app, "/x")->lines.ptr,
                        "X-Content-Type-Options: nosniff\r\n"
                        "Referrer-Policy: strict-origin-when-cross-origin\r\n");
    assert_string_equal(profile(&app, "/x")->csp.ptr, "frame-ancestors 'self'");
    assert_int_equal(profile(&app, "/widget/a")->csp.len, 0);
    assert_int_equal(profile(&app, "/widget/a")->cache_control.len, 0);
    const struct web_profile *deep = profile(&app, "/widget/deep/a");
    assert_int_equal(deep->csp.len, 0); /* from /widget/ */
    assert_true(slice_is(deep->cache_control, "max-age=60"));
    assert_int_equal(deep->hsts.len, 0);
    assert_true(slice_is(profile(&app, "/x")->hsts, "max-age=31536000"));
    const char *exact = profile(&app, "/exact.html")->lines.ptr;
    assert_string_equal(profile(&app, "/exact.html")->csp.ptr,
                        "script-src 'self'; frame-ancestors 'self' https://a.example");
    assert_non_null(strstr(exact, "X-Own: one\r\n"));
    assert_non_null(strstr(exact, "Referrer-Policy: no-referrer\r\n"));
    assert_null(strstr(exact, "strict-origin"));
    app_done(&app);
}

TESTS(cmocka_unit_test(redirects_keep_splat_query_and_mount),
      cmocka_unit_test(redirects_lead_nowhere_else), cmocka_unit_test(a_splat_never_extends_a_host),
      cmocka_unit_test(globs_stay_in_their_folder), cmocka_unit_test(rewrites_follow_each_other),
      cmocka_unit_test(the_env_script_is_safe_text), cmocka_unit_test(profiles_inherit))
