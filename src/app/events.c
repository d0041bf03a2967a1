/* Events of apps and of the host: what is noted without a write of its own, and who may read them.
 */
#include "app/app_impl.h"

#include "journal/journal.h"

#include <stdio.h>
#include <string.h>

static bool show(struct req *rq, struct err *e);

const struct route events_route = {
    .path = "/_/events", .name = "events", .methods = ON_GET, .handle = show, .run = RUN_SLOW};

/* ---- noting ---------------------------------------------------------------------------------- */

void life_note(struct life *l, struct slice slug, const struct event *ev)
{
    events_note(database_events(l, slug), ev, clock_wall_ms());
}

/* Whoever has one IPv6 address has 2^64 of them: they are one. */
static struct slice address_of(const struct req *rq, struct arena *a)
{
    static const unsigned char v4[12] = {[10] = 0xff, [11] = 0xff};
    char text[IP_TEXT_LEN];
    struct ip ip = rq->client;
    bool is_v4 = memcmp(ip.bytes, v4, sizeof v4) == 0 || ip_is_loopback(&ip);
    if (!is_v4)
        memset(ip.bytes + 8, 0, 8);
    ip_text(&ip, text);
    return arena_printf(a, "%s%s", text, is_v4 ? "" : "/64");
}

static struct slice id_of(const struct req *rq)
{
    return rq->identity && rq->identity->is_signed_in ? rq->identity->id : SLICE("");
}

static struct slice slug_of(const struct req *rq)
{
    const struct app *app = rq->app;
    return app ? app->manifest->slug.s : SLICE("");
}

void req_note(struct req *rq, int kind, struct slice object, const char *detail)
{
    life_note(life_of(rq), slug_of(rq),
              &(struct event){.kind = (enum event_kind)kind,
                              .who = id_of(rq),
                              .object = object,
                              .ip = address_of(rq, rq->arena),
                              .request = slice_from(rq->id),
                              .detail = slice_from(detail)});
}

void denied_note(struct service *s, struct req *rq)
{
    struct limit_state ignored;
    struct life *l = container_of(s, struct host, service)->life;
    struct slice id = id_of(rq);
    if (!rq->app || !l)
        return;
    struct slice key =
        arena_printf(rq->arena, "%.*s %.*s %.*s", SLICE_ARGS(slug_of(rq)), SLICE_ARGS(id),
                     SLICE_ARGS(id.len ? SLICE("") : address_of(rq, rq->arena)));
    if (!limit_take(l->denials, key, clock_mono_ns(), &ignored))
        req_note(rq, EVENT_DENIED, slice_from(rq->route ? rq->route->name : ""),
                 "more than 20 answers with 401 or 403 in a minute");
}

void events_metrics(struct buf *out)
{
    buf_printf(out, "# HELP dais_events_total Events of the trail, by kind.\n"
                    "# TYPE dais_events_total counter\n");
    for (int i = 0; i < EVENT_KINDS; i++)
        buf_printf(out, "dais_events_total{kind=\"%s\"} %llu\n", event_name((enum event_kind)i),
                   (unsigned long long)event_count((enum event_kind)i));
}

/* ---- reading --------------------------------------------------------------------------------- */

static bool param(struct req *rq, const char *name, struct slice *ret, struct err *e)
{
    *ret = SLICE("");
    return query_find(rq->query, slice_from(name), rq->arena, ret, e);
}

static bool are_known(const struct req *rq, struct err *e)
{
    static const char *const names[] = {"kind", "who", "anomalies", "after", "limit", "app"};
    struct slice rest = rq->query, name, value;
    size_t n = rq->is_control ? 6 : 5;
    while (query_next(&rest, &name, &value)) {
        size_t i = 0;
        while (i < n && !slice_is(name, names[i]))
            i++;
        if (i == n)
            return err_set(e, ERR_MALFORMED, "There is no parameter %.*s here.",
                           SLICE_ARGS(slice_first(name, 60)));
    }
    return true;
}

/* As random_id() makes them. */
static bool is_id(struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (!((s.ptr[i] >= '0' && s.ptr[i] <= '9') || (s.ptr[i] >= 'a' && s.ptr[i] <= 'v')))
            return false;
    }
    return s.len == ID_LEN;
}

static bool check(struct events_query *q, struct err *e)
{
    enum event_kind ignored;
    if (q->after.len && !is_id(q->after))
        return err_set(e, ERR_MALFORMED, "after: it is the `next` of the page before.");
    if (q->kind.len && !event_kind_of(q->kind, &ignored))
        return err_set(e, ERR_MALFORMED, "There is no kind of events %.*s.",
                       SLICE_ARGS(slice_first(q->kind, 60)));
    return true;
}

static bool read_query(struct req *rq, struct events_query *q, struct err *e)
{
    struct slice anomalies, limit;
    uint64_t n = EVENTS_LIMIT;
    *q = (struct events_query){0};
    if (!are_known(rq, e) || !param(rq, "kind", &q->kind, e) || !param(rq, "who", &q->who, e) ||
        !param(rq, "after", &q->after, e) || !param(rq, "anomalies", &anomalies, e) ||
        !param(rq, "limit", &limit, e) || !check(q, e))
        return false;
    q->is_anomaly = slice_is(anomalies, "true");
    if (anomalies.len && !q->is_anomaly && !slice_is(anomalies, "false"))
        return err_set(e, ERR_MALFORMED, "anomalies: it can be `true` or `false`.");
    if (limit.len && (!slice_to_u64(limit, &n) || n < 1 || n > EVENTS_LIMIT_MAX))
        return err_set(e, ERR_MALFORMED, "limit: it must be a number from 1 to %d.",
                       EVENTS_LIMIT_MAX);
    q->limit = (uint32_t)n;
    return true;
}

