/* SPDX-License-Identifier: MIT */
/* For metrics of per-sample gradients: the mean and the variance of each element of a layer's
 * weight gradient over the samples of a batch.
 *
 * The weight gradient of one sample is the gradient of the layer's output times the layer's input,
 * which are both recorded: an outer product for Linear, a product with the unfolded input for Conv.
 * It is computed sample by sample for some rows of the weights at a time; the gradients of all
 * samples are never in memory at once.
 *
 * Threads: one at a time.
 */
#ifndef NAUHA_ANALYZERS_SUPPORT_PER_SAMPLE_H
#define NAUHA_ANALYZERS_SUPPORT_PER_SAMPLE_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analyzers/support/blocks.h"
#include "analyzers/support/convolution.h"
#include "analyzers/support/keys.h"
#include "nauha/array.h"

/* How many elements of the weights are processed at a time, unless one row has more. */
#define ROWS_ELEMENTS (1u << 18)
/* How many positions are added up while a row is in the cache. */
#define POSITIONS 16u

/* What the metrics are computed from. The gradients are those of the loss that was trained on. If
 * it is a mean over a batch of B samples, they are 1/B of each sample's own gradient, and all sums
 * here are scaled by 1/B^2, which cancels in ratios. */
struct per_sample_moments {
    size_t samples;
    struct block_sum variances; /* unbiased; their sum is the trace of the covariance */
    struct block_sum squares;   /* of the means */
    struct block_sum ratios;    /* squared mean / variance, of elements not 0 in all samples */
    uint64_t ratio_count;
};

/* A copy of a message's tensor. */
struct held_tensor {
    struct nauha_tensor tensor;
    int64_t shape[NAUHA_MAX_NDIM];
    size_t sample; /* elements of one sample; dimension 0 counts the samples */
};

/* One call of a layer, held from its bundle until the gradient of its weights comes. */
struct held_call {
    uint32_t rank, tag, module;
    struct held_tensor input, gradient;
    struct convolution convolution;
};

/* What is known of a layer after its first gradient. */
struct known_layer {
    bool known;
    struct convolution convolution;
};

/* The kinds of such a metric. Its table of parameters begins with the row below. */
static const char *const per_sample_kinds[] = {"inputs", "layer_gradients", NULL};
#define PER_SAMPLE_PARAMETER                                                                       \
    { "tag", NAUHA_PARAMETER_TEXT, "default", 0, 0, "messages with this tag: default is training" }

struct per_sample {
    const struct nauha_host *host;
    struct held_call *held;
    size_t held_count, held_capacity;
    struct key_table layers; /* of struct known_layer */
};

/* To be called in `create`: subscribes to the gradients of the weights, too. */
static inline enum nauha_status per_sample_init(struct per_sample *all,
                                                const struct nauha_host *host,
                                                const struct nauha_analyzer_config *config,
                                                struct nauha_error *err) {
    static const char *const kinds[] = {"weight_gradients"};
    *all = (struct per_sample){.host = host, .layers = {.state_bytes = sizeof(struct known_layer)}};
    return host->subscribe(host, kinds, 1, config->values[0].text, false, err);
}

static inline void held_tensor_fini(struct held_tensor *held) {
    free((void *)held->tensor.data);
}

static inline void per_sample_drop(struct per_sample *all, size_t i) {
    held_tensor_fini(&all->held[i].input);
    held_tensor_fini(&all->held[i].gradient);
    all->held[i] = all->held[--all->held_count];
}

/* At the end of a step: drops the calls for whose weights no gradient came. */
static inline void per_sample_drop_all(struct per_sample *all) {
    while (all->held_count > 0)
        per_sample_drop(all, 0);
}

static inline void per_sample_fini(struct per_sample *all) {
    per_sample_drop_all(all);
    free(all->held);
    key_table_fini(&all->layers, NULL);
}

/* ---- holding calls ---- */

/* The number of spatial dimensions of a layer of this class, 0 for Linear; -1: it is neither Linear
 * nor Conv. */
static inline int per_sample_dimensions(const struct nauha_message_info *info) {
    static const char *const classes[] = {"Linear", "Conv1d", "Conv2d", "Conv3d"};
    for (int i = 0; i < 4; i++) {
        if (strcmp(info->module_class, classes[i]) == 0)
            return i;
    }
    return -1;
}

