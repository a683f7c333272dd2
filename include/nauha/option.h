/* SPDX-License-Identifier: MIT */
/* One row of an option table. The same rows configure a library object by key and value, parse
 * a command line, and print help, so an option is written once. */
#ifndef NAUHA_OPTION_H
#define NAUHA_OPTION_H

#ifdef __cplusplus
extern "C" {
#endif

struct nauha_option {
    const char *name;     /* "on-full", as in --on-full; also the key in the C API */
    char letter;          /* short option, 0 for none */
    const char *value;    /* placeholder of its value, "SIZE"; NULL for a switch */
    const char *fallback; /* default as text for help; NULL for none */
    const char *help;     /* one sentence, no capital, no full stop */
};

#ifdef __cplusplus
}
#endif
#endif
