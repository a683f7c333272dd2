/* SPDX-License-Identifier: MIT */
/* An HDF5 file driver that hides write errors from HDF5.
 *
 * HDF5 does not recover from a failed write: it keeps the file half open and may crash when the
 * process exits, and the process is somebody's training. This driver therefore reports success to
 * HDF5. It notes the first failure and writes nothing more, so that the file stays as the last
 * flush left it. It also writes nothing in a forked child.
 *
 * It collects chunks and writes many of them at a time. The first gigabytes go through the page
 * cache, which leaves the disk for later. What exceeds it would only push out the training's data,
 * at the cost of a copy into pages that have to be freed first: on ext4 and xfs, chunks are then
 * written past it (O_DIRECT), except where the disk does not keep up or the file system refuses.
 * The file holds the same bytes in any case, and whoever reads it sees them in the same order.
 *
 * Threads: the writer thread.
 */
#ifndef NAUHA_RECORDER_DISK_H
#define NAUHA_RECORDER_DISK_H

#include <hdf5.h>
#include <stdbool.h>
#include <stdint.h>

struct disk_file;

struct nauha__disk {
    int fd;                 /* of the open file; negative before */
    int error;              /* errno of the first failure; 0: none */
    bool late;              /* set by the caller: writing must not wait for the disk */
    uint64_t direct_from;   /* what is written before this address goes through the page cache */
    uint64_t direct;        /* bytes that were written past the page cache */
    uint64_t end;           /* of what is allocated: the size that the file will have */
    struct disk_file *file; /* NULL before it is open and after it is closed */
};

/* Returns a file access property list for a new file behind the driver; negative on failure.
 * Release it with H5Pclose, and *driver with H5FDunregister after the file is closed. The driver
 * notes its state in *disk, which must outlive the file. */
hid_t nauha__disk_access(struct nauha__disk *disk, hid_t *driver);

/* Writes the raw data that has been collected. HDF5's other reads and writes do this first, so that
 * nothing is in the file before the data that it refers to. */
void nauha__disk_settle(struct nauha__disk *disk);

#endif
