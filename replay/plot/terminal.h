/* SPDX-License-Identifier: MIT */
/* The gnuplot terminals that draw pictures.
 *
 * Threads: any thread.
 */
#ifndef NAUHA_REPLAY_PLOT_TERMINAL_H
#define NAUHA_REPLAY_PLOT_TERMINAL_H

#include "nauha/status.h"

/* Checks that a terminal can be used. INVALID: nauha knows no such terminal; the error lists those
 * it knows. UNAVAILABLE: the installed gnuplot lacks it, and the error says what to install; or
 * there is no gnuplot. */
enum nauha_status nauha__terminal_check(const char *term, struct nauha_error *err);

#endif
