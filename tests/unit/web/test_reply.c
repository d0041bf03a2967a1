/* Tests of whole answers: ownership of paths, heads, conditions, ranges, codings, error pages. */
#include "fixture.h"

#define SITE                                                        \
    "  fallback: index.html\n"                                      \
    "  redirects: { \"/old/*\": \"/new/:splat\" }\n"                \
    "  mounts: { /docs/: site }\n"                                  \
    "  pages: { \"/widget/*\": widget.html }\n"                     \
    "  headers: { \"/widget/*\": { frame_ancestors: \"*\" } }\n"    \
    "  errors: { 404: 404.html }\n"                                 \
    "  env: { path: /_app/env.js, values: { PUBLIC_URL: \"\" } }\n" \
    "  rewrite: [ { files: \"*.js\", from: \"http://127.0.0.1:8000\", to: \"\" } ]\n"

static int setup(void **state)
{
    struct app *app = calloc(1, sizeof *app);
    app_init(app);
    PUT(app, "web/index.html", "<h1>home</h1>");
    PUT(app, "web/404.html", "<h1>lost</h1>");
    PUT(app, "web/widget.html", "<h1>widget</h1>");
    PUT(app, "web/sub/index.html", "<h1>sub</h1>");
    PUT(app, "web/assets/app-BxY12abc.js", "fetch('http://127.0.0.1:8000/api')");
    PUT(app, "web/data.txt", "0123456789");
    PUT(app, "web/empty.txt", "");
    PUT(app, "web/photo.jpg", "\x89PNG\r\n\x1a\n0000");
    PUT(app, "web/old/file.txt", "hidden by the redirect");
    PUT(app, "web/_app/env.js", "hidden by the script");
    PUT(app, "site/index.html", "<h1>docs</h1>");
    put_large(app, "web/style.css", 5000);
    put_large(app, "web/large.bin", 300000);
    put_large(app, "web/large.txt", 300000);
    app_open(app, SITE);
    app_prepare(app);
    *state = app;
    return 0;
}

static int teardown(void **state)
{
    app_done(*state);
    free(*state);
    return 0;
}