static inline enum nauha_status held_tensor_init(const struct nauha_host *host,
                                                 struct nauha_message *message,
                                                 struct held_tensor *held,
                                                 struct nauha_error *err) {
    struct nauha_tensor tensor;
    const struct nauha_message_info *info = host->info(message);
    enum nauha_status status = host->tensor(message, &tensor, err);
    if (status != NAUHA_OK)
        return status;
    void *data = malloc(info->bytes > 0 ? (size_t)info->bytes : 1);
    if (!data)
        return NAUHA_HOST_NOMEM(host, err);
    if (info->bytes > 0)
        memcpy(data, tensor.data, (size_t)info->bytes);
    held->sample = 1;
    for (uint32_t d = 0; d < tensor.ndim; d++) {
        held->shape[d] = tensor.shape[d];
        held->sample *= d > 0 ? (size_t)tensor.shape[d] : 1;
    }
    held->tensor = tensor;
    held->tensor.data = data;
    held->tensor.shape = NULL; /* it is held->shape */
    return NAUHA_OK;
}

/* Holds the bundle of inputs and layer_gradients of one call; ignores layers other than Linear and
 * Conv. */
static inline enum nauha_status per_sample_hold(struct per_sample *all, struct nauha_bundle *bundle,
                                                struct nauha_error *err) {
    const struct nauha_host *host = all->host;
    struct nauha_message *input = host->bundle_message(bundle, 0);
    const struct nauha_message_info *info = host->info(input);
    if (per_sample_dimensions(info) < 0)
        return NAUHA_OK;
    if (!NAUHA_GROW(all->held, all->held_capacity, all->held_count + 1))
        return NAUHA_HOST_NOMEM(host, err);
    struct held_call *call = &all->held[all->held_count];
    *call = (struct held_call){.rank = info->rank, .tag = info->tag, .module = info->module};
    enum nauha_status status = held_tensor_init(host, input, &call->input, err);
    if (status != NAUHA_OK)
        return status;
    status = held_tensor_init(host, host->bundle_message(bundle, 1), &call->gradient, err);
    if (status != NAUHA_OK) {
        held_tensor_fini(&call->input);
        return status;
    }
    all->held_count++;
    return NAUHA_OK;
}

/* ---- a layer ---- */

/* The calls of a layer in a step, and memory for the computation. */
struct sampled_layer {
    const struct nauha_host *host;
    struct held_call *calls; /* contiguous */
    size_t call_count;
    int dimensions;
    size_t samples, outputs, groups, row; /* the weights are [outputs, row] */
    double *input, *unfolded, *gradient;  /* of one sample */
    double *element, *mean, *deviations;  /* of the rows being processed */
};

static inline void sampled_layer_fini(struct sampled_layer *layer) {
    free(layer->input);
    free(layer->unfolded);
    free(layer->gradient);
    free(layer->element);
    free(layer->mean);
    free(layer->deviations);
}

static inline enum nauha_status per_sample_misfit(const struct nauha_host *host,
                                                  const struct nauha_message_info *info,
                                                  const char *what, struct nauha_error *err) {
    return host->fail(err, NAUHA_INVALID,
                      "%s module \"%s\": %s; use --exclude to compute only the other modules",
                      info->module_class, info->module_name, what);
}

/* Checks the shapes of a call against those of the weights, [outputs, channels / groups,
 * kernel...]. */
