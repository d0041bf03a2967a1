/* A backend as a whole: made, compared, started, ended. */
#include "edge/backend_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct loop *backend_home(const struct backend *b)
{
    return loops_get(b->loops, 0);
}

/* ---- its life -----------------------------------------------------------------------------------
 */

static void begin(struct backend *b)
{
    b->began_ms = loop_now_ms(backend_home(b));
    for (unsigned k = 0; k < b->n; k++)
        instance_begin(&b->instances[k]);
}

/* Without it nothing is started: requests are told so at once, and a reload tries again. */
static void on_prepared(void *user, bool ok, const char *why)
{
    struct backend *b = user;
    if (ok)
        begin(b);
    for (unsigned k = 0; !ok && k < b->n; k++) {
        atomic_store(&b->instances[k].state, BACKEND_FAILING);
        snprintf(b->instances[k].last_end, sizeof b->instances[k].last_end, "%s", why);
    }
}

void backend_start(struct backend *b)
{
    if (b->is_started)
        return;
    b->is_started = true;
    list_add(b->all, &b->link);
    if (b->prepare)
        prepare_begin(b->prepare, on_prepared, b);
    else
        begin(b);
}

void backend_give_way(struct backend *b)
{
    if (b->began_ms || !b->prepare)
        return;
    prepare_end(b->prepare);
    on_prepared(b, false, "another one is started in its place");
}

struct backend *backend_ref(struct backend *b)
{
    atomic_fetch_add(&b->refs, 1);
    return b;
}

/* ---- its end ------------------------------------------------------------------------------------
 */

static void free_backend(struct backend *b)
{
    for (unsigned k = 0; k < b->n; k++) {
        timer_off(&b->instances[k].timer);
        if (b->instances[k].address.path[0] && b->is_ours)
            unlink(b->instances[k].address.path);
        free(b->instances[k].dials);
    }
    free(b->instances);
    prepare_unref(b->prepare);
    arena_done(&b->arena);
    free(b);
}

void backend_gone(struct backend *b)
{
    if (!b->is_over)
        return;
    for (unsigned k = 0; k < b->n; k++) {
        if (b->instances[k].process || b->instances[k].open_watches)
            return;
    }
    if (b->is_started)
        list_remove(&b->link);
    free_backend(b);
}

void instance_watch_closed(struct instance *i)
{
    i->open_watches--;
    backend_gone(i->of);
}

struct farewell {
    struct post post;
    struct dial *dial;
};

static void on_farewell(struct post *p, struct loop *l)
{
    struct farewell *f = container_of(p, struct farewell, post);
    (void)l;
    dial_free(f->dial);
    free(f);
}

/* A dial ends on its own loop. */
static void free_dials(struct instance *i)
{
    for (unsigned k = 0; k < loops_count(i->of->loops); k++) {
        if (!i->dials[k])
            continue;
        struct farewell *f = mem_new(struct farewell);
        f->dial = i->dials[k];
        f->post.fn = on_farewell;
        i->dials[k] = NULL;
        loop_post(loops_get(i->of->loops, k), &f->post);
    }
}

/* After the loops have ended nobody else is left to wait for it. A post of its own: all that stop
 * are told before the first is waited for. */
static void wait_for_end(struct post *p, struct loop *l)
{
    struct backend *b = container_of(p, struct backend, post);
    (void)l;
    if (b->prepare)
        prepare_wait(b->prepare);
    for (unsigned k = 0; k < b->n; k++)
        instance_wait(&b->instances[k]);
    b->is_over = true;
    backend_gone(b);
}

static void stop(struct post *p, struct loop *l)
{
    struct backend *b = container_of(p, struct backend, post);
    if (b->prepare)
        prepare_end(b->prepare);
    for (unsigned k = 0; k < b->n; k++) {
        instance_dismiss(&b->instances[k]);
        health_done(&b->instances[k]);
        free_dials(&b->instances[k]);
    }
    backend_unref(atomic_exchange(&b->next, NULL));
    if (loop_is_here(l)) {
        b->is_over = true;
        backend_gone(b);
        return;
    }
    b->post.fn = wait_for_end;
    loop_post(l, &b->post);
}

void backend_unref(struct backend *b)
{
    if (!b || atomic_fetch_sub(&b->refs, 1) > 1)
        return;
    b->post.fn = stop;
    loop_post(backend_home(b), &b->post);
}

/* ---- making -------------------------------------------------------------------------------------
 */

static struct pairs copy_pairs(struct arena *a, const struct pairs *from)
{
    struct pairs to = {.n = from->n};
    to.items = arena_zalloc(a, from->n * sizeof *to.items);
    for (size_t i = 0; i < from->n; i++) {
        to.items[i].key.s = slice_from(arena_cstr(a, from->items[i].key.s));
        to.items[i].value.s = slice_from(arena_cstr(a, from->items[i].value.s));
    }
    return to;
}

static void copy_health(struct backend *b, const struct health_conf *conf)
{
    size_t n = 0;
    b->has_path = conf->path.s.len > 0;
    b->questions = arena_zalloc(&b->arena, (conf->deep.n + 1) * sizeof *b->questions);
    if (b->has_path)
        b->questions[n++] = arena_dup(&b->arena, conf->path.s);
    for (size_t k = 0; k < conf->deep.n; k++)
        b->questions[n++] = arena_dup(&b->arena, conf->deep.items[k].s);
    b->n_questions = n;
    b->every_ms = conf->every_ms;
    b->timeout_ms = conf->timeout_ms;
    b->restart_after = conf->restart_after;
}

