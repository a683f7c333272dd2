/* SPDX-License-Identifier: MIT */
/* The pieces that all scripts share: quoting, legends, the head, the axes, the outputs. */
#include "replay/plot/pieces.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

/* If there are more boundaries than this, only those of round numbers are drawn. */
#define EPOCHS_MAX 12u

const char *const nauha__colours[NAUHA__COLOURS] = {"#0072B2", "#D55E00", "#009E73", "#CC79A7",
                                                    "#E69F00", "#56B4E9", "#000000"};

static const char *const key_arguments[NAUHA__KEY_COLUMNS] = {"module", "slot", "call",
                                                              "tag",    "rank", "run"};

void nauha__gnuplot_quote(FILE *out, const char *text) {
    putc('\'', out);
    for (; *text; text++) {
        if (*text == '\'')
            putc('\'', out);
        putc((unsigned char)*text < 0x20 || *text == 0x7f ? '?' : *text, out);
    }
    putc('\'', out);
}

void nauha__gnuplot_palette(FILE *out) {
    fputs("set palette defined (0 '#ffffd9', 1 '#edf8b1', 2 '#c7e9b4', 3 '#7fcdbb', 4 '#41b6c4', "
          "5 '#1d91c0', 6 '#225ea8', 7 '#253494', 8 '#081d58')\n",
          out);
}

size_t nauha__gnuplot_drawable(const struct nauha__series_summary *summary) {
    size_t count = 0;
    for (size_t i = 0; i < summary->line_count; i++)
        count += !summary->lines[i].unreadable;
    return count;
}

void nauha__gnuplot_legend(const struct nauha__series_summary *summary,
                           const struct nauha__line *line, char *text, size_t size) {
    const char *module = line->text[NAUHA__KEY_MODULE];
    size_t length = 0;
    text[0] = 0;
    if (module[0] || summary->varies[NAUHA__KEY_MODULE])
        length = (size_t)snprintf(text, size, "%s", module[0] ? module : "(root)");
    static const char *const formats[NAUHA__KEY_COLUMNS] = {
        [NAUHA__KEY_SLOT] = "%s%s",  [NAUHA__KEY_CALL] = "%scall %s",
        [NAUHA__KEY_TAG] = "%s(%s)", [NAUHA__KEY_RANK] = "%srank %s",
        [NAUHA__KEY_RUN] = "%s%s",
    };
    for (size_t k = NAUHA__KEY_SLOT; k < NAUHA__KEY_COLUMNS && length < size; k++) {
        if (summary->varies[k] && line->text[k][0])
            length += (size_t)snprintf(text + length, size - length, formats[k], length ? " " : "",
                                       line->text[k]);
    }
}

const char *nauha__gnuplot_noun(const struct nauha__series_summary *summary) {
    bool others = false;
    for (size_t k = 0; k < NAUHA__KEY_COLUMNS; k++)
        others = others || (summary->varies[k] && k != NAUHA__KEY_MODULE && k != NAUHA__KEY_RUN);
    if (others || summary->varies[NAUHA__KEY_MODULE] == summary->varies[NAUHA__KEY_RUN])
        return "lines";
    return summary->varies[NAUHA__KEY_RUN] ? "runs" : "modules";
}

uint64_t nauha__round_up(uint64_t n) {
    uint64_t unit = 1;
    while (unit < n && unit < UINT64_MAX / 10) {
        if (unit * 2 >= n)
            return unit * 2;
        if (unit * 5 >= n)
            return unit * 5;
        unit *= 10;
    }
    return unit;
}

uint64_t nauha__gnuplot_stride(const struct nauha__series_summary *summary) {
    return summary->stride ? summary->stride : 1;
}

uint64_t nauha__gnuplot_slice(const struct nauha__series_summary *summary, double slices) {
    const uint64_t unit = nauha__gnuplot_stride(summary);
    const double units = (double)((summary->last_step - summary->first_step) / unit) + 1;
    return unit * (uint64_t)ceil(units / slices);
}

bool nauha__gnuplot_draws_epoch(const struct nauha__series_summary *summary, size_t i,
                                uint64_t most) {
    const uint64_t every = nauha__round_up((summary->epoch_count + most - 1) / most);
    return summary->epochs[i].epoch % every == 0;
}

/* gnuplot 5 cuts a name that needs quotes in CSV, gnuplot 6 does not. */
static bool any_cut(const struct nauha__series_summary *summary, size_t key) {
    for (size_t i = 0; i < summary->line_count; i++) {
        if (strpbrk(summary->lines[i].text[key], ",\""))
            return true;
    }
    return false;
}

