/* The tables of accounts. Times are milliseconds since 1970; lists are JSON.
 *
 *   dais_users     an account; `email` is lower case. Only one row has verified an address.
 *   dais_sessions  a token's digest; for 10 s after a refresh the one before it is good, too
 *   dais_links     what was sent in a mail, by its digest; gone when it was used
 *   dais_keys      programs' keys; user_id is empty where a key is the app's own */
#include "accounts/accounts_impl.h"

#define USERS(text, blob)                                                                         \
    "CREATE TABLE dais_users (id " text " PRIMARY KEY, email " text " NOT NULL,"                  \
    " verified BIGINT NOT NULL, name TEXT NOT NULL, roles TEXT NOT NULL, password TEXT NOT NULL," \
    " state BIGINT NOT NULL, created BIGINT NOT NULL, updated BIGINT NOT NULL);"                  \
    "CREATE INDEX dais_users_email ON dais_users (email, created, id);"                           \
    "CREATE UNIQUE INDEX dais_users_verified ON dais_users (email) WHERE verified > 0;"           \
    "CREATE INDEX dais_users_leaving ON dais_users (id) WHERE state = 2;"
#define SESSIONS(text, blob)                                                                     \
    "CREATE TABLE dais_sessions (id " text " PRIMARY KEY, token " blob " NOT NULL UNIQUE,"       \
    " old " blob ", old_until BIGINT NOT NULL, user_id " text " NOT NULL,"                       \
    " created BIGINT NOT NULL, expires BIGINT NOT NULL, ip TEXT NOT NULL, agent TEXT NOT NULL);" \
    "CREATE INDEX dais_sessions_old ON dais_sessions (old) WHERE old IS NOT NULL;"               \
    "CREATE INDEX dais_sessions_user ON dais_sessions (user_id);"                                \
    "CREATE INDEX dais_sessions_expires ON dais_sessions (expires);"
#define LINKS(text, blob)                                                                         \
    "CREATE TABLE dais_links (token " blob " PRIMARY KEY, purpose BIGINT NOT NULL, user_id " text \
    " NOT NULL, email " text " NOT NULL, expires BIGINT NOT NULL);"                               \
    "CREATE INDEX dais_links_user ON dais_links (user_id);"                                       \
    "CREATE INDEX dais_links_expires ON dais_links (expires);"
#define KEYS(text, blob)                                                                        \
    "CREATE TABLE dais_keys (id " text " PRIMARY KEY, token " blob " NOT NULL UNIQUE,"          \
    " hint TEXT NOT NULL, name TEXT NOT NULL, user_id " text " NOT NULL, scopes TEXT NOT NULL," \
    " roles TEXT NOT NULL, created BIGINT NOT NULL, expires BIGINT NOT NULL,"                   \
    " used BIGINT NOT NULL);"                                                                   \
    "CREATE INDEX dais_keys_user ON dais_keys (user_id);"
#define ALL(text, blob) USERS(text, blob) SESSIONS(text, blob) LINKS(text, blob) KEYS(text, blob)

const struct db_migration accounts_migration = {
    "accounts",
    ALL("TEXT", "BLOB"),
    ALL("TEXT COLLATE \"C\"", "BYTEA"),
};
