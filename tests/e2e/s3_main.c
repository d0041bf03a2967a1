/* For end-to-end tests: S3 calls as lines on standard input, each answered with a line. */
#include "base/file.h"
#include "base/sha256.h"
#include "blob/blob.h"
#include "s3/s3.h"
#include "wire/wire.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ARGS_MAX 3000

struct line {
    struct slice args[ARGS_MAX];
    size_t n;
    struct arena arena;
    struct buf out;
};

static uint64_t number(const struct line *l, size_t i)
{
    uint64_t value = 0;
    if (i < l->n)
        (void)slice_to_u64(l->args[i], &value);
    return value;
}

static const char *text(struct line *l, size_t i)
{
    return arena_cstr(&l->arena, i < l->n ? l->args[i] : SLICE(""));
}

static void add(struct line *l, struct slice value)
{
    buf_add_char(&l->out, '\t');
    percent_encode(&l->out, value);
}

static void add_number(struct line *l, uint64_t value)
{
    buf_printf(&l->out, "\t%llu", (unsigned long long)value);
}

static bool put(struct s3 *s, struct line *l, struct err *e)
{
    struct sha256 h;
    struct stat st;
    char hex[SHA256_HEX_LEN + 1], piece[4096];
    int fd = file_open(text(l, 2));
    if (fd < 0 || fstat(fd, &st) != 0)
        return err_set_sys(e, ERR_IO, "%s", text(l, 2));
    sha256_init(&h);
    for (ssize_t n; (n = fd_read(fd, piece, sizeof piece)) > 0;)
        sha256_add(&h, (struct slice){piece, (size_t)n});
    sha256_end_hex(&h, hex);
    bool fine = s3_put(s, l->args[1], fd, (uint64_t)st.st_size, slice_from(hex), text(l, 3), e);
    close(fd);
    return fine;
}

static bool get(struct s3 *s, struct line *l, struct err *e)
{
    int fd = open(text(l, 4), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_set_sys(e, ERR_IO, "%s", text(l, 4));
    bool fine = s3_get(s, l->args[1], number(l, 2), number(l, 3), fd, e);
    close(fd);
    return fine;
}

static bool head(struct s3 *s, struct line *l, struct err *e)
{
    struct s3_object o;
    if (!s3_head(s, l->args[1], &l->arena, &o, e))
        return false;
    add_number(l, o.size);
    add(l, o.etag);
    add_number(l, (uint64_t)o.modified_ms);
    return true;
}

static bool delete (struct s3 *s, struct line *l, struct err *e)
{
    return s3_delete(s, l->args[1], e);
}

static bool delete_many(struct s3 *s, struct line *l, struct err *e)
{
    return s3_delete_many(s, l->args + 1, l->n - 1, e);
}

static bool list(struct s3 *s, struct line *l, struct err *e)
{
    struct s3_page page;
    if (!s3_list(s, l->args[1], l->args[2], &l->arena, &page, e))
        return false;
    add(l, page.next);
    for (size_t i = 0; i < page.n; i++) {
        add(l, page.items[i].key);
        add_number(l, page.items[i].size);
        add(l, page.items[i].etag);
        add_number(l, (uint64_t)page.items[i].modified_ms);
    }
    return true;
}

static bool stale(struct s3 *s, struct line *l, struct err *e)
{
    size_t n;
    if (!s3_abort_stale(s, l->args[1], (int64_t)number(l, 2), &n, e))
        return false;
    add_number(l, n);
    return true;
}

static bool presign(struct s3 *s, struct line *l, struct err *e)
{
    struct buf url;
    buf_init(&url, 1u << 16);
    bool fine = s3_presign(s, l->args[1], l->args[2], (uint32_t)number(l, 3), &url, e);
    add(l, buf_slice(&url));
    buf_done(&url);
    return fine;
}

static bool check(struct s3 *s, struct line *l, struct err *e)
{
    (void)l;
    return s3_check(s, e);
}

/* copy DIR BLOB-KEY SIZE FILE: a stored file, behind what that file has. */
static bool copy(struct s3 *s, struct line *l, struct err *e)
{
    struct blob_options o = {
        .dir = text(l, 1), .s3 = s, .place = SLICE("app/"), .free_min = 1, .is_reader = true};
    struct blob_store *store = blob_store_new(&o, e);
    int fd = open(text(l, 4), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    must(fd >= 0 && lseek(fd, 0, SEEK_END) >= 0);
    bool fine =
        store && blob_copy(store, l->args[2], number(l, 3), &(struct blob_sink){.fd = fd}, e);
    close(fd);
    blob_store_free(store);
    return fine;
}

static bool stats(struct s3 *s, struct line *l, struct err *e)
{
    struct s3_stats st;
    (void)e;
    s3_stats(s, &st);
    for (size_t i = 0; i < S3_VERBS; i++)
        add_number(l, st.calls[i]);
    add_number(l, st.repeats);
    add_number(l, st.failures);
    add_number(l, st.bytes_sent);
    add_number(l, st.bytes_received);
    add_number(l, st.is_open);
    return true;
}

/* ---- many threads ---------------------------------------------------------------------------- */

struct worker {
    pthread_t thread;
    struct s3 *s3;
    struct slice key;
    uint64_t rounds;
    unsigned failures;
};

static void *work(void *user)
{
    struct worker *w = user;
    FILE *file = tmpfile();
    struct arena a;
    struct s3_object o;
    arena_init(&a, 1u << 20);
    for (uint64_t i = 0; i < w->rounds; i++) {
        w->failures += !s3_head(w->s3, w->key, &a, &o, NULL);
        w->failures += !s3_get(w->s3, w->key, i % 7, o.size - i % 7, fileno(file), NULL);
    }
    arena_done(&a);
    fclose(file);
    return NULL;
}

/* threads KEY N ROUNDS */
static bool threads(struct s3 *s, struct line *l, struct err *e)
{
    struct worker w[32] = {0};
    size_t n = (size_t)number(l, 2) % 33;
    unsigned failures = 0;
    for (size_t i = 0; i < n; i++) {
        w[i] = (struct worker){.s3 = s, .key = l->args[1], .rounds = number(l, 3)};
        must(pthread_create(&w[i].thread, NULL, work, &w[i]) == 0);
    }
    for (size_t i = 0; i < n; i++) {
        pthread_join(w[i].thread, NULL);
        failures += w[i].failures;
    }
    return !failures || err_set(e, ERR_INTERNAL, "%u calls failed", failures);
}

/* ---- lines ----------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    bool (*run)(struct s3 *s, struct line *l, struct err *e);
    size_t n; /* words, the name included */
} commands[] = {
    {"put", put, 4},
    {"get", get, 5},
    {"head", head, 2},
    {"delete", delete, 2},
    {"delete-many", delete_many, 2},
    {"list", list, 3},
    {"stale", stale, 3},
    {"presign", presign, 4},
    {"check", check, 1},
    {"copy", copy, 5},
    {"stats", stats, 1},
    {"threads", threads, 4},
};

static void split(struct line *l, struct slice all)
{
    struct slice piece;
    for (l->n = 0; l->n < ARGS_MAX && slice_cut(&all, '\t', &piece); l->n++) {
        l->args[l->n] = (struct slice){"", 0};
        if (piece.len)
            must(query_decode(piece, arena_alloc(&l->arena, piece.len), &l->args[l->n], NULL));
    }
}

static void answer(struct s3 *s, struct line *l)
{
    struct err e = {0};
    buf_clear(&l->out);
    buf_add_str(&l->out, "ok");
    bool fine = false, is_known = false;
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        if (l->n && slice_is(l->args[0], commands[i].name)) {
            must(l->n >= commands[i].n);
            is_known = true;
            fine = commands[i].run(s, l, &e);
        }
    }
    must(is_known);
    if (!fine) {
        buf_clear(&l->out);
        buf_printf(&l->out, "failed\t%s", err_slug(e.code));
        add(l, slice_from(e.msg));
        add_number(l, (uint64_t)e.retry_s);
    }
    printf("%s\n", l->out.data);
    fflush(stdout);
}

