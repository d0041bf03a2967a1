/* The YAML tree: positions, the limits, and the sentence for each thing that is refused. */
#include "unit.h"
#include "base/buf.h"
#include "base/yaml.h"

#include <stdio.h>
#include <stdlib.h>

struct fixture {
    struct arena a;
    struct buf said; /* "2:5 sentence\n" for each report */
    struct yaml_node *root;
};

static void note(void *arg, uint32_t line, uint32_t col, const char *sentence)
{
    struct fixture *f = arg;
    buf_printf(&f->said, "%u:%u %s\n", line, col, sentence);
}

static void parse_slice(struct fixture *f, struct slice text)
{
    arena_init(&f->a, 64u << 20);
    buf_init(&f->said, 1 << 20);
    f->root = yaml_parse(text, &f->a, (struct yaml_report){note, f});
}

static void parse(struct fixture *f, const char *text)
{
    parse_slice(f, slice_from(text));
}

static void done(struct fixture *f)
{
    buf_done(&f->said);
    arena_done(&f->a);
}

static void test_positions_and_styles(void **state)
{
    (void)state;
    struct fixture f;
    parse(&f, "app: 007\n# remark\nweb:\n  root: \"web\"\n  list: [a, no,\n    'x']\non: ~\n");
    assert_non_null(f.root);
    assert_int_equal(f.root->n, 3);
    struct yaml_node *app = f.root->first, *web = app->next, *on = web->next;
    assert_string_equal(app->text.ptr, "007");
    assert_true(app->plain);
    assert_int_equal(app->key->line, 1);
    assert_int_equal(app->col, 6);
    assert_string_equal(web->first->key->text.ptr, "root");
    assert_false(web->first->plain);
    assert_int_equal(web->first->line, 4);
    struct yaml_node *no = web->first->next->first->next;
    assert_string_equal(no->text.ptr, "no");
    assert_true(no->plain);
    assert_int_equal(no->next->line, 6);
    assert_int_equal(no->next->col, 5);
    assert_string_equal(on->key->text.ptr, "on");
    assert_true(yaml_is_null(on));
    done(&f);
}

static void test_aliases_share(void **state)
{
    (void)state;
    struct fixture f;
    parse(&f, "a: &x { k: [1, 2] }\nb: *x\nc: *x\nd: !!str 5\n");
    assert_non_null(f.root);
    struct yaml_node *b = f.root->first->next, *c = b->next;
    assert_int_equal(b->line, 2);
    assert_ptr_equal(b->first, c->first);
    assert_string_equal(c->key->text.ptr, "c");
    assert_int_equal(c->first->n, 2);
    assert_false(c->next->plain);
    done(&f);
}

