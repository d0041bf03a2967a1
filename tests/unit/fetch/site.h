/* A server in the test's own process that says what it is told and keeps what it was asked. */
#pragma once
#include "fetch/fetch.h"
#include "unit.h"

#include <pthread.h>

enum site_after {
    SITE_CLOSE, /* once all is said */
    SITE_HANG,  /* until the client goes */
    SITE_REPEAT /* the last answer again and again, until the client goes */
};

#define SITE_ANSWERS 8

struct site {
    struct buf answers[SITE_ANSWERS]; /* by connection; the last one stays */
    unsigned n_answers;
    enum site_after after;
    int delay_ms;      /* before each answer */
    char asked[16384]; /* the last request */
    unsigned conns;
    uint16_t port;
    struct address address;
    int fd;
    pthread_t thread;
};

/* Listens on that address ("127.0.0.1:0"). What it says must be set before it is asked. */
void site_open(struct site *s, const char *where);
void site_say(struct site *s, const char *fmt, ...) PRINTF(2, 3);
void site_say_bytes(struct site *s, struct slice head, struct slice body);
void site_close(struct site *s); /* after the last fetch; nothing is asked any more */
