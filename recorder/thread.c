/* SPDX-License-Identifier: MIT */
/* Starting threads, and making forks wait; see thread.h.
 *
 * Threads: any thread.
 */
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

/* A thread that forks takes `turn` first and keeps it, so that threads which leave and enter
 * `inside` all the time cannot overtake it again and again. */
static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER, inside = PTHREAD_MUTEX_INITIALIZER;

static void before_fork(void) {
    pthread_mutex_lock(&turn);
    pthread_mutex_lock(&inside);
}

static void after_fork(void) {
    pthread_mutex_unlock(&inside);
    pthread_mutex_unlock(&turn);
}

static void watch_forks(void) {
    pthread_atfork(before_fork, after_fork, after_fork);
}

void nauha__fork_hold(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, watch_forks);
    pthread_mutex_lock(&turn);
    pthread_mutex_lock(&inside);
    pthread_mutex_unlock(&turn);
}

void nauha__fork_release(void) {
    pthread_mutex_unlock(&inside);
}