static void copy_options(struct backend *b, const struct backend_options *o)
{
    struct arena *a = &b->arena;
    char *dir = realpath(arena_cstr(a, o->dir), NULL);
    b->app = arena_dup(a, o->app);
    b->run = slice_from(arena_cstr(a, o->conf->run.s));
    b->dir = slice_from(arena_cstr(a, slice_from(dir ? dir : "/")));
    free(dir);
    b->authority = arena_dup(a, o->to ? o->authority : SLICE("localhost"));
    b->own_env = copy_pairs(a, o->env);
    b->is_ours = !o->to;
    b->memory_bytes = o->conf->limits.memory_bytes;
    b->loops = o->loops;
    b->spawner = o->spawner;
    b->all = o->all;
    b->ended = o->ended;
    b->user = o->user;
    copy_health(b, &o->conf->health);
}

static bool make_instance(struct instance *i, const struct backend_options *o, struct err *e)
{
    atomic_store(&i->state, BACKEND_STARTING);
    if (!instance_address(i, o, e))
        return false;
    i->dials = mem_zalloc(loops_count(o->loops) * sizeof(struct dial *));
    if (i->of->is_ours)
        instance_env(i);
    health_init(i);
    return true;
}

struct backend *backend_new(const struct backend_options *o, struct err *e)
{
    struct backend *b = mem_new(struct backend);
    atomic_store(&b->refs, 1);
    arena_init(&b->arena, 32u << 20); /* of 64 instances, 128 KB of environment each */
    copy_options(b, o);
    b->n = b->is_ours ? (unsigned)o->conf->instances : 1;
    b->instances = mem_zalloc(b->n * sizeof *b->instances);
    for (unsigned k = 0; k < b->n; k++) {
        b->instances[k].of = b;
        b->instances[k].number = k;
        if (!make_instance(&b->instances[k], o, e)) {
            free_backend(b);
            return NULL;
        }
    }
    b->prepare = o->prepare;
    return b;
}

/* ---- comparing ----------------------------------------------------------------------------------
 */

static bool is_same_env(const struct pairs *a, const struct pairs *b)
{
    bool same = a->n == b->n;
    for (size_t i = 0; same && i < a->n; i++)
        same = slice_eq(a->items[i].key.s, b->items[i].key.s) &&
               slice_eq(a->items[i].value.s, b->items[i].value.s);
    return same;
}

static bool is_same_health(const struct backend *b, const struct health_conf *conf)
{
    size_t n = 0;
    bool has_path = conf->path.s.len > 0;
    bool same = b->has_path == has_path && b->n_questions == conf->deep.n + has_path &&
                b->every_ms == conf->every_ms && b->timeout_ms == conf->timeout_ms &&
                b->restart_after == conf->restart_after;
    if (same && has_path)
        same = slice_eq(b->questions[n++], conf->path.s);
    for (size_t k = 0; same && k < conf->deep.n; k++)
        same = slice_eq(b->questions[n++], conf->deep.items[k].s);
    return same;
}

static bool is_same_place(const struct backend *b, const struct backend_options *o)
{
    struct arena a;
    if (o->to) {
        const struct address *at = &b->instances[0].address;
        return !b->is_ours && at->len == o->to->len && !strcmp(at->path, o->to->path) &&
               !memcmp(&at->sa, &o->to->sa, at->len) && slice_eq(b->authority, o->authority);
    }
    arena_init(&a, 64u << 10);
    char *dir = realpath(arena_cstr(&a, o->dir), NULL);
    bool same = b->is_ours && dir && slice_is(b->dir, dir);
    free(dir);
    arena_done(&a);
    return same && b->n == (unsigned)o->conf->instances;
}

bool backend_is_same(const struct backend *b, const struct backend_options *o)
{
    if (o->prepare && !(b->prepare && prepare_is_same(b->prepare, o->prepare)))
        return false;
    return slice_eq(b->app, o->app) && slice_eq(b->run, o->conf->run.s) && is_same_place(b, o) &&
           b->memory_bytes == o->conf->limits.memory_bytes && is_same_env(&b->own_env, o->env) &&
           is_same_health(b, &o->conf->health);
}

/* ---- for people ---------------------------------------------------------------------------------
 */

static void fill_row(struct backend_row *r, const struct instance *i)
{
    const struct backend *b = i->of;
    snprintf(r->app, sizeof r->app, "%.*s", SLICE_ARGS(b->app));
    address_text(&i->address, r->address);
    memcpy(r->last_end, i->last_end, sizeof r->last_end);
    r->number = i->number;
    r->in_flight = atomic_load(&i->in_flight);
    r->pid = i->pid;
    r->state = (enum backend_state)atomic_load(&i->state);
    r->is_retired = b->is_retired;
    r->age_ms = i->process || !b->is_ours ? loop_now_ms(backend_home(b)) - i->begun_ms : 0;
    r->restarts = i->ends + (i->number == 0 ? b->ends_before : 0);
    r->probes_failed = i->probes_failed;
}

struct backend_row *backend_rows(const struct list *all, size_t *ret_n)
{
    size_t n = 0;
    list_each (link, all)
        n += container_of(link, struct backend, link)->n;
    struct backend_row *rows = mem_zalloc((n + 1) * sizeof *rows);
    *ret_n = n;
    n = 0;
    list_each (link, all) {
        const struct backend *b = container_of(link, struct backend, link);
        for (unsigned k = 0; k < b->n; k++)
            fill_row(&rows[n++], &b->instances[k]);
    }
    return rows;
}
