/* SPDX-License-Identifier: MIT */
/* The traces that a command line names, opened, with the selection of its options.
 *
 * Threads: the main thread.
 */
#ifndef NAUHA_TOOLS_COMMANDS_OPENED_H
#define NAUHA_TOOLS_COMMANDS_OPENED_H

#include "nauha/trace.h"
#include "tools/cli/command.h"

/* A row of the option tables of the commands that join the traces of a resumed training. */
#define RESUME_OPTION                                                                              \
    {                                                                                              \
        "resume", 0, NULL, NULL,                                                                   \
            "the traces are those of one training that was interrupted and resumed; a step that "  \
            "was "                                                                                 \
            "repeated is taken from the latest trace that has it"                                  \
    }

struct opened {
    struct nauha_names *names;
    struct nauha_trace *trace;   /* the first one */
    struct nauha_trace **traces; /* one for each argument, or path */
    size_t trace_count;
    struct nauha_selector *selector;
};

/* Opens every argument. Prints errors and returns an exit code. Release with nauha__opened_fini in
 * any case. */
int nauha__opened_init(struct opened *opened, const struct invocation *invocation);
void nauha__opened_fini(struct opened *opened);
/* The same for these paths instead of the arguments. */
int nauha__opened_paths(struct opened *opened, const struct invocation *invocation,
                        const char *const *paths, size_t count);
/* Closes the traces before nauha__opened_fini; the names stay. */
void nauha__opened_close(struct opened *opened);

/* Prints on standard error if a trace has a newer minor version of the format than this program
 * knows: everything that the program knows is read, what it does not know is missing. */
void nauha__note_newer_format(const struct nauha_trace *trace, const struct invocation *invocation);

/* Sets the options of the selector that were given. */
enum nauha_status nauha__apply_selection(struct nauha_selector *selector,
                                         const struct invocation *invocation,
                                         struct nauha_error *err);

/* Whether any options select messages, and whether a trace has any of the selected messages. */
bool nauha__selects(const struct invocation *invocation);
bool nauha__has_chosen(const struct nauha_trace *trace, const struct nauha_selector *selector);
/* Prints that the selection matches nothing in a trace, and what the trace has: a command that read
 * nothing must not report success. Returns EXIT_USAGE. */
int nauha__nothing_chosen(const struct invocation *invocation, const struct nauha_trace *trace,
                          const struct nauha_names *names);

/* Calls `each` for every selected message of the traces, which are those of the ranks of one
 * training if there are several; it returns false to end the walk. Returns an exit code.
 * Damaged messages are reported once on standard error and skipped; the code is then EXIT_FAILED.
 */
int nauha__walk(const struct opened *opened,
                bool (*each)(void *context, struct nauha_message *message), void *context);

/* Writes a shape, "[4, 3]", into text; returns text. */
const char *nauha__shape_text(const struct nauha_message_info *info, char *text, size_t bytes);

/* Writes of which whole a message is a shard, "[8,3] at [4,0]", into text; "" if it is whole.
 * Returns text. */
const char *nauha__shard_text(const struct nauha_names *names,
                              const struct nauha_message_info *info, char *text, size_t bytes);

/* How a recording ended: "complete", "cut off: ...". */
const char *nauha__state_text(const struct nauha_trace_info *info);

/* Prints on standard error what was lost and why, for a trace with losses: "nauha: run.h5: lost in
 * the recording: 12 activations (buffer full), 3.1 MB; 1 loss (...), 4 B". */
void nauha__warn_of_losses(const struct nauha_trace *trace, const struct nauha_names *names,
                           const struct nauha_trace_info *info);

/* Writes when the trace was recorded, "2026-11-28 03:06:02 UTC", into text; "" if it has no date.
 * Returns text. */
const char *nauha__created_text(const struct nauha_trace_info *info, char text[64]);

/* Writes "1.2 GB with zstd, 0.48 of what was published" into text; returns text. */
const char *nauha__stored_text(const struct nauha_trace_info *info, char text[128]);

/* Writes the hash that was recorded in place of a tensor into text, as 32 hexadecimal digits;
 * returns text. */
const char *nauha__hash_text(struct nauha_message *message, char text[40]);

/* Writes the steps that are in full because of a dump into text, "steps 4 to 8"; returns text. */
const char *nauha__dump_text(const struct nauha_trace_info *info,
                             const struct nauha_trace_dump *dump, char text[64]);

#endif
