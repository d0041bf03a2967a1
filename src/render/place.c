/* Rendered files onto the disk: what is there is looked at first, then everything is written beside
 * its place, and only when all of it is written is it put there.
 *
 *   look      each file against what is there: same, new, out of date, or somebody's own; what it
 *             was when dais made it is told by its header, or by the listing that names its digest
 *   prepare   folders, and every file as NAME.dais-new
 *   settle    renames, removals of what is not wanted any more, and last the listing of what there
 *             is; a failure before this step leaves everything as it was
 *
 * A folder may be a symbolic link, but to one within the place: what is rendered for an app that
 * somebody else wrote must not write, or remove, elsewhere. */
#include "base/file.h"
#include "base/mem.h"
#include "render/render_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MAX  (256u << 20)
#define PATH_SIZE 4096
#define NEW_END   ".dais-new"
#define DIFF_MAX  (1u << 20)

struct place {
    struct arena *a;
    const struct place_options *o;
    const struct render_files *files;
    struct placed *ret;
    struct listing listing; /* of an earlier time */
    struct slice checked;   /* the folder of which check_folder() has said yes last */
    struct buf made;        /* folders that were made, ending in NUL each */
    struct err *e;
};

static bool full_path(const struct place *p, struct slice path, const char *end,
                      char ret[PATH_SIZE])
{
    int n = snprintf(ret, PATH_SIZE, "%s/%.*s%s", p->o->folder, SLICE_ARGS(path), end);
    return n < PATH_SIZE || err_set(p->e, ERR_USAGE, "the path %.80s... is too long", ret);
}

/* ---- writing ------------------------------------------------------------------------
 */

