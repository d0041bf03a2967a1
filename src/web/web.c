/* One app's static side: made, started, asked for its figures, freed. */
#include "web/web_impl.h"

#include <stdlib.h>
#include <unistd.h>

#define BUDGET_DEFAULT (64u << 20)

struct web_seat *web_seat(struct web *w, struct loop *l)
{
    return &w->seats[w->n_seats == 1 ? 0 : loop_index(l)];
}

static void make_seats(struct web *w)
{
    w->n_seats = w->options.loops ? loops_count(w->options.loops) : 1;
    size_t bytes = w->n_seats * sizeof *w->seats;
    w->seats = aligned_alloc(_Alignof(struct web_seat), bytes);
    if (!w->seats)
        mem_failed(bytes);
    for (unsigned i = 0; i < w->n_seats; i++) {
        w->seats[i] = (struct web_seat){.tree = tree_ref(w->tree)};
        list_init(&w->seats[i].listeners);
    }
}

struct web *web_new(const struct web_options *o)
{
    struct web *w = mem_new(struct web);
    w->refs = 1;
    w->options = *o;
    if (!o->budget)
        w->options.budget = &w->own_budget;
    if (!w->options.budget->max)
        w->options.budget->max = BUDGET_DEFAULT;
    if (!o->files_max)
        w->options.files_max = FILES_MAX;
    rules_init(&w->rules, &w->options);
    w->inotify = o->loops ? watch_inotify() : -1;
    struct tree_options to = {&w->rules, NULL, w->options.files_max, w->inotify};
    w->tree = tree_build(&to);
    make_seats(w);
    return w;
}

void web_start(struct web *w)
{
    must(w->options.loops && !w->is_started);
    w->is_started = true;
    watch_start(w);
    prepare_start(w);
}

void web_stop(struct web *w)
{
    if (!w->is_started || atomic_load(&w->is_stopping))
        return;
    atomic_store(&w->is_stopping, true);
    timer_off(&w->prepare.retry);
    watch_stop(w);
    deliver_end(w);
}

struct web *web_ref(struct web *w)
{
    atomic_fetch_add_explicit(&w->refs, 1, memory_order_relaxed);
    return w;
}

void web_unref(struct web *w)
{
    if (!w || atomic_fetch_sub_explicit(&w->refs, 1, memory_order_acq_rel) > 1)
        return;
    must(!w->is_started || atomic_load(&w->is_stopping));
    for (unsigned i = 0; i < w->n_seats; i++)
        tree_unref(w->seats[i].tree);
    tree_unref(w->tree);
    tree_unref(w->prepare.tree); /* stopped while it waited for room in the lane */
    if (w->inotify >= 0)
        close(w->inotify);
    rules_done(&w->rules);
    free(w->seats);
    free(w);
}

void web_refresh(struct web *w)
{
    if (w->is_started)
        rebuild_start(w);
}

void web_stats(struct web *w, struct web_stats *ret)
{
    *ret =
        (struct web_stats){.files = w->tree->n_files, .swaps = w->swaps, .watching = w->is_watched};
    for (size_t i = 0; i < w->tree->n_files; i++) {
        const struct web_file *f = w->tree->files[i];
        ret->in_memory += file_copy(f, CODING_IDENTITY) != NULL;
        for (int c = 0; c < 3; c++) {
            const struct web_copy *copy = file_copy(f, (enum coding)c);
            ret->bytes += copy ? copy->charged : 0;
        }
    }
}
