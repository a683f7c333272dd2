/* SPDX-License-Identifier: MIT */
/* Status texts and the error context. */
#include "nauha/status.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "nauha/internal/text.h"

const char *nauha_status_text(enum nauha_status code) {
    static const char *const texts[] = {
#define STATUS_TEXT(name, text) text,
        NAUHA_STATUSES(STATUS_TEXT)
#undef STATUS_TEXT
    };
    /* Through unsigned: a negative value is outside the enum too. */
    return (unsigned)code < sizeof texts / sizeof *texts ? texts[code] : "unknown status";
}

/* Cuts what did not fit at a whole UTF-8 character and says so. */
static void mark_cut(char *text, size_t size) {
    static const char mark[] = "...";
    size_t end = size - sizeof mark;
    while (end > 0 && ((unsigned char)text[end] & 0xC0) == 0x80)
        end--;
    memcpy(text + end, mark, sizeof mark);
}

/* Puts the formatted text and `rest` behind it into err; the arguments and `rest` may lie in
 * err->message itself. */
static void compose(struct nauha_error *err, const char *rest, const char *format, va_list args) {
    char text[sizeof err->message];
    int written = vsnprintf(text, sizeof text, format, args);
    size_t length = written < 0 ? 0 : (size_t)written;
    if (length < sizeof text) {
        size_t room = sizeof text - length;
        int more = snprintf(text + length, room, "%s%s", *rest && length ? ": " : "", rest);
        length += more < 0 ? 0 : (size_t)more;
    }
    if (length >= sizeof text)
        mark_cut(text, sizeof text);
    nauha__defuse(text, "\n\t"); /* messages contain names, paths and texts from files */
    memcpy(err->message, text, sizeof text);
}

enum nauha_status nauha_error_set(struct nauha_error *err, enum nauha_status code,
                                  const char *format, ...) {
    if (!err)
        return code;
    int kept = errno;
    va_list args;
    va_start(args, format);
    compose(err, "", format, args);
    va_end(args);
    err->code = code;
    err->saved_errno = 0;
    errno = kept;
    return code;
}

enum nauha_status nauha_error_set_errno(struct nauha_error *err, int saved_errno,
                                        const char *format, ...) {
    enum nauha_status code = saved_errno == ENOMEM ? NAUHA_NOMEM : NAUHA_IO;
    if (!err)
        return code;
    int kept = errno;
    char buffer[128];
    const char *reason = strerror_r(saved_errno, buffer, sizeof buffer); /* the GNU one */
    va_list args;
    va_start(args, format);
    compose(err, reason, format, args);
    va_end(args);
    err->code = code;
    err->saved_errno = saved_errno;
    errno = kept;
    return code;
}

enum nauha_status nauha_error_nomem(struct nauha_error *err) {
    return nauha_error_set(err, NAUHA_NOMEM, "%s", nauha_status_text(NAUHA_NOMEM));
}

enum nauha_status nauha_error_wrap(struct nauha_error *err, enum nauha_status code,
                                   const char *format, ...) {
    if (!err)
        return code;
    int kept = errno;
    if (err->code == NAUHA_OK) /* the layer below said nothing */
        err->code = code;
    char inner[sizeof err->message];
    if (err->message[0])
        memcpy(inner, err->message, sizeof inner);
    else
        snprintf(inner, sizeof inner, "%s", nauha_status_text(err->code));
    va_list args;
    va_start(args, format);
    compose(err, inner, format, args);
    va_end(args);
    errno = kept;
    return err->code;
}
