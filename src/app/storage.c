/* `dais doctor storage`: can the object store be used, and if not, why? Beside a server or without
 * one. */
#include "app/app_impl.h"

#include "base/json.h"

#include <stdio.h>

#define EXIT_FOUND 10

static void print_json(bool fine, struct slice bucket, struct slice message)
{
    struct buf out;
    struct json_writer w;
    buf_init(&out, 64u << 10);
    json_writer_init(&w, &out, 0);
    json_write_object(&w);
    json_write_key(&w, SLICE("ok"));
    json_write_bool(&w, fine);
    json_write_key(&w, SLICE("bucket"));
    if (bucket.len)
        json_write_str(&w, bucket);
    else
        json_write_null(&w);
    json_write_key(&w, SLICE("message"));
    json_write_str(&w, message);
    json_write_object_end(&w);
    json_writer_done(&w);
    printf("%s\n", out.data);
    buf_done(&out);
}

static void tell(bool fine, struct slice bucket, const struct err *e, bool is_json)
{
    char text[sizeof e->msg + 256];
    if (!fine && !bucket.len)
        snprintf(text, sizeof text, "%s", e->msg);
    else if (!fine)
        snprintf(text, sizeof text, "the bucket %.*s cannot be used: %s",
                 SLICE_ARGS(slice_first(bucket, 100)), e->msg);
    else if (bucket.len)
        snprintf(text, sizeof text, "the bucket %.*s can be written, read and emptied",
                 SLICE_ARGS(slice_first(bucket, 100)));
    else
        snprintf(text, sizeof text,
                 "files are kept in the data folder; with STORAGE_BACKEND=s3 and S3_BUCKET they "
                 "would be in an object store");
    if (is_json)
        print_json(fine, bucket, slice_from(text));
    else
        printf("%s\n", text);
}

int app_check_storage(const struct app_options *options, bool is_json)
{
    struct life l = {.options = *options, .lock_fd = -1};
    struct slice bucket;
    struct err e = {0};
    struct host *h = host_read(options);
    if (!h)
        return err_exit(ERR_MANIFEST);
    list_init(&l.databases);
    list_init(&l.stores);
    bool fine = store_try(h, &l, &bucket, &e);
    tell(fine, bucket, &e, is_json);
    stores_free(&l);
    service_unref(&h->service);
    return fine ? 0 : EXIT_FOUND;
}
