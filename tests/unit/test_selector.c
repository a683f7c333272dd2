/* SPDX-License-Identifier: MIT */
/* Selectors: what they parse, what they choose, and what they say. */
#include "unit.h"

#include <stdio.h>
#include <string.h>

#include "nauha/selector.h"

struct fixture {
    struct nauha_names *names;
    struct nauha_selector *selector;
};

enum { ROOT, FEATURES, FEATURES_0, FEATURES_10, CLASSIFIER };

static struct nauha_names *some_names(void) {
    static const char *const modules[] = {"", "features", "features.0", "features.10",
                                          "classifier.1"};
    struct nauha_names *names = nauha_names_new();
    uint32_t id;
    for (size_t i = 0; i < 5; i++)
        nauha_names_add_module(names, modules[i], "Module", &id, NULL);
    nauha_names_add_tag(names, "testing", &id, NULL);
    return names;
}

static int set_up(void **state) {
    struct fixture *fixture = malloc(sizeof *fixture);
    fixture->names = some_names();
    fixture->selector = nauha_selector_new();
    *state = fixture;
    return 0;
}

static int tear_down(void **state) {
    struct fixture *fixture = *state;
    nauha_names_free(fixture->names);
    nauha_selector_free(fixture->selector);
    free(fixture);
    return 0;
}

static void set(struct fixture *fixture, const char *key, const char *value) {
    struct nauha_error err = NAUHA_ERROR_INIT;
    if (nauha_selector_set(fixture->selector, key, value, &err) != NAUHA_OK)
        fail_msg("%s=%s: %s", key, value, err.message);
}

static void assert_refused(struct fixture *fixture, const char *key, const char *value,
                           const char *message) {
    struct nauha_error err = NAUHA_ERROR_INIT;
    assert_int_equal(nauha_selector_set(fixture->selector, key, value, &err), NAUHA_INVALID);
    assert_string_equal(err.message, message);
}

static bool accepts_kind(struct fixture *fixture, uint32_t kind) {
    return nauha_selector_accepts(fixture->selector, fixture->names, kind, ROOT, 0, 0, 0, 0);
}

static bool accepts_step(struct fixture *fixture, uint64_t step) {
    bool whole = nauha_selector_accepts(fixture->selector, fixture->names, 0, ROOT, 0, step, 0, 0);
    assert_int_equal(nauha_selector_accepts_step(fixture->selector, step), whole);
    return whole;
}

/* The chosen modules as bits, and network messages as bit 5. */
static unsigned modules_accepted(struct fixture *fixture) {
    unsigned bits = 0;
    for (uint32_t i = 0; i < 6; i++) {
        uint32_t module = i == 5 ? NAUHA_NONE : i;
        bool whole =
            nauha_selector_accepts(fixture->selector, fixture->names, 8, module, 0, 0, 0, 0);
        assert_int_equal(nauha_selector_accepts_module(fixture->selector, fixture->names, module),
                         whole);
        bits |= (unsigned)whole << i;
    }
    return bits;
}

static unsigned with_modules(struct fixture *fixture, const char *patterns) {
    set(fixture, "modules", patterns);
    return modules_accepted(fixture);
}

#define NETWORK (1u << 5)
#define BIT(module) (1u << (module))

static void test_everything(void **state) {
    struct fixture *fixture = *state;
    assert_true(nauha_selector_accepts(fixture->selector, fixture->names, 17, CLASSIFIER, 1,
                                       UINT64_MAX, UINT32_MAX, UINT32_MAX));
    assert_int_equal(modules_accepted(fixture), 0x3F);
    assert_int_equal(nauha_selector_check(fixture->selector, fixture->names, NULL), NAUHA_OK);
}

static void test_options(void **state) {
    struct fixture *fixture = *state;
    static const char *const keys[] = {"kinds",  "modules", "exclude", "steps",
                                       "epochs", "tag",     "rank"};
    size_t count = 0;
    const struct nauha_option *options = nauha_selector_options(&count);
    assert_int_equal(count, 7);
    for (size_t i = 0; i < count; i++) {
        assert_string_equal(options[i].name, keys[i]);
        assert_non_null(options[i].value);
        assert_non_null(options[i].help);
        /* "0" means something for each of them. */
        set(fixture, keys[i], "0");
    }
    struct nauha_error err = NAUHA_ERROR_INIT;
    assert_int_equal(nauha_selector_set(fixture->selector, "kind", "loss", &err), NAUHA_UNKNOWN);
    assert_string_equal(err.message, "selection \"kind\" is unknown; selections: kinds, modules, "
                                     "exclude, steps, epochs, tag, rank");
    assert_refused(fixture, "kinds", NULL, "selection \"kinds\" has no value");
}

