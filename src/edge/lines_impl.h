/* What a process says, cut into lines, without its secrets. */
#pragma once
#include "base/mask.h"

#define SAID_MAX 8192 /* longer ones come in pieces */

struct lines {
    const struct mask *mask;                             /* NULL: nothing is hidden */
    void (*on_line)(struct lines *l, struct slice line); /* without spaces around it; never empty */
    struct buf said;                                     /* one that is not whole yet */
};

void lines_init(struct lines *l, const struct mask *mask,
                void (*on_line)(struct lines *l, struct slice line));
void lines_done(struct lines *l);
void lines_add(struct lines *l, struct slice bytes);
void lines_end(struct lines *l); /* nothing more comes: what has no end is a line too */
