/* Work behind the requests' back: reading the folders again, loading and compressing files, and
 * bringing a new tree to every loop. */
#include "web/web_impl.h"

#include <malloc.h>
#include <stdlib.h>

#define STEP_MS  30 /* of preparing at a time: the lane is for others too */
#define RETRY_MS 500

static struct loop *home_of(const struct web *w)
{
    return loops_get(w->options.loops, 0);
}

/* ---- work in a lane: it keeps the web, and who owns what the web reads
 * ----------------------------------------------------------------------- */

static bool lane_begin(struct web *w, struct work *work)
{
    if (!lane_submit(home_of(w), LANE_SLOW, work))
        return false;
    web_ref(w);
    if (w->options.owner)
        service_ref(w->options.owner);
    return true;
}

static void lane_end(struct web *w)
{
    struct service *owner = w->options.owner;
    web_unref(w);
    service_unref(owner);
}

/* ---- bringing a tree to the loops
 * --------------------------------------------------------------- */

struct delivery {
    struct post post;
    struct web *web;
    struct web_tree *tree; /* NULL: the end */
    uint64_t swaps;
    enum tree_change change;
};

static void retire_tree(void *tree)
{
    tree_unref(tree);
}

/* Answers made earlier in this turn still point into the old tree; after the turn none does. */
static void on_delivery(struct post *p, struct loop *l)
{
    struct delivery *d = container_of(p, struct delivery, post);
    struct web_seat *seat = web_seat(d->web, l);
    if (d->tree) {
        loop_retire(l, retire_tree, seat->tree);
        seat->tree = d->tree;
        seat->swaps = d->swaps;
        dev_notify(seat, d->change);
    } else {
        dev_close(seat);
    }
    web_unref(d->web);
    free(d);
}

static void deliver(struct web *w, struct web_tree *tree, enum tree_change change)
{
    for (unsigned i = 0; i < w->n_seats; i++) {
        struct delivery *d = mem_new(struct delivery);
        d->post.fn = on_delivery;
        d->web = web_ref(w);
        d->tree = tree ? tree_ref(tree) : NULL;
        d->swaps = w->swaps;
        d->change = change;
        loop_post(loops_get(w->options.loops, i), &d->post);
    }
}

static void publish(struct web *w, struct web_tree *tree, enum tree_change change)
{
    tree_unref(w->tree);
    w->tree = tree;
    w->swaps++;
    deliver(w, tree, change);
}

void deliver_end(struct web *w)
{
    deliver(w, NULL, TREE_SAME);
}

/* ---- reading the folders again
 * ------------------------------------------------------------------ */

static void on_rebuild_run(struct work *work)
{
    struct web *w = container_of(work, struct web, rebuild.work);
    int64_t began = clock_mono_ms();
    struct tree_options o = {&w->rules, w->rebuild.old, w->options.files_max, w->inotify};
    w->rebuild.tree = tree_build(&o);
    w->rebuild.change = tree_compare(w->rebuild.old, w->rebuild.tree);
    w->rebuild.took_ms = clock_mono_ms() - began;
}

static void take_rebuilt(struct web *w)
{
    struct rebuild *r = &w->rebuild;
    bool stopping = atomic_load(&w->is_stopping);
    if (stopping || r->change == TREE_SAME) {
        w->tree->is_partial = r->tree->is_partial; /* only loop 0 looks at it */
        tree_unref(r->tree);
        return;
    }
    publish(w, r->tree, r->change);
    log_line(LOG_DEBUG, "the folders were read again", F_INT("files", r->tree->n_files),
             F_INT("ms", r->took_ms));
    prepare_start(w);
    if (w->options.on_change)
        w->options.on_change(w->options.user);
}

static void on_rebuild_done(struct work *work, struct loop *home)
{
    struct web *w = container_of(work, struct web, rebuild.work);
    (void)home;
    w->rebuild.is_busy = false;
    tree_unref(w->rebuild.old);
    take_rebuilt(w);
    if (!atomic_load(&w->is_stopping)) {
        watch_rebuilt(w);
        if (w->rebuild.again)
            rebuild_start(w);
    }
    lane_end(w);
}

void rebuild_start(struct web *w)
{
    struct rebuild *r = &w->rebuild;
    if (atomic_load(&w->is_stopping))
        return;
    r->again = r->is_busy;
    if (r->is_busy)
        return;
    r->work.run = on_rebuild_run;
    r->work.done = on_rebuild_done;
    r->old = tree_ref(w->tree);
    r->is_busy = lane_begin(w, &r->work);
    if (!r->is_busy) {
        tree_unref(r->old);
        watch_again(w);
    }
}

/* ---- loading and compressing
 * -------------------------------------------------------------------- */

/* First all files as they are, then the compressed copies: a question for what a client already
 * has is answered right from the first moments on. */
static void on_prepare_run(struct work *work)
{
    struct web *w = container_of(work, struct web, prepare.work);
    struct prepare *p = &w->prepare;
    int64_t until = clock_mono_ms() + STEP_MS;
    while (!p->is_over && !atomic_load(&w->is_stopping) && clock_mono_ms() < until) {
        if (p->at == p->tree->n_files) {
            p->is_over = p->compress;
            p->compress = true;
            p->at = 0;
            continue;
        }
        struct web_file *f = p->tree->files[p->at++];
        if (p->compress)
            file_compress(f, &w->rules, p->tree->root_fds[f->root]);
        else
            file_load(f, &w->rules, p->tree->root_fds[f->root]);
    }
    if (p->compress)
        malloc_trim(0); /* the compressors' tables are large and would stay */
}

static void on_prepare_done(struct work *work, struct loop *home);

static void submit(struct web *w)
{
    struct prepare *p = &w->prepare;
    p->work.run = on_prepare_run;
    p->work.done = on_prepare_done;
    p->is_busy = lane_begin(w, &p->work);
    if (!p->is_busy)
        timer_set(&p->retry, home_of(w), RETRY_MS);
}

static void let_go(struct prepare *p)
{
    tree_unref(p->tree);
    p->tree = NULL;
}

static void on_prepare_done(struct work *work, struct loop *home)
{
    struct web *w = container_of(work, struct web, prepare.work);
    struct prepare *p = &w->prepare;
    bool is_old = p->tree != w->tree;
    (void)home;
    p->is_busy = false;
    if (p->is_over || is_old || atomic_load(&w->is_stopping))
        let_go(p);
    if (!atomic_load(&w->is_stopping)) {
        if (is_old)
            prepare_start(w);
        else if (!p->is_over)
            submit(w);
    }
    lane_end(w);
}

static void on_retry(struct timer *t, struct loop *l)
{
    (void)l;
    submit(container_of(t, struct web, prepare.retry));
}

void prepare_start(struct web *w)
{
    struct prepare *p = &w->prepare;
    if (p->is_busy)
        return; /* sees by itself that the tree is another one */
    timer_off(&p->retry);
    let_go(p);
    p->tree = tree_ref(w->tree);
    p->at = 0;
    p->compress = p->is_over = false;
    p->retry.fn = on_retry;
    submit(w);
}
