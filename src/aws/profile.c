/* Keys of a profile: which files, which name, and which of the ways to keys it says dais can go. */
#include "aws/aws_impl.h"
#include "base/file.h"

#include <string.h>

#define PROFILE_MAX (1u << 20)

/* *ret: the file's text, empty when there is none. Where nobody named the file or the profile, one
 * that may not be read is none. */
static bool read_file(const struct asking *q, const char *path, bool is_named, struct slice *ret,
                      struct err *e)
{
    struct buf text;
    buf_init(&text, PROFILE_MAX);
    errno = 0;
    bool ok = file_read(path, &text);
    bool is_none =
        errno == ENOENT || errno == ENOTDIR || errno == EISDIR || (errno == EACCES && !is_named);
    *ret = ok ? arena_dup(q->arena, buf_slice(&text)) : SLICE("");
    if (!ok && !is_none)
        err_set_sys(e, ERR_UNAVAILABLE, "%s cannot be read", path);
    buf_done(&text);
    return ok || is_none;
}

/* One of the two files. */
static bool read_one(const struct asking *q, bool is_config, struct slice name, bool is_named,
                     struct profile *ret, struct err *e)
{
    const char *variable = is_config ? "AWS_CONFIG_FILE" : "AWS_SHARED_CREDENTIALS_FILE";
    struct slice path = place_env(q->place, variable), text;
    struct slice home = slice_from(q->place->home);
    *ret = (struct profile){0};
    if (!home.len)
        home = place_env(q->place, "HOME");
    is_named |= path.len > 0;
    if (!path.len && !home.len)
        return true;
    if (!path.len)
        path = arena_printf(q->arena, "%.*s/.aws/%s", SLICE_ARGS(home),
                            is_config ? "config" : "credentials");
    const char *file = arena_cstr(q->arena, path);
    if (!read_file(q, file, is_named, &text, e))
        return false;
    struct err why = {0};
    if (profile_read(text, is_config, name, ret, &why))
        return true;
    return err_set(e, ERR_UNAVAILABLE, "%s: %s", file, why.msg);
}

static struct slice name_of(const struct asking *q, bool *ret_named)
{
    struct slice name = slice_trim(place_env(q->place, "AWS_PROFILE"));
    *ret_named = name.len > 0;
    return name.len ? name : SLICE("default");
}

static struct slice either(struct slice first, struct slice second)
{
    return first.len ? first : second;
}

bool profile_find(const struct asking *q, struct profile *ret, struct err *e)
{
    struct profile c, p;
    bool is_named;
    struct slice name = name_of(q, &is_named);
    if (!read_one(q, false, name, is_named, &p, e) || !read_one(q, true, name, is_named, &c, e))
        return false;
    /* The keys are one thing: never the id of one file with the secret of the other. */
    *ret = p.id.len || p.secret.len ? p : c;
    ret->is_there = p.is_there || c.is_there;
    ret->region = either(p.region, c.region);
    ret->role = either(p.role, c.role);
    ret->token_file = either(p.token_file, c.token_file);
    ret->session = either(p.session, c.session);
    ret->source = either(p.source, c.source);
    ret->source_kind = either(p.source_kind, c.source_kind);
    ret->process = either(p.process, c.process);
    ret->sso = either(p.sso, c.sso);
    ret->sso_start = either(p.sso_start, c.sso_start);
    return true;
}

/* The setting of a way to keys that dais does not go; NULL: none. */
static const char *way_not_gone(const struct profile *p)
{
    if (p->role.len && p->source.len)
        return "source_profile";
    if (p->role.len && p->source_kind.len)
        return "credential_source";
    if (p->id.len || p->secret.len)
        return NULL;
    if (p->process.len)
        return "credential_process";
    if (p->sso.len)
        return "sso_session";
    return p->sso_start.len ? "sso_start_url" : NULL;
}

enum place_said profile_ask(const struct asking *q, struct lent *ret, struct err *e)
{
    struct profile p;
    bool is_named;
    struct slice name = slice_first(name_of(q, &is_named), 60);
    if (!profile_find(q, &p, e))
        return PLACE_FAILED;
    if (!p.is_there) {
        if (is_named)
            err_set(e, ERR_UNAVAILABLE,
                    "AWS_PROFILE names %.*s, but no file in ~/.aws has that profile",
                    SLICE_ARGS(name));
        else
            err_set(e, ERR_UNAVAILABLE, "no [default]");
        return is_named ? PLACE_FAILED : PLACE_IS_EMPTY;
    }
    if (p.role.len && p.token_file.len) {
        const struct identity who = {p.role, p.token_file, p.session, p.region};
        return identity_exchange(q, &who, ret, e);
    }
    const char *way = way_not_gone(&p);
    if (way) {
        err_set(e, ERR_UNAVAILABLE,
                "the profile %.*s has %s, which dais does not follow: give it keys, or a role with "
                "web_identity_token_file",
                SLICE_ARGS(name), way);
        return PLACE_FAILED;
    }
    if (!p.id.len && !p.secret.len) {
        err_set(e, ERR_UNAVAILABLE, "[%.*s] has no keys", SLICE_ARGS(name));
        return PLACE_IS_EMPTY;
    }
    *ret = (struct lent){.keys = {p.id, p.secret, p.token}};
    return keys_check(&ret->keys, "the profile", e) ? PLACE_LENDS : PLACE_FAILED;
}
