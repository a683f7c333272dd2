/* SPDX-License-Identifier: MIT */
/* Running gnuplot: no shell, nothing of its output lost that says what went wrong. */
#include "replay/gnuplot_run.h"

#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "replay/gnuplot_pictures.h"
#include "replay/gnuplot_terminal.h"

extern char **environ;

/* The words of a complaint: the line that has "gnuplot" put its finger on, without its place. */
static void read_complaint(FILE *complaints, char *text, size_t size) {
    char line[512];
    rewind(complaints);
    text[0] = 0;
    while (fgets(line, sizeof line, complaints)) {
        char *words = strstr(line, ": ");
        if (!words || strstr(line, "warning:"))
            continue;
        words += 2;
        words[strcspn(words, "\r\n")] = 0;
        snprintf(text, size, "%s", words);
    }
}

static enum nauha_status spawn(const char *directory, char *const *argv, FILE *complaints,
                               pid_t *child) {
    posix_spawn_file_actions_t actions;
    int failed = posix_spawn_file_actions_init(&actions);
    if (failed)
        return NAUHA_NOMEM;
    failed = posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", 0, 0);
    if (!failed)
        failed = posix_spawn_file_actions_adddup2(&actions, fileno(complaints), STDERR_FILENO);
    if (!failed)
        failed = posix_spawn_file_actions_addchdir_np(&actions, directory);
    if (!failed)
        failed = posix_spawnp(child, argv[0], &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    errno = failed;
    return failed == ENOENT ? NAUHA_UNAVAILABLE : failed ? NAUHA_IO : NAUHA_OK;
}

static enum nauha_status wait_for(pid_t child, const char *script, FILE *complaints,
                                  struct nauha_error *err) {
    int how = 0;
    while (waitpid(child, &how, 0) < 0) {
        if (errno != EINTR)
            return nauha_error_set_errno(err, errno, "cannot wait for gnuplot");
    }
    if (WIFEXITED(how) && WEXITSTATUS(how) == 0)
        return NAUHA_OK;
    char words[512];
    read_complaint(complaints, words, sizeof words);
    if (WIFEXITED(how) && WEXITSTATUS(how) == 127)
        return nauha_error_set(err, NAUHA_UNAVAILABLE, "cannot run gnuplot over \"%s\"", script);
    return nauha_error_set(err, NAUHA_UNAVAILABLE, "gnuplot failed over \"%s\": %s", script,
                           words[0] ? words : "it did not say why");
}

static enum nauha_status cannot_run(enum nauha_status status, const char *what,
                                    struct nauha_error *err) {
    if (status != NAUHA_UNAVAILABLE)
        return nauha_error_set_errno(err, errno, "cannot run gnuplot");
    return nauha_error_set(err, status,
                           "gnuplot is not installed: install the package gnuplot (Debian and "
                           "Ubuntu: gnuplot-nox), then %s",
                           what);
}

enum nauha_status nauha__gnuplot_ask(const char *expression, char *text, size_t size,
                                     struct nauha_error *err) {
    char command[128];
    snprintf(command, sizeof command, "print %s", expression); /* to the error stream */
    char *const argv[] = {(char *)"gnuplot", (char *)"-d", (char *)"-e", command, NULL};
    FILE *answer = tmpfile();
    if (!answer)
        return nauha_error_set_errno(err, errno, "cannot make a temporary file");
    pid_t child = 0;
    enum nauha_status status = spawn("/", argv, answer, &child);
    if (status != NAUHA_OK)
        status = cannot_run(status, "try again", err);
    else
        status = wait_for(child, command, answer, err);
    rewind(answer);
    text[fread(text, 1, size - 1, answer)] = 0;
    fclose(answer);
    return status;
}

/* The terminal, and that files are drawn beside their places, as commands of gnuplot. */
static void write_setting(const struct nauha_drawing *drawing, char *text, size_t size) {
    size_t length = (size_t)snprintf(text, size, NAUHA__BESIDE "='" NAUHA__BESIDE_SUFFIX "'");
    if (drawing && drawing->term)
        length += (size_t)snprintf(text + length, size - length, "; term='%s'", drawing->term);
    if (!drawing)
        return;
    if (drawing->columns && length < size)
        length +=
            (size_t)snprintf(text + length, size - length, "; dumb_columns=%u", drawing->columns);
    if (drawing->lines && length < size)
        snprintf(text + length, size - length, "; dumb_lines=%u", drawing->lines);
}

static enum nauha_status run_script(const char *directory, const char *script,
                                    const struct nauha_drawing *drawing, struct nauha_error *err) {
    char setting[160], what[8192];
    write_setting(drawing, setting, sizeof setting);
    char *const argv[] = {(char *)"gnuplot", (char *)"-d",   (char *)"-e",
                          setting,           (char *)script, NULL};
    /* A file and not a pipe: a window that stays keeps its error stream open. */
    FILE *complaints = tmpfile();
    if (!complaints)
        return nauha_error_set_errno(err, errno, "cannot make a temporary file");
    fflush(stdout);
    pid_t child = 0;
    enum nauha_status status = spawn(directory, argv, complaints, &child);
    snprintf(what, sizeof what, "run \"gnuplot %s\" in \"%s\"", script, directory);
    if (status != NAUHA_OK)
        status = cannot_run(status, what, err);
    else
        status = wait_for(child, script, complaints, err);
    fclose(complaints);
    return status;
}

/* "name" for "./name.gp". */
static char *stem_of(const char *script) {
    const char *slash = strrchr(script, '/'), *name = slash ? slash + 1 : script;
    const char *dot = strrchr(name, '.');
    return strndup(name, dot ? (size_t)(dot - name) : strlen(name));
}

enum nauha_status nauha__gnuplot_run(const char *directory, const char *script,
                                     const struct nauha_drawing *drawing, struct nauha_error *err) {
    const char *term = drawing ? drawing->term : NULL;
    struct stat info;
    enum nauha_status status = term ? nauha__terminal_check(term, err) : NAUHA_OK;
    if (status != NAUHA_OK)
        return status;
    if (stat(directory, &info) != 0)
        return nauha_error_set_errno(err, errno, "cannot enter \"%s\"", directory);
    if (!nauha_plot_makes_files(term))
        return run_script(directory, script, drawing, err);
    char *stem = stem_of(script);
    if (!stem)
        return nauha_error_set(err, NAUHA_NOMEM, "out of memory");
    status = nauha__pictures_clear(directory, stem, term, err);
    if (status == NAUHA_OK)
        status = run_script(directory, script, drawing, err);
    if (status == NAUHA_OK)
        status = nauha__pictures_place(directory, stem, term, err);
    free(stem);
    return status;
}
