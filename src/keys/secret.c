/* Where the secret is: in the settings, or in a file of the data folder that is made once. */
#include "keys/keys.h"

#include "base/hkdf.h"
#include "base/random.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_CHARS     64
#define FILE_CHARS_MAX 4096

/* ---- derivation (HKDF-SHA-256, RFC 5869) ----------------------------------------------------- */

static void hkdf(struct slice key, struct slice info, void *to, size_t n)
{
    hkdf_sha256(key, SLICE("dais"), info, to, n);
}

void root_secret_derive(const struct root_secret *s, const char *purpose, struct slice app,
                        void *to, size_t n)
{
    struct buf info;
    buf_init(&info, 1024);
    buf_add_str(&info, purpose);
    buf_add_char(&info, '\0'); /* neither part can reach into the other */
    buf_add(&info, app);
    must(!info.full);
    hkdf((struct slice){(const char *)s->key, sizeof s->key}, buf_slice(&info), to, n);
    buf_done(&info);
}

bool root_secret_from(struct root_secret *ret, struct slice text, struct err *e)
{
    if (text.len < SECRET_CHARS_MIN)
        return err_set(e, ERR_USAGE,
                       "DAIS_SECRET is too short; it must have at least %d characters, such as "
                       "those that `openssl rand -hex 32` prints",
                       SECRET_CHARS_MIN);
    hkdf(text, SLICE("secret"), ret->key, sizeof ret->key);
    return true;
}

/* ---- the file -------------------------------------------------------------------------------- */

/* What was made is there for good, or not at all: written beside, then given its name, which fails
 * when another one was faster. */
static bool write_new(const char *dir, const char *path, struct err *e)
{
    unsigned char bytes[FILE_CHARS / 2];
    char text[FILE_CHARS + 2], beside[4200], name[ID_LEN + 1];
    random_bytes(bytes, sizeof bytes);
    for (size_t i = 0; i < sizeof bytes; i++)
        snprintf(text + 2 * i, 3, "%02x", bytes[i]);
    text[FILE_CHARS] = '\n';
    random_id(name);
    snprintf(beside, sizeof beside, "%s/.secret-%s", dir, name);
    int fd = open(beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    bool is_written = fd >= 0 && write(fd, text, FILE_CHARS + 1) == FILE_CHARS + 1 &&
                      fsync(fd) == 0 && (link(beside, path) == 0 || errno == EEXIST);
    if (!is_written)
        err_set_sys(e, ERR_IO, "making %s failed", path);
    if (fd >= 0) {
        close(fd);
        unlink(beside);
    }
    explicit_bzero(bytes, sizeof bytes);
    explicit_bzero(text, sizeof text);
    int folder = is_written ? open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (folder >= 0) {
        (void)fsync(folder); /* where that is possible */
        close(folder);
    }
    return is_written;
}

static bool is_private(int fd, const char *path, struct err *e)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return err_set_sys(e, ERR_IO, "reading %s failed", path);
    if (!S_ISREG(st.st_mode))
        return err_set(e, ERR_IO, "%s is no file; remove it, and it is made anew", path);
    bool is_others = st.st_uid != geteuid() && st.st_uid != 0;
    if (is_others || (st.st_mode & 077))
        return err_set(e, ERR_IO,
                       "%s can be read by others, who could sign as this server; type "
                       "`chmod 600` for it%s, and make a new one if it may have been read",
                       path, is_others ? " and give it to the user dais runs as" : "");
    return true;
}

static bool read_file(struct root_secret *ret, int fd, const char *path, struct err *e)
{
    char text[FILE_CHARS_MAX];
    ssize_t n = read(fd, text, sizeof text);
    if (n < 0)
        return err_set_sys(e, ERR_IO, "reading %s failed", path);
    struct slice s = slice_trim((struct slice){text, (size_t)n});
    bool is_fine = s.len >= SECRET_CHARS_MIN && (size_t)n < sizeof text;
    if (is_fine)
        hkdf(s, SLICE("secret"), ret->key, sizeof ret->key);
    explicit_bzero(text, sizeof text);
    return is_fine || err_set(e, ERR_IO,
                              "%s is damaged: it must hold %d characters or more; restore it, or "
                              "remove it to have a new one made",
                              path, SECRET_CHARS_MIN);
}

bool root_secret_open(struct root_secret *ret, const char *data_dir, struct err *e)
{
    char path[4200];
    int len = snprintf(path, sizeof path, "%s/secret", data_dir);
    if (len < 0 || (size_t)len >= sizeof path - 64)
        return err_set(e, ERR_USAGE, "the path of the data folder is too long; shorten it");
    const int how = O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
    int fd = open(path, how);
    if (fd < 0 && errno == ENOENT) {
        if (!write_new(data_dir, path, e))
            return false;
        fd = open(path, how);
    }
    if (fd < 0)
        return err_set_sys(e, ERR_IO, "opening %s failed", path);
    bool is_fine = is_private(fd, path, e) && read_file(ret, fd, path, e);
    close(fd);
    return is_fine;
}
