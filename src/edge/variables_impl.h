/* The environment of a backend's processes and of its setup. */
#pragma once
#include "base/arena.h"
#include "manifest/manifest.h"

/* PATH, HOME, LANG and TZ of ours and nothing else: secrets of dais stay with dais. Then `more`,
 * texts "NAME=value" that end in NULL, then `own`. The result ends in NULL too; all of it but
 * `more` is in the arena. */
const char **variables_make(struct arena *a, const char *const *more, const struct pairs *own);
