/* build/golden CASE_DIR OUT.safetensors: computes every tensor named in CASE_DIR/expected.safetensors and writes it to
 * OUT. tests/check_goldens.py runs it and compares. What a case is follows from the last two folders of its path. */
#include "golden.h"

#include "../src/format/safetensors.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* A case belongs to the first kind whose prefix its "category/case" has. */
static const struct kind {
    const char *prefix;
    void (*compute)(golden *g);
} kinds[] = {
    {"preprocess/center_crop", golden_center_crop},
    {"preprocess/decode", golden_decode},
    {"preprocess/hf_", golden_hf},
    {"preprocess/normalise", golden_normalise},
    {"preprocess/resize_", golden_resize},
    {"preprocess/tf_resize", golden_tf_resize},
    {"preprocess/timm_eval", golden_timm_eval},
    {"posemb/resample_", golden_posemb},
    {"posemb/variant_", golden_forward},
    {"forward/", golden_forward},
    {"hybrid/", golden_forward},
    {"bit/", golden_forward},
    {"mae/hf_", golden_masked},
    {"mae/", golden_forward},
    {"clip/", golden_forward},
    {"deit/", golden_forward},
    {"dino", golden_forward},
    {"msn/", golden_forward},
    {"siglip/", golden_forward},
    {"vit/", golden_forward},
    {"mpp/targets_", golden_patch_targets},
    {"mpp/loss_", golden_patch_loss},
    {"real/pixels_", golden_real_pixels},
    {"real/logits_", golden_real_photos},
    {"fewshot/", golden_fewshot},
    {"real/rollout", golden_rollout},
    {"real/attention_distance", golden_attention_distance},
    {"real/posemb_similarity", golden_posemb_similarity},
    {"real/filter_pca", golden_filter_pca},
    {"augment/randaugment", golden_randaugment},
    {"train/grad_", golden_gradients},
    {"train/steps_", golden_steps},
    {"gguf/types", golden_gguf_types},
    {"gguf/quantise", golden_gguf_quantise},
    {"train/vitjax_", golden_steps},
    {"train/bigvision_", golden_steps},
};

/* ---- shared by the kinds ---- */

