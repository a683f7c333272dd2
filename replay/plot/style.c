/* SPDX-License-Identifier: MIT */
/* The names of styles and scales, and which styles fit a series. */
#include <string.h>

#include "replay/plot/script.h"

static const struct {
    const char *name;
    bool histogram; /* for histograms; else for scalars */
} styles[] = {
    [NAUHA__STYLE_AUTO] = {"auto", false}, [NAUHA__STYLE_LINES] = {"lines", false},
    [NAUHA__STYLE_TOP] = {"top", false},   [NAUHA__STYLE_PANELS] = {"panels", false},
    [NAUHA__STYLE_BAND] = {"band", false}, [NAUHA__STYLE_ROWS] = {"rows", false},
    [NAUHA__STYLE_MAP] = {"map", true},
};
#define STYLES (sizeof styles / sizeof *styles)

static const char *const scales[] = {
    [NAUHA__SCALE_AUTO] = "auto", [NAUHA__SCALE_LINEAR] = "linear", [NAUHA__SCALE_LOG] = "log"};
#define SCALES (sizeof scales / sizeof *scales)

const char *nauha__style_name(enum nauha__style style) {
    return styles[style].name;
}

const char *nauha__scale_name(enum nauha__scale scale) {
    return scales[scale];
}

bool nauha__style_find(const char *name, enum nauha__style *style) {
    for (size_t i = 0; i < STYLES; i++) {
        if (strcmp(styles[i].name, name) == 0) {
            *style = (enum nauha__style)i;
            return true;
        }
    }
    return false;
}

bool nauha__scale_find(const char *name, enum nauha__scale *scale) {
    for (size_t i = 0; i < SCALES; i++) {
        if (strcmp(scales[i], name) == 0) {
            *scale = (enum nauha__scale)i;
            return true;
        }
    }
    return false;
}

bool nauha__style_fits(enum nauha__style style, const struct nauha__series_summary *summary) {
    if (style == NAUHA__STYLE_AUTO)
        return true;
    if (style == NAUHA__STYLE_ROWS && !summary->regular)
        return false;
    return styles[style].histogram == summary->histogram;
}
