/* SPDX-License-Identifier: MIT */
/* Finding the name that was probably meant by a mistyped one; see nauha/nearest.h. */
#include "nauha/nearest.h"

#include <stdio.h>
#include <string.h>

static size_t smaller(size_t a, size_t b) {
    return a < b ? a : b;
}

/* Levenshtein's distance, of words of at most 63 letters. */
static size_t distance(const char *a, const char *b) {
    size_t row[64], length = strlen(b);
    if (strlen(a) >= 64 || length >= 64)
        return 64;
    for (size_t j = 0; j <= length; j++)
        row[j] = j;
    for (size_t i = 1; a[i - 1]; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= length; j++) {
            size_t above = row[j];
            row[j] = smaller(smaller(above, row[j - 1]) + 1, diagonal + (a[i - 1] != b[j - 1]));
            diagonal = above;
        }
    }
    return row[length];
}

void nauha_nearest_try(struct nauha_nearest *nearest, const char *name) {
    const size_t length = strlen(nearest->typed);
    const size_t limit = nearest->name ? nearest->distance : smaller(length / 3 + 2, length);
    if (length == 0)
        return;
    const size_t d =
        strncmp(name, nearest->typed, length) == 0 ? 0 : distance(nearest->typed, name);
    if (d < limit) {
        nearest->name = name;
        nearest->distance = d;
    }
}

const char *nauha_did_you_mean(struct nauha_nearest *nearest) {
    nearest->text[0] = '\0';
    if (nearest->name && strlen(nearest->name) < 64)
        snprintf(nearest->text, sizeof nearest->text, " (did you mean \"%s\"?)", nearest->name);
    return nearest->text;
}
