/* What a command line says about the Python application it starts. */
#pragma once
#include "manifest/manifest.h"

struct asgi {
    bool is_found;
    bool is_wsgi;              /* gunicorn's own workers: no adapter is needed */
    bool is_factory;           /* the name is of a function that makes the application */
    struct slice module, name; /* "src.server.main", "app" */
    struct texts folders; /* below the app folder, added to Python's path; "" is the app's own */
    struct slice dir;     /* where it is started, below the app folder; "" */
    struct pairs env;     /* set by the command itself; may hold `$NAME` */
    struct texts asked;   /* names it sets to what another command prints */
    struct texts made;    /* folders it makes first */
    struct texts others;  /* first words of commands that nothing here understands */
};

/* Reads a command as a shell would cut it into words: `cd x && A=b exec uvicorn m:app --port
 * $PORT`. Nothing is run and nothing expanded. In the arena. */
void asgi_find(struct arena *a, struct slice run, struct asgi *ret);
