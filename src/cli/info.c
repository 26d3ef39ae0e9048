#include "commands.h"
#include "json_out.h"
#include "limits.h"
#include "model_option.h"
#include "paths.h"
#include "text_out.h"

#include <stdio.h>
#include <string.h>

const vit_cli_command vit_cli_info_command = {
    .name = "info",
    .summary = "what is in a weight file or model",
    .arguments = "[options] FILE|DIR",
    .details = "Of a file it lists metadata and tensors, whatever they are for, and what model they make, if they do. "
               "A folder, or a file with --config, is loaded as a model: network, parameters, arithmetic, "
               "preprocessing, labels, and the tensors that are not used; exit status 1 if it does not load.",
    .examples = "  vit info vit_tiny/\n"
                "  vit info --size 384 --tensors vit_tiny/\n"
                "  vit info --json model.safetensors\n"
                "  vit info --config config.json model.safetensors\n",
    .least = 1,
    .most = 1,
};

static const char *const networks[] = {[VIT_NETWORK_VIT] = "ViT", [VIT_NETWORK_BIT] = "BiT"};
static const char *const pools[] = {[VIT_POOL_CLASS] = "class token", [VIT_POOL_MEAN] = "mean",
                                    [VIT_POOL_MAP] = "attention pooling", [VIT_POOL_CLASS_MEAN] = "class token and mean"};
static const char *const pos_kinds[] = {[VIT_POS_NONE] = "none", [VIT_POS_1D] = "1-D", [VIT_POS_2D] = "2-D",
                                        [VIT_POS_RELATIVE] = "relative", [VIT_POS_SINCOS2D] = "sines and cosines"};
static const char *const placements[] = {[VIT_POS_INPUT] = "", [VIT_POS_LAYERS] = ", in every layer",
                                         [VIT_POS_SHARED] = ", one table for every layer"};
static const char *const resample_sources[] = {[VIT_RESAMPLE_TIMM] = "timm", [VIT_RESAMPLE_HF] = "Hugging Face",
                                               [VIT_RESAMPLE_BILINEAR] = "timm's npz loader", [VIT_RESAMPLE_JAX] = "vit_jax"};
static const char *const resnet_sources[] = {[VIT_RESNET_HYBRID_JAX] = "vit_jax", [VIT_RESNET_HYBRID_TIMM] = "timm",
                                             [VIT_BIT_TRANSFER] = "big_transfer", [VIT_BIT_TIMM] = "timm",
                                             [VIT_BIT_VISION] = "big_vision"};
static const char *const decoders[] = {
    [VIT_DECODER_NONE] = "", [VIT_DECODER_MAE] = "as MAE", [VIT_DECODER_SIMMIM] = "as SimMIM",
    [VIT_DECODER_MEAN3BIT] = "by mean colours of 3 bits", [VIT_DECODER_DOWN4X4] = "by 4x4 colours of 3 bits",
    [VIT_DECODER_REGRESSION] = "by pixels"};

typedef struct request {
    vit_cli_model model;
    int size[2], json, tensors;
} request;

enum { LONGEST_SHAPE = 200 }; /* 8 dimensions of 20 digits, and commas */

static void write_shape(const vit_tensor_info *tensor, char text[LONGEST_SHAPE]) {
    int used = snprintf(text, LONGEST_SHAPE, "[");
    for (int i = 0; i < tensor->rank; i++)
        used +=
            snprintf(text + used, (size_t)(LONGEST_SHAPE - used), "%s%lld", i ? "," : "", (long long)tensor->shape[i]);
    snprintf(text + used, (size_t)(LONGEST_SHAPE - used), "]");
}

static void print_tensor(const vit_tensor_info *tensor) {
    char shape[LONGEST_SHAPE];
    write_shape(tensor, shape);
    vit_cli_line(stdout, "  %-44s %-6s %s", tensor->name, tensor->type, shape);
}

static int count_labels(const vit_model *model) {
    int count = 0;
    for (int i = 0; i < vit_model_config(model)->classes; i++)
        count += vit_model_label(model, i) != NULL;
    return count;
}

