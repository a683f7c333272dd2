/* SPDX-License-Identifier: MIT */
/* Names: numbers, what a name may be, and many threads at once. */
#include "unit.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "nauha/internal/names.h"
#include "nauha/names.h"

static int set_up(void **state) {
    *state = nauha_names_new();
    return *state ? 0 : -1;
}

static int tear_down(void **state) {
    nauha_names_free(*state);
    return 0;
}

/* The numbers of the built-in kinds are compiled into programs and plugins. */
static void test_built_in(void **state) {
    struct nauha_names *names = *state;
    static const char *const kinds[] = {
        "batch_started",    "batch_finished",   "epoch_started",    "epoch_finished",
        "input_data",       "input_labels",     "network_output",   "loss",
        "weights",          "weight_gradients", "weight_updates",   "biases",
        "bias_gradients",   "bias_updates",     "activations",      "layer_gradients",
        "inputs",           "buffers",          "samples_in_loss",  "pass_context",
        "pass_state",       "generator_state",  "output_gradients", "hyperparameters",
        "parameter_groups",
    };
    enum { COUNT = sizeof kinds / sizeof *kinds };
    assert_int_equal(COUNT, NAUHA_KIND_BUILTIN_COUNT);
    assert_int_equal(nauha_names_kinds(names), COUNT);
    for (uint32_t i = 0; i < COUNT; i++) {
        assert_string_equal(nauha_names_kind(names, i), kinds[i]);
        assert_int_equal(nauha_names_find_kind(names, kinds[i]), i);
        assert_int_equal(nauha_names_kind_scope(names, i),
                         i < 8 || (i >= NAUHA_KIND_SAMPLES_IN_LOSS && i != NAUHA_KIND_PASS_STATE &&
                                   i < NAUHA_KIND_HYPERPARAMETERS)
                             ? NAUHA_SCOPE_NETWORK
                             : NAUHA_SCOPE_MODULE);
        assert_int_equal(nauha_names_kind_form(names, i), i < 4 ? NAUHA_FORM_EVENT
                                                          : i == NAUHA_KIND_SAMPLES_IN_LOSS
                                                              ? NAUHA_FORM_SCALAR
                                                              : NAUHA_FORM_TENSOR);
    }
    assert_int_equal(NAUHA_KIND_LOSS, 7);
    assert_int_equal(NAUHA_KIND_BUFFERS, 17);
    assert_int_equal(nauha_names_tags(names), 1);
    assert_string_equal(nauha_names_tag(names, 0), "default");
    assert_int_equal(nauha_names_slots(names), 1);
    assert_string_equal(nauha_names_slot(names, 0), "");
    assert_int_equal(nauha_names_modules(names), 0);
    assert_int_equal(nauha_names_shapes(names), 0);
}

static void test_adding(void **state) {
    struct nauha_names *names = *state;
    uint32_t id = 99;
    assert_int_equal(nauha_names_add_module(names, "", "Net", &id, NULL), NAUHA_OK);
    assert_int_equal(id, 0);
    assert_int_equal(nauha_names_add_module(names, "features.0", "Conv2d", &id, NULL), NAUHA_OK);
    assert_int_equal(id, 1);
    assert_int_equal(nauha_names_add_module(names, "", "Net", &id, NULL), NAUHA_OK);
    assert_int_equal(id, 0);
    assert_int_equal(nauha_names_modules(names), 2);
    assert_string_equal(nauha_names_module(names, 1), "features.0");
    assert_string_equal(nauha_names_module_class(names, 1), "Conv2d");
    assert_int_equal(nauha_names_find_module(names, "features.0"), 1);
    assert_int_equal(nauha_names_find_module(names, "features"), NAUHA_NONE);

    assert_int_equal(nauha_names_add_slot(names, "weight", &id, NULL), NAUHA_OK);
    assert_int_equal(id, 1);
    assert_string_equal(nauha_names_slot(names, 1), "weight");
    assert_int_equal(nauha_names_add_tag(names, "testing", &id, NULL), NAUHA_OK);
    assert_int_equal(id, 1);
    assert_int_equal(nauha_names_find_tag(names, "testing"), 1);
    assert_int_equal(nauha_names_find_tag(names, "svcca"), NAUHA_NONE);

    assert_int_equal(nauha_names_add_kind(names, "weights_norm2", NAUHA_SCOPE_MODULE,
                                          NAUHA_FORM_SCALAR, &id, NULL),
                     NAUHA_OK);
    assert_int_equal(id, NAUHA_KIND_BUILTIN_COUNT);
    assert_int_equal(nauha_names_kind_form(names, NAUHA_KIND_BUILTIN_COUNT), NAUHA_FORM_SCALAR);
    assert_int_equal(nauha_names_find_kind(names, "weights_norm"), NAUHA_NONE);
    /* A name in UTF-8, and strings are copied. */
    char text[] = "w\xC3\xA4rme \xF0\x9F\x94\xA5";
    assert_int_equal(nauha_names_add_module(names, text, "", &id, NULL), NAUHA_OK);
    text[0] = 'W';
    assert_string_equal(nauha_names_module(names, id), "w\xC3\xA4rme \xF0\x9F\x94\xA5");
}

