/* What is decided before a backend's first start: persisted paths in every state, and dpkg's words.
 */
#include "unit.h"
#include "edge/prepare_impl.h"

#define NONE   THING_NONE
#define FILE   THING_FILE
#define FOLDER THING_FOLDER
#define EMPTY  THING_EMPTY
#define LINK   THING_LINK
#define OTHER  THING_OTHER

#define FOUND(p, k, a, s, ...)                                       \
    {                                                                \
        .place = p, .kept = k, .aside = a, .shipped = s, __VA_ARGS__ \
    }
static const struct {
    struct persist_found found;
    enum persist_step want;
} cases[] = {
    /* nothing, or one side */
    {FOUND(NONE, NONE, NONE, NONE), PERSIST_MAKE},
    {FOUND(NONE, NONE, NONE, NONE, .is_file = true), PERSIST_LINK},
    {FOUND(NONE, FOLDER, NONE, NONE), PERSIST_LINK},
    {FOUND(NONE, EMPTY, NONE, NONE), PERSIST_LINK},
    {FOUND(FILE, NONE, NONE, NONE), PERSIST_MOVE},
    {FOUND(FOLDER, NONE, NONE, NONE), PERSIST_MOVE},
    {FOUND(EMPTY, NONE, NONE, NONE), PERSIST_MOVE},
    {FOUND(OTHER, NONE, NONE, NONE), PERSIST_REFUSE},
    /* links */
    {FOUND(LINK, FOLDER, NONE, NONE, .leads_here = true), PERSIST_DONE},
    {FOUND(LINK, NONE, NONE, NONE, .leads_here = true), PERSIST_MAKE},
    {FOUND(LINK, NONE, NONE, NONE, .leads_here = true, .is_file = true), PERSIST_DONE},
    {FOUND(LINK, NONE, NONE, NONE, .leads_to_data = true), PERSIST_RELINK},
    {FOUND(LINK, FOLDER, NONE, NONE, .leads_to_data = true), PERSIST_RELINK},
    {FOUND(LINK, NONE, NONE, NONE, .leads_to_data = true, .has_target = true), PERSIST_REFUSE},
    {FOUND(LINK, FOLDER, NONE, NONE, .leads_to_data = true, .has_target = true), PERSIST_REFUSE},
    {FOUND(LINK, NONE, NONE, NONE, .has_target = true), PERSIST_REFUSE},
    {FOUND(LINK, NONE, NONE, NONE), PERSIST_REFUSE},
    /* both sides */
    {FOUND(FOLDER, FOLDER, NONE, NONE), PERSIST_REFUSE},
    {FOUND(FILE, FILE, NONE, NONE), PERSIST_REFUSE},
    {FOUND(EMPTY, FOLDER, NONE, NONE), PERSIST_DROP},
    {FOUND(FOLDER, FOLDER, NONE, NONE, .is_new_release = true), PERSIST_SHIP},
    {FOUND(FOLDER, FOLDER, NONE, FOLDER, .is_new_release = true), PERSIST_REFUSE},
    {FOUND(FOLDER, NONE, NONE, NONE, .is_new_release = true), PERSIST_MOVE},
    /* a move across file systems that was interrupted */
    {FOUND(NONE, NONE, FOLDER, NONE), PERSIST_UNDO},
    {FOUND(NONE, FOLDER, FOLDER, NONE), PERSIST_LINK},
    {FOUND(LINK, FOLDER, FOLDER, NONE, .leads_here = true), PERSIST_CLEAN},
    {FOUND(LINK, NONE, FOLDER, NONE, .leads_here = true), PERSIST_REFUSE},
    {FOUND(FOLDER, NONE, FOLDER, NONE), PERSIST_REFUSE},
    {FOUND(FOLDER, FOLDER, FOLDER, NONE, .is_new_release = true), PERSIST_REFUSE},
};

static void test_decisions(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *why = NULL;
        enum persist_step got = persist_decide(&cases[i].found, &why);
        if (got != cases[i].want)
            fail_msg("case %zu: %d instead of %d", i, got, cases[i].want);
        assert_int_equal(got == PERSIST_REFUSE, why != NULL);
    }
}

/* Whatever is found: nothing is moved onto something, and nothing goes that is not kept. */
static void test_no_decision_loses_anything(void **state)
{
    (void)state;
    for (unsigned bits = 0; bits < 6 * 6 * 6 * 6 * 32; bits++) {
        unsigned rest = bits / 32;
        struct persist_found f = {.leads_here = bits & 1,
                                  .leads_to_data = bits & 2,
                                  .has_target = bits & 4,
                                  .is_new_release = bits & 8,
                                  .is_file = bits & 16};
        f.place = (enum thing)(rest % 6), rest /= 6;
        f.kept = (enum thing)(rest % 6), rest /= 6;
        f.aside = (enum thing)(rest % 6), rest /= 6;
        f.shipped = (enum thing)rest;
        if (f.place != LINK)
            f.leads_here = f.leads_to_data = f.has_target = false;
        const char *why = NULL;
        switch (persist_decide(&f, &why)) {
        case PERSIST_LINK:
            assert_int_equal(f.place, NONE);
            break;
        case PERSIST_RELINK:
            assert_true(f.place == LINK && !f.has_target);
            break;
        case PERSIST_MAKE:
            assert_int_equal(f.kept, NONE);
            break;
        case PERSIST_MOVE:
            assert_true(f.kept == NONE && f.aside == NONE && f.place != LINK);
            break;
        case PERSIST_DROP:
            assert_int_equal(f.place, EMPTY);
            break;
        case PERSIST_SHIP:
            assert_true(f.shipped == NONE && f.kept != NONE && f.aside == NONE);
            break;
        case PERSIST_UNDO:
            assert_true(f.place == NONE && f.kept == NONE);
            break;
        case PERSIST_CLEAN:
            assert_true(f.kept != NONE && f.leads_here);
            break;
        case PERSIST_DONE:
            assert_true(f.leads_here && f.aside == NONE);
            break;
        case PERSIST_REFUSE:
            assert_non_null(why);
            break;
        }
    }
}

static void test_dpkg(void **state)
{
    struct slice answer =
        SLICE("installed one\nconfig-files two\nnot-installed three\ninstalled one-more\n"
              "installed last");
    (void)state;
    assert_true(packages_has(answer, SLICE("one")));
    assert_true(packages_has(answer, SLICE("last")));
    assert_false(packages_has(answer, SLICE("two")));
    assert_false(packages_has(answer, SLICE("three")));
    assert_false(packages_has(answer, SLICE("more")));
    assert_false(packages_has(SLICE(""), SLICE("one")));
}

/* No process is given so long a command, but it is looked at before that is known. */
static void test_a_command_of_very_many_words(void **state)
{
    const struct texts none = {0};
    struct buf command, inputs;
    (void)state;
    buf_init(&command, 1u << 20);
    buf_init(&inputs, 1u << 20);
    while (!command.full)
        buf_add_str(&command, "a ");
    const struct setup_options o = {
        .command = {command.data, command.len},
        .dir = "/proc/self/task/././././././././././././././././././././././././.",
        .data_dir = "/proc/self",
        .app = "app",
        .persist = &none};
    setup_inputs(&o, &inputs);
    assert_int_equal(inputs.len, 0);
    buf_done(&command);
    buf_done(&inputs);
}

TESTS(cmocka_unit_test(test_a_command_of_very_many_words), cmocka_unit_test(test_decisions),
      cmocka_unit_test(test_no_decision_loses_anything), cmocka_unit_test(test_dpkg))
