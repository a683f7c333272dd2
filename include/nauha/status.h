/* SPDX-License-Identifier: MIT */
/* Status codes, and the error context that every call that can fail fills in.
 *
 * Threads: any thread; an error context is used by one thread at a time.
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

/* X(name, text): all status codes. */
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

/* A call fills it in when it fails, and leaves it as it is when it succeeds. Every function accepts
 * NULL as its `struct nauha_error *err`. */
struct nauha_error {
    enum nauha_status code;
    int saved_errno; /* errno of a failed system call, else 0 */
    char message[1024];
};

#define NAUHA_ERROR_INIT                                                                           \
    { NAUHA_OK, 0, "" }

/* The text of a code, such as "out of memory"; "unknown status" for a value outside the enum. */
NAUHA_API const char *nauha_status_text(enum nauha_status code);

/* Sets code and message, and returns code, so that a function can `return nauha_error_set(...)`.
 * The message says what failed, with the subject in quotes, without a capital letter and a full
 * stop. Control characters in it become '?', and a message that is too long is cut. */
NAUHA_API enum nauha_status nauha_error_set(struct nauha_error *err, enum nauha_status code,
                                            const char *format, ...) NAUHA_PRINTF(3, 4);

/* The same for a failed system call: appends ": " and the text of saved_errno. The code is NOMEM if
 * saved_errno is ENOMEM, else IO. */
NAUHA_API enum nauha_status nauha_error_set_errno(struct nauha_error *err, int saved_errno,
                                                  const char *format, ...) NAUHA_PRINTF(3, 4);

/* Sets the message "out of memory" and returns NAUHA_NOMEM. */
NAUHA_API enum nauha_status nauha_error_nomem(struct nauha_error *err);

/* Puts the formatted phrase and ": " in front of the message, so that each layer says what it was
 * doing. Returns the code of err, which becomes `code` if it was OK; `code` if err is NULL. */
NAUHA_API enum nauha_status nauha_error_wrap(struct nauha_error *err, enum nauha_status code,
                                             const char *format, ...) NAUHA_PRINTF(3, 4);

#ifdef __cplusplus
}
#endif
#endif
