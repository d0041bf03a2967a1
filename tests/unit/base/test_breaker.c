/* The circuit breaker: opens after failures in a row, lets one through, closes. */
#include "base/breaker.h"
#include "unit.h"

static const struct breaker_rule rule = {8, 5000, 30000};

static void pauses_and_probes(void **state)
{
    struct breaker b = {0};
    bool is_probe;
    int64_t left = 0;
    (void)state;
    for (unsigned i = 0; i < rule.failures - 1; i++)
        breaker_tell(&b, &rule, false, 100);
    assert_true(breaker_enter(&b, 100, &is_probe, &left) && !is_probe);
    breaker_tell(&b, &rule, true, 100); /* one that worked: counted from the start */
    for (unsigned i = 0; i < rule.failures; i++)
        breaker_tell(&b, &rule, false, 200);
    assert_false(breaker_enter(&b, 201, &is_probe, &left));
    assert_int_equal(left, rule.pause_ms - 1);
    int64_t later = 200 + rule.pause_ms;
    assert_true(breaker_enter(&b, later, &is_probe, &left) && is_probe);
    bool other;
    assert_false(breaker_enter(&b, later, &other, &left)); /* one finds out */
    breaker_tell(&b, &rule, false, later);
    breaker_leave(&b, is_probe);
    assert_false(breaker_enter(&b, later + rule.pause_ms, &is_probe, &left)); /* twice as long */
    assert_true(breaker_enter(&b, later + 2 * rule.pause_ms, &is_probe, &left) && is_probe);
    breaker_leave(&b, is_probe); /* it ended without a word: the next one finds out */
    assert_true(breaker_enter(&b, later + 2 * rule.pause_ms, &is_probe, &left) && is_probe);
    breaker_tell(&b, &rule, true, later + 2 * rule.pause_ms);
    breaker_leave(&b, is_probe);
    assert_true(breaker_enter(&b, later + 2 * rule.pause_ms, &is_probe, &left) && !is_probe);
}

static void never_longer_than_its_maximum(void **state)
{
    struct breaker b = {0};
    bool is_probe;
    int64_t now = 0, left = 0;
    (void)state;
    for (int i = 0; i < 30; i++) {
        while (breaker_enter(&b, now, &is_probe, &left)) {
            breaker_tell(&b, &rule, false, now);
            breaker_leave(&b, is_probe);
        }
        assert_in_range(left, rule.pause_ms, rule.pause_max_ms);
        now += left;
    }
    assert_int_equal(left, rule.pause_max_ms);
}

TESTS(cmocka_unit_test(pauses_and_probes), cmocka_unit_test(never_longer_than_its_maximum))
