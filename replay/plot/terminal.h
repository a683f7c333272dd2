/* SPDX-License-Identifier: MIT */
/* The terminals that pictures are drawn to.
 *
 * Threads: any thread.
 */
#ifndef NAUHA_REPLAY_PLOT_TERMINAL_H
#define NAUHA_REPLAY_PLOT_TERMINAL_H

#include "nauha/status.h"

/* INVALID: there is no such terminal, naming those there are. UNAVAILABLE: this machine's gnuplot
 * lacks it, saying what to install; or there is no gnuplot. */
enum nauha_status nauha__terminal_check(const char *term, struct nauha_error *err);

#endif
