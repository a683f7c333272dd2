/* SPDX-License-Identifier: MIT */
/* The names of a recording's file: under which it is written, when it gets the one it is to have,
 * and what becomes of the trace that has had that name.
 *
 * Until a recording is settled its file is called PATH.untrained. Where nothing is at PATH it is
 * settled as soon as it is set up, so that readers can follow it by its name. Else it waits until
 * it holds a step, and then the trace that was there becomes PATH.old, unless it is to be
 * overwritten. So whatever ends a recording, there is no moment in which a trace is lost for
 * another that holds nothing. Where the file system knows no locks, nothing here removes what
 * another recorder may be writing.
 *
 * Threads: one at a time.
 */
#ifndef NAUHA_RECORDER_NAMING_H
#define NAUHA_RECORDER_NAMING_H

#include <stdbool.h>
#include <sys/types.h>

#include "nauha/status.h"
#include "recorder/config.h"

struct nauha__naming {
    char *path;   /* the name it is to have: absolute, links followed */
    char *beside; /* until it is settled */
    char *older;  /* of the trace that was there */
    bool overwrite, sync;
    bool waits; /* it is settled later than as soon as it is set up */
    bool settled;
    bool kept; /* a trace that was there is called `older` now */
    dev_t device;
    ino_t inode; /* of the recording's own file */
};

/* Resolves the names and checks what is there. INVALID: no trace, or no regular file. BUSY: a
 * recorder is writing it. IO, NOMEM. Released with fini, also after a failure. */
enum nauha_status nauha__naming_init(struct nauha__naming *naming, const char *path,
                                     const struct nauha_recorder_config *config,
                                     struct nauha_error *err);
void nauha__naming_fini(struct nauha__naming *naming);

/* Whether a file could be made at `beside` now. BUSY, INVALID, IO. */
enum nauha_status nauha__naming_check(const struct nauha__naming *naming, struct nauha_error *err);
/* Makes room for it, where a recording that was killed may have left its own.
 * BUSY, INVALID, IO. */
enum nauha_status nauha__naming_clear(const struct nauha__naming *naming, struct nauha_error *err);

/* Takes the open file at `beside` for the recording's own, locked from here on. BUSY, IO. */
enum nauha_status nauha__naming_take(struct nauha__naming *naming, int fd, struct nauha_error *err);

/* Gives the file its name, once. After a failure it keeps the one that it has. */
enum nauha_status nauha__naming_settle(struct nauha__naming *naming, struct nauha_error *err);

/* The name that the file has now. */
const char *nauha__naming_now(const struct nauha__naming *naming);

/* Removes the file, settled or not, if it still is the recording's own. */
void nauha__naming_remove(const struct nauha__naming *naming);

#endif
