/* Signed links: whoever has one may do the one thing it names, until it is over. */
#include "base/base64.h"
#include "files/files_impl.h"
#include "wire/wire.h"

#include <inttypes.h>
#include <string.h>

#define SLACK_MS (5 * 60 * 1000LL) /* between the clocks of two machines */

static int64_t seconds(int64_t ms)
{
    return (ms + 999) / 1000;
}

static void sign(const struct files *f, const struct file_link *l, unsigned char to[KEY_LEN])
{
    int64_t until = seconds(l->until_ms);
    const struct slice parts[] = {
        SLICE("1"),
        l->at.bucket->name,
        l->at.space,
        l->at.path,
        slice_from(http_method_name(l->method)),
        {(const char *)&until, sizeof until},
        l->by,
    };
    mac_of(f->link_key, parts, sizeof parts / sizeof *parts, to);
}

void file_link_sign(const struct files *f, const struct file_link *l, struct buf *to)
{
    unsigned char sig[KEY_LEN];
    sign(f, l, sig);
    buf_printf(to, "exp=%" PRId64 "&by=", seconds(l->until_ms));
    percent_encode(to, l->by);
    buf_printf(to, "&method=%s&sig=", http_method_name(l->method));
    base64_add(to, (struct slice){(const char *)sig, KEY_LEN}, BASE64_URL);
}

/* ---- reading --------------------------------------------------------------------------------- */

struct sent {
    struct slice exp, by, method, sig;
};

/* Each once: a link that says two things says nothing. */
static bool read_parts(struct slice query, struct arena *a, struct sent *ret)
{
    const struct {
        const char *name;
        struct slice *to;
    } parts[] = {
        {"exp", &ret->exp}, {"by", &ret->by}, {"method", &ret->method}, {"sig", &ret->sig}};
    struct slice name, value;
    unsigned seen = 0;
    *ret = (struct sent){0};
    while (query_next(&query, &name, &value)) {
        for (unsigned i = 0; i < sizeof parts / sizeof *parts; i++) {
            if (!slice_is(name, parts[i].name))
                continue;
            if (seen & 1u << i ||
                !query_decode(value, arena_alloc(a, value.len), parts[i].to, NULL))
                return false;
            seen |= 1u << i;
        }
    }
    return seen == 15;
}

static bool method_of(struct slice name, enum http_method *ret)
{
    static const enum http_method known[] = {METHOD_GET, METHOD_PUT};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (slice_is(name, http_method_name(known[i]))) {
            *ret = known[i];
            return true;
        }
    }
    return false;
}

static bool is_signed(const struct files *f, const struct file_link *l, struct slice sig,
                      struct arena *a)
{
    unsigned char made[KEY_LEN];
    struct slice bytes;
    sign(f, l, made);
    return base64_url_read(sig, a, &bytes) && bytes.len == KEY_LEN &&
           mac_is(made, (const unsigned char *)bytes.ptr);
}

bool file_link_read(const struct files *f, const struct file_place *at, enum http_method method,
                    struct slice query, int64_t now_ms, struct arena *a, struct file_link *ret,
                    struct err *e)
{
    struct sent sent;
    uint64_t until = 0;
    *ret = (struct file_link){.at = *at};
    bool is_whole = read_parts(query, a, &sent) && method_of(sent.method, &ret->method) &&
                    slice_to_u64(sent.exp, &until) && until < INT64_MAX / 1000 &&
                    (sent.exp.ptr[0] != '0' || sent.exp.len == 1);
    ret->until_ms = is_whole ? (int64_t)until * 1000 : 0;
    ret->by = sent.by;
    if (!is_whole || !is_signed(f, ret, sent.sig, a))
        return err_set(e, ERR_FORBIDDEN,
                       "This link is not valid: it was cut or changed, or it is of another file.");
    if (ret->until_ms <= now_ms || ret->until_ms > now_ms + FILES_LINK_MS_MAX + SLACK_MS)
        return err_set(e, ERR_FORBIDDEN, "This link is over; ask whoever sent it for a new one.");
    bool is_for = ret->method == method || (ret->method == METHOD_GET && method == METHOD_HEAD);
    return is_for ||
           err_set(e, ERR_FORBIDDEN, "This link is for %s only.", http_method_name(ret->method));
}
