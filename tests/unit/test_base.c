/* Threads, memory, 16-bit floats and files. */
#include "test.h"

#include "../../src/base/file.h"
#include "../../src/base/half.h"
#include "../../src/base/rng.h"
#include "../../src/base/threads.h"

#include <stdatomic.h>
#include <sys/stat.h>
#include <unistd.h>

static vit_error error;

/* ---- Threads ---- */

enum { MOST = 1000 };

struct tally {
    atomic_int done[MOST], overlaps;
    int threads;
};

static void tally_chunk(void *context, int begin, int end, int thread) {
    struct tally *tally = context;
    if (thread < 0 || thread >= tally->threads)
        atomic_fetch_add(&tally->overlaps, 1);
    for (int i = begin; i < end; i++)
        atomic_fetch_add(&tally->done[i], 1);
}

/* Every index exactly once, for many jobs in a row, sleeping helpers included. */
static void test_every_index_once(void) {
    static struct tally tally;
    vit_allocator allocator = vit_default_options().allocator;
    for (int threads = 1; threads <= 5; threads += 2) {
        vit_team *team;
        if (!CHECK_STATUS(VIT_OK, vit_team_open(&team, threads, &allocator, &error)))
            return;
        for (int round = 0; round < 600; round++) {
            int count = round * 37 % MOST, chunk = 1 + round % 9, wrong = 0;
            tally.threads = 1 + round / 7 % vit_team_threads(team);
            vit_team_limit(team, tally.threads);
            memset(&tally.done, 0, sizeof tally.done);
            if (round % 200 == 199)
                usleep(3000);
            vit_team_run(team, count, chunk, tally_chunk, &tally);
            for (int i = 0; i < MOST; i++)
                wrong += tally.done[i] != (i < count);
            if (wrong)
                CHECK(wrong == 0);
        }
        CHECK(tally.overlaps == 0);
        vit_team_close(team);
    }
}

/* ---- 16-bit floats ---- */

static void test_halves(void) {
    int wrong = 0;
    for (uint32_t bits = 0; bits < 65536; bits++) { /* every value there and back, NaN to NaN */
        uint16_t half = (uint16_t)bits;
        int nan = (half & 0x7fff) > 0x7c00, brain_nan = (half & 0x7fff) > 0x7f80;
        float value = vit_f32_from_f16(half), brain = vit_f32_from_bf16(half);
        wrong += nan ? !isnan(value) || (vit_f16_from_f32(value) & 0x7fff) <= 0x7c00 : vit_f16_from_f32(value) != half;
        wrong += brain_nan ? !isnan(brain) || (vit_bf16_from_f32(brain) & 0x7fff) <= 0x7f80
                           : vit_bf16_from_f32(brain) != half;
    }
    CHECK(wrong == 0);
    CHECK(vit_f32_from_f16(0x3c00) == 1 && vit_f32_from_f16(0xc000) == -2 && vit_f32_from_f16(0x0001) == 0x1p-24f);
    CHECK(isinf(vit_f32_from_f16(0x7c00)) && vit_f32_from_f16(0x7bff) == 65504);
    /* ties go to even */
    CHECK(vit_f16_from_f32(1 + 0x1p-11f) == 0x3c00 && vit_f16_from_f32(1 + 3 * 0x1p-11f) == 0x3c02);
    CHECK(vit_f16_from_f32(65519) == 0x7bff && vit_f16_from_f32(65520) == 0x7c00);
    CHECK(vit_f16_from_f32(0x1p-25f) == 0 && vit_f16_from_f32(0x1.8p-25f) == 1 && vit_f16_from_f32(-0.0f) == 0x8000);
    CHECK(vit_bf16_from_f32(1 + 0x1p-8f) == 0x3f80 && vit_bf16_from_f32(1 + 3 * 0x1p-8f) == 0x3f82);
}

/* ---- Random numbers ---- */