static struct db *open_slot(struct db_slot *slot, struct err *e)
{
    struct err why = {0};
    struct db *db = db_slot_open(slot, &why);
    if (db)
        return db;
    log_line(LOG_ERROR, "the events cannot be read", F_CSTR("reason", why.msg));
    err_set(e, ERR_UNAVAILABLE, "The events cannot be read just now; the server's log says why.");
    return NULL;
}

static bool answer(struct req *rq, struct slice slug, struct err *e)
{
    struct events_query q;
    struct buf text;
    struct db_slot *slot = database_slot(life_of(rq), slug);
    if (!read_query(rq, &q, e))
        return false;
    if (!slot)
        return err_set(e, ERR_NOT_FOUND, "No events are kept here: there is no database.");
    struct db *db = open_slot(slot, e);
    struct db_conn *c = db ? db_conn_take(db, e) : NULL;
    buf_init(&text, 8u << 20);
    bool fine = c && events_list(c, &q, &text, e);
    if (c)
        db_conn_give(c);
    if (db)
        db_slot_leave(slot);
    struct slice body = fine ? arena_dup(rq->arena, buf_slice(&text)) : SLICE("");
    buf_done(&text);
    reply_header(rq, "Cache-Control", SLICE("no-store"));
    return fine && reply_bytes(rq, 200, "application/json", body);
}

/* Operators only; of their keys those that may do everything. */
static bool show(struct req *rq, struct err *e)
{
    const struct app *app = rq->site;
    const struct identity *who = req_identity(rq, e);
    if (!who)
        return false;
    if (!who->is_signed_in)
        return err_set(e, ERR_UNAUTHENTICATED, "Sign in first: events are for operators.");
    if (!who->is_operator || !identity_has_scope(who, SLICE("admin")))
        return err_set(e, ERR_FORBIDDEN, "Events are for operators.");
    return answer(rq, app->manifest->slug.s, e);
}

bool events_control(struct req *rq, struct err *e)
{
    struct slice slug;
    return param(rq, "app", &slug, e) && answer(rq, slug, e);
}

/* ---- a command ------------------------------------------------------------------------------- */

static void print_items(const struct json *list)
{
    static const char *const names[] = {"at", "kind", "who", "object", "ip", "detail"};
    const struct json *items = json_find(list, SLICE("items"));
    json_each (it, items) {
        for (size_t k = 0; k < sizeof names / sizeof *names; k++) {
            struct slice s = json_str(json_find(it.value, slice_from(names[k])));
            printf("%s%.*s", k ? "  " : "", SLICE_ARGS(s.len ? s : SLICE("-")));
        }
        int64_t count = 1;
        json_i64(json_find(it.value, SLICE("count")), &count);
        printf(count > 1 ? "  %lld times\n" : "\n", (long long)count);
    }
}

static bool print_text(struct slice text, struct err *e)
{
    struct arena a;
    struct json_doc doc;
    arena_init(&a, 64u << 20);
    bool fine = json_parse(&doc, &a, text, NULL, e);
    if (fine)
        print_items(json_root(&doc));
    arena_done(&a);
    return fine;
}

/* app NULL: the host's own */
static bool print_of(struct host *h, const struct app *app, const struct app_events *what,
                     const struct events_query *q, struct err *e)
{
    bool is_there;
    struct buf text;
    struct slice name = app ? app->manifest->slug.s : SLICE("");
    struct db *db = database_open_to_read(h, app, &is_there, e);
    if (!db)
        return !is_there;
    struct db_conn *c = db_conn_take(db, e);
    buf_init(&text, 8u << 20);
    bool fine = c && events_list(c, q, &text, e);
    if (c)
        db_conn_give(c);
    if (fine && what->is_json)
        printf("{\"app\":\"%.*s\",%.*s\n", SLICE_ARGS(name), (int)text.len - 1, text.data + 1);
    else if (fine)
        fine = print_text(buf_slice(&text), e);
    buf_done(&text);
    db_close(db);
    return fine;
}

int app_print_events(const struct app_options *options, const struct app_events *what)
{
    struct err e = {0};
    struct events_query q = {.kind = slice_from(what->kind),
                             .who = slice_from(what->who),
                             .is_anomaly = what->is_anomaly,
                             .limit = what->limit ? what->limit : EVENTS_LIMIT};
    struct host *h = host_read(options);
    if (!h)
        return err_exit(ERR_MANIFEST);
    bool fine = check(&q, &e);
    if (fine && what->is_host)
        fine = print_of(h, NULL, what, &q, &e);
    for (size_t i = 0; fine && !what->is_host && i < h->n_apps; i++)
        fine = print_of(h, &h->apps[i], what, &q, &e);
    if (!fine)
        fprintf(stderr, "dais events: %s\n", e.msg);
    service_unref(&h->service);
    return fine ? 0 : err_exit(e.code);
}
