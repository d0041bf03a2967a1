/* Events that come without a write of their own: gathered, merged, and written together. */
#include "journal/events_impl.h"

#include "base/mem.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define MERGE_MS 60000
#define ROWS     192 /* within a minute; more of a kind are one event without names */
#define ALL      (ROWS + EVENT_KINDS)

struct gathered {
    struct event_row row;
    int64_t written; /* the count that the database has */
};

struct events {
    pthread_mutex_t lock;
    struct gathered *all; /* ALL of them, the last for a kind each; NULL until the first comes */
};

struct events *events_new(void)
{
    struct events *ev = mem_new(struct events);
    pthread_mutex_init(&ev->lock, NULL);
    return ev;
}

void events_free(struct events *ev)
{
    if (!ev)
        return;
    pthread_mutex_destroy(&ev->lock);
    free(ev->all);
    free(ev);
}

/* ---- gathering: with the lock ---------------------------------------------------------------- */

static bool is_over(const struct gathered *g, int64_t now_ms)
{
    return now_ms - g->row.at_ms >= MERGE_MS || now_ms < g->row.at_ms;
}

static bool is_free(const struct gathered *g, int64_t now_ms)
{
    return g->row.count == 0 || (g->written == g->row.count && is_over(g, now_ms));
}

static bool is_same(const struct event_row *a, const struct event_row *b)
{
    return a->kind == b->kind && strcmp(a->ip, b->ip) == 0 && strcmp(a->who, b->who) == 0 &&
           strcmp(a->object, b->object) == 0;
}

/* Too many different ones: of this kind, from now on, only how many. */
static void note_many(struct events *ev, struct event_row *row)
{
    struct gathered *to = &ev->all[ROWS + row->kind];
    if (!is_free(to, row->at_ms)) {
        to->row.count++;
        return;
    }
    row->who[0] = row->object[0] = row->ip[0] = row->request[0] = '\0';
    snprintf(row->detail, sizeof row->detail, "more of these, from many");
    *to = (struct gathered){.row = *row};
}

static void note(struct events *ev, struct event_row *row)
{
    struct gathered *room = NULL;
    if (!ev->all)
        ev->all = mem_zalloc(ALL * sizeof *ev->all);
    for (size_t i = 0; i < ROWS; i++) {
        struct gathered *g = &ev->all[i];
        if (is_free(g, row->at_ms)) {
            room = room ? room : g;
        } else if (is_same(&g->row, row) && !is_over(g, row->at_ms)) {
            g->row.count++;
            return;
        }
    }
    if (room)
        *room = (struct gathered){.row = *row};
    else
        note_many(ev, row);
}

void events_note(struct events *ev, const struct event *what, int64_t now_ms)
{
    struct event_row row;
    event_counted(what->kind);
    if (!ev)
        return;
    event_row_set(&row, what, now_ms);
    pthread_mutex_lock(&ev->lock);
    note(ev, &row);
    pthread_mutex_unlock(&ev->lock);
}

/* ---- writing --------------------------------------------------------------------------------- */

struct flush {
    struct event_row *rows;
    size_t *at, n;
};

static bool is_due(const struct gathered *g, bool all, int64_t now_ms)
{
    return g->row.count != g->written && (all || g->written == 0 || is_over(g, now_ms));
}

bool events_are_due(struct events *ev, bool all, int64_t now_ms)
{
    bool due = false;
    pthread_mutex_lock(&ev->lock);
    for (size_t i = 0; ev->all && !due && i < ALL; i++)
        due = is_due(&ev->all[i], all, now_ms);
    pthread_mutex_unlock(&ev->lock);
    return due;
}

static void collect(struct events *ev, struct flush *f, bool all, int64_t now_ms)
{
    pthread_mutex_lock(&ev->lock);
    for (size_t i = 0; ev->all && i < ALL; i++) {
        if (!is_due(&ev->all[i], all, now_ms))
            continue;
        f->at[f->n] = i;
        f->rows[f->n++] = ev->all[i].row;
    }
    pthread_mutex_unlock(&ev->lock);
}

/* A row is not given to another while it waits to be written, so what was collected is there. */
static void mark(struct events *ev, const struct flush *f)
{
    pthread_mutex_lock(&ev->lock);
    for (size_t i = 0; i < f->n; i++)
        ev->all[f->at[i]].written = f->rows[i].count;
    pthread_mutex_unlock(&ev->lock);
}

static bool run(void *arg, struct db_conn *c, struct err *e)
{
    const struct flush *f = arg;
    for (size_t i = 0; i < f->n; i++) {
        if (!event_row_put(c, &f->rows[i], e))
            return false;
    }
    return true;
}

bool events_flush(struct events *ev, struct db *db, bool all, int64_t now_ms, struct err *e)
{
    struct flush f = {.rows = mem_alloc(ALL * sizeof *f.rows), .at = mem_alloc(ALL * sizeof *f.at)};
    collect(ev, &f, all, now_ms);
    bool fine = f.n == 0 || db_write_now(db, run, &f, e);
    if (fine)
        mark(ev, &f);
    free(f.rows);
    free(f.at);
    return fine;
}
