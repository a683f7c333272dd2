/* SPDX-License-Identifier: MIT */
/* How many workers the buffer calls for: one, more while those do not keep up, and the reserve
 * where waiting costs somebody. */
#include "tests/unit/unit.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "nauha/names.h"
#include "recorder/workers.h"

/* So many blocks wait for each worker that has one before another is called for. */
#define EACH 8u
#define BUFFER_BYTES ((uint64_t)2 * NAUHA__WORKERS_MAX * EACH * NAUHA__CHUNK_BYTES)

static struct nauha__buffer buffer;
static unsigned char elements[NAUHA__CHUNK_BYTES];

static int setup(void **state) {
    (void)state;
    return nauha__buffer_init(&buffer, BUFFER_BYTES, NULL) == NAUHA_OK ? 0 : -1;
}

static int teardown(void **state) {
    (void)state;
    nauha__buffer_fini(&buffer);
    return 0;
}

static void seal(unsigned blocks) {
    const int64_t shape[] = {NAUHA__CHUNK_BYTES};
    const struct nauha_tensor tensor = {elements, NAUHA_DTYPE_U8, 1, shape, NULL, 0};
    struct nauha__place place;
    for (unsigned i = 0; i < blocks; i++)
        assert_int_equal(nauha__buffer_put(&buffer, NAUHA_KIND_ACTIVATIONS, &tensor,
                                           sizeof elements, 0, true, &place, NULL),
                         NAUHA_OK);
}

static void give(struct nauha__block *block) {
    assert_non_null(block);
    nauha__buffer_give_encoded(&buffer, block);
}

/* A worker of its own thread, which takes one block. */
static atomic_bool took;
static struct nauha__block *taken;

static void *take(void *reserve) {
    taken = reserve ? nauha__buffer_take_urgent(&buffer) : nauha__buffer_take_sealed(&buffer);
    took = true;
    return NULL;
}

static pthread_t start(bool reserve) {
    pthread_t thread;
    took = false;
    assert_int_equal(pthread_create(&thread, NULL, take, reserve ? &buffer : NULL), 0);
    usleep(50000); /* a worker that is not called for would have begun by now */
    return thread;
}

static void test_a_second_one_is_called_for_by_what_waits(void **state) {
    (void)state;
    seal(1 + EACH);
    struct nauha__block *first = nauha__buffer_take_sealed(&buffer);
    pthread_t second = start(false);
    assert_false(took);
    seal(1);
    pthread_join(second, NULL);
    assert_true(took);
    give(taken);
    give(first);
}

static void test_the_first_one_takes_what_the_second_would_not(void **state) {
    (void)state;
    seal(3);
    struct nauha__block *first = nauha__buffer_take_sealed(&buffer);
    pthread_t second = start(false);
    assert_false(took);
    give(first);
    first = nauha__buffer_take_sealed(&buffer);
    nauha__buffer_close(&buffer);
    pthread_join(second, NULL);
    give(taken);
    give(first);
    assert_null(nauha__buffer_take_sealed(&buffer));
}

static void test_all_are_called_for_at_the_end(void **state) {
    (void)state;
    seal(2);
    struct nauha__block *first = nauha__buffer_take_sealed(&buffer);
    nauha__buffer_close(&buffer);
    give(nauha__buffer_take_sealed(&buffer));
    give(first);
    assert_null(nauha__buffer_take_sealed(&buffer));
}

static void *take_at_end(void *context) {
    (void)context;
    assert_null(nauha__buffer_take_urgent(&buffer));
    return NULL;
}

static void test_the_reserve_leaves_to_others_what_can_wait(void **state) {
    (void)state;
    seal(3);
    pthread_t reserve = start(true);
    assert_false(took);
    nauha__buffer_hurry(&buffer, 1);
    pthread_join(reserve, NULL);
    assert_int_equal(taken->ticket, 0);
    give(taken);
    reserve = start(true); /* one was urgent */
    assert_false(took);
    nauha__buffer_close(&buffer);
    pthread_join(reserve, NULL);
    give(taken);
    give(nauha__buffer_take_urgent(&buffer));
    assert_null(nauha__buffer_take_urgent(&buffer));
}

static void *fill(void *blocks) {
    seal(*(const unsigned *)blocks);
    return NULL;
}

static void test_the_reserve_helps_who_finds_no_room(void **state) {
    (void)state;
    unsigned blocks = (unsigned)(BUFFER_BYTES / NAUHA__CHUNK_BYTES) + 1;
    const struct timespec never = {.tv_sec = INT32_MAX};
    pthread_t publisher, reserve = start(true);
    assert_int_equal(pthread_create(&publisher, NULL, fill, &blocks), 0);
    pthread_join(reserve, NULL);
    give(taken);
    reserve = start(true); /* still no room: nothing is free yet */
    assert_true(took);
    pthread_join(reserve, NULL);
    give(taken);
    struct nauha__block *encoded = nauha__buffer_take_encoded(&buffer, &never);
    nauha__buffer_give_free(&buffer, encoded);
    pthread_join(publisher, NULL);
    reserve = start(true);
    assert_false(took);
    nauha__buffer_close(&buffer);
    pthread_join(reserve, NULL);
    give(taken);
}