/* Copies as it reads; what changed since its digest was made is not what was asked for. */
static bool copy_all(const struct place *p, const struct render_file *f, int to)
{
    char piece[64 << 10], found[SHA256_HEX_LEN + 1];
    struct sha256 h;
    int fd = open(f->copy_of, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    ssize_t n = -1;
    bool fine = true;
    sha256_init(&h);
    while (fine && fd >= 0 && (n = fd_read(fd, piece, sizeof piece)) > 0) {
        struct slice part = {piece, (size_t)n};
        sha256_add(&h, part);
        fine = fd_write_all(to, part);
    }
    if (!fine)
        err_set_sys(p->e, ERR_IO, "the copy of %s cannot be written", f->copy_of);
    else if (n < 0)
        fine = err_set_sys(p->e, ERR_IO, "%s cannot be read", f->copy_of);
    if (fd >= 0)
        close(fd);
    sha256_end_hex(&h, found);
    return fine && (strcmp(found, f->digest) == 0 ||
                    err_set(p->e, ERR_IO, "%s changed while it was read; try again", f->copy_of));
}

/* ---- look ---------------------------------------------------------------------------------------
 */

static struct slice make_diff(const struct place *p, struct slice path, struct slice there,
                              struct slice wanted)
{
    struct buf out;
    buf_init(&out, 4u << 20);
    diff_add(&out, path, there, wanted);
    struct slice kept = arena_dup(p->a, buf_slice(&out));
    buf_done(&out);
    return kept;
}

/* Of a file with a digest. Those that are no texts, or large, are not compared by lines. */
static struct slice make_listed_diff(const struct place *p, const struct render_file *f,
                                     const char *path)
{
    struct buf there, copied;
    struct slice wanted, diff;
    buf_init(&there, DIFF_MAX);
    buf_init(&copied, DIFF_MAX);
    bool fine =
        file_read(path, &there) && (f->is_gone || !f->copy_of || file_read(f->copy_of, &copied));
    wanted = f->copy_of ? buf_slice(&copied) : f->text;
    fine = fine && slice_index(buf_slice(&there), '\0') < 0 && slice_index(wanted, '\0') < 0;
    diff = fine ? make_diff(p, f->path, buf_slice(&there), wanted)
                : arena_printf(p->a, "%.*s is no text, or too large to compare.\n",
                               SLICE_ARGS(f->path));
    buf_done(&copied);
    buf_done(&there);
    return diff;
}

/* Is it, or will it be, in the folder that was named? */
static bool check_folder(struct place *p, struct slice path)
{
    char top[PATH_MAX], above[PATH_SIZE], real[PATH_MAX];
    struct slice folder = slice_first(path, (size_t)(slice_rindex(path, '/') + 1));
    if (slice_eq(folder, p->checked) || !realpath(p->o->folder, top))
        return true;
    if (!full_path(p, slice_first(folder, folder.len - 1), "", above))
        return false;
    while (!realpath(above, real)) { /* what is not there yet will be made in what is */
        char *slash = strrchr(above, '/');
        if (!slash)
            return true;
        *slash = '\0';
    }
    size_t n = strcmp(top, "/") == 0 ? 0 : strlen(top);
    if (strncmp(real, top, n) != 0 || (real[n] != '\0' && real[n] != '/'))
        return err_set(p->e, ERR_IO, "%s/%.*s is a link that leads out of %s; take it away",
                       p->o->folder, SLICE_ARGS(folder), p->o->folder);
    p->checked = folder;
    return true;
}

static bool look_at_listed(const struct place *p, const struct render_file *f, struct placed *ret)
{
    char path[PATH_SIZE], there[SHA256_HEX_LEN + 1];
    if (!full_path(p, f->path, "", path))
        return false;
    if (f->is_gone)
        ret->state = PLACE_SAME; /* when it is not there, by now */
    if (!digest_of_file(path, there))
        return errno == ENOENT || errno == ENOTDIR ||
               (errno == EISDIR ? err_set(p->e, ERR_IO, "%s is in the way: it is no file", path)
                                : err_set_sys(p->e, ERR_IO, "%s cannot be read", path));
    must(f->digest || f->is_gone);
    const char *was = map_find(&p->listing.digests, f->path);
    bool is_ours = (was && strcmp(was, there) == 0) || p->o->force;
    ret->is_foreign = !was;
    ret->state = f->digest && strcmp(there, f->digest) == 0 ? PLACE_SAME
                 : !is_ours                                 ? PLACE_KEPT
                 : f->is_gone                               ? PLACE_GONE
                                                            : PLACE_CHANGED;
    if (ret->state == PLACE_KEPT)
        ret->diff = make_listed_diff(p, f, path);
    return true;
}

/* The same text, whatever its line ends: a checkout on Windows writes others. */
static bool is_same_text(struct slice a, struct slice b)
{
    while (a.len && b.len) {
        a = slice_skip(a, slice_starts(a, SLICE("\r\n")));
        b = slice_skip(b, slice_starts(b, SLICE("\r\n")));
        if (*a.ptr != *b.ptr)
            return false;
        a = slice_skip(a, 1), b = slice_skip(b, 1);
    }
    return a.len == 0 && b.len == 0;
}

static enum place_state judge(const struct place *p, struct slice there, struct slice wanted,
                              bool *ret_foreign)
{
    if (slice_eq(there, wanted) || (!p->o->force && is_same_text(there, wanted)))
        return PLACE_SAME;
    enum header_found header = header_look(there);
    *ret_foreign = header == HEADER_NONE;
    return header == HEADER_INTACT || p->o->force ? PLACE_CHANGED : PLACE_KEPT;
}

static bool look_at_one(struct place *p, const struct render_file *f, struct placed *ret)
{
    char path[PATH_SIZE];
    struct buf there;
    *ret = (struct placed){.path = f->path,
                           .state = PLACE_NEW,
                           .diff = SLICE(""),
                           .is_listed = f->digest || f->is_gone};
    if (!check_folder(p, f->path))
        return false;
    if (ret->is_listed)
        return look_at_listed(p, f, ret);
    if (!full_path(p, f->path, "", path))
        return false;
    buf_init(&there, FILE_MAX);
    bool fine = true;
    if (file_read(path, &there))
        ret->state = judge(p, buf_slice(&there), f->text, &ret->is_foreign);
    else if (errno == EISDIR)
        fine = err_set(p->e, ERR_IO, "%s is in the way: it is no file", path);
    else if (errno != ENOENT && errno != ENOTDIR)
        fine = err_set_sys(p->e, ERR_IO, "%s cannot be read", path);
    if (ret->state == PLACE_KEPT)
        ret->diff = make_diff(p, f->path, buf_slice(&there), f->text);
    buf_done(&there);
    return fine;
}

/* What is there by now: whoever had the turn before has changed it. */
static bool look(struct place *p)
{
    bool fine = listing_read(p->a, p->o->folder, p->files->listing, &p->listing, p->e);
    if (fine && p->listing.is_foreign && !p->o->force)
        fine = err_set(p->e, ERR_USAGE,
                       "%s/%.*s has files and was not made by `dais render`; move it away, or use "
                       "--force to write into it",
                       p->o->folder, SLICE_ARGS(p->listing.folder));
    for (size_t i = 0; fine && i < p->files->n; i++)
        fine = look_at_one(p, &p->files->items[i], &p->ret[i]);
    return fine;
}

/* ---- prepare ------------------------------------------------------------------------------------
 */

/* The folders above a path, from the top; what was made is noted. */
static bool make_folders(struct place *p, const char *path)
{
    char part[PATH_SIZE];
    for (const char *at = strchr(path + 1, '/'); at; at = strchr(at + 1, '/')) {
        snprintf(part, sizeof part, "%.*s", (int)(at - path), path);
        if (mkdir(part, 0777) == 0)
            buf_add(&p->made, (struct slice){part, strlen(part) + 1});
        else if (errno != EEXIST && errno != EISDIR)
            return err_set_sys(p->e, ERR_IO, "the folder %s cannot be made", part);
    }
    return true;
}

static bool write_beside(struct place *p, const struct render_file *f)
{
    char path[PATH_SIZE];
    if (!full_path(p, f->path, NEW_END, path) || !make_folders(p, path))
        return false;
    unlink(path); /* of an earlier try */
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, f->mode);
    if (fd < 0)
        return err_set_sys(p->e, ERR_IO, "%s cannot be made", path);
    bool fine = f->copy_of ? copy_all(p, f, fd)
                           : fd_write_all(fd, f->text) ||
                                 err_set_sys(p->e, ERR_IO, "%s cannot be written", path);
    if (close(fd) != 0 && fine)
        fine = err_set_sys(p->e, ERR_IO, "%s cannot be written", path);
    return fine;
}

