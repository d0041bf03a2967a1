/* The one error struct and the one table of error codes.
 *
 * The caller owns a `struct err` and passes it as the last parameter. A function that fails
 * returns `err_set(e, ERR_X, "...")`, which is false; on success the struct is untouched.
 * Only whoever finishes a request, a job or the program logs it, once.
 * The table gives everything a code means outside: HTTP status, slug in problem+json, the exit code
 * of the command line, and the title shown to people. */
#pragma once
#include "base/must.h"

#include <errno.h>
#include <stdbool.h>

/*        code                  status  slug                     exit  title */
#define ERR_MAP(X)                                                                     \
    X(ERR_NONE, 200, "ok", 0, "Fine")                                                  \
    X(ERR_MALFORMED, 400, "malformed", 1, "The request is malformed")                  \
    X(ERR_JSON, 400, "invalid_json", 1, "The body is not valid JSON")                  \
    X(ERR_USAGE, 400, "usage", 1, "Wrong usage")                                       \
    X(ERR_MANIFEST, 400, "invalid_manifest", 1, "The manifest has errors")             \
    X(ERR_UNAUTHENTICATED, 401, "unauthenticated", 3, "You are not signed in")         \
    X(ERR_FORBIDDEN, 403, "forbidden", 3, "You may not do this")                       \
    X(ERR_QUOTA, 403, "quota_exceeded", 1, "There is no more room for you")            \
    X(ERR_NOT_FOUND, 404, "not_found", 1, "There is nothing here")                     \
    X(ERR_METHOD, 405, "method_not_allowed", 1, "This method is not allowed")          \
    X(ERR_TIMEOUT, 408, "request_timeout", 11, "The request took too long")            \
    X(ERR_EXISTS, 409, "exists", 1, "It exists already")                               \
    X(ERR_STALE, 412, "stale", 1, "It was changed meanwhile")                          \
    X(ERR_BODY_TOO_LARGE, 413, "body_too_large", 1, "The body is too large")           \
    X(ERR_URI_TOO_LONG, 414, "uri_too_long", 1, "The address is too long")             \
    X(ERR_MEDIA_TYPE, 415, "unsupported_media_type", 1, "This type is not accepted")   \
    X(ERR_RANGE, 416, "range_not_satisfiable", 1, "There is no such range")            \
    X(ERR_EXPECTATION, 417, "expectation_failed", 1, "The expectation is unknown")     \
    X(ERR_INVALID, 422, "invalid", 1, "The content is not valid")                      \
    X(ERR_OVER_BUDGET, 422, "over_budget", 1, "This would take too many steps")        \
    X(ERR_TOO_MANY, 429, "too_many_requests", 1, "Too many requests")                  \
    X(ERR_HEADERS_TOO_LARGE, 431, "headers_too_large", 1, "The headers are too large") \
    X(ERR_INTERNAL, 500, "internal", 11, "Something went wrong here")                  \
    X(ERR_NOT_IMPLEMENTED, 501, "not_implemented", 1, "This is not implemented")       \
    X(ERR_BAD_GATEWAY, 502, "bad_gateway", 11, "The backend gave no answer")           \
    X(ERR_UNAVAILABLE, 503, "unavailable", 11, "Not available just now")               \
    X(ERR_GATEWAY_TIMEOUT, 504, "gateway_timeout", 11, "The backend took too long")    \
    X(ERR_HTTP_VERSION, 505, "http_version", 1, "This HTTP version is unknown")        \
    X(ERR_BUILD, 500, "build_failed", 5, "The build failed")                           \
    X(ERR_LOCKED, 503, "locked", 4, "Another dais holds the lock")                     \
    X(ERR_UNREACHABLE, 503, "unreachable", 6, "It could not be reached")               \
    X(ERR_FULL, 507, "storage_full", 11, "The disk is full")                           \
    X(ERR_DAMAGED, 500, "damaged", 10, "What was stored is damaged")                   \
    X(ERR_IO, 500, "io", 11, "Reading or writing failed")

enum err_code {
#define X(code, status, slug, exit, title) code,
    ERR_MAP(X)
#undef X
        ERR_COUNT
};

struct err {
    enum err_code code;
    int sys_errno;     /* of err_set_sys, else 0 */
    int retry_s;       /* Retry-After, set by who knows it; 0: nobody does */
    const char *where; /* the function that failed */
    char msg[240];     /* a sentence for a person: what happened, what to do next */
};

/* Always returns false, so that `return err_set(...)` reads well. `e` may be NULL: nothing kept. */
#define err_set(e, code, ...) err_set_at((e), (code), 0, __func__, __VA_ARGS__)
/* The same for a failed system call: keeps errno and appends its text. */
#define err_set_sys(e, code, ...) err_set_at((e), (code), errno, __func__, __VA_ARGS__)
#ifdef __clang_analyzer__ /* it cannot see that the answer is always false */
#undef err_set
#undef err_set_sys
#define err_set(e, code, ...)     (err_set_at((e), (code), 0, __func__, __VA_ARGS__) && false)
#define err_set_sys(e, code, ...) (err_set_at((e), (code), errno, __func__, __VA_ARGS__) && false)
#endif

bool err_set_at(struct err *e, enum err_code code, int sys_errno, const char *where,
                const char *fmt, ...) PRINTF(5, 6);

/* Puts "while ...: " before the message; returns false. */
bool err_prefix(struct err *e, const char *fmt, ...) PRINTF(2, 3);

int err_status(enum err_code code);        /* HTTP status */
const char *err_slug(enum err_code code);  /* stable name in answers */
int err_exit(enum err_code code);          /* exit code of the command line */
const char *err_title(enum err_code code); /* for people */
