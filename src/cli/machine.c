#include "machine.h"

#include <stdio.h>
#include <string.h>

#ifdef __wasi__

void vit_cli_machine(char *text, size_t size) {
    snprintf(text, size, "WASI, wasm%d", (int)sizeof(void *) * 8);
}

#else

#include <sys/utsname.h>
#include <unistd.h>

/* The first "model name : ..." of /proc/cpuinfo; empty elsewhere. */
static void find_processor(char *text, size_t size) {
    char line[256];
    FILE *file = fopen("/proc/cpuinfo", "r");
    text[0] = 0;
    while (file && !text[0] && fgets(line, sizeof line, file)) {
        char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) == 0 && colon)
            snprintf(text, size, ", %.*s", (int)strcspn(colon + 2, "\n"), colon + 2);
    }
    if (file)
        fclose(file);
}

void vit_cli_machine(char *text, size_t size) {
    struct utsname name;
    char processor[260];
    find_processor(processor, sizeof processor);
    if (uname(&name) != 0)
        strcpy(name.sysname, "unknown system");
    snprintf(text, size, "%s %s %s%s, %ld processors", name.sysname, name.release, name.machine, processor,
             sysconf(_SC_NPROCESSORS_ONLN));
}

#endif
