/* Fuzzes the XML of object stores and everything that is read out of it. */
#include "base/utf8.h"
#include "s3/s3_impl.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void walk(struct slice text, struct arena *a)
{
    struct xml x;
    struct slice s;
    enum xml_event event;
    int open = 0;
    xml_init(&x, text);
    for (size_t n = 0; (event = xml_next(&x)) < XML_END; n++) {
        must(n <= text.len);
        open += event == XML_OPEN;
        must(x.depth == open && open <= XML_DEPTH_MAX && open > 0 && x.name.len > 0);
        open -= event == XML_CLOSE;
        if (event == XML_CLOSE && xml_decode(x.text, a, &s))
            must(s.len <= x.text.len && utf8_is_valid(s));
    }
    must(event == XML_BAD || open == 0);
    must(xml_next(&x) == event);
}

static void escape(struct slice text, struct arena *a)
{
    struct slice s;
    struct buf to;
    buf_init(&to, 8u << 20);
    xml_escape(&to, text);
    if (utf8_is_valid(text) && xml_decode(buf_slice(&to), a, &s))
        must(slice_eq(s, text));
    buf_done(&to);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = {(const char *)data, size};
    struct arena a;
    struct s3_error error;
    struct s3_page page;
    struct s3_uploads uploads;
    struct slice id, *keys;
    size_t n;
    arena_init(&a, 4u << 20);
    walk(text, &a);
    escape(text, &a);
    if (s3_error_read(text, &error))
        must(strlen(error.code) < S3_CODE_MAX && strlen(error.region) < S3_REGION_MAX);
    if (s3_list_read(text, &a, &page)) {
        for (size_t i = 0; i < page.n; i++)
            must(page.items[i].key.ptr && utf8_is_valid(page.items[i].key));
    }
    (void)s3_uploads_read(text, &a, &uploads);
    (void)s3_undeleted_read(text, &a, &keys, &n);
    if (s3_upload_id_read(text, &a, &id))
        must(id.len > 0);
    arena_done(&a);
    return 0;
}
