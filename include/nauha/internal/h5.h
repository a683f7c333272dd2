/* SPDX-License-Identifier: MIT */
/* What writer and reader both need of HDF5: its errors as ours, and the tables' row types.
 *
 * Threads: all HDF5 calls of one file on one thread.
 */
#ifndef NAUHA_INTERNAL_H5_H
#define NAUHA_INTERNAL_H5_H

#include <hdf5.h>

#include "nauha/internal/layout.h"

/* Silences HDF5's own error printing between begin and end and puts the host's handler back. */
struct nauha__h5_quiet {
    H5E_auto2_t function;
    void *data;
    bool is_v1; /* the host's handler is an H5E_auto1_t */
};
void nauha__h5_quiet_begin(struct nauha__h5_quiet *quiet);
void nauha__h5_quiet_end(const struct nauha__h5_quiet *quiet);

/* Sets err to the formatted phrase, followed by the innermost reason on HDF5's error stack (and
 * errno's text where that names it), clears the stack, and returns code. */
enum nauha_status nauha__h5_error(struct nauha_error *err, enum nauha_status code,
                                  const char *format, ...) NAUHA_PRINTF(3, 4);

/* Makes an open dataset of a file that another process writes show what is readable by now; it may
 * be another handle afterwards, and is H5I_INVALID_HID on failure. FORMAT. */
enum nauha_status nauha__h5_refresh(hid_t file, const char *path, hid_t *dataset,
                                    struct nauha_error *err);

/* The packed compound type of a table's rows; negative on failure. Release with H5Tclose. */
hid_t nauha__h5_row_type(const struct nauha__table *table);

/* Whether rows of a stored type are the table's: the same fields at the same places. What is called
 * reserved there may be a field that its writer, of an earlier minor version, did not have yet: it
 * wrote zeros. */
bool nauha__h5_row_type_fits(hid_t stored, const struct nauha__table *table);

#endif
