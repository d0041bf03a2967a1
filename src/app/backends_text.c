/* The processes of backends in figures: for `dais debug backends` and /metrics. */
#include "app/app_impl.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

/* ---- what loop 0 knows ------------------------------------------------------------------------
 */

struct visit {
    struct life *life;
    struct backend_row *rows;
    size_t n;
};

static void visit_home(struct loop *l, void *arg)
{
    struct visit *v = arg;
    if (loop_index(l) == 0)
        v->rows = backend_rows(&v->life->backends, &v->n);
}

/* From a worker; rows are to be freed. */
static struct visit look(struct life *l)
{
    struct visit v = {.life = l};
    loops_visit(l->loops, visit_home, &v);
    return v;
}

/* ---- memory -----------------------------------------------------------------------------------
 */

struct memory {
    pid_t *pids; /* each the leader of a session */
    uint64_t *bytes;
    size_t n;
};

/* Session and pages of a line of /proc/PID/stat: the 6th and the 24th field; the 2nd may hold
 * anything but ends with the last ')'. */
static bool read_stat(struct slice line, uint64_t *ret_session, uint64_t *ret_pages)
{
    struct slice field = {0};
    ptrdiff_t end = slice_rindex(line, ')');
    line = slice_skip(line, (size_t)(end + 2));
    for (int i = 3; end >= 0 && i <= 24; i++) {
        if (!slice_cut(&line, ' ', &field) || (i == 6 && !slice_to_u64(field, ret_session)))
            return false;
    }
    return end >= 0 && slice_to_u64(field, ret_pages);
}

static void add_process(struct memory *m, const char *pid)
{
    char path[300], text[1024];
    uint64_t session = 0, pages = 0;
    snprintf(path, sizeof path, "/proc/%s/stat", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    ssize_t n = read(fd, text, sizeof text);
    close(fd);
    if (n <= 0 || !read_stat((struct slice){text, (size_t)n}, &session, &pages))
        return;
    for (size_t i = 0; i < m->n; i++) {
        if (m->pids[i] && (uint64_t)m->pids[i] == session)
            m->bytes[i] += pages * (uint64_t)sysconf(_SC_PAGESIZE);
    }
}

static void read_memory(struct memory *m)
{
    DIR *proc = opendir("/proc");
    struct dirent *entry;
    while (proc && (entry = readdir(proc))) {
        if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9')
            add_process(m, entry->d_name);
    }
    if (proc)
        closedir(proc);
}

/* What each row's process holds, with all that stayed in its session. */
static uint64_t *memory_of(const struct visit *v)
{
    struct memory m = {.n = v->n};
    m.pids = mem_zalloc((v->n + 1) * sizeof *m.pids);
    m.bytes = mem_zalloc((v->n + 1) * sizeof *m.bytes);
    for (size_t i = 0; i < v->n; i++)
        m.pids[i] = v->rows[i].pid;
    read_memory(&m);
    free(m.pids);
    return m.bytes;
}

/* ---- dais debug backends ----------------------------------------------------------------------
 */

static void add_line(struct buf *to, const struct backend_row *r, uint64_t bytes)
{
    char name[64], pid[16] = "-";
    snprintf(name, sizeof name, "%s/%u", r->app, r->number);
    if (r->pid)
        snprintf(pid, sizeof pid, "%d", (int)r->pid);
    const char *state =
        r->is_retired && r->state != BACKEND_ENDED ? "draining" : backend_state_names[r->state];
    buf_printf(to, "%-20s %8s %-12s %-22s %8.1f %8llu %6llu %9u %8llu  %s\n", name, pid, state,
               r->address, (double)r->age_ms / 1000, (unsigned long long)r->restarts,
               (unsigned long long)r->probes_failed, r->in_flight,
               (unsigned long long)(bytes / 1024), r->last_end[0] ? r->last_end : "-");
}

void backends_text(struct life *l, struct buf *to)
{
    struct visit v = look(l);
    uint64_t *bytes = memory_of(&v);
    buf_printf(to, "%-20s %8s %-12s %-22s %8s %8s %6s %9s %8s  %s\n", "backend", "pid", "state",
               "address", "age_s", "restarts", "probes", "in_flight", "rss_kb", "last_end");
    for (size_t i = 0; i < v.n; i++)
        add_line(to, &v.rows[i], bytes[i]);
    free(bytes);
    free(v.rows);
}

/* ---- /metrics -----------------------------------------------------------------------------------
 */

static void metric(struct buf *to, const struct visit *v, const char *name, const char *type,
                   const char *help, uint64_t (*value)(const struct backend_row *r))
{
    buf_printf(to, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
    for (size_t i = 0; i < v->n; i++) {
        if (!v->rows[i].is_retired)
            buf_printf(to, "%s{app=\"%s\",instance=\"%u\"} %llu\n", name, v->rows[i].app,
                       v->rows[i].number, (unsigned long long)value(&v->rows[i]));
    }
}

static uint64_t up(const struct backend_row *r)
{
    return r->state <= BACKEND_DEGRADED;
}

static uint64_t is_degraded(const struct backend_row *r)
{
    return r->state == BACKEND_DEGRADED;
}

static uint64_t restarts(const struct backend_row *r)
{
    return r->restarts;
}

static uint64_t in_flight(const struct backend_row *r)
{
    return r->in_flight;
}

void backends_metrics(struct life *l, struct buf *to)
{
    struct visit v = look(l);
    metric(to, &v, "dais_backend_up", "gauge", "Takes requests.", up);
    metric(to, &v, "dais_backend_degraded", "gauge", "Takes them, but a health check fails.",
           is_degraded);
    metric(to, &v, "dais_backend_ends_total", "counter",
           "Ends that nobody asked for, and restarts for failed health checks.", restarts);
    metric(to, &v, "dais_backend_requests", "gauge", "Requests under way.", in_flight);
    free(v.rows);
}
