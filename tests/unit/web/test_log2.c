/* Our log2 against what is known of logarithms. */
#include "unit.h"

#include <math.h>

static void near(double x, double expected)
{
    volatile double asked = x; /* or the compiler works it out itself */
    double error = log2(asked) - expected;
    assert_true(error < 1e-12 && error > -1e-12);
}

static void test_known_values(void **state)
{
    (void)state;
    double power = 1;
    for (int k = 0; k < 1000; k++) {
        near(power, k);
        near(1 / power, -k);
        near(3 * power, k + 1.5849625007211561815);
        power *= 2;
    }
    near(1.4142135623730950488, 0.5);
    near(1.0000001, 1.44269496875465e-7);
    near(10, 3.3219280948873623479);
    near(1e6, 19.931568569324174087);
}

/* The law of logarithms, all over one octave. */
static void test_products(void **state)
{
    (void)state;
    for (int k = 0; k < 1000; k++) {
        volatile double a = 1 + k / 1000.0, b = 7 * a;
        near(a * b, log2(a) + log2(b));
    }
}

TESTS(cmocka_unit_test(test_known_values), cmocka_unit_test(test_products))
