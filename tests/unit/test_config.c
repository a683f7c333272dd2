/* SPDX-License-Identifier: MIT */
/* The recorder's options: every row is taken, wrong values are refused in words. */
#include "tests/unit/unit.h"

#include <string.h>

#include "recorder/config.h"

static struct nauha_recorder_config *config;

static int setup(void **state) {
    (void)state;
    config = nauha_recorder_config_new();
    return config ? 0 : -1;
}

static int teardown(void **state) {
    (void)state;
    nauha_recorder_config_free(config);
    return 0;
}

static void refused(const char *key, const char *value, enum nauha_status code, const char *text) {
    struct nauha_error err = NAUHA_ERROR_INIT;
    assert_int_equal(nauha_recorder_config_set(config, key, value, &err), code);
    if (!strstr(err.message, text))
        fail_msg("\"%s\" does not say \"%s\"", err.message, text);
}

static void taken(const char *key, const char *value) {
    struct nauha_error err = NAUHA_ERROR_INIT;
    if (nauha_recorder_config_set(config, key, value, &err) != NAUHA_OK)
        fail_msg("%s", err.message);
}

static void test_defaults(void **state) {
    (void)state;
    assert_int_equal(config->depth, -1);
    assert_int_equal(config->codec.method, NAUHA__CODEC_ZSTD);
    assert_int_equal(config->buffer_bytes, 256 << 20);
    assert_false(config->drop);
    assert_float_equal(config->flush_seconds, 1, 0);
    assert_false(config->flush_sync);
    assert_int_equal(config->limit_bytes, 0);
    assert_int_equal(config->precision, 0);
    assert_int_equal(config->samples, 0);
    assert_int_equal(config->world_size, 1);
}

static void test_every_fallback_is_a_value(void **state) {
    (void)state;
    size_t count;
    const struct nauha_option *rows = nauha_recorder_options(&count);
    assert_int_equal(count, 12);
    for (size_t i = 0; i < count; i++)
        taken(rows[i].name, rows[i].fallback);
}

static void test_values(void **state) {
    (void)state;
    taken("depth", "2");
    taken("codec", "lz4");
    taken("buffer", "1.5M");
    taken("on-full", "drop");
    taken("flush", "0.25,sync");
    taken("limit", "2G");
    taken("precision", "fp16");
    taken("samples", "8");
    taken("kinds", "loss,weights");
    assert_int_equal(config->depth, 2);
    assert_string_equal(config->codec_text, "lz4");
    assert_int_equal(config->buffer_bytes, 3 << 19);
    assert_true(config->drop);
    assert_float_equal(config->flush_seconds, 0.25, 0);
    assert_true(config->flush_sync);
    assert_true(config->limit_bytes == (uint64_t)2 << 30);
    assert_int_equal(config->precision, 10);
    assert_int_equal(config->samples, 8);
    char *json = nauha__config_facts_json(config);
    assert_string_equal(json, "{\"precision\":\"fp16\",\"samples\":\"8\"}");
    free(json);
    taken("depth", "-7");
    assert_int_equal(config->depth, -1);
}

static void test_wrong_values(void **state) {
    (void)state;
    refused("depht", "1", NAUHA_UNKNOWN,
            "there is no recording option \"depht\" (did you mean \"depth\"?); options: kinds");
    refused("depth", "x", NAUHA_INVALID, "option \"depth\"");
    refused("codec", "gzip", NAUHA_INVALID, "codecs: zstd, zstd:LEVEL, lz4, auto, none");
    refused("codec", "zstd:99", NAUHA_INVALID, "the level is a whole number");
    refused("buffer", "10", NAUHA_INVALID, "at least 1M");
    refused("buffer", "lots", NAUHA_INVALID, "option \"buffer\"");
    refused("on-full", "wait", NAUHA_INVALID, "neither block nor drop");
    refused("flush", "0", NAUHA_INVALID, "seconds above 0");
    refused("flush", "1,async", NAUHA_INVALID, "1,sync");
    refused("flush", "inf", NAUHA_INVALID, "seconds above 0");
    refused("limit", "-1", NAUHA_INVALID, "option \"limit\"");
    refused("precision", "int8", NAUHA_INVALID, "none of full, bf16, fp16");
    refused("samples", "0", NAUHA_INVALID, "1 or more, or all");
    refused("first-step", "-1", NAUHA_INVALID, "not a number from 0 to 9007199254740992");
    refused("first-epoch", "2147483648", NAUHA_INVALID, "not a number from 0 to 2147483647");
    refused("first-batch", "x", NAUHA_INVALID, "option \"first-batch\"");
    refused("steps", "5:3", NAUHA_INVALID, "is empty");
}

static void test_facts_are_json(void **state) {
    (void)state;
    assert_int_equal(nauha_recorder_config_describe(config, "model", "a \"quoted\"\nname", NULL),
                     NAUHA_OK);
    assert_int_equal(nauha_recorder_config_describe(config, "seed", "1", NULL), NAUHA_OK);
    assert_int_equal(nauha_recorder_config_describe(config, "seed", "2", NULL), NAUHA_OK);
    char *json = nauha__config_facts_json(config);
    assert_string_equal(json, "{\"model\":\"a \\\"quoted\\\"\\nname\",\"seed\":\"2\"}");
    free(json);
}

static void test_copies_are_deep(void **state) {
    (void)state;
    taken("codec", "none");
    assert_int_equal(nauha_recorder_config_describe(config, "a", "b", NULL), NAUHA_OK);
    struct nauha_recorder_config *copy = nauha__config_copy(config);
    assert_int_equal(nauha_recorder_config_describe(config, "a", "c", NULL), NAUHA_OK);
    assert_string_equal(copy->facts[0].value, "b");
    assert_string_equal(copy->codec_text, "none");
    assert_ptr_not_equal(copy->keeping, config->keeping);
    nauha_recorder_config_free(copy);
}

static void test_ranks(void **state) {
    (void)state;
    struct nauha_error err = NAUHA_ERROR_INIT;
    assert_int_equal(nauha_recorder_config_set_rank(config, 3, 4, &err), NAUHA_OK);
    assert_int_equal(nauha_recorder_config_set_rank(config, 4, 4, &err), NAUHA_INVALID);
    assert_string_equal(err.message, "rank 4 is not below the world size 4");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
static const struct CMUnitTest tests[] = {
    TEST(test_defaults),       TEST(test_every_fallback_is_a_value),
    TEST(test_values),         TEST(test_wrong_values),
    TEST(test_facts_are_json), TEST(test_copies_are_deep),
    TEST(test_ranks),
};
UNIT_MAIN(tests)
