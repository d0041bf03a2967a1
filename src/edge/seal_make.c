/* Making a release ready and sealing its folder, at the command line.
 *
 *   undo        what an earlier seal moved aside goes back to its place
 *   clear_path  links from another time go, so that the setup finds none
 *   set_up      the setup is run
 *   seal_path   what is at a persisted path is moved aside, and a link put there
 *
 * The record says "not finished" from the second step to the end of the last, so that nothing
 * half-made is served. */
#include "edge/lines_impl.h"
#include "edge/seal_impl.h"
#include "edge/variables_impl.h"

#include "base/json.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define GRACE_MS     10000
#define READS_AT_END 256 /* more than any pipe holds */

struct making {
    const struct seal_options *o;
    struct arena arena;
    char dir[PATH_BYTES], data[PATH_BYTES], stamp[PATH_BYTES]; /* real paths */
    struct mask mask;
    struct lines lines;
    struct process *process;
    int output; /* -1: closed */
};

static void say(const struct making *m, const char *what, struct slice more)
{
    struct buf line;
    buf_init(&line, 64u << 10);
    buf_printf(&line, "%s%.*s", what, SLICE_ARGS(more));
    m->o->say(buf_slice(&line));
    buf_done(&line);
}

static const struct backend_conf *conf_of(const struct making *m)
{
    return &m->o->m->backend;
}

/* ---- moving, in the app folder and in a layer of an image --------------------------------------
 * Where a folder below is only shown, as in an image, it cannot be renamed and is copied. */

static bool move(const char *from, const char *to, struct err *e)
{
    char part[PATH_BYTES];
    if (!parent_make(to, 0755, e))
        return false;
    if (thing_rename(from, to, e))
        return true;
    return errno == EXDEV && path_put(part, e, "%s.dais-partial", to) &&
           thing_copy(from, part, NULL, e) && thing_rename(part, to, e) && thing_remove(from, e);
}

/* What SQLite keeps beside a file. */
static bool move_companions(const char *from, const char *to, struct err *e)
{
    char a[PATH_BYTES], b[PATH_BYTES];
    enum thing found;
    for (const char *const *it = persist_companions; *it; it++) {
        if (!path_put(a, e, "%s%s", from, *it) || !path_put(b, e, "%s%s", to, *it) ||
            !thing_at(a, &found, e) || (found == THING_FILE && !move(a, b, e)))
            return false;
    }
    return true;
}

/* They come first, so that it never goes without. */
static bool move_all(const char *from, const char *to, struct err *e)
{
    return move_companions(from, to, e) && move(from, to, e);
}

static bool take_link(const struct persist *p, struct err *e)
{
    return unlink(p->place) == 0 || err_set_sys(e, ERR_IO, "removing %s failed", p->place);
}

/* ---- undoing ----------------------------------------------------------------------------------
 */

static bool undo_path(const struct persist *p, struct err *e)
{
    enum thing place, shipped;
    enum seal_link link;
    if (!thing_at(p->shipped, &shipped, e) || !seal_link_at(p, &link, e))
        return false;
    if (link == SEAL_LINK_HERE && !take_link(p, e))
        return false;
    if (!thing_at(p->place, &place, e))
        return false;
    if (shipped == THING_NONE) /* moving it was interrupted: they had gone ahead */
        return move_companions(p->shipped, p->place, e);
    if (place != THING_NONE)
        return err_set(
            e, ERR_MANIFEST,
            "`%.*s` is there, and in .dais/shipped too, where an earlier build moved it; "
            "remove the one that is out of date",
            SLICE_ARGS(p->o->path));
    return move_all(p->shipped, p->place, e);
}

static bool undo(const struct making *m, struct arena *a, struct err *e)
{
    struct seal old;
    struct persist p;
    if (!seal_read(m->dir, a, &old, e))
        return false;
    for (size_t i = 0; old.is_there && i < old.persist.n; i++) {
        const struct persist_options o = {.app = old.app.ptr,
                                          .dir = m->dir,
                                          .data_dir = old.data,
                                          .path = old.persist.items[i].s};
        if (!seal_paths(&p, &o, e) || !persist_check(&p, e) || !undo_path(&p, e))
            return false;
    }
    return true;
}

/* ---- the record -------------------------------------------------------------------------------
 */

static void write_fields(struct json_writer *w, const struct making *m, bool is_whole)
{
    const struct texts *persist = &conf_of(m)->persist;
    size_t n = strlen(m->dir);
    bool is_within = strncmp(m->data, m->dir, n) == 0 && m->data[n] == '/';
    json_write_object(w);
    json_write_key(w, SLICE("format"));
    json_write_u64(w, 1);
    json_write_key(w, SLICE("finished"));
    json_write_bool(w, is_whole);
    json_write_key(w, SLICE("app"));
    json_write_str(w, m->o->m->slug.s);
    json_write_key(w, SLICE("data"));
    json_write_cstr(w, is_within ? m->data + n + 1 : m->data);
    json_write_key(w, SLICE("persist"));
    json_write_array(w);
    for (size_t i = 0; i < persist->n; i++)
        json_write_str(w, persist->items[i].s);
    json_write_array_end(w);
    json_write_object_end(w);
}

