/* Schema files of an app's folder, for those who compile them. */
#include "describe/describe.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MAX_BYTES (1u << 20)

struct folder {
    struct arena *a;
    const char *dir;
};

static bool stays_inside(struct slice path)
{
    struct slice step, rest = path;
    if (!path.len || path.ptr[0] == '/' || slice_index(path, '\0') >= 0)
        return false;
    while (slice_cut(&rest, '/', &step)) {
        if (slice_is(step, ".."))
            return false;
    }
    return true;
}

/* A file may be a FIFO by mistake: opening never waits. */
static bool read_all(struct folder *f, int fd, struct slice *ret, struct err *e)
{
    struct stat st;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        return err_set(e, ERR_NOT_FOUND, "it is not a file");
    if (st.st_size > FILE_MAX_BYTES)
        return err_set(e, ERR_MANIFEST, "it is larger than 1 MB");
    char *text = arena_alloc(f->a, (size_t)st.st_size + 1);
    size_t n = 0;
    while (n < (size_t)st.st_size) {
        ssize_t got = read(fd, text + n, (size_t)st.st_size - n);
        if (got < 0)
            return err_set_sys(e, ERR_IO, "it cannot be read");
        if (got == 0)
            break;
        n += (size_t)got;
    }
    *ret = (struct slice){text, n};
    return true;
}

static bool load(void *user, struct slice path, struct slice *ret_text, struct err *e)
{
    struct folder *f = user;
    if (!stays_inside(path))
        return err_set(e, ERR_MANIFEST, "it is outside of the app's folder");
    struct slice full = arena_printf(f->a, "%s/%.*s", f->dir, SLICE_ARGS(path));
    int fd = open(full.ptr, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return err_set_sys(e, ERR_NOT_FOUND, "it cannot be opened");
    bool fine = read_all(f, fd, ret_text, e);
    close(fd);
    return fine;
}

struct schema_loader describe_folder(struct arena *a, const char *dir)
{
    struct folder *f = arena_new(a, struct folder);
    *f = (struct folder){a, dir && *dir ? dir : "."};
    return (struct schema_loader){.load = load, .user = f};
}
