/* The outbox: letters that wait for a server to take them. */
#include "mail/mail.h"

const struct db_migration mail_migration = {
    "mail",
    "CREATE TABLE dais_mail (id TEXT PRIMARY KEY, due BIGINT NOT NULL, attempts BIGINT NOT NULL,"
    " recipient TEXT NOT NULL, subject TEXT NOT NULL, words TEXT NOT NULL, page TEXT NOT NULL,"
    " code TEXT NOT NULL, created BIGINT NOT NULL, given_up BIGINT NOT NULL, error TEXT NOT NULL);"
    "CREATE INDEX dais_mail_due ON dais_mail (due) WHERE given_up = 0;",
    NULL,
};

bool mail_is_address(struct slice text)
{
    ptrdiff_t at = slice_index(text, '@');
    if (at <= 0 || (size_t)at + 1 >= text.len || text.len > 254)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if ((unsigned char)text.ptr[i] <= ' ' || text.ptr[i] == 0x7f)
            return false;
    }
    return slice_index(slice_skip(text, (size_t)at + 1), '@') < 0;
}
