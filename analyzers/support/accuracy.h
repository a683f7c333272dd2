/* SPDX-License-Identifier: MIT */
/* For metrics of classification: how often the predicted class is that of the label.
 *
 * Threads: one at a time.
 */
#ifndef NAUHA_ANALYZERS_SUPPORT_ACCURACY_H
#define NAUHA_ANALYZERS_SUPPORT_ACCURACY_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nauha/analyzer.h"

#define BLOCK 512u

/* How many predictions there are, and how many of them are right. */
struct accuracy {
    const struct nauha_host *host;
    uint32_t topic;
    uint64_t right, count;
    /* Decisions between yes and no: as logits, which say yes above 0, and as probabilities, which
     * say yes above a half. */
    uint64_t right_as_logits, right_as_probabilities;
    bool are_logits; /* some number was outside of [0, 1] */
    bool several;    /* some sample had not just one label: each class is a decision of its own */
};

/* The `create` of such a metric, which publishes the topic `name`. */
static inline enum nauha_status accuracy_create(const struct nauha_host *host, const char *name,
                                                const char *title, size_t size,
                                                struct accuracy **accuracy,
                                                struct nauha_error *err) {
    const struct nauha_plot plot = {.title = title,
                                    .xlabel = "step",
                                    .ylabel = "accuracy",
                                    .y_low = (double)NAN,
                                    .y_high = (double)NAN};
    struct accuracy *made = calloc(1, size);
    if (!made)
        return NAUHA_HOST_NOMEM(host, err);
    made->host = host;
    enum nauha_status status = host->register_topic(host, name, NAUHA_SCOPE_NETWORK,
                                                    NAUHA_FORM_SCALAR, &plot, &made->topic, err);
    if (status != NAUHA_OK) {
        free(made);
        return status;
    }
    *accuracy = made;
    return NAUHA_OK;
}

/* ---- shapes ---- */

/* An output [rows, classes, inner...]: one prediction for each of rows x inner. */
struct layout {
    size_t rows, classes, inner;
};

