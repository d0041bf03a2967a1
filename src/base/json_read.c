/* Walking a parsed JSON document: children, keys, JSON Pointers. */
#include "base/json.h"
#include "base/json_impl.h"

#include <string.h>

const char *json_type_name(enum json_type type)
{
    static const char *const names[] = {"nothing", "null",  "boolean", "number",
                                        "string",  "array", "object"};
    must((size_t)type < sizeof names / sizeof *names);
    return names[type];
}

static const struct json *after(const struct json *v)
{
    return v + (v->type >= JSON_ARRAY ? v->span : 1);
}

struct json_iter json_iter(const struct json *v)
{
    struct json_iter it = {0};
    if (json_type(v) < JSON_ARRAY)
        return it;
    it.next = v + 1;
    it.left = v->len;
    it.index = UINT32_MAX; /* the first step makes it 0 */
    it.keyed = v->type == JSON_OBJECT;
    return it;
}

bool json_next(struct json_iter *it)
{
    if (it->left == 0)
        return false;
    it->left--;
    it->index++;
    if (it->keyed) {
        it->key = (struct slice){it->next->ptr, it->next->len};
        it->next++;
    }
    it->value = it->next;
    it->next = after(it->value);
    return true;
}

const struct json *json_find(const struct json *object, struct slice key)
{
    if (json_type(object) != JSON_OBJECT)
        return NULL;
    const struct json *at = object + 1;
    for (uint32_t left = object->len; left; left--, at = after(at + 1)) {
        if (at->len == key.len && (key.len == 0 || memcmp(at->ptr, key.ptr, key.len) == 0))
            return at + 1;
    }
    return NULL;
}

const struct json *json_item(const struct json *array, size_t index)
{
    if (json_type(array) != JSON_ARRAY || index >= array->len)
        return NULL;
    const struct json *at = array + 1;
    while (index--)
        at = after(at);
    return at;
}

size_t json_len(const struct json *v)
{
    return json_type(v) >= JSON_ARRAY ? v->len : 0;
}

bool json_bool(const struct json *v)
{
    return json_type(v) == JSON_BOOL && v->len;
}

struct slice json_str(const struct json *v)
{
    return json_type(v) == JSON_STRING ? (struct slice){v->ptr, v->len} : SLICE("");
}

struct slice json_num_text(const struct json *v)
{
    return json_type(v) == JSON_NUMBER ? (struct slice){v->ptr, v->len} : SLICE("");
}

/* ---- pointers -------------------------------------------------------------------------------- */
bool json_pointer_is_valid(struct slice pointer)
{
    if (pointer.len && pointer.ptr[0] != '/')
        return false;
    for (size_t i = 0; i < pointer.len; i++) {
        if (pointer.ptr[i] != '~')
            continue;
        if (i + 1 == pointer.len || (pointer.ptr[i + 1] != '0' && pointer.ptr[i + 1] != '1'))
            return false;
    }
    return true;
}

/* Does the segment, read with ~0 as '~' and ~1 as '/', spell the key? */
static bool segment_is(struct slice segment, struct slice key)
{
    size_t at = 0, k = 0;
    for (; at < segment.len && k < key.len; k++) {
        char c = segment.ptr[at++];
        if (c == '~')
            c = segment.ptr[at++] == '0' ? '~' : '/';
        if (c != key.ptr[k])
            return false;
    }
    return at == segment.len && k == key.len;
}

static const struct json *step_into(const struct json *v, struct slice segment)
{
    if (json_type(v) == JSON_ARRAY) {
        uint64_t index;
        bool padded = segment.len > 1 && segment.ptr[0] == '0';
        return !padded && slice_to_u64(segment, &index) ? json_item(v, index) : NULL;
    }
    if (json_type(v) != JSON_OBJECT)
        return NULL;
    json_each (it, v) {
        if (segment_is(segment, it.key))
            return it.value;
    }
    return NULL;
}

const struct json *json_pointer_find(const struct json *root, struct slice pointer)
{
    if (!json_pointer_is_valid(pointer))
        return NULL;
    while (root && pointer.len) {
        struct slice rest = slice_skip(pointer, 1);
        ptrdiff_t slash = slice_index(rest, '/');
        size_t n = slash < 0 ? rest.len : (size_t)slash;
        root = step_into(root, slice_first(rest, n));
        pointer = slice_skip(rest, n);
    }
    return root;
}

void json_pointer_add(struct buf *pointer, struct slice key)
{
    buf_add_char(pointer, '/');
    for (size_t i = 0; i < key.len; i++) {
        if (key.ptr[i] == '~')
            buf_add_str(pointer, "~0");
        else if (key.ptr[i] == '/')
            buf_add_str(pointer, "~1");
        else
            buf_add_char(pointer, key.ptr[i]);
    }
}

void json_pointer_add_index(struct buf *pointer, size_t index)
{
    buf_add_char(pointer, '/');
    buf_add_u64(pointer, index);
}
