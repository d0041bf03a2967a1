/* What can be wrong with the jobs of a manifest that only whoever runs them knows: what tasks are
 * given in `with`, and programs that the user of jobs cannot reach. */
#include "app/app_impl.h"

#include <pwd.h>
#include <stdlib.h>
#include <unistd.h>

/* A program is given as little as can be: started by root, it runs as somebody who owns nothing. */
bool jobs_user(uid_t *ret_uid, gid_t *ret_gid)
{
    *ret_uid = 0;
    *ret_gid = 0;
    if (geteuid() != 0)
        return false;
    struct passwd *who = getpwnam("dais-worker");
    if (!who)
        who = getpwnam("nobody");
    *ret_uid = who ? who->pw_uid : 65534;
    *ret_gid = who ? who->pw_gid : 65534;
    return true;
}

const char *jobs_program(const struct manifest *m, const struct job *conf, struct arena *a)
{
    const char *dir = arena_cstr(a, m->dir.len ? m->dir : SLICE("."));
    char *real = realpath(dir, NULL);
    const char *path = arena_printf(a, "%s/%.*s", real ? real : dir, SLICE_ARGS(conf->run.s)).ptr;
    free(real);
    return path;
}

/* A value that holds a setting is not looked at: it may come with the server. */
static void check_with(const struct manifest *m, const struct job *conf, struct arena *a,
                       struct problems *p)
{
    struct err e;
    const struct task *task = task_find(conf->use.s);
    struct pairs with = {.n = conf->with.n};
    if (!task || !task->check)
        return;
    with.items = arena_alloc(a, (with.n + 1) * sizeof *with.items);
    for (size_t i = 0; i < with.n; i++) {
        with.items[i] = conf->with.items[i];
        if (slice_index(with.items[i].value.s, '$') >= 0)
            with.items[i].value.s = SLICE("");
    }
    if (!task->check(&with, m, &e))
        problems_add(p, PROBLEM_ERROR, m->file, conf->use.pos, "%s", e.msg);
}

static void check_reach(const struct manifest *m, const struct job *conf, struct arena *a,
                        struct problems *p)
{
    uid_t uid;
    gid_t gid;
    if (!jobs_user(&uid, &gid))
        return;
    const char *path = jobs_program(m, conf, a);
    const char *folder = worker_barrier(a, path, uid, gid);
    const struct passwd *who = getpwuid(uid);
    const char *name = who ? who->pw_name : "nobody";
    if (folder)
        problems_add(p, PROBLEM_WARNING, m->file, conf->run.pos,
                     "jobs of a server that root starts run as %s, who cannot enter %s; chmod o+x "
                     "it, or keep the app elsewhere",
                     name, folder);
    else if (!worker_may_run(path, uid, gid))
        problems_add(p, PROBLEM_WARNING, m->file, conf->run.pos,
                     "jobs of a server that root starts run as %s, who may not read and execute "
                     "`%.*s`; chmod o+rx it",
                     name, SLICE_ARGS(conf->run.s));
}

void jobs_check(const struct manifest *m, struct arena *a, struct problems *p)
{
    for (size_t i = 0; i < m->jobs.n; i++) {
        const struct job *conf = &m->jobs.items[i];
        if (conf->use.s.len)
            check_with(m, conf, a, p);
        else if (conf->run.s.len)
            check_reach(m, conf, a, p);
    }
}
