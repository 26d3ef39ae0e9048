/* checkpoint.c - states of trainers, with an average of the parameters and without: a file that is refused leaves the trainer
 * as it was, one that is loaded is saved, and loads again. */
#include "fuzz.h"

#include "../../src/train/trainer.h"

static const vit_config config = {
    .layers = 1, .width = 4, .heads = 1, .mlp_width = 4, .classes = 2, .patch_height = 2, .patch_width = 2,
    .image_height = 2, .image_width = 2, .norm_eps = 1e-6f, .class_token = 1, .pos_class = 1, .pos_kind = VIT_POS_1D,
    .patch_bias = 1, .qkv_bias = 1, .final_norm = 1, .architecture = "fuzzed",
    .preprocess = {.std = {1, 1, 1}, .crop_pct = 1, .height = 2, .width = 2}};

static vit_trainer *open_trainer(double polyak) {
    vit_train_options options = vit_default_train_options();
    vit_model *model;
    vit_trainer *trainer;
    vit_error error;
    options.updates = 1 << 20;
    options.polyak = polyak;
    if (vit_model_init(&model, &config, 1, NULL, &error) != VIT_OK ||
        vit_trainer_open(&trainer, model, &options, &error) != VIT_OK)
        fuzz_fail("%s", error.text);
    vit_model_close(model);
    memset(vit_trainer_input(trainer, 0), 0, 2 * 2 * 3 * sizeof(float));
    vit_trainer_set_class(trainer, 0, 1, &error);
    return trainer;
}

static void save(vit_trainer *trainer, const char *path, const int64_t *note) {
    vit_error error;
    int64_t kept[8], again[8];
    const int64_t updates = trainer->updates;
    if (vit_trainer_save(trainer, path, note, &error) != VIT_OK || vit_trainer_note(path, NULL, kept, &error) != VIT_OK ||
        vit_trainer_load(trainer, path, again, &error) != VIT_OK)
        fuzz_fail("%s", error.text);
    fuzz_expect(trainer->updates == updates && memcmp(kept, note, sizeof kept) == 0 && memcmp(again, note, sizeof again) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static vit_trainer *trainers[2];
    const char *path = fuzz_path(".state");
    vit_error error = {0};
    vit_train_result result;
    int64_t note[8];
    if (!trainers[0])
        trainers[0] = open_trainer(0), trainers[1] = open_trainer(0.5);
    vit_trainer *trainer = trainers[fuzz_hash(data, size) % 2];
    for (size_t i = 0; i < trainer->parameter_count; i++)
        trainer->parameters[i] = trainer->first[i] = trainer->second[i] = 0.25f;
    trainer->batches = trainer->updates = 3;
    fuzz_write(path, data, size);
    vit_status status = vit_trainer_load(trainer, path, note, &error);
    fuzz_check_error(status, &error);
    if (status == VIT_OK) {
        save(trainer, path, note);
        fuzz_check_error(vit_trainer_step(trainer, &result, &error), &error);
    } else {
        fuzz_expect(trainer->updates == 3 && trainer->batches == 3);
        for (size_t i = 0; i < trainer->parameter_count; i++)
            fuzz_expect(trainer->parameters[i] == 0.25f && trainer->first[i] == 0.25f && trainer->second[i] == 0.25f);
    }
    remove(path);
    return 0;
}
