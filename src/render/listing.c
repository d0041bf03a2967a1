/* The listing of files that have no header: which digest each had when dais made it.
 *
 * It is lines of `DIGEST  path`, as sha256sum writes and checks them, below a header of its own. */
#include "render/render_impl.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LISTING_MAX (16u << 20)
#define PATH_SIZE   4096

bool digest_of_file(const char *path, char ret[SHA256_HEX_LEN + 1])
{
    char piece[64 << 10];
    struct sha256 h;
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return false;
    bool is_file = fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
    ssize_t n = is_file ? 1 : -1;
    errno = is_file ? errno : EISDIR;
    sha256_init(&h);
    while (n > 0) {
        n = read(fd, piece, sizeof piece);
        sha256_add(&h, (struct slice){piece, n > 0 ? (size_t)n : 0});
    }
    int kept = errno;
    close(fd);
    errno = kept;
    sha256_end_hex(&h, ret);
    return n == 0;
}

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

static bool read_text(int fd, struct buf *to)
{
    ssize_t n = 1;
    while (n > 0) {
        char *at = buf_reserve(to, 64 << 10);
        n = at ? read(fd, at, 64 << 10) : -1;
        errno = at ? errno : EFBIG;
        if (n > 0)
            buf_grew(to, (size_t)n);
    }
    return n == 0;
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
    int fd = open(full, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 && (errno == ENOENT || errno == ENOTDIR)) {
        full[strlen(folder) + 1 + ret->folder.len] = '\0';
        ret->is_foreign = has_files(full);
        return true;
    }
    buf_init(&text, LISTING_MAX);
    bool fine = fd >= 0 && read_text(fd, &text);
    if (!fine)
        err_set_sys(e, ERR_IO, "%s cannot be read", full);
    ret->is_there = fine && header_look(buf_slice(&text)) == HEADER_INTACT;
    if (ret->is_there)
        read_lines(a, buf_slice(&text), ret);
    buf_done(&text);
    if (fd >= 0)
        close(fd);
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
