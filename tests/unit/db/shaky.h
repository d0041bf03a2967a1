/* A disk and a memory that fail when a test says so: a VFS under SQLite, and its allocator.
 *
 * The VFS counts writes, waits for the disk, and truncations; it also keeps, beside the files, what
 * would be left after a power cut: only what was waited for. A wait that failed keeps nothing of
 * what it was for, as with a disk that forgets. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

enum shaky_kind {
    SHAKY_IO_ERROR,  /* a write, wait or truncation fails */
    SHAKY_FULL,      /* a write finds no room */
    SHAKY_SYNC,      /* a wait fails */
    SHAKY_NO_MEMORY, /* an allocation of SQLite's fails */
};

/* Registers both; before SQLite is used. */
void shaky_install(void);
/* The n-th event of the kind from now on fails (from 1); all after it too when `for_good`. */
void shaky_arm(enum shaky_kind kind, unsigned n, bool for_good);
/* Nothing fails any more. True: something had failed. */
bool shaky_disarm(void);

/* Writes what a power cut would have left of `path` and its log to `to`. `luck`: 0 = only what was
 * waited for; else other writes are there or not, as this number's dice fall. Before the files are
 * closed. */
void shaky_crash(const char *path, const char *to, unsigned luck);
