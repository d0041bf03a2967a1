/* What tests of documents share: an app from a manifest's text, its database, who asks, and rows.
 */
#pragma once
#include "docs/docs_impl.h"
#include "unit.h"

struct rig {
    struct arena a;
    struct manifest *manifest;
    struct docs *docs;
    struct db_slot *slot;
    struct db_options options;
    struct db_conn *conn; /* a lane's reader, between rig_read and rig_rest */
    struct docs_reading reading;
    struct identity identity;
    struct subject who;
    char folder[64], path[96];
    struct slice schema; /* Postgres: of this rig alone */
};
extern struct err err;

/* Fails the test when the manifest has errors. On Postgres where DAIS_TEST_DATABASE names one. */
void rig_start(struct rig *r, const char *manifest);
void rig_stop(struct rig *r);
/* Who asks from now on; "" is a stranger. */
void rig_be(struct rig *r, const char *user);
/* Opens a reading; what was written before is seen. */
struct docs_reading *rig_read(struct rig *r);
void rig_rest(struct rig *r);
/* Creates documents of `texts`, all in one write; false with `err`. */
bool rig_add(struct rig *r, const char *coll, const struct slice *texts, size_t n);
/* A list's answer in the arena; NULL with `err`. */
const struct json *rig_list(struct rig *r, const char *coll, const struct docs_query *q);
