/* SPDX-License-Identifier: MIT */
/* Messages: elements on demand and copies that last. */
#include "unit.h"

#include <string.h>

#include "nauha/internal/message.h"

/* A source that counts and, told so, fails. */
struct shelf {
    unsigned loads;
    bool fails;
    bool again;
    uint64_t row;
};

static enum nauha_status load(void *context, const struct nauha_message_info *info, uint64_t row,
                              void **data, struct nauha_error *err) {
    struct shelf *shelf = context;
    shelf->loads++;
    shelf->row = row;
    if (shelf->fails)
        return nauha_error_set(err, NAUHA_DAMAGED, "chunk 7 does not match its checksum");
    float *elements = malloc(info->bytes);
    for (size_t i = 0; i < info->bytes / sizeof *elements; i++)
        elements[i] = (float)i + 0.5f;
    *data = elements;
    return NAUHA_OK;
}

static const int64_t shape23[] = {2, 3};

static struct nauha_message_info weights_info(void) {
    return (struct nauha_message_info){
        .global_step = 12,
        .kind = NAUHA_KIND_WEIGHTS,
        .module = 0,
        .kind_name = "weights",
        .tag_name = "default",
        .module_name = "fc",
        .module_class = "Linear",
        .slot_name = "weight",
        .has_tensor = true,
        .dtype = NAUHA_DTYPE_F32,
        .ndim = 2,
        .shape = shape23,
        .bytes = 24,
    };
}

static void test_taken(void **state) {
    (void)state;
    struct shelf shelf = {.loads = 0};
    struct nauha__source source = {.load = load, .context = &shelf};
    struct nauha_message message = {.info = weights_info(), .source = &source};
    struct nauha_tensor tensor, taken;
    assert_int_equal(nauha_message_tensor(&message, &tensor, NULL), NAUHA_OK);
    assert_int_equal(nauha_message_take(&message, &taken, NULL), NAUHA_OK);
    assert_ptr_equal(taken.data, tensor.data); /* the same memory, not a copy */
    assert_int_equal(shelf.loads, 1);
    assert_int_equal(nauha_message_tensor(&message, &tensor, NULL), NAUHA_OK);
    assert_int_equal(shelf.loads, 2);
    nauha__message_fini(&message);
    assert_float_equal(((const float *)taken.data)[5], 5.5f, 0);
    nauha_memory_free((void *)taken.data);
}

static void test_taken_from_live_memory(void **state) {
    (void)state;
    float live[6] = {1, 2, 3, 4, 5, 6};
    struct nauha_message message = {.info = weights_info(), .data = live};
    struct nauha_tensor taken;
    assert_int_equal(nauha_message_take(&message, &taken, NULL), NAUHA_OK);
    live[2] = 0;
    assert_float_equal(((const float *)taken.data)[2], 3, 0);
    nauha_memory_free((void *)taken.data);
    nauha__message_fini(&message);
}

static void test_loaded_once(void **state) {
    (void)state;
    struct shelf shelf = {.loads = 0};
    struct nauha__source source = {.load = load, .context = &shelf};
    struct nauha_message message = {.info = weights_info(), .source = &source, .row = 41};
    struct nauha_tensor tensor, again;
    assert_ptr_equal(nauha_message_info(&message), &message.info);
    assert_int_equal(shelf.loads, 0);
    assert_int_equal(nauha_message_tensor(&message, &tensor, NULL), NAUHA_OK);
    assert_int_equal(shelf.loads, 1);
    assert_int_equal(shelf.row, 41);
    assert_int_equal(tensor.dtype, NAUHA_DTYPE_F32);
    assert_int_equal(tensor.ndim, 2);
    assert_ptr_equal(tensor.shape, shape23);
    assert_null(tensor.strides);
    assert_true(((const float *)tensor.data)[5] == 5.5f);
    assert_int_equal(nauha_message_tensor(&message, &again, NULL), NAUHA_OK);
    assert_int_equal(shelf.loads, 1);
    assert_ptr_equal(again.data, tensor.data);
    assert_ptr_equal(message.owned, tensor.data);
    nauha__message_fini(&message);
    assert_null(message.data);
    assert_null(message.owned);
    nauha__message_fini(&message);
}

