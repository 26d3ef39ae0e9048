/* Pictures to train on: folders and archives, orders, batches, augmentation. What a damaged archive may do is tried on
 * many truncations and changed bytes. */
#include "test.h"

#include "../../src/train/augment.h"
#include "../../src/train/dataset.h"

#include <sys/stat.h>
#include <unistd.h>

#define FOLDER "build/test_train_data"

static vit_error error;

static void make_folder(const char *path) {
    mkdir(path, 0777);
}

/* A PNG of one colour that says which picture it is. */
static vit_status open_data(vit_dataset **out, const char *path, vit_error *e) {
    return vit_dataset_open(out, &path, 1, NULL, e);
}

static vit_status open_unlabelled(vit_dataset **out, const char *path, vit_error *e) {
    return vit_dataset_open_unlabelled(out, &path, 1, NULL, e);
}

static void make_picture(const char *path, int value) {
    uint8_t rgb[8 * 6 * 3];
    for (int i = 0; i < 8 * 6 * 3; i++)
        rgb[i] = (uint8_t)(value + (i % 3) * 40);
    vit_image image = {.width = 8, .height = 6, .rgb = rgb};
    CHECK_STATUS(VIT_OK, vit_image_save(&image, path, NULL, &error));
}

/* build/.../data: three classes of four pictures, one of which is none. */
static void make_data(void) {
    char path[200];
    make_folder("build");
    make_folder(FOLDER);
    make_folder(FOLDER "/data");
    for (int c = 0; c < 3; c++) {
        snprintf(path, sizeof path, FOLDER "/data/%c", "bca"[c]);
        make_folder(path);
        for (int i = 0; i < 4; i++) {
            snprintf(path, sizeof path, FOLDER "/data/%c/%d.png", "bca"[c], i);
            make_picture(path, 50 * c + 10 * i);
        }
    }
    FILE *file = fopen(FOLDER "/data/c/3.png", "w");
    fputs("no picture", file);
    fclose(file);
    file = fopen(FOLDER "/data/c/notes.txt", "w");
    fputs("neither", file);
    fclose(file);
}

static void test_folders(void) {
    vit_dataset *d;
    make_data();
    CHECK_STATUS(VIT_OK, open_data(&d, FOLDER "/data", &error));
    CHECK(vit_dataset_count(d) == 12 && vit_dataset_classes(d) == 3);
    CHECK_STRING(vit_dataset_class_name(d, 0), "a");
    CHECK_STRING(vit_dataset_class_name(d, 2), "c");
    CHECK(!vit_dataset_class_name(d, 3) && vit_dataset_class(d, 12) == -1);
    int bad = 0;
    for (int i = 0; i < 12; i++) {
        vit_image image;
        CHECK(vit_dataset_class(d, i) == i / 4);
        if (vit_dataset_picture(d, i, &image, &error) != VIT_OK) {
            bad++;
            CHECK_MENTIONS(error.text, "data/c/3.png");
            continue;
        }
        CHECK(image.rgb[0] == 50 * (i < 4 ? 2 : i < 8 ? 0 : 1) + 10 * (i % 4));
        vit_image_close(&image);
    }
    CHECK(bad == 1);
    vit_dataset_close(d);
    CHECK_STATUS(VIT_ERR_ARGUMENT, open_data(&d, FOLDER "/data/a", &error));
    if (CHECK_STATUS(VIT_OK, open_unlabelled(&d, FOLDER "/data/a", &error))) {
        CHECK(vit_dataset_count(d) == 4 && vit_dataset_classes(d) == 1 && vit_dataset_class(d, 3) == 0);
        CHECK_STRING(vit_dataset_class_name(d, 0), "");
        vit_dataset_close(d);
    }
    CHECK_STATUS(VIT_ERR_ARGUMENT, open_unlabelled(&d, FOLDER "/nothing", &error));
    CHECK_STATUS(VIT_ERR_ARGUMENT, open_data(&d, FOLDER "/nothing", &error));
    CHECK(!d);
    const char *const two[] = {FOLDER "/data", FOLDER "/data"}, *const second[] = {FOLDER "/data", FOLDER "/nothing"};
    if (CHECK_STATUS(VIT_OK, vit_dataset_open(&d, two, 2, NULL, &error))) {
        CHECK(vit_dataset_count(d) == 24 && vit_dataset_classes(d) == 3 && vit_dataset_class(d, 13) == 0);
        vit_dataset_close(d);
    }
    CHECK_STATUS(VIT_ERR_ARGUMENT, vit_dataset_open(&d, second, 2, NULL, &error));
    CHECK_MENTIONS(error.text, "/nothing");
}

