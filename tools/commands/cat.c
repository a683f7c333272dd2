/* SPDX-License-Identifier: MIT */
/* nauha cat: tensors as text, or as a file for NumPy. */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nauha/fingerprint.h"
#include "nauha/output.h"
#include "tools/commands/opened.h"
#include "tools/cli/terminal.h"

/* Number of elements at each end of a tensor that is abbreviated. */
#define ENDS 3

static const struct nauha_option cat_table[] = {
    {"npy", 0, "FILE", NULL,
     "write the tensor to a file for NumPy; bf16 and fp8 become float32, which represents them "
     "exactly"},
    {"overwrite", 0, NULL, NULL,
     "with --npy, replace an existing file of any type; without this option only a .npy file is "
     "replaced"},
    {"limit", 0, "N", "1000", "abbreviate tensors of more than N elements, as NumPy does"},
};
OPTION_GROUP(cat_options, "Output", cat_table);

struct printing {
    const struct opened *opened;
    uint64_t limit;
    struct nauha_error err; /* the first tensor that could not be read */
};

/* ---- as text ---- */

static bool is_float(enum nauha_dtype dtype) {
    switch (dtype) {
    case NAUHA_DTYPE_U8:
    case NAUHA_DTYPE_I8:
    case NAUHA_DTYPE_I16:
    case NAUHA_DTYPE_I32:
    case NAUHA_DTYPE_I64:
    case NAUHA_DTYPE_BOOL:
        return false;
    default:
        return true;
    }
}

/* The shortest text that reads back as the same element. */
static void print_element(const struct nauha_tensor *tensor, size_t at) {
    double value;
    char text[40];
    if (tensor->dtype == NAUHA_DTYPE_I64) {
        printf("%" PRId64, ((const int64_t *)tensor->data)[at]);
        return;
    }
    nauha_tensor_to_f64(tensor, at, 1, &value);
    if (!is_float(tensor->dtype)) {
        printf("%.0f", value);
        return;
    }
    bool wide = tensor->dtype == NAUHA_DTYPE_F64;
    for (int digits = wide ? 15 : 6; digits <= (wide ? 17 : 9); digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        double back = wide ? strtod(text, NULL) : (double)strtof(text, NULL);
        if (back == value)
            break;
    }
    printf("%s", text);
}

/* A window of a tensor's elements, which contains the element printed last. */
struct window {
    struct nauha_message *message;
    uint64_t count; /* number of elements of the tensor */
    uint64_t first; /* first element of the window */
    int64_t held;
    struct nauha_tensor tensor;
    unsigned char elements[8 * NAUHA_PIECE_ELEMENTS];
};

static enum nauha_status print_element_at(struct window *window, uint64_t at,
                                          struct nauha_error *err) {
    if (at < window->first || at - window->first >= (uint64_t)window->held) {
        window->first = at - at % NAUHA_PIECE_ELEMENTS;
        const uint64_t left = window->count - window->first;
        window->held = left < NAUHA_PIECE_ELEMENTS ? (int64_t)left : NAUHA_PIECE_ELEMENTS;
        enum nauha_status status = nauha_message_read(
            window->message, window->first, (uint64_t)window->held, window->elements, err);
        if (status != NAUHA_OK)
            return status;
    }
    print_element(&window->tensor, (size_t)(at - window->first));
    return NAUHA_OK;
}

/* Prints dimension `dim` of a tensor from element `first` on, with brackets as in NumPy; it has
 * `stride` elements. */
static enum nauha_status print_dimension(struct window *window, uint32_t dim, uint64_t first,
                                         uint64_t stride, bool shorten, struct nauha_error *err) {
    const struct nauha_message_info *info = nauha_message_info(window->message);
    if (dim == info->ndim)
        return print_element_at(window, first, err);
    const uint64_t count = (uint64_t)info->shape[dim], inner = stride / count;
    enum nauha_status status = NAUHA_OK;
    printf("[");
    for (uint64_t i = 0; i < count && status == NAUHA_OK && !ferror(stdout); i++) {
        if (i > 0 && dim + 1 == info->ndim)
            printf(" ");
        else if (i > 0)
            printf("\n%*s", (int)dim + 1, "");
        if (shorten && i == ENDS && count > 2 * ENDS) {
            printf("...");
            i = count - ENDS - 1;
            continue;
        }
        status = print_dimension(window, dim + 1, first + i * inner, inner, shorten, err);
    }
    printf("]");
    return status;
}

