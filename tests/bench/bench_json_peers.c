/* Other JSON libraries to compare with; compiled with HAVE_YAJL, HAVE_JANSSON or neither. */
#include "bench/bench_json_peers.h"

#include <stdlib.h>
#include <string.h>

#ifdef HAVE_JANSSON
#include <jansson.h>

static void *jansson_load(const char *text, size_t len)
{
    return json_loadb(text, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, NULL);
}

static bool jansson_parse(const char *text, size_t len)
{
    json_t *v = jansson_load(text, len);
    json_decref(v);
    return v != NULL;
}

static size_t jansson_write(void *doc)
{
    char *text = json_dumps(doc, JSON_COMPACT);
    size_t n = strlen(text);
    free(text);
    return n;
}
#endif

#ifdef HAVE_YAJL
#include <yajl/yajl_parse.h>

/* Events to nobody: the least it can do. */
static bool yajl_parse_all(const char *text, size_t len)
{
    yajl_handle h = yajl_alloc(NULL, NULL, NULL);
    bool ok = yajl_parse(h, (const unsigned char *)text, len) == yajl_status_ok &&
              yajl_complete_parse(h) == yajl_status_ok;
    yajl_free(h);
    return ok;
}
#endif

const struct peer peers[] = {
#ifdef HAVE_JANSSON
    {"jansson", jansson_parse, jansson_load, jansson_write},
#endif
#ifdef HAVE_YAJL
    {"yajl (events)", yajl_parse_all, NULL, NULL},
#endif
    {0},
};
