/* Settings: flags before the environment before .env before the store before the manifest before
 * defaults. */
#include "manifest/check_impl.h"

#include <arpa/inet.h>
#include <string.h>
#include <sys/stat.h>

#define SECRET_MAX (64 << 10) /* as in .env; a process could not be given more */

static bool is_port(struct slice s);
static bool is_database(struct slice s);
static bool is_storage(struct slice s);
static bool is_bool(struct slice s);
static bool is_url(struct slice s);
static bool is_redis(struct slice s);
static bool is_smtp(struct slice s);
static bool is_sender(struct slice s);
static bool is_listen(struct slice s);
static bool is_proxies(struct slice s);
static bool is_threads(struct slice s);
static bool is_log(struct slice s);

struct setting_row {
    const char *name, *def, *doc;
    bool (*is_ok)(struct slice s); /* NULL: anything */
    const char *expects;           /* after "it must be" */
    bool secret;
};

static const struct setting_row rows[SETTING_COUNT] = {
    [SET_LISTEN] = {"DAIS_LISTEN", "127.0.0.1:8000", "Where to listen.", is_listen,
                    "an address such as 127.0.0.1:8000, [::1]:8000, :8000 or unix:/path", false},
    [SET_PORT] = {"PORT", NULL, "Changes only the port of DAIS_LISTEN.", is_port,
                  "a number from 0 to 65535", false},
    [SET_DATA] = {"DAIS_DATA", "data", "The folder for everything dais writes.", NULL, NULL, false},
    [SET_DATABASE_URL] =
        {"DATABASE_URL", NULL,
         "The database: sqlite:///relative, sqlite:////absolute, postgres:// or postgresql://; "
         "files in the data folder when not set.",
         is_database,
         "sqlite:///path for a file or postgres://user@host/name for a server; no other database "
         "is "
         "supported",
         true},
    [SET_STORAGE_BACKEND] = {"STORAGE_BACKEND", "local", "Where files are kept: local or s3.",
                             is_storage, "local or s3", false},
    [SET_S3_BUCKET] = {"S3_BUCKET", NULL, "The bucket.", NULL, NULL, false},
    [SET_S3_REGION] = {"S3_REGION", NULL, "Its region; AWS_REGION when not set.", NULL, NULL,
                       false},
    [SET_S3_ENDPOINT_URL] = {"S3_ENDPOINT_URL", NULL, "The server, when it is not Amazon's.",
                             is_url, "an http:// or https:// address", false},
    [SET_S3_PREFIX] = {"S3_PREFIX", NULL, "Put before every key in the bucket.", NULL, NULL, false},
    [SET_S3_ACCESS_KEY_ID] = {"S3_ACCESS_KEY_ID", NULL,
                              "The key's id; AWS_ACCESS_KEY_ID when not set.", NULL, NULL, false},
    [SET_S3_SECRET_ACCESS_KEY] = {"S3_SECRET_ACCESS_KEY", NULL,
                                  "The key; AWS_SECRET_ACCESS_KEY when not set.", NULL, NULL, true},
    [SET_S3_FORCE_PATH_STYLE] = {"S3_FORCE_PATH_STYLE", "false",
                                 "Puts the bucket into the path instead of the host name.", is_bool,
                                 "true or false", false},
    [SET_AWS_REGION] = {"AWS_REGION", NULL, "The region of Amazon's services.", NULL, NULL, false},
    [SET_AWS_DEFAULT_REGION] = {"AWS_DEFAULT_REGION", NULL,
                                "The region when AWS_REGION is not set.", NULL, NULL, false},
    [SET_AWS_PROFILE] = {"AWS_PROFILE", NULL, "The profile in ~/.aws.", NULL, NULL, false},
    [SET_AWS_ACCESS_KEY_ID] = {"AWS_ACCESS_KEY_ID", NULL, "The id of Amazon's key.", NULL, NULL,
                               false},
    [SET_AWS_SECRET_ACCESS_KEY] = {"AWS_SECRET_ACCESS_KEY", NULL, "Amazon's key.", NULL, NULL,
                                   true},
    [SET_AWS_SESSION_TOKEN] = {"AWS_SESSION_TOKEN", NULL, "The token of a temporary key.", NULL,
                               NULL, true},
    [SET_REDIS_URL] =
        {"REDIS_URL", NULL,
         "Through which servers that share a Postgres wake each other up when there is work, "
         "redis://user:password@host:6379/0 or unix://user:password@/path, Redis 6 or newer; not "
         "needed: without it Postgres does that.",
         is_redis, "a redis:// or rediss:// address", true},
    [SET_SMTP_URL] =
        {"SMTP_URL", NULL,
         "The mail server, smtp://user:password@host:587 or smtps://…; without one mail is "
         "put into the folder mail of the data folder, and its link onto the console.",
         is_smtp, "a smtp:// or smtps:// address", true},
    [SET_MAIL_FROM] = {"MAIL_FROM", NULL, "The sender of mail; most servers take none without.",
                       is_sender, "an e-mail address, or Name <address>", false},
    [SET_PUBLIC_URL] =
        {"PUBLIC_URL", NULL,
         "The address people use, for links in mail and feeds, and who tokens are from.", is_url,
         "an http:// or https:// address", false},
    [SET_SECRET] = {"DAIS_SECRET", NULL,
                    "The secret tokens are made with; when not set, made once at data/secret.",
                    NULL, NULL, true},
    [SET_TRUSTED_PROXIES] =
        {"DAIS_TRUSTED_PROXIES", NULL,
         "Addresses or networks whose forwarding headers are believed, separated "
         "by commas; the words loopback and private name the usual ones.",
         is_proxies,
         "addresses such as 10.0.0.1 or networks such as 10.0.0.0/8, "
         "separated by commas",
         false},
    [SET_THREADS] = {"DAIS_THREADS", NULL, "Threads that serve; as many as cores when not set.",
                     is_threads, "a number from 1 to 64", false},
    [SET_LOG] =
        {"DAIS_LOG", "info",
         "The log: a level (debug, info, warn, error), json or text, and a file, separated by "
         "commas.",
         is_log,
         "a level (debug, info, warn, error), json or text, and a file with a `/` in "
         "its path, separated by commas",
         false},
};

