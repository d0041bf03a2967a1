/* Building the web sides of apps with their own build commands. */
#include "app/app_impl.h"

#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* The environment with DAIS_BASE in it. */
static char **with_base(struct arena *a, struct slice mount)
{
    size_t n = 0, out = 0;
    while (environ[n])
        n++;
    char **env = arena_alloc(a, (n + 2) * sizeof *env);
    for (size_t i = 0; i < n; i++) {
        if (!slice_starts(slice_from(environ[i]), SLICE("DAIS_BASE=")))
            env[out++] = environ[i];
    }
    env[out++] = (char *)(uintptr_t)arena_printf(a, "DAIS_BASE=%.*s/", SLICE_ARGS(mount)).ptr;
    env[out] = NULL;
    return env;
}

static bool run_shell(const char *command, const char *dir, char **env, int *ret_status,
                      struct err *e)
{
    char *const argv[] = {(char *)(uintptr_t) "sh", (char *)(uintptr_t) "-c",
                          (char *)(uintptr_t)command, NULL};
    posix_spawn_file_actions_t actions;
    pid_t pid = 0;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addchdir_np(&actions, dir);
    errno = posix_spawn(&pid, "/bin/sh", &actions, NULL, argv, env);
    posix_spawn_file_actions_destroy(&actions);
    if (errno != 0)
        return err_set_sys(e, ERR_BUILD, "starting the build in %s failed", dir);
    while (waitpid(pid, ret_status, 0) < 0) {
        if (errno != EINTR)
            return err_set_sys(e, ERR_BUILD, "waiting for the build in %s failed", dir);
    }
    return true;
}

bool app_has_root(const struct app *app, struct arena *a)
{
    struct stat st;
    const char *path = arena_printf(a, "%.*s/%.*s", SLICE_ARGS(app->manifest->dir),
                                    SLICE_ARGS(app->manifest->web.root.s))
                           .ptr;
    return stat(path, &st) == 0;
}

static bool build_one(struct host *h, const struct app *app, struct err *e)
{
    const char *dir = app->manifest->dir.len ? arena_cstr(&h->arena, app->manifest->dir) : ".";
    const char *command = arena_cstr(&h->arena, app->manifest->web.build.s);
    int status = 0;
    printf("building %.*s: %s\n", SLICE_ARGS(app->manifest->slug.s), command);
    fflush(stdout);
    if (!run_shell(command, dir, with_base(&h->arena, app->mount), &status, e))
        return false;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return true;
    return err_set(e, ERR_BUILD,
                   "the build of %.*s failed (%s %d); its output above says why. The command: %s",
                   SLICE_ARGS(app->manifest->slug.s), WIFSIGNALED(status) ? "signal" : "exit code",
                   WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status), command);
}

bool app_build(const struct app_options *options, bool only_missing, struct err *e)
{
    struct host *h = host_read(options);
    if (!h)
        return err_set(e, ERR_MANIFEST, "the manifests have errors; nothing was built");
    bool fine = true;
    for (size_t i = 0; fine && i < h->n_apps; i++) {
        const struct app *app = &h->apps[i];
        if (!app->manifest->web.build.s.len && !only_missing)
            printf("%.*s has no web.build: nothing to build\n", SLICE_ARGS(app->manifest->slug.s));
        else if (app->manifest->web.build.s.len && !(only_missing && app->is_built))
            fine = build_one(h, app, e);
    }
    service_unref(&h->service);
    return fine;
}
