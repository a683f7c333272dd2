/* SPDX-License-Identifier: MIT */
/* nauha record: runs a program, in which a start-up hook of Python makes PyTorch trainings record
 * themselves, and then says what was recorded. */
#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "nauha/recorder.h"
#include "nauha/selector.h"
#include "nauha/trace.h"
#include "tools/commands/descendants.h"
#include "tools/commands/estimate.h"
#include "tools/commands/marks.h"
#include "tools/commands/metrics.h"
#include "tools/commands/opened.h"
#include "tools/commands/python_package.h"
#include "tools/commands/recording.h"
#include "tools/cli/path.h"
#include "tools/cli/terminal.h"

/* As shells answer for a program that cannot be run. */
enum { EXIT_NOT_EXECUTABLE = 126, EXIT_NOT_FOUND = 127 };

static const struct nauha_option record_table[] = {
    {"output", 'o', "TRACE", NULL,
     "write the trace to this file; with several ranks, rank N writes TRACE.rankN"},
    {"step-by", 0, "auto|forward|optimizer", "auto",
     "a step is one forward pass of the model, or lasts until the optimizers of all models that "
     "ran "
     "have stepped; auto chooses optimizer if there is one"},
    {"rule", 0, "SPEC", NULL, "check this health rule during the training; may be repeated"},
    {"stop-on", 0, "RULE[,RULE]", NULL,
     "end the program with exit code 1 when one of these rules finds something"},
    {"estimate", 0, "STEPS", NULL,
     "do not record; measure the first STEPS steps, end the program, and print what recording "
     "would cost"},
    {"evaluation", 0, "TAG", NULL,
     "record evaluations under this tag, such as testing: outputs, labels and losses of passes in "
     "evaluation mode without gradients"},
};
OPTION_GROUP(record_options, "Output", record_table);

/* The process id of the program, for the signal handler; 0 after it has ended, while this process
 * waits for those that it left running. */
static volatile sig_atomic_t child, waiting_ended;

/* Passes a signal on to the program. Signals of the terminal have reached it already, because they
 * go to the whole foreground process group. */
static void pass_on(int number, siginfo_t *info, void *context) {
    (void)context;
    if (child == 0)
        waiting_ended = 1;
    else if (child > 0 && info->si_code <= 0)
        kill((pid_t)child, number);
}

static const int passed_on[] = {SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2};
#define PASSED_ON (sizeof passed_on / sizeof *passed_on)

/* ---- what the hook is told ---- */

/* Rules are added to those that were given before; of other options the last value counts. */
static enum nauha_status add_option(cJSON *options, const struct given *given,
                                    struct nauha_error *err) {
    const char *name = given->option->name, *value = given->value ? given->value : "yes";
    const cJSON *earlier = cJSON_GetObjectItemCaseSensitive(options, name);
    char *text = NULL;
    if (earlier && (strcmp(name, "full") == 0 || strcmp(name, "fingerprint") == 0) &&
        asprintf(&text, "%s; %s", earlier->valuestring, value) < 0)
        return nauha_error_nomem(err);
    cJSON *added = cJSON_CreateString(text ? text : value);
    free(text);
    cJSON_DeleteItemFromObjectCaseSensitive(options, name);
    return cJSON_AddItemToObject(options, name, added) ? NAUHA_OK : nauha_error_nomem(err);
}

/* Checks the options here, where errors are usage errors, and whether a trace can be created. The
 * arguments of the program are not checked: they may be file names of its own. */
