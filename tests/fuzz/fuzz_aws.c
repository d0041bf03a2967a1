/* AWS: profiles, answers of STS and of metadata services, containers' addresses, paths to sign. */
#include "aws/aws_impl.h"

static void check_inside(struct slice part, struct slice whole)
{
    must(!part.len || (part.ptr >= whole.ptr && part.ptr + part.len <= whole.ptr + whole.len));
}

static void check_profile(struct slice text, bool is_config)
{
    struct profile p;
    struct err e = {0};
    if (profile_read(text, is_config, SLICE("default"), &p, &e)) {
        const struct slice all[] = {p.id,   p.secret,     p.token,   p.region,
                                    p.role, p.token_file, p.session, p.sso};
        for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
            check_inside(all[i], text);
            must(p.is_there || !all[i].len);
            must(slice_index(all[i], '\n') < 0);
        }
    } else {
        must(e.msg[0] == 'l');
    }
}

static void check_lent(const struct lent *l)
{
    must(is_visible(l->keys.id) && is_visible(l->keys.secret));
    must(!l->keys.token.len || is_visible(l->keys.token));
}

static void check_sign(struct slice text)
{
    static const struct aws_keys keys = {SLICE_INIT("A"), SLICE_INIT("B"), SLICE_INIT("")};
    static const struct aws_scope scope = {SLICE_INIT("r"), SLICE_INIT("s3")};
    struct aws_field query[2] = {{text, text}, {SLICE("a"), text}};
    for (int i = 0; i < 2; i++) {
        struct aws_request rq = {.method = SLICE("GET"),
                                 .host = SLICE("h"),
                                 .path = text,
                                 .query = query,
                                 .n_query = 2,
                                 .payload = SLICE(AWS_PAYLOAD_NONE),
                                 .is_normal = i};
        struct buf to;
        buf_init(&to, 1 << 20);
        aws_presign(&rq, &keys, &scope, 1369353600, 60, &to);
        must(to.full || (is_visible(buf_slice(&to)) && to.data[0] == '/'));
        must(!i || to.full || slice_search(buf_slice(&to), SLICE("/../")) < 0);
        buf_clear(&to);
        aws_sign(&rq, &keys, &scope, 1369353600, &to);
        must(slice_ends(buf_slice(&to), SLICE("\r\n")) || to.full);
        buf_done(&to);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = {(const char *)data, size};
    struct lent l;
    struct arena a;
    struct err e;
    arena_init(&a, 16 << 20);
    check_profile(text, false);
    check_profile(text, true);
    if (lent_from_json(text, &a, &l, &e))
        check_lent(&l);
    if (lent_from_xml(text, &a, &l, &e))
        check_lent(&l);
    if (container_may_ask(text))
        must(is_visible(text));
    if (size < 2000)
        check_sign(text);
    arena_done(&a);
    return 0;
}
