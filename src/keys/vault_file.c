/* The store's file: read with the secret that it was made under, replaced as a whole.
 *
 * A new secret in the data folder takes two names that change one after the other: the store's,
 * then the secret's. Cut off between them, the store is under `secret.next`: whoever opens it next
 * finishes, with the lock held, so that nobody finishes for a rotation that still goes on. */
#include "keys/vault_impl.h"

#include "base/file.h"
#include "base/random.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define FILE_MAX  (4u << 20)
#define PATH_ROOM 4200

static bool path_of(const char *data_dir, char to[PATH_ROOM], struct err *e)
{
    int len = snprintf(to, PATH_ROOM, "%s/secrets.json", data_dir);
    return (len > 0 && len < PATH_ROOM) ||
           err_set(e, ERR_USAGE, "the path of the data folder is too long; shorten it");
}

/* ---- the secret ------------------------------------------------------------------------------ */

static bool find_secret(struct root_secret *ret, const char *data_dir, struct slice given,
                        struct err *e)
{
    bool is_there;
    if (given.len)
        return root_secret_from(ret, given, e);
    if (!root_secret_find(ret, data_dir, &is_there, e))
        return false;
    return is_there || err_set(e, ERR_FORBIDDEN,
                               "%s/secrets.json is encrypted, and its secret is not here; set "
                               "DAIS_SECRET to the one it was made under, or restore %s/secret",
                               data_dir, data_dir);
}

/* What a rotation that was cut off left to do. False: there is nothing of that kind. */
static bool finish_rotation(struct vault *ret, struct arena *a, const char *data_dir,
                            struct slice text)
{
    struct root_secret next;
    struct err e;
    bool is_there;
    bool fine = root_secret_next(&next, data_dir, &is_there, &e) && is_there &&
                vault_read(ret, a, text, &next, &e) && root_secret_turn(data_dir, &e);
    explicit_bzero(&next, sizeof next);
    return fine;
}

static bool read_with(struct vault *ret, struct arena *a, const char *data_dir, struct slice given,
                      bool may_finish, struct slice text, struct err *e)
{
    struct root_secret s;
    if (!find_secret(&s, data_dir, given, e))
        return false;
    bool fine = vault_read(ret, a, text, &s, e);
    explicit_bzero(&s, sizeof s);
    if (fine || e->code != ERR_FORBIDDEN)
        return fine;
    if (may_finish && !given.len && finish_rotation(ret, a, data_dir, text))
        return true;
    return err_set(
        e, ERR_FORBIDDEN, "%s does not open %s/secrets.json, which was made under another; %s",
        given.len ? "DAIS_SECRET" : "the file `secret`", data_dir,
        given.len ? "set it to that one" : "restore that file, or set DAIS_SECRET to what it held");
}

static bool read_store(struct vault *ret, struct arena *a, const char *data_dir, struct slice given,
                       bool may_finish, struct err *e)
{
    char path[PATH_ROOM];
    struct buf text;
    vault_init(ret, a);
    if (!path_of(data_dir, path, e))
        return false;
    buf_init(&text, FILE_MAX);
    bool is_read = file_read(path, &text);
    bool is_absent = !is_read && (errno == ENOENT || errno == ENOTDIR);
    bool fine = is_absent || (is_read || err_set_sys(e, ERR_IO, "reading %s failed", path));
    if (is_read)
        fine = read_with(ret, a, data_dir, given, may_finish, arena_dup(a, buf_slice(&text)), e);
    buf_done(&text);
    return fine;
}

bool vault_open_locked(struct vault *ret, struct arena *a, const char *data_dir, struct slice given,
                       struct err *e)
{
    return read_store(ret, a, data_dir, given, true, e);
}

/* The two names are read one after the other as well: what does not fit may be a rotation's doing,
 * which is over once the lock is ours. Where a file system has no locks, there is none. */
bool vault_open(struct vault *ret, struct arena *a, const char *data_dir, struct slice given,
                struct err *e)
{
    if (read_store(ret, a, data_dir, given, false, e))
        return true;
    if (given.len || e->code != ERR_FORBIDDEN)
        return false;
    int fd = vault_lock(data_dir, NULL);
    bool fine = vault_open_locked(ret, a, data_dir, given, e);
    if (fd >= 0)
        close(fd);
    return fine;
}

/* ---- writing --------------------------------------------------------------------------------- */

static bool put_bytes(const char *path, const char *beside, struct slice text, struct err *e)
{
    int fd = open(beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    bool fine = fd >= 0 && fd_write_all(fd, text) && fsync(fd) == 0 && rename(beside, path) == 0;
    if (!fine)
        err_set_sys(e, ERR_IO, "writing %s failed; the old one is as it was", path);
    if (fd >= 0)
        close(fd);
    if (fd >= 0 && !fine)
        unlink(beside);
    return fine;
}

static bool save_with(const struct vault *v, const char *data_dir, const struct root_secret *s,
                      struct err *e)
{
    char path[PATH_ROOM], beside[PATH_ROOM], name[ID_LEN + 1];
    struct buf text;
    if (!path_of(data_dir, path, e))
        return false;
    random_id(name);
    snprintf(beside, sizeof beside, "%.*s/.secrets-%s", PATH_ROOM - 64, data_dir, name);
    buf_init(&text, FILE_MAX);
    vault_write(v, s, &text);
    bool fine = !text.full || err_set(e, ERR_INVALID, "the secrets are too long together");
    fine = fine && put_bytes(path, beside, buf_slice(&text), e);
    buf_done(&text);
    if (fine)
        folder_sync(data_dir);
    return fine;
}

bool vault_save(const struct vault *v, const char *data_dir, struct slice given, struct err *e)
{
    struct root_secret s;
    bool fine = given.len ? root_secret_from(&s, given, e) : root_secret_open(&s, data_dir, e);
    fine = fine && save_with(v, data_dir, &s, e);
    explicit_bzero(&s, sizeof s);
    return fine;
}

bool vault_rotate(const char *data_dir, struct slice given, struct slice next, struct err *e)
{
    struct root_secret s;
    struct vault v;
    struct arena a;
    arena_init(&a, (size_t)64 * FILE_MAX);
    bool fine = vault_open_locked(&v, &a, data_dir, given, e) &&
                (next.len ? root_secret_from(&s, next, e) : root_secret_make_next(&s, data_dir, e));
    fine = fine && save_with(&v, data_dir, &s, e) && (next.len || root_secret_turn(data_dir, e));
    explicit_bzero(&s, sizeof s);
    arena_done(&a);
    return fine;
}

int vault_lock(const char *data_dir, struct err *e)
{
    int fd = open(data_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int failed = fd < 0 ? -1 : flock(fd, LOCK_EX);
    while (failed && fd >= 0 && errno == EINTR)
        failed = flock(fd, LOCK_EX);
    if (!failed)
        return fd;
    err_set_sys(e, ERR_IO, "opening the data folder %s failed", data_dir);
    if (fd >= 0)
        close(fd);
    return -1;
}
