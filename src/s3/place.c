/* Where a bucket is: host and path, by name of the bucket, region and endpoint. */
#include "s3/s3_impl.h"

#include <stdio.h>
#include <string.h>

/* An endpoint, taken apart. */
struct endpoint {
    bool is_tls, is_ip;
    struct slice name, port, path; /* path: "" or "/storage/v1/s3" */
};

static bool is_host_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.';
}

static bool holds_only(struct slice s, bool (*is_fine)(char))
{
    for (size_t i = 0; s.ptr && i < s.len; i++) {
        if (!is_fine(s.ptr[i]))
            return false;
    }
    return s.len > 0;
}

static bool is_region_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_';
}

bool s3_region_is_valid(struct slice region)
{
    return region.len < S3_REGION_MAX && holds_only(region, is_region_char);
}

static bool is_bucket_char(char c)
{
    return is_host_char(c) || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_path_char(char c)
{
    return is_bucket_char(c) || c == '/' || c == '~';
}

static bool is_ip6_char(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || c == ':' || c == '.';
}

static bool is_ip4_char(char c)
{
    return (c >= '0' && c <= '9') || c == '.';
}

static bool bad_endpoint(struct slice text, struct err *e)
{
    struct slice shown = slice_first(text, 60);
    /* Somebody may have put keys before an '@'. */
    ptrdiff_t at = slice_rindex(text, '@');
    if (at >= 0)
        shown = slice_first(slice_skip(text, (size_t)at + 1), 60);
    return err_set(
        e, ERR_MANIFEST,
        "S3_ENDPOINT_URL is no address of a store (\"%.*s\"); one looks like "
        "https://fra1.digitaloceanspaces.com or http://127.0.0.1:9000, without the bucket",
        SLICE_ARGS(shown));
}

static bool take_port(struct slice *authority, struct endpoint *ep)
{
    uint64_t port = 0;
    ptrdiff_t colon = slice_rindex(*authority, ':');
    if (colon < 0 || slice_ends(*authority, SLICE("]")))
        return true;
    struct slice text = slice_skip(*authority, (size_t)colon + 1);
    if (!slice_to_u64(text, &port) || port == 0 || port > 65535 || *text.ptr == '0')
        return false;
    *authority = slice_first(*authority, (size_t)colon);
    ep->port = port == (ep->is_tls ? 443 : 80) ? (struct slice){"", 0} : text;
    return true;
}

static bool take_name(struct slice name, struct endpoint *ep)
{
    ep->name = name;
    if (slice_starts(name, SLICE("["))) {
        struct slice inside = slice_skip(name, 1);
        inside.len -= inside.len > 0;
        ep->is_ip = true;
        return slice_ends(name, SLICE("]")) && holds_only(inside, is_ip6_char);
    }
    ep->is_ip = holds_only(name, is_ip4_char);
    return holds_only(name, is_host_char) && *name.ptr != '.' && *name.ptr != '-';
}

/* `lower` is text in lower case up to its path. */
static bool endpoint_read(struct slice text, struct endpoint *ep)
{
    *ep = (struct endpoint){.is_tls = slice_starts(text, SLICE("https://"))};
    if (!ep->is_tls && !slice_starts(text, SLICE("http://")))
        return false;
    struct slice rest = slice_skip(text, ep->is_tls ? 8 : 7);
    ptrdiff_t slash = slice_index(rest, '/');
    struct slice authority = slash < 0 ? rest : slice_first(rest, (size_t)slash);
    ep->path = slash < 0 ? (struct slice){"", 0} : slice_skip(rest, (size_t)slash);
    while (slice_ends(ep->path, SLICE("/")))
        ep->path.len--;
    if (ep->path.len &&
        (!holds_only(ep->path, is_path_char) || slice_search(ep->path, SLICE("//")) >= 0 ||
         slice_search(ep->path, SLICE("/.")) >= 0))
        return false;
    return take_port(&authority, ep) && take_name(authority, ep);
}

static void lower_until_path(char *text)
{
    unsigned slashes = 0;
    for (; *text && slashes < 3; text++) {
        slashes += *text == '/';
        if (*text >= 'A' && *text <= 'Z')
            *text = (char)(*text | 32);
    }
}

/* A name that can be the first part of the store's. */
static bool can_be_host(struct slice bucket)
{
    return holds_only(bucket, is_host_char) && bucket.len >= 3 && bucket.len <= 63 &&
           *bucket.ptr != '-' && bucket.ptr[bucket.len - 1] != '-' && *bucket.ptr != '.' &&
           bucket.ptr[bucket.len - 1] != '.' && slice_search(bucket, SLICE("..")) < 0;
}

static bool wants_path_style(const struct s3_options *o, const struct endpoint *ep)
{
    /* A certificate for *.store does not cover a name with dots in it. */
    return o->is_path_style || ep->is_ip || slice_is(ep->name, "localhost") ||
           !can_be_host(o->bucket) || (ep->is_tls && slice_index(o->bucket, '.') >= 0);
}

bool s3_place_make(const struct s3_options *o, struct slice region, struct s3_place *ret,
                   struct err *e)
{
    struct s3_place p = {.is_aws = o->endpoint.len == 0};
    struct endpoint ep;
    char text[S3_HOST_MAX];
    if (o->bucket.len > 63 || o->bucket.len < 3 || !holds_only(o->bucket, is_bucket_char))
        return err_set(e, ERR_MANIFEST,
                       "S3_BUCKET is no name of a bucket (\"%.*s\"); one has 3 to 63 lower-case "
                       "letters, digits, dots and hyphens",
                       SLICE_ARGS(slice_first(o->bucket, 64)));
    if (!s3_region_is_valid(region))
        return err_set(e, ERR_MANIFEST,
                       "S3_REGION is no region (\"%.*s\"); one looks like eu-central-1",
                       SLICE_ARGS(slice_first(region, 40)));
    int n = p.is_aws ? snprintf(text, sizeof text, "https://s3.%.*s.amazonaws.com%s",
                                SLICE_ARGS(region), slice_starts(region, SLICE("cn-")) ? ".cn" : "")
                     : snprintf(text, sizeof text, "%.*s", SLICE_ARGS(o->endpoint));
    if (n < 0 || (size_t)n > S3_HOST_MAX - 80)
        return bad_endpoint(o->endpoint, e);
    lower_until_path(text);
    if (!endpoint_read(slice_from(text), &ep))
        return bad_endpoint(o->endpoint, e);
    p.is_tls = ep.is_tls;
    p.is_path_style = wants_path_style(o, &ep);
    struct slice bucket = p.is_path_style ? (struct slice){"", 0} : o->bucket;
    snprintf(p.host, sizeof p.host, "%.*s%s%.*s%s%.*s", SLICE_ARGS(bucket), bucket.len ? "." : "",
             SLICE_ARGS(ep.name), ep.port.len ? ":" : "", SLICE_ARGS(ep.port));
    struct slice in_path = p.is_path_style ? o->bucket : (struct slice){"", 0};
    snprintf(p.base, sizeof p.base, "%.*s/%.*s%s", SLICE_ARGS(ep.path), SLICE_ARGS(in_path),
             in_path.len ? "/" : "");
    snprintf(p.region, sizeof p.region, "%.*s", SLICE_ARGS(region));
    *ret = p;
    return true;
}
