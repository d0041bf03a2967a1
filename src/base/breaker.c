/* The circuit breaker: how long a place that failed is left alone, and who asks it again. */
#include "base/breaker.h"

bool breaker_enter(struct breaker *b, int64_t now_ms, bool *ret_probe, int64_t *ret_ms)
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

void breaker_tell(struct breaker *b, const struct breaker_rule *rule, bool is_fine, int64_t now_ms)
{
    if (is_fine) {
        b->failures = 0;
        b->until_ms = 0;
        b->pause_ms = 0;
        return;
    }
    if (b->failures < rule->failures)
        b->failures++;
    /* Calls that began before go on trying: what they find does not make the pause longer. */
    if (b->failures < rule->failures || now_ms < b->until_ms)
        return;
    uint32_t twice = b->pause_ms * 2;
    b->pause_ms = !twice ? rule->pause_ms : twice < rule->pause_max_ms ? twice : rule->pause_max_ms;
    b->until_ms = now_ms + b->pause_ms;
}

void breaker_leave(struct breaker *b, bool is_probe)
{
    if (is_probe)
        b->is_probing = false;
}
