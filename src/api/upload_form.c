/* A form with files: which of its parts is one, where each goes, and what it is called there. */
#include "api/upload_impl.h"

#include "base/clock.h"
#include "base/utf8.h"

#include <string.h>

#define PARTS_MAX   1000
#define FRAME_BYTES (64u << 10) /* of a form, what is around its files, as a rule at most */

/* ---- names ----------------------------------------------------------------------------------- */

/* A character that a path may hold, as the files' own check says; slashes are gone by then. */
static bool is_fine(struct slice character)
{
    struct err e;
    return slice_is(character, ".") || file_path_check(character, &e);
}

/* Where the end is, a dot and a few letters stay: they say what it is. */
static size_t end_len(struct slice name)
{
    ptrdiff_t dot = slice_rindex(name, '.');
    return dot > 0 && name.len - (size_t)dot <= 16 ? name.len - (size_t)dot : 0;
}

static struct slice shortened(struct slice name, struct arena *a)
{
    size_t end = end_len(name), n = FILE_NAME_MAX - end;
    if (name.len <= FILE_NAME_MAX)
        return name;
    while (n && ((unsigned char)name.ptr[n] & 0xc0) == 0x80)
        n--;
    return arena_printf(a, "%.*s%.*s", (int)n, name.ptr, (int)end, name.ptr + name.len - end);
}

struct slice form_safe_name(struct slice filename, struct arena *a)
{
    char *to = arena_alloc(a, filename.len + 1);
    size_t n = 0;
    for (size_t i = 0; i < filename.len;) {
        struct slice rest = slice_skip(filename, i);
        size_t len = utf8_length(rest);
        if (rest.ptr[0] == '/' || rest.ptr[0] == '\\') {
            n = 0; /* what is before it is a folder of somebody's machine */
        } else if (len && is_fine(slice_first(rest, len))) {
            memmove(to + n, rest.ptr, len);
            n += len;
        } else {
            to[n++] = '_';
        }
        i += len ? len : 1;
    }
    struct slice name = slice_trim((struct slice){to, n});
    if (!name.len || slice_is(name, ".") || slice_is(name, ".."))
        return SLICE("file");
    return shortened(name, a);
}

struct slice form_media_type(struct slice content_type, struct arena *a)
{
    ptrdiff_t end = slice_index(content_type, ';');
    struct slice type = slice_trim(end < 0 ? content_type : slice_first(content_type, (size_t)end));
    ptrdiff_t slash = slice_index(type, '/');
    if (slash < 0 || type.len > 127 || !token_is_valid(slice_first(type, (size_t)slash)) ||
        !token_is_valid(slice_skip(type, (size_t)slash + 1)))
        return SLICE("");
    struct slice copy = arena_dup(a, type);
    for (size_t i = 0; i < copy.len; i++) {
        char *c = (char *)(uintptr_t)&copy.ptr[i];
        *c = *c >= 'A' && *c <= 'Z' ? (char)(*c + 32) : *c;
    }
    return copy;
}

/* ---- a file ---------------------------------------------------------------------------------- */

static struct slice path_for(struct form *f, const struct multipart_part *part)
{
    struct slice path = f->path;
    f->path = SLICE("");
    if (path.len)
        return path;
    struct slice name = form_safe_name(part->filename, f->arena);
    bool has_slash = !f->prefix.len || slice_ends(f->prefix, SLICE("/"));
    return arena_printf(f->arena, "%.*s%s%.*s", SLICE_ARGS(f->prefix), has_slash ? "" : "/",
                        SLICE_ARGS(name));
}

static bool is_new_here(const struct form *f, struct slice path, struct err *e)
{
    for (size_t i = 0; i < f->n; i++) {
        if (slice_eq(f->puts[i].at.path, path))
            return err_set(e, ERR_INVALID, "The form has two files for %.*s.",
                           SLICE_ARGS(slice_first(path, 100)));
    }
    return f->n < UPLOAD_FILES ||
           err_set(e, ERR_INVALID, "A form has at most %d files.", UPLOAD_FILES);
}