static inline bool held_call_fits(struct sampled_layer *layer, struct held_call *call,
                                  const struct nauha_message_info *weights) {
    const struct held_tensor *x = &call->input, *y = &call->gradient;
    const uint32_t spatial = (uint32_t)layer->dimensions;
    struct convolution *c = &call->convolution;
    if (x->tensor.ndim < 2 || y->tensor.ndim != x->tensor.ndim || x->shape[0] != y->shape[0] ||
        x->shape[0] < 1 || (size_t)x->shape[0] != layer->samples || x->sample == 0)
        return false;
    if (spatial == 0)
        return (size_t)x->shape[x->tensor.ndim - 1] == layer->row &&
               (size_t)y->shape[x->tensor.ndim - 1] == layer->outputs &&
               x->sample / layer->row == y->sample / layer->outputs;
    if (x->tensor.ndim != spatial + 2 || weights->shape[1] < 1 ||
        x->shape[1] % weights->shape[1] != 0 || (size_t)y->shape[1] != layer->outputs)
        return false;
    *c = (struct convolution){.channels = (size_t)x->shape[1],
                              .groups = (size_t)(x->shape[1] / weights->shape[1])};
    for (uint32_t d = 0; d < SPATIAL; d++) {
        const bool real = d + spatial >= SPATIAL;
        const uint32_t from = d + spatial - SPATIAL + 2;
        c->in[d] = real ? (size_t)x->shape[from] : 1;
        c->out[d] = real ? (size_t)y->shape[from] : 1;
        c->kernel[d] = real ? (size_t)weights->shape[from] : 1;
    }
    layer->groups = c->groups;
    return layer->outputs % c->groups == 0;
}

static inline size_t held_call_positions(const struct sampled_layer *layer,
                                         const struct held_call *call) {
    return call->gradient.sample / layer->outputs;
}

static inline enum nauha_status sampled_layer_room(struct sampled_layer *layer,
                                                   struct nauha_error *err) {
    size_t input = 1, gradient = 1, unfolded = 1;
    for (size_t i = 0; i < layer->call_count; i++) {
        const struct held_call *call = &layer->calls[i];
        const size_t more = held_call_positions(layer, call) * layer->row;
        input = call->input.sample > input ? call->input.sample : input;
        gradient = call->gradient.sample > gradient ? call->gradient.sample : gradient;
        unfolded = more > unfolded ? more : unfolded;
    }
    const size_t rows = layer->row > ROWS_ELEMENTS ? layer->row : ROWS_ELEMENTS;
    layer->input = calloc(input, sizeof *layer->input);
    layer->gradient = calloc(gradient, sizeof *layer->gradient);
    layer->unfolded = calloc(layer->dimensions > 0 ? unfolded : 1, sizeof *layer->unfolded);
    layer->element = calloc(rows, sizeof *layer->element);
    layer->mean = calloc(rows, sizeof *layer->mean);
    layer->deviations = calloc(rows, sizeof *layer->deviations);
    if (layer->input && layer->gradient && layer->unfolded && layer->element && layer->mean &&
        layer->deviations)
        return NAUHA_OK;
    return NAUHA_HOST_NOMEM(layer->host, err);
}

/* ---- gradients of one sample ---- */

/* Adds a call's part of one sample's gradient: rows [first, first + rows), which are of one group.
 */
static inline void add_sample(const struct sampled_layer *layer, const struct held_call *call,
                              size_t sample, size_t group, size_t first, size_t rows) {
    const size_t positions = held_call_positions(layer, call), row = layer->row;
    const bool linear = layer->dimensions == 0;
    const size_t by_position = linear ? layer->outputs : 1, by_output = linear ? 1 : positions;
    const struct nauha_host *host = layer->host;
    host->to_f64(&call->input.tensor, sample * call->input.sample, call->input.sample,
                 layer->input);
    host->to_f64(&call->gradient.tensor, sample * call->gradient.sample, call->gradient.sample,
                 layer->gradient);
    if (!linear)
        convolution_unfold(&call->convolution, layer->input, group, layer->unfolded);
    const double *factors = linear ? layer->input : layer->unfolded;
    for (size_t from = 0; from < positions; from += POSITIONS) {
        const size_t to = positions - from < POSITIONS ? positions : from + POSITIONS;
        for (size_t r = 0; r < rows; r++) {
            double *restrict sum = layer->element + r * row;
            for (size_t p = from; p < to; p++) {
                const double by = layer->gradient[p * by_position + (first + r) * by_output];
                const double *restrict factor = factors + p * row;
                for (size_t k = 0; k < row; k++)
                    sum[k] += by * factor[k];
            }
        }
    }
}

/* Mean and sum of squared deviations over the samples, for rows of one group, by B. P. Welford's
 * update (Technometrics 4, 1962). */