/* The first numbers are pinned: files that are made of them are the same for ever. */
static void test_random(void) {
    CHECK(vit_random_bits(0, 0) == 0xe220a8397b1dcdaf && vit_random_bits(0, 1) == 0x6e789e6aa1b965f4);
    CHECK(vit_random_key(1, 2) == 0xaa7e844961f494ee && vit_random_stream("a") == 0xaf63dc4c8601ec8c);
    double sums[6] = {0}, most = 0, most_truncated = 0;
    int least[10] = {0}, count = 200000;
    for (int i = 0; i < count; i++) {
        double z = vit_random_normal(1, (uint64_t)i), cut = vit_random_truncated(2, (uint64_t)i);
        double u = vit_random_unit(3, (uint64_t)i);
        sums[0] += z;
        sums[1] += z * z;
        sums[2] += z * z * z * z;
        sums[3] += cut * cut;
        sums[4] += u;
        sums[5] += u < 0 || u >= 1;
        most = fmax(most, fabs(z));
        most_truncated = fmax(most_truncated, fabs(cut));
        least[vit_random_below(4, (uint64_t)i, 10)]++;
    }
    CHECK_CLOSE(sums[0] / count, 0, 0.01);
    CHECK_CLOSE(sums[1] / count, 1, 0.01);
    CHECK_CLOSE(sums[2] / count, 3, 0.1);
    CHECK_CLOSE(sqrt(sums[3] / count), 0.87962566, 0.004);
    CHECK_CLOSE(sums[4] / count, 0.5, 0.003);
    CHECK(sums[5] == 0 && most > 4 && most < 6.4 && most_truncated <= 2);
    for (int i = 0; i < 10; i++)
        CHECK_CLOSE(least[i], count / 10, 600);
    CHECK(vit_random_unit(1, 0) == 0x1.22145ap-1f && vit_random_truncated(1, 0) == 0x1.478adcp-3f);
    CHECK(vit_random_normal(1, 0) == 0x1.574cbep-3f && vit_random_normal(1, 2) == 0x1.e54f32p+0f); /* middle, tail */
}

/* ---- Memory ---- */

static void test_sizes(void) {
    CHECK(vit_size_mul(SIZE_MAX / 2, 3) == SIZE_MAX && vit_size_mul(0, SIZE_MAX) == 0 && vit_size_mul(6, 7) == 42);
    CHECK(vit_size_add(SIZE_MAX, 1) == SIZE_MAX && vit_size_add(1, 2) == 3);
    vit_allocator allocator = vit_default_options().allocator;
    vit_arena arena = {0};
    CHECK(vit_arena_take(&arena, 1) == NULL && vit_arena_take(&arena, 65) == NULL);
    CHECK(arena.used == 3 * VIT_ALIGN);
    CHECK_STATUS(VIT_OK, vit_arena_commit(&arena, &allocator, "test", &error));
    CHECK((uintptr_t)vit_arena_take(&arena, 1) % VIT_ALIGN == 0 && vit_arena_take(&arena, 65) != NULL);
    CHECK(vit_arena_take(&arena, 1) == NULL);
    vit_arena_release(&arena, &allocator);
    vit_arena_take(&arena, SIZE_MAX - 10);
    vit_arena_take(&arena, 100);
    CHECK_STATUS(VIT_ERR_OUT_OF_MEMORY, vit_arena_commit(&arena, &allocator, "far too much", &error));
    CHECK_MENTIONS(error.text, "far too much");
}

/* ---- Files ---- */

/* A link to a link beside it, to a file that is not there yet: the file is made, and replaced; the links stay. */
static void test_links(const char *path, const vit_allocator *allocator) {
    char first[80], second[80], target[80];
    struct stat status;
    snprintf(first, sizeof first, "%s.first", path);
    snprintf(second, sizeof second, "%s.second", path);
    CHECK(symlink(strrchr(second, '/') + 1, first) == 0 && symlink(path, second) == 0);
    for (int i = 0; i < 2; i++) {
        vit_writer writer;
        CHECK_STATUS(VIT_OK, vit_writer_open(&writer, first, allocator, &error));
        CHECK_STATUS(VIT_OK, vit_writer_write(&writer, "hello, hello", 5 + (size_t)i, &error));
        CHECK_STATUS(VIT_OK, vit_writer_commit(&writer, &error));
        CHECK(lstat(path, &status) == 0 && S_ISREG(status.st_mode) && status.st_size == 5 + i);
        CHECK(readlink(first, target, sizeof target) > 0 && readlink(second, target, sizeof target) > 0);
    }
    remove(first);
    remove(second);
    CHECK(symlink(second, first) == 0 && symlink(first, second) == 0); /* a circle leads nowhere */
    vit_writer writer;
    if (vit_writer_open(&writer, first, allocator, &error) == VIT_OK)
        vit_writer_cancel(&writer);
    remove(first);
    remove(second);
    remove(path);
}

