/* SPDX-License-Identifier: MIT */
/* An HDF5 file driver that keeps the first failure of the disk to itself.
 *
 * HDF5 does not recover from a failed write: it keeps the file half open and may crash the process
 * when that exits, which would be somebody else's training. Behind this driver it never sees one:
 * the first failure is noted here, and from then on nothing more is written, so what is on disk
 * stays as the last flush left it. Nor does a child that was forked write anything. Chunks are
 * written many at a time.
 *
 * Threads: the writer thread.
 */
#ifndef NAUHA_RECORDER_DISK_H
#define NAUHA_RECORDER_DISK_H

#include <hdf5.h>
#include <stdint.h>

struct disk_file;

struct nauha__disk {
    int fd;                 /* of the open file; negative before */
    int error;              /* errno of the first failure; 0: none */
    uint64_t end;           /* of what is allocated: the size that the file will have */
    struct disk_file *file; /* NULL before it is open and after it is closed */
};

/* A file access property list for a new file behind the driver, which notes in *disk; disk must
 * outlive the file. Negative on failure. Release with H5Pclose. *driver is released with
 * H5FDunregister after the file is closed. */
hid_t nauha__disk_access(struct nauha__disk *disk, hid_t *driver);

/* Writes the raw data that is still being collected. Anything else that HDF5 writes or reads does
 * so first, so that nothing is in the file before the data that it refers to. */
void nauha__disk_settle(struct nauha__disk *disk);

#endif
