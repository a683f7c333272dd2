/* SPDX-License-Identifier: MIT */
/* What the file drivers for HDF5 have in common, of the writer's and of the readers' files: one
 * descriptor, no locks (there is one of our own; see layout.h), nothing allocated together.
 *
 * Threads: one at a time per file.
 */
#ifndef NAUHA_INTERNAL_H5_DRIVER_H
#define NAUHA_INTERNAL_H5_DRIVER_H

#include <hdf5.h>
#include <stdbool.h>
#include <sys/types.h>

/* One open file. HDF5's part comes first, and in a driver's own struct this does. */
struct nauha__h5_file {
    H5FD_t hdf5;
    int fd;
    haddr_t eoa; /* end of what HDF5 knows to be allocated */
    haddr_t eof; /* end of the file */
};

static inline struct nauha__h5_file *nauha__h5_file_of(H5FD_t *file) {
    return (struct nauha__h5_file *)(void *)file;
}

static inline const struct nauha__h5_file *nauha__h5_file_of_const(const H5FD_t *file) {
    return (const struct nauha__h5_file *)(const void *)file;
}

/* A driver's class, in which open, close, read and write are missing. number: of the driver, from
 * HDF5 1.13 on, among those that are free for drivers not registered (512 to 1023). */
H5FD_class_t nauha__h5_driver(const char *name, int number);

/* Registers such a class, and makes a file access property list that goes through it and carries
 * `info` (NULL: nothing). Negative on failure; release with H5Pclose. *driver is released with
 * H5FDunregister after the file is closed; negative where there is nothing to release. */
hid_t nauha__h5_driver_access(const H5FD_class_t *class, const void *info, hid_t *driver);

/* Reads `bytes` at an address of a file, and returns how many of them the file has; those beyond
 * its end are zeros. Negative: errno says why, and what could not be read is zeros. */
ssize_t nauha__h5_read(int fd, haddr_t address, size_t bytes, void *buffer);

#endif
