/* Telling releases apart: which folder it is, and what its setup was made from.
 *
 * A stamp at DATA/apps/APP/setup/FOLDER says what the last finished setup of a folder was made from
 * and what it made:
 *
 *     digest 3f5a...      the command, the folder, the files that say what is needed
 *     made .venv/bin/pip  a file that counts, but was not there before: only its loss matters */
#include "edge/prepare_impl.h"

#include <dirent.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MAX_BYTES (64u << 20) /* of a larger one size and time count */
#define STAMP_MAX      (1u << 20)
#define NAMES_MAX      (256u << 10)
#define FILES_MAX      1000 /* whose names count */
#define WORDS_MAX      2000 /* of the command that are looked at */

static const char *const well_known[] = {
    "requirements*.txt", "pyproject.toml", "uv.lock",       "poetry.lock",   "package.json",
    "package-lock.json", "pnpm-lock.yaml", "yarn.lock",     "go.mod",        "go.sum",
    "Cargo.lock",        "Gemfile.lock",   "composer.lock", ".dais-release",
};

/* ---- which folder -----------------------------------------------------------------------------
 */

/* A folder made anew at the same path has another number or another birth. */
void release_identity(const char *dir, struct buf *to)
{
    struct statx st = {0};
    struct sha256 h;
    struct buf release;
    char text[80], hex[SHA256_HEX_LEN + 1], path[PATH_BYTES];
    statx(AT_FDCWD, dir, 0, STATX_INO | STATX_BTIME, &st);
    bool has_birth = st.stx_mask & STATX_BTIME;
    snprintf(text, sizeof text, "\n%llu %lld.%u\n", (unsigned long long)st.stx_ino,
             has_birth ? (long long)st.stx_btime.tv_sec : 0LL,
             has_birth ? st.stx_btime.tv_nsec : 0U);
    buf_init(&release, 64u << 10);
    snprintf(path, sizeof path, "%s/.dais-release", dir);
    (void)file_read(path, &release);
    sha256_init(&h);
    sha256_add(&h, slice_from(dir));
    sha256_add(&h, slice_from(text));
    sha256_add(&h, buf_slice(&release));
    sha256_end_hex(&h, hex);
    buf_add(to, slice_first(slice_from(hex), 32));
    buf_done(&release);
}

/* ---- which files count ------------------------------------------------------------------------
 */

static bool ends_word(char c)
{
    return c && strchr(" \t\r\n\"'`;|&()<>=,{}$", c);
}

/* The next word of a shell's line, taken apart as far as names of files go. */
static bool next_word(struct slice *line, struct slice *ret)
{
    while (line->len && ends_word(line->ptr[0]))
        *line = slice_skip(*line, 1);
    size_t n = 0;
    while (n < line->len && !ends_word(line->ptr[n]))
        n++;
    *ret = slice_first(*line, n);
    *line = slice_skip(*line, n);
    return n > 0;
}

static bool leads_out(struct slice path)
{
    struct slice part;
    while (slice_cut(&path, '/', &part)) {
        if (slice_is(part, ".."))
            return true;
    }
    return false;
}

static bool is_persisted(const struct setup_options *o, struct slice name)
{
    for (size_t i = 0; i < o->persist->n; i++) {
        struct slice path = o->persist->items[i].s;
        if (slice_starts(name, path) && (name.len == path.len || name.ptr[path.len] == '/'))
            return true;
    }
    return false;
}

/* Relative to the app folder, as the stamp knows it. */
static void offer(const struct setup_options *o, struct slice folder, struct slice name,
                  struct map *names, struct arena *a)
{
    struct stat st;
    struct slice whole = folder.len
                             ? arena_printf(a, "%.*s/%.*s", SLICE_ARGS(folder), SLICE_ARGS(name))
                             : arena_dup(a, name);
    const char *path = arena_printf(a, "%s/%.*s", o->dir, SLICE_ARGS(whole)).ptr;
    if (stat(path, &st) == 0 && S_ISREG(st.st_mode) && !is_persisted(o, whole) &&
        slice_index(whole, '\n') < 0)
        map_put(names, whole, a);
}