static void test_kinds(void **state) {
    struct fixture *fixture = *state;
    set(fixture, "kinds", "loss,weights");
    for (uint32_t kind = 0; kind < NAUHA_KIND_BUILTIN_COUNT; kind++) {
        bool expected = kind == NAUHA_KIND_LOSS || kind == NAUHA_KIND_WEIGHTS ||
                        kind == NAUHA_KIND_SAMPLES_IN_LOSS; /* which comes with the loss */
        assert_int_equal(accepts_kind(fixture, kind), expected);
        assert_int_equal(nauha_selector_accepts_kind(fixture->selector, fixture->names, kind),
                         expected);
    }
    /* The last value counts. */
    set(fixture, "kinds", "biases");
    assert_false(accepts_kind(fixture, NAUHA_KIND_LOSS));
    assert_true(accepts_kind(fixture, NAUHA_KIND_BIASES));
    assert_refused(fixture, "kinds", "", "kinds \"\" has an empty item");
    assert_refused(fixture, "kinds", "loss,", "kinds \"loss,\" has an empty item");
    assert_refused(fixture, "kinds", ",loss", "kinds \",loss\" has an empty item");
    assert_refused(fixture, "kinds", "loss,,biases", "kinds \"loss,,biases\" has an empty item");
    /* A value that was refused changed nothing. */
    assert_true(accepts_kind(fixture, NAUHA_KIND_BIASES));
    assert_false(accepts_kind(fixture, NAUHA_KIND_LOSS));
}

static void test_modules(void **state) {
    struct fixture *fixture = *state;
    assert_int_equal(with_modules(fixture, "*"), 0x3F);
    assert_int_equal(with_modules(fixture, "features*"),
                     NETWORK | BIT(FEATURES) | BIT(FEATURES_0) | BIT(FEATURES_10));
    assert_int_equal(with_modules(fixture, "features.?"), NETWORK | BIT(FEATURES_0));
    assert_int_equal(with_modules(fixture, "features.[01]*"),
                     NETWORK | BIT(FEATURES_0) | BIT(FEATURES_10));
    assert_int_equal(with_modules(fixture, "*.[!0]"), NETWORK | BIT(CLASSIFIER));
    assert_int_equal(with_modules(fixture, "features"), NETWORK | BIT(FEATURES));
    assert_int_equal(with_modules(fixture, "eatures"), NETWORK);
    assert_int_equal(with_modules(fixture, "*.1,features.0"),
                     NETWORK | BIT(CLASSIFIER) | BIT(FEATURES_0));
    assert_int_equal(with_modules(fixture, ""), NETWORK | BIT(ROOT));
    assert_int_equal(with_modules(fixture, "(root)"), NETWORK | BIT(ROOT));
    assert_int_equal(with_modules(fixture, "(root),classifier.1"),
                     NETWORK | BIT(ROOT) | BIT(CLASSIFIER));
    assert_refused(fixture, "modules", "features.0,",
                   "modules \"features.0,\" has an empty item; the root module is \"(root)\"");
}

static void test_exclude(void **state) {
    struct fixture *fixture = *state;
    set(fixture, "exclude", "*.?");
    assert_int_equal(modules_accepted(fixture),
                     NETWORK | BIT(ROOT) | BIT(FEATURES) | BIT(FEATURES_10));
    assert_int_equal(with_modules(fixture, "features*"),
                     NETWORK | BIT(FEATURES) | BIT(FEATURES_10));
    set(fixture, "exclude", "*");
    assert_int_equal(modules_accepted(fixture), NETWORK);
    set(fixture, "modules", "*");
    set(fixture, "exclude", "");
    assert_int_equal(modules_accepted(fixture), 0x3F & ~BIT(ROOT));
}

/* '/' and a '.' in front are characters like others. */
static void test_patterns_know_no_paths(void **state) {
    struct fixture *fixture = *state;
    uint32_t slash, dot;
    nauha_names_add_module(fixture->names, "a/b", "M", &slash, NULL);
    nauha_names_add_module(fixture->names, ".hidden", "M", &dot, NULL);
    set(fixture, "modules", "a*b,?hidden");
    assert_true(nauha_selector_accepts_module(fixture->selector, fixture->names, slash));
    assert_true(nauha_selector_accepts_module(fixture->selector, fixture->names, dot));
    set(fixture, "modules", "a?b,*");
    assert_true(nauha_selector_accepts_module(fixture->selector, fixture->names, slash));
    assert_true(nauha_selector_accepts_module(fixture->selector, fixture->names, dot));
}

