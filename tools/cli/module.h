/* SPDX-License-Identifier: MIT */
/* The parts of the program that need libtorch: modules, loaded by the commands that use them.
 *
 * Threads: the main thread.
 */
#ifndef NAUHA_TOOLS_CLI_MODULE_H
#define NAUHA_TOOLS_CLI_MODULE_H

/* Loads a module, which lies beside the program in a build tree, in lib/nauha when installed, and
 * finds a symbol in it. Says what is not available without it ("train") and returns NULL where
 * there is none. It stays loaded. */
void *nauha__module_symbol(const char *module, const char *symbol, const char *what);

#endif
