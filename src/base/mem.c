/* Heap memory that is there or ends the process. */
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void mem_failed(size_t n)
{
    fprintf(stderr, "dais: out of memory (%zu bytes wanted)\n", n);
    abort();
}

void *mem_alloc(size_t n)
{
    void *p = malloc(n ? n : 1);
    if (!p)
        mem_failed(n);
    return p;
}

void *mem_zalloc(size_t n)
{
    void *p = calloc(1, n ? n : 1);
    if (!p)
        mem_failed(n);
    return p;
}

void *mem_realloc(void *p, size_t n)
{
    void *q = realloc(p, n ? n : 1);
    if (!q)
        mem_failed(n);
    return q;
}

void *mem_alloc_pages(size_t n)
{
    void *p = aligned_alloc(MEM_PAGE, n);
    if (!p)
        mem_failed(n);
    return p;
}

char *mem_strdup(const char *s)
{
    size_t n = strlen(s) + 1;
    return memcpy(mem_alloc(n), s, n);
}