static void paths_have_owners_in_order(void **state)
{
    struct app *app = *state;
    static const struct {
        const char *path;
        int status;
        const char *body;
    } rows[] = {
        {"/", 200, "<h1>home</h1>"},
        {"/index.html", 200, "<h1>home</h1>"},
        {"/_app/env.js", 200, "export const env={\"PUBLIC_URL\":\"\"};\n"},
        {"/old/file.txt", 302, NULL},
        {"/docs/", 200, "<h1>docs</h1>"},
        {"/docs", 301, NULL},
        {"/docs/nothing", 404, "<h1>lost</h1>"},
        {"/sub/", 200, "<h1>sub</h1>"},
        {"/sub", 301, NULL},
        {"/sub/deep/link", 200, "<h1>home</h1>"},
        {"/widget/x", 200, "<h1>widget</h1>"},
        {"/widget/x.js", 200, "<h1>widget</h1>"},
        {"/deep/link", 200, "<h1>home</h1>"},
        {"/v1.2", 200, "<h1>home</h1>"},
        {"/missing.js", 404, "<h1>lost</h1>"},
        {"/.git/config", 404, "<h1>lost</h1>"},
        {"/.env", 404, "<h1>lost</h1>"},
        {"/data.txt/", 200, "<h1>home</h1>"},
        {"/data.txt", 200, "0123456789"},
        {"/assets/app-BxY12abc.js", 200, "fetch('/api')"},
        {"/%2e%2e/data.txt", -1, NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows && rows[i].status > 0; i++) {
        struct asked a;
        get(&a, app, rows[i].path, "");
        if (a.rq.res.status != rows[i].status)
            fail_msg("%s: %d", rows[i].path, a.rq.res.status);
        if (rows[i].body)
            assert_body(&a, rows[i].body);
        asked_done(&a);
    }
}

static void folders_redirect_with_mount_and_query(void **state)
{
    struct asked a;
    get(&a, *state, "/sub?x=1&y=%20", "");
    assert_int_equal(a.rq.res.status, 301);
    assert_header(&a, "Location", "/sub/?x=1&y=%20");
    asked_done(&a);
}

static void other_methods(void **state)
{
    static const struct {
        const char *line;
        int status;
    } rows[] = {{"POST /data.txt", 405},   {"DELETE /", 405},          {"POST /deep/link", 404},
                {"PUT /widget/x", 405},    {"POST /old/a", 302},       {"POST /sub", 404},
                {"POST /missing.js", 404}, {"OPTIONS /data.txt", 405}, {"BREW /data.txt", 405}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct asked a;
        char head[256];
        snprintf(head, sizeof head, "%s HTTP/1.1\r\nHost: x\r\n\r\n", rows[i].line);
        ask(&a, *state, head);
        if (a.rq.res.status != rows[i].status)
            fail_msg("%s: %d", rows[i].line, a.rq.res.status);
        asked_done(&a);
    }
}

static void heads_say_what_they_should(void **state)
{
    struct asked a;
    get(&a, *state, "/", "");
    assert_header(&a, "Content-Type", "text/html; charset=utf-8");
    assert_header(&a, "Cache-Control", "no-store");
    assert_header(&a, "X-Content-Type-Options", "nosniff");
    assert_header(&a, "Referrer-Policy", "strict-origin-when-cross-origin");
    assert_header(&a, "Content-Security-Policy", "frame-ancestors 'self'");
    assert_header(&a, "Vary", NULL);
    asked_done(&a);
    get(&a, *state, "/assets/app-BxY12abc.js", "");
    assert_header(&a, "Content-Type", "text/javascript; charset=utf-8");
    assert_header(&a, "Cache-Control", "public, max-age=31536000, immutable");
    asked_done(&a);
    get(&a, *state, "/data.txt", "");
    assert_header(&a, "Cache-Control", "no-cache");
    assert_header(&a, "Accept-Ranges", "bytes");
    asked_done(&a);
    get(&a, *state, "/_app/env.js", "");
    assert_header(&a, "Cache-Control", "no-store");
    assert_header(&a, "Last-Modified", NULL);
    asked_done(&a);
    get(&a, *state, "/photo.jpg", "");
    assert_header(&a, "Content-Type", "image/png");
    asked_done(&a);
    get(&a, *state, "/widget/x", "");
    assert_header(&a, "Content-Security-Policy", NULL);
    asked_done(&a);
    get(&a, *state, "/large.bin", "");
    assert_int_equal(a.rq.res.kind, BODY_FILE);
    assert_header(&a, "Content-Type", "application/octet-stream");
    assert_header(&a, "X-Content-Type-Options", "nosniff");
    asked_done(&a);
}

static void codings_have_their_own_etags(void **state)
{
    struct app *app = *state;
    static const char *const rows[][2] = {
        {"", NULL},
        {"Accept-Encoding: gzip\r\n", "gzip"},
        {"Accept-Encoding: gzip, br\r\n", "br"},
        {"Accept-Encoding: br;q=0.5, gzip\r\n", "gzip"},
        {"Accept-Encoding: br;q=0\r\n", NULL},
        {"Accept-Encoding: identity\r\n", NULL},
        {"Accept-Encoding: br\r\nRange: bytes=0-1\r\n", NULL},
        {"Accept-Encoding: gzip, deflate, br, zstd\r\n", "br"},
        {"Accept-Encoding: gzip,deflate\r\n", "gzip"},
        {"Accept-Encoding: deflate, foo-br, brr, xgzip\r\n", NULL},
        {"Accept-Encoding: GZIP\r\n", "gzip"},
        {"Accept-Encoding: *\r\n", "br"},
        {"Accept-Encoding: gzip;q=0, *\r\n", "br"},
    };
    static const char *const files[] = {"/style.css", "/large.txt"};
    char etags[2][sizeof rows / sizeof *rows][ETAG_MAX];
    for (size_t f = 0; f < 2; f++) {
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
            struct asked a;
            get(&a, app, files[f], rows[i][0]);
            assert_header(&a, "Content-Encoding", rows[i][1]);
            assert_header(&a, "Vary", "Accept-Encoding");
            keep_header(&a, "ETag", etags[f][i], ETAG_MAX);
            asked_done(&a);
        }
        assert_string_not_equal(etags[f][0], etags[f][1]);
        assert_string_not_equal(etags[f][1], etags[f][2]);
        assert_string_equal(etags[f][1], etags[f][3]);
        assert_string_equal(etags[f][0], etags[f][6]);
    }
    struct asked a;
    get(&a, app, "/data.txt", "Accept-Encoding: br\r\n"); /* too small to gain anything */
    assert_header(&a, "Content-Encoding", NULL);
    asked_done(&a);
    get(&a, app, "/large.bin", "Accept-Encoding: br\r\n"); /* not a text */
    assert_header(&a, "Content-Encoding", NULL);
    asked_done(&a);
}

