/* Handlers that cannot answer at once: those that wait for somebody, and those that move to a lane.
 */
#include "server_rig.c"

#include <signal.h>
#include <stdio.h>

static struct rig rig;

/* Somebody else's answer: it comes in a later turn of the loop. */
struct errand {
    struct post post;
    struct req *rq;
    bool fails;
};

static _Atomic unsigned errands_done;

static void on_errand(struct post *p, struct loop *l)
{
    struct errand *t = container_of(p, struct errand, post);
    struct err e;
    must(l == t->rq->loop);
    errands_done++;
    if (t->fails) {
        t->rq->details = SLICE("[{\"pointer\":\"/a\"}]");
        err_set(&e, ERR_INVALID, "No.");
        req_done(t->rq, &e);
        return;
    }
    reply_bytes(t->rq, 201, "text/plain",
                arena_printf(t->rq->arena, "%.*s|%.*s|%.*s", SLICE_ARGS(t->rq->path),
                             SLICE_ARGS(t->rq->query), SLICE_ARGS(t->rq->body)));
    req_done(t->rq, NULL);
}

static bool ask(struct req *rq, bool fails)
{
    struct errand *t = arena_new(rq->arena, struct errand);
    *t = (struct errand){.post.fn = on_errand, .rq = rq, .fails = fails};
    req_wait(rq);
    loop_post(rq->loop, &t->post);
    return true;
}

static bool waits(struct req *rq, struct err *e)
{
    (void)e;
    req_keep(rq);
    return ask(rq, false);
}

static bool waits_in_vain(struct req *rq, struct err *e)
{
    (void)e;
    req_keep(rq);
    return ask(rq, true);
}

static bool does_not_wait(struct req *rq, struct err *e)
{
    req_keep(rq);
    req_wait(rq);
    return err_set(e, ERR_UNAVAILABLE, "Nobody is there.");
}

static bool moves(struct req *rq, struct err *e)
{
    return rq->is_on_lane ? show(rq, e) : req_move(rq, RUN_READ);
}

static bool moves_and_waits(struct req *rq, struct err *e)
{
    (void)e;
    return rq->is_on_lane ? ask(rq, false) : req_move(rq, RUN_READ);
}

static const struct route wait_rows[] = {
    {.path = "/wait/{id}",
     .name = "wait",
     .methods = ON_GET | ON_POST,
     .handle = waits,
     .max_body = 1000},
    {.path = "/vain", .name = "vain", .methods = ON_GET, .handle = waits_in_vain},
    {.path = "/not", .name = "not", .methods = ON_GET, .handle = does_not_wait},
    {.path = "/move/{id}", .name = "move", .methods = ON_GET, .handle = moves},
    {.path = "/both/{id}",
     .name = "both",
     .methods = ON_GET | ON_POST,
     .handle = moves_and_waits,
     .max_body = 1000},
};

static int start(void **state)
{
    (void)state;
    struct rig_options options = {.routes = wait_rows,
                                  .n_routes = sizeof wait_rows / sizeof *wait_rows};
    errands_done = 0;
    rig_start(&rig, &options);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    rig_stop(&rig);
    return 0;
}

#define HEAD " HTTP/1.1\r\nHost: a.example\r\n"

static void answers_come_later(void **state)
{
    const char *body;
    (void)state;
    struct client *c = client_open(&rig);
    for (int i = 0; i < 3; i++) {
        client_say(c, "GET /wait/1?a=%20" HEAD "\r\n");
        assert_int_equal(client_answer(c, &body, NULL), 201);
        assert_non_null(strstr(body, "/wait/1|a=%20|"));
        client_say(c, "POST /both/2?b" HEAD "Content-Length: 3\r\n\r\nabc");
        assert_int_equal(client_answer(c, &body, NULL), 201);
        assert_non_null(strstr(body, "/both/2|b|abc"));
        client_say(c, "GET /move/x" HEAD "\r\n");
        assert_int_equal(client_answer(c, &body, NULL), 200);
        assert_non_null(strstr(body, "id=x"));
    }
    client_close(c);
}

static void errors_come_later(void **state)
{
    const char *body;
    (void)state;
    struct client *c = client_open(&rig);
    client_say(c, "GET /vain" HEAD "\r\n");
    assert_int_equal(client_answer(c, &body, NULL), 422);
    assert_non_null(strstr(body, "\"errors\":[{\"pointer\":\"/a\"}]}"));
    client_say(c, "GET /not" HEAD "\r\n");
    assert_int_equal(client_answer(c, &body, NULL), 503);
    client_say(c, "GET /hello" HEAD "\r\n");
    assert_int_equal(client_answer(c, &body, NULL), 200);
    assert_null(strstr(body, "errors"));
    client_close(c);
}

static void the_next_request_waits(void **state)
{
    (void)state;
    struct client *c = client_open(&rig);
    client_say(c, "GET /wait/1" HEAD "\r\nPOST /wait/2" HEAD "Content-Length: 2\r\n\r\nhiGET "
                  "/both/3" HEAD "\r\nGET /move/4" HEAD "\r\nGET /hello" HEAD
                  "Connection: close\r\n\r\n");
    client_read_all(c);
    const char *at = c->data;
    const char *const wanted[] = {"/wait/1||", "/wait/2||hi", "/both/3||", "id=4", "hello"};
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        at = strstr(at, wanted[i]);
        assert_non_null(at);
    }
    client_close(c);
}

/* What was asked for is done all the same, and told to nobody. */
static void clients_leave(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++) {
        struct client *c = client_open(&rig);
        client_say(c, i % 2 ? "GET /wait/1" HEAD "\r\n" : "GET /both/1" HEAD "\r\n");
        client_close(c);
    }
    struct client *c = client_open(&rig);
    while (errands_done < 20) {
        client_say(c, "GET /both/2" HEAD "\r\n");
        assert_int_equal(client_answer(c, NULL, NULL), 201);
        assert_true(errands_done < 100000);
    }
    client_close(c);
}

#define CASE(fn) cmocka_unit_test_setup_teardown(fn, start, stop)
int main(void)
{
    const struct CMUnitTest tests[] = {CASE(answers_come_later), CASE(errors_come_later),
                                       CASE(the_next_request_waits), CASE(clients_leave)};
    signal(SIGPIPE, SIG_IGN);
    log_setup(LOG_ERROR, LOG_TEXT, "/dev/null");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
