/* A progress bar on stderr, where that is a terminal. */
#ifndef VIT_CLI_PROGRESS_H
#define VIT_CLI_PROGRESS_H

typedef struct vit_cli_progress {
    int enabled, shown;
    const char *unit;   /* "pictures" */
    double last;        /* when it was drawn, seconds */
} vit_cli_progress;

/* No bar for less than two units of work. */
vit_cli_progress vit_cli_progress_start(double total, const char *unit);
/* Draws it at most ten times a second. */
void vit_cli_progress_show(vit_cli_progress *progress, double done, double total);
/* Takes the bar away: before other text is written, and at the end. */
void vit_cli_progress_hide(vit_cli_progress *progress);

/* Draws a bar, as far as the terminal has room for it, and the text beside it on a line of their own, which "\r\033[K" takes away. */
void vit_cli_bar(double part, const char *text);

/* Seconds of a clock that only goes forward. */
double vit_cli_seconds(void);

#endif
