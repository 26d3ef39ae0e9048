/* tar.c - archives of pictures to train on, alone and in a folder beside folders of pictures. The sums of a mutated archive's
 * headers are made right most times. */
#include "fuzz.h"
#include "mutate.h"

#include "../../src/train/dataset.h"

#include <sys/stat.h>

enum { BLOCK = 512 };

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t most, unsigned seed) {
    size = LLVMFuzzerMutate(data, size, most);
    for (size_t at = 0; seed % 8 && size >= BLOCK && at <= size - BLOCK; at += BLOCK) {
        uint32_t sum = 0;
        char digits[8];
        for (int i = 0; i < BLOCK; i++)
            sum += i >= 148 && i < 156 ? ' ' : data[at + (size_t)i];
        if (data[at] && (memcmp(data + at + 257, "ustar", 5) == 0 || seed % 3)) {
            snprintf(digits, sizeof digits, "%06o", sum);
            memcpy(data + at + 148, digits, 7);
        }
    }
    return size;
}

static void read_all(const char *path, size_t size, const vit_options *options) {
    vit_dataset *dataset;
    vit_error error = {0};
    int pictures = 0;
    if (vit_dataset_open_unlabelled(&dataset, (const char *[]){path}, 1, options, &error) == VIT_OK) {
        pictures = vit_dataset_count(dataset);
        vit_dataset_close(dataset);
    }
    vit_status status = vit_dataset_open(&dataset, (const char *[]){path}, 1, options, &error);
    fuzz_check_error(status, &error);
    fuzz_expect(status != VIT_OK || vit_dataset_count(dataset) <= pictures);
    for (int i = 0; status == VIT_OK && i < vit_dataset_count(dataset); i++) {
        vit_buffer file = {.allocator = &options->allocator};
        vit_image image;
        char name[300];
        vit_dataset_name(dataset, i, name, sizeof name);
        fuzz_expect(vit_dataset_class_name(dataset, vit_dataset_class(dataset, i)));
        if (vit_dataset_read(dataset, i, &file, &error) == VIT_OK)
            fuzz_expect(file.size > 0 && file.size <= size);
        vit_buffer_release(&file);
        if (i < 4 && vit_dataset_picture(dataset, i, &image, &error) == VIT_OK)
            vit_image_close(&image);
    }
    fuzz_expect(status != VIT_OK || vit_dataset_classes(dataset) > 0);
    vit_dataset_close(dataset);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const vit_options options = fuzz_options();
    static char folder[64], class[80], archive[80], picture[96];
    if (!folder[0]) {
        snprintf(folder, sizeof folder, "%s", fuzz_path(".pictures"));
        snprintf(class, sizeof class, "%s/a class", folder);
        snprintf(archive, sizeof archive, "%s/a.tar", folder);
        snprintf(picture, sizeof picture, "%s/1.png", class);
    }
    mkdir(folder, 0700);
    mkdir(class, 0700);
    fuzz_write(archive, data, size);
    fuzz_write(picture, data, size);
    read_all(archive, size, &options);
    read_all(folder, size, &options);
    remove(picture);
    remove(archive);
    rmdir(class);
    rmdir(folder);
    return fuzz_end();
}
