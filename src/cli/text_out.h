/* Lines for people. */
#ifndef VIT_CLI_TEXT_OUT_H
#define VIT_CLI_TEXT_OUT_H

#include <stdarg.h>
#include <stdio.h>

/* Formats one line and ends it. Names and labels come from files, so control characters, which a terminal would obey,
 * become \x1b and the like. */
void vit_cli_line(FILE *out, const char *format, ...) __attribute__((format(printf, 2, 3)));
void vit_cli_line_list(FILE *out, const char *format, va_list arguments) __attribute__((format(printf, 2, 0)));

/* Bytes of the UTF-8 sequence at text, 0 if it is none (RFC 3629: no surrogates, nothing longer than it must be). */
int vit_cli_utf8(const unsigned char *text);

#endif
