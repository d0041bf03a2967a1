/* What `web:` says, compiled: folders, redirects, rewrites and the env script. */
#include "web/rules_impl.h"
#include "base/json.h"
#include "web/profile_impl.h"

#include <string.h>

#define LOCATION_MAX 8192

/* ---- making
 * ------------------------------------------------------------------------------------- */

static const char *folder_of(struct arena *a, struct slice dir, struct slice folder)
{
    if (!dir.len || slice_starts(folder, SLICE("/")))
        return arena_cstr(a, folder.len ? folder : SLICE("."));
    return arena_printf(a, "%.*s/%.*s", SLICE_ARGS(dir), SLICE_ARGS(folder)).ptr;
}

static void add_roots(struct web_rules *r, const struct web_options *o)
{
    const struct web_conf *conf = r->conf;
    r->roots = arena_alloc(&r->arena, (conf->mounts.n + 1) * sizeof *r->roots);
    for (size_t i = 0; i < conf->mounts.n; i++)
        r->roots[r->n_roots++] =
            (struct web_root){conf->mounts.items[i].prefix.s,
                              folder_of(&r->arena, o->dir, conf->mounts.items[i].folder.s)};
    r->roots[r->n_roots++] =
        (struct web_root){SLICE("/"), folder_of(&r->arena, o->dir, conf->root.s)};
}

static struct slice make_script(struct arena *a, const struct pairs *values)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    buf_add(&b, SLICE("export const env={"));
    for (size_t i = 0; i < values->n; i++) {
        if (i)
            buf_add_char(&b, ',');
        json_escape(&b, values->items[i].key.s, JSON_FOR_HTML);
        buf_add_char(&b, ':');
        json_escape(&b, values->items[i].value.s, JSON_FOR_HTML);
    }
    buf_add(&b, SLICE("};\n"));
    struct slice text = arena_dup(a, buf_slice(&b));
    buf_done(&b);
    return text;
}

void rules_init(struct web_rules *r, const struct web_options *o)
{
    *r = (struct web_rules){.conf = o->conf, .budget = o->budget, .dev = o->dev};
    arena_init(&r->arena, 8 << 20);
    if (o->dev)
        r->dev_script = arena_printf(&r->arena, "%.*s/_/dev/reload.js", SLICE_ARGS(o->mount));
    add_roots(r, o);
    r->profiles = profiles_make(&r->arena, o->conf, &r->n_profiles);
    for (size_t i = 0; i < r->n_profiles; i++)
        r->needs_scan |= r->profiles[i].needs_scan;
    if (o->conf->env.path.s.len)
        r->script = make_script(&r->arena, o->env ? o->env : &o->conf->env.values);
}

void rules_done(struct web_rules *r)
{
    arena_done(&r->arena);
}

/* ---- looking up
 * --------------------------------------------------------------------------------- */

size_t rules_profile(const struct web_rules *r, struct slice path)
{
    return web_headers_find(r->conf, path);
}

size_t rules_root(const struct web_rules *r, struct slice path)
{
    size_t i = 0;
    while (i + 1 < r->n_roots && !slice_starts(path, r->roots[i].prefix))
        i++;
    return i;
}

/* ---- rewriting
 * ---------------------------------------------------------------------------------- */

bool web_rewrite_is_for(const struct rewrite_rule *rule, struct slice path)
{
    return glob_matches(rule->files.s, slice_skip(path, 1));
}

bool rules_rewrites(const struct web_rules *r, struct slice path)
{
    for (size_t i = 0; i < r->conf->rewrite.n; i++) {
        if (glob_matches(r->conf->rewrite.items[i].files.s, path))
            return true;
    }
    return false;
}

/* Where dev's script goes: before the end of the head, else of the body, else last. */
static size_t script_place(struct slice html)
{
    ptrdiff_t at = slice_search(html, SLICE("</head>"));
    if (at < 0)
        at = slice_search(html, SLICE("</body>"));
    return at < 0 ? html.len : (size_t)at;
}

static void add_dev_script(const struct web_rules *r, struct slice html, struct buf *out)
{
    size_t at = script_place(html);
    buf_add(out, slice_first(html, at));
    buf_printf(out, "<script src=\"%.*s\"></script>", SLICE_ARGS(r->dev_script));
    buf_add(out, slice_skip(html, at));
}

