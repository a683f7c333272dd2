/* SPDX-License-Identifier: MIT */
/* Predicting the values of a step from the two steps before; see temporal.h.
 *
 * Threads: any thread.
 */
#include "recorder/core/codec/temporal.h"

#include <string.h>

#if defined(__x86_64__) && defined(__GNUC__)
#define HAVE_AVX2 1
#endif

/* ---- the tail ---- */

static void put_le32(unsigned char *at, size_t value) {
    for (unsigned i = 0; i < 4; i++)
        at[i] = (unsigned char)(value >> 8 * i);
}

static uint32_t get_le32(const unsigned char *at) {
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

void nauha__temporal_put_tail(const struct nauha__temporal *about, unsigned char *tail) {
    put_le32(tail, about->width);
    put_le32(tail + 4, about->order);
}

bool nauha__temporal_take_tail(struct nauha__temporal *about, size_t item_size, size_t size,
                               const unsigned char *tail) {
    about->width = get_le32(tail);
    about->order = get_le32(tail + 4);
    if (about->width == 0 || about->width > about->slice ||
        (about->order != NAUHA__ORDER_NONE && about->order != NAUHA__ORDER_TWO) ||
        size <= NAUHA__TEMPORAL_TAIL)
        return false;
    size_t row = about->width * item_size, residuals = size - NAUHA__TEMPORAL_TAIL;
    about->rows = residuals / row;
    return residuals % row == 0 && about->rows <= about->slices;
}

/* ---- one row; b and c are the rows before, NULL where there are none ---- */

#define INLINE static inline __attribute__((always_inline))

/* Unsigned arithmetic, so that overflow is defined. Results of types narrower than int are reduced
 * to the type at each step. */
#define DEFINE_ROWS(type, signed_type)                                                             \
    INLINE type order_##type(type bits) {                                                          \
        const unsigned top = sizeof(type) * 8 - 1;                                                 \
        return (type)(bits ^ (type)((type)(0 - (type)(bits >> top)) >> 1));                        \
    }                                                                                              \
    INLINE type guess_##type(type b, type c) {                                                     \
        type d = (type)(b - c);                                                                    \
        return (type)(b + d - (type)((signed_type)d >> 3));                                        \
    }                                                                                              \
    INLINE type zigzag_##type(type v) {                                                            \
        const unsigned top = sizeof(type) * 8 - 1;                                                 \
        return (type)((type)(v << 1) ^ (type)(0 - (type)(v >> top)));                              \
    }                                                                                              \
    INLINE type unzigzag_##type(type r) {                                                          \
        return (type)((type)(r >> 1) ^ (type)(0 - (type)(r & 1)));                                 \
    }                                                                                              \
    INLINE void predict_##type(const type *x, const type *b, const type *c, size_t n, type *r) {   \
        if (!b)                                                                                    \
            for (size_t i = 0; i < n; i++)                                                         \
                r[i] = zigzag_##type(order_##type(x[i]));                                          \
        else if (!c)                                                                               \
            for (size_t i = 0; i < n; i++)                                                         \
                r[i] = zigzag_##type((type)(order_##type(x[i]) - order_##type(b[i])));             \
        else                                                                                       \
            for (size_t i = 0; i < n; i++)                                                         \
                r[i] =                                                                             \
                    zigzag_##type((type)(order_##type(x[i]) -                                      \
                                         guess_##type(order_##type(b[i]), order_##type(c[i]))));   \
    }                                                                                              \
    INLINE void restore_##type(const type *r, const type *b, const type *c, size_t n, type *x) {   \
        if (!b)                                                                                    \
            for (size_t i = 0; i < n; i++)                                                         \
                x[i] = order_##type(unzigzag_##type(r[i]));                                        \
        else if (!c)                                                                               \
            for (size_t i = 0; i < n; i++)                                                         \
                x[i] = order_##type((type)(unzigzag_##type(r[i]) + order_##type(b[i])));           \
        else                                                                                       \
            for (size_t i = 0; i < n; i++)                                                         \
                x[i] = order_##type((type)(unzigzag_##type(r[i]) +                                 \
                                           guess_##type(order_##type(b[i]), order_##type(c[i])))); \
    }                                                                                              \
    INLINE void predict_rows_##type(const struct nauha__temporal *about, const type *x, type *r) { \
        for (size_t t = 0; t < about->rows; t++, x += about->slice, r += about->width)             \
            predict_##type(x, t > 0 && about->order ? x - about->slice : NULL,                     \
                           t > 1 && about->order ? x - 2 * about->slice : NULL, about->width, r);  \
    }                                                                                              \
    INLINE void restore_rows_##type(const struct nauha__temporal *about, const type *r, type *x) { \
        for (size_t t = 0; t < about->rows; t++, x += about->slice, r += about->width)             \
            restore_##type(r, t > 0 && about->order ? x - about->slice : NULL,                     \
                           t > 1 && about->order ? x - 2 * about->slice : NULL, about->width, x);  \
    }

DEFINE_ROWS(uint8_t, int8_t)
DEFINE_ROWS(uint16_t, int16_t)
DEFINE_ROWS(uint32_t, int32_t)
DEFINE_ROWS(uint64_t, int64_t)

/* ---- any size ---- */

INLINE void predict_any(const struct nauha__temporal *about, size_t item_size, const void *chunk,
                        void *residuals) {
    if (item_size == 1)
        predict_rows_uint8_t(about, chunk, residuals);
    else if (item_size == 2)
        predict_rows_uint16_t(about, chunk, residuals);
    else if (item_size == 4)
        predict_rows_uint32_t(about, chunk, residuals);
    else
        predict_rows_uint64_t(about, chunk, residuals);
}

INLINE void restore_any(const struct nauha__temporal *about, size_t item_size,
                        const void *residuals, void *chunk) {
    if (item_size == 1)
        restore_rows_uint8_t(about, residuals, chunk);
    else if (item_size == 2)
        restore_rows_uint16_t(about, residuals, chunk);
    else if (item_size == 4)
        restore_rows_uint32_t(about, residuals, chunk);
    else
        restore_rows_uint64_t(about, residuals, chunk);
}

#ifdef HAVE_AVX2
#define AVX2 __attribute__((target("avx2")))

AVX2 static void predict_avx2(const struct nauha__temporal *about, size_t item_size,
                              const void *chunk, void *residuals) {
    predict_any(about, item_size, chunk, residuals);
}

AVX2 static void restore_avx2(const struct nauha__temporal *about, size_t item_size,
                              const void *residuals, void *chunk) {
    restore_any(about, item_size, residuals, chunk);
}
#endif

void nauha__temporal_predict(const struct nauha__temporal *about, size_t item_size,
                             const void *chunk, void *residuals) {
#ifdef HAVE_AVX2
    if (__builtin_cpu_supports("avx2")) {
        predict_avx2(about, item_size, chunk, residuals);
        return;
    }
#endif
    predict_any(about, item_size, chunk, residuals);
}

void nauha__temporal_restore(const struct nauha__temporal *about, size_t item_size,
                             const void *residuals, void *chunk) {
    bool whole = about->rows == about->slices && about->width == about->slice;
    if (!whole)
        memset(chunk, 0, about->slices * about->slice * item_size);
#ifdef HAVE_AVX2
    if (__builtin_cpu_supports("avx2")) {
        restore_avx2(about, item_size, residuals, chunk);
        return;
    }
#endif
    restore_any(about, item_size, residuals, chunk);
}
