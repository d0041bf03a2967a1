/* Counts of an app's runs, by type: for /metrics, read by any thread. */
#include "workers/workers_impl.h"

#include <stdlib.h>
#include <string.h>

void figures_init(struct figures *f)
{
    *f = (struct figures){0};
    pthread_mutex_init(&f->lock, NULL);
}

void figures_done(struct figures *f)
{
    for (size_t i = 0; i < f->n; i++)
        free((char *)(uintptr_t)f->names[i].ptr);
    free(f->names);
    free(f->of);
    pthread_mutex_destroy(&f->lock);
}

static struct crew_figures *find(struct figures *f, struct slice type)
{
    for (size_t i = 0; i < f->n; i++) {
        if (slice_eq(f->names[i], type))
            return &f->of[i];
    }
    return NULL;
}

/* Types of earlier readings stay: there are as many as a person writes into a manifest. */
static struct crew_figures *find_or_add(struct figures *f, struct slice type)
{
    struct crew_figures *found = find(f, type);
    if (found)
        return found;
    f->of = mem_realloc(f->of, (f->n + 1) * sizeof *f->of);
    f->names = mem_realloc(f->names, (f->n + 1) * sizeof *f->names);
    char *name = mem_alloc(type.len + 1);
    memcpy(name, type.ptr, type.len);
    f->names[f->n] = (struct slice){name, type.len};
    f->of[f->n] = (struct crew_figures){0};
    return &f->of[f->n++];
}

void figures_began(struct figures *f, struct slice type, int64_t wait_ms)
{
    pthread_mutex_lock(&f->lock);
    struct crew_figures *of = find_or_add(f, type);
    of->claimed++;
    of->running++;
    of->wait_ms += wait_ms > 0 ? (uint64_t)wait_ms : 0;
    pthread_mutex_unlock(&f->lock);
}

void figures_ended(struct figures *f, struct slice type, enum job_outcome outcome, int64_t run_ms)
{
    pthread_mutex_lock(&f->lock);
    struct crew_figures *of = find_or_add(f, type);
    of->running--;
    of->succeeded += outcome == OUTCOME_SUCCEEDED;
    of->failed += outcome == OUTCOME_FAILED;
    of->cancelled += outcome == OUTCOME_CANCELLED;
    of->again += outcome == OUTCOME_AGAIN;
    of->lost += outcome == OUTCOME_LOST;
    of->run_ms += run_ms > 0 ? (uint64_t)run_ms : 0;
    pthread_mutex_unlock(&f->lock);
}

struct crew_figures crew_figures(struct crew *c, struct slice type)
{
    struct figures *f = &c->figures;
    pthread_mutex_lock(&f->lock);
    const struct crew_figures *found = find(f, type);
    struct crew_figures of = found ? *found : (struct crew_figures){0};
    pthread_mutex_unlock(&f->lock);
    return of;
}
