/* Does a document hold what a check says: keys in a table, references looked up, circles found by
 * going down with a stack of our own. */
#include "base/map.h"
#include "schema/check_impl.h"
#include "schema/checks_impl.h"

#include <string.h>

#define CIRCLE_SHOWN 8 /* keys of a circle that are told */

/* A check under way: tell() wants a struct check, which is large. */
struct run {
    const struct doc_check *check;
    struct check *c;
    bool fine;
};

static struct arena *scratch(struct run *r)
{
    return &r->c->scratch;
}

static bool is_told(const struct run *r)
{
    return r->c->to->n < SCHEMA_VIOLATIONS_MAX;
}

/* Marks a map's entry: which item has the key. Never NULL. */
static void *mark_of(size_t index)
{
    return (void *)(uintptr_t)(index + 1);
}

static size_t index_of(const void *mark)
{
    return (uintptr_t)mark - 1;
}

static bool item_key(struct run *r, const struct json *item, struct slice *ret)
{
    return key_bytes(scratch(r), path_find(&r->check->key, item), ret);
}

static void point_down(struct run *r, const struct path *path)
{
    for (size_t i = 0; i < path->n; i++)
        json_pointer_add(&r->c->pointer, path->steps[i].name);
}

/* ---- unique_keys --------------------------------------------------------------------------------
 */

/* At the list's pointer. */
static void tell_twice(struct run *r, size_t index, size_t before)
{
    size_t depth = r->c->pointer.len;
    struct slice list = arena_dup(scratch(r), buf_slice(&r->c->pointer));
    json_pointer_add_index(&r->c->pointer, index);
    point_down(r, &r->check->key);
    tell(r->c, "unique_keys", "is the key of %.*s/%zu already", SLICE_ARGS(list), before);
    buf_truncate(&r->c->pointer, depth);
}

static void check_unique(struct run *r, const struct json *list)
{
    struct slice key;
    struct map keys;
    map_init(&keys);
    json_each (it, list) {
        if (!item_key(r, it.value, &key))
            continue;
        void *before = map_find(&keys, key);
        if (!before) {
            map_put(&keys, key, mark_of(it.index));
            continue;
        }
        r->fine = false;
        if (is_told(r))
            tell_twice(r, it.index, index_of(before));
        else
            r->c->to->n_more++;
    }
    map_done(&keys);
}

/* ---- refs_exist ---------------------------------------------------------------------------------
 */

/* How many steps of both paths lead to the same item: up to the last [] they share. */
static size_t shared_steps(const struct path *a, const struct path *b)
{
    size_t shared = 0;
    for (size_t i = 0; i < a->n && i < b->n && a->steps[i].kind == b->steps[i].kind &&
                       slice_eq(a->steps[i].name, b->steps[i].name);
         i++) {
        if (a->steps[i].kind == STEP_EACH)
            shared = i + 1;
    }
    return shared;
}

static void gather_keys(struct run *r, const struct json *from, size_t shared, struct map *keys)
{
    const struct json *list;
    struct slice key;
    struct walk w;
    check_walk_init(&w, &r->check->list, shared, r->check->list.n, from);
    while ((list = check_walk_next(&w))) {
        if (json_type(list) != JSON_ARRAY)
            continue;
        json_each (it, list) {
            if (item_key(r, it.value, &key))
                map_put(keys, key, mark_of(it.index));
        }
    }
}

static void tell_missing(struct run *r, const struct walk *w, const struct json *v)
{
    size_t depth = r->c->pointer.len;
    walk_point(w, &r->c->pointer);
    if (json_type(v) >= JSON_ARRAY)
        tell(r->c, "refs_exist", "must be a key: text, a number, true or false");
    else
        tell(r->c, "refs_exist", "no item of %.*s has the key %.*s",
             SLICE_ARGS(r->check->list.text), SLICE_ARGS(told_value(r->c, v)));
    buf_truncate(&r->c->pointer, depth);
}