void nauha__gnuplot_define_is(FILE *out, const struct nauha__series_summary *summary) {
    bool first = true, cut = false;
    for (size_t k = 0; k < NAUHA__KEY_COLUMNS; k++)
        cut = cut || (summary->varies[k] && any_cut(summary, k));
    if (cut)
        fputs("# A quoted name may end at its first comma or quote when gnuplot reads it.\n"
              "same(text, name) = text eq name || (strlen(text) > 0 \\\n"
              "    && strlen(text) < strlen(name) && text eq name[1:strlen(text)])\n",
              out);
    for (size_t k = 0; k < NAUHA__KEY_COLUMNS; k++) {
        if (!summary->varies[k])
            continue;
        fprintf(out, "%s%s", first ? "is(" : ", ", key_arguments[k]);
        first = false;
    }
    if (first)
        return;
    fputs(") =", out);
    first = true;
    for (size_t k = 0; k < NAUHA__KEY_COLUMNS; k++) {
        if (!summary->varies[k])
            continue;
        fprintf(out, any_cut(summary, k) ? "%s same(strcol(%d), %s)" : "%s strcol(%d) eq %s",
                first ? "" : " &&", nauha__key_column(summary, k), key_arguments[k]);
        first = false;
    }
    putc('\n', out);
}

void nauha__gnuplot_call_is(FILE *out, const struct nauha__series_summary *summary,
                            const struct nauha__line *line, bool any_run) {
    bool first = true;
    for (size_t k = 0; k < NAUHA__KEY_COLUMNS; k++) {
        if (!summary->varies[k])
            continue;
        fputs(first ? "is(" : ", ", out);
        if (k == NAUHA__KEY_RUN && any_run)
            fprintf(out, "strcol(%d)", nauha__key_column(summary, k));
        else
            nauha__gnuplot_quote(out, line->text[k]);
        first = false;
    }
    fputs(first ? "1" : ")", out);
}

static void text_line(FILE *out, const char *variable, const char *text, const char *tail) {
    fprintf(out, "%-10s = ", variable);
    nauha__gnuplot_quote(out, text ? text : "");
    fprintf(out, "%s\n", tail);
}

static void epochs_lines(FILE *out, const struct nauha__series_summary *summary) {
    const char *before = "";
    fputs("epochs     = '", out);
    for (size_t i = 0; i < summary->epoch_count; i++) {
        if (!nauha__gnuplot_draws_epoch(summary, i, EPOCHS_MAX))
            continue;
        fprintf(out, "%s%" PRIu64, before, summary->epochs[i].step);
        before = " ";
    }
    before = "";
    fputs("' # steps at which a new epoch starts, drawn as dashed lines\nepoch_tics = \"", out);
    for (size_t i = 0; i < summary->epoch_count; i++) {
        if (!nauha__gnuplot_draws_epoch(summary, i, EPOCHS_MAX))
            continue;
        fprintf(out, "%s'%s%" PRIu64 "' %" PRIu64, before, *before ? "" : "epoch ",
                summary->epochs[i].epoch, summary->epochs[i].step);
        before = ", ";
    }
    fputs("\" # and what is written above them\n", out);
}

void nauha__gnuplot_head(FILE *out, const struct nauha__gnuplot_frame *frame) {
    const struct nauha_plot *plot = &frame->picture->plot;
    /* The name is written only within quotes, because in a comment it could become a command. */
    fputs("# Draws the CSV of the same name. Written by nauha, made to be edited and run here:\n"
          "#   gnuplot THIS_FILE                      writes the .svg and the .png\n"
          "#   gnuplot -e \"term='dumb'\" THIS_FILE     draws in the terminal; also svg, png, pdf, "
          "qt, x11\n\n"
          "# ---- what you may want to change ----\n",
          out);
    text_line(out, "output", frame->name, "");
    fputs("csv        = output.'.csv'\n", out);
    text_line(out, "main_title", plot->title ? plot->title : frame->name, "");
    text_line(out, "x_label", plot->xlabel ? plot->xlabel : "step", "");
    text_line(out, "y_label", plot->ylabel, "");
    fprintf(out, "width      = %u\nheight     = %u\n", frame->width, frame->height);
    epochs_lines(out, frame->summary);
}

void nauha__gnuplot_columns(FILE *out, const struct nauha__series_summary *summary) {
    fputs(
        "\n# ---- reading the CSV: 1 global_step, 2 train_step, 3 epoch, 4 rank, 5 tag, 6 module, "
        "7 slot, 8 call, ",
        out);
    fputs(summary->histogram ? "9 bin_low, 10 bin_high, 11 count" : "9 value", out);
    if (summary->runs)
        fprintf(out, ", %d run", nauha__key_column(summary, NAUHA__KEY_RUN));
    fputs(" ----\nset datafile separator comma\nset datafile missing NaN\n", out);
    nauha__gnuplot_define_is(out, summary);
    if (summary->not_finite)
        nauha__gnuplot_define_marks(out);
}

void nauha__gnuplot_define_marks(FILE *out) {
    fputs("huge(s)    = strstrt(s, 'e+30') > 0 && strlen(s) - strstrt(s, 'e+30') == 4\n"
          "gone(s)    = s eq 'nan' || s eq 'inf' || s eq '-inf' || huge(s)\n"
          "edge(s)    = s eq 'inf' ? 0.98 : 0.02 # where a cross stands for such a value\n"
          "set y2range [0:1]\n",
          out);
}

