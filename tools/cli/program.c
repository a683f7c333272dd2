/* SPDX-License-Identifier: MIT */
/* The program as a function: finds the command and runs it. */
#include "tools/cli/program.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "nauha/output.h"
#include "nauha/version.h"
#include "tools/cli/command.h"

/* Python would handle an interrupt only after this call, and raise it within a metric. The program
 * needs no clean-up: files that are not complete are called .partial. */
static void let_interrupts_end_it(void) {
    struct sigaction action;
    if (sigaction(SIGINT, NULL, &action) == 0 && action.sa_handler != SIG_IGN)
        signal(SIGINT, SIG_DFL);
}

static void print_versions(void) {
    char text[32];
    const char *name = nauha_version(NAUHA_VERSION_LIBRARY, text, sizeof text);
    printf("%s %s\n", name, text);
    for (int i = NAUHA_VERSION_LIBRARY + 1;
         (name = nauha_version((enum nauha_versioned)i, text, sizeof text)); i++)
        printf("%-13s %s\n", name, text);
}

/* If a standard stream is closed, the next file to be opened would get its number, and everything
 * that is printed. Programs that are started from here find the stream closed again. */
static void fill_streams(void) {
    int fd;
    do
        fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0)
        close(fd);
}

static int run(int argc, char **argv, const struct nauha_python *python) {
    if (argc < 2) {
        nauha__print_help(stderr);
        return EXIT_USAGE;
    }
    const char *first = argv[1];
    if (strcmp(first, "--version") == 0) {
        print_versions();
        return EXIT_FINE;
    }
    if (strcmp(first, "--help") == 0 || strcmp(first, "-h") == 0) {
        nauha__print_help(stdout);
        return EXIT_FINE;
    }
    const struct command *command = nauha__command_find(first);
    return command ? nauha__command_run(command, argc - 1, argv + 1, python)
                   : nauha__unknown_command(first);
}

/* Checks that everything a command has printed was written. It is no failure if the reader has
 * closed the pipe, as in `nauha ls run.h5 | head`. */
static int finish_output(int code) {
    const int failed = nauha_output_flush(stdout);
    if (nauha__reader_gone())
        return EXIT_FINE;
    if (!failed || failed == EPIPE)
        return code;
    fprintf(stderr, "nauha: cannot write to standard output: %s\n", strerror(failed));
    return EXIT_FAILED;
}

int nauha_main(int argc, char **argv, const struct nauha_python *python) {
    fill_streams();
    signal(SIGPIPE, SIG_IGN);
    if (python)
        let_interrupts_end_it();
    return finish_output(run(argc, argv, python));
}
