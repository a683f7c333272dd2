/* SPDX-License-Identifier: MIT */
/* Health rules that look at one message, and how findings are kept. */
#include "tests/unit/rule_fixture.h"

/* ---- findings ---- */

static void test_a_finding_says_where_and_what(void **state) {
    (void)state;
    run_rule("vanishing_gradient");
    const double fine[] = {1e-6, -3e-6}, small[] = {4e-8, -8e-8}, smaller[] = {2e-9, 0};
    feed_f64(G, "a", 0, 2, fine);
    feed_f64(G, "b", 0, 2, fine);
    assert_int_equal(found(), 0);
    feed_f64(G, "a", 3, 2, small);
    feed_f64(G, "a", 4, 2, smaller);
    feed_f64(G, "a", 5, 2, fine);
    feed_f64(G, "a", 9, 2, small);
    finish();
    assert_int_equal(found(), 1);
    const struct nauha_finding finding = finding_at(0);
    assert_string_equal(finding.rule, "vanishing_gradient");
    assert_string_equal(finding.spec, "vanishing_gradient");
    assert_string_equal(finding.kind, "weight_gradients");
    assert_string_equal(finding.tag, "default");
    assert_string_equal(finding.module, "a");
    assert_string_equal(finding.module_class, "Linear");
    assert_string_equal(finding.slot, "");
    assert_string_equal(finding.measure, "mean |gradient|");
    assert_non_null(strstr(finding.meaning, "vanish"));
    assert_int_equal(finding.first_step, 3);
    assert_int_equal(finding.last_step, 9);
    assert_int_equal(finding.count, 3);
    assert_close(finding.value, 6e-8, 1e-20);
    assert_close(finding.worst, 1e-9, 1e-20);
    assert_int_equal(finding.worst_step, 4);
    assert_close(finding.threshold, 1e-7, 0);
    struct nauha_finding none;
    assert_false(nauha_pipeline_finding(pipeline, 1, &none));
}

/* Many modules, in the same order every step and out of order: one finding each. */
static void test_findings_are_grouped_by_place(void **state) {
    (void)state;
    run_rule("all_zero:weights,activations");
    const double zero[] = {0, 0, 0};
    char name[16];
    for (uint64_t step = 0; step < 3; step++) {
        for (int i = 0; i < 40; i++) {
            snprintf(name, sizeof name, "m%d", step == 2 ? 39 - i : i);
            feed_f64(W, name, step, 3, zero);
            feed_f64(A, name, step, 3, zero);
        }
    }
    assert_int_equal(found(), 80);
    for (size_t i = 0; i < 80; i++) {
        const struct nauha_finding finding = finding_at(i);
        snprintf(name, sizeof name, "m%zu", i / 2);
        assert_string_equal(finding.module, name);
        assert_string_equal(finding.kind, i % 2 ? "activations" : "weights");
        assert_int_equal(finding.count, 3);
        assert_int_equal(finding.last_step, 2);
    }
}

static void test_two_rules_of_one_name_are_told_apart(void **state) {
    (void)state;
    add("all_zero:weights:threshold=50");
    run_rule("all_zero:activations");
    const double half[] = {0, 1};
    feed_f64(W, "a", 0, 2, half);
    feed_f64(A, "a", 0, 2, half);
    assert_int_equal(found(), 1);
    assert_string_equal(finding_at(0).spec, "all_zero:weights:threshold=50");
    struct nauha_metric_info info;
    assert_true(nauha_pipeline_metric(pipeline, 1, &info));
    assert_string_equal(info.spec, "all_zero:activations");
    assert_true(info.analyzer->flags & NAUHA_ANALYZER_RULE);
    assert_int_equal(info.bundles, 1);
    assert_null(info.missing_tag);
    assert_false(nauha_pipeline_metric(pipeline, 2, &info));
}

static void count_call(void *context, const struct nauha_finding *finding) {
    int *calls = context;
    assert_string_equal(finding->rule, "exploding_tensor");
    ++*calls;
}

static void test_the_first_of_each_is_told_at_once(void **state) {
    (void)state;
    int calls = 0;
    nauha_pipeline_on_finding(pipeline, count_call, &calls);
    run_rule("exploding_tensor:weights");
    const double bad[] = {1, NAN};
    feed_f64(W, "a", 0, 2, bad);
    assert_int_equal(calls, 1);
    feed_f64(W, "a", 1, 2, bad);
    assert_int_equal(calls, 1);
    feed_f64(W, "b", 1, 2, bad);
    assert_int_equal(calls, 2);
}

