/* What a task is told: by the manifest's `with`, which nobody can change, else by the input. */
#include "base/nearest.h"
#include "tasks/tasks_impl.h"

#include <time.h>

#define LEN_MAX 4096 /* of a text with a time in it */

const struct text *with_find(const struct pairs *with, const char *name)
{
    for (size_t i = 0; with && i < with->n; i++) {
        if (slice_is(with->items[i].key.s, name))
            return &with->items[i].value;
    }
    return NULL;
}

static bool unknown(struct slice key, const struct nearest *near, const char *names, struct err *e)
{
    key = slice_first(key, 40);
    if (!*names)
        return err_set(e, ERR_INVALID, "`with` has `%.*s`, but this task takes nothing; remove it.",
                       SLICE_ARGS(key));
    if (near->best.len)
        return err_set(e, ERR_INVALID, "`with` has `%.*s`; did you mean `%.*s`?", SLICE_ARGS(key),
                       SLICE_ARGS(near->best));
    return err_set(e, ERR_INVALID, "`with` has `%.*s`, but this task takes only: %s.",
                   SLICE_ARGS(key), names);
}

bool with_check(const struct pairs *with, const char *names, struct err *e)
{
    for (size_t i = 0; with && i < with->n; i++) {
        struct nearest near = {.typed = with->items[i].key.s};
        struct slice rest = slice_from(names), one;
        bool is_known = false;
        while (slice_cut(&rest, ' ', &one)) {
            is_known |= slice_eq(one, near.typed);
            nearest_offer(&near, one);
        }
        if (!is_known)
            return unknown(near.typed, &near, names, e);
    }
    return true;
}

bool told(const struct task_call *t, const char *name, struct slice *ret, struct err *e)
{
    const struct text *fixed = with_find(t->with, name);
    const struct json *value = fixed ? NULL : json_find(t->input, slice_from(name));
    *ret = fixed ? fixed->s : json_str(value);
    if (value && json_type(value) != JSON_STRING && json_type(value) != JSON_NULL)
        return err_set(e, ERR_INVALID, "`%s` of the input is a text, not %s.", name,
                       json_type_name(json_type(value)));
    return true;
}

bool told_needed(const struct task_call *t, const char *name, struct slice *ret, struct err *e)
{
    if (!told(t, name, ret, e))
        return false;
    if (ret->len)
        return true;
    return with_find(t->with, name)
               ? err_set(e, ERR_INVALID, "`%s` of `with` is empty; is its setting there?", name)
               : err_set(e, ERR_INVALID, "`%s` is missing: neither `with` nor the input has it.",
                         name);
}

bool told_by_maker(const struct task_call *t, const char *name, struct slice *ret, struct err *e)
{
    const struct text *fixed = with_find(t->with, name);
    *ret = fixed ? fixed->s : SLICE("");
    return !fixed || fixed->s.len ||
           err_set(e, ERR_INVALID, "`%s` of `with` is empty; is its setting there?", name);
}

static bool add_time(struct buf *to, char letter, const struct tm *tm)
{
    switch (letter) {
    case 'Y':
        buf_printf(to, "%04d", tm->tm_year + 1900);
        return true;
    case 'm':
        buf_printf(to, "%02d", tm->tm_mon + 1);
        return true;
    case 'd':
        buf_printf(to, "%02d", tm->tm_mday);
        return true;
    case 'H':
        buf_printf(to, "%02d", tm->tm_hour);
        return true;
    case 'M':
        buf_printf(to, "%02d", tm->tm_min);
        return true;
    case 'S':
        buf_printf(to, "%02d", tm->tm_sec);
        return true;
    case '%':
        buf_add_char(to, '%');
        return true;
    default:
        return false;
    }
}

bool told_with_time(struct slice text, int64_t wall_ms, struct arena *a, struct slice *ret,
                    struct err *e)
{
    time_t at = (time_t)(wall_ms / 1000);
    struct tm tm;
    struct buf out;
    bool fine = true;
    must(gmtime_r(&at, &tm));
    buf_init(&out, LEN_MAX);
    for (size_t i = 0; fine && i < text.len; i++) {
        if (text.ptr[i] != '%')
            buf_add_char(&out, text.ptr[i]);
        else
            fine = ++i < text.len && add_time(&out, text.ptr[i], &tm);
    }
    if (fine && !out.full)
        *ret = arena_dup(a, buf_slice(&out));
    else
        fine = err_set(e, ERR_INVALID,
                       "`path` may hold %%Y, %%m, %%d, %%H, %%M and %%S, and %%%% for a percent "
                       "sign; what is in it is none of these, or too long.");
    buf_done(&out);
    return fine;
}
