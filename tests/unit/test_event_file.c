/* SPDX-License-Identifier: MIT */
/* TensorBoard's event files: checksums, framing, and what becomes of the files of before. */
#include "directory.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "replay/sinks/event_file.h"

static struct nauha_error err;

/* Of RFC 3720, appendix B.4, and the check value of the catalogue of CRCs. */
static void test_published_checksums(void **state) {
    (void)state;
    unsigned char bytes[32] = {0};
    assert_int_equal(nauha__crc32c("123456789", 9), 0xe3069283);
    assert_int_equal(nauha__crc32c("", 0), 0);
    assert_int_equal(nauha__crc32c(bytes, 32), 0x8a9136aa);
    memset(bytes, 0xff, 32);
    assert_int_equal(nauha__crc32c(bytes, 32), 0x62a8ab43);
    for (unsigned i = 0; i < 32; i++)
        bytes[i] = (unsigned char)i;
    assert_int_equal(nauha__crc32c(bytes, 32), 0x46dd794e);
}

/* The names in the directory that begin with `start`; the last of them in name. */
static size_t count_files(const char *start, char name[256]) {
    size_t count = 0;
    DIR *entries = opendir(directory);
    assert_non_null(entries);
    for (const struct dirent *entry; (entry = readdir(entries));) {
        if (strncmp(entry->d_name, start, strlen(start)) != 0)
            continue;
        snprintf(name, 256, "%s", entry->d_name);
        count++;
    }
    closedir(entries);
    return count;
}

static struct nauha__event_file *create(void) {
    struct nauha__event_file *file = NULL;
    if (nauha__event_file_create(directory, &file, &err) != NAUHA_OK)
        fail_msg("%s", err.message);
    return file;
}

static size_t read_file(const char *name, unsigned char bytes[256]) {
    char path[512];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    const size_t size = fread(bytes, 1, 256, file);
    fclose(file);
    return size;
}

/* Length and checksum as TensorBoard's own writer has them before 24 bytes. */
static void test_framing(void **state) {
    (void)state;
    static const unsigned char expected[] = {0x18, 0, 0, 0, 0, 0, 0, 0, 0xa3, 0x7f, 0x4b, 0x22};
    static const unsigned char checksum[] = {0x07, 0xe8, 0xce, 0xd0};
    unsigned char bytes[256], data[24] = {9};
    char name[256];
    struct nauha__event_file *file = create();
    assert_int_equal(nauha__event_file_append(file, data, sizeof data, &err), NAUHA_OK);
    assert_int_equal(nauha__event_file_append(file, "", 0, &err), NAUHA_OK);
    assert_int_equal(nauha__event_file_flush(file, &err), NAUHA_OK);
    assert_int_equal(count_files("events.out.tfevents.", name), 1);
    assert_int_equal(read_file(name, bytes), 12 + 24 + 4 + 12 + 4);
    assert_memory_equal(bytes, expected, sizeof expected);
    assert_memory_equal(bytes + 12, data, sizeof data);
    assert_memory_equal(bytes + 36, checksum, sizeof checksum);
    assert_int_equal(nauha__event_file_close(file, &err), NAUHA_OK);
}

static void test_files_of_before_are_replaced_and_those_of_others_stay(void **state) {
    (void)state;
    char name[256], first[256], path[512];
    static const char other[] = "events.out.tfevents.1700000000.host.1.0";
    snprintf(path, sizeof path, "%s/%s", directory, other);
    fclose(fopen(path, "w"));
    nauha__event_file_close(create(), NULL);
    assert_int_equal(count_files("events.", first), 2);
    nauha__event_file_close(create(), NULL);
    assert_int_equal(count_files("events.", name), 2);
    assert_int_equal(count_files(other, name), 1);
}

static void test_errors_name_the_file(void **state) {
    (void)state;
    struct nauha__event_file *file = NULL;
    char path[512], expected[640];
    assert_int_equal(nauha__event_file_create("/nowhere/at/all", &file, &err), NAUHA_IO);
    assert_string_equal(err.message,
                        "cannot read directory \"/nowhere/at/all\": No such file or directory");
    snprintf(path, sizeof path, "%s/events.out.tfevents.1.nauha", directory);
    assert_int_equal(mkdir(path, 0777), 0);
    assert_int_equal(nauha__event_file_create(directory, &file, &err), NAUHA_IO);
    snprintf(expected, sizeof expected, "cannot remove \"%s\": Is a directory", path);
    assert_string_equal(err.message, expected);
    assert_null(file);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_published_checksums),
    cmocka_unit_test_setup_teardown(test_framing, directory_setup, directory_teardown),
    cmocka_unit_test_setup_teardown(test_files_of_before_are_replaced_and_those_of_others_stay,
                                    directory_setup, directory_teardown),
    cmocka_unit_test_setup_teardown(test_errors_name_the_file, directory_setup, directory_teardown),
};

UNIT_MAIN(tests)
