/* What was given: an address, a name, roles, where to go on. */
#include "accounts/people_impl.h"

#include "base/utf8.h"

bool given_tell(struct arena *a, struct slice *ret_details, struct err *e, const char *pointer,
                const char *code, const char *says)
{
    if (ret_details)
        *ret_details = arena_printf(a, "[{\"pointer\":\"%s\",\"code\":\"%s\",\"message\":\"%s\"}]",
                                    pointer, code, says);
    return err_set(e, ERR_INVALID, "%s", says);
}

bool given_email(struct slice text, struct arena *a, struct slice *ret_key,
                 struct slice *ret_details, struct err *e)
{
    *ret_key = email_key(text, a);
    if (ret_key->len > ACCOUNT_EMAIL_MAX)
        return given_tell(a, ret_details, e, "/email", "too_long",
                          "The address may have at most 254 bytes.");
    if (!utf8_is_line(*ret_key))
        return given_tell(a, ret_details, e, "/email", "format",
                          "The address has characters that no address has.");
    return mail_is_address(*ret_key) ||
           given_tell(a, ret_details, e, "/email", "format", "This is no e-mail address.");
}

bool given_name(struct slice text, struct arena *a, struct slice *ret, struct slice *ret_details,
                struct err *e)
{
    *ret = slice_trim(text.ptr ? text : SLICE(""));
    if (ret->len > ACCOUNT_NAME_MAX)
        return given_tell(a, ret_details, e, "/name", "too_long",
                          "The name may have at most 200 bytes.");
    if (!utf8_is_line(*ret))
        return given_tell(a, ret_details, e, "/name", "format",
                          "The name may have no line breaks or other control characters.");
    return true;
}

static bool is_role(const struct manifest *m, struct slice role)
{
    for (size_t i = 0; m && i < m->auth.roles.n; i++) {
        if (slice_eq(m->auth.roles.items[i].s, role))
            return true;
    }
    return false;
}

bool given_roles(const struct accounts *acc, const struct slice *roles, size_t n, struct err *e)
{
    for (size_t i = 0; i < n; i++) {
        if (!is_role(acc->manifest, roles[i]))
            return err_set(e, ERR_INVALID, "There is no role `%.*s`: auth.roles has them.",
                           SLICE_ARGS(slice_first(roles[i], 60)));
        for (size_t k = 0; k < i; k++) {
            if (slice_eq(roles[i], roles[k]))
                return err_set(e, ERR_INVALID, "The role `%.*s` is there twice.",
                               SLICE_ARGS(slice_first(roles[i], 60)));
        }
    }
    return true;
}

bool accounts_allow(const struct accounts *acc, const char *method)
{
    const struct texts *all = acc->manifest ? &acc->manifest->auth.methods : NULL;
    if (!all || !all->n)
        return true;
    for (size_t i = 0; i < all->n; i++) {
        if (slice_is(all->items[i].s, method))
            return true;
    }
    return false;
}
