/* For tests of settings and secrets: an app's folder with files, and what was said of them. */
#pragma once
#include "manifest/manifest.h"
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct fixture {
    struct arena a;
    struct problems p;
    struct buf said;
    struct settings s;
    struct secrets secrets;
    struct manifest *m;
    char dir[64];
};

static void start(struct fixture *f)
{
    *f = (struct fixture){0};
    arena_init(&f->a, 64u << 20);
    problems_init(&f->p, &f->a);
    buf_init(&f->said, 1 << 20);
    snprintf(f->dir, sizeof f->dir, "/tmp/dais-settings-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
}

static void put(struct fixture *f, const char *name, const char *text)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", f->dir, name);
    FILE *to = fopen(path, "w");
    assert_non_null(to);
    fputs(text, to);
    fclose(to);
}

static void finish(struct fixture *f)
{
    static const char *const names[] = {".env", "secret", "four"};
    char path[128];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(path, sizeof path, "%s/%s", f->dir, names[i]);
        unlink(path);
    }
    rmdir(f->dir);
    buf_done(&f->said);
    arena_done(&f->a);
}

static const char *said(struct fixture *f)
{
    buf_clear(&f->said);
    problems_print(&f->p, &f->said);
    return buf_slice(&f->said).ptr;
}
