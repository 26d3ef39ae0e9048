#!/usr/bin/env python3
"""Runs golden cases through the programs and compares every tensor with what the reference programs gave.

    tests/check_goldens.py [GOLDEN [VIT]] [CASE_DIR...]

GOLDEN computes any case (default build/golden: `GOLDEN CASE_DIR OUT`); VIT traces the cases with a model (default
build/vit: `VIT trace ...`). Both are command lines, so a wrapper may run them under wasmtime; `-` leaves one out.
Without folders: all cases of tests/golden, and those of $VIT_DATA/golden (default ../shared) that this version has kinds
for, with photographs and the real model.

Tolerances are those of cases.json: |found - expected| <= abs + rel * |expected|. A case without one is an error.
"""
import array
import json
import os
import re
import shlex
import struct
import subprocess
import sys
import tempfile

CODES = {'F32': 'f', 'F64': 'd', 'I32': 'i', 'U8': 'B', 'I64': 'q'}
FAMILIES = r'(clip|deit|dino|dinov2|mae|msn|siglip|vit)/'
KINDS = (r'preprocess/(?!resize_short_side)|posemb/|forward/|(hybrid|bit)/|fewshot/|gguf/|augment/|mpp/|train/|'
         r'real/(pixels_|logits_|rollout|attention_distance|posemb_similarity|filter_pca)|' + FAMILIES)
TRACED = r'(?!mae/hf)(forward/|(hybrid|bit)/|posemb/variant_|' + FAMILIES + ')'
# (part of a tensor's name, key of its tolerance)
NAMED_TOLERANCES = [('f32_chw', 'f32_abs'), ('torchvision', 'torchvision_abs'), ('normalised', 'abs_normalised'),
                    ('.f32', 'abs_255'), ('logits', 'logits_abs')]


def read_tensors(path):
    """{name: (shape, values)} of a safetensors file"""
    with open(path, 'rb') as file:
        data = file.read()
    begin = 8 + struct.unpack('<Q', data[:8])[0]
    tensors = {}
    for name, entry in json.loads(data[8:begin]).items():
        if name != '__metadata__':
            values = array.array(CODES[entry['dtype']])
            values.frombytes(data[begin + entry['data_offsets'][0]:begin + entry['data_offsets'][1]])
            tensors[name] = (entry['shape'], values)
    return tensors


class Case:
    def __init__(self, folder):
        self.folder = folder.rstrip('/')
        self.name = '/'.join(self.folder.split('/')[-2:])
        self.expected = read_tensors(f'{self.folder}/expected.safetensors')
        with open(f'{self.folder}/../cases.json') as file:
            listed = [case for case in json.load(file) if case['case'] == self.name]
        self.tolerance = listed[0].get('tolerance') if listed else None
        self.decodes = bool(self.tolerance and 'abs_u8' in self.tolerance)

    def tolerance_of(self, tensor):
        """(abs, rel) for a tensor, None where there is none"""
        t = self.tolerance
        if t is None:
            return None
        if 'scores_rel_to_max' in t:  # what f32 solvers may differ by; classes are equal
            of = tensor.replace('bias', 'scores')  # a bias may be nothing
            largest = max(map(abs, self.expected[of][1]))
            return (0, 0) if tensor.endswith('pred') else (t['scores_rel_to_max'] * largest / 100, 0)
        if self.decodes:  # Pillow's bytes, whatever other decoders may differ by
            return 0, 0
        if self.name.startswith('train/'):
            largest = max(abs(value) for value in self.expected[tensor][1])
            kind = 'final_' if tensor.startswith(('final.', 'polyak')) else 'grad_' if 'losses_abs' in t else ''
            if tensor in ('losses', 'lrs', 'grad_norms', 'schedule_mult'):
                return t['losses_abs'], 0
            return max(t.get(f'{kind}abs', 0), t[f'{kind}rel_to_tensor_max'] * largest), 0
        for part, key in NAMED_TOLERANCES:
            if part in tensor and key in t:
                return t[key], 0
        if 'rel_to_tensor_max' in t:
            return t['rel_to_tensor_max'] * max(map(abs, self.expected[tensor][1])), 0
        if 'abs' in t or 'rel' in t:
            return t.get('abs', 0), t.get('rel', 0)
        return (0, 0) if tensor.endswith('u8_truncated') else None

    def comparable(self, tensor):
        """GIF and BMP are refused by name; of 16-bit grey the high byte is kept, where Pillow clips. The gradient of the
        keys' bias is 0, and what rounding makes of it in JAX is turned into whole steps by Adam."""
        if self.name.startswith('train/') and tensor.startswith('final.') and tensor.endswith('/key/bias'):
            return False
        if self.name.startswith('gguf/'):  # models are refused that have other types
            return tensor.split('.')[-1] in ('F32', 'F16', 'BF16', 'Q8_0', 'Q4_0')
        return not (self.decodes and re.search(r'\.(gif|bmp)$|^gray16\.png$', tensor))

    def complaint(self, tensor, found):
        """What is wrong with a tensor, None if nothing is"""
        shape, want = self.expected[tensor]
        if tensor not in found:
            return 'is missing'
        if found[tensor][0] != shape:
            return f'has the shape {found[tensor][0]}, expected {shape}'
        got = found[tensor][1]
        tolerance = self.tolerance_of(tensor)
        if tolerance is None:
            return 'has no tolerance in cases.json'
        worst, where = 0, 0
        for i, (g, w) in enumerate(zip(got, want)):
            over = abs(g - w) - (tolerance[0] + tolerance[1] * abs(w))
            if not over <= 0 and not over <= worst:
                worst, where = over, i
        within = f'{tolerance[0]:g} + {tolerance[1]:g} of it'
        return worst and f'differs at element {where}: {got[where]:.9g}, expected {want[where]:.9g} within {within}'


