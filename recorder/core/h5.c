/* SPDX-License-Identifier: MIT */
/* Turning HDF5's errors into nauha_error, and the HDF5 types of the tables' rows.
 *
 * Threads: all HDF5 calls of one file on one thread.
 */
#include "nauha/internal/h5.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void nauha__h5_quiet_begin(struct nauha__h5_quiet *quiet) {
    unsigned is_v2 = 1;
    *quiet = (struct nauha__h5_quiet){NULL, NULL, false};
    H5Eauto_is_v2(H5E_DEFAULT, &is_v2);
#ifndef H5_NO_DEPRECATED_SYMBOLS
    if (!is_v2) {
        /* The host set its handler by the calls of HDF5 1.6. A function pointer survives a
         * conversion to another type and back. */
        H5E_auto1_t function = NULL;
        H5Eget_auto1(&function, &quiet->data);
        quiet->function = (H5E_auto2_t)(void (*)(void))function;
        quiet->is_v1 = true;
        H5Eset_auto1(NULL, NULL);
        return;
    }
#endif
    H5Eget_auto2(H5E_DEFAULT, &quiet->function, &quiet->data);
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
}

void nauha__h5_quiet_end(const struct nauha__h5_quiet *quiet) {
#ifndef H5_NO_DEPRECATED_SYMBOLS
    if (quiet->is_v1) {
        H5Eset_auto1((H5E_auto1_t)(void (*)(void))quiet->function, quiet->data);
        return;
    }
#endif
    H5Eset_auto2(H5E_DEFAULT, quiet->function, quiet->data);
}

struct reason {
    char text[256];
};

/* Upward, the walk begins at the innermost record. */
static herr_t take_innermost(unsigned n, const H5E_error2_t *record, void *context) {
    struct reason *reason = context;
    if (n == 0 && record->desc)
        snprintf(reason->text, sizeof reason->text, "%s", record->desc);
    return 0;
}

/* HDF5's file drivers describe a failed system call as "WHAT: name = '...', errno = 2, error
 * message = '...', flags = ...". Leaves WHAT and returns errno; 0 where there is none. */
static int take_errno(char *text) {
    static const char key[] = "errno = ";
    const char *at = strstr(text, key);
    if (!at)
        return 0;
    long number = strtol(at + sizeof key - 1, NULL, 10);
    text[strcspn(text, ":,")] = '\0';
    return number > 0 && number < 4096 ? (int)number : 0;
}

enum nauha_status nauha__h5_error(struct nauha_error *err, enum nauha_status code,
                                  const char *format, ...) {
    if (!err) {
        H5Eclear2(H5E_DEFAULT);
        return code;
    }
    struct reason reason = {""};
    H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, take_innermost, &reason);
    H5Eclear2(H5E_DEFAULT);
    char phrase[sizeof err->message];
    va_list args;
    va_start(args, format);
    vsnprintf(phrase, sizeof phrase, format, args);
    va_end(args);

    int number = take_errno(reason.text);
    if (!reason.text[0])
        nauha_error_set(err, code, "%s", phrase);
    else if (number != 0)
        nauha_error_set_errno(err, number, "%s: %s", phrase, reason.text);
    else
        nauha_error_set(err, code, "%s: %s", phrase, reason.text);
    err->code = code;
    return code;
}

enum nauha_status nauha__h5_refresh(hid_t file, const char *path, hid_t *dataset,
                                    struct nauha_error *err) {
    if (*dataset >= 0 && H5Drefresh(*dataset) >= 0)
        return NAUHA_OK;
    /* A refresh that failed may have closed the dataset. */
    if (H5Iis_valid(*dataset) > 0)
        H5Dclose(*dataset);
    *dataset = H5Dopen2(file, path, H5P_DEFAULT);
    if (*dataset >= 0)
        return NAUHA_OK;
    *dataset = H5I_INVALID_HID;
    return nauha__h5_error(err, NAUHA_FORMAT, "cannot open \"%s\" again", path);
}

/* A type of its own for every field, released with H5Tclose. */
static hid_t field_type(const struct nauha__field *field) {
    switch (field->type) {
    case NAUHA__FIELD_U8:
        return H5Tcopy(H5T_STD_U8LE);
    case NAUHA__FIELD_U16:
        return H5Tcopy(H5T_STD_U16LE);
    case NAUHA__FIELD_U32:
        return H5Tcopy(H5T_STD_U32LE);
    case NAUHA__FIELD_U64:
        return H5Tcopy(H5T_STD_U64LE);
    case NAUHA__FIELD_DIMS: {
        hsize_t length = field->length;
        return H5Tarray_create2(H5T_STD_I64LE, 1, &length);
    }
    case NAUHA__FIELD_TEXT: {
        hid_t type = H5Tcopy(H5T_C_S1);
        if (type >= 0 &&
            (H5Tset_size(type, field->length) < 0 || H5Tset_strpad(type, H5T_STR_NULLPAD) < 0 ||
             H5Tset_cset(type, H5T_CSET_UTF8) < 0)) {
            H5Tclose(type);
            type = H5I_INVALID_HID;
        }
        return type;
    }
    }
    return H5I_INVALID_HID;
}

hid_t nauha__h5_row_type(const struct nauha__table *table) {
    hid_t row = H5Tcreate(H5T_COMPOUND, table->row_size);
    for (size_t i = 0; row >= 0 && i < table->field_count; i++) {
        const struct nauha__field *field = &table->fields[i];
        hid_t type = field_type(field);
        bool failed = type < 0 || H5Tinsert(row, field->name, field->offset, type) < 0;
        if (type >= 0)
            H5Tclose(type);
        if (failed) {
            H5Tclose(row);
            row = H5I_INVALID_HID;
        }
    }
    return row;
}

static bool field_fits(hid_t stored, unsigned number, const struct nauha__field *field) {
    char *name = H5Tget_member_name(stored, number);
    hid_t type = H5Tget_member_type(stored, number);
    hid_t wanted = field_type(field);
    const bool fits = name && (strcmp(name, field->name) == 0 || strcmp(name, "reserved") == 0) &&
                      H5Tget_member_offset(stored, number) == field->offset && type >= 0 &&
                      wanted >= 0 && H5Tequal(type, wanted) > 0;
    if (wanted >= 0)
        H5Tclose(wanted);
    if (type >= 0)
        H5Tclose(type);
    H5free_memory(name);
    return fits;
}

bool nauha__h5_row_type_fits(hid_t stored, const struct nauha__table *table) {
    if (H5Tget_class(stored) != H5T_COMPOUND || H5Tget_size(stored) != table->row_size ||
        H5Tget_nmembers(stored) != (int)table->field_count)
        return false;
    for (unsigned i = 0; i < table->field_count; i++) {
        if (!field_fits(stored, i, &table->fields[i]))
            return false;
    }
    return true;
}
