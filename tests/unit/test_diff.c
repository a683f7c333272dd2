/* SPDX-License-Identifier: MIT */
/* Two traces side by side: which messages meet, what is told of those that do not, and names. */
#include "tests/unit/recorded.h"

#include "nauha/diff.h"

/* One message to record: of kind activations, with one element. */
struct sent {
    const char *module;
    unsigned call;
    float value;
};

static char paths[2][128];

static int setup(void **state) {
    (void)state;
    for (int i = 0; i < 2; i++) {
        snprintf(paths[i], sizeof paths[i], "/tmp/nauha-diff-%d-%d.h5", (int)getpid(), i);
        unlink(paths[i]);
    }
    return 0;
}

static int teardown(void **state) {
    (void)state;
    unlink(paths[0]);
    unlink(paths[1]);
    return 0;
}

/* Records to one of the paths: the same messages in each of `steps` steps. */
static void record(int side, const struct sent *sent, size_t count, unsigned steps,
                   const char *const *options) {
    struct nauha_error err = NAUHA_ERROR_INIT;
    snprintf(recorded_path, sizeof recorded_path, "%s", paths[side]);
    struct nauha_recorder *recorder = recorded_open(options);
    for (unsigned step = 0; step < steps; step++) {
        must(nauha_recorder_begin_step(recorder, NULL, 0, &err), &err);
        for (size_t i = 0; i < count; i++) {
            const struct nauha_tensor tensor = {&sent[i].value, NAUHA_DTYPE_F32, 0, NULL, NULL, 0};
            must(nauha_recorder_publish(recorder, NAUHA_KIND_ACTIVATIONS,
                                        add_module(recorder, sent[i].module), 0, sent[i].call,
                                        &tensor, &err),
                 &err);
        }
    }
    must(nauha_recorder_end_step(recorder, NULL, 0, &err), &err);
    close_recorder(recorder);
}

struct opened_pair {
    struct nauha_diff_side a, b;
    struct nauha_diff *diff;
};

static enum nauha_status open_pair(struct opened_pair *pair,
                                   const struct nauha_diff_options *options,
                                   struct nauha_error *err) {
    pair->a = (struct nauha_diff_side){.names = nauha_names_new()};
    pair->b = (struct nauha_diff_side){.names = nauha_names_new()};
    pair->diff = NULL;
    must(nauha_trace_open(paths[0], pair->a.names, &pair->a.trace, err), err);
    must(nauha_trace_open(paths[1], pair->b.names, &pair->b.trace, err), err);
    return nauha_diff_new(&pair->a, &pair->b, options, &pair->diff, err);
}

static void close_pair(struct opened_pair *pair) {
    nauha_diff_free(pair->diff);
    nauha_trace_close(pair->a.trace);
    nauha_trace_close(pair->b.trace);
    nauha_names_free(pair->a.names);
    nauha_names_free(pair->b.names);
}

/* The walk as text: "step:module.call sort" of activations, sorts being = ! h s a b; others are
 * left out. */
static const char *walk(const struct nauha_diff_options *options) {
    static char text[2048];
    struct nauha_error err = NAUHA_ERROR_INIT;
    struct opened_pair opened;
    const struct nauha_pair *pair;
    enum nauha_status status;
    size_t used = 0;
    text[0] = '\0';
    must(open_pair(&opened, options, &err), &err);
    while ((status = nauha_diff_next(opened.diff, &pair, &err)) == NAUHA_OK) {
        const struct nauha_message_info *info = pair->a ? pair->a : pair->b;
        if (info->kind != NAUHA_KIND_ACTIVATIONS)
            continue;
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%u:%s.%u%c", used ? " " : "",
                                 (unsigned)info->global_step, info->module_name, info->call,
                                 "=!h?sabd"[pair->sort]);
    }
    assert_int_equal(status, NAUHA_END);
    close_pair(&opened);
    return text;
}

#define COUNT(list) (sizeof(list) / sizeof *(list))
#define RECORD(side, steps, ...)                                                                   \
    do {                                                                                           \
        const struct sent sent[] = __VA_ARGS__;                                                    \
        record(side, sent, COUNT(sent), steps, NULL);                                              \
    } while (0)
