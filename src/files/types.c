/* The table of media types: which are shown, which need more than somebody's word. */
#include "files/types_impl.h"

static const struct type_row types[] = {
    {"image/png", TYPE_BYTES, true, "png"},
    {"image/jpeg", TYPE_BYTES, true, "jpg jpeg"},
    {"image/gif", TYPE_BYTES, true, "gif"},
    {"image/webp", TYPE_BYTES, true, "webp"},
    {"image/avif", TYPE_BYTES, true, "avif"},
    {"image/heic", TYPE_BYTES, true, "heic heif"},
    {"image/jxl", TYPE_BYTES, true, "jxl"},
    {"image/bmp", TYPE_BYTES, true, "bmp"},
    {"image/tiff", TYPE_BYTES, true, "tif tiff"},
    {"image/vnd.microsoft.icon", TYPE_BYTES, true, "ico"},
    {"image/vnd.adobe.photoshop", TYPE_BYTES, false, "psd"},
    {"image/svg+xml", TYPE_TEXT, false, "svg"},
    {"audio/mpeg", TYPE_BYTES, true, "mp3"},
    {"audio/aac", TYPE_BYTES, true, "aac"},
    {"audio/wav", TYPE_BYTES, true, "wav"},
    {"audio/aiff", TYPE_BYTES, true, "aif aiff"},
    {"audio/flac", TYPE_BYTES, true, "flac"},
    {"audio/midi", TYPE_BYTES, true, "mid midi"},
    {"audio/amr", TYPE_BYTES, true, "amr"},
    {"audio/ogg", TYPE_OGG, true, "ogg oga opus"},
    {"video/ogg", TYPE_OGG, true, "ogv"},
    {"audio/webm", TYPE_WEBM, true, "weba"},
    {"video/webm", TYPE_WEBM, true, "webm"},
    {"video/x-matroska", TYPE_BYTES, true, "mkv"},
    {"audio/mp4", TYPE_MP4, true, "m4a"},
    {"video/mp4", TYPE_MP4, true, "mp4 m4v"},
    {"video/quicktime", TYPE_BYTES, true, "mov"},
    {"video/3gpp", TYPE_BYTES, true, "3gp"},
    {"video/x-msvideo", TYPE_BYTES, true, "avi"},
    {"video/x-flv", TYPE_BYTES, true, "flv"},
    {"text/plain", TYPE_TEXT, true, "txt log"},
    {"text/csv", TYPE_TEXT, false, "csv"},
    {"text/tab-separated-values", TYPE_TEXT, false, "tsv"},
    {"text/html", TYPE_TEXT, false, "html htm"},
    {"text/css", TYPE_TEXT, false, "css"},
    {"text/javascript", TYPE_TEXT, false, "js mjs"},
    {"text/markdown", TYPE_TEXT, false, "md markdown"},
    {"text/calendar", TYPE_TEXT, false, "ics"},
    {"text/vcard", TYPE_TEXT, false, "vcf"},
    {"text/vtt", TYPE_TEXT, false, "vtt"},
    {"text/xml", TYPE_TEXT, false, ""},
    {"application/xml", TYPE_TEXT, false, "xml xsl xslt"},
    {"application/xhtml+xml", TYPE_TEXT, false, "xhtml"},
    {"application/json", TYPE_TEXT, false, "json map"},
    {"application/ld+json", TYPE_TEXT, false, "jsonld"},
    {"application/geo+json", TYPE_TEXT, false, "geojson"},
    {"application/manifest+json", TYPE_TEXT, false, "webmanifest"},
    {"application/x-ndjson", TYPE_TEXT, false, "ndjson jsonl"},
    {"application/yaml", TYPE_TEXT, false, "yaml yml"},
    {"application/toml", TYPE_TEXT, false, "toml"},
    {"application/sql", TYPE_TEXT, false, "sql"},
    {"application/rtf", TYPE_BYTES, false, "rtf"},
    {"application/pdf", TYPE_BYTES, false, "pdf"},
    {"application/postscript", TYPE_BYTES, false, "ps eps"},
    {"application/zip", TYPE_BYTES, false, "zip"},
    {"application/vnd.openxmlformats-officedocument.wordprocessingml.document", TYPE_ZIP, false,
     "docx"},
    {"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", TYPE_ZIP, false, "xlsx"},
    {"application/vnd.openxmlformats-officedocument.presentationml.presentation", TYPE_ZIP, false,
     "pptx"},
    {"application/vnd.oasis.opendocument.text", TYPE_ZIP, false, "odt"},
    {"application/vnd.oasis.opendocument.spreadsheet", TYPE_ZIP, false, "ods"},
    {"application/vnd.oasis.opendocument.presentation", TYPE_ZIP, false, "odp"},
    {"application/vnd.oasis.opendocument.graphics", TYPE_ZIP, false, "odg"},
    {"application/epub+zip", TYPE_ZIP, false, "epub"},
    {"application/vnd.google-earth.kmz", TYPE_ZIP, false, "kmz"},
    {"application/java-archive", TYPE_ZIP, false, "jar"},
    {"application/vnd.android.package-archive", TYPE_ZIP, false, "apk"},
    {"application/msword", TYPE_OLE, false, "doc"},
    {"application/vnd.ms-excel", TYPE_OLE, false, "xls"},
    {"application/vnd.ms-powerpoint", TYPE_OLE, false, "ppt"},
    {"application/vnd.ms-outlook", TYPE_OLE, false, "msg"},
    {"application/gzip", TYPE_BYTES, false, "gz tgz"},
    {"application/x-bzip2", TYPE_BYTES, false, "bz2"},
    {"application/x-xz", TYPE_BYTES, false, "xz"},
    {"application/zstd", TYPE_BYTES, false, "zst"},
    {"application/x-7z-compressed", TYPE_BYTES, false, "7z"},
    {"application/vnd.rar", TYPE_BYTES, false, "rar"},
    {"application/x-tar", TYPE_BYTES, false, "tar"},
    {"application/wasm", TYPE_BYTES, false, "wasm"},
    {"application/vnd.sqlite3", TYPE_BYTES, false, "sqlite sqlite3"},
    {"application/vnd.apache.parquet", TYPE_BYTES, false, "parquet"},
    {"application/x-elf", TYPE_BYTES, false, ""},
    {"application/vnd.microsoft.portable-executable", TYPE_BYTES, false, "exe dll"},
    {"font/woff", TYPE_BYTES, false, "woff"},
    {"font/woff2", TYPE_BYTES, false, "woff2"},
    {"font/ttf", TYPE_BYTES, false, "ttf"},
    {"font/otf", TYPE_BYTES, false, "otf"},
    {"application/x-ole-storage", TYPE_BYTES, false, ""},
    {"application/ogg", TYPE_BYTES, false, "ogx"},
};

