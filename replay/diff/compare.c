/* SPDX-License-Identifier: MIT */
/* How two tensors differ, element by element; see nauha/compare.h.
 *
 * Threads: any thread.
 */
#include "replay/diff/compare.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Elements taken at a time, and sums that are added up side by side. */
#define BLOCK NAUHA__COMPARE_BLOCK
#define LANES 8u

enum form { SIGN_MAGNITUDE, SIGNED, UNSIGNED };

static enum form form_of(enum nauha_dtype dtype) {
    switch (dtype) {
    case NAUHA_DTYPE_U8:
    case NAUHA_DTYPE_BOOL:
        return UNSIGNED;
    case NAUHA_DTYPE_I8:
    case NAUHA_DTYPE_I16:
    case NAUHA_DTYPE_I32:
    case NAUHA_DTYPE_I64:
        return SIGNED;
    default:
        return SIGN_MAGNITUDE;
    }
}

/* One side: a block of elements, as values and as bits. */
struct side {
    const struct nauha_tensor *tensor;
    size_t size;
    double values[BLOCK];
    uint64_t bits[BLOCK];
};

static uint64_t bits_at(const struct nauha_tensor *tensor, size_t size, size_t at) {
    uint64_t bits = 0;
    memcpy(&bits, (const unsigned char *)tensor->data + at * size, size);
    return bits;
}

#define TAKE_BITS(bytes, type)                                                                     \
    case bytes:                                                                                    \
        for (size_t i = 0; i < n; i++)                                                             \
            side->bits[i] = ((const type *)side->tensor->data)[first + i];                         \
        break;

static void take(struct side *side, size_t first, size_t n) {
    nauha_tensor_to_f64(side->tensor, first, n, side->values);
    switch (side->size) {
        TAKE_BITS(1, uint8_t)
        TAKE_BITS(2, uint16_t)
        TAKE_BITS(4, uint32_t)
        TAKE_BITS(8, uint64_t)
    default:
        break;
    }
}

/* ---- distances ---- */

static uint64_t distance(uint64_t a, uint64_t b) {
    return a > b ? a - b : b - a;
}

/* The distance of two floats. Without their signs, floats are ordered as their magnitudes. */
static uint64_t float_ulps(uint64_t a, uint64_t b, size_t size) {
    const uint64_t sign = (uint64_t)1 << (8 * size - 1);
    const uint64_t below_a = a & (sign - 1), below_b = b & (sign - 1);
    return (a & sign) == (b & sign) ? distance(below_a, below_b) : below_a + below_b;
}

/* The distance of two integers. If numbers are shifted to the upper end and the sign bit is
 * inverted, unsigned comparison orders signed numbers. */
static uint64_t integer_distance(uint64_t a, uint64_t b, size_t size, enum form form) {
    const unsigned shift = 64 - 8 * (unsigned)size;
    const uint64_t flip = form == SIGNED ? (uint64_t)1 << 63 : 0;
    return distance((a << shift) ^ flip, (b << shift) ^ flip) >> shift;
}

/* ---- one pair ---- */

struct comparing {
    struct side a, b;
    bool same_type;
    enum form form; /* only if the types are the same */
    const struct nauha_tolerance *tolerance;
    struct nauha_difference *out;
};

/* The larger of two numbers; fmax would be a function call, because of NaN. */
static double larger_of(double a, double b) {
    return a > b ? a : b;
}

struct distances {
    double abs, rel;
    uint64_t ulp;
};

/* Of two finite elements. */
static struct distances measure(const struct comparing *comparing, size_t i) {
    const double a = comparing->a.values[i], b = comparing->b.values[i];
    const double larger = larger_of(fabs(a), fabs(b));
    struct distances d = {.abs = fabs(a - b)};
    if (comparing->same_type && comparing->form == SIGN_MAGNITUDE) {
        d.ulp = float_ulps(comparing->a.bits[i], comparing->b.bits[i], comparing->a.size);
    } else if (comparing->same_type) {
        d.ulp = integer_distance(comparing->a.bits[i], comparing->b.bits[i], comparing->a.size,
                                 comparing->form);
        d.abs = (double)d.ulp; /* exact beyond 2^53, too */
    }
    /* Halved, because the difference of the two largest numbers overflows. */
    if (isinf(d.abs))
        d.rel = fabs(a / 2 - b / 2) / (larger / 2);
    else
        d.rel = larger > 0 ? d.abs / larger : 0;
    return d;
}

static bool within(const struct comparing *comparing, size_t i, const struct distances *d) {
    const struct nauha_tolerance *tolerance = comparing->tolerance;
    const double larger = larger_of(fabs(comparing->a.values[i]), fabs(comparing->b.values[i]));
    if (d->abs <= tolerance->atol + tolerance->rtol * larger)
        return true;
    return comparing->same_type && d->ulp <= tolerance->ulp;
}

