/* SPDX-License-Identifier: MIT */
/* The model that was trained: modules with their parameters and shapes; see page.h.
 *
 * Threads: the main thread.
 */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "tools/report/html.h"
#include "tools/report/page.h"
#include "tools/cli/terminal.h"

/* Kinds from which the shapes of parameters are known. The first one that a module has is used. */
static const uint32_t shapes_of[][2] = {
    {NAUHA_KIND_WEIGHTS, NAUHA_KIND_BIASES},
    {NAUHA_KIND_WEIGHT_GRADIENTS, NAUHA_KIND_BIAS_GRADIENTS},
    {NAUHA_KIND_WEIGHT_UPDATES, NAUHA_KIND_BIAS_UPDATES},
};

static bool is_of(const struct survey_tensor *tensor, uint32_t module, size_t choice) {
    return tensor->module == module &&
           (tensor->kind == shapes_of[choice][0] || tensor->kind == shapes_of[choice][1]);
}

/* The position in shapes_of of the kind that a module has; their number if it has none. */
static size_t choice_of(const struct survey *survey, uint32_t module) {
    const size_t choices = sizeof shapes_of / sizeof *shapes_of;
    for (size_t choice = 0; choice < choices; choice++)
        for (size_t i = 0; i < survey->tensor_count; i++)
            if (is_of(&survey->tensors[i], module, choice))
                return choice;
    return choices;
}

uint64_t page_parameters(const struct page *page, uint32_t module, bool *known) {
    const struct survey *survey = page->survey;
    const size_t choice = choice_of(survey, module);
    uint64_t count = 0;
    if (choice == sizeof shapes_of / sizeof *shapes_of)
        return 0;
    for (size_t i = 0; i < survey->tensor_count; i++)
        if (is_of(&survey->tensors[i], module, choice))
            count += survey->tensors[i].elements;
    *known = true;
    return count;
}

/* Whether `inner` is a module below `outer`. */
static bool is_below(const char *inner, const char *outer) {
    const size_t length = strlen(outer);
    return length == 0 ? *inner != 0 : strncmp(inner, outer, length) == 0 && inner[length] == '.';
}

static void write_shape(FILE *out, const struct survey_tensor *tensor) {
    fputc('[', out);
    for (uint32_t d = 0; d < tensor->ndim && d < SURVEY_DIMS; d++)
        fprintf(out, "%s%" PRId64, d ? "×" : "", tensor->shape[d]);
    fprintf(out, "%s]%s", tensor->ndim > SURVEY_DIMS ? "×…" : "",
            tensor->varies ? " (varies)" : "");
}

static void write_tensors(const struct page *page, uint32_t module) {
    const struct survey *survey = page->survey;
    const size_t choice = choice_of(survey, module);
    FILE *out = page->out;
    const char *separator = "";
    fputs("<td>", out);
    for (size_t i = 0; choice < sizeof shapes_of / sizeof *shapes_of && i < survey->tensor_count;
         i++) {
        const struct survey_tensor *tensor = &survey->tensors[i];
        if (!is_of(tensor, module, choice))
            continue;
        fputs(separator, out);
        html_format(out, "%s ", nauha_names_slot(page->opened->names, tensor->slot));
        write_shape(out, tensor);
        fprintf(out, " %s", nauha_dtype_name(tensor->dtype));
        separator = ", ";
    }
    fputs("</td>", out);
}

static void write_output(const struct page *page, uint32_t module) {
    const struct survey_tensor *output = survey_find(page->survey, NAUHA_KIND_ACTIVATIONS, module);
    output = output ? output : survey_find(page->survey, NAUHA_KIND_LAYER_GRADIENTS, module);
    fputs("<td>", page->out);
    if (output)
        write_shape(page->out, output);
    fputs("</td>", page->out);
}

static void write_name(FILE *out, const char *name) {
    const char *last = strrchr(name, '.');
    unsigned depth = *name ? 1 : 0;
    for (const char *at = name; *at; at++)
        depth += *at == '.';
    fprintf(out, "<th scope=row style=\"--d:%u\">", depth < 12 ? depth : 12);
    if (last) {
        fputs("<span class=dim>", out);
        html_format(out, "%.*s", (int)(last + 1 - name), name);
        fputs("</span>", out);
    }
    html_text(out, last ? last + 1 : *name ? name : "(root)");
    fputs("</th>", out);
}

static void write_row(const struct page *page, uint32_t module) {
    const struct nauha_names *names = page->opened->names;
    const char *name = nauha_names_module(names, module);
    char text[32];
    bool known = false, below = false;
    const uint64_t own = page_parameters(page, module, &known);
    uint64_t all = own;
    for (uint32_t m = 0; m < nauha_names_modules(names); m++)
        if (is_below(nauha_names_module(names, m), name))
            all += page_parameters(page, m, &below);
    FILE *out = page->out;
    fprintf(out, "<tr data-m=%" PRIu32 ">", module);
    write_name(out, name);
    fputs("<td>", out);
    html_text(out, nauha_names_module_class(names, module));
    fputs("</td>", out);
    html_number_cell(out, known ? (double)own : (double)NAN,
                     known ? nauha__count_text(own, text) : NULL);
    html_number_cell(out, known || below ? (double)all : (double)NAN,
                     known || below ? nauha__count_text(all, text) : NULL);
    write_tensors(page, module);
    write_output(page, module);
    fputs("</tr>\n", out);
}

void page_model(struct page *page) {
    static const struct html_column columns[] = {
        {"Module", NULL, false},
        {"Class", NULL, false},
        {"Parameters", "elements of its own parameters", true},
        {"With below", "and of those of the modules below it", true},
        {"Tensors", "parameters and their shapes", false},
        {"Output", "shape of what it returns", false},
    };
    const struct nauha_names *names = page->opened->names;
    FILE *out = page->out;
    fputs("<section id=model>\n<h2>Model</h2>\n", out);
    if (nauha_names_modules(names) == 0) {
        fputs("<p class=none>The trace names no modules.</p></section>\n", out);
        return;
    }
    html_table(out, "model-table", "Modules", columns, sizeof columns / sizeof *columns);
    for (uint32_t m = 0; m < nauha_names_modules(names); m++)
        if (nauha_selector_accepts_module(page->opened->selector, names, m))
            write_row(page, m);
    html_table_end(out);
    fputs("</section>\n", out);
}
