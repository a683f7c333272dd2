/* SPDX-License-Identifier: MIT */
/* Element-wise subtraction in a type of its own, gathering of strided tensors, text to numbers.
 *
 * Threads: any thread.
 */
#include "nauha/internal/arithmetic.h"

#include <errno.h>
#include <inttypes.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "nauha/internal/convert.h"

/* ---- subtraction ---- */

/* Through the unsigned type of the same size, integers wrap without undefined behaviour. */
#define SUBTRACT(type, expression)                                                                 \
    for (size_t i = 0; i < count; i++) {                                                           \
        type x, y, z;                                                                              \
        memcpy(&x, (const char *)a + i * sizeof x, sizeof x);                                      \
        memcpy(&y, (const char *)b + i * sizeof y, sizeof y);                                      \
        z = (type)(expression);                                                                    \
        memcpy((char *)out + i * sizeof z, &z, sizeof z);                                          \
    }

static void subtract_small(enum nauha_dtype dtype, const char *a, const char *b, size_t count,
                           char *out) {
    enum { BLOCK = 256 };
    float x[BLOCK], y[BLOCK];
    size_t size = nauha_dtype_size(dtype);
    for (size_t done = 0; done < count;) {
        size_t now = count - done < BLOCK ? count - done : BLOCK;
        nauha__small_to_float(dtype, a + done * size, now, x);
        nauha__small_to_float(dtype, b + done * size, now, y);
        for (size_t i = 0; i < now; i++)
            x[i] -= y[i];
        nauha__float_to_small(dtype, x, now, out + done * size);
        done += now;
    }
}

void nauha__subtract(enum nauha_dtype dtype, const void *a, const void *b, size_t count,
                     void *out) {
    switch (dtype) {
    case NAUHA_DTYPE_F32:
        SUBTRACT(float, x - y)
        return;
    case NAUHA_DTYPE_F64:
        SUBTRACT(double, x - y)
        return;
    case NAUHA_DTYPE_U8:
    case NAUHA_DTYPE_I8:
        SUBTRACT(uint8_t, x - y)
        return;
    case NAUHA_DTYPE_I16:
        SUBTRACT(uint16_t, x - y)
        return;
    case NAUHA_DTYPE_I32:
        SUBTRACT(uint32_t, x - y)
        return;
    case NAUHA_DTYPE_I64:
        SUBTRACT(uint64_t, x - y)
        return;
    case NAUHA_DTYPE_BOOL:
        SUBTRACT(uint8_t, (x != 0) ^ (y != 0))
        return;
    default:
        subtract_small(dtype, a, b, count, out);
    }
}

/* ---- gathering ---- */

/* A tensor with as few dimensions as describe the same elements in the same order. */
struct walk {
    uint32_t ndim; /* at least 1 */
    size_t shape[NAUHA_MAX_NDIM];
    ptrdiff_t stride[NAUHA_MAX_NDIM]; /* in bytes */
};

static void simplify(const struct nauha_tensor *tensor, size_t size, struct walk *walk) {
    walk->ndim = 0;
    for (uint32_t i = 0; i < tensor->ndim; i++) {
        if (tensor->shape[i] == 1)
            continue;
        size_t length = (size_t)tensor->shape[i];
        ptrdiff_t stride = (ptrdiff_t)tensor->strides[i] * (ptrdiff_t)size;
        uint32_t last = walk->ndim - 1;
        if (walk->ndim > 0 && walk->stride[last] == stride * (ptrdiff_t)length) {
            walk->shape[last] *= length;
            walk->stride[last] = stride;
        } else {
            walk->shape[walk->ndim] = length;
            walk->stride[walk->ndim] = stride;
            walk->ndim++;
        }
    }
    if (walk->ndim == 0) {
        walk->ndim = 1;
        walk->shape[0] = 1;
        walk->stride[0] = (ptrdiff_t)size;
    }
}

#define COPY_EACH(type)                                                                            \
    for (size_t i = 0; i < n; i++)                                                                 \
    memcpy(to + i * sizeof(type), from + (ptrdiff_t)i * stride, sizeof(type))

