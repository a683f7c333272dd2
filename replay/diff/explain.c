/* SPDX-License-Identifier: MIT */
/* Explaining the first message that differs.
 *
 * All values of a step follow from its parameters, its data, the code and chance. So the first
 * message that differs, in the order in which values follow from each other, names the cause, if
 * the messages before it were compared; the explanation says which were not.
 *
 * Threads: one at a time.
 */
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "replay/diff/verdict.h"

/* Another order of summation makes relative differences of up to so many times the weight of the
 * last bit. */
#define ROUNDINGS 256.0
/* If the last bit of a type weighs this much, rounding cannot be told from other causes. */
#define TOO_COARSE 0x1p-7
/* Two tensors differ only by a factor if they are parallel within rounding errors, that is if 1
 * minus their cosine is at most this. The first is for updates, the second for activations, which
 * may be in bf16. */
#define PARALLEL 1e-6
#define PARALLEL_ACTIVATIONS 1e-4

/* ---- what was compared ---- */

static bool saw(const struct nauha__seen_list *seen, uint32_t kind, uint32_t module) {
    size_t differing;
    return nauha__seen_of(seen, kind, module, &differing) > 0;
}

static bool saw_differing(const struct nauha__seen_list *seen, uint32_t kind) {
    size_t differing;
    return nauha__seen_of(seen, kind, NAUHA__ANY, &differing) > 0 && differing > 0;
}

/* ---- words ---- */

static void NAUHA_PRINTF(2, 3) say(struct nauha_reading *reading, const char *format, ...) {
    va_list args;
    va_start(args, format);
    const size_t room = sizeof reading->text - reading->used;
    const int length = vsnprintf(reading->text + reading->used, room, format, args);
    va_end(args);
    if (length > 0)
        reading->used += (size_t)length < room ? (size_t)length : room - 1;
}

static const char *module_of(const struct nauha_message_info *info) {
    return info->module_name[0] ? info->module_name : "(root)";
}

/* A kind that would have told more, if both recordings had it. */
static void miss(struct nauha_reading *reading, uint32_t kind, const char *name, const char *but) {
    if (!saw(&reading->now, kind, NAUHA__ANY))
        say(reading, " %s was not compared, so %s.", name, but);
}

/* Values that are computed from equal values, and differ a little. */
static void say_rounding(struct nauha_reading *reading) {
    const struct nauha_pair *pair = &reading->first.pair;
    const double relative = nauha_difference_relative(&pair->difference);
    const double last_bit = nauha__last_bit(pair->a->dtype);
    if (pair->compared && pair->sort == NAUHA_PAIR_VALUES && pair->difference.not_finite == 0 &&
        last_bit < TOO_COARSE && relative <= ROUNDINGS * last_bit)
        say(reading,
            " The difference has the size of rounding errors (%.1e of the tensor). This is typical "
            "of another order of summation, as in nondeterministic kernels or with another number "
            "of threads, library or processor.",
            relative);
}

static void say_types(struct nauha_reading *reading, const char *subject) {
    const struct nauha_pair *pair = &reading->first.pair;
    say(reading, "%s is %s in %s and %s in %s%s.", subject, nauha_dtype_name(pair->a->dtype),
        reading->name_a, nauha_dtype_name(pair->b->dtype), reading->name_b,
        reading->stage == NAUHA__STAGE_DATA ? ""
                                            : ", so the computations use different precisions");
}

static void say_sort(struct nauha_reading *reading) {
    if (reading->first.pair.sort == NAUHA_PAIR_DTYPE)
        say_types(reading, " It");
}

/* Explains a first message that differs although its values are equal. */
static void explain_type(struct nauha_reading *reading) {
    const struct nauha_message_info *info = &reading->first.a;
    const struct nauha_difference *difference = &reading->first.pair.difference;
    say_types(reading, info->kind_name);
    say(reading, difference->differing ? " Its values are the same except for rounding,"
                                       : " Its values are the same,");
    say(reading,
        " so this points to no other cause%s. With --rtol, nauha diff compares values and reports "
        "what differs by more.",
        reading->stage == NAUHA__STAGE_PARAMETERS && reading->step == reading->first_step
            ? ", such as another initialization or seed"
            : "");
}

