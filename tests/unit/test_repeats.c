/* SPDX-License-Identifier: MIT */
/* Tensors of one identity: stored once while they are the same, and never taken for the same when
 * they are not. */
#include "tests/unit/recorded.h"

#include "nauha/internal/hash.h"
#include "recorder/repeats.h"

/* ---- what a reader finds ---- */

enum { SMALL = 1000, LARGE = 300000 };
static float values[LARGE], expected[LARGE];

static struct nauha_tensor tensor_of(const int64_t *shape) {
    return (struct nauha_tensor){
        .data = values, .dtype = NAUHA_DTYPE_F32, .ndim = 1, .shape = shape, .identity = 7};
}

/* Changes one element at a time, at every `stride`-th place, between two messages of one identity.
 */
static void change_one_by_one(int count, int stride) {
    const int64_t shape[] = {count};
    const struct nauha_tensor tensor = tensor_of(shape);
    struct nauha_recorder *recorder = recorded_open((const char *[]){"buffer", "1M", NULL});
    uint32_t module = add_module(recorder, "m");
    memset(values, 0, sizeof values);
    publish(recorder, NAUHA_KIND_ACTIVATIONS, module, &tensor);
    for (int i = 0; i < count; i += stride) {
        values[i] = (float)(1 + i);
        publish(recorder, NAUHA_KIND_ACTIVATIONS, module, &tensor);
    }
    close_recorder(recorder);
    struct recorded got = read_back();
    assert_int_equal(got.count, 1 + (count + stride - 1) / stride);
    memset(expected, 0, sizeof expected);
    for (size_t m = 0; m < got.count; m++) {
        if (m > 0) {
            int changed = (int)(m - 1) * stride;
            expected[changed] = (float)(1 + changed);
        }
        assert_memory_equal(got.messages[m].data, expected, (size_t)count * sizeof *expected);
    }
    forget(&got);
}

static void test_one_element_of_a_small_tensor(void **state) {
    (void)state;
    change_one_by_one(SMALL, 1);
}

static void test_one_element_of_a_tensor_of_several_chunks(void **state) {
    (void)state;
    change_one_by_one(LARGE, 3001);
}

static void test_a_change_that_rounding_hides(void **state) {
    (void)state;
    const int64_t shape[] = {SMALL};
    const struct nauha_tensor tensor = tensor_of(shape);
    struct nauha_recorder *recorder = recorded_open((const char *[]){"precision", "bf16", NULL});
    uint32_t module = add_module(recorder, "m");
    for (int i = 0; i < SMALL; i++)
        values[i] = 1;
    publish(recorder, NAUHA_KIND_ACTIVATIONS, module, &tensor);
    publish(recorder, NAUHA_KIND_ACTIVATIONS, module, &tensor);
    values[500] = 1 + 0x1p-20f;
    publish(recorder, NAUHA_KIND_ACTIVATIONS, module, &tensor);
    values[500] = 1.5f;
    publish(recorder, NAUHA_KIND_ACTIVATIONS, module, &tensor);
    close_recorder(recorder);
    struct recorded got = read_back();
    assert_int_equal(got.count, 4);
    for (size_t m = 0; m < got.count; m++)
        for (int i = 0; i < SMALL; i++) {
            float value;
            memcpy(&value, got.messages[m].data + (size_t)i * sizeof value, sizeof value);
            assert_true(value == (m == 3 && i == 500 ? 1.5f : 1.0f));
        }
    forget(&got);
}

/* ---- what is hashed ---- */

static struct nauha__repeats *repeats;
static const struct nauha__place here = {.stream = 3, .offset = 40};

static int setup(void **state) {
    repeats = calloc(1, sizeof *repeats);
    memset(values, 0, sizeof values);
    return repeats ? recorded_setup(state) : -1;
}

static int teardown(void **state) {
    free(repeats);
    return recorded_teardown(state);
}

/* Publishes as the recorder does; true where the tensor was found. */
static bool offer(uint64_t identity, uint32_t source) {
    const int64_t shape[] = {SMALL};
    struct nauha_tensor tensor = tensor_of(shape);
    tensor.identity = identity;
    const struct nauha__candidate candidate = {
        .tensor = &tensor, .bytes = SMALL * sizeof *values, .source = source};
    struct nauha__place place = {0};
    if (nauha__repeats_find(repeats, &candidate, &place)) {
        assert_int_equal(place.stream, here.stream);
        assert_int_equal(place.offset, here.offset);
        return true;
    }
    uint64_t hash[2], *wanted = NULL;
    if (nauha__repeats_wants_hash(repeats, &candidate))
        nauha__hash128(values, candidate.bytes, wanted = hash);
    nauha__repeats_note(repeats, &candidate, wanted, here);
    return false;
}

static bool is_hashed(uint64_t identity) {
    const struct nauha__repeat *repeat = &repeats->ring[identity % NAUHA__REPEATS];
    assert_int_equal(repeat->identity, identity);
    return repeat->hashed;
}

static void test_what_never_comes_again_is_not_hashed_for_long(void **state) {
    (void)state;
    const uint32_t source = nauha__repeats_source(NAUHA_KIND_ACTIVATIONS, 1, 0, 0);
    const uint32_t other = nauha__repeats_source(NAUHA_KIND_ACTIVATIONS, 2, 0, 0);
    assert_int_not_equal(source, other);
    uint64_t identity = 1;
    for (; identity <= 20; identity++) {
        assert_false(offer(identity, source));
        assert_int_equal(is_hashed(identity), identity <= 8);
    }
    assert_false(offer(++identity, source));
    assert_false(offer(identity, other)); /* stored again: nobody knows what was stored */
    assert_true(is_hashed(identity));
    assert_true(offer(identity, other));
    assert_false(offer(++identity, source)); /* and hashed from then on */
    assert_true(is_hashed(identity));
    assert_true(offer(identity, other));
}

static void test_what_comes_again_is_hashed_for_ever(void **state) {
    (void)state;
    for (uint64_t identity = 1; identity <= 2000; identity++) {
        assert_false(offer(identity, 5));
        assert_true(offer(identity, 6));
    }
    values[SMALL / 2] = 1;
    assert_false(offer(2000, 6));
}

/* The hash is of what was copied, wherever chunks end, and before it is rounded. */
static void test_hash_of_what_is_copied(void **state) {
    (void)state;
    struct nauha__buffer buffer;
    struct nauha_error err = NAUHA_ERROR_INIT;
    must(nauha__buffer_init(&buffer, 8 << 20, &err), &err);
    for (int i = 0; i < LARGE; i++)
        values[i] = (float)i;
    for (int64_t count = 1; count <= LARGE; count = 3 * count + 1) {
        struct nauha_tensor tensor = tensor_of(&count);
        struct nauha__place place;
        uint64_t got[2], wanted[2];
        const size_t bytes = (size_t)count * sizeof *values;
        must(nauha__buffer_put(&buffer, NAUHA_KIND_ACTIVATIONS, &tensor, bytes, 8, true, &place,
                               got),
             NULL);
        nauha__hash128(values, bytes, wanted);
        assert_memory_equal(got, wanted, sizeof got);
    }
    nauha__buffer_fini(&buffer);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_one_element_of_a_small_tensor),
        TEST(test_one_element_of_a_tensor_of_several_chunks),
        TEST(test_a_change_that_rounding_hides),
        TEST(test_what_never_comes_again_is_not_hashed_for_long),
        TEST(test_what_comes_again_is_hashed_for_ever),
        TEST(test_hash_of_what_is_copied),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
