/* dais.yaml, host.yaml, .env and the environment as plain structs, with every problem they have.
 *
 * Everything a load function returns lives in the arena it was given and is never changed after
 * the load: any thread may read it. No YAML type leaks out of this room. Problems are collected,
 * not stopped at: one run reports all. A load that reports an error may still return a struct (for
 * `dais check`); only serve it when problems_has_errors() is false.
 *
 * Strings end in a NUL that is not counted, so `.s.ptr` is also a C string; an absent string is
 * empty, never NULL. Durations are milliseconds, sizes bytes. A value that was not written has
 * pos.line 0 and holds its default. Lists and maps are `items` and `n`, in the order written unless
 * said otherwise; the key of a map is the first member of its item. */
#pragma once
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/log.h"
#include "base/slice.h"

#include <stdbool.h>
#include <stdint.h>

/* ---- where and what is wrong ------------------------------------------------------------- */

struct pos {
    uint32_t line, col; /* from 1; line 0 = not written, a default */
};

struct text {
    struct slice s;
    struct pos pos;
};

enum problem_kind { PROBLEM_ERROR, PROBLEM_WARNING, PROBLEM_NOTE };

struct problem {
    enum problem_kind kind;
    struct slice file; /* as people know it: dais.yaml, apps/a/dais.yaml, .env */
    struct pos pos;    /* line 0: about the file as a whole */
    struct slice text; /* what is wrong; what would be right */
};

#define PROBLEMS_MAX 200 /* further ones are only counted */

struct problems {
    struct arena *arena; /* texts live here */
    struct problem *items;
    size_t n, n_errors, n_dropped;
};

void problems_init(struct problems *p, struct arena *a);
void problems_add(struct problems *p, enum problem_kind kind, struct slice file, struct pos pos,
                  const char *fmt, ...) PRINTF(5, 6);
bool problems_has_errors(const struct problems *p);
void problems_sort(struct problems *p); /* by file as first met, line, column */
/* One line per problem: `dais.yaml:3:5: text`, warnings as `dais.yaml:3:5: warning: text`. */
void problems_print(const struct problems *p, struct buf *to);

/* ---- small values ------------------------------------------------------------------------ */

struct texts {
    struct text *items;
    size_t n;
};
struct pair {
    struct text key, value;
};
struct pairs {
    struct pair *items;
    size_t n;
};
struct rate { /* "10/min"; `off` is per_ms 0 */
    int64_t count, per_ms;
};
struct duration_range { /* "10s..5m" */
    int64_t min_ms, max_ms;
};
/* "10m", "30d"; false when it is none. */
bool duration_parse(struct slice s, int64_t *ret_ms);

/* The one grammar of path patterns: `/x` is exactly that path; with a `*` as its last character,
 * every path that starts with what precedes it (`/x/` and `/x/y` for `/x/` + `*`, not `/x`).
 * Compared with the decoded, normalised path below the app's mount, by bytes. */
struct path_pattern {
    struct text text;    /* as written */
    struct slice prefix; /* without the `*` */
    bool wildcard;
};
/* ret_splat (may be NULL) is what the `*` stood for; empty for an exact pattern. */
bool pattern_matches(const struct path_pattern *p, struct slice path, struct slice *ret_splat);

/* Headers that `extra` never sets, because dais gives every answer its own. */
bool header_is_given(struct slice name);

/* ---- dais.yaml: web ------------------------------------------------------------------------ */

struct redirect {
    struct path_pattern from;
    struct pos pos;
    struct text to; /* a path of the app ("/new/:splat") or an http(s) URL */
    int64_t status; /* 301, 302, 303, 307 or 308; default 302 */
};
struct mount {
    struct text prefix; /* "/docs/": starts and ends with a slash */
    struct text folder; /* relative to the app folder; may lead outside it */
};
/* Header profile of a path pattern. An unset key (empty text, n = 0, hsts_ms -1) is looked up in
 * the next profile that matches; the last one is always the built-in profile for every path. */