/* Puts the value where the pattern says '$'. */
static int conditional(struct app *app, const char *path, const char *pattern, const char *value)
{
    char lines[512];
    const char *mark = strchr(pattern, '$');
    if (mark)
        snprintf(lines, sizeof lines, "%.*s%s%s", (int)(mark - pattern), pattern, value, mark + 1);
    return status_of(app, path, mark ? lines : pattern);
}

static void conditions_on(struct app *app, const char *path)
{
    struct asked a;
    char etag[128], date[64];
    get(&a, app, path, "");
    keep_header(&a, "ETag", etag, sizeof etag);
    keep_header(&a, "Last-Modified", date, sizeof date);
    asked_done(&a);
    static const struct {
        const char *pattern;
        bool is_date;
        int status;
    } rows[] = {
        {"If-None-Match: $\r\n", false, 304},
        {"If-None-Match: W/$\r\n", false, 304},
        {"If-None-Match: \"a\", $, \"b\"\r\n", false, 304},
        {"If-None-Match: \"a\"\r\nIf-None-Match: $\r\n", false, 304},
        {"If-None-Match: *\r\n", false, 304},
        {"If-None-Match: \"other\"\r\n", false, 200},
        {"If-Modified-Since: $\r\n", true, 304},
        {"If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n", false, 200},
        {"If-Modified-Since: nonsense\r\n", false, 200},
        {"If-None-Match: \"other\"\r\nIf-Modified-Since: $\r\n", true, 200},
        {"If-Match: $\r\n", false, 200},
        {"If-Match: W/$\r\n", false, 412},
        {"If-Match: \"other\"\r\n", false, 412},
        {"If-Match: *\r\n", false, 200},
        {"If-Unmodified-Since: $\r\n", true, 200},
        {"If-Unmodified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n", false, 412},
        {"If-Unmodified-Since: nonsense\r\n", false, 200},
        {"If-Match: $\r\nIf-Unmodified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n", false, 200},
        {"Range: bytes=0-1\r\n", false, 206},
        {"Range: bytes=0-1\r\nIf-Range: $\r\n", false, 206},
        {"Range: bytes=0-1\r\nIf-Range: W/$\r\n", false, 200},
        {"Range: bytes=0-1\r\nIf-Range: \"other\"\r\n", false, 200},
        {"Range: bytes=0-1\r\nIf-Range: $\r\n", true, 206},
        {"Range: bytes=0-1\r\nIf-Range: Sun, 06 Nov 1994 08:49:37 GMT\r\n", false, 200},
        {"Range: bytes=0-1\r\nIf-None-Match: $\r\n", false, 304},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int status = conditional(app, path, rows[i].pattern, rows[i].is_date ? date : etag);
        if (status != rows[i].status)
            fail_msg("%s: %s: %d", path, rows[i].pattern, status);
    }
    get(&a, app, path, "If-None-Match: *\r\n");
    assert_header(&a, "Content-Type", NULL);
    assert_header(&a, "ETag", etag);
    assert_non_null(header(&a, "Cache-Control"));
    assert_int_equal(a.rq.res.kind, BODY_NONE);
    asked_done(&a);
}

