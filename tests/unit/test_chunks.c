/* SPDX-License-Identifier: MIT */
/* Elements out of stored chunks: contents, the cache, and chunks that are not what they should be.
 */
#include "tests/unit/trace_fixture.h"

#include "replay/trace/parts.h"

#define EACH 64u /* f32 elements of one chunk here */
#define CHUNK_BYTES (EACH * sizeof(float))

static float value(uint64_t at) {
    return (float)(at % 1000) * 0.25f;
}

/* 10 chunks and a half of f32 in stream 2. */
static const char *write_stream(enum nauha__codec_method method) {
    const char *path = fixture_path("stream.h5");
    struct fixture f;
    fixture_new(&f, path, &(struct fixture_options){.method = method, .chunk_bytes = CHUNK_BYTES});
    float data[EACH * 10 + EACH / 2];
    for (size_t i = 0; i < sizeof data / sizeof *data; i++)
        data[i] = value(i);
    fixture_put(&f, 2, data, sizeof data);
    fixture_close(&f, "");
    return path;
}

struct opened {
    struct nauha_names *names;
    struct nauha_trace *trace;
};

static struct opened open_trace(const char *path) {
    struct opened opened = {.names = nauha_names_new()};
    struct nauha_error err = NAUHA_ERROR_INIT;
    if (nauha_trace_open(path, opened.names, &opened.trace, &err) != NAUHA_OK)
        fail_msg("%s", err.message);
    return opened;
}

static void close_trace(struct opened opened) {
    nauha_trace_close(opened.trace);
    nauha_names_free(opened.names);
}

static struct nauha__chunk_counts counts_of(struct opened opened) {
    struct nauha__chunk_counts counts;
    nauha__chunks_get_counts(opened.trace->chunks, &counts);
    return counts;
}

static void load_and_compare(struct nauha__chunks *chunks, uint64_t offset, uint64_t count) {
    const struct nauha__range range = {
        .stream = 2, .dtype = NAUHA_DTYPE_F32, .offset = offset, .count = count};
    float *data = NULL;
    struct nauha_error err = NAUHA_ERROR_INIT;
    if (nauha__chunks_load(chunks, &range, (void **)&data, &err) != NAUHA_OK)
        fail_msg("%s", err.message);
    for (uint64_t i = 0; i < count; i++)
        assert_true(data[i] == value(offset + i));
    free(data);
}

static void must_fail(struct nauha__chunks *chunks, const struct nauha__range *range,
                      enum nauha_status code, const char *text) {
    void *data = NULL;
    struct nauha_error err = NAUHA_ERROR_INIT;
    assert_int_equal(nauha__chunks_load(chunks, range, &data, &err), code);
    assert_null(data);
    if (!strstr(err.message, text))
        fail_msg("\"%s\" is not in: %s", text, err.message);
}

static void test_every_range_with_every_codec(void **state) {
    (void)state;
    static const enum nauha__codec_method methods[] = {NAUHA__CODEC_NONE, NAUHA__CODEC_LZ4,
                                                       NAUHA__CODEC_ZSTD};
    for (size_t m = 0; m < sizeof methods / sizeof *methods; m++) {
        struct opened opened = open_trace(write_stream(methods[m]));
        struct nauha__chunks *chunks = opened.trace->chunks;
        assert_int_equal(nauha__chunks_item_size(chunks, 2), 4);
        assert_int_equal(nauha__chunks_item_size(chunks, 3), 0);
        assert_int_equal(nauha__chunks_item_size(chunks, NAUHA__NO_STREAM), 0);
        assert_int_equal(nauha__chunks_extent(chunks, 2), EACH * 11);
        assert_int_equal(nauha__chunks_extent(chunks, 3), 0);
        assert_int_equal(nauha__chunks_elements(chunks, 2), EACH);
        load_and_compare(chunks, 0, 0);
        load_and_compare(chunks, 0, 1);
        load_and_compare(chunks, EACH - 1, 2);
        load_and_compare(chunks, EACH, EACH);
        load_and_compare(chunks, EACH * 3 + 7, EACH * 4);
        load_and_compare(chunks, 0, EACH * 10 + EACH / 2);
        close_trace(opened);
    }
}

