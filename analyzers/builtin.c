/* SPDX-License-Identifier: MIT */
/* The analyzers built in: one row each. */
#include "nauha/analyzer.h"

#define BUILTIN(X)                                                                                 \
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
    X(histogram)                                                                                   \
    X(loss)                                                                                        \
    X(train_accuracy)                                                                              \
    X(test_accuracy)                                                                               \
    X(message_mean)

#define DECLARE(id) extern const struct nauha_analyzer nauha_analyzer_##id;
BUILTIN(DECLARE)
#undef DECLARE

const struct nauha_analyzer *const *nauha_builtin_analyzers(size_t *count) {
    static const struct nauha_analyzer *const table[] = {
#define ROW(id) &nauha_analyzer_##id,
        BUILTIN(ROW)
#undef ROW
    };
    *count = sizeof table / sizeof *table;
    return table;
}