static void test_files(void) {
    vit_allocator allocator = vit_default_options().allocator;
    vit_buffer buffer = {.allocator = &allocator};
    char path[64], temporary[80];
    snprintf(path, sizeof path, "/tmp/vit_test_base_%ld", (long)getpid());
    snprintf(temporary, sizeof temporary, "%s.part%ld", path, (long)getpid());

    CHECK_STATUS(VIT_ERR_IO, vit_read_file(&buffer, path, 100, &error));
    CHECK_MENTIONS(error.text, "no such file");
    CHECK_STATUS(VIT_ERR_IO, vit_read_file(&buffer, "/tmp", 100, &error));
    CHECK_MENTIONS(error.text, "folder");
    CHECK_STATUS(VIT_ERR_IO, vit_read_file(&buffer, "/dev/zero", 100, &error));

    vit_writer writer;
    CHECK_STATUS(VIT_OK, vit_writer_open(&writer, path, &allocator, &error));
    CHECK_STATUS(VIT_OK, vit_writer_write(&writer, "hello", 5, &error));
    CHECK(!vit_file_exists(path) && vit_file_exists(temporary));
    vit_writer_cancel(&writer);
    CHECK(!vit_file_exists(path) && !vit_file_exists(temporary));

    CHECK_STATUS(VIT_OK, vit_writer_open(&writer, path, &allocator, &error));
    CHECK_STATUS(VIT_OK, vit_writer_write(&writer, "hello", 5, &error));
    CHECK_STATUS(VIT_OK, vit_writer_commit(&writer, &error));
    vit_writer_cancel(&writer);
    CHECK(vit_file_exists(path) && !vit_file_exists(temporary));
    CHECK_STATUS(VIT_OK, vit_read_file(&buffer, path, 5, &error));
    CHECK(buffer.size == 5 && memcmp(buffer.data, "hello", 6) == 0);
    CHECK_STATUS(VIT_ERR_LIMIT, vit_read_file(&buffer, path, 4, &error));
    CHECK_MENTIONS(error.text, "file_bytes");
    vit_buffer_release(&buffer);

    CHECK_STATUS(VIT_ERR_IO, vit_writer_open(&writer, "/no/such/folder/file", &allocator, &error));
    vit_writer_cancel(&writer);
    if (vit_file_exists("/dev/full")) { /* a full disk */
        remove(path);
        CHECK_STATUS(VIT_OK, vit_writer_open(&writer, path, &allocator, &error));
        CHECK(freopen("/dev/full", "wb", writer.stream) != NULL);
        vit_status status = vit_writer_write(&writer, "hello", 5, &error);
        CHECK(status != VIT_OK || vit_writer_commit(&writer, &error) != VIT_OK);
        vit_writer_cancel(&writer);
        CHECK(!vit_file_exists(path) && !vit_file_exists(temporary));
    }
    CHECK_STATUS(VIT_ERR_IO, vit_writer_open(&writer, "build", &allocator, &error));
    CHECK_MENTIONS(error.text, "build: cannot write: is a folder");
    vit_writer_cancel(&writer);
    CHECK(mkfifo(path, 0600) == 0);
    CHECK_STATUS(VIT_ERR_IO, vit_writer_open(&writer, path, &allocator, &error));
    CHECK_MENTIONS(error.text, "is not a regular file");
    vit_writer_cancel(&writer);
    remove(path);
    CHECK(symlink("/no/such/folder/file", temporary) == 0); /* a link that was planted is not followed */
    CHECK_STATUS(VIT_OK, vit_writer_open(&writer, path, &allocator, &error));
    CHECK_STATUS(VIT_OK, vit_writer_commit(&writer, &error));
    CHECK(vit_file_exists(path) && !vit_file_exists(temporary));
    remove(path);
    test_links(path, &allocator);
}

TEST_MAIN(TEST(test_every_index_once), TEST(test_halves), TEST(test_random), TEST(test_sizes), TEST(test_files))
