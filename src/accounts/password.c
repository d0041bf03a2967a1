/* Passwords: argon2id as RFC 9106 describes it, 19 MiB and two passes, which is what a core can do
 * in some 20 ms. */
#include "accounts/accounts_impl.h"

#include <sodium.h>
#include <string.h>

#define MEMORY_BYTES (19456u << 10)
#define PASSES       2

static bool start(struct err *e)
{
    return sodium_init() >= 0 || err_set(e, ERR_INTERNAL, "The password library did not start.");
}

bool password_hash(struct slice password, char to[HASH_MAX], struct err *e)
{
    char text[crypto_pwhash_STRBYTES];
    if (!start(e))
        return false;
    if (crypto_pwhash_str_alg(text, password.ptr ? password.ptr : "", password.len, PASSES,
                              MEMORY_BYTES, crypto_pwhash_ALG_ARGON2ID13) != 0)
        return err_set(e, ERR_UNAVAILABLE, "There is no memory for this just now.");
    memcpy(to, text, sizeof text);
    return true;
}

/* What nobody's password is compared with: made once, of random bytes. */
static const char *nobodys(void)
{
    static _Thread_local char hash[HASH_MAX];
    char random[33];
    struct err e;
    if (!hash[0]) {
        randombytes_buf(random, sizeof random);
        if (!password_hash((struct slice){random, sizeof random}, hash, &e))
            hash[0] = '\0';
    }
    return hash;
}

bool password_is(const char *hash, struct slice password)
{
    struct err e;
    if (!start(&e))
        return false;
    bool is_somebodys = hash && hash[0];
    int differs = crypto_pwhash_str_verify(is_somebodys ? hash : nobodys(),
                                           password.ptr ? password.ptr : "", password.len);
    return is_somebodys && differs == 0;
}

static bool tell(struct arena *a, struct slice *ret_details, struct err *e, const char *code,
                 const char *says)
{
    *ret_details = arena_printf(
        a, "[{\"pointer\":\"/password\",\"code\":\"%s\",\"message\":\"%s\"}]", code, says);
    return err_set(e, ERR_INVALID, "%s", says);
}

bool password_is_good(struct slice password, struct slice email, struct arena *a,
                      struct slice *ret_details, struct err *e)
{
    if (password.len < ACCOUNT_PASSWORD_MIN)
        return tell(a, ret_details, e, "too_short", "The password needs at least 8 characters.");
    if (password.len > ACCOUNT_PASSWORD_MAX)
        return tell(a, ret_details, e, "too_long", "The password may have at most 1,024 bytes.");
    if (slice_eq_nocase(password, email))
        return tell(a, ret_details, e, "is_email", "The password must not be the address.");
    return true;
}