static void test_a_chunk_is_decoded_once(void **state) {
    (void)state;
    struct opened opened = open_trace(write_stream(NAUHA__CODEC_ZSTD));
    struct nauha__chunks *chunks = opened.trace->chunks;
    for (uint64_t i = 0; i < EACH; i += 8)
        load_and_compare(chunks, i, 8);
    assert_int_equal(counts_of(opened).decoded, 1);
    assert_int_equal(counts_of(opened).reused, EACH / 8 - 1);
    /* Whole chunks go straight into the message, the ends through the cache. */
    load_and_compare(chunks, EACH + 1, EACH * 3);
    assert_int_equal(counts_of(opened).decoded, 1 + 4);
    /* The first chunk was read to its end, and made room. */
    assert_int_equal(counts_of(opened).cache_bytes, 2 * CHUNK_BYTES);
    close_trace(opened);
}

static void test_the_cache_keeps_its_budget(void **state) {
    (void)state;
    struct opened opened = open_trace(write_stream(NAUHA__CODEC_ZSTD));
    struct nauha_trace *trace = opened.trace;
    struct nauha__chunks *chunks =
        nauha__chunks_new(trace->file, trace->fd, trace->path, CHUNK_BYTES, 3 * CHUNK_BYTES + 5);
    struct nauha__stream_row stream = {.stream = 2, .item_size = 4};
    assert_int_equal(nauha__chunks_add_stream(chunks, &stream, NULL), NAUHA_OK);
    for (size_t i = 0; i < 11; i++) {
        const struct nauha__chunk *chunk = nauha__chunks_at(trace->chunks, i);
        const struct nauha__chunk_row row = {.number = chunk->number,
                                             .hash = chunk->hash,
                                             .stored = chunk->stored,
                                             .filter_mask = chunk->filter_mask,
                                             .stream = 2};
        assert_int_equal(nauha__chunks_add(chunks, &row, 11, NULL), NAUHA_OK);
    }
    assert_int_equal(nauha__chunks_seal(chunks, NULL), NAUHA_OK);
    /* Part of each of 0 1 2, then 0 again, then 3: 1 is the longest unused and goes. */
    static const struct {
        uint64_t chunk, decoded;
    } steps[] = {{0, 1}, {1, 2}, {2, 3}, {0, 3}, {3, 4}, {0, 4}, {2, 4}, {1, 5}, {3, 6}, {1, 6}};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        load_and_compare(chunks, steps[i].chunk * EACH + 3, 5);
        struct nauha__chunk_counts counts;
        nauha__chunks_get_counts(chunks, &counts);
        assert_int_equal(counts.decoded, steps[i].decoded);
        assert_true(counts.cache_bytes <= 3 * CHUNK_BYTES);
    }
    nauha__chunks_free(chunks);
    close_trace(opened);
}

static void test_the_cache_can_be_limited(void **state) {
    (void)state;
    struct opened opened = open_trace(write_stream(NAUHA__CODEC_ZSTD));
    struct nauha__chunks *chunks = opened.trace->chunks;
    nauha__chunks_limit_cache(chunks, 4 * CHUNK_BYTES);
    for (uint64_t i = 0; i < 10; i++)
        load_and_compare(chunks, i * EACH + 3, 5);
    assert_int_equal(counts_of(opened).cache_bytes, 4 * CHUNK_BYTES);
    nauha__chunks_limit_cache(chunks, 0); /* it stays as it is */
    nauha__chunks_limit_cache(chunks, 9 * CHUNK_BYTES);
    for (uint64_t i = 0; i < 10; i++)
        load_and_compare(chunks, i * EACH + 3, 5);
    assert_int_equal(counts_of(opened).cache_bytes, 4 * CHUNK_BYTES);
    close_trace(opened);
}

