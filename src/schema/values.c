/* Values as JSON Schema compares them: numbers by value, objects whatever the order of their keys.
 */
#include "base/map.h"
#include "schema/schema_impl.h"

#include <stdlib.h>

#define FEW 32 /* members that are looked up one by one */

/* The members of b by name, where they are in another order than those of a. */
static const struct json *other_of(const struct json *b, struct map *index, struct slice name)
{
    if (json_len(b) < FEW)
        return json_find(b, name);
    json_each (it, index->len ? NULL : b)
        map_put(index, it.key, (void *)(uintptr_t)it.value);
    return map_find(index, name);
}

/* Depth is that of the document, which its parser limits. */
static bool objects_equal(const struct json *a, const struct json *b)
{
    struct json_iter x = json_iter(a), y = json_iter(b);
    struct map index;
    bool equal = json_len(a) == json_len(b);
    map_init(&index);
    while (equal && json_next(&x) && json_next(&y)) {
        const struct json *other = slice_eq(x.key, y.key) ? y.value : other_of(b, &index, x.key);
        equal = other && values_equal(x.value, other);
    }
    map_done(&index);
    return equal;
}

static bool arrays_equal(const struct json *a, const struct json *b)
{
    if (json_len(a) != json_len(b))
        return false;
    struct json_iter x = json_iter(a), y = json_iter(b);
    while (json_next(&x) && json_next(&y)) {
        if (!values_equal(x.value, y.value))
            return false;
    }
    return true;
}

bool values_equal(const struct json *a, const struct json *b)
{
    if (json_type(a) != json_type(b))
        return false;
    switch (json_type(a)) {
    case JSON_BOOL:
        return json_bool(a) == json_bool(b);
    case JSON_NUMBER:
        return json_num_cmp(a, b) == 0;
    case JSON_STRING:
        return slice_eq(json_str(a), json_str(b));
    case JSON_ARRAY:
        return arrays_equal(a, b);
    case JSON_OBJECT:
        return objects_equal(a, b);
    default:
        return true;
    }
}

/* ---- unique items -------------------------------------------------------------------------------
 * Equal values have equal hashes; only those are compared. */

struct hashed {
    uint64_t hash;
    size_t index;
    const struct json *value;
};

static uint64_t mix(uint64_t h, uint64_t v)
{
    h = (h ^ v) * 0x9e3779b97f4a7c15u;
    return h ^ (h >> 29);
}

/* With the process's secret: nobody can choose texts of one hash. */
static uint64_t hash_text(uint64_t h, struct slice s)
{
    return mix(h, map_hash(s));
}

static uint64_t hash_number(uint64_t h, const struct json *v)
{
    struct json_decimal d = json_decimal(v);
    if (d.n == 0)
        return mix(h, 0);
    h = mix(mix(h, d.negative), (uint64_t)(d.exp + (int64_t)d.n));
    for (size_t i = 0; i < d.n; i++)
        h = mix(h, (uint64_t)json_decimal_digit(&d, i));
    return h;
}

static uint64_t hash_value(const struct json *v)
{
    const char type = (char)json_type(v);
    uint64_t h = map_hash((struct slice){&type, 1}), sum = 0;
    switch (json_type(v)) {
    case JSON_BOOL:
        return mix(h, json_bool(v));
    case JSON_NUMBER:
        return hash_number(h, v);
    case JSON_STRING:
        return hash_text(h, json_str(v));
    case JSON_ARRAY:
        json_each (it, v)
            h = mix(h, hash_value(it.value));
        return h;
    case JSON_OBJECT: /* a sum: the order of the keys says nothing */
        json_each (it, v)
            sum += mix(hash_text(1, it.key), hash_value(it.value));
        return mix(h, sum);
    default:
        return h;
    }
}

static int by_hash(const void *a, const void *b)
{
    const struct hashed *x = a, *y = b;
    if (x->hash != y->hash)
        return x->hash < y->hash ? -1 : 1;
    return x->index < y->index ? -1 : x->index > y->index;
}

bool values_are_unique(const struct json *array, struct arena *scratch, size_t *ret_first,
                       size_t *ret_second)
{
    size_t n = json_len(array);
    struct arena_mark mark = arena_mark(scratch);
    struct hashed *all = arena_alloc(scratch, (n + 1) * sizeof *all);
    json_each (it, array)
        all[it.index] = (struct hashed){hash_value(it.value), it.index, it.value};
    qsort(all, n, sizeof *all, by_hash);
    bool is_unique = true;
    for (size_t i = 0; is_unique && i < n; i++) {
        for (size_t k = i + 1; is_unique && k < n && all[k].hash == all[i].hash; k++) {
            *ret_first = all[i].index;
            *ret_second = all[k].index;
            is_unique = !values_equal(all[i].value, all[k].value);
        }
    }
    arena_rewind(scratch, mark);
    return is_unique;
}

/* ---- members ------------------------------------------------------------------------------------
 */

struct member {
    struct slice name;
    const struct json *value;
};

static int by_member(const void *a, const void *b)
{
    return slice_cmp(((const struct member *)a)->name, ((const struct member *)b)->name);
}

void members_init(struct members *m, const struct json *object, struct arena *a)
{
    *m = (struct members){.object = json_type(object) == JSON_OBJECT ? object : NULL};
    if (json_len(m->object) < FEW)
        return;
    m->sorted = arena_alloc(a, json_len(object) * sizeof *m->sorted);
    json_each (it, object)
        m->sorted[it.index] = (struct member){it.key, it.value};
    qsort(m->sorted, json_len(object), sizeof *m->sorted, by_member);
}

const struct json *members_find(const struct members *m, struct slice name)
{
    const struct member wanted = {.name = name};
    if (!m->sorted)
        return json_find(m->object, name);
    const struct member *found =
        bsearch(&wanted, m->sorted, json_len(m->object), sizeof *m->sorted, by_member);
    return found ? found->value : NULL;
}

size_t text_length(struct slice s)
{
    size_t n = 0;
    for (size_t i = 0; i < s.len; i++)
        n += ((unsigned char)s.ptr[i] & 0xc0) != 0x80;
    return n;
}
