/* Fuzzes the follower of WebSocket frames: whole against byte by byte; what passed follows again to
 * the same end, and a close frame put between two frames never breaks the stream. */
#include "wire/wire.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t follow(struct ws *w, const struct ws_options *o, uint32_t cheap, struct slice in,
                     size_t step)
{
    size_t passed = 0, n = 0;
    ws_init(w, o);
    w->cheap_left = cheap;
    for (size_t upto = step; in.len; upto += step) {
        upto = upto < in.len ? upto : in.len;
        bool fine = ws_follow(w, slice_skip(slice_first(in, upto), passed), &n);
        passed += n;
        must(passed <= upto && fine == !w->fault);
        must(!fine || upto - passed < WS_HEAD_MAX);
        if (!fine || upto == in.len)
            break;
    }
    return passed;
}

static void check_close(const struct ws *at_end)
{
    struct ws w = *at_end;
    char frame[WS_CLOSE_MAX];
    size_t n = 0, len = ws_close_frame(frame, 1001, "the end",
                                       w.options.is_client ? (const uint8_t *)"\1\2\3\4" : NULL);
    w.options.max_session = 0;
    w.cheap_left = 1;
    must(ws_follow(&w, (struct slice){frame, len}, &n) && n == len && w.has_closed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ws whole, cut, again;
    if (size < 1)
        return 0;
    const struct ws_options o = {
        .is_client = data[0] & 1,
        .may_compress = data[0] & 2,
        .max_message = data[0] & 4 ? 300 : 0,
        .max_session = data[0] & 8 ? 1000 : 0,
    };
    uint32_t cheap = data[0] >> 4 ? data[0] >> 4 : UINT32_MAX;
    struct slice in = {(const char *)data + 1, size - 1};
    size_t n = follow(&whole, &o, cheap, in, in.len ? in.len : 1);
    must(follow(&cut, &o, cheap, in, 1) == n);
    must(whole.fault == cut.fault && whole.why == cut.why && whole.left == cut.left);
    must(whole.message == cut.message && whole.session == cut.session);
    must(!o.max_session || whole.session <= o.max_session);
    must(follow(&again, &o, cheap, slice_first(in, n), 5) == n && !again.fault);
    if (ws_is_between(&again) && !again.has_closed)
        check_close(&again);
    return 0;
}
