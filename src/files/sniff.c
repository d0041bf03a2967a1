/* What the first bytes of a file are.
 *
 * Browsers show what they are told: a page that is called an image would be a page where somebody
 * believes the name. So what is known by its bytes is known by them alone; a name only chooses
 * among kinds of text, of archives and the like, and never makes something passive that is not. */
#include "files/types_impl.h"

#include "base/utf8.h"

#include <string.h>

#define MIME_MAX 127
#define FTYP_MAX 64

#define BYTES(text) SLICE_INIT(text)
static const struct {
    size_t at;
    struct slice bytes;
    const char *type;
} magic[] = {
    {0, BYTES("\x89PNG\r\n\x1a\n"), "image/png"},
    {0, BYTES("\xff\xd8\xff"), "image/jpeg"},
    {0, BYTES("GIF87a"), "image/gif"},
    {0, BYTES("GIF89a"), "image/gif"},
    {0, BYTES("\0\0\0\x0cJXL \r\n\x87\n"), "image/jxl"},
    {0, BYTES("\xff\x0a"), "image/jxl"},
    {0, BYTES("II*\0"), "image/tiff"},
    {0, BYTES("MM\0*"), "image/tiff"},
    {0, BYTES("\0\0\1\0"), "image/vnd.microsoft.icon"},
    {0, BYTES("8BPS\0\1"), "image/vnd.adobe.photoshop"},
    {0, BYTES("ID3\2"), "audio/mpeg"},
    {0, BYTES("ID3\3"), "audio/mpeg"},
    {0, BYTES("ID3\4"), "audio/mpeg"},
    {0, BYTES("\xff\xf1"), "audio/aac"},
    {0, BYTES("\xff\xf9"), "audio/aac"},
    {0, BYTES("fLaC"), "audio/flac"},
    {0, BYTES("MThd\0\0\0\x06"), "audio/midi"},
    {0, BYTES("#!AMR"), "audio/amr"},
    {0, BYTES("FLV\1"), "video/x-flv"},
    {0, BYTES("%PDF-"), "application/pdf"},
    {0, BYTES("%!PS-Adobe-"), "application/postscript"},
    {0, BYTES("{\\rtf"), "application/rtf"},
    {0, BYTES("\x1f\x8b\x08"), "application/gzip"},
    {4, BYTES("1AY&SY"), "application/x-bzip2"},
    {0,
     BYTES("\xfd"
           "7zXZ\0"),
     "application/x-xz"},
    {0, BYTES("\x28\xb5\x2f\xfd"), "application/zstd"},
    {0, BYTES("7z\xbc\xaf\x27\x1c"), "application/x-7z-compressed"},
    {0, BYTES("Rar!\x1a\x07"), "application/vnd.rar"},
    {257, BYTES("ustar"), "application/x-tar"},
    {0, BYTES("\0asm"), "application/wasm"},
    {0, BYTES("SQLite format 3\0"), "application/vnd.sqlite3"},
    {0, BYTES("PAR1"), "application/vnd.apache.parquet"},
    {0,
     BYTES("\x7f"
           "ELF"),
     "application/x-elf"},
    {0, BYTES("wOFF"), "font/woff"},
    {0, BYTES("wOF2"), "font/woff2"},
    {0, BYTES("\0\1\0\0\0"), "font/ttf"},
    {0, BYTES("OTTO\0"), "font/otf"},
};

/* Files whose first bytes say in which container they are, and whose eighth what is in it. */
static const struct {
    const char *head, *form, *type;
} forms[] = {
    {"RIFF", "WEBP", "image/webp"},      {"RIFF", "WAVE", "audio/wav"},
    {"RIFF", "AVI ", "video/x-msvideo"}, {"FORM", "AIFF", "audio/aiff"},
    {"FORM", "AIFC", "audio/aiff"},
};

/* Of an ISO media file; the first that is among its brands. */
static const struct {
    const char *brand, *type;
} brands[] = {
    {"avif", "image/avif"},      {"avis", "image/avif"}, {"heic", "image/heic"},
    {"heix", "image/heic"},      {"heim", "image/heic"}, {"heis", "image/heic"},
    {"hevc", "image/heic"},      {"mif1", "image/heic"}, {"msf1", "image/heic"},
    {"qt  ", "video/quicktime"}, {"M4A ", "audio/mp4"},  {"M4B ", "audio/mp4"},
    {"3gp4", "video/3gpp"},      {"3gp5", "video/3gpp"}, {"3gp6", "video/3gpp"},
};

static bool has_at(struct slice s, size_t at, struct slice bytes)
{
    return s.len >= at + bytes.len && memcmp(s.ptr + at, bytes.ptr, bytes.len) == 0;
}

static bool has_4(struct slice s, size_t at, const char *four)
{
    return has_at(s, at, (struct slice){four, 4});
}

static bool has_anywhere(struct slice s, const char *text)
{
    return slice_search(s, slice_from(text)) >= 0;
}