static void test_a_rule_that_saw_nothing_says_so(void **state) {
    (void)state;
    run_rule("vanishing_gradient:tag=testing");
    struct nauha_metric_info info;
    assert_true(nauha_pipeline_metric(pipeline, 0, &info));
    assert_int_equal(info.bundles, 0);
    assert_string_equal(info.missing_tag, "testing");
}

/* ---- the host ---- */

static const struct nauha_host *kept_host;

static enum nauha_status careless_create(const struct nauha_host *host,
                                         const struct nauha_analyzer_config *config, void **self,
                                         struct nauha_error *error) {
    static const char *const kinds[] = {"loss", NULL};
    (void)config;
    kept_host = host;
    *self = NULL;
    return host->subscribe(host, kinds, 1, "testing", false, error);
}

static enum nauha_status careless_compute(void *self, struct nauha_bundle *bundle,
                                          struct nauha_error *error) {
    (void)self;
    const struct nauha_message_info *info = kept_host->info(kept_host->bundle_message(bundle, 0));
    if (strcmp(info->tag_name, "testing") == 0)
        return kept_host->subscribe(kept_host, NULL, 0, "late", false, error);
    return kept_host->finding(kept_host, info, 1, 0, "x", "y", error);
}

static void nothing(void *self) {
    (void)self;
}

static void run_careless(void) {
    static const char *const kinds[] = {"weights", NULL};
    static const struct nauha_analyzer careless = {.abi = NAUHA_ANALYZER_ABI,
                                                   .size = sizeof careless,
                                                   .name = "careless",
                                                   .default_kinds = kinds,
                                                   .create = careless_create,
                                                   .compute = careless_compute,
                                                   .destroy = nothing};
    ok(nauha_pipeline_add_analyzer(pipeline, &careless, &err));
    run_rule("careless");
}

static void test_the_host_refuses_what_is_out_of_order(void **state) {
    (void)state;
    run_careless();
    const double one[] = {1};
    struct nauha_message_info stamps = stamps_of(names, W, "a", 0);
    refused(try_feed(message_of(stamps, NAUHA_DTYPE_F64, 1, SHAPE(1), one)), NAUHA_STATE,
            "subscriber \"careless\": only an analyzer with the flag NAUHA_ANALYZER_RULE can "
            "report findings");
    assert_int_equal(found(), 0);
}

static void test_subscribing_is_for_create(void **state) {
    (void)state;
    run_careless();
    struct nauha_message_info stamps = stamps_of(names, NAUHA_KIND_LOSS, NULL, 0);
    ok(nauha_names_add_tag(names, "testing", &stamps.tag, &err));
    nauha__message_resolve(&stamps, names, NAUHA_NONE);
    const double loss = 1;
    refused(try_feed(message_of(stamps, NAUHA_DTYPE_F64, 0, NULL, &loss)), NAUHA_STATE,
            "subscriber \"careless\": an analyzer subscribes while it is created");
}

/* ---- single rules ---- */

static void test_vanishing_gradient_edges(void **state) {
    (void)state;
    const struct series *out =
        run("vanishing_gradient:threshold=1", "weight_gradients_vanishing_gradient");
    const double one[] = {1, -1}, nan[] = {NAN, 0};
    feed_f64(G, "at the threshold", 0, 2, one);
    feed_f64(G, "nan", 0, 2, nan);
    feed_f64(G, "empty", 0, 0, one);
    assert_int_equal(found(), 0);
    assert_int_equal(out->count, 2);
    assert_value(out, 0, 1);
    assert_value(out, 1, NAN);
}

static void test_exploding_tensor(void **state) {
    (void)state;
    add("exploding_tensor:weights");
    run_rule("exploding_tensor:activations:only_nan=1");
    const double inf[] = {1, (double)INFINITY, -(double)INFINITY}, nan[] = {NAN, 0},
                 large[] = {1e308, -1e308};
    feed_f64(W, "a", 0, 2, large);
    feed_f64(W, "empty", 0, 0, large);
    feed_f64(A, "a", 0, 3, inf);
    assert_int_equal(found(), 0);
    feed_f64(W, "a", 1, 3, inf);
    feed_f64(A, "a", 1, 2, nan);
    assert_int_equal(found(), 2);
    assert_close(finding_at(0).value, 2, 0);
    assert_string_equal(finding_at(0).measure, "nan or inf elements");
    assert_close(finding_at(1).value, 1, 0);
    assert_string_equal(finding_at(1).measure, "nan elements");
}

