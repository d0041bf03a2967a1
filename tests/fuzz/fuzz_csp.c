/* Any bytes as Content-Security-Policy and X-Frame-Options: judged without harm, in bounded space.
 */
#include "base/must.h"
#include "cli/doctor_impl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct report r;
    struct arena arena;
    struct slice xfo, csp = {(const char *)data, size};
    if (!slice_cut(&csp, '\n', &xfo))
        return 0;
    arena_init(&arena, 1u << 20);
    r = (struct report){.arena = &arena, .group = ""};
    judge_csp(csp.len ? csp : (struct slice){0}, xfo.len ? xfo : (struct slice){0}, &r);
    must(r.n >= 1 && r.n <= FINDINGS_MAX);
    for (size_t i = 0; i < r.n; i++)
        must(r.items[i].text.len > 0);
    arena_done(&arena);
    return 0;
}
