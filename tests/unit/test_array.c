/* SPDX-License-Identifier: MIT */
/* Arrays that grow. */
#include "unit.h"

#include <stdbool.h>
#include <string.h>

static bool starved;
static size_t moves;

static void *realloc_or_none(void *block, size_t bytes) {
    moves++;
    return starved ? NULL : realloc(block, bytes);
}

#define realloc realloc_or_none
#include "nauha/array.h"
#undef realloc

struct item {
    double value;
    char name;
};

static void test_append(void **state) {
    (void)state;
    struct item *items = NULL;
    size_t capacity = 0;
    moves = 0;
    for (size_t i = 0; i < 1000; i++) {
        assert_true(NAUHA_GROW(items, capacity, i + 1));
        assert_true(capacity > i);
        items[i] = (struct item){(double)i, 'x'};
    }
    for (size_t i = 0; i < 1000; i++)
        assert_true(items[i].value == (double)i && items[i].name == 'x');
    assert_int_equal(capacity, 1024);
    assert_int_equal(moves, 11);
    free(items);
}

static void test_known_number(void **state) {
    (void)state;
    char *bytes = NULL;
    size_t capacity = 0;
    assert_true(NAUHA_GROW(bytes, capacity, 0));
    assert_null(bytes);
    assert_true(NAUHA_GROW(bytes, capacity, 100));
    assert_int_equal(capacity, 100);
    const char *const before = bytes;
    assert_true(NAUHA_GROW(bytes, capacity, 50));
    assert_ptr_equal(bytes, before);
    assert_int_equal(capacity, 100);
    assert_true(NAUHA_GROW(bytes, capacity, 101));
    assert_int_equal(capacity, 200);
    assert_true(NAUHA_GROW(bytes, capacity, 1000));
    assert_int_equal(capacity, 1000);
    free(bytes);
}

/* What there is stays as it was. */
static void assert_refused(size_t wanted) {
    double *items = NULL;
    size_t capacity = 0;
    starved = false;
    assert_true(NAUHA_GROW(items, capacity, 3));
    const double *const before = items;
    items[2] = 0.5;
    starved = true;
    moves = 0;
    assert_false(NAUHA_GROW(items, capacity, wanted));
    starved = false;
    assert_ptr_equal(items, before);
    assert_true(items[2] == 0.5);
    assert_int_equal(capacity, 3);
    free(items);
}

static void test_zeroed(void **state) {
    (void)state;
    struct item *items = NULL;
    size_t capacity = 0;
    assert_true(NAUHA_GROW_ZEROED(items, capacity, 0));
    assert_null(items);
    for (size_t wanted = 1; wanted < 100; wanted += 7) {
        const size_t before = capacity;
        assert_true(NAUHA_GROW_ZEROED(items, capacity, wanted));
        for (size_t i = before; i < capacity; i++) {
            assert_true(items[i].value == 0 && items[i].name == 0);
            items[i] = (struct item){(double)i, 'x'};
        }
    }
    for (size_t i = 0; i < capacity; i++)
        assert_true(items[i].value == (double)i && items[i].name == 'x');
    free(items);
}

static void test_no_memory(void **state) {
    (void)state;
    assert_refused(4);
    assert_int_equal(moves, 1);
    double *items = NULL;
    size_t capacity = 0;
    starved = true;
    assert_false(NAUHA_GROW(items, capacity, 1));
    starved = false;
    assert_null(items);
    assert_int_equal(capacity, 0);
}

/* Memory is not even asked for. */
static void test_too_many(void **state) {
    (void)state;
    assert_refused(SIZE_MAX);
    assert_int_equal(moves, 0);
    assert_refused(SIZE_MAX / sizeof(double) + 1);
    assert_int_equal(moves, 0);
    assert_refused(SIZE_MAX / sizeof(double));
    assert_int_equal(moves, 1);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_append),   cmocka_unit_test(test_known_number),
    cmocka_unit_test(test_zeroed),   cmocka_unit_test(test_no_memory),
    cmocka_unit_test(test_too_many),
};
UNIT_MAIN(tests)
