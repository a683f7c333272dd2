/* SPDX-License-Identifier: MIT */
/* The common part of the HDF5 file drivers of writer and reader: a file is one descriptor, takes no
 * locks of HDF5 (nauha has its own, see NAUHA__LOCK_BYTE), and does not aggregate allocations.
 *
 * Threads: one at a time per file.
 */
#ifndef NAUHA_INTERNAL_H5_DRIVER_H
#define NAUHA_INTERNAL_H5_DRIVER_H

#include <hdf5.h>
#include <stdbool.h>
#include <sys/types.h>

/* An open file. HDF5's part must be its first member, and a driver's own struct must begin with
 * this one. */
struct nauha__h5_file {
    H5FD_t hdf5;
    int fd;
    haddr_t eoa; /* end of the allocated addresses, as HDF5 defines it */
    haddr_t eof; /* end of the file */
};

static inline struct nauha__h5_file *nauha__h5_file_of(H5FD_t *file) {
    return (struct nauha__h5_file *)(void *)file;
}

static inline const struct nauha__h5_file *nauha__h5_file_of_const(const H5FD_t *file) {
    return (const struct nauha__h5_file *)(const void *)file;
}

/* A driver class without open, close, read and write, which the caller fills in. number: the value
 * of the driver for HDF5 1.13 and later, one of those that need no registration (512 to 1023). */
H5FD_class_t nauha__h5_driver(const char *name, int number);

/* Registers the class and returns a file access property list with this driver and `info`, which
 * may be NULL; negative on failure. Caller owns it, release with H5Pclose; and *driver unless it is
 * negative, release with H5FDunregister after the file is closed. */
hid_t nauha__h5_driver_access(const H5FD_class_t *class, const void *info, hid_t *driver);

/* Reads `bytes` at an address of a file and returns how many of them the file has; the others are
 * set to 0. Negative on failure, with errno set and the bytes that were not read set to 0. */
ssize_t nauha__h5_read(int fd, haddr_t address, size_t bytes, void *buffer);

#endif