static void test_load_fails(void **state) {
    (void)state;
    struct shelf shelf = {.fails = true};
    struct nauha__source source = {.load = load, .context = &shelf};
    struct nauha_message message = {.info = weights_info(), .source = &source};
    struct nauha_error err = NAUHA_ERROR_INIT;
    struct nauha_tensor tensor;
    assert_int_equal(nauha_message_tensor(&message, &tensor, &err), NAUHA_DAMAGED);
    assert_string_equal(err.message, "reading \"weights\" of module \"fc\" of step 12: chunk 7 "
                                     "does not match its checksum");
    assert_null(message.data);
    message.info.module = NAUHA_NONE;
    message.info.kind_name = "loss";
    assert_int_equal(nauha_message_tensor(&message, &tensor, &err), NAUHA_DAMAGED);
    assert_string_equal(err.message,
                        "reading \"loss\" of step 12: chunk 7 does not match its checksum");
    /* It may work the next time. */
    shelf.fails = false;
    assert_int_equal(nauha_message_tensor(&message, &tensor, &err), NAUHA_OK);
    nauha__message_fini(&message);
}

static void test_events_and_empty_tensors(void **state) {
    (void)state;
    struct nauha_message event = {.info = {.kind_name = "batch_started", .module = NAUHA_NONE}};
    struct nauha_error err = NAUHA_ERROR_INIT;
    struct nauha_tensor tensor;
    assert_int_equal(nauha_message_tensor(&event, &tensor, &err), NAUHA_INVALID);
    assert_string_equal(err.message, "message \"batch_started\" is an event and has no tensor");

    static const int64_t none[] = {0, 3};
    struct shelf shelf = {.loads = 0};
    struct nauha__source source = {.load = load, .context = &shelf};
    struct nauha_message empty = {.info = weights_info(), .source = &source};
    empty.info.shape = none;
    empty.info.bytes = 0;
    assert_int_equal(nauha_message_tensor(&empty, &tensor, &err), NAUHA_OK);
    assert_int_equal(shelf.loads, 0);
    assert_null(tensor.data);
    assert_ptr_equal(tensor.shape, none);
    nauha__message_fini(&empty);
}

/* ---- pieces ---- */

/* What a visit has seen so far. */
struct visit {
    float elements[6];
    uint64_t count;
    unsigned pieces;
    bool stops;
};

static enum nauha_status visit_piece(void *context, const struct nauha_tensor *piece,
                                     uint64_t first, struct nauha_error *err) {
    struct visit *visit = context;
    assert_int_equal(piece->dtype, NAUHA_DTYPE_F32);
    assert_int_equal(piece->ndim, 1);
    assert_null(piece->strides);
    assert_int_equal(first, visit->count);
    assert_true(piece->shape[0] > 0 && visit->count + (uint64_t)piece->shape[0] <= 6);
    memcpy(visit->elements + first, piece->data, (size_t)piece->shape[0] * sizeof(float));
    visit->count += (uint64_t)piece->shape[0];
    visit->pieces++;
    return visit->stops ? nauha_error_set(err, NAUHA_LIMIT, "enough") : NAUHA_OK;
}

static enum nauha_status visit_elements(void *context, const struct nauha_message_info *info,
                                        uint64_t row, bool again, nauha_piece_fn fn,
                                        void *fn_context, struct nauha_error *err) {
    static const float elements[6] = {0.5f, 1.5f, 2.5f, 3.5f, 4.5f, 5.5f};
    static const int64_t four[] = {4}, two[] = {2};
    struct nauha_tensor piece = {.data = elements, .dtype = info->dtype, .ndim = 1, .shape = four};
    struct shelf *shelf = context;
    shelf->loads++;
    shelf->row = row;
    shelf->again = again;
    if (shelf->fails)
        return nauha_error_set(err, NAUHA_DAMAGED, "chunk 7 does not match its checksum");
    enum nauha_status status = fn(fn_context, &piece, 0, err);
    piece.data = elements + 4;
    piece.shape = two;
    return status == NAUHA_OK ? fn(fn_context, &piece, 4, err) : status;
}

