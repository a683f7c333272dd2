/* SPDX-License-Identifier: MIT */
/* The names of a recording's file; see naming.h.
 *
 * Threads: one at a time.
 */
#include "recorder/naming.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "nauha/internal/layout.h"
#include "nauha/internal/path.h"
#include "nauha/internal/streams.h"
#include "nauha/output.h"

#define UNTRAINED ".untrained"
#define OLDER ".old"

/* A trace is recognised by the name of its format in an attribute of the root, which is written
 * when the file is created. */
static const struct nauha_output_form trace_form = {.noun = "a trace of nauha",
                                                    .start = "\x89HDF\r\n\x1a\n",
                                                    .start_bytes = 8,
                                                    .mark = NAUHA__FORMAT_NAME,
                                                    .within = 1u << 20};

/* ---- one writer at a time ---- */

enum lock { LOCK_FREE, LOCK_TAKEN, LOCK_UNKNOWN };

static enum nauha_status busy(const char *path, struct nauha_error *err) {
    return nauha_error_set(err, NAUHA_BUSY, "trace \"%s\" is being written by another recorder",
                           path);
}

static struct flock lock_of(short type) {
    return (struct flock){
        .l_type = type, .l_whence = SEEK_SET, .l_start = NAUHA__LOCK_BYTE, .l_len = 1};
}