static void test_the_reserve_helps_after_a_message_was_lost(void **state) {
    (void)state;
    const int64_t shape[] = {NAUHA__CHUNK_BYTES};
    const struct nauha_tensor tensor = {elements, NAUHA_DTYPE_U8, 1, shape, NULL, 0};
    struct nauha__place place;
    seal((unsigned)(BUFFER_BYTES / NAUHA__CHUNK_BYTES));
    pthread_t reserve = start(true);
    assert_false(took);
    assert_int_equal(nauha__buffer_put(&buffer, NAUHA_KIND_ACTIVATIONS, &tensor, sizeof elements, 0,
                                       false, &place, NULL),
                     NAUHA_LIMIT);
    pthread_join(reserve, NULL);
    give(taken);
    nauha__buffer_close(&buffer);
}

static void test_what_is_urgent_stays_so(void **state) {
    (void)state;
    seal(3);
    nauha__buffer_hurry(&buffer, UINT64_MAX);
    nauha__buffer_hurry(&buffer, 1);
    for (unsigned i = 0; i < 3; i++)
        give(nauha__buffer_take_urgent(&buffer));
    seal(1); /* after it was said */
    pthread_t reserve = start(true);
    assert_false(took);
    nauha__buffer_close(&buffer);
    pthread_join(reserve, NULL);
    give(taken);
}

/* While the reserve has a block, the first worker counts as a second one, and sleeps. */
static void test_the_reserve_calls_for_who_it_kept_asleep(void **state) {
    (void)state;
    seal(2);
    nauha__buffer_hurry(&buffer, 1);
    struct nauha__block *urgent = nauha__buffer_take_urgent(&buffer);
    pthread_t worker = start(false);
    assert_false(took);
    give(urgent);
    pthread_t reserve;
    assert_int_equal(pthread_create(&reserve, NULL, take_at_end, NULL), 0);
    pthread_join(worker, NULL);
    give(taken);
    nauha__buffer_close(&buffer);
    pthread_join(reserve, NULL);
}

/* Every block comes out of many workers, once. */
static void check_many_workers(struct nauha__workers_plan plan, size_t expected) {
    enum { BLOCKS = 200 };
    const struct nauha__codec_config codec = {.method = NAUHA__CODEC_LZ4};
    struct nauha__workers workers = {.count = 0};
    bool seen[BLOCKS] = {false};
    const struct timespec never = {.tv_sec = INT32_MAX};
    assert_int_equal(nauha__workers_start(&workers, &buffer, &codec, plan, NULL), NAUHA_OK);
    assert_int_equal(workers.count, expected);
    for (size_t i = 0; i < expected; i++) {
        int policy;
        struct sched_param parameters;
        assert_int_equal(pthread_getschedparam(workers.list[i].thread, &policy, &parameters), 0);
        assert_int_equal(policy, i < plan.count && plan.idle ? SCHED_IDLE : SCHED_OTHER);
    }
    seal(BLOCKS);
    for (unsigned i = 0; i < BLOCKS;) {
        struct nauha__block *block = nauha__buffer_take_encoded(&buffer, &never);
        if (!block)
            continue;
        assert_in_range(block->number, 0, BLOCKS - 1);
        assert_false(seen[block->number]);
        assert_true(block->stored < sizeof elements);
        seen[block->number] = true;
        nauha__buffer_give_free(&buffer, block);
        i++;
    }
    nauha__buffer_close(&buffer);
    nauha__workers_join(&workers);
}

static void test_many_workers(void **state) {
    (void)state;
    check_many_workers((struct nauha__workers_plan){.count = 4}, 4);
}

static void test_idle_workers_and_their_reserve(void **state) {
    (void)state;
    check_many_workers((struct nauha__workers_plan){.count = 3, .idle = true}, 4);
}

static void test_what_is_planned(void **state) {
    (void)state;
    unsetenv("OMP_WAIT_POLICY");
    assert_in_range(nauha__workers_plan().count, 1, NAUHA__WORKERS_MAX);
    assert_false(nauha__workers_plan().idle);
    setenv("OMP_WAIT_POLICY", "active", 1);
    assert_false(nauha__workers_plan().idle);
    setenv("OMP_WAIT_POLICY", "PASSIVE", 1);
    assert_true(nauha__workers_plan().idle);
}

static void test_the_writer_is_late_when_an_eighth_waits(void **state) {
    const struct timespec now = {0};
    const unsigned eighth = BUFFER_BYTES / NAUHA__CHUNK_BYTES / 8;
    (void)state;
    seal(eighth + 1);
    for (unsigned i = 0; i <= eighth; i++) {
        assert_false(nauha__buffer_writer_is_late(&buffer));
        give(nauha__buffer_take_sealed(&buffer));
    }
    assert_true(nauha__buffer_writer_is_late(&buffer));
    nauha__buffer_give_free(&buffer, nauha__buffer_take_encoded(&buffer, &now));
    assert_false(nauha__buffer_writer_is_late(&buffer));
    nauha__buffer_close(&buffer);
    assert_true(nauha__buffer_writer_is_late(&buffer));
}

#define RUN(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
static const struct CMUnitTest tests[] = {
    RUN(test_a_second_one_is_called_for_by_what_waits),
    RUN(test_the_first_one_takes_what_the_second_would_not),
    RUN(test_all_are_called_for_at_the_end),
    RUN(test_the_reserve_leaves_to_others_what_can_wait),
    RUN(test_the_reserve_helps_who_finds_no_room),
    RUN(test_the_reserve_helps_after_a_message_was_lost),
    RUN(test_what_is_urgent_stays_so),
    RUN(test_the_reserve_calls_for_who_it_kept_asleep),
    RUN(test_many_workers),
    RUN(test_idle_workers_and_their_reserve),
    RUN(test_what_is_planned),
    RUN(test_the_writer_is_late_when_an_eighth_waits),
};

UNIT_MAIN(tests)