/* Out of a source that can do so, without the whole tensor ever being there. */
static void test_pieces_of_a_source(void **state) {
    (void)state;
    struct shelf shelf = {.loads = 0};
    struct nauha__source source = {.load = load, .context = &shelf, .visit = visit_elements};
    struct nauha_message message = {.info = weights_info(), .source = &source, .row = 41};
    struct nauha_error err = NAUHA_ERROR_INIT;
    struct visit visit = {.count = 0}, again = {.count = 0}, cut = {.stops = true};
    message.expected.readings = 2;
    assert_int_equal(nauha_message_for_each_piece(&message, visit_piece, &visit, &err), NAUHA_OK);
    assert_int_equal(visit.count, 6);
    assert_int_equal(visit.pieces, 2);
    assert_true(shelf.again);
    assert_int_equal(shelf.row, 41);
    assert_null(message.data);
    assert_int_equal(nauha_message_for_each_piece(&message, visit_piece, &again, &err), NAUHA_OK);
    assert_int_equal(again.pieces, 2);
    assert_false(shelf.again);
    assert_int_equal(message.asked.readings, 2);
    /* Who fails is told apart. */
    assert_int_equal(nauha_message_for_each_piece(&message, visit_piece, &cut, &err), NAUHA_LIMIT);
    assert_string_equal(err.message, "enough");
    assert_false(message.damaged);
    shelf.fails = true;
    assert_int_equal(nauha_message_for_each_piece(&message, visit_piece, &cut, &err),
                     NAUHA_DAMAGED);
    assert_string_equal(err.message, "reading \"weights\" of module \"fc\" of step 12: chunk 7 "
                                     "does not match its checksum");
    assert_true(message.damaged);
    nauha__message_fini(&message);
}

static void test_tensor_limit(void **state) {
    (void)state;
    struct shelf shelf = {.loads = 0};
    struct nauha__source source = {.load = load, .context = &shelf, .visit = visit_elements};
    struct nauha_message message = {.info = weights_info(), .source = &source, .tensor_limit = 23};
    struct nauha_error err = NAUHA_ERROR_INIT;
    struct nauha_tensor tensor;
    struct visit visit = {.count = 0};
    assert_int_equal(nauha_message_tensor(&message, &tensor, &err), NAUHA_LIMIT);
    assert_string_equal(err.message,
                        "reading \"weights\" of module \"fc\" of step 12: the tensor has 24 bytes, "
                        "more than the tensor limit of 23: raise the limit (--tensor-limit), or "
                        "use metrics that read tensors piece by piece");
    assert_int_equal(shelf.loads, 0);
    assert_int_equal(nauha_message_for_each_piece(&message, visit_piece, &visit, &err), NAUHA_OK);
    assert_int_equal(visit.count, 6);
    message.tensor_limit = 24;
    assert_int_equal(nauha_message_tensor(&message, &tensor, &err), NAUHA_OK);
    nauha__message_fini(&message);
    /* What is in memory already is not limited. */
    const float live[6] = {0};
    struct nauha_message own = {.info = weights_info(), .data = live, .tensor_limit = 1};
    assert_int_equal(nauha_message_tensor(&own, &tensor, &err), NAUHA_OK);
    nauha__message_fini(&own);
}

static void test_pieces(void **state) {
    (void)state;
    static const float expected[6] = {0.5f, 1.5f, 2.5f, 3.5f, 4.5f, 5.5f};
    struct shelf shelf = {.loads = 0};
    struct nauha__source source = {.load = load, .context = &shelf};
    struct nauha_message recorded = {.info = weights_info(), .source = &source};
    struct nauha_message live = {.info = weights_info(), .data = expected};
    struct nauha_message *const messages[] = {&recorded, &live};
    struct nauha_error err = NAUHA_ERROR_INIT;
    for (size_t i = 0; i < 2; i++) {
        struct visit visit = {.count = 0}, cut = {.stops = true};
        assert_int_equal(nauha_message_for_each_piece(messages[i], visit_piece, &visit, &err),
                         NAUHA_OK);
        assert_int_equal(visit.count, 6);
        assert_memory_equal(visit.elements, expected, sizeof expected);
        assert_int_equal(nauha_message_for_each_piece(messages[i], visit_piece, &cut, &err),
                         NAUHA_LIMIT);
        assert_string_equal(err.message, "enough");
        assert_int_equal(cut.pieces, 1);
        nauha__message_fini(messages[i]);
    }
}

