#include "progress.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

enum { BAR = 30, SHORTEST = 4 }; /* columns */

double vit_cli_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* Of the terminal that stderr is; 80 where it does not say. */
static int terminal_columns(void) {
#ifdef TIOCGWINSZ
    struct winsize size;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        return size.ws_col;
#endif
    return 80;
}

static void draw(double part, const char *text) {
    const int columns = terminal_columns(), room = columns - 1 - (int)strlen("[] ") - (int)strlen(text);
    const int bar = room < BAR ? room : BAR, filled = (int)(bar * part);
    fputs("\r\033[K", stderr);
    if (bar >= SHORTEST)
        fprintf(stderr, "[%.*s%*s] ", filled, "==============================", bar - filled, "");
    fprintf(stderr, "%.*s", columns - 1, text);
    fflush(stderr);
}

vit_cli_progress vit_cli_progress_start(double total, const char *unit) {
    return (vit_cli_progress){.enabled = total > 1 && isatty(STDERR_FILENO), .unit = unit};
}

void vit_cli_progress_text(vit_cli_progress *progress, double part, const char *text) {
    const double now = vit_cli_seconds();
    if (!progress->enabled || (progress->shown && now < progress->last + 0.1))
        return;
    progress->last = now;
    progress->shown = 1;
    draw(part, text);
}

void vit_cli_progress_show(vit_cli_progress *progress, double done, double total) {
    char text[100];
    snprintf(text, sizeof text, "%3.0f %%  %.0f of %.0f %s", 100 * done / total, done, total, progress->unit);
    vit_cli_progress_text(progress, done / total, text);
}

void vit_cli_progress_hide(vit_cli_progress *progress) {
    if (progress->shown)
        fputs("\r\033[K", stderr);
    progress->shown = 0;
}