/* Says that values within the tolerance may differ, and that such differences grow. */
static void say_within(struct nauha_reading *reading) {
    const struct nauha_message_info *within = &reading->within;
    const struct nauha_message_info *first = &reading->first.a;
    if (!reading->any_within)
        return;
    /* A message that comes after the first one in the order of computation cannot be its cause,
     * even if it was published earlier. */
    const unsigned place = nauha__reading_place(within), of_first = nauha__reading_place(first);
    if (within->global_step == first->global_step &&
        (place > of_first || (place == of_first && within->seq > first->seq)))
        return;
    say(reading, " Tensors within the tolerance count as equal, and the bits of %s",
        within->kind_name);
    if (within->module != NAUHA_NONE)
        say(reading, " of \"%s\"", module_of(within));
    say(reading,
        " differ since step %" PRIu64 ": the difference may have grown from there. Without a "
        "tolerance, nauha diff reports where it begins.",
        within->global_step);
}

/* ---- one stage each ---- */

static void explain_rank_parameters(struct nauha_reading *reading) {
    if (reading->step == reading->first_step && reading->step == 0)
        say(reading, "The replicas do not start from the same parameters: they were not broadcast "
                     "(DistributedDataParallel broadcasts them when it is constructed), or one "
                     "rank changed them afterwards.");
    else if (reading->step == reading->first_step)
        say(reading, "The replicas already differed before the first recorded step.");
    else
        say(reading,
            "Up to step %" PRIu64 " the replicas were the same. The steps of their optimizers "
            "since then differ: their gradients were not averaged in the "
            "same way, or their optimizers are not in the same state.",
            reading->before_step);
}

/* Explains parameters that begin with different values. */
static void explain_beginning(struct nauha_reading *reading) {
    const struct nauha_first *first = &reading->first;
    if (reading->step > 0) {
        say(reading,
            "The parameters already differ in step %" PRIu64
            ", the first step that both traces have: the trainings diverged before it.",
            reading->step);
        return;
    }
    size_t biases, others;
    const size_t all = nauha__seen_of(&reading->now, NAUHA_KIND_WEIGHTS, NAUHA__ANY, &others) +
                       nauha__seen_of(&reading->now, NAUHA_KIND_BIASES, NAUHA__ANY, &biases);
    others += biases;
    say(reading, "The trainings begin with different parameters: ");
    if (first->pair.sort == NAUHA_PAIR_SHAPE)
        say(reading, "the models are not the same.");
    else if (others < all && others == 1 && !nauha__reading_same_values(&first->pair))
        say(reading,
            "only \"%s\" differs and all others are equal, so the cause is not the seed: this "
            "parameter is initialized, loaded or changed differently.",
            module_of(&first->a));
    else if (saw_differing(&reading->now, NAUHA_KIND_INPUT_DATA))
        say(reading, "they have another initialization. As the first batch differs as well, the "
                     "cause is most likely another seed.");
    else if (saw(&reading->now, NAUHA_KIND_INPUT_DATA, NAUHA__ANY))
        say(reading,
            "they have another initialization or checkpoint. The first batch is the same.");
    else
        say(reading, "they have another seed, initialization or checkpoint.");
}

static void explain_parameters(struct nauha_reading *reading) {
    const struct nauha_first *first = &reading->first;
    const bool bias = first->a.kind == NAUHA_KIND_BIASES;
    const uint32_t update = bias ? NAUHA_KIND_BIAS_UPDATES : NAUHA_KIND_WEIGHT_UPDATES;
    const uint32_t gradient = bias ? NAUHA_KIND_BIAS_GRADIENTS : NAUHA_KIND_WEIGHT_GRADIENTS;
    if (reading->ranks) {
        explain_rank_parameters(reading);
    } else if (reading->step == reading->first_step) {
        explain_beginning(reading);
    } else if (reading->step > reading->before_step + 1) {
        say(reading,
            "The parameters diverge between step %" PRIu64
            ", where everything that was compared is equal, and step %" PRIu64
            ". The steps between them are not in both traces.",
            reading->before_step, reading->step);
    } else if (saw(&reading->before, update, first->a.module)) {
        say(reading,
            "The update of step %" PRIu64
            " is the same in both traces, but the parameters after it differ: something else "
            "changed them between the steps, such as loading a checkpoint, clipping weights or "
            "averaging models.",
            reading->before_step);
    } else if (saw(&reading->before, gradient, first->a.module)) {
        say(reading,
            "The gradients of step %" PRIu64
            " are the same in both traces, but the parameters after it differ: the optimizer "
            "computed another step from them, for example with another learning rate, momentum, "
            "weight decay or clipping, or something else changed the parameters.",
            reading->before_step);
    } else {
        say(reading,
            "The parameters were equal in step %" PRIu64
            " and differ after it. Neither its gradients nor its updates are in both traces, so "
            "the data, the model or the optimizer may be the cause.",
            reading->before_step);
    }
}

