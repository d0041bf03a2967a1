/* A parsed check, and walking its paths. */
#pragma once
#include "schema/checks.h"

enum step_kind {
    STEP_NAME,
    STEP_EACH,   /* [] */
    STEP_NAMES,  /* {} */
    STEP_SPREAD, /* at the end of what refers: the items of a list, anything else as it is */
};

struct step {
    enum step_kind kind;
    struct slice name;
};

struct path {
    struct step *steps;
    size_t n;
    uint32_t column;
    struct slice text;
};

enum check_kind { CHECK_UNIQUE, CHECK_REFS, CHECK_ACYCLIC };

struct doc_check {
    enum check_kind kind;
    struct path list, key;
    struct path refs; /* from the document; of acyclic: from an item */
};

/* ---- checks_walk.c ------------------------------------------------------------------------------
 */

/* All values at the end of a path, in order, from one of its steps on. */
struct walk {
    const struct path *path;
    const struct json *from;
    size_t first, end; /* steps */
    struct json_iter at[CHECK_STEPS_MAX + 1];
    bool is_open[CHECK_STEPS_MAX + 1]; /* is `at` of this step in use? */
    bool has_begun;
    struct json name; /* of {} */
};

void check_walk_init(struct walk *w, const struct path *path, size_t first, size_t end,
                     const struct json *from);
const struct json *check_walk_next(struct walk *w); /* NULL: there are no more */
/* The pointer of what check_walk_next() gave last, below `from`. */
void walk_point(const struct walk *w, struct buf *pointer);
/* The only value of a path of names; NULL when there is none. */
const struct json *path_find(const struct path *path, const struct json *from);

/* A key as bytes that are equal exactly for equal values: text as it is, anything else begins with
 * a byte that no text has. False for what is no key. In the arena, or the value's own. */
bool key_bytes(struct arena *a, const struct json *v, struct slice *ret);