/* clang-format off */
static const struct { const char *text, *said; } refused[] = {
    {"", "1:1 the file is empty\n"},
    {"# only a remark\n", "1:1 the file is empty\n"},
    {"a: 1\nb: 2\na: 3\nb: 4\n",
     "3:1 `a` stands here for the second time, first in line 1; keep one of them\n"
     "4:1 `b` stands here for the second time, first in line 2; keep one of them\n"},
    {"a: 1\n---\nb: 2\n", "2:1 a second document starts here (`---`); one file is one document\n"},
    {"a: !ruby/object {}\n", "1:4 tags (`!name`) are not used here; remove it\n"},
    {"a: !!binary eA==\n", "1:4 tags (`!name`) are not used here; remove it\n"},
    {"a: &x {b: 1}\nc:\n  <<: *x\n", "3:3 merge keys (`<<`) are not supported; write the keys out\n"},
    {"a: *gone\n", "1:4 `*gone` refers to nothing; put `&gone` before the value it should repeat, or quote a text that starts with `*`\n"},
    {"a: &x [*x]\n", "1:8 `*x` refers to nothing; put `&x` before the value it should repeat, or quote a text that starts with `*`\n"},
    {"a:\n\tb: 1\n", "2:1 this line is indented with a tab; YAML wants spaces\n"},
    {"%YAML 1.1\n---\na: 1\n", "1:1 a line starting with `%` is a YAML directive, which is not used here; remove it or indent the line\n"},
    {"a: @b\n", "1:4 this character cannot start a value; put the value in quotes\n"},
    {"a: b: c\n", "1:5 a `:` cannot stand here; put a value that contains `: ` in quotes, or check the indentation\n"},
    {"a: [1, 2\nb: 3\n", "1:4 a list in brackets is not closed; separate its values with `,` and end it with `]`\n"},
    {"a: {b: 1\nc: 3\n", "1:4 a map in braces is not closed; separate its entries with `,` and end it with `}`\n"},
    {"a: \"x\nb: 3\n", "1:4 a quote is never closed; end it before the file ends\n"},
    {"[a, b]: 1\n", "1:1 a key must be a simple word, not a list or a map\n"},
    {"a: \xff\n", "1:4 this is not UTF-8; save the file as UTF-8 text\n"},
    {"a: \xed\xa0\x80\n", "1:4 this is not UTF-8; save the file as UTF-8 text\n"},
    {"a: \"x\\0y\"\n", "1:4 a value cannot hold a zero byte; remove the `\\0`\n"},
    {"a: 1\n  b: 2\n", "2:4 a `:` cannot stand here; put a value that contains `: ` in quotes, or check the indentation\n"},
    {"a:\n  b: 1\n c: 2\n", "3:2 this line does not fit the block it is in; check its indentation\n"},
};
/* clang-format on */

static void test_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        struct fixture f;
        parse(&f, refused[i].text);
        assert_string_equal(buf_slice(&f.said).ptr, refused[i].said);
        done(&f);
    }
}

static void test_zero_byte(void **state)
{
    (void)state;
    struct fixture f;
    parse_slice(&f, SLICE("a: 1\nb\0c"));
    assert_null(f.root);
    assert_string_equal(f.said.data,
                        "2:2 this is a binary file (it holds a zero byte); YAML is text\n");
    done(&f);
}

/* `piece` n times, then what libyaml would be slow or deep with. */
static void refuse_many(const char *start, const char *piece, size_t n, const char *said)
{
    struct fixture f;
    struct buf text;
    buf_init(&text, 2u << 20);
    buf_add_str(&text, start);
    for (size_t i = 0; i < n; i++)
        buf_add_str(&text, piece);
    parse_slice(&f, buf_slice(&text));
    assert_null(f.root);
    assert_non_null(f.said.data);
    assert_non_null(strstr(f.said.data, said));
    buf_done(&text);
    done(&f);
}

static void test_limits(void **state)
{
    (void)state;
    refuse_many("", "[", 100000, "nested more than 64 deep");
    refuse_many("", "{a: ", 100000, "nested more than 64 deep");
    refuse_many("", "- ", 100000, "nested more than 64 deep");
    refuse_many("", "[\n", 100000, "nested more than 64 deep");
    refuse_many("", "- 1\n", 30000, "more than 20,000 values");
    refuse_many("a: 1\n", "# xxxxxxxxxxxxxxxxxx\n", 60000, "larger than 1 MB");
    refuse_many("", "%TAG !a! x\n", 50000, "YAML directive");
}

static void test_alias_bomb(void **state)
{
    (void)state;
    struct fixture f;
    parse(&f, "a: &a [x,x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\n"
              "c: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\n"
              "e: [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]\n");
    assert_null(f.root);
    assert_non_null(strstr(f.said.data, "5:"));
    assert_non_null(strstr(f.said.data, "more than 20,000 values"));
    done(&f);
}

TESTS(cmocka_unit_test(test_positions_and_styles), cmocka_unit_test(test_aliases_share),
      cmocka_unit_test(test_refused), cmocka_unit_test(test_zero_byte),
      cmocka_unit_test(test_limits), cmocka_unit_test(test_alias_bomb))
