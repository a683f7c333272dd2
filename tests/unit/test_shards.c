/* SPDX-License-Identifier: MIT */
/* Shards put together: any range of a whole, element types of sums, and what does not fit. */
#include "tests/unit/recorded.h"

#include "replay/trace/shards.h"

#define RANKS 4

static struct nauha_names *names;
static struct nauha__shards *shards;
static struct {
    unsigned char bytes[256];
    size_t size; /* of an element */
} stored[RANKS];

/* ---- a source of shards ---- */

static enum nauha_status read_stored(void *context, const struct nauha_message_info *info,
                                     uint64_t row, uint64_t first, uint64_t count, void *out,
                                     struct nauha_error *err) {
    (void)context;
    assert_true(first + count <= info->bytes / stored[row].size);
    if (stored[row].size == 8 && stored[row].bytes[0] == 99)
        return nauha_error_set(err, NAUHA_DAMAGED, "the chunk is damaged");
    memcpy(out, stored[row].bytes + first * stored[row].size, count * stored[row].size);
    return NAUHA_OK;
}

static const struct nauha__source source = {.read = read_stored};

/* Adds the shard of a rank; elements: an array of the type. */
static void add(uint32_t rank, enum nauha_dtype dtype, const int64_t *shape, uint32_t ndim,
                const struct nauha_placement *placement, const void *elements) {
    struct nauha_error err = NAUHA_ERROR_INIT;
    uint32_t number = 0;
    uint64_t count = 1;
    for (uint32_t i = 0; i < ndim; i++)
        count *= (uint64_t)shape[i];
    must(nauha_names_add_placement(names, shape, ndim, placement, &number, &err), &err);
    stored[rank].size = nauha_dtype_size(dtype);
    memcpy(stored[rank].bytes, elements, count * stored[rank].size);
    struct nauha_message message = {.info = {.rank = rank,
                                             .kind = NAUHA_KIND_LOSS,
                                             .module = NAUHA_NONE,
                                             .has_tensor = true,
                                             .dtype = dtype,
                                             .bytes = count * stored[rank].size},
                                    .source = &source,
                                    .row = rank};
    nauha__message_resolve(&message.info, names, number);
    must(nauha__shards_add(shards, &message, &err), &err);
}

static int setup(void **state) {
    (void)state;
    names = nauha_names_new();
    shards = nauha__shards_new(names);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    nauha__shards_free(shards);
    nauha_names_free(names);
    return 0;
}

/* ---- a whole ---- */

/* A whole of 3 x 4 x 2 in 2 x 2 boxes: every range of it, and pieces of it. */
static void test_every_range_of_a_whole(void **state) {
    (void)state;
    static const int64_t whole[] = {3, 4, 2};
    struct nauha_error err = NAUHA_ERROR_INIT;
    struct nauha_message *message = NULL;
    for (uint32_t rank = 0; rank < 4; rank++) {
        const int64_t offset[] = {rank / 2 * 2, rank % 2 * 3, 0};
        const int64_t shape[] = {rank / 2 ? 1 : 2, rank % 2 ? 1 : 3, 2};
        const struct nauha_placement placement = {.ndim = 3, .shape = whole, .offset = offset};
        int16_t elements[24];
        size_t n = 0;
        for (int64_t i = 0; i < shape[0]; i++)
            for (int64_t j = 0; j < shape[1]; j++)
                for (int64_t k = 0; k < 2; k++)
                    elements[n++] =
                        (int16_t)(((i + offset[0]) * 4 + j + offset[1]) * 2 + k + offset[2]);
        add(rank, NAUHA_DTYPE_I16, shape, 3, &placement, elements);
    }
    must(nauha__shards_next(shards, &message, &err), &err);
    const struct nauha_message_info *info = nauha_message_info(message);
    assert_int_equal(info->rank, 0);
    assert_int_equal(info->placement, 0);
    assert_int_equal(info->ndim, 3);
    assert_memory_equal(info->shape, whole, sizeof whole);
    assert_int_equal(info->bytes, 48);
    for (uint64_t first = 0; first <= 24; first++)
        for (uint64_t count = 0; count <= 24 - first; count++) {
            int16_t got[24];
            must(nauha_message_read(message, first, count, got, &err), &err);
            for (uint64_t i = 0; i < count; i++)
                assert_int_equal(got[i], first + i);
        }
    assert_int_equal(nauha__shards_stored(message)->info.rank, 0);
    assert_int_equal(nauha__shards_next(shards, &message, &err), NAUHA_END);
    assert_int_equal(nauha__shards_next(shards, &message, &err), NAUHA_END);
}