static void test_all_zero(void **state) {
    (void)state;
    run_rule("all_zero:weights:threshold=75");
    const double three[] = {0, 0, 0, 1}, two[] = {0, 0, 1, 1}, negative[] = {-0.0};
    feed_f64(W, "two", 0, 4, two);
    feed_f64(W, "empty", 0, 0, two);
    assert_int_equal(found(), 0);
    feed_f64(W, "three", 0, 4, three);
    feed_f64(W, "negative", 0, 1, negative);
    assert_int_equal(found(), 2);
    assert_close(finding_at(0).value, 75, 0);
    assert_close(finding_at(1).value, 100, 0);
}

static void test_tensor_variance(void **state) {
    (void)state;
    add("tensor_variance:activations");
    run_rule("tensor_variance:weights:min=0.5:max=8");
    const double one[] = {1, 3}, wide[] = {-10, 10}, flat[] = {2, 2}, nan[] = {NAN, 1};
    feed_f64(A, "no limits", 0, 2, wide);
    feed_f64(W, "fine", 0, 2, one); /* 2 */
    feed_f64(W, "single", 0, 1, one);
    feed_f64(W, "nan", 0, 2, nan);
    assert_int_equal(found(), 0);
    feed_f64(W, "wide", 0, 2, wide);
    feed_f64(W, "flat", 0, 2, flat);
    assert_int_equal(found(), 2);
    assert_close(finding_at(0).value, 200, 0);
    assert_close(finding_at(0).threshold, 8, 0);
    assert_close(finding_at(1).value, 0, 0);
    assert_close(finding_at(1).threshold, 0.5, 0);
}

static void test_weight_update_ratio(void **state) {
    (void)state;
    const struct series *out = run("weight_update_ratio", "weight_update_ratio");
    const double w[] = {3, 4}, zero[] = {0, 0}, large[] = {48, 14}, tiny[] = {3e-8, 4e-8},
                 tinier[] = {3e-9, 4e-9}, nan[] = {NAN, 0};
    feed_f64(W, "at the limits", 0, 2, w);
    feed_f64(U, "at the limits", 0, 2, large); /* 50 / 5 */
    feed_f64(W, "tiny", 0, 2, w);
    feed_f64(U, "tiny", 0, 2, tiny); /* 1.0000000000000002e-8 or a bit below, by epsilon */
    feed_f64(W, "nan", 0, 2, w);
    feed_f64(U, "nan", 0, 2, nan);
    feed_f64(W, "empty", 0, 0, w);
    feed_f64(U, "empty", 0, 0, w);
    const size_t before = found();
    assert_true(before <= 1); /* exactly at the limit, epsilon decides */
    feed_f64(W, "from zero", 1, 2, zero);
    feed_f64(U, "from zero", 1, 2, w);
    feed_f64(W, "frozen", 1, 2, w);
    feed_f64(U, "frozen", 1, 2, tinier);
    feed_f64(W, "nothing at all", 1, 2, zero);
    feed_f64(U, "nothing at all", 1, 2, zero);
    assert_int_equal(found(), before + 3);
    assert_close(finding_at(before).value, 5 / 1e-9, 1);
    assert_close(finding_at(before).threshold, 10, 0);
    assert_close(finding_at(before + 1).value, 1e-9, 1e-15);
    assert_close(finding_at(before + 1).threshold, 1e-8, 0);
    assert_close(finding_at(before + 2).value, 0, 0);
    assert_close(out->values[0][0], 50 / (5 + 1e-9), 1e-12);
}

static const struct CMUnitTest tests[] = {
    RUN(test_a_finding_says_where_and_what),
    RUN(test_findings_are_grouped_by_place),
    RUN(test_two_rules_of_one_name_are_told_apart),
    RUN(test_the_first_of_each_is_told_at_once),
    RUN(test_a_rule_that_saw_nothing_says_so),
    RUN(test_the_host_refuses_what_is_out_of_order),
    RUN(test_subscribing_is_for_create),
    RUN(test_vanishing_gradient_edges),
    RUN(test_exploding_tensor),
    RUN(test_all_zero),
    RUN(test_tensor_variance),
    RUN(test_weight_update_ratio),
};

UNIT_MAIN(tests)
