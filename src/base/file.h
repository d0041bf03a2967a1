/* Whole files: read to their end, written to the last byte; a signal is no failure. The callers
 * wait, so this is for work at rest and never for a loop. */
#pragma once
#include "base/buf.h"

#include <sys/types.h>

/* Opens a regular file for reading, and never waits for the writer of a FIFO. -1 with errno; what
 * is no file is EISDIR. */
int file_open(const char *path);
/* Adds all of it, or nothing: false with errno, EFBIG beyond the limit of the buf. */
bool file_read(const char *path, struct buf *to);

/* Reads `max` bytes, fewer only at the end. -1 with errno. */
ssize_t fd_read(int fd, char *to, size_t max);
/* False with errno. */
bool fd_write_all(int fd, struct slice bytes);
