#!/usr/bin/env python3
"""Golden cases of timm's models: DeiT-3, ViT trained by SAM, DINO, MAE's encoder, CLIP and SigLIP image towers; each
preprocesses in another way.

    pip install torch==2.15.0 torchvision==0.29.2 timm==1.0.31 safetensors pillow numpy
    tests/golden/make/timm_models.py
"""
import os

import timm
from timm.data import create_transform, resolve_model_data_config
from timm.layers import set_fused_attn
from timm.models import save_for_hf

import common as c

E = c.ENCODER
ARGUMENTS = dict(img_size=E['size'], patch_size=E['patch'], embed_dim=E['width'], depth=E['layers'],
                 num_heads=E['heads'], mlp_ratio=E['hidden'] / E['width'], dynamic_img_size=True)
REFERENCE = c.version('timm')


def make(family, case, architecture, tag, classes, rules):
    """A small model of the architecture, whose config.json says what timm's own does."""
    model = timm.create_model(f'{architecture}.{tag}', pretrained=False, num_classes=classes,
                              pretrained_cfg_overlay={'input_size': (3, E['size'], E['size']), **rules}, **ARGUMENTS)
    c.randomize(model, c.generator(family.name, case))
    save_for_hf(model, family.path(case), model_args=ARGUMENTS, safe_serialization=True)
    for file in os.listdir(family.path(case)):
        if file.endswith('.bin'):
            os.remove(family.path(case, file))
    return model


def preprocess(model):
    transform = create_transform(**resolve_model_data_config(model), is_training=False)
    return lambda image: transform(image)[None]


def forward_of(model):
    def forward(x):
        kept, hooks = {}, []

        def keep(module, name, of_input=False):
            hooks.append(module.register_forward_hook(lambda _m, i, o: kept.update({name: i[0] if of_input else o})))

        keep(model.patch_embed, 'patch_embed')
        keep(model.blocks[0], 'embed', of_input=True)
        for i, block in enumerate(model.blocks):
            keep(block, f'block.{i}')
            keep(block.attn.attn_drop, f'attn.{i}')
        keep(model.norm, 'norm')
        tokens = model.forward_features(x)
        kept['features'] = model.forward_head(tokens, pre_logits=True)
        if model.num_classes:
            kept['logits'] = model.forward_head(tokens)
            kept['probs'] = c.softmax(kept['logits'])
        for hook in hooks:
            hook.remove()
        kept['patch_embed'] = kept['patch_embed'].flatten(1, 2)
        return kept
    return forward


CASES = [
    ('deit', 'timm_deit3', 'deit3_small_patch16_224', 'fb_in1k', c.CLASSES, {'crop_pct': 1.0},
     'DeiT-3: LayerScale, no position embedding for the class token'),
    ('deit', 'timm_distilled_features', 'deit_tiny_distilled_patch16_224', 'fb_in1k', c.CLASSES, {'crop_pct': 0.91},
     'features of a distilled model are the mean of class and distillation token'),
    ('vit', 'timm_sam', 'vit_base_patch16_224', 'sam_in1k', c.CLASSES, {},
     'ViT trained with sharpness-aware minimisation: the plain network'),
    ('vit', 'timm_reg_gap', 'vit_betwixt_patch16_reg4_gap_256', 'sbb_in1k', c.CLASSES, {'crop_mode': 'border'},
     'no class token; four registers, which take no part in the mean; LayerScale; fc_norm'),
    ('vit', 'timm_reg_positions', 'vit_so150m_patch16_reg4_map_256', '', c.CLASSES, {'input_size': (3, 24, 40)},
     'four registers that do have positions; attention pooling over the patches only'),
    ('dino', 'timm_dino', 'vit_small_patch16_224', 'dino', 0, {}, 'no classifier: features are the normed class token'),
    ('mae', 'timm_mae', 'vit_base_patch16_224', 'mae', 0, {}, 'the encoder of a masked autoencoder'),
    ('clip', 'timm_clip', 'vit_base_patch16_clip_224', 'laion2b', 12, {},
     'norm before the blocks, patch embedding without bias, eps 1e-5, erf GELU; the head is the projection'),
    ('clip', 'timm_quickgelu', 'vit_base_patch16_clip_quickgelu_224', 'openai', 12,
     {'crop_mode': 'squash', 'crop_pct': 0.9}, 'the same with quick GELU'),
    ('siglip', 'timm_siglip', 'vit_base_patch16_siglip_224', 'webli', 0, {}, 'attention pooling, erf GELU'),
    ('siglip', 'timm_siglip_tanh', 'vit_so400m_patch16_siglip_256', 'v2_webli', 0, {}, 'attention pooling, tanh GELU'),
    ('siglip', 'timm_siglip_gap', 'vit_base_patch16_siglip_gap_224', 'webli', 0, {'interpolation': 'bilinear'},
     'final norm, then the mean'),
]


def main():
    set_fused_attn(False)
    families = {}
    for name, case, architecture, tag, classes, rules, what in CASES:
        family = families.setdefault(name, c.Family(name, REFERENCE))
        model = make(family, case, architecture, tag, classes, rules)
        family.add(case, f'timm {architecture}: {what}', forward_of(model), preprocess(model))
    for family in families.values():
        family.done()


if __name__ == '__main__':
    main()