/* Links are followed, but those that lead nowhere, or back; folders without pictures are no classes, and told. */
static void test_links(void) {
    vit_dataset *d;
    const char *first;
    CHECK(system("rm -rf " FOLDER "/links && mkdir -p " FOLDER "/links/a/deep " FOLDER "/links/none " FOLDER "/elsewhere/c") == 0);
    make_picture(FOLDER "/links/a/0.png", 1);
    make_picture(FOLDER "/elsewhere/c/0.png", 2);
    const char *const links[][2] = {{"../elsewhere/c", "b"}, {"..", "a/deep/above"}, {".", "self"}, {"round.png", "a/round.png"},
                                    {"0.png/under", "a/under.png"}, {"absent", "a/absent.png"}, {"round", "round"}};
    for (size_t i = 0; i < sizeof links / sizeof *links; i++) {
        char path[200];
        snprintf(path, sizeof path, FOLDER "/links/%s", links[i][1]);
        CHECK(symlink(links[i][0], path) == 0);
    }
    if (!CHECK_STATUS(VIT_OK, open_data(&d, FOLDER "/links", &error))) {
        puts(error.text);
        return;
    }
    CHECK(vit_dataset_count(d) == 5 && vit_dataset_classes(d) == 2 && vit_dataset_class(d, 4) == 1);
    int good = 0;
    for (int i = 0; i < vit_dataset_count(d); i++) {
        vit_image image;
        if (vit_dataset_picture(d, i, &image, &error) == VIT_OK) {
            good++;
            vit_image_close(&image);
        }
    }
    CHECK(good == 2);
    CHECK(vit_dataset_empty_folders(d, &first) == 1 && strcmp(first, FOLDER "/links/none") == 0);
    CHECK(vit_dataset_passed_over(d, &first) == 0 && !first);
    vit_dataset_close(d);
    if (CHECK_STATUS(VIT_OK, open_unlabelled(&d, FOLDER "/links", &error))) {
        CHECK(vit_dataset_count(d) == 5 && vit_dataset_empty_folders(d, &first) == 0);
        vit_dataset_close(d);
    }
}

/* ---- Archives ---- */

typedef struct archive {
    unsigned char data[20000];
    size_t size;
} archive;

static void sum_header(unsigned char *h) {
    unsigned sum = 0;
    memset(h + 148, ' ', 8);
    for (int i = 0; i < 512; i++)
        sum += h[i];
    snprintf((char *)h + 148, 8, "%06o", sum);
}

static void add_member(archive *a, const char *name, char type, const void *content, size_t bytes) {
    unsigned char *h = a->data + a->size;
    memset(h, 0, 512);
    snprintf((char *)h, 100, "%s", name);
    snprintf((char *)h + 124, 12, "%011o", (unsigned)bytes);
    memcpy(h + 257, "ustar", 6);
    h[156] = (unsigned char)type;
    sum_header(h);
    memcpy(h + 512, content, bytes);
    memset(h + 512 + bytes, 0, (512 - bytes % 512) % 512);
    a->size += 512 + (bytes + 511) / 512 * 512;
}

static void write_as(const char *path, const archive *a, size_t size) {
    FILE *file = fopen(path, "w");
    fwrite(a->data, 1, size, file);
    fclose(file);
}

static void write_archive(const archive *a, size_t size) {
    write_as(FOLDER "/a.tar", a, size);
}

/* Opens the archive, whose pictures have these classes; NULL: cannot be used. */
static void check_classes(archive *a, const char *const *classes, int count) {
    vit_dataset *d;
    memset(a->data + a->size, 0, 1024);
    write_archive(a, a->size + 1024);
    if (!CHECK_STATUS(VIT_OK, open_data(&d, FOLDER "/a.tar", &error)))
        puts(error.text);
    if (d) {
        vit_buffer buffer = {.allocator = &d->options.allocator};
        CHECK(vit_dataset_count(d) == count);
        for (int i = 0; i < count && i < vit_dataset_count(d); i++) {
            const vit_status status = vit_dataset_read(d, i, &buffer, &error);
            CHECK_STATUS(classes[i] ? VIT_OK : VIT_ERR_FORMAT, status);
            if (classes[i])
                CHECK_STRING(vit_dataset_class_name(d, vit_dataset_class(d, i)), classes[i]);
            else
                CHECK_MENTIONS(error.text, "has no .cls");
        }
        vit_buffer_release(&buffer);
    }
    vit_dataset_close(d);
}