static int check_options(const struct invocation *invocation, const char *trace, cJSON *options) {
    struct nauha_error err = NAUHA_ERROR_INIT;
    struct nauha_recorder_config *config = nauha_recorder_config_new();
    enum nauha_status status = config ? NAUHA_OK : nauha_error_nomem(&err);
    for (size_t i = 0; i < invocation->given_count && status == NAUHA_OK; i++) {
        const struct given *given = &invocation->given[i];
        if (!nauha__is_recording_option(given->option))
            continue;
        status = nauha_recorder_config_set(config, given->option->name, given->value, &err);
        if (status == NAUHA_OK)
            status = add_option(options, given, &err);
    }
    if (status == NAUHA_OK)
        status = nauha__check_recorded_kinds(invocation, &err);
    if (status == NAUHA_OK)
        status = nauha__recording_check(trace, config, invocation->arguments,
                                        invocation->argument_count, &err);
    nauha_recorder_config_free(config);
    return status == NAUHA_OK ? EXIT_FINE : nauha__fail(&err);
}

/* The absolute path of the trace. */
static int resolve_output(const char *output, char path[PATH_MAX]) {
    char directory[PATH_MAX], real[PATH_MAX];
    const char *slash = strrchr(output, '/');
    const char *name = slash ? slash + 1 : output;
    snprintf(directory, sizeof directory, "%.*s", slash ? (int)(name - output) : 1,
             slash ? output : ".");
    if (realpath(directory, real) && nauha__write_path(path, PATH_MAX, real, "%s", name))
        return EXIT_FINE;
    fprintf(stderr, "nauha: cannot write to \"%s\": %s\n", output, strerror(errno));
    return EXIT_FAILED;
}

static int check_step(const struct invocation *invocation, cJSON *settings) {
    const char *step = nauha__get(invocation, "step-by", "auto");
    if (strcmp(step, "auto") != 0 && strcmp(step, "forward") != 0 && strcmp(step, "optimizer") != 0)
        return nauha__usage(invocation->command,
                            "\"%s\" is not a value of \"step-by\": expected one of auto, forward, "
                            "optimizer",
                            step);
    cJSON_AddStringToObject(settings, "step", step);
    return EXIT_FINE;
}

/* The rules, which are checked here, where errors are usage errors. */
static int add_rules(const struct invocation *invocation, cJSON *settings) {
    struct nauha_error err = NAUHA_ERROR_INIT;
    if (nauha__metrics_check(invocation, &err) != NAUHA_OK)
        return nauha__fail(&err);
    cJSON *rules = cJSON_AddArrayToObject(settings, "rules");
    for (size_t i = 0; i < invocation->given_count; i++) {
        if (strcmp(invocation->given[i].option->name, "rule") == 0)
            cJSON_AddItemToArray(rules, cJSON_CreateString(invocation->given[i].value));
    }
    cJSON *names = cJSON_AddArrayToObject(settings, "stop_on");
    char *list = strdup(nauha__get(invocation, "stop-on", "")), *rest = NULL;
    for (char *name = list ? strtok_r(list, ",", &rest) : NULL; name;
         name = strtok_r(NULL, ",", &rest))
        cJSON_AddItemToArray(names, cJSON_CreateString(name));
    free(list);
    return EXIT_FINE;
}

static void end_after(cJSON *settings, cJSON *options, uint64_t steps) {
    char selection[32];
    cJSON_DeleteItemFromObjectCaseSensitive(options, "first-step"); /* the first ones are meant */
    snprintf(selection, sizeof selection, ":%" PRIu64, steps);
    cJSON_AddStringToObject(options, "steps", selection);
    cJSON_AddNumberToObject(settings, "estimate", (double)steps);
}

static int check_evaluation(const struct invocation *invocation, cJSON *settings) {
    const char *tag = nauha__get(invocation, "evaluation", NULL);
    if (tag && (!*tag || strlen(tag) > NAUHA_NAME_MAX || strcmp(tag, "default") == 0))
        return nauha__usage(
            invocation->command,
            "\"%.40s\" is not a value of \"evaluation\": expected a word of 1 to %u "
            "characters other than \"default\"",
            tag, NAUHA_NAME_MAX);
    if (tag)
        cJSON_AddStringToObject(settings, "evaluation", tag);
    return EXIT_FINE;
}

