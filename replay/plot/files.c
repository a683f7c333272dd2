/* SPDX-License-Identifier: MIT */
/* Script files: writing them completely or not at all, and finding out whether one has been edited
 * since. */
#include "replay/plot/gnuplot.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "nauha/internal/parse.h"
#include "nauha/output.h"
#include "replay/plot/script.h"

/* The last line of a script: the hash of everything above it. */
#define SEAL "# nauha writes this file anew as long as the text above is unchanged: "
#define SEAL_DIGITS 16u
/* A script for as many lines as are ever drawn stays far below this. */
#define SCRIPT_MAX (1u << 20)

static char *read_whole(const char *path, size_t *length) {
    FILE *file = fopen(path, "re");
    char *text = file ? malloc(SCRIPT_MAX) : NULL;
    *length = text ? fread(text, 1, SCRIPT_MAX - 1, file) : 0;
    if (text)
        text[*length] = 0;
    if (file)
        fclose(file);
    return text;
}

static bool is_sealed(const char *text, size_t length) {
    const size_t tail = strlen(SEAL) + SEAL_DIGITS + 1;
    if (length < tail)
        return false;
    char expected[128];
    snprintf(expected, sizeof expected, "%s%016" PRIx64 "\n", SEAL,
             (uint64_t)XXH3_64bits(text, length - tail));
    return memcmp(text + length - tail, expected, tail) == 0;
}

/* The value of "variable = 'text'", without quotes. */
static void find_text(const char *script, const char *variable, char *out, size_t size) {
    char pattern[32];
    size_t length = 0;
    out[0] = 0;
    snprintf(pattern, sizeof pattern, "\n%-10s = '", variable);
    const char *at = strstr(script, pattern);
    if (!at)
        return;
    for (at += strlen(pattern); *at && *at != '\n' && length + 1 < size; at++) {
        if (*at == '\'' && *++at != '\'')
            break;
        out[length++] = *at;
    }
    out[length] = 0;
}

/* One end of "ylims=LOW:HIGH". */
static double find_end(const char **at, const char *stop) {
    char number[64];
    double value = NAN;
    const size_t length = strcspn(*at, stop);
    if (length > 0 && length < sizeof number) {
        memcpy(number, *at, length);
        number[length] = 0;
        if (nauha__parse_real(number, &value, NULL) != NAUHA_OK)
            value = NAN;
    }
    *at += length + ((*at)[length] != 0);
    return value;
}

/* The word after a key in the rest of a line; "" if there is none. */
static void find_word(const char *line, const char *key, char *word, size_t size) {
    const char *end = line + strcspn(line, "\n");
    const char *at = strstr(line, key);
    word[0] = 0;
    if (at && at < end) {
        at += strlen(key);
        snprintf(word, size, "%.*s", (int)strcspn(at, " \n"), at);
    }
}

static void find_texts(const char *script, struct nauha__script_texts *texts) {
    find_text(script, "main_title", texts->title, sizeof texts->title);
    find_text(script, "x_label", texts->xlabel, sizeof texts->xlabel);
    find_text(script, "y_label", texts->ylabel, sizeof texts->ylabel);
    struct nauha__picture *picture = &texts->picture;
    *picture = (struct nauha__picture){.plot = {.title = texts->title,
                                                .xlabel = texts->xlabel,
                                                .ylabel = texts->ylabel,
                                                .y_low = NAN,
                                                .y_high = NAN}};
    const char *at = strstr(script, "\n# asked for: ylims=");
    if (!at)
        return;
    at += strlen("\n# asked for: ylims=");
    picture->plot.y_low = find_end(&at, ":\n");
    picture->plot.y_high = find_end(&at, " \n");
    picture->plot.log_y = strncmp(at, "log=1", 5) == 0;
    char word[16];
    find_word(at, "scale=", word, sizeof word);
    nauha__scale_find(word, &picture->scale);
    find_word(at, "style=", word, sizeof word);
    nauha__style_find(word, &picture->style);
}

enum nauha__script_state nauha__script_inspect(const char *path,
                                               struct nauha__script_texts *texts) {
    size_t length = 0;
    errno = 0;
    char *script = read_whole(path, &length);
    if (!script)
        return errno == ENOENT ? NAUHA__SCRIPT_NONE : NAUHA__SCRIPT_EDITED;
    const bool sealed = is_sealed(script, length);
    if (sealed && texts)
        find_texts(script, texts);
    free(script);
    return sealed ? NAUHA__SCRIPT_OURS : NAUHA__SCRIPT_EDITED;
}

/* Replaces any regular file, because nauha__script_inspect has found out whether a user edited
 * it. */
static enum nauha_status write_whole(const char *path, const char *text, size_t length,
                                     struct nauha_error *err) {
    struct nauha_output output;
    const struct nauha_output_request request = {.path = path, .named_by_us = true};
    enum nauha_status status = nauha_output_open(&output, &request, err);
    if (status != NAUHA_OK)
        return status;
    fwrite(text, 1, length, output.stream);
    fprintf(output.stream, "%s%016" PRIx64 "\n", SEAL, (uint64_t)XXH3_64bits(text, length));
    return nauha_output_finish(&output, err);
}

/* The contents of a script, for the function that writes it. */
struct contents {
    const char *name;
    const struct nauha__picture *picture; /* of one series; NULL: an overview */
    const struct nauha__series_summary *summary;
    const struct nauha__overview_topic *topics;
    size_t count;
};

static enum nauha_status write_contents(const char *path, const struct contents *contents,
                                        struct nauha_error *err) {
    char *text = NULL;
    size_t length = 0;
    FILE *memory = open_memstream(&text, &length);
    if (!memory)
        return nauha_error_nomem(err);
    if (contents->picture)
        nauha__gnuplot_script(memory, contents->name, contents->picture, contents->summary);
    else
        nauha__gnuplot_overview(memory, contents->name, contents->topics, contents->count);
    const bool failed = ferror(memory) != 0;
    if (fclose(memory) != 0 || failed) {
        free(text);
        return nauha_error_nomem(err);
    }
    enum nauha_status status = write_whole(path, text, length, err);
    free(text);
    return status;
}

enum nauha_status nauha__script_write(const char *path, const char *name,
                                      const struct nauha__picture *picture,
                                      const struct nauha__series_summary *summary,
                                      struct nauha_error *err) {
    const struct contents contents = {.name = name, .picture = picture, .summary = summary};
    return write_contents(path, &contents, err);
}

enum nauha_status nauha__overview_write(const char *path, const char *name,
                                        const struct nauha__overview_topic *topics, size_t count,
                                        struct nauha_error *err) {
    const struct contents contents = {.name = name, .topics = topics, .count = count};
    return write_contents(path, &contents, err);
}