static void copy_run(const char *restrict from, ptrdiff_t stride, size_t size, size_t n,
                     char *restrict to) {
    if (stride == (ptrdiff_t)size) {
        memcpy(to, from, n * size);
        return;
    }
    switch (size) {
    case 1:
        COPY_EACH(uint8_t);
        return;
    case 2:
        COPY_EACH(uint16_t);
        return;
    case 4:
        COPY_EACH(uint32_t);
        return;
    default:
        COPY_EACH(uint64_t);
    }
}

enum { TILE = 16 };

/* How many whole rows to copy as tiles: several where going down the rows stays closer in memory
 * than going along one (a transposed matrix, channels last), else 0. */
static size_t tile_rows(const struct walk *walk, const size_t *at, size_t n) {
    uint32_t inner = walk->ndim - 1;
    if (inner == 0 || at[inner] != 0 ||
        llabs(walk->stride[inner - 1]) >= llabs(walk->stride[inner]))
        return 0;
    size_t rows = walk->shape[inner - 1] - at[inner - 1];
    rows = rows < n / walk->shape[inner] ? rows : n / walk->shape[inner];
    return rows < TILE ? rows : TILE;
}

/* Copies rows x columns in squares, so that what a cache line holds is used while it is there. */
static void copy_tiles(const char *from, const struct walk *walk, size_t size, size_t rows,
                       char *to) {
    uint32_t inner = walk->ndim - 1;
    size_t columns = walk->shape[inner];
    for (size_t column = 0; column < columns; column += TILE) {
        size_t n = columns - column < TILE ? columns - column : TILE;
        const char *corner = from + (ptrdiff_t)column * walk->stride[inner];
        for (size_t row = 0; row < rows; row++)
            copy_run(corner + (ptrdiff_t)row * walk->stride[inner - 1], walk->stride[inner], size,
                     n, to + (row * columns + column) * size);
    }
}

/* Goes on by `rows` rows, which do not reach past the end of their dimension; returns the new
 * element's address. */
static const char *next_row(const struct walk *walk, size_t *at, size_t rows, const char *from) {
    for (uint32_t i = walk->ndim - 1; i-- > 0; rows = 1) {
        from += (ptrdiff_t)rows * walk->stride[i];
        at[i] += rows;
        if (at[i] < walk->shape[i])
            break;
        from -= (ptrdiff_t)walk->shape[i] * walk->stride[i];
        at[i] = 0;
    }
    return from;
}

void nauha__gather(const struct nauha_tensor *tensor, size_t first, size_t n, void *out) {
    size_t size = nauha_dtype_size(tensor->dtype);
    if (n == 0)
        return;
    const char *from = tensor->data;
    if (!tensor->strides) {
        memcpy(out, from + first * size, n * size);
        return;
    }
    struct walk walk;
    simplify(tensor, size, &walk);
    uint32_t inner = walk.ndim - 1;

    size_t at[NAUHA_MAX_NDIM]; /* the position of element `first` */
    size_t rest = first;
    for (uint32_t i = walk.ndim; i-- > 0;) {
        at[i] = rest % walk.shape[i];
        rest /= walk.shape[i];
        from += (ptrdiff_t)at[i] * walk.stride[i];
    }

    for (char *to = out; n > 0;) {
        size_t rows = tile_rows(&walk, at, n);
        size_t copied;
        if (rows > 1) {
            copied = rows * walk.shape[inner];
            copy_tiles(from, &walk, size, rows, to);
        } else {
            rows = 1;
            copied = walk.shape[inner] - at[inner];
            copied = copied < n ? copied : n;
            copy_run(from, walk.stride[inner], size, copied, to);
            from -= (ptrdiff_t)at[inner] * walk.stride[inner];
            at[inner] = 0;
        }
        to += copied * size;
        n -= copied;
        if (n > 0)
            from = next_row(&walk, at, rows, from);
    }
}

/* ---- numbers ---- */

/* The number at the front of text in the C locale, whatever the host's is; *end is behind it, or
 * text where there is none. Only the characters of plain decimal numbers are looked at. */
