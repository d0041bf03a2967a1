/* The text of ~/.aws/credentials and ~/.aws/config: sections, properties, comments, continued
 * lines. */
#include "aws/aws_impl.h"

#include <stddef.h>

/* What dais reads of a profile; everything else is left alone. */
static const struct {
    const char *name;
    size_t at;
} properties[] = {
#define PROPERTY(name, field)                 \
    {                                         \
        name, offsetof(struct profile, field) \
    }
    PROPERTY("aws_access_key_id", id),
    PROPERTY("aws_secret_access_key", secret),
    PROPERTY("aws_session_token", token),
    PROPERTY("region", region),
    PROPERTY("role_arn", role),
    PROPERTY("web_identity_token_file", token_file),
    PROPERTY("role_session_name", session),
    PROPERTY("source_profile", source),
    PROPERTY("credential_source", source_kind),
    PROPERTY("credential_process", process),
    PROPERTY("sso_session", sso),
    PROPERTY("sso_start_url", sso_start),
#undef PROPERTY
};

struct reader {
    struct slice name; /* of the profile that is wanted */
    bool is_config;
    struct profile *profile;
    bool is_wanted, is_inside; /* the section; any section */
    bool has_full;             /* [profile default] was there */
    bool has_property;         /* a line that is indented more goes on with it */
    size_t indent;             /* of the last property */
    struct slice *property;    /* the last one, if it is one of ours */
};

static bool is_space(char c)
{
    return c == ' ' || c == '\t';
}

/* A comment begins at the line's start, or after a space. */
static struct slice without_comment(struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        if ((s.ptr[i] == '#' || s.ptr[i] == ';') && (!i || is_space(s.ptr[i - 1])))
            return slice_trim(slice_first(s, i));
    return slice_trim(s);
}

/* What a section is called, in the way of the file it is in; empty: it is no profile. */
static struct slice profile_name(const struct reader *r, struct slice title, bool *ret_full)
{
    static const struct slice word = SLICE_INIT("profile");
    *ret_full = false;
    if (!r->is_config)
        return title;
    if (slice_starts(title, word) && title.len > word.len && is_space(title.ptr[word.len])) {
        *ret_full = true;
        return slice_trim(slice_skip(title, word.len));
    }
    return slice_is(title, "default") ? title : SLICE("");
}

static bool read_section(struct reader *r, struct slice line)
{
    struct slice title, rest = slice_skip(line, 1);
    bool is_full;
    if (slice_index(rest, ']') < 0 || !slice_cut(&rest, ']', &title))
        return false;
    rest = slice_trim(rest);
    if (rest.len && rest.ptr[0] != '#' && rest.ptr[0] != ';')
        return false;
    title = profile_name(r, slice_trim(title), &is_full);
    r->is_inside = true;
    r->has_property = false;
    r->property = NULL;
    r->is_wanted = title.len && slice_eq(title, r->name) && (is_full || !r->has_full);
    if (!r->is_wanted)
        return true;
    if (is_full && !r->has_full)
        *r->profile = (struct profile){0}; /* [profile default] goes before [default] */
    r->has_full = is_full;
    r->profile->is_there = true;
    return true;
}

static bool read_property(struct reader *r, struct slice line)
{
    struct slice value = line, name;
    if (!r->is_inside || slice_index(line, '=') < 0 || !slice_cut(&value, '=', &name))
        return false;
    name = slice_trim(name);
    r->has_property = name.len > 0;
    r->property = NULL;
    for (size_t i = 0; r->is_wanted && i < sizeof properties / sizeof *properties; i++)
        if (slice_eq_nocase(name, slice_from(properties[i].name)))
            r->property = (struct slice *)(void *)((char *)r->profile + properties[i].at);
    if (r->property)
        *r->property = without_comment(value);
    return r->has_property;
}

static size_t indent_of(struct slice line)
{
    size_t n = 0;
    while (n < line.len && is_space(line.ptr[n]))
        n++;
    return n;
}

static const char *read_line(struct reader *r, struct slice line)
{
    struct slice text = slice_trim(line);
    if (!text.len || text.ptr[0] == '#' || text.ptr[0] == ';')
        return NULL;
    if (r->has_property && indent_of(line) > r->indent) /* a small table below it; ours have none */
        return r->property ? "goes on with a value that has one line only" : NULL;
    r->indent = indent_of(line);
    if (text.ptr[0] == '[')
        return read_section(r, text) ? NULL : "is no section such as [default]";
    if (read_property(r, text))
        return NULL;
    return r->is_inside ? "is no setting such as region = eu-central-1"
                        : "stands before the first section, such as [default]";
}

bool profile_read(struct slice text, bool is_config, struct slice name, struct profile *ret,
                  struct err *e)
{
    struct reader r = {.name = name, .is_config = is_config, .profile = ret};
    struct slice rest = text, line;
    *ret = (struct profile){0};
    if (slice_starts(rest, SLICE("\xef\xbb\xbf")))
        rest = slice_skip(rest, 3);
    for (unsigned n = 1; slice_cut(&rest, '\n', &line); n++) {
        const char *wrong = read_line(&r, line);
        if (wrong)
            return err_set(e, ERR_INVALID, "line %u %s", n, wrong);
    }
    return true;
}
