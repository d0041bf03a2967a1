/* The one page that `dais serve` prints: what runs where, and what is off and how to turn it on. */
#include "app/app_impl.h"
#include "base/build.h"

#include <stdio.h>

static void print_apps(const struct host *h, struct slice base, struct arena *a)
{
    int width = 4;
    for (size_t i = 0; i < h->n_apps; i++) {
        int len = (int)h->apps[i].manifest->slug.s.len;
        width = len > width ? len : width;
    }
    for (size_t i = 0; i < h->n_apps; i++) {
        struct slice url = app_url(h, &h->apps[i], base, a);
        printf("  %-*.*s  %.*s\n", width, SLICE_ARGS(h->apps[i].manifest->slug.s), SLICE_ARGS(url));
    }
}

static const char *local_only(const struct host *h)
{
    struct slice listen = settings_get(&h->settings, SET_LISTEN);
    return slice_starts(listen, SLICE("127.")) || slice_starts(listen, SLICE("localhost"))
               ? "this machine only; --listen 0.0.0.0:8000 opens it to the network"
               : "the network";
}

void banner_print(const struct life *l, const struct host *h)
{
    struct arena a;
    struct address address;
    char text[ADDRESS_TEXT_LEN];
    arena_init(&a, 1u << 20);
    listener_address(l->listeners[0], &address);
    address_text(&address, text);
    struct slice base = slice_starts(slice_from(text), SLICE("unix:"))
                            ? arena_dup(&a, slice_from(text))
                            : arena_printf(&a, "http://%s", text);
    if (h->n_apps > 1 || h->n_apps == 0)
        printf("dais %s serves %zu app%s at %.*s/\n\n", build_version, h->n_apps,
               h->n_apps == 1 ? "" : "s", SLICE_ARGS(base));
    else
        printf("dais %s serves %.*s at %.*s\n\n", build_version,
               SLICE_ARGS(h->apps[0].manifest->title.s),
               SLICE_ARGS(app_url(h, &h->apps[0], base, &a)));
    print_apps(h, base, &a);
    printf("\n  reachable from   %s\n", local_only(h));
    printf("  data             %s\n", h->data_dir);
    printf("  database         none: no app here keeps documents\n");
    printf("  storage          none: no app here keeps files\n");
    printf("  live reload      %s\n",
           h->dev ? "on: pages reload when their files change" : "off: --dev turns it on");
    printf("  HTTPS            off: put a proxy before dais and name it in DAIS_TRUSTED_PROXIES\n");
    printf("  log              %s; DAIS_LOG sets level, format and file (dais help env)\n",
           h->log.path ? h->log.path : "standard error");
    printf("\n  Ctrl+C stops; kill -HUP or `dais reload` reads the manifests again.\n\n");
    fflush(stdout);
    arena_done(&a);
}