/* Below one item that both paths have in common, or below the document. */
static void check_refs_below(struct run *r, const struct json *from, size_t shared)
{
    const struct json *v;
    struct slice key;
    struct map keys;
    struct walk w;
    map_init(&keys);
    gather_keys(r, from, shared, &keys);
    check_walk_init(&w, &r->check->refs, shared, r->check->refs.n, from);
    while ((v = check_walk_next(&w))) {
        struct arena_mark mark = arena_mark(scratch(r));
        bool is_known =
            json_type(v) == JSON_NULL || (key_bytes(scratch(r), v, &key) && map_find(&keys, key));
        if (!is_known) {
            r->fine = false;
            if (is_told(r))
                tell_missing(r, &w, v);
            else
                r->c->to->n_more++;
        }
        arena_rewind(scratch(r), mark);
    }
    map_done(&keys);
}

static void check_refs(struct run *r, const struct json *doc)
{
    size_t shared = shared_steps(&r->check->refs, &r->check->list);
    const struct json *from;
    struct walk w;
    check_walk_init(&w, &r->check->refs, 0, shared, doc);
    while ((from = check_walk_next(&w))) {
        struct arena_mark mark = arena_mark(scratch(r));
        size_t depth = r->c->pointer.len;
        walk_point(&w, &r->c->pointer);
        check_refs_below(r, from, shared);
        buf_truncate(&r->c->pointer, depth);
        arena_rewind(scratch(r), mark);
    }
}

/* ---- acyclic ------------------------------------------------------------------------------------
 * Items are numbered; an edge leads from an item to the first one that has the key. An item is new,
 * open while it is on the stack, and done. */

struct node {
    const struct json *item;
    uint32_t first; /* edge; the next item's is where they end */
    uint32_t next;  /* edge to follow */
    uint32_t level; /* 1 + where on the stack; 0: new */
    bool is_done;
};

struct edge {
    uint32_t to;
    uint32_t nth; /* of all that refers in the item: for the pointer */
};

struct graph {
    struct node *nodes;
    struct edge *edges;
    uint32_t *stack;
    uint32_t n, n_edges, height;
};

static uint32_t count_refs(struct run *r, const struct json *list)
{
    uint32_t n = 0;
    struct walk w;
    json_each (it, list) {
        check_walk_init(&w, &r->check->refs, 0, r->check->refs.n, it.value);
        while (check_walk_next(&w))
            n++;
    }
    return n;
}

static void add_edges(struct run *r, struct graph *g, const struct map *keys,
                      const struct json *item)
{
    const struct json *v;
    struct slice key;
    struct walk w;
    check_walk_init(&w, &r->check->refs, 0, r->check->refs.n, item);
    for (uint32_t nth = 0; (v = check_walk_next(&w)); nth++) {
        void *to = key_bytes(scratch(r), v, &key) ? map_find(keys, key) : NULL;
        if (to)
            g->edges[g->n_edges++] = (struct edge){(uint32_t)index_of(to), nth};
    }
}

static void build(struct run *r, struct graph *g, const struct json *list)
{
    struct slice key;
    struct map keys;
    map_init(&keys);
    g->n = (uint32_t)json_len(list);
    g->nodes = arena_zalloc(scratch(r), (g->n + 1) * sizeof *g->nodes);
    g->stack = arena_alloc(scratch(r), (g->n + 1) * sizeof *g->stack);
    g->edges = arena_alloc(scratch(r), (count_refs(r, list) + 1) * sizeof *g->edges);
    json_each (it, list) {
        g->nodes[it.index].item = it.value;
        if (item_key(r, it.value, &key) && !map_find(&keys, key))
            map_put(&keys, key, mark_of(it.index));
    }
    for (uint32_t i = 0; i < g->n; i++) {
        g->nodes[i].first = g->nodes[i].next = g->n_edges;
        add_edges(r, g, &keys, g->nodes[i].item);
    }
    g->nodes[g->n].first = g->n_edges;
    map_done(&keys);
}