/* ---- containers ------------------------------------------------------------------------------ */

/* One of the types of that container, if somebody says so. */
static const char *said_or(enum type_kind kind, struct slice said, struct slice path,
                           const char *other)
{
    const struct type_row *by_said = type_named(said), *by_path = type_of_path(path);
    if (by_said && by_said->kind == kind)
        return by_said->name;
    return by_path && by_path->kind == kind ? by_path->name : other;
}

static const char *iso_media(struct slice s, struct slice said, struct slice path)
{
    if (!has_4(s, 4, "ftyp"))
        return NULL;
    size_t len = (size_t)(unsigned char)s.ptr[2] << 8 | (unsigned char)s.ptr[3];
    struct slice box = slice_first(s, len < FTYP_MAX ? len : FTYP_MAX);
    for (size_t at = 8; at + 4 <= box.len; at += at == 8 ? 8 : 4) { /* then a version, then more */
        for (size_t i = 0; i < sizeof brands / sizeof *brands; i++) {
            if (has_4(box, at, brands[i].brand))
                return brands[i].type;
        }
    }
    return said_or(TYPE_MP4, said, path, "video/mp4");
}

static const char *matroska(struct slice s, struct slice said, struct slice path)
{
    if (!has_at(s, 0, SLICE("\x1a\x45\xdf\xa3")))
        return NULL;
    return has_anywhere(slice_first(s, 128), "webm") ? said_or(TYPE_WEBM, said, path, "video/webm")
                                                     : "video/x-matroska";
}

static const char *ogg(struct slice s, struct slice said, struct slice path)
{
    if (!has_at(s, 0, SLICE("OggS\0")))
        return NULL;
    if (has_anywhere(s, "\x80theora"))
        return "video/ogg";
    return said_or(TYPE_OGG, said, path, "audio/ogg");
}

/* Open documents and e-books begin with a file that says what they are. */
static const char *zip(struct slice s, struct slice said, struct slice path)
{
    if (!has_4(s, 0, "PK\3\4") && !has_4(s, 0, "PK\5\6"))
        return NULL;
    if (has_at(s, 30, SLICE("mimetype"))) {
        struct slice rest = slice_skip(s, 38);
        size_t n = 0;
        while (n < rest.len && n < MIME_MAX && rest.ptr[n] > ' ' && rest.ptr[n] < 0x7f &&
               !has_4(rest, n, "PK\3\4") && !has_4(rest, n, "PK\7\x08"))
            n++;
        const struct type_row *row = type_named(slice_first(rest, n));
        if (row && row->kind == TYPE_ZIP)
            return row->name;
    }
    return said_or(TYPE_ZIP, said, path, "application/zip");
}

static const char *ole(struct slice s, struct slice said, struct slice path)
{
    if (!has_at(s, 0, SLICE("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")))
        return NULL;
    return said_or(TYPE_OLE, said, path, "application/x-ole-storage");
}

static const char *form(struct slice s)
{
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        if (has_4(s, 0, forms[i].head) && has_4(s, 8, forms[i].form))
            return forms[i].type;
    }
    return NULL;
}

/* MPEG sound without a head: a frame of layer III whose rate exists. */
static const char *mpeg(struct slice s)
{
    if (s.len < 4)
        return NULL;
    const unsigned char *b = (const unsigned char *)s.ptr;
    bool is_frame = b[0] == 0xff && (b[1] & 0xe6) == 0xe2 && (b[1] & 0x18) != 0x08 &&
                    (b[2] & 0xf0) != 0xf0 && (b[2] & 0xf0) != 0 && (b[2] & 0x0c) != 0x0c;
    return is_frame ? "audio/mpeg" : NULL;
}

static const char *bitmap(struct slice s)
{
    bool is_it = has_at(s, 0, SLICE("BM")) && has_at(s, 6, SLICE("\0\0\0\0")) &&
                 has_at(s, 15, SLICE("\0\0\0"));
    return is_it ? "image/bmp" : NULL;
}

static const char *of_magic(struct slice s)
{
    for (size_t i = 0; i < sizeof magic / sizeof *magic; i++) {
        if (has_at(s, magic[i].at, magic[i].bytes))
            return magic[i].type;
    }
    return NULL;
}

static const char *of_bytes(struct slice s, struct slice said, struct slice path)
{
    const char *found = of_magic(s);
    found = found ? found : form(s);
    found = found ? found : bitmap(s);
    found = found ? found : mpeg(s);
    found = found ? found : iso_media(s, said, path);
    found = found ? found : matroska(s, said, path);
    found = found ? found : ogg(s, said, path);
    found = found ? found : zip(s, said, path);
    return found ? found : ole(s, said, path);
}

/* ---- text ------------------------------------------------------------------------------------ */

