/* SPDX-License-Identifier: MIT */
/* Chunks of the codec under stock HDF5: H5Dread with the filters' plugins, and what ours do with
 * damage. The test runner points HDF5_PLUGIN_PATH to ours. */
#include "unit.h"

#include <glob.h>
#include <hdf5.h>
#include <string.h>
#include <zstd.h>

#include "codec_data.h"
#include "nauha/internal/codec.h"
#include "recorder/core/codec/temporal.h"

enum { CHUNK_BYTES = 256 * 1024, CHUNKS = 3 };

/* Debian's plugins, where the runner has not named them. */
static void add_plugin_folders(void) {
    static const char *const patterns[] = {"/usr/lib/*/hdf5/plugins",
                                           "/usr/lib/*/hdf5/serial/plugins"};
    for (size_t p = 0; p < sizeof patterns / sizeof *patterns; p++) {
        glob_t found = {0};
        if (glob(patterns[p], 0, NULL, &found) == 0)
            for (size_t i = 0; i < found.gl_pathc; i++)
                H5PLappend(found.gl_pathv[i]);
        globfree(&found);
    }
}

static int setup(void **state) {
    (void)state;
    add_plugin_folders();
    return H5Eset_auto2(H5E_DEFAULT, NULL, NULL) < 0;
}

static void skip_without(unsigned id, const char *name) {
    if (H5Zfilter_avail((H5Z_filter_t)id) > 0)
        return;
    print_message("skipped: no HDF5 plugin of filter %u (%s); HDF5_PLUGIN_PATH names its folder\n",
                  id, name);
    skip();
}

struct dataset {
    hid_t file, space, plist, id, type;
    size_t item_size;
};

/* `chunks` chunks of chunk_bytes in a file in memory, in the pipeline of a trace's streams;
 * compressed by filter `id`. */
static struct dataset open_dataset(unsigned id, size_t item_size, size_t chunk_bytes,
                                   size_t chunks) {
    const hid_t types[] = {0, H5T_NATIVE_UINT8, H5T_NATIVE_UINT16, 0, H5T_NATIVE_UINT32, 0, 0,
                           0, H5T_NATIVE_UINT64};
    struct dataset d = {.item_size = item_size, .type = types[item_size]};
    hsize_t chunk = chunk_bytes / item_size, total = chunk * chunks;
    hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    assert_true(H5Pset_fapl_core(access, 1 << 20, 0) >= 0);
    d.file = H5Fcreate("codec-test.h5", H5F_ACC_TRUNC, H5P_DEFAULT, access);
    d.space = H5Screate_simple(1, &total, NULL);
    d.plist = H5Pcreate(H5P_DATASET_CREATE);
    assert_true(H5Pset_chunk(d.plist, 1, &chunk) >= 0);
    const unsigned sparse[] = {(unsigned)item_size, (unsigned)chunk_bytes};
    assert_true(H5Pset_filter(d.plist, (H5Z_filter_t)NAUHA__FILTER_SPARSE, H5Z_FLAG_OPTIONAL, 2,
                              sparse) >= 0);
    assert_true(H5Pset_shuffle(d.plist) >= 0);
    assert_true(H5Pset_filter(d.plist, (H5Z_filter_t)id, H5Z_FLAG_OPTIONAL, 0, NULL) >= 0);
    d.id = H5Dcreate2(d.file, "stream", d.type, d.space, H5P_DEFAULT, d.plist, H5P_DEFAULT);
    assert_true(d.id >= 0);
    H5Pclose(access);
    return d;
}

/* HDF5 1.10 remembers a chunk that was written directly, but not its filter mask. */
static void reopen(struct dataset *d) {
    char name[32];
    assert_true(H5Iget_name(d->id, name, sizeof name) > 0);
    H5Dclose(d->id);
    d->id = H5Dopen2(d->file, name, H5P_DEFAULT);
    assert_true(d->id >= 0);
}

