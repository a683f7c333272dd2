/* SPDX-License-Identifier: MIT */
/* Text to numbers, the same in every locale.
 *
 * Threads: any thread.
 */
#include "nauha/internal/parse.h"

#include <errno.h>
#include <inttypes.h>
#include <locale.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* Reads the number at the beginning of text as in the C locale. *end points behind it, or is text
 * if there is none. Only the characters of plain decimal numbers are read. */
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
    /* Integers keep all their digits; fractions of a byte are cut off. */
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
