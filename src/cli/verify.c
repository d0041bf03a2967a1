/* The verb verify: is all that is stored what was stored? */
#include "base/json.h"
#include "cli/ask_impl.h"

#include <stdio.h>
#include <string.h>

#define KEYS_AT_ONCE 200
#define ANSWER_MAX   (1u << 20)

static int run(const struct args *args);

const struct verb verb_verify = {
    .name = "verify",
    .summary = "Read all that is stored again: documents, rows and the bytes of files.",
    .usage = "[DIR...] [--dry-run] [--data DIR] [--json]",
    .help =
        "Beside a server or without one. The bytes of every file are hashed again and compared\n"
        "with what was stored, the database's own structure is checked, and documents as by\n"
        "`dais check --stored`. A line for each damaged, missing or unreadable file, with its\n"
        "bucket and path; the exit code is 10 when there are any. Bytes that are damaged are set\n"
        "aside, so that nobody is sent them (GET answers 500 `damaged`), and the event\n"
        "data.damaged is written; sums of quotas that are wrong are added up anew. With --dry-run\n"
        "nothing is changed. Sending the same content again mends a file. In an object store all\n"
        "bytes are downloaded for this.\n",
    .run = run,
    .flags = {{"--dry-run", NULL, "Only tell: set nothing aside, mend nothing.", 0},
              {"--data", "DIR", "Where data is, as for `dais serve`.", 0},
              {"--json", NULL, "Print the result as JSON.", 0}},
    .max_words = APP_DIRS_MAX,
};

struct telling {
    struct app_options options;
    bool is_json;
    uint64_t set_aside, mended;
};

/* keys NULL: it is about none. */
static void write_body(struct buf *to, struct slice app, const struct slice *keys, size_t n)
{
    struct json_writer w;
    json_writer_init(&w, to, 0);
    json_write_object(&w);
    json_write_key(&w, SLICE("app"));
    json_write_str(&w, app);
    if (keys) {
        json_write_key(&w, SLICE("blobs"));
        json_write_array(&w);
        for (size_t i = 0; i < n; i++)
            json_write_str(&w, keys[i]);
        json_write_array_end(&w);
    }
    json_write_object_end(&w);
}

/* By the server that keeps them, or here where none runs. */
static bool ask(const struct telling *t, const char *command, struct slice body, struct arena *a,
                struct buf *answer, struct slice *ret_text, struct err *e)
{
    bool is_there = false;
    char path[64];
    snprintf(path, sizeof path, "/files/%s", command);
    if (cli_ask(&t->options, "POST", path, body, answer, ret_text, &is_there, e))
        return true;
    if (is_there || e->code != ERR_UNREACHABLE)
        return false;
    buf_clear(answer);
    bool fine = app_command(&t->options, slice_from(command), body, a, answer, e);
    *ret_text = buf_slice(answer);
    return fine;
}

static uint64_t count_of(const struct json_doc *doc, const char *key)
{
    uint64_t n = 0;
    return json_u64(json_find(json_root(doc), slice_from(key)), &n) ? n : 0;
}

static bool recheck_some(struct telling *t, struct slice app, const struct slice *keys, size_t n,
                         struct err *e)
{
    struct buf body, answer;
    struct arena a;
    struct json_doc doc;
    struct slice text;
    arena_init(&a, 16u << 20);
    buf_init(&body, 64u << 10);
    buf_init(&answer, ANSWER_MAX);
    write_body(&body, app, keys, n);
    bool fine = ask(t, "files.recheck", buf_slice(&body), &a, &answer, &text, e) &&
                json_parse(&doc, &a, text, NULL, e);
    if (fine) {
        t->set_aside += count_of(&doc, "set_aside");
        t->mended += count_of(&doc, "mended");
    } else {
        err_prefix(e, "while damaged files were to be set aside");
    }
    buf_done(&answer);
    buf_done(&body);
    arena_done(&a);
    return fine;
}

static bool recheck(void *user, struct slice app, const struct slice *keys, size_t n, struct err *e)
{
    struct telling *t = user;
    t->set_aside = t->mended = 0;
    for (size_t i = 0; i < n; i += KEYS_AT_ONCE) {
        if (!recheck_some(t, app, keys + i, n - i < KEYS_AT_ONCE ? n - i : KEYS_AT_ONCE, e))
            return false;
    }
    if (!t->is_json && t->set_aside)
        printf("%.*s: %llu set aside; nobody is sent %s\n", SLICE_ARGS(app),
               (unsigned long long)t->set_aside, t->set_aside == 1 ? "it" : "them");
    if (!t->is_json && t->mended)
        printf("%.*s: %llu fine again, and sent again\n", SLICE_ARGS(app),
               (unsigned long long)t->mended);
    return true;
}

static bool recount(void *user, struct slice app, struct err *e)
{
    struct telling *t = user;
    struct buf body, answer;
    struct arena a;
    struct slice text;
    arena_init(&a, 1u << 20);
    buf_init(&body, 64u << 10);
    buf_init(&answer, ANSWER_MAX);
    write_body(&body, app, NULL, 0);
    bool fine = ask(t, "files.recount", buf_slice(&body), &a, &answer, &text, e) ||
                err_prefix(e, "while the sums of quotas were to be added up");
    buf_done(&answer);
    buf_done(&body);
    arena_done(&a);
    if (fine && !t->is_json)
        printf("%.*s: the sums of quotas were added up anew\n", SLICE_ARGS(app));
    return fine;
}

static int run(const struct args *args)
{
    bool mends = !args_has(args, "--dry-run");
    struct telling t = {.options = {.dirs = args->words,
                                    .n_dirs = args->n_words,
                                    .data = args_flag(args, "--data")},
                        .is_json = args_has(args, "--json")};
    return app_verify(&t.options, &(struct app_verify){
                                      .is_json = t.is_json,
                                      .recheck = mends ? recheck : NULL,
                                      .recount = mends ? recount : NULL,
                                      .user = &t,
                                  });
}
