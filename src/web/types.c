/* File types by extension and first bytes, and names that hold a content hash. */
#include "web/types_impl.h"
#include "web/web.h"

#include <stdlib.h>
#include <string.h>

#define UTF8 "; charset=utf-8"
#define TXT  (TYPE_TEXT | TYPE_PACK)

/* Sorted by extension, for the binary search. */
static const struct web_type types[] = {
    {"3gp", "video/3gpp", 0},
    {"7z", "application/x-7z-compressed", 0},
    {"aac", "audio/aac", 0},
    {"apng", "image/apng", TYPE_IMAGE},
    {"atom", "application/atom+xml" UTF8, TXT},
    {"avi", "video/x-msvideo", 0},
    {"avif", "image/avif", TYPE_IMAGE},
    {"bin", "application/octet-stream", 0},
    {"bmp", "image/bmp", TYPE_IMAGE | TYPE_PACK},
    {"br", "application/octet-stream", 0},
    {"bz2", "application/x-bzip2", 0},
    {"cjs", "text/javascript" UTF8, TXT},
    {"css", "text/css" UTF8, TXT},
    {"csv", "text/csv" UTF8, TXT},
    {"doc", "application/msword", 0},
    {"docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document", 0},
    {"eot", "application/vnd.ms-fontobject", TYPE_PACK},
    {"epub", "application/epub+zip", 0},
    {"flac", "audio/flac", 0},
    {"geojson", "application/geo+json" UTF8, TXT},
    {"gif", "image/gif", TYPE_IMAGE},
    {"glb", "model/gltf-binary", TYPE_PACK},
    {"gltf", "model/gltf+json" UTF8, TXT},
    {"gz", "application/gzip", 0},
    {"heic", "image/heic", TYPE_IMAGE},
    {"htm", "text/html" UTF8, TXT | TYPE_HTML},
    {"html", "text/html" UTF8, TXT | TYPE_HTML},
    {"ico", "image/x-icon", TYPE_IMAGE | TYPE_PACK},
    {"ics", "text/calendar" UTF8, TXT},
    {"jpeg", "image/jpeg", TYPE_IMAGE},
    {"jpg", "image/jpeg", TYPE_IMAGE},
    {"js", "text/javascript" UTF8, TXT},
    {"json", "application/json" UTF8, TXT},
    {"json5", "application/json5" UTF8, TXT},
    {"jsonl", "application/jsonl" UTF8, TXT},
    {"jsonld", "application/ld+json" UTF8, TXT},
    {"jxl", "image/jxl", TYPE_IMAGE},
    {"kml", "application/vnd.google-earth.kml+xml" UTF8, TXT},
    {"log", "text/plain" UTF8, TXT},
    {"m3u8", "application/vnd.apple.mpegurl", TYPE_PACK},
    {"m4a", "audio/mp4", 0},
    {"m4v", "video/mp4", 0},
    {"manifest", "text/cache-manifest" UTF8, TXT},
    {"map", "application/json" UTF8, TXT},
    {"md", "text/markdown" UTF8, TXT},
    {"mid", "audio/midi", 0},
    {"mjs", "text/javascript" UTF8, TXT},
    {"mkv", "video/x-matroska", 0},
    {"mov", "video/quicktime", 0},
    {"mp3", "audio/mpeg", 0},
    {"mp4", "video/mp4", 0},
    {"mpd", "application/dash+xml" UTF8, TXT},
    {"mpeg", "video/mpeg", 0},
    {"obj", "model/obj", TYPE_PACK},
    {"oga", "audio/ogg", 0},
    {"ogg", "audio/ogg", 0},
    {"ogv", "video/ogg", 0},
    {"opus", "audio/ogg", 0},
    {"otf", "font/otf", TYPE_PACK},
    {"parquet", "application/vnd.apache.parquet", 0},
    {"pdf", "application/pdf", 0},
    {"pmtiles", "application/vnd.pmtiles", 0},
    {"png", "image/png", TYPE_IMAGE},
    {"ppt", "application/vnd.ms-powerpoint", 0},
    {"pptx", "application/vnd.openxmlformats-officedocument.presentationml.presentation", 0},
    {"rss", "application/rss+xml" UTF8, TXT},
    {"rtf", "application/rtf", TYPE_PACK},
    {"srt", "text/plain" UTF8, TXT},
    {"stl", "model/stl", TYPE_PACK},
    {"svg", "image/svg+xml" UTF8, TXT},
    {"tar", "application/x-tar", 0},
    {"tif", "image/tiff", TYPE_IMAGE},
    {"tiff", "image/tiff", TYPE_IMAGE},
    {"toml", "application/toml" UTF8, TXT},
    {"ts", "video/mp2t", 0},
    {"tsv", "text/tab-separated-values" UTF8, TXT},
    {"ttf", "font/ttf", TYPE_PACK},
    {"txt", "text/plain" UTF8, TXT},
    {"vtt", "text/vtt" UTF8, TXT},
    {"wasm", "application/wasm", TYPE_PACK},
    {"wav", "audio/wav", 0},
    {"weba", "audio/webm", 0},
    {"webm", "video/webm", 0},
    {"webmanifest", "application/manifest+json" UTF8, TXT},
    {"webp", "image/webp", TYPE_IMAGE},
    {"woff", "font/woff", 0},
    {"woff2", "font/woff2", 0},
    {"xhtml", "application/xhtml+xml" UTF8, TXT | TYPE_HTML},
    {"xls", "application/vnd.ms-excel", 0},
    {"xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", 0},
    {"xml", "application/xml" UTF8, TXT},
    {"xsl", "application/xslt+xml" UTF8, TXT},
    {"yaml", "application/yaml" UTF8, TXT},
    {"yml", "application/yaml" UTF8, TXT},
    {"zip", "application/zip", 0},
    {"zst", "application/zstd", 0},
};
static const struct web_type unknown = {"", "application/octet-stream", 0};

