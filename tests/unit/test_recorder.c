/* SPDX-License-Identifier: MIT */
/* The recorder: stamps and order, bits of every type, parameters and updates, selections, tap. */
#include "tests/unit/recorded.h"

#include <float.h>
#include <math.h>

#define PARAMETERS 2

struct net {
    float weights[6], bias[2];
    struct nauha_parameter parameters[PARAMETERS];
};

static const int64_t weight_shape[] = {2, 3}, bias_shape[] = {2};

static void net_init(struct net *net, struct nauha_recorder *recorder) {
    uint32_t module = add_module(recorder, "fc");
    const struct nauha_parameter parameters[PARAMETERS] = {
        {module,
         add_slot(recorder, "weight"),
         false,
         0,
         {net->weights, NAUHA_DTYPE_F32, 2, weight_shape, NULL, 0}},
        {module,
         add_slot(recorder, "bias"),
         true,
         0,
         {net->bias, NAUHA_DTYPE_F32, 1, bias_shape, NULL, 0}}};
    memcpy(net->parameters, parameters, sizeof parameters);
}

static void net_set(struct net *net, float value) {
    for (int i = 0; i < 6; i++)
        net->weights[i] = value + (float)i;
    net->bias[0] = net->bias[1] = -value;
}

static void begin(struct nauha_recorder *recorder, struct net *net, float value) {
    struct nauha_error err = NAUHA_ERROR_INIT;
    net_set(net, value);
    must(nauha_recorder_begin_step(recorder, net->parameters, PARAMETERS, &err), &err);
}

static void end(struct nauha_recorder *recorder, struct net *net, float value) {
    struct nauha_error err = NAUHA_ERROR_INIT;
    net_set(net, value);
    must(nauha_recorder_end_step(recorder, net->parameters, PARAMETERS, &err), &err);
}

static float first_float(const struct recorded_message *message) {
    float value;
    memcpy(&value, message->data, sizeof value);
    return value;
}

/* ---- order and stamps ---- */

static void test_steps_and_epochs(void **state) {
    (void)state;
    struct nauha_error err = NAUHA_ERROR_INIT;
    struct nauha_recorder *recorder = recorded_open(NULL);
    struct net net;
    net_init(&net, recorder);
    begin(recorder, &net, 10);
    begin(recorder, &net, 20);
    assert_int_equal(nauha_recorder_epoch_finished(recorder, &err), NAUHA_STATE);
    assert_string_equal(err.message, "an epoch cannot finish during a step: end the step first");
    end(recorder, &net, 40);
    must(nauha_recorder_epoch_finished(recorder, &err), &err);
    begin(recorder, &net, 40);
    end(recorder, &net, 45);
    close_recorder(recorder);

    static const struct {
        uint64_t step;
        uint32_t train_step, epoch;
        const char *kind;
        float value;
    } expected[] = {
        {0, 0, 0, "epoch_started", 0},   {0, 0, 0, "batch_started", 0},
        {0, 0, 0, "weights", 10},        {0, 0, 0, "biases", -10},
        {0, 0, 0, "weight_updates", 10}, {0, 0, 0, "bias_updates", -10},
        {0, 0, 0, "batch_finished", 0},  {1, 1, 0, "batch_started", 0},
        {1, 1, 0, "weights", 20},        {1, 1, 0, "biases", -20},
        {1, 1, 0, "weight_updates", 20}, {1, 1, 0, "bias_updates", -20},
        {1, 1, 0, "batch_finished", 0},  {1, 1, 0, "epoch_finished", 0},
        {2, 0, 1, "epoch_started", 0},   {2, 0, 1, "batch_started", 0},
        {2, 0, 1, "weights", 40},        {2, 0, 1, "biases", -40},
        {2, 0, 1, "weight_updates", 5},  {2, 0, 1, "bias_updates", -5},
        {2, 0, 1, "batch_finished", 0},
    };
    struct recorded got = read_back();
    assert_int_equal(got.count, sizeof expected / sizeof *expected);
    for (size_t i = 0; i < got.count; i++) {
        const struct recorded_message *message = &got.messages[i];
        assert_int_equal(message->info.seq, i);
        assert_string_equal(message->info.kind_name, expected[i].kind);
        assert_int_equal(message->info.global_step, expected[i].step);
        assert_int_equal(message->info.train_step, expected[i].train_step);
        assert_int_equal(message->info.epoch, expected[i].epoch);
        assert_true(i == 0 || message->info.time_ns >= got.messages[i - 1].info.time_ns);
        if (message->info.has_tensor)
            assert_float_equal(first_float(message), expected[i].value, 0);
    }
    assert_true(got.info.complete);
    assert_int_equal(got.info.steps, 3);
    assert_int_equal(got.info.epochs, 2);
    forget(&got);
}