void nauha__gnuplot_note(FILE *out, const char *text) {
    if (!text[0])
        return;
    fputs("set label 9 ", out);
    nauha__gnuplot_quote(out, text);
    fputs(" at screen 0.995, screen 0.012 right font ',8' tc rgb '#806000'\n", out);
}

/* The y axis as it was asked for, so that the script can be made again from the CSV and this
 * line. */
static void asked_line(FILE *out, const struct nauha__picture *picture) {
    const struct nauha_plot *plot = &picture->plot;
    fputs("# asked for: ylims=", out);
    if (!isnan(plot->y_low))
        fprintf(out, "%.17g", plot->y_low);
    putc(':', out);
    if (!isnan(plot->y_high))
        fprintf(out, "%.17g", plot->y_high);
    fprintf(out, " log=%d scale=%s style=%s\n", plot->log_y, nauha__scale_name(picture->scale),
            nauha__style_name(picture->style));
}

static void write_range(char *text, size_t size, const struct nauha__gnuplot_frame *frame) {
    const uint64_t first = frame->summary->first_step, last = frame->summary->last_step;
    if (frame->slice)
        snprintf(text, size, "[%" PRIu64 ":%" PRIu64 "+every]", first,
                 first + (last - first) / frame->slice * frame->slice);
    else if (first == last)
        snprintf(text, size, "[%" PRIu64 "-0.5:%" PRIu64 "+0.5]", first, first);
    else /* from 0 if that takes at most half the width: pictures of a run then line up */
        snprintf(text, size, "[%" PRIu64 ":%" PRIu64 "]", first <= last - first ? 0 : first, last);
}

void nauha__gnuplot_axes(FILE *out, const struct nauha__gnuplot_frame *frame) {
    const struct nauha__series_summary *summary = frame->summary;
    fputs("\n# ---- axes ----\n"
          "set encoding utf8\n"
          "set xlabel x_label\n"
          "set grid lc rgb '#e4e4e4' lt 1 lw 0.5\n"
          "set border lc rgb '#606060'\n"
          "set tics nomirror\n",
          out);
    asked_line(out, frame->picture);
    if (summary->first_step == summary->last_step)
        fprintf(out, "set xtics (%" PRIu64 ")\n", summary->first_step);
    char range[96];
    write_range(range, sizeof range, frame);
    fprintf(out, "set xrange %s\n", range);
    fprintf(out,
            "do for [step in epochs] {\n"
            "    set arrow from real(step), graph 0 to real(step), graph 1 nohead %s "
            "dt (6,4) lw 1 lc rgb '#a0a0a0'\n"
            "}\n",
            frame->slice ? "front" : "back");
    if (frame->rows * frame->columns == 1 && summary->epoch_count > 0)
        fprintf(out,
                "set x2range %s\n"
                "if (words(epochs) > 0) {\n"
                "    eval 'set x2tics ('.epoch_tics.') scale 0 offset 0,-0.4 font \",8\" "
                "tc rgb \"#808080\"'\n"
                "}\n",
                range);
}

void nauha__gnuplot_begin_picture(FILE *out) {
    fputs("\n# ---- the picture, once per output ----\n"
          "png = strstrt(GPVAL_TERMINALS, 'pngcairo') > 0 ? 'pngcairo' : 'png'\n"
          "if (!exists('beside')) { beside = '' }\n"
          "if (!exists('dumb_columns')) { dumb_columns = 80 }\n"
          "if (!exists('dumb_lines')) { dumb_lines = 24 }\n"
          "do for [target in (exists('term') ? term : 'svg png')] {\n"
          "    if (target eq 'svg') {\n"
          "        set terminal svg size width,height dynamic noenhanced background rgb 'white' "
          "font 'DejaVu Sans,Arial,sans-serif,12'\n"
          "        set output output.'.svg'.beside\n"
          "    } else { if (target eq 'png') {\n"
          "        eval 'set terminal '.png.' size width,height noenhanced font \"DejaVu "
          "Sans,10\"'\n"
          "        set output output.'.png'.beside\n"
          "    } else { if (target eq 'pdf') {\n"
          "        set terminal pdfcairo size width/96.0,height/96.0 noenhanced "
          "font 'DejaVu Sans,9'\n"
          "        set output output.'.pdf'.beside\n"
          "    } else { if (target eq 'dumb') {\n"
          "        set terminal dumb size dumb_columns,dumb_lines noenhanced\n"
          "        unset grid; unset arrow\n"
          "        set key below horizontal noreverse samplen 2\n"
          "        set output\n"
          "    } else {\n"
          "        eval 'set terminal '.target.' size width,height noenhanced persist'\n"
          "        set output\n"
          "    } } } }\n",
          out);
}

void nauha__gnuplot_end_picture(FILE *out) {
    fputs("    unset output\n}\n", out);
}