static void test_pieces_that_are_none(void **state) {
    (void)state;
    static const int64_t none[] = {0, 3};
    struct nauha_message event = {.info = {.kind_name = "batch_started", .module = NAUHA_NONE}};
    struct nauha_message empty = {.info = weights_info()};
    struct nauha_error err = NAUHA_ERROR_INIT;
    struct visit visit = {.count = 0};
    assert_int_equal(nauha_message_for_each_piece(&event, visit_piece, &visit, &err),
                     NAUHA_INVALID);
    assert_string_equal(err.message, "message \"batch_started\" is an event and has no tensor");
    empty.info.shape = none;
    empty.info.bytes = 0;
    assert_int_equal(nauha_message_for_each_piece(&empty, visit_piece, &visit, &err), NAUHA_OK);
    assert_int_equal(visit.pieces, 0);

    struct shelf shelf = {.fails = true};
    struct nauha__source source = {.load = load, .context = &shelf};
    struct nauha_message damaged = {.info = weights_info(), .source = &source};
    assert_int_equal(nauha_message_for_each_piece(&damaged, visit_piece, &visit, &err),
                     NAUHA_DAMAGED);
    assert_int_equal(visit.pieces, 0);
    assert_true(damaged.damaged);
}

static void test_retain_of_live_memory(void **state) {
    (void)state;
    float elements[] = {1, 2, 3, 4, 5, 6};
    int64_t shape[] = {2, 3};
    struct nauha_message message = {.info = weights_info(), .data = elements};
    message.info.shape = shape;
    message.stats = calloc(1, sizeof *message.stats);
    message.stats->sum = 21;
    struct nauha_message copy;
    assert_int_equal(nauha__message_retain(&message, &copy, NULL), NAUHA_OK);
    /* The training goes on and the message ends. */
    memset(elements, 0, sizeof elements);
    memset(shape, 0, sizeof shape);
    nauha__message_fini(&message);
    struct nauha_tensor tensor;
    assert_int_equal(nauha_message_tensor(&copy, &tensor, NULL), NAUHA_OK);
    assert_memory_equal(tensor.data, ((const float[]){1, 2, 3, 4, 5, 6}), 24);
    assert_memory_equal(tensor.shape, shape23, sizeof shape23);
    assert_int_equal(copy.info.global_step, 12);
    assert_true(copy.stats->sum == 21);
    nauha__message_fini(&copy);
}

/* Odd sizes: the shape behind the elements stays aligned. */
static void test_retain_of_odd_sizes(void **state) {
    (void)state;
    uint8_t elements[] = {1, 2, 3};
    int64_t three[] = {3}, zero[] = {0};
    struct nauha_message message = {.info = weights_info(), .data = elements};
    message.info.dtype = NAUHA_DTYPE_U8;
    message.info.ndim = 1;
    message.info.shape = three;
    message.info.bytes = 3;
    struct nauha_message copy;
    assert_int_equal(nauha__message_retain(&message, &copy, NULL), NAUHA_OK);
    assert_memory_equal(copy.data, elements, 3);
    assert_int_equal(copy.info.shape[0], 3);
    nauha__message_fini(&copy);

    message.data = NULL;
    message.info.shape = zero;
    message.info.bytes = 0;
    assert_int_equal(nauha__message_retain(&message, &copy, NULL), NAUHA_OK);
    assert_int_equal(copy.info.shape[0], 0);
    nauha__message_fini(&copy);

    struct nauha_message event = {.info = {.kind_name = "batch_started", .global_step = 3}};
    assert_int_equal(nauha__message_retain(&event, &copy, NULL), NAUHA_OK);
    assert_int_equal(copy.info.global_step, 3);
    assert_null(copy.owned);
    nauha__message_fini(&copy);
}

