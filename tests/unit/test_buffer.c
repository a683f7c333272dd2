/* SPDX-License-Identifier: MIT */
/* How many workers the buffer calls for: one, and more while those do not keep up. */
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
                                           sizeof elements, 0, true, &place),
                         NAUHA_OK);
}

static void give(struct nauha__block *block) {
    assert_non_null(block);
    nauha__buffer_give_encoded(&buffer, block);
}

/* A worker of its own thread, which takes one block. */
static atomic_bool took;
static struct nauha__block *taken;

static void *take(void *context) {
    (void)context;
    taken = nauha__buffer_take_sealed(&buffer);
    took = true;
    return NULL;
}

static pthread_t start(void) {
    pthread_t thread;
    took = false;
    assert_int_equal(pthread_create(&thread, NULL, take, NULL), 0);
    usleep(50000); /* a worker that is not called for would have begun by now */
    return thread;
}

static void test_a_second_one_is_called_for_by_what_waits(void **state) {
    (void)state;
    seal(1 + EACH);
    struct nauha__block *first = nauha__buffer_take_sealed(&buffer);
    pthread_t second = start();
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
    pthread_t second = start();
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

/* Every block comes out of many workers, once. */
static void test_many_workers(void **state) {
    (void)state;
    enum { BLOCKS = 200, WORKERS = 4 };
    const struct nauha__codec_config codec = {.method = NAUHA__CODEC_LZ4};
    struct nauha__workers workers = {.count = 0};
    bool seen[BLOCKS] = {false};
    const struct timespec never = {.tv_sec = INT32_MAX};
    assert_int_equal(nauha__workers_start(&workers, &buffer, &codec, WORKERS, NULL), NAUHA_OK);
    assert_int_equal(workers.count, WORKERS);
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

static void test_how_many_are_wanted(void **state) {
    (void)state;
    assert_in_range(nauha__workers_wanted(), 1, NAUHA__WORKERS_MAX);
}

#define RUN(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
static const struct CMUnitTest tests[] = {
    RUN(test_a_second_one_is_called_for_by_what_waits),
    RUN(test_the_first_one_takes_what_the_second_would_not),
    RUN(test_all_are_called_for_at_the_end),
    RUN(test_many_workers),
    RUN(test_how_many_are_wanted),
};

UNIT_MAIN(tests)
