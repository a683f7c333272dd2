/* SPDX-License-Identifier: MIT */
/* The largest eigenvalues of the loss's Hessian: where the replay has the network. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "nauha/analyzer.h"
#include "nauha/network.h"

#define EIGENVALUES_MAX 100u

struct hessian_eig {
    const struct nauha_host *host;
    const struct nauha_network *network;
    struct nauha_hessian_request request;
    uint32_t topics[EIGENVALUES_MAX];
};

enum { KEY_K, KEY_TOLERANCE, KEY_PRODUCTS, KEY_SAMPLES };

static const struct nauha_analyzer_parameter parameters[] = {
    [KEY_K] = {"k", NAUHA_PARAMETER_INTEGER, "1", 1, EIGENVALUES_MAX, "number of eigenvalues"},
    [KEY_TOLERANCE] = {"tolerance", NAUHA_PARAMETER_REAL, "0.001", 1e-12, 1,
                       "largest |H v - lambda v|, relative to the largest |lambda|"},
    [KEY_PRODUCTS] = {"products", NAUHA_PARAMETER_INTEGER, "100", 1, 100000,
                      "largest number of Hessian-vector products"},
    [KEY_SAMPLES] = {"samples", NAUHA_PARAMETER_INTEGER, "1000", 1, 1e12,
                     "largest number of samples of the data"},
};

static enum nauha_status register_topics(struct hessian_eig *hessian, struct nauha_error *err) {
    enum nauha_status status = NAUHA_OK;
    for (size_t i = 0; i < hessian->request.count && status == NAUHA_OK; i++) {
        char name[32], title[64];
        snprintf(name, sizeof name, "hessian_eig%zu", i);
        snprintf(title, sizeof title, "Eigenvalue %zu of the loss's Hessian", i);
        const struct nauha_plot plot = {.title = title,
                                        .xlabel = "step",
                                        .ylabel = "eigenvalue",
                                        .y_low = (double)NAN,
                                        .y_high = (double)NAN};
        status = hessian->host->register_topic(hessian->host, name, NAUHA_SCOPE_NETWORK,
                                               NAUHA_FORM_SCALAR, &plot, &hessian->topics[i], err);
    }
    return status;
}

static enum nauha_status create(const struct nauha_host *host,
                                const struct nauha_analyzer_config *config, void **self,
                                struct nauha_error *err) {
    const union nauha_value *values = config->values;
    struct hessian_eig *hessian = calloc(1, sizeof *hessian);
    if (!hessian)
        return NAUHA_HOST_NOMEM(host, err);
    hessian->host = host;
    hessian->network = host->service(host, NAUHA_NETWORK_SERVICE);
    hessian->request = (struct nauha_hessian_request){
        .count = (size_t)values[KEY_K].integer,
        .tolerance = values[KEY_TOLERANCE].real,
        .products = (size_t)values[KEY_PRODUCTS].integer,
        .samples = (size_t)values[KEY_SAMPLES].integer,
    };
    enum nauha_status status =
        hessian->network
            ? register_topics(hessian, err)
            : host->fail(err, NAUHA_UNAVAILABLE,
                         "it needs the network: replay with --model FILE.pt or --model NAME");
    if (status != NAUHA_OK) {
        free(hessian);
        return status;
    }
    *self = hessian;
    return NAUHA_OK;
}

static enum nauha_status compute(void *self, struct nauha_bundle *bundle, struct nauha_error *err) {
    struct hessian_eig *hessian = self;
    const struct nauha_host *host = hessian->host;
    const struct nauha_message_info *stamps = host->info(host->bundle_message(bundle, 0));
    double values[EIGENVALUES_MAX];
    size_t count = 0;
    hessian->request.global_step = stamps->global_step;
    enum nauha_status status = hessian->network->hessian_eigenvalues(
        hessian->network->context, &hessian->request, values, &count, err);
    for (size_t i = 0; i < count && status == NAUHA_OK; i++)
        status = host->publish_scalar(host, hessian->topics[i], stamps, values[i], err);
    return status;
}

static const char *const kinds[] = {"batch_finished", NULL};

NAUHA_ANALYZER(hessian_eig) = {
    .abi = NAUHA_ANALYZER_ABI,
    .size = sizeof(struct nauha_analyzer),
    .name = "hessian_eig",
    .summary = "largest eigenvalues of the Hessian of the loss; needs the model (replay --model)",
    .formula = "lambda_0 >= ... >= lambda_(k-1) of d2 L / d theta2, L the mean loss over the data "
               "in evaluation mode, theta all parameters of the step; Lanczos on Hessian-vector "
               "products (Pearlmutter 1994) in double precision, with full reorthogonalisation, "
               "from random start vectors until one finds no further eigenvalue",
    .default_kinds = kinds,
    .parameters = parameters,
    .parameter_count = sizeof parameters / sizeof *parameters,
    .create = create,
    .compute = compute,
    .destroy = free,
};