/* A training that was interrupted in the middle of its third epoch: the epoch began before. */
static void test_counting_goes_on(void **state) {
    (void)state;
    struct nauha_error err = NAUHA_ERROR_INIT;
    struct nauha_recorder *recorder = recorded_open((const char *const[]){
        "first-step", "17", "first-epoch", "2", "first-batch", "5", "steps", "17:20", NULL});
    struct net net;
    net_init(&net, recorder);
    assert_int_equal(nauha_recorder_global_step(recorder), 17);
    must(nauha_recorder_epoch_finished(recorder, &err), &err); /* without a step: no effect */
    for (int step = 0; step < 4; step++) {
        begin(recorder, &net, (float)step);
        end(recorder, &net, (float)step + 1);
        if (step == 1)
            must(nauha_recorder_epoch_finished(recorder, &err), &err);
    }
    close_recorder(recorder);

    static const struct {
        uint64_t step;
        uint32_t train_step, epoch;
        const char *kind;
        float value;
    } expected[] = {
        {17, 5, 2, "batch_started", 0},  {17, 5, 2, "weights", 0},
        {17, 5, 2, "biases", 0},         {17, 5, 2, "weight_updates", 1},
        {17, 5, 2, "bias_updates", -1},  {17, 5, 2, "batch_finished", 0},
        {18, 6, 2, "batch_started", 0},  {18, 6, 2, "weights", 1},
        {18, 6, 2, "biases", -1},        {18, 6, 2, "weight_updates", 1},
        {18, 6, 2, "bias_updates", -1},  {18, 6, 2, "batch_finished", 0},
        {18, 6, 2, "epoch_finished", 0}, {19, 0, 3, "epoch_started", 0},
        {19, 0, 3, "batch_started", 0},  {19, 0, 3, "weights", 2},
        {19, 0, 3, "biases", -2},        {19, 0, 3, "weight_updates", 1},
        {19, 0, 3, "bias_updates", -1},  {19, 0, 3, "batch_finished", 0},
    };
    struct recorded got = read_back();
    assert_int_equal(got.count, sizeof expected / sizeof *expected);
    for (size_t i = 0; i < got.count; i++) {
        const struct recorded_message *message = &got.messages[i];
        assert_string_equal(message->info.kind_name, expected[i].kind);
        assert_int_equal(message->info.global_step, expected[i].step);
        assert_int_equal(message->info.train_step, expected[i].train_step);
        assert_int_equal(message->info.epoch, expected[i].epoch);
        if (message->info.has_tensor)
            assert_float_equal(first_float(message), expected[i].value, 0);
    }
    assert_int_equal(got.info.first_step, 17);
    assert_int_equal(got.info.steps, 3);
    forget(&got);
}

