/* "Did you mean": the known name that a mistyped one is closest to. */
#pragma once
#include "base/slice.h"

/* The best of what was offered so far; start with name = what was typed, the rest zero. */
struct nearest {
    struct slice typed;
    struct slice best; /* len 0: nothing is close enough */
    unsigned distance;
};

void nearest_offer(struct nearest *n, struct slice known);