/* In a stream that differences are read from, whole chunks stay as well. */
static void test_differences(void **state) {
    (void)state;
    struct opened opened = open_trace(write_stream(NAUHA__CODEC_ZSTD));
    struct nauha__chunks *chunks = opened.trace->chunks;
    const struct nauha__range range = {.stream = 2,
                                       .dtype = NAUHA_DTYPE_F32,
                                       .derived = true,
                                       .offset = EACH * 2 + 5,
                                       .base = 17,
                                       .count = EACH * 2};
    float *data = NULL;
    assert_int_equal(nauha__chunks_load(chunks, &range, (void **)&data, NULL), NAUHA_OK);
    for (uint64_t i = 0; i < range.count; i++)
        assert_true(data[i] == value(range.offset + i) - value(range.base + i));
    free(data);
    assert_int_equal(counts_of(opened).decoded, 5);
    load_and_compare(chunks, 0, EACH * 5);
    assert_int_equal(counts_of(opened).decoded, 5);
    close_trace(opened);
}

/* ---- pieces ---- */

#define LONG_EACH 10240u /* f32 elements of a chunk: two pieces and a half */
#define EVEN_EACH 8192u  /* two pieces, as streams of a recorder have whole ones */
#define LONG_CHUNKS 7u

static const char *write_long_stream(size_t each) {
    static float data[LONG_EACH * LONG_CHUNKS];
    const size_t count = each * LONG_CHUNKS;
    const char *path = fixture_path("long.h5");
    struct fixture f;
    fixture_new(&f, path,
                &(struct fixture_options){.method = NAUHA__CODEC_ZSTD,
                                          .chunk_bytes = each * sizeof(float)});
    for (size_t i = 0; i < count; i++)
        data[i] = value(i);
    fixture_put(&f, 2, data, count * sizeof *data);
    fixture_close(&f, "");
    return path;
}

/* A visit, and perhaps one inside each of its calls. */
struct visit {
    struct nauha__chunks *chunks;
    const struct nauha__range *range;
    uint64_t seen;
    unsigned pieces;
    const struct nauha__range *inner;
    unsigned fails_at; /* piece, from 1 on; 0: never */
};

static enum nauha_status visit_piece(void *context, const struct nauha_tensor *piece,
                                     uint64_t first, struct nauha_error *err) {
    struct visit *visit = context;
    const struct nauha__range *range = visit->range;
    const uint64_t n = (uint64_t)piece->shape[0];
    const float *data = piece->data;
    assert_int_equal(piece->ndim, 1);
    assert_int_equal(piece->dtype, NAUHA_DTYPE_F32);
    assert_int_equal(first, visit->seen);
    assert_true(n > 0);
    if (visit->inner) {
        struct visit inner = {.chunks = visit->chunks, .range = visit->inner};
        assert_int_equal(
            nauha__chunks_visit(visit->chunks, visit->inner, false, visit_piece, &inner, err),
            NAUHA_OK);
        assert_int_equal(inner.seen, visit->inner->count);
    }
    for (uint64_t i = 0; i < n; i++) {
        const float expected = value(range->offset + first + i) -
                               (range->derived ? value(range->base + first + i) : 0);
        assert_true(data[i] == expected);
    }
    visit->seen += n;
    visit->pieces++;
    if (visit->seen < range->count)
        assert_int_equal(n % NAUHA_PIECE_ELEMENTS, 0);
    return visit->pieces == visit->fails_at ? nauha_error_set(err, NAUHA_LIMIT, "enough")
                                            : NAUHA_OK;
}

