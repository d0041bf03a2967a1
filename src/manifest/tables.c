/* Every key of dais.yaml and host.yaml: a table per object, a row per key. To add a key, add a
 * member to the struct in manifest.h and a row here; nothing else reads YAML. */
#include "manifest/tables_impl.h"

#define COUNT(rows)  (sizeof(rows) / sizeof *(rows))
#define MEMBER(T, m) (((struct T *)0)->m)
/* 0, and an error of the compiler when the member has another type than its row says. */
#define SAME(T, m, type) \
    (sizeof(char[__builtin_types_compatible_p(__typeof__(MEMBER(T, m)), type) ? 1 : -1]) - 1)
#define AT(T, m, k, type) .kind = (k), .offset = offsetof(struct T, m) + SAME(T, m, type)
#define TEXT(T, m)        AT(T, m, K_TEXT, struct text)
#define BOOL(T, m)        AT(T, m, K_BOOL, bool)
#define INT(T, m)         AT(T, m, K_INT, int64_t)
#define BYTES(T, m)       AT(T, m, K_BYTES, int64_t)
#define DURATION(T, m)    AT(T, m, K_DURATION, int64_t)
#define RATE(T, m)        AT(T, m, K_RATE, struct rate)
#define RANGE(T, m)       AT(T, m, K_RANGE, struct duration_range)
#define PATTERN(T, m)     AT(T, m, K_PATTERN, struct path_pattern), .format = FMT_PATTERN
#define TEXTS(T, m)       .item = K_TEXT, .item_size = sizeof(struct text), AT(T, m, K_LIST, struct texts)
#define OBJECT(T, m, S)   .kind = K_OBJECT, .offset = offsetof(struct T, m), .shape = &(S)
#define ITEMS(T, m, k, i)                                      \
    .kind = (k), .item = (i), .offset = offsetof(struct T, m), \
    .item_size = sizeof *MEMBER(T, m).items
#define LIST(T, m, S)     ITEMS(T, m, K_LIST, K_OBJECT), .shape = &(S)
#define LISTS(T, m)       ITEMS(T, m, K_LIST, K_TEXTS)
#define MAP(T, m, key, S) ITEMS(T, m, K_MAP, K_OBJECT), .key_format = (key), .shape = &(S)
#define MAP_OF(T, m, key, k, V)                 \
    ITEMS(T, m, K_MAP, k), .key_format = (key), \
                           .value_offset = offsetof(__typeof__(*MEMBER(T, m).items), V)
#define SHAPE(T, title, rows) \
    .name = (title), .fields = (rows), .n = COUNT(rows), .pos_offset = offsetof(struct T, pos)

#define SECOND 1000
#define MINUTE (60 * SECOND)
#define DAY    (24 * 60 * MINUTE)
#define YEAR   (366LL * DAY)
#define TB     (1LL << 40)

/* ---- web ---------------------------------------------------------------------------------------
 */

static const struct field redirect_fields[] = {
    {"to", TEXT(redirect, to), .format = FMT_TARGET, .flags = REQUIRED,
     .doc = "Where to; `:splat` stands for what the `*` of the key matched."},
    {"status", INT(redirect, status), .words = "301 302 303 307 308", .def = "302",
     .doc = "The status of the answer; 301 and 308 are kept by browsers for good."},
};
static const struct shape redirect_shape = {SHAPE(redirect, "a redirect", redirect_fields),
                                            .shorthand = "to"};

static const struct field header_fields[] = {
    {"frame_ancestors", TEXTS(header_profile, frame_ancestors), .format = FMT_ORIGIN,
     .words = "* self none", .def = "self", .flags = ONE_OK,
     .doc = "Who may show these pages in a frame: `*` for everybody, self, none, or origins."},
    {"csp", TEXT(header_profile, csp), .format = FMT_HEADER_VALUE, .words = "off default",
     .def = "off",
     .doc =
         "Content-Security-Policy: off, a policy of your own, or `default`, which allows scripts "
         "and other content from the app's own origin only. {scripts}, {styles} and {nonce} are "
         "replaced."},
    {"cache_control", TEXT(header_profile, cache_control), .format = FMT_HEADER_VALUE,
     .words = "auto", .def = "auto",
     .doc = "Cache-Control; `auto` keeps files with a hash in their name for a year and asks again "
            "for everything else."},
    {"referrer_policy", TEXT(header_profile, referrer_policy), .format = FMT_WORD,
     .words = "off no-referrer no-referrer-when-downgrade origin origin-when-cross-origin "
              "same-origin strict-origin strict-origin-when-cross-origin unsafe-url",
     .def = "strict-origin-when-cross-origin", .doc = "Referrer-Policy, or off."},
    {"permissions_policy", TEXT(header_profile, permissions_policy), .format = FMT_HEADER_VALUE,
     .words = "off", .def = "off", .doc = "Permissions-Policy, or off."},
    {"coop", TEXT(header_profile, coop), .format = FMT_WORD,
     .words = "off same-origin same-origin-allow-popups unsafe-none", .def = "off",
     .doc = "Cross-Origin-Opener-Policy, or off."},
    {"hsts", DURATION(header_profile, hsts_ms), .words = "off", .def = "365d", .max = 10 * YEAR,
     .flags = UNSET_IS_MINUS_ONE,
     .doc = "How long browsers must use HTTPS only; sent over HTTPS only; off to send none."},
    {"extra", MAP_OF(header_profile, extra, FMT_HEADER_NAME, K_TEXT, value),
     .format = FMT_HEADER_VALUE, .flags = EMPTY_OK, .doc = "Further headers, name and value."},
};
const struct shape header_profile_shape = {SHAPE(header_profile, "a header profile", header_fields),
                                           .inherits = true};

