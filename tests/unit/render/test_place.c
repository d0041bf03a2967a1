/* Rendered files onto the disk: what is there is judged, and nothing is ever half done. */
#include "render/render_impl.h"
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char root[64];
static struct arena arena;
static struct err error;

static const char *in(const char *name)
{
    return arena_printf(&arena, "%s/%s", root, name).ptr;
}

static int set_up(void **state)
{
    static const char pattern[] = "/tmp/dais-place-XXXXXX";
    (void)state;
    arena_init(&arena, 64u << 20);
    memcpy(root, pattern, sizeof pattern);
    return mkdtemp(root) ? 0 : -1;
}

static int tear_down(void **state)
{
    static const char *const names[] = {"out/a.yml",          "out/sub/b.yml",
                                        "out/a.yml.dais-new", "out/sub/b.yml.dais-new",
                                        "elsewhere",          "out/sub/.dais-site"};
    static const char *const folders[] = {"out/a.yml", "out/sub/b.yml", "out/sub", "out"};
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        unlink(in(names[i]));
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++)
        rmdir(in(folders[i]));
    int left = rmdir(root);
    arena_done(&arena);
    return left; /* something was left behind */
}

static struct slice with_header(const char *text)
{
    struct buf to;
    buf_init(&to, 1u << 20);
    assert_true(header_add(SLICE("x.yml"), slice_from(text), &to));
    struct slice kept = arena_dup(&arena, buf_slice(&to));
    buf_done(&to);
    return kept;
}