static void test_pieces(void **state) {
    (void)state;
    struct opened opened = open_trace(write_long_stream(LONG_EACH));
    struct nauha__chunks *chunks = opened.trace->chunks;
    static const uint64_t offsets[] = {0, 1, 4096, 6000, LONG_EACH - 1, LONG_EACH, 2 * LONG_EACH};
    static const uint64_t counts[] = {0, 1, 4095, 4096, 4097, LONG_EACH, 3 * LONG_EACH + 7};
    struct nauha_error err = NAUHA_ERROR_INIT;
    for (size_t i = 0; i < sizeof offsets / sizeof *offsets * 2; i++) {
        for (size_t j = 0; j < sizeof counts / sizeof *counts; j++) {
            const struct nauha__range range = {.stream = 2,
                                               .dtype = NAUHA_DTYPE_F32,
                                               .derived = i % 2 != 0,
                                               .offset = offsets[i / 2],
                                               .base = LONG_EACH + 99,
                                               .count = counts[j]};
            struct visit visit = {.chunks = chunks, .range = &range};
            assert_int_equal(nauha__chunks_visit(chunks, &range, false, visit_piece, &visit, &err),
                             NAUHA_OK);
            assert_int_equal(visit.seen, range.count);
        }
    }
    close_trace(opened);
}

/* Whole chunks that nobody is expected to ask for again share one place in the cache. */
static void test_pieces_leave_the_cache_alone(void **state) {
    (void)state;
    struct opened opened = open_trace(write_long_stream(EVEN_EACH));
    struct nauha__chunks *chunks = opened.trace->chunks;
    const struct nauha__range range = {
        .stream = 2, .dtype = NAUHA_DTYPE_F32, .count = EVEN_EACH * LONG_CHUNKS};
    struct visit visit = {.chunks = chunks, .range = &range};
    load_and_compare(chunks, 3, 5);
    assert_int_equal(nauha__chunks_visit(chunks, &range, false, visit_piece, &visit, NULL),
                     NAUHA_OK);
    assert_int_equal(counts_of(opened).decoded, LONG_CHUNKS);
    assert_true(counts_of(opened).cache_bytes <= 3 * EVEN_EACH * sizeof(float));
    /* What was there before still is. */
    load_and_compare(chunks, 3, 5);
    assert_int_equal(counts_of(opened).decoded, LONG_CHUNKS);
    /* Told that it is asked for again, it keeps all of them. */
    visit = (struct visit){.chunks = chunks, .range = &range};
    assert_int_equal(nauha__chunks_visit(chunks, &range, true, visit_piece, &visit, NULL),
                     NAUHA_OK);
    const uint64_t decoded = counts_of(opened).decoded;
    visit = (struct visit){.chunks = chunks, .range = &range};
    assert_int_equal(nauha__chunks_visit(chunks, &range, false, visit_piece, &visit, NULL),
                     NAUHA_OK);
    assert_int_equal(counts_of(opened).decoded, decoded);
    close_trace(opened);
}

