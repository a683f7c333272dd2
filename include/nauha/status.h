/* SPDX-License-Identifier: MIT */
/* Status codes and the error context that every fallible call fills.
 *
 * Threads: an error context belongs to its caller; the functions are safe from any thread.
 */
#ifndef NAUHA_STATUS_H
#define NAUHA_STATUS_H

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define NAUHA_API __attribute__((visibility("default")))
#define NAUHA_PRINTF(fmt, first) __attribute__((format(printf, fmt, first)))
#else
#define NAUHA_API
#define NAUHA_PRINTF(fmt, first)
#endif

/* X(name, text): the one list of status codes. */
#define NAUHA_STATUSES(X)                                                                          \
    X(OK, "success")                                                                               \
    X(END, "end of the sequence")                                                                  \
    X(INVALID, "invalid argument")                                                                 \
    X(UNKNOWN, "unknown name")                                                                     \
    X(STATE, "call out of order")                                                                  \
    X(NOMEM, "out of memory")                                                                      \
    X(IO, "input/output error")                                                                    \
    X(BUSY, "in use by another process")                                                           \
    X(FORMAT, "not a nauha trace or structurally broken")                                          \
    X(VERSION, "unsupported version")                                                              \
    X(DAMAGED, "data do not match their checksum")                                                 \
    X(LIMIT, "a configured limit was reached")                                                     \
    X(UNAVAILABLE, "not available in this build or on this machine")                               \
    X(SUBSCRIBER, "a subscriber failed")

enum nauha_status {
#define NAUHA_STATUS_ENUM(name, text) NAUHA_##name,
    NAUHA_STATUSES(NAUHA_STATUS_ENUM)
#undef NAUHA_STATUS_ENUM
};

/* Filled on failure only; a call that succeeds leaves it untouched. Everywhere a
 * `struct nauha_error *err` is taken it may be NULL. */
struct nauha_error {
    enum nauha_status code;
    int saved_errno; /* errno at the failure, 0 where it played no part */
    char message[1024];
};

#define NAUHA_ERROR_INIT                                                                           \
    { NAUHA_OK, 0, "" }

/* The fixed text of a code, e.g. "out of memory"; never NULL. */
NAUHA_API const char *nauha_status_text(enum nauha_status code);

/* Sets code and message (what failed, the subject in quotes, no capital, no full stop) and
 * returns code, so that a function can `return nauha_error_set(...)`. */
NAUHA_API enum nauha_status nauha_error_set(struct nauha_error *err, enum nauha_status code,
                                            const char *format, ...) NAUHA_PRINTF(3, 4);

/* The same for a failed system call: keeps errno and appends its text. */
NAUHA_API enum nauha_status nauha_error_set_errno(struct nauha_error *err, int saved_errno,
                                                  const char *format, ...) NAUHA_PRINTF(3, 4);

/* The same for memory that could not be had: "out of memory". Returns NAUHA_NOMEM. */
NAUHA_API enum nauha_status nauha_error_nomem(struct nauha_error *err);

/* Puts "phrase: " in front of the message: each layer says what it was doing. Returns err's
 * code, or `code` where err is NULL. */
NAUHA_API enum nauha_status nauha_error_wrap(struct nauha_error *err, enum nauha_status code,
                                             const char *format, ...) NAUHA_PRINTF(3, 4);

#ifdef __cplusplus
}
#endif
#endif
