/* The calls for jobs (contract 3.5): one for each type, with the schema of its input, and those for
 * a job whatever its type. */
#include "describe/describe_impl.h"

#define TEXT   "{\"type\":\"string\"}"
#define NUMBER "{\"type\":\"integer\"}"
#define TIME   "{\"type\":[\"string\",\"null\"],\"format\":\"date-time\"}"
#define STATES "[\"queued\",\"running\",\"succeeded\",\"failed\",\"cancelled\"]"

/* ---- shapes -------------------------------------------------------------------------------------
 */

static const char job_shape[] =
    "{\"type\":\"object\",\"description\":\"A job: slow work, its progress and its result.\","
    "\"required\":[\"id\",\"type\",\"owner\",\"state\",\"progress\",\"message\",\"attempt\","
    "\"priority\",\"error\",\"cached\",\"created\",\"due\",\"started\",\"ended\",\"run_ms\"],"
    "\"properties\":{\"id\":" TEXT ",\"type\":" TEXT ",\"owner\":{\"type\":\"string\","
    "\"description\":\"Whoever it is for; empty: the app itself.\"},\"state\":{\"enum\":" STATES
    "},\"progress\":{\"type\":[\"number\",\"null\"],\"minimum\":0,\"maximum\":1},\"message\":" TEXT
    ",\"attempt\":" NUMBER ",\"priority\":" NUMBER ",\"input\":{\"description\":\"Not in lists."
    "\"},\"result\":{\"description\":\"Not in lists; null until it succeeded.\"},\"error\":{"
    "\"type\":[\"object\",\"null\"],\"required\":[\"code\",\"message\"],\"properties\":{\"code\":"
    "{\"type\":\"string\",\"description\":\"Stable; what programs should look "
    "at.\"},\"message\":" TEXT
    "}},\"cached\":{\"type\":\"boolean\",\"description\":\"An earlier result was used.\"},"
    "\"created\":{\"type\":\"string\",\"format\":\"date-time\"},\"due\":" TIME ",\"started\":" TIME
    ",\"ended\":" TIME ",\"run_ms\":" NUMBER "}}";

bool jobs_compile(struct bundle *b, struct err *e)
{
    const struct manifest *m = b->src->manifest;
    b->jobs = arena_zalloc(b->a, (m->jobs.n + 1) * sizeof *b->jobs);
    for (size_t i = 0; i < m->jobs.n; i++) {
        struct described_job *j = &b->jobs[b->n_jobs++];
        j->conf = &m->jobs.items[i];
        j->name =
            bundle_name(b, arena_printf(b->a, "%.*sJob", SLICE_ARGS(camel(b->a, j->conf->name.s))));
        if (!j->conf->input.s.len)
            continue;
        const struct schema *s = schema_compile(b->a, j->conf->input.s, b->src->schemas, e);
        if (!s)
            return false;
        j->input =
            bundle_top(b, bundle_name(b, arena_printf(b->a, "%.*sInput", SLICE_ARGS(j->name))), s);
    }
    return true;
}

void jobs_parts(struct bundle *b)
{
    if (b->n_jobs)
        b->job = bundle_add(b, SLICE("Job"), slice_from(job_shape));
}

/* ---- calls --------------------------------------------------------------------------------------
 */

#define ALWAYS "400 401 403 429 500 503"

enum gives { GIVES_NOTHING, GIVES_JOB, GIVES_PAGE, GIVES_EVENTS, GIVES_TEXT, GIVES_USAGE };

