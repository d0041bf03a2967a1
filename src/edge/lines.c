/* Cuts what a process says into lines; a piece of one keeps back what may be the start of a secret.
 */
#include "edge/lines_impl.h"

#include "base/must.h"

void lines_init(struct lines *l, const struct mask *mask,
                void (*on_line)(struct lines *l, struct slice line))
{
    l->mask = mask;
    l->on_line = on_line;
    buf_init(&l->said, SAID_MAX);
}

void lines_done(struct lines *l)
{
    buf_done(&l->said);
}

/* The indent stays: tracebacks are read by it. */
static struct slice trim_line(struct slice line)
{
    struct slice text = slice_trim(line);
    while (text.len && text.ptr > line.ptr && (text.ptr[-1] == ' ' || text.ptr[-1] == '\t')) {
        text.ptr--;
        text.len++;
    }
    return text;
}

static void tell(struct lines *l, bool is_whole)
{
    struct buf shown;
    buf_init(&shown, SAID_MAX + 1);
    size_t taken = mask_add(l->mask, buf_slice(&l->said), is_whole, &shown);
    struct slice line = trim_line(buf_slice(&shown));
    must(taken || !l->said.len); /* no secret is looked for as a whole that is longer than this */
    if (line.len)
        l->on_line(l, line);
    buf_done(&shown);
    buf_consume(&l->said, taken);
}

void lines_add(struct lines *l, struct slice bytes)
{
    while (bytes.len) {
        ptrdiff_t end = slice_index(bytes, '\n');
        size_t room = SAID_MAX - l->said.len;
        size_t n = end < 0 ? bytes.len : (size_t)end + 1;
        n = n < room ? n : room;
        buf_add(&l->said, slice_first(bytes, n));
        bytes = slice_skip(bytes, n);
        bool is_whole = l->said.data[l->said.len - 1] == '\n';
        if (is_whole || l->said.len == SAID_MAX)
            tell(l, is_whole);
    }
}

void lines_end(struct lines *l)
{
    tell(l, true);
}