static bool is_written(const struct place *p, size_t i)
{
    return p->ret[i].state == PLACE_NEW || p->ret[i].state == PLACE_CHANGED;
}

/* What a render that was killed left beside its place. */
static void clear_beside(const struct place *p, const struct render_file *f)
{
    char path[PATH_SIZE];
    if (full_path(p, f->path, NEW_END, path))
        unlink(path);
}

static bool prepare(struct place *p)
{
    bool fine = true;
    for (size_t i = 0; fine && i < p->files->n; i++) {
        if (is_written(p, i))
            fine = write_beside(p, &p->files->items[i]);
        else
            clear_beside(p, &p->files->items[i]);
    }
    return fine;
}

/* Everything as it was: what was written beside, and folders that were made, from the last. */
static void undo(const struct place *p)
{
    struct place quiet = *p;
    quiet.e = NULL; /* what went wrong is told already */
    for (size_t i = 0; i < p->files->n; i++) {
        if (is_written(p, i))
            clear_beside(&quiet, &p->files->items[i]);
    }
    for (size_t end = p->made.len; end > 0;) {
        size_t start = end - 1;
        while (start > 0 && p->made.data[start - 1] != '\0')
            start--;
        rmdir(p->made.data + start);
        end = start;
    }
}

/* ---- settle -------------------------------------------------------------------------------------
 */

static bool put_in_place(const struct place *p, struct slice path)
{
    char from[PATH_SIZE], to[PATH_SIZE];
    if (!full_path(p, path, NEW_END, from) || !full_path(p, path, "", to))
        return false;
    return rename(from, to) == 0 || err_set_sys(p->e, ERR_IO, "%s cannot be put in its place", to);
}

/* A file that is not wanted any more, and the folders that it leaves empty. */
static bool take_away(const struct place *p, size_t i)
{
    char path[PATH_SIZE];
    size_t top = strlen(p->o->folder) + 1 + p->listing.folder.len;
    if (!full_path(p, p->ret[i].path, "", path))
        return false;
    if (unlink(path) != 0 && errno != ENOENT)
        return err_set_sys(p->e, ERR_IO, "%s cannot be removed", path);
    for (char *slash = strrchr(path, '/'); slash && (size_t)(slash - path) >= top;
         slash = strrchr(path, '/')) {
        *slash = '\0';
        if (rmdir(path) != 0)
            break;
    }
    return true;
}

/* The listing last: until then the old one still names what is to be removed. */
static bool settle(const struct place *p)
{
    struct slice listing = SLICE("");
    for (size_t i = 0; i < p->files->n; i++) {
        struct slice path = p->files->items[i].path;
        if (is_written(p, i) && slice_eq(path, p->files->listing))
            listing = path;
        else if (is_written(p, i) && !put_in_place(p, path))
            return false;
    }
    for (size_t i = 0; i < p->files->n; i++) {
        if (p->ret[i].state == PLACE_GONE && !take_away(p, i))
            return false;
    }
    return !listing.len || put_in_place(p, listing);
}

/* Two renders into one folder take turns: both write NAME.dais-new. A file system that knows no
 * locks goes without. -1: e says why. */
static int lock_folder(struct place *p)
{
    char path[PATH_SIZE];
    if (!full_path(p, SLICE(""), "", path) || !make_folders(p, path))
        return -1;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        err_set_sys(p->e, ERR_IO, "the folder %s cannot be opened", p->o->folder);
    while (fd >= 0 && flock(fd, LOCK_EX) != 0 && errno == EINTR) {
    }
    return fd;
}

static bool place(struct place *p)
{
    if (p->o->only_look)
        return look(p);
    int lock = lock_folder(p);
    bool fine = lock >= 0 && look(p) && prepare(p) && settle(p);
    if (!fine)
        undo(p);
    if (lock >= 0)
        close(lock);
    return fine;
}

bool place_files(struct arena *a, const struct place_options *o, const struct render_files *files,
                 struct placed *ret, struct err *e)
{
    struct place p = {.a = a, .o = o, .files = files, .ret = ret, .e = e};
    struct stat st;
    if (stat(o->folder, &st) == 0 && !S_ISDIR(st.st_mode))
        return err_set(e, ERR_USAGE, "%s is a file; name a folder", o->folder);
    buf_init(&p.made, 1u << 20);
    map_init(&p.listing.digests);
    for (size_t i = 0; i < files->n; i++)
        ret[i] = (struct placed){.path = files->items[i].path};
    bool fine = place(&p);
    listing_done(&p.listing);
    buf_done(&p.made);
    return fine;
}
