/* What tests of backups share: a folder of them that goes with all that is in it, and backups made
 * by hand. */
#pragma once
#include "unit.h"

#include "keep/keep_impl.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define S(text) slice_from(text)
#define OK(call)                                  \
    do {                                          \
        struct err *err_ = &rig.e;                \
        *err_ = (struct err){0};                  \
        if (!(call))                              \
            fail_msg("%s: %s", #call, err_->msg); \
    } while (0)
#define NOT(call, is)                                             \
    do {                                                          \
        rig.e = (struct err){0};                                  \
        if (call)                                                 \
            fail_msg("%s: nothing failed", #call);                \
        if (rig.e.code != (is))                                   \
            fail_msg("%s: %d, %s", #call, rig.e.code, rig.e.msg); \
    } while (0)

struct rig {
    char dir[64], path[96]; /* the folder of backups is in the other */
    struct keep *k;
    struct arena a;
    struct err e;
};
static struct rig rig;

static inline int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st;
    (void)flag;
    (void)ftw;
    return remove(path);
}

static inline int start(void **state)
{
    (void)state;
    rig = (struct rig){.dir = "/tmp/dais-keep-XXXXXX"};
    assert_non_null(mkdtemp(rig.dir));
    snprintf(rig.path, sizeof rig.path, "%s/notes", rig.dir);
    arena_init(&rig.a, 64u << 20);
    rig.k = keep_open(rig.path, true, &rig.e);
    if (!rig.k)
        fail_msg("%s", rig.e.msg);
    return 0;
}

static inline int stop(void **state)
{
    (void)state;
    keep_close(rig.k);
    arena_done(&rig.a);
    nftw(rig.dir, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
    return 0;
}

/* Below the folder of backups; several may be asked for at a time. */
static inline const char *path_of(const char *name)
{
    return arena_cstr(&rig.a, arena_printf(&rig.a, "%s/%s", rig.path, name));
}

static inline void write_to(const char *name, struct slice bytes)
{
    int fd = open(path_of(name), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes.ptr, bytes.len), (ssize_t)bytes.len);
    close(fd);
}

static inline struct slice read_from(const char *name)
{
    struct stat st = {0};
    int fd = open(path_of(name), O_RDONLY);
    assert_true(fd >= 0 && fstat(fd, &st) == 0);
    char *to = arena_alloc(&rig.a, (size_t)st.st_size + 1);
    assert_int_equal(read(fd, to, (size_t)st.st_size), st.st_size);
    close(fd);
    return (struct slice){to, (size_t)st.st_size};
}

static inline bool is_there(const char *name)
{
    struct stat st;
    return lstat(path_of(name), &st) == 0;
}

static inline const char *hash_of(const char *text)
{
    struct sha256 sum;
    char hash[SHA256_HEX_LEN + 1];
    sha256_init(&sum);
    sha256_add(&sum, S(text));
    sha256_end_hex(&sum, hash);
    return arena_cstr(&rig.a, S(hash));
}

/* contents/ab/HASH */
static inline const char *content_path(const char *text)
{
    const char *hash = hash_of(text);
    return arena_cstr(&rig.a, arena_printf(&rig.a, "contents/%.2s/%s", hash, hash));
}

static inline void write_content(const char *text)
{
    const char *path = content_path(text);
    mkdir(path_of(arena_cstr(&rig.a, slice_first(S(path), 11))), 0700);
    write_to(path, S(text));
}

static inline void add_lines(struct buf *to, const char *const *texts)
{
    static const struct keep_table t = {
        .name = SLICE_INIT("dais_blobs"),
        .columns = {{SLICE_INIT("hash"), KIND_TEXT},
                    {SLICE_INIT("blob_key"), KIND_TEXT},
                    {SLICE_INIT("size"), KIND_NUMBER},
                    {SLICE_INIT("loose_at"), KIND_NUMBER}},
        .n = 4,
    };
    uint64_t n = 0;
    keep_line_table(to, &t);
    for (; texts[n]; n++) {
        struct slice hash = S(hash_of(texts[n]));
        keep_line_row(to, &t,
                      (struct keep_cell[]){
                          {.bytes = hash},
                          {.bytes = arena_printf(&rig.a, "%s-000000000000", hash.ptr)},
                          {.number = (int64_t)strlen(texts[n])},
                          {.is_null = true},
                      });
    }
    /* One that nobody needs. */
    keep_line_row(
        to, &t,
        (struct keep_cell[]){
            {.bytes = S(hash_of("loose"))}, {.bytes = S("k")}, {.number = 5}, {.number = 1}});
    keep_line_end(to, t.name, n + 1);
    keep_line_table(
        to, &(struct keep_table){.name = S("c_notes"), .columns = {{S("id"), KIND_TEXT}}, .n = 1});
    keep_line_end(to, S("c_notes"), 0);
    keep_line_last(to, 2, n + 1);
}

/* Its rows alone, with what they say in the entry. */
static inline struct keep_entry make_rows(const char *name, const char *const *texts)
{
    struct keep_entry entry = {.app = S("notes"),
                               .made_by = S("dais 0.1.0"),
                               .made_ms = keep_name_ms(S(name)),
                               .is_sqlite = true,
                               .tables = 2};
    struct buf lines;
    int fd = keep_open_rows(rig.k, name, true, &rig.e);
    assert_true(fd >= 0);
    struct pack_out *p = pack_out_new(fd);
    buf_init(&lines, 1u << 20);
    add_lines(&lines, texts);
    assert_true(pack_out_add(p, buf_slice(&lines), &rig.e));
    assert_true(pack_out_end(p, &entry.rows_bytes, entry.rows_hash, &rig.e));
    pack_out_free(p);
    close(fd);
    buf_done(&lines);
    snprintf(entry.name, sizeof entry.name, "%s", name);
    entry.rows = 1;
    for (; texts[entry.contents]; entry.contents++, entry.rows++)
        entry.content_bytes += strlen(texts[entry.contents]);
    return entry;
}

/* A whole backup; *texts ends in NULL. */
static inline struct keep_entry make_backup(const char *name, const char *const *texts)
{
    struct keep_entry entry = make_rows(name, texts);
    for (size_t i = 0; texts[i]; i++)
        write_content(texts[i]);
    assert_true(keep_put(rig.k, &entry, &rig.e));
    return entry;
}
#define TEXTS(...) ((const char *const[]){__VA_ARGS__, NULL})
