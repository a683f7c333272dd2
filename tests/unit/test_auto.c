/* SPDX-License-Identifier: MIT */
/* The codec `auto`: whatever is chosen for each chunk, all elements come back, and the trace tells
 * what was chosen. */
#include "tests/unit/recorded.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <sys/syscall.h>

#include "recorder/buffer.h"
#include "replay/trace/parts.h"
#include "tests/unit/codec_data.h"

/* ---- a choice that follows a script ---- */

/* Bit i: whether chunk i is stored raw; from the beginning again after 64. */
static uint64_t script;
static atomic_uint asked;

/* This one is linked instead of the library's. */
bool nauha__choose_raw(struct nauha__choice *choice, const struct nauha__fill *fill) {
    assert_true(fill->room >= 4 && fill->workers >= 1);
    assert_true(fill->sealed + fill->encoded <= fill->room);
    choice->raw = script >> atomic_fetch_add(&asked, 1) % 64 & 1;
    return choice->raw;
}

/* ---- recordings ---- */

enum { STEPS = 12, WEIGHTS = 50 * 1000, ACTIVATIONS = 300 * 1000 };

static float weights_of[STEPS + 1][WEIGHTS], activations_of[STEPS][ACTIVATIONS];

static void fill(enum data_class class, uint64_t seed, float *at, size_t count) {
    data_fill(class, seed, sizeof *at, (unsigned char *)at, count);
}

static int make_elements(void **state) {
    (void)state;
    for (uint64_t step = 0; step <= STEPS; step++)
        fill(DATA_NORMAL, step + 1, weights_of[step], WEIGHTS);
    for (uint64_t step = 0; step < STEPS; step++)
        fill(step % 2 ? DATA_RELU : DATA_NORMAL, step + 100, activations_of[step], ACTIVATIONS);
    return 0;
}

static void record(const char *codec) {
    struct nauha_error err = NAUHA_ERROR_INIT;
    struct nauha_recorder *recorder =
        recorded_open((const char *const[]){"codec", codec, "flush", "3600", NULL});
    const uint32_t module = add_module(recorder, "m"), slot = add_slot(recorder, "weight");
    const int64_t width = WEIGHTS, length = ACTIVATIONS;
    struct nauha_parameter parameter = {
        .module = module,
        .slot = slot,
        .tensor = {.dtype = NAUHA_DTYPE_F32, .ndim = 1, .shape = &width}};
    atomic_store(&asked, 0);
    for (uint64_t step = 0; step <= STEPS; step++) {
        parameter.tensor.data = weights_of[step];
        if (step == STEPS)
            break;
        must(nauha_recorder_begin_step(recorder, &parameter, 1, &err), &err);
        publish(recorder, NAUHA_KIND_ACTIVATIONS, module,
                &(struct nauha_tensor){activations_of[step], NAUHA_DTYPE_F32, 1, &length, NULL, 0});
    }
    must(nauha_recorder_end_step(recorder, &parameter, 1, &err), &err);
    close_recorder(recorder);
}

static void fail_at_finding(void *context, const char *text) {
    (void)context;
    fail_msg("%s", text);
}

/* Compares all elements, and returns how the chunks were written. */
static struct nauha_trace_chunks check(const char *codec) {
    struct nauha_error err = NAUHA_ERROR_INIT;
    struct recorded got = read_back();
    struct nauha_trace_chunks chunks;
    uint64_t findings = 0;
    size_t compared = 0;
    assert_string_equal(got.info.codec, codec);
    for (size_t i = 0; i < got.count; i++) {
        const struct nauha_message_info *info = &got.messages[i].info;
        const bool weights = info->kind == NAUHA_KIND_WEIGHTS;
        if (!weights && info->kind != NAUHA_KIND_ACTIVATIONS)
            continue;
        assert_int_equal(info->bytes, (weights ? WEIGHTS : ACTIVATIONS) * sizeof(float));
        assert_memory_equal(got.messages[i].data,
                            weights ? weights_of[info->global_step]
                                    : activations_of[info->global_step],
                            info->bytes);
        compared++;
    }
    assert_int_equal(compared, 2 * STEPS);
    must(nauha_trace_verify(got.trace, fail_at_finding, NULL, NULL, &findings, &err), &err);
    assert_int_equal(findings, 0);
    nauha_trace_get_chunks(got.trace, &chunks);
    assert_int_equal(chunks.bytes[NAUHA_CODING_RAW],
                     chunks.chunks[NAUHA_CODING_RAW] * NAUHA__CHUNK_BYTES);
    forget(&got);
    return chunks;
}