static const struct field web_env_fields[] = {
    {"path", TEXT(web_env, path), .format = FMT_URLPATH, .flags = REQUIRED,
     .doc = "The path the script is served at."},
    {"values", MAP_OF(web_env, values, FMT_VARIABLE, K_TEXT, value), .flags = EMPTY_OK,
     .doc = "Names and values; `$PUBLIC_URL` and `$PUBLIC_...` are replaced. Everybody can read "
            "them."},
};
static const struct shape web_env_shape = {SHAPE(web_env, "web.env", web_env_fields)};

static const struct field rewrite_fields[] = {
    {"files", TEXT(rewrite_rule, files), .format = FMT_GLOB, .flags = REQUIRED,
     .doc = "Which files; without a slash, in any folder."},
    {"from", TEXT(rewrite_rule, from), .flags = REQUIRED, .doc = "The text to look for."},
    {"to", TEXT(rewrite_rule, to), .flags = REQUIRED | EMPTY_OK, .doc = "What replaces it."},
};
static const struct shape rewrite_shape = {SHAPE(rewrite_rule, "a rewrite", rewrite_fields)};

static const struct field web_fields[] = {
    {"root", TEXT(web_conf, root), .format = FMT_PATH, .def = "web",
     .doc = "The folder of the site's files; a folder in it serves its index.html."},
    {"build", TEXT(web_conf, build), .format = FMT_COMMAND,
     .doc = "The command that makes root, run in the app folder with DAIS_BASE set."},
    {"base", TEXT(web_conf, base), .format = FMT_PREFIX, .def = "/",
     .doc = "The path the app is served below when it has the origin for itself."},
    {"fallback", TEXT(web_conf, fallback), .format = FMT_PATH,
     .doc = "The file for paths nothing else answers (GET and HEAD, never for a path with a file "
            "extension): the page of a single-page app."},
    {"redirects", MAP(web_conf, redirects, FMT_PATTERN, redirect_shape),
     .doc = "Paths that moved, each with its new place or {to, status}."},
    {"mounts", MAP_OF(web_conf, mounts, FMT_PREFIX, K_TEXT, folder), .format = FMT_FOLDER,
     .doc = "Further folders of files, each below a path of its own; they may lie outside the app "
            "folder."},
    {"headers", MAP(web_conf, headers, FMT_PATTERN, header_profile_shape),
     .doc = "Header profiles per path; the most specific path that sets a key wins, the defaults "
            "come last."},
    {"errors", MAP_OF(web_conf, errors, FMT_STATUS, K_TEXT, file), .format = FMT_PATH,
     .doc = "Own error pages: status and file in root. For 404 whatever asks, unless it wants "
            "JSON; for "
            "others where a browser loads a page."},
    {"pages", MAP_OF(web_conf, pages, FMT_PATTERN, K_TEXT, file), .format = FMT_PATH,
     .doc = "Paths answered with one file of root when no file of that name exists."},
    {"env", OBJECT(web_conf, env, web_env_shape),
     .doc = "A script made when it is asked for, which sets values for the page."},
    {"rewrite", LIST(web_conf, rewrite, rewrite_shape),
     .doc = "Literal replacements in text files, done once and kept in memory, and in text answers "
            "of the backend, as they pass."},
};
static const struct shape web_shape = {SHAPE(web_conf, "web", web_fields)};

/* ---- collections and files
 * ------------------------------------------------------------------------ */

#define RULE(member, what) TEXT(rules, member), .format = FMT_RULE, .doc = "Who may " what "."
static const struct field rules_fields[] = {
    {"read", RULE(read, "read, list and search; of a job, see its state")},
    {"create", RULE(create, "create")},
    {"write", RULE(write, "change")},
    {"delete", RULE(del, "delete; as write when not given")},
    {"run", RULE(run, "run the job")},
};
static const struct shape rules_shape = {SHAPE(rules, "rules", rules_fields)};

