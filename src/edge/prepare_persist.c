/* Paths of `persist`: kept at DATA/apps/APP/persist/PATH, with a link where the backend looks.
 *
 * look, decide, do one step, and again: each step leaves a state that the next look understands, so
 * a start that was interrupted anywhere goes on from there. Nothing is ever overwritten. */
#include "edge/prepare_impl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define STEPS_MAX     16
#define RELEASES_MAX  (2u << 20)
#define RELEASES_KEPT (512u << 10)

const char *const persist_companions[] = {"-wal", "-shm", "-journal", NULL};

/* ---- what follows from what was found ---------------------------------------------------------
 */

static bool is_there(enum thing t)
{
    return t != THING_NONE;
}

/* The folder was set aside while its copy took its place. */
static enum persist_step decide_aside(const struct persist_found *f, const char **ret_why)
{
    bool is_free = f->place == THING_NONE;
    if (is_free && !is_there(f->kept))
        return PERSIST_UNDO;
    if (is_free)
        return PERSIST_LINK;
    if (f->leads_here && is_there(f->kept))
        return PERSIST_CLEAN;
    *ret_why =
        "a move of it was interrupted, and something new stands in its place; what was moved "
        "is beside it in a name that ends in .dais-moving: keep the one you need there";
    return PERSIST_REFUSE;
}

static enum persist_step decide_link(const struct persist_found *f, const char **ret_why)
{
    if (f->leads_here)
        return is_there(f->kept) || f->is_file ? PERSIST_DONE : PERSIST_MAKE;
    if (f->leads_to_data && !f->has_target)
        return PERSIST_RELINK;
    *ret_why = f->leads_to_data
                   ? "it is kept in another data folder, where the link leads; move it from there "
                     "to the present one, or name the other with --data"
                   : "it is a link to somewhere else; remove the link, or take the path off "
                     "`persist`, as what is elsewhere is kept there";
    return PERSIST_REFUSE;
}

/* Shipped defaults of a new release give way to what is kept. In a folder that was linked before
 * somebody replaced the link: nobody knows which of the two is the one that counts. */
static enum persist_step decide_both(const struct persist_found *f, const char **ret_why)
{
    if (f->place == THING_EMPTY)
        return PERSIST_DROP;
    if (f->is_new_release && !is_there(f->shipped))
        return PERSIST_SHIP;
    *ret_why = f->is_new_release
                   ? "it is in the app folder and kept in the data folder too, and what came with "
                     "an earlier release is at the same name with .shipped already; remove one"
                   : "it is in the app folder and kept in the data folder too, and nothing is "
                     "overwritten; move away the one that is out of date";
    return PERSIST_REFUSE;
}

enum persist_step persist_decide(const struct persist_found *f, const char **ret_why)
{
    if (is_there(f->aside))
        return decide_aside(f, ret_why);
    if (f->place == THING_LINK)
        return decide_link(f, ret_why);
    if (f->place == THING_OTHER) {
        *ret_why = "it is a pipe, a socket or a device, which cannot be kept";
        return PERSIST_REFUSE;
    }
    if (f->place == THING_NONE)
        return is_there(f->kept) || f->is_file ? PERSIST_LINK : PERSIST_MAKE;
    return is_there(f->kept) ? decide_both(f, ret_why) : PERSIST_MOVE;
}

/* ---- paths ------------------------------------------------------------------------------------
 */

static bool is_below(const char *path, const char *folder)
{
    size_t n = strlen(folder);
    return strncmp(path, folder, n) == 0 && (path[n] == '/' || path[n] == '\0');
}

/* Data in the app folder is linked to by a relative path, so that both can be moved together. */
static bool set_target(struct persist *p, struct err *e)
{
    const struct persist_options *o = p->o;
    char up[PATH_BYTES] = "";
    if (!is_below(p->kept, o->dir))
        return path_put(p->target, e, "%s", p->kept);
    size_t n = 0;
    for (size_t i = 0; i < o->path.len && n + 4 < sizeof up; i++) {
        if (o->path.ptr[i] == '/') {
            memcpy(up + n, "../", 4);
            n += 3;
        }
    }
    return path_put(p->target, e, "%s%s", up, p->kept + strlen(o->dir) + 1);
}

bool persist_init(struct persist *p, const struct persist_options *o, struct err *e)
{
    p->o = o;
    return path_put(p->place, e, "%s/%.*s", o->dir, SLICE_ARGS(o->path)) &&
           path_put(p->kept, e, "%s/apps/%s/persist/%.*s", o->data_dir, o->app,
                    SLICE_ARGS(o->path)) &&
           path_put(p->aside, e, "%s.dais-moving", p->place) &&
           path_put(p->shipped, e, "%s.shipped", p->place) && set_target(p, e);
}

/* "app.db", but not "data", ".cache" or "v1.2/cache". */
bool persist_is_file(struct slice path)
{
    struct slice name = slice_skip(path, (size_t)(slice_rindex(path, '/') + 1));
    ptrdiff_t dot = slice_rindex(name, '.');
    return dot > 0 && (size_t)dot + 1 < name.len;
}