/* The ends of every range of characters that is allowed. */
static void test_what_names_may_be(void **state) {
    struct nauha_names *names = *state;
    static const char *const texts[] = {
        "in_proj/1.hidden key, \"x\"",
        " ",
        "~",
        "\xC2\xA0",
        "\xDF\xBF",
        "\xE0\xA0\x80",
        "\xED\x9F\xBF",
        "\xEE\x80\x80",
        "\xEF\xBF\xBF",
        "\xF0\x90\x80\x80",
        "\xF4\x8F\xBF\xBF",
    };
    uint32_t id;
    for (uint32_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        assert_int_equal(nauha_names_add_slot(names, texts[i], &id, NULL), NAUHA_OK);
        assert_int_equal(id, 1 + i);
        assert_int_equal(nauha_names_add_tag(names, texts[i], &id, NULL), NAUHA_OK);
        assert_int_equal(id, 1 + i);
        assert_int_equal(nauha_names_add_module(names, texts[i], texts[i], &id, NULL), NAUHA_OK);
        assert_int_equal(id, i);
        assert_string_equal(nauha_names_module_class(names, i), texts[i]);
    }
    static const char *const kinds[] = {"AZaz09_.-", "_", "0", "9", "A", "Z", "a", "z"};
    for (uint32_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        assert_int_equal(nauha_names_add_kind(names, kinds[i], NAUHA_SCOPE_NETWORK,
                                              NAUHA_FORM_HISTOGRAM, &id, NULL),
                         NAUHA_OK);
        assert_int_equal(id, NAUHA_KIND_BUILTIN_COUNT + i);
    }
}

static void test_unknown_numbers(void **state) {
    struct nauha_names *names = *state;
    static const uint32_t unknown[] = {NAUHA_KIND_BUILTIN_COUNT, 64, 1000000, UINT32_MAX - 1,
                                       NAUHA_NONE};
    for (size_t i = 0; i < 5; i++) {
        uint32_t ndim = 7;
        assert_string_equal(nauha_names_kind(names, unknown[i]), "");
        assert_int_equal(nauha_names_kind_scope(names, unknown[i]), NAUHA_SCOPE_NETWORK);
        assert_int_equal(nauha_names_kind_form(names, unknown[i]), NAUHA_FORM_EVENT);
        assert_string_equal(nauha_names_module(names, unknown[i]), "");
        assert_string_equal(nauha_names_module_class(names, unknown[i]), "");
        assert_string_equal(nauha_names_slot(names, unknown[i]), "");
        assert_string_equal(nauha_names_tag(names, unknown[i]), "");
        assert_non_null(nauha_names_shape(names, unknown[i], &ndim));
        assert_int_equal(ndim, 0);
    }
}

