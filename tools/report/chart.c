/* SPDX-License-Identifier: MIT */
/* Line charts; see chart.h.
 *
 * Threads: the main thread.
 */
#include "tools/report/chart.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "tools/report/axes.h"
#include "tools/report/html.h"

#define WIDTH 520.0
#define HEIGHT 290.0
/* If there are more epochs than this, their boundaries would hide the lines. */
#define EPOCHS_DRAWN 30u
/* The spread is drawn for at most so many lines. */
#define BANDS 3u

/* ---- names ---- */

/* Whether a part of the key differs between lines. */
static bool varies(const struct topic *topic, size_t offset) {
    for (size_t i = 1; i < topic->count; i++)
        if (memcmp((const char *)&topic->lines[i].key + offset,
                   (const char *)&topic->lines[0].key + offset, sizeof(uint32_t)) != 0)
            return true;
    return false;
}

void chart_line_name(FILE *out, const struct chart *chart, const struct line *line) {
    const struct topic *topic = chart->topic;
    const struct line_key *key = &line->key;
    const char *separator = "";
    if (topic->scope == NAUHA_SCOPE_MODULE) {
        const char *module = nauha_names_module(chart->names, key->module);
        html_text(out, *module ? module : "(root)");
        separator = " ";
    }
    const char *slot = nauha_names_slot(chart->names, key->slot);
    if (*slot && varies(topic, offsetof(struct line_key, slot))) {
        html_format(out, "%s%s", separator, slot);
        separator = " ";
    }
    if (key->tag != 0 ||
        (topic->scope == NAUHA_SCOPE_NETWORK && varies(topic, offsetof(struct line_key, tag)))) {
        html_format(out, "%s%s", separator,
                    key->tag ? nauha_names_tag(chart->names, key->tag) : "training");
        separator = " ";
    }
    if (varies(topic, offsetof(struct line_key, call)) && key->tag == 0 &&
        topic->scope == NAUHA_SCOPE_NETWORK) {
        html_format(out, "%scall %" PRIu32 "%s", separator, key->call,
                    key->call == COLLECTION_CALLS ? " and later" : "");
        separator = " ";
    }
    if (varies(topic, offsetof(struct line_key, rank))) {
        html_format(out, "%srank %" PRIu32, separator, key->rank);
        separator = " ";
    }
    if (!*separator)
        html_text(out, topic->title);
}

/* The class and style that give line `i` its colour. */
static void write_colour(FILE *out, size_t i, size_t count) {
    if (count <= CHART_COLOURS)
        fprintf(out, " style=\"--c:var(--c%zu)\"", i);
    else
        fprintf(out, " class=deep style=\"--t:%.3f\"", (double)i / (double)(count - 1));
}

static void write_module(FILE *out, const struct line *line, size_t i) {
    fprintf(out, " data-i=%zu", i);
    if (line->key.module != NAUHA_NONE)
        fprintf(out, " data-m=%" PRIu32, line->key.module);
}

/* ---- what is drawn ---- */

struct range {
    double low, high, low_positive;
    uint64_t values, odd;
};

static struct range range_of(const struct topic *topic) {
    struct range range = {(double)INFINITY, -(double)INFINITY, (double)INFINITY, 0, 0};
    for (size_t i = 0; i < topic->count; i++) {
        const struct curve *curve = &topic->lines[i].curve;
        range.odd += curve->odd;
        range.values += curve->count;
        if (curve->count == 0)
            continue;
        range.low = fmin(range.low, curve->low);
        range.high = fmax(range.high, curve->high);
        range.low_positive = fmin(range.low_positive, curve->low_positive);
    }
    return range;
}

static struct scale y_scale(const struct topic *topic, const struct range *range, double from,
                            double to) {
    const bool all_positive = range->low >= 0;
    const bool log = all_positive && isfinite(range->low_positive) &&
                     (topic->log || scale_spans_decades(range->low_positive, range->high));
    struct scale scale =
        scale_of(log ? range->low_positive : range->low, range->high, log, from, to);
    /* The axis that a metric asks for is used if no value is lost by it. */
    if (!scale.log && topic->y_low <= range->low)
        scale.low = topic->y_low;
    if (!scale.log && topic->y_high >= range->high)
        scale.high = topic->y_high;
    return scale;
}

