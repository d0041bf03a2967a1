/* The inside of app/: the host (what is served) and the life of the server around it. */
#pragma once
#include "api/api.h"
#include "app/app.h"
#include "edge/edge.h"
#include "files/files.h"
#include "http/http.h"
#include "keys/keys.h"
#include "limit/limit.h"
#include "manifest/manifest.h"
#include "signin/signin.h"
#include "tasks/tasks.h"
#include "web/web.h"

#include <pthread.h>

/* ---- a host: all apps of one reading of the manifests ------------------------------------------
 */

struct local_source {
    struct identity_source source;
    struct identity who;
    struct identity_source *accounts; /* for everybody else; NULL: there are none */
    bool asks;                        /* something of the app depends on who asks */
};

struct app {
    const struct manifest *manifest;
    struct slice mount;        /* "" or "/slug" */
    struct web *web;           /* NULL when the app has no web: */
    struct edge *edge;         /* NULL without a backend */
    struct docs *docs;         /* NULL without collections */
    struct files *files;       /* NULL without buckets */
    struct store *store;       /* theirs, once it is attached */
    struct jobs *jobs;         /* NULL without jobs */
    struct worker_kind *kinds; /* how they are run: one for each type */
    struct crew *crew;         /* who runs them, once the host serves; NULL: nobody can */
    struct job_tokens *tokens; /* of their programs */
    struct accounts *accounts; /* NULL: everybody is signed out, or `local` */
    struct signin *signin;     /* NULL without accounts */
    struct api *api;           /* NULL: it has none */
    const char *backend_why;   /* there is none, though the manifest has one; else NULL */
    struct slice backend_url;  /* expanded; empty without one */
    struct pairs env;          /* web.env.values, expanded */
    struct identity_source *identities;
    struct local_source local;
    bool is_given;         /* who asks is a test's word */
    struct signer *signer; /* NULL: nobody asked for {jwt} */
    struct limit_rule *limits;
    size_t n_limits;
    struct counter *named[LIMIT_BUCKETS]; /* NULL: off */
    struct counter *letters;              /* that sign-ups have sent to one address */
    struct limit_share *share;            /* of its database; NULL without one */
    struct life *life;                    /* of limits: NULL before they are opened */
    struct secrets secrets;
    bool is_built; /* web.root was there when the manifests were read */
};

/* Immutable once it serves; replaced as a whole on reload. */
struct host {
    struct service service; /* first: what the server knows of it */
    struct arena arena;     /* site, settings, apps */
    struct site *site;
    struct settings settings;
    struct log_conf log;
    struct trust trust;
    const char *data_dir;
    struct app *apps;
    size_t n_apps;
    struct map by_name;        /* host name -> struct app */
    struct root_secret secret; /* of the installation, once somebody needs it */
    bool has_secret;
    struct accounts *operators;      /* NULL: no app has accounts */
    struct router *router, *control; /* rows of the host; rows of the control socket */
    struct life *life;
    bool dev, is_started;
    bool renews_backends; /* starts them anew, changed or not */
};

#define PROBLEM_BYTES (1u << 20)

/* Reads the manifests and settings and checks them; NULL when there is an error among their
 * problems, which are printed to standard error. One reference in host->service. Not to be served:
 * secrets may be missing. */
struct life;
struct host *host_read(const struct app_options *options);
/* The same for serving, with the problems as text, one a line. */
struct host *host_try(const struct app_options *options, struct buf *problems);
/* The data folder of these apps, broken manifests or not; false when its path is too long. */
bool host_find_data(const struct app_options *options, char *to, size_t n);
/* Opens the apps' files; takes as long as it takes. What is passed outlives the host. */
void host_open(struct host *h, struct life *life, struct loops *loops, struct web_budget *budget);
void host_start(struct host *h); /* loop 0: background work begins */
void host_stop(struct host *h);  /* loop 0: and ends; the host goes with its last request */

struct app *host_app_of_name(const struct host *h, struct slice name); /* of a Host; or NULL */

/* Where an app is reached from outside, ending in '/'. base is "http://127.0.0.1:8000", or "" for a
 * link on a page; port is ":8000", or "" where that goes without saying. */
struct slice app_url(const struct app *app, struct slice base, struct slice port, struct arena *a);

