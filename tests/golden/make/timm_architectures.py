#!/usr/bin/env python3
"""What timm's names of Vision Transformers say that no tensor tells: GOLDEN/timm_architectures.json, a list of

    [name, heads, activation, eps of norms, bias of q k v, final norm, distilled], or [name] of another network

    pip install torch==2.15.0 torchvision==0.29.2 timm==1.0.31 && tests/golden/make/timm_architectures.py
"""
import functools
import json
import os

import timm
from timm.models import deit, vision_transformer

GOLDEN = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# Arguments of networks that are not the plain one, or not from a class token, registers and patches alone.
OTHER = ['qk_norm', 'block_fn', 'attn_layer', 'scale_attn_norm', 'scale_mlp_norm', 'pool_include_prefix']


class Asked(Exception):
    pass


def ask(_variant, _pretrained=False, distilled=False, **arguments):
    raise Asked({**arguments, 'distilled': distilled})


def describe(name):
    try:
        timm.model_entrypoint(name)()
    except Asked as asked:
        arguments = asked.args[0]
    norm = arguments.get('norm_layer')
    eps = norm.keywords.get('eps', 1e-6) if isinstance(norm, functools.partial) else 1e-6
    kind = norm.func if isinstance(norm, functools.partial) else norm
    is_rms = 'rms' in (kind if isinstance(kind, str) else getattr(kind, '__name__', '')).lower()
    if is_rms or not arguments.get('proj_bias', True) or any(arguments.get(argument) for argument in OTHER):
        return [name]
    activation = arguments.get('act_layer', 'gelu')
    if not isinstance(activation, str):  # of SwiGLU, which has no other
        activation = 'gelu'
    return [name, arguments['num_heads'], activation, eps, arguments.get('qkv_bias', True),
            arguments.get('final_norm', True), arguments['distilled']]


def main():
    vision_transformer._create_vision_transformer = deit._create_deit = ask
    modules = (vision_transformer.__name__, deit.__name__)
    names = [name for name in timm.list_models() if timm.model_entrypoint(name).__module__ in modules]
    with open(os.path.join(GOLDEN, 'timm_architectures.json'), 'w') as file:
        file.write('[\n' + ',\n'.join(json.dumps(describe(name)) for name in names) + '\n]\n')


if __name__ == '__main__':
    main()