/* The last character may be cut. */
static bool is_text(struct slice s, bool is_cut)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if ((c < ' ' && c != '\t' && c != '\n' && c != '\r' && c != '\f') || c == 0x7f)
            return false;
    }
    for (size_t cut = 0; cut <= 3 && cut <= s.len; cut++) {
        if (utf8_is_valid(slice_first(s, s.len - cut)))
            return true;
        if (!is_cut)
            return false;
    }
    return false;
}

static struct slice skip_space(struct slice s)
{
    while (s.len && (s.ptr[0] == ' ' || s.ptr[0] == '\t' || s.ptr[0] == '\n' || s.ptr[0] == '\r' ||
                     s.ptr[0] == '\f'))
        s = slice_skip(s, 1);
    return s;
}

/* Past comments, declarations and instructions to the first element. */
static struct slice first_element(struct slice s)
{
    for (;;) {
        s = skip_space(s);
        const char *end = slice_starts(s, SLICE("<!--")) ? "-->"
                          : slice_starts(s, SLICE("<?")) ? "?>"
                          : slice_starts(s, SLICE("<!")) ? ">"
                                                         : NULL;
        ptrdiff_t at = end ? slice_search(s, slice_from(end)) : -1;
        if (at < 0)
            return s;
        s = slice_skip(s, (size_t)at + strlen(end));
    }
}

/* What a browser would take for a page, were it asked to guess. */
static bool is_page(struct slice s)
{
    static const char *const tags[] = {
        "!doctype html", "html",  "head", "body", "script", "iframe", "style", "title",
        "div",           "table", "h1",   "p",    "a",      "b",      "br",    "font",
        "img",           "meta",  "link", "form", "base",   "object", "embed"};
    if (!s.len || s.ptr[0] != '<')
        return false;
    s = slice_skip(s, 1);
    for (size_t i = 0; i < sizeof tags / sizeof *tags; i++) {
        size_t n = strlen(tags[i]);
        if (slice_starts_nocase(s, slice_from(tags[i])) &&
            (s.len == n || memchr(" \t\r\n\f>/", s.ptr[n], 7)))
            return true;
    }
    return false;
}

static bool is_svg(struct slice element)
{
    return slice_starts_nocase(element, SLICE("<svg")) &&
           (element.len == 4 || memchr(" \t\r\n\f>/:", element.ptr[4], 8));
}

static bool is_row_of_text(const struct type_row *row)
{
    return row && row->kind == TYPE_TEXT;
}

/* What is said, unless it says no more than that it is text. */
static const char *named_text(struct slice said, struct slice path)
{
    const struct type_row *row = type_named(said);
    if (is_row_of_text(row) && !row->is_passive)
        return row->name;
    row = type_of_path(path);
    return is_row_of_text(row) ? row->name : "text/plain";
}

static const char *of_text(struct slice s, struct slice said, struct slice path)
{
    const char *named = named_text(said, path);
    if (slice_starts(s, SLICE("\xef\xbb\xbf")))
        s = slice_skip(s, 3);
    s = skip_space(s);
    struct slice element = first_element(s);
    bool is_xml = slice_starts(s, SLICE("<?xml"));
    if (is_svg(element))
        return "image/svg+xml";
    if (slice_is(slice_from(named), "text/markdown")) /* which may begin with some of a page */
        return named;
    if (!is_xml && (is_page(s) || is_page(element)))
        return "text/html";
    if (is_xml && is_page(element))
        return "application/xhtml+xml";
    bool is_plain = slice_is(slice_from(named), "text/plain");
    if (!is_xml || !is_plain)
        return named;
    return "application/xml";
}

/* ---- all of it ------------------------------------------------------------------------------- */

/* `type/subtype` in lower case that is no text and nothing that bytes would have told. */
static bool may_be_said(struct slice said)
{
    static const char *const trees[] = {"application/", "font/", "model/", "chemical/"};
    static const char *const texts[] = {"xml", "json", "script", "html", "yaml", "form-"};
    bool is_ours = false;
    for (size_t i = 0; i < sizeof trees / sizeof *trees; i++)
        is_ours |= slice_starts(said, slice_from(trees[i]));
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        is_ours &= !has_anywhere(said, texts[i]);
    ptrdiff_t slash = slice_index(said, '/');
    if (!is_ours || said.len > MIME_MAX || type_named(said) || (size_t)slash + 1 == said.len)
        return false;
    for (size_t i = (size_t)slash + 1; i < said.len; i++) {
        char c = said.ptr[i];
        if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') &&
            (c == '\0' || !strchr("!#$&^_.+-", c)))
            return false;
    }
    return true;
}

struct slice file_sniff(struct slice first, struct slice said, struct slice path)
{
    bool is_cut = first.len >= FILE_SNIFF_BYTES;
    first = slice_first(first, FILE_SNIFF_BYTES);
    const char *found = of_bytes(first, said, path);
    if (found)
        return slice_from(found);
    if (is_text(first, is_cut))
        return slice_from(of_text(first, said, path));
    return may_be_said(said) ? said : SLICE("application/octet-stream");
}
