/* SPDX-License-Identifier: MIT */
/* Starting threads; see thread.h. */
#include "recorder/thread.h"

#include <signal.h>

int nauha__thread_start(pthread_t *thread, const char *name, void *(*run)(void *), void *context) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(thread, NULL, run, context);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!failed)
        pthread_setname_np(*thread, name);
    return failed;
}