static void test_retain_of_a_source(void **state) {
    (void)state;
    struct shelf shelf = {.loads = 0};
    struct nauha__source source = {.load = load, .context = &shelf};
    struct nauha_message message = {.info = weights_info(), .source = &source, .row = 5};
    struct nauha_tensor tensor;
    assert_int_equal(nauha_message_tensor(&message, &tensor, NULL), NAUHA_OK);
    struct nauha_message copy;
    assert_int_equal(nauha__message_retain(&message, &copy, NULL), NAUHA_OK);
    nauha__message_fini(&message);
    assert_int_equal(shelf.loads, 1);
    assert_null(copy.data);
    assert_int_equal(nauha_message_tensor(&copy, &tensor, NULL), NAUHA_OK);
    assert_int_equal(shelf.loads, 2);
    assert_int_equal(shelf.row, 5);
    assert_true(((const float *)tensor.data)[1] == 1.5f);
    nauha__message_fini(&copy);
}

static void test_retain_fails(void **state) {
    (void)state;
    float element = 1;
    struct nauha_message message = {.info = weights_info(), .data = &element};
    message.info.bytes = UINT64_MAX - 3;
    struct nauha_message copy;
    struct nauha_error err = NAUHA_ERROR_INIT;
    assert_int_equal(nauha__message_retain(&message, &copy, &err), NAUHA_NOMEM);
    assert_string_equal(err.message, "no memory to keep \"weights\" (18446744073709551612 bytes) "
                                     "for a bundle");
    nauha__message_fini(&copy);
    message.data = NULL;
    assert_int_equal(nauha__message_retain(&message, &copy, &err), NAUHA_STATE);
    assert_string_equal(err.message, "message \"weights\" has lost its elements");
    struct nauha_tensor tensor;
    assert_int_equal(nauha_message_tensor(&message, &tensor, &err), NAUHA_STATE);
    assert_string_equal(err.message, "message \"weights\" has lost its elements");
}

static void test_resolve(void **state) {
    (void)state;
    struct nauha_names *names = nauha_names_new();
    struct nauha_message_info info = {.kind = NAUHA_KIND_BIASES, .has_tensor = true};
    uint32_t shape;
    nauha_names_add_module(names, "", "Net", &info.module, NULL);
    nauha_names_add_module(names, "fc", "Linear", &info.module, NULL);
    nauha_names_add_slot(names, "bias", &info.slot, NULL);
    nauha_names_add_tag(names, "testing", &info.tag, NULL);
    nauha_names_add_shape(names, shape23, 2, &shape, NULL);
    nauha__message_resolve(&info, names, shape);
    assert_string_equal(info.kind_name, "biases");
    assert_string_equal(info.module_name, "fc");
    assert_string_equal(info.module_class, "Linear");
    assert_string_equal(info.slot_name, "bias");
    assert_string_equal(info.tag_name, "testing");
    assert_int_equal(info.ndim, 2);
    assert_memory_equal(info.shape, shape23, sizeof shape23);

    struct nauha_message_info event = {.kind = 0, .module = NAUHA_NONE, .ndim = 9};
    nauha__message_resolve(&event, names, NAUHA_NONE);
    assert_string_equal(event.kind_name, "batch_started");
    assert_string_equal(event.module_name, "");
    assert_string_equal(event.module_class, "");
    assert_int_equal(event.ndim, 0);
    assert_null(event.shape);
    nauha_names_free(names);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_loaded_once),
    cmocka_unit_test(test_taken),
    cmocka_unit_test(test_taken_from_live_memory),
    cmocka_unit_test(test_load_fails),
    cmocka_unit_test(test_events_and_empty_tensors),
    cmocka_unit_test(test_pieces),
    cmocka_unit_test(test_pieces_of_a_source),
    cmocka_unit_test(test_tensor_limit),
    cmocka_unit_test(test_pieces_that_are_none),
    cmocka_unit_test(test_retain_of_live_memory),
    cmocka_unit_test(test_retain_of_odd_sizes),
    cmocka_unit_test(test_retain_of_a_source),
    cmocka_unit_test(test_retain_fails),
    cmocka_unit_test(test_resolve),
};
UNIT_MAIN(tests)
