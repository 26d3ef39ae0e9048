/* Lines for people. */
#ifndef VIT_CLI_TEXT_OUT_H
#define VIT_CLI_TEXT_OUT_H

#include <stdarg.h>
#include <stdio.h>

/* Formats one line and ends it. Names and labels come from files, so control characters, which a terminal would obey,
 * become \x1b and the like. */
void vit_cli_line(FILE *out, const char *format, ...) __attribute__((format(printf, 2, 3)));
void vit_cli_line_list(FILE *out, const char *format, va_list arguments) __attribute__((format(printf, 2, 0)));

/* Gives on what was printed. 0 where standard output takes no more, which is complained about once: going on makes no sense then. */
int vit_cli_flush(void);

#endif
