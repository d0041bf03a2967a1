/* What stores answer, out of their XML: errors, lists of objects and of uploads. */
#include "base/clock.h"
#include "s3/s3_impl.h"
#include "wire/wire.h"

#include <string.h>

#define ITEMS_MAX 1000 /* that one answer may have */

/* The document being read; `user` is whatever is filled. */
struct reading {
    struct xml x;
    struct arena *arena;
    bool is_url; /* keys are escaped once more, as asked */
};

static bool begin(struct reading *r, struct slice body, const char *root, struct arena *a)
{
    *r = (struct reading){.arena = a};
    xml_init(&r->x, body);
    return xml_next(&r->x) == XML_OPEN && slice_is(r->x.name, root);
}

static bool decode(struct reading *r, struct slice *ret)
{
    return xml_decode(r->x.text, r->arena, ret);
}

static bool decode_bool(struct reading *r, bool *ret)
{
    struct slice text = slice_trim(r->x.text);
    *ret = slice_is(text, "true");
    return *ret || slice_is(text, "false");
}

/* EncodingType may come after the keys. */
static bool finds_url_encoding(struct slice body)
{
    struct xml x;
    enum xml_event event;
    xml_init(&x, body);
    while ((event = xml_next(&x)) < XML_END) {
        if (event == XML_CLOSE && x.depth == 2 && slice_is(x.name, "EncodingType"))
            return slice_is(slice_trim(x.text), "url");
    }
    return false;
}

static bool decode_key(struct reading *r, struct slice *ret)
{
    struct slice text;
    if (!decode(r, &text))
        return false;
    *ret = text;
    if (!r->is_url)
        return true;
    char *to = arena_try_alloc(r->arena, text.len + 1);
    return to && query_decode(text, to, ret, NULL);
}

/* One more in a growing array of at most ITEMS_MAX; cleared. NULL: too many. */
static void *one_more(struct arena *a, void **items, size_t n, size_t size)
{
    if (n == ITEMS_MAX)
        return NULL;
    if (n == 0)
        *items = arena_try_alloc(a, ITEMS_MAX * size);
    if (!*items)
        return NULL;
    void *item = (char *)*items + n * size;
    memset(item, 0, size);
    return item;
}

/* ---- errors ---------------------------------------------------------------------------------- */

static void clean(struct slice text, char *to, size_t max)
{
    size_t n = 0;
    for (size_t i = 0; i < text.len && n + 1 < max; i++) {
        char c = text.ptr[i];
        bool is_fine = ((c | 32) >= 'a' && (c | 32) <= 'z') || (c >= '0' && c <= '9') || c == '.' ||
                       c == '-' || c == '_';
        if (is_fine)
            to[n++] = c;
    }
    to[n] = '\0';
}

bool s3_error_read(struct slice body, struct s3_error *ret)
{
    struct reading r;
    enum xml_event event;
    struct s3_error found = {"", ""};
    if (!begin(&r, body, "Error", NULL))
        return false;
    while ((event = xml_next(&r.x)) < XML_END) {
        if (event != XML_CLOSE || r.x.depth != 2)
            continue;
        if (slice_is(r.x.name, "Code"))
            clean(r.x.text, found.code, sizeof found.code);
        else if (slice_is(r.x.name, "Region"))
            clean(r.x.text, found.region, sizeof found.region);
    }
    if (event == XML_BAD || !found.code[0])
        return false;
    *ret = found;
    return true;
}

/* ---- objects --------------------------------------------------------------------------------- */

static bool read_object(struct reading *r, struct s3_object *o)
{
    struct slice name = r->x.name, text = slice_trim(r->x.text);
    if (slice_is(name, "Key"))
        return decode_key(r, &o->key);
    if (slice_is(name, "ETag"))
        return decode(r, &o->etag);
    if (slice_is(name, "Size"))
        return slice_to_u64(text, &o->size);
    if (slice_is(name, "LastModified"))
        return clock_parse_rfc3339(text.ptr, text.len, &o->modified_ms);
    return true;
}

bool s3_list_read(struct slice body, struct arena *a, struct s3_page *ret)
{
    struct reading r;
    struct s3_page page = {0};
    struct s3_object *now = NULL;
    void *items = NULL;
    bool has_more = false, fine = begin(&r, body, "ListBucketResult", a);
    enum xml_event event = XML_BAD;
    r.is_url = fine && finds_url_encoding(body);
    while (fine && (event = xml_next(&r.x)) < XML_END) {
        bool is_item = r.x.depth == 2 && slice_is(r.x.name, "Contents");
        if (event == XML_OPEN && is_item) {
            fine = (now = one_more(a, &items, page.n, sizeof *now));
            page.n += fine;
        } else if (event == XML_CLOSE && is_item) {
            fine = now && now->key.ptr;
            now = NULL;
        } else if (event == XML_CLOSE && r.x.depth == 3 && now) {
            fine = read_object(&r, now);
        } else if (event == XML_CLOSE && r.x.depth == 2 && slice_is(r.x.name, "IsTruncated")) {
            fine = decode_bool(&r, &has_more);
        }
    }
    page.items = items;
    if (!fine || event == XML_BAD || (has_more && page.n == 0))
        return false;
    page.next = has_more ? page.items[page.n - 1].key : (struct slice){"", 0};
    *ret = page;
    return true;
}

