/* The one function of libm that a library of ours asks for: brotli's encoder, to estimate sizes.
 *
 * Without it libm is not loaded at all, which is a third of a megabyte of resident memory. */
#include <math.h>
#include <stdint.h>
#include <string.h>

#define FRACTION_BITS 52
#define BIAS          1023
#define LOG2_E        1.4426950408889634074
#define SQRT_2        1.4142135623730950488

/* Of positive, normal numbers, which is all that is asked. log m = 2 atanh((m - 1) / (m + 1)). */
double log2(double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    int exponent = (int)(bits >> FRACTION_BITS) - BIAS;
    bits = (bits & ((UINT64_C(1) << FRACTION_BITS) - 1)) | (uint64_t)BIAS << FRACTION_BITS;
    double m, sum = 0;
    memcpy(&m, &bits, sizeof m); /* 1 <= m < 2 */
    if (m > SQRT_2) {
        m /= 2;
        exponent++;
    }
    double s = (m - 1) / (m + 1), power = s;
    for (int k = 1; k < 20; k += 2) {
        sum += power / k;
        power *= s * s;
    }
    return exponent + 2 * sum * LOG2_E;
}
