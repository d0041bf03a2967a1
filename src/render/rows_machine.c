/* What a machine runs: systemd units, cloud-init, monitoring. */
#include "render/rows_impl.h"

const struct render_row rows_units[] = {
    {"ops/app.service", "machine/app.service", NULL, false},
    {"ops/app.socket", "machine/app.socket", NULL, false},
    {"ops/app-backup.service", "machine/app-backup.service", "machine.has_backups", false},
    {"ops/app-backup.timer", "machine/app-backup.timer", "machine.has_backups", false},
    {0},
};

const struct render_row rows_machine[] = {
    {"ops/cloud-init.yaml", "machine/cloud-init", NULL, false},
    {"ops/README.md", "machine/README.md", NULL, false},
    {0},
};

#define PLACE "ops/observability/"
const struct render_row rows_observability[] = {
    {PLACE "docker-compose.yml", "observability/docker-compose.yml", NULL, false},
    {PLACE "prometheus.yml", "observability/prometheus.yml", NULL, false},
    {PLACE "alerts.yml", "observability/alerts.yml", NULL, false},
    {PLACE "loki.yml", "observability/loki.yml", NULL, false},
    {PLACE "config.alloy", "observability/config.alloy", NULL, false},
    {PLACE "grafana/datasources/datasources.yml", "observability/datasources.yml", NULL, false},
    {PLACE "grafana/dashboards/dashboards.yml", "observability/dashboards.yml", NULL, false},
    {PLACE "grafana/dashboards/app.json", "observability/app.json.yaml", NULL, false},
    {0},
};

/* Names that Debian, or what cloud-init installs, has given to a unit, a user or a folder below
 * /var/lib: an app of that name would be taken for it, so it goes by another there. */
static const char *const taken[] = {
    "adm",     "apparmor",   "apt",      "avahi",   "backup", "bin",     "caddy",        "chrony",
    "cloud",   "cron",       "daemon",   "dbus",    "debian", "dhcpcd",  "docker",       "dpkg",
    "fwupd",   "games",      "getty",    "git",     "gnats",  "grub",    "irc",          "kmod",
    "list",    "logrotate",  "lp",       "mail",    "man",    "mariadb", "misc",         "mysql",
    "network", "news",       "nftables", "nginx",   "nobody", "ntp",     "pam",          "polkit",
    "postfix", "postgresql", "postgres", "private", "proxy",  "python",  "redis-server", "root",
    "rsync",   "rsyslog",    "ssh",      "sshd",    "sudo",   "sync",    "sys",          "syslog",
    "systemd", "tor",        "udev",     "ucf",     "ufw",    "ubuntu",  "uucp",         "vim",
    NULL};

#define USER_MAX     31 /* what Linux' tools take */
#define USER_HASH    8
#define ROOM_MB      512 /* for dais: files, connections, a backup */
#define DEFAULT_PORT 8000

/* ---- where it listens ---------------------------------------------------------------------------
 */

/* What DAIS_LISTEN and PORT of the target make of 127.0.0.1:8000. */
struct place {
    struct slice host; /* as written: "", "0.0.0.0", "[::1]"; "localhost" is 127.0.0.1 */
    uint64_t port;
    bool is_odd; /* no address with a port */
};

static bool is_host(struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        bool is_hex = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
        if (!is_hex && slice_index(SLICE(".:[]"), c) < 0)
            return false;
    }
    return true;
}

static struct place place_of(const struct target *t)
{
    struct place at = {SLICE("127.0.0.1"), DEFAULT_PORT, false};
    const struct pair *listen = env_find(t, SLICE("DAIS_LISTEN")),
                      *port = env_find(t, SLICE("PORT"));
    struct slice digits = listen ? listen->value.s : SLICE("");
    ptrdiff_t colon = slice_rindex(digits, ':');
    if (colon >= 0) {
        at.host = slice_first(digits, (size_t)colon);
        digits = slice_skip(digits, (size_t)colon + 1);
    }
    if (slice_is(at.host, "localhost"))
        at.host = SLICE("127.0.0.1");
    at.is_odd = listen && (!slice_to_u64(digits, &at.port) || !is_host(at.host));
    if (port && !at.is_odd)
        at.is_odd = !slice_to_u64(port->value.s, &at.port);
    if (at.is_odd || at.port == 0 || at.port > 65535)
        at = (struct place){SLICE("127.0.0.1"), DEFAULT_PORT, true};
    return at;
}

/* As ListenStream= takes it, and as somebody on the machine reaches it. */
static void place(const struct facts *f)
{
    struct place at = place_of(f->t);
    bool is_any = !at.host.len || slice_is(at.host, "0.0.0.0") || slice_is(at.host, "[::]");
    facts_str(f, "listen",
              at.host.len ? arena_printf(f->a, "%.*s:%u", SLICE_ARGS(at.host), (unsigned)at.port)
                          : arena_printf(f->a, "%u", (unsigned)at.port));
    facts_str(f, "address",
              arena_printf(f->a, "%.*s:%u", SLICE_ARGS(is_any ? SLICE("127.0.0.1") : at.host),
                           (unsigned)at.port));
}

/* ---- what the units say -------------------------------------------------------------------------
 */

/* Of the units and the folders: the slug where it is free. */
static struct slice name(const struct facts *f)
{
    struct slice slug = f->m->slug.s;
    return text_is_one_of(slug, taken) ? arena_printf(f->a, "%.*s-app", SLICE_ARGS(slug)) : slug;
}

