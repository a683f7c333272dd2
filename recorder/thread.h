/* SPDX-License-Identifier: MIT */
/* Threads of the recorder's own in somebody else's process. */
#ifndef NAUHA_RECORDER_THREAD_H
#define NAUHA_RECORDER_THREAD_H

#include <pthread.h>

/* Starts one that takes no signals, which are the training's own; tools list it as `name`, of at
 * most 15 characters. Returns 0 or what pthread_create says. */
int nauha__thread_start(pthread_t *thread, const char *name, void *(*run)(void *), void *context);

#endif