static void close_dataset(struct dataset *d) {
    H5Dclose(d->id);
    H5Pclose(d->plist);
    H5Sclose(d->space);
    assert_true(H5Fclose(d->file) >= 0);
}

static bool has_zeros(enum data_class class) {
    return class == DATA_ZEROS || class == DATA_RELU || class == DATA_IMAGES;
}

/* A chunk of each of three classes through the codec, back through H5Dread. */
static void check_read(enum nauha__codec_method method, unsigned id, size_t item_size,
                       const enum data_class classes[CHUNKS]) {
    const struct nauha__codec_config config = {.method = method};
    struct nauha__codec *codec = nauha__codec_new(&config, CHUNK_BYTES);
    unsigned char *plain = malloc((size_t)CHUNKS * CHUNK_BYTES);
    unsigned char *back = calloc(CHUNKS, CHUNK_BYTES);
    unsigned char *stored = malloc(nauha__codec_bound(CHUNK_BYTES));
    assert_true(codec && plain && back && stored);
    struct dataset d = open_dataset(id, item_size, CHUNK_BYTES, CHUNKS);
    for (size_t i = 0; i < CHUNKS; i++) {
        size_t size = 0;
        uint32_t mask = 0;
        hsize_t offset = i * CHUNK_BYTES / item_size;
        unsigned char *chunk = plain + i * CHUNK_BYTES;
        data_fill(classes[i], 17 + i, item_size, chunk, CHUNK_BYTES / item_size);
        nauha__codec_encode(codec, item_size, chunk, CHUNK_BYTES, stored, &size, &mask);
        assert_int_equal(mask == NAUHA__MASK_RAW, classes[i] == DATA_RANDOM);
        assert_int_equal((mask & NAUHA__SKIP_OURS) == 0, has_zeros(classes[i]) && item_size > 1);
        assert_true(H5Dwrite_chunk(d.id, H5P_DEFAULT, mask, &offset, size, stored) >= 0);
    }
    assert_true(H5Dread(d.id, d.type, H5S_ALL, H5S_ALL, H5P_DEFAULT, back) >= 0);
    assert_memory_equal(back, plain, (size_t)CHUNKS * CHUNK_BYTES);
    close_dataset(&d);
    nauha__codec_free(codec);
    free(plain);
    free(back);
    free(stored);
}

static void check_method(enum nauha__codec_method method, unsigned id) {
    static const enum data_class sets[][CHUNKS] = {{DATA_RELU, DATA_RANDOM, DATA_ZEROS},
                                                   {DATA_LABELS, DATA_RAMP, DATA_RANDOM_HIGH},
                                                   {DATA_IMAGES, DATA_CONSTANT, DATA_LABELS}};
    for (size_t item_size = 1; item_size <= 8; item_size *= 2)
        for (size_t s = 0; s < sizeof sets / sizeof *sets; s++)
            if (item_size > 1 || s != 1) /* half of a byte is no plane */
                check_read(method, id, item_size, sets[s]);
}

static void test_stock_zstd(void **state) {
    (void)state;
    skip_without(NAUHA__FILTER_ZSTD, "zstd");
    check_method(NAUHA__CODEC_ZSTD, NAUHA__FILTER_ZSTD);
}

static void test_stock_lz4(void **state) {
    (void)state;
    skip_without(NAUHA__FILTER_LZ4, "lz4");
    check_method(NAUHA__CODEC_LZ4, NAUHA__FILTER_LZ4);
}

