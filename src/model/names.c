#include "names.h"
#include "config.h"

#include <stdio.h>
#include <string.h>

/* One name within a prefix, without its ending. part: which of `parts` equal parts of our weight's rows. After '|': the
 * weight that further rows are. */
typedef struct base_name {
    const char *foreign, *own;
    int part, parts;
} base_name;
#define ALL 0, 1

/* Names that begin so go on as `names` say. '#' is a number, the same in both, and '@' one that is counted from 1;
 * where only the own name has one, the tensor is of all layers. */
typedef struct prefix {
    const char *foreign, *own;
    const base_name *names;
} prefix;

/* Endings of foreign names and ours. */
typedef struct ending {
    const char *foreign, *own;
} ending;

struct vit_family {
    const prefix *prefixes;
    const ending *endings;
};

/* ---- Hugging Face; transformers 5 still writes the old names ---- */

static const base_name hf_outer[] = {{"embeddings.cls_token", "cls_token", ALL},
                                     {"embeddings.distillation_token", "dist_token", ALL},
                                     {"embeddings.register_tokens", "reg_token", ALL},
                                     {"embeddings.position_embeddings", "pos_embed", ALL},
                                     {"embeddings.patch_embeddings.projection", "patch_embed.proj", ALL},
                                     {"layernorm", "norm", ALL},
                                     {"pooler.dense", "pre_logits.fc", ALL},
                                     {"embeddings.mask_token", "mask_token", ALL},
                                     {0}},
#define HF_ATTENTION                                  \
    {"attention.attention.query", "attn.qkv", 0, 3},     \
        {"attention.attention.key", "attn.qkv", 1, 3},   \
        {"attention.attention.value", "attn.qkv", 2, 3}, \
        {"attention.output.dense", "attn.proj", ALL}
                       hf_inner[] = {{"layernorm_before", "norm1", ALL},
                                     HF_ATTENTION,
                                     {"layernorm_after", "norm2", ALL},
                                     {"intermediate.dense", "mlp.fc1", ALL},
                                     {"output.dense", "mlp.fc2", ALL},
                                     {0}},
                       dinov2_inner[] = {{"norm1", "norm1", ALL},
                                         HF_ATTENTION,
                                         {"layer_scale1.lambda1", "ls1.gamma", ALL},
                                         {"norm2", "norm2", ALL},
                                         {"mlp.fc1", "mlp.fc1", ALL},
                                         {"mlp.fc2", "mlp.fc2", ALL},
                                         {"mlp.weights_in", "mlp.fc1", ALL},
                                         {"mlp.weights_out", "mlp.fc2", ALL},
                                         {"layer_scale2.lambda1", "ls2.gamma", ALL},
                                         {0}},
                       hf_head[] = {{"classifier", "head", ALL},
                                    {"cls_classifier", "head", ALL},
                                    {"distillation_classifier", "head_dist", ALL},
                                    {"decoder.mask_token", "mask_token", ALL}, /* MAE */
                                    {"decoder.decoder_embed", "decoder_embed", ALL},
                                    {"decoder.decoder_pos_embed", "decoder_pos_embed", ALL},
                                    {"decoder.decoder_norm", "decoder_norm", ALL},
                                    {"decoder.decoder_pred", "decoder_pred", ALL},
                                    {"decoder.0", "decoder_pred", ALL}, /* SimMIM */
                                    {0}};
#define HF_PREFIX(prefix, inner) {prefix "encoder.layer.#.", "blocks.#.", inner}, {prefix, "", hf_outer}
static const prefix hf_prefixes[] = {HF_PREFIX("vit.", hf_inner),
                                     HF_PREFIX("deit.", hf_inner),
                                     HF_PREFIX("", hf_inner),
                                     {"", "", hf_head},
                                     {"decoder.decoder_layers.#.", "decoder_blocks.#.", hf_inner},
                                     {"decoder.decoder_encoder.layer.#.", "decoder_blocks.#.", hf_inner},
                                     {0}},
                    dinov2_prefixes[] = {HF_PREFIX("dinov2.", dinov2_inner),
                                         HF_PREFIX("dinov2_with_registers.", dinov2_inner),
                                         HF_PREFIX("", dinov2_inner),
                                         {0}};

