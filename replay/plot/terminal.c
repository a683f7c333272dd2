/* SPDX-License-Identifier: MIT */
/* The terminals that pictures are drawn to; see terminal.h. */
#include "replay/plot/terminal.h"

#include <string.h>

#include "nauha/plotting.h"
#include "replay/plot/gnuplot.h"

static const struct terminal {
    const char *name;
    const char *wants; /* the terminal of gnuplot that a script sets; NULL: every gnuplot has it */
    const char *package; /* the package that has that terminal, on Debian and Ubuntu */
    bool makes_file;
} terminals[] = {
    {"dumb", NULL, NULL, false},
    {"png", NULL, NULL, true},
    {"svg", NULL, NULL, true},
    {"pdf", "pdfcairo", "gnuplot-nox", true},
    {"x11", "x11", "gnuplot-x11", false},
    {"qt", "qt", "gnuplot-qt", false},
};
#define TERMINALS (sizeof terminals / sizeof *terminals)
#define CHOICES "dumb, png, svg, pdf, x11 and qt"

static const struct terminal *find(const char *name) {
    for (size_t i = 0; i < TERMINALS; i++) {
        if (strcmp(terminals[i].name, name) == 0)
            return &terminals[i];
    }
    return NULL;
}

bool nauha_plot_makes_files(const char *term) {
    const struct terminal *terminal = term ? find(term) : NULL;
    return !term || (terminal && terminal->makes_file);
}

/* Whether a list of words contains one. */
static bool has_word(const char *list, const char *word) {
    const size_t length = strlen(word);
    for (const char *at = list; (at = strstr(at, word)); at += length) {
        const bool starts = at == list || at[-1] == ' ';
        if (starts && (at[length] == ' ' || at[length] == '\n' || at[length] == 0))
            return true;
    }
    return false;
}

enum nauha_status nauha__terminal_check(const char *term, struct nauha_error *err) {
    const struct terminal *terminal = find(term);
    char list[4096];
    if (!terminal)
        return nauha_error_set(err, NAUHA_INVALID,
                               "there is no terminal \"%.64s\"; terminals: " CHOICES, term);
    if (!terminal->wants)
        return NAUHA_OK;
    enum nauha_status status = nauha__gnuplot_ask("GPVAL_TERMINALS", list, sizeof list, err);
    if (status != NAUHA_OK || has_word(list, terminal->wants))
        return status;
    return nauha_error_set(err, NAUHA_UNAVAILABLE,
                           "this gnuplot cannot draw to \"%s\": install the package %s (Debian and "
                           "Ubuntu; elsewhere a gnuplot with the terminal %s)",
                           term, terminal->package, terminal->wants);
}