bool s3_undeleted_read(struct slice body, struct arena *a, struct slice **ret, size_t *ret_n)
{
    struct reading r;
    void *items = NULL;
    size_t n = 0;
    struct slice key = {0}, code = {0};
    bool fine = begin(&r, body, "DeleteResult", a);
    enum xml_event event = XML_BAD;
    while (fine && (event = xml_next(&r.x)) < XML_END) {
        bool is_item = r.x.depth == 2 && slice_is(r.x.name, "Error");
        if (event == XML_OPEN && is_item) {
            key = code = (struct slice){0};
        } else if (event == XML_CLOSE && r.x.depth == 3 && slice_is(r.x.name, "Key")) {
            fine = decode(&r, &key);
        } else if (event == XML_CLOSE && r.x.depth == 3 && slice_is(r.x.name, "Code")) {
            code = slice_trim(r.x.text);
        } else if (event == XML_CLOSE && is_item && !slice_is(code, "NoSuchKey")) {
            struct slice *item = key.ptr ? one_more(a, &items, n, sizeof *item) : NULL;
            fine = item;
            if (item)
                *item = key, n++;
        }
    }
    *ret = items;
    *ret_n = n;
    return fine && event == XML_END;
}

/* ---- multipart uploads ----------------------------------------------------------------------- */

bool s3_completed_read(struct slice body)
{
    struct reading r;
    enum xml_event event;
    if (!begin(&r, body, "CompleteMultipartUploadResult", NULL))
        return false;
    while ((event = xml_next(&r.x)) < XML_END)
        ;
    return event == XML_END;
}

bool s3_upload_id_read(struct slice body, struct arena *a, struct slice *ret)
{
    struct reading r;
    struct slice id = {0};
    enum xml_event event;
    if (!begin(&r, body, "InitiateMultipartUploadResult", a))
        return false;
    while ((event = xml_next(&r.x)) < XML_END) {
        if (event == XML_CLOSE && r.x.depth == 2 && slice_is(r.x.name, "UploadId") &&
            !decode(&r, &id))
            return false;
    }
    if (event == XML_BAD || id.len == 0)
        return false;
    *ret = id;
    return true;
}

static bool read_upload(struct reading *r, struct s3_upload *u)
{
    struct slice name = r->x.name, text = slice_trim(r->x.text);
    if (slice_is(name, "Key"))
        return decode_key(r, &u->key);
    if (slice_is(name, "UploadId"))
        return decode(r, &u->id);
    if (slice_is(name, "Initiated"))
        return clock_parse_rfc3339(text.ptr, text.len, &u->began_ms);
    return true;
}

static bool read_uploads_head(struct reading *r, struct s3_uploads *u)
{
    if (slice_is(r->x.name, "IsTruncated"))
        return decode_bool(r, &u->has_more);
    if (slice_is(r->x.name, "NextKeyMarker"))
        return decode_key(r, &u->next_key);
    if (slice_is(r->x.name, "NextUploadIdMarker"))
        return decode(r, &u->next_id);
    return true;
}

bool s3_uploads_read(struct slice body, struct arena *a, struct s3_uploads *ret)
{
    struct reading r;
    struct s3_uploads found = {0};
    struct s3_upload *now = NULL;
    void *items = NULL;
    bool fine = begin(&r, body, "ListMultipartUploadsResult", a);
    enum xml_event event = XML_BAD;
    r.is_url = fine && finds_url_encoding(body);
    while (fine && (event = xml_next(&r.x)) < XML_END) {
        bool is_item = r.x.depth == 2 && slice_is(r.x.name, "Upload");
        if (event == XML_OPEN && is_item) {
            fine = (now = one_more(a, &items, found.n, sizeof *now));
            found.n += fine;
        } else if (event == XML_CLOSE && is_item) {
            fine = now && now->key.ptr && now->id.len;
            now = NULL;
        } else if (event == XML_CLOSE && r.x.depth == 3 && now) {
            fine = read_upload(&r, now);
        } else if (event == XML_CLOSE && r.x.depth == 2) {
            fine = read_uploads_head(&r, &found);
        }
    }
    found.items = items;
    if (!fine || event == XML_BAD || (found.has_more && !found.next_key.len))
        return false;
    *ret = found;
    return true;
}
