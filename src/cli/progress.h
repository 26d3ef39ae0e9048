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
/* Draws it at most ten times a second, as far as the terminal has room for it. */
void vit_cli_progress_show(vit_cli_progress *progress, double done, double total);
/* The same for part 0 to 1, with another text beside it. */
void vit_cli_progress_text(vit_cli_progress *progress, double part, const char *text);
/* Takes the bar away: before other text is written, and at the end. */
void vit_cli_progress_hide(vit_cli_progress *progress);

/* Seconds of a clock that only goes forward. */
double vit_cli_seconds(void);

#endif
