/* SPDX-License-Identifier: MIT */
/* Handling a crash while traces are read; see crash.h.
 *
 * Threads: the main thread; the signal handler runs in any thread.
 */
#include "tools/commands/crash.h"

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "nauha/status.h"
#include "tools/cli/command.h"

static const struct {
    int number;
    const char *text;
} signals[] = {
    {SIGSEGV, "invalid memory access"}, {SIGBUS, "access beyond the end of a file"},
    {SIGFPE, "division by zero"},       {SIGABRT, "aborted because of corrupt memory"},
    {SIGILL, "invalid instruction"},
};
#define SIGNALS (sizeof signals / sizeof *signals)

/* Prepared beforehand, because a signal handler may do little more than write. */
static char first_part[1100];
static const char last_part[] =
    "; the file is damaged or malicious. If it is neither, please report this\n";

static void put(const char *text) {
    const ssize_t written = write(STDERR_FILENO, text, strlen(text));
    (void)written;
}

static void on_crash(int number) {
    const char *text = "";
    for (size_t i = 0; i < SIGNALS; i++)
        if (signals[i].number == number)
            text = signals[i].text;
    put(first_part);
    put(text);
    put(last_part);
    _exit(EXIT_FAILED);
}

/* After an overflow of the stack, a handler needs another stack. */
static void make_stack(void) {
    static char memory[65536];
    const stack_t stack = {.ss_sp = memory, .ss_size = sizeof memory};
    stack_t before;
    if (sigaltstack(NULL, &before) == 0 && before.ss_flags & SS_DISABLE)
        sigaltstack(&stack, NULL);
}

void nauha__crash_watch(const char *path) {
    const struct sigaction action = {.sa_handler = on_crash,
                                     .sa_flags = (int)SA_RESETHAND | SA_ONSTACK};
    static char watched[700];
    const bool first = !watched[0], again = strncmp(watched, path, sizeof watched - 1) == 0;
    if (again && !first)
        return;
    struct nauha_error text = NAUHA_ERROR_INIT;
    snprintf(watched, sizeof watched, "%s", path);
    nauha_error_set(&text, NAUHA_FORMAT, "nauha: crashed while it read \"%s\"%s: ", watched,
                    first ? "" : " or another trace");
    memcpy(first_part, text.message, sizeof text.message);
    if (!first)
        return;
    make_stack();
    for (size_t i = 0; i < SIGNALS; i++) {
        struct sigaction before;
        /* The handler of a sanitizer or of Python reports more. */
        if (sigaction(signals[i].number, NULL, &before) == 0 && before.sa_handler == SIG_DFL)
            sigaction(signals[i].number, &action, NULL);
    }
}