static void add_command(const struct invocation *invocation, cJSON *settings) {
    char command[8192] = "";
    for (size_t i = 0; i < invocation->argument_count; i++) {
        const size_t used = strlen(command);
        snprintf(command + used, sizeof command - used, "%s%s", i ? " " : "",
                 invocation->arguments[i]);
    }
    cJSON_AddStringToObject(settings, "command", command);
}

/* Sets the environment for all Python processes of the program. estimate: number of steps after
 * which to end, 0 for none. */
static int set_environment(const struct invocation *invocation, const struct marks *marks,
                           const char *trace, uint64_t estimate, char output[PATH_MAX]) {
    char package[PATH_MAX], hook[PATH_MAX + 16];
    cJSON *settings = cJSON_CreateObject();
    cJSON *options = cJSON_AddObjectToObject(settings, "options");
    int code = check_options(invocation, trace, options);
    if (code == EXIT_FINE)
        code = check_step(invocation, settings);
    if (code == EXIT_FINE)
        code = add_rules(invocation, settings);
    if (code == EXIT_FINE)
        code = check_evaluation(invocation, settings);
    if (code == EXIT_FINE)
        code = resolve_output(trace, output);
    if (code == EXIT_FINE && !nauha__python_directory(package, sizeof package))
        code = EXIT_FAILED;
    if (code == EXIT_FINE) {
        add_command(invocation, settings);
        cJSON_AddStringToObject(settings, "output", output);
        cJSON_AddStringToObject(settings, "package", package);
        cJSON_AddStringToObject(settings, "status", marks->path);
        cJSON_AddStringToObject(settings, "status_link", marks->link);
        cJSON_AddBoolToObject(settings, "quiet", invocation->quiet);
        if (estimate)
            end_after(settings, options, estimate);
        char *text = cJSON_PrintUnformatted(settings);
        nauha__write_path(hook, sizeof hook, package, "nauha/hook");
        if (!text || setenv("NAUHA_RECORD", text, 1) != 0 || !nauha__python_path_prepend(hook))
            code = nauha__fail_nomem();
        cJSON_free(text);
    }
    cJSON_Delete(settings);
    return code;
}

/* ---- running the program ---- */

/* Executes the program; writes errno to the pipe if that fails. */
static void become(const struct invocation *invocation, int failure, pid_t parent) {
    /* A user who kills the recorder with SIGKILL means the program. */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(EXIT_FAILED);
    signal(SIGPIPE, SIG_DFL);
    execvp(invocation->arguments[0], (char *const *)invocation->arguments);
    const int why = errno;
    const ssize_t written = write(failure, &why, sizeof why);
    _exit(written == (ssize_t)sizeof why ? EXIT_NOT_FOUND : EXIT_FAILED);
}

/* Installs handlers that pass signals on to the program, and saves the previous ones. */
static void pass_signals_on(struct sigaction before[]) {
    const struct sigaction action = {.sa_sigaction = pass_on, .sa_flags = SA_SIGINFO | SA_RESTART};
    for (size_t i = 0; i < PASSED_ON; i++) {
        sigaction(passed_on[i], NULL, &before[i]);
        if (before[i].sa_handler != SIG_IGN) /* set by nohup; the program inherits it */
            sigaction(passed_on[i], &action, NULL);
    }
}

/* The wait status of the program. *why: errno if it could not be started, read from the pipe. */
static int wait_for_program(pid_t pid, int failure, int *why) {
    int status = 0;
    pid_t ended; /* may be an orphan */
    if (read(failure, why, sizeof *why) != (ssize_t)sizeof *why)
        *why = 0;
    do
        ended = waitpid(-1, &status, 0);
    while (ended != pid && (ended >= 0 || errno == EINTR));
    return status;
}

/* Starts the program and waits for its end; from then on signals are caught. Returns its wait
 * status, or -1 with *code set. */