/* The values of a manifest with settings in place of their names; in the host's arena. */
struct pairs host_expand(struct host *h, const struct app *app, const struct pairs *values);

/* environment.c: in the host's arena; life is NULL where nothing is served yet */
struct pairs backend_environment(struct host *h, const struct app *app, const struct life *life);
/* How people reach the app: PUBLIC_URL with the mount, or the first listener; no slash at the end.
 * Empty: behind a socket, or with life NULL, nobody knows. */
struct slice app_public_url(const struct host *h, const struct app *app, const struct life *life,
                            struct arena *a);
/* Below it a program of a job finds an app that has only names of its own. */
#define APPS_BY_SLUG "/_/apps/"
/* Of a job's program, ends in NULL: PATH and the like, where it reaches us, its secrets, its `env`.
 */
const char *const *worker_environment(struct host *h, const struct app *app, const struct job *conf,
                                      const struct life *life);
/* What no process can be given is refused beforehand. */
bool environment_fits(const struct pairs *env, struct err *e);
/* Values that what the backend says must not show; returns how many. */
size_t backend_hidden(struct host *h, const struct app *app, struct slice **ret);

/* Takes away sockets that a killed server left; before any backend is started. */
void backends_clean(const char *data_dir);
/* The app's edge, if it has a backend: at an address, or run here. */
void backend_open(struct host *h, struct app *app, struct life *life);
/* All on loop 0. Their processes; again is fine. */
void backends_start(struct host *h);
/* BACKEND_READY: those the serving host does not have are ready to take over. BACKEND_FAILING: they
 * will not be, as e says. BACKEND_STARTING: not yet. */
enum backend_state backends_trial(const struct host *h, struct err *e);
/* Those of `old` that `next` does not go on with end, each after its last request. */
void backends_retire(struct host *old, const struct host *next);

/* identity.c: who asks. given: a test's source, or NULL. */
void identity_open(struct host *h, struct app *app, struct identity_source *given);
/* False: an app without accounts trusts whoever is at this machine, and others could reach it. */
struct life;
bool identity_is_safe(const struct host *h, const struct life *l, struct err *e);

/* accounts.c: those of apps, in their databases, and the operators'. */
bool app_has_accounts(const struct app *app);
void app_accounts_open(struct host *h, struct app *app, struct life *life);

/* operators.c: a link on the console while there is none; before the loops run. */
void operators_greet(struct host *h, const struct life *l);
/* After a reload that brought accounts: the same, on a lane. */
bool operators_are_needed(const struct host *h);
void operators_greet_later(struct host *h, struct loop *l);
/* Host paths that only they and this machine see: sets who may answer for the request. */
void operators_ask(struct host *h, struct req *rq);
bool operator_asks(const struct req *rq);

/* databases.c: an app's database outlives the readings of its manifest. Where it will be is checked
 * when these are read; nothing is opened before it is needed. */
void databases_check(struct host *h, struct problems *p);
void database_attach(struct host *h, struct app *app, struct life *life);
struct account_store *database_accounts(struct host *h, const struct app *app, struct life *life);
struct account_store *database_operators(struct host *h, struct life *life);
struct limit_share *database_limits(struct host *h, const struct app *app, struct life *life);

/* When to look for accounts that leave, monotonic; zeros at first. */
#define LEAVERS_HELD 16
struct leavers {
    int64_t look_ms, prune_ms;
    struct { /* whose things could not be removed: until when the others come first */
        char id[ID_LEN + 1];
        int64_t until_ms, wait_ms; /* wait_ms 0: nobody */
    } held[LEAVERS_HELD];
};
/* One bit of work on a lane; true: there is more at once. */
bool leavers_tend(struct host *h, struct leavers *l);
void databases_end(struct life *l);  /* after the lanes: what waits is answered */
void databases_free(struct life *l); /* when nobody is left who was in one */
/* For a command: reads beside a server; app NULL: the host's own. NULL with *ret_there false: there
 * is none yet. */
struct db *database_open_to_read(struct host *h, const struct app *app, bool *ret_there,
                                 struct err *e);
/* What a restore that was killed left in the data folder, which is ours. */
void databases_forget_drafts(struct host *h);
/* Where it is, and how it is opened; in the arena. app NULL: the host's own. */
#define HOST_SLUG "_host"
void database_options(struct host *h, const struct app *app, struct arena *a,
                      struct db_options *ret);
