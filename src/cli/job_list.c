/* The list of `dais job`: as many as were asked for, page by page, however few of what the server
 * looks at for one page are among them. */
#include "cli/job_impl.h"

#include "base/clock.h"

#include <string.h>

#define LIMIT     30
#define LIMIT_MAX 1000
#define LOOK_MS   5000 /* then what was found is shown */
#define ROWS_MAX  (64u << 20)

struct listing {
    struct request *r;
    struct buf rows;
    struct json_writer w; /* of them */
    int64_t limit, n;
    char next[64]; /* "": there are no more */
};

static bool read_limit(struct listing *l, struct err *e)
{
    l->limit = LIMIT;
    if (!job_read_number(l->r, "--limit", &l->limit, e))
        return false;
    if (l->limit < 1 || l->limit > LIMIT_MAX)
        return err_set(e, ERR_USAGE, "--limit is at least 1 and at most %d", LIMIT_MAX);
    return true;
}

static void keep(struct listing *l)
{
    const struct json *page = request_found(l->r, "page");
    struct slice next = job_member(page, "next");
    json_each (it, json_find(page, SLICE("items"))) {
        json_write_value(&l->w, it.value);
        l->n++;
    }
    must(next.len < sizeof l->next);
    snprintf(l->next, sizeof l->next, "%.*s", SLICE_ARGS(next));
}

static bool look(struct listing *l, struct err *e)
{
    struct request *r = l->r;
    struct arena_mark mark = arena_mark(&r->arena);
    request_again(r);
    request_str(r, "state", args_flag(r->args, "--state"));
    request_str(r, "type", args_flag(r->args, "--type"));
    request_str(r, "after", *l->next ? l->next : args_flag(r->args, "--after"));
    json_write_key(&r->w, SLICE("limit"));
    json_write_i64(&r->w, l->limit - l->n);
    bool fine = request_send(r, "job.list", e);
    if (fine)
        keep(l);
    arena_rewind(&r->arena, mark);
    return fine;
}

static bool look_at_all(struct listing *l, struct err *e)
{
    int64_t end_ms = clock_mono_ms() + LOOK_MS;
    do {
        if (!look(l, e))
            return false;
    } while (*l->next && l->n < l->limit && clock_mono_ms() < end_ms);
    return !l->rows.full || err_set(e, ERR_USAGE, "that is too long; choose a smaller --limit");
}

static void print_json(const struct listing *l)
{
    printf("{\"page\":{\"items\":%.*s,\"next\":", SLICE_ARGS(buf_slice(&l->rows)));
    printf(*l->next ? "\"%s\"}}\n" : "null}}\n", l->next);
}

static bool print_table(struct listing *l, struct err *e)
{
    struct json_doc doc;
    if (!json_parse(&doc, &l->r->arena, buf_slice(&l->rows), NULL, e))
        return false;
    if (l->n)
        job_print_list(l->r, json_root(&doc));
    else
        printf("there are none%s\n", *l->next ? " so far" : "");
    if (*l->next && l->n == l->limit)
        printf("\nthere are more: --after %s shows them, --state and --type choose\n", l->next);
    else if (*l->next)
        printf("\nlooked for %d s; there may be more: --after %s goes on\n", LOOK_MS / 1000,
               l->next);
    return true;
}

bool job_list(struct request *r, struct err *e)
{
    struct listing l = {.r = r};
    if (!read_limit(&l, e))
        return false;
    buf_init(&l.rows, ROWS_MAX);
    json_writer_init(&l.w, &l.rows, 0);
    json_write_array(&l.w);
    bool fine = look_at_all(&l, e);
    json_write_array_end(&l.w);
    json_writer_done(&l.w);
    if (fine && args_has(r->args, "--json"))
        print_json(&l);
    else if (fine)
        fine = print_table(&l, e);
    buf_done(&l.rows);
    return fine;
}
