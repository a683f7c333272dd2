/* SPDX-License-Identifier: MIT */
/* The pieces that all scripts share: quoting, legends, the head, the axes and the outputs.
 *
 * Threads: any thread.
 */
#ifndef NAUHA_REPLAY_PLOT_PIECES_H
#define NAUHA_REPLAY_PLOT_PIECES_H

#include "replay/plot/axis.h"
#include "replay/plot/script.h"

/* Okabe and Ito's colours (2008), without the yellow, which is hard to see on white. */
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

/* Writes 'text' with gnuplot's quotes; control characters become '?'. */
void nauha__gnuplot_quote(FILE *out, const char *text);
/* The legend of a line: the names that distinguish it from the others; "" if there are none. */
void nauha__gnuplot_legend(const struct nauha__series_summary *summary,
                           const struct nauha__line *line, char *text, size_t size);
/* What the lines are, in the plural: "modules", "runs", or "lines". */
const char *nauha__gnuplot_noun(const struct nauha__series_summary *summary);
/* The smallest of 1, 2, 5, 10, 20, 50 and so on that is at least n. */
uint64_t nauha__round_up(uint64_t n);
/* How many steps are between two messages of a line. */
uint64_t nauha__gnuplot_stride(const struct nauha__series_summary *summary);
/* How many steps are in a slice if a picture has room for this many slices. */
uint64_t nauha__gnuplot_slice(const struct nauha__series_summary *summary, double slices);
/* Whether the start of epoch number i of the summary is drawn, of which at most `most` are: all, or
 * those with round numbers. */
bool nauha__gnuplot_draws_epoch(const struct nauha__series_summary *summary, size_t i,
                                uint64_t most);

/* Write the definition, and a call, of the gnuplot function is(...), which compares the key columns
 * that vary; they write nothing if none does. With any_run the call is true for all runs. */
void nauha__gnuplot_define_is(FILE *out, const struct nauha__series_summary *summary);
void nauha__gnuplot_call_is(FILE *out, const struct nauha__series_summary *summary,
                            const struct nauha__line *line, bool any_run);

/* Writes the variables at the top of the script. */
void nauha__gnuplot_head(FILE *out, const struct nauha__gnuplot_frame *frame);
/* Writes what the columns are, how the CSV is read, and gone(), which is true of values that are
 * nan, infinite or huge. */
void nauha__gnuplot_columns(FILE *out, const struct nauha__series_summary *summary);
/* Writes gone() and edge(): whether a cross is drawn for a value, and where on the second y axis.
 */
void nauha__gnuplot_define_marks(FILE *out);
/* Writes the x axis, the epochs and the colours of the axes. */
void nauha__gnuplot_axes(FILE *out, const struct nauha__gnuplot_frame *frame);
/* Writes a note at the lower right (label 9); nothing if text is "". */
void nauha__gnuplot_note(FILE *out, const char *text);
/* Begin and end the loop over the outputs, which encloses the picture. */
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
