#include "model.h"

#include "../format/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

vit_status vit_model_warn(vit_model *model, vit_error *error, const char *format, ...) {
    const vit_allocator *allocator = &model->options.allocator;
    char text[300], **grown;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    size_t count = (size_t)model->warning_count;
    VIT_TRY(vit_alloc_for((void **)&grown, allocator, (count + 1) * sizeof *grown, "warnings", error));
    if (count)
        memcpy(grown, model->warnings, count * sizeof *grown);
    vit_release(allocator, model->warnings);
    model->warnings = grown;
    VIT_TRY(vit_alloc_for((void **)&grown[count], allocator, strlen(text) + 1, "warnings", error));
    strcpy(grown[count], text);
    model->warning_count++;
    return VIT_OK;
}

void vit_model_close(vit_model *model) {
    if (!model)
        return;
    vit_allocator allocator = model->options.allocator;
    vit_release(&allocator, model->labels);
    for (int i = 0; i < model->warning_count; i++)
        vit_release(&allocator, model->warnings[i]);
    vit_release(&allocator, model->warnings);
    vit_container_release(&model->container);
    vit_arena_release(&model->weight_arena, &allocator);
    vit_arena_release(&model->slot_arena, &allocator);
    vit_release(&allocator, model);
}

int vit_feature_width(const vit_config *c) {
    return c->projection ? c->projection : c->pre_logits ? c->pre_logits : vit_pooled_width(c);
}

const vit_config *vit_model_config(const vit_model *model) {
    return &model->config;
}

const char *vit_model_source(const vit_model *model) {
    return model->source;
}

int64_t vit_model_parameters(const vit_model *model) {
    int64_t parameters = 0;
    for (int i = 0; i < model->slot_count; i++)
        parameters += (int64_t)model->slots[i].count;
    return parameters;
}

uint64_t vit_model_bytes(const vit_model *model) {
    return model->weight_arena.base ? model->weight_arena.size : model->weight_arena.used;
}

const char *vit_model_label(const vit_model *model, int class_index) {
    return model->labels && class_index >= 0 && class_index < model->config.classes ? model->labels[class_index] : NULL;
}

int vit_model_tensor_count(const vit_model *model) {
    return model->container.tensor_count;
}

const vit_tensor_info *vit_model_tensor(const vit_model *model, int index) {
    return index >= 0 && index < model->container.tensor_count ? &model->container.tensors[index] : NULL;
}

int vit_model_warning_count(const vit_model *model) {
    return model->warning_count;
}

const char *vit_model_warning(const vit_model *model, int index) {
    return index >= 0 && index < model->warning_count ? model->warnings[index] : NULL;
}

vit_status vit_model_set_labels(vit_model *model, const char *const *labels, int count, vit_error *error) {
    const vit_allocator *allocator = &model->options.allocator;
    if (count != model->config.classes)
        return vit_fail(error, VIT_ERR_ARGUMENT, "labels: expected one name for each of the %d classes, found %d names",
                        model->config.classes, count);
    for (int i = 0; i < count; i++)
        if (!vit_utf8_name(labels[i], strlen(labels[i])))
            return vit_fail(error, VIT_ERR_ARGUMENT, "labels: the name of class %d, \"%s\", is not UTF-8", i,
                            vit_show(labels[i], strlen(labels[i])).text);
    char **copy;
    size_t bytes = (size_t)count * sizeof *copy;
    for (int i = 0; i < count; i++)
        bytes = vit_size_add(bytes, strlen(labels[i]) + 1);
    VIT_TRY(vit_alloc_for((void **)&copy, allocator, bytes, "labels", error));
    char *text = (char *)(copy + count);
    for (int i = 0; i < count; i++) {
        copy[i] = strcpy(text, labels[i]);
        text += strlen(text) + 1;
    }
    vit_release(allocator, model->labels);
    model->labels = copy;
    return VIT_OK;
}

void vit_model_set_known_percent(vit_model *model, int percent) {
    model->config.known_percent = percent;
}