/* ---- checks
 * --------------------------------------------------------------------------------------- */

static bool starts_one_of(const char *prefixes, struct slice s)
{
    struct slice prefix;
    while (words_next(&prefixes, &prefix)) {
        if (slice_starts(s, prefix) && s.len > prefix.len)
            return true;
    }
    return false;
}

static bool is_port(struct slice s)
{
    uint64_t n;
    return slice_to_u64(s, &n) && n <= 65535;
}

static bool is_database(struct slice s)
{
    return starts_one_of("sqlite:/// postgres:// postgresql://", s);
}

static bool is_storage(struct slice s)
{
    return words_have("local s3", s);
}

static bool is_bool(struct slice s)
{
    return words_have("true false", s);
}

static bool is_url(struct slice s)
{
    return format_ok(FMT_URL, s);
}

static bool is_redis(struct slice s)
{
    return starts_one_of("redis:// rediss:// unix://", s);
}

static bool is_smtp(struct slice s)
{
    return starts_one_of("smtp:// smtps://", s);
}

static bool is_sender(struct slice s)
{
    ptrdiff_t open = slice_index(s, '<');
    if (open >= 0 && s.ptr[s.len - 1] == '>')
        s = slice_first(slice_skip(s, (size_t)open + 1), s.len - (size_t)open - 2);
    return format_ok(FMT_EMAIL, s);
}

static bool is_listen(struct slice s)
{
    return format_ok(FMT_ADDRESS, s);
}

static bool is_network(struct slice s)
{
    char host[INET6_ADDRSTRLEN];
    unsigned char bytes[16];
    struct slice address = {"", 0};
    uint64_t bits = 0;
    bool has_bits = slice_index(s, '/') >= 0;
    slice_cut(&s, '/', &address);
    if (address.len == 0 || address.len >= sizeof host)
        return false;
    memcpy(host, address.ptr, address.len);
    host[address.len] = '\0';
    int max = inet_pton(AF_INET, host, bytes) == 1    ? 32
              : inet_pton(AF_INET6, host, bytes) == 1 ? 128
                                                      : -1;
    return max > 0 && (!has_bits || (slice_to_u64(s, &bits) && bits <= (uint64_t)max));
}

static bool is_proxies(struct slice s)
{
    struct slice one;
    while (slice_cut(&s, ',', &one)) {
        one = slice_trim(one);
        if (!slice_is(one, "loopback") && !slice_is(one, "private") && !is_network(one))
            return false;
    }
    return true;
}