void die(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fputs("golden: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(1);
}

void must(vit_status status, const vit_error *error) {
    if (status != VIT_OK)
        die("%s", error->text);
}

void *must_alloc(size_t bytes) {
    void *block = malloc(bytes ? bytes : 1);
    if (!block)
        die("out of memory: %zu bytes", bytes);
    return block;
}

const char *path_in(const char *folder, const char *file) {
    static char buffers[4][4096];
    static int next;
    char *path = buffers[next = (next + 1) % 4];
    if (snprintf(path, sizeof buffers[0], "%s/%s", folder, file) >= (int)sizeof buffers[0])
        die("%s/%s: the path is too long", folder, file);
    return path;
}

void tensors_open(tensors *out, const char *path, const golden *g) {
    vit_error error;
    uint64_t need;
    *out = (tensors){.file = {.allocator = &g->options.allocator}};
    must(vit_read_file(&out->file, path, g->options.limits.file_bytes, &error), &error);
    must(vit_container_parse(&out->header, path, out->file.data, out->file.size, out->file.size, &need,
                             &g->options.limits, &g->options.allocator, &error),
         &error);
}

void tensors_close(tensors *t) {
    vit_container_release(&t->header);
    vit_buffer_release(&t->file);
}

const vit_tensor_info *tensors_find(const tensors *t, const char *name) {
    for (int i = 0; i < t->header.tensor_count; i++)
        if (strcmp(t->header.tensors[i].name, name) == 0)
            return &t->header.tensors[i];
    return NULL;
}

const void *tensors_data(const tensors *t, const vit_tensor_info *info) {
    return t->file.data + info->offset;
}

int golden_count(const golden *g) {
    return g->expected.header.tensor_count;
}

const char *golden_name(const golden *g, int index) {
    return g->expected.header.tensors[index].name;
}

int golden_find(const golden *g, const char *name) {
    const vit_tensor_info *found = tensors_find(&g->expected, name);
    return found ? (int)(found - g->expected.header.tensors) : -1;
}

static size_t elements(const result *r) {
    size_t count = 1;
    for (int i = 0; i < r->rank; i++)
        count *= (size_t)r->shape[i];
    return count;
}

static size_t bytes_of(const result *r) {
    return elements(r) * (strcmp(r->type, "U8") == 0 ? 1 : 4);
}

void *golden_result(golden *g, int index, const char *type, int rank, const int64_t *shape) {
    if (index < 0)
        die("%s: expected.safetensors lacks a tensor of this kind of case", g->folder);
    result *r = &g->results[index];
    if (r->type)
        die("%s: %s is computed twice", g->folder, golden_name(g, index));
    *r = (result){.type = type, .rank = rank};
    memcpy(r->shape, shape, (size_t)rank * sizeof *shape);
    return r->data = must_alloc(bytes_of(r));
}

vit_image golden_picture(const golden *g, const char *file) {
    vit_error error;
    vit_image image;
    must(vit_image_open(&image, path_in(g->folder, file), &g->options, &error), &error);
    return image;
}

/* ---- the program ---- */

/* "category/case" of a path. */
static const char *case_name(const char *folder) {
    const char *name = folder + strlen(folder);
    for (int slashes = 0; name > folder && (name[-1] != '/' || ++slashes < 2);)
        name--;
    return name;
}

static void write_results(const golden *g, const char *path) {
    vit_error error;
    vit_safetensors_writer writer;
    must(vit_safetensors_open(&writer, path, &g->options.allocator, &error), &error);
    vit_status status = VIT_OK;
    for (int i = 0; i < golden_count(g) && status == VIT_OK; i++) {
        const result *r = &g->results[i];
        if (r->type)
            status =
                vit_safetensors_tensor(&writer, golden_name(g, i), r->type, r->rank, r->shape, bytes_of(r), &error);
        else
            fprintf(stderr, "golden: %s: %s is not computed\n", g->folder, golden_name(g, i));
    }
    if (status == VIT_OK)
        status = vit_safetensors_header(&writer, &error);
    for (int i = 0; i < golden_count(g) && status == VIT_OK; i++)
        if (g->results[i].type)
            status = vit_safetensors_data(&writer, g->results[i].data, bytes_of(&g->results[i]), &error);
    if (status == VIT_OK)
        status = vit_safetensors_commit(&writer, &error);
    vit_safetensors_cancel(&writer);
    must(status, &error);
}

int main(int count, char **arguments) {
    if (count != 3) {
        fputs("usage: golden CASE_DIR OUT.safetensors\n", stderr);
        return 2;
    }
    char folder[4096];
    snprintf(folder, sizeof folder, "%s", arguments[1]);
    for (size_t length = strlen(folder); length > 1 && folder[length - 1] == '/'; length--)
        folder[length - 1] = 0;
    const char *name = case_name(folder);
    const struct kind *kind = NULL;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds && !kind; i++)
        if (strncmp(name, kinds[i].prefix, strlen(kinds[i].prefix)) == 0)
            kind = &kinds[i];
    if (!kind)
        die("%s: no kind of case is called %s", arguments[1], name);
    golden g = {.folder = folder, .options = vit_default_options()};
    tensors_open(&g.expected, path_in(folder, "expected.safetensors"), &g);
    g.results = must_alloc((size_t)golden_count(&g) * sizeof *g.results);
    for (int i = 0; i < golden_count(&g); i++)
        g.results[i] = (result){0};
    kind->compute(&g);
    write_results(&g, arguments[2]);
    for (int i = 0; i < golden_count(&g); i++)
        free(g.results[i].data);
    free(g.results);
    tensors_close(&g.expected);
    return 0;
}
