/* SPDX-License-Identifier: MIT */
/* Threads of the recorder's own in somebody else's process. */
#ifndef NAUHA_RECORDER_THREAD_H
#define NAUHA_RECORDER_THREAD_H

#include <pthread.h>

/* Starts one that takes no signals, which are the training's own; tools list it as `name`, of at
 * most 15 characters. Returns 0 or what pthread_create says. */
int nauha__thread_start(pthread_t *thread, const char *name, void *(*run)(void *), void *context);

/* Between these two nobody forks: a child has only the thread that forked, so that a lock which
 * another one held then, such as HDF5's, stays locked in it for ever. A fork waits for the end. */
void nauha__fork_hold(void);
void nauha__fork_release(void);

#endif