static bool is_well_known(const char *name)
{
    for (size_t i = 0; i < sizeof well_known / sizeof *well_known; i++) {
        if (fnmatch(well_known[i], name, 0) == 0)
            return true;
    }
    return false;
}

static void offer_folder(const struct setup_options *o, struct slice folder, struct map *names,
                         struct arena *a)
{
    const char *path = arena_printf(a, "%s/%.*s", o->dir, SLICE_ARGS(folder)).ptr;
    DIR *dir = opendir(path);
    for (struct dirent *it; dir && names->len < FILES_MAX && (it = readdir(dir));) {
        if (is_well_known(it->d_name))
            offer(o, folder, slice_from(it->d_name), names, a);
    }
    if (dir)
        closedir(dir);
}

/* "./a//b/" is "a//b": good enough, as the same command names it the same way. */
static struct slice tidy(struct slice word)
{
    while (slice_starts(word, SLICE("./")))
        word = slice_skip(word, 2);
    while (slice_ends(word, SLICE("/")))
        word.len--;
    return word;
}

static int by_name(const void *x, const void *y)
{
    return slice_cmp(*(const struct slice *)x, *(const struct slice *)y);
}

static void add_sorted(const struct map *names, struct arena *a, struct buf *to)
{
    struct slice *all = arena_alloc(a, names->len * sizeof *all);
    struct map_entry *it;
    size_t n = 0, at = 0;
    while ((it = map_next(names, &at)))
        all[n++] = it->key;
    if (n)
        qsort(all, n, sizeof *all, by_name);
    for (size_t i = 0; i < n; i++) {
        buf_add(to, all[i]);
        buf_add_char(to, '\n');
    }
}

static void list_files(const struct setup_options *o, struct buf *to)
{
    struct arena a;
    struct map names;
    struct slice line = o->command, word;
    arena_init(&a, 64u << 20);
    map_init(&names);
    offer_folder(o, SLICE(""), &names, &a);
    for (int n = 0; n < WORDS_MAX && next_word(&line, &word); n++) {
        word = tidy(word);
        if (!word.len || word.len > 1000 || word.ptr[0] == '/' || leads_out(word))
            continue;
        offer(o, SLICE(""), word, &names, &a);
        offer_folder(o, word, &names, &a);
    }
    add_sorted(&names, &a, to);
    map_done(&names);
    arena_done(&a);
}

/* ---- stamps -----------------------------------------------------------------------------------
 */

static void stamp_path(const struct setup_options *o, char to[PATH_BYTES])
{
    struct sha256 h;
    char hex[SHA256_HEX_LEN + 1];
    if (o->stamp) {
        snprintf(to, PATH_BYTES, "%s", o->stamp);
        return;
    }
    sha256_init(&h);
    sha256_add(&h, slice_from(o->dir));
    sha256_end_hex(&h, hex);
    snprintf(to, PATH_BYTES, "%s/apps/%s/setup/%.16s", o->data_dir, o->app, hex);
}

static void read_stamp(const struct setup_options *o, struct buf *to)
{
    char path[PATH_BYTES];
    buf_init(to, STAMP_MAX);
    stamp_path(o, path);
    (void)file_read(path, to);
}

static bool has_line(struct slice text, const char *key, struct slice value)
{
    struct slice line;
    while (slice_cut(&text, '\n', &line)) {
        struct slice word;
        if (slice_cut(&line, ' ', &word) && slice_is(word, key) && slice_eq(line, value))
            return true;
    }
    return false;
}

void setup_inputs(const struct setup_options *o, struct buf *to)
{
    struct buf stamp, names;
    read_stamp(o, &stamp);
    buf_init(&names, NAMES_MAX);
    list_files(o, &names);
    struct slice rest = buf_slice(&names), name;
    while (slice_cut(&rest, '\n', &name)) {
        if (has_line(buf_slice(&stamp), "made", name))
            continue;
        buf_add(to, name);
        buf_add_char(to, '\n');
    }
    buf_done(&stamp);
    buf_done(&names);
}

