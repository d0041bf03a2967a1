/* Heap memory for our own sizes: running out ends the process with a sentence. */
#pragma once
#include <stddef.h>

void *mem_alloc(size_t n) __attribute__((returns_nonnull, malloc));
void *mem_zalloc(size_t n) __attribute__((returns_nonnull, malloc));
void *mem_realloc(void *p, size_t n) __attribute__((returns_nonnull));
/* Begins at a page, as disks want it; n is a number of pages. */
#define MEM_PAGE 4096u
void *mem_alloc_pages(size_t n) __attribute__((returns_nonnull, malloc));
char *mem_strdup(const char *s) __attribute__((returns_nonnull, malloc));
#define mem_new(type) ((type *)mem_zalloc(sizeof(type)))

_Noreturn void mem_failed(size_t n);