/* "a" -> "b" -> "a": from the item an edge leads back to, up the stack, and that item again. */
static struct slice told_circle(struct run *r, const struct graph *g, uint32_t back)
{
    uint32_t from = g->nodes[back].level - 1, n = g->height - from;
    struct slice text = SLICE("");
    for (uint32_t i = 0; i <= n; i++) {
        uint32_t at = g->stack[from + i % n];
        const struct json *key = path_find(&r->check->key, g->nodes[at].item);
        bool is_left_out = i >= CIRCLE_SHOWN && i + 1 < n;
        if (is_left_out)
            i = n - 2;
        struct slice shown = is_left_out ? SLICE("...") : told_value(r->c, key);
        text = arena_printf(scratch(r), "%.*s%s%.*s", SLICE_ARGS(text), i ? " -> " : "",
                            SLICE_ARGS(shown));
    }
    return text;
}

static void tell_circle(struct run *r, const struct graph *g, uint32_t from, struct edge edge)
{
    struct arena_mark mark = arena_mark(scratch(r));
    size_t depth = r->c->pointer.len;
    struct walk w;
    check_walk_init(&w, &r->check->refs, 0, r->check->refs.n, g->nodes[from].item);
    for (uint32_t i = 0; i <= edge.nth; i++)
        must(check_walk_next(&w));
    json_pointer_add_index(&r->c->pointer, from);
    walk_point(&w, &r->c->pointer);
    tell(r->c, "acyclic", "leads back to where it came from: %.*s",
         SLICE_ARGS(told_circle(r, g, edge.to)));
    buf_truncate(&r->c->pointer, depth);
    arena_rewind(scratch(r), mark);
}

static void enter(struct graph *g, uint32_t at)
{
    g->stack[g->height++] = at;
    g->nodes[at].level = g->height;
}

/* Everything that can be reached from one item. */
static void follow(struct run *r, struct graph *g, uint32_t start)
{
    enter(g, start);
    while (g->height) {
        uint32_t at = g->stack[g->height - 1];
        struct node *node = &g->nodes[at];
        if (node->next == node[1].first) {
            node->is_done = true;
            g->height--;
            continue;
        }
        struct edge edge = g->edges[node->next++];
        if (!g->nodes[edge.to].level) {
            enter(g, edge.to);
        } else if (!g->nodes[edge.to].is_done) {
            r->fine = false;
            if (is_told(r))
                tell_circle(r, g, at, edge);
            else
                r->c->to->n_more++;
        }
    }
}

static void check_acyclic(struct run *r, const struct json *list)
{
    struct graph g = {0};
    build(r, &g, list);
    for (uint32_t i = 0; i < g.n; i++) {
        if (!g.nodes[i].level)
            follow(r, &g, i);
    }
}

/* ---- all of them --------------------------------------------------------------------------------
 */

static void check_lists(struct run *r, const struct json *doc)
{
    const struct json *list;
    struct walk w;
    check_walk_init(&w, &r->check->list, 0, r->check->list.n, doc);
    while ((list = check_walk_next(&w))) {
        struct arena_mark mark = arena_mark(scratch(r));
        size_t depth = r->c->pointer.len;
        walk_point(&w, &r->c->pointer);
        if (json_type(list) == JSON_ARRAY && r->check->kind == CHECK_UNIQUE)
            check_unique(r, list);
        else if (json_type(list) == JSON_ARRAY)
            check_acyclic(r, list);
        buf_truncate(&r->c->pointer, depth);
        arena_rewind(scratch(r), mark);
    }
}

bool doc_check_holds(const struct doc_check *check, const struct json *doc, struct violations *to)
{
    struct check c = {.to = to, .all = to};
    struct run r = {.check = check, .c = &c, .fine = true};
    arena_init(&c.scratch, 1u << 30);
    buf_init(&c.pointer, 64u << 20);
    if (check->kind == CHECK_REFS)
        check_refs(&r, doc);
    else
        check_lists(&r, doc);
    buf_done(&c.pointer);
    arena_done(&c.scratch);
    return r.fine;
}
