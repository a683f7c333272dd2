/* SPDX-License-Identifier: MIT */
/* Running gnuplot, without a shell, and keeping the part of its output that says what went wrong.
 */
#include "replay/plot/gnuplot.h"

#include <errno.h>
#include <sched.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "replay/plot/pictures.h"
#include "replay/plot/terminal.h"

/* At most so many gnuplot processes run at a time. */
#define PROCESSES_MAX 64

extern char **environ;

/* The text of gnuplot's error message, without the position in the script that precedes it. */
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

static enum nauha_status what_came_of(int how, const char *script, FILE *complaints,
                                      struct nauha_error *err) {
    if (WIFEXITED(how) && WEXITSTATUS(how) == 0)
        return NAUHA_OK;
    char words[512];
    read_complaint(complaints, words, sizeof words);
    if (WIFEXITED(how) && WEXITSTATUS(how) == 127)
        return nauha_error_set(err, NAUHA_UNAVAILABLE, "cannot run gnuplot over \"%s\"", script);
    return nauha_error_set(err, NAUHA_UNAVAILABLE, "gnuplot failed over \"%s\": %s", script,
                           words[0] ? words : "it printed no reason");
}

/* Whether a child has ended; waits for its end if `wait`. *status then says how it ended. */
static bool has_ended(pid_t child, bool wait, const char *script, FILE *complaints,
                      enum nauha_status *status, struct nauha_error *err) {
    int how = 0;
    pid_t ended;
    do
        ended = waitpid(child, &how, wait ? 0 : WNOHANG);
    while (ended < 0 && errno == EINTR);
    if (ended < 0)
        *status = nauha_error_set_errno(err, errno, "cannot wait for gnuplot");
    else if (ended > 0)
        *status = what_came_of(how, script, complaints, err);
    return ended != 0;
}