static const struct field ref_fields[] = {
    {"to", TEXT(ref, to), .format = FMT_COLLECTION, .flags = REQUIRED,
     .doc = "The collection the field's value is an id of."},
    {"on_delete", TEXT(ref, on_delete), .format = FMT_WORD, .words = "restrict clear cascade",
     .def = "restrict", .doc = "What happens when the document it refers to is deleted."},
};
static const struct shape ref_shape = {SHAPE(ref, "a reference", ref_fields), .shorthand = "to"};

static const struct field collection_fields[] = {
    {"schema", TEXT(collection, schema), .format = FMT_PATH,
     .doc = "The JSON Schema of a document; without one, any object is accepted."},
    {"owner", BOOL(collection, owner), .def = "false",
     .doc = "Documents belong to whoever creates them; strangers get 404."},
    {"append_only", BOOL(collection, append_only), .def = "false",
     .doc = "Documents are never changed, only added and deleted."},
    {"versions", INT(collection, versions), .def = "0", .max = 10000,
     .doc = "How many versions of a document are kept, the present one included."},
    {"trash", DURATION(collection, trash_ms), .def = "30d", .max = 10 * YEAR,
     .doc = "How long a deleted document can be restored; 0 makes deleting final."},
    {"indexes", LISTS(collection, indexes), .format = FMT_FIELD,
     .doc = "Fields, or lists of fields, that filters and sorting use."},
    {"unique", LISTS(collection, unique), .format = FMT_FIELD,
     .doc = "Fields, or lists of fields, that no two documents may share."},
    {"search", TEXTS(collection, search), .format = FMT_FIELD, .flags = ONE_OK,
     .doc = "Fields that full-text search looks at."},
    {"hidden", TEXTS(collection, hidden), .format = FMT_FIELD, .flags = ONE_OK,
     .doc = "Fields that never leave the server and cannot be filtered by."},
    {"refs", MAP(collection, refs, FMT_FIELD, ref_shape),
     .doc = "Fields that hold the id of a document, each with its collection."},
    {"checks", TEXTS(collection, checks), .format = FMT_RULE, .flags = ONE_OK,
     .doc = "What must hold in every document beyond its schema: unique_keys(list, 'key'), "
            "refs_exist(list[].field, list, 'key'), acyclic(list, 'key', 'field')."},
    {"rules", OBJECT(collection, rules, rules_shape),
     .doc = "Who may do what; a missing rule denies, unless owner is true."},
};
static const struct shape collection_shape = {SHAPE(collection, "a collection", collection_fields)};

static const struct field quota_fields[] = {
    {"per", TEXT(quota, per), .format = FMT_WORD, .words = "user app", .def = "user",
     .doc = "Whose use is counted together."},
    {"window", TEXT(quota, window), .format = FMT_WORD, .words = "hour day week month",
     .def = "day", .doc = "The time after which runs and minutes are free again."},
    {"bytes", BYTES(quota, bytes), .max = 1024 * TB, .flags = UNSET_IS_MINUS_ONE,
     .doc = "Bytes of stored files."},
    {"runs", INT(quota, runs), .max = 1000000000, .flags = UNSET_IS_MINUS_ONE,
     .doc = "Runs of the job."},
    {"minutes", INT(quota, minutes), .max = 1000000000, .flags = UNSET_IS_MINUS_ONE,
     .doc = "Minutes of running."},
};
static const struct shape quota_shape = {SHAPE(quota, "a quota", quota_fields)};

static const struct field bucket_fields[] = {
    {"max", BYTES(bucket, max_bytes), .def = "100MB", .min = 1, .max = 1024 * TB,
     .doc = "The largest file."},
    {"types", TEXTS(bucket, types), .format = FMT_MEDIA, .flags = ONE_OK,
     .doc = "The media types that are accepted; none listed accepts all."},
    {"owner", BOOL(bucket, owner), .def = "true", .doc = "Files belong to whoever stores them."},
    {"scope", TEXT(bucket, scope), .format = FMT_WORD, .words = "app user", .def = "app",
     .doc = "Whether paths are the app's, or each account has its own."},
    {"visibility", TEXT(bucket, visibility), .format = FMT_WORD, .words = "rules choice",
     .def = "rules",
     .doc =
         "Whether the rules alone say who may read a file, or whoever may write it may also make "
         "it public."},
    {"quota", OBJECT(bucket, quota, quota_shape), .doc = "How much may be stored."},
    {"rules", OBJECT(bucket, rules, rules_shape), .doc = "Who may do what."},
};
static const struct shape bucket_shape = {SHAPE(bucket, "a bucket", bucket_fields)};

