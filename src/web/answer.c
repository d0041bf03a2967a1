/* Who owns a path, and what conditions and ranges make of the answer. */
#include "web/answer_impl.h"

#include <string.h>

/* ---- paths
 * -------------------------------------------------------------------------------------- */

static bool is_read(enum http_method m)
{
    return m == METHOD_GET || m == METHOD_HEAD;
}

static void set_file(struct web_target *ret, const struct web_query *q, struct web_file *f)
{
    ret->kind = is_read(q->method) ? WEB_FILE : WEB_METHOD;
    ret->file = f;
}

static struct web_file *page_find(const struct web_rules *r, const struct web_tree *t,
                                  struct slice path)
{
    for (size_t i = 0; i < r->conf->pages.n; i++) {
        if (t->pages[i] && pattern_matches(&r->conf->pages.items[i].pattern, path, NULL))
            return t->pages[i];
    }
    return NULL;
}

/* A deep link of a single-page app: nothing that looks like a file, nothing of a mounted site. */
static bool is_deep_link(const struct web_rules *r, struct slice path)
{
    return rules_root(r, path) == r->n_roots - 1 && !path_has_extension(path) &&
           !path_has_dot_name(path);
}

void web_route(const struct web_rules *r, const struct web_tree *t, const struct web_query *q,
               struct arena *a, struct web_target *ret)
{
    *ret = (struct web_target){.kind = WEB_MISSING, .status = 404};
    ret->profile = r->n_profiles > 1 ? rules_profile(r, q->path) : 0;
    if (t->script && slice_eq(q->path, t->script->path)) {
        ret->status = 200;
        set_file(ret, q, t->script);
        return;
    }
    if (r->conf->redirects.n &&
        rules_redirect(r, q->path, q->mount, q->query, a, &ret->status, &ret->location)) {
        ret->kind = WEB_REDIRECT;
        return;
    }
    const struct web_node *node = tree_find(t, q->path);
    struct web_file *f = node && node->kind == NODE_FILE ? node->file : NULL;
    if (node && node->kind == NODE_FOLDER && is_read(q->method)) {
        ret->kind = WEB_REDIRECT;
        ret->status = 301;
        ret->location = rules_folder_location(q->path, q->mount, q->query, a);
        return;
    }
    if (!f)
        f = page_find(r, t, q->path);
    if (!f && t->fallback && is_read(q->method) && is_deep_link(r, q->path))
        f = t->fallback;
    if (f) {
        ret->status = 200;
        set_file(ret, q, f);
    }
}

struct web_file *error_page_find(const struct web_rules *r, const struct web_tree *t, int status)
{
    for (size_t i = 0; i < r->conf->errors.n; i++) {
        if (r->conf->errors.items[i].status == status)
            return t->errors[i];
    }
    return NULL;
}

/* ---- copies
 * ------------------------------------------------------------------------------------- */

/* Which of br and gzip a list names, when it is as browsers send it: lower-case names without
 * weights. False: it is not. This is asked for every file, and ten times as fast as the whole
 * grammar. */
static bool plain_codings(struct slice list, bool *ret_br, bool *ret_gzip)
{
    size_t from = 0;
    *ret_br = *ret_gzip = false;
    for (size_t i = 0; i <= list.len; i++) {
        char c = i < list.len ? list.ptr[i] : ',';
        if ((c >= 'a' && c <= 'z') || c == '-')
            continue;
        if (c != ',' && c != ' ')
            return false;
        *ret_br |= i - from == 2 && memcmp(list.ptr + from, "br", 2) == 0;
        *ret_gzip |= i - from == 4 && memcmp(list.ptr + from, "gzip", 4) == 0;
        from = i + 1;
    }
    return true;
}

const struct web_copy *copy_choose(const struct web_file *f, const struct h1_request *h1)
{
    const struct web_copy *plain = file_copy(f, CODING_IDENTITY);
    const struct web_copy *br = file_copy(f, CODING_BR), *gz = file_copy(f, CODING_GZIP);
    if ((!br && !gz) || h1->at[HEADER_RANGE] || !h1->at[HEADER_ACCEPT_ENCODING])
        return plain;
    struct slice list = h1_get(h1, HEADER_ACCEPT_ENCODING);
    bool takes_br, takes_gzip;
    if (plain_codings(list, &takes_br, &takes_gzip))
        return br && takes_br ? br : gz && takes_gzip ? gz : plain;
    unsigned available = CODING_BIT(CODING_IDENTITY) | (br ? CODING_BIT(CODING_BR) : 0) |
                         (gz ? CODING_BIT(CODING_GZIP) : 0);
    enum coding coding = coding_choose(list, available);
    return coding == CODING_BR ? br : coding == CODING_GZIP ? gz : plain;
}