/* ---- looking ----------------------------------------------------------------------------------
 */

/* What leads to it must be folders of the app itself: a link would take us elsewhere. */
static bool check_way(const struct persist *p, struct err *e)
{
    char part[PATH_BYTES];
    for (const char *at = p->place + strlen(p->o->dir) + 1; (at = strchr(at, '/')); at++) {
        enum thing found;
        if (!path_put(part, e, "%.*s", (int)(at - p->place), p->place) ||
            !thing_at(part, &found, e))
            return false;
        if (found == THING_NONE)
            return true;
        if (found != THING_FOLDER && found != THING_EMPTY)
            return err_set(e, ERR_MANIFEST,
                           "%s is %s, not a folder of the app; persist what is "
                           "behind it where it is",
                           part, found == THING_LINK ? "a link" : "a file");
    }
    return true;
}

static bool check_data(const struct persist *p, struct err *e)
{
    if (is_below(p->o->data_dir, p->place))
        return err_set(e, ERR_MANIFEST,
                       "the data folder %s lies in it; choose another with --data or DAIS_DATA",
                       p->o->data_dir);
    if (is_below(p->place, p->o->data_dir))
        return err_set(e, ERR_MANIFEST, "it lies in the data folder, which is kept anyway");
    return true;
}

bool persist_is_data(const struct persist *p)
{
    return strcmp(p->place, p->o->data_dir) == 0;
}

bool persist_check(const struct persist *p, struct err *e)
{
    return persist_is_data(p) || (check_data(p, e) && check_way(p, e));
}

bool persist_read_link(const struct persist *p, struct persist_found *f, struct err *e)
{
    char says[PATH_BYTES], tail[PATH_BYTES];
    struct stat st;
    ssize_t n = readlink(p->place, says, sizeof says - 1);
    if (n < 0)
        return err_set_sys(e, ERR_IO, "%s cannot be read", p->place);
    says[n] = '\0';
    f->leads_here = strcmp(says, p->target) == 0 || strcmp(says, p->kept) == 0;
    if (!path_put(tail, e, "/apps/%s/persist/%.*s", p->o->app, SLICE_ARGS(p->o->path)))
        return false;
    f->leads_to_data = slice_ends(slice_from(says), slice_from(tail));
    f->has_target = stat(p->place, &st) == 0;
    return true;
}

/* The folders in which everything was in its place once, a line each. */
static void releases_path(const struct persist *p, char to[PATH_BYTES])
{
    snprintf(to, PATH_BYTES, "%s/apps/%s/linked", p->o->data_dir, p->o->app);
}

static bool is_known_release(const struct persist *p)
{
    char path[PATH_BYTES];
    struct buf text;
    buf_init(&text, RELEASES_MAX);
    releases_path(p, path);
    (void)file_read(path, &text);
    struct slice rest = buf_slice(&text), line;
    bool found = false;
    while (!found && slice_cut(&rest, '\n', &line)) {
        struct slice release = line, of;
        found = slice_cut(&release, ' ', &of) && slice_is(of, p->o->release) &&
                slice_eq(release, p->o->path);
    }
    buf_done(&text);
    return found;
}

static bool look(struct persist *p, struct persist_found *f, struct err *e)
{
    *f = (struct persist_found){0};
    if (!thing_at(p->place, &f->place, e) || !thing_at(p->kept, &f->kept, e) ||
        !thing_at(p->aside, &f->aside, e) || !thing_at(p->shipped, &f->shipped, e))
        return false;
    f->is_file = persist_is_file(p->o->path);
    f->is_new_release = !is_known_release(p);
    return f->place != THING_LINK || persist_read_link(p, f, e);
}

/* ---- doing ------------------------------------------------------------------------------------
 */

/* Copied, set aside, compared, and only then in its place: whoever still writes to it is noticed.
 */
static bool move_across(struct persist *p, const char *from, const char *to, struct err *e)
{
    char part[PATH_BYTES], aside[PATH_BYTES];
    if (p->o->is_running)
        return err_set(e, ERR_LOCKED,
                       "the data folder is on another file system, so it must be copied, and the "
                       "app is running; stop dais and start it again to have it moved");
    if (!path_put(part, e, "%s.dais-partial", to) || !path_put(aside, e, "%s.dais-moving", from))
        return false;
    for (int tries = 0; tries < 3; tries++) {
        struct err changed;
        if (!thing_copy(from, part, p->o->patience, e) || !thing_rename(from, aside, e))
            return false;
        if (thing_is_copied(aside, part, &changed))
            return thing_rename(part, to, e);
        if (!thing_rename(aside, from, e) || !thing_remove(part, e))
            return false;
    }
    return err_set(e, ERR_IO, "%s changes while it is copied; stop what writes to it", from);
}

static bool move(struct persist *p, const char *from, const char *to, struct err *e)
{
    if (!parent_make(to, 0700, e))
        return false;
    return thing_rename(from, to, e) || (errno == EXDEV && move_across(p, from, to, e));
}

