/* Tests of reading folders into a tree: hostile contents, reuse, limits, links, the budget. */
#include "fixture.h"

#include <pthread.h>
#include <time.h>

static bool has(struct app *app, const char *path)
{
    const struct web_node *n = tree_find(app->web->tree, slice_from(path));
    return n && n->kind == NODE_FILE;
}

static void odd_entries_are_left_out(void **state)
{
    (void)state;
    struct app app;
    app_init(&app);
    PUT(&app, "secret.txt", "secret");
    PUT(&app, "web/index.html", "<p>");
    PUT(&app, "web/.env", "KEY=1");
    PUT(&app, "web/.git/config", "x");
    PUT(&app, "web/sub/.hidden/x.txt", "x");
    PUT(&app, "web/.well-known/security.txt", "x");
    PUT(&app, "web/sub/.well-known/x.txt", "x");
    PUT(&app, "web/\xc3\xa4 b.txt", "x");
    PUT(&app, "web/bad\xff.txt", "x");
    PUT(&app, "web/back\\slash.txt", "x");
    PUT(&app, "web/line\nbreak.txt", "x");
    PUT(&app, "web/a%2fb.txt", "x");
    assert_int_equal(symlink("../secret.txt", at(&app, "web/out.txt")), 0);
    assert_int_equal(symlink("..", at(&app, "web/up")), 0);
    assert_int_equal(symlink("/etc", at(&app, "web/etc")), 0);
    assert_int_equal(symlink("index.html", at(&app, "web/in.html")), 0);
    assert_int_equal(symlink(".", at(&app, "web/self")), 0);
    assert_int_equal(symlink("nothing", at(&app, "web/dangling")), 0);
    assert_int_equal(mkfifo(at(&app, "web/fifo.txt"), 0644), 0);
    assert_int_equal(mkdir(at(&app, "web/dir.html"), 0755), 0);
    assert_int_equal(mkdir(at(&app, "web/empty"), 0755), 0);
    assert_int_equal(mkdir(at(&app, "web/trap"), 0755), 0);
    assert_int_equal(mkdir(at(&app, "web/trap/index.html"), 0755), 0);
    app_open(&app, "");
    static const char *const there[] = {
        "/",         "/index.html", "/in.html", "/.well-known/security.txt", "/\xc3\xa4 b.txt",
        "/a%2fb.txt"};
    static const char *const absent[] = {"/.env",
                                         "/.git/config",
                                         "/sub/.hidden/x.txt",
                                         "/sub/.well-known/x.txt",
                                         "/out.txt",
                                         "/up/secret.txt",
                                         "/etc/passwd",
                                         "/self/index.html",
                                         "/dangling",
                                         "/fifo.txt",
                                         "/dir.html",
                                         "/empty",
                                         "/empty/",
                                         "/trap",
                                         "/trap/",
                                         "/trap/index.html",
                                         "/bad\xff.txt",
                                         "/back\\slash.txt",
                                         "/line\nbreak.txt"};
    for (size_t i = 0; i < sizeof there / sizeof *there; i++)
        if (!has(&app, there[i]))
            fail_msg("%s is missing", there[i]);
    for (size_t i = 0; i < sizeof absent / sizeof *absent; i++)
        if (tree_find(app.web->tree, slice_from(absent[i])))
            fail_msg("%s is there", absent[i]);
    app_done(&app);
}

static void folders_have_an_index(void **state)
{
    (void)state;
    struct app app;
    app_init(&app);
    PUT(&app, "web/docs/index.html", "<p>");
    PUT(&app, "site/index.html", "<p>site");
    PUT(&app, "site/a.html", "<p>");
    PUT(&app, "web/mounted/a.html", "hidden by the mount");
    PUT(&app, "web/mounted/b.html", "hidden too");
    app_open(&app, "  mounts: { /mounted/: site }\n");
    assert_true(has(&app, "/docs/"));
    assert_int_equal(tree_find(app.web->tree, SLICE("/docs"))->kind, NODE_FOLDER);
    assert_true(has(&app, "/mounted/"));
    assert_true(has(&app, "/mounted/a.html"));
    assert_false(has(&app, "/mounted/b.html"));
    assert_false(has(&app, "/"));
    assert_int_equal(tree_find(app.web->tree, SLICE("/mounted/a.html"))->file->root, 0);
    app_done(&app);
}