/* In the smallest cache there is: what the outer visit looks at stays. */
static void test_pieces_inside_pieces(void **state) {
    (void)state;
    struct opened opened = open_trace(write_long_stream(LONG_EACH));
    struct nauha_trace *trace = opened.trace;
    struct nauha__chunks *chunks =
        nauha__chunks_new(trace->file, trace->fd, trace->path, LONG_EACH * sizeof(float), 0);
    struct nauha__stream_row stream = {.stream = 2, .item_size = 4};
    assert_int_equal(nauha__chunks_add_stream(chunks, &stream, NULL), NAUHA_OK);
    for (size_t i = 0; i < LONG_CHUNKS; i++) {
        const struct nauha__chunk *chunk = nauha__chunks_at(trace->chunks, i);
        const struct nauha__chunk_row row = {.number = chunk->number,
                                             .hash = chunk->hash,
                                             .stored = chunk->stored,
                                             .filter_mask = chunk->filter_mask,
                                             .stream = 2};
        assert_int_equal(nauha__chunks_add(chunks, &row, LONG_CHUNKS, NULL), NAUHA_OK);
    }
    assert_int_equal(nauha__chunks_seal(chunks, NULL), NAUHA_OK);
    const struct nauha__range outer = {
        .stream = 2, .dtype = NAUHA_DTYPE_F32, .offset = 50, .count = 4 * LONG_EACH};
    for (unsigned derived = 0; derived < 2; derived++) {
        const struct nauha__range inner = {.stream = 2,
                                           .dtype = NAUHA_DTYPE_F32,
                                           .derived = derived != 0,
                                           .offset = 3 * LONG_EACH + 5,
                                           .base = 5,
                                           .count = 3 * LONG_EACH};
        struct visit visit = {.chunks = chunks, .range = &outer, .inner = &inner};
        struct nauha_error err = NAUHA_ERROR_INIT;
        if (nauha__chunks_visit(chunks, &outer, false, visit_piece, &visit, &err) != NAUHA_OK)
            fail_msg("%s", err.message);
        assert_int_equal(visit.seen, outer.count);
    }
    struct nauha__chunk_counts counts;
    nauha__chunks_get_counts(chunks, &counts);
    assert_int_equal(counts.cache_bytes, 3 * LONG_EACH * sizeof(float));
    nauha__chunks_free(chunks);
    close_trace(opened);
}

static void test_a_visit_ends_where_it_is_told(void **state) {
    (void)state;
    struct opened opened = open_trace(write_long_stream(LONG_EACH));
    const struct nauha__range range = {
        .stream = 2, .dtype = NAUHA_DTYPE_F32, .offset = 1, .count = LONG_EACH * 2};
    struct visit visit = {.chunks = opened.trace->chunks, .range = &range, .fails_at = 2};
    struct nauha_error err = NAUHA_ERROR_INIT;
    assert_int_equal(
        nauha__chunks_visit(opened.trace->chunks, &range, false, visit_piece, &visit, &err),
        NAUHA_LIMIT);
    assert_string_equal(err.message, "enough");
    assert_int_equal(visit.pieces, 2);
    struct nauha__range beyond = range;
    beyond.count = LONG_EACH * LONG_CHUNKS;
    assert_int_equal(
        nauha__chunks_visit(opened.trace->chunks, &beyond, false, visit_piece, &visit, &err),
        NAUHA_DAMAGED);
    assert_int_equal(visit.pieces, 2);
    close_trace(opened);
}

static void test_what_is_not_there(void **state) {
    (void)state;
    struct opened opened = open_trace(write_stream(NAUHA__CODEC_ZSTD));
    struct nauha__chunks *chunks = opened.trace->chunks;
    struct nauha__range range = {
        .stream = 2, .dtype = NAUHA_DTYPE_F32, .offset = EACH * 11 - 1, .count = 2};
    must_fail(chunks, &range, NAUHA_DAMAGED, "chunk 11 of stream \"0002\"");
    must_fail(chunks, &range, NAUHA_DAMAGED, "is not in /chunks");
    range.count = UINT64_MAX - 5;
    must_fail(chunks, &range, NAUHA_DAMAGED, "is not in use");
    range.offset = UINT64_MAX / 2;
    range.count = 1;
    must_fail(chunks, &range, NAUHA_DAMAGED, "is not in /chunks");
    range = (struct nauha__range){.stream = 1, .dtype = NAUHA_DTYPE_F16, .count = 1};
    must_fail(chunks, &range, NAUHA_DAMAGED, "stream \"0001\"");
    range = (struct nauha__range){
        .stream = 2, .dtype = NAUHA_DTYPE_F32, .derived = true, .base = EACH * 11, .count = 1};
    must_fail(chunks, &range, NAUHA_DAMAGED, "is not in /chunks");
    assert_int_equal(counts_of(opened).decoded, 0);
    close_trace(opened);
}

