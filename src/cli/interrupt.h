/* Ctrl-C, a request to end, a terminal that is closed: noted, so that what is being written can be brought to an end. */
#ifndef VIT_CLI_INTERRUPT_H
#define VIT_CLI_INTERRUPT_H

#include <signal.h>

extern volatile sig_atomic_t vit_cli_interrupted; /* by which signal; 0: by none */

/* From here on signals are noted, but for those that are ignored already (nohup, jobs in the background). */
void vit_cli_catch_interrupts(void);
/* They have their usual effect again, and the one that was noted has it now. */
void vit_cli_release_interrupts(void);

#endif
