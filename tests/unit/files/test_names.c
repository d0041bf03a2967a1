/* What files may be called, and what their bytes are whatever anybody says. */
#include "files_test.h"

static const char manifest[] = "app: t\nfiles:\n  any: {}\n  own: { scope: user }\n"
                               "  pics: { types: [image/*, image/jpg, text/csv] }\n";

RIG_OF(manifest)

/* ---- paths ----------------------------------------------------------------------------------- */

static bool is_path(struct slice path)
{
    return file_path_check(path, &err);
}

static void test_paths(void **unused)
{
    static const char *const fine[] = {"a",
                                       "a/b",
                                       "a b.txt",
                                       "...",
                                       ".hidden",
                                       "a..b/c",
                                       "Übersicht/日本語.png",
                                       "👩‍🚀.png",
                                       "a%2e%2e",
                                       "a?b#c"};
    static const char *const bad[] = {"",
                                      "/",
                                      "/a",
                                      "a/",
                                      "a//b",
                                      ".",
                                      "..",
                                      "a/../b",
                                      "a/.",
                                      "./a",
                                      "a\\b",
                                      "a\nb",
                                      "a\x7f",
                                      "a\xc2\x85",
                                      "a\xe2\x80\xae",
                                      "a\xe2\x81\xa6",
                                      "\xe2\x80\x8f",
                                      "\xef\xbb\xbf_",
                                      "a\xff",
                                      "\xc0\xaf",
                                      "\xed\xa0\x80",
                                      "a\xe2\x80\xa8",
                                      "\xd8\x9c"};
    (void)unused;
    for (size_t i = 0; i < sizeof fine / sizeof *fine; i++)
        if (!is_path(S(fine[i])))
            fail_msg("%s: %s", fine[i], err.msg);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (is_path(S(bad[i])))
            fail_msg("%s", bad[i]);
        assert_int_equal(err.code, ERR_MALFORMED);
    }
    assert_false(is_path((struct slice){"a\0b", 3}));
}

static void test_lengths(void **unused)
{
    char text[FILE_PATH_MAX + 2];
    (void)unused;
    memset(text, 'a', sizeof text);
    assert_true(is_path((struct slice){text, FILE_NAME_MAX}));
    assert_false(is_path((struct slice){text, FILE_NAME_MAX + 1}));
    for (size_t i = 200; i < sizeof text; i += 200)
        text[i] = '/';
    assert_true(is_path((struct slice){text, FILE_PATH_MAX}));
    assert_false(is_path((struct slice){text, FILE_PATH_MAX + 1}));
}

static bool place_of(const char *bucket, const char *user, const char *path, struct file_place *ret)
{
    return file_place_of(rig.files, &rig.who, S(bucket), S(user), S(path), ret, &err);
}

static void test_places(void **unused)
{
    struct file_place at;
    (void)unused;
    assert_false(place_of("none", "", "a", &at));
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_true(place_of("any", "", "a", &at) && !at.space.len);
    assert_false(place_of("any", "ada", "a", &at));
    assert_int_equal(err.code, ERR_MALFORMED);
    assert_false(place_of("own", "", "a", &at));
    assert_int_equal(err.code, ERR_UNAUTHENTICATED);
    rig_be("ada");
    assert_true(place_of("own", "", "a", &at) && slice_is(at.space, "ada"));
    assert_true(place_of("own", "bob", "a", &at) && slice_is(at.space, "bob"));
    assert_false(place_of("own", "b/ob", "a", &at));
    assert_false(place_of("own", "", "a/../b", &at));
    assert_true(place_of("own", "", "", &at)); /* a list's */
}

/* ---- types ----------------------------------------------------------------------------------- */