static inline bool is_float(enum nauha_dtype dtype) {
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

static inline bool same_shape(const struct nauha_tensor *a, const struct nauha_tensor *b) {
    if (a->ndim != b->ndim)
        return false;
    for (uint32_t d = 0; d < a->ndim; d++) {
        if (a->shape[d] != b->shape[d])
            return false;
    }
    return true;
}

/* Whether labels have the shape of the output without its dimension 1. */
static inline bool labels_of(const struct nauha_tensor *output, const struct nauha_tensor *labels) {
    if (labels->ndim + 1 != output->ndim)
        return false;
    for (uint32_t d = 0; d < labels->ndim; d++) {
        if (labels->shape[d] != output->shape[d > 0 ? d + 1 : 0])
            return false;
    }
    return true;
}

static inline const char *shape_text(const struct nauha_tensor *tensor, char *text, size_t size) {
    size_t length = 0;
    for (uint32_t d = 0; d < tensor->ndim && length < size; d++) {
        const int more = snprintf(text + length, size - length, "%s%lld", d > 0 ? ", " : "",
                                  (long long)tensor->shape[d]);
        length += more > 0 ? (size_t)more : 0;
    }
    if (tensor->ndim == 0)
        text[0] = '\0';
    return text;
}

/* Whether an output is a single number for each label: [N], or [N, 1, ...] for labels [N, ...]. */
static inline bool is_single(const struct nauha_tensor *output, const struct nauha_tensor *labels) {
    return output->ndim == 1 ? same_shape(output, labels)
                             : output->ndim > 1 && output->shape[1] == 1 &&
                                   (same_shape(output, labels) || labels_of(output, labels));
}

enum labelling {
    LABELS_UNKNOWN,
    LABELS_CLASSES, /* whole numbers */
    LABELS_SHARES,  /* a share for each class, such as one-hot, or 1 or 0 for each */
    LABELS_YES_NO   /* 1 or 0 */
};

static inline enum labelling labelling_of(const struct nauha_tensor *output,
                                          const struct nauha_tensor *labels) {
    if (is_single(output, labels))
        return LABELS_YES_NO;
    if (output->ndim < 2 || output->shape[1] == 0)
        return LABELS_UNKNOWN;
    if (same_shape(output, labels))
        return LABELS_SHARES;
    return !is_float(labels->dtype) && labels_of(output, labels) ? LABELS_CLASSES : LABELS_UNKNOWN;
}

static inline struct layout layout_of(const struct nauha_tensor *output) {
    struct layout layout = {(size_t)output->shape[0], 1, 1};
    if (output->ndim > 1)
        layout.classes = (size_t)output->shape[1];
    for (uint32_t d = 2; d < output->ndim; d++)
        layout.inner *= (size_t)output->shape[d];
    return layout;
}

/* ---- predictions ---- */

/* Whether a value replaces the best one: the first of equal values wins, and a NaN is larger than
 * any number, as in NumPy and PyTorch. */
static inline bool beats(double value, double best) {
    return value > best || (isnan(value) && !isnan(best));
}

/* The prediction for a row of [rows, classes], whose classes are contiguous. */
static inline double argmax_row(const struct nauha_host *host, const struct nauha_tensor *tensor,
                                const struct layout *layout, size_t row) {
    double block[BLOCK], best = 0;
    size_t place = 0;
    for (size_t first = 0; first < layout->classes; first += BLOCK) {
        const size_t n = layout->classes - first < BLOCK ? layout->classes - first : BLOCK;
        host->to_f64(tensor, row * layout->classes + first, n, block);
        for (size_t i = 0; i < n; i++) {
            if ((first == 0 && i == 0) || beats(block[i], best)) {
                best = block[i];
                place = first + i;
            }
        }
    }
    return (double)place;
}

/* The predictions for n places, beginning with `first`, of a row of [rows, classes, inner]. */
static inline void argmax_places(const struct nauha_host *host, const struct nauha_tensor *tensor,
                                 const struct layout *layout, size_t row, size_t first, size_t n,
                                 double *places) {
    if (layout->inner == 1) {
        *places = argmax_row(host, tensor, layout, row);
        return;
    }
    double block[BLOCK], best[BLOCK];
    for (size_t class = 0; class < layout->classes; class ++) {
        host->to_f64(tensor, (row * layout->classes + class) * layout->inner + first, n, block);
        for (size_t i = 0; i < n; i++) {
            if (class == 0 || beats(block[i], best[i])) {
                best[i] = block[i];
                places[i] = (double)class;
            }
        }
    }
}

/* Counts predictions of classes. Labels that are not a class, such as PyTorch's ignore_index of
 * -100, do not contribute to the loss and are not counted. */
static inline void count_right(struct accuracy *accuracy, const struct nauha_tensor *output,
                               const struct nauha_tensor *labels, const struct layout *layout,
                               enum labelling labelling) {
    const struct nauha_host *host = accuracy->host;
    double predicted[BLOCK], wanted[BLOCK];
    for (size_t row = 0; row < layout->rows; row++) {
        for (size_t first = 0; first < layout->inner; first += BLOCK) {
            const size_t n = layout->inner - first < BLOCK ? layout->inner - first : BLOCK;
            argmax_places(host, output, layout, row, first, n, predicted);
            if (labelling == LABELS_SHARES)
                argmax_places(host, labels, layout, row, first, n, wanted);
            else
                host->to_f64(labels, row * layout->inner + first, n, wanted);
            for (size_t i = 0; i < n; i++) {
                accuracy->right += predicted[i] == wanted[i];
                accuracy->count += wanted[i] >= 0 && wanted[i] < (double)layout->classes;
            }
        }
    }
}

/* Whether the labels of each row are shares that add up to 1, within rounding. */
static inline bool are_shares(const struct nauha_host *host, const struct nauha_tensor *labels,
                              const struct layout *layout) {
    double block[BLOCK], sums[BLOCK];
    for (size_t row = 0; row < layout->rows; row++) {
        for (size_t first = 0; first < layout->inner; first += BLOCK) {
            const size_t n = layout->inner - first < BLOCK ? layout->inner - first : BLOCK;
            memset(sums, 0, n * sizeof *sums);
            for (size_t class = 0; class < layout->classes; class ++) {
                host->to_f64(labels, (row * layout->classes + class) * layout->inner + first, n,
                             block);
                for (size_t i = 0; i < n; i++)
                    sums[i] += block[i] >= 0 ? block[i] : (double)NAN;
            }
            for (size_t i = 0; i < n; i++) {
                if (!(fabs(sums[i] - 1) <= 0.01))
                    return false;
            }
        }
    }
    return true;
}

/* PyTorch's ignore_index, which is no label. */
#define IGNORED (-100.0)

/* Counts decisions. False: not all labels are 0 or 1. A NaN is never right. */
static inline bool count_yes_no(struct accuracy *accuracy, const struct nauha_tensor *output,
                                const struct nauha_tensor *labels, size_t count) {
    double x[BLOCK], wanted[BLOCK];
    struct accuracy more = *accuracy;
    for (size_t first = 0; first < count; first += BLOCK) {
        const size_t n = count - first < BLOCK ? count - first : BLOCK;
        accuracy->host->to_f64(output, first, n, x);
        accuracy->host->to_f64(labels, first, n, wanted);
        for (size_t i = 0; i < n; i++) {
            const bool yes = wanted[i] == 1;
            if (wanted[i] == IGNORED)
                continue;
            if (!yes && wanted[i] != 0)
                return false;
            more.count++;
            more.are_logits = more.are_logits || x[i] < 0 || x[i] > 1;
            more.right_as_logits += yes ? x[i] > 0 : x[i] <= 0;
            more.right_as_probabilities += yes ? x[i] > 0.5 : x[i] <= 0.5;
        }
    }
    *accuracy = more;
    return true;
}

/* Counts the predictions of a batch; why it cannot, or NULL. */
static inline const char *count_batch(struct accuracy *accuracy, const struct nauha_tensor *output,
                                      const struct nauha_tensor *labels) {
    const enum labelling labelling = labelling_of(output, labels);
    if (labelling == LABELS_UNKNOWN)
        return "labels must be whole numbers of shape [N, ...], or numbers of the output's shape";
    const struct layout layout = layout_of(output);
    const size_t all = layout.rows * layout.classes * layout.inner;
    if (labelling == LABELS_CLASSES || (labelling == LABELS_SHARES && !accuracy->several &&
                                        are_shares(accuracy->host, labels, &layout))) {
        count_right(accuracy, output, labels, &layout, labelling);
        return NULL;
    }
    if (!count_yes_no(accuracy, output, labels, all))
        return labelling == LABELS_YES_NO
                   ? "not all labels are 0 or 1"
                   : "the labels of a sample are neither probabilities that add up to 1 nor all 0 "
                     "or 1";
    accuracy->several = accuracy->several || labelling == LABELS_SHARES;
    return NULL;
}

static inline void accuracy_remark(const struct accuracy *accuracy,
                                   const struct nauha_tensor *output,
                                   const struct nauha_tensor *labels, const char *why) {
    char a[200], b[200], text[640];
    snprintf(text, sizeof text,
             "no accuracy is computed for outputs of shape [%s] and %s labels of shape [%s]: %s",
             shape_text(output, a, sizeof a), is_float(labels->dtype) ? "float" : "integer",
             shape_text(labels, b, sizeof b), why);
    accuracy->host->remark(accuracy->host, text);
}

/* Adds the predictions of a bundle of network_output and input_labels. If they are not of a
 * classification, remarks on it and sets *known to false. */
static inline enum nauha_status accuracy_add(struct accuracy *accuracy, struct nauha_bundle *bundle,
                                             bool *known, struct nauha_error *err) {
    const struct nauha_host *host = accuracy->host;
    struct nauha_tensor output, labels;
    *known = false;
    enum nauha_status status = host->tensor(host->bundle_message(bundle, 0), &output, err);
    if (status == NAUHA_OK)
        status = host->tensor(host->bundle_message(bundle, 1), &labels, err);
    if (status != NAUHA_OK)
        return status;
    const char *why = count_batch(accuracy, &output, &labels);
    *known = !why;
    if (why)
        accuracy_remark(accuracy, &output, &labels, why);
    return NAUHA_OK;
}

/* Publishes the fraction of right predictions and starts counting anew. */
static inline enum nauha_status accuracy_publish(struct accuracy *accuracy,
                                                 const struct nauha_message_info *stamps,
                                                 struct nauha_error *err) {
    const uint64_t right =
        accuracy->right +
        (accuracy->are_logits ? accuracy->right_as_logits : accuracy->right_as_probabilities);
    const double value = (double)right / (double)accuracy->count;
    accuracy->right = accuracy->count = 0;
    accuracy->right_as_logits = accuracy->right_as_probabilities = 0;
    return accuracy->host->publish_scalar(accuracy->host, accuracy->topic, stamps, value, err);
}

#endif
