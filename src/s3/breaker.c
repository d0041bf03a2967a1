/* The circuit breaker: a store that failed many times in a row is left alone for a while. */
#include "s3/s3_impl.h"

bool s3_breaker_enter(struct s3_breaker *b, int64_t now_ms, bool *ret_probe, int64_t *ret_ms)
{
    *ret_probe = false;
    if (!b->until_ms)
        return true;
    if (now_ms < b->until_ms || b->is_probing) {
        *ret_ms = now_ms < b->until_ms ? b->until_ms - now_ms : 1000;
        return false;
    }
    *ret_probe = b->is_probing = true;
    return true;
}

void s3_breaker_tell(struct s3_breaker *b, bool is_fine, int64_t now_ms)
{
    if (is_fine) {
        b->failures = 0;
        b->until_ms = 0;
        b->pause_ms = 0;
        return;
    }
    if (b->failures < S3_BREAKER_FAILURES)
        b->failures++;
    /* Calls that began before go on trying: what they find does not make the pause longer. */
    if (b->failures < S3_BREAKER_FAILURES || now_ms < b->until_ms)
        return;
    uint32_t twice = b->pause_ms * 2;
    b->pause_ms = !twice ? S3_BREAKER_MS : twice < S3_BREAKER_MAX_MS ? twice : S3_BREAKER_MAX_MS;
    b->until_ms = now_ms + b->pause_ms;
}

void s3_breaker_leave(struct s3_breaker *b, bool is_probe)
{
    if (is_probe)
        b->is_probing = false;
}
