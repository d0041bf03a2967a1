/* Keys: scalars as bytes whose order is the order of the values.
 *
 *   null     01
 *   boolean  02, then 00 or 01
 *   number   03, its sign (00 negative, 01 zero, 02 positive), its exponent, its digits
 *   string   04, then its bytes
 *
 * A number is 0.DIGITS x 10^exponent without zeros at the ends of the digits, and exact whatever
 * its size: 2^53 and 2^53 + 1 differ, 1.0 and 1 do not. The exponent is a byte, 0x80 plus or minus
 * how many digits it has, and these digits, from 9 down where it is negative. Each digit of the
 * number is a byte from 02 on, and 01 ends them, so that 0.1 comes before 0.11. Negative numbers
 * have all bytes after the sign inverted. */
#include "query/query_impl.h"

static void exponent_key(struct buf *to, int64_t exponent)
{
    char reversed[24];
    int n = 0;
    bool is_negative = exponent < 0;
    for (uint64_t rest = (uint64_t)(is_negative ? -exponent : exponent); rest; rest /= 10)
        reversed[n++] = (char)(rest % 10);
    buf_add_char(to, (char)(0x80 + (is_negative ? -n : n)));
    while (n-- > 0)
        buf_add_char(to, (char)(is_negative ? 9 - reversed[n] : reversed[n]));
}

static void number_key(struct buf *to, const struct json *value)
{
    struct json_decimal d = json_decimal(value);
    buf_add_char(to, d.n == 0 ? 1 : d.negative ? 0 : 2);
    if (d.n == 0)
        return;
    size_t from = to->len;
    exponent_key(to, d.exp + (int64_t)d.n);
    for (size_t i = 0; i < d.n; i++)
        buf_add_char(to, (char)(json_decimal_digit(&d, i) - '0' + 2));
    buf_add_char(to, 1);
    for (size_t i = from; d.negative && i < to->len; i++)
        to->data[i] = (char)~to->data[i];
}

bool query_key(struct buf *to, const struct json *value)
{
    switch (json_type(value)) {
    case JSON_NONE:
    case JSON_NULL:
        buf_add_char(to, 1);
        return true;
    case JSON_BOOL:
        buf_add_char(to, 2);
        buf_add_char(to, json_bool(value));
        return true;
    case JSON_NUMBER:
        buf_add_char(to, 3);
        number_key(to, value);
        return true;
    case JSON_STRING:
        buf_add_char(to, 4);
        buf_add(to, json_str(value));
        return true;
    default:
        return false;
    }
}
