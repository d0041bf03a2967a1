/* Large objects in parts: begun, sent one by one, put together; ended when anything fails. */
#include "s3/s3_impl.h"

#include <stdio.h>
#include <string.h>

#define PARTS_MAX 10000
#define LIST_MAX  (4u << 20) /* of all parts' names */

struct upload {
    struct s3 *s3;
    struct arena arena; /* key and id */
    struct slice key, id;
    uint64_t size, part;
    int fd;
    struct buf parts; /* the document that puts them together */
};

uint64_t s3_part_size(uint64_t size, uint32_t part_bytes)
{
    const uint64_t step = 1u << 20;
    uint64_t least = size / PARTS_MAX + 1;
    return least <= part_bytes ? part_bytes : (least + step - 1) / step * step;
}

static bool start(struct upload *u, const char *type, struct err *e)
{
    struct s3_call c;
    s3_call_init(&c, u->s3, S3_MULTI, "POST");
    c.key = u->key;
    s3_call_ask(&c, "uploads", SLICE(""));
    if (type && *type)
        s3_call_tell(&c, "content-type", slice_from(type));
    bool fine = s3_call_run(&c, e);
    if (fine && !s3_upload_id_read(buf_slice(&c.answer), &u->arena, &u->id))
        fine = err_set(e, ERR_UNAVAILABLE,
                       "the object store began an upload in parts, but its answer cannot be read");
    s3_call_done(&c);
    return fine;
}

static bool send_part(struct upload *u, unsigned number, struct err *e)
{
    struct s3_call c;
    char text[16];
    uint64_t offset = (number - 1) * u->part;
    snprintf(text, sizeof text, "%u", number);
    s3_call_init(&c, u->s3, S3_MULTI, "PUT");
    c.key = u->key;
    c.fd = u->fd;
    c.offset = offset;
    c.len = u->size - offset < u->part ? u->size - offset : u->part;
    s3_call_ask(&c, "partNumber", slice_from(text));
    s3_call_ask(&c, "uploadId", u->id);
    bool fine = s3_call_run(&c, e);
    if (fine && !c.etag[0])
        fine = err_set(e, ERR_UNAVAILABLE, "the object store took a part but gave it no ETag");
    if (fine) {
        buf_printf(&u->parts, "<Part><PartNumber>%u</PartNumber><ETag>", number);
        xml_escape(&u->parts, slice_from(c.etag));
        buf_add_str(&u->parts, "</ETag></Part>");
    }
    s3_call_done(&c);
    return fine;
}

static bool is_there(struct upload *u)
{
    struct s3_call c;
    s3_call_init(&c, u->s3, S3_HEAD, "HEAD");
    c.key = u->key;
    bool fine = s3_call_run(&c, NULL) && c.total == u->size;
    s3_call_done(&c);
    return fine;
}

static bool put_together(struct upload *u, struct err *e)
{
    struct s3_call c;
    struct err why = {0};
    buf_add_str(&u->parts, "</CompleteMultipartUpload>");
    must(!u->parts.full);
    s3_call_init(&c, u->s3, S3_MULTI, "POST");
    c.key = u->key;
    c.body = buf_slice(&u->parts);
    c.may_fail_inside = true;
    s3_call_ask(&c, "uploadId", u->id);
    s3_call_tell(&c, "content-type", SLICE("application/xml"));
    bool fine = s3_call_run(&c, &why);
    bool is_unclear = fine && !s3_completed_read(buf_slice(&c.answer));
    if (is_unclear)
        err_set(&why, ERR_UNAVAILABLE,
                "the object store put the parts together, but its answer cannot be read and the "
                "object is not there");
    /* An earlier try, of ours or of libcurl's own, may have worked and only its answer was lost. */
    if (is_unclear || (!fine && strcmp(c.code, "NoSuchUpload") == 0))
        fine = is_there(u);
    s3_call_done(&c);
    return fine ||
           err_set(e, why.code == ERR_NOT_FOUND ? ERR_UNAVAILABLE : why.code, "%s", why.msg);
}

static void give_up(struct upload *u)
{
    struct s3_call c;
    s3_call_init(&c, u->s3, S3_MULTI, "DELETE");
    c.key = u->key;
    s3_call_ask(&c, "uploadId", u->id);
    (void)s3_call_run(&c, NULL); /* what is left then, s3_abort_stale() ends */
    s3_call_done(&c);
}

static bool send_all(struct upload *u, const char *type, struct err *e)
{
    if (!start(u, type, e))
        return false;
    bool fine = true;
    unsigned n = (unsigned)((u->size + u->part - 1) / u->part);
    buf_add_str(&u->parts,
                "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");
    for (unsigned i = 1; fine && i <= n; i++)
        fine = send_part(u, i, e);
    fine = fine && put_together(u, e);
    if (!fine)
        give_up(u);
    return fine;
}

bool s3_put_parts(struct s3 *s, struct slice key, int fd, uint64_t size, const char *type,
                  struct err *e)
{
    struct upload u = {
        .s3 = s,
        .size = size,
        .part = s3_part_size(size, s->options.part_bytes),
        .fd = fd,
    };
    arena_init(&u.arena, 64u << 10);
    buf_init(&u.parts, LIST_MAX);
    u.key = s3_full_key(s, &u.arena, key);
    bool fine = send_all(&u, type, e);
    buf_done(&u.parts);
    arena_done(&u.arena);
    return fine;
}
