/* SPDX-License-Identifier: MIT */
/* Records given tensors, one a step, as activations of one module.
 * Usage: record_tensors [--KEY VALUE]... FILE <LIST
 * A line of the list is "DTYPE DIMS DATA": f32 2,3 /tmp/raw, where DIMS is "-" for a scalar and
 * DATA a file of the elements, row-major. KEY is one of nauha_recorder_config_set.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "nauha/recorder.h"
#include "tests/tools/check.h"

static void die(const char *what) {
    perror(what);
    exit(3);
}

static enum nauha_dtype dtype_of(const char *name) {
    for (unsigned dtype = 0; dtype < NAUHA_DTYPE_COUNT; dtype++) {
        if (strcmp(nauha_dtype_name((enum nauha_dtype)dtype), name) == 0)
            return (enum nauha_dtype)dtype;
    }
    fprintf(stderr, "record_tensors: no type \"%s\"\n", name);
    exit(2);
}

static uint32_t parse_dims(char *text, int64_t *shape) {
    uint32_t ndim = 0;
    for (char *word = strtok(text, ","); word && strcmp(word, "-") != 0; word = strtok(NULL, ","))
        shape[ndim++] = strtoll(word, NULL, 10);
    return ndim;
}

static void record(struct nauha_recorder *recorder, uint32_t module,
                   const struct nauha_tensor *tensor) {
    struct nauha_error err = NAUHA_ERROR_INIT;
    check(nauha_recorder_begin_step(recorder, NULL, 0, &err), &err);
    check(nauha_recorder_publish(recorder, NAUHA_KIND_ACTIVATIONS, module, 0, 0, tensor, &err),
          &err);
    check(nauha_recorder_end_step(recorder, NULL, 0, &err), &err);
}

/* The file is mapped, and may be larger than memory. */
static void record_file(struct nauha_recorder *recorder, uint32_t module,
                        struct nauha_tensor *tensor, const char *path) {
    struct stat stat;
    const int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0 || fstat(file, &stat) != 0)
        die(path);
    size_t count = 0;
    struct nauha_error err = NAUHA_ERROR_INIT;
    check(nauha_tensor_count(tensor, &count, &err), &err);
    const size_t bytes = count * nauha_dtype_size(tensor->dtype);
    if ((size_t)stat.st_size != bytes) {
        fprintf(stderr, "record_tensors: \"%s\" does not hold %zu bytes\n", path, bytes);
        exit(2);
    }
    void *data = bytes ? mmap(NULL, bytes, PROT_READ, MAP_PRIVATE, file, 0) : NULL;
    if (data == MAP_FAILED)
        die(path);
    tensor->data = data;
    record(recorder, module, tensor);
    if (data)
        munmap(data, bytes);
    close(file);
}

int main(int argc, char **argv) {
    struct nauha_error err = NAUHA_ERROR_INIT;
    struct nauha_recorder_config *config = nauha_recorder_config_new();
    struct nauha_recorder *recorder = NULL;
    int at = 1;
    for (; at + 2 < argc; at += 2)
        check(nauha_recorder_config_set(config, argv[at] + 2, argv[at + 1], &err), &err);
    if (at + 1 != argc)
        return 2;
    check(nauha_recorder_open(argv[at], config, &recorder, &err), &err);
    nauha_recorder_config_free(config);
    uint32_t module = 0;
    check(nauha_names_add_module(nauha_recorder_names(recorder), "layer", "Linear", &module, &err),
          &err);
    char name[16], dims[256], path[2048];
    while (scanf("%15s %255s %2047s", name, dims, path) == 3) {
        int64_t shape[NAUHA_MAX_NDIM];
        struct nauha_tensor tensor = {.dtype = dtype_of(name), .shape = shape};
        tensor.ndim = parse_dims(dims, shape);
        record_file(recorder, module, &tensor, path);
    }
    check(nauha_recorder_close(recorder, &err), &err);
    return 0;
}