static int count_unused(const vit_model *model) {
    int unused = 0;
    for (int i = 0; i < vit_model_tensor_count(model); i++)
        unused += !vit_model_tensor(model, i)->used;
    return unused;
}

/* ---- Types ---- */

/* Tensors of one type, in a file or of a model. */
typedef struct type_count {
    const char *type;
    int tensors;
    unsigned long long bytes;
} type_count;

enum { MOST_TYPES = 40 };

static int count_type(type_count *types, int count, const vit_tensor_info *tensor) {
    int i = 0;
    while (i < count && strcmp(types[i].type, tensor->type) != 0)
        i++;
    if (i == MOST_TYPES)
        return count;
    if (i == count)
        types[count++] = (type_count){.type = tensor->type};
    types[i].tensors++;
    types[i].bytes += tensor->bytes;
    return count;
}

static int count_types(const vit_model *model, type_count types[MOST_TYPES]) {
    int count = 0;
    for (int i = 0; i < vit_model_tensor_count(model); i++)
        count = count_type(types, count, vit_model_tensor(model, i));
    return count;
}

/* ---- Text ---- */

/* ", " between them. */
static void print_word(int *count, const char *word) {
    printf("%s%s", (*count)++ ? ", " : "", word);
}

static void print_tokens(const vit_config *c) {
    int count = 0;
    char registers[32];
    printf("  tokens         ");
    if (c->class_token)
        print_word(&count, "class");
    if (c->dist_token)
        print_word(&count, "distillation");
    snprintf(registers, sizeof registers, "%d register%s", c->registers, c->registers == 1 ? "" : "s");
    if (c->registers)
        print_word(&count, registers);
    print_word(&count, "patches\n");
}

static void print_parts(const vit_config *c) {
    const struct {
        int has;
        const char *what;
    } parts[] = {{c->mlp == VIT_MLP_SWIGLU, "SwiGLU"},
                 {c->layer_scale, "LayerScale"},
                 {c->pre_norm, "a norm before the layers"},
                 {!c->final_norm, "no norm after them"},
                 {!c->qkv_bias, "no bias of queries, keys and values"},
                 {!c->patch_bias, "no bias of the patch embedding"},
                 {c->axial, "axial attention"},
                 {c->head_dist, "a head of the distillation token"}};
    int count = 0;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (parts[i].has) {
            if (!count)
                printf("  with           ");
            print_word(&count, parts[i].what);
        }
    if (count)
        putchar('\n');
}

static void print_resnet(const vit_resnet *r) {
    if (!r->stem_width)
        return;
    const int size = vit_root_size(r);
    printf("  convolutions   stem of %d channels, %dx%d/%d", r->stem_width, size, size,
           vit_root_stride(r));
    for (int i = 0; i < r->stages; i++)
        printf("%s%d", i ? ", " : "; units ", r->units[i]);
    if (r->stages)
        printf(" from width %d on", r->width);
    printf("; as in %s\n", resnet_sources[r->kind]);
}

static void print_network(const vit_config *c) {
    if (c->layers)
        printf("  network        %s: %d layers, width %d, %d heads, MLP %d, patch %dx%d, %s, eps %g\n",
               networks[c->network], c->layers, c->width, c->heads, c->mlp_width, c->patch_height, c->patch_width,
               vit_activation_name(c->activation), (double)c->norm_eps);
    else
        printf("  network        %s\n", networks[c->network]);
    print_resnet(&c->resnet);
    if (c->network == VIT_NETWORK_BIT)
        return;
    print_tokens(c);
    print_parts(c);
    printf("  pooling        %s%s%s\n", pools[c->pool], c->pool_norm ? ", then norm" : "",
           c->class_token && c->pool == VIT_POOL_MEAN ? " (there is a class token as well)" : "");
    if (c->projection)
        printf("  projection     %d\n", c->projection);
    if (c->pre_logits)
        printf("  pre-logits     %d\n", c->pre_logits);
    printf("  positions      %s%s", pos_kinds[c->pos_kind], placements[c->pos_placement]);
    if (c->pos_kind != VIT_POS_NONE && c->pos_kind != VIT_POS_SINCOS2D)
        printf(", for %dx%d pixels, resampled for others as %s does", c->image_height, c->image_width,
               resample_sources[c->pos_resample]);
    putchar('\n');
    if (c->decoder.kind)
        printf("  predicts       hidden patches, %s\n", decoders[c->decoder.kind]);
    if (c->decoder.layers)
        printf("  decoder        %d layers, width %d, %d heads, MLP %d\n", c->decoder.layers, c->decoder.width,
               c->decoder.heads, c->decoder.mlp_width);
}