/* CLIP and SigLIP */
static const base_name tower_outer[] = {{"embeddings.class_embedding", "cls_token", ALL},
                                        {"embeddings.position_embedding.weight", "pos_embed", ALL},
                                        {"embeddings.patch_embedding", "patch_embed.proj", ALL},
                                        {"pre_layrnorm", "norm_pre", ALL},
                                        {"post_layernorm", "norm", ALL},
                                        {"head.probe", "attn_pool.latent", ALL},
                                        {"head.attention.in_proj_weight", "attn_pool.q.weight|attn_pool.kv.weight",
                                         ALL},
                                        {"head.attention.in_proj_bias", "attn_pool.q.bias|attn_pool.kv.bias", ALL},
                                        {"head.attention.out_proj", "attn_pool.proj", ALL},
                                        {"head.layernorm", "attn_pool.norm", ALL},
                                        {"head.mlp.fc1", "attn_pool.mlp.fc1", ALL},
                                        {"head.mlp.fc2", "attn_pool.mlp.fc2", ALL},
                                        {0}},
                       tower_inner[] = {{"layer_norm1", "norm1", ALL},
                                        {"self_attn.q_proj", "attn.qkv", 0, 3},
                                        {"self_attn.k_proj", "attn.qkv", 1, 3},
                                        {"self_attn.v_proj", "attn.qkv", 2, 3},
                                        {"self_attn.out_proj", "attn.proj", ALL},
                                        {"layer_norm2", "norm2", ALL},
                                        {"mlp.fc1", "mlp.fc1", ALL},
                                        {"mlp.fc2", "mlp.fc2", ALL},
                                        {0}},
                       tower_head[] = {{"visual_projection", "projection", ALL}, {0}};
static const prefix tower_prefixes[] = {{"vision_model.encoder.layers.#.", "blocks.#.", tower_inner},
                                        {"vision_model.", "", tower_outer},
                                        {"encoder.layers.#.", "blocks.#.", tower_inner},
                                        {"", "", tower_outer},
                                        {"", "", tower_head},
                                        {0}};
static const ending torch_endings[] = {{".weight", ".weight"}, {".bias", ".bias"}, {"", ""}, {0}};

/* ---- vit_jax and big_vision. Published files of the former number all parts of a block in one row (LayerNorm_2,
 * MlpBlock_3), later ones each kind for itself: LayerNorm_1 and LayerNorm_2 are both the norm before the MLP. ---- */

static const base_name jax_outer[] = {{"embedding", "patch_embed.proj", ALL},
                                      {"cls", "cls_token", ALL},
                                      {"Transformer/posembed_input/pos_embedding", "pos_embed", ALL},
                                      {"Transformer/pos_embedding", "pos_embed", ALL},
                                      {"pos_embedding", "pos_embed", ALL},
                                      {"Transformer/encoder_norm", "norm", ALL},
                                      {"MAPHead_0/probe", "attn_pool.latent", ALL},
                                      {"MAPHead_0/MultiHeadDotProductAttention_0/query", "attn_pool.q", ALL},
                                      {"MAPHead_0/MultiHeadDotProductAttention_0/key", "attn_pool.kv", 0, 2},
                                      {"MAPHead_0/MultiHeadDotProductAttention_0/value", "attn_pool.kv", 1, 2},
                                      {"MAPHead_0/MultiHeadDotProductAttention_0/out", "attn_pool.proj", ALL},
                                      {"MAPHead_0/LayerNorm_0", "attn_pool.norm", ALL},
                                      {"MAPHead_0/MlpBlock_0/Dense_0", "attn_pool.mlp.fc1", ALL},
                                      {"MAPHead_0/MlpBlock_0/Dense_1", "attn_pool.mlp.fc2", ALL},
                                      {"pre_logits", "pre_logits.fc", ALL},
                                      {"head", "head", ALL},
                                      {"conv_root", "stem.conv", ALL}, /* hybrids */
                                      {"gn_root", "stem.norm", ALL},
                                      {"root_block/conv_root", "stem.conv", ALL}, /* BiT */
                                      {"norm-pre-head", "norm", ALL},
                                      {0}},