/* The line with the stamps has printed the shape already: nothing is printed for a tensor without
 * elements, however many rows it has. */
static enum nauha_status print_tensor(struct nauha_message *message, uint64_t limit,
                                      struct nauha_error *err) {
    const struct nauha_message_info *info = nauha_message_info(message);
    struct window window = {.message = message,
                            .count = info->bytes / nauha_dtype_size(info->dtype)};
    window.tensor = (struct nauha_tensor){
        .data = window.elements, .dtype = info->dtype, .ndim = 1, .shape = &window.held};
    enum nauha_status status = NAUHA_OK;
    if (window.count == 0)
        printf("[]");
    else
        status = print_dimension(&window, 0, 0, window.count, window.count > limit, err);
    printf("\n");
    return status;
}

static void print_samples(const struct nauha_message_info *info, uint64_t count,
                          const struct nauha_fingerprint *fingerprint) {
    const size_t samples = nauha_fingerprint_samples(count), size = nauha_dtype_size(info->dtype);
    unsigned char elements[8 * NAUHA_FINGERPRINT_SAMPLES];
    const int64_t length = (int64_t)samples;
    const struct nauha_tensor tensor = {
        .data = elements, .dtype = info->dtype, .ndim = 1, .shape = &length};
    for (size_t i = 0; i < samples; i++)
        memcpy(elements + i * size, &fingerprint->samples[i], size);
    printf("  %zu of %" PRIu64 " elements, evenly spread: [", samples, count);
    for (size_t i = 0; i < samples; i++) {
        printf("%s", i ? " " : "");
        print_element(&tensor, i);
    }
    printf("]\n");
}

static enum nauha_status print_fingerprint(struct nauha_message *message, struct nauha_error *err) {
    struct nauha_fingerprint fingerprint;
    char hash[40];
    enum nauha_status status = nauha_message_fingerprint(message, &fingerprint, err);
    if (status != NAUHA_OK)
        return status;
    const struct nauha_stats *stats = &fingerprint.stats;
    const double n = (double)stats->count;
    printf("only the fingerprint was recorded: %s\n", nauha__hash_text(message, hash));
    printf("  mean %.6g, standard deviation %.6g, min %.6g, max %.6g\n", stats->mean,
           sqrt(stats->deviations / n), stats->min, stats->max);
    printf("  norm %.6g, sum of magnitudes %.6g, %" PRIu64 " zeros", sqrt(stats->sum_squares),
           stats->sum_abs, stats->zeros);
    if (stats->nans + stats->infs > 0)
        printf(", %" PRIu64 " NaN, %" PRIu64 " infinite, the first at %" PRIu64, stats->nans,
               stats->infs, stats->first_nonfinite);
    printf("\n");
    print_samples(nauha_message_info(message), stats->count, &fingerprint);
    return NAUHA_OK;
}

static void print_stamps(const struct opened *opened, const struct nauha_message_info *info) {
    char shape[512], shard[1200];
    const char *dim = nauha__colour(stdout, COLOUR_DIM),
               *plain = nauha__colour(stdout, COLOUR_PLAIN);
    printf("%s# seq %" PRIu64 ", step %" PRIu64 ", epoch %u,%s %s%s%s", dim, info->seq,
           info->global_step, info->epoch, plain, nauha__colour(stdout, COLOUR_NAME),
           info->kind_name, plain);
    if (strcmp(info->tag_name, "default") != 0)
        printf(", tag %s", info->tag_name);
    if (info->module != NAUHA_NONE)
        printf(", %s%s%s (%s)", nauha__colour(stdout, COLOUR_BOLD),
               info->module_name[0] ? info->module_name : "(root)", plain, info->module_class);
    if (info->slot_name[0])
        printf(", %s", info->slot_name);
    if (info->call)
        printf(", call %u", info->call);
    if (opened->trace_count > 1)
        printf(", rank %u", info->rank);
    if (info->has_tensor)
        printf("%s, %s %s%s", dim, nauha_dtype_name(info->dtype),
               nauha__shape_text(info, shape, sizeof shape), plain);
    if (*nauha__shard_text(opened->names, info, shard, sizeof shard))
        printf(", shard of %s", shard);
    printf("\n");
}