static void test_messages_after_a_step_carry_its_stamps(void **state) {
    (void)state;
    struct nauha_error err = NAUHA_ERROR_INIT;
    struct nauha_recorder *recorder = recorded_open(NULL);
    struct net net;
    uint32_t tag;
    net_init(&net, recorder);
    begin(recorder, &net, 1);
    end(recorder, &net, 2);
    must(nauha_recorder_epoch_finished(recorder, &err), &err);
    must(nauha_names_add_tag(nauha_recorder_names(recorder), "testing", &tag, &err), &err);
    must(nauha_recorder_set_tag(recorder, tag, &err), &err);
    const float loss = 3;
    publish(recorder, NAUHA_KIND_LOSS, NAUHA_NONE,
            &(struct nauha_tensor){&loss, NAUHA_DTYPE_F32, 0, NULL, NULL, 0});
    close_recorder(recorder);
    struct recorded got = read_back();
    const struct nauha_message_info *last = &got.messages[got.count - 1].info;
    assert_string_equal(last->kind_name, "loss");
    assert_string_equal(last->tag_name, "testing");
    assert_int_equal(last->global_step, 0);
    assert_int_equal(last->epoch, 0);
    forget(&got);
}

/* ---- bits ---- */

static const char *const codecs[] = {"zstd", "lz4", "none", "zstd:3"};

static void test_every_type_and_codec(void **state) {
    (void)state;
    enum { COUNT = 50000 };
    unsigned char *bytes = malloc(8 * COUNT);
    for (size_t i = 0; i < 8 * COUNT; i++)
        bytes[i] = (unsigned char)(i * i / 7 + (i >> 9));
    const int64_t shape[] = {100, COUNT / 100}, empty[] = {0, 3};
    for (size_t c = 0; c < sizeof codecs / sizeof *codecs; c++) {
        struct nauha_recorder *recorder =
            recorded_open((const char *const[]){"codec", codecs[c], NULL});
        uint32_t module = add_module(recorder, "m");
        for (int d = 0; d < NAUHA_DTYPE_COUNT; d++) {
            enum nauha_dtype dtype = (enum nauha_dtype)d;
            publish(recorder, NAUHA_KIND_ACTIVATIONS, module,
                    &(struct nauha_tensor){bytes, dtype, 2, shape, NULL, 0});
            publish(recorder, NAUHA_KIND_ACTIVATIONS, module,
                    &(struct nauha_tensor){bytes + 8, dtype, 0, NULL, NULL, 0});
            publish(recorder, NAUHA_KIND_ACTIVATIONS, module,
                    &(struct nauha_tensor){NULL, dtype, 2, empty, NULL, 0});
        }
        close_recorder(recorder);
        struct recorded got = read_back();
        assert_int_equal(got.count, 3 * NAUHA_DTYPE_COUNT);
        for (int d = 0; d < NAUHA_DTYPE_COUNT; d++) {
            size_t size = nauha_dtype_size((enum nauha_dtype)d);
            const struct recorded_message *message = &got.messages[3 * d];
            assert_int_equal(message[0].info.dtype, d);
            assert_int_equal(message[0].info.bytes, size * COUNT);
            assert_memory_equal(message[0].data, bytes, size * COUNT);
            assert_int_equal(message[1].info.ndim, 0);
            assert_memory_equal(message[1].data, bytes + 8, size);
            assert_int_equal(message[2].info.bytes, 0);
            assert_int_equal(message[2].info.shape[1], 3);
        }
        forget(&got);
    }
    free(bytes);
}

