/* SPDX-License-Identifier: MIT */
/* Rule: tanh and sigmoid layers that are saturated. The thresholds are on what goes in; where only
 * what comes out was recorded, on the values that the thresholds become, in the tensor's type. */
#include <float.h>

#include "analyzers/support/units.h"

struct saturated_activation {
    struct units_rule units;
    double tanh_low, tanh_high, sigmoid_low, sigmoid_high;
    struct key_table inputs; /* bool: this module's inputs were recorded */
};

struct bounds {
    double low, high;
    bool inclusive; /* values at the bounds are saturated */
};

static void destroy(void *self) {
    struct saturated_activation *saturated = self;
    key_table_fini(&saturated->inputs, NULL);
    units_rule_free(self);
}

static enum nauha_status create(const struct nauha_host *host,
                                const struct nauha_analyzer_config *config, void **self,
                                struct nauha_error *err) {
    static const struct kind_topics_plan plan = {.suffix = "_saturated_activation",
                                                 .scope = NAUHA_SCOPE_MODULE,
                                                 .form = NAUHA_FORM_SCALAR,
                                                 .title = "Saturated units",
                                                 .ylabel = "saturated units (%)"};
    enum nauha_status status =
        units_rule_create(host, config, &plan, sizeof(struct saturated_activation), self, err);
    if (status != NAUHA_OK)
        return status;
    struct saturated_activation *saturated = *self;
    const union nauha_value *values = config->values + UNITS_PARAMETER_COUNT;
    saturated->tanh_low = values[0].real;
    saturated->tanh_high = values[1].real;
    saturated->sigmoid_low = values[2].real;
    saturated->sigmoid_high = values[3].real;
    saturated->inputs.state_bytes = sizeof(bool);
    return NAUHA_OK;
}

/* ---- thresholds ---- */

/* The number of a type that is nearest to x. */
static double rounded(enum nauha_dtype dtype, double x) {
    int digits = DBL_MANT_DIG, exponent = 0, least = DBL_MIN_EXP - DBL_MANT_DIG;
    if (dtype == NAUHA_DTYPE_F32) {
        digits = FLT_MANT_DIG;
        least = FLT_MIN_EXP - FLT_MANT_DIG;
    } else if (dtype == NAUHA_DTYPE_F16) {
        digits = 11;
        least = -24;
    } else if (dtype == NAUHA_DTYPE_BF16) {
        digits = 8;
        least = -133;
    }
    frexp(x, &exponent);
    const int scale = exponent - digits > least ? exponent - digits : least;
    return ldexp(nearbyint(ldexp(x, -scale)), scale);
}

static double sigmoid(double x) {
    return 1 / (1 + exp(-x));
}

/* The saturation of a module's inputs or outputs. */
static struct bounds bounds_of(const struct saturated_activation *saturated,
                               const struct nauha_message_info *info, bool outputs) {
    const bool is_tanh = strstr(info->module_class, "anh") != NULL;
    struct bounds bounds =
        is_tanh ? (struct bounds){saturated->tanh_low, saturated->tanh_high, false}
                : (struct bounds){saturated->sigmoid_low, saturated->sigmoid_high, false};
    if (!outputs)
        return bounds;
    double (*const function)(double) = is_tanh ? tanh : sigmoid;
    bounds.low = rounded(info->dtype, function(bounds.low));
    bounds.high = rounded(info->dtype, function(bounds.high));
    bounds.inclusive = true;
    return bounds;
}

static bool is_active(const void *context, double x) {
    const struct bounds *bounds = context;
    if (bounds->inclusive)
        return !(x <= bounds->low || x >= bounds->high);
    return !(x < bounds->low || x > bounds->high);
}

/* ---- messages ---- */

static enum nauha_status compute(void *self, struct nauha_bundle *bundle, struct nauha_error *err) {
    struct saturated_activation *saturated = self;
    const struct nauha_host *host = saturated->units.rule.host;
    struct nauha_message *message = host->bundle_message(bundle, 0);
    const struct nauha_message_info *info = host->info(message);
    if (!units_of_class(&saturated->units, info->module_class))
        return NAUHA_OK;
    struct key module = key_of(info, 0);
    module.slot = 0;
    bool *has_inputs = key_table_get(&saturated->inputs, module);
    if (!has_inputs)
        return NAUHA_HOST_NOMEM(host, err);
    const bool outputs = strcmp(info->kind_name, "inputs") != 0;
    *has_inputs = *has_inputs || !outputs;
    if (outputs && *has_inputs)
        return NAUHA_OK;
    const struct bounds bounds = bounds_of(saturated, info, outputs);
    return units_judge(
        &saturated->units, message, is_active, &bounds, "% of saturated units",
        "the inputs of these units are so far from 0 that the function is flat there and passes no "
        "gradient: common causes are initial weights that are too large, a learning rate that is "
        "too high, and inputs that are not normalized",
        err);
}

static const char *const kinds[] = {"inputs", "activations", NULL};

static const struct nauha_analyzer_parameter parameters[] = {
    UNITS_PARAMETERS("Tanh,Sigmoid", "saturated"),
    {"tanh_low", NAUHA_PARAMETER_REAL, "-9.4999", -1000, 0, "tanh is saturated below this input"},
    {"tanh_high", NAUHA_PARAMETER_REAL, "9.4999", 0, 1000, "tanh is saturated above this input"},
    {"sigmoid_low", NAUHA_PARAMETER_REAL, "-23", -1000, 0, "sigmoid is saturated below this input"},
    {"sigmoid_high", NAUHA_PARAMETER_REAL, "16.99999", 0, 1000,
     "sigmoid is saturated above this input"},
};

NAUHA_ANALYZER(saturated_activation) = {
    .abi = NAUHA_ANALYZER_ABI,
    .size = sizeof(struct nauha_analyzer),
    .name = "saturated_activation",
    .summary = "too many units of a tanh or sigmoid layer are saturated",
    .formula =
        "as dead_relu, with units that are active where their input is between the thresholds. If "
        "inputs were not recorded, the output has to be between the outputs for the thresholds, "
        "computed in the type of the tensor (SageMaker Debugger: SaturatedActivation)",
    .flags = NAUHA_ANALYZER_RULE | NAUHA_ANALYZER_PER_MODULE,
    .min_kinds = 1,
    .max_kinds = KINDS_MAX,
    .default_kinds = kinds,
    .parameters = parameters,
    .parameter_count = sizeof parameters / sizeof *parameters,
    .create = create,
    .compute = compute,
    .destroy = destroy,
};
