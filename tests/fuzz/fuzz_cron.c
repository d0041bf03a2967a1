/* Schedules: whatever is read comes at a whole minute after the one it was asked for, or never. */
#include "base/cron.h"
#include "base/must.h"
#include "jobs/jobs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice spec = {(const char *)data, size};
    struct cron c;
    const int64_t after = 1767312245678; /* 2026-01-02T00:04:05.678Z */
    if (size > 4096)
        return 0;
    bool is_one = cron_read(spec, &c);
    int64_t next = cron_next(spec, after);
    must(next == 0 ? !is_one || !cron_comes(&c) : is_one && next > after && next % 60000 == 0);
    for (int n = 0; is_one && n < CRON_FIELDS; n++)
        must(c.set[n] && !(c.set[n] & ~cron_all_of((enum cron_field)n)));
    return 0;
}
