/* SPDX-License-Identifier: MIT */
/* The file driver; see file_driver.h. Its shape is that of HDF5's own sec2 driver.
 *
 * Threads: any thread, one at a time per file.
 */
#include "replay/file_driver.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ADDRESS_MAX ((haddr_t)1 << 62)

/* One open file. HDF5's part comes first. */
struct file {
    H5FD_t hdf5;
    int fd;
    haddr_t eoa; /* end of what HDF5 knows to be allocated */
    haddr_t eof; /* end of the file as it was opened */
};

/* What this thread wants to know the place of instead of reading it: what would be read to here. */
static _Thread_local struct nauha__chunk_place *wanted;

static H5FD_t *driver_open(const char *name, unsigned flags, hid_t access, haddr_t address_max) {
    (void)access;
    (void)address_max;
    struct stat status;
    struct file *file = flags & H5F_ACC_RDWR ? NULL : calloc(1, sizeof *file);
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

static struct file *file_of(H5FD_t *file) {
    return (struct file *)(void *)file;
}

static const struct file *const_file_of(const H5FD_t *file) {
    return (const struct file *)(const void *)file;
}

static herr_t driver_close(H5FD_t *generic) {
    struct file *file = file_of(generic);
    close(file->fd);
    free(file);
    return 0;
}

static herr_t driver_query(const H5FD_t *file, unsigned long *flags) {
    (void)file;
    *flags = H5FD_FEAT_ACCUMULATE_METADATA | H5FD_FEAT_DATA_SIEVE | H5FD_FEAT_SUPPORTS_SWMR_IO |
             H5FD_FEAT_DEFAULT_VFD_COMPATIBLE;
    return 0;
}

static haddr_t driver_get_eoa(const H5FD_t *file, H5FD_mem_t type) {
    (void)type;
    return const_file_of(file)->eoa;
}

static herr_t driver_set_eoa(H5FD_t *file, H5FD_mem_t type, haddr_t address) {
    (void)type;
    file_of(file)->eoa = address;
    return 0;
}

static haddr_t driver_get_eof(const H5FD_t *file, H5FD_mem_t type) {
    (void)type;
    return const_file_of(file)->eof;
}

static herr_t driver_get_handle(H5FD_t *file, hid_t access, void **handle) {
    (void)access;
    *handle = &file_of(file)->fd;
    return 0;
}

/* Beyond the end of the file there are zeros, as for sec2. */
static herr_t driver_read(H5FD_t *generic, H5FD_mem_t type, hid_t transfer, haddr_t address,
                          size_t bytes, void *buffer) {
    const struct file *file = file_of(generic);
    (void)type;
    (void)transfer;
    if (wanted && buffer == wanted) {
        wanted->address = address;
        wanted->bytes = bytes;
        return 0;
    }
    unsigned char *to = buffer;
    while (bytes > 0) {
        ssize_t done = pread(file->fd, to, bytes, (off_t)address);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return -1;
        if (done == 0) {
            memset(to, 0, bytes);
            break;
        }
        to += done;
        bytes -= (size_t)done;
        address += (haddr_t)done;
    }
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

/* Locks keep nobody from writing here, and fail on some file systems. */
static herr_t driver_lock(H5FD_t *file, hbool_t write) {
    (void)file;
    (void)write;
    return 0;
}

static herr_t driver_unlock(H5FD_t *file) {
    (void)file;
    return 0;
}

static const H5FD_class_t driver_class = {
#if H5_VERSION_GE(1, 13, 0)
    .version = H5FD_CLASS_VERSION,
    .value = (H5FD_class_value_t)601, /* of those kept free for drivers not registered */
#endif
    .name = "nauha-reading",
    .maxaddr = ADDRESS_MAX,
    .fc_degree = H5F_CLOSE_WEAK,
    .open = driver_open,
    .close = driver_close,
    .query = driver_query,
    .get_eoa = driver_get_eoa,
    .set_eoa = driver_set_eoa,
    .get_eof = driver_get_eof,
    .get_handle = driver_get_handle,
    .read = driver_read,
    .write = driver_write,
    .lock = driver_lock,
    .unlock = driver_unlock,
    .fl_map = H5FD_FLMAP_DICHOTOMY,
};

hid_t nauha__file_driver_access(hid_t *driver) {
    *driver = H5FDregister(&driver_class);
    hid_t access = *driver < 0 ? H5I_INVALID_HID : H5Pcreate(H5P_FILE_ACCESS);
    if (access >= 0 && (H5Pset_driver(access, *driver, NULL) < 0 ||
                        H5Pset_libver_bounds(access, H5F_LIBVER_V110, H5F_LIBVER_V110) < 0)) {
        H5Pclose(access);
        access = H5I_INVALID_HID;
    }
    return access;
}

bool nauha__file_driver_find(hid_t dataset, hsize_t offset, struct nauha__chunk_place *place) {
    *place = (struct nauha__chunk_place){0};
    wanted = place;
    bool found = H5Dread_chunk(dataset, H5P_DEFAULT, &offset, &place->filter_mask, place) >= 0;
    wanted = NULL;
    return found && place->bytes > 0;
}
