/* SPDX-License-Identifier: MIT */
/* What sinks have in common; see sink.h. */
#include "replay/sinks/sink.h"

enum nauha_status nauha__series_check(const char *series, enum nauha_form form,
                                      const struct nauha_tensor *tensor, struct nauha_error *err) {
    const bool fits = form == NAUHA_FORM_HISTOGRAM ? tensor->ndim == 2 && tensor->shape[1] == 3
                                                   : tensor->ndim == 0;
    if (tensor->dtype == NAUHA_DTYPE_F64 && fits)
        return NAUHA_OK;
    return nauha_error_set(err, NAUHA_INVALID,
                           "a message of \"%s\" has another shape than its topic", series);
}