static void test_shapes(void **state) {
    struct nauha_names *names = *state;
    const int64_t a[] = {64, 3, 3, 3}, b[] = {64, 3, 3}, empty[] = {0};
    uint32_t id = 99, ndim = 99;
    assert_int_equal(nauha_names_add_shape(names, a, 4, &id, NULL), NAUHA_OK);
    assert_int_equal(id, 0);
    assert_int_equal(nauha_names_add_shape(names, b, 3, &id, NULL), NAUHA_OK);
    assert_int_equal(id, 1);
    assert_int_equal(nauha_names_add_shape(names, NULL, 0, &id, NULL), NAUHA_OK);
    assert_int_equal(id, 2);
    assert_int_equal(nauha_names_add_shape(names, empty, 1, &id, NULL), NAUHA_OK);
    assert_int_equal(id, 3);
    const int64_t again[] = {64, 3, 3, 3};
    assert_int_equal(nauha_names_add_shape(names, again, 4, &id, NULL), NAUHA_OK);
    assert_int_equal(id, 0);
    assert_int_equal(nauha_names_add_shape(names, NULL, 0, &id, NULL), NAUHA_OK);
    assert_int_equal(id, 2);
    assert_int_equal(nauha_names_shapes(names), 4);
    assert_memory_equal(nauha_names_shape(names, 0, &ndim), a, sizeof a);
    assert_int_equal(ndim, 4);
    nauha_names_shape(names, 2, &ndim);
    assert_int_equal(ndim, 0);

    struct nauha_error err = NAUHA_ERROR_INIT;
    int64_t many[33] = {0};
    assert_int_equal(nauha_names_add_shape(names, many, 33, &id, &err), NAUHA_INVALID);
    assert_string_equal(err.message, "shape has 33 dimensions, more than 32");
    many[5] = -2;
    assert_int_equal(nauha_names_add_shape(names, many, 32, &id, &err), NAUHA_INVALID);
    assert_string_equal(err.message, "shape has a negative dimension: -2");
}

static void assert_bad_kind(struct nauha_names *names, const char *name, const char *message) {
    struct nauha_error err = NAUHA_ERROR_INIT;
    uint32_t id = 99;
    assert_int_equal(
        nauha_names_add_kind(names, name, NAUHA_SCOPE_MODULE, NAUHA_FORM_SCALAR, &id, &err),
        NAUHA_INVALID);
    assert_string_equal(err.message, message);
    assert_int_equal(err.code, NAUHA_INVALID);
    assert_int_equal(id, 99);
}

static void test_bad_kinds(void **state) {
    struct nauha_names *names = *state;
    assert_bad_kind(names, "", "kind name is empty");
    assert_bad_kind(names, NULL, "kind name is missing");
#define RULE "use letters, digits, \"_\", \".\" and \"-\", and begin with none of \".\" and \"-\""
    assert_bad_kind(names, "a/b", "kind name \"a/b\" is not valid: " RULE);
    assert_bad_kind(names, "a b", "kind name \"a b\" is not valid: " RULE);
    assert_bad_kind(names, "..", "kind name \"..\" is not valid: " RULE);
    static const char *const beside[] = {"a@", "a[", "a`", "a{", "a/", "a:", "a,", "a^"};
    for (size_t i = 0; i < sizeof beside / sizeof *beside; i++) {
        char expected[200];
        snprintf(expected, sizeof expected, "kind name \"%s\" is not valid: " RULE, beside[i]);
        assert_bad_kind(names, beside[i], expected);
    }
    assert_bad_kind(names, "-rf", "kind name \"-rf\" is not valid: " RULE);
    assert_bad_kind(names, "\xC3\xA4", "kind name \"\xC3\xA4\" is not valid: " RULE);
    assert_bad_kind(
        names, "loss",
        "kind \"loss\" is registered as a network tensor and cannot also be a module scalar");
    assert_bad_kind(names, "a\nb",
                    "kind name \"a...\" holds a control character or is not UTF-8 at byte 1");
    struct nauha_error err = NAUHA_ERROR_INIT;
    uint32_t id;
    assert_int_equal(
        nauha_names_add_kind(names, "x", (enum nauha_scope)2, NAUHA_FORM_EVENT, &id, &err),
        NAUHA_INVALID);
    assert_string_equal(err.message, "a kind of scope 2 and form 0 is not possible");
    assert_int_equal(nauha_names_kinds(names), NAUHA_KIND_BUILTIN_COUNT);
}

