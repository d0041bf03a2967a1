/* What people are written, and where the links in it lead. */
#include "accounts/people_impl.h"

#include "wire/wire.h"

#include <string.h>

/*        letter, its link's parameter, subject, text, button; %s is the app */
#define LETTER_MAP(X)                                                                              \
    X(LETTER_SIGN_IN, "magic", "Sign in to %s",                                                    \
      "Somebody, hopefully you, asked for a link to sign in to %s.\n\nIt works once, within"       \
      " 15 minutes. If it was not you, nothing happens unless you follow it.",                     \
      "Sign in")                                                                                   \
    X(LETTER_RESET, "reset", "A new password for %s",                                              \
      "Somebody, hopefully you, asked for a new password at %s.\n\nThe link works once, within an" \
      " hour. If it was not you, nothing happens unless you follow it.",                           \
      "Choose a new password")                                                                     \
    X(LETTER_VERIFY, "verify", "Is this your address? %s asks",                                    \
      "Somebody, hopefully you, made an account at %s with this address.\n\nIf it was you, follow" \
      " the link within three days, signed in or with the password you chose. If it was not, do"   \
      " nothing: the account cannot use your address then.",                                       \
      "This is my address")                                                                        \
    X(LETTER_KNOWN, NULL, "You have an account at %s already",                                     \
      "Somebody, hopefully you, wanted to make an account at %s with this address, but there is"   \
      " one already.\n\nIf it was you, sign in to that, or choose a new password there. If it was" \
      " not, there is nothing to do: your account is as it was.",                                  \
      "To the sign-in page")                                                                       \
    X(LETTER_PASSWORD, NULL, "Your password at %s was changed",                                    \
      "The password of your account at %s was changed just now.\n\nIf that was not you, choose a"  \
      " new one on the sign-in page at once.",                                                     \
      "To the sign-in page")                                                                       \
    X(LETTER_LEFT, NULL, "Your account at %s is deleted",                                          \
      "Your account at %s was deleted, and what belongs to it is being removed.", NULL)            \
    X(LETTER_INVITED, "reset", "You have an account at %s",                                        \
      "An account was made for you at %s.\n\nFollow the link within three days to choose your"     \
      " password.",                                                                                \
      "Choose a password")
static const struct {
    const char *parameter, *subject, *text, *button;
} letters[] = {
#define X(id, parameter, subject, text, button) [id] = {parameter, subject, text, button},
    LETTER_MAP(X)
#undef X
};

/* The text with the app's name for %s. */
static struct slice fill(struct arena *a, const char *text, struct slice app)
{
    struct buf b;
    buf_init(&b, 16u << 10);
    buf_add_replacing(&b, slice_from(text), SLICE("%s"), app);
    struct slice filled = arena_dup(a, buf_slice(&b));
    buf_done(&b);
    return filled;
}

static struct slice address(struct arena *a, const struct accounts *acc, const char *parameter,
                            struct slice link, struct slice next)
{
    struct buf b;
    struct slice goes_on = accounts_next(next, a);
    struct slice base = acc->public_url.len ? acc->public_url : acc->mount;
    buf_init(&b, 16u << 10);
    buf_printf(&b, "%.*s/_/sign-in", SLICE_ARGS(base));
    if (link.len)
        buf_printf(&b, "?%s=%.*s", parameter, SLICE_ARGS(link));
    if (goes_on.len) {
        buf_add_str(&b, link.len ? "&next=" : "?next=");
        percent_encode(&b, goes_on);
    }
    struct slice url = arena_dup(a, buf_slice(&b));
    explicit_bzero(b.data, b.len);
    buf_done(&b);
    return url;
}

/* The name of who did not prove the address may be a stranger's message to whoever has it. */
static struct slice greeting(struct arena *a, const struct account *to)
{
    return to->verified_ms && to->name.len ? arena_printf(a, "Hello %.*s,", SLICE_ARGS(to->name))
                                           : SLICE("Hello,");
}

bool letter_post(struct db_conn *c, const struct accounts *acc, enum letter_kind kind,
                 const struct account *to, struct slice link, struct slice next, struct err *e)
{
    struct slice app = acc->manifest ? acc->manifest->title.s : SLICE("dais");
    const char *button = letters[kind].button, *parameter = letters[kind].parameter;
    struct arena a;
    arena_init(&a, 1u << 20);
    bool fine = mail_post(c,
                          &(struct letter){
                              .to = to->email,
                              .subject = fill(&a, letters[kind].subject, app),
                              .app = app,
                              .greeting = greeting(&a, to),
                              .text = fill(&a, letters[kind].text, app),
                              .link = button ? address(&a, acc, parameter, link, next) : SLICE(""),
                              .button = slice_from(button),
                              .code = slice_from(parameter ? parameter : "notice"),
                          },
                          clock_wall_ms(), e);
    arena_done(&a);
    return fine;
}