#define LIST(...)                                                                                  \
    { __VA_ARGS__ }

static const struct nauha_diff_options plain;

static void test_messages_meet_by_key(void **state) {
    (void)state;
    RECORD(0, 2, LIST({"x", 0, 1}, {"y", 0, 2}, {"y", 1, 3}));
    RECORD(1, 2, LIST({"y", 1, 3}, {"x", 0, 9}, {"y", 0, 2}));
    assert_string_equal(walk(&plain), "0:x.0! 0:y.0= 0:y.1= 1:x.0! 1:y.0= 1:y.1=");
}

static void test_several_of_one_key_meet_in_their_order(void **state) {
    (void)state;
    RECORD(0, 1, LIST({"x", 0, 1}, {"x", 0, 2}, {"x", 0, 3}));
    RECORD(1, 1, LIST({"x", 0, 1}, {"y", 0, 0}, {"x", 0, 3}));
    assert_string_equal(walk(&plain), "0:x.0= 0:x.0! 0:x.0a 0:y.0b");
}

static void test_what_only_one_has(void **state) {
    (void)state;
    RECORD(0, 3, LIST({"x", 0, 1}, {"only", 0, 2}));
    RECORD(1, 2, LIST({"x", 0, 1}, {"other", 0, 2}));
    assert_string_equal(walk(&plain), "0:x.0= 0:only.0a 0:other.0b 1:x.0= 1:only.0a 1:other.0b "
                                      "2:x.0a 2:only.0a");
}

static void test_steps_that_one_lacks(void **state) {
    (void)state;
    const struct sent sent[] = {{"x", 0, 1}};
    record(0, sent, 1, 5, (const char *[]){"steps", "::2", NULL});
    record(1, sent, 1, 5, (const char *[]){"steps", "1:", NULL});
    assert_string_equal(walk(&plain), "0:x.0a 1:x.0b 2:x.0= 3:x.0b 4:x.0=");
}

static void test_maps(void **state) {
    (void)state;
    RECORD(0, 1, LIST({"", 0, 1}, {"net.x", 0, 2}, {"netto", 0, 3}));
    RECORD(1, 1, LIST({"m", 0, 1}, {"m.body.x", 0, 2}, {"m.netto", 0, 3}));
    assert_string_equal(walk(&plain), "0:.0a 0:net.x.0a 0:netto.0a 0:m.0b 0:m.body.x.0b "
                                      "0:m.netto.0b");
    const char *const maps[] = {"net=m.body", "=m"};
    const struct nauha_diff_options mapped = {.maps = maps, .map_count = 2};
    assert_string_equal(walk(&mapped), "0:.0= 0:net.x.0= 0:netto.0=");
    const char *const stars[] = {"net.*=m.body.*", "*o=m.*o"};
    const struct nauha_diff_options starred = {.maps = stars, .map_count = 2};
    assert_string_equal(walk(&starred), "0:.0a 0:net.x.0= 0:netto.0= 0:m.0b");
}

static void must_refuse_maps(const char *const *maps, size_t count, enum nauha_status code,
                             const char *message) {
    struct nauha_error err = NAUHA_ERROR_INIT;
    struct opened_pair opened;
    const struct nauha_diff_options options = {.maps = maps, .map_count = count};
    assert_int_equal(open_pair(&opened, &options, &err), code);
    assert_string_equal(err.message, message);
    close_pair(&opened);
}

static void test_bad_maps(void **state) {
    (void)state;
    RECORD(0, 1, LIST({"x", 0, 1}, {"y", 0, 2}));
    RECORD(1, 1, LIST({"x", 0, 1}));
    must_refuse_maps((const char *[]){"x"}, 1, NAUHA_INVALID,
                     "\"x\" is not a map of names: expected OLD=NEW");
    must_refuse_maps((const char *[]){"x*=y"}, 1, NAUHA_INVALID,
                     "\"x*=y\" is not a map of names: expected one * on each side, or none");
    must_refuse_maps((const char *[]){"z=y"}, 1, NAUHA_UNKNOWN,
                     "map \"z=y\" fits no module of the first trace");
    must_refuse_maps((const char *[]){"x=n", "y=n"}, 2, NAUHA_INVALID,
                     "modules \"y\" and \"x\" would both be \"n\"");
}

