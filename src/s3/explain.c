/* Says what went wrong at an object store, and what whoever runs this can do about it. */
#include "s3/s3_impl.h"

#include <stdio.h>
#include <string.h>

/* What the key must be allowed to. */
static const char *const rights[S3_VERBS] = {
    [S3_PUT] = "s3:PutObject",   [S3_GET] = "s3:GetObject",
    [S3_HEAD] = "s3:GetObject",  [S3_DELETE] = "s3:DeleteObject",
    [S3_LIST] = "s3:ListBucket", [S3_MULTI] = "s3:PutObject and s3:AbortMultipartUpload",
};

/* %s in order: host, bucket. Sentences that need more have a function. */
static const struct {
    const char *code;
    enum err_code means;
    const char *text;
} sentences[] = {
    {"InvalidAccessKeyId", ERR_UNAVAILABLE,
     "%s does not know the access key (for bucket \"%s\"); check S3_ACCESS_KEY_ID"},
    {"XAdminUserNotFound", ERR_UNAVAILABLE, /* versitygw */
     "%s does not know the access key (for bucket \"%s\"); check S3_ACCESS_KEY_ID"},
    {"SignatureDoesNotMatch", ERR_UNAVAILABLE,
     "%s finds the signature wrong (for bucket \"%s\"); check that S3_SECRET_ACCESS_KEY is whole "
     "and "
     "belongs to S3_ACCESS_KEY_ID"},
    {"ExpiredToken", ERR_UNAVAILABLE,
     "%s says the keys for bucket \"%s\" have ended; renew them, or use keys that last"},
    {"InvalidToken", ERR_UNAVAILABLE,
     "%s does not take the session token (for bucket \"%s\"); check AWS_SESSION_TOKEN"},
    {"InvalidBucketName", ERR_UNAVAILABLE,
     "%s says that \"%s\" is no name of a bucket; check S3_BUCKET"},
    {"QuotaExceeded", ERR_FULL, "%s has no more room for bucket \"%s\"; raise its quota"},
    {"XMinioStorageFull", ERR_FULL, "the disks of %s (bucket \"%s\") are full"},
    {"InsufficientStorage", ERR_FULL, "%s has no more room for bucket \"%s\"; raise its quota"},
    {"EntityTooLarge", ERR_UNAVAILABLE, "%s takes no object that large (bucket \"%s\")"},
    {"XAmzContentSHA256Mismatch", ERR_IO,
     "%s (bucket \"%s\") got other bytes than were announced; the file changed meanwhile"},
    {"KeyTooLongError", ERR_INVALID, "%s takes no key that long (bucket \"%s\")"},
    {"NoSuchKey", ERR_NOT_FOUND, "%s has no such object in bucket \"%s\""},
    {"NoSuchUpload", ERR_NOT_FOUND, "%s has no such upload in bucket \"%s\""},
};

static const struct {
    CURLcode code;
    const char *text;
} transports[] = {
    {CURLE_COULDNT_RESOLVE_HOST,
     "there is no such name; check S3_ENDPOINT_URL, S3_REGION and this machine's DNS"},
    {CURLE_COULDNT_CONNECT, "it does not accept a connection; check S3_ENDPOINT_URL and firewalls"},
    {CURLE_OPERATION_TIMEDOUT, "it did not answer in time"},
    {CURLE_PEER_FAILED_VERIFICATION,
     "its certificate is not trusted; check S3_ENDPOINT_URL, or name its authority's certificate"},
    {CURLE_SSL_CACERT_BADFILE, "the file of trusted certificates cannot be read"},
    {CURLE_SSL_CONNECT_ERROR, "it does not speak TLS; check http or https in S3_ENDPOINT_URL"},
    {CURLE_PARTIAL_FILE, "its answer ended too early"},
    {CURLE_GOT_NOTHING, "it closed the connection without an answer"},
};

