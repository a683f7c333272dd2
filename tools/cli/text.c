/* SPDX-License-Identifier: MIT */
/* Text as a terminal shows it; see text.h.
 *
 * Threads: the main thread.
 */
#include "tools/cli/text.h"

#include <locale.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#define ELLIPSIS "\xe2\x80\xa6"

static bool is_ascii(char c) {
    return c >= 0x20 && c < 0x7f;
}

/* The C library knows the width of characters in a locale that has them. */
static locale_t characters(void) {
    static locale_t locale;
    if (!locale)
        locale = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    return locale;
}

/* The number of bytes of the character at `text`, which is not at its end; *columns is -1 if the
 * character cannot be shown. */
static size_t character(const char *text, int *columns) {
    wchar_t wide;
    mbstate_t state = {0};
    *columns = is_ascii(*text) ? 1 : -1;
    if ((unsigned char)*text < 0x80 || !characters())
        return 1;
    const locale_t before = uselocale(characters());
    const size_t bytes = mbrtowc(&wide, text, strlen(text), &state);
    const bool good = bytes != (size_t)-1 && bytes != (size_t)-2 && bytes > 0;
    *columns = good ? wcwidth(wide) : -1;
    uselocale(before);
    return good ? bytes : 1;
}

int nauha__text_width(const char *text) {
    int width = 0, columns;
    while (*text) {
        text += character(text, &columns);
        width += columns > 0 ? columns : 0;
    }
    return width;
}

char *nauha__text_clean(char *text) {
    char *to = text;
    for (const char *from = text; *from;) {
        int columns;
        const size_t bytes = character(from, &columns);
        if (columns >= 0) {
            memmove(to, from, bytes);
            to += bytes;
        } else {
            *to++ = strchr("\t\n\r", *from) ? ' ' : '?';
        }
        from += bytes;
    }
    *to = '\0';
    return text;
}

/* The number of bytes at the beginning of a text that fit into so many columns. */
static size_t fitting(const char *text, int columns) {
    size_t bytes = 0;
    while (text[bytes]) {
        int width;
        const size_t length = character(text + bytes, &width);
        columns -= width > 0 ? width : 0;
        if (columns < 0)
            break;
        bytes += length;
    }
    return bytes;
}

int nauha__text_print(FILE *stream, const char *text, int columns) {
    int width = nauha__text_width(text);
    if (width <= columns) {
        fputs(text, stream);
        return width;
    }
    if (columns < 1)
        return 0;
    /* The end of a module's name tells more than its beginning. */
    const int head = (columns - 1) / 2, tail = columns - 1 - head;
    const char *rest = text + fitting(text, head);
    int shown = 0, left = 0, step;
    for (const char *c = text; c < rest; shown += step)
        c += character(c, &step);
    fprintf(stream, "%.*s" ELLIPSIS, (int)(rest - text), text);
    left = width - shown;
    while (left > tail) {
        rest += character(rest, &step);
        left -= step > 0 ? step : 0;
    }
    fputs(rest, stream);
    return shown + 1 + left;
}

void nauha__text_wrap(FILE *stream, const char *text, int indent, int cursor, int limit) {
    bool first = true;
    while (*text) {
        const size_t bytes = strcspn(text, " ");
        char *word = strndup(text, bytes);
        const int width = word ? nauha__text_width(word) : (int)bytes;
        free(word);
        if (!first && limit > 0 && cursor + 1 + width > limit) {
            fprintf(stream, "\n%*s", indent, "");
            cursor = indent;
        } else if (!first) {
            fputc(' ', stream);
            cursor++;
        }
        fwrite(text, 1, bytes, stream);
        cursor += width;
        first = false;
        text += bytes;
        text += strspn(text, " ");
    }
}
