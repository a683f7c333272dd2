/* SPDX-License-Identifier: MIT */
/* An HDF5 file driver for reading, which finds out where a chunk lies without reading it.
 *
 * HDF5 admits one thread of a process at a time. If HDF5 read the chunks, it would do so within its
 * lock, and threads that decode chunks would wait for each other's reads; with the addresses, each
 * thread reads for itself. H5Dget_chunk_info also gives the address, but walks over all chunks
 * before the one in question: with HDF5 1.10.8 it takes 16 ms for each of 100 000 chunks, this
 * driver 2 us. H5Dchunk_iter gives all addresses in one pass, but HDF5 1.10.8 does not have it.
 *
 * Threads: any thread, one at a time per file.
 */
#ifndef NAUHA_REPLAY_TRACE_FILE_DRIVER_H
#define NAUHA_REPLAY_TRACE_FILE_DRIVER_H

#include <hdf5.h>
#include <stdbool.h>
#include <stdint.h>

/* Returns a file access property list for reading through the driver; negative on failure. Release
 * it with H5Pclose, and *driver with H5FDunregister after the file is closed, unless *driver is
 * negative. */
hid_t nauha__file_driver_access(hid_t *driver);

struct nauha__chunk_place {
    uint64_t address; /* in the file */
    uint64_t bytes;
    uint32_t filter_mask;
};

/* Finds the place of the chunk that begins at element `offset` of a dataset. file was opened with
 * nauha__file_driver_access. False: there is no such chunk, or HDF5 cannot find it; HDF5's error
 * stack says why. `buffer` is passed to HDF5 as the place to read to; nothing is written to it. */
bool nauha__file_driver_find(hid_t file, hid_t dataset, hsize_t offset, void *buffer,
                             struct nauha__chunk_place *place);

#endif
