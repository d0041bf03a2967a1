/* What the files about events share: one as a row of its own. */
#pragma once
#include "journal/journal.h"

#include "base/random.h"

#include <stdatomic.h>
#include <stdio.h>

struct event_row {
    char id[ID_LEN + 1];
    enum event_kind kind;
    int64_t at_ms, count;
    char who[80], object[160], ip[64], request[72], detail[501]; /* each ends in NUL */
};
void event_row_set(struct event_row *r, const struct event *ev, int64_t now_ms);
bool event_row_put(struct db_conn *c, const struct event_row *r, struct err *e);
/* As much as there is room for, of whole characters, with `?` for what is none; ends in NUL.
 * Returns its length. */
size_t event_text(struct slice from, char *to, size_t room);
void event_counted(enum event_kind kind);
