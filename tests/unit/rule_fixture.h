/* SPDX-License-Identifier: MIT */
/* Rules in a pipeline, and what they found. */
#ifndef NAUHA_TESTS_RULE_FIXTURE_H
#define NAUHA_TESTS_RULE_FIXTURE_H

#include "tests/unit/analyzer_fixture.h"

#define G NAUHA_KIND_WEIGHT_GRADIENTS
#define A NAUHA_KIND_ACTIVATIONS

static inline void run_rule(const char *spec) {
    add(spec);
    start();
}

static inline struct nauha_finding finding_at(size_t position) {
    struct nauha_finding finding;
    assert_true(nauha_pipeline_finding(pipeline, position, &finding));
    return finding;
}

static inline size_t found(void) {
    return nauha_pipeline_findings(pipeline);
}

static inline void assert_close(double value, double expected, double tolerance) {
    if (!(fabs(value - expected) <= tolerance))
        fail_msg("%.17g is not %.17g", value, expected);
}

/* A message of a module of this class, with a shape and a tag. */
static inline void feed_shaped(uint32_t kind, const char *module, const char *class_name,
                               const char *tag, uint64_t step, enum nauha_dtype dtype,
                               uint32_t ndim, const int64_t *shape, const void *data) {
    struct nauha_message_info stamps = stamps_of(names, kind, NULL, step);
    if (module)
        ok(nauha_names_add_module(names, module, class_name, &stamps.module, &err));
    ok(nauha_names_add_tag(names, tag, &stamps.tag, &err));
    nauha__message_resolve(&stamps, names, NAUHA_NONE);
    ok(try_feed(message_of(stamps, dtype, ndim, shape, data)));
}

static inline void feed_loss(const char *tag, uint64_t step, double loss) {
    feed_shaped(NAUHA_KIND_LOSS, NULL, NULL, tag, step, NAUHA_DTYPE_F64, 0, NULL, &loss);
}

#endif