/* ---- jobs and publishing
 * --------------------------------------------------------------------------- */

static const struct field retries_fields[] = {
    {"max", INT(job_retries, max), .def = "3", .max = 100,
     .doc = "How often a run that failed but may succeed later is tried again."},
    {"backoff", RANGE(job_retries, backoff), .def = "10s..5m",
     .doc = "The pause before a retry: the first, and the longest."},
};
static const struct shape retries_shape = {SHAPE(job_retries, "retries", retries_fields),
                                           .shorthand = "max"};

static const struct field concurrency_fields[] = {
    {"total", INT(job_concurrency, total), .def = "1", .max = 10000,
     .doc = "Runs at the same time; 0 is no limit, which is also what `use` has without it."},
    {"per_user", INT(job_concurrency, per_user), .def = "0", .max = 10000,
     .doc = "Runs of one account at the same time; 0 is no limit."},
};
static const struct shape concurrency_shape = {
    SHAPE(job_concurrency, "concurrency", concurrency_fields), .shorthand = "total"};

static const struct field job_cache_fields[] = {
    {"key", TEXTS(job_cache, key), .flags = REQUIRED | ONE_OK,
     .doc = "Fields of the input, and quoted words, that make two runs the same."},
    {"ttl", DURATION(job_cache, ttl_ms), .def = "30d", .max = 10 * YEAR,
     .doc = "How long a result is used again."},
    {"scope", TEXT(job_cache, scope), .format = FMT_WORD, .words = "user app", .def = "user",
     .doc = "Whose results are used again: those of the same account, or everybody's."},
};
static const struct shape job_cache_shape = {SHAPE(job_cache, "cache", job_cache_fields)};

static const struct field job_limits_fields[] = {
    {"memory", BYTES(job_limits, memory_bytes), .def = "0", .max = 1024 * TB,
     .doc = "Memory of one run; 0 is no limit."},
    {"files", BYTES(job_limits, files_bytes), .def = "0", .max = 1024 * TB,
     .doc = "Bytes in the folder of one run; 0 is no limit."},
    {"output", BYTES(job_limits, output_bytes), .def = "100MB", .max = 1024 * TB,
     .doc = "Bytes that one run may print; 0 is no limit."},
    {"cpu", DURATION(job_limits, cpu_ms), .def = "0", .max = 30LL * DAY,
     .doc = "Processor time of one run; 0 is no limit."},
    {"open_files", INT(job_limits, open_files), .def = "1024", .min = 16, .max = 1048576,
     .doc = "Files that one process of a run may have open."},
};
static const struct shape job_limits_shape = {SHAPE(job_limits, "limits", job_limits_fields)};

/* The same names as in tasks/, which this room knows nothing of. */
const char job_tasks[] = "http.call mail.send export.run prune.run backup.run nothing";

static const struct field job_fields[] = {
    {"run", TEXT(job, run), .format = FMT_PATH,
     .doc = "The executable; it reads its input as JSON from standard input."},
    {"use", TEXT(job, use), .format = FMT_WORD, .words = job_tasks,
     .doc = "Instead of `run`, something dais does itself."},
    {"with", MAP_OF(job, with, FMT_VARIABLE, K_TEXT, value), .flags = EMPTY_OK,
     .doc = "What `use` works with; `$NAME` is replaced by a setting or a secret."},
    {"acts_as", TEXT(job, acts_as), .format = FMT_WORD, .words = "owner app", .def = "owner",
     .doc = "For whom its program speaks when it calls the API: whoever the run is for, or the app "
            "itself, which may do everything in it."},
    {"keep", DURATION(job, keep_ms), .def = "30d", .min = MINUTE, .max = 10 * YEAR,
     .doc = "How long a run that is over is kept."},
    {"input", TEXT(job, input), .format = FMT_PATH, .doc = "The JSON Schema of its input."},
    {"packages", TEXTS(job, packages), .format = FMT_PACKAGE, .flags = ONE_OK,
     .doc = "Packages of the system it needs."},
    {"env", MAP_OF(job, env, FMT_VARIABLE, K_TEXT, value), .flags = EMPTY_OK,
     .doc = "Its environment; `$NAME` is replaced by a setting or a secret."},
    {"secrets", TEXTS(job, secrets), .format = FMT_SECRET, .flags = ONE_OK,
     .doc = "The app's secrets it gets."},
    {"on", TEXTS(job, on), .format = FMT_EVENT, .flags = ONE_OK,
     .doc = "Events of collections, buckets and other jobs that start it."},
    {"schedule", TEXT(job, schedule), .format = FMT_CRON,
     .doc = "When it starts by itself, in UTC."},
    {"timeout", DURATION(job, timeout_ms), .def = "10m", .min = SECOND, .max = 30LL * DAY,
     .doc = "The longest run."},
    {"retries", OBJECT(job, retries, retries_shape), .doc = "What follows a failure."},
    {"concurrency", OBJECT(job, concurrency, concurrency_shape), .doc = "Runs at the same time."},
    {"quota", OBJECT(job, quota, quota_shape), .doc = "How much may be run."},
    {"cache", OBJECT(job, cache, job_cache_shape), .doc = "When an earlier result is used again."},
    {"limits", OBJECT(job, limits, job_limits_shape), .doc = "What one run may use."},
    {"rules", OBJECT(job, rules, rules_shape), .doc = "Who may run it and who sees its state."},
};
const struct shape job_shape = {SHAPE(job, "a job", job_fields)};

