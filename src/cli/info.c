#include "commands.h"
#include "json_out.h"
#include "model_option.h"
#include "paths.h"
#include "text_out.h"

#include <stdio.h>

static const vit_cli_command command = {
    .name = "info",
    .summary = "what is in a weight file or model",
    .arguments = "[options] FILE|DIR",
    .details = "Of a file it lists metadata and tensors, whatever they are for. A folder, or a file with --config, is "
               "loaded as a model: network, preprocessing, labels, and the tensors that are not used; exit status 1 "
               "if it does not load.",
    .examples = "  vit info vit_tiny/\n"
                "  vit info --json model.safetensors\n"
                "  vit info --config config.json model.safetensors\n",
    .least = 1,
    .most = 1,
};

static const char *const pools[] = {"class token", "mean"};
static const char *const resample_sources[] = {"timm", "Hugging Face", "timm's npz loader", "vit_jax"};

static const char *const resnet_sources[] = {"vit_jax", "timm", "big_transfer", "timm", "big_vision"};

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

static void print_tensor_json(const vit_tensor_info *tensor, int first) {
    char shape[LONGEST_SHAPE];
    write_shape(tensor, shape);
    printf("%s{\"name\":", first ? "" : ",");
    vit_cli_json_string(tensor->name);
    printf(",\"type\":");
    vit_cli_json_string(tensor->type);
    printf(",\"shape\":%s", shape);
}

