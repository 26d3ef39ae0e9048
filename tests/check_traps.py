#!/usr/bin/env python3
"""Reads golden cases by the wrong rule, and sees that they then fail: a golden that holds by either of two rules would
not show which one the program follows.

    tests/check_traps.py [VIT]

Every row changes one setting of a case's config.json or preprocessor_config.json to what another reference
implementation, or another class of the same one, would do. Rules that no setting chooses hold or fail with the goldens
themselves.
"""
import json
import os
import shutil
import shlex
import subprocess
import sys
import tempfile

from check_goldens import Case, read_tensors

GOLDEN = os.path.join(os.path.dirname(os.path.relpath(__file__)), 'golden')
CONFIG, PREPROCESSOR = 'config.json', 'preprocessor_config.json'

# case, file, setting, its wrong value
TRAPS = [
    # LayerNorm's epsilon
    ('dino/hf_dino', CONFIG, 'layer_norm_eps', 1e-6),
    ('msn/hf_msn', CONFIG, 'layer_norm_eps', 1e-5),
    ('clip/hf_vision', CONFIG, 'layer_norm_eps', 1e-6),
    ('siglip/hf_vision', CONFIG, 'layer_norm_eps', 1e-5),
    ('clip/timm_clip', CONFIG, 'architecture', 'vit_base_patch16_224'),
    ('vit/timm_sam', CONFIG, 'architecture', 'vit_base_patch16_clip_224'),
    # GELU
    ('clip/hf_vision', CONFIG, 'hidden_act', 'gelu'),
    ('clip/hf_both', CONFIG, 'vision_config.hidden_act', 'gelu'),
    ('clip/hf_projection', CONFIG, 'hidden_act', 'quick_gelu'),
    ('siglip/hf_vision', CONFIG, 'hidden_act', 'gelu'),
    ('dino/hf_dino', CONFIG, 'hidden_act', 'gelu_new'),
    ('clip/timm_quickgelu', CONFIG, 'architecture', 'vit_base_patch16_clip_224'),
    ('siglip/timm_siglip', CONFIG, 'architecture', 'vit_so400m_patch16_siglip_256'),
    ('siglip/timm_siglip_tanh', CONFIG, 'architecture', 'vit_base_patch16_siglip_224'),
    # heads, tokens, pooling
    ('dino/hf_dino', CONFIG, 'num_attention_heads', 4),
    ('vit/timm_sam', CONFIG, 'model_args.num_heads', 4),
    ('vit/timm_sam', CONFIG, 'model_args.global_pool', 'avg'),
    ('vit/timm_reg_positions', CONFIG, 'model_args.no_embed_class', True),
    ('deit/timm_deit3', CONFIG, 'model_args.no_embed_class', False),
    ('deit/hf_deit_distilled', CONFIG, 'architectures', ['DeiTForImageClassification']),
    ('deit/hf_deit', CONFIG, 'architectures', ['DeiTForImageClassificationWithTeacher']),
    ('siglip/hf_classify', CONFIG, 'architectures', ['SiglipModel']),
    ('siglip/hf_vision', CONFIG, 'vision_use_head', False),
    ('clip/hf_vision', CONFIG, 'architectures', ['CLIPForImageClassification']),
    ('clip/hf_classify', CONFIG, 'architectures', ['CLIPModel']),
    ('dinov2/hf_dinov2', CONFIG, 'architectures', ['Dinov2Model']),
    ('dinov2/hf_dinov2_swiglu', CONFIG, 'use_swiglu_ffn', False),
    ('dinov2/hf_dinov2_registers', CONFIG, 'num_register_tokens', 3),
    # position embeddings of another size: DINOv2 with registers resamples with antialias, DINOv2 without
    ('dinov2/hf_dinov2_registers', CONFIG, 'model_type', 'dinov2'),
    # pictures
    ('dino/hf_dino', PREPROCESSOR, 'feature_extractor_type', 'CLIPFeatureExtractor'),
    ('dino/hf_dino', PREPROCESSOR, 'resample', 2),
    ('dino/hf_dino', PREPROCESSOR, 'image_mean', [0.5, 0.5, 0.5]),
    ('vit/hf_pooler', PREPROCESSOR, 'resample', 3),
    ('vit/hf_pooler', PREPROCESSOR, 'image_std', [0.3, 0.2, 0.5]),
    ('msn/hf_msn', PREPROCESSOR, 'image_processor_type', 'SiglipImageProcessor'),
    ('deit/hf_encoder', PREPROCESSOR, 'do_center_crop', False),
    ('deit/hf_encoder', PREPROCESSOR, 'feature_extractor_type', 'CLIPFeatureExtractor'),
    ('clip/hf_vision', PREPROCESSOR, 'feature_extractor_type', 'DeiTFeatureExtractor'),
    ('clip/hf_projection', PREPROCESSOR, 'image_processor_type', 'DeiTImageProcessor'),
    ('clip/hf_projection', PREPROCESSOR, 'size', {'shortest_edge': 39}),
    ('siglip/hf_vision', PREPROCESSOR, 'rescale_factor', 1 / 255),
    ('siglip/hf_classify', PREPROCESSOR, 'do_normalize', True),
    ('vit/timm_sam', CONFIG, 'pretrained_cfg.crop_pct', 1.0),
    ('vit/timm_sam', CONFIG, 'pretrained_cfg.interpolation', 'bilinear'),
    ('clip/timm_quickgelu', CONFIG, 'pretrained_cfg.crop_mode', 'center'),
    ('vit/timm_reg_gap', CONFIG, 'pretrained_cfg.crop_mode', 'center'),
    ('clip/timm_clip', CONFIG, 'pretrained_cfg.std', [0.5, 0.5, 0.5]),
]