static void print_types(const vit_model *model) {
    type_count types[MOST_TYPES];
    const int count = count_types(model, types);
    printf("  types          ");
    for (int i = 0; i < count; i++)
        printf("%s%d of %s (%llu bytes)", i ? ", " : "", types[i].tensors, types[i].type, types[i].bytes);
    putchar('\n');
}

static void print_model(const vit_model *model, const request *request) {
    const vit_config *c = vit_model_config(model);
    const vit_preprocess *p = &c->preprocess;
    const int height = request->size[0] ? request->size[0] : p->height,
              width = request->size[0] ? request->size[1] : p->width;
    const char *name = *c->architecture ? c->architecture : "without a name", *same = vit_architecture_of(c);
    if (same && strcmp(same, name) != 0)
        vit_cli_line(stdout, "  architecture   %s, built as %s", name, same);
    else
        vit_cli_line(stdout, "  architecture   %s", name);
    printf("  source         %s\n", vit_model_source(model));
    printf("  parameters     %lld, %llu bytes in memory\n", (long long)vit_model_parameters(model),
           (unsigned long long)vit_model_bytes(model));
    print_network(c);
    printf("  input          %dx%d pixels, %.4g GFLOP\n", height, width, vit_model_flops(model, height, width) * 1e-9);
    printf("  preprocessing  %s, crop %s %g, mean %g %g %g, std %g %g %g\n", vit_filter_name(p->filter),
           vit_crop_name(p->crop), (double)p->crop_pct, (double)p->mean[0], (double)p->mean[1], (double)p->mean[2],
           (double)p->std[0], (double)p->std[1], (double)p->std[2]);
    vit_cli_line(stdout, "  classes        %d, %d labels%s%s", c->classes, count_labels(model),
                 *c->label_set ? ", of " : "", c->label_set);
    printf("  tensors        %d, %d not used\n", vit_model_tensor_count(model), count_unused(model));
    for (int i = 0; i < vit_model_tensor_count(model); i++)
        if (!vit_model_tensor(model, i)->used)
            print_tensor(vit_model_tensor(model, i));
    print_types(model);
    for (int i = 0; i < vit_model_warning_count(model); i++)
        vit_cli_line(stdout, "  warning        %s", vit_model_warning(model, i));
}

/* model NULL: the file does not say what it is. */
static void print_file(const char *path, const vit_file *file, const vit_model *model, const request *request) {
    const int tensors = vit_file_tensor_count(file), entries = vit_file_metadata_count(file);
    vit_cli_line(stdout, "%s: %s, %d tensors, %lld bytes", path, vit_file_format(file), tensors,
                 vit_cli_file_size(path));
    if (model)
        print_model(model, request);
    if (entries)
        printf("metadata\n");
    for (int i = 0; i < entries; i++) {
        const char *key, *value;
        vit_file_metadata(file, i, &key, &value);
        vit_cli_line(stdout, "  %-40s %s", key, value);
    }
    if (tensors)
        printf("tensors\n");
    for (int i = 0; i < tensors; i++)
        print_tensor(vit_file_tensor(file, i));
}

/* ---- JSON ---- */

static void print_types_json(const vit_model *model) {
    type_count types[MOST_TYPES];
    const int count = count_types(model, types);
    printf(",\"types\":{");
    for (int i = 0; i < count; i++) {
        if (i)
            putchar(',');
        vit_cli_json_string(stdout, types[i].type);
        printf(":{\"tensors\":%d,\"bytes\":%llu}", types[i].tensors, types[i].bytes);
    }
    putchar('}');
}

