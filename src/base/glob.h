/* Patterns of file names: `*` and `?` stand for what is within one name. */
#pragma once
#include "base/slice.h"

/* Does the pattern mean this path (without a leading slash)? A pattern without a slash is for the
 * last name of the path, in whatever folder. */
bool glob_matches(struct slice glob, struct slice path);