static int run_program(const struct invocation *invocation, int *code) {
    int ends[2], why = 0, status = 0;
    if (pipe2(ends, O_CLOEXEC) != 0) {
        fprintf(stderr, "nauha: cannot make a pipe: %s\n", strerror(errno));
        *code = EXIT_FAILED;
        return -1;
    }
    struct sigaction before[PASSED_ON];
    sigset_t blocked, open;
    sigemptyset(&blocked);
    for (size_t i = 0; i < PASSED_ON; i++)
        sigaddset(&blocked, passed_on[i]);
    sigprocmask(SIG_BLOCK, &blocked, &open);
    pass_signals_on(before);
    nauha__descendants_adopt();
    const pid_t parent = getpid(), pid = fork();
    if (pid == 0) {
        for (size_t i = 0; i < PASSED_ON; i++)
            sigaction(passed_on[i], &before[i], NULL);
        sigprocmask(SIG_SETMASK, &open, NULL);
        become(invocation, ends[1], parent);
    }
    child = pid > 0 ? pid : -1;
    sigprocmask(SIG_SETMASK, &open, NULL);
    close(ends[1]);
    if (pid < 0)
        why = errno;
    else
        status = wait_for_program(pid, ends[0], &why);
    child = 0;
    close(ends[0]);
    if (!why)
        return status;
    fprintf(stderr, "nauha: cannot run \"%s\": %s\n", invocation->arguments[0], strerror(why));
    *code = why == ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE;
    return -1;
}

/* ---- what it leaves running ---- */

/* Whether a process that is left running is recording. If no process has recorded anything yet and
 * the program succeeded, it has only started the training in the background: sh -c "python3
 * train.py &". */
static bool goes_on(const struct marks *marks, bool ended_well) {
    struct mark mark;
    size_t position = 0;
    bool recorded = nauha__marks_have(marks, "failed", 0);
    while (nauha__marks_next(marks, "trace", &position, &mark)) {
        recorded = true;
        if (!nauha__marks_have(marks, "done", mark.process) && nauha__is_descendant(mark.process))
            return true;
    }
    if (recorded || !ended_well)
        return false;
    position = 0; /* it has imported torch and ended: it trained nothing */
    while (nauha__marks_next(marks, "torch", &position, &mark)) {
        if (!nauha__is_descendant(mark.process))
            return false;
    }
    return true;
}

/* Waits for recordings in processes that the program has left running, but not for other processes,
 * such as servers. */
static void wait_for_recordings(const struct invocation *invocation, struct marks *marks,
                                bool ended_well) {
    const struct timespec pause = {0, 50000000};
    bool noted = invocation->quiet;
    while (nauha__descendants_left() && !waiting_ended) {
        nauha__marks_read(marks);
        if (!goes_on(marks, ended_well))
            return;
        if (!noted)
            fprintf(stderr,
                    "nauha: the program has ended, but processes that it started are still being "
                    "recorded; nauha waits for them (Ctrl-C ends the waiting, not the training)\n");
        noted = true;
        nanosleep(&pause, NULL);
    }
    nauha__marks_read(marks);
    if (waiting_ended && !invocation->quiet)
        fprintf(stderr, "nauha: processes that the program started are still being recorded; "
                        "\"nauha info\" shows their progress\n");
}

/* ---- what came of it ---- */

static void tell_trace(const char *path) {
    struct nauha_error err = NAUHA_ERROR_INIT;
    struct nauha_names *names = nauha_names_new();
    struct nauha_trace *trace = NULL;
    if (!names || nauha_trace_open(path, names, &trace, &err) != NAUHA_OK) {
        fprintf(stderr, "nauha: %s\n", names ? err.message : "out of memory");
    } else {
        struct nauha_trace_info info;
        char messages[32], steps[32], published[32], stored[32];
        nauha_trace_get_info(trace, &info);
        fprintf(stderr, "nauha: %s: %s messages of %s step%s, %s, stored in %s\n", path,
                nauha__count_text(info.messages, messages), nauha__count_text(info.steps, steps),
                info.steps == 1 ? "" : "s", nauha__size_text(info.bytes_published, published),
                nauha__size_text(info.bytes_stored, stored));
        if (!info.closed)
            fprintf(stderr,
                    "nauha: %s was not closed, so it ends with the last flush before the program "
                    "ended\n",
                    path);
        if (info.failure[0]) /* the training reported that when it happened */
            fprintf(stderr, "nauha: %s is not complete: the recorder had to stop\n", path);
        if (info.messages_lost)
            nauha__warn_of_losses(trace, names, &info);
    }
    nauha_trace_close(trace);
    nauha_names_free(names);
}

