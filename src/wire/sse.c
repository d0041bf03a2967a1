/* Server-sent events: frames of text/event-stream. */
#include "wire/wire.h"

#include <string.h>

static bool field_is_valid(struct slice s)
{
    return slice_index(s, '\n') < 0 && slice_index(s, '\r') < 0 && slice_index(s, 0) < 0;
}

static void add_field(struct buf *to, struct slice name, struct slice value)
{
    buf_add(to, name);
    buf_add(to, SLICE(": "));
    buf_add(to, value);
    buf_add_char(to, '\n');
}

/* Takes one line and its CR, LF or CRLF off; *ret_more says that an end of line was there. */
static struct slice take_line(struct slice *data, bool *ret_more)
{
    size_t n = 0;
    while (n < data->len && data->ptr[n] != '\n' && data->ptr[n] != '\r')
        n++;
    struct slice line = slice_first(*data, n);
    *ret_more = n < data->len;
    bool crlf = slice_starts(slice_skip(*data, n), SLICE("\r\n"));
    *data = slice_skip(*data, n + (crlf ? 2 : 1));
    return line;
}

bool sse_add_event(struct buf *to, struct slice id, struct slice event, struct slice data)
{
    bool more = true;
    if (!field_is_valid(id) || !field_is_valid(event))
        return false;
    if (id.len > 0)
        add_field(to, SLICE("id"), id);
    if (event.len > 0)
        add_field(to, SLICE("event"), event);
    while (more)
        add_field(to, SLICE("data"), take_line(&data, &more));
    buf_add_char(to, '\n');
    return true;
}

void sse_add_heartbeat(struct buf *to)
{
    buf_add(to, SLICE(":\n\n"));
}

void sse_add_retry(struct buf *to, uint32_t ms)
{
    buf_printf(to, "retry: %u\n\n", ms);
}