static bool is_drawn(const struct scale *y, const struct bucket *bucket) {
    return bucket->count > 0 && (!y->log || curve_mean(bucket) > 0);
}

/* Draws the means. The line has a gap where there are only values that are not finite or, on a
 * logarithmic axis, not positive. */
static void write_line(FILE *out, const struct curve *curve, const struct scale *x,
                       const struct scale *y) {
    bool pen = false, dot = false;
    for (size_t i = 0; i < curve->used; i++) {
        const struct bucket *bucket = &curve->buckets[i];
        if (bucket->count + bucket->odd == 0)
            continue;
        if (!is_drawn(y, bucket)) {
            fputs(dot ? "h0" : "", out);
            pen = dot = false;
            continue;
        }
        fprintf(out, "%c%.1f %.1f", pen ? 'L' : 'M', scale_place(x, curve_step(curve, i)),
                scale_place(y, curve_mean(bucket)));
        dot = !pen; /* a single point is drawn as a dot */
        pen = true;
    }
    fputs(dot ? "h0" : "", out);
}

/* Draws the range from the lowest to the highest value of each bucket. */
static void write_band(FILE *out, const struct curve *curve, const struct scale *x,
                       const struct scale *y) {
    bool pen = false;
    for (size_t i = 0; i < curve->used; i++) {
        const struct bucket *bucket = &curve->buckets[i];
        if (!is_drawn(y, bucket))
            continue;
        fprintf(out, "%c%.1f %.1f", pen ? 'L' : 'M', scale_place(x, curve_step(curve, i)),
                scale_place(y, bucket->high));
        pen = true;
    }
    for (size_t i = curve->used; i-- > 0;) {
        const struct bucket *bucket = &curve->buckets[i];
        if (is_drawn(y, bucket))
            fprintf(out, "L%.1f %.1f", scale_place(x, curve_step(curve, i)),
                    scale_place(y, y->log ? fmax(bucket->low, y->low) : bucket->low));
    }
    fputs("z", out);
}

static void write_epochs(FILE *out, const struct survey *survey, const struct scale *x,
                         const struct scale *y) {
    if (survey->epoch_count > EPOCHS_DRAWN)
        return;
    for (size_t i = 0; i < survey->epoch_count; i++)
        fprintf(out,
                "<path class=epoch d=\"M%.1f %.1fV%.1f\"><title>epoch %zu begins, step %" PRIu64
                "</title></path>",
                scale_place(x, (double)survey->epochs[i] - 0.5), y->from, y->to, i + 1,
                survey->epochs[i]);
}

static void write_curves(FILE *out, const struct chart *chart, const struct scale *x,
                         const struct scale *y) {
    const struct topic *topic = chart->topic;
    for (size_t i = 0; i < topic->count && topic->count <= BANDS; i++) {
        if (topic->lines[i].curve.width < 2)
            continue;
        fputs("<path", out);
        fprintf(out, " class=band style=\"--c:var(--c%zu)\" d=\"", i);
        write_band(out, &topic->lines[i].curve, x, y);
        fputs("\"/>\n", out);
    }
    for (size_t i = 0; i < topic->count; i++) {
        fputs("<g", out);
        write_colour(out, i, topic->count);
        fputs("><path class=line", out);
        write_module(out, &topic->lines[i], i);
        fputs(" d=\"", out);
        write_line(out, &topic->lines[i].curve, x, y);
        fputs("\"><title>", out);
        chart_line_name(out, chart, &topic->lines[i]);
        fputs("</title></path></g>\n", out);
    }
}

