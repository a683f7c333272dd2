/* SPDX-License-Identifier: MIT */
/* What the codecs make of one chunk after another of made-up tensors: ratio, and MB/s of plain
 * bytes encoded and decoded on one core. Two of h5py's usual pipelines stand beside them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <zlib.h>
#include <zstd.h>

#include "nauha/internal/codec.h"
#include "tests/unit/codec_data.h"

enum { CHUNK = 256 * 1024, CHUNKS = 32, ROUNDS = 7 };

/* ---- data ---- */

struct input {
    const char *name;
    size_t item_size;
    void (*fill)(const struct input *input, unsigned char *at, size_t count);
    enum data_class class;
};

static void fill_class(const struct input *input, unsigned char *at, size_t count) {
    data_fill(input->class, 42, input->item_size, at, count);
}

/* Activations after a ReLU of feature maps: neighbours resemble each other, so zeros come in runs;
 * correlation 0.9 along a row. */
static void fill_maps(const struct input *input, unsigned char *at, size_t count) {
    uint64_t seed = 42;
    double value = 0;
    for (size_t i = 0; i < count; i++) {
        value = 0.9 * value + 0.4359 * data_normal(&seed);
        data_put(at + i * input->item_size, input->item_size, value > 0 ? value : 0);
    }
}

static const struct input inputs[] = {
    {"weights f32", 4, fill_class, DATA_NORMAL}, {"gradients f32", 4, fill_class, DATA_HEAVY_TAIL},
    {"ReLU f32", 4, fill_class, DATA_RELU},      {"ReLU maps f32", 4, fill_maps, DATA_RELU},
    {"images f32", 4, fill_class, DATA_IMAGES},  {"labels i64", 8, fill_class, DATA_LABELS},
    {"weights f64", 8, fill_class, DATA_NORMAL}, {"weights bf16", 2, fill_class, DATA_NORMAL},
    {"images u8", 1, fill_class, DATA_IMAGES},   {"random u32", 4, fill_class, DATA_RANDOM},
};

/* ---- codecs ---- */

struct bench {
    struct nauha__codec *codec;
    unsigned char *shuffled;
    ZSTD_CCtx *compress;
    ZSTD_DCtx *decompress;
};

struct stored {
    unsigned char *bytes;
    size_t size;
    uint32_t mask;
};

typedef void codec_call(struct bench *bench, size_t item_size, unsigned char *plain,
                        struct stored *stored);

static void nauha_encode(struct bench *bench, size_t item_size, unsigned char *plain,
                         struct stored *stored) {
    nauha__codec_encode(bench->codec, item_size, plain, CHUNK, stored->bytes, &stored->size,
                        &stored->mask);
}

static void nauha_decode(struct bench *bench, size_t item_size, unsigned char *plain,
                         struct stored *stored) {
    nauha__codec_decode(bench->codec, item_size, 1, stored->mask, stored->bytes, stored->size,
                        plain, CHUNK, NULL);
}

static void zstd_encode(struct bench *bench, size_t item_size, unsigned char *plain,
                        struct stored *stored) {
    nauha__shuffle(item_size, plain, CHUNK, bench->shuffled);
    stored->size = ZSTD_compressCCtx(bench->compress, stored->bytes, nauha__codec_bound(CHUNK),
                                     bench->shuffled, CHUNK, 1);
}

static void zstd_decode(struct bench *bench, size_t item_size, unsigned char *plain,
                        struct stored *stored) {
    ZSTD_decompressDCtx(bench->decompress, bench->shuffled, CHUNK, stored->bytes, stored->size);
    nauha__unshuffle(item_size, bench->shuffled, CHUNK, plain);
}

static void gzip_encode(struct bench *bench, size_t item_size, unsigned char *plain,
                        struct stored *stored) {
    uLongf size = (uLongf)nauha__codec_bound(CHUNK);
    nauha__shuffle(item_size, plain, CHUNK, bench->shuffled);
    compress2(stored->bytes, &size, bench->shuffled, CHUNK, 4);
    stored->size = size;
}

static void gzip_decode(struct bench *bench, size_t item_size, unsigned char *plain,
                        struct stored *stored) {
    uLongf size = CHUNK;
    uncompress(bench->shuffled, &size, stored->bytes, stored->size);
    nauha__unshuffle(item_size, bench->shuffled, CHUNK, plain);
}