#define B(text) SLICE_INIT(text)
static const struct {
    struct slice bytes;
    const char *said, *path, *type;
} sniffed[] = {
    {B("\x89PNG\r\n\x1a\nxxxx"), "text/html", "a.html", "image/png"},
    {B("\xff\xd8\xff\xe0"), "", "a", "image/jpeg"},
    {B("GIF89a<script>"), "text/html", "a", "image/gif"},
    {B("RIFF\1\2\3\4WEBPVP8 "), "", "a", "image/webp"},
    {B("RIFF\1\2\3\4WAVEfmt "), "", "a", "audio/wav"},
    {B("RIFF\1\2\3\4AVI LIST"), "", "a", "video/x-msvideo"},
    {B("\0\0\0\x1c"
       "ftypavif\0\0\0\0mif1"),
     "", "a", "image/avif"},
    {B("\0\0\0\x1c"
       "ftypmif1\0\0\0\0heic"),
     "", "a", "image/heic"},
    {B("\0\0\0\x18"
       "ftypisom\0\0\0\0isom"),
     "audio/mp4", "a", "audio/mp4"},
    {B("\0\0\0\x18"
       "ftypisom\0\0\0\0isom"),
     "image/png", "a", "video/mp4"},
    {B("\0\0\0\x14"
       "ftypqt  \0\0\0\0"),
     "", "a", "video/quicktime"},
    {B("\x1a\x45\xdf\xa3\x01\x42\x82\x84webm"), "", "a", "video/webm"},
    {B("\x1a\x45\xdf\xa3\x01\x42\x82\x88matroska"), "video/webm", "a", "video/x-matroska"},
    {B("OggS\0\2...\1vorbis"), "", "a.ogg", "audio/ogg"},
    {B("OggS\0\2...\x80theora"), "", "a.ogg", "video/ogg"},
    {B("fLaC\0\0\0\x22"), "", "a", "audio/flac"},
    {B("ID3\4\0"), "", "a", "audio/mpeg"},
    {B("\xff\xfb\x90\x44"), "", "a", "audio/mpeg"},
    {B("\xff\xfe"
       "a\0b\0"),
     "text/plain", "a.txt", "application/octet-stream"},
    {B("%PDF-1.7\n"), "image/png", "a", "application/pdf"},
    {B("\x1f\x8b\x08\0"), "", "a", "application/gzip"},
    {B("PK\3\4\24\0\0\0"), "", "a.docx",
     "application/vnd.openxmlformats-officedocument.wordprocessingml.document"},
    {B("PK\3\4\24\0\0\0"), "image/png", "a.zip", "application/zip"},
    {B("PK\3\4\24\0\0\0"), "image/png", "a.png", "application/zip"},
    {B("PK\3\4\24\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\10\0\0\0mimetypeapplication/"
       "epub+zipPK\3\4"),
     "", "a.docx", "application/epub+zip"},
    {B("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"), "application/msword", "a", "application/msword"},
    /* text */
    {B("hello"), "", "a", "text/plain"},
    {B("hello"), "image/png", "a.png", "text/plain"},
    {B("a,b\n1,2\n"), "text/csv", "a", "text/csv"},
    {B("a,b\n1,2\n"), "", "A.CSV", "text/csv"},
    {B("{\"a\":1}"), "application/json", "a", "application/json"},
    {B("alert(1)"), "text/plain", "a.js", "text/javascript"},
    {B("alert(1)"), "application/javascript", "a", "text/javascript"},
    {B("# Title\n"), "", "a.md", "text/markdown"},
    {B("  <!DOCTYPE html><p>"), "text/plain", "a.txt", "text/html"},
    {B("<script>alert(1)</script>"), "image/png", "a.png", "text/html"},
    {B("<!-- x --><SCRIPT src=x>"), "text/csv", "a", "text/html"},
    {B("\xef\xbb\xbf<svg xmlns='x'><script/></svg>"), "image/png", "a.png", "image/svg+xml"},
    {B("<?xml version='1.0'?><!-- x --><svg:svg>"), "text/xml", "a.xml", "image/svg+xml"},
    {B("<?xml version='1.0'?><!-- x --><svg>"), "text/xml", "a.xml", "image/svg+xml"},
    {B("<?xml version='1.0'?><rss>"), "", "a", "application/xml"},
    {B("<?xml version='1.0'?><html>"), "text/plain", "a", "application/xhtml+xml"},
    {B("a\0b"), "text/plain", "a.txt", "application/octet-stream"},
    {B("a\xff\xfe"), "text/plain", "a.txt", "application/octet-stream"},
    {B("a\x1b[2J"), "text/plain", "a", "application/octet-stream"},
    {B(""), "", "a.csv", "text/csv"},
    {B(""), "image/png", "a.png", "text/plain"},
    /* what only the sender knows */
    {B("\1\2\3"), "application/x-mine", "a", "application/x-mine"},
    {B("\1\2\3"), "application/X-Mine", "a", "application/octet-stream"},
    {B("\1\2\3"), "image/png", "a", "application/octet-stream"},
    {B("\1\2\3"), "image/x-new", "a", "application/octet-stream"},
    {B("\1\2\3"), "video/mp4", "a.mp4", "application/octet-stream"},
    {B("\1\2\3"), "application/pdf", "a", "application/octet-stream"},
    {B("\1\2\3"), "text/html", "a.html", "application/octet-stream"},
    {B("\1\2\3"), "application/xhtml+xml", "a", "application/octet-stream"},
    {B("\1\2\3"), "application/mathml+xml", "a", "application/octet-stream"},
    {B("\1\2\3"), "application/x b", "a", "application/octet-stream"},
    {B("\1\2\3"), "application/", "a", "application/octet-stream"},
    {B("\1\2\3"), "text/plain\r\nx: y", "a", "application/octet-stream"},
};

