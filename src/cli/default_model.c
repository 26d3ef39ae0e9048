#include "default_model.h"

#include "default_models.h" /* made by build.sh: CLASSIFY_BYTES, MASKED_BYTES */

#ifdef __wasm__
#define FLAGS "\"\",@" /* of a section */
#define OBJECT "@object"
#else
#define FLAGS "\"a\""
#define OBJECT "%object"
#endif

/* C has no word for the bytes of a file before C23. */
#define QUOTE(bytes) #bytes
#define EMBED(symbol, file, bytes)                                                                                 \
    __asm__(".section .rodata." #symbol "," FLAGS "\n.globl " #symbol "\n.type " #symbol "," OBJECT "\n" #symbol   \
            ":\n.incbin \"" file "\"\n.size " #symbol "," QUOTE(bytes) "\n.text\n");                                \
    extern const unsigned char symbol[bytes]

EMBED(vit_embedded_classify, "wasm/models/classify.gguf", CLASSIFY_BYTES);
EMBED(vit_embedded_masked, "wasm/models/masked.gguf", MASKED_BYTES);

vit_status vit_cli_default_open(vit_model **out, vit_cli_default which, const vit_options *options, vit_error *error) {
    const int masked = which == VIT_CLI_MASKED;
    vit_loader *loader = NULL;
    *out = NULL;
    vit_status status = vit_loader_open(&loader, "the built-in model", options, error);
    if (status == VIT_OK)
        status = vit_loader_push(loader, masked ? vit_embedded_masked : vit_embedded_classify,
                                 masked ? MASKED_BYTES : CLASSIFY_BYTES, error);
    if (status == VIT_OK)
        status = vit_loader_finish(loader, out, error);
    vit_loader_close(loader);
    return status;
}
