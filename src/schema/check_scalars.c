/* Keywords of single values: types, constants, numbers, texts. */
#include "schema/check_impl.h"

#define REGEX_STEPS 2000 /* `format: regex`: a short pattern can take 400 us to compile */

static bool type_fits(const struct schema *s, const struct json *v)
{
    return !s->types || (s->types & TYPE_BIT(json_type(v))) ||
           ((s->types & TYPE_INTEGER) && json_type(v) == JSON_NUMBER && json_is_integer(v));
}

static bool check_choices(struct check *c, const struct schema *s, const struct json *v)
{
    struct slice words = SLICE("");
    if (check_choice(c, s->choices, v))
        return true;
    json_each (it, s->choices) {
        if (!is_telling(c) || words.len > 200)
            break;
        words = arena_printf(&c->scratch, "%.*s%s%.*s", SLICE_ARGS(words), it.index ? ", " : "",
                             SLICE_ARGS(told_value(c, it.value)));
    }
    return tell(c, "enum", "must be one of %.*s", SLICE_ARGS(words));
}

/* ---- numbers ------------------------------------------------------------------------------------
 */

static uint64_t multiply(uint64_t a, uint64_t b, uint64_t m)
{
    return (uint64_t)((unsigned __int128)a * b % m);
}

/* Is v = q x m for a whole q? v = A x 10^x, m = B x 10^y, neither A nor B ends in a zero: if x < y,
 * A would have to end in one. Compiling made sure that B fits. */
static bool is_multiple(const struct json *v, const struct json *m)
{
    struct json_decimal a = json_decimal(v), b = json_decimal(m);
    uint64_t divisor = 0, rest = 0, power = 10;
    if (!a.n)
        return true;
    if (a.exp < b.exp)
        return false;
    for (size_t i = 0; i < b.n; i++)
        divisor = divisor * 10 + (uint64_t)(json_decimal_digit(&b, i) - '0');
    must(divisor > 0); /* compiling took nothing else */
    for (size_t i = 0; i < a.n; i++)
        rest =
            (multiply(rest, 10, divisor) + (uint64_t)(json_decimal_digit(&a, i) - '0')) % divisor;
    power %= divisor;
    for (uint64_t n = (uint64_t)(a.exp - b.exp); n; n >>= 1) {
        if (n & 1)
            rest = multiply(rest, power, divisor);
        power = multiply(power, power, divisor);
    }
    return rest == 0;
}

static bool check_number(struct check *c, const struct schema *s, const struct json *v)
{
    bool fine = true;
    if (s->minimum && json_num_cmp(v, s->minimum) < 0)
        fine = tell(c, "minimum", "must be at least %.*s", SLICE_ARGS(json_num_text(s->minimum)));
    if (s->maximum && json_num_cmp(v, s->maximum) > 0)
        fine = tell(c, "maximum", "must be at most %.*s", SLICE_ARGS(json_num_text(s->maximum)));
    if (s->exclusive_minimum && json_num_cmp(v, s->exclusive_minimum) <= 0)
        fine = tell(c, "exclusiveMinimum", "must be more than %.*s",
                    SLICE_ARGS(json_num_text(s->exclusive_minimum)));
    if (s->exclusive_maximum && json_num_cmp(v, s->exclusive_maximum) >= 0)
        fine = tell(c, "exclusiveMaximum", "must be less than %.*s",
                    SLICE_ARGS(json_num_text(s->exclusive_maximum)));
    if (s->multiple_of && !is_multiple(v, s->multiple_of))
        fine = tell(c, "multipleOf", "must be a multiple of %.*s",
                    SLICE_ARGS(json_num_text(s->multiple_of)));
    return fine;
}

/* ---- texts --------------------------------------------------------------------------------------
 */

static bool check_text(struct check *c, const struct schema *s, const struct json *v)
{
    struct slice text = json_str(v);
    bool fine = true;
    int64_t n = s->min_length >= 0 || s->max_length >= 0 ? (int64_t)text_length(text) : 0;
    if (s->min_length >= 0 && n < s->min_length)
        fine = n == 0 ? tell(c, "minLength", "must not be empty")
                      : tell(c, "minLength", "must have at least %lld characters",
                             (long long)s->min_length);
    if (s->max_length >= 0 && n > s->max_length)
        fine = tell(c, "maxLength", "must have at most %lld characters, has %lld",
                    (long long)s->max_length, (long long)n);
    c->steps += text.len / 64 + (slice_is(s->format, "regex") ? REGEX_STEPS : 0);
    if (s->pattern && !check_pattern(c, s->pattern, text))
        fine = tell(c, "pattern", "does not have the form that is wanted: %.*s",
                    SLICE_ARGS(json_str(json_find(s->at, SLICE("pattern")))));
    if (s->format.len && !format_check(s->format, text))
        fine = tell(c, "format", "is not a valid %.*s", SLICE_ARGS(s->format));
    return fine;
}

bool check_scalar(struct check *c, const struct schema *s, const struct json *v)
{
    bool fine = true;
    if (!type_fits(s, v))
        fine = tell(c, "type", "must be %.*s, is %s", SLICE_ARGS(told_types(c, s->types)),
                    json_type(v) == JSON_NUMBER && !(s->types & TYPE_BIT(JSON_NUMBER)) &&
                            (s->types & TYPE_INTEGER)
                        ? "a fraction"
                        : told_type(v));
    if (s->constant && !values_equal(s->constant, v))
        fine = tell(c, "const", "must be %.*s", SLICE_ARGS(told_value(c, s->constant)));
    if (s->choices && !check_choices(c, s, v))
        fine = false;
    if (json_type(v) == JSON_NUMBER)
        fine = check_number(c, s, v) && fine;
    if (json_type(v) == JSON_STRING)
        fine = check_text(c, s, v) && fine;
    return fine;
}