static struct web_tree *again(struct app *app)
{
    struct tree_options o = {&app->web->rules, app->web->tree, FILES_MAX, -1};
    return tree_build(&o);
}

static void make_older(const struct app *app, const char *rel)
{
    struct timespec times[2] = {{1700000000, 0}, {1700000000, 0}};
    assert_int_equal(utimensat(AT_FDCWD, at(app, rel), times, 0), 0);
}

static void unchanged_files_are_taken_over(void **state)
{
    (void)state;
    struct app app;
    app_init(&app);
    PUT(&app, "web/a.html", "one");
    PUT(&app, "web/b.css", "one");
    make_older(&app, "web/a.html");
    make_older(&app, "web/b.css");
    app_open(&app, "");
    app_prepare(&app);
    struct web_tree *old = app.web->tree, *same = again(&app);
    assert_int_equal(tree_compare(old, same), TREE_SAME);
    assert_ptr_equal(tree_find(old, SLICE("/a.html"))->file,
                     tree_find(same, SLICE("/a.html"))->file);
    tree_unref(same);
    PUT(&app, "web/b.css", "two");
    struct web_tree *styled = again(&app);
    assert_int_equal(tree_compare(old, styled), TREE_STYLES);
    tree_unref(styled);
    PUT(&app, "web/c.html", "new");
    struct web_tree *grown = again(&app);
    assert_int_equal(tree_compare(old, grown), TREE_OTHER);
    tree_unref(grown);
    app_done(&app);
}

/* The same size within the clock's grain: the facts alone would not tell. */
static void a_file_read_too_soon_is_read_again(void **state)
{
    (void)state;
    struct app app;
    app_init(&app);
    struct timespec now;
    PUT(&app, "web/a.txt", "one");
    clock_gettime(CLOCK_REALTIME, &now);
    struct timespec times[2] = {now, now};
    utimensat(AT_FDCWD, at(&app, "web/a.txt"), times, 0);
    app_open(&app, "");
    app_prepare(&app);
    struct web_tree *same = again(&app);
    assert_int_equal(tree_compare(app.web->tree, same), TREE_SAME);
    tree_unref(same);
    PUT(&app, "web/a.txt", "two");
    utimensat(AT_FDCWD, at(&app, "web/a.txt"), times, 0);
    struct web_tree *next = again(&app);
    assert_int_equal(tree_compare(app.web->tree, next), TREE_OTHER);
    tree_unref(next);
    app_done(&app);
}

static void a_replaced_root_is_another_one(void **state)
{
    (void)state;
    struct app app;
    char from[256], to[256];
    app_init(&app);
    PUT(&app, "web/a.txt", "one");
    app_open(&app, "");
    snprintf(from, sizeof from, "%s/web", app.dir);
    snprintf(to, sizeof to, "%s/old", app.dir);
    assert_int_equal(rename(from, to), 0);
    struct web_tree *gone = again(&app);
    assert_int_equal(tree_compare(app.web->tree, gone), TREE_OTHER);
    assert_true(gone->is_partial);
    assert_int_equal(gone->n_files, 0);
    tree_unref(gone);
    mkdir(from, 0755);
    snprintf(from, sizeof from, "%s/old/a.txt", app.dir);
    snprintf(to, sizeof to, "%s/web/a.txt", app.dir);
    assert_int_equal(link(from, to), 0);
    struct web_tree *other = again(&app);
    assert_int_equal(tree_compare(app.web->tree, other), TREE_OTHER);
    tree_unref(other);
    app_done(&app);
}