/* Whether arithmetic can be counted for the size that was asked for; a complaint if not. */
static int can_take(const vit_model *model, const request *request) {
    const int *size = request->size;
    if (!size[0] || vit_model_flops(model, size[0], size[1]) > 0)
        return 1;
    vit_cli_usage(&vit_cli_info_command, "--size %dx%d: this network takes no pictures of that size", size[0], size[1]);
    return 0;
}

/* Of the configuration what is the same for all networks by name, and all of it under "config". */
static void print_model_json(const vit_model *model, const request *request) {
    const vit_config *c = vit_model_config(model);
    const vit_preprocess *p = &c->preprocess;
    const int height = request->size[0] ? request->size[0] : p->height,
              width = request->size[0] ? request->size[1] : p->width;
    printf(",\"architecture\":");
    vit_cli_json_string(stdout, c->architecture);
    printf(",\"built_as\":");
    vit_cli_json_string(stdout, vit_architecture_of(c));
    printf(",\"network\":\"%s\",\"source\":\"%s\"", vit_network_name(c), vit_model_source(model));
    printf(",\"parameters\":%lld,\"weight_bytes\":%llu", (long long)vit_model_parameters(model),
           (unsigned long long)vit_model_bytes(model));
    printf(",\"layers\":%d,\"width\":%d,\"heads\":%d,\"mlp_width\":%d,\"patch\":[%d,%d]", c->layers, c->width, c->heads,
           c->mlp_width, c->patch_height, c->patch_width);
    printf(",\"activation\":\"%s\",\"norm_eps\":", vit_activation_name(c->activation));
    vit_cli_json_float(c->norm_eps);
    printf(",\"pool\":\"%s\",\"class_token\":%s,\"pre_logits\":%d", vit_pool_name(c->pool),
           c->class_token ? "true" : "false", c->pre_logits);
    printf(",\"positions\":{\"size\":[%d,%d],\"resample\":\"%s\"}", c->image_height, c->image_width,
           vit_resample_name(c->pos_resample));
    if (c->resnet.stem_width)
        printf(",\"resnet\":{\"kind\":\"%s\",\"units\":[%d,%d,%d,%d],\"width\":%d,\"stem_width\":%d,"
               "\"stem_size\":%d,\"stem_stride\":%d,\"norm_groups\":%d}",
               vit_resnet_name(c->resnet.kind), c->resnet.units[0], c->resnet.units[1], c->resnet.units[2],
               c->resnet.units[3], c->resnet.width, c->resnet.stem_width,
               vit_root_size(&c->resnet), vit_root_stride(&c->resnet),
               vit_norm_groups(&c->resnet));
    printf(",\"config\":{");
    const char *key;
    char value[VIT_CONFIG_VALUE];
    for (int i = 0; vit_config_entry(c, i, &key, value); i++)
        printf("%s\"%s\":%s", i ? "," : "", key, value);
    printf("},\"input\":[%d,%d],\"flops\":%.0f", height, width, vit_model_flops(model, height, width));
    printf(",\"preprocess\":{\"filter\":\"%s\",\"crop\":\"%s\",\"crop_pct\":", vit_filter_name(p->filter),
           vit_crop_name(p->crop));
    vit_cli_json_float(p->crop_pct);
    printf(",\"mean\":");
    vit_cli_json_floats(p->mean, 3);
    printf(",\"std\":");
    vit_cli_json_floats(p->std, 3);
    printf(",\"size\":[%d,%d]},\"classes\":%d,\"labels\":%d,\"label_set\":", p->height, p->width, c->classes,
           count_labels(model));
    vit_cli_json_string(stdout, c->label_set);
    print_types_json(model);
    printf(",\"warnings\":[");
    for (int i = 0; i < vit_model_warning_count(model); i++) {
        if (i)
            putchar(',');
        vit_cli_json_string(stdout, vit_model_warning(model, i));
    }
    putchar(']');
}

static void print_tensor_json(const vit_tensor_info *tensor, int first, const char *used) {
    char shape[LONGEST_SHAPE];
    write_shape(tensor, shape);
    printf("%s{\"name\":", first ? "" : ",");
    vit_cli_json_string(stdout, tensor->name);
    printf(",\"type\":");
    vit_cli_json_string(stdout, tensor->type);
    printf(",\"shape\":%s,\"bytes\":%llu%s}", shape, (unsigned long long)tensor->bytes, used);
}