static const struct job_call {
    const char *path, *method, *id, *summary;
    const char *parameters; /* JSON, without the id */
    const char *body;
    const char *status, *also;
    enum gives gives;
    const char *errors;
} calls[] = {
    {"jobs", "get", "listJobs", "Jobs that the caller may see, newest first.",
     "{\"name\":\"state\",\"in\":\"query\",\"schema\":{\"enum\":" STATES "}},"
     "{\"name\":\"type\",\"in\":\"query\",\"schema\":" TEXT "},"
     "{\"$ref\":\"#/components/parameters/Limit\"},{\"$ref\":\"#/components/parameters/After\"}",
     NULL, "200", NULL, GIVES_PAGE, ALWAYS},
    {"jobs/{id}", "get", "getJob", "One job: its state, its progress, its result.", NULL, NULL,
     "200", NULL, GIVES_JOB, ALWAYS " 404"},
    {"jobs/{id}/events", "get", "watchJob",
     "What happens to a job, as server-sent events: state, progress, log, gap.",
     "{\"name\":\"Last-Event-ID\",\"in\":\"header\",\"description\":\"The last event that was "
     "heard; what came since follows.\",\"schema\":" TEXT "},{\"name\":\"after\",\"in\":\"query\","
     "\"description\":\"The same, where no header can be set.\",\"schema\":" TEXT "}",
     NULL, "200", "204", GIVES_EVENTS, ALWAYS " 404"},
    {"jobs/{id}/log", "get", "getJobLog", "What a job has logged.", NULL, NULL, "200", NULL,
     GIVES_TEXT, ALWAYS " 404"},
    {"jobs/{id}/cancel", "post", "cancelJob",
     "End it; 202 while its program is being ended, 200 when it is over.",
     "{\"$ref\":\"#/components/parameters/IdempotencyKey\"}", NULL, "200", "202", GIVES_JOB,
     ALWAYS " 404"},
    {"jobs/{id}/retry", "post", "retryJob", "Queue one again that failed or was cancelled.",
     "{\"$ref\":\"#/components/parameters/IdempotencyKey\"}", NULL, "202", NULL, GIVES_JOB,
     ALWAYS " 404 409"},
    {"jobs/{id}/charge", "post", "chargeJob",
     "What a running job says it costs, instead of its time; with its own token only.", NULL,
     "{\"type\":\"object\",\"required\":[\"minutes\"],\"properties\":{\"minutes\":{\"type\":"
     "\"number\",\"minimum\":0}}}",
     "204", NULL, GIVES_NOTHING, ALWAYS " 404 413 415 422"},
    {"usage", "get", "getUsage", "What the caller uses, and how much is left.", NULL, NULL, "200",
     NULL, GIVES_USAGE, ALWAYS " 404"},
};
#define N_CALLS (sizeof calls / sizeof *calls)

static void write_answer(struct openapi *o, const char *status, const char *about, const char *type,
                         struct slice schema)
{
    struct json_writer *w = o->w;
    json_write_key(w, slice_from(status));
    json_write_object(w);
    put_cstr(w, "description", about);
    if (type) {
        json_write_key(w, SLICE("content"));
        json_write_raw(
            w, arena_printf(o->b->a, "{\"%s\":{\"schema\":%.*s}}", type, SLICE_ARGS(schema)));
    }
    json_write_object_end(w);
}

static struct slice job_reference(struct openapi *o)
{
    return arena_printf(o->b->a, "{\"$ref\":\"#/components/schemas/%.*s\"}",
                        SLICE_ARGS(o->b->job->name));
}

static void write_success(struct openapi *o, enum gives gives, const char *status)
{
    struct slice job = job_reference(o);
    switch (gives) {
    case GIVES_JOB:
        write_answer(o, status, "The job.", "application/json", job);
        return;
    case GIVES_PAGE:
        write_answer(o, status, "A page of jobs.", "application/json",
                     arena_printf(o->b->a,
                                  "{\"type\":\"object\",\"required\":[\"items\",\"next\"],"
                                  "\"properties\":{\"items\":{\"type\":\"array\",\"items\":%.*s},"
                                  "\"next\":{\"type\":[\"string\",\"null\"]}}}",
                                  SLICE_ARGS(job)));
        return;
    case GIVES_EVENTS:
        if (slice_is(slice_from(status), "204"))
            write_answer(o, status, "It is over, and all of it was heard.", NULL, SLICE(""));
        else
            write_answer(o, status, "The events, until the job is over.", "text/event-stream",
                         SLICE(TEXT));
        return;
    case GIVES_TEXT:
        write_answer(o, status, "The log.", "text/plain", SLICE(TEXT));
        return;
    case GIVES_USAGE:
        write_answer(o, status, "By kind, and by name.", "application/json",
                     SLICE("{\"type\":\"object\",\"properties\":{\"files\":{\"type\":\"object\"},"
                           "\"jobs\":{\"type\":\"object\"}}}"));
        return;
    default:
        write_answer(o, status, "Done.", NULL, SLICE(""));
    }
}

