/* e^x with the same bits on every host: C libraries round it each in their own way. */
#ifndef VIT_BASE_EXPONENTIAL_H
#define VIT_BASE_EXPONENTIAL_H

/* Rounded to the nearest float but for one in a thousand, which is the next; NaN for NaN. */
float vit_expf(float x);

#endif