static const struct field publication_fields[] = {
    {"from", TEXT(publication, from), .format = FMT_NAME, .flags = REQUIRED,
     .doc = "The collection whose documents are published."},
    {"closure", TEXTS(publication, closure), .format = FMT_NAME, .flags = ONE_OK,
     .doc = "Collections whose documents go with it."},
    {"require", TEXTS(publication, require), .format = FMT_FIELD, .flags = ONE_OK,
     .doc = "Confirmations that must be given."},
    {"page", PATTERN(publication, page), .doc = "The page of the app that shows it."},
    {"limit", RATE(publication, limit), .words = "off", .def = "5/min",
     .doc = "How often one account may publish."},
};
static const struct shape publication_shape = {
    SHAPE(publication, "a kind of publication", publication_fields)};

/* ---- accounts, backend, operation
 * ------------------------------------------------------------------- */

static const struct field auth_fields[] = {
    {"signup", TEXT(auth_conf, signup), .format = FMT_WORD, .words = "open invite closed",
     .def = "closed", .doc = "Who may make an account."},
    {"methods", TEXTS(auth_conf, methods), .format = FMT_WORD, .words = "password magic_link",
     .def = "password", .flags = ONE_OK, .doc = "How people sign in."},
    {"session", DURATION(auth_conf, session_ms), .def = "30d", .min = MINUTE, .max = 10 * YEAR,
     .doc = "How long somebody stays signed in."},
    {"roles", TEXTS(auth_conf, roles), .format = FMT_NAME, .flags = ONE_OK,
     .doc = "The roles an account can have."},
    {"local", TEXT(auth_conf, local), .format = FMT_WORD, .words = "accounts none",
     .def = "accounts",
     .doc = "`none`: on a loopback address everybody is the user `local`, with all roles."},
};
static const struct shape auth_shape = {SHAPE(auth_conf, "auth", auth_fields)};

static const struct field websocket_fields[] = {
    {"idle", DURATION(websocket_conf, idle_ms), .def = "120s", .min = SECOND, .max = DAY,
     .doc = "Silence after which a connection is closed."},
    {"max_message", BYTES(websocket_conf, max_message_bytes), .def = "1MB", .min = 1, .max = TB,
     .doc = "The largest message of a client, all its frames together."},
    {"max_session", BYTES(websocket_conf, max_session_bytes), .def = "0", .max = TB,
     .doc = "The most bytes a client may send over one connection; 0 is no limit."},
    {"origins", TEXTS(websocket_conf, origins), .format = FMT_ORIGIN, .words = "* self",
     .def = "self", .flags = ONE_OK, .doc = "Whose pages may connect."},
};
static const struct shape websocket_shape = {SHAPE(websocket_conf, "websocket", websocket_fields)};

static const struct field identity_fields[] = {
    {"header", TEXT(identity_conf, header), .format = FMT_HEADER_NAME, .flags = REQUIRED,
     .doc = "The header that tells the backend who is signed in."},
    {"value", TEXT(identity_conf, value), .format = FMT_HEADER_VALUE, .def = "{user.id}",
     .doc = "Its value; {user.id}, {user.email}, {user.name}, {user.roles} and {jwt}, a signed "
            "token, are replaced."},
};
static const struct shape identity_shape = {SHAPE(identity_conf, "identity", identity_fields)};

static const struct field access_fields[] = {
    {"any", TEXT(access_row, any), .format = FMT_ACCESS, .doc = "The rule for every method."},
    {"read", TEXT(access_row, read), .format = FMT_ACCESS,
     .doc = "The rule for GET, HEAD and OPTIONS."},
    {"write", TEXT(access_row, write), .format = FMT_ACCESS, .doc = "The rule for the rest."},
};
static const struct shape access_shape = {SHAPE(access_row, "access", access_fields),
                                          .shorthand = "any"};