/* Two elements that differ in some way. */
static void compare_pair(struct comparing *comparing, size_t i, uint64_t at) {
    struct nauha_difference *out = comparing->out;
    const double a = comparing->a.values[i], b = comparing->b.values[i];
    const bool finite = isfinite(a) && isfinite(b);
    const bool both_nan = isnan(a) && isnan(b);
    out->other_bits++;
    bool same_value = both_nan;
    if (both_nan) {
        out->nan_payloads++;
    } else if (!finite) {
        out->not_finite++;
    } else {
        const struct distances d = measure(comparing, i);
        same_value = d.abs == 0;
        out->zero_signs += same_value;
        if (d.abs > out->max_abs) {
            out->max_abs = d.abs;
            out->max_abs_at = at;
        }
        out->max_rel = larger_of(out->max_rel, d.rel);
        out->max_ulp = d.ulp > out->max_ulp ? d.ulp : out->max_ulp;
        same_value = same_value || (comparing->tolerance && within(comparing, i, &d));
    }
    if (comparing->tolerance && same_value)
        return;
    out->differing++;
    if (out->first == out->count)
        out->first = at;
}

/* ---- tensors ---- */

/* Adds the sums over a block; pairs that are not finite are left out. */
static void sum_block(struct comparing *comparing, size_t n) {
    double x[BLOCK], y[BLOCK];
    double sums[6][LANES] = {{0}};
    uint64_t zeros_a = 0, zeros_b = 0, both = 0, alike = 0;
    const double *a = comparing->a.values, *b = comparing->b.values;
    for (size_t i = 0; i < n; i++) {
        const bool finite = isfinite(a[i]) && isfinite(b[i]);
        x[i] = finite ? a[i] : 0;
        y[i] = finite ? b[i] : 0;
        zeros_a += a[i] == 0;
        zeros_b += b[i] == 0;
        both += (x[i] != 0) & (y[i] != 0);
        alike += (x[i] != 0) & (x[i] == y[i]);
    }
    comparing->out->zeros_a += zeros_a;
    comparing->out->zeros_b += zeros_b;
    comparing->out->both += both;
    comparing->out->alike += alike;
    for (size_t i = n; i < (n + LANES - 1) / LANES * LANES; i++)
        x[i] = y[i] = 0;
    for (size_t i = 0; i < n; i += LANES)
        for (size_t k = 0; k < LANES; k++) {
            const double u = x[i + k], v = y[i + k];
            sums[0][k] += u * u;
            sums[1][k] += v * v;
            sums[2][k] += u * v;
            sums[3][k] += (u - v) * (u - v);
            sums[4][k] += v != 0 ? u * u : 0;
            sums[5][k] += u != 0 ? v * v : 0;
        }
    for (size_t k = 0; k < LANES; k++) {
        comparing->out->sum_squares_a += sums[0][k];
        comparing->out->sum_squares_b += sums[1][k];
        comparing->out->sum_products += sums[2][k];
        comparing->out->sum_squares_difference += sums[3][k];
        comparing->out->both_squares_a += sums[4][k];
        comparing->out->both_squares_b += sums[5][k];
    }
}

static void compare_block(struct comparing *comparing, uint64_t first, size_t n) {
    const struct side *a = &comparing->a, *b = &comparing->b;
    sum_block(comparing, n);
    for (size_t i = 0; i < n; i++) {
        const bool equal = comparing->same_type ? a->bits[i] == b->bits[i]
                                                : a->values[i] == b->values[i] ||
                                                      (isnan(a->values[i]) && isnan(b->values[i]));
        if (!equal)
            compare_pair(comparing, i, first + i);
    }
}

void nauha__compare_piece(const struct nauha_tensor *a, const struct nauha_tensor *b,
                          const struct nauha_tolerance *tolerance, uint64_t first, size_t count,
                          struct nauha_difference *difference) {
    const bool same_type = a->dtype == b->dtype;
    struct comparing comparing = {.same_type = same_type,
                                  .form = form_of(a->dtype),
                                  .tolerance = tolerance,
                                  .out = difference};
    comparing.a.tensor = a;
    comparing.a.size = nauha_dtype_size(a->dtype);
    comparing.b.tensor = b;
    comparing.b.size = nauha_dtype_size(b->dtype);
    for (size_t at = 0; at < count; at += BLOCK) {
        const size_t n = count - at < BLOCK ? count - at : BLOCK;
        take(&comparing.a, at, n);
        take(&comparing.b, at, n);
        compare_block(&comparing, first + at, n);
    }
}

/* ---- rounding ---- */

