/* SPDX-License-Identifier: MIT */
/* The program. */
#include <stddef.h>

#include "tools/cli/program.h"

int main(int argc, char **argv) {
    return nauha_main(argc, argv, NULL);
}
