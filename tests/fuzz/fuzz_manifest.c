/* Any bytes as dais.yaml, host.yaml, .env and DAIS_LOG: structs or problems, never a crash. */
#include "manifest/manifest.h"

#include <stdlib.h>
#include <string.h>

static void use_manifest(const struct manifest *m)
{
    size_t n = m->web.headers.n;
    must(n > 0 && m->slug.s.ptr && m->title.s.ptr && m->web.root.s.ptr && m->api.s.ptr);
    must(pattern_matches(&m->web.headers.items[n - 1].pattern, SLICE("/x"), NULL));
    for (size_t i = 0; i < m->web.redirects.n; i++) {
        must(m->web.redirects.items[i].to.s.ptr && m->web.redirects.items[i].from.prefix.ptr);
        pattern_matches(&m->web.redirects.items[i].from, SLICE("/old/x"), NULL);
    }
    for (size_t i = 0; i < m->web.mounts.n; i++)
        must(strlen(m->web.mounts.items[i].folder.s.ptr) == m->web.mounts.items[i].folder.s.len);
}

static void try_settings(struct arena *a, struct problems *p, struct slice text)
{
    struct settings s;
    struct log_conf log;
    settings_load(a, &(struct settings_sources){0}, p, &s);
    s.dotenv = dotenv_parse(a, text, ".env", p);
    settings_expand(&s, text, a);
    log_conf_parse(text, a, &log, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a;
    struct problems p;
    struct buf out;
    if (size == 0)
        return 0;
    arena_init(&a, (size_t)256 << 20);
    problems_init(&p, &a);
    buf_init(&out, 4u << 20);
    struct slice text = {(const char *)data + 1, size - 1};
    if (data[0] % 3 == 0) {
        struct manifest *m = manifest_parse(&a, text, "dais.yaml", &p);
        must(m || problems_has_errors(&p));
        if (m)
            use_manifest(m);
    } else if (data[0] % 3 == 1) {
        must(host_parse(&a, text, "host.yaml", &p) || problems_has_errors(&p));
    } else {
        try_settings(&a, &p, text);
    }
    problems_sort(&p);
    problems_print(&p, &out);
    buf_done(&out);
    arena_done(&a);
    return 0;
}