/* Whether two shapes differ only in their first dimension. */
static bool is_other_batch(const struct nauha_first *first) {
    const uint32_t ndim = first->a.ndim;
    return ndim > 0 && ndim == first->b.ndim &&
           (ndim == 1 || memcmp(first->a.shape + 1, first->b.shape + 1,
                                (ndim - 1) * sizeof *first->a.shape) == 0);
}

static void explain_data(struct nauha_reading *reading) {
    const struct nauha_first *first = &reading->first;
    const bool labels = first->a.kind == NAUHA_KIND_INPUT_LABELS;
    const bool samples = first->pair.sort == NAUHA_PAIR_SHAPE && is_other_batch(first);
    if (reading->ranks)
        say(reading,
            "Each rank has its share of the data, so their batches are expected to differ. ");
    if (samples)
        say(reading,
            "The batches have different sizes: %" PRId64 " samples in %s, %" PRId64 " in %s.",
            first->a.shape[0], reading->name_a, first->b.shape[0], reading->name_b);
    else if (first->pair.sort == NAUHA_PAIR_SHAPE)
        say(reading, "The samples have different shapes: the data are different, or are prepared "
                     "differently.");
    else if (labels && saw(&reading->now, NAUHA_KIND_INPUT_DATA, NAUHA__ANY))
        say(reading, "The inputs are the same, but their labels differ.");
    else if (reading->step == reading->first_step)
        say(reading,
            "The first batch contains different data. Possible causes are another data set, "
            "another order of samples (the seed of shuffling) and other augmentation.");
    else if (first->a.train_step == 0)
        say(reading, "The batches were the same until a new epoch began in this step. The epoch "
                     "has another order of samples or other augmentation, because of the state of "
                     "the random generator at its beginning.");
    else
        say(reading,
            "The batches were the same up to step %" PRIu64
            ". From this step on, the order of samples, the augmentation or the data differ.",
            reading->before_step);
    if (saw(&reading->now, NAUHA_KIND_WEIGHTS, NAUHA__ANY))
        say(reading, " The parameters are still equal.");
}

static bool draws_random_numbers(const char *class_name) {
    return strstr(class_name, "Dropout") || strstr(class_name, "DropPath") ||
           strstr(class_name, "StochasticDepth") || strstr(class_name, "GaussianNoise");
}

static bool is_multiple(double squares_a, double squares_b, double products, double error,
                        double *factor) {
    if (squares_a == 0 || squares_b == 0)
        return false;
    *factor = sqrt(squares_b / squares_a);
    return fabs(1 - products / (sqrt(squares_a) * sqrt(squares_b))) < error &&
           fabs(*factor - 1) > 1e-3;
}

/* A layer that drops elements at random multiplies the others by a factor that depends on the
 * fraction dropped. The factor of elements that both trainings kept therefore shows this setting,
 * whatever the random numbers were. */
static void read_random_numbers(struct nauha_reading *reading) {
    const struct nauha_message_info *info = &reading->first.a;
    const struct nauha_difference *d = &reading->first.pair.difference;
    const char *module = module_of(info);
    double factor;
    if (reading->first.pair.compared && d->both > 0 && d->alike == d->both)
        say(reading,
            "\"%s\" (%s) drew different random numbers. The cause is another seed, or numbers "
            "drawn from the same generator before it in one of the trainings. The elements that it "
            "passes in both are equal, so its settings are equal.",
            module, info->module_class);
    else if (reading->first.pair.compared &&
             is_multiple(d->both_squares_a, d->both_squares_b, d->sum_products,
                         PARALLEL_ACTIVATIONS, &factor))
        say(reading,
            "The elements that \"%s\" (%s) passes in both are %.4g times as large in %s, and %.3g "
            "percent of its output are 0 in %s and %.3g percent in %s. The cause is another drop "
            "probability, or a factor on its input.",
            module, info->module_class, factor, reading->name_b,
            100 * (double)d->zeros_a / (double)d->count, reading->name_a,
            100 * (double)d->zeros_b / (double)d->count, reading->name_b);
    else
        say(reading,
            "\"%s\" (%s) draws random numbers, and its output differs. The cause is another seed, "
            "numbers drawn from the same generator before it in one of the trainings, or other "
            "settings.",
            module, info->module_class);
}

