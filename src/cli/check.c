/* The verb check: everything wrong with an app, or with several of one host, in one run. */
#include "app/app.h"
#include "base/buf.h"
#include "base/json.h"
#include "cli/cli.h"
#include "api/api.h"
#include "edge/edge.h"
#include "files/files.h"
#include "jobs/jobs.h"
#include "manifest/manifest.h"

#include <unistd.h>

static int run(const struct args *args);

const struct verb verb_check = {
    .name = "check",
    .summary = "Check dais.yaml, .env and the files they name.",
    .usage = "[DIR|FILE...] [--stored [--data DIR]] [--json]",
    .help = "Every problem is one line, FILE:LINE:COLUMN: what is wrong; what would be right.\n"
            "The exit code is 0 without errors, 1 with. Warnings and notes are not errors.\n"
            "With --stored, stored documents are read instead, beside a server or without one:\n"
            "those that dais.yaml would not take now are listed with collection, id and place, at\n"
            "most 100 of each collection, and the exit code is 10.\n",
    .run = run,
    .flags = {{"--stored", NULL, "Check stored documents against the manifest.", 0},
              {"--data", "DIR", "Where data is, as for `dais serve`.", 0},
              {"--json", NULL, "Print the result as JSON.", 0}},
    .max_words = 200,
};

static void write_problem(struct json_writer *w, const struct problem *it)
{
    static const char *const kinds[] = {"error", "warning", "note"};
    json_write_object(w);
    json_write_key(w, SLICE("kind"));
    json_write_cstr(w, kinds[it->kind]);
    json_write_key(w, SLICE("file"));
    json_write_str(w, it->file);
    json_write_key(w, SLICE("line"));
    json_write_u64(w, it->pos.line);
    json_write_key(w, SLICE("col"));
    json_write_u64(w, it->pos.col);
    json_write_key(w, SLICE("text"));
    json_write_str(w, it->text);
    json_write_object_end(w);
}

static void write_result(struct json_writer *w, const struct site *site, const struct problems *p)
{
    json_write_object(w);
    json_write_key(w, SLICE("ok"));
    json_write_bool(w, p->n_errors == 0);
    json_write_key(w, SLICE("errors"));
    json_write_u64(w, p->n_errors);
    json_write_key(w, SLICE("apps"));
    json_write_array(w);
    for (size_t i = 0; i < site->n_apps; i++) {
        json_write_object(w);
        json_write_key(w, SLICE("app"));
        json_write_str(w, site->apps[i]->slug.s);
        json_write_key(w, SLICE("file"));
        json_write_str(w, site->apps[i]->file);
        json_write_object_end(w);
    }
    json_write_array_end(w);
    json_write_key(w, SLICE("problems"));
    json_write_array(w);
    for (size_t i = 0; i < p->n; i++)
        write_problem(w, &p->items[i]);
    json_write_array_end(w);
    json_write_key(w, SLICE("more")); /* problems that are only counted */
    json_write_u64(w, p->n_dropped);
    json_write_object_end(w);
}

static void print_json(const struct site *site, const struct problems *p)
{
    struct buf out;
    struct json_writer w;
    buf_init(&out, 16u << 20);
    json_writer_init(&w, &out, 0);
    write_result(&w, site, p);
    json_writer_done(&w);
    printf("%s\n", out.data);
    buf_done(&out);
}

static void print_text(const struct site *site, const struct problems *p)
{
    struct buf out;
    buf_init(&out, 4u << 20);
    problems_print(p, &out);
    if (out.len)
        fwrite(out.data, 1, out.len, stdout);
    buf_done(&out);
    if (p->n_errors) {
        printf("%s%zu error%s%s\n", cli_style(stdout, STYLE_RED), p->n_errors,
               p->n_errors == 1 ? "" : "s", cli_style(stdout, STYLE_OFF));
        return;
    }
    printf("%sok%s", cli_style(stdout, STYLE_GREEN), cli_style(stdout, STYLE_OFF));
    for (size_t i = 0; i < site->n_apps; i++)
        printf("%s %.*s", i ? "," : "", SLICE_ARGS(site->apps[i]->slug.s));
    printf("\n");
}

/* Schemas, rules and the like, compiled as a server does. */
static void check_parts(const struct manifest *m, struct problems *p)
{
    struct docs *docs = api_read(m, p);
    if (docs)
        docs_check_seeds(docs, p);
    docs_free(docs);
    files_free(m->files.n ? files_new(m, p) : NULL);
    jobs_free(m->jobs.n ? jobs_new(m, p) : NULL);
}

static int run(const struct args *args)
{
    struct arena a;
    struct problems problems;
    struct settings settings;
    if (args_has(args, "--stored"))
        return app_check_stored(&(struct app_options){.dirs = args->words,
                                                      .n_dirs = args->n_words,
                                                      .data = args_flag(args, "--data")},
                                args_has(args, "--json"));
    arena_init(&a, (size_t)4 << 30);
    problems_init(&problems, &a);
    struct site *site = site_load(&a, args->words, args->n_words, &problems);
    const struct settings_sources from = {.dir = site->dir.ptr,
                                          .environ_ = (const char *const *)environ};
    settings_load(&a, &from, &problems, &settings);
    app_settings_finish(&settings, site, false, &problems);
    for (size_t i = 0; i < site->n_apps; i++) {
        struct secrets secrets;
        secrets_load(&settings, site->apps[i], &problems, &secrets);
        secrets_check(&settings, site->apps[i], &secrets, &problems);
        check_parts(site->apps[i], &problems);
        jobs_check(site->apps[i], &a, &problems);
        prepare_check(site->apps[i], settings_data_dir(&settings, site), &problems);
    }
    mail_check(site, &settings, &problems);
    redis_check(&settings, &problems);
    storage_check(site, &settings, &problems);
    private_check(site, settings_data_dir(&settings, site), &a, &problems);
    problems_sort(&problems);
    if (args_has(args, "--json"))
        print_json(site, &problems);
    else
        print_text(site, &problems);
    bool failed = problems_has_errors(&problems);
    arena_done(&a);
    return failed ? err_exit(ERR_MANIFEST) : 0;
}
