/* SPDX-License-Identifier: MIT */
/* For rules on classifiers: how often a sample of each class was predicted to be of each class.
 *
 * Threads: one at a time.
 */
#ifndef NAUHA_ANALYZERS_SUPPORT_CONFUSION_H
#define NAUHA_ANALYZERS_SUPPORT_CONFUSION_H

#include <string.h>

#include "analyzers/support/accuracy.h"

/* Networks with more classes predict tokens, which are never balanced. */
#define CONFUSION_CLASSES_MAX 1000u
/* How many samples of each class, on average, a judgement needs. */
#define CONFUSION_PER_CLASS 50u

struct confusion {
    size_t classes;
    uint64_t total;
    uint64_t *counts; /* [label][prediction] */
};

static inline void confusion_clear(struct confusion *confusion) {
    confusion->total = 0;
    if (confusion->counts)
        memset(confusion->counts, 0,
               confusion->classes * confusion->classes * sizeof *confusion->counts);
}

static inline enum nauha_status confusion_resize(const struct nauha_host *host,
                                                 struct confusion *confusion, size_t classes,
                                                 struct nauha_error *err) {
    if (confusion->classes == classes)
        return NAUHA_OK;
    free(confusion->counts);
    *confusion = (struct confusion){.counts = calloc(classes * classes, sizeof *confusion->counts)};
    if (!confusion->counts)
        return host->fail(err, NAUHA_NOMEM, "no memory for %zu classes", classes);
    confusion->classes = classes;
    return NAUHA_OK;
}

/* Whether a bundle of network_output [N, C, ...] and integer input_labels [N, ...] is that of a
 * classifier. */
static inline bool confusion_applies(const struct nauha_message_info *output,
                                     const struct nauha_message_info *labels) {
    if (output->ndim < 2 || is_float(labels->dtype) || output->bytes == 0)
        return false;
    const struct nauha_tensor o = {.ndim = output->ndim, .shape = output->shape};
    const struct nauha_tensor l = {.ndim = labels->ndim, .shape = labels->shape};
    return output->shape[1] >= 2 && output->shape[1] <= CONFUSION_CLASSES_MAX && labels_of(&o, &l);
}

static inline void confusion_count(const struct nauha_host *host, struct confusion *confusion,
                                   const struct nauha_tensor *output,
                                   const struct nauha_tensor *labels, const struct layout *layout) {
    double predicted[BLOCK], wanted[BLOCK];
    for (size_t row = 0; row < layout->rows; row++) {
        for (size_t first = 0; first < layout->inner; first += BLOCK) {
            const size_t n = layout->inner - first < BLOCK ? layout->inner - first : BLOCK;
            argmax_places(host, output, layout, row, first, n, predicted);
            host->to_f64(labels, row * layout->inner + first, n, wanted);
            for (size_t i = 0; i < n; i++) {
                if (!(wanted[i] >= 0 && wanted[i] < (double)layout->classes))
                    continue; /* -100 and the like: not to be learned */
                confusion->counts[(size_t)wanted[i] * confusion->classes + (size_t)predicted[i]]++;
                confusion->total++;
            }
        }
    }
}

/* Adds a bundle of network_output and input_labels; ignores it if it is not of a classification. */
static inline enum nauha_status confusion_add(const struct nauha_host *host,
                                              struct confusion *confusion,
                                              struct nauha_bundle *bundle,
                                              struct nauha_error *err) {
    struct nauha_message *output = host->bundle_message(bundle, 0);
    struct nauha_message *labels = host->bundle_message(bundle, 1);
    const struct nauha_message_info *info = host->info(output);
    struct nauha_tensor outputs, wanted;
    if (!confusion_applies(info, host->info(labels)))
        return NAUHA_OK;
    struct layout layout = {(size_t)info->shape[0], (size_t)info->shape[1], 1};
    for (uint32_t d = 2; d < info->ndim; d++)
        layout.inner *= (size_t)info->shape[d];
    enum nauha_status status = host->tensor(output, &outputs, err);
    if (status == NAUHA_OK)
        status = host->tensor(labels, &wanted, err);
    if (status == NAUHA_OK)
        status = confusion_resize(host, confusion, layout.classes, err);
    if (status == NAUHA_OK)
        confusion_count(host, confusion, &outputs, &wanted, &layout);
    return status;
}

/* Whether there are enough samples for a judgement. */
static inline bool confusion_is_full(const struct confusion *confusion, uint64_t samples) {
    return confusion->classes > 0 && confusion->total >= samples &&
           confusion->total >= (uint64_t)CONFUSION_PER_CLASS * confusion->classes;
}

/* The number of samples of a class. */
static inline uint64_t confusion_samples(const struct confusion *confusion, size_t class) {
    uint64_t sum = 0;
    for (size_t i = 0; i < confusion->classes; i++)
        sum += confusion->counts[class * confusion->classes + i];
    return sum;
}

#endif
