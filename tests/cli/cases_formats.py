"""Weights in other containers: several safetensors files, npz."""

import json
import os
import shutil
import struct
import zipfile

from cases_weights import FORWARD, bits, trace
from files import read, read_safetensors, safetensors, write

SHARDS = ["model-00001-of-00003.safetensors", "model-00002-of-00003.safetensors", "model-00003-of-00003.safetensors"]
INDEX = "model.safetensors.index.json"


def shard(case, folder):
    """A folder with the model in three files; returns its weight map."""
    tensors = read_safetensors(f"{FORWARD}/{case}/model.safetensors")
    names, parts, where = list(tensors), [{}, {}, {}], {}
    for i, name in enumerate(names):
        part = (i * 7) % 3  # so that no file is in forward order
        parts[part][name] = tensors[name]
        where[name] = SHARDS[part]
    os.makedirs(folder, exist_ok=True)
    for file, part in zip(SHARDS, parts):
        write(f"{folder}/{file}", safetensors(part))
    for config in ("config.json", "preprocessor_config.json"):
        if os.path.exists(f"{FORWARD}/{case}/{config}"):
            shutil.copy(f"{FORWARD}/{case}/{config}", folder)
    write_index(folder, where)
    return where


def write_index(folder, where):
    write(f"{folder}/{INDEX}", json.dumps({"metadata": {"total_size": 1}, "weight_map": where}))


def test_shards(vit, tally, folder):
    for case in ("timm_cls", "hf_vit", "timm_bf16"):
        model = f"{folder}/{case}"
        shard(case, model)
        for compute in ("f32", "int8"):
            options = ["--input", f"{FORWARD}/{case}/input.safetensors", "--compute", compute]
            _, whole = trace(vit, f"{FORWARD}/{case}", f"{folder}/whole.safetensors", *options)
            for path in (model, f"{model}/{INDEX}"):
                result, parts = trace(vit, path, f"{folder}/parts.safetensors", *options)
                tally.check(result.status == 0 and bits(parts) == bits(whole), f"{path}, {compute}", result)
    result = vit.run("info", "--json", f"{folder}/timm_cls")
    listed = {tensor["name"] for tensor in json.loads(result.out)["tensors"]}
    tally.equal(listed, set(read_safetensors(f"{FORWARD}/timm_cls/model.safetensors")), "info lists all tensors")


def test_broken_shards(vit, tally, folder):
    def expect(name, change, *words):
        model = f"{folder}/{name}"
        where = shard("timm_cls", model)
        change(model, where)
        result = vit.run("info", model)
        tally.check(
            result.status == 1 and result.out == "" and all(word in result.err for word in words),
            f"shards: {name}",
            result,
        )

    def move(tensor, file):
        def change(model, where):
            where[tensor] = file
            write_index(model, where)

        return change

    def edit(file, change):
        def apply(model, _):
            tensors = read_safetensors(f"{model}/{file}")
            change(tensors)
            write(f"{model}/{file}", safetensors(tensors))

        return apply

    for i, path in enumerate(
        ["../secret.safetensors", "/etc/passwd", "a/b.safetensors", "..", ".hidden", "a\\b", "c:d", "https://x", "a%2e", "", "a b"]
    ):
        expect(f"path{i}", move("norm.weight", path), "norm.weight", path[:3], "no name of a file")
    where = shard("timm_cls", f"{folder}/names")
    in_first, in_second = (next(name for name, file in where.items() if file == SHARDS[i]) for i in (0, 1))
    expect("elsewhere", move(in_second, SHARDS[0]), in_second, SHARDS[0])
    expect("missing_file", lambda model, _: os.unlink(f"{model}/{SHARDS[1]}"), SHARDS[1], "no such file")
    expect("missing_tensor", edit(SHARDS[0], lambda t: t.pop(in_first)), in_first, SHARDS[0])
    expect("unmapped", lambda model, where: write_index(model, {in_first: SHARDS[0]}), INDEX)
    expect("twice", edit(SHARDS[0], lambda t: t.update({in_second: ("F32", [1], [0])})), in_second, SHARDS[0], SHARDS[1])
    expect("shape", edit(SHARDS[0], lambda t: t.update({in_first: ("F32", [5], [0] * 5)})), in_first, SHARDS[0], "[5]")
    expect("cut", lambda model, _: write(f"{model}/{SHARDS[2]}", read(f"{model}/{SHARDS[2]}")[:-1]), SHARDS[2])
    expect("longer", lambda model, _: write(f"{model}/{SHARDS[1]}", read(f"{model}/{SHARDS[1]}") + b"x"), SHARDS[1])
    expect("no_shard", lambda model, _: write(f"{model}/{SHARDS[1]}", "<html>404</html>"), SHARDS[1], "HTML")
    expect("no_map", lambda model, _: write(f"{model}/{INDEX}", "{}"), "weight_map")
    expect("empty_map", lambda model, _: write_index(model, {}), "weight_map")
    expect("no_json", lambda model, _: write(f"{model}/{INDEX}", "{"), INDEX)
    expect("number", lambda model, _: write(f"{model}/{INDEX}", '{"weight_map": {"a": 1}}'), '"a"')


