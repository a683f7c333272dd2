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

enum nauha_status nauha__gnuplot_run(const char *directory, const char *script, const char *term,
                                     struct nauha_error *err) {
    char setting[64];
    /* The name ends up in a gnuplot command: letters and digits only. */
    if (term &&
        (!term[0] || strlen(term) > 32 ||
         term[strspn(term, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")]))
        return nauha_error_set(err, NAUHA_INVALID, "\"%s\" is not the name of a terminal", term);
    snprintf(setting, sizeof setting, "term='%s'", term ? term : "");
    struct stat info;
    if (stat(directory, &info) != 0)
        return nauha_error_set_errno(err, errno, "cannot enter \"%s\"", directory);
    char *const plain[] = {(char *)"gnuplot", (char *)"-d", (char *)script, NULL};
    char *const with_term[] = {(char *)"gnuplot", (char *)"-d",   (char *)"-e",
                               setting,           (char *)script, NULL};
    /* A file and not a pipe: a window that stays keeps its error stream open. */
    FILE *complaints = tmpfile();
    if (!complaints)
        return nauha_error_set_errno(err, errno, "cannot make a temporary file");
    fflush(stdout);
    pid_t child = 0;
    enum nauha_status status = spawn(directory, term ? with_term : plain, complaints, &child);
    if (status == NAUHA_UNAVAILABLE)
        nauha_error_set(err, status,
                        "gnuplot is not installed: install the package gnuplot (Debian and Ubuntu: "
                        "gnuplot-nox), then run \"gnuplot %s\" in \"%s\"",
                        script, directory);
    else if (status != NAUHA_OK)
        status = nauha_error_set_errno(err, errno, "cannot run gnuplot");
    else
        status = wait_for(child, script, complaints, err);
    fclose(complaints);
    return status;
}
