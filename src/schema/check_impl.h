/* A check under way, and what its files share. */
#pragma once
#include "schema/schema_impl.h"

/* Which members or items of one value were evaluated: what unevaluated* asks. */
struct seen {
    uint64_t *bits; /* by their index; NULL: nobody asks */
};

struct check {
    struct violations *to;  /* NULL: only yes or no is wanted */
    struct violations *all; /* where giving up is told even then */
    struct arena scratch;
    struct buf pointer;
    const struct resource *scope[SCHEMA_DEPTH_MAX]; /* resources entered, for $dynamicRef */
    size_t n_scope;
    unsigned depth, refs; /* schemas entered, in all and for the present value */
    uint64_t steps;
    bool gave_up;
};

static inline void seen_add(const struct seen *s, size_t index)
{
    if (s->bits)
        s->bits[index / 64] |= UINT64_C(1) << (index % 64);
}

static inline bool seen_has(const struct seen *s, size_t index)
{
    return s->bits[index / 64] >> (index % 64) & 1;
}

/* check.c: one value against one schema; what it evaluated goes into `seen` when it holds. */
bool check_value(struct check *c, const struct schema *s, const struct json *v,
                 const struct seen *seen);
/* Yes or no, without telling. */
bool check_quietly(struct check *c, const struct schema *s, const struct json *v,
                   const struct seen *seen);
/* A member or an item of the present value: the pointer goes down and back. */
bool check_member(struct check *c, const struct schema *s, struct slice name, const struct json *v);
bool check_item(struct check *c, const struct schema *s, size_t index, const struct json *v);

/* Does the pattern find something in the text? False, too, when that takes too long. */
bool check_pattern(struct check *c, const struct regex *r, struct slice text);
/* Is the value among those of a list? */
bool check_choice(struct check *c, const struct json *choices, const struct json *v);

/* check_scalars.c, check_objects.c, check_arrays.c: the keywords of each type */
bool check_scalar(struct check *c, const struct schema *s, const struct json *v);
bool check_object(struct check *c, const struct schema *s, const struct json *v,
                  const struct seen *seen);
bool check_array(struct check *c, const struct schema *s, const struct json *v,
                 const struct seen *seen);
bool check_unevaluated(struct check *c, const struct schema *s, const struct json *v,
                       const struct seen *seen);

/* tell.c: adds a violation at the present pointer; false, so that `return tell(...)` reads well */
bool tell(struct check *c, const char *code, const char *fmt, ...) PRINTF(3, 4);
bool tell_at(struct check *c, struct slice name, const char *code, const char *fmt, ...)
    PRINTF(4, 5);
/* Will what is told be kept? If not, its words need not be found. */
bool is_telling(const struct check *c);
/* A value or a list of values in few words; in the scratch arena. */
struct slice told_value(struct check *c, const struct json *v);
struct slice told_types(struct check *c, uint32_t types);
const char *told_type(const struct json *v); /* "a string" */