/* What the stock filters write, our decoder reads. */
static void check_written_by_stock(enum nauha__codec_method method, unsigned id) {
    const struct nauha__codec_config config = {.method = method};
    struct nauha__codec *codec = nauha__codec_new(&config, CHUNK_BYTES);
    unsigned char *plain = malloc(CHUNK_BYTES), *back = malloc(CHUNK_BYTES);
    unsigned char *stored = malloc(2 * CHUNK_BYTES);
    assert_true(codec && plain && back && stored);
    struct dataset d = open_dataset(id, 4, CHUNK_BYTES, 1);
    data_fill(DATA_RELU, 17, 4, plain, CHUNK_BYTES / 4);
    assert_true(H5Dwrite(d.id, d.type, H5S_ALL, H5S_ALL, H5P_DEFAULT, plain) >= 0);
    assert_true(H5Dflush(d.id) >= 0);
    hsize_t size = 0, offset = 0;
    uint32_t mask = 77;
    assert_true(H5Dget_chunk_storage_size(d.id, &offset, &size) >= 0);
    assert_true(size < CHUNK_BYTES);
    assert_true(H5Dread_chunk(d.id, H5P_DEFAULT, &offset, &mask, stored) >= 0);
    assert_int_equal(mask, NAUHA__MASK_SHUFFLED);
    assert_int_equal(nauha__codec_decode(codec, 4, 1, mask, stored, size, back, CHUNK_BYTES, NULL),
                     NAUHA_OK);
    assert_memory_equal(back, plain, CHUNK_BYTES);
    close_dataset(&d);
    nauha__codec_free(codec);
    free(plain);
    free(back);
    free(stored);
}

static void test_written_by_stock_zstd(void **state) {
    (void)state;
    skip_without(NAUHA__FILTER_ZSTD, "zstd");
    check_written_by_stock(NAUHA__CODEC_ZSTD, NAUHA__FILTER_ZSTD);
}

static void test_written_by_stock_lz4(void **state) {
    (void)state;
    skip_without(NAUHA__FILTER_LZ4, "lz4");
    check_written_by_stock(NAUHA__CODEC_LZ4, NAUHA__FILTER_LZ4);
}

/* ---- sliced chunks ---- */

/* In the pipeline of a sliced stream. */
static struct dataset open_sliced(unsigned id, size_t item_size, size_t chunk_bytes,
                                  size_t slices) {
    struct dataset d = open_dataset(id, item_size, chunk_bytes, 1);
    const unsigned about[] = {(unsigned)item_size, (unsigned)chunk_bytes, (unsigned)slices};
    H5Dclose(d.id);
    assert_true(H5Premove_filter(d.plist, H5Z_FILTER_ALL) >= 0);
    assert_true(H5Pset_filter(d.plist, (H5Z_filter_t)NAUHA__FILTER_TEMPORAL, H5Z_FLAG_OPTIONAL, 3,
                              about) >= 0);
    assert_true(H5Pset_shuffle(d.plist) >= 0);
    assert_true(H5Pset_filter(d.plist, (H5Z_filter_t)id, H5Z_FLAG_OPTIONAL, 0, NULL) >= 0);
    d.id = H5Dcreate2(d.file, "sliced", d.type, d.space, H5P_DEFAULT, d.plist, H5P_DEFAULT);
    assert_true(d.id >= 0);
    return d;
}

/* Values that move from slice to slice, or do not, in part of the chunk. */
static void check_sliced(enum nauha__codec_method method, unsigned id, size_t item_size,
                         const struct nauha__slices *slices, enum data_class class) {
    const struct nauha__codec_config config = {.method = method, .temporal = true};
    struct nauha__codec *codec = nauha__codec_new(&config, CHUNK_BYTES);
    unsigned char *plain = calloc(1, CHUNK_BYTES), *back = malloc(CHUNK_BYTES);
    unsigned char *stored = malloc(nauha__codec_bound(CHUNK_BYTES));
    assert_true(codec && plain && back && stored);
    for (size_t row = 0; row < slices->rows; row++) {
        unsigned char *at = plain + row * CHUNK_BYTES / slices->slices;
        data_fill(class, class == DATA_NORMAL ? 5 : 5 + row, item_size, at, slices->width);
        for (size_t i = 0; i < slices->width; i++)
            at[i * item_size] = (unsigned char)(at[i * item_size] + row);
    }
    size_t size = 0;
    uint32_t mask = 0;
    hsize_t offset = 0;
    struct dataset d = open_sliced(id, item_size, CHUNK_BYTES, slices->slices);
    nauha__codec_encode_slices(codec, item_size, slices, plain, CHUNK_BYTES, stored, &size, &mask);
    assert_true(H5Dwrite_chunk(d.id, H5P_DEFAULT, mask, &offset, size, stored) >= 0);
    reopen(&d);
    assert_true(H5Dread(d.id, d.type, H5S_ALL, H5S_ALL, H5P_DEFAULT, back) >= 0);
    assert_memory_equal(back, plain, CHUNK_BYTES);
    close_dataset(&d);
    nauha__codec_free(codec);
    free(plain);
    free(back);
    free(stored);
}

