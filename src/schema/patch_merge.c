/* JSON Merge Patch, written as it is read. */
#include "schema/patch.h"
#include "schema/schema_impl.h"

/* Depth is that of the parser of both. */
static void write_merged(struct json_writer *w, const struct json *target, const struct json *patch,
                         struct arena *scratch);

/* A patch onto nothing: its nulls say nothing. */
static void write_new_members(struct json_writer *w, const struct json *target,
                              const struct json *patch, struct arena *scratch)
{
    struct members known;
    members_init(&known, target, scratch);
    json_each (it, patch) {
        if (json_type(it.value) == JSON_NULL || members_find(&known, it.key))
            continue;
        json_write_key(w, it.key);
        write_merged(w, NULL, it.value, scratch);
    }
}

static void write_merged(struct json_writer *w, const struct json *target, const struct json *patch,
                         struct arena *scratch)
{
    if (json_type(patch) != JSON_OBJECT) {
        json_write_value(w, patch);
        return;
    }
    struct arena_mark mark = arena_mark(scratch);
    struct members changes;
    const struct json *from = json_type(target) == JSON_OBJECT ? target : NULL;
    members_init(&changes, patch, scratch);
    json_write_object(w);
    json_each (it, from) {
        const struct json *change = members_find(&changes, it.key);
        if (json_type(change) == JSON_NULL)
            continue;
        json_write_key(w, it.key);
        if (change)
            write_merged(w, it.value, change, scratch);
        else
            json_write_value(w, it.value);
    }
    write_new_members(w, from, patch, scratch);
    json_write_object_end(w);
    arena_rewind(scratch, mark);
}

void patch_merge(const struct json *target, const struct json *patch, struct buf *to)
{
    struct arena scratch;
    struct json_writer w;
    arena_init(&scratch, 256u << 20);
    json_writer_init(&w, to, 0);
    write_merged(&w, target, patch, &scratch);
    json_writer_done(&w);
    arena_done(&scratch);
}
