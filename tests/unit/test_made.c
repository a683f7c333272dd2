/* SPDX-License-Identifier: MIT */
/* Messages that are made again at replay: a pipeline takes them with the stamps of recorded ones.
 */
#include "tests/unit/directory.h"
#include "tests/unit/unit.h"

#include <stdio.h>

#include "nauha/pipeline.h"

static struct nauha_error err;

static void ok(enum nauha_status status) {
    if (status != NAUHA_OK)
        fail_msg("%s", err.message);
}

/* The strings and the tensor in the stamps are those of another message. */
static void test_stamps_and_elements(void **state) {
    (void)state;
    struct nauha_names *names = nauha_names_new();
    struct nauha_pipeline *pipeline = nauha_pipeline_new(names);
    struct nauha_message_info stamps = {.global_step = 7,
                                        .train_step = 3,
                                        .epoch = 1,
                                        .call = 2,
                                        .kind = NAUHA_KIND_WEIGHTS,
                                        .kind_name = "biases",
                                        .kept = NAUHA_KEPT_HASH,
                                        .bytes = 1};
    ok(nauha_names_add_module(names, "a", "Linear", &stamps.module, &err));
    ok(nauha_names_add_slot(names, "weight", &stamps.slot, &err));
    ok(nauha_pipeline_add_metric(pipeline, "norm:weights", &err));
    ok(nauha_pipeline_add_sink(pipeline, "csv", path_of("out"), &err));
    const int64_t shape[] = {1, 2}, negative[] = {-1};
    const double elements[] = {3, -4};
    struct nauha_tensor tensor = {
        .data = elements, .dtype = NAUHA_DTYPE_F64, .ndim = 2, .shape = shape};
    assert_int_equal(nauha_pipeline_publish_made(pipeline, &stamps, &tensor, &err), NAUHA_STATE);
    err = (struct nauha_error)NAUHA_ERROR_INIT;
    ok(nauha_pipeline_start(pipeline, &err));
    ok(nauha_pipeline_publish_made(pipeline, &stamps, &tensor, &err));
    stamps.kind = NAUHA_KIND_BIASES; /* which nobody wants */
    ok(nauha_pipeline_publish_made(pipeline, &stamps, &tensor, &err));
    tensor.shape = negative, tensor.ndim = 1;
    assert_int_equal(nauha_pipeline_publish_made(pipeline, &stamps, &tensor, &err), NAUHA_INVALID);
    err = (struct nauha_error)NAUHA_ERROR_INIT;
    ok(nauha_pipeline_finish(pipeline, &err));
    nauha_pipeline_free(pipeline);
    nauha_names_free(names);
    char text[256];
    FILE *file = fopen(path_of("out/weights_norm2.csv"), "r");
    assert_non_null(file);
    text[fread(text, 1, sizeof text - 1, file)] = 0;
    fclose(file);
    assert_string_equal(text, "global_step,train_step,epoch,rank,tag,module,slot,call,value\n"
                              "7,3,1,0,default,a,weight,2,5\n");
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup_teardown(test_stamps_and_elements, directory_setup, directory_teardown),
};

UNIT_MAIN(tests)