struct header_profile {
    struct path_pattern pattern;
    struct pos pos;
    struct texts frame_ancestors; /* "*", "self", "none" or origins */
    struct text csp;              /* "off", "default" (see docs/MANIFEST.md), or a policy */
    struct text cache_control;    /* "auto" (hashed names immutable, HTML no-store) or a value */
    struct text referrer_policy;
    struct text permissions_policy; /* "off" or a value */
    struct text coop;               /* Cross-Origin-Opener-Policy; "off" or a value */
    int64_t hsts_ms;                /* 0 = off, -1 = unset; only sent over TLS */
    struct pairs extra;             /* further headers; all matching profiles add theirs */
};
struct error_page {
    struct text key;
    struct text file; /* relative to web.root */
    int64_t status;   /* 400..599 */
};
struct page {
    struct path_pattern pattern;
    struct text file; /* relative to web.root */
};
struct web_env {
    struct pos pos;
    struct text path;    /* "/_app/env.js"; empty: none */
    struct pairs values; /* not expanded: settings_expand() */
};
struct rewrite_rule {
    struct pos pos;
    struct text files; /* glob: `*` and `?` within a name; without a slash it matches any folder */
    struct text from, to;
};
#define LIST_OF(type) \
    struct {          \
        type *items;  \
        size_t n;     \
    }

struct web_conf {
    struct pos pos;
    struct text root;  /* relative to the app folder; default "web"; empty when there is no web: */
    struct text build; /* a command, or empty */
    struct text base; /* "/" or "/x/": the path the app is served below, when alone on its origin */
    struct text fallback;               /* relative to web.root, or empty */
    LIST_OF(struct redirect) redirects; /* sorted: exact first, then longest prefix; first match */
    LIST_OF(struct mount) mounts;       /* sorted: longest prefix first */
    LIST_OF(struct header_profile) headers; /* sorted like redirects; never empty */
    LIST_OF(struct error_page) errors;
    LIST_OF(struct page) pages; /* sorted like redirects */
    struct web_env env;
    LIST_OF(struct rewrite_rule) rewrite;
};

/* ---- dais.yaml: the rest (read and checked; served by later versions) ------------------------ */

struct rules { /* a rule word or an expression; empty = not given */
    struct pos pos;
    struct text read, create, write, del, run;
};
struct ref {
    struct text field, to; /* to: a collection */
    struct text on_delete; /* restrict, clear, cascade */
    struct pos pos;
};
struct collection {
    struct text name;
    struct pos pos;
    struct text schema; /* path, or empty: any document */
    bool owner, append_only;
    int64_t versions;              /* kept per document, 0 = none */
    int64_t trash_ms;              /* 0 = DELETE is final */
    LIST_OF(struct texts) indexes; /* each a list of fields, "-x" descending */
    LIST_OF(struct texts) unique;
    struct texts search, hidden, checks;
    LIST_OF(struct ref) refs;
    struct rules rules;
};
struct quota { /* files use per and bytes, jobs per, window, runs and minutes; -1 = no limit */
    struct pos pos;
    struct text per;    /* user, app */
    struct text window; /* hour, day, week, month */
    int64_t bytes, runs, minutes;
};
struct bucket {
    struct text name;
    struct pos pos;
    int64_t max_bytes;
    struct texts types; /* "text/csv", "image/" + "*"; none = any */
    bool owner;
    struct text scope;      /* app, user */
    struct text visibility; /* rules, choice */
    struct quota quota;
    struct rules rules;
};
struct job_retries {
    struct pos pos;
    int64_t max; /* further attempts after the first */
    struct duration_range backoff;
};
struct job_concurrency {
    struct pos pos;
    int64_t total, per_user; /* 0 = no limit */
};
struct job_cache {
    struct pos pos;
    struct texts key; /* fields of the input and "literals"; none = no cache */
    int64_t ttl_ms;
    struct text scope; /* user, app: whose results are used again */
};
struct job_limits {
    struct pos pos;
    int64_t memory_bytes, files_bytes, output_bytes; /* 0 = no limit */
    int64_t cpu_ms, open_files;                      /* 0 = no limit */
};
extern const char job_tasks[]; /* what `use` may be, by spaces */
struct job {
    struct text name;
    struct pos pos;
    struct text run, use; /* the path of a program, or one of dais's own tasks */
    struct pairs with;    /* of a task */
    struct text input;    /* path */
    struct text acts_as;  /* owner, app: for whom its token speaks */
    int64_t keep_ms;      /* how long one that is over is kept */
    struct texts packages, on, secrets;
    struct pairs env;
    int64_t timeout_ms;
    struct job_retries retries;
    struct job_concurrency concurrency;
    struct quota quota;
    struct job_cache cache;
    struct text schedule; /* cron, UTC */
    struct job_limits limits;
    struct rules rules;
};
struct publication {
    struct text kind;
    struct pos pos;
    struct text from;
    struct texts closure, require;
    struct path_pattern page;
    struct rate limit;
};
struct auth_conf {
    struct pos pos;     /* line 0 = no auth: everybody is the user `local` */
    struct text signup; /* open, invite, closed */
    struct texts methods, roles;
    int64_t session_ms;
    struct text local; /* none, accounts */
};
struct limit_row {
    struct text route; /* login ... or "METHOD /prefix" */
    struct rate rate;
};
struct access_row {
    struct text prefix;
    struct pos pos;
    struct text any, read, write; /* rules; `any` is what a single word fills */
};
struct bounds_row {
    struct text prefix;
    struct pos pos;
    int64_t timeout_ms, max_body_bytes; /* -1: those of the backend */
};
struct websocket_conf {
    struct pos pos;
    int64_t idle_ms, max_message_bytes, max_session_bytes;
    struct texts origins;
};
struct identity_conf {
    struct pos pos;
    struct text header, value; /* empty header = none is sent */
};
struct health_conf {
    struct pos pos;
    struct text path; /* empty = a connection that opens is enough */
    struct texts deep;
    int64_t every_ms, timeout_ms, restart_after;
};
struct backend_limits {
    struct pos pos;
    int64_t memory_bytes; /* 0 = no limit */
};
struct backend_conf {
    struct pos pos; /* line 0 = no backend */
    struct text setup, run, url, sticky;
    struct texts packages, routes, static_first, strip, persist, secrets;
    struct pairs env;
    int64_t timeout_ms, max_body_bytes, cache_bytes, instances, setup_timeout_ms;
    struct websocket_conf websocket;
    struct identity_conf identity;
    LIST_OF(struct access_row) access;
    LIST_OF(struct bounds_row) bounds;
    struct health_conf health;
    struct backend_limits limits;
};
struct cors_conf {
    struct pos pos;
    struct texts origins;
    bool credentials;
};
struct backup_keep {
    struct pos pos;
    int64_t daily, weekly, monthly;
};
struct backups_conf {
    struct pos pos;
    struct text schedule, to;
    struct backup_keep keep;
};
struct tls_conf {
    struct pos pos;
    struct text cert, key;
};
struct target {
    struct text name;
    struct pos pos;
    struct text kind, host, domain, admin_email, region, compute, remote, base, api;
    struct pairs env;
};