DESCR = {"F32": "<f4", "F16": "<f2", "BF16": "|V2", "F64": "<f8", "big": ">f4"}


def npy(kind, shape, data, fortran=False):
    text = f"{{'descr': '{DESCR[kind]}', 'fortran_order': {fortran}, 'shape': {tuple(shape)!r}, }}"
    text += " " * (-(len(text) + 11) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode() + data


def write_npz(path, tensors, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, (kind, shape, values) in tensors.items():
            archive.writestr(f"{name}.npy", npy(kind, shape, values.tobytes()))


def test_npz(vit, tally, folder):
    for case in ("timm_cls", "timm_f16", "timm_bf16"):
        tensors = read_safetensors(f"{FORWARD}/{case}/model.safetensors")
        inputs = ["--input", f"{FORWARD}/{case}/input.safetensors"]
        _, whole = trace(vit, f"{FORWARD}/{case}", f"{folder}/whole.safetensors", *inputs)
        for name, compression in (("stored", zipfile.ZIP_STORED), ("deflated", zipfile.ZIP_DEFLATED)):
            model = f"{folder}/{case}_{name}"
            os.mkdir(model)
            shutil.copy(f"{FORWARD}/{case}/config.json", model)
            write_npz(f"{model}/model.npz", tensors, compression)
            result, made = trace(vit, model, f"{folder}/made.safetensors", *inputs)
            tally.check(result.status == 0 and bits(made) == bits(whole), f"{case} as npz, {name}", result)
            listed = json.loads(vit.run("info", "--json", f"{model}/model.npz").out)
            found = {tensor["name"]: (tensor["type"], tensor["shape"]) for tensor in listed["tensors"]}
            tally.equal(
                (listed["format"], found), ("npz", {n: (k, s) for n, (k, s, _) in tensors.items()}), "info lists it"
            )
    write_npz(f"{folder}/big.npz", {**tensors, "norm.weight": ("big", *tensors["norm.weight"][1:])})
    result = vit.run("info", "--config", f"{FORWARD}/timm_bf16/config.json", f"{folder}/big.npz")
    tally.check(result.status == 1 and "norm.weight" in result.err, "wrong size of big-endian values", result)
    kind, shape, values = read_safetensors(f"{FORWARD}/timm_cls/model.safetensors")["norm.weight"]
    tensors = read_safetensors(f"{FORWARD}/timm_cls/model.safetensors")
    write_npz(f"{folder}/big.npz", {**tensors, "norm.weight": ("big", shape, values)})
    result = vit.run("info", "--config", f"{FORWARD}/timm_cls/config.json", f"{folder}/big.npz")
    tally.check(
        result.status == 1 and "norm.weight" in result.err and "big-endian" in result.err, "big-endian values", result
    )
    with zipfile.ZipFile(f"{folder}/torch.npz", "w") as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02}q\x00.")
    result = vit.run("info", f"{folder}/torch.npz")
    tally.check(result.status == 1 and "PyTorch" in result.err, "a PyTorch checkpoint", result)
