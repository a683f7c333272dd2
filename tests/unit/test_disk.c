/* SPDX-License-Identifier: MIT */
/* What the file driver collects is in the file before what refers to it, by whatever way it comes
 * there. */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "directory.h"
#include "recorder/disk.h"

enum { CHUNK = 100000, CHUNKS = 40 };

/* ---- the file system ---- */

/* What it does with writes past the page cache (O_DIRECT). */
static enum way { TAKES, IN_PARTS, NOT_OPENED, NOT_WRITTEN, FAILS, OTHER } way;
static size_t attempts, bytes_direct;
static uint64_t direct_from;

/* Those of the C library give way to these. */
int fstatfs(int fd, struct statfs *about) {
    const int status = (int)syscall(SYS_fstatfs, fd, about);
    about->f_type = way == OTHER ? NFS_SUPER_MAGIC : EXT4_SUPER_MAGIC;
    return status;
}

int open(const char *path, int flags, ...) {
    va_list more;
    va_start(more, flags);
    const unsigned mode = flags & O_CREAT ? va_arg(more, unsigned) : 0;
    va_end(more);
    if ((flags & O_DIRECT) && way == NOT_OPENED) {
        errno = EINVAL;
        return -1;
    }
    return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

static size_t taken(const void *bytes, size_t count, off_t offset) {
    assert_int_equal((size_t)bytes % 4096, 0);
    assert_int_equal(offset % 4096, 0);
    assert_int_equal(count % 4096, 0);
    return way == IN_PARTS && count > 8192 ? 8192 : count;
}

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t offset) {
    if (fcntl(fd, F_GETFL) & O_DIRECT) {
        attempts++;
        if (way == NOT_WRITTEN || way == FAILS) {
            errno = way == FAILS ? EIO : EINVAL;
            return -1;
        }
        count = taken(bytes, count, offset);
        bytes_direct += count;
    }
    return (ssize_t)syscall(SYS_pwrite64, fd, bytes, count, offset);
}

static int setup(void **state) {
    way = TAKES;
    attempts = bytes_direct = 0;
    direct_from = 0;
    return directory_setup(state);
}

/* ---- files ---- */

struct fixture {
    struct nauha__disk disk;
    hid_t driver, file, dataset;
    int fd; /* as another process sees the file */
    unsigned char bytes[CHUNK];
};

static void open_file(struct fixture *f) {
    char path[96];
    snprintf(path, sizeof path, "%s/a.h5", directory);
    hid_t access = nauha__disk_access(&f->disk, &f->driver), timeless = H5Pcreate(H5P_FILE_CREATE);
    f->disk.direct_from = direct_from;
    H5Pset_obj_track_times(timeless, false);
    f->file = H5Fcreate(path, H5F_ACC_TRUNC, timeless, access);
    assert_true(f->file >= 0);
    H5Pclose(timeless);
    H5Pclose(access);
    const hsize_t none = 0, unlimited = H5S_UNLIMITED, chunk = CHUNK;
    hid_t space = H5Screate_simple(1, &none, &unlimited), create = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_chunk(create, 1, &chunk);
    H5Pset_obj_track_times(create, false);
    f->dataset =
        H5Dcreate2(f->file, "bytes", H5T_STD_U8LE, space, H5P_DEFAULT, create, H5P_DEFAULT);
    assert_true(f->dataset >= 0);
    H5Pclose(create);
    H5Sclose(space);
    f->fd = open(path, O_RDONLY);
    assert_true(f->fd >= 0);
}

static void close_file(struct fixture *f) {
    assert_true(H5Dclose(f->dataset) >= 0 && H5Fclose(f->file) >= 0);
    assert_null(f->disk.file);
    H5FDunregister(f->driver);
    close(f->fd);
}

/* Other bytes for each chunk and each version of it. */
static void fill(struct fixture *f, hsize_t number, unsigned version) {
    for (size_t i = 0; i < CHUNK; i++)
        f->bytes[i] = (unsigned char)(i / 7 + 31 * number + 101 * version);
}

static void write_chunk(struct fixture *f, hsize_t number, unsigned version) {
    const hsize_t offset = number * CHUNK, extent = offset + CHUNK;
    fill(f, number, version);
    if (version == 0)
        assert_true(H5Dset_extent(f->dataset, &extent) >= 0);
    assert_true(H5Dwrite_chunk(f->dataset, H5P_DEFAULT, 0, &offset, CHUNK, f->bytes) >= 0);
}