static void test_classes_of_archives(void) {
    archive a = {.size = 0};
    make_data();
    add_member(&a, "k1.left.png", '0', "picture", 7); /* two pictures of a key, a class in words */
    add_member(&a, "k1.right.png", '0', "picture", 7);
    add_member(&a, "k1.cls", '0', " a cat\n", 7);
    add_member(&a, "._k2.png", '0', "picture", 7); /* of macOS */
    add_member(&a, "k2.cls", '0', "007", 3);
    add_member(&a, "k2.png", '0', "picture", 7);
    add_member(&a, "k3.png", '0', "picture", 7); /* which has none */
    check_classes(&a, (const char *const[]){"a cat", "a cat", "7", NULL}, 4);
    a.size = 0;
    add_member(&a, "data/one/deep/0.png", '0', "picture", 7);
    add_member(&a, "data/one/1.png", '0', "picture", 7);
    add_member(&a, "data/two/deep/0.png", '0', "picture", 7);
    check_classes(&a, (const char *const[]){"one", "one", "two"}, 3);
    a.size = 0; /* names with dots: each picture has the class of its own .cls */
    add_member(&a, "IMG.1.JPG", '0', "picture", 7);
    add_member(&a, "IMG.1.cls", '0', "one", 3);
    add_member(&a, "IMG.2.JPG", '0', "picture", 7);
    add_member(&a, "IMG.2.cls", '0', "two", 3);
    add_member(&a, "IMG.3.JPG", '0', "picture", 7);
    check_classes(&a, (const char *const[]){"one", "two", NULL}, 3);
    a.size = 0; /* of `tar -C folder .` */
    add_member(&a, "./0.png", '0', "picture", 7);
    add_member(&a, "./0.cls", '0', "3", 1);
    add_member(&a, "./1.png", '0', "picture", 7);
    check_classes(&a, (const char *const[]){"3", NULL}, 2);
    a.size = 0;
    add_member(&a, "./one/0.png", '0', "picture", 7);
    add_member(&a, "two/0.png", '0', "picture", 7);
    check_classes(&a, (const char *const[]){"one", "two"}, 2);
    a.size = 0; /* of `tar -P` */
    add_member(&a, "/one/0.png", '0', "picture", 7);
    add_member(&a, "two/0.png", '0', "picture", 7);
    check_classes(&a, (const char *const[]){"one", "two"}, 2);
    a.size = 0; /* GNU's header has a time where POSIX has the front of a path */
    add_member(&a, "one/0.png", '0', "picture", 7);
    memcpy(a.data + 257, "ustar  ", 8);
    memcpy(a.data + 345, "14665077343", 12);
    sum_header(a.data);
    add_member(&a, "two/0.png", '0', "picture", 7);
    check_classes(&a, (const char *const[]){"one", "two"}, 2);
    a.size = 0;
    add_member(&a, "k.png", '0', "picture", 7);
    add_member(&a, "k.cls", '0', " \n", 2);
    write_archive(&a, a.size);
    vit_dataset *d;
    CHECK_STATUS(VIT_ERR_FORMAT, open_data(&d, FOLDER "/a.tar", &error));
    CHECK_MENTIONS(error.text, "the number or the name of a class");
    archive empty = {.size = 0}; /* folders without a name: no picture is left */
    add_member(&empty, "x/0.png", '0', "picture", 7);
    add_member(&empty, "x//1.png", '0', "picture", 7);
    write_as(FOLDER "/b.tar", &empty, empty.size);
    CHECK_STATUS(VIT_ERR_FORMAT, open_data(&d, FOLDER "/b.tar", &error));
    CHECK_MENTIONS(error.text, "b.tar: no picture lies in a folder that names its class");
    if (CHECK_STATUS(VIT_OK, open_unlabelled(&d, FOLDER "/a.tar", &error))) { /* which does not look */
        CHECK(vit_dataset_count(d) == 1);
        vit_dataset_close(d);
    }
}

/* Two archives of files by their paths, up to a NULL, as one data set: of which classes its pictures are; the first of how many
 * files that are passed over. */
static void check_folders(const char *const *const paths[2], const char *classes, int passed_over, const char *named) {
    const char *const files[] = {FOLDER "/0.tar", FOLDER "/1.tar"};
    vit_dataset *d;
    const char *first;
    char found[200] = "";
    for (int i = 0; i < 2; i++) {
        archive a = {.size = 0};
        for (int j = 0; paths[i] && paths[i][j]; j++)
            add_member(&a, paths[i][j], '0', "picture", 7);
        write_as(files[i], &a, a.size);
    }
    if (!CHECK_STATUS(VIT_OK, vit_dataset_open(&d, files, paths[1] ? 2 : 1, NULL, &error))) {
        puts(error.text);
        return;
    }
    for (int i = 0; i < vit_dataset_count(d); i++) {
        const size_t used = strlen(found);
        snprintf(found + used, sizeof found - used, "%s ", vit_dataset_class_name(d, vit_dataset_class(d, i)));
    }
    CHECK_STRING(found, classes);
    CHECK(vit_dataset_passed_over(d, &first) == passed_over);
    if (first)
        CHECK_STRING(first, named);
    vit_dataset_close(d);
}

#define PATHS(...) (const char *const[]){__VA_ARGS__, NULL}