static void assert_steps(struct fixture *fixture, const char *text, const char *expected) {
    set(fixture, "steps", text);
    char chosen[13] = "";
    for (uint64_t step = 0; step < 12; step++)
        chosen[step] = accepts_step(fixture, step) ? 'x' : '.';
    assert_string_equal(chosen, expected);
}

static void test_steps(void **state) {
    struct fixture *fixture = *state;
    assert_steps(fixture, "3", "...x........");
    assert_steps(fixture, "0", "x...........");
    assert_steps(fixture, "3:6", "...xxx......");
    assert_steps(fixture, "3:", "...xxxxxxxxx");
    assert_true(accepts_step(fixture, UINT64_MAX));
    assert_steps(fixture, ":3", "xxx.........");
    assert_steps(fixture, ":", "xxxxxxxxxxxx");
    assert_steps(fixture, "::5", "x....x....x.");
    assert_steps(fixture, "2:9:3", "..x..x..x...");
    assert_steps(fixture, "2:8:3", "..x..x......");
    assert_steps(fixture, "1::4", ".x...x...x..");
    assert_steps(fixture, ":7:2", "x.x.x.x.....");
    assert_steps(fixture, "5:6:1000", ".....x......");
    set(fixture, "steps", "18446744073709551613:18446744073709551614");
    assert_true(accepts_step(fixture, UINT64_MAX - 2));
    assert_false(accepts_step(fixture, UINT64_MAX - 1));
    assert_false(accepts_step(fixture, 0));
}

static void test_bad_steps(void **state) {
    struct fixture *fixture = *state;
    static const char *const malformed[] = {
        "",
        "a",
        "1:b",
        "1:2:c",
        "1:2:",
        "1:2:3:4",
        "-1",
        "-1:5",
        "1.5",
        " 1",
        "1 ",
        "0x10",
        "+1",
        "18446744073709551615",
        "18446744073709551616",
        "1:99999999999999999999999999",
        "1,2",
    };
    for (size_t i = 0; i < sizeof malformed / sizeof *malformed; i++) {
        char expected[200];
        snprintf(expected, sizeof expected,
                 "steps \"%s\" is not of the form A:B[:EVERY] with whole numbers up to "
                 "18446744073709551614",
                 malformed[i]);
        assert_refused(fixture, "steps", malformed[i], expected);
    }
    assert_refused(fixture, "steps", "5:3",
                   "steps \"5:3\" is empty: the range ends before its second number");
    assert_refused(fixture, "steps", "5:5",
                   "steps \"5:5\" is empty: the range ends before its second number");
    assert_refused(fixture, "steps", ":0",
                   "steps \":0\" is empty: the range ends before its second number");
    assert_refused(fixture, "steps", "::0",
                   "steps \"::0\" has an EVERY of 0: it must be 1 or more");
}

static bool accepts_epoch(struct fixture *fixture, uint32_t epoch) {
    return nauha_selector_accepts(fixture->selector, fixture->names, 0, ROOT, 0, 0, epoch, 0);
}

static void test_epochs(void **state) {
    struct fixture *fixture = *state;
    set(fixture, "epochs", "1:3");
    assert_false(accepts_epoch(fixture, 0));
    assert_true(accepts_epoch(fixture, 1));
    assert_true(accepts_epoch(fixture, 2));
    assert_false(accepts_epoch(fixture, 3));
    set(fixture, "epochs", "4294967295");
    assert_true(accepts_epoch(fixture, UINT32_MAX));
    assert_false(accepts_epoch(fixture, UINT32_MAX - 1));
    assert_refused(fixture, "epochs", "1:9:2",
                   "epochs \"1:9:2\" is not of the form A:B with whole numbers up to 4294967295");
    assert_refused(
        fixture, "epochs", "4294967296",
        "epochs \"4294967296\" is not of the form A:B with whole numbers up to 4294967295");
}