struct method {
    const char *name;
    const char *codec; /* of ours */
    codec_call *encode, *decode;
    int rounds;
};

static const struct method methods[] = {
    {"plane frame", "zstd", nauha_encode, nauha_decode, ROUNDS},
    {"zstd:1", "zstd:1", nauha_encode, nauha_decode, ROUNDS},
    {"lz4", "lz4", nauha_encode, nauha_decode, ROUNDS},
    {"shuffle+zstd 1", NULL, zstd_encode, zstd_decode, ROUNDS},
    {"shuffle+gzip 4", NULL, gzip_encode, gzip_decode, 1},
};
enum { METHODS = sizeof methods / sizeof *methods };

/* ---- measuring ---- */

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

/* MB/s of the fastest of some rounds over all chunks. */
static double speed(const struct method *method, codec_call *call, struct bench *bench,
                    size_t item_size, unsigned char *plain, struct stored *stored) {
    double best = 1e9;
    for (int round = 0; round < method->rounds; round++) {
        double begin = now();
        for (size_t i = 0; i < CHUNKS; i++)
            call(bench, item_size, plain + i * CHUNK, &stored[i]);
        double took = now() - begin;
        best = took < best ? took : best;
    }
    return (double)CHUNK * CHUNKS / best / 1e6;
}

/* False where the bytes did not come back. */
static bool measure(const struct method *method, const struct input *input, unsigned char *plain,
                    unsigned char *back, struct stored *stored) {
    struct nauha__codec_config config = {.method = NAUHA__CODEC_NONE};
    nauha__codec_parse(method->codec ? method->codec : "none", &config, NULL);
    struct bench bench = {
        .codec = nauha__codec_new(&config, CHUNK),
        .shuffled = malloc(CHUNK),
        .compress = ZSTD_createCCtx(),
        .decompress = ZSTD_createDCtx(),
    };
    bool good = bench.codec && bench.shuffled && bench.compress && bench.decompress;
    if (good) {
        double encode = speed(method, method->encode, &bench, input->item_size, plain, stored);
        double decode = speed(method, method->decode, &bench, input->item_size, back, stored);
        size_t size = 0;
        for (size_t i = 0; i < CHUNKS; i++)
            size += stored[i].size;
        good = memcmp(plain, back, (size_t)CHUNK * CHUNKS) == 0;
        printf(" %7.2f@%5.0f/%5.0f", (double)CHUNK * CHUNKS / (double)size, encode, decode);
        fflush(stdout);
    }
    nauha__codec_free(bench.codec);
    free(bench.shuffled);
    ZSTD_freeCCtx(bench.compress);
    ZSTD_freeDCtx(bench.decompress);
    return good;
}

/* Arguments: the inputs to measure, by the beginnings of their names; none: all. */
static bool wanted(const struct input *input, int argc, char **argv) {
    for (int i = 1; i < argc; i++)
        if (strncmp(input->name, argv[i], strlen(argv[i])) == 0)
            return true;
    return argc == 1;
}

int main(int argc, char **argv) {
    struct stored stored[CHUNKS] = {{0}};
    size_t bytes = (size_t)CHUNK * CHUNKS, bound = nauha__codec_bound(CHUNK);
    unsigned char *plain = malloc(bytes), *back = calloc(1, bytes), *room = calloc(CHUNKS, bound);
    bool good = plain && back && room;
    printf("ratio@encode/decode MB/s, %d KB chunks\n%-14s", CHUNK / 1024, "");
    for (size_t m = 0; m < METHODS; m++)
        printf(" %19s", methods[m].name);
    printf("\n");
    for (size_t i = 0; i < CHUNKS && good; i++)
        stored[i].bytes = room + i * bound;
    for (size_t i = 0; i < sizeof inputs / sizeof *inputs && good; i++) {
        if (!wanted(&inputs[i], argc, argv))
            continue;
        printf("%-14s", inputs[i].name);
        inputs[i].fill(&inputs[i], plain, bytes / inputs[i].item_size);
        for (size_t m = 0; m < METHODS && good; m++)
            good = measure(&methods[m], &inputs[i], plain, back, stored);
        printf("\n");
    }
    if (!good)
        fprintf(stderr, "bench_codec: out of memory, or bytes that did not come back\n");
    free(plain);
    free(back);
    free(room);
    return good ? 0 : 1;
}
