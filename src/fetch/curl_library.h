/* The functions of libcurl, opened at run time: the program starts and runs without it. Whoever
 * includes this speaks to other servers, and to libcurl only through it. */
#pragma once
#define CURL_DISABLE_TYPECHECK
#include "base/err.h"

#include <curl/curl.h>

#define LIBCURL_MAP(X) \
    X(global_init)     \
    X(easy_init)       \
    X(easy_reset)      \
    X(easy_setopt)     \
    X(easy_perform)    \
    X(easy_getinfo)    \
    X(easy_strerror)   \
    X(easy_cleanup)    \
    X(slist_append)    \
    X(slist_free_all)  \
    X(url)             \
    X(url_cleanup)     \
    X(url_get)         \
    X(url_set)         \
    X(url_strerror)    \
    X(free)

struct libcurl {
#define X(name) typeof(curl_##name) *name;
    LIBCURL_MAP(X)
#undef X
};
/* ERR_UNAVAILABLE, with the package to install. */
bool libcurl_open(struct libcurl *ret, const char *file, struct err *e);
/* The one, opened at the first call, which may block; NULL: it cannot be. Any thread. */
const struct libcurl *libcurl_get(struct err *e);
