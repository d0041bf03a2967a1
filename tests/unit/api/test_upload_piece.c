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
        assert_int_equal(large, 128);
        for (int i = 0; i < N; i++)
            piece_done(&all[i]);
    }
    free(all);
}

TESTS(cmocka_unit_test(a_quick_client_gets_larger_ones),
      cmocka_unit_test(a_slow_client_gets_smaller_ones),
      cmocka_unit_test(one_in_between_keeps_its_size), cmocka_unit_test(only_so_many_are_large))
