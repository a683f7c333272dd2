/* SPDX-License-Identifier: MIT */
/* Which files an output may replace, and how it takes their place; see nauha/output.h. */
#include "nauha/output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "nauha/internal/streams.h"

#define PARTIAL ".partial"

int nauha__above_streams(int fd) {
    if (fd < 0 || fd > STDERR_FILENO)
        return fd;
    int above = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    int failed = errno;
    close(fd);
    errno = failed;
    return above;
}

/* ---- what stands at a path ---- */

static bool has_form(const unsigned char *bytes, size_t count,
                     const struct nauha_output_form *form) {
    if (count < form->start_bytes || memcmp(bytes, form->start, form->start_bytes) != 0)
        return false;
    if (!form->mark)
        return true;
    size_t within = count < form->within ? count : form->within;
    return memmem(bytes, within, form->mark, strlen(form->mark)) != NULL;
}

/* Up to `size` bytes of a file's beginning; -1 where it cannot be read. */
static ssize_t read_start(const char *path, unsigned char *bytes, size_t size) {
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    ssize_t got = 0;
    size_t count = 0;
    while (fd >= 0 && count < size &&
           ((got = pread(fd, bytes + count, size - count, (off_t)count)) > 0 ||
            (got < 0 && errno == EINTR)))
        count += got > 0 ? (size_t)got : 0;
    if (fd >= 0)
        close(fd);
    return fd < 0 || got < 0 ? -1 : (ssize_t)count;
}

bool nauha_output_is(const char *path, const struct nauha_output_form *form) {
    struct stat about;
    if (stat(path, &about) != 0 || !S_ISREG(about.st_mode))
        return false;
    if (about.st_size == 0)
        return true;
    size_t size = form->start_bytes > form->within ? form->start_bytes : form->within;
    unsigned char *bytes = malloc(size + 1);
    ssize_t count = bytes ? read_start(path, bytes, size) : -1;
    bool is = count >= 0 && has_form(bytes, (size_t)count, form);
    free(bytes);
    return is;
}

static const char *noun_of(mode_t mode) {
    return S_ISDIR(mode)    ? "a directory"
           : S_ISLNK(mode)  ? "a link"
           : S_ISBLK(mode)  ? "a block device"
           : S_ISCHR(mode)  ? "a device"
           : S_ISFIFO(mode) ? "a FIFO"
                            : "a socket";
}

static enum nauha_status refuse(const struct nauha_output_request *request, const char *why,
                                struct nauha_error *err) {
    return nauha_error_set(err, NAUHA_INVALID, "cannot write to \"%s\": it is %s", request->path,
                           why);
}