/* The last row of a chunk counts; rows may come in any order and with holes. */
static void test_table_in_any_order(void **state) {
    (void)state;
    struct nauha__chunks *chunks = nauha__chunks_new(H5I_INVALID_HID, -1, "x", CHUNK_BYTES, 0);
    struct nauha__stream_row stream = {.stream = 7, .item_size = 4};
    assert_int_equal(nauha__chunks_add_stream(chunks, &stream, NULL), NAUHA_OK);
    stream.stream = 2;
    assert_int_equal(nauha__chunks_add_stream(chunks, &stream, NULL), NAUHA_OK);
    static const uint64_t numbers[] = {5, 0, 9, 5, 1};
    for (uint32_t i = 0; i < 5; i++) {
        const struct nauha__chunk_row row = {.number = numbers[i], .stored = 100 + i, .stream = 7};
        assert_int_equal(nauha__chunks_add(chunks, &row, 5, NULL), NAUHA_OK);
    }
    const struct nauha__chunk_row more = {.number = 0};
    struct nauha_error err = NAUHA_ERROR_INIT;
    assert_int_equal(nauha__chunks_add(chunks, &more, 5, &err), NAUHA_LIMIT);
    assert_non_null(strstr(err.message, "too many chunks"));
    assert_int_equal(nauha__chunks_seal(chunks, NULL), NAUHA_OK);
    assert_int_equal(nauha__chunks_find(chunks, 7, 5)->stored, 103);
    assert_int_equal(nauha__chunks_find(chunks, 7, 0)->stored, 101);
    assert_int_equal(nauha__chunks_find(chunks, 7, 1)->stored, 104);
    assert_int_equal(nauha__chunks_find(chunks, 7, 9)->stored, 102);
    assert_null(nauha__chunks_find(chunks, 7, 2));
    assert_null(nauha__chunks_find(chunks, 7, 10));
    assert_null(nauha__chunks_find(chunks, 2, 0));
    assert_null(nauha__chunks_find(chunks, 1, 0));
    assert_null(nauha__chunks_at(chunks, 4));
    assert_int_equal(nauha__chunks_extent(chunks, 7), 10 * EACH);
    nauha__chunks_set_incomplete(chunks);
    assert_true(nauha__chunks_extent(chunks, 7) == UINT64_MAX);
    stream.item_size = 3;
    assert_int_equal(nauha__chunks_add_stream(chunks, &stream, &err), NAUHA_FORMAT);
    stream = (struct nauha__stream_row){.stream = NAUHA__NO_STREAM, .item_size = 4};
    assert_int_equal(nauha__chunks_add_stream(chunks, &stream, &err), NAUHA_FORMAT);
    nauha__chunks_free(chunks);
}

/* A table row with one thing changed, behind the right one. */
static void damage_row(struct nauha__chunk_row change, const char *text) {
    const char *path = fixture_path("row.h5");
    struct fixture f;
    fixture_new(&f, path,
                &(struct fixture_options){.method = NAUHA__CODEC_ZSTD, .chunk_bytes = CHUNK_BYTES});
    float data[EACH];
    for (size_t i = 0; i < EACH; i++)
        data[i] = value(i);
    fixture_put(&f, 2, data, sizeof data);
    fixture_close(&f, "");
    struct opened opened = open_trace(path);
    struct nauha__chunk *chunk = nauha__chunks_find(opened.trace->chunks, 2, 0);
    chunk->stored += change.stored;
    chunk->hash += change.hash;
    chunk->filter_mask ^= change.filter_mask;
    const struct nauha__range range = {.stream = 2, .dtype = NAUHA_DTYPE_F32, .count = 3};
    must_fail(opened.trace->chunks, &range, NAUHA_DAMAGED, text);
    chunk->stored -= change.stored;
    chunk->hash -= change.hash;
    chunk->filter_mask ^= change.filter_mask;
    load_and_compare(opened.trace->chunks, 0, 3);
    close_trace(opened);
}