/* Describes the file at the output path, to find out later whether it was replaced or changed. */
struct before {
    struct stat file;
    bool there;
};

static bool is_changed(const char *output, const struct before *before) {
    struct stat now;
    if (stat(output, &now) != 0)
        return false;
    return !before->there || now.st_ino != before->file.st_ino ||
           now.st_mtim.tv_sec != before->file.st_mtim.tv_sec ||
           now.st_mtim.tv_nsec != before->file.st_mtim.tv_nsec;
}

/* Whether a process has imported torch and did not report its end. */
static bool is_untold(const struct marks *marks) {
    struct mark mark;
    size_t position = 0;
    while (nauha__marks_next(marks, "torch", &position, &mark)) {
        if (!nauha__marks_have(marks, "done", mark.process))
            return true;
    }
    return false;
}

/* Why there is no trace. */
static void tell_nothing(const struct marks *marks, const char *output, bool is_sample) {
    char torchless[PATH_MAX + 200];
    struct mark mark = {.text = ""};
    size_t position = 0;
    const bool lacks_torch = nauha__marks_next(marks, "torchless", &position, &mark);
    snprintf(torchless, sizeof torchless,
             "the program ran under \"%s\", which has no torch (PyTorch): use a Python that has "
             "it, as in \"nauha record -o run.h5 -- venv/bin/python3 train.py\", or install "
             "PyTorch in this one",
             mark.text);
    const char *why =
        is_untold(marks)
            ? "a process that imported torch ended before it could report what it trained (was it "
              "killed, did it call os._exit(), or were too many files open?)"
        : nauha__marks_have(marks, "torch", 0) ? "no model was trained"
        : lacks_torch                          ? torchless
        : nauha__marks_have(marks, "python", 0)
            ? "the program never imported torch, or did so in a Python that was started in an "
              "environment of its own: pass PYTHONPATH on to it, through which nauha reaches it"
            : "the program is not Python, or was started with -I, -E or -S, or with another "
              "PYTHONPATH, which prevents recording: a script that sets PYTHONPATH has to keep "
              "what it has (PYTHONPATH=DIR:$PYTHONPATH); otherwise use nauha.Exporter";
    fprintf(stderr, "nauha: nothing was recorded: %s\n", why);
    if (!is_sample && access(output, F_OK) == 0)
        fprintf(stderr, "nauha: %s existed before and was not changed\n", output);
}

/* Reports what was recorded, or why nothing was. Returns the exit code of an estimate. */
static int tell_outcome(const struct invocation *invocation, const struct marks *marks,
                        const char *output, const struct before *before, const char *estimate) {
    struct mark mark;
    size_t position = 0, traces = 0;
    int code = EXIT_FINE;
    while (nauha__marks_next(marks, "trace", &position, &mark)) {
        traces++;
        if (estimate)
            code = nauha__estimate_print(invocation, mark.text, estimate);
        else if (!invocation->quiet)
            tell_trace(mark.text);
    }
    position = 0;
    while (nauha__marks_next(marks, "failed", &position, &mark)) {
        if (*mark.text) /* the process could not report it */
            fprintf(stderr, "nauha: a recording has failed: %s\n", mark.text);
    }
    if (traces || nauha__marks_have(marks, "failed", 0))
        return code;
    if (is_changed(output, before)) {
        if (!invocation->quiet) {
            fprintf(stderr, "nauha: the recorded process did not report its result\n");
            tell_trace(output);
        }
        return estimate ? nauha__estimate_print(invocation, output, estimate) : EXIT_FINE;
    }
    tell_nothing(marks, nauha__get(invocation, "output", ""), estimate != NULL);
    return estimate ? EXIT_FAILED : EXIT_FINE;
}

