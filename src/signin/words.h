/* Every string of the sign-in page: the one file to translate. %s is the app's title. */
#pragma once

#define WORD_MAP(X)                                                                                \
    X(NO_WORD, "")                                                                                 \
    X(SIGN_IN, "Sign in")                                                                          \
    X(SIGN_UP, "Create your account")                                                              \
    X(SIGN_UP_DO, "Create account")                                                                \
    X(LINK, "Sign in by mail")                                                                     \
    X(LINK_LEAD, "We send you a link that signs you in. No password is needed.")                   \
    X(LINK_DO, "Send the link")                                                                    \
    X(FORGOT, "Forgot your password?")                                                             \
    X(FORGOT_LEAD, "We send you a link to choose a new one.")                                      \
    X(RESET, "Choose a new password")                                                              \
    X(RESET_LEAD, "You are signed in with it, and signed out everywhere else.")                    \
    X(RESET_DO, "Set password and sign in")                                                        \
    X(MAGIC_LEAD, "One click, and you are in. The link works once.")                               \
    X(VERIFY, "Confirm your address")                                                              \
    X(VERIFY_LEAD, "Say that the mail we sent reached you.")                                       \
    X(VERIFY_PASSWORD_LEAD, "Your password shows that the account with this address is yours.")    \
    X(VERIFY_DO, "Confirm address")                                                                \
    X(OPERATOR, "Set up the first operator")                                                       \
    X(OPERATOR_LEAD, "An operator looks after every app on this host.")                            \
    X(OPERATOR_DO, "Create operator")                                                              \
    X(ACCOUNT, "Your account")                                                                     \
    X(PASSWORD, "Change your password")                                                            \
    X(PASSWORD_LEAD, "Your other sessions end.")                                                   \
    X(PASSWORD_DO, "Change password")                                                              \
    X(PASSWORD_SET_LEAD, "You have none yet. Your other sessions end.")                            \
    X(PASSWORD_SET_DO, "Set password")                                                             \
    X(SESSIONS, "Where you are signed in")                                                         \
    X(SESSIONS_LEAD, "End those you do not know, then change your password.")                      \
    X(SESSIONS_DO, "Sign out everywhere")                                                          \
    X(SESSIONS_END, "End")                                                                         \
    X(SESSIONS_END_OF, "End the session of %s")                                                    \
    X(SESSIONS_THIS, "This one")                                                                   \
    X(SESSIONS_SINCE, "since")                                                                     \
    X(DELETE, "Delete your account")                                                               \
    X(DELETE_LEAD, "Your account and what belongs to it go for good. Nobody can bring them back.") \
    X(DELETE_DO, "Delete my account for good")                                                     \
    X(SIGN_OUT, "Sign out?")                                                                       \
    X(SIGN_OUT_DO, "Sign out")                                                                     \
    X(SIGNED_OUT, "You are signed out")                                                            \
    X(SIGNED_OUT_LEAD, "See you soon.")                                                            \
    X(SENT, "Look into your mail")                                                                 \
    X(SENT_LINK, "If that address has an account, a link that signs you in is on its way.")        \
    X(SENT_RESET,                                                                                  \
      "If that address has an account, a link to choose a new password is on its way.")            \
    X(SENT_VERIFY, "A new link to confirm your address is on its way.")                            \
    X(SENT_HINT, "Nothing after a few minutes? Look into the spam folder, or ask again.")          \
    X(VERIFIED, "Thank you, your address is confirmed.")                                           \
    X(PASSWORD_IS_SET, "Your password is changed. All other sessions have ended.")                 \
    X(SESSION_ENDED, "That session has ended.")                                                    \
    X(DELETED, "Your account is deleted")                                                          \
    X(DELETED_LEAD, "You are signed out everywhere.")                                              \
    X(BAD_LINK, "This link does not work any more")                                                \
    X(BAD_LINK_LEAD, "It was used, is too old, or was cut off on its way. Ask for a new one.")     \
    X(BAD_OPERATOR_LEAD,                                                                           \
      "It was used, is too old, or was cut off. The server can print a new one.")                  \
    X(CLOSED, "New accounts are not open")                                                         \
    X(CLOSED_LEAD, "Those who run this app make them. Ask for one, then sign in.")                 \
    X(TOO_MANY, "That was too often")                                                              \
    X(TOO_MANY_LEAD, "Wait a minute, then try again. Nothing was lost or changed.")                \
    X(BUSY, "Not available just now")                                                              \
    X(BUSY_LEAD, "Many people are here at once. Wait a few seconds, then try again.")              \
    X(CROSS_SITE, "This form came from elsewhere")                                                 \
    X(CROSS_SITE_LEAD, "Nothing was done: a page of another site may have sent it. Start here.")   \
    X(UNKNOWN, "There is no such form")                                                            \
    X(UNKNOWN_LEAD, "The link to this page is wrong or out of date.")                              \
    X(FAILED, "That did not work")                                                                 \
    X(FAILED_LEAD, "Something went wrong on this server. Try again; if it stays like this, tell "  \
                   "whoever runs this site.")                                                      \
    X(LABEL_EMAIL, "E-mail address")                                                               \
    X(LABEL_PASSWORD, "Password")                                                                  \
    X(LABEL_PASSWORD_NOW, "Current password")                                                      \
    X(LABEL_PASSWORD_NEW, "New password")                                                          \
    X(LABEL_NAME, "Name (optional)")                                                               \
    X(HINT_PASSWORD, "At least 8 characters. A few words are easy to keep and hard to guess.")     \
    X(WRONG_EMPTY, "Fill this in.")                                                                \
    X(WRONG_EMAIL, "Write an address like name@example.org.")                                      \
    X(WRONG_SHORT, "Use at least 8 characters.")                                                   \
    X(SHOW, "Show password")                                                                       \
    X(HIDE, "Hide password")                                                                       \
    X(CONTINUE, "Continue to %s")                                                                  \
    X(UNVERIFIED, "Not confirmed yet: look into your mail.")                                       \
    X(VERIFY_AGAIN, "Send a new link")                                                             \
    X(TO_SIGN_IN, "Sign in")                                                                       \
    X(TO_SIGN_IN_HAVE, "I have an account: sign in")                                               \
    X(TO_SIGN_IN_PASSWORD, "Sign in with a password")                                              \
    X(TO_SIGN_UP, "Create an account")                                                             \
    X(TO_LINK, "Sign in by mail, without a password")                                              \
    X(TO_FORGOT, "Forgot your password?")                                                          \
    X(TO_FORGOT_AGAIN, "Ask for a new link")                                                       \
    X(TO_PASSWORD, "Change password")                                                              \
    X(TO_SESSIONS, "Where you are signed in")                                                      \
    X(TO_DELETE, "Delete account")                                                                 \
    X(TO_ACCOUNT, "Back to your account")                                                          \
    X(TO_APP, "Go to %s")                                                                          \
    X(UNKNOWN_PROGRAM, "An unknown program")                                                       \
    X(ON_SYSTEM, "on")                                                                             \
    X(SIGNED_IN_AS, "Signed in as")                                                                \
    X(OPERATOR_OF, "Operator of this host")

enum word {
#define X(id, text) WORD_##id,
    WORD_MAP(X)
#undef X
        WORDS
};