static bool print_message(void *context, struct nauha_message *message) {
    struct printing *printing = context;
    const struct nauha_message_info *info = nauha_message_info(message);
    print_stamps(printing->opened, info);
    if (!info->has_tensor)
        return !ferror(stdout);
    if (info->kept == NAUHA_KEPT_HASH) {
        char hash[40];
        printf("only the hash was recorded: %s\n", nauha__hash_text(message, hash));
        return !ferror(stdout);
    }
    struct nauha_error err = NAUHA_ERROR_INIT;
    const enum nauha_status status = info->kept == NAUHA_KEPT_FINGERPRINT
                                         ? print_fingerprint(message, &err)
                                         : print_tensor(message, printing->limit, &err);
    if (status != NAUHA_OK) {
        nauha__fail(&err);
        printing->err = err;
    }
    return !ferror(stdout);
}

/* ---- as .npy ---- */

#define NPY_MAGIC "\x93NUMPY"

static const struct nauha_output_form npy_form = {
    .noun = "an array of NumPy", .start = NPY_MAGIC, .start_bytes = sizeof NPY_MAGIC - 1};

struct chosen {
    uint64_t count;
    struct nauha_output_request request;
    struct nauha_error err;
};

/* NumPy's name of a type; types that NumPy lacks are written as float32. */
static const char *npy_type(enum nauha_dtype dtype) {
    static const char *const names[NAUHA_DTYPE_COUNT] = {
        [NAUHA_DTYPE_F64] = "<f8", [NAUHA_DTYPE_F16] = "<f2", [NAUHA_DTYPE_U8] = "|u1",
        [NAUHA_DTYPE_I8] = "|i1",  [NAUHA_DTYPE_I16] = "<i2", [NAUHA_DTYPE_I32] = "<i4",
        [NAUHA_DTYPE_I64] = "<i8", [NAUHA_DTYPE_BOOL] = "|b1"};
    return names[dtype] ? names[dtype] : "<f4";
}

/* Format version 1.0: magic, header length, a Python dictionary padded to 64 bytes, elements. */
static bool write_header(FILE *file, const struct nauha_message_info *info) {
    char header[2048];
    int used = snprintf(header, sizeof header, "{'descr': '%s', 'fortran_order': False, 'shape': (",
                        npy_type(info->dtype));
    for (uint32_t i = 0; i < info->ndim; i++)
        used += snprintf(header + used, sizeof header - (size_t)used, "%" PRId64 ",%s",
                         info->shape[i], i + 1 < info->ndim ? " " : "");
    used += snprintf(header + used, sizeof header - (size_t)used, "), }");
    while ((10 + used + 1) % 64 != 0)
        header[used++] = ' ';
    header[used++] = '\n';
    const unsigned char start[10] = {
        0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0, (unsigned char)used, (unsigned char)(used >> 8)};
    return fwrite(start, 1, sizeof start, file) == sizeof start &&
           fwrite(header, 1, (size_t)used, file) == (size_t)used;
}

static enum nauha_status cannot_write(const char *path, struct nauha_error *err) {
    return nauha_error_set_errno(err, errno, "cannot write \"%s\"", path);
}

static enum nauha_status write_piece(void *context, const struct nauha_tensor *piece,
                                     uint64_t first, struct nauha_error *err) {
    (void)first;
    const struct nauha_output *output = context;
    const size_t count = (size_t)piece->shape[0];
    bool as_is = piece->dtype == NAUHA_DTYPE_F32 || strcmp(npy_type(piece->dtype), "<f4") != 0;
    bool good = true;
    if (as_is)
        good = fwrite(piece->data, nauha_dtype_size(piece->dtype), count, output->stream) == count;
    for (size_t i = 0; i < count && !as_is && good; i++) {
        double wide;
        nauha_tensor_to_f64(piece, i, 1, &wide);
        float value = (float)wide;
        good = fwrite(&value, sizeof value, 1, output->stream) == 1;
    }
    return good ? NAUHA_OK : cannot_write(output->path, err);
}