/* As if all archives were unpacked in one folder, and those folders that hold everything were opened. */
static void test_folders_of_archives(void) {
    check_folders((const char *const *const[]){PATHS("data/top.png", "data/cat/1.png", "data/dog/1.png"), NULL}, "cat dog ", 1,
                  FOLDER "/0.tar: data/top.png");
    check_folders((const char *const *const[]){PATHS("top.png", "cat/1.png", "dog/1.png"), NULL}, "cat dog ", 1, FOLDER "/0.tar: top.png");
    check_folders((const char *const *const[]){PATHS("cats/summer/1.jpg", "cats/winter/2.jpg"), PATHS("dogs/summer/1.jpg", "dogs/2.jpg")},
                  "cats cats dogs dogs ", 0, NULL);
    check_folders((const char *const *const[]){PATHS("cat/1.jpg", "cat/sub/2.jpg"), PATHS("dog/1.jpg")}, "cat cat dog ", 0, NULL);
    check_folders((const char *const *const[]){PATHS("in/cat/1.jpg", "in/cat/2.jpg"), NULL}, "cat cat ", 0, NULL);
    check_folders((const char *const *const[]){PATHS("in/cat/1.jpg"), PATHS("in/cat/2.jpg")}, "cat cat ", 0, NULL);
    check_folders((const char *const *const[]){PATHS("in/cat/1.jpg"), PATHS("in/dog/2.jpg")}, "cat dog ", 0, NULL);
    check_folders((const char *const *const[]){PATHS("cat/1.png", "cat/2.webp", "cat/about.txt"), PATHS("dog/1.png", "dog/2.GIF")}, "cat dog ", 2,
                  FOLDER "/0.tar: cat/2.webp");
    vit_dataset *d;
    const char *first;
    archive a = {.size = 0};
    add_member(&a, "top.png", '0', "picture", 7);
    add_member(&a, "cat/1.png", '0', "picture", 7);
    write_archive(&a, a.size);
    if (CHECK_STATUS(VIT_OK, open_unlabelled(&d, FOLDER "/a.tar", &error))) {
        CHECK(vit_dataset_count(d) == 2 && vit_dataset_passed_over(d, &first) == 0);
        vit_dataset_close(d);
    }
}

static void test_archives(void) {
    archive a = {.size = 0};
    char long_name[301], pax[400];
    vit_dataset *d;
    make_data();
    memset(long_name, 'x', 300);
    memcpy(long_name, "two/", 4); /* the class is the first folder, as of folders */
    memcpy(long_name + 294, "/1.jpg", 7);
    add_member(&a, "one/0.png", '0', "picture 0", 9);
    add_member(&a, "one/readme", '0', "hello", 5);
    add_member(&a, "././@LongLink", 'L', long_name, 301);
    add_member(&a, "shortened", '0', "picture 1", 9);
    snprintf(pax, sizeof pax, "21 path=two/2 é.png\n");
    add_member(&a, "pax", 'x', pax, 21);
    add_member(&a, "shortened", '0', "picture 2", 9);
    add_member(&a, "5.cls", '0', "11\n", 3);
    add_member(&a, "5.jpg", '0', "picture 3", 9);
    add_member(&a, "6.png", '0', "picture 4", 9);
    add_member(&a, "6.cls", '0', "9", 1);
    write_archive(&a, a.size);
    if (!CHECK_STATUS(VIT_OK, open_data(&d, FOLDER "/a.tar", &error)))
        puts(error.text);
    if (d) {
        vit_buffer buffer = {.allocator = &d->options.allocator};
        CHECK(vit_dataset_count(d) == 5 && vit_dataset_classes(d) == 4);
        CHECK_STRING(vit_dataset_class_name(d, 0), "9"); /* numbers by value, before words */
        CHECK_STRING(vit_dataset_class_name(d, 1), "11");
        CHECK_STRING(vit_dataset_class_name(d, 3), "two");
        static const int classes[] = {2, 3, 3, 1, 0};
        for (int i = 0; i < 5; i++) {
            buffer.size = 0;
            CHECK(vit_dataset_class(d, i) == classes[i]);
            CHECK_STATUS(VIT_OK, vit_dataset_read(d, i, &buffer, &error));
            CHECK(buffer.size == 9 && buffer.data[8] == '0' + i);
        }
        vit_buffer_release(&buffer);
    }
    vit_dataset_close(d);

    for (size_t size = 1; size < a.size; size += 37) {
        write_archive(&a, size);
        if (open_data(&d, FOLDER "/a.tar", &error) == VIT_OK)
            vit_dataset_close(d);
    }
    for (size_t at = 0; at < a.size; at += 11) {
        const unsigned char kept = a.data[at];
        a.data[at] = (unsigned char)(kept ^ (at % 3 ? 0xff : 1 << at % 8));
        write_archive(&a, a.size);
        if (open_data(&d, FOLDER "/a.tar", &error) == VIT_OK)
            vit_dataset_close(d);
        a.data[at] = kept;
    }
    a.size = 0;
    add_member(&a, "plain.png", '0', "x", 1);
    write_archive(&a, a.size);
    CHECK_STATUS(VIT_ERR_FORMAT, open_data(&d, FOLDER "/a.tar", &error));
    CHECK_MENTIONS(error.text, "plain.png");
}