static void add_contents(struct sha256 *h, const char *path)
{
    struct stat st;
    char room[16384];
    ssize_t n = 0;
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        st.st_size = 0;
    n = snprintf(room, sizeof room, "%lld\n", (long long)st.st_size);
    sha256_add(h, (struct slice){room, (size_t)n});
    if (st.st_size > (off_t)FILE_MAX_BYTES) {
        n = snprintf(room, sizeof room, "%lld\n", (long long)st.st_mtim.tv_sec);
        sha256_add(h, (struct slice){room, (size_t)n});
    } else {
        while (fd >= 0 && (n = fd_read(fd, room, sizeof room)) > 0)
            sha256_add(h, (struct slice){room, (size_t)n});
    }
    if (fd >= 0)
        close(fd);
}

void setup_digest(const struct setup_options *o, char ret[SHA256_HEX_LEN + 1])
{
    struct sha256 h;
    struct buf names, folder;
    char path[PATH_BYTES];
    buf_init(&names, NAMES_MAX);
    buf_init(&folder, 200);
    setup_inputs(o, &names);
    if (!o->stamp) /* a sealed folder is copied about */
        release_identity(o->dir, &folder);
    sha256_init(&h);
    sha256_add(&h, o->command);
    sha256_add(&h, SLICE("\n"));
    sha256_add(&h, buf_slice(&folder));
    struct slice rest = buf_slice(&names), name;
    while (slice_cut(&rest, '\n', &name)) {
        sha256_add(&h, SLICE("\n"));
        sha256_add(&h, name);
        sha256_add(&h, SLICE("\n"));
        snprintf(path, sizeof path, "%s/%.*s", o->dir, SLICE_ARGS(name));
        add_contents(&h, path);
    }
    sha256_end_hex(&h, ret);
    buf_done(&names);
    buf_done(&folder);
}

bool setup_is_done(const struct setup_options *o, const char *digest)
{
    struct buf stamp;
    char path[PATH_BYTES];
    read_stamp(o, &stamp);
    struct slice rest = buf_slice(&stamp), line;
    bool is_done = has_line(rest, "digest", slice_from(digest));
    while (is_done && slice_cut(&rest, '\n', &line)) {
        if (!slice_starts(line, SLICE("made ")))
            continue;
        line = slice_skip(line, 5);
        snprintf(path, sizeof path, "%s/%.*s", o->dir, SLICE_ARGS(line));
        is_done = access(path, F_OK) == 0;
    }
    buf_done(&stamp);
    return is_done;
}

/* A sealed folder's is for everybody: it is made by root and read by whoever serves. */
static bool write_stamp(const struct setup_options *o, const struct buf *text, struct err *e)
{
    char path[PATH_BYTES];
    stamp_path(o, path);
    return parent_make(path, o->stamp ? 0755 : 0700, e) &&
           file_replace(path, buf_slice(text), o->stamp ? 0644 : 0600, e);
}

/* What it made stays its own, however far the next one comes. */
bool setup_forget(const struct setup_options *o, struct err *e)
{
    struct buf stamp, text;
    read_stamp(o, &stamp);
    buf_init(&text, STAMP_MAX);
    struct slice rest = buf_slice(&stamp), line;
    while (slice_cut(&rest, '\n', &line)) {
        if (slice_starts(line, SLICE("made ")))
            buf_printf(&text, "%.*s\n", SLICE_ARGS(line));
    }
    bool fine = write_stamp(o, &text, e);
    buf_done(&stamp);
    buf_done(&text);
    return fine;
}

static bool is_line(struct slice text, struct slice wanted)
{
    struct slice line;
    while (slice_cut(&text, '\n', &line)) {
        if (slice_eq(line, wanted))
            return true;
    }
    return false;
}

bool setup_remember(const struct setup_options *o, const char *digest, struct slice before,
                    struct err *e)
{
    struct buf names, text;
    buf_init(&names, NAMES_MAX);
    buf_init(&text, STAMP_MAX);
    list_files(o, &names);
    buf_printf(&text, "digest %s\n", digest);
    struct slice rest = buf_slice(&names), name;
    while (slice_cut(&rest, '\n', &name)) {
        if (!is_line(before, name))
            buf_printf(&text, "made %.*s\n", SLICE_ARGS(name));
    }
    bool fine = write_stamp(o, &text, e);
    buf_done(&names);
    buf_done(&text);
    return fine;
}