struct manifest {
    struct slice file;       /* how problems name it */
    struct slice dir;        /* the app folder as given; "" when parsed from memory */
    struct text slug, title; /* title defaults to the slug */
    struct text description; /* a sentence, or empty */
    struct text api; /* "/api/" or what `api:` says; "/dais/" where a backend route covers /api/ */
    struct texts hosts; /* lower-case host names this app answers at */
    size_t n_own_hosts; /* of them, those of dais.yaml; host.yaml's follow */
    struct tls_conf tls;
    struct web_conf web;
    LIST_OF(struct collection) collections;
    LIST_OF(struct bucket) files;
    LIST_OF(struct job) jobs;
    LIST_OF(struct publication) publish;
    struct auth_conf auth;
    LIST_OF(struct limit_row) limits;
    struct texts secrets; /* as written: "KEY", "KEY?", "PREFIX_" + "*" */
    struct backend_conf backend;
    struct cors_conf cors;
    struct backups_conf backups;
    LIST_OF(struct target) deploy;
};

/* Has it collections, files, jobs or accounts: anything that is in a database of dais? */
bool manifest_keeps_something(const struct manifest *m);
#define BACKUPS_JOB "backups" /* among the jobs where `backups` has a schedule */

/* ---- host.yaml ------------------------------------------------------------------------------ */

struct host_names {
    struct text app; /* its slug */
    struct texts names;
};
struct host_limits {
    struct pos pos;
    int64_t connections, max_body_bytes; /* of the whole host */
};
struct host_conf {
    struct slice file, dir;
    struct text title;   /* of the home page */
    struct texts apps;   /* folders, relative to host.yaml */
    struct texts listen; /* addresses; none = DAIS_LISTEN */
    LIST_OF(struct host_names) hosts;
    struct text data; /* folder; default "data" */
    struct tls_conf tls;
    struct host_limits limits;
};

/* ---- loading ----------------------------------------------------------------------------------
 */

/* What an app folder or a manifest file holds. `path` is a folder (its dais.yaml is read) or the
 * file. Opens, reads, parses, checks the values and against the files of the folder. NULL when
 * nothing usable was read (missing, not a file, too large, not YAML); the reason is a problem. */
struct manifest *manifest_load(struct arena *a, const char *path, struct problems *p);

/* The same from bytes, without looking at any file. `file` names it in problems. */
struct manifest *manifest_parse(struct arena *a, struct slice text, const char *file,
                                struct problems *p);

