/* From the runner's fork to the command's exec: session, descriptors, limits, user, directory. */
#include "loop/spawn_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEFAULT_PATH "/usr/local/bin:/usr/bin:/bin"

/* The steps in their order; each returns false with errno. The directory is entered and the
 * command looked up with the rights it will have. */
struct exec_context {
    const struct run_request *rq;
    const int *fds;
    int report;
    pid_t runner;
};

static bool step_session(struct exec_context *c)
{
    (void)c;
    return setsid() >= 0;
}

static bool put(int from, int to)
{
    return from >= 0 && dup2(from, to) == to;
}

static bool put_stream(uint64_t kind, const int **fds, int to)
{
    if (kind == STDIO_STDOUT)
        return put(STDOUT_FILENO, to);
    if (kind != STDIO_NULL)
        return put(*(*fds)++, to); // NOLINT(clang-analyzer-core.CallAndMessage): one per stream
    int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    bool ok = put(fd, to);
    close(fd);
    return ok;
}

/* What was received is moved up first, so that no dup2 can overwrite one still needed. */
static bool step_stdio(struct exec_context *c)
{
    const struct run_spec *s = &c->rq->spec;
    int moved[WIRE_FDS_MAX], keep = 3 + (int)s->n_fds;
    size_t n = (s->in != STDIO_NULL) + (s->out != STDIO_NULL) +
               (s->err != STDIO_NULL && s->err != STDIO_STDOUT) + s->n_fds;
    for (size_t i = 0; i < n; i++)
        if ((moved[i] = fcntl(c->fds[i], F_DUPFD_CLOEXEC, 2 * WIRE_FDS_MAX)) < 0)
            return false;
    if ((c->report = fcntl(c->report, F_DUPFD_CLOEXEC, 2 * WIRE_FDS_MAX)) < 0)
        return false;
    const int *at = moved;
    if (!put_stream(s->in, &at, 0) || !put_stream(s->out, &at, 1) || !put_stream(s->err, &at, 2))
        return false;
    for (int fd = 3; fd < keep; fd++)
        if (!put(*at++, fd))
            return false;
    if (dup3(c->report, keep, O_CLOEXEC) != keep)
        return false;
    c->report = keep;
    process_close_from(keep + 1);
    return true;
}

static bool limit(int what, uint64_t soft, uint64_t hard)
{
    struct rlimit l = {.rlim_cur = soft, .rlim_max = hard};
    return setrlimit(what, &l) == 0;
}

static bool step_limits(struct exec_context *c)
{
    const struct run_spec *s = &c->rq->spec;
    umask((mode_t)s->umask);
    if (s->nice && setpriority(PRIO_PROCESS, 0, (int)s->nice) < 0)
        return false;
    return limit(RLIMIT_CORE, 0, 0) && (!s->cpu_s || limit(RLIMIT_CPU, s->cpu_s, s->cpu_s + 1)) &&
           (!s->open_files || limit(RLIMIT_NOFILE, s->open_files, s->open_files)) &&
           (!s->file_bytes || limit(RLIMIT_FSIZE, s->file_bytes, s->file_bytes)) &&
           (!s->address_space_bytes ||
            limit(RLIMIT_AS, s->address_space_bytes, s->address_space_bytes));
}

static bool step_identity(struct exec_context *c)
{
    const struct run_spec *s = &c->rq->spec;
    gid_t gid = (gid_t)s->gid;
    uid_t uid = (uid_t)s->uid;
    if (gid && getuid() == 0 && setgroups(1, &gid) < 0)
        return false;
    if ((gid && setresgid(gid, gid, gid) < 0) || (uid && setresuid(uid, uid, uid) < 0))
        return false;
    if (!s->may_gain_privileges && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return false;
    /* After the change of user, which clears it. The runner may have died before. */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
        return false;
    if (getppid() != c->runner)
        process_quit(1);
    return true;
}

static bool step_cwd(struct exec_context *c)
{
    return chdir(c->rq->cwd) == 0;
}

/* ---- exec --------------------------------------------------------------------------------- */

static const char *path_of(const struct run_request *rq)
{
    for (size_t i = 0; rq->env[i]; i++)
        if (strncmp(rq->env[i], "PATH=", 5) == 0)
            return rq->env[i] + 5;
    return DEFAULT_PATH;
}

/* Returns only on failure, with errno. exec's arrays are not const by their age only. */
static void exec_path(const char *path, const struct run_request *rq)
{
    char *const *argv = (char *const *)(uintptr_t)rq->argv;
    char *const *env = (char *const *)(uintptr_t)rq->env;
    execve(path, argv, env);
}

/* What execve's errno means for this file: ENOENT may be about its first line. */
static enum process_step step_of_errno(const char *path, int sys_errno)
{
    struct stat st;
    if (sys_errno == ENOENT || sys_errno == ENOTDIR)
        return stat(path, &st) == 0 ? STEP_INTERPRETER : STEP_MISSING;
    return sys_errno == EACCES || sys_errno == ENOEXEC ? STEP_NOT_EXECUTABLE : STEP_EXEC;
}

/* Searches PATH like a shell: the first that can be executed; a file that cannot is remembered. */
static enum process_step exec_search(const struct run_request *rq)
{
    char file[4096];
    const char *name = rq->argv[0];
    size_t name_len = strlen(name);
    enum process_step worst = STEP_MISSING;
    int worst_errno = ENOENT;
    for (const char *at = path_of(rq), *end; at; at = *end ? end + 1 : NULL) {
        end = strchrnul(at, ':');
        size_t len = (size_t)(end - at);
        if (!len || len + name_len + 2 > sizeof file)
            continue;
        memcpy(file, at, len);
        file[len] = '/';
        memcpy(file + len + 1, name, name_len + 1);
        exec_path(file, rq);
        int why = errno;
        enum process_step step = step_of_errno(file, why);
        if (step != STEP_MISSING && worst == STEP_MISSING) {
            worst = step;
            worst_errno = why;
        }
    }
    errno = worst_errno;
    return worst;
}

static enum process_step exec_command(const struct run_request *rq)
{
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (!strchr(rq->argv[0], '/'))
        return exec_search(rq);
    exec_path(rq->argv[0], rq);
    int why = errno;
    enum process_step step = step_of_errno(rq->argv[0], why);
    errno = why;
    return step;
}

static _Noreturn void fail(int report, enum process_step step, int sys_errno)
{
    struct exec_failure f = {.step = (int)step, .sys_errno = sys_errno};
    ssize_t n = write(report, &f, sizeof f);
    process_quit(n == sizeof f ? 127 : 126);
}

_Noreturn void runner_exec(const struct run_request *rq, const int *fds, int report, pid_t runner)
{
    static const struct {
        enum process_step step;
        bool (*run)(struct exec_context *c);
    } steps[] = {
        {STEP_SESSION, step_session},   {STEP_STDIO, step_stdio}, {STEP_LIMITS, step_limits},
        {STEP_IDENTITY, step_identity}, {STEP_CWD, step_cwd},
    };
    struct exec_context c = {.rq = rq, .fds = fds, .report = report, .runner = runner};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
        if (!steps[i].run(&c))
            fail(c.report, steps[i].step, errno);
    enum process_step step = exec_command(rq);
    fail(c.report, step, errno);
}
