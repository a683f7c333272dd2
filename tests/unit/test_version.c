/* SPDX-License-Identifier: MIT */
/* Versions as text: of nauha, and of what it runs with. */
#include "unit.h"

#include <hdf5.h>
#include <string.h>
#include <zstd.h>

#include "nauha/analyzer.h"
#include "nauha/internal/layout.h"
#include "nauha/version.h"

static void must_be(enum nauha_versioned of, const char *name, const char *version) {
    char text[32];
    assert_string_equal(nauha_version(of, text, sizeof text), name);
    assert_string_equal(text, version);
}

static void test_own_versions(void **state) {
    (void)state;
    char text[32];
    unsigned parts[3];
    char rest;
    assert_string_equal(nauha_version(NAUHA_VERSION_LIBRARY, text, sizeof text), "nauha");
    assert_int_equal(sscanf(text, "%u.%u.%u%c", &parts[0], &parts[1], &parts[2], &rest), 3);
    snprintf(text, sizeof text, "%u", NAUHA_ANALYZER_ABI);
    must_be(NAUHA_VERSION_PLUGIN_ABI, "plugin ABI", text);
    snprintf(text, sizeof text, "%u.%u", NAUHA_FORMAT_MAJOR, NAUHA_FORMAT_MINOR);
    must_be(NAUHA_VERSION_TRACE_FORMAT, "trace format", text);
}

static void test_versions_of_others(void **state) {
    (void)state;
    char text[32];
    snprintf(text, sizeof text, "%d.%d.%d", H5_VERS_MAJOR, H5_VERS_MINOR, H5_VERS_RELEASE);
    must_be(NAUHA_VERSION_HDF5, "HDF5", text);
    must_be(NAUHA_VERSION_ZSTD, "zstd", ZSTD_VERSION_STRING);
    assert_string_equal(nauha_version(NAUHA_VERSION_LZ4, text, sizeof text), "lz4");
}

static void test_the_end_and_what_does_not_fit(void **state) {
    (void)state;
    char text[32] = "as before";
    assert_null(nauha_version((enum nauha_versioned)(NAUHA_VERSION_LZ4 + 1), text, sizeof text));
    assert_string_equal(text, "");
    assert_null(nauha_version((enum nauha_versioned) - 1, text, sizeof text));
    char small[3] = "xx";
    nauha_version(NAUHA_VERSION_HDF5, small, sizeof small);
    assert_int_equal(strlen(small), 2);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_own_versions),
    cmocka_unit_test(test_versions_of_others),
    cmocka_unit_test(test_the_end_and_what_does_not_fit),
};
UNIT_MAIN(tests)