struct host_conf *host_load(struct arena *a, const char *path, struct problems *p);
struct host_conf *host_parse(struct arena *a, struct slice text, const char *file,
                             struct problems *p);

/* Everything one `dais serve` or `dais check` runs: what `paths` (folders, or a folder with
 * host.yaml; none = the present folder) lead to, checked one by one and together. */
struct site {
    struct host_conf *host; /* NULL without host.yaml */
    struct manifest **apps; /* those that could be read, in order */
    size_t n_apps;
    struct slice dir; /* of host.yaml, or of the only app, or ".": where .env and data/ are */
};
struct site *site_load(struct arena *a, const char *const *paths, size_t n_paths,
                       struct problems *p);

/* ---- settings: flags, environment, .env, store, manifest, defaults -----------------------------
 */

/* Defaults, documentation and checks of each stand in the table of settings.c. */
#define SETTING_MAP(X)                                    \
    X(SET_LISTEN, "DAIS_LISTEN")                          \
    X(SET_PORT, "PORT")                                   \
    X(SET_DATA, "DAIS_DATA")                              \
    X(SET_DATABASE_URL, "DATABASE_URL")                   \
    X(SET_STORAGE_BACKEND, "STORAGE_BACKEND")             \
    X(SET_S3_BUCKET, "S3_BUCKET")                         \
    X(SET_S3_REGION, "S3_REGION")                         \
    X(SET_S3_ENDPOINT_URL, "S3_ENDPOINT_URL")             \
    X(SET_S3_PREFIX, "S3_PREFIX")                         \
    X(SET_S3_ACCESS_KEY_ID, "S3_ACCESS_KEY_ID")           \
    X(SET_S3_SECRET_ACCESS_KEY, "S3_SECRET_ACCESS_KEY")   \
    X(SET_S3_FORCE_PATH_STYLE, "S3_FORCE_PATH_STYLE")     \
    X(SET_AWS_REGION, "AWS_REGION")                       \
    X(SET_AWS_DEFAULT_REGION, "AWS_DEFAULT_REGION")       \
    X(SET_AWS_PROFILE, "AWS_PROFILE")                     \
    X(SET_AWS_ACCESS_KEY_ID, "AWS_ACCESS_KEY_ID")         \
    X(SET_AWS_SECRET_ACCESS_KEY, "AWS_SECRET_ACCESS_KEY") \
    X(SET_AWS_SESSION_TOKEN, "AWS_SESSION_TOKEN")         \
    X(SET_REDIS_URL, "REDIS_URL")                         \
    X(SET_SMTP_URL, "SMTP_URL")                           \
    X(SET_MAIL_FROM, "MAIL_FROM")                         \
    X(SET_PUBLIC_URL, "PUBLIC_URL")                       \
    X(SET_SECRET, "DAIS_SECRET")                          \
    X(SET_TRUSTED_PROXIES, "DAIS_TRUSTED_PROXIES")        \
    X(SET_THREADS, "DAIS_THREADS")                        \
    X(SET_LOG, "DAIS_LOG")

enum setting_id {
#define X(id, name) id,
    SETTING_MAP(X)
#undef X
        SETTING_COUNT
};

enum setting_source {
    SOURCE_DEFAULT,
    SOURCE_MANIFEST,
    SOURCE_STORE,
    SOURCE_DOTENV,
    SOURCE_ENVIRONMENT,
    SOURCE_FLAG
};

struct setting {
    struct slice value; /* empty when unset */
    struct slice from;  /* for people: "--listen", "environment", ".env:3", "DAIS_SECRET_FILE" */
    enum setting_source source;
};

/* Of the store of secrets, decrypted. */
struct stored {
    struct slice app, name, value; /* app empty: the host's */
};

struct settings {
    struct setting of[SETTING_COUNT];
    const struct stored *stored; /* settings_add_stored */
    size_t n_stored;
    struct slice app;            /* whose entries of the store count besides the host's */
    struct pairs dotenv;         /* all of .env, for secrets and settings_expand() */
    const char *const *environ_; /* borrowed */
    struct slice dir;            /* what a relative NAME_FILE of .env is relative to */
    struct arena *arena;
};

struct settings_sources {
    const char *dir;                  /* whose .env is read; NULL: none */
    const char *const *environ_;      /* NULL-terminated NAME=value; NULL: none */
    const char *flags[SETTING_COUNT]; /* NULL where no flag was given */
    const char *manifest[SETTING_COUNT];
};

/* Reads .env (a missing one is fine), weighs the sources, reads X_FILE, checks every value. Fills
 * `ret` even with problems. */
