/* What Hugging Face's preprocessor_config.json claims (transformers image_processing_*.py and
 * image_processing_backends.py). */
#include "config_json.h"

#include <math.h>
#include <string.h>

typedef struct hf_size {
    int height, width, shortest; /* 0: not given */
} hf_size;

/* Classes of image processors, and of feature extractors before them: their defaults stand where a file leaves
 * something out. */
static const struct processor {
    const char *name; /* before ImageProcessor, ImageProcessorFast or FeatureExtractor */
    int resample;     /* Pillow's number */
    hf_size size, crop;
    int number_is_short; /* a number as size is the short side; else it is both */
    float mean[3], std[3];
} processors[] = {{"ViT", 2, {224, 224, 0}, {0}, 0, {0.5f, 0.5f, 0.5f}, {0.5f, 0.5f, 0.5f}},
                  {"DeiT", 3, {256, 256, 0}, {224, 224, 0}, 0, {0.5f, 0.5f, 0.5f}, {0.5f, 0.5f, 0.5f}},
                  {"Siglip", 3, {224, 224, 0}, {0}, 1, {0.5f, 0.5f, 0.5f}, {0.5f, 0.5f, 0.5f}},
                  {"CLIP", 3, {0, 0, 224}, {224, 224, 0}, 1, {0.48145466f, 0.4578275f, 0.40821073f},
                   {0.26862954f, 0.26130258f, 0.27577711f}},
                  {"Bit", 3, {0, 0, 224}, {224, 224, 0}, 1, {0.48145466f, 0.4578275f, 0.40821073f},
                   {0.26862954f, 0.26130258f, 0.27577711f}}};

static const int pillow[] = {VIT_FILTER_NEAREST, VIT_FILTER_LANCZOS, VIT_FILTER_BILINEAR,
                             VIT_FILTER_BICUBIC, VIT_FILTER_BOX,     VIT_FILTER_HAMMING};

static const struct processor *find_processor(const char *type) {
    static const char *const endings[] = {"ImageProcessor", "ImageProcessorFast", "FeatureExtractor"};
    for (size_t i = 0; i < sizeof processors / sizeof *processors; i++) {
        const size_t length = strlen(processors[i].name);
        for (size_t j = 0; j < sizeof endings / sizeof *endings && strncmp(type, processors[i].name, length) == 0; j++)
            if (strcmp(type + length, endings[j]) == 0)
                return &processors[i];
    }
    return NULL;
}

/* {"height": h, "width": w}, {"shortest_edge": n}, or a number. */
static vit_status read_size(const vit_json_reader *r, const char *key, int number_is_short, hf_size *out) {
    vit_json_reader size = {.name = r->name, .error = r->error};
    const vit_json *value = vit_member(r, key);
    if (!value)
        return VIT_OK;
    *out = (hf_size){0};
    if (value->type == VIT_JSON_NUMBER && number_is_short)
        return vit_check_integer(r, key, value, 1, 65535, &out->shortest);
    if (value->type != VIT_JSON_OBJECT)
        return vit_read_pair(r, key, 1, 65535, &out->height, &out->width);
    VIT_TRY(vit_read_object(r, key, &size.object));
    for (const vit_json *side = size.object->child; side; side = side->next)
        if (strcmp(side->key, "height") != 0 && strcmp(side->key, "width") != 0 &&
            strcmp(side->key, "shortest_edge") != 0 && side->type != VIT_JSON_NULL)
            return vit_unsupported(r, key, side->key);
    VIT_TRY(vit_read_integer(&size, "shortest_edge", 1, 65535, &out->shortest));
    VIT_TRY(vit_read_integer(&size, "height", 1, 65535, &out->height));
    VIT_TRY(vit_read_integer(&size, "width", 1, 65535, &out->width));
    if (!out->height != !out->width || (!out->shortest && !out->height))
        return vit_wrong(r, key, "height and width, or shortest_edge", size.object);
    return VIT_OK;
}

/* Rounded towards zero, so that floor(least / crop_pct) is the edge again. */
static double crop_of(int least, int edge) {
    return least < edge ? nextafter((double)least / edge, 0) : 1;
}

