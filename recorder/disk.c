/* SPDX-License-Identifier: MIT */
/* The file driver; see disk.h.
 *
 * Threads: the writer thread.
 */
#include "recorder/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "nauha/internal/h5_driver.h"
#include "nauha/internal/streams.h"

/* The sizes that disks write completely or not at all: the first one certainly, the second one
 * mostly. */
#define SECTOR ((haddr_t)512)
#define PAGE ((haddr_t)4096)
/* Raw data are collected, and written up to the next multiple of this size. */
#define UNIT ((size_t)1 << 20)
/* The size of a write through the page cache. The kernel caches a file in folios as large as the
 * position and the length of a write allow, and each size has its cost: writing chunks one by one
 * takes ext4 1.4 times as much CPU time, and writing 2 MB at a time takes three times as much. */
#define CACHED_UNIT ((size_t)512 << 10)
/* Less than this goes through the page cache: a copy takes less time than waiting for the disk. */
#define DIRECT_MIN ((size_t)128 << 10)
/* How much of a file goes through the page cache: a sixteenth of the memory, below what the kernel
 * gathers by default before it begins to write, and no more than this. */
#define CACHED_PART 16u
#define CACHED_MAX ((uint64_t)2 << 30)

struct disk_file {
    struct nauha__h5_file file;
    struct nauha__disk *disk;
    /* The process that created the file. In a forked child, HDF5 closes open files when the child
     * exits, and would write what was pending at the moment of the fork. */
    pid_t owner;
    /* A descriptor that writes whole pages past the page cache (O_DIRECT); negative: none. */
    int direct;
    /* The last unit of the file that anything was written to: its first window_used bytes, as the
     * file has them or is to have them. So whole pages of it can be written. */
    unsigned char *window;
    haddr_t window_at;
    size_t window_used;
    size_t pending_from, pending_to; /* the part that is to be written, in bytes of the window */
};

/* The contents of the property list. */
struct disk_info {
    struct nauha__disk *disk;
};

/* ---- opening ---- */

/* Whether this is a file system on which writing past the page cache has been measured. On others,
 * as where each write crosses a network, the page cache may be faster. */
static bool is_measured(int fd) {
    struct statfs about;
    return fstatfs(fd, &about) == 0 &&
           (about.f_type == EXT4_SUPER_MAGIC || about.f_type == XFS_SUPER_MAGIC);
}

/* Whether direct writes may begin and end at each page, as far as the system tells. */
static bool takes_pages(int fd) {
#ifdef STATX_DIOALIGN
    struct statx about;
    if (statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &about) == 0 &&
        (about.stx_mask & STATX_DIOALIGN))
        return about.stx_dio_offset_align > 0 && about.stx_dio_offset_align <= PAGE &&
               about.stx_dio_mem_align <= PAGE;
#endif
    (void)fd;
    return true;
}

static int open_directly(const char *name, int fd) {
    return is_measured(fd) && takes_pages(fd)
               ? nauha__above_streams(open(name, O_WRONLY | O_DIRECT | O_CLOEXEC))
               : -1;
}

