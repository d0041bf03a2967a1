/* Serving a sealed folder: its record is read and compared, and what its links lead to is made. */
#include "edge/seal_impl.h"

#include "base/file.h"
#include "base/json.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define RECORD_MAX (1u << 20)
#define AGAIN      "build it again with `dais build --release`"

/* ---- the record -------------------------------------------------------------------------------
 */

bool seal_is_there(const char *dir)
{
    char path[PATH_BYTES];
    int n = snprintf(path, sizeof path, "%s" SEAL_RECORD, dir);
    return n > 0 && (size_t)n < sizeof path && (access(path, F_OK) == 0 || errno == EACCES);
}

/* As the manifest has them: nobody is led out of the folder by a record that came with it. */
static bool is_plain_path(struct slice path)
{
    struct slice part;
    bool fine = path.len && path.ptr[path.len - 1] != '/' && slice_index(path, '\0') < 0;
    while (fine && slice_cut(&path, '/', &part))
        fine = part.len && !slice_is(part, ".") && !slice_is(part, "..");
    return fine;
}

static bool read_persist(const struct json *list, struct arena *a, struct seal *to)
{
    bool fine = json_type(list) == JSON_ARRAY;
    to->persist.items = arena_zalloc(a, (json_len(list) + 1) * sizeof *to->persist.items);
    json_each (it, list) {
        to->persist.items[to->persist.n++].s = arena_dup(a, json_str(it.value));
        fine = fine && json_type(it.value) == JSON_STRING && is_plain_path(json_str(it.value));
    }
    return fine;
}

/* A data folder within the app folder is noted relative to it: both may be moved together. */
static bool read_record(const char *dir, struct slice text, struct arena *a, struct seal *to)
{
    struct json_doc doc;
    struct err e;
    int64_t format = 0;
    if (!json_parse(&doc, a, text, NULL, &e))
        return false;
    const struct json *root = json_root(&doc);
    struct slice data = json_str(json_find(root, SLICE("data")));
    bool is_whole_path = data.len && data.ptr[0] == '/';
    int n = is_whole_path ? snprintf(to->data, sizeof to->data, "%.*s", SLICE_ARGS(data))
                          : snprintf(to->data, sizeof to->data, "%s/%.*s", dir, SLICE_ARGS(data));
    to->is_whole = json_bool(json_find(root, SLICE("finished")));
    to->app = arena_dup(a, json_str(json_find(root, SLICE("app"))));
    return json_i64(json_find(root, SLICE("format")), &format) && format == 1 && data.len &&
           n < (int)sizeof to->data && read_persist(json_find(root, SLICE("persist")), a, to);
}

bool seal_read(const char *dir, struct arena *a, struct seal *ret, struct err *e)
{
    char path[PATH_BYTES];
    struct buf text;
    *ret = (struct seal){.is_there = seal_is_there(dir)};
    if (!ret->is_there)
        return true;
    buf_init(&text, RECORD_MAX);
    snprintf(path, sizeof path, "%s" SEAL_RECORD, dir);
    bool fine = file_read(path, &text) && read_record(dir, buf_slice(&text), a, ret);
    buf_done(&text);
    return fine ||
           err_set(e, ERR_MANIFEST,
                   "%s, the record of its release, cannot be understood by this dais", path);
}

/* ---- paths ------------------------------------------------------------------------------------
 */

bool seal_paths(struct persist *p, const struct persist_options *o, struct err *e)
{
    if (!persist_init(p, o, e))
        return false;
    return path_put(p->shipped, e, "%s/.dais/shipped/%.*s", o->dir, SLICE_ARGS(o->path));
}

bool seal_link_at(const struct persist *p, enum seal_link *ret, struct err *e)
{
    char says[PATH_BYTES];
    ssize_t n = readlink(p->place, says, sizeof says - 1);
    *ret = SEAL_LINK_NONE;
    if (n < 0)
        return errno == EINVAL || errno == ENOENT || errno == ENOTDIR ||
               err_set_sys(e, ERR_IO, "%s cannot be read", p->place);
    says[n] = '\0';
    *ret = strcmp(says, p->target) == 0 ? SEAL_LINK_HERE : SEAL_LINK_ELSEWHERE;
    return true;
}

/* ---- before it is served ----------------------------------------------------------------------
 */

static bool is_same_list(const struct texts *a, const struct texts *b)
{
    bool same = a->n == b->n;
    for (size_t i = 0; same && i < a->n; i++)
        same = slice_eq(a->items[i].s, b->items[i].s);
    return same;
}

static bool check_data(const struct seal *s, const char *data, struct err *e)
{
    char real[PATH_BYTES];
    if (strcmp(s->data, data) == 0 || (path_real(s->data, real) && strcmp(real, data) == 0))
        return true;
    return err_set(e, ERR_MANIFEST,
                   "this release was built for the data folder %s, and this is %s; name the first "
                   "with --data or DAIS_DATA, or " AGAIN,
                   s->data, data);
}

static bool check_setup(const struct manifest *m, const char *dir, const char *data, struct err *e)
{
    char stamp[PATH_BYTES], now[SHA256_HEX_LEN + 1];
    if (!m->backend.setup.s.len)
        return true;
    if (!path_put(stamp, e, "%s" SEAL_STAMP, dir))
        return false;
    const struct setup_options o = {.command = m->backend.setup.s,
                                    .dir = dir,
                                    .data_dir = data,
                                    .app = m->slug.s.ptr,
                                    .persist = &m->backend.persist,
                                    .stamp = stamp};
    setup_digest(&o, now);
    return setup_is_done(&o, now) ||
           err_set(e, ERR_MANIFEST,
                   "`backend.setup`, or a file it depends on, has changed since this release was "
                   "built; " AGAIN);
}