static bool begin_file(struct form *f, const struct multipart_part *part, struct err *e)
{
    struct files_reading r = {.files = f->files, .arena = f->arena, .who = f->who};
    struct slice path = path_for(f, part);
    if (!is_new_here(f, path, e) || !file_enter_on_lane(&r, e))
        return false;
    struct file_put *p = &f->puts[f->n];
    struct incoming *in = &f->ins[f->n++];
    *p = (struct file_put){
        .files = f->files,
        .who = f->who,
        .arena = f->arena,
        .at = {f->at.bucket, f->at.space, path},
        .said = form_media_type(part->type, f->arena),
        .size = -1,
        .is_public = f->is_public,
    };
    *in = (struct incoming){.files = f->files, .put = p};
    if (f->is_held)
        in->held_for = &f->owner;
    bool fine = incoming_begin(in, &r, e);
    file_leave_reading(&r);
    f->is_in_file = fine;
    return fine || err_prefix(e, "%.*s", SLICE_ARGS(slice_first(path, 100)));
}

/* ---- parts ----------------------------------------------------------------------------------- */

/* A browser sends a file without a name and without bytes where none was chosen. */
static bool begin_part(struct form *f, const struct multipart_part *part, struct err *e)
{
    if (++f->parts > PARTS_MAX)
        return err_set(e, ERR_INVALID, "A form has at most %d parts.", PARTS_MAX);
    f->into = NULL;
    if (part->is_file)
        return !part->filename.len || begin_file(f, part, e);
    if (slice_is(part->name, "path"))
        f->into = &f->path;
    else if (slice_is(part->name, "prefix"))
        f->into = &f->prefix;
    buf_clear(&f->value);
    return true;
}

static bool add_data(struct form *f, struct slice bytes, struct err *e)
{
    struct incoming *in = f->n ? &f->ins[f->n - 1] : NULL;
    if (f->is_in_file)
        return incoming_see(in, bytes, false, e) && incoming_add(in, bytes, e);
    if (f->into)
        buf_add(&f->value, bytes);
    return !f->value.full ||
           err_set(e, ERR_MALFORMED, "The path has more than %d bytes.", FILE_PATH_MAX);
}

static bool end_part(struct form *f, struct err *e)
{
    struct incoming *in = f->n ? &f->ins[f->n - 1] : NULL;
    if (f->into)
        *f->into = arena_dup(f->arena, buf_slice(&f->value));
    f->into = NULL;
    if (!f->is_in_file)
        return true;
    f->is_in_file = false;
    return incoming_see(in, SLICE(""), true, e) && incoming_end(in, e);
}

static bool take_event(struct form *f, const struct multipart_event *ev, struct err *e)
{
    bool was_in_file = f->is_in_file;
    bool fine = ev->kind == MULTIPART_PART   ? begin_part(f, &ev->part, e)
                : ev->kind == MULTIPART_DATA ? add_data(f, ev->data, e)
                                             : end_part(f, e);
    if (!fine && was_in_file && f->n > 1)
        err_prefix(e, "%.*s", SLICE_ARGS(slice_first(f->puts[f->n - 1].at.path, 100)));
    return fine;
}

/* ---- all of it ------------------------------------------------------------------------------- */

/* What is around the files takes no room. */
bool form_hold(struct form *f, const struct files_reading *r, uint64_t announced, struct err *e)
{
    uint64_t size = announced > FRAME_BYTES ? announced - FRAME_BYTES : 0;
    f->held = size < INT64_MAX ? (int64_t)size : INT64_MAX;
    f->is_held = files_form_fits(r, &f->at, f->held, &f->owner, e) &&
                 files_reserve(f->files, &f->at, f->owner, f->held, e);
    return f->is_held;
}

void form_release(struct form *f)
{
    if (f->is_held)
        files_release(f->files, &f->at, f->owner, f->held);
    f->is_held = false;
}

bool form_take(struct form *f, struct slice bytes, bool is_last, struct err *e)
{
    struct multipart_event ev;
    enum io io;
    if (clock_mono_ms() - f->began_ms > FORM_MS_MAX)
        return err_set(e, ERR_TIMEOUT,
                       "The form took longer than %d hours; send its files one by one with PUT.",
                       (int)(FORM_MS_MAX / 3600000));
    while ((io = multipart_next(&f->engine, &bytes, &ev, e)) == IO_OK) {
        if (!take_event(f, &ev, e))
            return false;
    }
    if (io == IO_FAIL)
        return false;
    if (is_last && io != IO_EOF)
        return err_set(e, ERR_MALFORMED, "The form breaks off before its last boundary.");
    return !is_last || f->n || err_set(e, ERR_INVALID, "There is no file in the form.");
}