static void test_lengths(void **state) {
    struct nauha_names *names = *state;
    struct nauha_error err = NAUHA_ERROR_INIT;
    char text[1000], expected[400];
    uint32_t id;
    memset(text, 'x', sizeof text);

    text[255] = '\0';
    assert_int_equal(nauha_names_add_module(names, text, "C", &id, NULL), NAUHA_OK);
    text[255] = 'x';
    text[256] = '\0';
    assert_int_equal(nauha_names_add_module(names, text, "C", &id, &err), NAUHA_INVALID);
    snprintf(expected, sizeof expected, "module name \"%.80s...\" is longer than 255 bytes", text);
    assert_string_equal(err.message, expected);
    assert_int_equal(nauha_names_add_module(names, "m", text, &id, &err), NAUHA_INVALID);
    snprintf(expected, sizeof expected, "class name \"%.80s...\" is longer than 127 bytes", text);
    assert_string_equal(err.message, expected);
    assert_int_equal(nauha_names_add_slot(names, text, &id, &err), NAUHA_INVALID);
    text[128] = '\0';
    assert_int_equal(nauha_names_add_tag(names, text, &id, &err), NAUHA_INVALID);
    snprintf(expected, sizeof expected, "tag name \"%.80s...\" is longer than 127 bytes", text);
    assert_string_equal(err.message, expected);
    text[127] = '\0';
    assert_int_equal(nauha_names_add_tag(names, text, &id, NULL), NAUHA_OK);
    assert_int_equal(nauha_names_add_slot(names, text, &id, NULL), NAUHA_OK);
    assert_int_equal(
        nauha_names_add_kind(names, text, NAUHA_SCOPE_MODULE, NAUHA_FORM_SCALAR, &id, NULL),
        NAUHA_OK);
    assert_int_equal(nauha_names_modules(names), 1);
}

/* Each is wrong at its last character but one: stray, overlong, surrogate, beyond Unicode, cut
 * off, a C1 control, ESC, DEL. */
static void test_not_text(void **state) {
    struct nauha_names *names = *state;
    static const char *const bad[] = {
        "ab\x80z",
        "ab\xC0\xAFz",
        "ab\xE0\x80\xAFz",
        "ab\xED\xA0\x80z",
        "ab\xF4\x90\x80\x80z",
        "ab\xE2\x82",
        "ab\xC2\x85z",
        "ab\x1B[31mz",
        "ab\x7Fz",
        "ab\xF5\x80\x80\x80",
        "ab\xF0\x8F\xBF\xBF",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct nauha_error err = NAUHA_ERROR_INIT;
        uint32_t id;
        assert_int_equal(nauha_names_add_module(names, bad[i], "C", &id, &err), NAUHA_INVALID);
        assert_string_equal(err.message, "module name \"ab...\" holds a control character or is "
                                         "not UTF-8 at byte 2");
        assert_int_equal(nauha_names_add_module(names, "m", bad[i], &id, &err), NAUHA_INVALID);
        assert_int_equal(nauha_names_add_slot(names, bad[i], &id, &err), NAUHA_INVALID);
        assert_int_equal(nauha_names_add_tag(names, bad[i], &id, &err), NAUHA_INVALID);
    }
    assert_int_equal(nauha_names_modules(names), 0);
}

static void test_known_with_another_class(void **state) {
    struct nauha_names *names = *state;
    struct nauha_error err = NAUHA_ERROR_INIT;
    uint32_t id = 0;
    nauha_names_add_module(names, "fc", "Linear", &id, NULL);
    id = 99;
    assert_int_equal(nauha_names_add_module(names, "fc", "Conv2d", &id, &err), NAUHA_INVALID);
    assert_string_equal(err.message,
                        "module \"fc\" is registered with the class \"Linear\", not \"Conv2d\"");
    assert_int_equal(id, 99);
    assert_int_equal(nauha_names_add_tag(names, "", &id, &err), NAUHA_INVALID);
    assert_string_equal(err.message, "tag name is empty");
}

/* Numbers of tags are 16 bits in a trace, and the last one means something else. */
static void test_as_many_tags_as_fit(void **state) {
    struct nauha_names *names = *state;
    struct nauha_error err = NAUHA_ERROR_INIT;
    char text[16];
    uint32_t id = 0;
    for (unsigned i = 1; i < 65535; i++) {
        snprintf(text, sizeof text, "t%u", i);
        assert_int_equal(nauha_names_add_tag(names, text, &id, NULL), NAUHA_OK);
        assert_int_equal(id, i);
    }
    assert_int_equal(nauha_names_add_tag(names, "last", &id, &err), NAUHA_LIMIT);
    assert_string_equal(
        err.message, "cannot register tag \"last\": there are already 65535, the largest number");
    assert_int_equal(nauha_names_add_tag(names, "t77", &id, &err), NAUHA_OK);
    assert_int_equal(id, 77);
}

