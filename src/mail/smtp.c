/* The way out through a server. */
#include "mail/mail_impl.h"

enum outcome smtp_send(const struct smtp *s, const struct sender *from, struct slice to,
                       struct slice message, struct err *e)
{
    (void)s, (void)from, (void)to, (void)message;
    err_set(e, ERR_NOT_IMPLEMENTED, "mail servers are not asked yet");
    return MAIL_NOBODY;
}