/* Whether a recorder is writing a file; UNKNOWN where the file system knows no locks. */
static enum lock look_at_lock(const char *path) {
    struct flock lock = lock_of(F_RDLCK);
    int fd = nauha__above_streams(open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (fd < 0)
        return LOCK_UNKNOWN;
    bool known = fcntl(fd, F_OFD_GETLK, &lock) == 0;
    close(fd);
    return !known ? LOCK_UNKNOWN : lock.l_type == F_UNLCK ? LOCK_FREE : LOCK_TAKEN;
}

enum nauha_status nauha__naming_take(struct nauha__naming *naming, int fd,
                                     struct nauha_error *err) {
    struct stat about;
    struct flock lock = lock_of(F_WRLCK);
    if (fcntl(fd, F_OFD_SETLK, &lock) != 0 && (errno == EAGAIN || errno == EACCES))
        return busy(naming->path, err);
    if (fstat(fd, &about) != 0)
        return nauha_error_set_errno(err, errno, "cannot create trace \"%s\"", naming->path);
    naming->device = about.st_dev;
    naming->inode = about.st_ino;
    return NAUHA_OK;
}

/* ---- the names ---- */

static enum nauha_status cannot(const char *path, struct nauha_error *err) {
    return nauha_error_set_errno(err, errno, "cannot create trace \"%s\"", path);
}

/* The absolute path, because the program may change its working directory before the file gets its
 * name. */
static enum nauha_status resolve(struct nauha__naming *naming, const char *path,
                                 struct nauha_error *err) {
    struct stat itself;
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    if (lstat(path, &itself) == 0) {
        naming->path = realpath(path, NULL);
        if (naming->path)
            return NAUHA_OK;
        return errno == ENOENT ? nauha_error_set(err, NAUHA_INVALID,
                                                 "cannot create trace \"%s\": it is a symbolic "
                                                 "link to a file that does not exist",
                                                 path)
                               : cannot(path, err);
    }
    char *folder = slash ? strndup(path, (size_t)(name - path)) : strdup(".");
    char *real = folder && *name ? realpath(folder, NULL) : NULL;
    if (real)
        naming->path = nauha__path(real, "%s", name);
    enum nauha_status status = real ? NAUHA_OK : cannot(path, err);
    free(folder);
    free(real);
    return status;
}

/* Whether the file system accepts all of the names. */
static enum nauha_status check_length(const char *path, struct nauha_error *err) {
    const size_t most = NAME_MAX - strlen(UNTRAINED), length = strlen(strrchr(path, '/') + 1);
    if (length <= most && strlen(path) < PATH_MAX - strlen(UNTRAINED))
        return NAUHA_OK;
    return nauha_error_set(err, NAUHA_INVALID,
                           "cannot create trace \"%.80s...\": its name is too long, by %zu bytes "
                           "for a name of at most %zu",
                           path, length > most ? length - most : (size_t)1, most);
}

/* ---- what is there ---- */

static enum nauha_status not_a_trace(const struct nauha__naming *naming, struct nauha_error *err) {
    return nauha_error_set(err, NAUHA_INVALID,
                           "\"%s\" exists and is not %s, so it is not replaced: choose another "
                           "name, or use the option \"overwrite\"",
                           naming->path, trace_form.noun);
}

static enum nauha_status check_older(const struct nauha__naming *naming, struct nauha_error *err) {
    struct stat about;
    if (lstat(naming->older, &about) != 0 && errno == ENOENT)
        return NAUHA_OK;
    if (S_ISREG(about.st_mode) && nauha_output_is(naming->older, &trace_form))
        return NAUHA_OK;
    return nauha_error_set(
        err, NAUHA_INVALID,
        "cannot keep the old trace \"%s\" as \"%s\", which exists and is not %s: move that file, "
        "or use the option \"overwrite\", which keeps neither",
        naming->path, naming->older, trace_form.noun);
}

/* *occupied: there is something other than an empty file; *keeps: it is to be kept. */
static enum nauha_status check(const struct nauha__naming *naming, bool *occupied, bool *keeps,
                               struct nauha_error *err) {
    struct stat about;
    *occupied = *keeps = false;
    if (stat(naming->path, &about) != 0)
        return errno == ENOENT ? NAUHA_OK : cannot(naming->path, err);
    if (!S_ISREG(about.st_mode))
        return nauha_error_set(
            err, NAUHA_INVALID, "cannot create trace \"%s\": %s; a trace is a regular file",
            naming->path,
            S_ISDIR(about.st_mode) ? "it is a directory" : "it is a device, a FIFO or a socket");
    if (!naming->overwrite && !nauha_output_is(naming->path, &trace_form))
        return not_a_trace(naming, err);
    if (look_at_lock(naming->path) == LOCK_TAKEN)
        return busy(naming->path, err);
    if (access(naming->path, W_OK) != 0)
        return nauha_error_set_errno(err, errno, "cannot replace \"%s\"", naming->path);
    *occupied = about.st_size > 0;
    *keeps = *occupied && !naming->overwrite;
    return *keeps ? check_older(naming, err) : NAUHA_OK;
}

enum nauha_status nauha__naming_init(struct nauha__naming *naming, const char *path,
                                     const struct nauha_recorder_config *config,
                                     struct nauha_error *err) {
    bool occupied, keeps;
    *naming = (struct nauha__naming){.overwrite = config->overwrite, .sync = config->flush_sync};
    enum nauha_status status = resolve(naming, path, err);
    if (status != NAUHA_OK)
        return status;
    if (!naming->path || asprintf(&naming->beside, "%s" UNTRAINED, naming->path) < 0 ||
        asprintf(&naming->older, "%s" OLDER, naming->path) < 0)
        return nauha_error_set(err, NAUHA_NOMEM, "no memory to create trace \"%s\"", path);
    status = check_length(naming->path, err);
    if (status == NAUHA_OK)
        status = check(naming, &occupied, &keeps, err);
    naming->waits = config->tentative || (status == NAUHA_OK && occupied);
    return status;
}

void nauha__naming_fini(struct nauha__naming *naming) {
    free(naming->path);
    free(naming->beside);
    free(naming->older);
    *naming = (struct nauha__naming){0};
}

/* ---- from name to name ---- */

/* A leftover is at most the beginning of a trace: empty, all zeros, or with HDF5's signature. */
static bool is_leftover(const char *path) {
    const struct nauha_output_form begun[] = {
        {.start = trace_form.start, .start_bytes = trace_form.start_bytes},
        {.start = "\0\0\0\0\0\0\0\0", .start_bytes = 8}};
    return nauha_output_is(path, &begun[0]) || nauha_output_is(path, &begun[1]);
}

static enum nauha_status check_beside(const struct nauha__naming *naming, struct nauha_error *err) {
    struct stat about;
    const char *path = naming->beside;
    if (lstat(path, &about) != 0)
        return errno == ENOENT ? NAUHA_OK : cannot(path, err);
    if (!S_ISREG(about.st_mode) || !is_leftover(path))
        return nauha_error_set(err, NAUHA_INVALID,
                               "cannot create \"%s\", which exists and is not %s: move it", path,
                               trace_form.noun);
    enum lock lock = look_at_lock(path);
    if (lock == LOCK_TAKEN)
        return busy(naming->path, err);
    if (lock == LOCK_UNKNOWN)
        return nauha_error_set(err, NAUHA_BUSY,
                               "\"%s\" may belong to another recorder, and this file system does "
                               "not show whether it is running: if it is not, remove the file",
                               path);
    return NAUHA_OK;
}

/* Found out by creating a file in the directory and removing it. */
enum nauha_status nauha__naming_check(const struct nauha__naming *naming, struct nauha_error *err) {
    enum nauha_status status = nauha__naming_clear(naming, err);
    if (status != NAUHA_OK)
        return status;
    int fd = open(naming->beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return cannot(naming->path, err);
    close(fd);
    return unlink(naming->beside) == 0 ? NAUHA_OK : cannot(naming->path, err);
}

enum nauha_status nauha__naming_clear(const struct nauha__naming *naming, struct nauha_error *err) {
    enum nauha_status status = check_beside(naming, err);
    if (status != NAUHA_OK)
        return status;
    return unlink(naming->beside) == 0 || errno == ENOENT ? NAUHA_OK : cannot(naming->path, err);
}

/* After a loss of power, a new name exists only if its directory was written to the disk. Some file
 * systems cannot sync directories, and then nothing more can be done. */
static void sync_directory(const char *path) {
    char *directory = strndup(path, (size_t)(strrchr(path, '/') - path) + 1);
    int fd = directory ? open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (fd >= 0) {
        fsync(fd);
        close(fd);
    }
    free(directory);
}

static bool is_own(const struct nauha__naming *naming, const char *path) {
    struct stat about;
    return lstat(path, &about) == 0 && about.st_dev == naming->device &&
           about.st_ino == naming->inode;
}

/* Gives the trace a second name first, so that it always has one. On file systems without hard
 * links it is renamed. */
static enum nauha_status keep_older(struct nauha__naming *naming, struct nauha_error *err) {
    unlink(naming->older);
    naming->kept =
        link(naming->path, naming->older) == 0 || rename(naming->path, naming->older) == 0;
    return naming->kept ? NAUHA_OK
                        : nauha_error_set_errno(err, errno, "cannot rename \"%s\" to \"%s\"",
                                                naming->path, naming->older);
}

enum nauha_status nauha__naming_settle(struct nauha__naming *naming, struct nauha_error *err) {
    bool occupied, keeps;
    if (naming->settled)
        return NAUHA_OK;
    naming->settled = true; /* also after a failure; it keeps its name and its contents */
    enum nauha_status status = check(naming, &occupied, &keeps, err);
    if (status == NAUHA_OK && !is_own(naming, naming->beside))
        status = nauha_error_set(err, NAUHA_IO, "\"%s\" was replaced by another program",
                                 naming->beside);
    if (status == NAUHA_OK && keeps)
        status = keep_older(naming, err);
    if (status == NAUHA_OK && rename(naming->beside, naming->path) != 0)
        status = nauha_error_set_errno(err, errno, "cannot rename \"%s\" to \"%s\"", naming->beside,
                                       naming->path);
    if (status == NAUHA_OK && naming->sync)
        sync_directory(naming->path);
    return status == NAUHA_OK
               ? status
               : nauha_error_wrap(err, status, "the recording is called \"%s\"", naming->beside);
}

const char *nauha__naming_now(const struct nauha__naming *naming) {
    return is_own(naming, naming->path) ? naming->path : naming->beside;
}

void nauha__naming_remove(const struct nauha__naming *naming) {
    const char *path = nauha__naming_now(naming);
    if (is_own(naming, path))
        unlink(path);
}
