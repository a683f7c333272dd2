/* SPDX-License-Identifier: MIT */
/* Runs: the parameters' values of successive steps, side by side in the same chunks, so that each
 * can be told from those before it (see recorder/core/codec/temporal.h).
 *
 * All parameters of a kind and item size that a step stores make a row. A row fills one slice of
 * each block of the run, the next step's row the next slice; with the last slice, or at a flush,
 * the run is over. How many slices a chunk has follows from how large a row is: as many as fit into
 * a quarter of the buffer, at most 16. Rows that do not fit twice are stored as other messages are.
 *
 * Threads: the recorder's publish lock.
 */
#ifndef NAUHA_RECORDER_SLICED_H
#define NAUHA_RECORDER_SLICED_H

#include "recorder/buffer.h"

/* Of the sliced stream of this number among them; item size 0: there is none. */
struct nauha__stream_shape nauha__sliced_stream_shape(uint16_t number);

/* What follows belongs to another step than what came before; all its parameters are so large. */
void nauha__sliced_next_row(struct nauha__buffer *buffer, size_t row_bytes);

/* As nauha__buffer_put, for the value of a parameter. */
enum nauha_status nauha__sliced_put(struct nauha__buffer *buffer, bool bias,
                                    const struct nauha_tensor *tensor, size_t bytes, bool wait,
                                    struct nauha__place *place);

/* Hands all open runs to the workers. */
void nauha__sliced_seal(struct nauha__buffer *buffer);
void nauha__sliced_fini(struct nauha__buffer *buffer);

#endif
