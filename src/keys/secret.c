/* Where the secret is: in the settings, or in a file of the data folder that is made once. */
#include "keys/vault_impl.h"

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

/* ---- what anybody would try ------------------------------------------------------------------ */

#define FEWEST_KINDS  8  /* of characters: 32 random hexadecimal digits have 14 */
#define LONGEST_CYCLE 16 /* "0123456789abcdef0123456789abcdef" */
#define OWN_CHARS     16 /* that are left without the words of examples */

static size_t kinds_of(struct slice s)
{
    bool seen[256] = {0};
    size_t n = 0;
    for (size_t i = 0; i < s.len; i++) {
        n += !seen[(unsigned char)s.ptr[i]];
        seen[(unsigned char)s.ptr[i]] = true;
    }
    return n;
}

static bool is_cycle(struct slice s)
{
    for (size_t n = 1; n <= LONGEST_CYCLE && n < s.len; n++) {
        if (memcmp(s.ptr, s.ptr + n, s.len - n) == 0)
            return true;
    }
    return false;
}

/* Its length at the start of s, 0 when there is none. */
static size_t example_word_at(struct slice s)
{
    static const char *const words[] = {
        "change",     "replace", "secret", "password", "passwd", "example",    "insecure",
        "default",    "sample",  "please", "random",   "string", "production", "development",
        "characters", "minimum", "least",  "super",    "your",   "this",       "dais",
        "test",       "long",    "value",  "with",     "must",   "and",        "key",
        "dev",        "me",      "my",     "to",       "be",     "in",         "at",
        "is",         "it",      "not",    "for",      "the",    "a",          "32",
        "64",
    };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (slice_starts_nocase(s, slice_from(words[i])))
            return strlen(words[i]);
    }
    return 0;
}

static bool is_letter_or_digit(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* "please-change-me-to-a-long-random-string": words that stand between marks. */
static bool is_example(struct slice s)
{
    size_t own = 0;
    bool is_start = true;
    while (s.len) {
        size_t n = is_start ? example_word_at(s) : 0;
        own += n == 0 && is_letter_or_digit(s.ptr[0]);
        is_start = n > 0 || !is_letter_or_digit(s.ptr[0]);
        s = slice_skip(s, n ? n : 1);
    }
    return own < OWN_CHARS;
}

static bool is_guessable(struct slice s)
{
    return kinds_of(s) < FEWEST_KINDS || is_cycle(s) || is_example(s);
}

bool root_secret_from(struct root_secret *ret, struct slice text, struct err *e)
{
    if (text.len < SECRET_CHARS_MIN)
        return err_set(e, ERR_USAGE,
                       "DAIS_SECRET is too short; it must have at least %d characters, such as "
                       "those that `openssl rand -hex 32` prints",
                       SECRET_CHARS_MIN);
    if (is_guessable(text))
        return err_set(e, ERR_USAGE,
                       "DAIS_SECRET is one that anybody would try: an example, or too regular; set "
                       "it to a random one, such as `openssl rand -hex 32` prints");
    hkdf(text, SLICE("secret"), ret->key, sizeof ret->key);
    return true;
}

/* ---- the file -------------------------------------------------------------------------------- */

void folder_sync(const char *dir)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return;
    (void)fsync(fd); /* where that is possible */
    close(fd);
}

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
    if (is_written)
        folder_sync(dir);
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
    bool is_fine = s.len >= SECRET_CHARS_MIN && (size_t)n < sizeof text && !is_guessable(s);
    if (is_fine)
        hkdf(s, SLICE("secret"), ret->key, sizeof ret->key);
    explicit_bzero(text, sizeof text);
    return is_fine ||
           err_set(e, ERR_IO,
                   "%s is damaged: it must hold %d random characters or more; restore it, "
                   "or remove it to have a new one made",
                   path, SECRET_CHARS_MIN);
}

#define PATH_ROOM 4200

static bool path_of(const char *data_dir, const char *name, char to[PATH_ROOM], struct err *e)
{
    int len = snprintf(to, PATH_ROOM, "%s/%s", data_dir, name);
    if (len < 0 || (size_t)len >= PATH_ROOM - 64)
        return err_set(e, ERR_USAGE, "the path of the data folder is too long; shorten it");
    return true;
}

static bool read_at(struct root_secret *ret, const char *path, bool *ret_there, struct err *e)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    *ret_there = fd >= 0;
    if (fd < 0)
        return errno == ENOENT || err_set_sys(e, ERR_IO, "opening %s failed", path);
    bool is_fine = is_private(fd, path, e) && read_file(ret, fd, path, e);
    close(fd);
    return is_fine;
}

bool root_secret_find(struct root_secret *ret, const char *data_dir, bool *ret_there, struct err *e)
{
    char path[PATH_ROOM];
    return path_of(data_dir, "secret", path, e) && read_at(ret, path, ret_there, e);
}

bool root_secret_open(struct root_secret *ret, const char *data_dir, struct err *e)
{
    char path[PATH_ROOM];
    bool is_there;
    if (!path_of(data_dir, "secret", path, e) || !read_at(ret, path, &is_there, e))
        return false;
    if (is_there)
        return true;
    return write_new(data_dir, path, e) && read_at(ret, path, &is_there, e) &&
           (is_there || err_set(e, ERR_IO, "%s went away while it was made", path));
}

/* ---- another one ----------------------------------------------------------------------------- */

bool root_secret_next(struct root_secret *ret, const char *data_dir, bool *ret_there, struct err *e)
{
    char path[PATH_ROOM];
    return path_of(data_dir, "secret.next", path, e) && read_at(ret, path, ret_there, e);
}

bool root_secret_make_next(struct root_secret *ret, const char *data_dir, struct err *e)
{
    char path[PATH_ROOM];
    bool is_there;
    if (!path_of(data_dir, "secret.next", path, e))
        return false;
    unlink(path); /* of one that was cut off before anything was written under it */
    return write_new(data_dir, path, e) && read_at(ret, path, &is_there, e) && is_there;
}

bool root_secret_turn(const char *data_dir, struct err *e)
{
    char from[PATH_ROOM], to[PATH_ROOM];
    if (!path_of(data_dir, "secret.next", from, e) || !path_of(data_dir, "secret", to, e))
        return false;
    if (rename(from, to) != 0 && errno != ENOENT)
        return err_set_sys(e, ERR_IO, "giving %s its name failed", to);
    folder_sync(data_dir);
    return true;
}
