/* SPDX-License-Identifier: MIT */
/* The file driver; see disk.h. Its shape is that of HDF5's own sec2 driver.
 *
 * Threads: the writer thread.
 */
#include "recorder/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

/* What disks write whole or not at all: the one for certain, the other mostly. */
#define SECTOR ((haddr_t)512)
#define PAGE ((haddr_t)4096)
#define ADDRESS_MAX ((haddr_t)1 << 62)

/* One open file. HDF5's part comes first. */
struct disk_file {
    H5FD_t hdf5;
    struct nauha__disk *disk;
    haddr_t eoa; /* end of what HDF5 has allocated */
    haddr_t eof; /* end of the file */
};

/* What the property list carries. */
struct disk_info {
    struct nauha__disk *disk;
};

static H5FD_t *disk_open(const char *name, unsigned flags, hid_t access, haddr_t address_max) {
    const struct disk_info *info = H5Pget_driver_info(access);
    (void)flags; /* only new files are made this way */
    (void)address_max;
    struct disk_file *file = calloc(1, sizeof *file);
    if (!file || !info) {
        free(file);
        return NULL;
    }
    file->disk = info->disk;
    file->disk->fd = open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (file->disk->fd < 0) {
        file->disk->error = errno;
        free(file);
        return NULL;
    }
    return &file->hdf5;
}

static struct disk_file *file_of(H5FD_t *file) {
    return (struct disk_file *)(void *)file;
}

static const struct disk_file *const_file_of(const H5FD_t *file) {
    return (const struct disk_file *)(const void *)file;
}

static herr_t disk_close(H5FD_t *generic) {
    struct disk_file *file = file_of(generic);
    if (close(file->disk->fd) != 0 && !file->disk->error)
        file->disk->error = errno;
    file->disk->fd = -1;
    free(file);
    return 0;
}

static herr_t disk_query(const H5FD_t *file, unsigned long *flags) {
    (void)file;
    /* Nothing is allocated together (AGGREGATE_...): each block gets a place of its own. */
    *flags = H5FD_FEAT_ACCUMULATE_METADATA | H5FD_FEAT_DATA_SIEVE | H5FD_FEAT_SUPPORTS_SWMR_IO |
             H5FD_FEAT_DEFAULT_VFD_COMPATIBLE;
    return 0;
}

/* A block goes behind the others where no boundary that it could do without lies in it: what is
 * overwritten later, such as an object's header, and has a checksum of its own, is then on the disk
 * as it was before or after, should the power be lost meanwhile. */
static haddr_t disk_alloc(H5FD_t *generic, H5FD_mem_t type, hid_t transfer, hsize_t bytes) {
    static const haddr_t units[] = {SECTOR, PAGE};
    struct disk_file *file = file_of(generic);
    (void)type;
    (void)transfer;
    haddr_t address = file->eoa;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (bytes <= units[i] && address % units[i] + bytes > units[i])
            address += units[i] - address % units[i];
    file->eoa = file->disk->end = address + bytes;
    return address;
}

static haddr_t disk_get_eoa(const H5FD_t *file, H5FD_mem_t type) {
    (void)type;
    return const_file_of(file)->eoa;
}

static herr_t disk_set_eoa(H5FD_t *file, H5FD_mem_t type, haddr_t address) {
    (void)type;
    file_of(file)->eoa = file_of(file)->disk->end = address;
    return 0;
}

static haddr_t disk_get_eof(const H5FD_t *file, H5FD_mem_t type) {
    (void)type;
    return const_file_of(file)->eof;
}

static herr_t disk_get_handle(H5FD_t *file, hid_t access, void **handle) {
    (void)access;
    *handle = &file_of(file)->disk->fd;
    return 0;
}

/* Beyond the end of the file there are zeros, as for sec2. */
static herr_t disk_read(H5FD_t *generic, H5FD_mem_t type, hid_t transfer, haddr_t address,
                        size_t bytes, void *buffer) {
    struct disk_file *file = file_of(generic);
    (void)type;
    (void)transfer;
    unsigned char *to = buffer;
    while (bytes > 0) {
        ssize_t done = pread(file->disk->fd, to, bytes, (off_t)address);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0 && !file->disk->error)
            file->disk->error = errno;
        if (done <= 0) {
            memset(to, 0, bytes);
            break;
        }
        to += done;
        bytes -= (size_t)done;
        address += (haddr_t)done;
    }
    return 0;
}

static herr_t disk_write(H5FD_t *generic, H5FD_mem_t type, hid_t transfer, haddr_t address,
                         size_t bytes, const void *buffer) {
    struct disk_file *file = file_of(generic);
    (void)type;
    (void)transfer;
    const unsigned char *from = buffer;
    haddr_t end = address + bytes;
    while (bytes > 0 && !file->disk->error) {
        ssize_t done = pwrite(file->disk->fd, from, bytes, (off_t)address);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0) {
            file->disk->error = done < 0 ? errno : EIO;
            break;
        }
        from += done;
        bytes -= (size_t)done;
        address += (haddr_t)done;
    }
    if (end > file->eof)
        file->eof = end;
    return 0;
}

static herr_t disk_truncate(H5FD_t *generic, hid_t transfer, hbool_t closing) {
    struct disk_file *file = file_of(generic);
    (void)transfer;
    (void)closing;
    if (file->eoa == file->eof)
        return 0;
    if (!file->disk->error && ftruncate(file->disk->fd, (off_t)file->eoa) != 0)
        file->disk->error = errno;
    file->eof = file->eoa;
    return 0;
}

/* The recorder has a lock of its own; see file.c. */
static herr_t disk_lock(H5FD_t *file, hbool_t write) {
    (void)file;
    (void)write;
    return 0;
}

static herr_t disk_unlock(H5FD_t *file) {
    (void)file;
    return 0;
}

static const H5FD_class_t disk_class = {
#if H5_VERSION_GE(1, 13, 0)
    .version = H5FD_CLASS_VERSION,
    .value = (H5FD_class_value_t)600, /* of those kept free for drivers not registered */
#endif
    .name = "nauha",
    .maxaddr = ADDRESS_MAX,
    .fc_degree = H5F_CLOSE_WEAK,
    .fapl_size = sizeof(struct disk_info),
    .open = disk_open,
    .close = disk_close,
    /* Without cmp, HDF5 does not open a file tentatively first. */
    .query = disk_query,
    .alloc = disk_alloc,
    .get_eoa = disk_get_eoa,
    .set_eoa = disk_set_eoa,
    .get_eof = disk_get_eof,
    .get_handle = disk_get_handle,
    .read = disk_read,
    .write = disk_write,
    .truncate = disk_truncate,
    .lock = disk_lock,
    .unlock = disk_unlock,
    .fl_map = H5FD_FLMAP_DICHOTOMY,
};

hid_t nauha__disk_access(struct nauha__disk *disk, hid_t *driver) {
    const struct disk_info info = {disk};
    *disk = (struct nauha__disk){.fd = -1};
    *driver = H5FDregister(&disk_class);
    hid_t access = *driver < 0 ? H5I_INVALID_HID : H5Pcreate(H5P_FILE_ACCESS);
    if (access >= 0 && (H5Pset_driver(access, *driver, &info) < 0 ||
                        H5Pset_libver_bounds(access, H5F_LIBVER_V110, H5F_LIBVER_V110) < 0)) {
        H5Pclose(access);
        access = H5I_INVALID_HID;
    }
    return access;
}