static bool write_record(const struct making *m, bool is_whole, struct err *e)
{
    char path[PATH_BYTES], ignore[PATH_BYTES];
    struct buf text;
    struct json_writer w;
    buf_init(&text, 1u << 20);
    json_writer_init(&w, &text, 0);
    write_fields(&w, m, is_whole);
    json_writer_done(&w);
    buf_add_char(&text, '\n');
    bool fine = path_put(path, e, "%s" SEAL_RECORD, m->dir) &&
                path_put(ignore, e, "%s/.dais/.gitignore", m->dir) && parent_make(path, 0755, e) &&
                file_replace(ignore, SLICE("*\n"), 0644, e) &&
                file_replace(path, buf_slice(&text), 0644, e);
    buf_done(&text);
    return fine;
}

/* ---- packages ---------------------------------------------------------------------------------
 */

static bool look_for_packages(const struct making *m, struct err *e)
{
    const struct texts *names = &conf_of(m)->packages;
    struct buf missing;
    if (!names->n)
        return true;
    buf_init(&missing, 64u << 10);
    enum packages found = packages_look(m->o->spawner, names, &missing);
    if (found == PACKAGES_UNKNOWN)
        say(m, "packages cannot be looked up here, without dpkg: ", buf_slice(&missing));
    else if (found == PACKAGES_MISSING)
        err_set(e, ERR_BUILD, "packages it needs are missing; apt-get install -y %.200s",
                missing.data);
    buf_done(&missing);
    return found != PACKAGES_MISSING;
}

/* ---- the setup --------------------------------------------------------------------------------
 */

static void on_line(struct lines *l, struct slice line)
{
    container_of(l, struct making, lines)->o->say(line);
}

/* False at the end of the pipe, or when nothing is there. */
static bool read_output(struct making *m)
{
    char bytes[16384];
    ssize_t n = m->output < 0 ? -1 : read(m->output, bytes, sizeof bytes);
    if (n > 0)
        lines_add(&m->lines, (struct slice){bytes, (size_t)n});
    if (m->output >= 0 && (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))) {
        close(m->output);
        m->output = -1;
    }
    return n > 0;
}

/* Until the process and all it started have ended. */
static void follow(struct making *m, struct process_event *ret)
{
    bool is_over = false;
    while (!is_over) {
        struct pollfd fds[2] = {{.fd = process_fd(m->process), .events = POLLIN},
                                {.fd = m->output, .events = POLLIN}};
        (void)poll(fds, 2, -1);
        (void)read_output(m);
        struct process_event ev;
        while (!is_over && process_next(m->process, &ev) == PROCESS_EVENT) {
            is_over = ev.kind != EVENT_STARTED;
            *ret = ev;
        }
    }
    for (int i = 0; i < READS_AT_END && read_output(m); i++)
        ;
    lines_end(&m->lines);
    if (m->output >= 0)
        close(m->output);
}

static bool failed(const struct making *m, const struct process_event *ev, struct err *e)
{
    struct buf why;
    struct err start;
    buf_init(&why, 400);
    if (ev->kind == EVENT_FAILED) {
        process_failed(m->process, ev, &start);
        buf_add_str(&why, start.msg);
    } else {
        process_ended_text(ev, &why);
    }
    err_set(e, ERR_BUILD, "its setup failed (%s); its output above says why. The command: %.*s",
            why.data, (int)(conf_of(m)->setup.s.len < 80 ? conf_of(m)->setup.s.len : 80),
            conf_of(m)->setup.s.ptr);
    buf_done(&why);
    return false;
}

static bool run_setup(struct making *m, struct err *e)
{
    const struct process_opts o = {
        .shell = arena_cstr(&m->arena, conf_of(m)->setup.s),
        .env = variables_make(&m->arena, (const char *[]){NULL}, m->o->env),
        .cwd = m->dir,
        .out.kind = STDIO_PIPE,
        .err.kind = STDIO_STDOUT,
        .wall_ms = (uint64_t)conf_of(m)->setup_timeout_ms,
        .grace_ms = GRACE_MS,
    };
    struct process_event ended = {0};
    say(m, "setup: ", conf_of(m)->setup.s);
    m->process = process_start(m->o->spawner, &o, e);
    if (!m->process)
        return false;
    m->output = process_stdio_take(m->process, 1);
    mask_init(&m->mask, &m->arena, m->o->hidden, m->o->n_hidden);
    lines_init(&m->lines, &m->mask, on_line);
    follow(m, &ended);
    bool fine = (ended.kind == EVENT_ENDED && ended.reason == PROCESS_EXITED && !ended.exit_code) ||
                failed(m, &ended, e);
    lines_done(&m->lines);
    process_free(m->process);
    return fine;
}