/* Of SQLite's file. What cannot be made is told when the database is opened. */
void database_make_folders(struct arena *a, struct slice file);
const struct db_migration *app_migrations(void); /* of every database there is */
bool databases_any(struct life *l);              /* any thread */
void databases_tidy(struct life *l);             /* closes unused ones; blocks */
bool databases_are_postgres(const struct host *h);
/* Members of a JSON object; false: one does not answer. Blocks. */
bool databases_check_ready(const struct host *h, struct buf *to);
void databases_metrics(struct life *l, struct buf *out); /* from a worker */

/* mail.c: a thread of its own, as a mail server may keep it waiting for a minute. */
struct mail_box {
    struct db_slot *slot;
    const char *path; /* SQLite's file; else NULL */
    int64_t look_ms;  /* not before, if it is closed; the thread's own */
    _Atomic uint64_t waiting, sent, failed;
};
/* Of the databases where letters are written; they live as long as the server. free() the list. */
struct mail_box **databases_mail(struct life *l, size_t *ret_n);
bool app_writes_letters(const struct app *app); /* accounts, or a job that is mail.send */
void mail_start(struct host *h); /* loop 0: from now on as this host's settings say */
void mail_end(struct life *l);   /* what is being sent is broken off */
/* Of the app with this slug; empty: the host's own. NULL: it has no database. Any thread. */
struct events;
struct events *database_events(struct life *l, struct slice slug);
struct db_slot *database_slot(struct life *l, struct slice slug);
bool databases_have_streams(struct life *l);    /* of somebody signed in */
void databases_look_at_streams(struct life *l); /* accounts_look_at_streams for each. Blocks */
bool databases_tend_events(struct life *l); /* writes and forgets; true: there is more. Blocks */

/* events.c: what happens without a write of its own, noted on any thread. */
struct event;
void life_note(struct life *l, struct slice slug, const struct event *ev);
/* The same of a request: who asks, from where. On its loop. */
void req_note(struct req *rq, int kind, struct slice object, const char *detail);
/* For service.denied: 401 and 403 are counted, and noted where they are many. */
void denied_note(struct service *s, struct req *rq);
extern const struct route events_route;
bool events_control(struct req *rq, struct err *e); /* ?app=SLUG, or the host's */
void events_metrics(struct buf *out);

/* stores.c: the places of files, which outlive the readings of a manifest too. */
bool stores_open(struct host *h, struct life *l, struct err *e);    /* blocks a little */
void store_attach(struct host *h, struct app *app, struct life *l); /* after its database */
void stores_free(struct life *l);
/* For a command that reads, beside a server: NULL with *ret_there false: nothing is stored. In
 * l->stores, which stores_free() empties. */
struct blob_store *store_open_to_read(struct host *h, const struct app *app, struct life *l,
                                      bool *ret_there, struct err *e);
/* The same, to write: the data folder is ours (life_take_data). */
struct blob_store *store_open_to_write(struct host *h, const struct app *app, struct life *l,
                                       struct err *e);
struct blob_store *store_blobs(const struct store *s);
bool stores_are_remote(const struct host *h);
/* Writes, reads and removes a small object; *ret_bucket empty: files are in the data folder. */
bool store_try(struct host *h, struct life *l, struct slice *ret_bucket, struct err *e);
/* Asks those whose last answer is too old; a bad one is sooner. Blocks. */
void stores_ask(const struct host *h);
bool stores_are_known(const struct host *h); /* each has answered before, well or badly */
/* Members of a JSON object; false: one did not answer when it was asked last. Blocks where it was
 * never asked. */
bool stores_check_ready(const struct host *h, struct buf *to);
void stores_metrics(struct life *l, struct buf *out);
/* One bit of work; true: there is more at once. Blocks. */
bool stores_tend(struct host *h);

/* storeman.c: loop 0, once a second: what nobody needs leaves the stores. */
void storeman_start(struct life *l);
void storeman_stop(struct life *l); /* after the lanes */

