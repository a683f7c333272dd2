/* SPDX-License-Identifier: MIT */
/* What the plugins have in common: HDF5 looks up two functions in each, and a filter replaces
 * HDF5's buffer by its result.
 *
 * Threads: any thread.
 */
#ifndef NAUHA_RECORDER_HDF5_FILTERS_PLUGIN_H
#define NAUHA_RECORDER_HDF5_FILTERS_PLUGIN_H

#include <hdf5.h>
#include <H5PLextern.h>

/* Ends the source of a plugin: exports its function `filter` to HDF5. An encoder is announced
 * although some plugins have none, because HDF5 would otherwise create no dataset with the filter.
 */
#define PLUGIN(number, title)                                                                      \
    static const H5Z_class2_t filter_class = {                                                     \
        .version = H5Z_CLASS_T_VERS,                                                               \
        .id = (number),                                                                            \
        .encoder_present = 1,                                                                      \
        .decoder_present = 1,                                                                      \
        .name = (title),                                                                           \
        .filter = filter,                                                                          \
    };                                                                                             \
    __attribute__((visibility("default"))) H5PL_type_t H5PLget_plugin_type(void);                  \
    __attribute__((visibility("default"))) const void *H5PLget_plugin_info(void);                  \
    H5PL_type_t H5PLget_plugin_type(void) {                                                        \
        return H5PL_TYPE_FILTER;                                                                   \
    }                                                                                              \
    const void *H5PLget_plugin_info(void) {                                                        \
        return &filter_class;                                                                      \
    }

/* Replaces HDF5's buffer by `result`, which holds `size` bytes of data in `room` bytes of memory
 * and is consumed. Returns size; 0, which HDF5 takes as a failure, if result is NULL. */
static inline size_t plugin_replace(void *result, size_t size, size_t room, size_t *buffer_size,
                                    void **buffer) {
    if (!result)
        return 0;
    H5free_memory(*buffer);
    *buffer = result;
    *buffer_size = room;
    return size;
}

#endif