bool rules_rewrite(const struct web_rules *r, struct slice path, bool is_html, struct slice text,
                   struct buf *out)
{
    struct buf spare;
    buf_init(&spare, out->max);
    buf_add(out, text);
    for (size_t i = 0; i < r->conf->rewrite.n && !out->full; i++) {
        const struct rewrite_rule *rule = &r->conf->rewrite.items[i];
        if (!glob_matches(rule->files.s, path))
            continue;
        buf_clear(&spare);
        buf_add_replacing(&spare, buf_slice(out), rule->from.s, rule->to.s);
        buf_swap(out, &spare);
    }
    if (r->dev && is_html && !out->full) {
        buf_clear(&spare);
        add_dev_script(r, buf_slice(out), &spare);
        buf_swap(out, &spare);
    }
    buf_done(&spare);
    return !out->full;
}

/* ---- redirecting
 * -------------------------------------------------------------------------------- */

static void add_query(struct buf *to, struct slice target, struct slice query)
{
    if (!query.len || !header_value_is_valid(query))
        return;
    buf_add_char(to, slice_index(target, '?') >= 0 ? '&' : '?');
    buf_add(to, query);
}

static struct slice finish(struct buf *b, struct arena *a)
{
    struct slice s = b->full ? (struct slice){0} : arena_dup(a, buf_slice(b));
    buf_done(b);
    return s;
}

/* Up to where the target names the other host; 0 when it is a path of ours. */
static size_t authority_len(struct slice target)
{
    if (slice_starts(target, SLICE("/")))
        return 0;
    ptrdiff_t scheme = slice_search(target, SLICE("://"));
    if (scheme < 0)
        return target.len;
    size_t from = (size_t)scheme + 3;
    while (from < target.len && !strchr("/?#", target.ptr[from]))
        from++;
    return from;
}

/* The splat may only choose a path on the host the target names: one that is glued to the host
 * ("https://a.example:splat" and ".evil") is left out, and a path of ours never begins with two
 * slashes, which a browser would read as a host. */
static void add_target(struct buf *to, struct slice target, struct slice splat)
{
    size_t fixed = authority_len(target), was = to->len;
    struct slice rest = slice_skip(target, fixed);
    buf_add(to, slice_first(target, fixed));
    ptrdiff_t at;
    while ((at = slice_search(rest, SLICE(":splat"))) >= 0) {
        address_encode(to, slice_first(rest, (size_t)at));
        path_encode(to, splat);
        rest = slice_skip(rest, (size_t)at + 6);
    }
    address_encode(to, rest);
    size_t slashes = 0;
    while (!fixed && was + slashes < to->len && to->data[was + slashes] == '/')
        slashes++;
    if (slashes > 1) {
        memmove(to->data + was + 1, to->data + was + slashes, to->len - was - slashes + 1);
        to->len -= slashes - 1;
    }
}

bool rules_redirect(const struct web_rules *r, struct slice path, struct slice mount,
                    struct slice query, struct arena *a, int *ret_status,
                    struct slice *ret_location)
{
    for (size_t i = 0; i < r->conf->redirects.n; i++) {
        const struct redirect *row = &r->conf->redirects.items[i];
        struct slice splat = {0}, target = row->to.s, fragment = {0};
        if (!pattern_matches(&row->from, path, &splat))
            continue;
        ptrdiff_t hash = slice_index(target, '#');
        if (hash >= 0) {
            fragment = slice_skip(target, (size_t)hash);
            target = slice_first(target, (size_t)hash);
        }
        struct buf b;
        buf_init(&b, LOCATION_MAX + query.len + 3 * splat.len);
        if (slice_starts(target, SLICE("/")))
            buf_add(&b, mount);
        add_target(&b, target, splat);
        add_query(&b, target, query);
        address_encode(&b, fragment);
        *ret_location = finish(&b, a);
        *ret_status = (int)row->status;
        return ret_location->len > 0;
    }
    return false;
}

struct slice rules_folder_location(struct slice path, struct slice mount, struct slice query,
                                   struct arena *a)
{
    struct buf b;
    buf_init(&b, LOCATION_MAX + query.len + 3 * path.len);
    buf_add(&b, mount);
    path_encode(&b, path);
    buf_add_char(&b, '/');
    add_query(&b, (struct slice){0}, query);
    return finish(&b, a);
}