static bool is_same(const struct stat *a, const struct stat *b) {
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

static bool is_input(const struct nauha_output_request *request, const struct stat *about) {
    struct stat input;
    for (size_t i = 0; i < request->input_count; i++)
        if (stat(request->inputs[i], &input) == 0 && is_same(&input, about))
            return true;
    return false;
}

static enum nauha_status check_regular(const struct nauha_output_request *request,
                                       struct nauha_error *err) {
    const struct nauha_output_form *form = request->form;
    if (form && !request->overwrite && !nauha_output_is(request->path, form))
        return nauha_error_set(
            err, NAUHA_INVALID, "\"%s\" exists and is not %s, so it is not replaced: %s",
            request->path, form->noun,
            request->named_by_us ? "choose another directory, or move the file"
                                 : "choose another name, or use the option \"overwrite\"");
    return access(request->path, W_OK) == 0
               ? NAUHA_OK
               : nauha_error_set_errno(err, errno, "cannot write to \"%s\"", request->path);
}

/* Looks at the path. *exists: there is a file, which `about` describes, with links followed. */
static enum nauha_status look(const struct nauha_output_request *request, bool *exists,
                              struct stat *about, struct nauha_error *err) {
    struct stat itself;
    *exists = lstat(request->path, &itself) == 0;
    if (!*exists)
        return errno == ENOENT
                   ? NAUHA_OK
                   : nauha_error_set_errno(err, errno, "cannot write to \"%s\"", request->path);
    if (request->named_by_us && !S_ISREG(itself.st_mode))
        return refuse(request, noun_of(itself.st_mode), err);
    if (stat(request->path, about) != 0)
        return errno == ENOENT
                   ? refuse(request, "a symbolic link to a file that does not exist", err)
                   : nauha_error_set_errno(err, errno, "cannot write to \"%s\"", request->path);
    if (is_input(request, about))
        return refuse(request, "what is read", err);
    if (S_ISREG(about->st_mode))
        return check_regular(request, err);
    return S_ISCHR(about->st_mode) || S_ISFIFO(about->st_mode)
               ? NAUHA_OK
               : refuse(request, noun_of(about->st_mode), err);
}

enum nauha_status nauha_output_check(const struct nauha_output_request *request,
                                     struct nauha_error *err) {
    struct stat about;
    bool exists;
    return look(request, &exists, &about, err);
}

/* ---- writing ---- */

static enum nauha_status start(struct nauha_output *output, int fd, const char *name,
                               struct nauha_error *err) {
    int failed = errno;
    output->stream = fd < 0 ? NULL : fdopen(fd, "w");
    if (output->stream)
        return NAUHA_OK;
    if (fd >= 0) {
        failed = errno;
        close(fd);
    }
    return nauha_error_set_errno(err, failed, "cannot write to \"%s\"", name);
}

/* Opens a temporary file in the same folder; it gets the permissions of the file that it replaces,
 * if there is one. */
static enum nauha_status open_beside(struct nauha_output *output, const char *path,
                                     const struct stat *before, struct nauha_error *err) {
    output->path = before ? realpath(path, NULL) : strdup(path);
    if (!output->path || asprintf(&output->partial, "%s" PARTIAL, output->path) < 0) {
        output->partial = NULL;
        return nauha_error_nomem(err);
    }
    const struct nauha_output_request beside = {.path = output->partial, .named_by_us = true};
    enum nauha_status status = nauha_output_check(&beside, err);
    if (status != NAUHA_OK)
        return status;
    unlink(output->partial); /* an earlier run may have left it */
    int fd = nauha__above_streams(
        open(output->partial, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666));
    if (fd >= 0 && before)
        (void)fchmod(fd, before->st_mode & 0777);
    return start(output, fd, output->partial, err);
}

/* Opens a path that is not a regular file, or that is standard output itself. */
static enum nauha_status open_through(struct nauha_output *output, const char *path, bool standard,
                                      struct nauha_error *err) {
    output->path = strdup(path);
    if (!output->path)
        return nauha_error_nomem(err);
    if (standard)
        fflush(stdout);
    int fd = standard ? fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1)
                      : nauha__above_streams(open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY));
    return start(output, fd, path, err);
}

enum nauha_status nauha_output_open(struct nauha_output *output,
                                    const struct nauha_output_request *request,
                                    struct nauha_error *err) {
    struct stat about, standard;
    bool exists;
    *output = (struct nauha_output){0};
    enum nauha_status status = look(request, &exists, &about, err);
    if (status != NAUHA_OK)
        return status;
    const bool to_standard = exists && !request->named_by_us &&
                             fstat(STDOUT_FILENO, &standard) == 0 && is_same(&about, &standard);
    status = to_standard || (exists && !S_ISREG(about.st_mode))
                 ? open_through(output, request->path, to_standard, err)
                 : open_beside(output, request->path, exists ? &about : NULL, err);
    if (status != NAUHA_OK)
        nauha_output_drop(output);
    return status;
}

static void fini(struct nauha_output *output) {
    free(output->path);
    free(output->partial);
    *output = (struct nauha_output){0};
}

int nauha_output_flush(FILE *stream) {
    errno = 0;
    if (fflush(stream) != 0)
        return errno ? errno : EIO;
    if (!ferror(stream))
        return 0;
    /* An earlier write failed. The next one fails for the same reason, which errno then tells. */
    return write(fileno(stream), "\n", 1) < 0 ? errno : EIO;
}

enum nauha_status nauha_output_finish(struct nauha_output *output, struct nauha_error *err) {
    FILE *stream = output->stream;
    output->stream = NULL;
    int failed = nauha_output_flush(stream);
    if (fclose(stream) != 0 && !failed)
        failed = errno;
    const char *name = output->partial ? output->partial : output->path;
    enum nauha_status status = NAUHA_OK;
    if (failed)
        status = nauha_error_set_errno(err, failed, "cannot write to \"%s\"", name);
    else if (output->partial && rename(output->partial, output->path) != 0)
        status = nauha_error_set_errno(err, errno, "cannot rename \"%s\" to \"%s\"",
                                       output->partial, output->path);
    if (status != NAUHA_OK && output->partial)
        unlink(output->partial);
    fini(output);
    return status;
}

void nauha_output_drop(struct nauha_output *output) {
    if (output->stream && output->partial)
        unlink(output->partial);
    nauha_output_leave(output);
}

void nauha_output_leave(struct nauha_output *output) {
    if (output->stream)
        fclose(output->stream);
    fini(output);
}
