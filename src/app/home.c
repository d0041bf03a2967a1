/* Pages of the host itself: the home page, the way to an app's mount, and "there is nothing here".
 */
#include "app/app_impl.h"
#include "base/build.h"
#include "base/embedded.h"
#include "base/template.h"

static bool home(struct req *rq, struct err *e);
static bool missing(struct req *rq, struct err *e);
static bool to_mount(struct req *rq, struct err *e);

const struct route home_route = {.path = "/", .name = "home", .methods = ON_GET, .handle = home};
const struct route missing_route = {
    .path = "/", .name = "missing", .methods = ON_ANY, .handle = missing};
/* Only OPTIONS may have this target, and the server answers that itself from the methods. */
const struct route whole_route = {
    .path = "*", .name = "whole_server", .methods = ON_GET | ON_POST, .handle = missing};
const struct route to_mount_route = {
    .path = "/", .name = "to_mount", .methods = ON_GET, .handle = to_mount};

/* An app with a name of its own is reached by the port that this page was reached by. */
static struct slice port_of(const struct req *rq)
{
    uint16_t port = 0;
    struct slice name;
    if (rq->h1->host.len)
        host_split(rq->h1->host, &name, &port);
    if (port)
        return arena_printf(rq->arena, ":%u", port);
    return SLICE("");
}

static struct template_row app_row(struct req *rq, const struct app *app)
{
    struct slice href = app_url(app, SLICE(""), port_of(rq), rq->arena);
    const struct template_value values[] = {
        {"title", app->manifest->title.s},
        {"description", app->manifest->description.s},
        {"href", href},
        {"where", slice_skip(href, slice_starts(href, SLICE("//")) ? 2 : 0)},
        {"state", app->is_built ? SLICE("ready") : SLICE("not built")},
    };
    struct template_value *kept = arena_alloc(rq->arena, sizeof values);
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        kept[i] = values[i];
    return (struct template_row){kept, sizeof values / sizeof *values};
}

static bool home(struct req *rq, struct err *e)
{
    const struct host *h = rq->site;
    struct slice title = h->site->host ? h->site->host->title.s : SLICE("Apps");
    struct template_row *rows = arena_alloc(rq->arena, h->n_apps * sizeof *rows);
    for (size_t i = 0; i < h->n_apps; i++)
        rows[i] = app_row(rq, &h->apps[i]);
    const struct template_value values[] = {{"version", slice_from(build_version)},
                                            {"title", title}};
    const struct template_list lists[] = {{"apps", rows, h->n_apps}};
    const struct template_data data = {values, 2, lists, 1};
    struct buf page;
    (void)e;
    buf_init(&page, 1u << 20);
    template_render(&page, embedded_get("home.html"), &data);
    struct slice text = arena_dup(rq->arena, buf_slice(&page));
    buf_done(&page);
    reply_prebuilt(rq, SLICE("Cache-Control: no-store\r\n"
                             "X-Content-Type-Options: nosniff\r\n"
                             "Content-Security-Policy: default-src 'none'; style-src "
                             "'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; "
                             "frame-ancestors 'self'\r\n"));
    return reply_bytes(rq, 200, "text/html; charset=utf-8", text);
}

static bool missing(struct req *rq, struct err *e)
{
    (void)rq;
    return err_set(e, ERR_NOT_FOUND, "No app on this host answers at this address.");
}

static bool to_mount(struct req *rq, struct err *e)
{
    struct buf to;
    (void)e;
    buf_init(&to, 64u << 10);
    path_encode(&to, rq->path);
    buf_add_char(&to, '/');
    if (rq->query.len) {
        buf_add_char(&to, '?');
        buf_add(&to, rq->query);
    }
    reply_redirect(rq, 301, buf_slice(&to));
    buf_done(&to);
    return true;
}
