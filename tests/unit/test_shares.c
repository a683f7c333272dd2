/* SPDX-License-Identifier: MIT */
/* Sharing out modules between parts: evenly, in runs, and together what belongs together. */
#include "tests/unit/unit.h"

#include "replay/parallel/shares.h"

#define MODULES 6u

static struct nauha_names *names;
static struct nauha__shares *shares;

static int setup(void **state) {
    (void)state;
    names = nauha_names_new();
    for (unsigned i = 0; i < MODULES; i++) {
        const char name[] = {(char)('a' + i), 0};
        uint32_t id;
        if (nauha_names_add_module(names, name, "Linear", &id, NULL) != NAUHA_OK)
            return -1;
    }
    shares = nauha__shares_new(names);
    return shares ? 0 : -1;
}

static int teardown(void **state) {
    (void)state;
    nauha__shares_free(shares);
    nauha_names_free(names);
    return 0;
}

static void take(enum nauha_kind first, enum nauha_kind second) {
    const uint32_t kinds[] = {first, second};
    nauha__shares_take(shares, kinds, first == second ? 1 : 2);
}

static uint32_t divide(uint32_t most) {
    uint32_t parts = 0;
    assert_int_equal(nauha__shares_divide(shares, most, &parts, NULL), NAUHA_OK);
    return parts;
}

/* The largest of any part is the smallest that runs of 2 3 1 | 4 2 | 6 allow. */
static void test_runs_as_even_as_they_can_be(void **state) {
    (void)state;
    static const uint64_t work[MODULES] = {2, 3, 1, 4, 2, 6};
    static const uint32_t expected[MODULES] = {0, 0, 0, 1, 1, 2};
    take(NAUHA_KIND_WEIGHTS, NAUHA_KIND_WEIGHTS);
    for (uint32_t i = 0; i < MODULES; i++)
        nauha__shares_count(shares, NAUHA_KIND_WEIGHTS, i, work[i]);
    assert_int_equal(divide(3), 3);
    for (uint32_t i = 0; i < MODULES; i++)
        assert_int_equal(nauha__shares_part(shares, NAUHA_KIND_WEIGHTS, i), expected[i]);
    const uint64_t hash = nauha__shares_hash(shares);
    assert_int_equal(divide(1), 1);
    assert_true(nauha__shares_hash(shares) != hash);
    assert_int_equal(divide(50), 3); /* more would not make the fullest any less full */
    assert_int_equal(divide(3), 3);
    assert_true(nauha__shares_hash(shares) == hash);
}

/* Modules follow one another as they come, whatever their numbers. */
static void test_in_the_order_of_coming(void **state) {
    (void)state;
    take(NAUHA_KIND_LAYER_GRADIENTS, NAUHA_KIND_LAYER_GRADIENTS);
    for (uint32_t i = MODULES; i-- > 0;)
        nauha__shares_count(shares, NAUHA_KIND_LAYER_GRADIENTS, i, 10);
    assert_int_equal(divide(2), 2);
    for (uint32_t i = 0; i < MODULES; i++)
        assert_int_equal(nauha__shares_part(shares, NAUHA_KIND_LAYER_GRADIENTS, i),
                         i < MODULES / 2);
}

static void test_kinds_of_one_metric_stay_together(void **state) {
    (void)state;
    take(NAUHA_KIND_WEIGHTS, NAUHA_KIND_WEIGHT_UPDATES);
    take(NAUHA_KIND_BIASES, NAUHA_KIND_BIAS_UPDATES);
    take(NAUHA_KIND_WEIGHT_UPDATES, NAUHA_KIND_BIAS_UPDATES); /* and so do all four */
    take(NAUHA_KIND_ACTIVATIONS, NAUHA_KIND_ACTIVATIONS);
    static const enum nauha_kind kinds[] = {NAUHA_KIND_WEIGHTS, NAUHA_KIND_WEIGHT_UPDATES,
                                            NAUHA_KIND_BIASES, NAUHA_KIND_BIAS_UPDATES};
    for (uint32_t i = 0; i < MODULES; i++) {
        for (size_t k = 0; k < 4; k++)
            nauha__shares_count(shares, kinds[k], i, 1 + k);
        nauha__shares_count(shares, NAUHA_KIND_ACTIVATIONS, i, 10);
    }
    assert_int_equal(divide(4), 4);
    for (uint32_t i = 0; i < MODULES; i++) {
        const uint32_t part = nauha__shares_part(shares, NAUHA_KIND_WEIGHTS, i);
        for (size_t k = 1; k < 4; k++)
            assert_int_equal(nauha__shares_part(shares, kinds[k], i), part);
        assert_true(nauha__shares_part(shares, NAUHA_KIND_ACTIVATIONS, i) != part);
    }
}

static void test_kinds_that_are_linked_stay_together(void **state) {
    (void)state;
    take(NAUHA_KIND_WEIGHTS, NAUHA_KIND_WEIGHTS);
    take(NAUHA_KIND_WEIGHT_UPDATES, NAUHA_KIND_WEIGHT_UPDATES);
    nauha__shares_link(shares, NAUHA_KIND_WEIGHTS, NAUHA_KIND_WEIGHT_UPDATES);
    nauha__shares_link(shares, NAUHA_KIND_WEIGHTS, NAUHA_KIND_LOSS);
    for (uint32_t i = 0; i < MODULES; i++) {
        nauha__shares_count(shares, NAUHA_KIND_WEIGHTS, i, 10);
        nauha__shares_count(shares, NAUHA_KIND_WEIGHT_UPDATES, i, 1);
    }
    nauha__shares_count(shares, NAUHA_KIND_LOSS, NAUHA_NONE, 1);
    assert_int_equal(divide(MODULES), MODULES);
    for (uint32_t i = 0; i < MODULES; i++)
        assert_int_equal(nauha__shares_part(shares, NAUHA_KIND_WEIGHTS, i),
                         nauha__shares_part(shares, NAUHA_KIND_WEIGHT_UPDATES, i));
    assert_int_equal(nauha__shares_part(shares, NAUHA_KIND_LOSS, NAUHA_NONE), NAUHA_NONE);
}

static void test_what_nobody_takes(void **state) {
    (void)state;
    take(NAUHA_KIND_LOSS, NAUHA_KIND_LOSS);
    nauha__shares_count(shares, NAUHA_KIND_WEIGHTS, 0, 100);
    nauha__shares_count(shares, NAUHA_KIND_LOSS, NAUHA_NONE, 1);
    assert_int_equal(divide(4), 1);
    assert_int_equal(nauha__shares_part(shares, NAUHA_KIND_WEIGHTS, 0), NAUHA_NONE);
    assert_int_equal(nauha__shares_part(shares, NAUHA_KIND_LOSS, NAUHA_NONE), 0);
}

#define RUN(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
static const struct CMUnitTest tests[] = {
    RUN(test_runs_as_even_as_they_can_be),
    RUN(test_in_the_order_of_coming),
    RUN(test_kinds_of_one_metric_stay_together),
    RUN(test_kinds_that_are_linked_stay_together),
    RUN(test_what_nobody_takes),
};

UNIT_MAIN(tests)