static void explain_activations(struct nauha_reading *reading) {
    const struct nauha_first *first = &reading->first;
    const char *module = module_of(&first->a);
    const bool weights = saw(&reading->now, NAUHA_KIND_WEIGHTS, NAUHA__ANY) ||
                         saw(&reading->now, NAUHA_KIND_BIASES, NAUHA__ANY);
    const bool own = saw(&reading->now, NAUHA_KIND_WEIGHTS, first->a.module) ||
                     saw(&reading->now, NAUHA_KIND_BIASES, first->a.module);
    if (strcmp(first->a.module_class, first->b.module_class) != 0) {
        say(reading, "\"%s\" is a %s in %s and a %s in %s.", module, first->a.module_class,
            reading->name_a, first->b.module_class, reading->name_b);
    } else if (first->pair.sort == NAUHA_PAIR_SHAPE && is_other_batch(first) &&
               !saw(&reading->now, NAUHA_KIND_INPUT_DATA, NAUHA__ANY)) {
        say(reading,
            "The batches have different sizes: %" PRId64 " samples in %s, %" PRId64 " in %s.",
            first->a.shape[0], reading->name_a, first->b.shape[0], reading->name_b);
        return;
    } else if (first->pair.sort == NAUHA_PAIR_SHAPE) {
        say(reading,
            "The output of \"%s\" has another shape: the module is configured differently.",
            module);
    } else if (first->pair.sort == NAUHA_PAIR_DTYPE) {
        say(reading,
            "\"%s\" computes in another precision, for example with autocast in only one of them.",
            module);
    } else if (draws_random_numbers(first->a.module_class)) {
        read_random_numbers(reading);
    } else {
        say(reading,
            "%s computed before \"%s\" (%s) %s equal, but its output is not. The cause is changed "
            "code or settings, random numbers or nondeterminism, in the module or in what is "
            "called between it and the modules before it.",
            own ? "Its parameters and everything" : "Everything", module, first->a.module_class,
            own ? "are" : "is");
        say_rounding(reading);
    }
    if (reading->any_alone)
        say(reading, " \"%s\" (%s) runs only in %s, which may be the cause.",
            module_of(&reading->alone), reading->alone.module_class,
            reading->alone_in_a ? reading->name_a : reading->name_b);
    if (!weights)
        say(reading, " Parameters were not compared, so they may be the cause.");
    miss(reading, NAUHA_KIND_INPUT_DATA, "input_data", "different data may be the cause");
}

static void explain_forward(struct nauha_reading *reading) {
    const struct nauha_first *first = &reading->first;
    if (first->a.kind == NAUHA_KIND_ACTIVATIONS) {
        explain_activations(reading);
        return;
    }
    if (first->a.kind == NAUHA_KIND_INPUTS)
        say(reading,
            "Everything that was computed before is equal, but the input of \"%s\" is not: the "
            "code that calls it, outside of the recorded modules, is different or not "
            "deterministic.",
            module_of(&first->a));
    else if (saw(&reading->now, NAUHA_KIND_ACTIVATIONS, NAUHA__ANY))
        say(reading, "The outputs of the modules are equal, but the network's output is not: what "
                     "the model computes from them at its end is different.");
    else
        say(reading,
            "The network's output is the first tensor that differs. The cause is changed code or "
            "nondeterminism in the forward pass; record activations to find the module.");
    say_rounding(reading);
    if (!saw(&reading->now, NAUHA_KIND_WEIGHTS, NAUHA__ANY))
        say(reading, " Parameters were not compared, so they may be the cause.");
    miss(reading, NAUHA_KIND_INPUT_DATA, "input_data", "different data may be the cause");
}

static void explain_loss(struct nauha_reading *reading) {
    const struct nauha__seen_list *now = &reading->now;
    const bool output = saw(now, NAUHA_KIND_NETWORK_OUTPUT, NAUHA__ANY);
    const bool labels = saw(now, NAUHA_KIND_INPUT_LABELS, NAUHA__ANY);
    if (output && labels)
        say(reading,
            "The output and the labels are equal, but the loss is not. The cause is another loss "
            "function, or other weights, smoothing, reduction or regularization in it.");
    else if (saw(now, NAUHA_KIND_WEIGHTS, NAUHA__ANY) &&
             saw(now, NAUHA_KIND_INPUT_DATA, NAUHA__ANY))
        say(reading, "The parameters and the data are equal, but the loss is not. The cause is "
                     "changed code or nondeterminism in the forward pass or in the loss function.");
    else if (saw(now, NAUHA_KIND_WEIGHTS, NAUHA__ANY))
        say(reading,
            "The parameters are equal, but the loss is not. The cause is different data, or "
            "changed code or nondeterminism in the forward pass or in the loss function.");
    else
        say(reading, "The loss differs, but little of what it depends on was compared, so the "
                     "data, the parameters, the model or the loss function may be the cause.");
    say_rounding(reading);
    if (output && !labels)
        miss(reading, NAUHA_KIND_INPUT_LABELS, "input_labels", "different labels may be the cause");
    if (!output && !saw(now, NAUHA_KIND_INPUT_DATA, NAUHA__ANY))
        say(reading, " Record input_data, weights and activations to find the cause.");
}