/* The same; a longer one is cut and told apart by its digest. */
static struct slice user(const struct facts *f)
{
    struct slice slug = name(f);
    if (slug.len <= USER_MAX)
        return slug;
    return arena_printf(f->a, "%.*s-%.*s", USER_MAX - USER_HASH - 1, slug.ptr,
                        SLICE_ARGS(text_digest(f->a, slug, USER_HASH)));
}

/* DAIS_LISTEN and PORT went into the socket; the folder is where everything looks for it. */
static bool is_placed(struct slice name)
{
    return slice_is(name, "DAIS_LISTEN") || slice_is(name, "PORT") || slice_is(name, "DAIS_DATA");
}

static void env(const struct facts *f)
{
    facts_begin_list(f, "env");
    for (size_t i = 0; i < f->t->env.n; i++) {
        const struct pair *it = &f->t->env.items[i];
        if (is_placed(it->key.s))
            continue;
        json_write_object(f->w);
        facts_str(f, "name", it->key.s);
        facts_str(f, "value", env_plain(f->a, it->value.s));
        facts_end(f);
    }
    facts_end_list(f);
}

static void memory(const struct facts *f)
{
    const struct backend_conf *b = &f->m->backend;
    int64_t each = b->limits.memory_bytes >> 20, n = b->instances < 1 ? 1 : b->instances;
    bool is_ours = b->run.s.len > 0;
    facts_i64(f, "memory_max_mb", !is_ours ? ROOM_MB : each ? 2 * n * each + ROOM_MB : 0);
    facts_str(f, "memory_why",
              !is_ours ? SLICE("Far more than it uses.")
                       : arena_printf(f->a,
                                      "%lld MB for dais, and twice limits.memory (%lld MB) for "
                                      "each of %lld: a reload starts the new beside the old.",
                                      (long long)ROOM_MB, (long long)each, (long long)n));
}

static void calendars(const struct facts *f)
{
    struct slice list[CALENDARS_MAX];
    size_t n = cron_calendars(f->m->backups.schedule.s, f->a, list);
    facts_bool(f, "has_backups", n > 0 && manifest_keeps_something(f->m));
    facts_begin_list(f, "calendars");
    for (size_t i = 0; i < n; i++)
        json_write_str(f->w, list[i]);
    facts_end_list(f);
}

void facts_machine(const struct facts *f)
{
    bool has_backend = f->m->backend.pos.line != 0;
    bool has_url = env_find(f->t, SLICE("PUBLIC_URL")) != NULL;
    facts_begin(f, "machine");
    facts_str(f, "name", name(f));
    facts_str(f, "user", user(f));
    facts_str(f, "ssh", f->t->host.s.len ? f->t->host.s : SLICE("root@SERVER"));
    facts_str(f, "public_url",
              f->t->domain.s.len && !has_url
                  ? arena_printf(f->a, "https://%.*s", SLICE_ARGS(f->t->domain.s))
                  : SLICE(""));
    facts_bool(f, "asks_url", !f->t->domain.s.len && !has_url);
    place(f);
    env(f);
    memory(f);
    calendars(f);
    facts_i64(f, "slow_s", has_backend ? 5 : 1);
    facts_end(f);
}

/* ---- what a machine cannot do -------------------------------------------------------------------
 */

static void check_env(const struct manifest *m, const struct target *t, struct problems *p)
{
    const struct pair *listen = env_find(t, SLICE("DAIS_LISTEN")),
                      *data = env_find(t, SLICE("DAIS_DATA"));
    const struct pair *at = listen ? listen : env_find(t, SLICE("PORT"));
    if (at && place_of(t).is_odd)
        problems_add(p, PROBLEM_ERROR, m->file, at->value.pos,
                     "a machine's dais listens at an address with a port from 1 to 65535; leave "
                     "%.*s out for 127.0.0.1:8000, which a proxy asks",
                     SLICE_ARGS(at->key.s));
    if (data)
        problems_add(p, PROBLEM_ERROR, m->file, data->value.pos,
                     "on a machine the data is in /var/lib/%.*s; mount another disk there instead",
                     SLICE_ARGS(m->slug.s));
    for (size_t i = 0; t && i < t->env.n; i++) {
        const struct text *value = &t->env.items[i].value;
        struct buf word;
        buf_init(&word, 1u << 20);
        if (!quote_find(SLICE("systemd-word"))(&word, value->s))
            problems_add(
                p, PROBLEM_ERROR, m->file, value->pos,
                "systemd takes no control characters into a variable; take them out of %.*s",
                SLICE_ARGS(t->env.items[i].key.s));
        buf_done(&word);
    }
}

static void check_schedule(const struct manifest *m, struct problems *p)
{
    struct slice list[CALENDARS_MAX];
    if (!slice_is(m->backups.schedule.s, "off") &&
        !cron_calendars(m->backups.schedule.s, p->arena, list))
        problems_add(p, PROBLEM_ERROR, m->file, m->backups.schedule.pos,
                     "this day never comes, so no backup would be made; write `off` if that is "
                     "meant");
}

void check_machine(const struct manifest *m, const struct target *t, struct problems *p)
{
    check_env_is_plain(m, t, p);
    check_image(m, t, p);
    check_env(m, t, p);
    check_schedule(m, p);
}
