#include "interrupt.h"

#include <stddef.h>

volatile sig_atomic_t vit_cli_interrupted;

static const int noted[] = {SIGINT, SIGTERM,
#ifdef SIGHUP
                            SIGHUP
#endif
};

enum { NOTED = sizeof noted / sizeof *noted };

static void note(int signal_number) {
    vit_cli_interrupted = signal_number;
}

static void handle(void (*handler)(int)) {
    for (size_t i = 0; i < NOTED; i++)
        if (signal(noted[i], SIG_IGN) != SIG_IGN)
            signal(noted[i], handler);
}

void vit_cli_catch_interrupts(void) {
#ifdef SIGPIPE
    signal(SIGPIPE, SIG_IGN); /* that nobody reads what is printed ends nothing; main says so at the end */
#endif
    handle(note);
}

void vit_cli_release_interrupts(void) {
    handle(SIG_DFL);
    if (vit_cli_interrupted)
        raise(vit_cli_interrupted);
}
