/* SPDX-License-Identifier: MIT */
/* Runs: blocks in which the values of the parameters at successive steps lie side by side, so that
 * each value can be predicted from earlier ones (see recorder/core/codec/temporal.h).
 *
 * All parameters of one kind and item size that a step stores form a row. A row fills one slice of
 * each block of the run, the row of the next step the next slice. The run ends with its last slice,
 * or at a flush. The number of slices in a chunk depends on the size of a row: as many as fit into
 * a quarter of the buffer, at most 16. Where not even two rows fit, parameters are stored as other
 * messages are.
 *
 * Threads: the recorder's publish lock.
 */
#ifndef NAUHA_RECORDER_SLICED_H
#define NAUHA_RECORDER_SLICED_H

#include "recorder/buffer.h"

/* The shape of the sliced stream of this number, counted from the first sliced stream; item size 0:
 * there is none. */
struct nauha__stream_shape nauha__sliced_stream_shape(uint16_t number);

/* The next values belong to another step than those before. row_bytes: the size of all parameters
 * together. */
void nauha__sliced_next_row(struct nauha__buffer *buffer, size_t row_bytes);

/* As nauha__buffer_put, for the value of a parameter. */
enum nauha_status nauha__sliced_put(struct nauha__buffer *buffer, bool bias,
                                    const struct nauha_tensor *tensor, size_t bytes, bool wait,
                                    struct nauha__place *place);

/* Hands all open runs to the workers. */
void nauha__sliced_seal(struct nauha__buffer *buffer);
void nauha__sliced_fini(struct nauha__buffer *buffer);

#endif
