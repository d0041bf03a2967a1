/* The whole program when it serves: apps put together into a host, the server around it, its life
 * from the first line on the terminal to the last connection. The only room that knows all. */
#pragma once
#include "base/base.h"
#include "http/http.h"
#include "keep/keep.h"
#include "manifest/manifest.h"

#define APP_DIRS_MAX 64

struct app_options {
    const char *const *dirs; /* app folders, or a folder with host.yaml; none = "." */
    size_t n_dirs;
    const char *listen, *data; /* flags; NULL where not given */
    bool dev;
    bool no_web;                        /* app_release: web.build was run before */
    struct identity_source *identities; /* of all apps, for tests; NULL: the real ones */
};

/* Serves until it is told to stop; returns the exit code. Prints every problem itself. */
int app_serve(const struct app_options *options);

/* Runs `web.build` of every app that has one (or only of those whose web.root is missing), one
 * after the other, with DAIS_BASE set to where the app will be reached. Output goes to the
 * terminal. Problems of the manifests are printed; false with the reason in *e. */
bool app_build(const struct app_options *options, bool only_missing, struct err *e);

/* That, and then each app's backend is made ready and its folder sealed (edge/seal.h), so that it
 * can be served as it is, by anybody, from a read-only file system. */
bool app_release(const struct app_options *options, struct err *e);

/* Prints which stored documents the manifests do not take. The exit code: 0, 10 for some, or why
 * they could not be read. */
int app_check_stored(const struct app_options *options, bool is_json);

/* Is the object store there, and may it be written, read and emptied? Prints a sentence. The exit
 * code: 0, 10 when not. Where files are in the data folder there is nothing to ask. */
int app_check_storage(const struct app_options *options, bool is_json);

/* Reads all that is stored: documents, rows, references, and the bytes of every file; prints what
 * is wrong with it. The exit code: 0, 10 for damage, or why it could not be read. Changes nothing
 * but by `recheck` and `recount`. */
struct app_verify {
    bool is_json;
    /* These blobs of the app are damaged, or marked as that and fine again: whoever keeps them is
     * to look. NULL: nobody is told. */
    bool (*recheck)(void *user, struct slice app, const struct slice *keys, size_t n,
                    struct err *e);
    /* The sums of quotas are wrong. With the other, or NULL. */
    bool (*recount)(void *user, struct slice app, struct err *e);
    void *user;
};
int app_verify(const struct app_options *options, const struct app_verify *how);

/* Backups, for a command: of each app that keeps something, and of the operators (`_host`). */
struct app_unit {
    struct slice slug;           /* "_host": the operators' */
    const char *dir;             /* of its backups */
    struct keep_rule rule;       /* `backups.keep` */
    struct keep_source from;     /* after app_backups_look() */
    struct keep_target into;     /* after app_backups_make() */
    const struct texts *persist; /* paths that are not in backups; NULL: none */
    struct app *app;             /* NULL: the operators */
};
struct app_backups {
    struct app_unit *units;
    size_t n; /* one at least */
    bool is_postgres;
};
/* place NULL: where `backups.to` says. app NULL: all of them. Problems of the manifests are
 * printed; NULL: e says what is wrong. */
struct app_backups *app_backups_open(const struct app_options *options, const char *place,
                                     const char *app, struct err *e);
void app_backups_close(struct app_backups *b);
/* No server has the data folder, nor can start: ERR_LOCKED. Until it is closed. */
bool app_backups_own(struct app_backups *b, struct err *e);
/* Beside a server or, once it is ours, without one. ERR_NOT_FOUND: nothing is stored yet. */
bool app_backups_look(struct app_backups *b, struct app_unit *u, struct err *e);
/* ERR_NOT_FOUND: the data folder is not there, which is more than that it is empty. */
bool app_backups_have_data(struct app_backups *b, struct err *e);
/* Root's command is done, well or not: what it made in a data folder of somebody else is theirs. */
void app_backups_give(struct app_backups *b);
/* May any be put where they go? ERR_USAGE: everybody could read them. */
bool app_backups_are_private(struct app_backups *b, struct err *e);
/* Once it is ours: folders of what is brought back. */
bool app_backups_make(struct app_backups *b, struct app_unit *u, bool has_contents, struct err *e);

/* Prints the trail of events of each app, or the host's own, newest first, beside a server or
 * without one. Returns the exit code. */
struct app_events {
    const char *kind, *who; /* NULL: any */
    uint32_t limit;         /* of each app; 0: 30 */
    bool is_anomaly, is_host, is_json;
};
int app_print_events(const struct app_options *options, const struct app_events *what);

/* The data folder: made when it is not there, private, and hidden from git. */
bool app_make_data(const char *dir, struct err *e);

/* Where the running server of these folders can be reached: its control socket's path. */
bool app_control_path(const struct app_options *options, char *to, size_t n, struct err *e);

/* A command (user.add, key.list, files.recheck ...) where no server runs: takes the data folder,
 * does it, and leaves. JSON in and out; blocks. ERR_LOCKED: a server has it. */
bool app_command(const struct app_options *options, struct slice name, struct slice body,
                 struct arena *a, struct buf *to, struct err *e);

/* After settings_load, once the manifests say where the data folder is: adds what the store of
 * secrets has. One that cannot be opened is an error among the problems. to_serve: a DAIS_SECRET
 * that is none is, too. */
void app_settings_finish(struct settings *s, const struct site *site, bool to_serve,
                         struct problems *p);

/* Files are to be in an object store, and it is not said in which bucket. */
void storage_check(const struct site *site, const struct settings *s, struct problems *p);

/* REDIS_URL is no address that can be used: a warning. */
void redis_check(const struct settings *s, struct problems *p);

/* A folder that is served holds the data folder, or one of backups. */
void private_check(const struct site *site, const char *data_dir, struct arena *a,
                   struct problems *p);

/* Jobs of the manifest: what tasks are given in `with`, programs that their user cannot reach. */
void jobs_check(const struct manifest *m, struct arena *a, struct problems *p);

/* Of settings for mail, one is missing that goes with another. */
void mail_check(const struct site *site, const struct settings *s, struct problems *p);