static const struct field bounds_fields[] = {
    {"timeout", DURATION(bounds_row, timeout_ms), .min = 100, .max = DAY,
     .flags = UNSET_IS_MINUS_ONE, .doc = "The longest wait; that of the backend when not given."},
    {"max_body", BYTES(bounds_row, max_body_bytes), .min = 1, .max = TB,
     .flags = UNSET_IS_MINUS_ONE,
     .doc = "The largest request body; that of the backend when not given."},
};
static const struct shape bounds_shape = {SHAPE(bounds_row, "bounds", bounds_fields)};

static const struct field health_fields[] = {
    {"path", TEXT(health_conf, path), .format = FMT_URLPATH,
     .doc = "The path that answers 2xx when the backend is ready and while it is well; without one "
            "a connection that opens is enough."},
    {"deep", TEXTS(health_conf, deep), .format = FMT_URLPATH, .flags = ONE_OK,
     .doc = "Paths that look at what is behind it, a database say: asked once it is ready, then as "
            "often as path."},
    {"every", DURATION(health_conf, every_ms), .def = "10s", .min = SECOND, .max = DAY,
     .doc = "The time between two checks."},
    {"timeout", DURATION(health_conf, timeout_ms), .def = "3s", .min = 100, .max = DAY,
     .doc = "The longest answer."},
    {"restart_after", INT(health_conf, restart_after), .def = "3", .max = 1000,
     .doc = "Failed checks in a row, of path or of one deep path, after which the process is "
            "restarted; twice as many each time that did not help; 0 is never."},
};
static const struct shape health_shape = {SHAPE(health_conf, "health", health_fields),
                                          .shorthand = "path"};

static const struct field backend_limits_fields[] = {
    {"memory", BYTES(backend_limits, memory_bytes), .def = "0", .max = 1024 * TB,
     .doc = "Memory of one process with all it starts; above it is restarted. 0 is no limit."},
};
static const struct shape backend_limits_shape = {
    SHAPE(backend_limits, "limits", backend_limits_fields)};

static const struct field backend_fields[] = {
    {"run", TEXT(backend_conf, run), .format = FMT_COMMAND,
     .doc = "The command that starts the backend, which listens at $PORT or at $DAIS_SOCKET."},
    {"url", TEXT(backend_conf, url), .format = FMT_URL,
     .doc = "The address of a backend that something else runs; instead of run."},
    {"setup", TEXT(backend_conf, setup), .format = FMT_COMMAND,
     .doc = "A command run once per release in the app folder, before the first start."},
    {"setup_timeout", DURATION(backend_conf, setup_timeout_ms), .def = "15m", .min = SECOND,
     .max = DAY, .doc = "The longest run of setup."},
    {"packages", TEXTS(backend_conf, packages), .format = FMT_PACKAGE, .flags = ONE_OK,
     .doc = "Packages of the system it needs; it is not started without them."},
    {"env", MAP_OF(backend_conf, env, FMT_VARIABLE, K_TEXT, value), .flags = EMPTY_OK,
     .doc = "Its environment; `$NAME` is replaced by a setting or a secret."},
    {"secrets", TEXTS(backend_conf, secrets), .format = FMT_SECRET, .flags = ONE_OK,
     .doc = "The app's secrets it gets; all of them when not given, none with an empty list."},
    {"routes", TEXTS(backend_conf, routes), .format = FMT_URLPATH, .flags = ONE_OK,
     .doc = "The paths it answers; the longest one wins."},
    {"static_first", TEXTS(backend_conf, static_first), .format = FMT_URLPATH, .flags = ONE_OK,
     .doc = "Paths answered by a file if there is one, else by the backend."},
    {"strip", TEXTS(backend_conf, strip), .format = FMT_URLPATH, .flags = ONE_OK,
     .doc = "Starts of paths removed before forwarding."},
    {"timeout", DURATION(backend_conf, timeout_ms), .def = "60s", .min = 100, .max = DAY,
     .doc = "The longest wait for an answer to begin, and then for its next piece."},
    {"max_body", BYTES(backend_conf, max_body_bytes), .def = "100MB", .max = TB,
     .doc = "The largest request body."},
    {"cache", BYTES(backend_conf, cache_bytes), .def = "0", .max = TB,
     .doc = "Memory for answers that the backend calls public, to give them again; 0 is none."},
    {"bounds", MAP(backend_conf, bounds, FMT_URLPATH, bounds_shape),
     .doc = "Other bounds for some of its paths; the longest start of a path decides."},
    {"instances", INT(backend_conf, instances), .def = "1", .min = 1, .max = 64,
     .doc = "Processes at the same time; each knows its number from $DAIS_INSTANCE."},
    {"sticky", TEXT(backend_conf, sticky), .format = FMT_WORD, .words = "none cookie",
     .def = "none", .doc = "Whether a visitor stays with one instance, by a cookie of dais."},
    {"websocket", OBJECT(backend_conf, websocket, websocket_shape), .doc = "Limits of WebSockets."},
    {"identity", OBJECT(backend_conf, identity, identity_shape),
     .doc = "How the backend learns who is signed in."},
    {"access", MAP(backend_conf, access, FMT_URLPATH, access_shape),
     .doc =
         "Who may use which paths: the longest start of a path decides, `{user.id}` in it is the "
         "caller's own; what is not listed is public."},
    {"health", OBJECT(backend_conf, health, health_shape), .doc = "How it is watched."},
    {"limits", OBJECT(backend_conf, limits, backend_limits_shape),
     .doc = "What one process may use."},
    {"persist", TEXTS(backend_conf, persist), .format = FMT_PATH, .flags = ONE_OK,
     .doc = "Folders and files it writes that must survive a deployment: kept in the data folder, "
            "with a link in their place."},
};
static const struct shape backend_shape = {SHAPE(backend_conf, "backend", backend_fields)};

