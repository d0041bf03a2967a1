/* The packed file: there and back, and cut off, extended or made to be huge, it is refused. */
#include "keep_test.h"

#include <sys/resource.h>
#include <zlib.h>

static int file_of(struct slice bytes)
{
    write_to("pack", bytes);
    int fd = open(path_of("pack"), O_RDONLY);
    assert_true(fd >= 0);
    return fd;
}

static struct slice pack(struct slice plain, uint64_t *ret_bytes, char hash[SHA256_HEX_LEN + 1])
{
    int fd = open(path_of("pack"), O_RDWR | O_CREAT | O_TRUNC, 0600);
    struct pack_out *p = pack_out_new(fd);
    for (size_t i = 0; plain.len; i++) { /* in pieces of any length */
        struct slice piece = slice_first(plain, i % 3 ? i * i : 1u << 20);
        OK(pack_out_add(p, piece, &rig.e));
        plain = slice_skip(plain, piece.len);
    }
    OK(pack_out_end(p, ret_bytes, hash, &rig.e));
    pack_out_free(p);
    close(fd);
    return read_from("pack");
}

static struct slice pack_it(struct slice plain)
{
    uint64_t bytes;
    char hash[SHA256_HEX_LEN + 1];
    return pack(plain, &bytes, hash);
}

/* Joins what is read again; false with rig.e. */
static bool unpack(struct slice packed, struct buf *to, char hash[SHA256_HEX_LEN + 1])
{
    int fd = file_of(packed);
    struct pack_in *p = pack_in_new(fd);
    struct slice line;
    uint64_t bytes;
    bool fine, has = false;
    buf_clear(to);
    while ((fine = pack_in_line(p, &line, &has, &rig.e)) && has) {
        buf_add(to, line);
        buf_add_char(to, '\n');
    }
    if (fine) {
        assert_true(pack_in_line(p, &line, &has, &rig.e) && !has); /* again is fine */
        pack_in_hash(p, &bytes, hash);
        assert_int_equal(bytes, packed.len);
    }
    pack_in_free(p);
    close(fd);
    return fine;
}

static struct slice any_lines(size_t n)
{
    char *to = arena_alloc(&rig.a, n);
    unsigned x = 1;
    for (size_t i = 0; i < n; i++) {
        x = x * 1664525 + 1013904223;
        to[i] = (x >> 24) % 97 == 0 && i % 300000 < 1000 ? '\n' : (char)('a' + (x >> 28));
    }
    to[n - 1] = '\n';
    return (struct slice){to, n};
}

static void there_and_back(void **state)
{
    static const size_t sizes[] = {1, 2, 1000, 65536, 262144, 262145, 3u << 20};
    struct buf back;
    struct sha256 sum;
    char hash[SHA256_HEX_LEN + 1], read_hash[SHA256_HEX_LEN + 1], is[SHA256_HEX_LEN + 1];
    (void)state;
    buf_init(&back, 8u << 20);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct slice plain = any_lines(sizes[i]);
        uint64_t bytes;
        struct slice packed = pack(plain, &bytes, hash);
        assert_int_equal(bytes, packed.len);
        sha256_init(&sum);
        sha256_add(&sum, packed);
        sha256_end_hex(&sum, is);
        assert_string_equal(is, hash);
        OK(unpack(packed, &back, read_hash));
        assert_true(slice_eq(plain, buf_slice(&back)));
        assert_string_equal(read_hash, hash);
        assert_true(slice_eq(pack_it(plain), packed)); /* the same gives the same */
    }
    OK(unpack(pack_it(S("")), &back, hash));
    assert_int_equal(back.len, 0);
    OK(unpack(pack_it(S("\n\na\n")), &back, hash));
    assert_string_equal(back.data, "\n\na\n");
    buf_done(&back);
}

/* gunzip reads it. */
static void it_is_gzip(void **state)
{
    struct slice plain = any_lines(100000);
    char *back = arena_alloc(&rig.a, 100001);
    (void)state;
    pack_it(plain);
    gzFile f = gzopen(path_of("pack"), "rb");
    assert_int_equal(gzread(f, back, 100001), 100000);
    assert_memory_equal(back, plain.ptr, 100000);
    gzclose(f);
}

static void cut_off_or_changed_it_is_refused(void **state)
{
    struct slice packed = arena_dup(&rig.a, pack_it(S("one\ntwo\nthree\n")));
    char *bytes = arena_alloc(&rig.a, packed.len), hash[SHA256_HEX_LEN + 1],
         good[SHA256_HEX_LEN + 1];
    struct buf back;
    (void)state;
    buf_init(&back, 1u << 20);
    OK(unpack(packed, &back, good));
    for (size_t n = 0; n < packed.len; n++)
        NOT(unpack(slice_first(packed, n), &back, hash), ERR_DAMAGED);
    for (size_t i = 0; i < packed.len * 8;
         i++) { /* whatever is read in spite of it has another hash */
        memcpy(bytes, packed.ptr, packed.len);
        bytes[i / 8] ^= (char)(1 << i % 8);
        rig.e = (struct err){0};
        if (unpack((struct slice){bytes, packed.len}, &back, hash))
            assert_string_not_equal(hash, good);
        else
            assert_int_equal(rig.e.code, ERR_DAMAGED);
    }
    NOT(unpack(pack_it(S("no end")), &back, hash), ERR_DAMAGED);
    NOT(unpack(pack_it(S("one\nno end")), &back, hash), ERR_DAMAGED);
    buf_done(&back);
}

