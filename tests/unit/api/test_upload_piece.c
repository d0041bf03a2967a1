/* Pieces of uploads: they grow with a quick client, shrink with a slow one, and few are large. */
#include "unit.h"

#include "api/upload_impl.h"

#include "base/mem.h"

#include <stdlib.h>

static char bytes[2 * UPLOAD_PIECE];

/* Fills it in so many ms; what the next one should hold. */
static size_t fill(struct piece *p, size_t room, int64_t took_ms)
{
    assert_int_equal(piece_add(p, room, (struct slice){bytes, 1}, 1000), 1);
    assert_false(piece_is_full(p));
    size_t rest = p->room - 1;
    assert_int_equal(piece_add(p, room, (struct slice){bytes, sizeof bytes}, 1000 + took_ms), rest);
    assert_true(piece_is_full(p));
    assert_int_equal(piece_add(p, room, (struct slice){bytes, 1}, 100000), 0); /* not its fault */
    return piece_next_room(p);
}

static void a_quick_client_gets_larger_ones(void **state)
{
    struct piece p = {0};
    size_t room = UPLOAD_PIECE_LEAST;
    (void)state;
    for (int i = 0; i < 5; i++) {
        room = fill(&p, room, 1);
        piece_clear(&p, room);
    }
    assert_int_equal(room, UPLOAD_PIECE);
    assert_int_equal(p.room, UPLOAD_PIECE);
    assert_non_null(p.data); /* kept for the next */
    piece_done(&p);
    piece_done(&p);
}

static void a_slow_client_gets_smaller_ones(void **state)
{
    struct piece p = {0};
    size_t room = UPLOAD_PIECE;
    (void)state;
    for (int i = 0; i < 5; i++) {
        room = fill(&p, room, 1000);
        piece_clear(&p, room);
        assert_null(p.data);
    }
    assert_int_equal(room, UPLOAD_PIECE_LEAST);
}

static void one_in_between_keeps_its_size(void **state)
{
    struct piece p = {0};
    (void)state;
    assert_int_equal(fill(&p, UPLOAD_PIECE, 100), UPLOAD_PIECE);
    piece_done(&p);
    assert_int_equal(fill(&p, UPLOAD_PIECE_LEAST, 100), UPLOAD_PIECE_LEAST);
    piece_done(&p);
}

static void only_so_many_are_large(void **state)
{
    enum { N = 1000 };
    struct piece *all = mem_zalloc(N * sizeof *all);
    size_t large = 0;
    (void)state;
    for (int round = 0; round < 2; round++) { /* the second finds all of them given back */
        large = 0;
        for (int i = 0; i < N; i++) {
            piece_add(&all[i], UPLOAD_PIECE, (struct slice){bytes, 1}, 0);
            large += all[i].room == UPLOAD_PIECE;
            assert_true(all[i].room == UPLOAD_PIECE || all[i].room == UPLOAD_PIECE_LEAST);
        }
        assert_int_equal(large, 64);
        for (int i = 0; i < N; i++)
            piece_done(&all[i]);
    }
    free(all);
}

/* ---- the pieces of one body ------------------------------------------------------------------ */

/* A client, two workers and whoever gives them work, in any order: every byte is written once and
 * hashed once, in its order, and stays as it is meanwhile. */
struct body {
    uint32_t seed;
    struct pieces pieces;
    size_t room;
    const struct piece *writing, *hashing;
    unsigned char told, wrote, hashed; /* the first byte of the next piece, for each */
    unsigned n_halved, most, behind;   /* pieces; most: under way; behind: hash and disk apart */
};

static unsigned dice(struct body *b)
{
    b->seed = b->seed * 1664525 + 1013904223;
    return b->seed >> 16;
}

static void client_step(struct body *b, bool ends)
{
    struct piece *p = pieces_filling(&b->pieces);
    if (!p)
        return;
    char mark = (char)b->told++;
    piece_add(p, b->room, (struct slice){&mark, 1}, 0);
    piece_add(p, b->room, (struct slice){bytes, ends ? 10 : sizeof bytes}, 1);
    assert_true(ends || piece_is_full(p));
    b->room = piece_is_full(p) ? piece_next_room(p) : b->room;
    pieces_hand(&b->pieces, ends, true);
    b->n_halved += p->is_halved;
    unsigned under_way =
        b->pieces.filled -
        (b->pieces.written < b->pieces.hashed ? b->pieces.written : b->pieces.hashed);
    b->most = under_way > b->most ? under_way : b->most;
}

