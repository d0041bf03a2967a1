/* How `dais user`, `dais key` and `dais job` ask for what they do: over the control socket, or
 * without a server. */
#include "cli/accounts_impl.h"

#include <string.h>

#define ANSWER_MAX (32u << 20)
#define BODY_MAX   (2u << 20)

static void begin(struct request *r)
{
    const char *app = args_flag(r->args, "--app");
    json_writer_init(&r->w, &r->body, 0);
    json_write_object(&r->w);
    request_str(r, "app", app);
    if (r->args->verb != &verb_job && args_has(r->args, "--operator")) {
        json_write_key(&r->w, SLICE("operator"));
        json_write_bool(&r->w, true);
    }
}

void request_init(struct request *r, const struct args *args, size_t first_dir)
{
    *r = (struct request){.args = args};
    size_t n = args->n_words < first_dir ? args->n_words : first_dir;
    r->options = (struct app_options){
        .dirs = args->words + n, .n_dirs = args->n_words - n, .data = args_flag(args, "--data")};
    arena_init(&r->arena, (size_t)1 << 30);
    buf_init(&r->body, BODY_MAX);
    buf_init(&r->answer, ANSWER_MAX);
    begin(r);
}

static void wipe(struct buf *b)
{
    if (b->len)
        explicit_bzero(b->data, b->len);
    buf_done(b);
}

void request_again(struct request *r)
{
    wipe(&r->body);
    wipe(&r->answer);
    buf_init(&r->body, BODY_MAX);
    buf_init(&r->answer, ANSWER_MAX);
    begin(r);
}

void request_done(struct request *r)
{
    wipe(&r->body);
    wipe(&r->answer);
    arena_done(&r->arena);
}

void request_str(struct request *r, const char *key, const char *value)
{
    if (!value)
        return;
    json_write_key(&r->w, slice_from(key));
    json_write_cstr(&r->w, value);
}

void request_words(struct request *r, const char *key, const char *value)
{
    struct slice rest = slice_from(value), word;
    if (!value)
        return;
    json_write_key(&r->w, slice_from(key));
    json_write_array(&r->w);
    while (slice_cut(&rest, ',', &word)) {
        if (slice_trim(word).len)
            json_write_str(&r->w, slice_trim(word));
    }
    json_write_array_end(&r->w);
}

/* ---- asking ---------------------------------------------------------------------------------- */

/* Where nobody listens the command is done here, with the lock that a server would have. One that
 * starts or ends just now is told of as that. */
static bool ask(struct request *r, const char *command, struct slice *ret_text, struct err *e)
{
    char target[64];
    bool is_there = false;
    r->is_unserved = false;
    bool is_job = slice_starts(slice_from(command), SLICE("job."));
    snprintf(target, sizeof target, "/%s/%s", is_job ? "jobs" : "accounts", command);
    if (cli_ask(&r->options, "POST", target, buf_slice(&r->body), &r->answer, ret_text, &is_there,
                e))
        return true;
    if (is_there || r->needs_server || e->code != ERR_UNREACHABLE)
        return false;
    r->is_unserved = true;
    buf_clear(&r->answer);
    bool fine = app_command(&r->options, slice_from(command), buf_slice(&r->body), &r->arena,
                            &r->answer, e);
    *ret_text = buf_slice(&r->answer);
    return fine;
}

bool request_send(struct request *r, const char *command, struct err *e)
{
    struct slice text = {0};
    json_write_object_end(&r->w);
    if (r->body.full)
        return err_set(e, ERR_USAGE, "that is too long");
    return ask(r, command, &text, e) && json_parse(&r->doc, &r->arena, text, NULL, e);
}

const struct json *request_found(const struct request *r, const char *key)
{
    return json_find(json_root(&r->doc), slice_from(key));
}

static void print(const struct json *value, const char *key)
{
    struct json_writer w;
    struct buf out;
    buf_init(&out, ANSWER_MAX);
    json_writer_init(&w, &out, 0);
    if (key) {
        json_write_object(&w);
        json_write_key(&w, slice_from(key));
    }
    json_write_value(&w, value);
    if (key)
        json_write_object_end(&w);
    printf("%.*s\n", SLICE_ARGS(buf_slice(&out)));
    wipe(&out);
}

bool request_print_json(struct request *r)
{
    if (!args_has(r->args, "--json"))
        return false;
    print(json_root(&r->doc), NULL);
    return true;
}

void request_print_members(struct request *r, const char *key)
{
    print(request_found(r, key), key);
}