static bool is_threads(struct slice s)
{
    uint64_t n;
    return slice_to_u64(s, &n) && n >= 1 && n <= 64;
}

static bool is_log(struct slice s)
{
    struct arena a;
    struct log_conf conf;
    arena_init(&a, 1 << 20);
    bool ok = log_conf_parse(s, &a, &conf, NULL);
    arena_done(&a);
    return ok;
}

static bool log_word(struct slice word, struct log_conf *conf)
{
    static const char *const levels[] = {"debug", "info", "warn", "error"};
    for (int i = 0; i < 4; i++) {
        if (slice_is(word, levels[i])) {
            conf->level = (enum log_level)i;
            return true;
        }
    }
    if (!slice_is(word, "json") && !slice_is(word, "text"))
        return false;
    conf->format = slice_is(word, "json") ? LOG_JSON : LOG_TEXT;
    return true;
}

bool log_conf_parse(struct slice text, struct arena *a, struct log_conf *ret, struct err *e)
{
    struct log_conf conf = {.level = LOG_INFO, .format = LOG_AUTO};
    struct slice word;
    while (slice_cut(&text, ',', &word)) {
        word = slice_trim(word);
        if (log_word(word, &conf))
            continue;
        if (slice_index(word, '/') < 0 || word.len > 1000)
            return err_set(e, ERR_USAGE,
                           "`%.*s` in DAIS_LOG is neither a level (debug, info, warn, "
                           "error) nor json or text; a file needs a `/` in its path",
                           SHOWN(word));
        conf.path = arena_cstr(a, word);
    }
    *ret = conf;
    return true;
}

/* ---- where a value comes from
 * ------------------------------------------------------------------------ */

bool setting_is_known(struct slice name)
{
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        if (slice_is(name, rows[i].name))
            return true;
    }
    return false;
}

size_t settings_secrets(const struct settings *s, struct slice ret[SETTING_COUNT])
{
    size_t n = 0;
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        if (rows[i].secret && s->of[i].value.len)
            ret[n++] = s->of[i].value;
    }
    return n;
}

static bool environ_find(const struct settings *s, struct slice name, struct slice *ret)
{
    for (const char *const *it = s->environ_; it && *it; it++) {
        struct slice entry = slice_from(*it);
        if (entry.len > name.len && entry.ptr[name.len] == '=' && slice_starts(entry, name)) {
            *ret = slice_skip(entry, name.len + 1);
            return true;
        }
    }
    return false;
}

static const struct pair *dotenv_find(const struct settings *s, struct slice name)
{
    for (size_t i = 0; i < s->dotenv.n; i++) {
        if (slice_eq(s->dotenv.items[i].key.s, name))
            return &s->dotenv.items[i];
    }
    return NULL;
}

/* A secret's file; a newline at its end is the editor's. */
static bool read_secret(const struct settings *s, struct slice path, struct problems *p,
                        struct slice *ret)
{
    struct slice text;
    struct stat st;
    const char *file = arena_cstr(s->arena, path);
    if (stat(file, &st) == 0 && st.st_size > SECRET_MAX) {
        problems_add(p, PROBLEM_ERROR, slice_from(file), (struct pos){0},
                     "a secret is at most %d KB long; name the file in the app's own way",
                     SECRET_MAX >> 10);
        return false;
    }
    if (!text_file_read(s->arena, file, "", p, &text))
        return false;
    while (text.len && (text.ptr[text.len - 1] == '\n' || text.ptr[text.len - 1] == '\r'))
        text.len--;
    *ret = arena_dup(s->arena, text);
    return true;
}

static bool from_environ(const struct settings *s, struct slice name, struct problems *p,
                         struct setting *to)
{
    struct slice path, file = arena_printf(s->arena, "%.*s_FILE", SLICE_ARGS(name));
    *to = (struct setting){.source = SOURCE_ENVIRONMENT, .from = SLICE("environment")};
    if (environ_find(s, name, &to->value) && to->value.len) /* NAME= is how shells unset */
        return true;
    if (!environ_find(s, file, &path) || path.len == 0)
        return false;
    to->from = file;
    return read_secret(s, path, p, &to->value);
}

