/* Opens libcurl when it is first needed, so that the program starts and runs without it. */
#include "fetch/curl_library.h"

#include <dlfcn.h>
#include <pthread.h>
#include <string.h>

#define LIBCURL_FILE "libcurl.so.4"

static struct libcurl the_library;
static struct err why_not;
static bool is_open;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static bool find(void *handle, const char *name, void *to, struct err *e)
{
    void *found = dlsym(handle, name);
    if (!found)
        return err_set(e, ERR_UNAVAILABLE,
                       "libcurl lacks %s; install a newer one: apt-get install libcurl4", name);
    memcpy(to, &found, sizeof found);
    return true;
}

bool libcurl_open(struct libcurl *ret, const char *file, struct err *e)
{
    struct libcurl lib;
    void *handle = dlopen(file, RTLD_NOW | RTLD_LOCAL);
    if (!handle)
        return err_set(e, ERR_UNAVAILABLE,
                       "reaching other servers needs libcurl, which is not installed: apt-get "
                       "install libcurl4");
#define X(name)                                               \
    if (!find(handle, "curl_" #name, (void *)&lib.name, e)) { \
        dlclose(handle);                                      \
        return false;                                         \
    }
    LIBCURL_MAP(X)
#undef X
    if (lib.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return err_set(e, ERR_UNAVAILABLE, "libcurl could not be prepared");
    *ret = lib;
    return true;
}

static void open_once(void)
{
    is_open = libcurl_open(&the_library, LIBCURL_FILE, &why_not);
}

const struct libcurl *libcurl_get(struct err *e)
{
    pthread_once(&once, open_once);
    if (is_open)
        return &the_library;
    err_set(e, why_not.code, "%s", why_not.msg);
    return NULL;
}
