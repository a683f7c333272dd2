/* SPDX-License-Identifier: MIT */
/* The filters of a stream by their definitions, item by item, for the codec's tests. */
#ifndef NAUHA_TESTS_CODEC_DEFINITION_H
#define NAUHA_TESTS_CODEC_DEFINITION_H

#include "unit.h"

#include <stdlib.h>
#include <string.h>

/* HDF5's shuffle, by its definition. */
static inline void shuffle(size_t item_size, const unsigned char *src, size_t bytes,
                           unsigned char *dst) {
    size_t count = bytes / item_size;
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < item_size; k++)
            dst[k * count + i] = src[i * item_size + k];
}

/* A sparse chunk, by its definition in sparse.h. Returns the image's size. */
static inline size_t sparse_image(size_t item_size, const unsigned char *src, size_t bytes,
                                  unsigned char *image) {
    static const unsigned char zero[8];
    size_t count = bytes / item_size, kept = 0;
    unsigned char *packed = malloc(bytes), *bitmap = calloc(1, count / 8 + 1);
    assert_true(packed && bitmap);
    for (size_t i = 0; i < count; i++) {
        if (memcmp(src + i * item_size, zero, item_size) == 0)
            continue;
        bitmap[i / 8] = (unsigned char)(bitmap[i / 8] | 1u << i % 8);
        memcpy(packed + kept++ * item_size, src + i * item_size, item_size);
    }
    shuffle(item_size, packed, kept * item_size, image);
    memcpy(image + kept * item_size, bitmap, (count + 7) / 8);
    free(packed);
    free(bitmap);
    return kept * item_size + (count + 7) / 8;
}

#endif
