/* SPDX-License-Identifier: MIT */
/* The sound traces that fuzzers change: a small one with some of everything, and one of many rows.
 */
#include "tests/fuzz/fuzz_trace.h"

#include "tests/unit/trace_fixture.h"

#define STEPS 4u
#define STEPS_PER_EPOCH 2u
#define ELEMENTS 150u /* of f32: in two chunks */
/* Five pages and a bit: see PAGE_ROWS and PAGES in replay/trace/index.c. */
#define LONG_ROWS (5u * 4096u + 40u)
#define METHODS ((size_t)NAUHA__CODEC_ZSTD + 1)

/* ---- messages ---- */

struct modules {
    uint32_t first, second, shape;
};

static void put_one_of_each_type(struct fixture *f, const struct modules *modules, uint64_t step) {
    static const int64_t dims[] = {2, 3, 1};
    unsigned char data[6 * 8];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (unsigned char)((i + step) % 2);
    for (int dtype = 0; nauha_dtype_size((enum nauha_dtype)dtype) > 0; dtype++)
        fixture_tensor(f, NAUHA_KIND_ACTIVATIONS, dtype % 2 ? modules->first : modules->second,
                       step, (enum nauha_dtype)dtype, 3, dims, data);
}

/* Weights, and their updates since those at `before`; returns where they begin. */
static uint64_t put_updates(struct fixture *f, const struct modules *modules, uint64_t step,
                            uint64_t before) {
    float weights[ELEMENTS];
    for (size_t i = 0; i < ELEMENTS; i++)
        weights[i] = (float)(100 * (step + 1) + i);
    struct nauha__index_row row = {.global_step = step,
                                   .epoch = (uint32_t)(step / STEPS_PER_EPOCH),
                                   .module = modules->first,
                                   .slot = 1,
                                   .tag = (uint16_t)(step % 2),
                                   .shape = modules->shape,
                                   .kind = NAUHA_KIND_WEIGHTS,
                                   .stream = 2,
                                   .dtype = NAUHA_DTYPE_F32,
                                   .flags = NAUHA__ROW_DATA};
    row.offset = fixture_put(f, 2, weights, sizeof weights);
    fixture_index(f, row);
    row.kind = NAUHA_KIND_WEIGHT_UPDATES;
    row.flags |= NAUHA__ROW_DERIVED;
    row.base = before;
    fixture_index(f, row);
    return row.offset;
}

static uint64_t put_step(struct fixture *f, const struct modules *modules, uint64_t step,
                         uint64_t before) {
    const double loss = 1.0 / (double)(step + 1);
    const int64_t labels[] = {1, 0}, count[] = {2}, none[] = {0, 3};
    fixture_event(f, NAUHA_KIND_BATCH_STARTED, step);
    fixture_tensor(f, NAUHA_KIND_INPUT_LABELS, NAUHA_NONE, step, NAUHA_DTYPE_I64, 1, count, labels);
    put_one_of_each_type(f, modules, step);
    fixture_tensor(f, NAUHA_KIND_NETWORK_OUTPUT, NAUHA_NONE, step, NAUHA_DTYPE_F32, 2, none, NULL);
    fixture_tensor(f, NAUHA_KIND_LOSS, NAUHA_NONE, step, NAUHA_DTYPE_F64, 0, NULL, &loss);
    uint64_t weights = put_updates(f, modules, step, before);
    if ((step + 1) % STEPS_PER_EPOCH == 0)
        fixture_event(f, NAUHA_KIND_EPOCH_FINISHED, step);
    return weights;
}

static void put_names(struct fixture *f, struct modules *modules) {
    const int64_t elements = ELEMENTS;
    fixture_kind(f, "sharpness", NAUHA_SCOPE_NETWORK, NAUHA_FORM_SCALAR);
    modules->first = fixture_module(f, "features.0", "Conv2d");
    modules->second = fixture_module(f, "", "Net");
    modules->shape = fixture_shape(f, 1, &elements);
    fixture_name(f, NAUHA__TABLE_SLOTS, "weight");
    fixture_name(f, NAUHA__TABLE_TAGS, "test");
    struct nauha__alias_row alias = {.module = modules->first, .alias_module = modules->second};
    fixture_row(f, NAUHA__TABLE_ALIASES, &alias);
    for (uint64_t i = 0; i < 3; i++) {
        struct nauha__loss_row loss = {
            .kind = (uint16_t)(i / 2), .reason = "buffer full", .messages = i, .bytes = 8 * i};
        fixture_row(f, NAUHA__TABLE_LOSSES, &loss);
    }
}

/* Steps of ten events each behind what is there. */
static void put_many_rows(struct fixture *f) {
    const struct nauha__table *table = nauha__table(NAUHA__TABLE_INDEX);
    uint64_t first = f->rows[NAUHA__TABLE_INDEX], count = LONG_ROWS - first;
    struct nauha__index_row *rows = calloc(count, sizeof *rows);
    fuzz_require(rows != NULL);
    for (uint64_t i = 0; i < count; i++) {
        rows[i] = (struct nauha__index_row){.seq = first + i,
                                            .global_step = STEPS + i / 10,
                                            .module = NAUHA_NONE,
                                            .kind = NAUHA_KIND_BATCH_STARTED,
                                            .stream = NAUHA__NO_STREAM};
        nauha__row_seal(table, &rows[i]);
    }
    fixture_append(f, NAUHA__TABLE_INDEX, rows, count);
    free(rows);
}

/* ---- files ---- */

static void write_template(const char *path, enum nauha__codec_method method, bool long_index) {
    struct fixture f;
    struct modules modules;
    fixture_new(&f, path,
                &(struct fixture_options){.method = method, .chunk_bytes = FUZZ_CHUNK_BYTES});
    put_names(&f, &modules);
    uint64_t weights = 0;
    for (uint64_t step = 0; step < STEPS; step++)
        weights = put_step(&f, &modules, step, weights);
    if (long_index)
        put_many_rows(&f);
    fixture_close(&f, "");
}

const unsigned char *fuzz_template(enum nauha__codec_method method, bool long_index,
                                   size_t *bytes) {
    static struct {
        unsigned char *data;
        size_t bytes;
    } files[METHODS][2];
    if (!files[0][0].data) {
        const char *path = fixture_path("template.h5");
        for (size_t i = 0; i < METHODS * 2; i++) {
            write_template(path, (enum nauha__codec_method)(i / 2), i % 2 == 1);
            files[i / 2][i % 2].data = fixture_slurp(path, &files[i / 2][i % 2].bytes);
        }
        fixture_clean();
    }
    *bytes = files[method][long_index].bytes;
    return files[method][long_index].data;
}