static void print_file(const char *path, const vit_file *file) {
    int tensors = vit_file_tensor_count(file), entries = vit_file_metadata_count(file);
    vit_cli_line(stdout, "%s: %s, %d tensors, %lld bytes", path, vit_file_format(file), tensors,
                 vit_cli_file_size(path));
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

static void print_file_json(const char *path, const vit_file *file) {
    printf("{\"path\":");
    vit_cli_json_string(path);
    printf(",\"format\":");
    vit_cli_json_string(vit_file_format(file));
    printf(",\"bytes\":%lld,\"metadata\":{", vit_cli_file_size(path));
    for (int i = 0; i < vit_file_metadata_count(file); i++) {
        const char *key, *value;
        vit_file_metadata(file, i, &key, &value);
        if (i)
            putchar(',');
        vit_cli_json_string(key);
        putchar(':');
        vit_cli_json_string(value);
    }
    printf("},\"tensors\":[");
    for (int i = 0; i < vit_file_tensor_count(file); i++) {
        print_tensor_json(vit_file_tensor(file, i), i == 0);
        printf(",\"bytes\":%llu}", (unsigned long long)vit_file_tensor(file, i)->bytes);
    }
    printf("]}\n");
}

static int info_file(const char *path, int json) {
    vit_error error;
    vit_file *file;
    if (vit_file_open(&file, path, NULL, &error) != VIT_OK) {
        vit_cli_complain("%s", error.text);
        return VIT_CLI_FAILED;
    }
    if (json)
        print_file_json(path, file);
    else
        print_file(path, file);
    vit_file_close(file);
    return VIT_CLI_OK;
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

static void print_model(const char *path, const vit_model *model) {
    const vit_config *c = vit_model_config(model);
    const vit_preprocess *p = &c->preprocess;
    int unused = count_unused(model);
    vit_cli_line(stdout, "%s: %s", path, c->architecture);
    printf("  parameters     %lld, %llu bytes in memory\n", (long long)vit_model_parameters(model),
           (unsigned long long)vit_model_bytes(model));
    if (c->resnet.stem_width)
        printf("  convolutions   units %d %d %d %d, width %d after a stem of %d, as in %s\n", c->resnet.units[0],
               c->resnet.units[1], c->resnet.units[2], c->resnet.units[3], c->resnet.width, c->resnet.stem_width,
               resnet_sources[c->resnet.kind]);
    printf("  network        %d layers, width %d, %d heads, MLP %d, patch %dx%d, %s, eps %g\n", c->layers, c->width,
           c->heads, c->mlp_width, c->patch_height, c->patch_width, vit_activation_name(c->activation),
           (double)c->norm_eps);
    printf("  pooling        %s%s%s\n", pools[c->pool], c->pool_norm ? ", then norm" : "",
           c->class_token && c->pool == VIT_POOL_MEAN ? " (there is a class token as well)" : "");
    if (c->pre_logits)
        printf("  pre-logits     %d\n", c->pre_logits);
    printf("  positions      for %dx%d pixels, resampled for others as %s does\n", c->image_height, c->image_width,
           resample_sources[c->pos_resample]);
    printf("  input          %dx%d pixels, %.4g GFLOP\n", p->height, p->width,
           vit_model_flops(model, p->height, p->width) * 1e-9);
    printf("  preprocessing  %s, crop %s %g, mean %g %g %g, std %g %g %g\n", vit_filter_name(p->filter),
           vit_crop_name(p->crop), (double)p->crop_pct, (double)p->mean[0], (double)p->mean[1], (double)p->mean[2],
           (double)p->std[0], (double)p->std[1], (double)p->std[2]);
    printf("  classes        %d, %d labels\n", c->classes, count_labels(model));
    printf("  tensors        %d, %d not used\n", vit_model_tensor_count(model), unused);
    for (int i = 0; i < vit_model_tensor_count(model); i++)
        if (!vit_model_tensor(model, i)->used)
            print_tensor(vit_model_tensor(model, i));
    for (int i = 0; i < vit_model_warning_count(model); i++)
        vit_cli_line(stdout, "  warning        %s", vit_model_warning(model, i));
}

static void print_three(const char *key, const float values[3]) {
    printf(",\"%s\":[", key);
    for (int i = 0; i < 3; i++) {
        if (i)
            putchar(',');
        vit_cli_json_float(values[i]);
    }
    putchar(']');
}

static void print_model_json(const char *path, const vit_model *model) {
    const vit_config *c = vit_model_config(model);
    const vit_preprocess *p = &c->preprocess;
    printf("{\"path\":");
    vit_cli_json_string(path);
    printf(",\"architecture\":");
    vit_cli_json_string(c->architecture);
    printf(",\"parameters\":%lld,\"bytes\":%llu", (long long)vit_model_parameters(model),
           (unsigned long long)vit_model_bytes(model));
    printf(",\"layers\":%d,\"width\":%d,\"heads\":%d,\"mlp_width\":%d,\"patch\":[%d,%d]", c->layers, c->width, c->heads,
           c->mlp_width, c->patch_height, c->patch_width);
    if (c->resnet.stem_width)
        printf(",\"resnet\":{\"kind\":\"%s\",\"units\":[%d,%d,%d,%d],\"width\":%d,\"stem_width\":%d}",
               vit_resnet_name(c->resnet.kind), c->resnet.units[0], c->resnet.units[1], c->resnet.units[2],
               c->resnet.units[3], c->resnet.width, c->resnet.stem_width);
    printf(",\"activation\":\"%s\",\"norm_eps\":", vit_activation_name(c->activation));
    vit_cli_json_float(c->norm_eps);
    printf(",\"pool\":\"%s\",\"class_token\":%s,\"pre_logits\":%d", c->pool == VIT_POOL_CLASS ? "cls" : "mean",
           c->class_token ? "true" : "false", c->pre_logits);
    printf(",\"positions\":{\"size\":[%d,%d],\"resample\":\"%s\"}", c->image_height, c->image_width,
           vit_resample_name(c->pos_resample));
    printf(",\"input\":[%d,%d],\"flops\":%.0f", p->height, p->width, vit_model_flops(model, p->height, p->width));
    printf(",\"preprocess\":{\"filter\":\"%s\",\"crop\":\"%s\",\"crop_pct\":", vit_filter_name(p->filter),
           vit_crop_name(p->crop));
    vit_cli_json_float(p->crop_pct);
    print_three("mean", p->mean);
    print_three("std", p->std);
    printf("},\"classes\":%d,\"labels\":%d,\"tensors\":[", c->classes, count_labels(model));
    for (int i = 0; i < vit_model_tensor_count(model); i++) {
        print_tensor_json(vit_model_tensor(model, i), i == 0);
        printf(",\"used\":%s}", vit_model_tensor(model, i)->used ? "true" : "false");
    }
    printf("],\"warnings\":[");
    for (int i = 0; i < vit_model_warning_count(model); i++) {
        if (i)
            putchar(',');
        vit_cli_json_string(vit_model_warning(model, i));
    }
    printf("]}\n");
}

static int info_model(const vit_cli_model *option, int json) {
    vit_model *model;
    int status = vit_cli_model_open(&model, option, VIT_COMPUTE_F32);
    if (status)
        return status;
    if (json)
        print_model_json(option->path, model);
    else
        print_model(option->path, model);
    vit_model_close(model);
    return VIT_CLI_OK;
}

int vit_cli_info(int argc, char **argv) {
    vit_cli_model model = {0};
    int json = 0, count;
    const vit_cli_option options[] = {
        VIT_CLI_CONFIG_OPTION(model),
        VIT_CLI_LABELS_OPTION(model),
        {"json", NULL, VIT_CLI_FLAG, &json, 0, 0, "one object"},
        {0},
    };
    int status = vit_cli_parse(&command, options, argc, argv, &count);
    if (status >= 0)
        return status;
    model.path = argv[0];
    if (model.config || model.labels || vit_cli_is_folder(model.path))
        return info_model(&model, json);
    return info_file(model.path, json);
}