static H5FD_t *disk_open(const char *name, unsigned flags, hid_t access, haddr_t address_max) {
    const struct disk_info *info = H5Pget_driver_info(access);
    (void)flags; /* only new files are created with this driver */
    (void)address_max;
    struct disk_file *file = calloc(1, sizeof *file);
    void *window = NULL;
    if (!file || !info || posix_memalign(&window, PAGE, UNIT) != 0) {
        free(file);
        return NULL;
    }
    file->disk = info->disk;
    file->disk->fd = nauha__above_streams(open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
    if (file->disk->fd < 0) {
        file->disk->error = errno;
        free(window);
        free(file);
        return NULL;
    }
    file->owner = getpid();
    file->window = window;
    file->direct = open_directly(name, file->disk->fd);
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

static size_t smaller(size_t a, size_t b) {
    return a < b ? a : b;
}

static void write_cached(struct disk_file *file, haddr_t address, const unsigned char *from,
                         size_t bytes) {
    while (bytes > 0 && may_write(file)) {
        const size_t part = smaller(bytes, CACHED_UNIT - (size_t)(address % CACHED_UNIT));
        ssize_t done = pwrite(file->disk->fd, from, part, (off_t)address);
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

static void stop_direct(struct disk_file *file) {
    if (file->direct >= 0)
        close(file->direct);
    file->direct = -1;
}

/* Writes whole pages of the window past the page cache, and returns where it ended: short of `to`
 * after a failure, or where the file system refuses such writes or part of them. */
static size_t write_direct(struct disk_file *file, size_t from, size_t to) {
    while (from < to && from % PAGE == 0 && may_write(file)) {
        ssize_t done =
            pwrite(file->direct, file->window + from, to - from, (off_t)(file->window_at + from));
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0 && (errno == EINVAL || errno == EOPNOTSUPP)) {
            stop_direct(file);
            break;
        }
        if (done <= 0) {
            file->disk->error = done < 0 ? errno : EIO;
            break;
        }
        from += (size_t)done;
        file->disk->direct += (uint64_t)done;
    }
    return from;
}

/* Makes the window hold `to` bytes, with zeros where nothing was written. */
static void extend(struct disk_file *file, size_t to) {
    if (file->window_used >= to)
        return;
    memset(file->window + file->window_used, 0, to - file->window_used);
    file->window_used = to;
}

/* Writes the pages with the bytes from `from` to `to` of the window past the page cache, and
 * returns where it ended, `from` or behind it. */
static size_t write_pages(struct disk_file *file, size_t from, size_t to) {
    const size_t end = (to + PAGE - 1) / PAGE * PAGE;
    extend(file, end);
    const size_t done = write_direct(file, from / PAGE * PAGE, end);
    if (file->file.eof < file->window_at + done)
        file->file.eof = file->window_at + done;
    return done < from ? from : smaller(done, to);
}

static bool goes_direct(const struct disk_file *file, size_t bytes) {
    return file->direct >= 0 && bytes >= DIRECT_MIN && !file->disk->late &&
           file->window_at >= file->disk->direct_from;
}

static void settle(struct disk_file *file) {
    size_t from = file->pending_from;
    const size_t to = file->pending_to;
    file->pending_from = file->pending_to = 0;
    if (goes_direct(file, to - from))
        from = write_pages(file, from, to);
    write_cached(file, file->window_at + from, file->window + from, to - from);
}

void nauha__disk_settle(struct nauha__disk *disk) {
    if (disk->file)
        settle(disk->file);
}

/* Moves the window on if an address lies behind it. Nothing has been written there yet. */
static void follow(struct disk_file *file, haddr_t address) {
    if (address < file->window_at + UNIT)
        return;
    settle(file);
    file->window_at = address - address % UNIT;
    file->window_used = 0;
}

/* Copies bytes into the window. */
static void keep(struct disk_file *file, size_t at, const unsigned char *from, size_t bytes) {
    extend(file, at);
    memcpy(file->window + at, from, bytes);
    if (file->window_used < at + bytes)
        file->window_used = at + bytes;
}

static void write_later(struct disk_file *file, size_t at, const unsigned char *from,
                        size_t bytes) {
    keep(file, at, from, bytes);
    if (file->pending_from == file->pending_to)
        file->pending_from = file->pending_to = at;
    if (file->pending_from > at)
        file->pending_from = at;
    if (file->pending_to < at + bytes)
        file->pending_to = at + bytes;
    if (file->pending_to == UNIT)
        settle(file);
}

static void write_now(struct disk_file *file, haddr_t address, const unsigned char *from,
                      size_t bytes) {
    settle(file);
    write_cached(file, address, from, bytes);
}

/* Raw data in the window wait for more. Metadata that refer to raw data are written after these. */
static herr_t disk_write(H5FD_t *generic, H5FD_mem_t type, hid_t transfer, haddr_t address,
                         size_t bytes, const void *buffer) {
    struct disk_file *file = file_of(generic);
    const unsigned char *from = buffer;
    (void)transfer;
    if (address + bytes > file->file.eof)
        file->file.eof = address + bytes;
    while (bytes > 0) {
        follow(file, address);
        const bool inside = address >= file->window_at;
        const haddr_t end = inside ? file->window_at + UNIT : file->window_at;
        const size_t part = end - address < bytes ? (size_t)(end - address) : bytes;
        if (inside && type == H5FD_MEM_DRAW) {
            write_later(file, (size_t)(address - file->window_at), from, part);
        } else {
            write_now(file, address, from, part);
            if (inside)
                keep(file, (size_t)(address - file->window_at), from, part);
        }
        from += part;
        bytes -= part;
        address += part;
    }
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
    stop_direct(file);
    free(file->window);
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
    settle(file);
    /* Zeros behind the end, to the end of a page, are left until the file is closed. */
    if (file->file.eoa == file->file.eof || (file->file.eoa < file->file.eof && !closing))
        return 0;
    if (may_write(file) && ftruncate(file->disk->fd, (off_t)file->file.eoa) != 0)
        file->disk->error = errno;
    file->file.eof = file->file.eoa;
    return 0;
}

static uint64_t cached_bytes(void) {
    const long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    const uint64_t part =
        pages < 0 || page < 0 ? 0 : (uint64_t)pages * (uint64_t)page / CACHED_PART;
    return part < CACHED_MAX ? part : CACHED_MAX;
}

hid_t nauha__disk_access(struct nauha__disk *disk, hid_t *driver) {
    const struct disk_info info = {disk};
    *disk = (struct nauha__disk){.fd = -1, .direct_from = cached_bytes()};
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
