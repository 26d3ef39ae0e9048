/* What a checkpoint means: read from config.json (timm, Hugging Face), preprocessor_config.json, a golden case.json, or
 * GGUF metadata. Each source makes claims; what nobody claims is filled from tensor shapes (settle.c). */
#ifndef VIT_MODEL_CONFIG_H
#define VIT_MODEL_CONFIG_H

#include "../format/container.h"
#include "../format/json.h"

typedef enum vit_source {
    VIT_SOURCE_NONE, VIT_SOURCE_TIMM, VIT_SOURCE_HF
} vit_source;

#define VIT_UNSET (-1)

/* Later claims replace earlier ones field by field. Integers and enums are VIT_UNSET, numbers negative, where nobody
 * has claimed anything. */
typedef struct vit_claims {
    vit_source source;
    vit_network network;
#define VIT_FIELD(name, config, key, kind, least, most, words) int name;
#include "fields.def"
#undef VIT_FIELD
    int has_head; /* 1: the source says that there is a classifier */
    const char *processor; /* static, or NULL: the class whose defaults stand where no file says how pictures are fed */
    double norm_eps;
    int has_mean, has_std;
    float mean[3], std[3];
    double crop_pct;
    char architecture[64], label_set[32];
    char **labels; /* owned, each label too */
    int label_count;
    char labels_fault[240]; /* why there are none, though the source has some */
} vit_claims;

/* fields.def as a table. */
typedef enum vit_field_kind {
    VIT_FIELD_NUMBER, VIT_FIELD_FLAG, VIT_FIELD_WORD, VIT_FIELD_LIST, VIT_FIELD_SIDES, VIT_FIELD_REST
} vit_field_kind;
typedef struct vit_field {
    size_t claim, config; /* offsets of an int in vit_claims, in vit_config */
    const char *key;
    vit_field_kind kind;
    int least, most;
    const struct vit_word *words;
} vit_field;
extern const vit_field vit_fields[];
extern const int vit_field_count;
/* The int at an offset of vit_claims or vit_config. */
static inline int *vit_field_at(const void *base, size_t offset) {
    return (int *)((char *)base + offset);
}
/* How many rows of the table, from this one on, are one key. */
int vit_field_length(const vit_field *field);

void vit_claims_init(vit_claims *claims);
/* Without class names from now on. */
void vit_claims_drop_labels(vit_claims *claims, const vit_allocator *allocator);
void vit_claims_release(vit_claims *claims, const vit_allocator *allocator);

/* Adds what a JSON text claims; its kind is told by its keys. name is for errors. */
vit_status vit_claims_from_json(vit_claims *claims, const char *name, const vit_json *root,
                                const vit_allocator *allocator, vit_error *error);
/* Adds what an image processor of the class claims->processor does by default, for pictures of the network's size. */
void vit_claims_assume_processor(vit_claims *claims);
/* Of GGUF, or of a safetensors file that has the same keys as a JSON object under this key of its metadata, as save.c writes
 * them: those files say all themselves. */
#define VIT_CONFIG_METADATA "vit.config"
int vit_has_own_config(const vit_container *container);
/* Adds what such metadata claims. */
vit_status vit_claims_from_metadata(vit_claims *claims, const char *name, const vit_container *container,
                                    const vit_options *options, vit_error *error);
/* Whatever later claims replaces what was claimed before; takes over its labels. */
void vit_claims_override(vit_claims *claims, vit_claims *later, const vit_allocator *allocator);

/* Room for count class names, those before released; then each name, copied. */
vit_status vit_claims_alloc_labels(vit_claims *claims, size_t count, const vit_allocator *allocator, vit_error *error);
vit_status vit_claims_set_label(vit_claims *claims, int index, const char *text, const vit_allocator *allocator,
                                vit_error *error);

/* The number that text begins with, at most 9 digits, into *number: returns what follows it, NULL if there is none. */
const char *vit_read_number(const char *text, int *number);

/* Words of enums in JSON and GGUF; the first of a value is the one that is written. vit_word_find: VIT_UNSET where
 * there is none. */
typedef struct vit_word {
    const char *word;
    int value;
} vit_word;
extern const vit_word vit_activation_words[], vit_mlp_words[], vit_pool_words[], vit_pos_kind_words[],
    vit_pos_placement_words[], vit_resample_words[], vit_resnet_words[], vit_decoder_words[], vit_filter_words[],
    vit_crop_words[];
int vit_word_find(const vit_word *words, const char *word);
const char *vit_word_of(const vit_word *words, int value);

#endif