/* What SQLite keeps beside a file belongs to it: first, so that the file never goes without. */
static bool move_companions(struct persist *p, struct err *e)
{
    for (const char *const *it = persist_companions; *it; it++) {
        char from[PATH_BYTES], to[PATH_BYTES], aside[PATH_BYTES];
        enum thing here, there, left;
        if (!path_put(from, e, "%s%s", p->place, *it) || !path_put(to, e, "%s%s", p->kept, *it) ||
            !path_put(aside, e, "%s.dais-moving", from) || !thing_at(from, &here, e) ||
            !thing_at(to, &there, e) || !thing_at(aside, &left, e))
            return false;
        if (is_there(left) && !is_there(there) && !is_there(here)) { /* interrupted */
            if (!thing_rename(aside, from, e))
                return false;
            here = THING_FILE;
            left = THING_NONE;
        }
        const char *second = is_there(there) ? to : is_there(left) && is_there(here) ? aside : NULL;
        if (is_there(here) && second)
            return err_set(e, ERR_IO,
                           "%s and %s are both there; remove the one that is out of "
                           "date",
                           from, second);
        if (is_there(here) && !move(p, from, to, e))
            return false;
        if (!thing_remove(aside, e)) /* its copy is in its place */
            return false;
    }
    return true;
}

static bool do_step(struct persist *p, const struct persist_found *f, enum persist_step step,
                    struct err *e)
{
    switch (step) {
    case PERSIST_LINK:
        return parent_make(p->kept, 0700, e) && parent_make(p->place, 0755, e) &&
               link_make(p->target, p->place, e);
    case PERSIST_RELINK:
        if (unlink(p->place) != 0)
            return err_set_sys(e, ERR_IO, "the old link cannot be removed");
        return true;
    case PERSIST_MAKE:
        return folders_make(p->kept, 0700, e);
    case PERSIST_MOVE:
        return (f->place != THING_FILE || move_companions(p, e)) && move(p, p->place, p->kept, e);
    case PERSIST_DROP:
        return rmdir(p->place) == 0 || err_set_sys(e, ERR_IO, "the folder cannot be removed");
    case PERSIST_SHIP:
        return thing_rename(p->place, p->shipped, e);
    case PERSIST_UNDO:
        return thing_rename(p->aside, p->place, e);
    case PERSIST_CLEAN:
        return thing_remove(p->aside, e);
    case PERSIST_DONE:
    case PERSIST_REFUSE:
        break;
    }
    return true;
}

static bool remember_release(const struct persist *p, struct err *e)
{
    char path[PATH_BYTES];
    struct buf text;
    if (is_known_release(p))
        return true;
    buf_init(&text, RELEASES_MAX);
    releases_path(p, path);
    (void)file_read(path, &text);
    if (text.len > RELEASES_KEPT) /* thousands of releases: those at the start are long gone */
        buf_consume(&text, text.len / 2);
    buf_printf(&text, "%s %.*s\n", p->o->release, SLICE_ARGS(p->o->path));
    bool fine = file_replace(path, buf_slice(&text), 0600, e);
    buf_done(&text);
    return fine;
}

static void tell(const struct persist *p, enum persist_step step)
{
    const char *msg = step == PERSIST_MOVE ? "moved to where it is kept"
                      : step == PERSIST_SHIP
                          ? "what came with the release gives way to what is kept"
                      : step == PERSIST_UNDO ? "an interrupted move is done again"
                                             : NULL;
    if (msg)
        log_line(LOG_INFO, msg, F_CSTR("app", p->o->app), F_CSTR("path", p->place),
                 F_CSTR("to", step == PERSIST_SHIP ? p->shipped : p->kept));
}

bool persist_one(const struct persist_options *o, struct err *e)
{
    struct persist p;
    struct persist_found f;
    const char *why = "it changes all the time";
    bool fine = persist_init(&p, o, e) && persist_check(&p, e);
    if (fine && persist_is_data(&p)) /* kept as it is */
        return true;
    for (int i = 0; fine && i < STEPS_MAX; i++) {
        fine = look(&p, &f, e);
        enum persist_step step = fine ? persist_decide(&f, &why) : PERSIST_REFUSE;
        if (fine && step == PERSIST_DONE)
            return parent_make(p.kept, 0700, e) && remember_release(&p, e);
        if (fine && step == PERSIST_REFUSE)
            return err_set(e, ERR_MANIFEST, "%s", why);
        fine = fine && do_step(&p, &f, step, e);
        if (fine)
            tell(&p, step);
    }
    return fine ? err_set(e, ERR_IO, "%s", why) : false;
}

bool persist_look(const struct persist_options *o, struct err *e)
{
    struct persist p;
    struct persist_found f;
    const char *why;
    if (!persist_init(&p, o, e) || !check_data(&p, e) || !check_way(&p, e) || !look(&p, &f, e))
        return false;
    return persist_decide(&f, &why) != PERSIST_REFUSE || err_set(e, ERR_MANIFEST, "%s", why);
}
