/* SPDX-License-Identifier: MIT */
/* UTF-8 text from untrusted sources.
 *
 * Threads: any thread.
 */
#include "nauha/internal/text.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

size_t nauha__character(const char *bytes) {
    const unsigned char *text = (const unsigned char *)bytes;
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    unsigned first = text[0];
    if (first < 0x80)
        return first >= 0x20 && first != 0x7F;
    size_t length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
    if (first < 0xC2 || first > 0xF4)
        return 0;
    uint32_t code = first & (0x7Fu >> length);
    for (size_t i = 1; i < length; i++) {
        if ((text[i] & 0xC0) != 0x80)
            return 0;
        code = code << 6 | (text[i] & 0x3Fu);
    }
    bool surrogate = code >= 0xD800 && code <= 0xDFFF;
    bool control = code < 0xA0;
    return code < smallest[length] || code > 0x10FFFF || surrogate || control ? 0 : length;
}

char *nauha__defuse(char *text, const char *allowed) {
    for (char *c = text; *c;) {
        const size_t length = nauha__character(c);
        if (length == 0 && !strchr(allowed, *c))
            *c = '?';
        c += length ? length : 1;
    }
    return text;
}
