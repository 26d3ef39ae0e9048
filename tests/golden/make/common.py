"""What the makers of golden cases share: random weights, pictures, and cases on disk.

A case is a folder GOLDEN/FAMILY/CASE with config.json, perhaps preprocessor_config.json, model.safetensors,
input.safetensors (pixels `HxW.x`, NHWC, as the network sees them) and expected.safetensors (what the reference program
computes of them, `HxW.NAME`); its tolerance is in GOLDEN/FAMILY/cases.json. Of picture.png, where there is one, the
reference's own preprocessing makes `picture.x`. Everything is float32 on one thread, seeded by the names of family and
case.
"""
import importlib.metadata
import json
import math
import os
import zlib

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file

GOLDEN = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TOLERANCE = {'abs': 3e-5, 'rel': 1e-5}
REASON = ('two f32 programs that sum in different orders differ by about 1e-6 here; another GELU moves results by '
          '2e-4, another eps by more, since the tokens are small')
CLASSES = 5
SIZES = [(32, 32), (24, 48)]
ENCODER = dict(width=24, heads=3, layers=2, hidden=48, patch=8, size=32)

torch.set_num_threads(1)


def generator(*words):
    return np.random.default_rng(zlib.crc32('/'.join(words).encode()))


def version(package):
    return f'{package} {importlib.metadata.version(package)}, torch {importlib.metadata.version("torch").split("+")[0]}'


def random_value(name, shape, rng):
    """Nothing stays at a value that would hide it. What makes the residual stream is small, so that an epsilon of
    1e-5 is not lost beside its variance."""
    leaf = name.split('.')[-1]
    normal = rng.standard_normal(shape)
    if 'lambda' in leaf or leaf == 'gamma':  # LayerScale
        return 0.6 + 0.3 * normal
    if 'logit' in leaf:
        return np.ones(shape)
    if len(shape) == 1 and leaf == 'weight':  # of a norm
        return 1 + 0.25 * normal
    if leaf.endswith('bias'):
        small = any(part in name for part in ('patch', 'projection'))
        return (0.003 if small else 0.15) * normal
    if 'pos' in leaf or 'position' in name or 'token' in leaf or 'class_embedding' in leaf:
        return 0.008 * normal
    if leaf in ('probe', 'latent'):
        return 0.8 * normal
    gain = 1.0
    if any(part in name for part in ('query', 'key', 'q_proj', 'k_proj', 'qkv', 'in_proj', '.q.', '.kv.')):
        gain = 1.5
    if any(part in name for part in ('patch_embed', 'embeddings.projection', 'conv')):
        gain = 0.02
    fan = math.prod(shape[1:]) if len(shape) > 1 else 1
    return gain * normal / math.sqrt(fan)


def randomize(model, rng):
    with torch.no_grad():
        for name, value in sorted(model.state_dict().items()):
            if value.is_floating_point():
                value.copy_(torch.from_numpy(np.asarray(random_value(name, tuple(value.shape), rng), np.float32)))
    return model.eval()


def picture(rng, batch, height, width):
    """[B,H,W,3] smooth waves and noise, about as large as a normalised photograph's values"""
    y, x = np.linspace(0, 6.28, height)[:, None], np.linspace(0, 6.28, width)[None, :]
    image = np.empty((batch, height, width, 3), np.float32)
    for b in range(batch):
        for channel in range(3):
            f = rng.uniform(-3, 3, 5)
            wave = np.sin(f[0] * y + f[1] * x + f[4]) + np.cos(f[2] * x - f[3] * y)
            image[b, :, :, channel] = 0.5 * wave + 0.2 * rng.standard_normal((height, width))
    return image


def planes(x):
    """NHWC to the NCHW tensor that torch wants"""
    return torch.from_numpy(np.ascontiguousarray(x.transpose(0, 3, 1, 2)))


def softmax(x):
    return torch.softmax(x.double(), -1).float()


class Family:
    def __init__(self, name, reference):
        self.name, self.reference, self.cases = name, reference, []

    def path(self, case, file=''):
        folder = os.path.join(GOLDEN, self.name, case)
        os.makedirs(folder, exist_ok=True)
        return os.path.join(folder, file)

    def add(self, case, what, forward, preprocess=None, sizes=SIZES):
        """forward(pixels NCHW) -> {name: tensor}, of one picture for every size; preprocess(PIL image) -> NCHW"""
        inputs, expected = {}, {}
        for height, width in sizes:
            x = picture(generator(self.name, case, f'{height}x{width}'), 1, height, width)
            inputs[f'{height}x{width}.x'] = torch.from_numpy(x)
            with torch.no_grad():
                for name, value in forward(planes(x)).items():
                    expected[f'{height}x{width}.{name}'] = value.float().clone().contiguous()
        if preprocess:
            waves = picture(generator(self.name, case, 'picture'), 1, 41, 53)[0]
            photograph = np.uint8(np.clip(waves * 90 + 128, 0, 255))
            Image.fromarray(photograph).save(self.path(case, 'picture.png'), optimize=True)
            pixels = preprocess(Image.fromarray(photograph))
            inputs['picture.x'] = pixels.permute(0, 2, 3, 1).contiguous()
            expected['picture.x'] = inputs['picture.x'].clone()
            with torch.no_grad():
                of_picture = forward(pixels)
            for name in ('features', 'logits'):
                if name in of_picture:
                    expected[f'picture.{name}'] = of_picture[name].clone().contiguous()
        save_file(inputs, self.path(case, 'input.safetensors'))
        save_file(expected, self.path(case, 'expected.safetensors'))
        self.cases.append({'case': f'{self.name}/{case}', 'what': what, 'oracle': self.reference,
                           'tolerance': TOLERANCE, 'tolerance_reason': REASON})
        size = sum(entry.stat().st_size for entry in os.scandir(self.path(case)))
        print(f'{self.name}/{case}: {size // 1000} kB')

    def done(self):
        """Cases of other makers in the same family stay."""
        path = os.path.join(GOLDEN, self.name, 'cases.json')
        mine = {case['case'] for case in self.cases}
        others = []
        if os.path.exists(path):
            with open(path) as file:
                others = [case for case in json.load(file) if case['case'] not in mine]
        with open(path, 'w') as file:
            json.dump(others + self.cases, file, indent=1)
            file.write('\n')
