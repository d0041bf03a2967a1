/* Preloaded into a server: its wall clock is off by the nanoseconds that the file $WALL_CLOCK holds
 * (an int64_t, which may change at any time). The clock that cannot jump is as it was. */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define SECOND 1000000000LL

static const volatile int64_t *off_ns;

__attribute__((constructor)) static void map_file(void)
{
    const char *path = getenv("WALL_CLOCK");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void *at = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof *off_ns, PROT_READ, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED)
        abort();
    close(fd);
    off_ns = at;
}

/* What the server finds under libc's names. */
int off_gettime(clockid_t id, struct timespec *t) __asm__("clock_gettime");
int off_timeofday(struct timeval *t, void *zone) __asm__("gettimeofday");
time_t off_time(time_t *t) __asm__("time");

int off_gettime(clockid_t id, struct timespec *t)
{
    if (syscall(SYS_clock_gettime, id, t) != 0)
        return -1;
    if (off_ns && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) {
        int64_t ns = t->tv_sec * SECOND + t->tv_nsec + *off_ns;
        *t = (struct timespec){.tv_sec = ns / SECOND, .tv_nsec = ns % SECOND};
    }
    return 0;
}

int off_timeofday(struct timeval *t, void *zone)
{
    struct timespec now;
    (void)zone;
    off_gettime(CLOCK_REALTIME, &now);
    *t = (struct timeval){.tv_sec = now.tv_sec, .tv_usec = now.tv_nsec / 1000};
    return 0;
}

time_t off_time(time_t *t)
{
    struct timespec now;
    off_gettime(CLOCK_REALTIME, &now);
    if (t)
        *t = now.tv_sec;
    return now.tv_sec;
}
