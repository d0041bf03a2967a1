/* Tests of base/size: sizes read as dais.yaml has them. */
#include "base/size.h"
#include "unit.h"

static void test_the_largest_whole_unit(void **state)
{
    static const struct {
        int64_t bytes;
        const char *text;
    } rows[] = {{0, "0B"},
                {1000, "1000B"},
                {1024, "1KB"},
                {1536, "1536B"},
                {20 << 20, "20MB"},
                {(int64_t)3 << 30, "3GB"},
                {(int64_t)2048 << 40, "2048TB"},
                {INT64_MAX, "9223372036854775807B"}};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[SIZE_TEXT_LEN];
        size_text(rows[i].bytes, text);
        assert_string_equal(text, rows[i].text);
    }
}

TESTS(cmocka_unit_test(test_the_largest_whole_unit))
