/* Addresses: which ones we would send to, and who we are. */
#include "mail/mail_impl.h"

#include <string.h>

#define LOCAL_MAX 64
#define LABEL_MAX 63

static bool is_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* A dot-atom: words of these, parted by single dots. */
static bool is_local(struct slice s)
{
    char before = '.';
    for (size_t i = 0; i < s.len; before = s.ptr[i++]) {
        char c = s.ptr[i];
        bool is_dot = c == '.';
        if (is_dot ? before == '.' : !is_alnum(c) && (!c || !strchr("!#$%&'*+/=?^_`{|}~-", c)))
            return false;
    }
    return s.len > 0 && s.len <= LOCAL_MAX && before != '.';
}

static bool is_label(struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (!is_alnum(s.ptr[i]) && s.ptr[i] != '-')
            return false;
    }
    return s.len > 0 && s.len <= LABEL_MAX && s.ptr[0] != '-' && s.ptr[s.len - 1] != '-';
}

static bool is_host(struct slice s)
{
    struct slice label;
    if (!s.len || s.ptr[s.len - 1] == '.')
        return false;
    while (slice_cut(&s, '.', &label)) {
        if (!is_label(label))
            return false;
    }
    return true;
}

bool mail_is_address(struct slice text)
{
    ptrdiff_t at = slice_index(text, '@');
    return at > 0 && text.len <= ADDRESS_MAX && is_local(slice_first(text, (size_t)at)) &&
           is_host(slice_skip(text, (size_t)at + 1));
}

struct sender sender_of(struct slice from)
{
    struct sender s = {.address = slice_trim(from)};
    ptrdiff_t open = slice_rindex(s.address, '<');
    if (open >= 0 && s.address.ptr[s.address.len - 1] == '>') {
        s.name = slice_trim(slice_first(s.address, (size_t)open));
        s.address = slice_skip(slice_first(s.address, s.address.len - 1), (size_t)open + 1);
    }
    if (s.name.len >= 2 && s.name.ptr[0] == '"' && s.name.ptr[s.name.len - 1] == '"')
        s.name = slice_first(slice_skip(s.name, 1), s.name.len - 2);
    if (!mail_is_address(s.address))
        s.address = SLICE("dais@localhost");
    return s;
}