/* jobs_check.c: as whom programs run; false, and 0: as the server. Where one is. */
bool jobs_user(uid_t *ret_uid, gid_t *ret_gid);
const char *jobs_program(const struct manifest *m, const struct job *conf, struct arena *a);
/* jobman.c: jobs of apps, and who runs them. */
/* The folders of jobs that are programs; false: one cannot be made, and e says what to do. */
bool jobs_have_place(struct host *h, struct err *e);
void app_jobs_open(struct host *h, struct app *app, struct life *life);
/* From now on a job's program is known by its token; after the accounts. */
void app_job_tokens_open(const struct host *h, struct app *app);
void jobman_open(struct life *l);  /* before the first host is opened */
void jobman_serve(struct host *h); /* loop 0: crews work as this host says */
/* Loop 0: what runs is ended and given back to the queues; then `stopped` is called, there. */
void jobman_stop(struct life *l, void (*stopped)(void *user), void *user);
void jobman_free(struct life *l);                     /* after the loops */
void jobs_text(const struct host *h, struct buf *to); /* a line for each that runs */
void jobs_metrics(const struct host *h, struct arena *a, struct buf *out); /* from a worker */

/* backup.c: what is backed up of an app (NULL: of the operators), and where to; in the arena. blobs
 * NULL: it keeps no files. place NULL: as the manifest says. */
struct backup {
    struct keep_source source;
    const char *dir;
    struct keep_rule rule;
};
bool backup_of(struct host *h, const struct app *app, struct blob_store *blobs, const char *place,
               struct arena *a, struct backup *ret, struct err *e);
/* Is there anything of its own that it keeps? */
bool app_keeps_something(const struct app *app);
/* owner.c: whose the data folder is, or the nearest one above it, when we are root; uid 0: what is
 * made is of who makes it. */
struct owner {
    uid_t uid;
    gid_t gid;
};
struct owner owner_of_data(const char *data_dir);
/* What root made at that path becomes theirs, if it is in the data folder, and the folders on the
 * way to it. */
void owner_give(const struct owner *to, const char *data_dir, const char *path);

/* Which folder `backups.to` is. */
const char *backup_place(const char *data_dir, const struct manifest *m, struct arena *a);
/* May backups be put there? ERR_USAGE: a folder that is served holds it. */
bool private_check_place(const struct site *site, const char *data_dir, const char *place,
                         struct arena *a, struct err *e);

/* keeper.c: loop 0, once a second: work on the tables of apps, closing databases that nobody uses.
 */
void keeper_start(struct life *l);
void keeper_stop(struct life *l); /* after the lanes */

/* watchman.c: loop 0, once a second: open streams whose session ended elsewhere, or by time. */
void watchman_start(struct life *l);
void watchman_stop(struct life *l); /* after the lanes */

/* tokens.c: a key for each app that asks for {jwt}; reads or makes the secret. */
bool tokens_open(struct host *h, struct err *e);

/* limits.c: goes on counting where the host before it was. */
extern const struct db_migration limits_migration;
void limits_open(struct host *h, struct app *app, struct life *life);
void limits_done(struct app *app);
/* For service.admit: sets rq->refusal when it is too often, and the RateLimit headers. */
void limits_check(const struct app *app, struct req *rq);
/* For api_options.count; user is the app. After limits_check of the whole. */
bool limits_count(void *user, struct req *rq, struct slice method, struct slice path,
                  struct err *e);
/* For accounts_options, on a lane; user is the app: one more try at this address, whoever has it,
 * and how the owner of one is told from the others. */
bool limits_may(void *user, enum limit_bucket bucket, struct slice email, const struct asker *from,
                struct err *e);
void limits_welcome(void *user, struct slice email, const struct asker *from);
bool limits_may_write(void *user, struct slice email, bool is_again, const struct asker *from);
/* From the keeper, once a second, on a lane: what others took and who ran out. Blocks. */
void limits_tick(const struct host *h);
void limits_metrics(struct life *l, struct buf *out);

/* stored.c: which documents does the manifest not take? As lines, or with json as items of its
 * list; *ret_broken grows. */
bool stored_check(const struct app *app, struct db *db, struct json_writer *json,
                  uint64_t *ret_broken, struct err *e);

bool app_has_root(const struct app *app, struct arena *a); /* is web.root there? */

/* ---- the life of the server
 * ---------------------------------------------------------------------- */

