/* What tests of files share: an app from a manifest's text, its database, a folder of blobs, who
 * asks. */
#pragma once
#include "files/files_impl.h"
#include "unit.h"

struct rig {
    struct arena a;
    struct manifest *manifest;
    struct files *files;
    struct db_slot *slot;
    struct blob_store *store;
    struct db_options options;
    struct identity identity;
    struct subject who;
    char folder[64], path[96], blobs[96];
};
extern struct rig rig;
extern struct err err;

#define S(text) slice_from(text)

/* Fails the test when the manifest has errors. On Postgres where DAIS_TEST_DATABASE names one. */
void rig_start(const char *manifest);
void rig_stop(void);
/* start() and stop() of each test, for an app with that manifest. */
#define RIG_OF(manifest)            \
    static int start(void **unused) \
    {                               \
        (void)unused;               \
        rig_start(manifest);        \
        return 0;                   \
    }                               \
    static int stop(void **unused)  \
    {                               \
        (void)unused;               \
        rig_stop();                 \
        return 0;                   \
    }
/* Who asks from now on; "" is a stranger. */
void rig_be(const char *user);

/* One put as a request would do it; all that is not set is as if it were not sent. */
struct sending {
    const char *bucket, *space, *path, *said, *if_match, *if_none_match;
    struct slice content;
    int is_public; /* 1: yes, -1: no, 0: not said */
};
/* As rig_be() said, or as `who`. False with `e`. */
bool put_as(const struct subject *who, const struct sending *s, struct file *ret, bool *ret_created,
            struct err *e);
bool put_sent(const struct sending *s, struct file *ret);
bool put(const char *bucket, const char *path, const char *content); /* with `err` */
bool drop(const char *bucket, const char *path);
bool change(const char *bucket, const char *path, const char *to_path, int is_public);
bool get(const char *bucket, const char *path, struct file *ret);
/* The list's JSON, or NULL with `err`. In the arena. */
const struct json *list(const struct files_query *q);
struct file_place place(const char *bucket, const char *space, const char *path);
/* What the statement's first column says, a number. */
int64_t number(const char *sql);
/* Inside a write and a reading. */
bool written(bool (*run)(void *arg, struct db_conn *c, struct err *e), void *arg);
bool read_with(bool (*run)(const struct files_reading *r, void *arg), void *arg);
size_t blobs_on_disk(void);

#define OK(call)                                \
    do {                                        \
        if (!(call))                            \
            fail_msg("%s: %s", #call, err.msg); \
    } while (0)
#define NOT(call, is)                   \
    do {                                \
        assert_false(call);             \
        assert_int_equal(err.code, is); \
    } while (0)