static void explain_backward(struct nauha_reading *reading) {
    const struct nauha_first *first = &reading->first;
    const struct nauha__seen_list *now = &reading->now;
    const char *module = module_of(&first->a);
    const bool loss = saw(now, NAUHA_KIND_LOSS, NAUHA__ANY);
    const bool begins = reading->backward_seq == first->a.seq;
    if (first->a.kind != NAUHA_KIND_LAYER_GRADIENTS &&
        saw(now, NAUHA_KIND_LAYER_GRADIENTS, first->a.module))
        say(reading,
            "The gradient that reaches \"%s\" (%s) is equal, but that of its parameters is not. "
            "The cause is changed code or nondeterminism in its backward pass.",
            module, first->a.module_class);
    else if (loss && begins)
        say(reading, "The loss is equal, but the gradient that its backward pass gives is not: the "
                     "loss is scaled differently (loss scaling, accumulation), has another term, "
                     "or its backward pass is not deterministic.");
    else if (loss)
        say(reading,
            "The forward pass and the gradients computed before are equal, but that of \"%s\" (%s) "
            "is not. The cause is changed code or nondeterminism in the backward pass of what uses "
            "its output.",
            module, first->a.module_class);
    else
        say(reading, "The gradients differ. The loss was not compared, so the data, the model, the "
                     "loss function or the backward pass may be the cause.");
    say_rounding(reading);
}

/* An update is all that changed a parameter between the beginnings of two steps. */
static void say_step(struct nauha_reading *reading) {
    const struct nauha_difference *difference = &reading->first.pair.difference;
    const bool compared = reading->first.pair.compared;
    double factor;
    if (compared && difference->sum_squares_a == 0)
        say(reading, " In %s the parameter does not change.", reading->name_a);
    else if (compared && difference->sum_squares_b == 0)
        say(reading,
            " In %s the parameter does not change: it is frozen, or was not given to the "
            "optimizer.",
            reading->name_b);
    else if (compared && is_multiple(difference->sum_squares_a, difference->sum_squares_b,
                                     difference->sum_products, PARALLEL, &factor))
        say(reading,
            " The update is %.4g times as long in %s and has the same direction. The cause is "
            "another learning rate, or a factor on the gradient (clipping, loss scaling).",
            factor, reading->name_b);
    else if (compared && difference->differing < difference->alike)
        say(reading,
            " In this tensor, %" PRIu64 " elements changed by the same amount and %" PRIu64
            " did not. So the cause is not a setting that acts on all of them, such as the "
            "learning rate, momentum or weight decay, unless its effect is smaller than rounding. "
            "Possible causes are code that writes to the parameter after the optimizer's step, a "
            "bit flip, clipping of single values, and different rounding in the optimizer.",
            difference->alike, difference->differing);
    else if (!reading->ranks)
        say(reading,
            " Possible causes are another optimizer, other momentum, weight decay, clipping or "
            "optimizer state, and code that changes the parameters after its step.");
}

/* The name of an element of hyperparameters: the slot has them all, with commas between. */
static void setting_at(const char *slot, uint64_t element, int *length, const char **name) {
    for (const char *comma; element > 0 && (comma = strchr(slot, ',')); element--)
        slot = comma + 1;
    *name = slot;
    *length = (int)strcspn(slot, ",");
}

