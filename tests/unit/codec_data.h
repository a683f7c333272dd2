/* SPDX-License-Identifier: MIT */
/* Made-up tensors of the kinds a training records, for the codec's tests and measurements; the
 * same seed gives the same bytes. */
#ifndef NAUHA_TESTS_CODEC_DATA_H
#define NAUHA_TESTS_CODEC_DATA_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum data_class {
    DATA_ZEROS,
    DATA_CONSTANT,
    DATA_RAMP,
    DATA_NORMAL,
    DATA_HEAVY_TAIL,
    DATA_RELU,
    DATA_LABELS,
    DATA_IMAGES,
    DATA_RANDOM,
    DATA_RANDOM_HIGH, /* random in the high bytes, zeros in the low: noise behind structure */
    DATA_CLASSES
};

static inline uint64_t data_next(uint64_t *seed) {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed * 0x2545F4914F6CDD1Du; /* xorshift64*, Vigna 2016 */
}

static inline double data_uniform(uint64_t *seed) {
    return ((double)(data_next(seed) >> 11) + 0.5) / 9007199254740992.0;
}

/* Box and Muller 1958. */
static inline double data_normal(uint64_t *seed) {
    double r = sqrt(-2 * log(data_uniform(seed)));
    return r * cos(6.283185307179586 * data_uniform(seed));
}

/* Stores `value` as an f64, f32, bf16 (by truncation) or, times 32, as an int8. */
static inline void data_put(unsigned char *at, size_t item_size, double value) {
    float f = (float)value;
    uint32_t bits = 0;
    memcpy(&bits, &f, sizeof bits);
    uint16_t half = (uint16_t)(bits >> 16);
    int8_t byte = (int8_t)(value > 3.9 ? 127 : value < -3.9 ? -127 : (int)(value * 32));
    if (item_size == 8)
        memcpy(at, &value, 8);
    else
        memcpy(at,
               item_size == 4   ? (const void *)&f
               : item_size == 2 ? (const void *)&half
                                : (const void *)&byte,
               item_size);
}

static inline void data_put_integer(unsigned char *at, size_t item_size, uint64_t value) {
    for (size_t k = 0; k < item_size; k++)
        at[k] = (unsigned char)(value >> 8 * k);
}

/* 28 x 28 pixels of 256 grey values on a black ground, scaled to 0..1. */
static inline double data_pixel(size_t i, uint64_t *seed) {
    double x = (double)(i % 28) - 13.5, y = (double)(i / 28 % 28) - 13.5;
    double grey = 255 - x * x - y * y + 12 * data_normal(seed);
    return x * x + y * y > 150 || grey < 0 ? 0 : (grey > 255 ? 255 : floor(grey)) / 255;
}

static inline void data_fill(enum data_class class, uint64_t seed, size_t item_size,
                             unsigned char *at, size_t count) {
    uint64_t constant = data_next(&seed);
    for (size_t i = 0; i < count; i++, at += item_size) {
        double normal = class == DATA_NORMAL || class == DATA_HEAVY_TAIL || class == DATA_RELU
                            ? data_normal(&seed)
                            : 0;
        switch (class) {
        case DATA_ZEROS:
            data_put_integer(at, item_size, 0);
            break;
        case DATA_CONSTANT:
            data_put_integer(at, item_size, constant);
            break;
        case DATA_RAMP:
            data_put_integer(at, item_size, i * 3);
            break;
        case DATA_NORMAL:
            data_put(at, item_size, 0.05 * normal);
            break;
        case DATA_HEAVY_TAIL:
            data_put(at, item_size, 1e-4 * normal * exp(2 * data_normal(&seed)));
            break;
        case DATA_RELU:
            data_put(at, item_size, normal > 0 ? normal : 0);
            break;
        case DATA_LABELS:
            data_put_integer(at, item_size, data_next(&seed) % 10);
            break;
        case DATA_IMAGES:
            data_put(at, item_size, data_pixel(i, &seed));
            break;
        case DATA_RANDOM:
            data_put_integer(at, item_size, data_next(&seed));
            break;
        default:
            data_put_integer(at, item_size, data_next(&seed) << 8 * item_size / 2);
            break;
        }
    }
}

#endif