static void check_sliced_method(enum nauha__codec_method method, unsigned id) {
    for (size_t item_size = 1; item_size <= 8; item_size *= 2) {
        for (size_t count = 2; count <= 16; count *= 2) {
            size_t width = CHUNK_BYTES / count / item_size;
            const struct nauha__slices whole = {count, count, width};
            const struct nauha__slices part = {count, 1 + count / 2, width / 3};
            check_sliced(method, id, item_size, &whole, DATA_NORMAL);
            check_sliced(method, id, item_size, &part, DATA_NORMAL);
            check_sliced(method, id, item_size, &part, DATA_RANDOM);
            check_sliced(method, id, item_size, &whole, DATA_RANDOM);
        }
    }
}

static void test_stock_sliced_zstd(void **state) {
    (void)state;
    skip_without(NAUHA__FILTER_TEMPORAL, "nauha temporal");
    skip_without(NAUHA__FILTER_ZSTD, "zstd");
    check_sliced_method(NAUHA__CODEC_ZSTD, NAUHA__FILTER_ZSTD);
}

static void test_stock_sliced_lz4(void **state) {
    (void)state;
    skip_without(NAUHA__FILTER_TEMPORAL, "nauha temporal");
    skip_without(NAUHA__FILTER_LZ4, "lz4");
    check_sliced_method(NAUHA__CODEC_LZ4, NAUHA__FILTER_LZ4);
}

/* ---- damage under the plugins ---- */

enum { SMALL = 4096 };

static void check_refused(uint32_t mask, const void *stored, size_t size) {
    unsigned char back[SMALL];
    hsize_t offset = 0;
    struct dataset d = open_dataset(NAUHA__FILTER_ZSTD, 4, SMALL, 1);
    assert_true(H5Dwrite_chunk(d.id, H5P_DEFAULT, mask, &offset, size, stored) >= 0);
    reopen(&d);
    assert_true(H5Dread(d.id, d.type, H5S_ALL, H5S_ALL, H5P_DEFAULT, back) < 0);
    assert_true(H5Eget_num(H5E_DEFAULT) > 0);
    close_dataset(&d);
}

