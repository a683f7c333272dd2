/* SPDX-License-Identifier: MIT */
/* HDF5 for the writer and the reader: its errors as nauha's, and the types of table rows.
 *
 * Threads: all HDF5 calls for a file are made by one thread at a time.
 */
#ifndef NAUHA_INTERNAL_H5_H
#define NAUHA_INTERNAL_H5_H

#include <hdf5.h>

#include "nauha/internal/layout.h"

/* Between begin and end, HDF5 does not print errors; end restores the host's error handler. */
struct nauha__h5_quiet {
    H5E_auto2_t function;
    void *data;
    bool is_v1; /* the host's handler is an H5E_auto1_t */
};
void nauha__h5_quiet_begin(struct nauha__h5_quiet *quiet);
void nauha__h5_quiet_end(const struct nauha__h5_quiet *quiet);

/* Sets err to the formatted phrase and the innermost reason on HDF5's error stack, with the text of
 * errno if the stack names it. Clears the stack and returns code. */
enum nauha_status nauha__h5_error(struct nauha_error *err, enum nauha_status code,
                                  const char *format, ...) NAUHA_PRINTF(3, 4);

/* Makes visible what another process has written to an open dataset. *dataset may become another
 * handle; it is H5I_INVALID_HID on failure. FORMAT. */
enum nauha_status nauha__h5_refresh(hid_t file, const char *path, hid_t *dataset,
                                    struct nauha_error *err);

/* The packed compound type of the rows of a table; negative on failure. Caller owns, release with
 * H5Tclose. */
hid_t nauha__h5_row_type(const struct nauha__table *table);

/* Whether a stored type has the same fields as the rows of the table, at the same offsets. A field
 * called "reserved" there fits any field: a writer of an earlier minor version, which does not know
 * that field, wrote zeros. */
bool nauha__h5_row_type_fits(hid_t stored, const struct nauha__table *table);

#endif