/* Resizing to size, then perhaps the middle of crop, as crop mode, crop_pct and input size. */
static vit_status resize_and_crop(vit_claims *claims, const vit_json_reader *r, int center_crop, hf_size size,
                                  hf_size crop) {
    if (!center_crop && size.shortest)
        return vit_unsupported(r, "size", "shortest_edge without do_center_crop");
    if (!center_crop)
        crop = size;
    if (!crop.height)
        return vit_unsupported(r, "do_center_crop", "true without the height and width of crop_size");
    if (!size.shortest && (int64_t)size.width * crop.height != (int64_t)size.height * crop.width)
        return vit_unsupported(r, "do_center_crop", "true with a crop_size of other proportions than size");
    const int least = crop.height < crop.width ? crop.height : crop.width;
    const int edge = size.shortest ? size.shortest : size.height < size.width ? size.height : size.width;
    if (least > edge)
        return vit_unsupported(r, "crop_size", "larger than size");
    claims->crop = size.shortest ? VIT_CROP_SHORT_FLOOR : center_crop ? VIT_CROP_SQUASH_FLOOR : VIT_CROP_SQUASH;
    claims->input_height = crop.height;
    claims->input_width = crop.width;
    claims->crop_pct = crop_of(least, edge);
    return VIT_OK;
}

static vit_status read_pixels(vit_claims *claims, const vit_json_reader *r, const struct processor *class) {
    int normalize = 1, rescale = 1;
    double factor = 1.0 / 255;
    memcpy(claims->mean, class->mean, sizeof claims->mean);
    memcpy(claims->std, class->std, sizeof claims->std);
    VIT_TRY(vit_read_bool(r, "do_normalize", &normalize));
    VIT_TRY(vit_read_bool(r, "do_rescale", &rescale));
    VIT_TRY(vit_read_real(r, "rescale_factor", 1e-6, 1, &factor));
    VIT_TRY(vit_read_channels(r, "image_mean", claims->mean, &claims->has_mean));
    VIT_TRY(vit_read_channels(r, "image_std", claims->std, &claims->has_std));
    claims->has_mean = claims->has_std = 1;
    /* Folded into mean and std of pixels in 0..1: (x f - mean) / std = (x / 255 - mean / 255f) / (std / 255f). */
    double unit = rescale ? factor * 255 : 255;
    for (int i = 0; i < 3 && (!normalize || fabs(unit - 1) > 1e-6); i++) {
        claims->mean[i] = (float)(normalize ? claims->mean[i] / unit : 0);
        claims->std[i] = (float)(normalize ? claims->std[i] / unit : 1 / unit);
    }
    return VIT_OK;
}

vit_status vit_claims_from_preprocessor(vit_claims *claims, const vit_json_reader *r) {
    static const char *const other[] = {"do_pad", "do_flip_channel_order", "do_thumbnail", "do_align_long_axis",
                                        "offset", "crop_pct"};
    char type[64] = "ViTImageProcessor";
    vit_read_text(r, "feature_extractor_type", type, sizeof type);
    vit_read_text(r, "image_processor_type", type, sizeof type);
    const struct processor *class = find_processor(type);
    if (!class)
        return vit_unsupported(r, "image_processor_type", type);
    for (size_t i = 0; i < sizeof other / sizeof *other; i++) {
        const vit_json *value = vit_member(r, other[i]);
        if (value && value->type != VIT_JSON_FALSE)
            return vit_unsupported(r, other[i], "anything but false");
    }
    hf_size size = class->size, crop = class->crop;
    int resample = class->resample, resize = 1, center_crop = crop.height > 0;
    VIT_TRY(vit_read_integer(r, "resample", 0, 5, &resample));
    VIT_TRY(vit_read_bool(r, "do_resize", &resize));
    VIT_TRY(vit_read_bool(r, "do_center_crop", &center_crop));
    VIT_TRY(read_size(r, "size", class->number_is_short, &size));
    VIT_TRY(read_size(r, "crop_size", 0, &crop));
    if (!resize)
        return vit_unsupported(r, "do_resize", "false");
    claims->filter = pillow[resample];
    VIT_TRY(resize_and_crop(claims, r, center_crop, size, crop));
    return read_pixels(claims, r, class);
}

void vit_claims_assume_processor(vit_claims *claims) {
    const struct processor *class = find_processor(claims->processor);
    const int is_short = class->size.shortest > 0, is_cropped = class->crop.height > 0;
    claims->filter = pillow[class->resample];
    claims->crop = is_short ? VIT_CROP_SHORT_FLOOR : is_cropped ? VIT_CROP_SQUASH_FLOOR : VIT_CROP_SQUASH;
    claims->crop_pct = is_cropped ? crop_of(class->crop.height, is_short ? class->size.shortest : class->size.height) : 1;
    memcpy(claims->mean, class->mean, sizeof claims->mean);
    memcpy(claims->std, class->std, sizeof claims->std);
    claims->has_mean = claims->has_std = 1;
}
