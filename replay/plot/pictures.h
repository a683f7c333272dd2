/* SPDX-License-Identifier: MIT */
/* The pictures that gnuplot draws from a script. gnuplot reports success even if the disk is full,
 * so pictures are drawn under temporary names and are renamed once they are complete.
 *
 * Threads: one at a time per directory.
 */
#ifndef NAUHA_REPLAY_PLOT_PICTURES_H
#define NAUHA_REPLAY_PLOT_PICTURES_H

#include "nauha/status.h"

/* While gnuplot's variable of this name is set, scripts append this suffix to the names of
 * pictures. */
#define NAUHA__BESIDE "beside"
#define NAUHA__BESIDE_SUFFIX ".partial"

/* Prepares drawing the pictures of DIRECTORY/STEM.gp: removes files at their temporary names. term
 * NULL: svg and png. INVALID: something that is not a regular file is at a temporary or final name.
 */
enum nauha_status nauha__pictures_clear(const char *directory, const char *stem, const char *term,
                                        struct nauha_error *err);

/* Renames the pictures that were drawn to their final names. IO: one is incomplete, and is removed.
 */
enum nauha_status nauha__pictures_place(const char *directory, const char *stem, const char *term,
                                        struct nauha_error *err);

#endif