/* Numbers by value, then words, however they come. */
static void test_order_of_classes(void) {
    static const char *const names[] = {"2", "10", "1_x", "a"};
    for (int first = 0; first < 24; first++) {
        archive a = {.size = 0};
        int left[] = {0, 1, 2, 3}, code = first;
        vit_dataset *d;
        for (int i = 4; i > 0; code /= i, i--) {
            char path[20];
            const int one = left[code % i];
            left[code % i] = left[i - 1];
            snprintf(path, sizeof path, "%s/0.png", names[one]);
            add_member(&a, path, '0', "picture", 7);
        }
        write_archive(&a, a.size);
        if (!CHECK_STATUS(VIT_OK, open_data(&d, FOLDER "/a.tar", &error)))
            return;
        for (int i = 0; i < 4; i++)
            CHECK_STRING(vit_dataset_class_name(d, i), names[i]);
        vit_dataset_close(d);
    }
}

/* Classes in an order as shards have them, and names of which only the first 255 bytes count. */
static void test_many_classes(void) {
    enum { CLASSES = 700, LONG = 300 };
    FILE *file = fopen(FOLDER "/a.tar", "w");
    char name[LONG + 8];
    vit_dataset *d;
    for (int i = 0; i < 3 * CLASSES; i++) {
        archive a = {.size = 0};
        snprintf(name, sizeof name, "class %d/%d.jpg", i * 331 % CLASSES, i);
        add_member(&a, name, '0', "x", 1);
        fwrite(a.data, 1, a.size, file);
    }
    for (int i = 0; i < 2; i++) {
        archive a = {.size = 0};
        memset(name, 'y', LONG);
        snprintf(name + LONG, 8, "/%d.jpg", i);
        add_member(&a, "././@LongLink", 'L', name, strlen(name) + 1);
        add_member(&a, "shortened", '0', "x", 1);
        fwrite(a.data, 1, a.size, file);
    }
    fclose(file);
    if (!CHECK_STATUS(VIT_OK, open_data(&d, FOLDER "/a.tar", &error)))
        return;
    CHECK(vit_dataset_count(d) == 3 * CLASSES + 2 && vit_dataset_classes(d) == CLASSES + 1);
    for (int i = 0; i < 3 * CLASSES; i++) {
        snprintf(name, sizeof name, "class %d", i * 331 % CLASSES);
        if (!CHECK(strcmp(vit_dataset_class_name(d, vit_dataset_class(d, i)), name) == 0))
            break;
    }
    CHECK(strlen(vit_dataset_class_name(d, vit_dataset_class(d, 3 * CLASSES + 1))) == 255);
    vit_dataset_close(d);
}

/* ---- Batches ---- */

static vit_trainer *open_trainer(vit_model **model) {
    vit_config c;
    vit_trainer *t = NULL;
    vit_train_options o = vit_default_train_options();
    CHECK_STATUS(VIT_OK, vit_architecture_config(&c, "vit_tiny_patch16_224", &error));
    c.layers = 1;
    c.width = c.mlp_width = 12;
    c.patch_height = c.patch_width = 4;
    c.image_height = c.image_width = c.preprocess.height = c.preprocess.width = 8;
    c.classes = 3;
    o.batch = 4;
    CHECK_STATUS(VIT_OK, vit_model_init(model, &c, 0, NULL, &error));
    CHECK_STATUS(VIT_OK, vit_trainer_open(&t, *model, &o, &error));
    return t;
}

static vit_feed_options feed_options(const vit_model *model) {
    vit_feed_options o = {.augment = vit_default_augment(), .preprocess = vit_model_config(model)->preprocess,
                          .height = 8, .width = 8, .batch = 4, .classes = 3, .seed = 5};
    return o;
}