def change(folder, file, setting, value):
    path = f'{folder}/{file}'
    with open(path) as opened:
        config = json.load(opened)
    *outer, name = setting.split('.')
    part = config
    for key in outer:
        part = part[key]
    assert part.get(name) != value, f'{path}: {setting} is {value} already'
    part[name] = value
    with open(path, 'w') as opened:
        json.dump(config, opened)


def trace(vit, folder, out, *more):
    run = subprocess.run(vit + ['trace', '--model', folder, '--out', out, *more], capture_output=True, text=True,
                         timeout=600)
    return read_tensors(out) if run.returncode == 0 else None


def holds(vit, case, folder):
    """Whether all that the case expects is found, reading the files of folder"""
    out = f'{folder}/out.safetensors'
    found = trace(vit, folder, out, '--input', f'{case.folder}/input.safetensors')
    if found is not None and os.path.exists(f'{case.folder}/picture.png'):
        picture = trace(vit, folder, out, '--image', f'{case.folder}/picture.png')
        found = picture and {**found, **{f'picture.{name}': tensor for name, tensor in picture.items()}}
    return found is not None and not any(case.complaint(tensor, found) for tensor in case.expected)


def main():
    vit = shlex.split(sys.argv[1] if len(sys.argv) > 1 else 'build/vit')
    passed = failed = 0
    whole = set()
    for name, file, setting, value in TRAPS:
        case = Case(f'{GOLDEN}/{name}')
        with tempfile.TemporaryDirectory() as scratch:
            folder = f'{scratch}/{name.replace("/", "_")}'
            shutil.copytree(case.folder, folder)
            if name not in whole and not holds(vit, case, folder):
                print(f'{name}: does not hold as it is')
                failed += 1
            whole.add(name)
            change(folder, file, setting, value)
            if holds(vit, case, folder):
                print(f'{name}: holds with {setting} = {value} as well')
                failed += 1
            else:
                passed += 1
    print(f'{passed} passed, {failed} failed')
    return failed > 0


if __name__ == '__main__':
    sys.exit(main())