static void test_tag_and_rank(void **state) {
    struct fixture *fixture = *state;
    struct nauha_selector *selector = fixture->selector;
    struct nauha_names *names = fixture->names;
    set(fixture, "tag", "testing");
    assert_false(nauha_selector_accepts(selector, names, 8, ROOT, 0, 0, 0, 0));
    assert_true(nauha_selector_accepts(selector, names, 8, ROOT, 1, 0, 0, 0));
    assert_false(nauha_selector_accepts(selector, names, 0, NAUHA_NONE, 0, 0, 0, 0));
    set(fixture, "rank", "3");
    assert_false(nauha_selector_accepts(selector, names, 8, ROOT, 1, 0, 0, 0));
    assert_true(nauha_selector_accepts(selector, names, 8, ROOT, 1, 0, 0, 3));
    assert_refused(fixture, "tag", "", "tag is empty");
    assert_refused(fixture, "rank", "x", "rank \"x\" is not a whole number up to 4294967295");
    assert_refused(fixture, "rank", "4294967296",
                   "rank \"4294967296\" is not a whole number up to 4294967295");
}

/* What was remembered about numbers must not stand in the way of those given later. */
static void test_names_grow(void **state) {
    struct fixture *fixture = *state;
    struct nauha_selector *selector = fixture->selector;
    struct nauha_names *names = fixture->names;
    set(fixture, "modules", "new.*");
    set(fixture, "kinds", "my_topic");
    set(fixture, "tag", "probe");
    uint32_t module = nauha_names_modules(names);
    uint32_t kind = nauha_names_kinds(names);
    uint32_t tag = nauha_names_tags(names);
    /* Asked for before they exist. */
    assert_false(nauha_selector_accepts_module(selector, names, module));
    assert_false(nauha_selector_accepts_module(selector, names, module + 200));
    assert_false(nauha_selector_accepts_kind(selector, names, kind));
    assert_false(nauha_selector_accepts(selector, names, kind, NAUHA_NONE, tag, 0, 0, 0));
    uint32_t id;
    nauha_names_add_kind(names, "my_topic", NAUHA_SCOPE_MODULE, NAUHA_FORM_SCALAR, &id, NULL);
    assert_int_equal(id, kind);
    assert_true(nauha_selector_accepts_kind(selector, names, kind));
    assert_false(nauha_selector_accepts(selector, names, kind, NAUHA_NONE, tag, 0, 0, 0));
    nauha_names_add_tag(names, "probe", &id, NULL);
    assert_int_equal(id, tag);
    assert_true(nauha_selector_accepts(selector, names, kind, NAUHA_NONE, tag, 0, 0, 0));
    for (uint32_t i = 0; i < 300; i++) {
        char name[32];
        snprintf(name, sizeof name, "%s.%u", i % 3 == 0 ? "new" : "old", i);
        nauha_names_add_module(names, name, "M", &id, NULL);
        assert_int_equal(nauha_selector_accepts_module(selector, names, id), i % 3 == 0);
    }
    for (uint32_t i = 0; i < 300; i++)
        assert_int_equal(nauha_selector_accepts_module(selector, names, module + i), i % 3 == 0);
    assert_false(nauha_selector_accepts_module(selector, names, ROOT));
}

/* Another names object, also one that lies where a freed one lay. */
static void test_names_change(void **state) {
    struct fixture *fixture = *state;
    struct nauha_selector *selector = fixture->selector;
    set(fixture, "modules", "wanted");
    for (uint32_t round = 0; round < 50; round++) {
        struct nauha_names *names = nauha_names_new();
        uint32_t wanted, other;
        if (round % 2)
            nauha_names_add_module(names, "other", "M", &other, NULL);
        nauha_names_add_module(names, "wanted", "M", &wanted, NULL);
        if (round % 2 == 0)
            nauha_names_add_module(names, "other", "M", &other, NULL);
        assert_true(nauha_selector_accepts_module(selector, names, wanted));
        assert_false(nauha_selector_accepts_module(selector, names, other));
        assert_false(nauha_selector_accepts_module(selector, fixture->names, ROOT));
        assert_true(nauha_selector_accepts_module(selector, names, wanted));
        nauha_names_free(names);
    }
}

static void test_copy(void **state) {
    struct fixture *fixture = *state;
    set(fixture, "kinds", "loss,weights");
    set(fixture, "modules", "features*");
    set(fixture, "exclude", "features");
    set(fixture, "steps", "10:20:5");
    set(fixture, "epochs", "2:");
    set(fixture, "tag", "testing");
    set(fixture, "rank", "1");
    struct nauha_selector *copy = nauha_selector_copy(fixture->selector);
    nauha_selector_free(fixture->selector);
    fixture->selector = copy;
    struct nauha_names *names = fixture->names;
    assert_true(nauha_selector_accepts(copy, names, 8, FEATURES_0, 1, 15, 2, 1));
    assert_false(nauha_selector_accepts(copy, names, 9, FEATURES_0, 1, 15, 2, 1));
    assert_false(nauha_selector_accepts(copy, names, 8, FEATURES, 1, 15, 2, 1));
    assert_false(nauha_selector_accepts(copy, names, 8, CLASSIFIER, 1, 15, 2, 1));
    assert_false(nauha_selector_accepts(copy, names, 8, FEATURES_0, 0, 15, 2, 1));
    assert_false(nauha_selector_accepts(copy, names, 8, FEATURES_0, 1, 16, 2, 1));
    assert_false(nauha_selector_accepts(copy, names, 8, FEATURES_0, 1, 15, 1, 1));
    assert_false(nauha_selector_accepts(copy, names, 8, FEATURES_0, 1, 15, 2, 0));
    nauha_selector_free(NULL);
}

