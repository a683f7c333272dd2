/* SPDX-License-Identifier: MIT */
/* The file driver; see file_driver.h.
 *
 * Threads: any thread, one at a time per file.
 */
#include "replay/trace/file_driver.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "nauha/internal/h5_driver.h"

/* What this thread wants to know the place of instead of reading it: what would be read to here. */
static _Thread_local struct nauha__chunk_place *wanted;

static H5FD_t *driver_open(const char *name, unsigned flags, hid_t access, haddr_t address_max) {
    (void)access;
    (void)address_max;
    struct stat status;
    struct nauha__h5_file *file = flags & H5F_ACC_RDWR ? NULL : calloc(1, sizeof *file);
    if (!file)
        return NULL;
    file->fd = open(name, O_RDONLY | O_CLOEXEC);
    if (file->fd < 0 || fstat(file->fd, &status) != 0) {
        if (file->fd >= 0)
            close(file->fd);
        free(file);
        return NULL;
    }
    file->eof = (haddr_t)status.st_size;
    return &file->hdf5;
}

static herr_t driver_close(H5FD_t *generic) {
    struct nauha__h5_file *file = nauha__h5_file_of(generic);
    close(file->fd);
    free(file);
    return 0;
}

static herr_t driver_read(H5FD_t *generic, H5FD_mem_t type, hid_t transfer, haddr_t address,
                          size_t bytes, void *buffer) {
    (void)type;
    (void)transfer;
    if (!wanted || buffer != wanted)
        return nauha__h5_file_read(nauha__h5_file_of(generic), address, bytes, buffer) ? 0 : -1;
    wanted->address = address;
    wanted->bytes = bytes;
    return 0;
}

static herr_t driver_write(H5FD_t *file, H5FD_mem_t type, hid_t transfer, haddr_t address,
                           size_t bytes, const void *buffer) {
    (void)file;
    (void)type;
    (void)transfer;
    (void)address;
    (void)bytes;
    (void)buffer;
    return -1; /* files are opened for reading */
}

hid_t nauha__file_driver_access(hid_t *driver) {
    H5FD_class_t class = nauha__h5_driver("nauha-reading", 601);
    class.open = driver_open;
    class.close = driver_close;
    class.read = driver_read;
    class.write = driver_write;
    return nauha__h5_driver_access(&class, NULL, driver);
}

bool nauha__file_driver_find(hid_t dataset, hsize_t offset, struct nauha__chunk_place *place) {
    *place = (struct nauha__chunk_place){0};
    wanted = place;
    bool found = H5Dread_chunk(dataset, H5P_DEFAULT, &offset, &place->filter_mask, place) >= 0;
    wanted = NULL;
    return found && place->bytes > 0;
}
