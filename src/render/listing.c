/* The listing of files that have no header: which digest each had when dais made it.
 *
 * It is lines of `DIGEST  path`, as sha256sum writes and checks them, below a header of its own. */
#include "base/file.h"
#include "render/render_impl.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define LISTING_MAX (16u << 20)
#define PATH_SIZE   4096

/* Anybody can write a listing: it must not lead out of its folder. */
static bool is_within(struct slice path)
{
    struct slice step;
    if (!path.len || path.ptr[0] == '/' || slice_index(path, '\0') >= 0)
        return false;
    while (slice_cut(&path, '/', &step)) {
        if (!step.len || slice_is(step, ".") || slice_is(step, ".."))
            return false;
    }
    return true;
}

static void read_lines(struct arena *a, struct slice text, struct listing *to)
{
    struct slice line;
    while (slice_cut(&text, '\n', &line)) {
        struct slice path = slice_skip(line, SHA256_HEX_LEN + 2);
        bool is_row = line.len > SHA256_HEX_LEN + 2 && line.ptr[0] != '#' && is_within(path);
        if (is_row)
            map_put(&to->digests,
                    arena_printf(a, "%.*s%.*s", SLICE_ARGS(to->folder), SLICE_ARGS(path)),
                    (void *)(uintptr_t)arena_cstr(a, slice_first(line, SHA256_HEX_LEN)));
    }
}

/* Anything but what a failed try and the other files of the kind leave. */
static bool has_files(const char *folder)
{
    DIR *d = opendir(folder);
    bool found = false;
    for (struct dirent *entry; d && !found && (entry = readdir(d));)
        found = strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
                strcmp(entry->d_name, ".gitignore") != 0;
    if (d)
        closedir(d);
    return found;
}

bool listing_read(struct arena *a, const char *folder, struct slice path, struct listing *ret,
                  struct err *e)
{
    char full[PATH_SIZE];
    struct buf text;
    *ret = (struct listing){.folder = slice_first(path, (size_t)(slice_rindex(path, '/') + 1))};
    map_init(&ret->digests);
    if (!path.len)
        return true;
    int n = snprintf(full, sizeof full, "%s/%.*s", folder, SLICE_ARGS(path));
    if (n < 0 || (size_t)n >= sizeof full)
        return err_set(e, ERR_USAGE, "the path %.80s... is too long", folder);
    buf_init(&text, LISTING_MAX);
    bool fine = file_read(full, &text);
    if (!fine && (errno == ENOENT || errno == ENOTDIR)) {
        full[strlen(folder) + 1 + ret->folder.len] = '\0';
        ret->is_foreign = has_files(full);
        buf_done(&text);
        return true;
    }
    if (!fine)
        err_set_sys(e, ERR_IO, "%s cannot be read", full);
    ret->is_there = fine && header_look(buf_slice(&text)) == HEADER_INTACT;
    if (ret->is_there)
        read_lines(a, buf_slice(&text), ret);
    buf_done(&text);
    return fine;
}

void listing_done(struct listing *l)
{
    map_done(&l->digests);
}

/* ---- what is gone -------------------------------------------------------------------------------
 */

static bool is_still_there(const char *folder, struct slice path)
{
    char full[PATH_SIZE];
    struct stat st;
    int n = snprintf(full, sizeof full, "%s/%.*s", folder, SLICE_ARGS(path));
    return n > 0 && (size_t)n < sizeof full && lstat(full, &st) == 0;
}

static int by_path(const void *a, const void *b)
{
    return slice_cmp(((const struct render_file *)a)->path, ((const struct render_file *)b)->path);
}

static void add_gone(struct arena *a, const char *folder, const struct listing *old,
                     struct render_files *files)
{
    struct map wanted;
    size_t at = 0, n = files->n;
    struct render_file *all = arena_zalloc(a, (n + old->digests.len + 1) * sizeof *all);
    map_init(&wanted);
    for (size_t i = 0; i < n; i++) {
        all[i] = files->items[i];
        map_put(&wanted, all[i].path, &all[i]);
    }
    for (const struct map_entry *it; (it = map_next(&old->digests, &at));) {
        if (!map_find(&wanted, it->key) && is_still_there(folder, it->key))
            all[files->n++] = (struct render_file){.path = it->key, .is_gone = true};
    }
    qsort(all + n, files->n - n, sizeof *all, by_path);
    files->items = all;
    map_done(&wanted);
}

bool place_find_gone(struct arena *a, const struct place_options *o, struct render_files *files,
                     struct err *e)
{
    struct listing old;
    bool fine = listing_read(a, o->folder, files->listing, &old, e);
    if (fine && old.digests.len)
        add_gone(a, o->folder, &old, files);
    listing_done(&old);
    return fine;
}
