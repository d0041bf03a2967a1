/* The way out where there is no server: a file for each letter, which a mail program opens. */
#include "mail/mail_impl.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEPT_MAX 200

static int is_ours(const struct dirent *entry)
{
    struct slice name = slice_from(entry->d_name);
    return slice_ends(name, SLICE(".eml")) && name.ptr[0] != '.';
}

/* Names begin with the time: the first ones are the oldest. */
static void leave_the_last(const char *folder)
{
    struct dirent **names;
    char path[4096];
    int n = scandir(folder, &names, is_ours, alphasort);
    for (int i = 0; i < n; i++) {
        int length = snprintf(path, sizeof path, "%s/%s", folder, names[i]->d_name);
        if (i + KEPT_MAX < n && length > 0 && (size_t)length < sizeof path)
            unlink(path);
        free(names[i]);
    }
    if (n >= 0)
        free(names);
}

/* 2026-01-02T03:04:05.678Z without what some file systems cannot have in a name. */
static void time_of(int64_t at_ms, char to[RFC3339_LEN + 1])
{
    char text[RFC3339_LEN + 1];
    char *end = to;
    clock_rfc3339(at_ms, text);
    for (const char *c = text; *c && *c != '.'; c++) {
        if (*c != ':' && *c != '-')
            *end++ = *c;
    }
    *end++ = 'Z';
    *end = '\0';
}

/* The same letter has the same name: one that comes again after a crash is no second one. */
enum outcome folder_put(const char *folder, const struct posted *p, struct slice message,
                        char *ret_path, size_t path_max, struct err *e)
{
    char at[RFC3339_LEN + 1], part[4096];
    time_of(p->created_ms, at);
    int n = snprintf(ret_path, path_max, "%s/%s-%.*s.eml", folder, at, SLICE_ARGS(p->id));
    int n_part = snprintf(part, sizeof part, "%s/.%.*s", folder, SLICE_ARGS(p->id));
    if (n < 0 || (size_t)n >= path_max || n_part < 0 || (size_t)n_part >= sizeof part) {
        err_set(e, ERR_IO, "the path of the folder for mail is too long");
        return MAIL_LATER;
    }
    if (mkdir(folder, 0700) != 0 && errno != EEXIST) {
        err_set_sys(e, ERR_IO, "making the folder %s failed", folder);
        return MAIL_NOBODY;
    }
    int fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    bool fine =
        fd >= 0 && fd_write_all(fd, message) && fsync(fd) == 0 && rename(part, ret_path) == 0;
    if (!fine)
        err_set_sys(e, ERR_IO, "writing %s failed", ret_path);
    if (fd >= 0)
        close(fd);
    leave_the_last(folder);
    return fine ? MAIL_SENT : MAIL_NOBODY;
}
