/* The messages between server, spawner and runners, to bytes and back, without any I/O. */
#include "loop/spawn_impl.h"

#include <string.h>

struct wire_head {
    uint32_t size; /* of the whole packet */
    uint32_t kind;
};

_Static_assert(sizeof(struct run_spec) == 19 * sizeof(uint64_t), "run_spec has padding");

/* ---- encoding ----------------------------------------------------------------------------- */

struct string_list {
    const char *const *items;
    size_t n, bytes;
};

static struct string_list list_measure(const char *const *items)
{
    struct string_list l = {.items = items};
    while (items && items[l.n] && l.n <= PROCESS_MAX_STRINGS)
        l.bytes += strlen(items[l.n++]) + 1;
    return l;
}

static bool check_strings(const struct process_opts *o, const struct string_list *argv,
                          const struct string_list *env, struct err *e)
{
    if (!argv->n || !argv->items[0][0])
        return err_set(e, ERR_INVALID, "There is no command to run.");
    if (argv->n > PROCESS_MAX_STRINGS || env->n > PROCESS_MAX_STRINGS)
        return err_set(e, ERR_INVALID,
                       "The command has too many arguments or variables; %d of each are allowed.",
                       PROCESS_MAX_STRINGS);
    for (size_t i = 0; i < env->n; i++)
        if (!strchr(env->items[i], '=') || env->items[i][0] == '=')
            return err_set(e, ERR_INVALID, "An environment entry has no name or no \"=\".");
    size_t bytes = argv->bytes + env->bytes + (o->cwd ? strlen(o->cwd) + 1 : 2);
    if (bytes > PROCESS_MAX_BYTES)
        return err_set(e, ERR_INVALID,
                       "The command and its environment are %zu bytes long; %d are allowed. Pass "
                       "large values in a file or on standard input.",
                       bytes, PROCESS_MAX_BYTES);
    return true;
}

static bool check_opts(const struct process_opts *o, struct err *e)
{
    if (!o->argv == !o->shell)
        return err_set(e, ERR_INVALID, "A command is either a list or a shell line.");
    if (o->cwd && o->cwd[0] != '/')
        return err_set(e, ERR_INVALID, "The working directory \"%.80s\" is not an absolute path.",
                       o->cwd);
    if (o->n_fds > PROCESS_MAX_FDS)
        return err_set(e, ERR_INVALID, "Too many descriptors for one command; %d are allowed.",
                       PROCESS_MAX_FDS);
    if (o->uid && !o->gid)
        return err_set(e, ERR_INVALID, "A command with a user of its own needs a group too.");
    if (o->in.kind == STDIO_STDOUT || o->out.kind == STDIO_STDOUT)
        return err_set(e, ERR_INVALID, "Only standard error can follow standard output.");
    return true;
}

static struct run_spec spec_of(const struct process_opts *o)
{
    return (struct run_spec){
        .wall_ms = o->wall_ms,
        .grace_ms = o->grace_ms,
        .memory_bytes = o->memory_bytes,
        .cpu_s = o->cpu_s,
        .address_space_bytes = o->address_space_bytes,
        .open_files = o->open_files,
        .file_bytes = o->file_bytes,
        .umask = o->umask ? o->umask : 022,
        .uid = o->uid,
        .gid = o->gid,
        .may_gain_privileges = o->may_gain_privileges,
        .in = o->in.kind,
        .out = o->out.kind,
        .err = o->err.kind,
        .n_fds = o->n_fds,
        .nice = o->nice,
        .lease_until_ms = o->lease_until_ms,
    };
}

static void add_bytes(struct buf *to, const void *from, size_t n)
{
    buf_add(to, (struct slice){.ptr = from, .len = n});
}

/* The NUL travels too: a runner passes pointers into the packet to exec. */
static void add_string(struct buf *to, const char *s)
{
    uint32_t len = (uint32_t)strlen(s) + 1;
    add_bytes(to, &len, sizeof len);
    add_bytes(to, s, len);
}