/* Every good picture comes once in a pass; the bad one is replaced. */
static void test_order(void) {
    vit_model *model;
    vit_dataset *d;
    vit_feed *feed;
    make_data();
    vit_trainer *t = open_trainer(&model);
    CHECK_STATUS(VIT_OK, open_data(&d, FOLDER "/data", &error));
    const vit_feed_options o = feed_options(model);
    CHECK_STATUS(VIT_OK, vit_feed_open(&feed, d, &o, &error));
    CHECK(vit_feed_count(feed) == 12);
    float first[12], last[12];
    for (int pass = 0; pass < 2; pass++) {
        int of_class[3] = {0}, bad = 0, different = 0;
        for (int b = 0; b < 3; b++) {
            int some;
            const char *text;
            CHECK_STATUS(VIT_OK, vit_feed_next(feed, t, &some, &text, &error));
            bad += some;
            CHECK(!some == !text);
            for (int i = 0; i < 4; i++) {
                for (int c = 0; c < 3; c++)
                    of_class[c] += vit_trainer_target(t, i)[c] == 1;
                (pass ? last : first)[4 * b + i] = vit_trainer_input(t, i)[0];
            }
        }
        CHECK(bad == !pass && of_class[0] + of_class[1] + of_class[2] == 12);
        CHECK(of_class[0] >= 4 && of_class[1] >= 4 && of_class[2] >= 3);
        for (int i = 0; i < 12 && pass; i++)
            different += first[i] != last[i];
        CHECK(!pass || different > 4); /* another order */
    }
    vit_feed_close(feed);

    vit_feed_options wrong = o;
    wrong.batch = 5;
    CHECK_STATUS(VIT_OK, vit_feed_open(&feed, d, &wrong, &error));
    int some;
    const char *text;
    CHECK_STATUS(VIT_ERR_ARGUMENT, vit_feed_next(feed, t, &some, &text, &error));
    vit_feed_close(feed);
    wrong.augment.flip = 2;
    CHECK_STATUS(VIT_ERR_ARGUMENT, vit_feed_open(&feed, d, &wrong, &error));
    CHECK_MENTIONS(error.text, "flip");
    wrong = o;
    wrong.classes = 2;
    CHECK_STATUS(VIT_ERR_ARGUMENT, vit_feed_open(&feed, d, &wrong, &error));
    uint8_t all[12];
    memset(all, 1, sizeof all);
    wrong = o;
    wrong.held_out = all;
    CHECK_STATUS(VIT_ERR_ARGUMENT, vit_feed_open(&feed, d, &wrong, &error));
    vit_dataset_close(d);
    vit_trainer_close(t);
    vit_model_close(model);
}

/* With everything that augments, batch 7 is the same from threads, without, and by beginning there. */
static void test_same_batches(void) {
    vit_model *model;
    vit_dataset *d;
    float *inputs[3], *targets[3];
    make_data();
    vit_trainer *t = open_trainer(&model);
    CHECK_STATUS(VIT_OK, open_data(&d, FOLDER "/data", &error));
    vit_feed_options o = feed_options(model);
    o.augment.crop_scale[0] = 0.3;
    o.augment.crop_scale[1] = 1;
    o.augment.flip = 0.5f;
    o.augment.random_ops = 3;
    o.augment.random_magnitude = 12;
    o.augment.erase = 0.5f;
    o.augment.mixup = 0.4f;
    o.augment.cutmix = 1;
    for (int kind = 0; kind < 3; kind++) {
        vit_feed *feed;
        o.threads = kind == 0 ? 0 : kind == 1 ? 3 : 1;
        o.first = kind == 2 ? 7 : 0;
        CHECK_STATUS(VIT_OK, vit_feed_open(&feed, d, &o, &error));
        for (int64_t b = o.first; b <= 7; b++) {
            int bad;
            const char *text;
            CHECK_STATUS(VIT_OK, vit_feed_next(feed, t, &bad, &text, &error));
            for (int i = 0; i < 4; i++) {
                const float *target = vit_trainer_target(t, i);
                CHECK_CLOSE(target[0] + target[1] + target[2], 1, 1e-6);
            }
        }
        vit_feed_close(feed);
        inputs[kind] = malloc(4 * 8 * 8 * 3 * sizeof(float));
        targets[kind] = malloc(12 * sizeof(float));
        memcpy(inputs[kind], vit_trainer_input(t, 0), 4 * 8 * 8 * 3 * sizeof(float));
        memcpy(targets[kind], vit_trainer_target(t, 0), 12 * sizeof(float));
        CHECK(!memcmp(inputs[0], inputs[kind], 4 * 8 * 8 * 3 * sizeof(float)));
        CHECK(!memcmp(targets[0], targets[kind], 12 * sizeof(float)));
    }
    for (int kind = 0; kind < 3; kind++) {
        free(inputs[kind]);
        free(targets[kind]);
    }
    vit_dataset_close(d);
    vit_trainer_close(t);
    vit_model_close(model);
}

/* ---- Chances ---- */

static void test_chances(void) {
    enum { COUNT = 20000 };
    vit_dice dice = {.key = 3};
    for (int a = 0; a < 3; a++) {
        const double alpha = a == 0 ? 0.2 : a == 1 ? 1 : 4;
        double mean = 0, variance = 0;
        for (int i = 0; i < COUNT; i++) {
            const double x = vit_dice_beta(&dice, alpha);
            CHECK(x >= 0 && x <= 1);
            mean += x / COUNT;
            variance += (x - 0.5) * (x - 0.5) / COUNT;
        }
        CHECK_CLOSE(mean, 0.5, 0.015);
        CHECK_CLOSE(variance, 0.25 / (2 * alpha + 1), 0.005);
    }
    uint8_t marks[10000];
    int marked = 0;
    vit_train_hold_out(marks, 10000, 0.1, 7);
    for (int i = 0; i < 10000; i++)
        marked += marks[i];
    CHECK(marked > 850 && marked < 1150);
    int of[3] = {0};
    vit_train_subset(marks, 10000, 1234, 7);
    for (int i = 0; i < 10000; i++)
        of[marks[i]]++;
    CHECK(of[0] == 1234 && of[1] == marked && of[2] == 10000 - marked - 1234);
    vit_train_subset(marks, 10000, 5000, 7); /* more than there are */
    for (int i = 0; i < 10000; i++)
        of[0] -= !marks[i];
    CHECK(of[0] == 0);
}