static void limits_hold(void **state)
{
    (void)state;
    struct app app;
    char name[64];
    app_init(&app);
    for (int i = 0; i < 50; i++) {
        snprintf(name, sizeof name, "web/%d.txt", i);
        PUT(&app, name, "x");
    }
    for (int i = 0; i < 10; i++) { /* circles within circles */
        snprintf(name, sizeof name, "web/d%d", i);
        mkdir(at(&app, name), 0755);
        for (int j = 0; j < 10; j++) {
            char target[64];
            snprintf(name, sizeof name, "web/d%d/l%d", i, j);
            snprintf(target, sizeof target, "../d%d", j);
            assert_int_equal(symlink(target, at(&app, name)), 0);
        }
    }
    struct web_options o = app_options(&app, "");
    o.files_max = 20;
    app.web = web_new(&o);
    assert_int_equal(app.web->tree->n_files, 20);
    app_done(&app);
}

static void the_budget_holds(void **state)
{
    (void)state;
    struct app app;
    struct web_budget budget = {.max = 100000};
    struct web_stats stats;
    char name[64];
    app_init(&app);
    for (int i = 0; i < 20; i++) {
        snprintf(name, sizeof name, "web/%d.txt", i);
        put_large(&app, name, 20000);
    }
    struct web_options o = app_options(&app, "");
    o.budget = &budget;
    app.web = web_new(&o);
    app_prepare(&app);
    web_stats(app.web, &stats);
    assert_int_equal(stats.files, 20);
    assert_int_equal(stats.in_memory, 4);
    assert_true(budget.used <= budget.max);
    assert_int_equal(budget.used, stats.bytes);
    assert_int_equal(status_of(&app, "/19.txt", ""), 200);
    app_done(&app);
    assert_int_equal(budget.used, 0);
}

static void many_files(void **state)
{
    (void)state;
    struct app app;
    char name[64];
    app_init(&app);
    int n = 5000;
    for (int i = 0; i < n; i++) {
        snprintf(name, sizeof name, "web/d%d/%d.txt", i % 50, i);
        PUT(&app, name, "x");
    }
    int64_t began = clock_mono_ms();
    app_open(&app, "");
    print_message("%d files read in %d ms\n", n, (int)(clock_mono_ms() - began));
    assert_int_equal(app.web->tree->n_files, n);
    assert_true(has(&app, "/d49/4999.txt"));
    app_done(&app);
}

struct loading {
    struct web_file *file;
    const struct web *web;
    pthread_barrier_t *together;
};

static void *load_one(void *arg)
{
    const struct loading *loading = arg;
    const struct web *w = loading->web;
    pthread_barrier_wait(loading->together);
    file_load(loading->file, &w->rules, w->tree->root_fds[loading->file->root]);
    return NULL;
}

/* Preparing and reading the folders again meet at a file that both trees hold. */
static void two_workers_may_load_one_file(void **state)
{
    (void)state;
    struct app app;
    pthread_barrier_t together;
    app_init(&app);
    PUT(&app, "web/a.txt", "some text");
    app_open(&app, "");
    const struct web_file *known = tree_find(app.web->tree, SLICE("/a.txt"))->file;
    pthread_barrier_init(&together, NULL, 2);
    for (int i = 0; i < 300; i++) {
        struct web_file *f = file_new(&app.web->rules, known->root, SLICE("/a.txt"), &known->facts);
        struct loading loading = {f, app.web, &together};
        pthread_t other;
        assert_int_equal(pthread_create(&other, NULL, load_one, &loading), 0);
        load_one(&loading);
        pthread_join(other, NULL);
        file_unref(f);
        assert_int_equal(atomic_load(&app.web->options.budget->used), 0);
    }
    pthread_barrier_destroy(&together);
    app_done(&app);
}

TESTS(cmocka_unit_test(odd_entries_are_left_out), cmocka_unit_test(folders_have_an_index),
      cmocka_unit_test(unchanged_files_are_taken_over),
      cmocka_unit_test(a_file_read_too_soon_is_read_again),
      cmocka_unit_test(a_replaced_root_is_another_one), cmocka_unit_test(limits_hold),
      cmocka_unit_test(the_budget_holds), cmocka_unit_test(many_files),
      cmocka_unit_test(two_workers_may_load_one_file))
