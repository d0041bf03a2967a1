/* The commands that `dais verify` sends for blobs that it found damaged, and for wrong sums. */
#include "app/command_impl.h"

static bool recheck(struct commanding *c, struct err *e);
static bool recount(struct commanding *c, struct err *e);

const struct command file_commands[] = {{"files.recheck", recheck, ABOUT_FILES},
                                        {"files.recount", recount, ABOUT_FILES},
                                        {NULL, NULL, ABOUT_ACCOUNTS}};

static void put_count(struct commanding *c, const char *key, size_t n)
{
    json_write_key(c->out, slice_from(key));
    json_write_u64(c->out, n);
}

/* Whoever asks may be wrong by now: each is read again here, by who keeps them. */
static bool recheck_all(struct commanding *c, const struct slice *keys, size_t n, size_t counts[3],
                        struct err *e)
{
    for (size_t i = 0; i < n; i++) {
        enum files_recheck outcome;
        if (!files_recheck(c->app->files, keys[i], &outcome, e))
            return false;
        counts[outcome]++;
    }
    return true;
}

static bool recheck(struct commanding *c, struct err *e)
{
    const struct slice *keys;
    size_t n, counts[3] = {0};
    if (!command_words(c, "blobs", &keys, &n))
        return err_set(e, ERR_USAGE, "say which: \"blobs\" is a list of their keys");
    if (!files_open(c->app->files, e))
        return false;
    bool fine = recheck_all(c, keys, n, counts, e);
    files_leave(c->app->files);
    put_count(c, "set_aside", counts[FILES_SET_ASIDE]);
    put_count(c, "mended", counts[FILES_MENDED]);
    return fine;
}

static bool recount(struct commanding *c, struct err *e)
{
    if (!files_open(c->app->files, e))
        return false;
    bool fine = files_recount(c->app->files, e);
    files_leave(c->app->files);
    return fine;
}
