#include "progress.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define BAR 30 /* columns */

double vit_cli_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

vit_cli_progress vit_cli_progress_start(double total, const char *unit) {
    return (vit_cli_progress){.enabled = total > 1 && isatty(STDERR_FILENO), .unit = unit};
}

void vit_cli_progress_show(vit_cli_progress *progress, double done, double total) {
    double now = vit_cli_seconds();
    if (!progress->enabled || (progress->shown && now < progress->last + 0.1))
        return;
    progress->last = now;
    progress->shown = 1;
    int filled = (int)(BAR * done / total);
    fprintf(stderr, "\r\033[K[%.*s%*s] %3.0f %%  %.0f of %.0f %s", filled, "==============================",
            BAR - filled, "", 100 * done / total, done, total, progress->unit);
    fflush(stderr);
}

void vit_cli_progress_hide(vit_cli_progress *progress) {
    if (progress->shown)
        fputs("\r\033[K", stderr);
    progress->shown = 0;
}