static bool from_dotenv(const struct settings *s, struct slice name, struct problems *p,
                        struct setting *to)
{
    struct slice file = arena_printf(s->arena, "%.*s_FILE", SLICE_ARGS(name));
    const struct pair *pair = dotenv_find(s, name), *path = dotenv_find(s, file);
    if (!pair && !path)
        return false;
    uint32_t line = (pair ? pair : path)->key.pos.line;
    *to = (struct setting){.source = SOURCE_DOTENV};
    to->from = arena_printf(s->arena, ".env line %u", line);
    if (pair) {
        to->value = pair->value.s;
        return true;
    }
    return read_secret(s, path_join(s->arena, s->dir, path->value.s), p, &to->value);
}

/* The app's own before the host's. */
static bool from_store(const struct settings *s, struct slice name, struct setting *to)
{
    const struct stored *found = NULL;
    for (size_t i = 0; i < s->n_stored; i++) {
        const struct stored *it = &s->stored[i];
        bool is_own = s->app.len && slice_eq(it->app, s->app);
        if (slice_eq(it->name, name) && (is_own || (!it->app.len && !found)))
            found = it;
    }
    if (found)
        *to = (struct setting){found->value, SLICE("the store of secrets"), SOURCE_STORE};
    return found != NULL;
}

bool settings_look(const struct settings *s, struct slice name, struct problems *p,
                   struct setting *ret)
{
    return from_environ(s, name, p, ret) || from_dotenv(s, name, p, ret) ||
           from_store(s, name, ret);
}

static void choose(struct settings *s, const struct settings_sources *from, enum setting_id id,
                   struct problems *p)
{
    struct slice name = slice_from(rows[id].name);
    struct setting one;
    struct setting *to = &s->of[id];
    if (from->flags[id])
        *to = (struct setting){slice_from(from->flags[id]), SLICE("the command line"), SOURCE_FLAG};
    else if (settings_look(s, name, p, &one))
        *to = one;
    else if (from->manifest[id])
        *to = (struct setting){slice_from(from->manifest[id]), SLICE("the manifest"),
                               SOURCE_MANIFEST};
    else
        *to = (struct setting){slice_from(rows[id].def), SLICE("default"), SOURCE_DEFAULT};
}

static void check_one(struct settings *s, enum setting_id id, struct problems *p)
{
    const struct setting_row *row = &rows[id];
    struct setting *it = &s->of[id];
    if (it->value.len == 0 || !row->is_ok || row->is_ok(it->value))
        return;
    struct slice scheme = it->value;
    ptrdiff_t end = slice_search(scheme, SLICE("://"));
    if (row->secret && end < 0)
        scheme.len = 0;
    else if (row->secret)
        scheme.len = (size_t)end + 3; /* what follows may be a password */
    problems_add(p, PROBLEM_ERROR, SLICE("settings"), (struct pos){0, 0},
                 "%s is `%.*s%s` (from %.*s); it must be %s", row->name, SHOWN(scheme),
                 row->secret ? "..." : "", SLICE_ARGS(it->from), row->expects);
}

static void load_dotenv(struct settings *s, struct problems *p)
{
    struct slice path = path_join(s->arena, s->dir, SLICE(".env")), text;
    if (!path_exists(path.ptr)) /* the usual case */
        return;
    if (text_file_read(s->arena, path.ptr, "", p, &text))
        s->dotenv = dotenv_parse(s->arena, text, path.ptr, p);
}

void settings_load(struct arena *a, const struct settings_sources *from, struct problems *p,
                   struct settings *ret)
{
    *ret = (struct settings){.arena = a, .environ_ = from->environ_};
    ret->dir = arena_dup(a, slice_from(from->dir));
    if (from->dir)
        load_dotenv(ret, p);
    for (int id = 0; id < SETTING_COUNT; id++) {
        choose(ret, from, (enum setting_id)id, p);
        check_one(ret, (enum setting_id)id, p);
    }
}

void settings_add_stored(struct settings *s, const struct stored *stored, size_t n,
                         struct problems *p)
{
    s->stored = stored;
    s->n_stored = n;
    for (int id = 0; id < SETTING_COUNT; id++) {
        if (s->of[id].source <= SOURCE_MANIFEST &&
            from_store(s, slice_from(rows[id].name), &s->of[id]))
            check_one(s, (enum setting_id)id, p);
    }
}

struct settings settings_of_app(const struct settings *s, struct slice app)
{
    struct settings of = *s;
    of.app = app;
    return of;
}