static struct nauha_trace_chunks run(const char *codec, uint64_t chosen) {
    script = chosen;
    record(codec);
    return check(codec);
}

static const char *const codecs[] = {"auto", "auto,temporal", "auto,standard"};
enum { CODECS = sizeof codecs / sizeof *codecs };

static void test_all_compressed(void **state) {
    (void)state;
    for (size_t i = 0; i < CODECS; i++) {
        const struct nauha_trace_chunks chunks = run(codecs[i], 0);
        assert_int_equal(chunks.chunks[NAUHA_CODING_RAW], 0);
        assert_true(chunks.chunks[NAUHA_CODING_COMPRESSED] > 0);
        assert_int_equal(chunks.chunks[NAUHA_CODING_TEMPORAL] > 0, i == 1);
        assert_int_equal(chunks.chunks[NAUHA_CODING_SPARSE] > 0, i != 2);
    }
}

/* The last block of a stream is compressed where it is not filled: its zeros would take room. */
static void test_all_raw(void **state) {
    (void)state;
    for (size_t i = 0; i < CODECS; i++) {
        const struct nauha_trace_chunks chunks = run(codecs[i], UINT64_MAX);
        assert_true(chunks.chunks[NAUHA_CODING_RAW] > 40);
        assert_true(chunks.chunks[NAUHA_CODING_COMPRESSED] + chunks.chunks[NAUHA_CODING_SPARSE] +
                        chunks.chunks[NAUHA_CODING_TEMPORAL] <=
                    4);
    }
}

static void test_mixtures(void **state) {
    (void)state;
    static const uint64_t scripts[] = {0x5555555555555555u, 0xaaaaaaaaaaaaaaaau,
                                       0x00ff00ff0000ffffu, 0x9e3779b97f4a7c15u};
    for (size_t i = 0; i < CODECS; i++) {
        for (size_t s = 0; s < sizeof scripts / sizeof *scripts; s++) {
            const struct nauha_trace_chunks chunks = run(codecs[i], scripts[s]);
            assert_true(chunks.chunks[NAUHA_CODING_RAW] > 10);
            assert_true(chunks.chunks[NAUHA_CODING_COMPRESSED] > 5);
        }
    }
}

/* The other codecs ask nothing. */
static void test_others_do_not_choose(void **state) {
    (void)state;
    static const char *const others[] = {"zstd", "zstd,temporal", "lz4", "none"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        const struct nauha_trace_chunks chunks = run(others[i], UINT64_MAX);
        assert_int_equal(asked, 0);
        assert_int_equal(chunks.chunks[NAUHA_CODING_RAW] > 0, i == 3);
        assert_int_equal(chunks.chunks[NAUHA_CODING_COMPRESSED] > 0, i != 3);
    }
}

/* ---- past the page cache ---- */

static bool little_memory;
static size_t bytes_direct;

/* These of the C library give way to these. As if there were no memory for a page cache: */
long sysconf(int name) {
    return name == _SC_PAGESIZE                       ? 4096
           : name == _SC_PHYS_PAGES && !little_memory ? 1 << 20
           : name == _SC_PHYS_PAGES                   ? 0
                                                      : -1;
}

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t offset) {
    const ssize_t done = (ssize_t)syscall(SYS_pwrite64, fd, bytes, count, offset);
    bytes_direct += done > 0 && (fcntl(fd, F_GETFL) & O_DIRECT) ? (size_t)done : 0;
    return done;
}

static void test_what_was_written_directly(void **state) {
    (void)state;
    for (int i = 0; i < 2; i++) {
        little_memory = i;
        bytes_direct = 0;
        const struct nauha_trace_chunks chunks = run("auto", UINT64_MAX);
        assert_true(chunks.direct_known);
        assert_int_equal(chunks.direct_bytes, (bytes_direct + (1 << 20) - 1) >> 20 << 20);
        if (!little_memory)
            assert_int_equal(bytes_direct, 0);
    }
}

#define RUN(test) cmocka_unit_test_setup_teardown(test, recorded_setup, recorded_teardown)
static const struct CMUnitTest tests[] = {
    RUN(test_all_compressed),
    RUN(test_all_raw),
    RUN(test_mixtures),
    RUN(test_others_do_not_choose),
    RUN(test_what_was_written_directly),
};

int main(void) {
    const char *filter = getenv("CMOCKA_TEST_FILTER");
    if (filter)
        cmocka_set_test_filter(filter);
    return cmocka_run_group_tests(tests, make_elements, NULL);
}
