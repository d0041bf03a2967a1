/* Opening what lies beneath a folder: the kernel refuses every way out of it. */
#pragma once
#include <stdbool.h>
#include <sys/stat.h>

/* Opens `rel` (no leading '/') beneath the folder `root`, never following a link out of it, never
 * waiting (a FIFO), closed on exec. `flags` are further open flags. The descriptor, or -1 with
 * errno: EXDEV or ELOOP for a path that leads outside. Any thread. */
int beneath_open(int root, const char *rel, int flags);
/* The same for a regular file to be read; anything else is -1 with ENOENT. Fills *ret. */
int beneath_open_file(int root, const char *rel, struct stat *ret);
/* What beneath_open does where the kernel has no openat2: names one by one, no link at all. */
int beneath_walk(int root, const char *rel, int flags);