static inline void sample_rows(const struct sampled_layer *layer, size_t group, size_t first,
                               size_t rows) {
    const size_t n = rows * layer->row;
    double *restrict element = layer->element, *restrict mean = layer->mean;
    double *restrict deviations = layer->deviations;
    memset(mean, 0, n * sizeof *mean);
    memset(deviations, 0, n * sizeof *deviations);
    for (size_t sample = 0; sample < layer->samples; sample++) {
        memset(element, 0, n * sizeof *element);
        for (size_t i = 0; i < layer->call_count; i++)
            add_sample(layer, &layer->calls[i], sample, group, first, rows);
        const double share = 1 / (double)(sample + 1);
        for (size_t i = 0; i < n; i++) {
            const double apart = element[i] - mean[i];
            mean[i] += apart * share;
            deviations[i] += apart * (element[i] - mean[i]);
        }
    }
}

static inline void add_moments(const struct sampled_layer *layer, size_t count,
                               struct per_sample_moments *moments) {
    const double freedom = (double)layer->samples - 1;
    double squares[BLOCK], variances[BLOCK], ratios[BLOCK];
    for (size_t first = 0; first < count; first += BLOCK) {
        const size_t n = count - first < BLOCK ? count - first : BLOCK;
        for (size_t i = 0; i < n; i++) {
            const double mean = layer->mean[first + i];
            squares[i] = mean * mean;
            variances[i] = layer->deviations[first + i] / freedom;
            const bool none = squares[i] == 0 && variances[i] == 0;
            ratios[i] = none ? 0 : squares[i] / variances[i];
            moments->ratio_count += !none;
        }
        block_sum_add(&moments->squares, squares, n);
        block_sum_add(&moments->variances, variances, n);
        block_sum_add(&moments->ratios, ratios, n);
    }
}

/* ---- the geometry of convolutions ---- */

static inline bool nearly_equal(const double *x, const double *recorded, size_t n) {
    double apart = 0, size = 0;
    for (size_t i = 0; i < n; i++) {
        apart += (x[i] - recorded[i]) * (x[i] - recorded[i]);
        size += recorded[i] * recorded[i];
    }
    return apart <= 4e-4 * size;
}

/* Whether the gradients of the samples for row `output` add up to the recorded gradient, as they do
 * with the right geometry only. A wrong one differs by as much as the gradient is large. */
static inline bool adds_up(const struct sampled_layer *layer, size_t output,
                           const double *recorded) {
    sample_rows(layer, output / (layer->outputs / layer->groups), output, 1);
    for (size_t k = 0; k < layer->row; k++)
        layer->mean[k] *= (double)layer->samples;
    return nearly_equal(layer->mean, recorded, layer->row);
}

/* The same for one channel of the row alone: this is fast, and most wrong geometries fail here. */
static inline bool channel_adds_up(const struct sampled_layer *layer, size_t output, size_t channel,
                                   const double *recorded) {
    const size_t group = output / (layer->outputs / layer->groups);
    struct convolution c = layer->calls[0].convolution;
    const size_t elements = c.kernel[0] * c.kernel[1] * c.kernel[2];
    memset(layer->element, 0, elements * sizeof *layer->element);
    for (size_t i = 0; i < layer->call_count; i++) {
        const struct held_call *call = &layer->calls[i];
        c = call->convolution;
        const size_t positions = convolution_positions(&c), plane = c.in[0] * c.in[1] * c.in[2];
        const size_t first = (group * (c.channels / c.groups) + channel) * plane;
        c.channels = c.groups = 1;
        for (size_t sample = 0; sample < layer->samples; sample++) {
            layer->host->to_f64(&call->input.tensor, sample * call->input.sample + first, plane,
                                layer->input);
            layer->host->to_f64(&call->gradient.tensor,
                                sample * call->gradient.sample + output * positions, positions,
                                layer->gradient);
            convolution_unfold(&c, layer->input, 0, layer->unfolded);
            for (size_t p = 0; p < positions; p++) {
                for (size_t k = 0; k < elements; k++)
                    layer->element[k] += layer->gradient[p] * layer->unfolded[p * elements + k];
            }
        }
    }
    return nearly_equal(layer->element, recorded + channel * elements, elements);
}