static double front_number(const char *text, const char **end) {
    char copy[64];
    size_t length = strspn(text, "+-.0123456789eE");
    *end = text;
    if (length >= sizeof copy)
        return 0;
    memcpy(copy, text, length);
    copy[length] = '\0';
    locale_t locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (!locale)
        return 0;
    char *stop = copy;
    double value = strtod_l(copy, &stop, locale);
    freelocale(locale);
    *end = text + (stop - copy);
    return value;
}

enum nauha_status nauha__parse_size(const char *text, uint64_t *bytes, struct nauha_error *err) {
    static const char units[] = "KMGT";
    static const char expected[] = "a number with or without K, M, G or T behind it";
    const char *end = text;
    double value = text[0] >= '0' && text[0] <= '9' ? front_number(text, &end) : 0;
    uint64_t unit = 1;
    if (end != text && *end) {
        char letter = (char)(*end >= 'a' && *end <= 'z' ? *end - 'a' + 'A' : *end);
        const char *known = strchr(units, letter);
        if (known) {
            unit <<= 10 * (known - units + 1);
            end++;
            if (*end == 'i')
                end++;
        }
        if (*end == 'B')
            end++;
    }
    if (end == text || *end)
        return nauha_error_set(err, NAUHA_INVALID, "size \"%s\" is not %s", text, expected);
    /* Whole numbers keep all their digits; fractions of a byte are cut off. */
    bool is_whole = !strpbrk(text, ".eE");
    bool fits;
    if (is_whole) {
        errno = 0;
        uint64_t whole = strtoull(text, NULL, 10);
        fits = errno == 0 && whole <= UINT64_MAX / unit;
        *bytes = fits ? whole * unit : *bytes;
    } else {
        fits = value * (double)unit < 0x1p64;
        *bytes = fits ? (uint64_t)(value * (double)unit) : *bytes;
    }
    if (!fits)
        return nauha_error_set(err, NAUHA_INVALID, "size \"%s\" is too large", text);
    return NAUHA_OK;
}

static bool has_digits_only(const char *text) {
    return text[0] && text[strspn(text, "0123456789")] == '\0';
}

enum nauha_status nauha__parse_u64(const char *text, uint64_t *value, struct nauha_error *err) {
    if (!has_digits_only(text))
        return nauha_error_set(err, NAUHA_INVALID, "\"%s\" is not a whole number of 0 or more",
                               text);
    errno = 0;
    unsigned long long number = strtoull(text, NULL, 10);
    if (errno == ERANGE || number > UINT64_MAX)
        return nauha_error_set(err, NAUHA_INVALID, "\"%s\" is too large, %" PRIu64 " is the most",
                               text, UINT64_MAX);
    *value = number;
    return NAUHA_OK;
}

enum nauha_status nauha__parse_i64(const char *text, int64_t *value, struct nauha_error *err) {
    const char *digits = text + (*text == '-' || *text == '+');
    if (!has_digits_only(digits))
        return nauha_error_set(err, NAUHA_INVALID, "\"%s\" is not a whole number", text);
    errno = 0;
    long long number = strtoll(text, NULL, 10);
    if (errno == ERANGE)
        return nauha_error_set(err, NAUHA_INVALID,
                               "\"%s\" is out of range, which is %" PRId64 " to %" PRId64, text,
                               INT64_MIN, INT64_MAX);
    *value = number;
    return NAUHA_OK;
}

enum nauha_status nauha__parse_real(const char *text, double *value, struct nauha_error *err) {
    const char *word = text + (*text == '-' || *text == '+');
    if (strcmp(word, "inf") == 0) {
        *value = *text == '-' ? -(double)INFINITY : (double)INFINITY;
        return NAUHA_OK;
    }
    const char *end = text;
    double number = front_number(text, &end);
    if (end == text || *end)
        return nauha_error_set(err, NAUHA_INVALID, "\"%s\" is not a number", text);
    if (isinf(number))
        return nauha_error_set(err, NAUHA_INVALID, "\"%s\" is too large for a number", text);
    *value = number;
    return NAUHA_OK;
}
