/* SPDX-License-Identifier: MIT */
/* The threads that the recorder starts in the process of a training.
 *
 * Threads: any thread.
 */
#ifndef NAUHA_RECORDER_THREAD_H
#define NAUHA_RECORDER_THREAD_H

#include <pthread.h>

/* Starts a thread that receives no signals, because these are the training's. `name`, of at most 15
 * characters, is what tools such as top show. Returns 0 or the error number of pthread_create. */
int nauha__thread_start(pthread_t *thread, const char *name, void *(*run)(void *), void *context);

/* Between these two calls a fork of the process waits. A child has only the thread that forked, so
 * a lock that another thread held during the fork, such as HDF5's, would stay locked in the child
 * for ever. */
void nauha__fork_hold(void);
void nauha__fork_release(void);

#endif