/* Gives all calls the geometry of the first. False: it does not fit their shapes. */
static inline bool share_geometry(struct sampled_layer *layer) {
    const struct convolution *first = &layer->calls[0].convolution;
    for (size_t i = 0; i < layer->call_count; i++) {
        struct convolution *c = &layer->calls[i].convolution;
        for (size_t d = 0; d < SPATIAL; d++) {
            c->stride[d] = first->stride[d];
            c->padding[d] = first->padding[d];
            c->dilation[d] = first->dilation[d];
            c->more[d] = first->more[d];
            if (!convolution_fits(c, d))
                return false;
        }
    }
    return true;
}

static inline bool same_in_all_dimensions(const struct convolution *c, int dimensions) {
    for (size_t d = SPATIAL - (size_t)dimensions + 1; d < SPATIAL; d++) {
        if (c->stride[d] != c->stride[d - 1] || c->padding[d] != c->padding[d - 1] ||
            c->dilation[d] != c->dilation[d - 1] || c->more[d] != c->more[d - 1])
            return false;
    }
    return true;
}

/* Finds stride, padding and dilation, which a trace does not have: tries those that fit the shapes,
 * first the ones that are the same in all dimensions, until the gradients add up. */
static inline bool find_geometry(struct sampled_layer *layer, size_t output, size_t element,
                                 const double *recorded) {
    if (layer->dimensions == 0)
        return adds_up(layer, output, recorded);
    struct convolution *c = &layer->calls[0].convolution;
    const size_t channel = element / (c->kernel[0] * c->kernel[1] * c->kernel[2]);
    for (int unlike = 0; unlike < 2; unlike++) {
        for (bool more = convolution_begin(c); more; more = convolution_next(c)) {
            if (same_in_all_dimensions(c, layer->dimensions) == !unlike && share_geometry(layer) &&
                channel_adds_up(layer, output, channel, recorded) &&
                adds_up(layer, output, recorded))
                return true;
        }
    }
    return false;
}

/* Finds the row with the largest element of the recorded gradient, and this element. False: all are
 * 0, or some are not finite. */
static inline bool telling_row(const struct sampled_layer *layer,
                               const struct nauha_tensor *gradient, double *row, size_t *output,
                               size_t *element) {
    double largest = 0;
    bool finite = true;
    for (size_t o = 0; o < layer->outputs; o++) {
        layer->host->to_f64(gradient, o * layer->row, layer->row, row);
        for (size_t k = 0; k < layer->row; k++) {
            finite = finite && isfinite(row[k]);
            if (fabs(row[k]) > largest) {
                largest = fabs(row[k]);
                *output = o;
                *element = k;
            }
        }
    }
    layer->host->to_f64(gradient, *output * layer->row, layer->row, row);
    return finite && largest > 0;
}

/* Gives the calls the known geometry of their layer. False: it is not known, or does not fit. */
static inline bool recall_geometry(struct sampled_layer *layer, const struct known_layer *known) {
    struct convolution *first = &layer->calls[0].convolution;
    if (!known->known)
        return false;
    memcpy(first->stride, known->convolution.stride, sizeof first->stride);
    memcpy(first->padding, known->convolution.padding, sizeof first->padding);
    memcpy(first->dilation, known->convolution.dilation, sizeof first->dilation);
    memcpy(first->more, known->convolution.more, sizeof first->more);
    return layer->dimensions == 0 || share_geometry(layer);
}

/* Determines the geometry of a layer, once. *sure is false if this gradient does not tell. */
static inline enum nauha_status know_layer(struct per_sample *all, struct sampled_layer *layer,
                                           const struct nauha_message_info *info,
                                           const struct nauha_tensor *gradient, bool *sure,
                                           struct nauha_error *err) {
    const struct nauha_host *host = all->host;
    struct known_layer *known = key_table_get(&all->layers, key_of(info, 0));
    if (!known)
        return NAUHA_HOST_NOMEM(host, err);
    *sure = true;
    if (recall_geometry(layer, known))
        return NAUHA_OK;
    double *row = calloc(layer->row, sizeof *row);
    if (!row)
        return NAUHA_HOST_NOMEM(host, err);
    size_t output = 0, element = 0;
    *sure = telling_row(layer, gradient, row, &output, &element);
    const bool found = !*sure || find_geometry(layer, output, element, row);
    free(row);
    if (!found)
        return per_sample_misfit(
            host, info,
            layer->dimensions == 0
                ? "the gradients of its samples do not add up to its weight_gradients (which may "
                  "be summed over backward passes or ranks)"
                : "no stride, zero padding and dilation makes the gradients of its samples add up "
                  "to its weight_gradients (which may be summed over backward passes or ranks)",
            err);
    if (*sure)
        *known = (struct known_layer){true, layer->calls[0].convolution};
    return NAUHA_OK;
}

