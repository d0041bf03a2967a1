/* Reference-counted immutable bytes. */
#include "base/shared.h"
#include "base/mem.h"
#include "base/must.h"

#include <stdlib.h>
#include <string.h>

struct shared *shared_new(struct slice copy_of)
{
    struct shared *s = mem_alloc(sizeof *s + copy_of.len);
    char *data = (char *)(s + 1);
    if (copy_of.len)
        memcpy(data, copy_of.ptr, copy_of.len);
    *s = (struct shared){.refs = 1, .len = copy_of.len, .data = data};
    return s;
}

struct shared *shared_take(char *malloced, size_t len)
{
    struct shared *s = mem_alloc(sizeof *s);
    *s = (struct shared){.refs = 1, .len = len, .data = malloced, .is_taken = true};
    return s;
}

struct shared *shared_ref(struct shared *s)
{
    int was = atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
    must(was > 0);
    return s;
}

void shared_unref(struct shared *s)
{
    if (!s)
        return;
    int was = atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel);
    must(was > 0);
    if (was > 1)
        return;
    if (s->is_taken)
        free(s->data);
    free(s);
}