static void test_strided_tensors(void **state) {
    (void)state;
    struct nauha_recorder *recorder = recorded_open(NULL);
    uint32_t module = add_module(recorder, "m");
    enum { ROWS = 400, COLUMNS = 300 };
    int32_t *matrix = malloc(sizeof(int32_t) * ROWS * COLUMNS);
    for (int i = 0; i < ROWS * COLUMNS; i++)
        matrix[i] = i;
    const int64_t turned[] = {COLUMNS, ROWS}, turned_strides[] = {1, COLUMNS};
    const int64_t wide[] = {3, 4}, expanded[] = {0, 1};
    publish(recorder, NAUHA_KIND_ACTIVATIONS, module,
            &(struct nauha_tensor){matrix, NAUHA_DTYPE_I32, 2, turned, turned_strides, 0});
    publish(recorder, NAUHA_KIND_ACTIVATIONS, module,
            &(struct nauha_tensor){matrix, NAUHA_DTYPE_I32, 2, wide, expanded, 0});
    close_recorder(recorder);
    struct recorded got = read_back();
    const int32_t *values = (const int32_t *)(void *)got.messages[0].data;
    for (int c = 0; c < COLUMNS; c++)
        for (int r = 0; r < ROWS; r++)
            assert_int_equal(values[c * ROWS + r], r * COLUMNS + c);
    values = (const int32_t *)(void *)got.messages[1].data;
    for (int i = 0; i < 12; i++)
        assert_int_equal(values[i], i % 4);
    forget(&got);
    free(matrix);
}

/* What has an identity is stored once, as long as it is what it was. */
static void test_one_tensor_under_several_names(void **state) {
    (void)state;
    struct nauha_recorder *recorder = recorded_open((const char *[]){"codec", "none", NULL});
    enum { COUNT = 100000 };
    float *values = malloc(COUNT * sizeof *values);
    const int64_t shape[] = {COUNT}, other_shape[] = {10, COUNT / 10};
    struct nauha_tensor tensor = {.data = values, .ndim = 1, .shape = shape, .identity = 7};
    for (int i = 0; i < COUNT; i++)
        values[i] = (float)i;
    publish(recorder, NAUHA_KIND_ACTIVATIONS, add_module(recorder, "inner"), &tensor);
    tensor.ndim = 2;
    tensor.shape = other_shape;
    publish(recorder, NAUHA_KIND_ACTIVATIONS, add_module(recorder, "outer"), &tensor);
    publish(recorder, NAUHA_KIND_NETWORK_OUTPUT, NAUHA_NONE, &tensor);
    struct nauha_recorder_stats stats;
    must(nauha_recorder_flush(recorder, NULL), NULL);
    nauha_recorder_get_stats(recorder, &stats);
    assert_int_equal(stats.bytes_published, 3 * COUNT * sizeof *values);
    assert_int_equal(stats.bytes_stored, 2 * 256 * 1024);
    for (int i = 0; i < COUNT; i++)
        values[i] = -1; /* behind everybody's back */
    publish(recorder, NAUHA_KIND_NETWORK_OUTPUT, NAUHA_NONE, &tensor);
    tensor.identity = 7 + 1024;
    publish(recorder, NAUHA_KIND_NETWORK_OUTPUT, NAUHA_NONE, &tensor);
    close_recorder(recorder);
    struct recorded got = read_back();
    assert_int_equal(got.count, 5);
    for (size_t m = 0; m < got.count; m++)
        for (int i = 0; i < COUNT; i++) {
            float value;
            memcpy(&value, got.messages[m].data + (size_t)i * sizeof value, sizeof value);
            assert_true(value == (m < 3 ? (float)i : -1));
        }
    assert_int_equal(got.messages[1].info.ndim, 2);
    forget(&got);
    free(values);
}