/* Ends this process in the same way as the program ended. */
static int end_like(int status) {
    if (!WIFSIGNALED(status))
        return WEXITSTATUS(status);
    const struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none); /* the program has written a core dump already */
    signal(WTERMSIG(status), SIG_DFL);
    raise(WTERMSIG(status));
    return 128 + WTERMSIG(status);
}

/* Runs the program and records it to `trace`; estimate: folder of the sample, NULL for none. */
static int record(const struct invocation *invocation, const char *trace, const char *estimate,
                  uint64_t steps) {
    char output[PATH_MAX];
    struct marks marks;
    struct before before;
    nauha__marks_init(&marks);
    int code = set_environment(invocation, &marks, trace, steps, output), status = -1;
    if (code == EXIT_FINE) {
        before.there = stat(output, &before.file) == 0;
        status = run_program(invocation, &code);
    }
    if (status >= 0) {
        wait_for_recordings(invocation, &marks, status == 0);
        code = tell_outcome(invocation, &marks, output, &before, estimate);
    }
    nauha__marks_fini(&marks);
    return status <= 0 || (estimate && code == EXIT_FINE) ? code : end_like(status);
}

static int run_record(const struct invocation *invocation) {
    char folder[PATH_MAX - 16], trace[PATH_MAX];
    uint64_t steps = 0;
    int code = EXIT_FINE;
    if (!nauha__estimate_wanted(invocation, &steps, &code)) {
        if (!nauha__has(invocation, "output"))
            return nauha__usage(invocation->command, "record needs -o TRACE");
        return record(invocation, nauha__get(invocation, "output", ""), NULL, 0);
    }
    if (code != EXIT_FINE)
        return code;
    if (!nauha__estimate_folder(folder, sizeof folder))
        return EXIT_FAILED;
    nauha__write_path(trace, sizeof trace, folder, "sample.h5");
    code = record(invocation, trace, folder, steps);
    nauha__estimate_remove(folder);
    return code;
}

/* Every rank writes a trace of its own. */
static const struct option_group selected_options = {"Choosing what is recorded",
                                                     nauha_selector_options, "rank"};

const struct command nauha__command_record = {
    .name = "record",
    .summary = "run a PyTorch program unchanged and record its training",
    .arguments = "[--] PROGRAM [ARGUMENT...]",
    .description = "Runs a program unchanged and writes every message of its PyTorch training to "
                   "a trace. nauha finds the model, the loss, the labels, the optimizers and the "
                   "epochs when the program imports torch. The exit code is that of the program, "
                   "which also receives all signals and all input. Each process of a distributed "
                   "training writes a trace of its own: run.rank0.h5, run.rank1.h5, ...; \"nauha "
                   "replay run.rank*.h5\" reads them together. With --estimate the program ends "
                   "after a few steps, and nauha prints what recording all of it would cost.",
    .examples = "nauha record --estimate 5 -- python3 train.py --epochs 3\n"
                "nauha record -o run.h5 -- python3 train.py --epochs 3\n"
                "nauha record -o run.h5 --kinds weights,loss --steps ::10 -- python3 train.py\n"
                "nauha record -o run.h5 -- torchrun --nproc_per_node 2 train.py",
    .min_arguments = 1,
    .max_arguments = SIZE_MAX,
    .runs_arguments = true,
    .groups = {&nauha__record_options, &nauha__keeping_options, &nauha__recording_options,
               &selected_options},
    .run = run_record,
};