static const struct field cors_fields[] = {
    {"origins", TEXTS(cors_conf, origins), .format = FMT_ORIGIN, .words = "*", .flags = ONE_OK,
     .doc = "Whose pages may call this app; a `*.` stands for one label of a name or more."},
    {"credentials", BOOL(cors_conf, credentials), .def = "false",
     .doc = "Whether they may do so as the person signed in."},
};
static const struct shape cors_shape = {SHAPE(cors_conf, "cors", cors_fields)};

static const struct field keep_fields[] = {
    {"daily", INT(backup_keep, daily), .def = "14", .max = 3650, .doc = "Backups kept, one a day."},
    {"weekly", INT(backup_keep, weekly), .def = "8", .max = 520,
     .doc = "Backups kept, one a week."},
    {"monthly", INT(backup_keep, monthly), .def = "6", .max = 1200,
     .doc = "Backups kept, one a month."},
};
static const struct shape keep_shape = {SHAPE(backup_keep, "keep", keep_fields)};

static const struct field backups_fields[] = {
    {"schedule", TEXT(backups_conf, schedule), .format = FMT_CRON, .words = "off",
     .def = "0 3 * * *", .doc = "When, in UTC: the job `backups` does it; off for never."},
    {"keep", OBJECT(backups_conf, keep, keep_shape), .doc = "How many are kept."},
    {"to", TEXT(backups_conf, to), .def = "data/backups",
     .doc = "The folder they are in, each app's in one of its own: `data/…` is in the data folder, "
            "wherever that is, other relative paths are in the app's."},
};
static const struct shape backups_shape = {SHAPE(backups_conf, "backups", backups_fields)};

static const struct field tls_fields[] = {
    {"cert", TEXT(tls_conf, cert), .format = FMT_FOLDER, .flags = REQUIRED,
     .doc = "The certificate chain, PEM."},
    {"key", TEXT(tls_conf, key), .format = FMT_FOLDER, .flags = REQUIRED, .doc = "Its key, PEM."},
};
static const struct shape tls_shape = {SHAPE(tls_conf, "tls", tls_fields)};

static const struct field target_fields[] = {
    {"kind", TEXT(target, kind), .format = FMT_WORD, .flags = REQUIRED,
     .words = "ssh aws gcp azure droplet pythonanywhere pages local",
     .doc = "What kind of place it is."},
    {"host", TEXT(target, host), .format = FMT_DESTINATION, .doc = "Where to connect to."},
    {"domain", TEXT(target, domain), .format = FMT_HOSTNAME, .doc = "The host name it answers at."},
    {"env", MAP_OF(target, env, FMT_VARIABLE, K_TEXT, value), .flags = EMPTY_OK,
     .doc = "Settings there, written as they are; `$$` is a dollar."},
    {"admin_email", TEXT(target, admin_email), .format = FMT_EMAIL,
     .doc = "Who the first operator is."},
    {"region", TEXT(target, region), .doc = "The cloud's region."},
    {"compute", TEXT(target, compute), .format = FMT_WORD,
     .words = "vm express fargate apprunner cloudrun containerapp",
     .doc = "What it runs on in a cloud."},
    {"remote", TEXT(target, remote), .doc = "The Git remote of a pages target."},
    {"base", TEXT(target, base), .format = FMT_PREFIX, .doc = "The path it is served below."},
    {"api", TEXT(target, api), .format = FMT_URL, .doc = "The server a pages target talks to."},
};
static const struct shape target_shape = {SHAPE(target, "a target", target_fields)};

/* ---- dais.yaml and host.yaml
 * --------------------------------------------------------------------------- */

