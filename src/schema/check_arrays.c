/* Keywords of arrays, and what is left over for unevaluated*. */
#include "schema/check_impl.h"

static bool check_counts(struct check *c, const struct schema *s, const struct json *v)
{
    int64_t n = (int64_t)json_len(v);
    bool fine = true;
    if (s->min_items >= 0 && n < s->min_items)
        fine = n == 0 && s->min_items == 1
                   ? tell(c, "minItems", "must not be empty")
                   : tell(c, "minItems", "must have at least %lld items", (long long)s->min_items);
    if (s->max_items >= 0 && n > s->max_items)
        fine = tell(c, "maxItems", "must have at most %lld items, has %lld",
                    (long long)s->max_items, (long long)n);
    return fine;
}

static bool check_items(struct check *c, const struct schema *s, const struct json *v,
                        const struct seen *seen)
{
    bool fine = true;
    json_each (it, v) {
        const struct schema *own = it.index < s->n_prefix ? s->prefix[it.index] : s->items;
        if (!own)
            break;
        seen_add(seen, it.index);
        if (own->is_false && it.index >= s->n_prefix)
            return tell(c, "items", "must have at most %zu items", s->n_prefix);
        fine = check_item(c, own, it.index, it.value) && fine;
        if (c->gave_up)
            return false;
    }
    return fine;
}

static bool check_contains(struct check *c, const struct schema *s, const struct json *v,
                           const struct seen *seen)
{
    int64_t found = 0, least = s->min_contains >= 0 ? s->min_contains : 1;
    json_each (it, v) {
        struct violations *to = c->to;
        c->to = NULL;
        bool fits = check_item(c, s->contains, it.index, it.value);
        c->to = to;
        if (c->gave_up)
            return false;
        if (fits)
            seen_add(seen, it.index);
        found += fits;
    }
    if (found < least)
        return tell(c, "contains", "holds %lld items of a kind of which it must have at least %lld",
                    (long long)found, (long long)least);
    if (s->max_contains >= 0 && found > s->max_contains)
        return tell(c, "maxContains",
                    "holds %lld items of a kind of which it may have at most %lld",
                    (long long)found, (long long)s->max_contains);
    return true;
}

bool check_array(struct check *c, const struct schema *s, const struct json *v,
                 const struct seen *seen)
{
    size_t first = 0, second = 0;
    bool fine = check_counts(c, s, v);
    if (s->n_prefix || s->items)
        fine = check_items(c, s, v, seen) && fine;
    if (s->contains)
        fine = check_contains(c, s, v, seen) && fine;
    c->steps += s->unique_items ? json_len(v) : 0;
    if (s->unique_items && !values_are_unique(v, &c->scratch, &first, &second))
        fine = tell(c, "uniqueItems", "must not hold the same twice: items %zu and %zu", first,
                    second);
    return fine;
}

/* ---- unevaluated* -------------------------------------------------------------------------------
 */

static bool left_over(struct check *c, const struct schema *s, const struct json_iter *it,
                      bool is_object)
{
    if (!s->is_false)
        return is_object ? check_member(c, s, it->key, it->value)
                         : check_item(c, s, it->index, it->value);
    if (is_object)
        return tell_at(c, it->key, "unevaluatedProperties", "is not known here");
    return tell(c, "unevaluatedItems", "item %u is one too many", it->index);
}

bool check_unevaluated(struct check *c, const struct schema *s, const struct json *v,
                       const struct seen *seen)
{
    bool is_object = json_type(v) == JSON_OBJECT, fine = true;
    const struct schema *rest = is_object                    ? s->unevaluated_properties
                                : json_type(v) == JSON_ARRAY ? s->unevaluated_items
                                                             : NULL;
    if (!rest)
        return true;
    json_each (it, v) {
        if (seen_has(seen, it.index))
            continue;
        fine = left_over(c, rest, &it, is_object) && fine;
        seen_add(seen, it.index);
    }
    return fine;
}