static void test_zstd_plugin_refuses_damage(void **state) {
    (void)state;
    skip_without(NAUHA__FILTER_ZSTD, "zstd");
    unsigned char plain[SMALL], frame[2 * SMALL], bad[2 * SMALL];
    data_fill(DATA_RELU, 17, 4, plain, SMALL / 4);
    size_t size = ZSTD_compress(frame, sizeof frame, plain, SMALL, 1);
    assert_false(ZSTD_isError(size));
    for (size_t part = 1; part < size; part += 97)
        check_refused(NAUHA__MASK_SHUFFLED, frame, part);
    memcpy(bad, frame, size);
    bad[0] ^= 1; /* the magic number */
    check_refused(NAUHA__MASK_SHUFFLED, bad, size);
    memcpy(bad, frame, size);
    bad[size] = 0; /* something after the frame */
    check_refused(NAUHA__MASK_SHUFFLED, bad, size + 1);
    /* Frames that claim 2^40 and 2^31 bytes, no size, none at all (RFC 8878, section 3.1.1.1). */
    static const unsigned char huge[] = {0x28, 0xB5, 0x2F, 0xFD, 0xE0, 0, 0, 0,
                                         0,    0,    1,    0,    0,    1, 0, 0};
    static const unsigned char large[] = {0x28, 0xB5, 0x2F, 0xFD, 0xA0, 0, 0, 0, 0x80, 1, 0, 0};
    static const unsigned char unsaid[] = {0x28, 0xB5, 0x2F, 0xFD, 0, 0x58, 9, 0, 0, 'x'};
    static const unsigned char empty[] = {0x28, 0xB5, 0x2F, 0xFD, 0x20, 0, 1, 0, 0};
    check_refused(NAUHA__MASK_SHUFFLED, huge, sizeof huge);
    check_refused(NAUHA__MASK_SHUFFLED, large, sizeof large);
    check_refused(NAUHA__MASK_SHUFFLED, unsaid, sizeof unsaid);
    check_refused(NAUHA__MASK_SHUFFLED, empty, sizeof empty);
}

static void test_sparse_plugin_refuses_damage(void **state) {
    (void)state;
    skip_without(NAUHA__FILTER_SPARSE, "nauha sparse");
    enum { BITMAP = SMALL / 4 / 8 };
    unsigned char image[2 * SMALL] = {0};
    const uint32_t raw = NAUHA__MASK_OURS_RAW;
    image[4 * 8] = 0xff; /* eight items at the front of the chunk */
    for (size_t size = 1; size < BITMAP + 4 * 8; size++)
        check_refused(raw, image, size);
    check_refused(raw, image, BITMAP + 4 * 8 + 1);
    check_refused(raw, image, BITMAP + 4 * 8 + 4);
    image[4 * 8 + BITMAP - 1] = 1;
    check_refused(raw, image, BITMAP + 4 * 8);
}

static void test_temporal_plugin_refuses_damage(void **state) {
    (void)state;
    skip_without(NAUHA__FILTER_TEMPORAL, "nauha temporal");
    enum { SLICES = 4, WIDTH = 10 };
    unsigned char image[SMALL + 64] = {0}, back[SMALL];
    for (size_t rows = 0; rows <= SLICES + 1; rows++) {
        for (size_t extra = 0; extra < 4 * WIDTH; extra += 7) {
            size_t size = rows * WIDTH * 4 + extra;
            struct nauha__temporal about = {.width = WIDTH};
            hsize_t offset = 0;
            struct dataset d = open_sliced(NAUHA__FILTER_ZSTD, 4, SMALL, SLICES);
            nauha__temporal_put_tail(&about, image + size);
            assert_true(H5Dwrite_chunk(d.id, H5P_DEFAULT, NAUHA__MASK_OURS_RAW, &offset, size + 8,
                                       image) >= 0);
            reopen(&d);
            bool good = rows > 0 && rows <= SLICES && extra == 0;
            herr_t read = H5Dread(d.id, d.type, H5S_ALL, H5S_ALL, H5P_DEFAULT, back);
            assert_int_equal(read >= 0, good);
            close_dataset(&d);
            memset(image, 0, sizeof image);
        }
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup(test_stock_zstd, setup),
    cmocka_unit_test_setup(test_stock_lz4, setup),
    cmocka_unit_test_setup(test_written_by_stock_zstd, setup),
    cmocka_unit_test_setup(test_written_by_stock_lz4, setup),
    cmocka_unit_test_setup(test_zstd_plugin_refuses_damage, setup),
    cmocka_unit_test_setup(test_sparse_plugin_refuses_damage, setup),
    cmocka_unit_test_setup(test_stock_sliced_zstd, setup),
    cmocka_unit_test_setup(test_stock_sliced_lz4, setup),
    cmocka_unit_test_setup(test_temporal_plugin_refuses_damage, setup),
};

UNIT_MAIN(tests)
