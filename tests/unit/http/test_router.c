/* The router: literal rows before patterns, patterns in their order, parameters; and what the
 * server says of methods that a row has not. */
#include "server_rig.c"

#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>

/* ---- the table alone --------------------------------------------------------------------------
 */

static bool never(struct req *rq, struct err *e)
{
    (void)rq;
    return err_set(e, ERR_INTERNAL, "Nobody calls this.");
}

#define ROW(the_path)                                                          \
    {                                                                          \
        .path = the_path, .name = the_path, .methods = ON_GET, .handle = never \
    }

static const struct route first[] = {
    ROW("/"),
    ROW("/items"),
    ROW("/items/{id}"),
    ROW("/items/new"),
    ROW("/{kind}/all"),
    ROW("/items/{id}/{n}"),
    ROW("/files/*"),
    ROW("/a/{b}/c/{d}"),
    ROW("/files/{x}"),
    ROW("/literal/*x"),
    ROW("/four/{a}/{b}/{c}/{d}"),
};
static const struct route second[] = {ROW("/{anything}"), ROW("/files/readme"), ROW("/*")};

static struct router *router;

static int make(void **state)
{
    (void)state;
    router = router_new();
    router_add(router, first, sizeof first / sizeof *first);
    router_add(router, second, sizeof second / sizeof *second - 1);
    return 0;
}

static int done(void **state)
{
    (void)state;
    router_free(router);
    return 0;
}

/* Params as "name=value ", to compare at once. */
static void found(const char *path, const char *want_row, const char *want_params)
{
    struct req rq = {.path = slice_from(path)};
    char params[200] = "";
    const struct route *row = router_find(router, &rq);
    const char *name = row ? row->name : "none";
    for (unsigned i = 0; i < rq.n_params; i++) {
        size_t len = strlen(params);
        snprintf(params + len, sizeof params - len, "%.*s=%.*s ", SLICE_ARGS(rq.params[i].name),
                 SLICE_ARGS(rq.params[i].value));
    }
    if (strcmp(name, want_row) != 0 || strcmp(params, want_params) != 0)
        fail_msg("%s: row %s with \"%s\", not %s with \"%s\"", path, name, params, want_row,
                 want_params);
}

static void literal_paths_come_first(void **state)
{
    (void)state;
    found("/", "/", "");
    found("/items", "/items", "");
    found("/items/new", "/items/new", "");       /* though its row stands behind /items/{id} */
    found("/files/readme", "/files/readme", ""); /* though it is in a later table */
    found("/literal/*x", "/literal/*x", "");
    found("/literal/yx", "none", "");
}

static void patterns_in_their_order(void **state)
{
    (void)state;
    found("/items/7", "/items/{id}", "id=7 ");
    found("/items/all", "/items/{id}", "id=all "); /* not /{kind}/all, which is later */
    found("/users/all", "/{kind}/all", "kind=users ");
    found("/files/x", "/files/*", "");
    found("/other", "/{anything}", "anything=other ");
    found("/items/7/8", "/items/{id}/{n}", "id=7 n=8 ");
    found("/a/1/c/2", "/a/{b}/c/{d}", "b=1 d=2 ");
    found("/four/1/2/3/4", "/four/{a}/{b}/{c}/{d}", "a=1 b=2 c=3 d=4 ");
}

static void segments_are_whole_and_not_empty(void **state)
{
    (void)state;
    found("/items/", "none", "");
    found("/items/7/", "none", "");
    found("/items//8", "none", "");
    found("/items/7/8/9", "none", "");
    found("/a/1/d/2", "none", ""); /* a parameter of a row that did not match after all */
    found("/four/1/2/3", "none", "");
    found("/ITEMS/7", "none", "");
    found("/items/{id}", "/items/{id}", "id={id} ");
}

static void a_star_takes_the_rest(void **state)
{
    (void)state;
    found("/files", "/files/*", "");
    found("/files/", "/files/*", "");
    found("/files/a/b/c/", "/files/*", "");
    found("/filesystem/a", "none", "");
    router_add(router, &second[2], 1); /* after all others: what nobody else wants */
    found("/items/7/8/9", "/*", "");
    found("/items/7", "/items/{id}", "id=7 ");
    found("/", "/", "");
}