#define JAX_ATTENTION(number)                                                        \
    {"MultiHeadDotProductAttention_" number "/query", "attn.qkv", 0, 3},             \
        {"MultiHeadDotProductAttention_" number "/key", "attn.qkv", 1, 3},           \
        {"MultiHeadDotProductAttention_" number "/value", "attn.qkv", 2, 3},         \
        {"MultiHeadDotProductAttention_" number "/out", "attn.proj", ALL}
                       jax_inner[] = {{"LayerNorm_0", "norm1", ALL},
                                      JAX_ATTENTION("1"),
                                      JAX_ATTENTION("0"),
                                      {"LayerNorm_2", "norm2", ALL},
                                      {"LayerNorm_1", "norm2", ALL},
                                      {"MlpBlock_3/Dense_0", "mlp.fc1", ALL},
                                      {"MlpBlock_3/Dense_1", "mlp.fc2", ALL},
                                      {"MlpBlock_0/Dense_0", "mlp.fc1", ALL},
                                      {"MlpBlock_0/Dense_1", "mlp.fc2", ALL},
                                      {0}};
static const base_name jax_unit[] = {{"conv1", "conv1", ALL},
                                     {"conv2", "conv2", ALL},
                                     {"conv3", "conv3", ALL},
                                     {"conv_proj", "downsample.conv", ALL},
                                     {"gn1", "norm1", ALL},
                                     {"gn2", "norm2", ALL},
                                     {"gn3", "norm3", ALL},
                                     {"gn_proj", "downsample.norm", ALL},
                                     {0}};
#define JAX_PREFIX(prefix)                                                 \
    {prefix "block@/unit@/", "stages.#.blocks.#.", jax_unit},              \
        {prefix "Transformer/encoderblock_#/", "blocks.#.", jax_inner},    \
        {prefix "Transformer/encoderblock/", "blocks.#.", jax_inner}, {prefix, "", jax_outer}
static const prefix jax_prefixes[] = {JAX_PREFIX(""), JAX_PREFIX("opt/target/"), JAX_PREFIX("params/"),
                                      JAX_PREFIX("params/img/"), {0}};
static const ending jax_endings[] = {{"/kernel", ".weight"}, {"/scale", ".weight"}, {"/bias", ".bias"}, {"", ""}, {0}};

/* ---- big_transfer's BiT. '~': nothing, or "_" and a number ---- */

static const base_name transfer_unit[] = {{"a/standardized_conv2d~", "conv1", ALL},
                                          {"b/standardized_conv2d~", "conv2", ALL},
                                          {"c/standardized_conv2d~", "conv3", ALL},
                                          {"a/proj/standardized_conv2d~", "downsample.conv", ALL},
                                          {"a/group_norm", "norm1", ALL},
                                          {"b/group_norm", "norm2", ALL},
                                          {"c/group_norm", "norm3", ALL},
                                          {0}},
                       transfer_outer[] = {{"root_block/standardized_conv2d~", "stem.conv", ALL},
                                           {"group_norm", "norm", ALL},
                                           {"head/conv2d", "head", ALL},
                                           {0}};
static const prefix transfer_prefixes[] = {
    {"resnet/block@/unit@/", "stages.#.blocks.#.", transfer_unit}, {"resnet/", "", transfer_outer}, {0}};
static const ending transfer_endings[] = {
    {"/kernel", ".weight"}, {"/gamma", ".weight"}, {"/beta", ".bias"}, {"/bias", ".bias"}, {0}};

static const vit_family families[] = {{hf_prefixes, torch_endings},
                                      {dinov2_prefixes, torch_endings},
                                      {tower_prefixes, torch_endings},
                                      {jax_prefixes, jax_endings},
                                      {transfer_prefixes, transfer_endings}};
enum { FAMILIES = sizeof families / sizeof *families, NUMBERS = 2 };

/* ---- Matching ---- */

/* What follows a pattern (up to '|') at the beginning of name, and the numbers in it; NULL if it does not begin so. */
static const char *after(const char *name, const char *pattern, int *numbers) {
    int number;
    for (; *pattern && *pattern != '|'; pattern++)
        if (*pattern == '#' || *pattern == '@') {
            const int first = *pattern == '@';
            name = vit_read_number(name, &number);
            if (!name || number < first)
                return NULL;
            *numbers++ = number - first;
        } else if (*pattern == '~') {
            const char *rest = *name == '_' ? vit_read_number(name + 1, &number) : NULL;
            name = rest ? rest : name;
        } else if (*name++ != *pattern) {
            return NULL;
        }
    return name;
}

