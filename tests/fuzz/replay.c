/* replay.c - runs a fuzz target over files, without a fuzzer: replay FOLDER|FILE...; ends with the count. */
#include "fuzz.h"
#include "mutate.h"

#include <dirent.h>
#include <time.h>

/* Replaying mutates nothing. */
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t most) {
    (void)data;
    (void)most;
    return size;
}

static int passed;
static double slowest;
static char slowest_name[512];

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void replay_file(const char *path) {
    vit_allocator allocator = vit_default_options().allocator;
    vit_buffer file = {.allocator = &allocator};
    vit_error error;
    if (vit_read_file(&file, path, 1 << 26, &error) != VIT_OK && error.status != VIT_ERR_TRUNCATED) /* may be empty */
        fuzz_fail("%s", error.text);
    uint8_t *exact = malloc(file.size ? file.size : 1); /* so that a sanitizer sees its end */
    fuzz_expect(exact);
    if (file.size)
        memcpy(exact, file.data, file.size);
    fprintf(stderr, "%s\n", path); /* the last one is the culprit */
    const double begin = seconds();
    LLVMFuzzerTestOneInput(exact, file.size);
    const double took = seconds() - begin;
    if (took > slowest) {
        slowest = took;
        snprintf(slowest_name, sizeof slowest_name, "%s", path);
    }
    free(exact);
    vit_buffer_release(&file);
    passed++;
}

static void replay(const char *path) {
    DIR *folder = opendir(path);
    if (!folder) {
        replay_file(path);
        return;
    }
    for (struct dirent *entry; (entry = readdir(folder));) {
        char below[1024];
        snprintf(below, sizeof below, "%s/%s", path, entry->d_name);
        if (entry->d_name[0] != '.')
            replay(below);
    }
    closedir(folder);
}

int main(int count, char **arguments) {
    for (int i = 1; i < count; i++)
        replay(arguments[i]);
    printf("slowest: %.3f s, %s\n%d passed, 0 failed\n", slowest, slowest_name, passed);
    return 0;
}