static void many_rows(void **state)
{
    enum { N = 500 };
    static struct route rows_made[N];
    static char paths[N][24];
    (void)state;
    for (int i = 0; i < N; i++) {
        snprintf(paths[i], sizeof paths[i], i % 2 ? "/many%d" : "/many%d/{id}", i);
        rows_made[i] =
            (struct route){.path = paths[i], .name = paths[i], .methods = ON_GET, .handle = never};
    }
    router_add(router, rows_made, N);
    for (int i = 0; i < N; i++) {
        char path[32];
        snprintf(path, sizeof path, i % 2 ? "/many%d" : "/many%d/x", i);
        found(path, paths[i], i % 2 ? "" : "id=x ");
    }
}

/* Our own mistakes end the program when it starts, not when somebody asks. */
static void stops(const struct route *rows_wrong, size_t n)
{
    int status;
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        close(2);
        signal(SIGABRT, SIG_DFL);
        router_add(router, rows_wrong, n);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_false(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void wrong_tables_stop_the_start(void **state)
{
    static const struct route five = ROW("/{a}/{b}/{c}/{d}/{e}"), relative = ROW("x"),
                              twice = ROW("/items");
    static const struct route idle = {.path = "/x", .name = "x", .handle = never};
    (void)state;
    stops(&five, 1);
    stops(&relative, 1);
    stops(&twice, 1);
    stops(&idle, 1);
}

/* ---- methods, by the server -------------------------------------------------------------------
 */

static struct rig rig;

static int ask(struct client *c, const char *method, const char *path)
{
    char text[200];
    snprintf(text, sizeof text, "%s %s HTTP/1.1\r\nHost: a\r\n\r\n", method, path);
    client_say(c, text);
    return client_answer(c, NULL, NULL);
}

static void methods_that_a_row_has_not(void **state)
{
    static const struct {
        const char *method, *path, *allow;
        int status;
    } cases[] = {
        {"DELETE", "/hello", "\r\nAllow: GET, HEAD\r\n", 405},
        {"GET", "/echo", "\r\nAllow: POST\r\n", 405},
        {"PUT", "/lane", "\r\nAllow: GET, HEAD, POST\r\n", 405},
        {"BREW", "/show/1", "\r\nAllow: GET, HEAD\r\n", 405},
        {"OPTIONS", "/lane", "\r\nAllow: GET, HEAD, POST\r\n", 204},
        {"get", "/hello", "\r\nAllow: GET, HEAD\r\n", 405}, /* methods have a case */
        {"DELETE", "/nowhere", NULL, 404},
    };
    const struct rig_options o = {.threads = 1};
    (void)state;
    rig_start(&rig, &o);
    struct client *c = client_open(&rig);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(ask(c, cases[i].method, cases[i].path), cases[i].status);
        if (cases[i].allow)
            assert_non_null(strstr(c->data, cases[i].allow));
        else
            assert_null(strstr(c->data, "\r\nAllow:"));
        assert_null(strstr(c->data, "Connection: close"));
    }
    assert_int_equal(ask(c, "GET", "/hello"), 200); /* the connection went on */
    client_say(c, "POST /hello HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabcde");
    client_read_all(c); /* a body that nobody reads: it cannot go on */
    assert_memory_equal(c->data, "HTTP/1.1 405 ", 13);
    assert_non_null(strstr(c->data, "\r\nConnection: close\r\n"));
    client_close(c);
    rig_stop(&rig);
}

#define T(test) cmocka_unit_test_setup_teardown(test, make, done)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(literal_paths_come_first),
        T(patterns_in_their_order),
        T(segments_are_whole_and_not_empty),
        T(a_star_takes_the_rest),
        T(many_rows),
        T(wrong_tables_stop_the_start),
        cmocka_unit_test(methods_that_a_row_has_not),
    };
    signal(SIGPIPE, SIG_IGN);
    log_setup(LOG_ERROR, LOG_TEXT, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