/* As the system has it, without HDF5. */
static bool is_in_file(struct fixture *f, hsize_t number, unsigned version) {
    static unsigned char found[CHUNK];
    hsize_t offset = number * CHUNK, bytes = 0;
    unsigned mask;
    haddr_t address = HADDR_UNDEF;
    assert_true(H5Dget_chunk_info_by_coord(f->dataset, &offset, &mask, &address, &bytes) >= 0);
    fill(f, number, version);
    return pread(f->fd, found, CHUNK, (off_t)address) == CHUNK &&
           memcmp(found, f->bytes, CHUNK) == 0;
}

static void test_a_flush_writes_all(void **state) {
    static struct fixture f;
    (void)state;
    open_file(&f);
    for (hsize_t i = 0; i < CHUNKS; i++)
        write_chunk(&f, i, 0);
    assert_true(is_in_file(&f, 0, 0)); /* whole units do not wait */
    assert_false(is_in_file(&f, CHUNKS - 1, 0));
    /* What refers to chunks comes after them, by whatever it is written. */
    assert_true(H5Dflush(f.dataset) >= 0);
    for (hsize_t i = 0; i < CHUNKS; i++)
        assert_true(is_in_file(&f, i, 0));
    close_file(&f);
}

static void test_settling_writes_the_rest(void **state) {
    static struct fixture f;
    (void)state;
    open_file(&f);
    write_chunk(&f, 0, 0);
    assert_true(H5Dflush(f.dataset) >= 0);
    /* In its place, so that nothing else has to be written. */
    write_chunk(&f, 0, 1);
    assert_false(is_in_file(&f, 0, 1));
    nauha__disk_settle(&f.disk);
    assert_true(is_in_file(&f, 0, 1));
    close_file(&f);
}

/* Out of order, twice, and read by HDF5 while it is on its way. */
static void test_chunks_in_any_order(void **state) {
    static struct fixture f;
    static unsigned char found[CHUNK];
    (void)state;
    open_file(&f);
    for (hsize_t i = 0; i < CHUNKS; i++)
        write_chunk(&f, i, 0);
    for (hsize_t i = 0; i < CHUNKS; i += 3)
        write_chunk(&f, CHUNKS - 1 - i, 1);
    for (hsize_t i = 0; i < CHUNKS; i++) {
        hsize_t offset = i * CHUNK;
        uint32_t mask = 0;
        assert_true(H5Dread_chunk(f.dataset, H5P_DEFAULT, &offset, &mask, found) >= 0);
        fill(&f, i, (CHUNKS - 1 - i) % 3 == 0);
        assert_memory_equal(found, f.bytes, CHUNK);
    }
    close_file(&f);
}

/* All of the file, as another process sees it. Release with free. */
static unsigned char *contents(const struct fixture *f, size_t *size) {
    struct stat about;
    assert_int_equal(fstat(f->fd, &about), 0);
    *size = (size_t)about.st_size;
    unsigned char *bytes = malloc(*size);
    assert_non_null(bytes);
    assert_int_equal(pread(f->fd, bytes, *size, 0), *size);
    return bytes;
}

/* Once raw data could not be written, nothing else is, though it would find room. */
static void test_a_failure_is_kept(void **state) {
    static struct fixture f;
    const struct rlimit all = {RLIM_INFINITY, RLIM_INFINITY};
    size_t size, later_size;
    (void)state;
    open_file(&f);
    write_chunk(&f, 0, 0);
    assert_true(H5Fflush(f.file, H5F_SCOPE_GLOBAL) >= 0);
    unsigned char *before = contents(&f, &size);
    signal(SIGXFSZ, SIG_IGN);
    const struct rlimit full = {size, RLIM_INFINITY};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &full), 0);
    write_chunk(&f, 1, 0);
    assert_int_equal(f.disk.error, 0); /* it waits for others */
    H5Fflush(f.file, H5F_SCOPE_GLOBAL);
    assert_int_equal(f.disk.error, EFBIG);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &all), 0);
    write_chunk(&f, 2, 0);
    int fd = dup(f.fd);
    close_file(&f);
    f.fd = fd;
    unsigned char *after = contents(&f, &later_size);
    assert_int_equal(later_size, size);
    assert_memory_equal(after, before, size);
    close(fd);
    free(before);
    free(after);
}