static void test_types(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < sizeof sniffed / sizeof *sniffed; i++) {
        struct slice type = file_sniff(sniffed[i].bytes, S(sniffed[i].said), S(sniffed[i].path));
        if (!slice_is(type, sniffed[i].type))
            fail_msg("%zu: %.*s, not %s", i, SLICE_ARGS(type), sniffed[i].type);
    }
}

/* The last character of what is looked at may be cut; elsewhere it may not. */
static void test_cut_text(void **unused)
{
    char text[FILE_SNIFF_BYTES + 1];
    (void)unused;
    memset(text, 'a', sizeof text);
    text[FILE_SNIFF_BYTES - 1] = '\xc3';
    assert_true(
        slice_is(file_sniff((struct slice){text, sizeof text}, S(""), S("a")), "text/plain"));
    assert_true(slice_is(file_sniff((struct slice){text + 1, FILE_SNIFF_BYTES - 1}, S(""), S("a")),
                         "application/octet-stream"));
}

static void test_passive(void **unused)
{
    static const char *const yes[] = {"image/png", "video/mp4", "audio/ogg", "text/plain"};
    static const char *const no[] = {
        "image/svg+xml",    "text/html",       "application/pdf", "text/csv",
        "text/javascript",  "application/xml", "image/x-new",     "",
        "application/json", "text/xml"};
    (void)unused;
    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++)
        assert_true(file_type_is_passive(S(yes[i])));
    for (size_t i = 0; i < sizeof no / sizeof *no; i++)
        assert_false(file_type_is_passive(S(no[i])));
}

static void test_taken_types(void **unused)
{
    const struct file_bucket *b = files_find(rig.files, S("pics"));
    (void)unused;
    assert_true(file_type_check(b, S("image/png"), &err));
    assert_true(file_type_check(b, S("image/jpeg"), &err));
    assert_true(file_type_check(b, S("text/csv"), &err));
    assert_false(file_type_check(b, S("text/html"), &err));
    assert_int_equal(err.code, ERR_MEDIA_TYPE);
    assert_non_null(strstr(err.msg, "image/*"));
    assert_false(file_type_check(b, S("imagery/png"), &err));
    assert_true(file_type_check(files_find(rig.files, S("any")), S("text/html"), &err));
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, start, stop)
TESTS(T(test_paths), T(test_lengths), T(test_places), T(test_types), T(test_cut_text),
      T(test_passive), T(test_taken_types))