/* Its files are what they are after it: one that edits its own dependency list is not run again
 * for that. */
static bool set_up(struct making *m, struct err *e)
{
    struct setup_options o = {.command = conf_of(m)->setup.s,
                              .dir = m->dir,
                              .data_dir = m->data,
                              .app = m->o->m->slug.s.ptr,
                              .persist = &conf_of(m)->persist,
                              .stamp = m->stamp};
    struct buf before;
    char digest[SHA256_HEX_LEN + 1];
    if (!o.command.len)
        return true;
    buf_init(&before, 256u << 10);
    setup_inputs(&o, &before);
    bool fine =
        setup_forget(&o, e) && run_setup(m, e) && setup_remember(&o, "", buf_slice(&before), e);
    if (fine) {
        setup_digest(&o, digest);
        fine = setup_remember(&o, digest, buf_slice(&before), e);
    }
    buf_done(&before);
    return fine;
}

/* ---- sealing ----------------------------------------------------------------------------------
 */

/* Served from its sources it has links to a data folder, which an image is made without. */
static bool drop_old_link(const struct persist *p, struct err *e)
{
    struct persist_found f = {0};
    if (!persist_read_link(p, &f, e))
        return false;
    if (f.leads_to_data && !f.has_target)
        return take_link(p, e);
    return err_set(e, ERR_MANIFEST, "`%.*s` is a link to somewhere else%s; remove it",
                   SLICE_ARGS(p->o->path),
                   f.leads_to_data ? ", where it is kept in another data folder" : "");
}

/* Before the setup, which may fill the place with something to ship. */
static bool clear_path(const struct making *m, const struct persist *p, struct err *e)
{
    enum seal_link link;
    (void)m;
    if (!seal_link_at(p, &link, e))
        return false;
    return link == SEAL_LINK_NONE ||
           (link == SEAL_LINK_HERE ? take_link(p, e) : drop_old_link(p, e));
}

static bool seal_path(const struct making *m, const struct persist *p, struct err *e)
{
    enum thing place, aside;
    if (!thing_at(p->place, &place, e) || !thing_at(p->aside, &aside, e))
        return false;
    if (aside != THING_NONE)
        return err_set(e, ERR_MANIFEST, "a move of it was interrupted: %s is there", p->aside);
    if (place == THING_OTHER || place == THING_LINK)
        return err_set(e, ERR_MANIFEST,
                       "`%.*s` is a link, a pipe, a socket or a device, which cannot be kept",
                       SLICE_ARGS(p->o->path));
    if (place != THING_NONE && !move_all(p->place, p->shipped, e))
        return false;
    say(m, place == THING_NONE ? "kept: " : "kept, with what is shipped there: ", p->o->path);
    return parent_make(p->place, 0755, e) && link_make(p->target, p->place, e);
}

static bool each_path(const struct making *m,
                      bool (*step)(const struct making *m, const struct persist *p, struct err *e),
                      struct err *e)
{
    const struct texts *persist = &conf_of(m)->persist;
    for (size_t i = 0; i < persist->n; i++) {
        const struct persist_options o = {.app = m->o->m->slug.s.ptr,
                                          .dir = m->dir,
                                          .data_dir = m->data,
                                          .path = persist->items[i].s};
        struct persist p;
        if (!seal_paths(&p, &o, e) || !persist_check(&p, e))
            return false;
        if (!persist_is_data(&p) && !step(m, &p, e))
            return false;
    }
    return true;
}

/* Behind a link it would not come along when the folder is copied. */
static bool check_own(const struct making *m, struct err *e)
{
    static const char *const own[] = {"/.dais", "/.dais/shipped"};
    char path[PATH_BYTES];
    enum thing found;
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
        if (!path_put(path, e, "%s%s", m->dir, own[i]) || !thing_at(path, &found, e))
            return false;
        if (found == THING_LINK)
            return err_set(e, ERR_MANIFEST, "%s is a link; remove it", path);
    }
    return true;
}

static bool make(struct making *m, struct err *e)
{
    const struct manifest *manifest = m->o->m;
    if (!path_real(manifest->dir.len ? manifest->dir.ptr : ".", m->dir) ||
        !path_real(m->o->data_dir, m->data) || !path_put(m->stamp, e, "%s" SEAL_STAMP, m->dir))
        return err_set(e, ERR_IO,
                       "the path of its folder, or of the data folder, is too long, or relative to "
                       "a folder that was removed");
    return check_own(m, e) && look_for_packages(m, e) && undo(m, &m->arena, e) &&
           write_record(m, false, e) && each_path(m, clear_path, e) && set_up(m, e) &&
           each_path(m, seal_path, e) && write_record(m, true, e);
}

bool seal_make(const struct seal_options *o, struct err *e)
{
    struct making m = {.o = o, .output = -1};
    arena_init(&m.arena, 128u << 20);
    bool fine = make(&m, e);
    arena_done(&m.arena);
    return fine;
}