static void conditions_are_weighed(void **state)
{
    conditions_on(*state, "/data.txt");
    conditions_on(*state, "/style.css");
    conditions_on(*state, "/large.bin");
}

static void ranges(void **state)
{
    static const struct {
        const char *path, *range;
        int status;
        const char *content_range, *body;
    } rows[] = {
        {"/data.txt", "bytes=0-0", 206, "bytes 0-0/10", "0"},
        {"/data.txt", "bytes=2-4", 206, "bytes 2-4/10", "234"},
        {"/data.txt", "bytes=-3", 206, "bytes 7-9/10", "789"},
        {"/data.txt", "bytes=8-", 206, "bytes 8-9/10", "89"},
        {"/data.txt", "bytes=8-99999999999999999999", 206, "bytes 8-9/10", "89"},
        {"/data.txt", "bytes=-99", 206, "bytes 0-9/10", "0123456789"},
        {"/data.txt", "bytes=10-", 416, "bytes */10", NULL},
        {"/data.txt", "bytes=-0", 416, "bytes */10", NULL},
        {"/data.txt", "bytes=5-2", 200, NULL, "0123456789"},
        {"/data.txt", "bytes=--1", 200, NULL, "0123456789"},
        {"/data.txt", "lines=1-2", 200, NULL, "0123456789"},
        {"/data.txt", "bytes=0-1,2-3", 206, "bytes 0-3/10", "0123"},
        {"/empty.txt", "bytes=0-", 416, "bytes */0", NULL},
        {"/large.bin", "bytes=299999-", 206, "bytes 299999-299999/300000", NULL},
        {"/large.bin", "bytes=300000-", 416, "bytes */300000", NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct asked a;
        char line[128];
        snprintf(line, sizeof line, "Range: %s\r\n", rows[i].range);
        get(&a, *state, rows[i].path, line);
        if (a.rq.res.status != rows[i].status)
            fail_msg("%s %s: %d", rows[i].path, rows[i].range, a.rq.res.status);
        assert_header(&a, "Content-Range", rows[i].content_range);
        if (rows[i].body)
            assert_body(&a, rows[i].body);
        asked_done(&a);
    }
}

static void several_ranges(void **state)
{
    static const char *const files[] = {"/data.txt", "/large.bin"};
    for (size_t i = 0; i < 2; i++) {
        struct asked a;
        char want[1024], boundary[64];
        get(&a, *state, files[i], "Range: bytes=0-1, 5-6, -1\r\n");
        assert_int_equal(a.rq.res.status, 206);
        assert_int_equal(a.rq.res.kind, BODY_SOURCE);
        const char *type = header(&a, "Content-Type");
        assert_int_equal(sscanf(type, "multipart/byteranges; boundary=%40s", boundary), 1);
        const char *bodies[2][3] = {{"01", "56", "9"}, {"ab", "fg", NULL}};
        char last[2] = {(char)('a' + 299999 % 23), 0};
        bodies[1][2] = last;
        const char *of = i ? "application/octet-stream" : "text/plain; charset=utf-8";
        int size = i ? 300000 : 10;
        snprintf(want, sizeof want,
                 "\r\n--%s\r\nContent-Type: %s\r\nContent-Range: bytes 0-1/%d\r\n\r\n%s"
                 "\r\n--%s\r\nContent-Type: %s\r\nContent-Range: bytes 5-6/%d\r\n\r\n%s"
                 "\r\n--%s\r\nContent-Type: %s\r\nContent-Range: bytes %d-%d/%d\r\n\r\n%s"
                 "\r\n--%s--\r\n",
                 boundary, of, size, bodies[i][0], boundary, of, size, bodies[i][1], boundary, of,
                 size - 1, size - 1, size, bodies[i][2], boundary);
        assert_body(&a, want);
        asked_done(&a);
    }
    struct asked a;
    struct buf many;
    buf_init(&many, 12000);
    buf_add_str(&many, "Range: bytes=0-0");
    for (int i = 1; i < 1000; i++)
        buf_printf(&many, ",%d-%d", i * 2, i * 2);
    buf_add_str(&many, "\r\n");
    get(&a, *state, "/large.bin", many.data);
    assert_int_equal(a.rq.res.status, 200);
    asked_done(&a);
    buf_done(&many);
}

static void a_shrinking_file_ends_the_parts(void **state)
{
    struct app *app = *state;
    struct asked a;
    ask_on(&a, app->web, NULL,
           "GET /large.bin HTTP/1.1\r\nHost: x\r\nRange: bytes=0-1,200000-200010\r\n\r\n");
    assert_int_equal(a.rq.res.kind, BODY_SOURCE);
    assert_int_equal(truncate(at(app, "web/large.bin"), 100), 0);
    struct buf piece;
    enum io io = IO_OK;
    for (int i = 0; i < 10 && io == IO_OK; i++) {
        buf_init(&piece, 1000);
        io = a.rq.res.source->pull(a.rq.res.source, &piece, 1000);
        buf_done(&piece);
    }
    assert_int_equal(io, IO_FAIL);
    asked_done(&a);
}

static void head_and_length_are_of_the_file_as_it_is(void **state)
{
    struct app *app = *state;
    struct asked a;
    put_large(app, "web/large.bin", 400000);
    get(&a, app, "/large.bin", "");
    assert_int_equal(a.rq.res.length, 400000);
    assert_non_null(strstr(header(&a, "ETag"), "-61a80-"));
    asked_done(&a);
    unlink(at(app, "web/large.bin"));
    assert_int_equal(status_of(app, "/large.bin", ""), 404);
    assert_int_equal(symlink("/etc/passwd", at(app, "web/large.bin")), 0);
    assert_int_equal(status_of(app, "/large.bin", ""), 404);
    unlink(at(app, "web/large.bin"));
    assert_int_equal(mkfifo(at(app, "web/large.bin"), 0644), 0);
    assert_int_equal(status_of(app, "/large.bin", ""), 404);
}

static void error_pages_are_for_people(void **state)
{
    struct app *app = *state;
    struct asked a;
    get(&a, app, "/missing.js", "Accept: text/html\r\n");
    assert_int_equal(a.rq.res.status, 404);
    assert_body(&a, "<h1>lost</h1>");
    asked_done(&a);
    get(&a, app, "/missing.js", "Accept: application/json\r\n");
    assert_false(a.ok);
    assert_int_equal(a.error.code, ERR_NOT_FOUND);
    asked_done(&a);
    get(&a, app, "/missing.js", "If-None-Match: *\r\nRange: bytes=0-1\r\n");
    assert_int_equal(a.rq.res.status, 404);
    assert_body(&a, "<h1>lost</h1>");
    asked_done(&a);
}

/* Whatever is asked for, what is opened or sent comes from a file below the folders. */
static void no_path_leads_outside(void **state)
{
    struct app *app = *state;
    static const char *const pieces[] = {
        "..",    ".",     "",         "sub",        "docs",   "%2e%2e", "%2E.",
        "..%2f", "%5c..", "data.txt", "%252e%252e", "etc",    "passwd", "%00",
        "..;",   "....",  "\xc3\xa4", "large.bin",  "secret", "~",      "C:"};
    PUT(app, "secret", "SECRET");
    assert_int_equal(symlink("../secret", at(app, "web/sub/secret")), 0);
    uint64_t seed = 12345;
    for (int i = 0; i < 20000; i++) {
        char raw[256], room[256];
        size_t n = 0;
        for (int parts = 0; parts < 6; parts++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            const char *piece = pieces[(seed >> 33) % (sizeof pieces / sizeof *pieces)];
            n += (size_t)snprintf(raw + n, sizeof raw - n, "/%s", piece);
        }
        struct slice path;
        struct err e;
        if (!path_normalise((struct slice){raw, n}, room, &path, &e))
            continue;
        const struct web_node *node = tree_find(app->web->tree, path);
        if (!node)
            continue;
        char real[4096], link[64];
        struct stat st;
        int root = app->web->tree->root_fds[node->file->root];
        int fd = open(at(app, "web"), O_PATH);
        close(fd);
        fd = openat(root, node->file->rel, O_RDONLY);
        assert_true(fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode));
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        ssize_t len = readlink(link, real, sizeof real - 1);
        real[len > 0 ? len : 0] = 0;
        close(fd);
        if (!strstr(real, "/web/") && !strstr(real, "/site/"))
            fail_msg("%s leads to %s", raw, real);
    }
}

