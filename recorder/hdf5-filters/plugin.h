/* SPDX-License-Identifier: MIT */
/* What the plugins have in common: HDF5 looks up two functions in each, and takes a chunk's result
 * in the place of what it gave. */
#ifndef NAUHA_RECORDER_HDF5_FILTERS_PLUGIN_H
#define NAUHA_RECORDER_HDF5_FILTERS_PLUGIN_H

#include <hdf5.h>
#include <H5PLextern.h>

/* Ends a plugin's source: the class of its function `filter`. Without an encoder no dataset could
 * be made with it. */
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

/* Puts `result`, of `size` bytes in so much room, in the place of the pipeline's buffer. Where it
 * is NULL, returns 0, which HDF5 takes for a failure. */
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
