/* Are the system's packages there that a backend needs? Asked where dpkg is; a command of that name
 * counts as well, as it may have come another way. */
#include "edge/prepare_impl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define QUERY_MS   20000
#define ANSWER_MAX (1u << 20)

bool packages_has(struct slice answer, struct slice name)
{
    struct slice line;
    while (slice_cut(&answer, '\n', &line)) {
        struct slice status;
        if (slice_cut(&line, ' ', &status) && slice_is(status, "installed") && slice_eq(line, name))
            return true;
    }
    return false;
}

static const char *search_path(void)
{
    const char *path = getenv("PATH");
    return path && *path ? path : "/usr/local/bin:/usr/bin:/bin";
}

static bool is_command(struct slice name)
{
    struct slice rest = slice_from(search_path()), folder;
    char path[4096];
    while (slice_cut(&rest, ':', &folder)) {
        int n = snprintf(path, sizeof path, "%.*s/%.*s", SLICE_ARGS(folder), SLICE_ARGS(name));
        if (folder.len && n > 0 && (size_t)n < sizeof path && access(path, X_OK) == 0)
            return true;
    }
    return false;
}

/* False when nobody can say: no dpkg, or one that is broken. */
static bool ask_dpkg(struct spawner *s, const struct texts *names, struct buf *answer)
{
    static const char format[] = "-f=${db:Status-Status} ${Package}\n";
    struct process_event ended;
    struct err e;
    struct arena a;
    size_t n = 0;
    arena_init(&a, 4u << 20);
    const char *env[] = {arena_printf(&a, "PATH=%s", search_path()).ptr, "LC_ALL=C", NULL};
    const char **argv = arena_alloc(&a, (names->n + 5) * sizeof *argv);
    argv[n++] = "dpkg-query";
    argv[n++] = "-W";
    argv[n++] = format;
    argv[n++] = "--";
    for (size_t i = 0; i < names->n; i++)
        argv[n++] = arena_cstr(&a, names->items[i].s);
    argv[n] = NULL;
    const struct process_opts o = {
        .argv = argv, .env = env, .out.kind = STDIO_PIPE, .wall_ms = QUERY_MS};
    bool fine = process_run(s, &o, answer, NULL, &ended, &e);
    arena_done(&a);
    return fine && (ended.exit_code == 0 || ended.exit_code == 1); /* 1: some are unknown */
}

enum packages packages_look(struct spawner *s, const struct texts *names, struct buf *missing)
{
    struct buf answer;
    buf_init(&answer, ANSWER_MAX);
    bool knows = names->n && ask_dpkg(s, names, &answer);
    for (size_t i = 0; i < names->n; i++) {
        struct slice name = names->items[i].s;
        if (is_command(name) || (knows && packages_has(buf_slice(&answer), name)))
            continue;
        if (missing->len)
            buf_add_char(missing, ' ');
        buf_add(missing, name);
    }
    buf_done(&answer);
    return !missing->len ? PACKAGES_THERE : knows ? PACKAGES_MISSING : PACKAGES_UNKNOWN;
}
