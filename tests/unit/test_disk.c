/* SPDX-License-Identifier: MIT */
/* What the file driver collects is in the file before what refers to it. */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "directory.h"
#include "recorder/disk.h"

enum { CHUNK = 100000, CHUNKS = 40 };

struct fixture {
    struct nauha__disk disk;
    hid_t driver, file, dataset;
    int fd; /* as another process sees the file */
    unsigned char bytes[CHUNK];
};

static void open_file(struct fixture *f) {
    char path[96];
    snprintf(path, sizeof path, "%s/a.h5", directory);
    hid_t access = nauha__disk_access(&f->disk, &f->driver);
    f->file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, access);
    assert_true(f->file >= 0);
    H5Pclose(access);
    const hsize_t none = 0, unlimited = H5S_UNLIMITED, chunk = CHUNK;
    hid_t space = H5Screate_simple(1, &none, &unlimited), create = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_chunk(create, 1, &chunk);
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

static const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup_teardown(test_a_flush_writes_all, directory_setup, directory_teardown),
    cmocka_unit_test_setup_teardown(test_settling_writes_the_rest, directory_setup,
                                    directory_teardown),
    cmocka_unit_test_setup_teardown(test_chunks_in_any_order, directory_setup, directory_teardown),
    cmocka_unit_test_setup_teardown(test_a_failure_is_kept, directory_setup, directory_teardown),
};
UNIT_MAIN(tests)
