/* SPDX-License-Identifier: MIT */
/* The pictures that a script has gnuplot draw. gnuplot ends well also where the disk is full, so
 * they are drawn under names of their own and take their places when they are whole.
 *
 * Threads: one at a time per directory.
 */
#ifndef NAUHA_REPLAY_PLOT_PICTURES_H
#define NAUHA_REPLAY_PLOT_PICTURES_H

#include "nauha/status.h"

/* What scripts append to the names of pictures while a variable of this name is set. */
#define NAUHA__BESIDE "beside"
#define NAUHA__BESIDE_SUFFIX ".partial"

/* Makes room for the pictures of DIRECTORY/STEM.gp. term NULL: svg and png. INVALID: something is
 * in their places that is no file. */
enum nauha_status nauha__pictures_clear(const char *directory, const char *stem, const char *term,
                                        struct nauha_error *err);

/* Puts those that were drawn in place. IO: one is not whole, and is removed. */
enum nauha_status nauha__pictures_place(const char *directory, const char *stem, const char *term,
                                        struct nauha_error *err);

#endif