static void write_file(const char *name, struct slice text)
{
    FILE *file = fopen(in(name), "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(text.ptr, 1, text.len, file), text.len);
    fclose(file);
}

static bool is_file(const char *name, struct slice text)
{
    static char there[1 << 16];
    FILE *file = fopen(in(name), "rb");
    if (!file)
        return false;
    size_t n = fread(there, 1, sizeof there, file);
    fclose(file);
    return slice_eq((struct slice){there, n}, text);
}

static bool is_absent(const char *name)
{
    struct stat st;
    return lstat(in(name), &st) != 0 && errno == ENOENT;
}

static struct placed rows[2];

/* a.yml and sub/b.yml below out/. */
static bool place(const char *a, const char *b, bool force, bool only_look)
{
    struct render_file items[2] = {
        {.path = SLICE("a.yml"), .text = with_header(a), .mode = 0644},
        {.path = SLICE("sub/b.yml"), .text = with_header(b), .mode = 0755},
    };
    const struct render_files files = {.items = items, .n = 2};
    const struct place_options o = {in("out"), force, only_look};
    memset(rows, 0, sizeof rows);
    error = (struct err){0};
    return place_files(&arena, &o, &files, rows, &error);
}

static void new_same_changed(void **state)
{
    struct stat st;
    (void)state;
    assert_true(place("1\n", "2\n", false, true));
    assert_int_equal(rows[0].state, PLACE_NEW);
    assert_true(is_absent("out")); /* looking makes nothing */
    assert_true(place("1\n", "2\n", false, false));
    assert_int_equal(rows[0].state, PLACE_NEW);
    assert_true(is_file("out/a.yml", with_header("1\n")));
    assert_true(is_file("out/sub/b.yml", with_header("2\n")));
    assert_true(stat(in("out/sub/b.yml"), &st) == 0 && (st.st_mode & 0100));
    assert_true(stat(in("out/a.yml"), &st) == 0 && !(st.st_mode & 0100));
    assert_true(place("1\n", "2\n", false, false));
    assert_int_equal(rows[0].state, PLACE_SAME);
    assert_true(place("3\n", "2\n", false, false));
    assert_int_equal(rows[0].state, PLACE_CHANGED);
    assert_int_equal(rows[1].state, PLACE_SAME);
    assert_true(is_file("out/a.yml", with_header("3\n")));
}

static void kept(void **state)
{
    (void)state;
    assert_true(place("1\n", "2\n", false, false));
    write_file("out/a.yml", arena_printf(&arena, "%s# mine\n", with_header("1\n").ptr));
    write_file("out/sub/b.yml", SLICE("all mine\n"));
    assert_true(place("1\n", "2\n", false, false));
    assert_int_equal(rows[0].state, PLACE_KEPT);
    assert_int_equal(rows[1].state, PLACE_KEPT);
    assert_false(rows[0].is_foreign);
    assert_true(rows[1].is_foreign);
    assert_true(slice_search(rows[0].diff, SLICE("\n-# mine\n")) > 0);
    assert_true(slice_search(rows[1].diff, SLICE("\n-all mine\n")) > 0);
    assert_true(is_file("out/sub/b.yml", SLICE("all mine\n")));
    assert_true(place("1\n", "2\n", true, false));
    assert_int_equal(rows[0].state, PLACE_CHANGED);
    assert_true(is_file("out/a.yml", with_header("1\n")));
    assert_true(is_file("out/sub/b.yml", with_header("2\n")));
}

/* A checkout on Windows is the same; --force makes even the line ends anew. */
static void line_ends(void **state)
{
    (void)state;
    struct slice text = with_header("1\n\n2\n");
    struct buf crlf;
    buf_init(&crlf, 10000);
    for (size_t i = 0; i < text.len; i++)
        buf_printf(&crlf, text.ptr[i] == '\n' ? "\r%c" : "%c", text.ptr[i]);
    assert_true(place("1\n\n2\n", "2\n", false, false));
    write_file("out/a.yml", buf_slice(&crlf));
    assert_true(place("1\n\n2\n", "2\n", false, false));
    assert_int_equal(rows[0].state, PLACE_SAME);
    assert_true(is_file("out/a.yml", buf_slice(&crlf)));
    assert_true(place("1\n\n3\n", "2\n", false, false)); /* not edited: it may be replaced */
    assert_int_equal(rows[0].state, PLACE_CHANGED);
    write_file("out/a.yml", buf_slice(&crlf));
    assert_true(place("1\n\n2\n", "2\n", true, false));
    assert_true(is_file("out/a.yml", text));
    write_file("out/a.yml", slice_first(text, text.len - 1));
    assert_true(place("1\n\n2\n", "2\n", false, false)); /* its last line end is missing */
    assert_int_equal(rows[0].state, PLACE_KEPT);
    buf_done(&crlf);
}

static void in_the_way(void **state)
{
    (void)state;
    assert_int_equal(mkdir(in("out"), 0755), 0);
    assert_int_equal(mkdir(in("out/sub"), 0755), 0);
    assert_int_equal(mkdir(in("out/sub/b.yml"), 0755), 0);
    assert_false(place("1\n", "2\n", true, false));
    assert_non_null(strstr(error.msg, "sub/b.yml is in the way"));
    assert_true(is_absent("out/a.yml"));
    assert_int_equal(rmdir(in("out/sub/b.yml")), 0);
    assert_int_equal(mkfifo(in("out/sub/b.yml"), 0644), 0);
    assert_false(place("1\n", "2\n", true, false)); /* and does not wait for a writer */
    assert_non_null(strstr(error.msg, "is in the way"));
    assert_true(is_absent("out/a.yml"));
    unlink(in("out/sub/b.yml"));
    assert_int_equal(rmdir(in("out/sub")), 0);
    write_file("out/sub", SLICE("a file where a folder belongs"));
    assert_false(place("1\n", "2\n", true, false));
    assert_true(is_absent("out/a.yml") && is_absent("out/a.yml.dais-new"));
    unlink(in("out/sub"));
}

/* A symbolic link that somebody put there: what it leads to is not written through it. */
static void links(void **state)
{
    struct stat st;
    (void)state;
    assert_int_equal(mkdir(in("out"), 0755), 0);
    write_file("elsewhere", SLICE("precious\n"));
    assert_int_equal(symlink(in("elsewhere"), in("out/a.yml")), 0);
    assert_true(place("1\n", "2\n", false, false));
    assert_int_equal(rows[0].state, PLACE_KEPT);
    assert_true(place("1\n", "2\n", true, false));
    assert_true(is_file("elsewhere", SLICE("precious\n")));
    assert_true(lstat(in("out/a.yml"), &st) == 0 && S_ISREG(st.st_mode));
}

/* What a render that was killed left behind is cleared, also where nothing is to be written. */
static void leftovers(void **state)
{
    (void)state;
    assert_true(place("1\n", "2\n", false, false));
    write_file("out/a.yml.dais-new", SLICE("half"));
    write_file("out/sub/b.yml.dais-new", SLICE("half"));
    assert_true(place("1\n", "3\n", false, false));
    assert_true(is_absent("out/a.yml.dais-new") && is_absent("out/sub/b.yml.dais-new"));
    assert_true(is_file("out/sub/b.yml", with_header("3\n")));
}

static void failure_leaves_nothing(void **state)
{
    (void)state;
    struct render_file items[2] = {
        {.path = SLICE("sub/b.yml"), .text = with_header("1\n"), .mode = 0644},
        {.path = SLICE("a.yml"), .copy_of = "/nonexistent/file", .mode = 0644},
    };
    const struct render_files files = {.items = items, .n = 2};
    const struct place_options o = {in("out"), false, false};
    memset(rows, 0, sizeof rows);
    assert_false(place_files(&arena, &o, &files, rows, &error));
    assert_non_null(strstr(error.msg, "/nonexistent/file cannot be read"));
    assert_true(is_absent("out")); /* nor the folders */
}

/* ---- files that a listing names
 * ------------------------------------------------------------------
 */

static const char *digest_of(const char *name)
{
    char found[SHA256_HEX_LEN + 1];
    assert_true(digest_of_file(in(name), found));
    return arena_cstr(&arena, slice_from(found));
}

/* out/a.yml as a copy of `elsewhere`, or without `is_wanted` none, and sub/.dais-site with it. */
static bool place_copy(bool is_wanted, bool force)
{
    struct render_file items[2] = {{.mode = 0644}, {.path = SLICE("sub/.dais-site"), .mode = 0644}};
    struct render_files files = {.items = items + 1, .n = 1, .listing = items[1].path};
    const struct place_options o = {in("out"), force, false};
    struct buf list;
    buf_init(&list, 1u << 20);
    if (is_wanted) {
        items[0].path = SLICE("sub/b.yml");
        items[0].copy_of = in("elsewhere");
        items[0].digest = digest_of("elsewhere");
        files.items = items, files.n = 2;
    }
    struct slice line =
        is_wanted ? arena_printf(&arena, "%s  b.yml\n", items[0].digest) : SLICE("");
    assert_true(header_add(items[1].path, line, &list));
    items[1].text = arena_dup(&arena, buf_slice(&list));
    buf_done(&list);
    memset(rows, 0, sizeof rows);
    error = (struct err){0};
    return place_find_gone(&arena, &o, &files, &error) &&
           place_files(&arena, &o, &files, rows, &error);
}

static void copies(void **state)
{
    (void)state;
    struct slice text = SLICE("bin\0ary\r\n");
    write_file("elsewhere", text);
    assert_true(place_copy(true, false));
    assert_int_equal(rows[0].state, PLACE_NEW);
    assert_true(is_file("out/sub/b.yml", text));
    assert_true(place_copy(true, false));
    assert_int_equal(rows[0].state, PLACE_SAME);
    write_file("elsewhere", SLICE("bin\0ary\n")); /* of copies the line ends count */
    assert_true(place_copy(true, false));
    assert_int_equal(rows[0].state, PLACE_CHANGED);
    assert_true(is_file("out/sub/b.yml", SLICE("bin\0ary\n")));
    write_file("out/sub/b.yml", SLICE("mine"));
    assert_true(place_copy(true, false));
    assert_int_equal(rows[0].state, PLACE_KEPT);
}

static void gone(void **state)
{
    (void)state;
    write_file("elsewhere", SLICE("1"));
    assert_true(place_copy(true, false));
    assert_true(place_copy(false, false));
    assert_int_equal(rows[1].state, PLACE_GONE);
    assert_true(is_absent("out/sub/b.yml"));
}

/* Somebody else was faster, or put a link there that leads nowhere: nothing is written for it. */
static void gone_already(void **state)
{
    (void)state;
    write_file("elsewhere", SLICE("1"));
    assert_true(place_copy(true, false));
    assert_int_equal(unlink(in("out/sub/b.yml")), 0);
    assert_int_equal(symlink(in("nowhere"), in("out/sub/b.yml")), 0);
    assert_true(place_copy(false, true));
    assert_int_equal(rows[1].state, PLACE_SAME);
    assert_true(is_absent("nowhere"));
    assert_int_equal(unlink(in("out/sub/b.yml")), 0); /* still the link: else it has a mode of 0 */
}

/* A folder that is a link out of the place: nothing is read, written or removed through it. */
static void folder_elsewhere(void **state)
{
    (void)state;
    assert_int_equal(mkdir(in("out"), 0755), 0);
    assert_int_equal(mkdir(in("away"), 0755), 0);
    assert_int_equal(symlink(in("away"), in("out/sub")), 0);
    assert_false(place("1\n", "2\n", true, false));
    assert_non_null(strstr(error.msg, "leads out of"));
    assert_false(place("1\n", "2\n", false, true));
    assert_true(is_absent("out/a.yml") && is_absent("away/b.yml"));
    unlink(in("out/sub"));
    assert_int_equal(mkdir(in("out/real"), 0755), 0);
    assert_int_equal(symlink("real", in("out/sub")), 0);
    assert_true(place("1\n", "2\n", false, false)); /* within it, a link is a folder like any */
    assert_true(is_file("out/real/b.yml", with_header("2\n")));
    unlink(in("out/real/b.yml"));
    unlink(in("out/sub"));
    assert_int_equal(rmdir(in("out/real")) + rmdir(in("away")), 0);
}

static void odd_folders(void **state)
{
    (void)state;
    char deep[5000];
    memset(deep, 'a', sizeof deep);
    for (size_t i = 0; i < sizeof deep; i += 100)
        deep[i] = '/';
    deep[sizeof deep - 1] = '\0';
    const struct render_files files = {0};
    struct place_options o = {deep, false, false};
    assert_false(place_files(&arena, &o, &files, rows, &error));
    assert_non_null(strstr(error.msg, "too long"));
    write_file("elsewhere", SLICE("x"));
    o.folder = in("elsewhere");
    assert_false(place_files(&arena, &o, &files, rows, &error));
    assert_int_equal(error.code, ERR_USAGE);
    assert_non_null(strstr(error.msg, "is a file"));
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
TESTS(T(new_same_changed), T(kept), T(line_ends), T(in_the_way), T(links), T(leftovers),
      T(failure_leaves_nothing), T(copies), T(gone), T(gone_already), T(folder_elsewhere),
      T(odd_folders))