static void test_table_that_disagrees(void **state) {
    (void)state;
    damage_row((struct nauha__chunk_row){.stored = 1}, "has another size than /chunks says");
    damage_row((struct nauha__chunk_row){.hash = 1}, "does not match its checksum");
    damage_row((struct nauha__chunk_row){.filter_mask = 1}, "has another filter mask");
}

/* Bytes that match their checksum and are no frame of the codec. */
static void test_chunk_that_does_not_decode(void **state) {
    (void)state;
    const char *path = fixture_path("frame.h5");
    struct fixture f;
    fixture_new(&f, path,
                &(struct fixture_options){.method = NAUHA__CODEC_ZSTD, .chunk_bytes = CHUNK_BYTES});
    unsigned char junk[40] = {1, 2, 3};
    hsize_t offset = 0, extent = EACH;
    assert_true(H5Dset_extent(f.streams[2].dataset, &extent) >= 0);
    assert_true(H5Dwrite_chunk(f.streams[2].dataset, H5P_DEFAULT, 0, &offset, sizeof junk, junk) >=
                0);
    struct nauha__chunk_row row = {
        .hash = XXH3_64bits(junk, sizeof junk), .stored = sizeof junk, .stream = 2};
    fixture_row(&f, NAUHA__TABLE_CHUNKS, &row);
    row.number = 1; /* in the table only */
    fixture_row(&f, NAUHA__TABLE_CHUNKS, &row);
    struct nauha__stream_row stream = {.stream = 2, .item_size = 4};
    fixture_row(&f, NAUHA__TABLE_STREAMS_USED, &stream);
    stream = (struct nauha__stream_row){.stream = 3, .item_size = 4}; /* 8 in truth */
    fixture_row(&f, NAUHA__TABLE_STREAMS_USED, &stream);
    row = (struct nauha__chunk_row){.stream = 3};
    fixture_row(&f, NAUHA__TABLE_CHUNKS, &row);
    stream = (struct nauha__stream_row){.stream = 9, .item_size = 4}; /* no such dataset */
    fixture_row(&f, NAUHA__TABLE_STREAMS_USED, &stream);
    row.stream = 9;
    fixture_row(&f, NAUHA__TABLE_CHUNKS, &row);
    fixture_close(&f, "");
    struct opened opened = open_trace(path);
    struct nauha__range range = {.stream = 2, .dtype = NAUHA_DTYPE_F32, .count = 3};
    must_fail(opened.trace->chunks, &range, NAUHA_DAMAGED, "chunk 0 of stream \"0002\"");
    range.offset = EACH;
    must_fail(opened.trace->chunks, &range, NAUHA_DAMAGED, "is missing");
    range.offset = 0;
    range.stream = 3;
    must_fail(opened.trace->chunks, &range, NAUHA_FORMAT, "has elements of another size");
    range.stream = 9;
    for (int i = 0; i < 2; i++)
        must_fail(opened.trace->chunks, &range, NAUHA_FORMAT, "cannot open \"/streams/0009\"");
    close_trace(opened);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_every_range_with_every_codec),
    cmocka_unit_test(test_a_chunk_is_decoded_once),
    cmocka_unit_test(test_the_cache_keeps_its_budget),
    cmocka_unit_test(test_the_cache_can_be_limited),
    cmocka_unit_test(test_differences),
    cmocka_unit_test(test_pieces),
    cmocka_unit_test(test_pieces_leave_the_cache_alone),
    cmocka_unit_test(test_pieces_inside_pieces),
    cmocka_unit_test(test_a_visit_ends_where_it_is_told),
    cmocka_unit_test(test_what_is_not_there),
    cmocka_unit_test(test_table_in_any_order),
    cmocka_unit_test(test_table_that_disagrees),
    cmocka_unit_test(test_chunk_that_does_not_decode),
};

UNIT_MAIN_THEN(tests, fixture_clean())
