/* What a file may be called, and which place a request means. */
#include "files/files_impl.h"

#include "base/utf8.h"

#define SPACE_MAX 128 /* bytes of an account's id */

/* Characters that are not seen, or that change how others are: a name is what one sees. */
static const struct {
    uint32_t first, last;
    const char *what;
} unwanted[] = {
    {0x00, 0x1f, "a control character"},
    {'\\', '\\', "a backslash"},
    {0x7f, 0x9f, "a control character"},
    {0x61c, 0x61c, "a character that turns the direction of text"},
    {0x200e, 0x200f, "a character that turns the direction of text"},
    {0x2028, 0x2029, "a line separator"},
    {0x202a, 0x202e, "a character that turns the direction of text"},
    {0x2066, 0x2069, "a character that turns the direction of text"},
    {0xfeff, 0xfeff, "a byte order mark"},
};

/* Of well-formed UTF-8. */
static uint32_t code_point(const char *at, size_t len)
{
    static const unsigned char head[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    uint32_t c = (unsigned char)at[0] & head[len];
    for (size_t i = 1; i < len; i++)
        c = c << 6 | ((unsigned char)at[i] & 0x3f);
    return c;
}

/* NULL: it is a fine text. */
static const char *fault_of_text(struct slice s)
{
    while (s.len) {
        size_t len = utf8_length(s);
        if (!len)
            return "bytes that are no UTF-8";
        uint32_t c = code_point(s.ptr, len);
        for (size_t i = 0; i < sizeof unwanted / sizeof *unwanted; i++) {
            if (c >= unwanted[i].first && c <= unwanted[i].last)
                return unwanted[i].what;
        }
        s = slice_skip(s, len);
    }
    return NULL;
}

static bool check_segment(struct slice segment, struct err *e)
{
    if (!segment.len)
        return err_set(e, ERR_MALFORMED,
                       "A path neither begins nor ends with a slash, and has no"
                       " two of them in a row.");
    if (slice_is(segment, ".") || slice_is(segment, ".."))
        return err_set(e, ERR_MALFORMED, "No part of a path is `.` or `..`.");
    if (segment.len > FILE_NAME_MAX)
        return err_set(e, ERR_MALFORMED, "A part of the path has %zu bytes; %d are allowed.",
                       segment.len, FILE_NAME_MAX);
    return true;
}

bool file_path_check(struct slice path, struct err *e)
{
    struct slice rest = path, segment;
    if (!path.len)
        return err_set(e, ERR_MALFORMED, "The path of the file is missing.");
    if (path.len > FILE_PATH_MAX)
        return err_set(e, ERR_MALFORMED, "The path has %zu bytes; %d are allowed.", path.len,
                       FILE_PATH_MAX);
    const char *fault = fault_of_text(path);
    if (fault)
        return err_set(e, ERR_MALFORMED, "The path has %s.", fault);
    if (path.ptr[path.len - 1] == '/')
        return check_segment(SLICE(""), e);
    while (slice_cut(&rest, '/', &segment)) {
        if (!check_segment(segment, e))
            return false;
    }
    return true;
}

static bool space_of(const struct file_bucket *b, const struct subject *who, struct slice user,
                     struct slice *ret, struct err *e)
{
    *ret = SLICE("");
    if (!b->has_spaces)
        return !user.len ||
               err_set(e, ERR_MALFORMED, "user: the paths of %.*s are the app's; leave `user` out.",
                       SLICE_ARGS(b->name));
    *ret = user.len ? user : subject_id(who);
    if (!ret->len)
        return err_set(e, ERR_UNAUTHENTICATED,
                       "Sign in first: in %.*s each account has paths of its own.",
                       SLICE_ARGS(b->name));
    if (ret->len > SPACE_MAX || fault_of_text(*ret) || slice_index(*ret, '/') >= 0)
        return err_set(e, ERR_MALFORMED, "user: this is no account's id.");
    return true;
}

bool file_place_of(struct files *f, const struct subject *who, struct slice bucket,
                   struct slice user, struct slice path, struct file_place *ret, struct err *e)
{
    const struct file_bucket *b = files_find(f, bucket);
    if (!b)
        return err_set(e, ERR_NOT_FOUND, "There is no bucket %.*s.",
                       SLICE_ARGS(slice_first(bucket, 60)));
    *ret = (struct file_place){.bucket = b, .path = path};
    return space_of(b, who, user, &ret->space, e) && (!path.len || file_path_check(path, e));
}
