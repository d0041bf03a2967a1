/* A worker that says when: which of three it is depends on the name it is started by.
 *
 *   start   its first action is to look at the clock; that time is its result
 *   lines   prints {"message":"NANOSECONDS DAIS_API"} as often as its input says, each at its own
 *           moment; the address is that of the server that runs it
 *   hold    stays until somebody ends it, so that others of its type wait */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static long long now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return t.tv_sec * 1000000000ll + t.tv_nsec;
}

/* Input: [LINES, LEAST_MS, MOST_MS]. */
static void say_lines(void)
{
    int lines = 0, least = 0, most = 0;
    if (scanf("[%d,%d,%d]", &lines, &least, &most) != 3 || most < least)
        exit(2);
    const char *api = getenv("DAIS_API");
    unsigned chance = (unsigned)getpid();
    for (int i = 0; i < lines; i++) {
        chance = chance * 1103515245 + 12345;
        int ms = least + (int)(chance >> 16) % (most - least + 1);
        struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000l};
        nanosleep(&pause, NULL);
        printf("{\"message\":\"%lld %s\"}\n", now_ns(), api ? api : "");
        fflush(stdout);
    }
}

int main(int argc, char **argv)
{
    long long at = now_ns();
    const char *slash = argc ? strrchr(argv[0], '/') : NULL, *name = slash ? slash + 1 : argv[0];
    if (strcmp(name, "lines") == 0)
        say_lines();
    else if (strcmp(name, "hold") == 0)
        pause();
    else
        printf("{\"result\":{\"at\":%lld}}\n", at);
    return 0;
}
