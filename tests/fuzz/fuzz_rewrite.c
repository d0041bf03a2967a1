/* Fuzzes the rewriting of text in pieces: any cuts must give what one piece gives, which is what a
 * plain search and replace gives. Input: lengths of `from` and `to`, a step, the texts. */
#include "edge/edge_impl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void replace(struct slice text, const struct rewrite_rule *rule, struct buf *to)
{
    ptrdiff_t at;
    while ((at = slice_search(text, rule->from.s)) >= 0) {
        buf_add(to, slice_first(text, (size_t)at));
        buf_add(to, rule->to.s);
        text = slice_skip(text, (size_t)at + rule->from.s.len);
    }
    buf_add(to, text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 8 || size > 4096)
        return 0;
    size_t n_from = 1 + data[0] % 6, n_to = data[1] % 6, step = 1 + data[2] % 9;
    struct slice text = {(const char *)data + 3, size - 3};
    struct rewrite_rule rules[2] = {{.files.s = SLICE("*")}, {.files.s = SLICE("*")}};
    rules[0].from.s = slice_first(text, n_from < text.len ? n_from : 1);
    rules[0].to.s = slice_first(slice_skip(text, 2), n_to);
    rules[1].from.s = slice_first(slice_skip(text, 3), 2);
    rules[1].to.s = SLICE("");
    struct web_conf conf = {.rewrite = {rules, 2}};
    struct buf one, want, got, out;
    struct buf *all[] = {&one, &want, &got, &out};
    for (size_t i = 0; i < 4; i++)
        buf_init(all[i], 1 << 20);
    replace(text, &rules[0], &one);
    replace(buf_slice(&one), &rules[1], &want);
    struct rewriter *r = rewriter_new(&conf, SLICE("/x"));
    for (size_t at = 0; at < text.len; at += step) {
        must(rewriter_add(r, slice_first(slice_skip(text, at), step), at + step >= text.len, &out));
        buf_add(&got, buf_slice(&out));
    }
    must(slice_eq(buf_slice(&got), buf_slice(&want)));
    rewriter_free(r);
    for (size_t i = 0; i < 4; i++)
        buf_done(all[i]);
    return 0;
}
