/* What a time was measured on. */
#ifndef VIT_CLI_MACHINE_H
#define VIT_CLI_MACHINE_H

#include <stddef.h>

/* "Linux 6.1 x86_64, AMD EPYC 9B14, 2 processors"; in WASI what little is known. */
void vit_cli_machine(char *text, size_t size);

#endif
