/* SPDX-License-Identifier: MIT */
/* Colours, numbers in words, progress; see terminal.h.
 *
 * Threads: the main thread.
 */
#include "tools/terminal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define BAR 24

const char *nauha__colour(FILE *stream, enum colour colour) {
    static const char *const sequences[] = {"\033[0m", "\033[1m", "\033[32m", "\033[31m",
                                            "\033[2m"};
    const char *no_colour = getenv("NO_COLOR");
    if ((no_colour && no_colour[0]) || !isatty(fileno(stream)))
        return "";
    return sequences[colour];
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

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

void nauha__progress_begin(struct progress *progress, const char *what, const char *unit,
                           bool quiet) {
    *progress = (struct progress){
        .what = what, .unit = unit, .on = !quiet && isatty(STDERR_FILENO), .started = now()};
}

static int terminal_width(void) {
    struct winsize size;
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

void nauha__progress_show(struct progress *progress, uint64_t done, uint64_t total,
                          const char *extra) {
    double time = now();
    if (!progress->on || (time - progress->drawn < 0.1 && done < total))
        return;
    progress->drawn = time;
    double elapsed = time - progress->started;
    double part = total ? (double)done / (double)total : 1;
    double rate = elapsed > 0 ? (double)done / elapsed : 0;
    char bar[BAR + 1], line[512], left[32] = "";
    for (int i = 0; i < BAR; i++)
        bar[i] = (double)i < part * BAR ? '#' : '.';
    bar[BAR] = '\0';
    if (done > 0 && done < total)
        nauha__duration_text(elapsed / part - elapsed, left);
    snprintf(line, sizeof line, "%s [%s] %3.0f %%  %.3g %s/s%s%s%s%s", progress->what, bar,
             100 * part, rate, progress->unit, left[0] ? ", " : "", left, left[0] ? " left" : "",
             extra ? extra : "");
    fprintf(stderr, "\r\033[K%.*s", terminal_width() - 1, line);
    fflush(stderr);
}

void nauha__progress_end(struct progress *progress) {
    if (progress->on)
        fprintf(stderr, "\r\033[K");
    progress->on = false;
}
