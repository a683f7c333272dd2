/* SPDX-License-Identifier: MIT */
/* For metrics of classification: how often the largest output is that of the label.
 *
 * Threads: one at a time.
 */
#ifndef NAUHA_ANALYZERS_ACCURACY_H
#define NAUHA_ANALYZERS_ACCURACY_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "nauha/analyzer.h"

#define BLOCK 512u

/* Predictions so far, and those of them that are right. */
struct accuracy {
    const struct nauha_host *host;
    uint32_t topic;
    uint64_t right, count;
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
        return host->fail(err, NAUHA_NOMEM, "out of memory");
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

/* Whether labels have the output's shape without its dimension 1. */
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

static inline enum nauha_status check_shapes(const struct nauha_host *host,
                                             const struct nauha_tensor *output,
                                             const struct nauha_tensor *labels,
                                             struct layout *layout, struct nauha_error *err) {
    char a[200], b[200];
    const bool fits = output->ndim >= 2 && (is_float(labels->dtype) ? same_shape(output, labels)
                                                                    : labels_of(output, labels));
    if (!fits)
        return host->fail(err, NAUHA_INVALID,
                          "output of shape [%s] and %s labels of shape [%s] do not fit: labels are "
                          "whole numbers of shape [N, ...] or floats of the output's shape "
                          "[N, C, ...]",
                          shape_text(output, a, sizeof a),
                          is_float(labels->dtype) ? "float" : "integer",
                          shape_text(labels, b, sizeof b));
    *layout = (struct layout){(size_t)output->shape[0], (size_t)output->shape[1], 1};
    for (uint32_t d = 2; d < output->ndim; d++)
        layout->inner *= (size_t)output->shape[d];
    if (layout->classes == 0)
        return host->fail(err, NAUHA_INVALID, "output of shape [%s] has no classes",
                          shape_text(output, a, sizeof a));
    return NAUHA_OK;
}

/* ---- predictions ---- */

/* The first of the largest, and a NaN is larger than any number, as in NumPy and PyTorch. */
static inline bool beats(double value, double best) {
    return value > best || (isnan(value) && !isnan(best));
}

/* [rows, classes]: the classes of a row lie side by side. */
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

/* [rows, classes, inner]: predictions for n places of one row, from `first`. */
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

static inline uint64_t count_right(const struct nauha_host *host, const struct nauha_tensor *output,
                                   const struct nauha_tensor *labels, const struct layout *layout) {
    double predicted[BLOCK], wanted[BLOCK];
    uint64_t right = 0;
    for (size_t row = 0; row < layout->rows; row++) {
        for (size_t first = 0; first < layout->inner; first += BLOCK) {
            const size_t n = layout->inner - first < BLOCK ? layout->inner - first : BLOCK;
            argmax_places(host, output, layout, row, first, n, predicted);
            if (is_float(labels->dtype))
                argmax_places(host, labels, layout, row, first, n, wanted);
            else
                host->to_f64(labels, row * layout->inner + first, n, wanted);
            for (size_t i = 0; i < n; i++)
                right += predicted[i] == wanted[i];
        }
    }
    return right;
}

/* Adds the predictions of a bundle of network_output and input_labels. */
static inline enum nauha_status accuracy_add(struct accuracy *accuracy, struct nauha_bundle *bundle,
                                             struct nauha_error *err) {
    const struct nauha_host *host = accuracy->host;
    struct nauha_tensor output, labels;
    struct layout layout;
    enum nauha_status status = host->tensor(host->bundle_message(bundle, 0), &output, err);
    if (status == NAUHA_OK)
        status = host->tensor(host->bundle_message(bundle, 1), &labels, err);
    if (status == NAUHA_OK)
        status = check_shapes(host, &output, &labels, &layout, err);
    if (status != NAUHA_OK)
        return status;
    accuracy->right += count_right(host, &output, &labels, &layout);
    accuracy->count += (uint64_t)layout.rows * layout.inner;
    return NAUHA_OK;
}

/* Publishes the fraction that is right, and begins anew. */
static inline enum nauha_status accuracy_publish(struct accuracy *accuracy,
                                                 const struct nauha_message_info *stamps,
                                                 struct nauha_error *err) {
    const double value = (double)accuracy->right / (double)accuracy->count;
    accuracy->right = accuracy->count = 0;
    return accuracy->host->publish_scalar(accuracy->host, accuracy->topic, stamps, value, err);
}

#endif
