/* The one page that `dais serve` prints: what runs where, and what is off and how to turn it on. */
#include "app/app_impl.h"
#include "base/build.h"

#include <arpa/inet.h>
#include <stdio.h>

struct place { /* where the first listener is */
    struct slice base, port;
};

/* A socket without a path behind it is named as it is. */
static struct slice shown(struct slice url)
{
    return slice_ends(url, SLICE(":/")) ? slice_first(url, url.len - 2) : url;
}

static void print_apps(const struct host *h, const struct place *at, struct arena *a)
{
    int width = 4;
    for (size_t i = 0; i < h->n_apps; i++) {
        int len = (int)h->apps[i].manifest->slug.s.len;
        width = len > width ? len : width;
    }
    for (size_t i = 0; i < h->n_apps; i++) {
        struct slice url = shown(app_url(&h->apps[i], at->base, at->port, a));
        printf("  %-*.*s  %.*s\n", width, SLICE_ARGS(h->apps[i].manifest->slug.s), SLICE_ARGS(url));
    }
}

/* "http://127.0.0.1:8000", or "unix:/path:" with the path of the page behind it. */
static struct place place_of(const struct listener *ln, struct arena *a)
{
    struct address address;
    char text[ADDRESS_TEXT_LEN];
    listener_address(ln, &address);
    address_text(&address, text);
    if (address.sa.any.sa_family == AF_UNIX)
        return (struct place){arena_printf(a, "%s:", text), SLICE("")};
    uint16_t port = ntohs(address.sa.any.sa_family == AF_INET ? address.sa.v4.sin_port
                                                              : address.sa.v6.sin6_port);
    return (struct place){arena_printf(a, "http://%s", text),
                          port == 80 ? SLICE("") : arena_printf(a, ":%u", port)};
}

/* Of the public listeners; the control socket's is the last. */
static const char *reach(const struct life *l)
{
    bool all_unix = true, all_local = true;
    for (size_t i = 0; i + 1 < l->n_listeners; i++) {
        struct address address;
        listener_address(l->listeners[i], &address);
        all_unix &= address.sa.any.sa_family == AF_UNIX;
        all_local &= address_is_loopback(&address);
    }
    if (all_unix)
        return "this machine only, through its socket: a proxy's place";
    return all_local ? "this machine only; --listen 0.0.0.0:8000 opens it to the network"
                     : "the network: whoever can reach this machine";
}

static void print_head(const struct life *l, const struct host *h, struct arena *a)
{
    struct place at = place_of(l->listeners[0], a);
    if (h->n_apps == 1)
        printf("dais %s serves %.*s at %.*s\n\n", build_version,
               SLICE_ARGS(h->apps[0].manifest->title.s),
               SLICE_ARGS(shown(app_url(&h->apps[0], at.base, at.port, a))));
    else
        printf("dais %s serves %zu apps at %.*s\n\n", build_version, h->n_apps,
               SLICE_ARGS(shown(arena_printf(a, "%.*s/", SLICE_ARGS(at.base)))));
    print_apps(h, &at, a);
    for (size_t i = 1; i + 1 < l->n_listeners; i++)
        printf("  %s  %.*s\n", i == 1 ? "also at" : "       ",
               SLICE_ARGS(
                   shown(arena_printf(a, "%.*s/", SLICE_ARGS(place_of(l->listeners[i], a).base)))));
}

static void print_backends(const struct host *h)
{
    for (size_t i = 0; i < h->n_apps; i++) {
        const struct app *app = &h->apps[i];
        const struct backend_conf *conf = &app->manifest->backend;
        if (!app->edge)
            continue;
        if (conf->run.s.len)
            printf("  backend          %.*s runs `%.*s`; its output is in the log\n",
                   SLICE_ARGS(app->manifest->slug.s), SLICE_ARGS(slice_first(conf->run.s, 60)));
        else
            printf("  backend          %.*s asks %.*s\n", SLICE_ARGS(app->manifest->slug.s),
                   SLICE_ARGS(app->backend_url));
    }
}

static void print_database(const struct host *h)
{
    size_t n = 0;
    for (size_t i = 0; i < h->n_apps; i++)
        n += h->apps[i].docs || h->apps[i].files || h->apps[i].jobs;
    if (!n)
        printf("  database         none: no app here keeps documents, files or jobs\n");
    else if (databases_are_postgres(h))
        printf("  database         Postgres, as DATABASE_URL says; a schema for each app\n");
    else if (settings_get(&h->settings, SET_DATABASE_URL).len)
        printf("  database         SQLite, the file that DATABASE_URL names\n");
    else
        printf("  database         SQLite, a file for each app; DATABASE_URL names a Postgres\n");
}

static void print_storage(const struct host *h)
{
    bool any = false;
    for (size_t i = 0; i < h->n_apps; i++)
        any |= h->apps[i].files != NULL;
    if (!any)
        printf("  storage          none: no app here keeps files\n");
    else if (slice_is(settings_get(&h->settings, SET_STORAGE_BACKEND), "s3"))
        printf("  storage          the bucket %.*s, as S3_BUCKET says; a prefix for each app\n",
               SLICE_ARGS(settings_get(&h->settings, SET_S3_BUCKET)));
    else
        printf("  storage          files in the data folder; STORAGE_BACKEND=s3 takes a bucket\n");
}

static void print_mail(const struct host *h)
{
    bool any = false;
    for (size_t i = 0; i < h->n_apps; i++)
        any |= h->apps[i].accounts != NULL;
    if (any && settings_get(&h->settings, SET_SMTP_URL).len)
        printf("  mail             goes to the server in SMTP_URL\n");
    else if (any)
        printf("  mail             comes here and into %s/mail; SMTP_URL names a server\n",
               h->data_dir);
}

void banner_print(const struct life *l, const struct host *h)
{
    struct arena a;
    arena_init(&a, 1u << 20);
    print_head(l, h, &a);
    arena_done(&a);
    printf("\n  reachable from   %s\n", reach(l));
    printf("  data             %s\n", h->data_dir);
    print_database(h);
    print_storage(h);
    print_backends(h);
    print_mail(h);
    printf("  live reload      %s\n",
           h->dev ? "on: pages reload when their files change" : "off: --dev turns it on");
    printf("  HTTPS            off: put a proxy before dais and name it in DAIS_TRUSTED_PROXIES\n");
    printf("  log              %s; DAIS_LOG sets level, format and file (dais help env)\n",
           h->log.path ? h->log.path : "standard error");
    printf("\n  Ctrl+C stops; `dais reload` (or kill -HUP) reads the manifests again.\n\n");
    fflush(stdout);
}
