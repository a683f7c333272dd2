/* SPDX-License-Identifier: MIT */
/* The names of a recording's file: the one it is written under, the one it gets in the end, and the
 * one that an older trace of that name gets.
 *
 * Until the recording is settled, its file is called PATH.untrained. If nothing is at PATH, it is
 * settled as soon as it is set up, so that readers can follow it by its name. Otherwise it is
 * settled when it holds a step; then the older trace is renamed to PATH.old, unless it is to be
 * overwritten. So no interruption replaces a trace by an empty recording. On file systems without
 * locks, nothing here removes a file that another recorder may be writing.
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
    char *path;   /* the final name: absolute, links followed */
    char *beside; /* the name until it is settled */
    char *older;  /* the new name of an older trace */
    bool overwrite, sync;
    bool waits; /* it is settled when it holds a step */
    bool settled;
    bool kept; /* an older trace has been renamed to `older` */
    dev_t device;
    ino_t inode; /* of the recording's own file */
};

/* Resolves the names and checks what is at them. INVALID: something that is no trace, or no regular
 * file. BUSY: a recorder is writing it. IO, NOMEM. Release with nauha__naming_fini, also after a
 * failure. */
enum nauha_status nauha__naming_init(struct nauha__naming *naming, const char *path,
                                     const struct nauha_recorder_config *config,
                                     struct nauha_error *err);
void nauha__naming_fini(struct nauha__naming *naming);

/* Whether a file could be made at `beside` now. BUSY, INVALID, IO. */
enum nauha_status nauha__naming_check(const struct nauha__naming *naming, struct nauha_error *err);
/* Removes the file at `beside` that a killed recording may have left. BUSY, INVALID, IO. */
enum nauha_status nauha__naming_clear(const struct nauha__naming *naming, struct nauha_error *err);

/* Takes fd, the open file at `beside`, as the recording's file and locks it. BUSY, IO. */
enum nauha_status nauha__naming_take(struct nauha__naming *naming, int fd, struct nauha_error *err);

/* Gives the file its final name, once. After a failure it keeps the present one. */
enum nauha_status nauha__naming_settle(struct nauha__naming *naming, struct nauha_error *err);

/* The name that the file has now. */
const char *nauha__naming_now(const struct nauha__naming *naming);

/* Removes the file, settled or not, if it is still the one that this recording made. */
void nauha__naming_remove(const struct nauha__naming *naming);

#endif
