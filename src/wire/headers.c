/* Names of methods and headers, and lists in header values. */
#include "wire/header_impl.h"
#include "wire/scan_impl.h"

const struct slice header_names[HEADER_COUNT] = {[HEADER_OTHER] = SLICE_INIT(""),
#define X(id, name, repeats) [HEADER_##id] = SLICE_INIT(name),
                                                 HEADER_MAP(X)
#undef X
};

static const char *const method_names[] = {
#define X(name) #name,
    HTTP_METHOD_MAP(X)
#undef X
        "",
};

const char *http_method_name(enum http_method m)
{
    return method_names[m];
}

const char *header_name(enum header_id id)
{
    return header_names[id].ptr;
}

enum header_id header_find(struct slice name)
{
    return header_lookup(name.ptr, name.len);
}

bool header_is_hop(enum header_id id)
{
    switch (id) {
    case HEADER_CONNECTION:
    case HEADER_KEEP_ALIVE:
    case HEADER_TE:
    case HEADER_TRAILER:
    case HEADER_TRANSFER_ENCODING:
    case HEADER_UPGRADE:
    case HEADER_PROXY_CONNECTION:
        return true;
    default:
        return false;
    }
}

bool h1_next_override(const struct h1_request *rq, uint32_t *at, struct slice *ret_method)
{
    static const struct slice names[] = {SLICE_INIT("x-http-method-override"),
                                         SLICE_INIT("x-http-method"),
                                         SLICE_INIT("x-method-override")};
    while (*at < rq->n_headers) {
        const struct h1_header *h = &rq->headers[(*at)++];
        for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
            if (h->id != HEADER_OTHER || !slice_eq_nocase(h->name, names[i]))
                continue;
            *ret_method = h->value;
            return true;
        }
    }
    return false;
}

bool header_is_claim(struct slice name)
{
    static const struct slice names[] = {
        SLICE_INIT("forwarded"),       SLICE_INIT("forwarded-for"),
        SLICE_INIT("client-ip"),       SLICE_INIT("x-real-ip"),
        SLICE_INIT("x-client-ip"),     SLICE_INIT("x-cluster-client-ip"),
        SLICE_INIT("true-client-ip"),  SLICE_INIT("cf-connecting-ip"),
        SLICE_INIT("front-end-https"), SLICE_INIT("proxy"), /* CGI reads it as HTTP_PROXY */
        SLICE_INIT("x-original-url"),  SLICE_INIT("x-rewrite-url"),
        SLICE_INIT("x-original-host"),
    };
    if (!name.len || !strchr("cfptxCFPTX", name.ptr[0])) /* most are none */
        return false;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (slice_eq_nocase(name, names[i]))
            return true;
    }
    return slice_starts_nocase(name, SLICE("x-forwarded"));
}

struct slice h1_find(const struct h1_request *rq, struct slice name)
{
    for (uint32_t i = 0; i < rq->n_headers; i++) {
        if (slice_eq_nocase(rq->headers[i].name, name))
            return rq->headers[i].value;
    }
    return (struct slice){0};
}

bool h1_next(const struct h1_request *rq, enum header_id id, uint32_t *at, struct slice *ret_value)
{
    uint32_t i = *at > rq->at[id] ? *at : rq->at[id];
    for (; i > 0 && i <= rq->n_headers; i++) {
        if (rq->headers[i - 1].id == id) {
            *ret_value = rq->headers[i - 1].value;
            *at = i + 1;
            return true;
        }
    }
    return false;
}

/* Where the element at the front ends; a comma inside quotes is part of it. */
static size_t element_len(struct slice list)
{
    bool quoted = false;
    for (size_t i = 0; i < list.len; i++) {
        char c = list.ptr[i];
        if (c == '"')
            quoted = !quoted;
        else if (c == '\\' && quoted)
            i++;
        else if (c == ',' && !quoted)
            return i;
    }
    return list.len;
}

bool list_next(struct slice *list, struct slice *ret_element)
{
    while (list->len > 0) {
        size_t n = element_len(*list);
        struct slice element = slice_trim(slice_first(*list, n));
        *list = slice_skip(*list, n + 1);
        if (element.len > 0) {
            *ret_element = element;
            return true;
        }
    }
    return false;
}

bool list_has(struct slice list, struct slice token)
{
    struct slice element;
    while (list_next(&list, &element)) {
        if (slice_eq_nocase(element, token))
            return true;
    }
    return false;
}