static void rewritten_files_are_never_sent_raw(void **state)
{
    struct app *app = *state;
    struct web_file *f = tree_find(app->web->tree, SLICE("/assets/app-BxY12abc.js"))->file;
    assert_true(f->rewritten);
    assert_non_null(file_copy(f, CODING_IDENTITY)); /* from the start on */
    struct web_copy *copy = atomic_exchange(&f->copies[CODING_IDENTITY], NULL);
    assert_int_equal(status_of(app, "/assets/app-BxY12abc.js", ""), 503);
    atomic_store(&f->copies[CODING_IDENTITY], copy);
}

static void head_requests_have_the_same_head(void **state)
{
    struct asked a;
    ask(&a, *state, "HEAD /data.txt HTTP/1.1\r\nHost: x\r\nRange: bytes=0-1\r\n\r\n");
    assert_int_equal(a.rq.res.status, 200);
    assert_int_equal(a.rq.res.length, 10);
    asked_done(&a);
}

static void dev_pages_listen(void **state)
{
    (void)state;
    struct app app;
    struct asked a;
    app_init(&app);
    PUT(&app, "web/index.html", "<html><head></head><body></body></html>");
    struct web_options o = app_options(&app, "");
    o.dev = true;
    o.mount = SLICE("/app");
    app.web = web_new(&o);
    get(&a, &app, "/", "");
    assert_body(&a, "<html><head><script src=\"/app/_/dev/reload.js\"></script></head>"
                    "<body></body></html>");
    asked_done(&a);
    get(&a, &app, "/_/dev/reload.js", "");
    assert_non_null(strstr(a.body.data, "EventSource"));
    asked_done(&a);
    get(&a, &app, "/_/dev/events", "");
    assert_body(&a, "retry: 500\n\nevent: hello\ndata: 1\n\n");
    dev_notify(&app.web->seats[0], TREE_STYLES);
    take_body(&a);
    assert_body(&a, "retry: 500\n\nevent: hello\ndata: 1\n\nevent: css\ndata: 1\n\n");
    dev_notify(&app.web->seats[0], TREE_OTHER);
    dev_notify(&app.web->seats[0], TREE_STYLES);
    buf_clear(&a.body);
    take_body(&a);
    assert_body(&a, "event: reload\ndata: 1\n\n");
    asked_done(&a);
    app_done(&app);
}

static void a_missing_root_is_an_empty_one(void **state)
{
    (void)state;
    struct app app;
    app_init(&app);
    assert_int_equal(rmdir(at(&app, "web")), 0);
    app_open(&app, "  build: npm run build\n");
    assert_int_equal(status_of(&app, "/", ""), 404);
    app_done(&app);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
TESTS(TEST(paths_have_owners_in_order), TEST(folders_redirect_with_mount_and_query),
      TEST(other_methods), TEST(heads_say_what_they_should), TEST(codings_have_their_own_etags),
      TEST(conditions_are_weighed), TEST(ranges), TEST(several_ranges),
      TEST(a_shrinking_file_ends_the_parts), TEST(head_and_length_are_of_the_file_as_it_is),
      TEST(error_pages_are_for_people), TEST(no_path_leads_outside),
      TEST(rewritten_files_are_never_sent_raw), TEST(head_requests_have_the_same_head),
      cmocka_unit_test(dev_pages_listen), cmocka_unit_test(a_missing_root_is_an_empty_one))
