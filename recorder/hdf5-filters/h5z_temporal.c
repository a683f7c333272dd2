/* SPDX-License-Identifier: MIT */
/* The filter of sliced chunks (recorder/core/codec/temporal.h) as an HDF5 plugin, with which
 * h5dump, h5py and other programs that use HDF5 read them. It only decodes: HDF5 skips it when a
 * program writes. Client data: item size, bytes of a chunk, slices of a chunk.
 *
 * Threads: any thread; each call has memory of its own.
 */
#include "nauha/internal/codec.h"
#include "recorder/core/codec/temporal.h"
#include "recorder/hdf5-filters/plugin.h"

/* Decodes the image of a chunk. NULL: it is damaged, or out of memory. */
static void *restore(struct nauha__temporal *about, size_t item_size, const unsigned char *image,
                     size_t size) {
    if (size < NAUHA__TEMPORAL_TAIL)
        return NULL;
    size_t planes = size - NAUHA__TEMPORAL_TAIL;
    if (!nauha__temporal_take_tail(about, item_size, size, image + planes))
        return NULL;
    void *residuals = H5allocate_memory(planes, 0);
    void *items = residuals ? H5allocate_memory(about->slices * about->slice * item_size, 0) : NULL;
    if (items) {
        nauha__unshuffle(item_size, image, planes, residuals);
        nauha__temporal_restore(about, item_size, residuals, items);
    }
    H5free_memory(residuals);
    return items;
}

static size_t filter(unsigned flags, size_t value_count, const unsigned values[], size_t bytes,
                     size_t *buffer_size, void **buffer) {
    if (!(flags & H5Z_FLAG_REVERSE) || value_count != 3)
        return 0;
    size_t item_size = values[0], chunk = values[1], slices = values[2];
    if ((item_size != 1 && item_size != 2 && item_size != 4 && item_size != 8) || chunk == 0 ||
        slices == 0 || chunk % (slices * item_size) != 0)
        return 0;
    struct nauha__temporal about = {.slices = slices, .slice = chunk / slices / item_size};
    void *result = restore(&about, item_size, *buffer, bytes);
    return plugin_replace(result, chunk, chunk, buffer_size, buffer);
}

PLUGIN(NAUHA__FILTER_TEMPORAL, "nauha temporal")
