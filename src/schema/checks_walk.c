/* Paths of checks: every value at the end of one, with its pointer, and keys as bytes. */
#include "schema/checks_impl.h"

#include <string.h>

void check_walk_init(struct walk *w, const struct path *path, size_t first, size_t end,
                     const struct json *from)
{
    w->path = path;
    w->from = from;
    w->first = first;
    w->end = end;
    w->has_begun = false;
    memset(w->is_open, 0, sizeof w->is_open);
}

/* What the open step i stands at. */
static const struct json *value_at(struct walk *w, size_t i)
{
    const struct json_iter *it = &w->at[i];
    if (w->path->steps[i].kind != STEP_NAMES)
        return it->value;
    w->name =
        (struct json){.type = JSON_STRING, .len = (uint32_t)it->key.len, {.ptr = it->key.ptr}};
    return &w->name;
}

/* One step down from v; NULL when it leads to nothing. */
static const struct json *step_down(struct walk *w, size_t i, const struct json *v)
{
    const struct step *step = &w->path->steps[i];
    enum json_type wanted = step->kind == STEP_NAMES ? JSON_OBJECT : JSON_ARRAY;
    if (step->kind == STEP_NAME)
        return json_find(v, step->name);
    if (json_type(v) != wanted)
        return step->kind == STEP_SPREAD ? v : NULL;
    w->at[i] = json_iter(v);
    w->is_open[i] = json_next(&w->at[i]);
    return w->is_open[i] ? value_at(w, i) : NULL;
}

/* To the next item of the innermost list that has one; NULL when there is none. */
static const struct json *step_back(struct walk *w, size_t *i)
{
    while (*i > w->first) {
        --*i;
        w->is_open[*i] = w->is_open[*i] && json_next(&w->at[*i]);
        if (w->is_open[*i])
            return value_at(w, (*i)++);
    }
    return NULL;
}

const struct json *check_walk_next(struct walk *w)
{
    size_t i = w->has_begun ? w->end : w->first;
    const struct json *v = w->has_begun ? step_back(w, &i) : w->from;
    w->has_begun = true;
    while (v && i < w->end) {
        v = step_down(w, i, v);
        if (v)
            i++;
        else
            v = step_back(w, &i);
    }
    return v;
}

void walk_point(const struct walk *w, struct buf *pointer)
{
    for (size_t i = w->first; i < w->end; i++) {
        const struct step *step = &w->path->steps[i];
        if (step->kind == STEP_NAME)
            json_pointer_add(pointer, step->name);
        else if (w->is_open[i] && step->kind == STEP_NAMES)
            json_pointer_add(pointer, w->at[i].key);
        else if (w->is_open[i])
            json_pointer_add_index(pointer, w->at[i].index);
    }
}

const struct json *path_find(const struct path *path, const struct json *from)
{
    for (size_t i = 0; from && i < path->n; i++)
        from = json_find(from, path->steps[i].name);
    return from;
}

/* ---- keys ---------------------------------------------------------------------------------------
 * Text is UTF-8, in which 0xff never stands. */

static struct slice number_bytes(struct arena *a, const struct json *v)
{
    struct json_decimal d = json_decimal(v);
    int64_t top = d.n ? d.exp + (int64_t)d.n : 0;
    char sign = d.n == 0 ? '0' : d.negative ? '-' : '+', *to;
    to = arena_alloc(a, 2 + sizeof top + d.n);
    to[0] = '\xff';
    to[1] = sign;
    memcpy(to + 2, &top, sizeof top);
    for (size_t i = 0; i < d.n; i++)
        to[2 + sizeof top + i] = json_decimal_digit(&d, i);
    return (struct slice){to, 2 + sizeof top + d.n};
}

bool key_bytes(struct arena *a, const struct json *v, struct slice *ret)
{
    switch (json_type(v)) {
    case JSON_STRING:
        *ret = json_str(v);
        return true;
    case JSON_BOOL:
        *ret = json_bool(v) ? SLICE("\xfft")
                            : SLICE("\xff"
                                    "f");
        return true;
    case JSON_NUMBER:
        *ret = number_bytes(a, v);
        return true;
    default:
        return false;
    }
}
