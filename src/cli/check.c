/* The verb check: everything wrong with an app, or with several of one host, in one run. */
#include "base/buf.h"
#include "cli/cli.h"
#include "manifest/manifest.h"

#include <unistd.h>

static int run(const struct args *args);

const struct verb verb_check = {
    .name = "check",
    .summary = "Check dais.yaml, .env and the files they name.",
    .usage = "[DIR|FILE...] [--json]",
    .help = "Every problem is one line, FILE:LINE:COLUMN: what is wrong; what would be right.\n"
            "The exit code is 0 without errors, 1 with. Warnings and notes are not errors.\n",
    .run = run,
    .flags = {{"--json", NULL, "Print the result as JSON.", 0}},
    .max_words = 200,
};

static void print_json(const struct site *site, const struct problems *p)
{
    static const char *const kinds[] = {"error", "warning", "note"};
    printf("{\"ok\":%s,\"errors\":%zu,\"apps\":[", p->n_errors ? "false" : "true", p->n_errors);
    for (size_t i = 0; i < site->n_apps; i++) {
        printf("%s{\"app\":", i ? "," : "");
        cli_json_string(stdout, site->apps[i]->slug.s);
        printf(",\"file\":");
        cli_json_string(stdout, site->apps[i]->file);
        printf("}");
    }
    printf("],\"problems\":[");
    for (size_t i = 0; i < p->n; i++) {
        const struct problem *it = &p->items[i];
        printf("%s\n{\"kind\":\"%s\",\"file\":", i ? "," : "", kinds[it->kind]);
        cli_json_string(stdout, it->file);
        printf(",\"line\":%u,\"col\":%u,\"text\":", it->pos.line, it->pos.col);
        cli_json_string(stdout, it->text);
        printf("}");
    }
    printf("],\"more\":%zu}\n", p->n_dropped);
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

static int run(const struct args *args)
{
    struct arena a;
    struct problems problems;
    struct settings settings;
    arena_init(&a, (size_t)4 << 30);
    problems_init(&problems, &a);
    struct site *site = site_load(&a, args->words, args->n_words, &problems);
    const struct settings_sources from = {.dir = site->dir.ptr,
                                          .environ_ = (const char *const *)environ};
    settings_load(&a, &from, &problems, &settings);
    problems_sort(&problems);
    if (args_has(args, "--json"))
        print_json(site, &problems);
    else
        print_text(site, &problems);
    bool failed = problems_has_errors(&problems);
    arena_done(&a);
    return failed ? err_exit(ERR_MANIFEST) : 0;
}
