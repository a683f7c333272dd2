/* SPDX-License-Identifier: MIT */
/* An HDF5 file driver that keeps the first failure of the disk to itself.
 *
 * HDF5 does not recover from a failed write: it keeps the file half open and may crash the process
 * when that exits, which would be somebody else's training. Behind this driver it never sees one:
 * the first failure is noted here, and from then on nothing more is written, so what is on disk
 * stays as the last flush left it.
 *
 * Threads: the writer thread.
 */
#ifndef NAUHA_RECORDER_DISK_H
#define NAUHA_RECORDER_DISK_H

#include <hdf5.h>
#include <stdint.h>

struct nauha__disk {
    int fd;       /* of the open file; negative before */
    int error;    /* errno of the first failure; 0: none */
    uint64_t end; /* of what is allocated: the size that the file will have */
};

/* A file access property list for a new file behind the driver, which notes in *disk; disk must
 * outlive the file. Negative on failure. Release with H5Pclose. *driver is released with
 * H5FDunregister after the file is closed. */
hid_t nauha__disk_access(struct nauha__disk *disk, hid_t *driver);

#endif