/* ---- the whole ---- */

/* Moves the calls of the layer of a message to the end of the held ones. Returns how many they are.
 */
static inline size_t gather_calls(struct per_sample *all, const struct nauha_message_info *info) {
    size_t end = all->held_count;
    for (size_t i = all->held_count; i > 0; i--) {
        struct held_call *call = &all->held[i - 1];
        if (call->module != info->module || call->rank != info->rank || call->tag != info->tag)
            continue;
        const struct held_call other = all->held[--end];
        all->held[end] = *call;
        *call = other;
    }
    return all->held_count - end;
}

static inline enum nauha_status sample_layer(struct per_sample *all, struct sampled_layer *layer,
                                             struct nauha_message *gradient, bool *sure,
                                             struct per_sample_moments *moments,
                                             struct nauha_error *err) {
    const struct nauha_host *host = all->host;
    const struct nauha_message_info *info = host->info(gradient);
    for (size_t i = 0; i < layer->call_count; i++) {
        if (!held_call_fits(layer, &layer->calls[i], info))
            return per_sample_misfit(host, info,
                                     "its inputs and layer_gradients are not a batch that matches "
                                     "the shape of its weights",
                                     err);
    }
    struct nauha_tensor tensor;
    enum nauha_status status = sampled_layer_room(layer, err);
    if (status == NAUHA_OK)
        status = host->tensor(gradient, &tensor, err);
    if (status == NAUHA_OK)
        status = know_layer(all, layer, info, &tensor, sure, err);
    if (status != NAUHA_OK || !*sure)
        return status;
    const size_t in_group = layer->outputs / layer->groups;
    const size_t rows_max = layer->row < ROWS_ELEMENTS ? ROWS_ELEMENTS / layer->row : 1;
    for (size_t first = 0; first < layer->outputs;) {
        const size_t group = first / in_group, left = (group + 1) * in_group - first;
        const size_t rows = left < rows_max ? left : rows_max;
        sample_rows(layer, group, first, rows);
        add_moments(layer, rows * layer->row, moments);
        first += rows;
    }
    return NAUHA_OK;
}

/* The `compute` of such a metric. *known: the bundle is the gradient of a layer whose calls were
 * held and whose geometry is known, and *moments is set. */
static inline enum nauha_status per_sample_take(struct per_sample *all, struct nauha_bundle *bundle,
                                                bool *known, struct per_sample_moments *moments,
                                                struct nauha_error *err) {
    *known = false;
    if (all->host->bundle_count(bundle) == 2)
        return per_sample_hold(all, bundle, err);
    struct nauha_message *gradient = all->host->bundle_message(bundle, 0);
    const struct nauha_message_info *info = all->host->info(gradient);
    const int dimensions = per_sample_dimensions(info);
    if (dimensions < 0 || strcmp(info->slot_name, "weight") != 0 ||
        info->ndim != (uint32_t)dimensions + 2 || info->bytes == 0)
        return NAUHA_OK;
    const size_t count = gather_calls(all, info);
    if (count == 0)
        return NAUHA_OK;
    struct sampled_layer layer = {.host = all->host,
                                  .calls = all->held + (all->held_count - count),
                                  .call_count = count,
                                  .dimensions = dimensions,
                                  .outputs = (size_t)info->shape[0],
                                  .groups = 1,
                                  .row = 1};
    for (uint32_t d = 1; d < info->ndim; d++)
        layer.row *= (size_t)info->shape[d];
    layer.samples =
        layer.calls[0].input.tensor.ndim > 0 ? (size_t)layer.calls[0].input.shape[0] : 0;
    *moments = (struct per_sample_moments){.samples = layer.samples};
    enum nauha_status status = sample_layer(all, &layer, gradient, known, moments, err);
    sampled_layer_fini(&layer);
    for (size_t i = 0; i < count; i++)
        per_sample_drop(all, all->held_count - 1);
    return status;
}

#endif