/* ---- the ways of writing ---- */

static uint64_t noted_direct; /* by the driver, of the file that was written last */

/* Chunks in flushes of different sizes, of which some are written again, read after each flush as
 * another process reads them. Returns the whole file; release with free. */
static unsigned char *written(size_t *size) {
    static struct fixture f;
    hsize_t count = 0;
    open_file(&f);
    for (hsize_t flush = 0; flush < 12; flush++) {
        for (hsize_t i = 0; i < flush * flush % 17; i++)
            write_chunk(&f, count++, 0);
        if (count > 3)
            write_chunk(&f, count - 3, 1);
        assert_true(H5Dflush(f.dataset) >= 0);
        for (hsize_t i = 0; i < count; i++)
            assert_true(is_in_file(&f, i, 1) || (i != count - 3 && is_in_file(&f, i, 0)));
    }
    const int fd = dup(f.fd);
    close_file(&f);
    assert_int_equal(f.disk.error, 0);
    noted_direct = f.disk.direct;
    f.fd = fd;
    unsigned char *bytes = contents(&f, size);
    close(fd);
    unlink(path_of("a.h5"));
    return bytes;
}

static void test_every_way_writes_the_same(void **state) {
    static const struct {
        enum way way;
        bool direct;
    } ways[] = {{TAKES, true}, {IN_PARTS, true}, {NOT_OPENED, false}, {NOT_WRITTEN, false}};
    size_t size, other_size;
    (void)state;
    way = OTHER;
    unsigned char *cached = written(&size);
    assert_int_equal(attempts, 0);
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        way = ways[i].way;
        attempts = bytes_direct = 0;
        unsigned char *bytes = written(&other_size);
        assert_int_equal(other_size, size);
        assert_memory_equal(bytes, cached, size);
        free(bytes);
        assert_int_equal(bytes_direct > size / 2, ways[i].direct);
        assert_int_equal(noted_direct, bytes_direct);
        if (!ways[i].direct)
            assert_int_equal(attempts, way == NOT_WRITTEN);
    }
    free(cached);
}

/* Where the disk does not keep up, nothing waits for it. */
static void test_late_data_go_through_the_page_cache(void **state) {
    static struct fixture f;
    (void)state;
    open_file(&f);
    for (hsize_t i = 0; i < CHUNKS; i++) {
        f.disk.late = i >= CHUNKS / 2;
        write_chunk(&f, i, 0);
        if (i == CHUNKS / 2)
            attempts = 0;
    }
    assert_true(bytes_direct > 0);
    assert_int_equal(attempts, 0);
    f.disk.late = false;
    assert_true(H5Dflush(f.dataset) >= 0);
    for (hsize_t i = 0; i < CHUNKS; i++)
        assert_true(is_in_file(&f, i, 0));
    close_file(&f);
}

static void test_the_first_part_goes_through_the_page_cache(void **state) {
    static struct fixture f;
    (void)state;
    direct_from = 2 << 20;
    open_file(&f);
    for (hsize_t i = 0; i < CHUNKS; i++) {
        write_chunk(&f, i, 0);
        assert_true(attempts == 0 || f.disk.end > direct_from);
    }
    assert_true(attempts > 0);
    assert_true(H5Dflush(f.dataset) >= 0);
    for (hsize_t i = 0; i < CHUNKS; i++)
        assert_true(is_in_file(&f, i, 0));
    close_file(&f);
}

static void test_an_error_is_not_tried_again(void **state) {
    static struct fixture f;
    (void)state;
    open_file(&f);
    way = FAILS;
    for (hsize_t i = 0; i < CHUNKS; i++)
        write_chunk(&f, i, 0);
    assert_int_equal(f.disk.error, EIO);
    assert_int_equal(attempts, 1);
    assert_false(is_in_file(&f, 0, 0));
    close_file(&f);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, directory_teardown)
static const struct CMUnitTest tests[] = {
    CASE(test_a_flush_writes_all),
    CASE(test_settling_writes_the_rest),
    CASE(test_chunks_in_any_order),
    CASE(test_a_failure_is_kept),
    CASE(test_every_way_writes_the_same),
    CASE(test_late_data_go_through_the_page_cache),
    CASE(test_the_first_part_goes_through_the_page_cache),
    CASE(test_an_error_is_not_tried_again),
};
UNIT_MAIN(tests)
