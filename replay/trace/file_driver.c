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

struct reading_file {
    struct nauha__h5_file file;
    struct nauha__chunk_place *wanted; /* not NULL: gets the addresses of elements, unread */
};

static struct reading_file *reading_file_of(H5FD_t *file) {
    return (struct reading_file *)(void *)file;
}

static H5FD_t *driver_open(const char *name, unsigned flags, hid_t access, haddr_t address_max) {
    (void)access;
    (void)address_max;
    struct stat status;
    struct reading_file *file = flags & H5F_ACC_RDWR ? NULL : calloc(1, sizeof *file);
    if (!file)
        return NULL;
    file->file.fd = open(name, O_RDONLY | O_CLOEXEC);
    if (file->file.fd < 0 || fstat(file->file.fd, &status) != 0) {
        if (file->file.fd >= 0)
            close(file->file.fd);
        free(file);
        return NULL;
    }
    file->file.eof = (haddr_t)status.st_size;
    return &file->file.hdf5;
}

static herr_t driver_close(H5FD_t *generic) {
    struct reading_file *file = reading_file_of(generic);
    close(file->file.fd);
    free(file);
    return 0;
}

/* The handle that H5Fget_vfd_handle returns. */
static herr_t driver_handle(H5FD_t *generic, hid_t access, void **handle) {
    (void)access;
    *handle = reading_file_of(generic);
    return 0;
}

static herr_t driver_read(H5FD_t *generic, H5FD_mem_t type, hid_t transfer, haddr_t address,
                          size_t bytes, void *buffer) {
    (void)transfer;
    struct reading_file *file = reading_file_of(generic);
    if (!file->wanted || type != H5FD_MEM_DRAW)
        return nauha__h5_read(file->file.fd, address, bytes, buffer) < 0 ? -1 : 0;
    file->wanted->address = address;
    file->wanted->bytes = bytes;
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
    class.get_handle = driver_handle;
    class.read = driver_read;
    class.write = driver_write;
    return nauha__h5_driver_access(&class, NULL, driver);
}

bool nauha__file_driver_find(hid_t file, hid_t dataset, hsize_t offset, void *buffer,
                             struct nauha__chunk_place *place) {
    *place = (struct nauha__chunk_place){0};
    void *handle = NULL;
    if (H5Fget_vfd_handle(file, H5P_DEFAULT, &handle) < 0)
        return false;
    struct reading_file *reading = handle;
    reading->wanted = place;
    bool found = H5Dread_chunk(dataset, H5P_DEFAULT, &offset, &place->filter_mask, buffer) >= 0;
    reading->wanted = NULL;
    return found && place->bytes > 0;
}
