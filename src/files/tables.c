/* The tables of files: rows that name blobs, the blobs, and the sums that quotas are held against.
 *
 *   dais_files     a path of a bucket and what is there; times as RFC 3339 text, as documents have
 *   dais_blobs     where the bytes of a hash are; loose_at: since when no row of dais_files has it
 *   dais_file_use  of each owner in each bucket; '' is nobody's */
#include "files/files_impl.h"

#define FILES(text, end)                                                                     \
    "CREATE TABLE dais_files (bucket " text " NOT NULL, space " text " NOT NULL, path " text \
    " NOT NULL, owner " text " NOT NULL, hash " text " NOT NULL, size BIGINT NOT NULL,"      \
    " type TEXT NOT NULL, is_public BIGINT NOT NULL, version BIGINT NOT NULL,"               \
    " created " text " NOT NULL, updated " text                                              \
    " NOT NULL, PRIMARY KEY (bucket, space, path))" end ";"                                  \
    "CREATE INDEX dais_files_owner ON dais_files (owner, bucket, space, path);"              \
    "CREATE INDEX dais_files_hash ON dais_files (hash);"
#define BLOBS(text, end)                                                          \
    "CREATE TABLE dais_blobs (hash " text " PRIMARY KEY, blob_key TEXT NOT NULL," \
    " size BIGINT NOT NULL, loose_at BIGINT, state BIGINT NOT NULL)" end ";"      \
    "CREATE INDEX dais_blobs_loose ON dais_blobs (loose_at) WHERE loose_at IS NOT NULL;"
#define USE(text, end)                                                               \
    "CREATE TABLE dais_file_use (bucket " text " NOT NULL, owner " text " NOT NULL," \
    " bytes BIGINT NOT NULL, files BIGINT NOT NULL, PRIMARY KEY (bucket, owner))" end ";"
#define ALL(text, end) FILES(text, end) BLOBS(text, end) USE(text, end)

const struct db_migration files_migration = {
    "files",
    ALL("TEXT", " WITHOUT ROWID"),
    ALL("TEXT COLLATE \"C\"", ""),
};