static void explain_hyperparameters(struct nauha_reading *reading) {
    const struct nauha_first *first = &reading->first;
    const struct nauha_message_info *info = &first->a;
    if (info->kind == NAUHA_KIND_PARAMETER_GROUPS) {
        say(reading, "The parameter group \"%s\" of the optimizer has other parameters.",
            info->module_name);
    } else if (!first->pair.compared) {
        say(reading, "The optimizers have different settings in the parameter group \"%s\".",
            info->module_name);
    } else {
        int length;
        const char *name;
        setting_at(info->slot_name, first->pair.difference.first, &length, &name);
        say(reading,
            "The optimizers have different settings: from this step on, \"%.*s\" of the parameter "
            "group \"%s\" is not the same in both.",
            length, name, info->module_name);
    }
}

static void explain_updates(struct nauha_reading *reading) {
    const struct nauha_first *first = &reading->first;
    if (first->a.kind == NAUHA_KIND_HYPERPARAMETERS ||
        first->a.kind == NAUHA_KIND_PARAMETER_GROUPS) {
        explain_hyperparameters(reading);
        return;
    }
    const uint32_t gradient = first->a.kind == NAUHA_KIND_BIAS_UPDATES
                                  ? NAUHA_KIND_BIAS_GRADIENTS
                                  : NAUHA_KIND_WEIGHT_GRADIENTS;
    const bool known = saw(&reading->now, gradient, first->a.module);
    const bool any = saw(&reading->now, gradient, NAUHA__ANY);
    if (reading->ranks)
        say(reading,
            "From equal parameters, the optimizers of the two ranks make different steps: their "
            "gradients are not the same (not averaged over all ranks, as with no_sync or "
            "parameters outside of DistributedDataParallel), their settings or states differ, or "
            "one rank changes the parameters after its optimizer's step.");
    else if (known)
        say(reading, "The gradients are equal, but the parameter changes differently between the "
                     "beginning of this step and that of the next: the optimizer's step is "
                     "different, or something changed the parameter after it.");
    else
        say(reading, "The parameter is equal at the beginning of this step, but changes "
                     "differently until the beginning of the next: the optimizer's step is "
                     "different, or something changed the parameter after it.");
    say_step(reading);
    if (!reading->ranks && !known && !any)
        say(reading, " Gradients were not compared, so they may be the cause.");
}

static void explain_other(struct nauha_reading *reading) {
    const struct nauha_first *first = &reading->first;
    if (strcmp(first->a.tag_name, "default") != 0)
        say(reading,
            "All of the training's own messages that were compared in this step are equal. The "
            "difference is in the pass \"%s\": in its data, or in how it is computed.",
            first->a.tag_name);
    else if (first->a.kind < NAUHA_KIND_BUILTIN_COUNT)
        say(reading,
            "What was compared of the step's tensors is equal, but \"%s\", which is recorded to "
            "run "
            "the step again, is not.",
            first->a.kind_name);
    else
        say(reading,
            "All of the training's own messages that were compared in this step are equal. \"%s\" "
            "is a kind that the program registered itself.",
            first->a.kind_name);
}

static void explain_buffers(struct nauha_reading *reading) {
    say(reading,
        "What the step computed is equal, but the buffers of \"%s\" (%s) are not: they had other "
        "values at the beginning, or are updated differently, for example with another momentum of "
        "running statistics.",
        module_of(&reading->first.a), reading->first.a.module_class);
    say_rounding(reading);
}

/* All parameters of a stage are examined, because many begin as ones or zeros with any seed.
 * Outputs of modules in another type are explained elsewhere. */
static bool is_type_alone(const struct nauha_reading *reading) {
    return nauha__reading_same_values(&reading->first.pair) &&
           reading->stage != NAUHA__STAGE_FORWARD &&
           (reading->stage != NAUHA__STAGE_PARAMETERS ||
            (!saw_differing(&reading->now, NAUHA_KIND_WEIGHTS) &&
             !saw_differing(&reading->now, NAUHA_KIND_BIASES)));
}

void nauha__reading_explain(struct nauha_reading *reading) {
    static void (*const readers[])(struct nauha_reading *) = {
        [NAUHA__STAGE_PARAMETERS] = explain_parameters, [NAUHA__STAGE_DATA] = explain_data,
        [NAUHA__STAGE_FORWARD] = explain_forward,       [NAUHA__STAGE_LOSS] = explain_loss,
        [NAUHA__STAGE_BACKWARD] = explain_backward,     [NAUHA__STAGE_BUFFERS] = explain_buffers,
        [NAUHA__STAGE_UPDATES] = explain_updates,       [NAUHA__STAGE_OTHER] = explain_other,
    };
    if (is_type_alone(reading)) {
        explain_type(reading);
    } else {
        readers[reading->stage](reading);
        say_sort(reading);
    }
    say_within(reading);
}