/*          at  bytes                               type */
static const struct {
    size_t at;
    struct slice bytes;
    const char *type;
} magics[] = {
    {0, SLICE_INIT("\x89PNG\r\n\x1a\n"), "image/png"},
    {0, SLICE_INIT("\xff\xd8\xff"), "image/jpeg"},
    {0, SLICE_INIT("GIF8"), "image/gif"},
    {8, SLICE_INIT("WEBP"), "image/webp"},
    {4, SLICE_INIT("ftypavif"), "image/avif"},
    {4, SLICE_INIT("ftypavis"), "image/avif"},
    {4, SLICE_INIT("ftypheic"), "image/heic"},
    {0, SLICE_INIT("\xff\x0a"), "image/jxl"},
    {0, SLICE_INIT("\0\0\1\0"), "image/x-icon"},
    {0, SLICE_INIT("II*\0"), "image/tiff"},
    {0, SLICE_INIT("MM\0*"), "image/tiff"},
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_upper(char c)
{
    return c >= 'A' && c <= 'Z';
}

static bool is_lower(char c)
{
    return c >= 'a' && c <= 'z';
}

static bool is_letter(char c)
{
    return is_upper(c) || is_lower(c);
}

static struct slice name_of(struct slice path)
{
    return slice_skip(path, (size_t)(slice_rindex(path, '/') + 1));
}

/* Behind the last dot that is not the first character. */
static struct slice extension_of(struct slice path)
{
    struct slice name = name_of(path);
    ptrdiff_t dot = slice_rindex(name, '.');
    return dot < 1 ? (struct slice){0} : slice_skip(name, (size_t)dot + 1);
}

static int compare_ext(const void *key, const void *row)
{
    return strcmp(key, ((const struct web_type *)row)->ext);
}

const struct web_type *type_of(struct slice path)
{
    struct slice ext = extension_of(path);
    char lower[16];
    if (!ext.len || ext.len >= sizeof lower)
        return &unknown;
    for (size_t i = 0; i < ext.len; i++)
        lower[i] = is_upper(ext.ptr[i]) ? (char)(ext.ptr[i] + 32) : ext.ptr[i];
    lower[ext.len] = 0;
    const struct web_type *t =
        bsearch(lower, types, sizeof types / sizeof *types, sizeof *types, compare_ext);
    return t ? t : &unknown;
}

const char *image_sniff(struct slice first)
{
    for (size_t i = 0; i < sizeof magics / sizeof *magics; i++) {
        if (slice_starts(slice_skip(first, magics[i].at), magics[i].bytes))
            return magics[i].type;
    }
    return NULL;
}

bool path_has_extension(struct slice path)
{
    struct slice ext = extension_of(path);
    bool letter = false;
    for (size_t i = 0; i < ext.len; i++) {
        if (!is_letter(ext.ptr[i]) && !is_digit(ext.ptr[i]))
            return false;
        letter |= is_letter(ext.ptr[i]);
    }
    return letter;
}

bool path_has_dot_name(struct slice path)
{
    return slice_search(path, SLICE("/.")) >= 0;
}

bool web_may_be_text(struct slice path)
{
    const struct web_type *t = type_of(path);
    return t == &unknown || (t->flags & TYPE_TEXT);
}

/* ---- names that hold a hash
 * ---------------------------------------------------------------------- */

struct census {
    bool only_hex, digit, letter, upper, lower, inner_upper, inner_digit;
    size_t digit_run; /* the longest */
};

/* False when the token holds anything but letters and digits. */
static bool count_token(struct slice t, struct census *ret)
{
    struct census c = {.only_hex = true};
    size_t run = 0;
    for (size_t i = 0; i < t.len; i++) {
        char x = t.ptr[i];
        if (!is_letter(x) && !is_digit(x))
            return false;
        c.only_hex &= is_digit(x) || (x >= 'a' && x <= 'f');
        c.upper |= is_upper(x);
        c.lower |= is_lower(x);
        c.inner_upper |= i && is_upper(x);
        c.inner_digit |= is_digit(x) && i + 1 < t.len && is_letter(t.ptr[i + 1]);
        c.digit |= is_digit(x);
        run = is_digit(x) ? run + 1 : 0;
        c.digit_run = run > c.digit_run ? run : c.digit_run;
    }
    c.letter = c.upper || c.lower;
    *ret = c;
    return true;
}

/* Wrongly seeing a hash pins a file for a year; wrongly seeing none costs one question per use.
 * So dates (20240131), words with a number (Chapter12) and plain words are not taken for one. */
static bool token_is_hash(struct slice t, bool in_assets)
{
    struct census c;
    if (t.len < 8 || t.len > 64 || !count_token(t, &c))
        return false;
    if (c.only_hex)
        return c.digit && c.letter;
    if (c.inner_digit && c.upper && c.digit_run < 4)
        return true;
    return in_assets && t.len == 8 && c.lower && c.inner_upper;
}

bool path_is_hashed(struct slice path)
{
    if (slice_search(path, SLICE("/_app/immutable/")) >= 0)
        return true;
    struct slice stem = name_of(path), ext = extension_of(path);
    if (!ext.len || (type_of(path)->flags & TYPE_HTML))
        return false;
    stem.len -= ext.len + 1;
    if (slice_is(ext, "map")) { /* app.3f2a9c1b.js.map */
        ext = extension_of(stem);
        stem.len -= ext.len ? ext.len + 1 : 0;
    }
    bool in_assets = slice_search(path, SLICE("/assets/")) >= 0;
    for (size_t i = 0, from = 0; i <= stem.len; i++) { /* every word but the first */
        if (i < stem.len && !strchr("-._", stem.ptr[i]))
            continue;
        if (from && token_is_hash((struct slice){stem.ptr + from, i - from}, in_assets))
            return true;
        from = i + 1;
    }
    return false;
}
