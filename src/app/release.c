/* Making releases ready: the web sides, then the backends, for as often as they are started. */
#include "app/app_impl.h"

#include "loop/spawn.h"

#include <stdio.h>

static void say(struct slice line)
{
    printf("%.*s\n", SLICE_ARGS(line));
    fflush(stdout);
}

static bool release_one(struct host *h, const struct app *app, struct spawner *s, struct err *e)
{
    const struct manifest *m = app->manifest;
    struct pairs env = backend_environment(h, app, NULL);
    struct slice *hidden;
    struct seal_options o = {
        .m = m, .data_dir = h->data_dir, .env = &env, .spawner = s, .say = say};
    struct err why;
    o.n_hidden = backend_hidden(h, app, &hidden);
    o.hidden = hidden;
    if (environment_fits(&env, &why) && seal_make(&o, &why)) {
        printf("%.*s is ready; its data will be in %s\n", SLICE_ARGS(m->slug.s), h->data_dir);
        return true;
    }
    return err_set(e, why.code, "%.*s was not made ready: %s", SLICE_ARGS(m->slug.s), why.msg);
}

static bool release_all(struct host *h, struct spawner *s, struct err *e)
{
    bool fine = true;
    for (size_t i = 0; fine && i < h->n_apps; i++) {
        const struct manifest *m = h->apps[i].manifest;
        if (m->backend.run.s.len)
            fine = release_one(h, &h->apps[i], s, e);
        else
            printf("%.*s has no backend that dais runs: nothing to prepare\n",
                   SLICE_ARGS(m->slug.s));
    }
    return fine;
}

bool app_release(const struct app_options *options, struct err *e)
{
    struct spawner *s = spawner_open(e); /* before secrets are read */
    if (!s)
        return false;
    bool fine = options->no_web || app_build(options, false, e);
    struct host *h = fine ? host_read(options) : NULL;
    if (fine && !h)
        fine = err_set(e, ERR_MANIFEST, "the manifests have errors; nothing was prepared");
    if (fine)
        fine = release_all(h, s, e);
    if (h)
        service_unref(&h->service);
    spawner_close(s);
    return fine;
}
