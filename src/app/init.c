/* The first process of a container is the parent of everything whose own has gone, and the system
 * gives it no signal's default. So dais splits there: the first process only waits and passes on.
 */
#include "app/app_impl.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

/* Whoever waits for nobody else's children is waited for here. Returns when dais itself has ended.
 */
static bool reap(pid_t served, int *ret_status)
{
    int status;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
        if (pid == served) {
            *ret_status = status;
            return true;
        }
    }
    return false;
}

/* What a terminal sends, both have got. */
static void wait_and_pass_on(pid_t served, const sigset_t *all, int *ret_status)
{
    siginfo_t info;
    while (!reap(served, ret_status)) {
        int signum = sigwaitinfo(all, &info);
        if (signum > 0 && signum != SIGCHLD && info.si_code <= 0)
            kill(served, signum);
    }
}

void init_split(void)
{
    sigset_t all, before;
    int status = 0;
    if (getpid() != 1)
        return;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, &before);
    pid_t served = fork();
    if (served <= 0) { /* no process to be had: then without one */
        sigprocmask(SIG_SETMASK, &before, NULL);
        return;
    }
    close_range(STDERR_FILENO + 1, ~0u, 0); /* a passed socket would listen on when dais has gone */
    wait_and_pass_on(served, &all, &status);
    _exit(WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
}