/* As long as what is read at once: that nothing follows is to be asked for. */
static struct slice one_piece(void)
{
    struct slice plain = any_lines(200000), packed;
    size_t less = 0, more = plain.len, n;
    do {
        n = (less + more) / 2;
        char *lines = arena_alloc(&rig.a, n);
        memcpy(lines, plain.ptr, n);
        lines[n - 1] = '\n';
        packed = pack_it((struct slice){lines, n});
        if (packed.len < 65536)
            less = n;
        else
            more = n;
    } while (packed.len != 65536 && less + 1 < more);
    assert_int_equal(packed.len, 65536);
    return arena_dup(&rig.a, packed);
}

static void more_behind_it_is_refused(void **state)
{
    struct slice packed = arena_dup(&rig.a, pack_it(S("one\n")));
    char hash[SHA256_HEX_LEN + 1];
    struct buf back, both;
    (void)state;
    buf_init(&back, 1u << 20);
    buf_init(&both, 1u << 20);
    buf_add(&both, packed);
    buf_add_char(&both, '\0');
    NOT(unpack(buf_slice(&both), &back, hash), ERR_DAMAGED);
    buf_truncate(&both, packed.len);
    buf_add(&both, packed); /* two members, which gunzip joins */
    NOT(unpack(buf_slice(&both), &back, hash), ERR_DAMAGED);
    buf_done(&both);
    buf_init(&both, 1u << 20);
    packed = one_piece();
    OK(unpack(packed, &back, hash));
    buf_add(&both, packed);
    buf_add_char(&both, 'x');
    NOT(unpack(buf_slice(&both), &back, hash), ERR_DAMAGED);
    buf_done(&both);
    NOT(unpack(S("not packed\n"), &back, hash), ERR_DAMAGED);
    uLongf len = 1000;
    Bytef zlib[1000];
    assert_int_equal(compress(zlib, &len, (const Bytef *)"one\n", 4), Z_OK);
    NOT(unpack((struct slice){(char *)zlib, len}, &back, hash), ERR_DAMAGED);
    buf_done(&back);
}

/* A small file that is one endless line. */
static void a_bomb_is_refused(void **state)
{
    enum { MB = 1 << 20 };
    char *zeros = arena_zalloc(&rig.a, MB), hash[SHA256_HEX_LEN + 1];
    struct buf back;
    struct rusage before, after;
    int fd = open(path_of("pack"), O_RDWR | O_CREAT | O_TRUNC, 0600);
    struct pack_out *p = pack_out_new(fd);
    uint64_t bytes;
    (void)state;
    for (int i = 0; i < 1000; i++)
        OK(pack_out_add(p, (struct slice){zeros, MB}, &rig.e));
    OK(pack_out_end(p, &bytes, hash, &rig.e));
    pack_out_free(p);
    close(fd);
    assert_in_range(bytes, 1, 2 * MB);
    buf_init(&back, 1u << 20);
    getrusage(RUSAGE_SELF, &before);
    NOT(unpack(read_from("pack"), &back, hash), ERR_DAMAGED);
    getrusage(RUSAGE_SELF, &after);
    assert_non_null(strstr(rig.e.msg, "too long"));
    assert_in_range(after.ru_maxrss - before.ru_maxrss, 0, 600 * 1024); /* buffers and ASan's own */
    buf_done(&back);
}

static void the_longest_line(void **state)
{
    enum { MB = 1 << 20 };
    char *text = arena_alloc(&rig.a, MB);
    struct slice line;
    char hash[SHA256_HEX_LEN + 1];
    uint64_t bytes;
    bool has;
    (void)state;
    memset(text, 'x', MB);
    for (int extra = 0; extra < 2; extra++) {
        int fd = open(path_of("pack"), O_RDWR | O_CREAT | O_TRUNC, 0600);
        struct pack_out *out = pack_out_new(fd);
        for (size_t i = 0; i < KEEP_LINE_MAX / MB; i++)
            OK(pack_out_add(out, (struct slice){text, MB}, &rig.e));
        OK(pack_out_add(out, slice_first(S("x"), (size_t)extra), &rig.e));
        OK(pack_out_add(out, S("\nand one\n"), &rig.e));
        OK(pack_out_end(out, &bytes, hash, &rig.e));
        pack_out_free(out);
        struct pack_in *in = pack_in_new(fd);
        if (extra) {
            NOT(pack_in_line(in, &line, &has, &rig.e), ERR_DAMAGED);
        } else {
            OK(pack_in_line(in, &line, &has, &rig.e));
            assert_true(has && line.len == KEEP_LINE_MAX);
            OK(pack_in_line(in, &line, &has, &rig.e));
            assert_true(has && slice_is(line, "and one"));
        }
        pack_in_free(in);
        close(fd);
    }
}

static void a_full_disk(void **state)
{
    char hash[SHA256_HEX_LEN + 1];
    uint64_t bytes;
    int fd = open("/dev/full", O_WRONLY);
    struct pack_out *p = pack_out_new(fd);
    (void)state;
    NOT(pack_out_add(p, S("a\n"), &rig.e), ERR_FULL); /* how gzip begins */
    NOT(pack_out_end(p, &bytes, hash, &rig.e), ERR_FULL);
    pack_out_free(p);
    close(fd);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)
TESTS(TEST(there_and_back), TEST(it_is_gzip), TEST(cut_off_or_changed_it_is_refused),
      TEST(more_behind_it_is_refused), TEST(a_bomb_is_refused), TEST(the_longest_line),
      TEST(a_full_disk))
