/* SPDX-License-Identifier: MIT */
/* Option tables. The same rows configure objects of the library by key and value, parse command
 * lines, and print help, so that an option is written once. */
#ifndef NAUHA_OPTION_H
#define NAUHA_OPTION_H

#ifdef __cplusplus
extern "C" {
#endif

struct nauha_option {
    const char *name;     /* "on-full", as in --on-full; also the key in the C API */
    char letter;          /* short option; 0: none */
    const char *value;    /* placeholder for its value, "SIZE"; NULL: a switch */
    const char *fallback; /* default as text, for help; NULL: none */
    const char *help;     /* one sentence, no capital, no full stop */
};

#ifdef __cplusplus
}
#endif
#endif