static void write_legend(FILE *out, const struct chart *chart) {
    const struct topic *topic = chart->topic;
    if (topic->count < 2 && topic->scope == NAUHA_SCOPE_NETWORK)
        return;
    fputs("<div class=legend>", out);
    for (size_t i = 0; i < topic->count; i++) {
        fputs("<button type=button", out);
        write_module(out, &topic->lines[i], i);
        fputs("><i", out);
        write_colour(out, i, topic->count);
        fputs("></i>", out);
        chart_line_name(out, chart, &topic->lines[i]);
        fputs("</button>", out);
    }
    fputs("</div>\n", out);
}

/* Lists what the picture does not show. */
static void write_notes(FILE *out, const struct topic *topic, const struct range *range,
                        const struct scale *y) {
    uint64_t width = 1, first = UINT64_MAX;
    bool zeros = false;
    for (size_t i = 0; i < topic->count; i++) {
        const struct curve *curve = &topic->lines[i].curve;
        width = curve->width > width ? curve->width : width;
        zeros = zeros || (y->log && curve->count > 0 && !(curve->low > 0));
        if (curve->odd > 0 && curve->first_odd < first)
            first = curve->first_odd;
    }
    fputs("<figcaption>", out);
    if (width > 1)
        fprintf(out, "Each point is the mean of %" PRIu64 " steps%s. ", width,
                topic->count <= BANDS ? "; shaded: lowest to highest" : "");
    if (zeros)
        fputs("Zeros have no place on a log axis. ", out);
    if (range->odd > 0)
        fprintf(out,
                "<b class=bad>%" PRIu64 " value%s not finite</b>, the first at step %" PRIu64
                ", and not drawn. ",
                range->odd, range->odd == 1 ? " is" : "s are", first);
    fputs("</figcaption>", out);
}

bool chart_lines(FILE *out, const struct chart *chart) {
    const struct topic *topic = chart->topic;
    const struct survey *survey = chart->survey;
    const struct range range = range_of(topic);
    if (topic->form != NAUHA_FORM_SCALAR || range.values + range.odd == 0)
        return false;
    const struct scale y = y_scale(topic, &range, HEIGHT - 42, 26);
    struct scale x =
        scale_of((double)survey->first_step, (double)survey->last_step, false, 62, WIDTH - 12);
    x.low = fmax(x.low, (double)survey->first_step - 0.5);
    fprintf(out, "<figure class=card id=\"c-");
    html_text(out, topic->series);
    fputs("\"><h3>", out);
    html_text(out, topic->title);
    fprintf(out,
            "</h3>\n<svg class=chart viewBox=\"0 0 %.0f %.0f\" role=img data-x0=%.17g data-x1=%.17g"
            " data-y0=%.17g data-y1=%.17g data-log=%d data-box=\"%.0f %.0f %.0f %.0f\""
            " aria-label=\"",
            WIDTH, HEIGHT, x.low, x.high, y.low, y.high, y.log, x.from, x.to, y.from, y.to);
    html_format(out, "%s over steps", topic->title);
    fputs("\">\n", out);
    char id[32];
    snprintf(id, sizeof id, "k%" PRIu32, topic->kind);
    axes_write(out, id, &x, &y, "step", topic->ylabel, false);
    fprintf(out, "<g clip-path=\"url(#%s-clip)\">", id);
    write_epochs(out, survey, &x, &y);
    write_curves(out, chart, &x, &y);
    fputs("</g></svg>\n", out);
    write_legend(out, chart);
    write_notes(out, topic, &range, &y);
    fputs("</figure>\n", out);
    return true;
}

void chart_spark(FILE *out, const struct curve *curve) {
    if (curve->count < 2 || curve->first_step == curve->last_step)
        return;
    const bool log = curve->low >= 0 && scale_spans_decades(curve->low_positive, curve->high);
    const struct scale y =
        scale_of(log ? curve->low_positive : curve->low, curve->high, log, 19, 1);
    const struct scale x = {(double)curve->first_step, (double)curve->last_step, false, 1, 79};
    fputs("<svg class=spark viewBox=\"0 0 80 20\" aria-hidden=true><path class=line d=\"", out);
    write_line(out, curve, &x, &y);
    fputs("\"/></svg>", out);
}