static uint32_t env_number(const char *name)
{
    uint64_t value = 0;
    (void)slice_to_u64(slice_from(getenv(name)), &value);
    return (uint32_t)value;
}

int main(void)
{
    static struct line l;
    struct err e = {0};
    struct aws_keys keys = {
        .id = slice_from(getenv("S3_ACCESS_KEY_ID")),
        .secret = slice_from(getenv("S3_SECRET_ACCESS_KEY")),
        .token = slice_from(getenv("AWS_SESSION_TOKEN")),
    };
    struct aws_chain *chain = aws_chain_new(NULL, keys.id.len ? &keys : NULL);
    struct s3_options o = {
        .bucket = slice_from(getenv("S3_BUCKET")),
        .region = slice_from(getenv("S3_REGION")),
        .endpoint = slice_from(getenv("S3_ENDPOINT_URL")),
        .prefix = slice_from(getenv("S3_PREFIX")),
        .is_path_style = getenv("S3_FORCE_PATH_STYLE"),
        .chain = chain,
        .ca_file = getenv("DRIVER_CA"),
        .connect_ms = env_number("DRIVER_CONNECT_MS"),
        .idle_ms = env_number("DRIVER_IDLE_MS"),
        .call_ms = env_number("DRIVER_CALL_MS"),
        .part_bytes = env_number("DRIVER_PART"),
    };
    signal(SIGPIPE, SIG_IGN);
    struct s3 *s = s3_new(&o, &e);
    char *text_line = NULL;
    size_t room = 0;
    arena_init(&l.arena, 64u << 20);
    buf_init(&l.out, 64u << 20);
    printf("%s\t%s\n", s ? "ready" : "refused", e.msg);
    fflush(stdout);
    for (ssize_t n; s && (n = getline(&text_line, &room, stdin)) > 0;) {
        arena_reset(&l.arena);
        split(&l, (struct slice){text_line, (size_t)n - 1});
        answer(s, &l);
    }
    free(text_line);
    buf_done(&l.out);
    arena_done(&l.arena);
    s3_free(s);
    aws_chain_free(chain);
    return 0;
}
