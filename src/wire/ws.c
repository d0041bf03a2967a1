/* WebSocket frames of one direction (RFC 6455): followed, checked and counted, never kept.
 *
 *   bits    FIN RSV1 RSV2 RSV3 opcode(4) | MASK length(7) | length(16 or 64) | mask(32) | payload
 *
 * Lengths are paid from their budgets when a head announces them, so nothing of a frame that is
 * too large ever passes. */
#include "wire/wire.h"

#include <string.h>

enum { OP_CONTINUE, OP_TEXT, OP_BINARY, OP_CLOSE = 8, OP_PING, OP_PONG };

#define FIN         0x80u
#define RSV1        0x40u
#define RSV2_3      0x30u
#define MASK        0x80u
#define CONTROL_MAX 125u

struct head {
    uint8_t bits, opcode;
    uint64_t len;
    size_t size; /* of the head; 0: more of it is needed */
};

static bool fault(struct ws *w, uint16_t code, const char *why)
{
    w->fault = code;
    w->why = why;
    return false;
}

static uint64_t big_endian(const char *p, size_t n)
{
    uint64_t v = 0;
    for (size_t i = 0; i < n; i++)
        v = v << 8 | (uint8_t)p[i];
    return v;
}

static bool is_control(uint8_t opcode)
{
    return opcode >= OP_CLOSE;
}

/* What the first byte alone says. */
static bool check_bits(struct ws *w, uint8_t bits)
{
    uint8_t opcode = bits & 15;
    bool begins = opcode == OP_TEXT || opcode == OP_BINARY;
    if (w->has_closed)
        return fault(w, 1002, "a frame came after the close");
    if ((opcode > OP_BINARY && opcode < OP_CLOSE) || opcode > OP_PONG)
        return fault(w, 1002, "a frame of an unknown kind");
    if ((bits & RSV2_3) || ((bits & RSV1) && !(w->options.may_compress && begins)))
        return fault(w, 1002, "a reserved bit is set");
    if (is_control(opcode) && !(bits & FIN))
        return fault(w, 1002, "a control frame in pieces");
    if (begins && w->is_in_message)
        return fault(w, 1002, "a message began within another");
    if (opcode == OP_CONTINUE && !w->is_in_message)
        return fault(w, 1002, "a piece of no message");
    return true;
}

static bool check_length(struct ws *w, const struct head *h, uint8_t short_len)
{
    if ((short_len == 126 && h->len < 126) || (short_len == 127 && h->len <= UINT16_MAX))
        return fault(w, 1002, "a length is longer than it need be");
    if (h->len >> 63)
        return fault(w, 1002, "a length of 2^63 or more");
    if (h->opcode == OP_CLOSE && h->len == 1)
        return fault(w, 1002, "half a code in a close");
    return true;
}

static bool read_head(struct ws *w, struct slice in, struct head *ret)
{
    *ret = (struct head){0};
    if (in.len >= 1 && !check_bits(w, (uint8_t)in.ptr[0]))
        return false;
    if (in.len < 2)
        return true;
    uint8_t second = (uint8_t)in.ptr[1], short_len = second & 127;
    if (!(second & MASK) == w->options.is_client)
        return fault(w, 1002, w->options.is_client ? "a frame without a mask" : "a masked frame");
    ret->bits = (uint8_t)in.ptr[0];
    ret->opcode = ret->bits & 15;
    if (is_control(ret->opcode) && short_len > CONTROL_MAX)
        return fault(w, 1002, "a control frame is too long");
    size_t more = short_len == 126 ? 2 : short_len == 127 ? 8 : 0;
    if (in.len < 2 + more)
        return true;
    ret->len = more ? big_endian(in.ptr + 2, more) : short_len;
    if (!check_length(w, ret, short_len))
        return false;
    size_t size = 2 + more + (w->options.is_client ? 4 : 0);
    ret->size = in.len < size ? 0 : size;
    return true;
}

/* The frame is allowed: what it does to the stream. */
static bool begin_frame(struct ws *w, const struct head *h)
{
    const struct ws_options *o = &w->options;
    bool of_message = !is_control(h->opcode);
    uint64_t message = of_message ? (h->opcode == OP_CONTINUE ? w->message : 0) + h->len : 0;
    if (o->max_message && of_message && (h->len > o->max_message || message > o->max_message))
        return fault(w, 1009, "a message is too large");
    if (o->max_session && h->len > o->max_session - w->session)
        return fault(w, 1008, "the session is too large");
    if ((!of_message || h->len == 0) && w->cheap_left-- == 0)
        return fault(w, 1008, "too many small frames");
    w->left = h->len;
    w->session += o->max_session ? h->len : 0;
    if (of_message) {
        w->message = o->max_message ? message : 0;
        w->is_in_message = !(h->bits & FIN);
    }
    w->has_closed = h->opcode == OP_CLOSE;
    return true;
}

void ws_init(struct ws *w, const struct ws_options *options)
{
    *w = (struct ws){.options = *options, .cheap_left = UINT32_MAX};
}

bool ws_follow(struct ws *w, struct slice in, size_t *ret_n)
{
    struct head h;
    *ret_n = 0;
    while (!w->fault) {
        size_t payload = w->left < in.len ? (size_t)w->left : in.len;
        w->left -= payload;
        *ret_n += payload;
        in = slice_skip(in, payload);
        if (in.len == 0)
            return true;
        if (!read_head(w, in, &h))
            return false;
        if (h.size == 0)
            return true;
        if (!begin_frame(w, &h))
            return false;
        *ret_n += h.size;
        in = slice_skip(in, h.size);
    }
    return false;
}

bool ws_is_between(const struct ws *w)
{
    return w->left == 0;
}

size_t ws_close_frame(char to[WS_CLOSE_MAX], uint16_t code, const char *why, const uint8_t *mask)
{
    size_t n = strlen(why), at = 2;
    n = n < CONTROL_MAX - 2 ? n : CONTROL_MAX - 2;
    to[0] = (char)(FIN | OP_CLOSE);
    to[1] = (char)((mask ? MASK : 0u) | (n + 2));
    if (mask) {
        memcpy(to + at, mask, 4);
        at += 4;
    }
    char *payload = to + at;
    payload[0] = (char)(code >> 8);
    payload[1] = (char)(code & 255);
    memcpy(payload + 2, why, n);
    for (size_t i = 0; mask && i < n + 2; i++)
        payload[i] = (char)((uint8_t)payload[i] ^ mask[i % 4]);
    return at + n + 2;
}