static enum nauha_status write_npy(const struct nauha_output_request *request,
                                   struct nauha_message *message, struct nauha_error *err) {
    const struct nauha_message_info *info = nauha_message_info(message);
    struct nauha_output output = {0};
    if (info->kept != NAUHA_KEPT_ELEMENTS) /* reports an error before there is a file */
        return nauha_message_for_each_piece(message, write_piece, &output, err);
    enum nauha_status status = nauha_output_open(&output, request, err);
    if (status == NAUHA_OK)
        status = write_header(output.stream, info)
                     ? nauha_message_for_each_piece(message, write_piece, &output, err)
                     : cannot_write(output.path, err);
    if (status == NAUHA_OK)
        return nauha_output_finish(&output, err);
    nauha_output_drop(&output); /* an incomplete file is worse than none */
    return status;
}

static bool count_message(void *context, struct nauha_message *message) {
    struct chosen *chosen = context;
    chosen->count += nauha_message_info(message)->has_tensor;
    return true;
}

static bool export_message(void *context, struct nauha_message *message) {
    struct chosen *chosen = context;
    if (!nauha_message_info(message)->has_tensor)
        return true;
    write_npy(&chosen->request, message, &chosen->err);
    return false;
}

static int export_npy(const struct opened *opened, const struct invocation *invocation,
                      const char *path) {
    struct chosen chosen = {.request = {.path = path,
                                        .form = &npy_form,
                                        .overwrite = nauha__has(invocation, "overwrite"),
                                        .inputs = invocation->arguments,
                                        .input_count = invocation->argument_count},
                            .err = NAUHA_ERROR_INIT};
    if (nauha_output_check(&chosen.request, &chosen.err) != NAUHA_OK)
        return nauha__fail(&chosen.err);
    int code = nauha__walk(opened, count_message, &chosen);
    if (code != EXIT_FINE)
        return code;
    if (chosen.count != 1) {
        fprintf(stderr,
                "nauha: --npy writes exactly one tensor, but %" PRIu64
                " are chosen: choose one with --kinds, --modules and --steps (\"nauha ls\" lists "
                "them)\n",
                chosen.count);
        return EXIT_USAGE;
    }
    code = nauha__walk(opened, export_message, &chosen);
    if (chosen.err.code == NAUHA_OK)
        return code;
    nauha__fail(&chosen.err);
    return EXIT_FAILED;
}

static int run_cat(const struct invocation *invocation) {
    int code = EXIT_FINE;
    struct printing printing = {.err = NAUHA_ERROR_INIT};
    printing.limit = nauha__get_number(invocation, "limit", 1000, &code);
    if (code != EXIT_FINE)
        return code;
    struct opened opened;
    printing.opened = &opened;
    const char *path = nauha__get(invocation, "npy", NULL);
    code = nauha__opened_init(&opened, invocation);
    if (code == EXIT_FINE && path)
        code = export_npy(&opened, invocation, path);
    else if (code == EXIT_FINE)
        code = nauha__walk(&opened, print_message, &printing);
    if (printing.err.code != NAUHA_OK)
        code = EXIT_FAILED;
    nauha__opened_fini(&opened);
    return code;
}

const struct command nauha__command_cat = {
    .name = "cat",
    .summary = "print or export recorded tensors",
    .arguments = "TRACE...",
    .description = "Prints tensors as text. With --npy, writes one tensor to a file for NumPy; "
                   "the options have to choose exactly one message. Of the traces of the ranks of "
                   "one training, shards of a tensor are put together.",
    .examples = "nauha cat run.h5 --kinds biases --modules features.0 --steps 3\n"
                "nauha cat run.h5 --kinds loss --steps 3 --npy loss.npy\n"
                "nauha cat run.rank*.h5 --kinds weights --modules features.0 --steps 3",
    .min_arguments = 1,
    .max_arguments = SIZE_MAX,
    .groups = {&nauha__cat_options, &nauha__select_options},
    .run = run_cat,
};