static bool check_links(const struct manifest *m, const char *dir, const struct seal *s,
                        struct err *e)
{
    struct persist p;
    enum seal_link found = SEAL_LINK_HERE;
    for (size_t i = 0; i < m->backend.persist.n; i++) {
        const struct persist_options o = {.app = m->slug.s.ptr,
                                          .dir = dir,
                                          .data_dir = s->data,
                                          .path = m->backend.persist.items[i].s};
        if (!seal_paths(&p, &o, e))
            return false;
        if (!persist_is_data(&p) && !seal_link_at(&p, &found, e))
            return false;
        if (found != SEAL_LINK_HERE)
            return err_set(e, ERR_MANIFEST,
                           "%s is not the link any more that this release was built with; " AGAIN,
                           p.place);
    }
    return true;
}

static bool check(const struct manifest *m, const char *dir, const char *data, struct arena *a,
                  struct err *e)
{
    struct seal s;
    if (!seal_read(dir, a, &s, e) || !s.is_there)
        return !s.is_there;
    if (!s.is_whole)
        return err_set(e, ERR_MANIFEST, "this release was not finished; " AGAIN);
    if (!slice_eq(s.app, m->slug.s))
        return err_set(e, ERR_MANIFEST, "this release was built for an app named `%.*s`; " AGAIN,
                       SLICE_ARGS(s.app));
    if (!is_same_list(&s.persist, &m->backend.persist))
        return err_set(e, ERR_MANIFEST,
                       "`backend.persist` has changed since this release was built; " AGAIN);
    return check_data(&s, data, e) && check_setup(m, dir, data, e) && check_links(m, dir, &s, e);
}

void seal_check(const struct manifest *m, const char *data_dir, struct problems *p)
{
    char dir[PATH_BYTES], data[PATH_BYTES];
    struct arena a;
    struct err e;
    if (!m->backend.run.s.len || !m->slug.s.len || !path_real(m->dir.len ? m->dir.ptr : ".", dir) ||
        !path_real(data_dir, data))
        return;
    arena_init(&a, 64u << 20);
    if (!check(m, dir, data, &a, &e))
        problems_add(p, PROBLEM_ERROR, m->file, m->backend.pos, "%s", e.msg);
    arena_done(&a);
}

/* ---- at each start ----------------------------------------------------------------------------
 */

/* The copy has another name until all of it is on stable storage. */
static bool copy_shipped(const struct persist_options *o, const char *shipped, const char *kept,
                         struct err *e)
{
    char part[PATH_BYTES];
    enum thing has, is;
    if (!thing_at(shipped, &has, e) || !thing_at(kept, &is, e))
        return false;
    if (has == THING_NONE || is != THING_NONE)
        return true;
    return path_put(part, e, "%s.dais-partial", kept) &&
           thing_copy(shipped, part, o->patience, e) && thing_rename(part, kept, e);
}

/* The journal of another database would be played into the shipped one. An interrupted copy's is
 * the shipped one's own. */
static bool check_left(const struct persist *p, const char *shipped, const char *kept,
                       struct err *e)
{
    enum thing left;
    struct err differs;
    if (!thing_at(kept, &left, e))
        return false;
    return left == THING_NONE || thing_is_copied(shipped, kept, &differs) ||
           err_set(e, ERR_MANIFEST, "%s is there without %s; put that back, or remove this", kept,
                   p->kept);
}

static bool copy_companions(const struct persist *p, struct err *e)
{
    char shipped[PATH_BYTES], kept[PATH_BYTES];
    bool fine = true;
    for (const char *const *it = persist_companions; fine && *it; it++) {
        fine = path_put(shipped, e, "%s%s", p->shipped, *it) &&
               path_put(kept, e, "%s%s", p->kept, *it) && check_left(p, shipped, kept, e) &&
               copy_shipped(p->o, shipped, kept, e);
    }
    return fine;
}

static bool make_kept(const struct persist *p, struct err *e)
{
    enum thing shipped;
    if (!parent_make(p->kept, 0700, e) || !thing_at(p->shipped, &shipped, e))
        return false;
    if (shipped == THING_NONE)
        return persist_is_file(p->o->path) || folders_make(p->kept, 0700, e);
    log_line(LOG_INFO, "what came with the release is copied to where it is kept",
             F_CSTR("app", p->o->app), F_STR("path", p->o->path), F_CSTR("to", p->kept));
    return (shipped != THING_FILE || copy_companions(p, e)) &&
           copy_shipped(p->o, p->shipped, p->kept, e);
}

/* The link says what the data folder was called when it was sealed; that name may be a link now. */
static bool check_sealed(const struct persist_options *o, struct err *e)
{
    struct arena a;
    struct seal s;
    struct persist p;
    struct persist_options sealed = *o;
    enum seal_link link = SEAL_LINK_NONE;
    arena_init(&a, 64u << 20);
    bool fine = seal_read(o->dir, &a, &s, e);
    sealed.data_dir = s.data;
    fine =
        fine && seal_paths(&p, &sealed, e) && (persist_is_data(&p) || seal_link_at(&p, &link, e)) &&
        (persist_is_data(&p) || link == SEAL_LINK_HERE ||
         err_set(e, ERR_MANIFEST, "%s is not the link to %s any more; " AGAIN, p.place, p.target));
    arena_done(&a);
    return fine;
}

bool seal_keep(const struct persist_options *o, struct err *e)
{
    struct persist p;
    enum thing kept;
    if (!seal_paths(&p, o, e))
        return false;
    if (persist_is_data(&p))
        return true;
    if (!check_sealed(o, e) || !thing_at(p.kept, &kept, e))
        return false;
    return kept != THING_NONE ? parent_make(p.kept, 0700, e) : make_kept(&p, e);
}