/* ---- What is done to a picture whose pixels say where they are: red the column, green the row, from 1 on ---- */

enum { STEP = 10 };

typedef struct shown {
    int width, height, columns[64], rows[64]; /* of each pixel, -1: erased */
} shown;

static shown augmented(const vit_augment *a, int width, int height, int out_width, int out_height, uint64_t number) {
    uint8_t rgb[64 * 3];
    float out[64 * 3];
    shown s = {.width = out_width, .height = out_height};
    const vit_image image = {.width = width, .height = height, .rgb = rgb};
    const vit_options options = vit_default_options();
    const vit_feed_options o = {.augment = *a, .preprocess = {.std = {1, 1, 1}, .crop_pct = 1}, .height = out_height, .width = out_width};
    for (int i = 0; i < width * height; i++) {
        rgb[3 * i] = (uint8_t)(STEP * (i % width + 1));
        rgb[3 * i + 1] = (uint8_t)(STEP * (i / width + 1));
        rgb[3 * i + 2] = STEP;
    }
    CHECK_STATUS(VIT_OK, vit_feed_picture(&o, &image, number, out, &options, &error));
    for (int i = 0; i < out_width * out_height; i++) {
        s.columns[i] = (int)(out[3 * i] * 255 / STEP + 0.5f) - 1;
        s.rows[i] = (int)(out[3 * i + 1] * 255 / STEP + 0.5f) - 1;
    }
    return s;
}

/* 0 1 2 1 0 1 2 ... */
static int reflected(int at, int count) {
    int direction = 1, place = 0;
    for (int i = 0; i < abs(at) && count > 1; i++) {
        if (place + direction < 0 || place + direction == count)
            direction = -direction;
        place += direction;
    }
    return place;
}

static int is_shifted(const shown *s, int down, int right) {
    for (int i = 0; i < s->width * s->height; i++)
        if (s->columns[i] != reflected(i % s->width - right, s->width) ||
            s->rows[i] != reflected(i / s->width - down, s->height))
            return 0;
    return 1;
}

static void check_pads(int width, int height, int pad) {
    vit_augment a = vit_default_augment();
    int seen[17][17] = {{0}}, unexplained = 0, unseen = 0;
    a.pad = pad;
    for (uint64_t number = 0; number < 2000; number++) {
        const shown s = augmented(&a, width, height, width, height, number);
        int found = 0;
        for (int down = -pad; down <= pad; down++)
            for (int right = -pad; right <= pad; right++)
                if (is_shifted(&s, down, right))
                    found = ++seen[down + pad][right + pad];
        unexplained += !found;
    }
    for (int i = 0; i < (2 * pad + 1) * (2 * pad + 1); i++)
        unseen += !seen[i / (2 * pad + 1)][i % (2 * pad + 1)];
    CHECK(unexplained == 0 && unseen == 0);
}

/* Without a crop a picture is framed as for a test, whatever else happens to it. */
static void check_frames(int width, int height, const vit_preprocess *rules) {
    enum { SIDE = 6 };
    uint8_t rgb[20 * 20 * 3];
    float wanted[SIDE * SIDE * 3], out[SIDE * SIDE * 3];
    const vit_image image = {.width = width, .height = height, .rgb = rgb};
    const vit_options options = vit_default_options();
    vit_feed_options o = {.augment = vit_default_augment(), .preprocess = *rules, .height = SIDE, .width = SIDE};
    for (int i = 0; i < width * height * 3; i++)
        rgb[i] = (uint8_t)(i * 37 % 251);
    CHECK_STATUS(VIT_OK, vit_image_preprocess(&image, rules, SIDE, SIDE, wanted, &options, &error));
    for (int flip = 0; flip < 2; flip++) {
        o.augment.flip = flip ? 1 : 1e-9f;
        CHECK_STATUS(VIT_OK, vit_feed_picture(&o, &image, 7, out, &options, &error));
        int same = 1;
        for (int i = 0; i < SIDE * SIDE * 3; i++)
            same &= out[i] == wanted[flip ? i - i / 3 % SIDE * 3 + (SIDE - 1 - i / 3 % SIDE) * 3 : i];
        CHECK(same && "flips");
    }
}

