/* SPDX-License-Identifier: MIT */
/* TFRecord framing. A record is
 *   u64 length, u32 masked CRC of the length, the data, u32 masked CRC of the data
 * in little-endian order. */
#include "replay/sinks/event_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "nauha/internal/path.h"
#include "nauha/internal/streams.h"

#define BUFFER_BYTES (256u * 1024u)
#define PREFIX "events.out.tfevents."
#define SUFFIX ".nauha"

struct nauha__event_file {
    FILE *file;
    char *path;
};

/* ---- checksums ---- */

/* A table for four bits at a time. */
uint32_t nauha__crc32c(const void *data, size_t size) {
    static const uint32_t table[16] = {
        0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3,
        0x61c69362, 0x7198540d, 0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9,
        0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75,
    };
    const unsigned char *bytes = data;
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < size; i++) {
        crc ^= bytes[i];
        crc = crc >> 4 ^ table[crc & 15];
        crc = crc >> 4 ^ table[crc & 15];
    }
    return ~crc;
}

/* The CRC of data that contain a CRC is weak, so CRCs are stored rotated. */
static uint32_t masked_crc(const void *data, size_t size) {
    const uint32_t crc = nauha__crc32c(data, size);
    return (crc >> 15 | crc << 17) + 0xa282ead8u;
}

static void put_little_endian(unsigned char *out, uint64_t value, size_t bytes) {
    for (size_t i = 0; i < bytes; i++)
        out[i] = (unsigned char)(value >> (8 * i));
}

/* ---- files ---- */

static enum nauha_status write_failed(const struct nauha__event_file *file, int saved_errno,
                                      struct nauha_error *err) {
    return nauha_error_set_errno(err, saved_errno ? saved_errno : EIO, "cannot write \"%s\"",
                                 file->path);
}

static bool is_ours(const char *name) {
    const size_t length = strlen(name);
    return length > strlen(PREFIX SUFFIX) && memcmp(name, PREFIX, strlen(PREFIX)) == 0 &&
           strcmp(name + length - strlen(SUFFIX), SUFFIX) == 0;
}

static enum nauha_status remove_earlier(const char *directory, struct nauha_error *err) {
    DIR *entries = opendir(directory);
    if (!entries)
        return nauha_error_set_errno(err, errno, "cannot read directory \"%s\"", directory);
    enum nauha_status status = NAUHA_OK;
    for (const struct dirent *entry; status == NAUHA_OK && (entry = readdir(entries));) {
        if (is_ours(entry->d_name) && unlinkat(dirfd(entries), entry->d_name, 0) != 0)
            status = nauha_error_set_errno(err, errno, "cannot remove \"%s/%s\"", directory,
                                           entry->d_name);
    }
    closedir(entries);
    return status;
}

/* TensorBoard reads files that have "tfevents" in their name. NULL when out of memory. */
static char *new_path(const char *directory, unsigned number) {
    char host[HOST_NAME_MAX + 1] = "host";
    gethostname(host, sizeof host - 1);
    return nauha__path(directory, "%s%010lld.%s.%ld.%u%s", PREFIX, (long long)time(NULL), host,
                       (long)getpid(), number, SUFFIX);
}

enum nauha_status nauha__event_file_create(const char *directory, struct nauha__event_file **out,
                                           struct nauha_error *err) {
    enum nauha_status status = remove_earlier(directory, err);
    if (status != NAUHA_OK)
        return status;
    struct nauha__event_file *file = calloc(1, sizeof *file);
    int descriptor = -1, saved_errno = EEXIST;
    for (unsigned number = 0; file && descriptor < 0 && saved_errno == EEXIST; number++) {
        free(file->path);
        file->path = new_path(directory, number);
        if (!file->path)
            break;
        descriptor =
            nauha__above_streams(open(file->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
        saved_errno = errno;
    }
    if (!file || !file->path) {
        free(file);
        return nauha_error_nomem(err);
    }
    if (descriptor >= 0 && !(file->file = fdopen(descriptor, "w"))) {
        saved_errno = errno;
        close(descriptor);
    }
    if (!file->file) {
        nauha_error_set_errno(err, saved_errno, "cannot create \"%s\"", file->path);
        free(file->path);
        free(file);
        return NAUHA_IO;
    }
    setvbuf(file->file, NULL, _IOFBF, BUFFER_BYTES);
    *out = file;
    return NAUHA_OK;
}

enum nauha_status nauha__event_file_append(struct nauha__event_file *file, const void *record,
                                           size_t size, struct nauha_error *err) {
    unsigned char head[12], tail[4];
    put_little_endian(head, size, 8);
    put_little_endian(head + 8, masked_crc(head, 8), 4);
    put_little_endian(tail, masked_crc(record, size), 4);
    const bool written = fwrite(head, 1, sizeof head, file->file) == sizeof head &&
                         fwrite(record, 1, size, file->file) == size &&
                         fwrite(tail, 1, sizeof tail, file->file) == sizeof tail;
    return written ? NAUHA_OK : write_failed(file, errno, err);
}

enum nauha_status nauha__event_file_flush(struct nauha__event_file *file, struct nauha_error *err) {
    return fflush(file->file) == 0 ? NAUHA_OK : write_failed(file, errno, err);
}

enum nauha_status nauha__event_file_close(struct nauha__event_file *file, struct nauha_error *err) {
    if (!file)
        return NAUHA_OK;
    const bool failed = ferror(file->file) != 0;
    errno = 0;
    enum nauha_status status =
        fclose(file->file) != 0 || failed ? write_failed(file, errno, err) : NAUHA_OK;
    free(file->path);
    free(file);
    return status;
}