/* Other names that programs use. */
static const struct {
    const char *name, *stands_for;
} others[] = {
    {"image/jpg", "image/jpeg"},
    {"image/heif", "image/heic"},
    {"image/x-icon", "image/vnd.microsoft.icon"},
    {"audio/mp3", "audio/mpeg"},
    {"audio/x-wav", "audio/wav"},
    {"audio/wave", "audio/wav"},
    {"audio/x-m4a", "audio/mp4"},
    {"audio/x-flac", "audio/flac"},
    {"text/x-markdown", "text/markdown"},
    {"application/javascript", "text/javascript"},
    {"application/x-javascript", "text/javascript"},
    {"application/csv", "text/csv"},
    {"application/x-yaml", "application/yaml"},
    {"text/yaml", "application/yaml"},
    {"text/rtf", "application/rtf"},
    {"application/x-gzip", "application/gzip"},
    {"application/x-zip-compressed", "application/zip"},
    {"application/x-pdf", "application/pdf"},
    {"application/x-rar-compressed", "application/vnd.rar"},
    {"application/x-sqlite3", "application/vnd.sqlite3"},
};

static const struct type_row *row_named(struct slice name)
{
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (slice_eq_nocase(name, slice_from(types[i].name)))
            return &types[i];
    }
    return NULL;
}

const struct type_row *type_named(struct slice name)
{
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        if (slice_eq_nocase(name, slice_from(others[i].name)))
            return row_named(slice_from(others[i].stands_for));
    }
    return row_named(name);
}

static bool ends_have(const char *ends, struct slice end)
{
    struct slice rest = slice_from(ends), one;
    while (slice_cut(&rest, ' ', &one)) {
        if (slice_eq_nocase(one, end))
            return true;
    }
    return false;
}

const struct type_row *type_of_path(struct slice path)
{
    ptrdiff_t dot = slice_rindex(path, '.'), slash = slice_rindex(path, '/');
    if (dot <= slash)
        return NULL;
    struct slice end = slice_skip(path, (size_t)dot + 1);
    for (size_t i = 0; end.len && i < sizeof types / sizeof *types; i++) {
        if (ends_have(types[i].ends, end))
            return &types[i];
    }
    return NULL;
}

bool file_type_is_passive(struct slice type)
{
    const struct type_row *row = row_named(type);
    return row && row->is_passive;
}

static bool pattern_has(struct slice pattern, struct slice type)
{
    const struct type_row *row = type_named(pattern);
    if (!slice_ends(pattern, SLICE("/*")))
        return slice_eq_nocase(row ? slice_from(row->name) : pattern, type);
    return slice_starts_nocase(type, slice_first(pattern, pattern.len - 1));
}

bool file_type_check(const struct file_bucket *b, struct slice type, struct err *e)
{
    const struct texts *patterns = &b->conf->types;
    struct buf taken;
    for (size_t i = 0; i < patterns->n; i++) {
        if (pattern_has(patterns->items[i].s, type))
            return true;
    }
    if (!patterns->n)
        return true;
    buf_init(&taken, 120);
    for (size_t i = 0; i < patterns->n && !taken.full; i++)
        buf_printf(&taken, "%s%.*s", i ? ", " : "", SLICE_ARGS(patterns->items[i].s));
    err_set(e, ERR_MEDIA_TYPE, "%.*s takes %.*s%s, and this is %.*s.", SLICE_ARGS(b->name),
            SLICE_ARGS(buf_slice(&taken)), taken.full ? "…" : "",
            SLICE_ARGS(slice_first(type, 60)));
    buf_done(&taken);
    return false;
}