static void test_nothing_moves(void **state) {
    struct nauha_names *names = *state;
    enum { N = 5000 };
    static const char *texts[N];
    static const int64_t *shapes[N];
    for (uint32_t i = 0; i < N; i++) {
        char text[32];
        uint32_t id, ndim;
        snprintf(text, sizeof text, "layer.%u", i);
        assert_int_equal(nauha_names_add_module(names, text, "Linear", &id, NULL), NAUHA_OK);
        assert_int_equal(id, i);
        texts[i] = nauha_names_module(names, i);
        assert_int_equal(nauha_names_add_shape(names, (const int64_t[]){i, i + 1}, 2, &id, NULL),
                         NAUHA_OK);
        shapes[i] = nauha_names_shape(names, i, &ndim);
    }
    for (uint32_t i = 0; i < N; i++) {
        char text[32];
        uint32_t ndim;
        snprintf(text, sizeof text, "layer.%u", i);
        assert_ptr_equal(nauha_names_module(names, i), texts[i]);
        assert_string_equal(texts[i], text);
        assert_int_equal(nauha_names_find_module(names, text), i);
        assert_ptr_equal(nauha_names_shape(names, i, &ndim), shapes[i]);
        assert_int_equal(shapes[i][1], i + 1);
    }
}

static void test_stamps_differ(void **state) {
    (void)state;
    uint64_t last = 0;
    for (int i = 0; i < 100; i++) {
        struct nauha_names *names = nauha_names_new();
        assert_true(nauha__names_stamp(names) != last);
        last = nauha__names_stamp(names);
        nauha_names_free(names);
    }
    nauha_names_free(NULL);
}

/* ---- threads ---- */

enum { THREADS = 4, SHARED = 2000 };

struct worker {
    struct nauha_names *names;
    unsigned seed;
    uint32_t ids[SHARED];
    unsigned faults;
};

/* Every thread adds the same names and shapes in an order of its own, and reads what the others
 * have added so far. */
static void *work(void *context) {
    struct worker *worker = context;
    struct nauha_names *names = worker->names;
    for (uint32_t n = 0; n < SHARED; n++) {
        uint32_t i = (n * 7 + worker->seed * 501) % SHARED;
        char text[32];
        uint32_t id, ndim;
        snprintf(text, sizeof text, "m%u", i);
        if (nauha_names_add_module(names, text, "Linear", &worker->ids[i], NULL) != NAUHA_OK ||
            strcmp(nauha_names_module(names, worker->ids[i]), text) != 0)
            worker->faults++;
        const int64_t shape[] = {i, 2, 3};
        if (nauha_names_add_shape(names, shape, 3, &id, NULL) != NAUHA_OK ||
            memcmp(nauha_names_shape(names, id, &ndim), shape, sizeof shape) != 0)
            worker->faults++;
        uint32_t last = nauha_names_modules(names) - 1;
        if (nauha_names_module(names, last)[0] != 'm' ||
            nauha_names_find_module(names, nauha_names_module(names, last)) != last)
            worker->faults++;
    }
    return NULL;
}

static void test_threads_agree(void **state) {
    struct nauha_names *names = *state;
    static struct worker workers[THREADS];
    pthread_t threads[THREADS];
    for (unsigned t = 0; t < THREADS; t++) {
        workers[t] = (struct worker){.names = names, .seed = t};
        assert_int_equal(pthread_create(&threads[t], NULL, work, &workers[t]), 0);
    }
    for (unsigned t = 0; t < THREADS; t++) {
        pthread_join(threads[t], NULL);
        assert_int_equal(workers[t].faults, 0);
    }
    for (unsigned t = 1; t < THREADS; t++)
        assert_memory_equal(workers[t].ids, workers[0].ids, sizeof workers[0].ids);
    assert_int_equal(nauha_names_modules(names), SHARED);
    assert_int_equal(nauha_names_shapes(names), SHARED);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
static const struct CMUnitTest tests[] = {
    CASE(test_built_in),
    CASE(test_adding),
    CASE(test_what_names_may_be),
    CASE(test_unknown_numbers),
    CASE(test_shapes),
    CASE(test_bad_kinds),
    CASE(test_lengths),
    CASE(test_not_text),
    CASE(test_known_with_another_class),
    CASE(test_as_many_tags_as_fit),
    CASE(test_nothing_moves),
    CASE(test_stamps_differ),
    CASE(test_threads_agree),
};
UNIT_MAIN(tests)