void settings_load(struct arena *a, const struct settings_sources *from, struct problems *p,
                   struct settings *ret);

/* What the store has, once it is known where that is: weaker than .env, stronger than the manifest.
 * Borrows `stored`. */
void settings_add_stored(struct settings *s, const struct stored *stored, size_t n,
                         struct problems *p);
/* The same settings as this app sees them: a copy that borrows all of it. */
struct settings settings_of_app(const struct settings *s, struct slice app);

/* What the table says of a setting, for whoever lists them. */
struct setting_about {
    const char *name, *def, *doc; /* def may be NULL */
    bool is_secret;
};
struct setting_about setting_about(enum setting_id id);
bool setting_is_known(struct slice name);

struct slice settings_get(const struct settings *s, enum setting_id id); /* empty = unset */
/* Any name, the app's own secrets too: environment, then .env, NAME_FILE, the store. False when
 * absent. */
bool settings_find(const struct settings *s, struct slice name, struct slice *ret);
/* The same with where it is from; what its file lacks is a problem. */
bool settings_look(const struct settings *s, struct slice name, struct problems *p,
                   struct setting *ret);
/* DAIS_LISTEN with PORT applied: "127.0.0.1:8000", "[::1]:80", "unix:/path". */
struct slice settings_listen(const struct settings *s, struct arena *a);
/* `$NAME` and `${NAME}` replaced, `$$` is a dollar; an absent name is the empty string. */
struct slice settings_expand(const struct settings *s, struct slice text, struct arena *a);
/* Takes the next $NAME or ${NAME} off *s; false when there is none. */
bool value_next_variable(struct slice *s, struct slice *ret);

/* The data folder: beside host.yaml or in the app folder, unless a flag, the environment or
 * host.yaml says. In the settings' arena. */
const char *settings_data_dir(const struct settings *s, const struct site *site);
/* Values of settings that are never shown (passwords, keys), for masks. Returns how many; what the
 * store has is none of them. */
size_t settings_secrets(const struct settings *s, struct slice ret[SETTING_COUNT]);

/* ---- secrets of an app: `secrets:`, from the environment, .env, files of X_FILE, the store ---
 */

struct secret {
    struct slice name, value; /* an empty value: it is missing */
    struct slice from;        /* for people: "environment", ".env line 3", "KEY_FILE" */
    struct pos pos;           /* in the manifest */
    bool is_required;         /* written without `?` or `*` */
};
struct secrets {
    struct secret *items;
    size_t n;
};
#define SECRETS_MAX 200 /* of an app, what its patterns match included */
/* "KEY", "KEY?" and "PREFIX_*" without their mark: '\0', '?' or '*'. */
struct slice secret_stem(struct slice entry, char *ret_mark);
/* Patterns stand for what they match now. In the arena of the settings. */
void secrets_load(const struct settings *s, const struct manifest *m, struct problems *p,
                  struct secrets *ret);
/* Those that are missing: an error when the backend needs it, else a warning. */
void secrets_check(const struct settings *s, const struct manifest *m, const struct secrets *all,
                   struct problems *p);
void secrets_help(const struct secrets *all, struct slice app, struct buf *to);
/* Is the name one of these "KEY", "KEY?", "PREFIX_*"? */
bool secrets_cover(const struct texts *entries, struct slice name);
bool secret_covers(struct slice entry, struct slice name);
/* A name that dais keeps for itself, or sets for backends itself. */
bool secret_is_of_dais(struct slice name);
/* One of `backend.secrets`; all are when that is not written. */
bool backend_gets_secret(const struct manifest *m, struct slice name);

struct log_conf {
    enum log_level level;
    enum log_format format;
    const char *path; /* NULL = standard error */
};
/* DAIS_LOG: words separated by commas: a level, `json` or `text`, a file's path. */
bool log_conf_parse(struct slice text, struct arena *a, struct log_conf *ret, struct err *e);

/* Strict .env: NAME=value lines, comments, `export `, single and double quotes; no expansion. */
struct pairs dotenv_parse(struct arena *a, struct slice text, const char *file, struct problems *p);

/* ---- what the tables say ------------------------------------------------------------------------
 */

void manifest_help(struct buf *to, const char *key); /* NULL: all; else a key like "web.headers" */
bool manifest_has_key(const char *key);
void manifest_markdown(struct buf *to);    /* the reference part of docs/MANIFEST.md */
void manifest_json_schema(struct buf *to); /* JSON Schema 2020-12; the same bytes every time */
void host_json_schema(struct buf *to);     /* the same of host.yaml */
void settings_help(const struct settings *s, struct buf *to);