static void assert_unknown(struct fixture *fixture, const char *message) {
    struct nauha_error err = NAUHA_ERROR_INIT;
    assert_int_equal(nauha_selector_check(fixture->selector, fixture->names, &err), NAUHA_UNKNOWN);
    assert_string_equal(err.message, message);
}

static void test_check(void **state) {
    struct fixture *fixture = *state;
    set(fixture, "kinds", "loss,weight");
    assert_unknown(
        fixture,
        "kind \"weight\" is unknown (did you mean \"weights\"?); there are batch_started, "
        "batch_finished, epoch_started, "
        "epoch_finished, input_data, input_labels, network_output, loss, weights, "
        "weight_gradients, weight_updates, biases, bias_gradients, bias_updates, activations, "
        "layer_gradients, inputs, buffers, samples_in_loss, pass_context, pass_state, "
        "generator_state, output_gradients, hyperparameters, parameter_groups");
    set(fixture, "kinds", "loss");
    set(fixture, "tag", "test");
    assert_unknown(
        fixture, "tag \"test\" is unknown (did you mean \"testing\"?); there are default, testing");
    set(fixture, "tag", "testing");
    set(fixture, "modules", "features.*,feature");
    assert_unknown(
        fixture,
        "no module matches \"feature\" (did you mean \"features\"?); there are (root), features, "
        "features.0, features.10, classifier.1");
    set(fixture, "modules", "features.*,(root)");
    assert_int_equal(nauha_selector_check(fixture->selector, fixture->names, NULL), NAUHA_OK);
    set(fixture, "exclude", "conv?");
    assert_unknown(fixture, "no module matches \"conv?\"; there are (root), features, features.0, "
                            "features.10, classifier.1");

    nauha_names_free(fixture->names);
    fixture->names = nauha_names_new();
    set(fixture, "tag", "default");
    set(fixture, "modules", "");
    assert_unknown(fixture, "no module matches \"(root)\"; there are none");
}

static void test_check_shortens(void **state) {
    struct fixture *fixture = *state;
    struct nauha_error err = NAUHA_ERROR_INIT;
    char name[300];
    uint32_t id;
    for (int i = 0; i < 100; i++) {
        snprintf(name, sizeof name, "l%d", i);
        nauha_names_add_module(fixture->names, name, "M", &id, NULL);
    }
    set(fixture, "modules", "x");
    assert_unknown(fixture,
                   "no module matches \"x\"; there are (root), features, features.0, features.10, "
                   "classifier.1, l0, l1, l2, l3, l4, l5, l6, l7, l8, l9, l10, l11, l12, l13, l14 "
                   "and 85 more");

    /* Long names: as many as fit, whole. */
    nauha_names_free(fixture->names);
    fixture->names = nauha_names_new();
    for (unsigned i = 0; i < 9; i++) {
        snprintf(name, sizeof name, "%u%0254d", i, 0);
        nauha_names_add_module(fixture->names, name, "M", &id, NULL);
    }
    assert_int_equal(nauha_selector_check(fixture->selector, fixture->names, &err), NAUHA_UNKNOWN);
    char expected[1024];
    snprintf(expected, sizeof expected,
             "no module matches \"x\"; there are 0%0254d, 1%0254d and 7 more", 0, 0);
    assert_string_equal(err.message, expected);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
static const struct CMUnitTest tests[] = {
    CASE(test_everything),   CASE(test_options),    CASE(test_kinds),
    CASE(test_modules),      CASE(test_exclude),    CASE(test_patterns_know_no_paths),
    CASE(test_steps),        CASE(test_bad_steps),  CASE(test_epochs),
    CASE(test_tag_and_rank), CASE(test_names_grow), CASE(test_names_change),
    CASE(test_copy),         CASE(test_check),      CASE(test_check_shortens),
};
UNIT_MAIN(tests)