static void print_tensors_json(const vit_model *model) {
    printf(",\"tensors\":[");
    for (int i = 0; i < vit_model_tensor_count(model); i++) {
        const vit_tensor_info *tensor = vit_model_tensor(model, i);
        print_tensor_json(tensor, i == 0, tensor->used ? ",\"used\":true" : ",\"used\":false");
    }
    putchar(']');
}

static void print_file_json(const char *path, const vit_file *file, const vit_model *model, const request *request) {
    printf("{\"path\":");
    vit_cli_json_string(stdout, path);
    printf(",\"format\":");
    vit_cli_json_string(stdout, vit_file_format(file));
    printf(",\"bytes\":%lld", vit_cli_file_size(path));
    if (model)
        print_model_json(model, request);
    printf(",\"metadata\":{");
    for (int i = 0; i < vit_file_metadata_count(file); i++) {
        const char *key, *value;
        vit_file_metadata(file, i, &key, &value);
        if (i)
            putchar(',');
        vit_cli_json_string(stdout, key);
        putchar(':');
        vit_cli_json_string(stdout, value);
    }
    putchar('}');
    if (model) {
        print_tensors_json(model);
    } else {
        printf(",\"tensors\":[");
        for (int i = 0; i < vit_file_tensor_count(file); i++)
            print_tensor_json(vit_file_tensor(file, i), i == 0, "");
        putchar(']');
    }
    printf("}\n");
}

/* ---- Files and folders ---- */

static int info_file(const request *request) {
    const char *path = request->model.path;
    int status = VIT_CLI_OK;
    vit_error error;
    vit_file *file;
    if (vit_file_open(&file, path, vit_cli_options(), &error) != VIT_OK)
        return vit_cli_failed(&error);
    vit_model *model; /* if it is one */
    if (vit_model_open(&model, path, NULL, vit_cli_options(), &error) == VIT_ERR_LIMIT) {
        vit_cli_complain("%s", error.text);
        status = VIT_CLI_FAILED;
    } else if (model && !can_take(model, request))
        status = VIT_CLI_USAGE;
    else if (request->json)
        print_file_json(path, file, model, request);
    else
        print_file(path, file, model, request);
    vit_model_close(model);
    vit_file_close(file);
    return status;
}

static int info_model(const request *request) {
    vit_model *model;
    int status = vit_cli_model_open(&model, &request->model, VIT_COMPUTE_F32);
    if (status)
        return status;
    if (!can_take(model, request)) {
        status = VIT_CLI_USAGE;
    } else if (request->json) {
        printf("{\"path\":");
        vit_cli_json_string(stdout, request->model.path);
        print_model_json(model, request);
        print_tensors_json(model);
        printf("}\n");
    } else {
        vit_cli_line(stdout, "%s", request->model.path);
        print_model(model, request);
        if (request->tensors)
            printf("tensors\n");
        for (int i = 0; i < vit_model_tensor_count(model) && request->tensors; i++)
            print_tensor(vit_model_tensor(model, i));
    }
    vit_model_close(model);
    return status;
}

int vit_cli_info(int argc, char **argv) {
    request request = {.model.tells_warnings = 1};
    int count;
    const vit_cli_option options[] = {
        VIT_CLI_CONFIG_OPTION(request.model),
        VIT_CLI_LABELS_OPTION(request.model),
        {"size", "N|HxW", VIT_CLI_SIZE, request.size, 0, 0,
         "pixels that arithmetic is counted for, height x width (default: the model's)"},
        {"tensors", NULL, VIT_CLI_FLAG, &request.tensors, 0, 0, "of a model as well: every tensor, its type and shape"},
        {"json", NULL, VIT_CLI_FLAG, &request.json, 0, 0, "one object"},
        {0},
    };
    int status = vit_cli_parse(&vit_cli_info_command, options, argc, argv, &count);
    if (status >= 0)
        return status;
    request.model.path = argv[0];
    if (request.model.config || request.model.labels || vit_is_folder(argv[0]))
        return info_model(&request);
    return info_file(&request);
}