/* Sums are rounded in the element type, in the order of the summands. */
static void test_sums_in_the_element_type(void **state) {
    (void)state;
    static const int64_t whole[] = {2}, zero[] = {0};
    const struct {
        enum nauha_dtype dtype;
        const void *summands[3], *sum;
    } cases[] = {
        {NAUHA_DTYPE_F32,
         {(float[]){1e8f, 1}, (float[]){1, 2}, (float[]){-1e8f, 3}},
         (float[]){0, 6}},
        {NAUHA_DTYPE_F64,
         {(double[]){1e8, 1}, (double[]){1, 2}, (double[]){-1e8, 3}},
         (double[]){1, 6}},
        /* 256, 1, -256: 257 is no bf16 */
        {NAUHA_DTYPE_BF16,
         {(uint16_t[]){0x4380, 0x3f80}, (uint16_t[]){0x3f80, 0x4000}, (uint16_t[]){0xc380, 0x4040}},
         (uint16_t[]){0, 0x40c0}},
        {NAUHA_DTYPE_U8,
         {(uint8_t[]){200, 1}, (uint8_t[]){100, 2}, (uint8_t[]){1, 3}},
         (uint8_t[]){45, 6}},
        {NAUHA_DTYPE_BOOL,
         {(uint8_t[]){0, 0}, (uint8_t[]){1, 0}, (uint8_t[]){1, 0}},
         (uint8_t[]){1, 0}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct nauha_error err = NAUHA_ERROR_INIT;
        struct nauha_message *message = NULL;
        struct nauha_tensor tensor;
        nauha__shards_clear(shards);
        for (uint32_t rank = 0; rank < 3; rank++) {
            const struct nauha_placement placement = {
                .ndim = 1, .shape = whole, .offset = zero, .summand = rank, .summands = 3};
            add(rank, cases[i].dtype, whole, 1, &placement, cases[i].summands[rank]);
        }
        must(nauha__shards_next(shards, &message, &err), &err);
        must(nauha_message_tensor(message, &tensor, &err), &err);
        assert_memory_equal(tensor.data, cases[i].sum, 2 * nauha_dtype_size(cases[i].dtype));
    }
}

static void test_a_damaged_shard_damages_the_whole(void **state) {
    (void)state;
    static const int64_t whole[] = {2}, half[] = {1};
    struct nauha_error err = NAUHA_ERROR_INIT;
    struct nauha_message *message = NULL;
    struct nauha_tensor tensor;
    for (uint32_t rank = 0; rank < 2; rank++) {
        const int64_t offset[] = {rank};
        const struct nauha_placement placement = {.ndim = 1, .shape = whole, .offset = offset};
        add(rank, NAUHA_DTYPE_I64, half, 1, &placement, (int64_t[]){rank ? 99 : 1});
    }
    must(nauha__shards_next(shards, &message, &err), &err);
    assert_int_equal(nauha_message_tensor(message, &tensor, &err), NAUHA_DAMAGED);
    assert_has(err.message, "the chunk is damaged");
}

/* ---- what does not fit ---- */

struct part {
    int64_t length, offset, whole;
    enum nauha_dtype dtype;
    uint32_t summand, summands;
};

static enum nauha_status join(const struct part *parts, uint32_t count, struct nauha_error *err) {
    static const unsigned char elements[256];
    struct nauha_message *message = NULL;
    nauha__shards_clear(shards);
    for (uint32_t rank = 0; rank < count; rank++) {
        const struct part *part = &parts[rank];
        const struct nauha_placement placement = {.ndim = 1,
                                                  .shape = &part->whole,
                                                  .offset = &part->offset,
                                                  .summand = part->summand,
                                                  .summands = part->summands};
        add(rank, part->dtype, &part->length, 1, &placement, elements);
    }
    enum nauha_status status = nauha__shards_next(shards, &message, err);
    struct nauha_error end = NAUHA_ERROR_INIT;
    assert_int_equal(nauha__shards_next(shards, &message, &end), NAUHA_END);
    return status;
}

static void test_shards_that_are_no_whole(void **state) {
    (void)state;
    const enum nauha_dtype F = NAUHA_DTYPE_F32, D = NAUHA_DTYPE_F64;
    const struct {
        struct part parts[3];
        const char *fault; /* NULL: they are a whole */
    } cases[] = {
        {{{2, 0, 5, F, 0, 0}, {2, 2, 5, F, 0, 0}, {1, 4, 5, F, 0, 0}}, NULL},
        {{{2, 0, 5, F, 0, 0}, {3, 2, 5, F, 0, 0}, {0, 5, 5, F, 0, 0}}, NULL}, /* empty */
        {{{5, 0, 5, F, 0, 0}, {5, 0, 5, F, 0, 0}, {5, 0, 5, F, 0, 0}}, NULL}, /* replicas */
        {{{0, 0, 0, F, 0, 0}, {0, 0, 0, F, 0, 0}, {0, 0, 0, F, 0, 0}}, NULL},
        {{{2, 0, 5, F, 0, 0}, {2, 2, 5, F, 0, 0}, {0, 4, 5, F, 0, 0}}, "missing"},
        {{{0, 0, 5, F, 0, 0}, {0, 0, 5, F, 0, 0}, {0, 4, 5, F, 0, 0}}, "missing"},
        {{{3, 0, 5, F, 0, 0}, {3, 1, 5, F, 0, 0}, {1, 4, 5, F, 0, 0}}, "missing"}, /* overlap */
        {{{3, 0, 5, F, 0, 0}, {2, 2, 5, F, 0, 0}, {0, 4, 5, F, 0, 0}}, "missing"}, /* enough, but */
        {{{2, 0, 5, F, 0, 0}, {2, 2, 5, D, 0, 0}, {1, 4, 5, F, 0, 0}}, "do not fit together"},
        {{{2, 0, 5, F, 0, 0}, {2, 2, 6, F, 0, 0}, {1, 4, 5, F, 0, 0}}, "do not fit together"},
        {{{5, 0, 5, F, 0, 2}, {5, 0, 5, F, 1, 2}, {5, 0, 5, F, 1, 2}}, NULL},
        {{{5, 0, 5, F, 0, 3}, {5, 0, 5, F, 1, 3}, {5, 0, 5, F, 1, 3}}, "missing"},
        {{{5, 0, 5, F, 0, 2}, {5, 0, 5, F, 1, 2}, {5, 0, 5, F, 0, 0}}, "do not fit together"},
        {{{5, 0, 5, F, 0, UINT32_MAX}, {5, 0, 5, F, 1, UINT32_MAX}, {5, 0, 5, F, 2, UINT32_MAX}},
         "missing"},
        /* of more elements than memory can hold */
        {{{0, 0, INT64_MAX, F, 0, 0}, {0, 0, INT64_MAX, F, 0, 0}, {0, 0, INT64_MAX, F, 0, 0}},
         "more elements than memory can hold"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct nauha_error err = NAUHA_ERROR_INIT;
        const enum nauha_status status = join(cases[i].parts, 3, &err);
        if (status != (cases[i].fault ? NAUHA_DAMAGED : NAUHA_OK))
            fail_msg("case %zu: %s", i, err.message);
        if (cases[i].fault)
            assert_has(err.message, cases[i].fault);
    }
}

#define RUN(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

static const struct CMUnitTest tests[] = {
    RUN(test_every_range_of_a_whole),
    RUN(test_sums_in_the_element_type),
    RUN(test_a_damaged_shard_damages_the_whole),
    RUN(test_shards_that_are_no_whole),
};

UNIT_MAIN(tests)
