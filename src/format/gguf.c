#include "parse.h"

vit_status vit_gguf_parse(vit_container *out, const vit_head *head, uint64_t *need) {
    (void)out;
    (void)need;
    return vit_fail(head->error, VIT_ERR_UNSUPPORTED, "%s: GGUF files are not supported yet", head->name);
}