static enum nauha_status wait_for(pid_t child, const char *script, FILE *complaints,
                                  struct nauha_error *err) {
    enum nauha_status status = NAUHA_OK;
    has_ended(child, true, script, complaints, &status, err);
    return status;
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

/* Commands of gnuplot that set the terminal, and draw files under temporary names. */
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

/* "name" for "./name.gp". */
static char *stem_of(const char *script) {
    const char *slash = strrchr(script, '/'), *name = slash ? slash + 1 : script;
    const char *dot = strrchr(name, '.');
    return strndup(name, dot ? (size_t)(dot - name) : strlen(name));
}

/* A running gnuplot. */
struct process {
    const char *directory, *script;
    const struct nauha_drawing *drawing;
    bool *drawn;      /* set when it succeeded; may be NULL */
    char *stem;       /* of the pictures that it draws; NULL for a terminal that writes no files */
    FILE *complaints; /* not a pipe: a window that stays open keeps the stream open */
    pid_t child;
};

static void process_fini(struct process *process) {
    if (process->complaints)
        fclose(process->complaints);
    free(process->stem);
}

static enum nauha_status start_gnuplot(struct process *process, struct nauha_error *err) {
    char setting[160], what[8192];
    write_setting(process->drawing, setting, sizeof setting);
    char *const argv[] = {(char *)"gnuplot",       (char *)"-d", (char *)"-e", setting,
                          (char *)process->script, NULL};
    process->complaints = tmpfile();
    if (!process->complaints)
        return nauha_error_set_errno(err, errno, "cannot make a temporary file");
    enum nauha_status status =
        spawn(process->directory, argv, process->complaints, &process->child);
    if (status == NAUHA_OK)
        return status;
    snprintf(what, sizeof what, "run \"gnuplot %s\" in \"%s\"", process->script,
             process->directory);
    return cannot_run(status, what, err);
}

/* Starts gnuplot with a script. If that fails, there is nothing to free. */
static enum nauha_status begin(struct process *process, struct nauha_error *err) {
    const char *term = process->drawing ? process->drawing->term : NULL;
    enum nauha_status status = NAUHA_OK;
    if (nauha_plot_makes_files(term)) {
        process->stem = stem_of(process->script);
        status = process->stem ? nauha__pictures_clear(process->directory, process->stem, term, err)
                               : nauha_error_nomem(err);
    }
    if (status == NAUHA_OK)
        status = start_gnuplot(process, err);
    if (status != NAUHA_OK)
        process_fini(process);
    return status;
}

/* Whether it has ended; waits for its end if `wait`. Then its pictures are in place, or *status
 * says why they are not, and its memory is freed. */
static bool has_finished(struct process *process, bool wait, enum nauha_status *status,
                         struct nauha_error *err) {
    if (!has_ended(process->child, wait, process->script, process->complaints, status, err))
        return false;
    if (*status == NAUHA_OK && process->stem)
        *status = nauha__pictures_place(process->directory, process->stem,
                                        process->drawing ? process->drawing->term : NULL, err);
    if (process->drawn)
        *process->drawn = *status == NAUHA_OK;
    process_fini(process);
    return true;
}

static enum nauha_status check(const char *directory, const struct nauha_drawing *drawing,
                               struct nauha_error *err) {
    struct stat info;
    enum nauha_status status =
        drawing && drawing->term ? nauha__terminal_check(drawing->term, err) : NAUHA_OK;
    if (status == NAUHA_OK && stat(directory, &info) != 0)
        return nauha_error_set_errno(err, errno, "cannot enter \"%s\"", directory);
    return status;
}

enum nauha_status nauha__gnuplot_run(const char *directory, const char *script,
                                     const struct nauha_drawing *drawing, struct nauha_error *err) {
    struct process process = {.directory = directory, .script = script, .drawing = drawing};
    enum nauha_status status = check(directory, drawing, err);
    fflush(stdout);
    if (status == NAUHA_OK)
        status = begin(&process, err);
    if (status == NAUHA_OK)
        has_finished(&process, true, &status, err);
    return status;
}

/* The processors this process may use. */
static size_t processors(void) {
    cpu_set_t set;
    const int count = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    return count < 1 ? 1 : count > PROCESSES_MAX ? PROCESSES_MAX : (size_t)count;
}

/* Removes processes that have ended from the list. status and err keep the first failure. */
static size_t collect(struct process *processes, size_t *active, enum nauha_status *status,
                      struct nauha_error *err) {
    size_t ended = 0, kept = 0;
    for (size_t i = 0; i < *active; i++) {
        enum nauha_status own = NAUHA_OK;
        struct nauha_error reason = NAUHA_ERROR_INIT;
        if (!has_finished(&processes[i], false, &own, &reason)) {
            processes[kept++] = processes[i];
            continue;
        }
        ended++;
        if (own != NAUHA_OK && *status == NAUHA_OK) {
            *status = own;
            if (err)
                *err = reason;
        }
    }
    *active = kept;
    return ended;
}

enum nauha_status nauha__gnuplot_run_all(const char *directory,
                                         const struct nauha__gnuplot_job *jobs, size_t count,
                                         nauha_progress_fn progress, void *context,
                                         struct nauha_error *err) {
    const size_t width = processors();
    const struct timespec moment = {.tv_nsec = 20000000};
    struct process processes[PROCESSES_MAX];
    size_t begun = 0, active = 0, done = 0;
    enum nauha_status status = check(directory, NULL, err);
    fflush(stdout);
    while (active > 0 || (begun < count && status == NAUHA_OK)) {
        while (active < width && begun < count && status == NAUHA_OK) {
            const struct nauha__gnuplot_job *job = &jobs[begun++];
            processes[active] = (struct process){
                .directory = directory, .script = job->script, .drawn = job->drawn};
            status = begin(&processes[active], err);
            active += status == NAUHA_OK;
        }
        const size_t ended = collect(processes, &active, &status, err);
        done += ended;
        if (progress)
            progress(context, done, count);
        if (active > 0 && ended == 0)
            nanosleep(&moment, NULL);
    }
    return status;
}
