/* SPDX-License-Identifier: MIT */
/* nauha cat: tensors as text, or as a file for NumPy. */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tools/opened.h"
#include "tools/terminal.h"

/* So many elements at each end of a tensor that is shortened. */
#define ENDS 3

static const struct nauha_option cat_table[] = {
    {"npy", 0, "FILE", NULL,
     "write the one chosen tensor to a file that NumPy reads; bf16 and fp8 become float32, which "
     "holds them exactly"},
    {"limit", 0, "N", "1000", "shorten tensors of more elements than this"},
};
OPTION_GROUP(cat_options, "Output", cat_table);

struct printing {
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

/* Prints dimension `dim` of a tensor from element `first` on, bracketed as NumPy does. */
static void print_dimension(const struct nauha_tensor *tensor, uint32_t dim, size_t first,
                            size_t stride, bool shorten, int indent) {
    if (dim == tensor->ndim) {
        print_element(tensor, first);
        return;
    }
    size_t count = (size_t)tensor->shape[dim];
    size_t inner = count ? stride / count : 0;
    printf("[");
    for (size_t i = 0; i < count; i++) {
        if (i > 0 && dim + 1 == tensor->ndim)
            printf(" ");
        else if (i > 0)
            printf("\n%*s", indent + 1, "");
        if (shorten && i == ENDS && count > 2 * ENDS) {
            printf("...");
            i = count - ENDS - 1;
            continue;
        }
        print_dimension(tensor, dim + 1, first + i * inner, inner, shorten, indent + 1);
    }
    printf("]");
}

static void print_stamps(const struct nauha_message_info *info) {
    char shape[512];
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
    if (info->has_tensor)
        printf("%s, %s %s%s", dim, nauha_dtype_name(info->dtype),
               nauha__shape_text(info, shape, sizeof shape), plain);
    printf("\n");
}

static bool print_message(void *context, struct nauha_message *message) {
    struct printing *printing = context;
    const struct nauha_message_info *info = nauha_message_info(message);
    struct nauha_tensor tensor;
    size_t count;
    print_stamps(info);
    if (!info->has_tensor)
        return !ferror(stdout);
    if (info->hash_only) {
        char hash[40];
        printf("not recorded, hash only: %s\n", nauha__hash_text(message, hash));
        return !ferror(stdout);
    }
    struct nauha_error err = NAUHA_ERROR_INIT;
    if (nauha_message_tensor(message, &tensor, &err) != NAUHA_OK ||
        nauha_tensor_count(&tensor, &count, &err) != NAUHA_OK) {
        nauha__fail(&err);
        printing->err = err;
        return true;
    }
    print_dimension(&tensor, 0, 0, count, count > printing->limit, 0);
    printf("\n");
    return !ferror(stdout);
}

/* ---- as .npy ---- */

struct chosen {
    uint64_t count;
    const char *path;
    struct nauha_error err;
};

/* NumPy's name of a type; those that it does not have go as float32. */
static const char *npy_type(enum nauha_dtype dtype) {
    static const char *const names[NAUHA_DTYPE_COUNT] = {
        [NAUHA_DTYPE_F64] = "<f8", [NAUHA_DTYPE_F16] = "<f2", [NAUHA_DTYPE_U8] = "|u1",
        [NAUHA_DTYPE_I8] = "|i1",  [NAUHA_DTYPE_I16] = "<i2", [NAUHA_DTYPE_I32] = "<i4",
        [NAUHA_DTYPE_I64] = "<i8", [NAUHA_DTYPE_BOOL] = "|b1"};
    return names[dtype] ? names[dtype] : "<f4";
}

/* Format version 1.0: magic, header length, a Python dictionary padded to 64 bytes, elements. */
static bool write_header(FILE *file, const struct nauha_tensor *tensor) {
    char header[2048];
    int used = snprintf(header, sizeof header, "{'descr': '%s', 'fortran_order': False, 'shape': (",
                        npy_type(tensor->dtype));
    for (uint32_t i = 0; i < tensor->ndim; i++)
        used += snprintf(header + used, sizeof header - (size_t)used, "%" PRId64 ",%s",
                         tensor->shape[i], i + 1 < tensor->ndim ? " " : "");
    used += snprintf(header + used, sizeof header - (size_t)used, "), }");
    while ((10 + used + 1) % 64 != 0)
        header[used++] = ' ';
    header[used++] = '\n';
    const unsigned char start[10] = {
        0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0, (unsigned char)used, (unsigned char)(used >> 8)};
    return fwrite(start, 1, sizeof start, file) == sizeof start &&
           fwrite(header, 1, (size_t)used, file) == (size_t)used;
}

static bool write_elements(FILE *file, const struct nauha_tensor *tensor, size_t count) {
    size_t size = nauha_dtype_size(tensor->dtype);
    bool as_is = tensor->dtype == NAUHA_DTYPE_F32 || strcmp(npy_type(tensor->dtype), "<f4") != 0;
    if (as_is)
        return fwrite(tensor->data, size, count, file) == count;
    for (size_t i = 0; i < count; i++) {
        double wide;
        nauha_tensor_to_f64(tensor, i, 1, &wide);
        float value = (float)wide;
        if (fwrite(&value, sizeof value, 1, file) != 1)
            return false;
    }
    return true;
}

static enum nauha_status write_npy(const char *path, struct nauha_message *message,
                                   struct nauha_error *err) {
    struct nauha_tensor tensor;
    size_t count;
    enum nauha_status status = nauha_message_tensor(message, &tensor, err);
    if (status == NAUHA_OK)
        status = nauha_tensor_count(&tensor, &count, err);
    if (status != NAUHA_OK)
        return status;
    FILE *file = fopen(path, "wb");
    if (!file)
        return nauha_error_set_errno(err, errno, "cannot write \"%s\"", path);
    bool good = write_header(file, &tensor) && write_elements(file, &tensor, count);
    int failed = errno;
    if (fclose(file) != 0 && good) {
        failed = errno;
        good = false;
    }
    if (good)
        return NAUHA_OK;
    struct stat about; /* half a file is worse than none; a device is not ours to remove */
    if (lstat(path, &about) == 0 && S_ISREG(about.st_mode))
        remove(path);
    return nauha_error_set_errno(err, failed, "cannot write \"%s\"", path);
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
    write_npy(chosen->path, message, &chosen->err);
    return false;
}

static int export_npy(const struct opened *opened, const char *path) {
    struct chosen chosen = {.path = path, .err = NAUHA_ERROR_INIT};
    int code = nauha__walk(opened, count_message, &chosen);
    if (code != EXIT_FINE)
        return code;
    if (chosen.count != 1) {
        fprintf(stderr,
                "nauha: --npy takes exactly one tensor, %" PRIu64
                " are chosen; narrow with --kinds, --modules and --steps (see nauha ls)\n",
                chosen.count);
        return EXIT_USAGE;
    }
    code = nauha__walk(opened, export_message, &chosen);
    if (chosen.err.code == NAUHA_OK)
        return code;
    nauha__fail(&chosen.err);
    return EXIT_FAILED;
}

int nauha__run_cat(const struct invocation *invocation) {
    int code = EXIT_FINE;
    struct printing printing = {.err = NAUHA_ERROR_INIT};
    printing.limit = nauha__get_number(invocation, "limit", 1000, &code);
    if (code != EXIT_FINE)
        return code;
    struct opened opened;
    const char *path = nauha__get(invocation, "npy", NULL);
    code = nauha__opened_init(&opened, invocation);
    if (code == EXIT_FINE && path)
        code = export_npy(&opened, path);
    else if (code == EXIT_FINE)
        code = nauha__walk(&opened, print_message, &printing);
    if (printing.err.code != NAUHA_OK)
        code = EXIT_FAILED;
    nauha__opened_fini(&opened);
    return code;
}