static const struct field manifest_fields[] = {
    {"app", TEXT(manifest, slug), .format = FMT_SLUG, .flags = REQUIRED,
     .doc = "The app's short name, used in paths and folders."},
    {"title", TEXT(manifest, title), .doc = "Its name for people; the short name when not given."},
    {"description", TEXT(manifest, description),
     .doc = "What it is, in one sentence; shown on the host's home page."},
    {"hosts", TEXTS(manifest, hosts), .format = FMT_HOSTNAME, .flags = ONE_OK,
     .doc = "Host names it answers at; without any it has a path of the host."},
    {"web", OBJECT(manifest, web, web_shape),
     .doc = "The site: static files and how to serve them."},
    {"api", TEXT(manifest, api), .format = FMT_PREFIX, .def = "/api/",
     .doc = "The path of dais's own API; /dais/ when a backend route covers /api/."},
    {"collections", MAP(manifest, collections, FMT_COLLECTION, collection_shape),
     .doc = "Kinds of documents the app stores."},
    {"files", MAP(manifest, files, FMT_NAME, bucket_shape),
     .doc = "Buckets of files people upload."},
    {"jobs", MAP(manifest, jobs, FMT_NAME, job_shape),
     .doc = "Work that takes longer than a request."},
    {"publish", MAP(manifest, publish, FMT_NAME, publication_shape), .flags = LATER,
     .doc = "Kinds of documents people can publish."},
    {"auth", OBJECT(manifest, auth, auth_shape),
     .doc = "Accounts; without it everybody is the user `local`, on loopback addresses only."},
    {"limits", MAP_OF(manifest, limits, FMT_LIMIT, K_RATE, rate), .words = "off",
     .doc = "How often an account, or an address without one, may do something; a method may be "
            "`*`. Names count with `auth`; `publish` is for what later versions bring."},
    {"secrets", TEXTS(manifest, secrets), .format = FMT_SECRET, .flags = ONE_OK,
     .doc = "Variables that hold secrets; `?` marks one that may be missing, `*` at the end means "
            "all that start so."},
    {"backend", OBJECT(manifest, backend, backend_shape),
     .doc = "The app's own server, run or reached by dais."},
    {"cors", OBJECT(manifest, cors, cors_shape),
     .doc =
         "Which other sites' pages may call this app; without it the backend's own word counts."},
    {"backups", OBJECT(manifest, backups, backups_shape),
     .doc = "When backups are made and how many are kept; nothing is scheduled where it is not "
            "written."},
    {"tls", OBJECT(manifest, tls, tls_shape), .flags = LATER,
     .doc = "A certificate of your own for the app's host names."},
    {"deploy", MAP(manifest, deploy, FMT_NAME, target_shape), .flags = LATER,
     .doc = "The places the app is deployed to."},
};
const struct shape manifest_shape = {.name = "dais.yaml",
                                     .fields = manifest_fields,
                                     .n = COUNT(manifest_fields),
                                     .pos_offset = NO_POS};

static const struct field host_limits_fields[] = {
    {"connections", INT(host_limits, connections), .min = 16, .max = 10000000,
     .doc = "Connections at the same time, shared out among the threads; further ones get 503. As "
            "many as descriptors allow when not given."},
    {"max_body", BYTES(host_limits, max_body_bytes), .def = "100MB", .min = 1024, .max = TB,
     .flags = LATER, .doc = "The largest request body of any app."},
};
static const struct shape host_limits_shape = {SHAPE(host_limits, "limits", host_limits_fields)};

static const struct field host_fields[] = {
    {"apps", TEXTS(host_conf, apps), .format = FMT_FOLDER, .flags = REQUIRED | ONE_OK | NONE_OK,
     .doc = "The folders of the apps, relative to host.yaml."},
    {"title", TEXT(host_conf, title), .def = "Apps", .doc = "The title of the home page."},
    {"listen", TEXTS(host_conf, listen), .format = FMT_ADDRESS, .flags = ONE_OK,
     .doc = "Where to listen; DAIS_LISTEN when not given."},
    {"hosts", MAP_OF(host_conf, hosts, FMT_SLUG, K_TEXTS, names), .format = FMT_HOSTNAME,
     .doc = "Host names of apps, by the app's short name; the others have a path each."},
    {"data", TEXT(host_conf, data), .format = FMT_FOLDER, .def = "data",
     .doc = "The folder for everything dais writes."},
    {"limits", OBJECT(host_conf, limits, host_limits_shape), .doc = "Limits of the whole host."},
    {"tls", OBJECT(host_conf, tls, tls_shape), .flags = LATER,
     .doc = "A certificate of your own for all apps."},
};
const struct shape host_shape = {
    .name = "host.yaml", .fields = host_fields, .n = COUNT(host_fields), .pos_offset = NO_POS};
