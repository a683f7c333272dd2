/* SPDX-License-Identifier: MIT */
/* Following traces that are being written; see follow.h.
 *
 * Threads: the main thread.
 */
#include "tools/commands/follow.h"

#include <signal.h>
#include <time.h>

#define WAIT_NS 100000000
/* Number of attempts to open a file that is not a trace yet: two seconds. */
#define OPEN_ATTEMPTS 20

static const int ending[] = {SIGINT, SIGTERM};
#define ENDING (sizeof ending / sizeof *ending)

static struct sigaction before[ENDING];
static volatile sig_atomic_t interrupted;

static void on_signal(int number) {
    (void)number;
    interrupted = 1;
}

void nauha__follow_begin(void) {
    const struct sigaction action = {.sa_handler = on_signal};
    interrupted = 0;
    for (size_t i = 0; i < ENDING; i++)
        sigaction(ending[i], &action, &before[i]);
}

void nauha__follow_end(void) {
    for (size_t i = 0; i < ENDING; i++)
        sigaction(ending[i], &before[i], NULL);
}

bool nauha__follow_interrupted(void) {
    return interrupted != 0;
}

bool nauha__follow_wait(void) {
    const struct timespec moment = {.tv_nsec = WAIT_NS};
    if (!interrupted)
        nanosleep(&moment, NULL);
    return !interrupted;
}

static bool has_messages(const struct nauha_trace *trace) {
    struct nauha_trace_info info;
    nauha_trace_get_info(trace, &info);
    return info.messages > 0;
}

enum nauha_status nauha__follow_open(const char *path, struct nauha_names *names,
                                     struct nauha_trace **trace, struct nauha_error *err) {
    enum nauha_status status = nauha_trace_open(path, names, trace, err);
    for (int i = 0; i < OPEN_ATTEMPTS && (status == NAUHA_FORMAT || status == NAUHA_BUSY); i++) {
        if (!nauha__follow_wait())
            return status;
        status = nauha_trace_open(path, names, trace, err);
    }
    for (bool live = true; status == NAUHA_OK && live && !has_messages(*trace);) {
        status = nauha_trace_refresh(*trace, &live, err);
        if (status == NAUHA_FORMAT)
            status = NAUHA_OK; /* it may be readable a moment later */
        live = live && nauha__follow_wait();
    }
    return status;
}
