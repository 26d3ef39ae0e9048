/* probe.c - files of few-shot classifiers: read, asked, changed, fitted, written and read again. */
#include "fuzz.h"

static void use(vit_probe *probe, const vit_options *options) {
    const vit_probe_info info = vit_probe_get_info(probe);
    vit_error error;
    void *bytes;
    size_t size;
    vit_probe *again = NULL;
    if (info.width > 64 || info.classes > 16 || info.examples > 64)
        return;
    float features[64], scores[16];
    for (int i = 0; i < info.width; i++)
        features[i] = (float)(i % 5) - 2;
    vit_status status = vit_probe_score(probe, features, scores, &error);
    fuzz_check_error(status, &error);
    status = vit_probe_vote(probe, features, 3, scores, &error);
    fuzz_check_error(status, &error);
    for (int k = 0; k < info.classes; k++)
        fuzz_expect(vit_probe_label(probe, k) && vit_probe_count(probe, k) > 0);
    status = vit_probe_encode(probe, &bytes, &size, &error);
    fuzz_check_error(status, &error);
    if (status == VIT_OK) {
        status = vit_probe_decode(&again, "again", bytes, size, options, &error);
        fuzz_expect(status == VIT_OK || status == VIT_ERR_OUT_OF_MEMORY);
        vit_probe_close(again);
        vit_release_bytes(options, bytes);
        const char *path = fuzz_path(".probe");
        if (vit_probe_save(probe, path, &error) != VIT_OK || vit_probe_load(&again, path, options, &error) != VIT_OK)
            fuzz_expect(error.status == VIT_ERR_OUT_OF_MEMORY);
        vit_probe_close(again);
        remove(path);
    }
    status = vit_probe_remove_class(probe, vit_probe_label(probe, 0), &error);
    fuzz_check_error(status, &error);
    fuzz_check_error(vit_probe_add(probe, "new", features, NULL, &error), &error);
    fuzz_check_error(vit_probe_fit(probe, 0, &error), &error);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const vit_options options = fuzz_options();
    vit_probe *probe;
    vit_error error = {0};
    vit_status status = vit_probe_decode(&probe, "input", data, size, &options, &error);
    fuzz_check_error(status, &error);
    fuzz_expect((status == VIT_OK) == (probe != NULL));
    if (probe)
        use(probe, &options);
    vit_probe_close(probe);
    return fuzz_end();
}