/* ---- asking
 * -------------------------------------------------------------------------------------------- */

struct setting_about setting_about(enum setting_id id)
{
    must(id < SETTING_COUNT);
    return (struct setting_about){rows[id].name, rows[id].def, rows[id].doc, rows[id].secret};
}

struct slice settings_get(const struct settings *s, enum setting_id id)
{
    must(id < SETTING_COUNT);
    return s->of[id].value;
}

bool settings_find(const struct settings *s, struct slice name, struct slice *ret)
{
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        if (slice_is(name, rows[i].name) && s->of[i].value.len) {
            *ret = s->of[i].value;
            return true;
        }
    }
    struct problems unread;
    struct setting one;
    problems_init(&unread, s->arena);
    if (!settings_look(s, name, &unread, &one))
        return false;
    *ret = one.value;
    return true;
}

struct slice settings_listen(const struct settings *s, struct arena *a)
{
    struct slice listen = s->of[SET_LISTEN].value, port = s->of[SET_PORT].value;
    if (!port.len || s->of[SET_LISTEN].source > s->of[SET_PORT].source ||
        slice_starts(listen, SLICE("unix:")))
        return arena_dup(a, listen);
    ptrdiff_t colon = slice_rindex(listen, ':');
    struct slice host = colon < 0 ? listen : slice_first(listen, (size_t)colon);
    return arena_printf(a, "%.*s:%.*s", SLICE_ARGS(host), SLICE_ARGS(port));
}

const char *settings_data_dir(const struct settings *s, const struct site *site)
{
    const struct setting *set = &s->of[SET_DATA];
    if (set->source > SOURCE_MANIFEST)
        return arena_cstr(s->arena, set->value);
    struct slice name = site->host && site->host->data.s.len ? site->host->data.s : SLICE("data");
    if (name.ptr[0] == '/')
        return arena_cstr(s->arena, name);
    return arena_printf(s->arena, "%.*s/%.*s", SLICE_ARGS(site->dir), SLICE_ARGS(name)).ptr;
}

/* The variable at the start of s (after its dollar); its length with braces, 0 when there is none.
 */
static size_t variable_at(struct slice s, struct slice *ret_name)
{
    bool braces = s.len && s.ptr[0] == '{';
    struct slice rest = slice_skip(s, braces);
    size_t n = 0;
    while (n < rest.len && n < 200 && format_ok(FMT_VARIABLE, slice_first(rest, n + 1)))
        n++;
    if (n == 0 || (braces && (n == rest.len || rest.ptr[n] != '}')))
        return 0;
    *ret_name = slice_first(rest, n);
    return n + (braces ? 2 : 0);
}

struct slice settings_expand(const struct settings *s, struct slice text, struct arena *a)
{
    struct buf out;
    buf_init(&out, 1 << 20);
    while (text.len) {
        ptrdiff_t at = slice_index(text, '$');
        buf_add(&out, at < 0 ? text : slice_first(text, (size_t)at));
        text = at < 0 ? SLICE("") : slice_skip(text, (size_t)at + 1);
        if (at < 0)
            break;
        struct slice name, value;
        size_t n = variable_at(text, &name);
        if (n && settings_find(s, name, &value))
            buf_add(&out, value);
        else if (n == 0)
            buf_add_char(&out, '$');
        text = slice_skip(text, n ? n : slice_starts(text, SLICE("$")));
    }
    struct slice done = arena_dup(a, buf_slice(&out));
    buf_done(&out);
    return done;
}

void settings_help(const struct settings *s, struct buf *to)
{
    buf_add_str(to,
                "Settings, from the first place that has one: the command line, the environment, "
                ".env, the store of secrets, the manifest, the default.\nA secret X can also be "
                "given as X_FILE, the path "
                "of a file that holds it.\n");
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        const struct setting_row *row = &rows[i];
        const struct setting *it = &s->of[i];
        buf_printf(to, "\n%s\n    %s\n    default: %s\n", row->name, row->doc,
                   row->def ? row->def : "none");
        if (it->source == SOURCE_DEFAULT)
            continue;
        if (row->secret)
            buf_printf(to, "    now:     set, not shown (from %.*s)\n", SLICE_ARGS(it->from));
        else
            buf_printf(to, "    now:     %.*s (from %.*s)\n", SLICE_ARGS(it->value),
                       SLICE_ARGS(it->from));
    }
}
