/* SPDX-License-Identifier: MIT */
/* The file driver; see disk.h.
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

#include "nauha/internal/h5_driver.h"
#include "nauha/internal/streams.h"

/* The sizes that disks write completely or not at all: the first one certainly, the second one
 * mostly. */
#define SECTOR ((haddr_t)512)
#define PAGE ((haddr_t)4096)
/* Chunks are collected, and written up to the next multiple of this size. The kernel caches a file
 * in folios as large as the position and the length of a write allow, and each size has its cost:
 * writing chunks one by one takes ext4 1.4 times as much CPU time, and writing 2 MB at a time takes
 * three times as much. */
#define UNIT ((size_t)512 << 10)

struct disk_file {
    struct nauha__h5_file file;
    struct nauha__disk *disk;
    /* The process that created the file. In a forked child, HDF5 closes open files when the child
     * exits, and would write what was pending at the moment of the fork. */
    pid_t owner;
    /* Raw data to be written: pending_bytes for address pending_at, within one unit. */
    unsigned char *pending;
    haddr_t pending_at;
    size_t pending_bytes;
};

/* The contents of the property list. */
struct disk_info {
    struct nauha__disk *disk;
};

static H5FD_t *disk_open(const char *name, unsigned flags, hid_t access, haddr_t address_max) {
    const struct disk_info *info = H5Pget_driver_info(access);
    (void)flags; /* only new files are created with this driver */
    (void)address_max;
    struct disk_file *file = calloc(1, sizeof *file);
    unsigned char *pending = malloc(UNIT);
    if (!file || !pending || !info) {
        free(pending);
        free(file);
        return NULL;
    }
    file->disk = info->disk;
    file->disk->fd = nauha__above_streams(open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
    if (file->disk->fd < 0) {
        file->disk->error = errno;
        free(pending);
        free(file);
        return NULL;
    }
    file->owner = getpid();
    file->pending = pending;
    file->file.fd = file->disk->fd;
    file->disk->file = file;
    return &file->file.hdf5;
}

static struct disk_file *file_of(H5FD_t *file) {
    return (struct disk_file *)(void *)file;
}

/* ---- writing ---- */

static bool may_write(const struct disk_file *file) {
    return !file->disk->error && getpid() == file->owner;
}

static void write_now(struct disk_file *file, haddr_t address, const unsigned char *from,
                      size_t bytes) {
    while (bytes > 0 && may_write(file)) {
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
}

static void settle(struct disk_file *file) {
    write_now(file, file->pending_at, file->pending, file->pending_bytes);
    file->pending_bytes = 0;
}

void nauha__disk_settle(struct nauha__disk *disk) {
    if (disk->file)
        settle(disk->file);
}

/* Appends to the pending data, or writes these first if the new data do not follow them. */
static void write_later(struct disk_file *file, haddr_t address, const unsigned char *from,
                        size_t bytes) {
    if (address != file->pending_at + file->pending_bytes)
        settle(file);
    while (bytes > 0) {
        if (file->pending_bytes == 0)
            file->pending_at = address;
        size_t room = UNIT - (size_t)(address % UNIT), part = bytes < room ? bytes : room;
        memcpy(file->pending + file->pending_bytes, from, part);
        file->pending_bytes += part;
        if (part == room)
            settle(file);
        from += part;
        bytes -= part;
        address += part;
    }
}

/* Metadata that refer to raw data are written after these. */
static herr_t disk_write(H5FD_t *generic, H5FD_mem_t type, hid_t transfer, haddr_t address,
                         size_t bytes, const void *buffer) {
    struct disk_file *file = file_of(generic);
    (void)transfer;
    if (type == H5FD_MEM_DRAW) {
        write_later(file, address, buffer, bytes);
    } else {
        settle(file);
        write_now(file, address, buffer, bytes);
    }
    if (address + bytes > file->file.eof)
        file->file.eof = address + bytes;
    return 0;
}

/* ---- the other calls ---- */

static herr_t disk_close(H5FD_t *generic) {
    struct disk_file *file = file_of(generic);
    settle(file);
    if (close(file->disk->fd) != 0 && !file->disk->error)
        file->disk->error = errno;
    file->disk->fd = -1;
    file->disk->file = NULL;
    free(file->pending);
    free(file);
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
    haddr_t address = file->file.eoa;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (bytes <= units[i] && address % units[i] + bytes > units[i])
            address += units[i] - address % units[i];
    file->file.eoa = file->disk->end = address + bytes;
    return address;
}

static herr_t disk_set_eoa(H5FD_t *file, H5FD_mem_t type, haddr_t address) {
    (void)type;
    file_of(file)->file.eoa = file_of(file)->disk->end = address;
    return 0;
}

static herr_t disk_read(H5FD_t *generic, H5FD_mem_t type, hid_t transfer, haddr_t address,
                        size_t bytes, void *buffer) {
    struct disk_file *file = file_of(generic);
    (void)type;
    (void)transfer;
    settle(file);
    if (nauha__h5_read(file->file.fd, address, bytes, buffer) < 0 && !file->disk->error)
        file->disk->error = errno;
    return 0;
}

static herr_t disk_truncate(H5FD_t *generic, hid_t transfer, hbool_t closing) {
    struct disk_file *file = file_of(generic);
    (void)transfer;
    (void)closing;
    settle(file);
    if (file->file.eoa == file->file.eof)
        return 0;
    if (may_write(file) && ftruncate(file->disk->fd, (off_t)file->file.eoa) != 0)
        file->disk->error = errno;
    file->file.eof = file->file.eoa;
    return 0;
}

hid_t nauha__disk_access(struct nauha__disk *disk, hid_t *driver) {
    const struct disk_info info = {disk};
    *disk = (struct nauha__disk){.fd = -1};
    H5FD_class_t class = nauha__h5_driver("nauha", 600);
    class.fapl_size = sizeof info;
    class.open = disk_open;
    class.close = disk_close;
    class.alloc = disk_alloc;
    class.set_eoa = disk_set_eoa;
    class.read = disk_read;
    class.write = disk_write;
    class.truncate = disk_truncate;
    return nauha__h5_driver_access(&class, &info, driver);
}
