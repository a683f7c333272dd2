/* SPDX-License-Identifier: MIT */
/* The pieces that all scripts share: quoting, legends, the head, the axes, the outputs.
 *
 * Threads: any thread.
 */
#ifndef NAUHA_REPLAY_PLOT_PIECES_H
#define NAUHA_REPLAY_PLOT_PIECES_H

#include "replay/plot/axis.h"
#include "replay/plot/script.h"

/* Okabe and Ito's colours (2008), without the yellow that a white ground swallows. */
#define NAUHA__COLOURS 7u
extern const char *const nauha__colours[NAUHA__COLOURS];

struct nauha__gnuplot_frame {
    const char *name;
    const struct nauha__picture *picture;
    const struct nauha__series_summary *summary;
    unsigned rows, columns; /* of panels, 1 and 1: none */
    unsigned width, height;
    uint64_t slice; /* heat maps: steps from one slice drawn to the next, `every` in the script */
};

/* 'text' as gnuplot quotes it; control characters become '?'. */
void nauha__gnuplot_quote(FILE *out, const char *text);
/* The legend of a line: what tells it from the others. "" where there is nothing to tell. */
void nauha__gnuplot_legend(const struct nauha__series_summary *summary,
                           const struct nauha__line *line, char *text, size_t size);
/* What the lines are, in the plural: "modules", "runs", or "lines". */
const char *nauha__gnuplot_noun(const struct nauha__series_summary *summary);
/* The next of 1, 2, 5, 10, 20, ... */
uint64_t nauha__round_up(uint64_t n);
/* Steps from one message of a line to the next. */
uint64_t nauha__gnuplot_stride(const struct nauha__series_summary *summary);
/* Steps to a slice where a picture has room for so many slices. */
uint64_t nauha__gnuplot_slice(const struct nauha__series_summary *summary, double slices);
/* Whether the start of epoch number i of the summary is drawn, where `most` is as many as can be:
 * all are, or those of round numbers. */
bool nauha__gnuplot_draws_epoch(const struct nauha__series_summary *summary, size_t i,
                                uint64_t most);

/* is(...) of the key columns that vary, as a definition and as a call; nothing where none does.
 * With any_run the call is true for all runs. */
void nauha__gnuplot_define_is(FILE *out, const struct nauha__series_summary *summary);
void nauha__gnuplot_call_is(FILE *out, const struct nauha__series_summary *summary,
                            const struct nauha__line *line, bool any_run);

/* The variables at the top. */
void nauha__gnuplot_head(FILE *out, const struct nauha__gnuplot_frame *frame);
/* What the columns are, how the CSV is read, gone() of values that are nan, infinite or huge. */
void nauha__gnuplot_columns(FILE *out, const struct nauha__series_summary *summary);
/* gone() and edge(): whether a cross stands for a value, and where on the second y axis. */
void nauha__gnuplot_define_marks(FILE *out);
/* The x axis, epochs and colours of axes. */
void nauha__gnuplot_axes(FILE *out, const struct nauha__gnuplot_frame *frame);
/* A note at the lower right, label 9. "" is none. */
void nauha__gnuplot_note(FILE *out, const char *text);
/* The loop over outputs, around the picture itself. */
void nauha__gnuplot_begin_picture(FILE *out);
void nauha__gnuplot_end_picture(FILE *out);
/* `set palette`: light for little, dark for much. */
void nauha__gnuplot_palette(FILE *out);

/* ---- scripts of scalars and of histograms; called by nauha__gnuplot_script ---- */

void nauha__gnuplot_scalars(FILE *out, const char *name, const struct nauha__picture *picture,
                            const struct nauha__series_summary *summary);
void nauha__gnuplot_histograms(FILE *out, const char *name, const struct nauha__picture *picture,
                               const struct nauha__series_summary *summary);
/* Many scalar lines as the rows of a heat map. */
void nauha__gnuplot_matrix(FILE *out, const char *name, const struct nauha__picture *picture,
                           const struct nauha__series_summary *summary);

#endif