static void test_framing(void) {
    vit_preprocess rules = {.mean = {0.4f, 0.5f, 0.6f}, .std = {0.2f, 0.3f, 0.4f}, .crop_pct = 0.9, .filter = VIT_FILTER_BICUBIC};
    check_frames(20, 9, &rules);
    check_frames(6, 6, &rules);
    rules.crop = VIT_CROP_SQUASH;
    check_frames(7, 20, &rules);
    rules.crop = VIT_CROP_BORDER;
    rules.crop_pct = 1;
    check_frames(20, 5, &rules);
}

static void test_augmentation(void) {
    check_pads(7, 5, 3);
    check_pads(3, 4, 4); /* further than the picture is wide */
    check_pads(1, 1, 2);
    vit_augment a = vit_default_augment();
    int mirrored = 0, wrong = 0, places[5][5] = {{0}}, unseen = 0;
    a.flip = 0.25f;
    for (uint64_t number = 0; number < 2000; number++) {
        const shown s = augmented(&a, 6, 5, 6, 5, number);
        const int flipped = s.columns[0] == 5;
        mirrored += flipped;
        for (int i = 0; i < 30; i++)
            wrong += s.rows[i] != i / 6 || s.columns[i] != (flipped ? 5 - i % 6 : i % 6);
    }
    CHECK(wrong == 0 && abs(mirrored - 500) < 80);
    a = vit_default_augment();
    a.crop_scale[0] = a.crop_scale[1] = 0.25; /* a half of 8 pixels: nothing is resized */
    a.crop_ratio[0] = a.crop_ratio[1] = 1;
    for (uint64_t number = 0; number < 1000; number++) {
        const shown s = augmented(&a, 8, 8, 4, 4, number);
        for (int i = 0; i < 16; i++)
            wrong += s.rows[i] != s.rows[0] + i / 4 || s.columns[i] != s.columns[0] + i % 4;
        places[s.rows[0] % 5][s.columns[0] % 5]++;
    }
    for (int i = 0; i < 25; i++)
        unseen += !places[i / 5][i % 5];
    CHECK(wrong == 0 && unseen == 0);
    a.crop_scale[0] = a.crop_scale[1] = 1;
    a.erase = 1;
    int none = 0;
    for (uint64_t number = 0; number < 1000; number++) {
        const shown s = augmented(&a, 8, 8, 8, 8, number);
        int left = 8, top = 8, right = -1, bottom = -1, count = 0;
        for (int i = 0; i < 64; i++) {
            const int x = i % 8, y = i / 8;
            if (s.columns[i] >= 0) {
                wrong += s.columns[i] != x || s.rows[i] != y;
                continue;
            }
            count++;
            left = x < left ? x : left;
            right = x > right ? x : right;
            top = y < top ? y : top;
            bottom = y;
        }
        none += !count;
        wrong += count && count != (right - left + 1) * (bottom - top + 1);
        wrong += count > 64 * 0.33 + 8; /* sides are rounded */
    }
    CHECK(wrong == 0 && none < 20);
}

/* Of pixels and targets alike: what of an image is another's is so of its target. */
static void test_mixing(void) {
    enum { BATCH = 5, SIDE = 8, PIXELS = SIDE * SIDE * 3 };
    for (uint64_t key = 0; key < 400; key++) {
        float input[BATCH * PIXELS], targets[BATCH * BATCH] = {0};
        vit_feed_options o = {.augment = vit_default_augment(), .height = SIDE, .width = SIDE, .batch = BATCH, .classes = BATCH};
        o.augment.cutmix = key % 2 ? 1 : 0;
        o.augment.mixup = key % 2 ? 0 : 0.7f;
        for (int i = 0; i < BATCH; i++) {
            targets[i * BATCH + i] = 1;
            for (int j = 0; j < PIXELS; j++)
                input[i * PIXELS + j] = (float)i;
        }
        vit_mix_batch(&o, key, input, targets);
        for (int i = 0; i < BATCH; i++) {
            const int other = BATCH - 1 - i;
            double mean = 0;
            int wrong = 0;
            for (int j = 0; j < PIXELS; j++) {
                mean += input[i * PIXELS + j] / PIXELS;
                wrong += key % 2 && input[i * PIXELS + j] != (float)i && input[i * PIXELS + j] != (float)other;
            }
            const double own = targets[i * BATCH + i], rest = i == other ? 0 : targets[i * BATCH + other];
            CHECK(wrong == 0);
            CHECK_CLOSE(own + rest, 1, 1e-5);
            CHECK_CLOSE(mean, own * i + rest * other, 1e-4);
        }
    }
}

TEST_MAIN(TEST(test_folders), TEST(test_links), TEST(test_classes_of_archives), TEST(test_folders_of_archives), TEST(test_archives), TEST(test_order_of_classes), TEST(test_many_classes), TEST(test_order), TEST(test_same_batches), TEST(test_chances), TEST(test_framing), TEST(test_augmentation), TEST(test_mixing))
