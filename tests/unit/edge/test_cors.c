/* Tests of which origins an item of cors.origins means. */
#include "unit.h"
#include "edge/edge.h"

static void patterns_mean_what_they_say(void **state)
{
    (void)state;
    static const struct {
        const char *pattern, *origin;
        bool matches;
    } rows[] = {
        {"https://a.example", "https://a.example", true},
        {"https://a.example", "http://a.example", false},
        {"https://a.example", "https://a.example:8443", false},
        {"https://a.example", "https://a.example:443", true},
        {"https://a.example:443", "https://a.example", true},
        {"http://a.example:80", "http://a.example", true},
        {"http://a.example:443", "http://a.example", false},
        {"https://A.example", "https://a.example", true},
        {"https://a.example", "https://a.example.", false},
        {"https://a.example", "https://xa.example", false},
        {"https://a.example", "https://a.example.evil.example", false},
        {"http://localhost:5173", "http://localhost:5173", true},
        {"http://localhost:5173", "http://localhost:51730", false},
        {"http://[::1]:5173", "http://[::1]:5173", true},
        {"https://*.p.example", "https://a.p.example", true},
        {"https://*.p.example", "https://a.b-1.p.example", true},
        {"https://*.p.example", "https://p.example", false},
        {"https://*.p.example", "https://.p.example", false},
        {"https://*.p.example", "https://a..p.example", false},
        {"https://*.p.example", "https://xp.example", false},
        {"https://*.p.example", "http://a.p.example", false},
        {"https://*.p.example", "https://a.p.example:8443", false},
        {"https://*.p.example:8443", "https://a.p.example:8443", true},
        {"https://*.p.example", "https://evil.example/.p.example", false},
        {"https://*.p.example", "https://evil.example#.p.example", false},
        {"https://*.p.example", "https://evil.example:1.p.example", false},
        {"https://*.p.example", "https://evil@a.p.example", false},
        {"https://*.p.example", "https://a_b.p.example", false},
        {"https://*.p.example", "https://a.p.example.evil.example", false},
        {"https://*.p.example", "https://a.p.example:443.evil.example", false},
        {"https://*.p.example", "null", false},
        {"*", "https://a.example", true},
        {"*", "null", false},
        {"https://a.example", "null", false},
        {"https://a.example", "", false},
        {"https://a.example", "https://", false},
        {"https://a.example", "://a.example", false},
        {"https://a.example", "a.example", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (cors_matches(slice_from(rows[i].pattern), slice_from(rows[i].origin)) !=
            rows[i].matches)
            fail_msg("%s, %s", rows[i].pattern, rows[i].origin);
    }
}

TESTS(cmocka_unit_test(patterns_mean_what_they_say))
