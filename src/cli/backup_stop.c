/* Who stops a backup or a restore is told what that leaves. */
#include "cli/backup_impl.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

static const int signums[] = {SIGINT, SIGTERM, SIGHUP};
#define SIGNUMS (sizeof signums / sizeof *signums)

static const char *volatile told; /* of the present step */

/* The signal is its default's by now, and ends us. */
static void on_stop(int signum)
{
    const char *text = told;
    ssize_t ignored = write(STDERR_FILENO, text, strlen(text));
    (void)ignored;
    raise(signum);
}

void backing_stops(const char *text)
{
    bool is_first = !told;
    told = text;
    for (size_t i = 0; is_first && i < SIGNUMS; i++) {
        struct sigaction was;
        const struct sigaction ours = {.sa_handler = on_stop,
                                       .sa_flags = (int)SA_RESETHAND | SA_NODEFER};
        if (sigaction(signums[i], NULL, &was) == 0 && was.sa_handler != SIG_IGN)
            sigaction(signums[i], &ours, NULL);
    }
}

void backing_hold(bool on)
{
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < SIGNUMS; i++)
        sigaddset(&set, signums[i]);
    pthread_sigmask(on ? SIG_BLOCK : SIG_UNBLOCK, &set, NULL);
}