double nauha__last_bit(enum nauha_dtype dtype) {
    switch (dtype) {
    case NAUHA_DTYPE_F64:
        return 0x1p-52;
    case NAUHA_DTYPE_F32:
        return 0x1p-23;
    case NAUHA_DTYPE_F16:
        return 0x1p-10;
    case NAUHA_DTYPE_BF16:
        return 0x1p-7;
    case NAUHA_DTYPE_F8_E4M3FN:
    case NAUHA_DTYPE_F8_E4M3FNUZ:
        return 0x1p-3;
    case NAUHA_DTYPE_F8_E5M2:
    case NAUHA_DTYPE_F8_E5M2FNUZ:
        return 0x1p-2;
    default:
        return 0;
    }
}

/* Sums are accumulated in f32 at least, and rounded to their own type. */
#define SUMMATION 256.0
#define RESULT 4.0

static double rounding_of(enum nauha_dtype a, enum nauha_dtype b) {
    const double of_a = nauha__last_bit(a), of_b = nauha__last_bit(b);
    const bool wide = a == NAUHA_DTYPE_F64 && b == NAUHA_DTYPE_F64;
    if (of_a == 0 && of_b == 0)
        return 0;
    return RESULT * fmax(of_a, of_b) +
           SUMMATION * nauha__last_bit(wide ? NAUHA_DTYPE_F64 : NAUHA_DTYPE_F32);
}

double nauha__fingerprint_tolerance(const struct nauha_tolerance *tolerance,
                                    enum nauha_dtype dtype) {
    return tolerance->rounding ? fmax(tolerance->rtol, rounding_of(dtype, dtype)) : tolerance->rtol;
}

void nauha__compare_rounding(const struct nauha_tolerance *tolerance, enum nauha_dtype a,
                             enum nauha_dtype b, struct nauha_difference *difference) {
    if (!tolerance || !tolerance->rounding || difference->differing == 0 ||
        difference->not_finite > 0 || nauha_difference_relative(difference) > rounding_of(a, b))
        return;
    difference->differing = 0;
    difference->first = difference->count;
}

enum nauha_status nauha_compare(const struct nauha_tensor *a, const struct nauha_tensor *b,
                                const struct nauha_tolerance *tolerance,
                                struct nauha_difference *difference, struct nauha_error *err) {
    size_t count, other;
    enum nauha_status status = nauha_tensor_count(a, &count, err);
    if (status == NAUHA_OK)
        status = nauha_tensor_count(b, &other, err);
    if (status != NAUHA_OK)
        return status;
    if (count != other)
        return nauha_error_set(err, NAUHA_INVALID, "tensors of %zu and %zu elements do not compare",
                               count, other);
    *difference = (struct nauha_difference){.count = count, .first = count};
    if (count > 0 &&
        (a->dtype != b->dtype || memcmp(a->data, b->data, count * nauha_dtype_size(a->dtype)) != 0))
        nauha__compare_piece(a, b, tolerance, 0, count, difference);
    nauha__compare_rounding(tolerance, a->dtype, b->dtype, difference);
    return NAUHA_OK;
}

double nauha_difference_relative(const struct nauha_difference *difference) {
    const double larger = fmax(difference->sum_squares_a, difference->sum_squares_b);
    if (difference->sum_squares_difference == 0)
        return 0;
    return larger > 0 ? sqrt(difference->sum_squares_difference) / sqrt(larger) : INFINITY;
}

double nauha_difference_cosine(const struct nauha_difference *difference) {
    if (difference->sum_squares_difference == 0)
        return 1;
    return difference->sum_products /
           (sqrt(difference->sum_squares_a) * sqrt(difference->sum_squares_b));
}

/* ---- an element as text ---- */

const char *nauha_element_text(const struct nauha_tensor *tensor, size_t at, char text[40]) {
    const size_t size = nauha_dtype_size(tensor->dtype);
    double value;
    nauha_tensor_to_f64(tensor, at, 1, &value);
    if (tensor->dtype == NAUHA_DTYPE_I64) {
        snprintf(text, 40, "%" PRId64, (int64_t)bits_at(tensor, size, at));
    } else if (form_of(tensor->dtype) != SIGN_MAGNITUDE) {
        snprintf(text, 40, "%.0f", value);
    } else if (isnan(value)) {
        snprintf(text, 40, "nan (0x%0*" PRIx64 ")", (int)(2 * size), bits_at(tensor, size, at));
    } else {
        const bool wide = tensor->dtype == NAUHA_DTYPE_F64;
        for (int digits = 1; digits <= (wide ? 17 : 9); digits++) {
            snprintf(text, 40, "%.*g", digits, value);
            if ((wide ? strtod(text, NULL) : (double)strtof(text, NULL)) == value)
                break;
        }
    }
    return text;
}
