/* The circuit breaker: a place that failed many times in a row is left alone for a while. Pure; the
 * caller has the clock and the lock. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct breaker_rule {
    unsigned failures;               /* in a row: then it opens */
    uint32_t pause_ms, pause_max_ms; /* the first time; twice as long each further time */
};
struct breaker { /* zeroed at first */
    unsigned failures;
    int64_t until_ms;  /* refused before; 0: closed */
    uint32_t pause_ms; /* of the last time */
    bool is_probing;
};
/* False: refuse, *ret_ms is left. *ret_probe: this call finds out whether the place is back. */
bool breaker_enter(struct breaker *b, int64_t now_ms, bool *ret_probe, int64_t *ret_ms);
void breaker_tell(struct breaker *b, const struct breaker_rule *rule, bool is_fine,
                  int64_t now_ms);                    /* each attempt */
void breaker_leave(struct breaker *b, bool is_probe); /* however the call ended */
