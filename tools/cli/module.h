/* SPDX-License-Identifier: MIT */
/* The parts of the program that need libtorch: modules, which the commands that use them load.
 *
 * Threads: the main thread.
 */
#ifndef NAUHA_TOOLS_CLI_MODULE_H
#define NAUHA_TOOLS_CLI_MODULE_H

/* Loads a module, which lies beside the program in a build tree and in lib/nauha of an
 * installation, and returns the address of a symbol in it. It stays loaded. NULL, after printing
 * that `what` ("train") is not available, if there is no such module or symbol. */
void *nauha__module_symbol(const char *module, const char *symbol, const char *what);

#endif
