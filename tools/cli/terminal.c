/* SPDX-License-Identifier: MIT */
/* Colours, sizes and durations in words, and the progress bar; see terminal.h.
 *
 * Threads: the main thread.
 */
#include "tools/cli/terminal.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "tools/cli/text.h"

/* Widths in columns. */
#define BAR 24
#define BAR_LEAST 6
#define PROSE 100
/* No bar is shown for what takes less than so many seconds. */
#define PATIENCE 0.2

/* The value of --color, for the whole program. */
static enum when { AUTO, ALWAYS, NEVER } when_coloured;

bool nauha__colour_choose(const char *when) {
    static const char *const names[] = {"auto", "always", "never"};
    for (int i = AUTO; i <= NEVER; i++) {
        if (strcmp(when, names[i]) == 0) {
            when_coloured = (enum when)i;
            return true;
        }
    }
    return false;
}

static bool is_set(const char *variable) {
    const char *value = getenv(variable);
    return value && *value;
}

/* Whether a stream is a terminal that interprets escape sequences. */
static bool is_screen(FILE *stream) {
    const char *type = getenv("TERM");
    return isatty(fileno(stream)) && !(type && strcmp(type, "dumb") == 0);
}

static bool is_coloured(FILE *stream) {
    const char *force = getenv("CLICOLOR_FORCE");
    if (when_coloured != AUTO)
        return when_coloured == ALWAYS;
    if (is_set("NO_COLOR"))
        return false;
    return (force && *force && strcmp(force, "0") != 0) || is_screen(stream);
}

const char *nauha__colour(FILE *stream, enum colour colour) {
    static const char *const sequences[] = {
        [COLOUR_PLAIN] = "\033[0m", [COLOUR_BOLD] = "\033[1m",     [COLOUR_GOOD] = "\033[32m",
        [COLOUR_BAD] = "\033[31m",  [COLOUR_WARNING] = "\033[33m", [COLOUR_DIM] = "\033[2m",
        [COLOUR_NAME] = "\033[36m"};
    return is_coloured(stream) ? sequences[colour] : "";
}

int nauha__width(FILE *stream) {
    struct winsize size;
    const char *columns = getenv("COLUMNS");
    if (!isatty(fileno(stream)))
        return 0;
    if (ioctl(fileno(stream), TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        return size.ws_col;
    const int given = columns ? atoi(columns) : 0;
    return given > 0 ? given : 80;
}

int nauha__prose_width(FILE *stream) {
    const int width = nauha__width(stream);
    return width > PROSE ? PROSE : width;
}

void nauha__heading(FILE *stream, const char *text) {
    fprintf(stream, "\n%s%s%s\n", nauha__colour(stream, COLOUR_BOLD), text,
            nauha__colour(stream, COLOUR_PLAIN));
}

double nauha__printable(double value) {
    return isnan(value) ? NAN : value;
}

void nauha__terminal_size(unsigned *columns, unsigned *lines) {
    struct winsize size;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col < 20 || size.ws_row < 9)
        return;
    *columns = size.ws_col;
    *lines = size.ws_row - 1u;
}

const char *nauha__size_text(uint64_t bytes, char text[32]) {
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
    double value = (double)bytes;
    size_t unit = 0;
    while (value >= 999.5 && unit + 1 < sizeof units / sizeof *units) {
        value /= 1000;
        unit++;
    }
    snprintf(text, 32, unit == 0 || value >= 99.95 ? "%.0f %s" : "%.1f %s", value, units[unit]);
    return text;
}

const char *nauha__count_text(uint64_t count, char text[32]) {
    char digits[24];
    int length = snprintf(digits, sizeof digits, "%" PRIu64, count);
    size_t at = 0;
    for (int i = 0; i < length; i++) {
        if (i > 0 && (length - i) % 3 == 0)
            text[at++] = ' ';
        text[at++] = digits[i];
    }
    text[at] = '\0';
    return text;
}

const char *nauha__duration_text(double seconds, char text[32]) {
    if (seconds < 60)
        snprintf(text, 32, "%.*f s", seconds < 10 ? 2 : 1, seconds);
    else if (seconds < 3600)
        snprintf(text, 32, "%d min %d s", (int)seconds / 60, (int)seconds % 60);
    else
        snprintf(text, 32, "%d h %d min", (int)(seconds / 3600), (int)seconds / 60 % 60);
    return text;
}

uint64_t nauha__clock_ns(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static double now(void) {
    return 1e-9 * (double)nauha__clock_ns();
}

void nauha__progress_begin(struct progress *progress, const char *what, const char *unit,
                           bool quiet) {
    *progress = (struct progress){
        .what = what, .unit = unit, .on = !quiet && is_screen(stderr), .started = now()};
}

static void draw(const char *line) {
    fprintf(stderr, "\r\033[K");
    nauha__text_print(stderr, line, nauha__width(stderr) - 1);
    fflush(stderr);
}

void nauha__progress_say(struct progress *progress, const char *text) {
    if (!progress->on)
        return;
    progress->drawn = now();
    draw(text);
}

/* "12.3 steps/s", "45 600 messages/s" */
static const char *rate_text(double rate, const char *unit, char text[64]) {
    char count[32];
    if (rate < 100)
        snprintf(text, 64, "%.3g %s/s", rate, unit);
    else
        snprintf(text, 64, "%s %s/s", nauha__count_text((uint64_t)(rate + 0.5), count), unit);
    return text;
}

/* The bar gets the width that the words leave. If that is too little, the rate is left out. */
static void draw_bar(const struct progress *progress, double part, const char *rate,
                     const char *rest) {
    char bar[BAR + 1], line[512];
    const int fixed = nauha__text_width(progress->what) + nauha__text_width(rest) + 10;
    const int room = nauha__width(stderr) - 1 - fixed;
    const int with_rate = room - nauha__text_width(rate) - 2;
    const bool rated = with_rate >= BAR_LEAST;
    int length = rated ? with_rate : room;
    length = length > BAR ? BAR : length < BAR_LEAST ? BAR_LEAST : length;
    for (int i = 0; i < length; i++)
        bar[i] = i < (int)(part * length) ? '#' : '.';
    bar[length] = '\0';
    snprintf(line, sizeof line, "%s [%s] %3.0f %%%s%s%s", progress->what, bar, 100 * part,
             rated ? "  " : "", rated ? rate : "", rest);
    draw(line);
}

void nauha__progress_show(struct progress *progress, uint64_t done, uint64_t total,
                          const char *extra) {
    const double time = now(), elapsed = time - progress->started;
    char rate[64], left[32], rest[256];
    if (!progress->on || time - progress->drawn < 0.1 || elapsed < PATIENCE)
        return;
    progress->drawn = time;
    const double part = total ? (double)done / (double)total : 1;
    rest[0] = '\0';
    if (done > 0 && done < total)
        snprintf(rest, sizeof rest, ", %s left",
                 nauha__duration_text(elapsed / part - elapsed, left));
    const size_t used = strlen(rest);
    snprintf(rest + used, sizeof rest - used, "%s", extra ? extra : "");
    draw_bar(progress, part, rate_text((double)done / elapsed, progress->unit, rate), rest);
}

void nauha__progress_clear(struct progress *progress) {
    if (progress->on && progress->drawn > 0) {
        fprintf(stderr, "\r\033[K");
        fflush(stderr);
    }
}

void nauha__progress_end(struct progress *progress) {
    nauha__progress_clear(progress);
    progress->on = false;
}
