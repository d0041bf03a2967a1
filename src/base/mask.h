/* Secrets taken out of text before anybody reads it: each of their values becomes `***`.
 *
 * Values under 8 bytes are left: they would tear up ordinary words, and whoever can guess where
 * they stood knows them already. A value of several lines (a key in PEM) counts line by line, as
 * logs are made of lines, and a very long line piece by piece, so that nobody has to hold all of it
 * back. Text that was encoded or cut by whoever printed it is not recognised. */
#pragma once
#include "base/arena.h"
#include "base/buf.h"

#define MASK_MIN_BYTES 8
#define MASK_MAX_BYTES 1024 /* of a piece; and MASK_MIN_BYTES more at the end of a value */

struct mask {
    struct slice *values; /* longest first, so that none is left because a part of it went */
    size_t n, longest;
    bool begins[256]; /* does one begin with this byte? */
};

/* Of these values; copied into the arena. */
void mask_init(struct mask *m, struct arena *a, const struct slice *values, size_t n);
/* Adds text to `to` without them. A piece that more will follow keeps back what may be the start of
 * one: returns how many bytes of text were taken. NULL masks nothing. */
size_t mask_add(const struct mask *m, struct slice text, bool is_whole, struct buf *to);