static void assert_suggestion(const char *expected, size_t expected_modules) {
    struct nauha_error err = NAUHA_ERROR_INIT;
    struct opened_pair opened;
    char map[600] = "";
    size_t modules = 0;
    must(open_pair(&opened, &plain, &err), &err);
    if (!nauha_diff_suggest(opened.diff, map, sizeof map, &modules))
        map[0] = '\0';
    assert_string_equal(map, expected);
    if (expected[0])
        assert_int_equal(modules, expected_modules);
    close_pair(&opened);
}

static void test_suggestions(void **state) {
    (void)state;
    RECORD(0, 1, LIST({"", 0, 1}, {"x", 0, 2}, {"y.0", 0, 3}));
    RECORD(1, 1, LIST({"", 0, 1}, {"module.x", 0, 2}, {"module.y.0", 0, 3}));
    assert_suggestion("=module", 2);
    RECORD(0, 1, LIST({"enc.0.a", 0, 2}, {"enc.1.a", 0, 3}, {"x", 0, 1}));
    RECORD(1, 1, LIST({"enc._orig_mod.0.a", 0, 2}, {"enc._orig_mod.1.a", 0, 3}, {"x", 0, 1}));
    assert_suggestion("enc=enc._orig_mod", 2);
    RECORD(1, 1, LIST({"p", 0, 2}, {"q", 0, 3}, {"r", 0, 3}, {"s", 0, 3}));
    assert_suggestion("", 0);
    RECORD(1, 1, LIST({"enc.0.a", 0, 2}, {"enc.1.a", 0, 3}, {"x", 0, 1}));
    assert_suggestion("", 0);
}

static void test_selection_is_by_the_names_of_a(void **state) {
    (void)state;
    struct nauha_error err = NAUHA_ERROR_INIT;
    struct nauha_selector *selector = nauha_selector_new();
    RECORD(0, 1, LIST({"x.1", 0, 1}, {"z", 0, 2}));
    RECORD(1, 1, LIST({"y.1", 0, 1}, {"z", 0, 2}, {"other", 0, 3}));
    const char *const maps[] = {"x=y"};
    const struct nauha_diff_options options = {.selector = selector, .maps = maps, .map_count = 1};
    must(nauha_selector_set(selector, "modules", "x.*,other", &err), &err);
    assert_string_equal(walk(&options), "0:x.1.0= 0:other.0b");
    must(nauha_selector_set(selector, "modules", "nothing", &err), &err);
    struct opened_pair opened;
    assert_int_equal(open_pair(&opened, &options, &err), NAUHA_UNKNOWN);
    close_pair(&opened);
    nauha_selector_free(selector);
}

static void test_hashes(void **state) {
    (void)state;
    const struct sent a[] = {{"x", 0, 1}, {"y", 0, 2}}, b[] = {{"x", 0, 1}, {"y", 0, 3}};
    record(0, a, 2, 1, (const char *[]){"keep", "hashes", NULL});
    record(1, b, 2, 1, NULL);
    assert_string_equal(walk(&plain), "0:x.0= 0:y.0h");
    record(1, b, 2, 1, (const char *[]){"keep", "hashes", NULL});
    assert_string_equal(walk(&plain), "0:x.0= 0:y.0h");
}

#define PAIR(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

static const struct CMUnitTest tests[] = {
    PAIR(test_messages_meet_by_key),
    PAIR(test_several_of_one_key_meet_in_their_order),
    PAIR(test_what_only_one_has),
    PAIR(test_steps_that_one_lacks),
    PAIR(test_maps),
    PAIR(test_bad_maps),
    PAIR(test_suggestions),
    PAIR(test_selection_is_by_the_names_of_a),
    PAIR(test_hashes),
};

UNIT_MAIN(tests)