/* A conversion to bf16 and back, by its definition. */
static float bf16_of(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    uint32_t down = bits & 0xffff0000u, up = down + 0x10000u, left = bits & 0xffffu;
    bits = left > 0x8000u || (left == 0x8000u && (down & 0x10000u)) ? up : down;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static void test_precision(void **state) {
    (void)state;
    enum { COUNT = 1000 };
    float values[COUNT] = {1.00390625f, 1.01171875f, INFINITY, -INFINITY, -0.0f, 1e-40f, FLT_MAX};
    double wide[2] = {1 + 1.0 / 256, NAN};
    const int64_t shape[] = {COUNT}, two[] = {2};
    for (int i = 8; i < COUNT; i++)
        values[i] = sinf((float)i) * powf(10, (float)(i % 60 - 30));
    uint32_t nan = 0x7f800001u; /* its only bit would be dropped */
    memcpy(&values[7], &nan, sizeof nan);
    struct nauha_recorder *recorder = recorded_open((const char *[]){"precision", "bf16", NULL});
    uint32_t module = add_module(recorder, "m");
    struct nauha_tensor tensor = {.data = values, .ndim = 1, .shape = shape};
    publish(recorder, NAUHA_KIND_ACTIVATIONS, module, &tensor);
    publish(recorder, NAUHA_KIND_LOSS, NAUHA_NONE, &tensor);
    publish(
        recorder, NAUHA_KIND_LAYER_GRADIENTS, module,
        &(struct nauha_tensor){.data = wide, .dtype = NAUHA_DTYPE_F64, .ndim = 1, .shape = two});
    tensor.dtype = NAUHA_DTYPE_I32;
    publish(recorder, NAUHA_KIND_ACTIVATIONS, module, &tensor);
    close_recorder(recorder);
    struct recorded got = read_back();
    const float *rounded = (const float *)(const void *)got.messages[0].data;
    for (int i = 0; i < COUNT; i++) {
        float expected = bf16_of(values[i]);
        if (i == 7)
            assert_true(isnan(rounded[i]));
        else
            assert_memory_equal(&rounded[i], &expected, sizeof expected);
    }
    assert_memory_equal(got.messages[1].data, values, sizeof values);
    const double *doubles = (const double *)(const void *)got.messages[2].data;
    assert_true(doubles[0] == 1.0 && isnan(doubles[1]));
    assert_memory_equal(got.messages[3].data, values, sizeof values);
    forget(&got);
}

static void test_samples(void **state) {
    (void)state;
    float values[6] = {0, 1, 2, 3, 4, 5};
    const int64_t shape[] = {3, 2}, turned[] = {1, 3};
    struct nauha_recorder *recorder = recorded_open((const char *[]){"samples", "2", NULL});
    uint32_t module = add_module(recorder, "m");
    struct nauha_tensor tensor = {.data = values, .ndim = 2, .shape = shape};
    publish(recorder, NAUHA_KIND_ACTIVATIONS, module, &tensor);
    publish(recorder, NAUHA_KIND_WEIGHT_GRADIENTS, module, &tensor);
    tensor.strides = turned;
    publish(recorder, NAUHA_KIND_LAYER_GRADIENTS, module, &tensor);
    tensor.ndim = 0;
    publish(recorder, NAUHA_KIND_LOSS, NAUHA_NONE, &tensor);
    publish(recorder, NAUHA_KIND_NETWORK_OUTPUT, NAUHA_NONE, &tensor);
    close_recorder(recorder);
    struct recorded got = read_back();
    const size_t bytes[] = {16, 24, 16, 4, 4};
    const float cut[] = {0, 3, 1, 4};
    assert_int_equal(got.count, 5);
    for (size_t i = 0; i < got.count; i++)
        assert_int_equal(got.messages[i].info.bytes, bytes[i]);
    assert_int_equal(got.messages[0].info.shape[0], 2);
    assert_int_equal(got.messages[0].info.shape[1], 2);
    assert_memory_equal(got.messages[0].data, values, 16);
    assert_memory_equal(got.messages[2].data, cut, sizeof cut);
    forget(&got);
}

static void test_wrong_messages_are_refused(void **state) {
    (void)state;
    struct nauha_error err = NAUHA_ERROR_INIT;
    struct nauha_recorder *recorder = recorded_open(NULL);
    uint32_t module = add_module(recorder, "m");
    const float value = 1;
    const int64_t negative[] = {-1};
    const struct nauha_tensor scalar = {&value, NAUHA_DTYPE_F32, 0, NULL, NULL, 0};
    const struct nauha_tensor bad = {&value, NAUHA_DTYPE_F32, 1, negative, NULL, 0};
    assert_int_equal(nauha_recorder_publish(recorder, 999, 0, 0, 0, &scalar, &err), NAUHA_INVALID);
    assert_string_equal(err.message, "kind number 999 is not registered");
    assert_int_equal(nauha_recorder_publish(recorder, NAUHA_KIND_LOSS, module, 0, 0, &scalar, &err),
                     NAUHA_INVALID);
    assert_string_equal(err.message, "kind \"loss\" does not belong to a module");
    assert_int_equal(
        nauha_recorder_publish(recorder, NAUHA_KIND_WEIGHTS, NAUHA_NONE, 0, 0, &scalar, &err),
        NAUHA_INVALID);
    assert_string_equal(err.message, "kind \"weights\" needs a module");
    assert_int_equal(
        nauha_recorder_publish(recorder, NAUHA_KIND_LOSS, NAUHA_NONE, 0, 0, NULL, &err),
        NAUHA_INVALID);
    assert_string_equal(err.message, "kind \"loss\" needs a tensor");
    assert_int_equal(
        nauha_recorder_publish(recorder, NAUHA_KIND_LOSS, NAUHA_NONE, 0, 0, &bad, &err),
        NAUHA_INVALID);
    close_recorder(recorder);
    struct recorded got = read_back();
    assert_int_equal(got.count, 0);
    assert_true(got.info.complete);
    forget(&got);
}

/* ---- parameters ---- */

/* Bytes of elements that lie in the trace's file before compression, by its size with codec none
 * in whole chunks. */
static uint64_t stored_with(bool changed) {
    struct nauha_recorder *recorder =
        recorded_open((const char *const[]){"codec", "none", "flush", "1000", NULL});
    enum { COUNT = 300000 };
    static float values[COUNT];
    const int64_t shape[] = {COUNT};
    struct nauha_error err = NAUHA_ERROR_INIT;
    struct nauha_parameter parameter = {add_module(recorder, "m"),
                                        add_slot(recorder, "weight"),
                                        false,
                                        0,
                                        {values, NAUHA_DTYPE_F32, 1, shape, NULL, 0}};
    for (int step = 0; step < 3; step++) {
        must(nauha_recorder_begin_step(recorder, &parameter, 1, &err), &err);
        values[step] += 1;
        must(nauha_recorder_end_step(recorder, &parameter, 1, &err), &err);
        if (changed)
            values[10] += 1; /* between the steps, behind the optimizer's back */
    }
    close_recorder(recorder);
    struct recorded got = read_back();
    uint64_t bytes = got.info.bytes_stored;
    for (size_t i = 0; i < got.count; i++) {
        if (strcmp(got.messages[i].info.kind_name, "weight_updates") != 0)
            continue;
        const float *update = (const float *)(void *)got.messages[i].data;
        for (uint64_t at = 0; at < 20; at++)
            assert_float_equal(update[at], at == got.messages[i].info.global_step ? 1 : 0, 0);
    }
    forget(&got);
    memset(values, 0, sizeof values);
    return bytes;
}

/* After an explicit end the value is copied again only where it changed until the next begin. */
static void test_values_between_steps_are_stored_once(void **state) {
    (void)state;
    uint64_t same = stored_with(false), changed = stored_with(true);
    /* 1.2 MB a copy: 4 copies, or 6. */
    assert_in_range(changed - same, 2000000, 3000000);
    assert_in_range(same, 4800000, 5600000);
}

static size_t count_kind(const struct recorded *got, const char *kind) {
    size_t count = 0;
    for (size_t i = 0; i < got->count; i++)
        count += strcmp(got->messages[i].info.kind_name, kind) == 0;
    return count;
}

static void record_steps(const char *const *options, unsigned steps) {
    struct nauha_recorder *recorder = recorded_open(options);
    struct net net;
    net_init(&net, recorder);
    for (unsigned step = 0; step < steps; step++)
        begin(recorder, &net, (float)(step * step));
    end(recorder, &net, (float)(steps * steps));
    close_recorder(recorder);
}

static void test_selected_updates_need_no_weights(void **state) {
    (void)state;
    record_steps((const char *const[]){"kinds", "weight_updates", "steps", "1:10:3", NULL}, 12);
    struct recorded got = read_back();
    assert_int_equal(got.count, 3); /* steps 1, 4 and 7 */
    for (size_t i = 0; i < got.count; i++) {
        uint64_t step = 1 + 3 * i;
        assert_string_equal(got.messages[i].info.kind_name, "weight_updates");
        assert_int_equal(got.messages[i].info.global_step, step);
        assert_float_equal(first_float(&got.messages[i]), (float)(2 * step + 1), 0);
    }
    forget(&got);
    record_steps((const char *const[]){"exclude", "fc", NULL}, 3);
    got = read_back();
    assert_int_equal(count_kind(&got, "weights"), 0);
    assert_int_equal(count_kind(&got, "batch_finished"), 3);
    forget(&got);
}

static void test_pausing(void **state) {
    (void)state;
    struct nauha_recorder *recorder = recorded_open(NULL);
    struct net net;
    net_init(&net, recorder);
    begin(recorder, &net, 1);
    nauha_recorder_pause(recorder, true);
    assert_false(nauha_recorder_wants(recorder, NAUHA_KIND_LOSS, NAUHA_NONE));
    begin(recorder, &net, 2);
    begin(recorder, &net, 3);
    nauha_recorder_pause(recorder, false);
    assert_true(nauha_recorder_wants(recorder, NAUHA_KIND_LOSS, NAUHA_NONE));
    begin(recorder, &net, 4);
    end(recorder, &net, 6);
    close_recorder(recorder);
    struct recorded got = read_back();
    const struct recorded_message *last = &got.messages[got.count - 2];
    assert_string_equal(last->info.kind_name, "bias_updates");
    assert_int_equal(last->info.global_step, 3); /* paused steps are counted */
    assert_int_equal(count_kind(&got, "weights"), 1);
    forget(&got);
}

/* ---- kinds ---- */

static void test_more_kinds_than_streams(void **state) {
    (void)state;
    enum { KINDS = 60 };
    struct nauha_error err = NAUHA_ERROR_INIT;
    struct nauha_recorder *recorder = recorded_open(NULL);
    for (int round = 0; round < 2; round++) {
        for (int k = 0; k < KINDS; k++) {
            char name[32];
            uint32_t kind;
            snprintf(name, sizeof name, "custom_%d", k);
            must(nauha_names_add_kind(nauha_recorder_names(recorder), name, NAUHA_SCOPE_NETWORK,
                                      NAUHA_FORM_TENSOR, &kind, &err),
                 &err);
            const int32_t value = 100 * round + k;
            publish(recorder, kind, NAUHA_NONE,
                    &(struct nauha_tensor){&value, NAUHA_DTYPE_I32, 0, NULL, NULL, 0});
        }
        must(nauha_recorder_flush(recorder, &err), &err);
    }
    close_recorder(recorder);
    struct recorded got = read_back();
    assert_int_equal(got.count, 2 * KINDS);
    for (size_t i = 0; i < got.count; i++) {
        int32_t value;
        memcpy(&value, got.messages[i].data, sizeof value);
        assert_int_equal(value, 100 * (int)(i / KINDS) + (int)(i % KINDS));
    }
    forget(&got);
}

/* ---- tap ---- */

struct tapped {
    size_t count;
    struct {
        char kind[32];
        uint64_t seq, step;
        float value;
    } messages[64];
};

static enum nauha_status take(void *context, struct nauha_message *message,
                              struct nauha_error *err) {
    struct tapped *tapped = context;
    const struct nauha_message_info *info = nauha_message_info(message);
    struct nauha_tensor tensor;
    size_t at = tapped->count++;
    snprintf(tapped->messages[at].kind, 32, "%s", info->kind_name);
    tapped->messages[at].seq = info->seq;
    tapped->messages[at].step = info->global_step;
    if (info->has_tensor) {
        enum nauha_status status = nauha_message_tensor(message, &tensor, err);
        if (status != NAUHA_OK)
            return status;
        memcpy(&tapped->messages[at].value, tensor.data, sizeof(float));
    }
    return at == 63 ? nauha_error_set(err, NAUHA_LIMIT, "that is enough") : NAUHA_OK;
}

static void test_tap_sees_what_the_trace_holds(void **state) {
    (void)state;
    struct nauha_error err = NAUHA_ERROR_INIT;
    struct tapped tapped = {0};
    struct nauha_recorder *recorder = recorded_open(NULL);
    struct net net;
    net_init(&net, recorder);
    must(nauha_recorder_tap(recorder, take, &tapped, &err), &err);
    begin(recorder, &net, 1);
    begin(recorder, &net, 5);
    end(recorder, &net, 7);
    assert_int_equal(nauha_recorder_tap(recorder, take, &tapped, &err), NAUHA_STATE);
    close_recorder(recorder);
    struct recorded got = read_back();
    assert_int_equal(tapped.count, got.count);
    for (size_t i = 0; i < got.count; i++) {
        assert_string_equal(tapped.messages[i].kind, got.messages[i].info.kind_name);
        assert_int_equal(tapped.messages[i].seq, got.messages[i].info.seq);
        assert_int_equal(tapped.messages[i].step, got.messages[i].info.global_step);
        if (got.messages[i].info.has_tensor)
            assert_float_equal(tapped.messages[i].value, first_float(&got.messages[i]), 0);
    }
    forget(&got);
}

static void test_tap_alone_and_its_failure(void **state) {
    (void)state;
    struct nauha_error err = NAUHA_ERROR_INIT;
    struct tapped tapped = {0};
    struct nauha_recorder *recorder;
    must(nauha_recorder_open(NULL, NULL, &recorder, &err), &err);
    must(nauha_recorder_tap(recorder, take, &tapped, &err), &err);
    const float loss = 1;
    const struct nauha_tensor tensor = {&loss, NAUHA_DTYPE_F32, 0, NULL, NULL, 0};
    for (int i = 0; i < 63; i++)
        publish(recorder, NAUHA_KIND_LOSS, NAUHA_NONE, &tensor);
    assert_int_equal(
        nauha_recorder_publish(recorder, NAUHA_KIND_LOSS, NAUHA_NONE, 0, 0, &tensor, &err),
        NAUHA_LIMIT);
    assert_string_equal(err.message, "that is enough");
    publish(recorder, NAUHA_KIND_LOSS, NAUHA_NONE, &tensor); /* fn is not called again */
    assert_int_equal(tapped.count, 64);
    close_recorder(recorder);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, recorded_setup, recorded_teardown)
static const struct CMUnitTest tests[] = {
    TEST(test_steps_and_epochs),
    TEST(test_counting_goes_on),
    TEST(test_messages_after_a_step_carry_its_stamps),
    TEST(test_every_type_and_codec),
    TEST(test_strided_tensors),
    TEST(test_one_tensor_under_several_names),
    TEST(test_precision),
    TEST(test_samples),
    TEST(test_wrong_messages_are_refused),
    TEST(test_values_between_steps_are_stored_once),
    TEST(test_selected_updates_need_no_weights),
    TEST(test_pausing),
    TEST(test_more_kinds_than_streams),
    TEST(test_tap_sees_what_the_trace_holds),
    TEST(test_tap_alone_and_its_failure),
};
UNIT_MAIN(tests)