def run_case(case, command, wanted):
    """Counts of tensors that hold and that do not"""
    handle, out = tempfile.mkstemp(suffix='.safetensors')
    os.close(handle)
    os.unlink(out)
    command = [out if part == 'OUT' else part for part in command]
    run = subprocess.run(command, capture_output=True, text=True, errors='replace', timeout=600)
    if run.returncode or not os.path.exists(out):
        print(f'{case.name}: exit status {run.returncode}: {run.stderr.strip()[-300:]}')
        return 0, 1
    found = read_tensors(out)
    os.unlink(out)
    passed = failed = 0
    for tensor in wanted:
        complaint = case.complaint(tensor, found)
        passed, failed = (passed, failed + 1) if complaint else (passed + 1, failed)
        if complaint:
            print(f'{case.name}: {tensor} {complaint}')
    return passed, failed


def commands_for(case, golden, vit):
    if golden:
        yield golden + [case.folder, 'OUT'], [t for t in case.expected if case.comparable(t)]
    if vit and re.match(TRACED, case.name):
        pixels = f'{case.folder}/input.safetensors'
        model = next(f for f in (f'{case.folder}/model.{ending}' for ending in ('safetensors', 'npz')) if os.path.exists(f))
        config = [f for f in ('case.json', 'config.json') if os.path.exists(f'{case.folder}/{f}')]
        trace = ['trace', '--model', model, '--input', pixels, '--out', 'OUT']
        trace += ['--config', f'{case.folder}/{config[0]}'] if config else []
        yield vit + trace, [t for t in case.expected if t != 'picture.x']


def case_folders(root):
    for folder, _, files in sorted(os.walk(root)):
        if 'expected.safetensors' in files and re.match(KINDS, '/'.join(folder.split('/')[-2:])):
            yield folder


def main():
    programs, folders = sys.argv[1:3], sys.argv[3:]
    if len(programs) == 2 and os.path.isdir(programs[1]):
        folders.insert(0, programs.pop())
    programs += ['build/golden', 'build/vit'][len(programs):]
    golden, vit = ([] if program == '-' else shlex.split(program) for program in programs)
    if not folders:
        folders = list(case_folders(os.path.join(os.path.dirname(os.path.relpath(__file__)), 'golden')))
        data = os.environ.get('VIT_DATA') or '../shared'
        if os.path.isdir(f'{data}/golden/preprocess') and os.path.isdir(f'{data}/data/imagenet_50'):
            folders += case_folders(f'{data}/golden')
        else:
            print(f'skipped: photographs and the real model ({data}: set VIT_DATA)')
    passed = failed = 0
    for folder in folders:
        case = Case(folder)
        for command, wanted in commands_for(case, golden, vit):
            counts = run_case(case, command, wanted)
            passed, failed = passed + counts[0], failed + counts[1]
    print(f'{passed} passed, {failed} failed')
    return failed > 0 or not passed


if __name__ == '__main__':
    sys.exit(main())
