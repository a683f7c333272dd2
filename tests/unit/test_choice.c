/* SPDX-License-Identifier: MIT */
/* Compressed or raw: what the codec `auto` chooses, for queues that are made up, and for a
 * training, workers and a disk of given speeds. */
#include "tests/unit/unit.h"

#include <math.h>

#include "recorder/choice.h"

#define ROOM 1024u

static bool raw(struct nauha__choice *choice, size_t sealed, size_t encoded, size_t workers) {
    const struct nauha__fill fill = {sealed, encoded, ROOM, workers};
    return nauha__choose_raw(choice, &fill);
}

static void test_nothing_waits(void **state) {
    (void)state;
    struct nauha__choice choice = {0};
    for (int i = 0; i < 100; i++)
        assert_false(raw(&choice, (size_t)i % 2, 0, 1));
}

static void test_processors_are_short(void **state) {
    (void)state;
    struct nauha__choice choice = {0};
    assert_false(raw(&choice, 64, 0, 1));
    assert_true(raw(&choice, 65, 0, 1));
    assert_true(raw(&choice, 1000, 0, 1));
}

/* It goes on raw until half of what made it raw is gone, and then compressed until that is back. */
static void test_it_goes_on_as_it_did(void **state) {
    (void)state;
    struct nauha__choice choice = {0};
    assert_true(raw(&choice, 65, 0, 1));
    for (size_t sealed = 64; sealed > 32; sealed--)
        assert_true(raw(&choice, sealed, 0, 1));
    assert_false(raw(&choice, 32, 0, 1));
    for (size_t sealed = 32; sealed <= 64; sealed++)
        assert_false(raw(&choice, sealed, 0, 1));
    assert_true(raw(&choice, 65, 0, 1));
}

static void test_the_disk_is_short(void **state) {
    (void)state;
    struct nauha__choice choice = {0};
    for (size_t encoded = 33; encoded < ROOM; encoded++)
        assert_false(raw(&choice, ROOM - encoded, encoded, 1));
    assert_true(raw(&choice, 500, 32, 1)); /* it has caught up */
    assert_true(raw(&choice, 500, 64, 1));
    assert_false(raw(&choice, 500, 65, 1)); /* and has too much again */
    assert_false(raw(&choice, 500, 33, 1));
    assert_true(raw(&choice, 500, 32, 1));
}

static void test_which_is_short_alternates(void **state) {
    (void)state;
    struct nauha__choice choice = {0};
    for (int i = 0; i < 10; i++) {
        assert_true(raw(&choice, 300, 0, 1));
        assert_false(raw(&choice, 0, 300, 1));
        assert_false(raw(&choice, 0, 0, 1));
    }
}

/* All workers have work before it is too much for them. */
static void test_more_workers(void **state) {
    (void)state;
    for (size_t workers = 1; workers <= 16; workers++) {
        struct nauha__choice choice = {0};
        assert_false(raw(&choice, 32 * workers, 0, workers));
        assert_true(raw(&choice, 32 * workers + 33, 0, workers));
    }
}

static void test_tiny_buffers(void **state) {
    (void)state;
    for (size_t room = 4; room <= 64; room++) {
        struct nauha__choice choice = {0};
        const struct nauha__fill none = {0, 0, room, 1}, full = {room - 1, 0, room, 1},
                                 late = {1, room - 1, room, 1};
        assert_false(nauha__choose_raw(&choice, &none));
        assert_true(nauha__choose_raw(&choice, &full));
        assert_false(nauha__choose_raw(&choice, &late));
    }
}

/* ---- a training with a worker and a disk ---- */

/* Blocks in a unit of time: that a training publishes if it need not wait, that a worker
 * compresses, that it passes on raw, and that the disk takes if they are raw. Compressed, they have
 * half of the size. */
struct speeds {
    double published, compressed, raw, disk;
};

struct outcome {
    double published; /* in a unit of time */
    double share_raw;
};

enum { ALWAYS_COMPRESSED, ALWAYS_RAW, CHOSEN };

static struct outcome simulate(const struct speeds *speeds, int how) {
    enum { UNITS = 20000, STEPS = 10 };
    struct nauha__choice choice = {0};
    double sealed = 0, encoded = 0, encoded_bytes = 0, published = 0, done = 0, done_raw = 0;
    for (int i = 0; i < UNITS * STEPS; i++) {
        const double time = 1.0 / STEPS, left = ROOM - sealed - encoded;
        const double come = fmin(speeds->published * time, left);
        sealed += come;
        published += come;
        const bool is_raw =
            how == CHOSEN ? raw(&choice, (size_t)sealed, (size_t)encoded, 1) : how == ALWAYS_RAW;
        const double size = is_raw ? 1 : 0.5;
        const double work = fmin((is_raw ? speeds->raw : speeds->compressed) * time, sealed);
        sealed -= work;
        encoded += work;
        encoded_bytes += work * size;
        done += work;
        done_raw += is_raw ? work : 0;
        const double bytes = fmin(speeds->disk * time, encoded_bytes);
        encoded -= encoded_bytes > 0 ? encoded * bytes / encoded_bytes : 0;
        encoded_bytes -= bytes;
    }
    return (struct outcome){published / UNITS, done_raw / done};
}

static void check(double published, double compressed, double through, double disk, double least,
                  double raw_from, double raw_to) {
    const struct speeds speeds = {published, compressed, through, disk};
    const struct outcome zstd = simulate(&speeds, ALWAYS_COMPRESSED),
                         none = simulate(&speeds, ALWAYS_RAW), chosen = simulate(&speeds, CHOSEN);
    assert_true(chosen.published >= 0.97 * fmax(zstd.published, none.published));
    assert_true(chosen.published >= 0.97 * least);
    assert_true(chosen.share_raw >= raw_from && chosen.share_raw <= raw_to);
}

static void test_trainings(void **state) {
    (void)state;
    check(4, 10, 100, 100, 4, 0, 0);     /* nothing is short: all is compressed */
    check(9, 6, 100, 100, 9, 0.2, 0.5);  /* a worker cannot compress all of it, but a part */
    check(9, 20, 100, 5, 9, 0, 0);       /* the disk cannot take all of it raw */
    check(20, 40, 100, 5, 10, 0, 0.05);  /* nor all of it compressed */
    check(20, 6, 100, 9, 9, 0.2, 0.6);   /* neither: a mixture is faster than each alone */
    check(100, 6, 100, 100, 90, 0.8, 1); /* the processors, by far */
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_nothing_waits),
    cmocka_unit_test(test_processors_are_short),
    cmocka_unit_test(test_it_goes_on_as_it_did),
    cmocka_unit_test(test_the_disk_is_short),
    cmocka_unit_test(test_which_is_short_alternates),
    cmocka_unit_test(test_more_workers),
    cmocka_unit_test(test_tiny_buffers),
    cmocka_unit_test(test_trainings),
};

UNIT_MAIN(tests)
