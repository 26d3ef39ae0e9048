/* JSON on stdout; strings elsewhere too. */
#ifndef VIT_CLI_JSON_OUT_H
#define VIT_CLI_JSON_OUT_H

#include <stdio.h>

/* A quoted string; bytes that are not UTF-8 become U+FFFD. NULL gives null. */
void vit_cli_json_string(FILE *out, const char *text);
/* The shortest decimal that reads back as the same f32; null where it is not finite. */
void vit_cli_json_float(float value);
/* "[...]" */
void vit_cli_json_floats(const float *values, size_t count);
/* Six digits; null where it is not finite. */
void vit_cli_json_number(double value);

#endif
