/* Tests of types, extensions, dot names and names with a hash. */
#include "unit.h"
#include "web/types_impl.h"

#include <string.h>

static void types_are_found_by_extension(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"/index.html", "text/html; charset=utf-8"},
        {"/a/B.HTML", "text/html; charset=utf-8"},
        {"/a.js", "text/javascript; charset=utf-8"},
        {"/a.mjs", "text/javascript; charset=utf-8"},
        {"/a.min.css", "text/css; charset=utf-8"},
        {"/a.js.map", "application/json; charset=utf-8"},
        {"/a.wasm", "application/wasm"},
        {"/a.woff2", "font/woff2"},
        {"/a.webmanifest", "application/manifest+json; charset=utf-8"},
        {"/a.avif", "image/avif"},
        {"/a.svg", "image/svg+xml; charset=utf-8"},
        {"/a.mp4", "video/mp4"},
        {"/a.md", "text/markdown; charset=utf-8"},
        {"/a.zst", "application/zstd"},
        {"/a.3gp", "video/3gpp"},
        {"/a.unknown", "application/octet-stream"},
        {"/LICENSE", "application/octet-stream"},
        {"/a.", "application/octet-stream"},
        {"/a.verylongextensionindeed", "application/octet-stream"},
        {"/dir.html/file", "application/octet-stream"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_string_equal(type_of(slice_from(rows[i][0]))->type, rows[i][1]);
}

static void images_are_known_by_their_bytes(void **state)
{
    (void)state;
    assert_string_equal(image_sniff(SLICE("\x89PNG\r\n\x1a\n1234")), "image/png");
    assert_string_equal(image_sniff(SLICE("\xff\xd8\xff\xe0")), "image/jpeg");
    assert_string_equal(image_sniff(SLICE("RIFF1234WEBPVP8 ")), "image/webp");
    assert_null(image_sniff(SLICE("<html><script>")));
    assert_null(image_sniff(SLICE("")));
}

static void extensions_tell_files_from_deep_links(void **state)
{
    (void)state;
    static const char *const with[] = {"/a.js", "/a/b.mp3", "/x.7z", "/john.doe", "/a.b/c.d"};
    static const char *const without[] = {"/",     "/a",     "/a/",   "/v1.2",
                                          "/a.b/", "/a.b/c", "/end.", "/a.b c"};
    for (size_t i = 0; i < sizeof with / sizeof *with; i++)
        assert_true(path_has_extension(slice_from(with[i])));
    for (size_t i = 0; i < sizeof without / sizeof *without; i++)
        assert_false(path_has_extension(slice_from(without[i])));
    assert_true(path_has_dot_name(SLICE("/.git/config")));
    assert_true(path_has_dot_name(SLICE("/a/.env")));
    assert_false(path_has_dot_name(SLICE("/a/b.c")));
}

static void hashes_are_told_from_words_and_dates(void **state)
{
    (void)state;
    static const char *const hashed[] = {
        "/app.3f2a9c1b.js",          "/static/js/main.8d5e1f0a.chunk.js.map",
        "/index-BxY12abc.css",       "/app-5Z7TQ2XK.js",
        "/_app/immutable/start.js",  "/assets/index-DiwrgTda.js",
        "/logo.0a1b2c3d4e5f6789.svg"};
    static const char *const plain[] = {
        "/main.chunk.js",           "/report-20240131.pdf", "/img-IMG20240101.jpg",
        "/book-Chapter12.png",      "/jquery-3.6.0.min.js", "/app.js",
        "/a-deadbeef.js",           "/index-3f2a9c1b.html", "/3f2a9c1b.js",
        "/assets/page-Contents.js", "/x-version2final.js"};
    for (size_t i = 0; i < sizeof hashed / sizeof *hashed; i++)
        if (!path_is_hashed(slice_from(hashed[i])))
            fail_msg("%s holds a hash", hashed[i]);
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
        if (path_is_hashed(slice_from(plain[i])))
            fail_msg("%s holds no hash", plain[i]);
}

TESTS(cmocka_unit_test(types_are_found_by_extension),
      cmocka_unit_test(images_are_known_by_their_bytes),
      cmocka_unit_test(extensions_tell_files_from_deep_links),
      cmocka_unit_test(hashes_are_told_from_words_and_dates))
