/* A proxy before the tests' Postgres that cuts a connection where a test says. */
#pragma once

enum pg_cut {
    PG_CUT_NEVER,
    PG_CUT_AT_BEGIN,     /* a transaction's first message does not arrive */
    PG_CUT_AT_COMMIT,    /* COMMIT does not arrive */
    PG_CUT_AFTER_COMMIT, /* its answer does not */
};

/* One at a time; returns its port. */
unsigned pg_proxy_start(unsigned to_port);
void pg_proxy_cut(enum pg_cut where); /* once */
void pg_proxy_stop(void);             /* when no connection is open any more */
