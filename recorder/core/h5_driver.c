/* SPDX-License-Identifier: MIT */
/* What the file drivers of HDF5 share; see nauha/internal/h5_driver.h. The structure follows HDF5's
 * own sec2 driver.
 *
 * Threads: one at a time per file.
 */
#include "nauha/internal/h5_driver.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define ADDRESS_MAX ((haddr_t)1 << 62)

static herr_t query(const H5FD_t *file, unsigned long *flags) {
    (void)file;
    /* Without the flags AGGREGATE_..., HDF5 gives each block a place of its own. */
    *flags = H5FD_FEAT_ACCUMULATE_METADATA | H5FD_FEAT_DATA_SIEVE | H5FD_FEAT_SUPPORTS_SWMR_IO |
             H5FD_FEAT_DEFAULT_VFD_COMPATIBLE;
    return 0;
}

static haddr_t get_eoa(const H5FD_t *file, H5FD_mem_t type) {
    (void)type;
    return nauha__h5_file_of_const(file)->eoa;
}

static herr_t set_eoa(H5FD_t *file, H5FD_mem_t type, haddr_t address) {
    (void)type;
    nauha__h5_file_of(file)->eoa = address;
    return 0;
}

static haddr_t get_eof(const H5FD_t *file, H5FD_mem_t type) {
    (void)type;
    return nauha__h5_file_of_const(file)->eof;
}

static herr_t lock(H5FD_t *file, hbool_t write) {
    (void)file;
    (void)write;
    return 0;
}

static herr_t unlock(H5FD_t *file) {
    (void)file;
    return 0;
}

H5FD_class_t nauha__h5_driver(const char *name, int number) {
    H5FD_class_t class = {
        .name = name,
        .maxaddr = ADDRESS_MAX,
        .fc_degree = H5F_CLOSE_WEAK,
        /* Without cmp, HDF5 does not open a file tentatively first. */
        .query = query,
        .get_eoa = get_eoa,
        .set_eoa = set_eoa,
        .get_eof = get_eof,
        .lock = lock,
        .unlock = unlock,
        .fl_map = H5FD_FLMAP_DICHOTOMY,
    };
#if H5_VERSION_GE(1, 13, 0)
    class.version = H5FD_CLASS_VERSION;
    class.value = (H5FD_class_value_t)number;
#else
    (void)number;
#endif
    return class;
}

hid_t nauha__h5_driver_access(const H5FD_class_t *class, const void *info, hid_t *driver) {
    *driver = H5FDregister(class);
    hid_t access = *driver < 0 ? H5I_INVALID_HID : H5Pcreate(H5P_FILE_ACCESS);
    if (access >= 0 && (H5Pset_driver(access, *driver, info) < 0 ||
                        H5Pset_libver_bounds(access, H5F_LIBVER_V110, H5F_LIBVER_V110) < 0)) {
        H5Pclose(access);
        access = H5I_INVALID_HID;
    }
    return access;
}

ssize_t nauha__h5_read(int fd, haddr_t address, size_t bytes, void *buffer) {
    unsigned char *to = buffer;
    size_t done = 0;
    while (done < bytes) {
        ssize_t got = pread(fd, to + done, bytes - done, (off_t)(address + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) {
            memset(to + done, 0, bytes - done);
            return got < 0 ? got : (ssize_t)done;
        }
        done += (size_t)got;
    }
    return (ssize_t)done;
}
