/* Live reload for development: a stream of events, and the script in each page that listens. */
#include "web/web_impl.h"

#include <stdlib.h>

static bool on_events(struct req *rq, struct err *e);
static bool on_script(struct req *rq, struct err *e);

static const struct route rows[] = {
    {"/_/dev/events", "web_dev", ON_GET, on_events, .run = RUN_INLINE, .is_quiet = true},
    {"/_/dev/reload.js", "web_dev", ON_GET, on_script, .run = RUN_INLINE, .is_quiet = true},
};

/* `seen` says how old the page may be: files may change again before its stream is open. A server
 * that comes back was restarted: the page may be an old one. It says hello; one that is about to
 * end may take the call as well, and whoever loaded the page again then would find nobody. */
static const char script[] =
    "(() => {\n"
    "  const base = document.currentScript.src.replace(/reload\\.js.*$/, '');\n"
    "  const events = new EventSource(base + 'events?seen=%llu');\n"
    "  let lost = false;\n"
    "  events.addEventListener('hello', () => { if (lost) location.reload(); });\n"
    "  events.onerror = () => { lost = true; };\n"
    "  events.addEventListener('reload', () => location.reload());\n"
    "  events.addEventListener('css', () => {\n"
    "    for (const link of document.querySelectorAll('link[rel~=stylesheet]')) {\n"
    "      const url = new URL(link.href);\n"
    "      if (url.origin !== location.origin) continue;\n"
    "      url.searchParams.set('dais', Date.now());\n"
    "      const next = link.cloneNode();\n"
    "      next.href = url;\n"
    "      next.onload = () => link.remove();\n"
    "      link.after(next);\n"
    "    }\n"
    "  });\n"
    "})();\n";

struct listener_page {
    struct source source;
    struct list link; /* in its seat's listeners */
    struct web *web;  /* one reference */
    enum tree_change pending;
    bool is_greeted, is_over;
};

static enum io on_pull(struct source *s, struct buf *to, size_t room)
{
    struct listener_page *p = container_of(s, struct listener_page, source);
    size_t was = to->len;
    (void)room;
    if (p->is_over)
        return IO_EOF;
    if (!p->is_greeted) {
        sse_add_retry(to, 500);
        must(sse_add_event(to, SLICE(""), SLICE("hello"), SLICE("1")));
    }
    p->is_greeted = true;
    if (p->pending != TREE_SAME) {
        struct slice event = p->pending == TREE_STYLES ? SLICE("css") : SLICE("reload");
        must(sse_add_event(to, SLICE(""), event, SLICE("1")));
        p->pending = TREE_SAME;
    }
    return to->len > was ? IO_OK : IO_MORE;
}

static void on_close(struct source *s)
{
    struct listener_page *p = container_of(s, struct listener_page, source);
    list_remove(&p->link);
    web_unref(p->web);
    free(p);
}

static bool is_behind(const struct req *rq, const struct web_seat *seat)
{
    struct slice value;
    uint64_t seen;
    struct err ignored;
    return query_find(rq->query, SLICE("seen"), rq->arena, &value, &ignored) && value.ptr &&
           slice_to_u64(value, &seen) && seen < seat->swaps;
}

static bool on_events(struct req *rq, struct err *e)
{
    struct listener_page *p = mem_new(struct listener_page);
    (void)e;
    p->source.pull = on_pull;
    p->source.close = on_close;
    p->source.is_endless = true;
    p->web = web_ref(rq->site);
    p->is_over = atomic_load(&p->web->is_stopping); /* nobody would end it later */
    struct web_seat *seat = web_seat(p->web, rq->loop);
    if (is_behind(rq, seat))
        p->pending = TREE_OTHER;
    list_add(&seat->listeners, &p->link);
    reply_header(rq, "Cache-Control", SLICE("no-store"));
    return reply_source(rq, 200, "text/event-stream", &p->source);
}

static bool on_script(struct req *rq, struct err *e)
{
    const struct web_seat *seat = web_seat(rq->site, rq->loop);
    (void)e;
    reply_header(rq, "Cache-Control", SLICE("no-store"));
    return reply_bytes(rq, 200, "text/javascript; charset=utf-8",
                       arena_printf(rq->arena, script, (unsigned long long)seat->swaps));
}

const struct route *dev_find(struct req *rq)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (slice_is(rq->path, rows[i].path))
            return &rows[i];
    }
    return NULL;
}

void dev_close(struct web_seat *seat)
{
    list_each (link, &seat->listeners) {
        struct listener_page *p = container_of(link, struct listener_page, link);
        p->is_over = true;
        source_wake(&p->source);
    }
}

void dev_notify(struct web_seat *seat, enum tree_change change)
{
    list_each (link, &seat->listeners) {
        struct listener_page *p = container_of(link, struct listener_page, link);
        if (change > p->pending)
            p->pending = change;
        source_wake(&p->source);
    }
}
