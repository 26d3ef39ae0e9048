/* Reading claims out of JSON objects, one source a file. An absent (or null) member leaves *out alone, a wrong one is
 * an error that names it, what was expected and what was found. */
#ifndef VIT_MODEL_CONFIG_JSON_H
#define VIT_MODEL_CONFIG_JSON_H

#include "config.h"

typedef struct vit_json_reader {
    const char *name; /* of the text */
    vit_error *error;
    const vit_json *object;
} vit_json_reader;

/* NULL where it is absent or null. */
const vit_json *vit_member(const vit_json_reader *r, const char *key);
vit_status vit_wrong(const vit_json_reader *r, const char *key, const char *expected, const vit_json *found);
vit_status vit_unsupported(const vit_json_reader *r, const char *key, const char *found);
vit_status vit_check_integer(const vit_json_reader *r, const char *key, const vit_json *value, int low, int high,
                             int *out);
vit_status vit_read_integer(const vit_json_reader *r, const char *key, int low, int high, int *out);
vit_status vit_read_real(const vit_json_reader *r, const char *key, double low, double high, double *out);
vit_status vit_read_bool(const vit_json_reader *r, const char *key, int *out);
vit_status vit_read_object(const vit_json_reader *r, const char *key, const vit_json **out);
vit_status vit_read_word(const vit_json_reader *r, const char *key, const vit_word *words, int *out);
/* An integer for both, or [height, width]. */
vit_status vit_read_pair(const vit_json_reader *r, const char *key, int low, int high, int *height, int *width);
/* Three numbers, or one for all three. */
vit_status vit_read_channels(const vit_json_reader *r, const char *key, float out[3], int *has);
/* Cut off where it does not fit. */
void vit_read_text(const vit_json_reader *r, const char *key, char *out, size_t size);
/* id2label: {"0": "tench", ...}; label_names: ["tench", ...]. */
vit_status vit_read_labels(const vit_json_reader *r, const char *key, vit_claims *claims,
                           const vit_allocator *allocator);

/* timm's config.json: model_args override what the architecture's name says; the input's statistics, crop and filter
 * are in pretrained_cfg, in old files at the top. */
vit_status vit_claims_from_timm(vit_claims *claims, const vit_json_reader *root, const vit_allocator *allocator);
vit_status vit_claims_from_hf(vit_claims *claims, const vit_json_reader *r, const vit_allocator *allocator);
/* preprocessor_config.json of an image processor. */
vit_status vit_claims_from_preprocessor(vit_claims *claims, const vit_json_reader *r);

#endif
