/* Fuzzes the decoders of the spawner's messages: any bytes are refused or decoded within bounds. */
#include "loop/spawn_impl.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct run_request rq;
    struct wire_small m;
    struct slice packet = {.ptr = (const char *)data, .len = size};
    volatile size_t sum = 0;
    if (wire_run_decode(packet, &rq)) {
        sum += strlen(rq.cwd);
        for (size_t i = 0; rq.argv[i]; i++)
            sum += strlen(rq.argv[i]);
        for (size_t i = 0; rq.env[i]; i++)
            sum += strlen(rq.env[i]);
    }
    if (wire_small_decode(packet, &m) && m.kind == WIRE_EVENT) {
        struct buf text;
        buf_init(&text, 256);
        process_ended_text(&m.event, &text);
        buf_done(&text);
    }
    (void)sum;
    return 0;
}