static void begin_call(struct openapi *o, const char *method, struct slice id, struct slice summary)
{
    struct json_writer *w = o->w;
    json_write_key(w, slice_from(method));
    json_write_object(w);
    put_str(w, "operationId", id);
    put_str(w, "summary", summary);
    json_write_key(w, SLICE("tags"));
    json_write_raw(w, SLICE("[\"jobs\"]"));
}

static void write_parameters(struct openapi *o, const char *list)
{
    json_write_key(o->w, SLICE("parameters"));
    json_write_raw(o->w, arena_printf(o->b->a, "[%s]", list));
}

static void write_body(struct openapi *o, bool is_required, struct slice schema)
{
    json_write_key(o->w, SLICE("requestBody"));
    json_write_raw(o->w, arena_printf(o->b->a,
                                      "{\"required\":%s,\"content\":{\"application/json\":{"
                                      "\"schema\":%.*s}}}",
                                      is_required ? "true" : "false", SLICE_ARGS(schema)));
}

static void write_call(struct openapi *o, const struct job_call *call)
{
    begin_call(o, call->method, slice_from(call->id), slice_from(call->summary));
    if (call->parameters)
        write_parameters(o, call->parameters);
    if (call->body)
        write_body(o, true, slice_from(call->body));
    json_write_key(o->w, SLICE("responses"));
    json_write_object(o->w);
    write_success(o, call->gives, call->status);
    if (call->also)
        write_success(o, call->gives, call->also);
    put_errors(o, call->errors);
    json_write_object_end(o->w);
    json_write_object_end(o->w);
}

static const char run_parameters[] =
    "{\"name\":\"after\",\"in\":\"query\",\"description\":\"Ids of jobs, separated by commas, that "
    "have to succeed before.\",\"schema\":" TEXT "},{\"name\":\"delay\",\"in\":\"query\","
    "\"description\":\"How long it waits at least: 10m.\",\"schema\":" TEXT "},{\"name\":\"at\","
    "\"in\":\"query\",\"description\":\"When it may begin.\",\"schema\":{\"type\":\"string\","
    "\"format\":\"date-time\"}},{\"name\":\"priority\",\"in\":\"query\",\"description\":\"Higher "
    "goes first.\",\"schema\":{\"type\":\"integer\",\"minimum\":-100,\"maximum\":100,\"default\":"
    "0}},{\"$ref\":\"#/components/parameters/IdempotencyKey\"}";

static void write_run(struct openapi *o, const struct described_job *j)
{
    struct arena *a = o->b->a;
    json_write_key(o->w, arena_printf(a, "%.*sjobs/%.*s", SLICE_ARGS(o->m->api.s),
                                      SLICE_ARGS(j->conf->name.s)));
    json_write_object(o->w);
    begin_call(o, "post", arena_printf(a, "run%.*s", SLICE_ARGS(j->name)),
               arena_printf(a, "Queue a job of the type %.*s.", SLICE_ARGS(j->conf->name.s)));
    write_parameters(o, run_parameters);
    write_body(o, j->input != NULL,
               j->input ? arena_printf(a, "{\"$ref\":\"#/components/schemas/%.*s\"}",
                                       SLICE_ARGS(j->input->name))
                        : SLICE("{}"));
    json_write_key(o->w, SLICE("responses"));
    json_write_object(o->w);
    write_answer(o, "202", "It is queued; or, of one whose result is known, over.",
                 "application/json", job_reference(o));
    put_errors(o, ALWAYS " 404 409 413 415 422");
    json_write_object_end(o->w);
    json_write_object_end(o->w);
    json_write_object_end(o->w);
}

void jobs_paths(struct openapi *o)
{
    struct json_writer *w = o->w;
    for (size_t i = 0; i < o->b->n_jobs; i++)
        write_run(o, &o->b->jobs[i]);
    for (size_t i = 0; o->b->n_jobs && i < N_CALLS; i++) {
        json_write_key(w, arena_printf(o->b->a, "%.*s%s", SLICE_ARGS(o->m->api.s), calls[i].path));
        json_write_object(w);
        if (slice_search(slice_from(calls[i].path), SLICE("{id}")) >= 0)
            write_parameters(
                o, "{\"name\":\"id\",\"in\":\"path\",\"required\":true,\"schema\":" TEXT "}");
        write_call(o, &calls[i]);
        json_write_object_end(w);
    }
}
