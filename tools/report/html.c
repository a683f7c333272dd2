/* SPDX-License-Identifier: MIT */
/* Escaping, numbers and tables; see html.h.
 *
 * Threads: any thread; a stream has one owner.
 */
#include "tools/report/html.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "tools/cli/terminal.h"

/* The number of bytes of the UTF-8 sequence at text; 0 if it is not valid. */
static size_t sequence_length(const unsigned char *text) {
    const size_t length = text[0] < 0x80   ? 1
                          : text[0] < 0xc2 ? 0
                          : text[0] < 0xe0 ? 2
                          : text[0] < 0xf0 ? 3
                          : text[0] < 0xf5 ? 4
                                           : 0;
    for (size_t i = 1; i < length; i++)
        if ((text[i] & 0xc0) != 0x80)
            return 0;
    const bool overlong =
        (text[0] == 0xe0 && text[1] < 0xa0) || (text[0] == 0xf0 && text[1] < 0x90);
    const bool beyond = (text[0] == 0xed && text[1] > 0x9f) || (text[0] == 0xf4 && text[1] > 0x8f);
    return overlong || beyond ? 0 : length;
}

static const char *entity_of(unsigned char letter) {
    switch (letter) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '"':
        return "&quot;";
    case '\'':
        return "&#39;";
    default:
        return letter < 0x20 || letter == 0x7f ? "\xef\xbf\xbd" : NULL;
    }
}

void html_text(FILE *out, const char *text) {
    for (const unsigned char *at = (const unsigned char *)text; *at;) {
        const char *entity = *at == '\n' ? "\n" : entity_of(*at);
        const size_t length = sequence_length(at);
        if (entity || length == 0)
            fputs(entity ? entity : "\xef\xbf\xbd", out);
        else
            fwrite(at, 1, length, out);
        at += length ? length : 1;
    }
}

void html_format(FILE *out, const char *format, ...) {
    char *text = NULL;
    va_list list;
    va_start(list, format);
    const int length = vasprintf(&text, format, list);
    va_end(list);
    if (length < 0)
        return;
    html_text(out, text);
    free(text);
}

const char *html_number(double value, char text[32]) {
    if (isnan(value))
        snprintf(text, 32, "NaN"); /* printf gives it a sign */
    else
        snprintf(text, 32, "%.4g", value);
    return text;
}

void html_number_cell(FILE *out, double value, const char *shown) {
    char text[32];
    if (isnan(value) && !shown) {
        fputs("<td class=n>–</td>", out);
        return;
    }
    fprintf(out, "<td class=n data-v=\"%.17g\">", nauha__printable(value));
    html_text(out, shown ? shown : html_number(value, text));
    fputs("</td>", out);
}

void html_table(FILE *out, const char *id, const char *caption, const struct html_column *columns,
                size_t count) {
    fprintf(out,
            "<div class=scroll tabindex=0 role=region aria-label=\"%s\"><table class=sortable"
            " id=%s><thead><tr>",
            caption, id);
    for (size_t i = 0; i < count; i++)
        fprintf(out, "<th scope=col%s aria-sort=none><button type=button%s%s%s>%s</button></th>",
                columns[i].number ? " class=n" : "", columns[i].hint ? " title=\"" : "",
                columns[i].hint ? columns[i].hint : "", columns[i].hint ? "\"" : "",
                columns[i].name);
    fputs("</tr></thead><tbody>\n", out);
}

void html_table_end(FILE *out) {
    fputs("</tbody></table></div>\n", out);
}