struct life {
    struct app_options options;
    struct spawner *spawner; /* forked before there were threads */
    struct loops *loops;
    struct server *server;
    struct host *host;            /* loop 0's view; the server holds the reference */
    struct web_budget budgets[2]; /* of this host and the next: both are there for a while */
    struct listener **listeners;  /* public ones, then the control socket's */
    size_t n_listeners;
    struct front front, control_front;
    uv_signal_t signals[3];
    size_t n_signals;
    int lock_fd;
    int64_t started_ms;
    struct list backends;           /* all that run: backend_rows */
    struct list databases;          /* all there ever were */
    struct list stores;             /* of files; all there ever were */
    struct aws_chain *aws;          /* NULL: nobody needed its keys yet */
    struct s3 *s3;                  /* NULL: files are in the data folder */
    pthread_mutex_t databases_lock; /* of these four */
    struct keeper *keeper;
    struct storeman *storeman;
    struct watchman *watchman;
    struct mailman *mailman; /* NULL: no app has accounts */
    struct jobman *jobman;   /* NULL in a command */
    unsigned leaving;        /* loop 0, while it drains: requests, jobs */
    struct limit *denials;   /* by app and account or address */
    struct reload *reload;   /* the one under way; loop 0 */
    struct list asks;        /* for one, which wait */
    unsigned n_passed; /* listening sockets that came with us: descriptors from SYSTEMD_FIRST on */
    _Atomic bool is_draining;
    _Atomic uint64_t reloads, reload_failures;
    _Atomic uint64_t refusals[LIMIT_BUCKETS + 2]; /* then: rows with a path, letters */
    int exit_code;
};

/* rest.c: the start is over; what only it needed is no longer resident. */
void rest_begin(void);

/* init.c: as the first process of a container, goes on in a child and never returns in the parent,
 * which reaps and passes signals on. Before there is anything else. */
void init_split(void);

struct life *life_of(const struct req *rq);
/* l->host's data folder is made and ours alone until l->lock_fd is closed. ERR_LOCKED: it was
 * another's for a whole second. */
bool life_take_data(struct life *l, struct err *e);
size_t life_file_bytes(struct life *l); /* contents of files held in memory; any thread */
/* Loop 0: reads everything again, by a worker, and serves that once its backends are ready. With
 * errors the old host goes on. The asker keeps `ask` until done, which comes on loop 0, once. */
struct reload_ask {
    struct list link;
    bool renews_backends; /* starts those we run anew, changed or not */
    /* e is NULL: done. ERR_MANIFEST: problems lists what is wrong, and the log does. */
    void (*done)(struct reload_ask *ask, const struct err *e, struct slice problems);
};
void life_reload(struct life *l, struct reload_ask *ask);
void life_reload_end(struct life *l); /* after the loops: whoever waits is told */
void life_log_problems(enum log_level level, struct slice text); /* a log line for each of theirs */
void life_hangup(struct life *l); /* loop 0: the same; only the log tells */

/* systemd.c: the service manager's side. Both read and leave the environment: before threads. */
#define SYSTEMD_FIRST 3
unsigned systemd_sockets(void); /* how many came; none of them outlives an exec */
void systemd_meet(void);
/* "READY=1"; nothing when nobody wants to know. Waits so long for a manager that is busy. */
void systemd_tell(const char *state, unsigned patience_s);

/* ---- tables of routes
 * ----------------------------------------------------------------------------- */

extern const struct route health_routes[];
extern const size_t n_health_routes;
extern const struct route control_routes[];
extern const size_t n_control_routes;
extern const struct route command_routes[]; /* of the control socket */
extern const size_t n_command_routes;
extern const struct route home_route, missing_route, to_mount_route, whole_route, jwks_route;

/* From a worker. */
void backends_text(struct life *l, struct buf *to);
void backends_metrics(struct life *l, struct buf *to);
void metrics_text(struct life *l, const struct host *h, struct arena *a, struct buf *out);
void banner_print(const struct life *l, const struct host *h);
/* Of a request's Host, without the port: an address, written as one; localhost, a name below it or
 * a loopback address. */
bool host_is_address(struct slice host, struct ip *ret);
bool host_is_local(struct slice host);
/* For those paths: is this machine itself asking, by a name that is its own? */
bool is_from_here(const struct req *rq);
/* Any header that some proxy writes to say for whom it asks. */
bool is_forwarded(const struct h1_request *h1);
bool health_is_private(const struct route *row);