static bool explain_transport(CURLcode code, const char *host, struct err *e)
{
    for (size_t i = 0; i < sizeof transports / sizeof *transports; i++) {
        if (transports[i].code == code)
            return err_set(e, ERR_UNAVAILABLE, "%s: %s", host, transports[i].text);
    }
    return err_set(e, ERR_UNAVAILABLE, "%s: the connection broke", host);
}

static bool is(const struct s3_outcome *o, const char *code)
{
    return strcmp(o->code, code) == 0;
}

static bool explain_refused(const struct s3_asked *a, const struct s3_outcome *o, struct err *e)
{
    if (is(o, "RequestTimeTooSkewed") || is(o, "RequestExpired"))
        return err_set(e, ERR_UNAVAILABLE,
                       "the clock here and the one of %s differ by %lld s; set this machine's "
                       "(timedatectl set-ntp true)",
                       a->host, (long long)(a->clock_off_ms / 1000));
    return err_set(e, ERR_UNAVAILABLE,
                   "%s refuses: the access key may not do this in bucket \"%s\"; allow it %s, and "
                   "check the bucket's name",
                   a->host, a->bucket, rights[a->verb]);
}

static bool explain_missing(const struct s3_asked *a, const struct s3_outcome *o, struct err *e)
{
    if (is(o, "NoSuchBucket"))
        return err_set(
            e, ERR_UNAVAILABLE,
            "%s has no bucket \"%s\" (region %s); make it, or check S3_BUCKET, S3_REGION "
            "and S3_ENDPOINT_URL",
            a->host, a->bucket, a->region);
    if (o->is_head)
        return err_set(e, ERR_NOT_FOUND, "%s has no such object in bucket \"%s\"", a->host,
                       a->bucket);
    return err_set(e, ERR_UNAVAILABLE,
                   "%s answers 404 %s for bucket \"%s\"; check S3_BUCKET and S3_ENDPOINT_URL",
                   a->host, o->code, a->bucket);
}

static bool explain_place(const struct s3_asked *a, const struct s3_outcome *o, struct err *e)
{
    if (*a->other_region)
        return err_set(e, ERR_UNAVAILABLE,
                       "bucket \"%s\" is in region %s, not in %s; set S3_REGION=%s", a->bucket,
                       a->other_region, a->region, a->other_region);
    return err_set(e, ERR_UNAVAILABLE,
                   "%s sends us elsewhere for bucket \"%s\" (%d %s); check S3_REGION and "
                   "S3_ENDPOINT_URL",
                   a->host, a->bucket, o->status, o->code);
}

static bool is_about_place(const struct s3_asked *a, const struct s3_outcome *o)
{
    return *a->other_region || (o->status >= 300 && o->status < 400) ||
           is(o, "AuthorizationHeaderMalformed") || is(o, "PermanentRedirect") ||
           is(o, "IllegalLocationConstraintException");
}

bool s3_explain(const struct s3_outcome *o, const struct s3_asked *a, struct err *e)
{
    if (o->transport != CURLE_OK)
        return explain_transport(o->transport, a->host, e);
    for (size_t i = 0; i < sizeof sentences / sizeof *sentences; i++) {
        if (is(o, sentences[i].code)) {
            char text[sizeof e->msg];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
            snprintf(text, sizeof text, sentences[i].text, a->host, a->bucket);
#pragma GCC diagnostic pop
            return err_set(e, sentences[i].means, "%s", text);
        }
    }
    if (is_about_place(a, o))
        return explain_place(a, o, e);
    if (o->status == 404)
        return explain_missing(a, o, e);
    if (o->status == 401 || o->status == 403 || is(o, "RequestExpired") ||
        (o->is_head && o->status == 400))
        return explain_refused(a, o, e);
    if (o->status == 412 || o->status == 416)
        return err_set(e, ERR_STALE,
                       "the object in bucket \"%s\" is another one by now, or shorter", a->bucket);
    if (o->status == 507)
        return err_set(e, ERR_FULL, "%s has no more room", a->host);
    return err_set(e, ERR_UNAVAILABLE, "%s answers %d%s%s to %s in bucket \"%s\"", a->host,
                   o->status, *o->code ? " " : "", o->code, rights[a->verb], a->bucket);
}