bool wire_run_encode(const struct process_opts *o, struct buf *to, struct err *e)
{
    const char *const shell[] = {"/bin/sh", "-c", o->shell, NULL};
    if (!check_opts(o, e))
        return false;
    struct string_list argv = list_measure(o->shell ? shell : o->argv);
    struct string_list env = list_measure(o->env);
    if (!check_strings(o, &argv, &env, e))
        return false;
    struct run_spec spec = spec_of(o);
    spec.argc = argv.n;
    spec.envc = env.n;
    struct wire_head head = {.kind = WIRE_RUN};
    add_bytes(to, &head, sizeof head);
    add_bytes(to, &spec, sizeof spec);
    add_string(to, o->cwd ? o->cwd : "/");
    for (size_t i = 0; i < argv.n; i++)
        add_string(to, argv.items[i]);
    for (size_t i = 0; i < env.n; i++)
        add_string(to, env.items[i]);
    must(!to->full);
    head.size = (uint32_t)to->len;
    memcpy(to->data, &head, sizeof head);
    return true;
}

/* ---- decoding ----------------------------------------------------------------------------- */

static bool take_bytes(struct slice *in, void *to, size_t n)
{
    if (in->len < n)
        return false;
    memcpy(to, in->ptr, n);
    *in = slice_skip(*in, n);
    return true;
}

static bool take_string(struct slice *in, const char **ret)
{
    uint32_t len;
    if (!take_bytes(in, &len, sizeof len) || !len || in->len < len || in->ptr[len - 1] != '\0' ||
        memchr(in->ptr, '\0', len - 1))
        return false;
    *ret = in->ptr;
    *in = slice_skip(*in, len);
    return true;
}

static bool take_strings(struct slice *in, uint64_t n, const char **to)
{
    if (n > PROCESS_MAX_STRINGS)
        return false;
    for (uint64_t i = 0; i < n; i++)
        if (!take_string(in, &to[i]))
            return false;
    to[n] = NULL;
    return true;
}

static bool take_head(struct slice *in, struct wire_head *ret)
{
    size_t size = in->len;
    return take_bytes(in, ret, sizeof *ret) && ret->size == size;
}

bool wire_run_decode(struct slice packet, struct run_request *ret)
{
    struct wire_head head;
    if (!take_head(&packet, &head) || head.kind != WIRE_RUN ||
        !take_bytes(&packet, &ret->spec, sizeof ret->spec))
        return false;
    const struct run_spec *s = &ret->spec;
    return s->n_fds <= PROCESS_MAX_FDS && s->in <= STDIO_FD && s->out <= STDIO_FD &&
           s->err <= STDIO_STDOUT && s->argc > 0 && take_string(&packet, &ret->cwd) &&
           take_strings(&packet, s->argc, ret->argv) && take_strings(&packet, s->envc, ret->env) &&
           !packet.len;
}

/* ---- small messages ----------------------------------------------------------------------- */

static bool kind_has_value(enum wire_kind kind)
{
    return kind == WIRE_CANCEL || kind == WIRE_SIGNAL || kind == WIRE_RENEW;
}

size_t wire_small_encode(const struct wire_small *m, char to[WIRE_SMALL_MAX])
{
    bool has_value = kind_has_value(m->kind);
    bool has_event = m->kind == WIRE_EVENT;
    const void *body = has_event ? (const void *)&m->event : &m->value;
    size_t len = has_event ? sizeof m->event : has_value ? sizeof m->value : 0;
    struct wire_head head = {.size = (uint32_t)(sizeof head + len), .kind = m->kind};
    _Static_assert(sizeof head + sizeof m->event <= WIRE_SMALL_MAX, "WIRE_SMALL_MAX");
    memcpy(to, &head, sizeof head);
    memcpy(to + sizeof head, body, len);
    return head.size;
}

bool wire_small_decode(struct slice packet, struct wire_small *ret)
{
    struct wire_head head;
    struct wire_small m = {0};
    if (!take_head(&packet, &head))
        return false;
    m.kind = head.kind;
    if (kind_has_value(head.kind)) {
        if (!take_bytes(&packet, &m.value, sizeof m.value))
            return false;
    } else if (head.kind == WIRE_EVENT) {
        if (!take_bytes(&packet, &m.event, sizeof m.event) || m.event.kind > EVENT_ENDED ||
            m.event.step >= STEP_COUNT || m.event.reason >= PROCESS_REASON_COUNT)
            return false;
    } else if (head.kind != WIRE_START) {
        return false;
    }
    if (packet.len)
        return false;
    *ret = m;
    return true;
}