static void hash_it(struct body *b, const struct piece *p)
{
    assert_int_equal((unsigned char)p->data[0], b->hashed);
    b->hashed++;
}

static void writer_step(struct body *b)
{
    struct pieces *p = &b->pieces;
    if (!p->is_writing) {
        b->writing = pieces_to_write(p);
        p->is_writing = b->writing;
        return;
    }
    assert_int_equal((unsigned char)b->writing->data[0], b->wrote);
    b->wrote++;
    if (!b->writing->is_halved)
        hash_it(b, b->writing);
    pieces_wrote(p, b->room);
}

static void hasher_step(struct body *b)
{
    struct pieces *p = &b->pieces;
    if (!p->is_hashing) {
        b->hashing = pieces_to_hash(p);
        p->is_hashing = b->hashing;
        return;
    }
    hash_it(b, b->hashing);
    pieces_hashed(p, b->room);
    unsigned apart = p->written > p->hashed ? p->written - p->hashed : p->hashed - p->written;
    b->behind = apart > b->behind ? apart : b->behind;
}

static void pieces_keep_their_order(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 300; seed++) {
        struct body b = {.seed = seed, .room = UPLOAD_PIECE_LEAST};
        unsigned quick = dice(&b) % 3, n = 40 + dice(&b) % 40;
        while (b.told < n) {
            unsigned who = dice(&b) % 4;
            if (who == quick || who == 3)
                client_step(&b, b.told == n - 1);
            else if (who == (quick + 1) % 3)
                writer_step(&b);
            else
                hasher_step(&b);
        }
        while (!pieces_are_through(&b.pieces)) {
            writer_step(&b);
            hasher_step(&b);
        }
        assert_false(pieces_are_busy(&b.pieces));
        assert_int_equal(b.wrote, n);
        assert_int_equal(b.hashed, n);
        assert_in_range(b.most, 2, UPLOAD_RING);
        assert_in_range(b.n_halved, n / 2, n - 2);
        assert_in_range(b.behind, 1, UPLOAD_RING);
        pieces_done(&b.pieces);
    }
}

static void small_ones_are_two(void **state)
{
    struct pieces p = {0};
    (void)state;
    for (int i = 0; i < 2; i++) {
        piece_add(pieces_filling(&p), UPLOAD_PIECE_LEAST, (struct slice){bytes, sizeof bytes}, 0);
        pieces_hand(&p, false, true);
    }
    assert_null(pieces_filling(&p));
    assert_false(p.ring[1].is_halved);
    p.is_writing = pieces_to_write(&p);
    assert_null(pieces_to_write(&p));
    assert_null(pieces_to_hash(&p));
    pieces_wrote(&p, UPLOAD_PIECE_LEAST);
    assert_non_null(pieces_filling(&p));
    pieces_done(&p);
}

/* While one of two halves fails the other may be under way: the failure is told once that is over,
 * and a client that goes on must not keep them busy till its body's end. */
static void what_has_failed_takes_no_more(void **state)
{
    struct pieces p = {0};
    (void)state;
    for (unsigned i = 0; i < UPLOAD_RING; i++) {
        piece_add(pieces_filling(&p), UPLOAD_PIECE, (struct slice){bytes, sizeof bytes}, 0);
        pieces_hand(&p, false, true);
        p.is_writing = i == 0 && pieces_to_write(&p);
        if (p.is_writing)
            pieces_wrote(&p, UPLOAD_PIECE);
    }
    p.is_writing = pieces_to_write(&p);
    p.is_hashing = pieces_to_hash(&p);
    assert_true(p.is_writing && p.is_hashing);
    pieces_fail(&p);
    pieces_wrote(&p, UPLOAD_PIECE);
    assert_null(pieces_filling(&p));
    assert_null(pieces_to_write(&p));
    pieces_hashed(&p, UPLOAD_PIECE);
    assert_null(pieces_filling(&p));
    assert_null(pieces_to_hash(&p));
    assert_false(pieces_are_busy(&p));
    pieces_done(&p);
}

TESTS(cmocka_unit_test(pieces_keep_their_order), cmocka_unit_test(what_has_failed_takes_no_more),
      cmocka_unit_test(small_ones_are_two), cmocka_unit_test(a_quick_client_gets_larger_ones),
      cmocka_unit_test(a_slow_client_gets_smaller_ones),
      cmocka_unit_test(one_in_between_keeps_its_size), cmocka_unit_test(only_so_many_are_large))
