/* SPDX-License-Identifier: MIT */
/* The analyzers built in: one row each. */
#include "nauha/analyzer.h"

#define METRICS(X)                                                                                 \
    X(ratio)                                                                                       \
    X(norm)                                                                                        \
    X(mean)                                                                                        \
    X(sum)                                                                                         \
    X(variance)                                                                                    \
    X(min)                                                                                         \
    X(max)                                                                                         \
    X(absmax)                                                                                      \
    X(rms)                                                                                         \
    X(skewness)                                                                                    \
    X(kurtosis)                                                                                    \
    X(zeros)                                                                                       \
    X(nonfinite)                                                                                   \
    X(percentiles)                                                                                 \
    X(histogram)                                                                                   \
    X(cosine)                                                                                      \
    X(distance)                                                                                    \
    X(gradient_noise_scale)                                                                        \
    X(gsnr)                                                                                        \
    X(spectral_norm)                                                                               \
    X(condition_number)                                                                            \
    X(effective_rank)                                                                              \
    X(stable_rank)                                                                                 \
    X(alpha)                                                                                       \
    X(svcca)                                                                                       \
    X(cka)                                                                                         \
    X(loss)                                                                                        \
    X(step_loss)                                                                                   \
    X(hyperparameter)                                                                              \
    X(train_accuracy)                                                                              \
    X(test_accuracy)                                                                               \
    X(hessian_eig)                                                                                 \
    X(message_mean)

#define RULES(X)                                                                                   \
    X(vanishing_gradient)                                                                          \
    X(exploding_tensor)                                                                            \
    X(all_zero)                                                                                    \
    X(tensor_variance)                                                                             \
    X(weight_update_ratio)                                                                         \
    X(unchanged_tensor)                                                                            \
    X(dead_relu)                                                                                   \
    X(saturated_activation)                                                                        \
    X(poor_weight_initialization)                                                                  \
    X(loss_not_decreasing)                                                                         \
    X(overfit)                                                                                     \
    X(overtraining)                                                                                \
    X(class_imbalance)                                                                             \
    X(confusion)                                                                                   \
    X(check_input_images)

#define DECLARE(id) extern const struct nauha_analyzer nauha_analyzer_##id;
METRICS(DECLARE)
RULES(DECLARE)
#undef DECLARE

const struct nauha_analyzer *const *nauha_builtin_analyzers(size_t *count) {
    static const struct nauha_analyzer *const table[] = {
#define ROW(id) &nauha_analyzer_##id,
        METRICS(ROW) RULES(ROW)
#undef ROW
    };
    *count = sizeof table / sizeof *table;
    return table;
}