/* A pattern, with the numbers in it; what does not fit is cut off. */
static void put(char *out, size_t size, const char *pattern, const int numbers[NUMBERS]) {
    size_t used = strlen(out);
    for (; *pattern && used + 1 < size; pattern++) {
        if (*pattern == '#' || *pattern == '@')
            snprintf(out + used, size - used, "%d", *numbers++ + (*pattern == '@'));
        else if (*pattern != '~')
            snprintf(out + used, size - used, "%c", *pattern);
        used += strlen(out + used);
    }
}

/* The row of endings by which text goes on after base; NULL if it does not. */
static const ending *ending_of(const vit_family *family, const char *text, const char *base, int own) {
    const char *rest = after(text, base, NULL);
    for (const ending *e = family->endings; rest && e->foreign; e++)
        if (strcmp(rest, own ? e->own : e->foreign) == 0)
            return e;
    return NULL;
}

static int translate_in(const vit_family *family, const char *name, vit_name *out) {
    for (const prefix *p = family->prefixes; p->foreign; p++) {
        int numbers[NUMBERS] = {0};
        const char *rest = after(name, p->foreign, numbers);
        const ending *e = NULL;
        for (const base_name *b = p->names; rest && b->foreign; b++)
            if ((e = ending_of(family, rest, b->foreign, 0))) {
                *out = (vit_name){.part = b->part,
                                  .parts = b->parts,
                                  .kernel = strcmp(e->foreign, "/kernel") == 0,
                                  .stacked = strchr(p->own, '#') && !p->foreign[strcspn(p->foreign, "#@")],
                                  .family = family};
                put(out->own, sizeof out->own, p->own, numbers);
                put(out->own, sizeof out->own, b->own, numbers);
                put(out->own, sizeof out->own, e->own, numbers);
                char *joint = strchr(out->own, '|');
                if (joint) {
                    *joint = 0;
                    out->rest = strchr(b->own, '|') + 1;
                }
                return 1;
            }
    }
    return 0;
}

vit_name vit_translate(const char *foreign) {
    vit_name out = {.parts = 1};
    for (int i = 0; i < FAMILIES; i++)
        if (translate_in(&families[i], foreign, &out))
            return out;
    snprintf(out.own, sizeof out.own, "%s", foreign);
    return out;
}

void vit_foreign_name(const vit_family *family, const char *own, int part, char *out, size_t size) {
    *out = 0;
    for (const prefix *p = family ? family->prefixes : NULL; p && p->foreign; p++) {
        int numbers[NUMBERS] = {0};
        const char *rest = after(own, p->own, numbers);
        const ending *e = NULL;
        for (const base_name *b = p->names; rest && b->foreign; b++)
            if (b->part == part && (e = ending_of(family, rest, b->own, 1))) {
                put(out, size, p->foreign, numbers);
                put(out, size, b->foreign, numbers);
                put(out, size, e->foreign, numbers);
                return;
            }
    }
    put(out, size, own, NULL);
}

int vit_family_is_transfer(const vit_family *family) {
    return family && family->prefixes == transfer_prefixes;
}

int vit_family_is_jax(const vit_family *family) {
    return family && family->prefixes == jax_prefixes;
}

const char *vit_after_layer(const char *name, const char *prefix, int *layer) {
    size_t length = strlen(prefix);
    const char *rest = strncmp(name, prefix, length) == 0 ? vit_read_number(name + length, layer) : NULL;
    return rest && *rest == '.' ? rest + 1 : NULL;
}

/* ---- Networks that do not run ---- */

/* Weights of networks that resemble ours but compute something else: running without them would be silently wrong. */
const char *vit_foreign_network(const char *name) {
    static const struct {
        const char *part, *what;
    } known[] = {{".q_norm.", "query-key norms"},
                 {".k_norm.", "query-key norms"},
                 {"attn_pool.", "attention pooling"},
                 {"rel_pos", "relative positions"},
                 {"rel_embed", "relative positions"},
                 {".mlp.norm.", "a norm inside the MLP"},
                 {".mlp.w12.", "SwiGLU"},
                 {".mlp.fc1_g.", "SwiGLU"},
                 {"pos_x", "2-D positions"},
                 {"pos_y", "2-D positions"},
                 {".pos_embed", "positions in every layer"},
                 {0}};
    for (int i = 0; known[i].part; i++)
        if (strstr(name, known[i].part))
            return known[i].what;
    return NULL;
}
