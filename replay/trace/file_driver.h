/* SPDX-License-Identifier: MIT */
/* An HDF5 file driver for reading, which can tell where a chunk lies without reading it.
 *
 * HDF5 lets one thread of a process in at a time. What it reads itself is read within its lock, and
 * threads that decode chunks would wait for one another's copies; with the place at hand each
 * reads for itself. H5Dget_chunk_info tells the place as well, but walks over all chunks up to the
 * one in question: 16 ms for each of 100 000 chunks with HDF5 1.10.8, where this takes 2 us.
 * H5Dchunk_iter tells them all in one pass, but HDF5 1.10.8 does not have it.
 *
 * Threads: any thread, one at a time per file.
 */
#ifndef NAUHA_REPLAY_TRACE_FILE_DRIVER_H
#define NAUHA_REPLAY_TRACE_FILE_DRIVER_H

#include <hdf5.h>
#include <stdbool.h>
#include <stdint.h>

/* A file access property list for reading through the driver. Negative on failure. Release with
 * H5Pclose. *driver is released with H5FDunregister after the file is closed; negative where there
 * is nothing to release. */
hid_t nauha__file_driver_access(hid_t *driver);

struct nauha__chunk_place {
    uint64_t address; /* in the file */
    uint64_t bytes;
    uint32_t filter_mask;
};

/* Where a dataset of a file opened so has the chunk that begins at element `offset`. False: it has
 * none, or HDF5 cannot find it; what HDF5 says lies on its error stack. `buffer` is what HDF5 asks
 * for to read a chunk to; nothing is written to it. */
bool nauha__file_driver_find(hid_t file, hid_t dataset, hsize_t offset, void *buffer,
                             struct nauha__chunk_place *place);

#endif
