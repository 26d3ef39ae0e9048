"""Weights in other containers: several safetensors files, npz; and what convert makes of them."""

import ast
import json
import math
import os
import shutil
import struct
import zipfile

from cases_pictures import CLASSES, MODEL, lines
from cases_weights import FORWARD, bits, trace, wide_model
from files import png, read, read_gguf, read_safetensors, safetensors, write

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
    own = f"{folder}/timm_cls/{SHARDS[0]}"
    before = read(own)
    for source in (f"{folder}/timm_cls", f"{folder}/timm_cls/{INDEX}"):
        result = vit.run("convert", source, own)
        tally.check(result.status == 2 and "is what would be read" in result.err and read(own) == before, f"{source} onto its own shard", result)
        words = ["trace", "--model", source, "--input", f"{FORWARD}/timm_cls/input.safetensors", "--out"]
        for out in (own, f"{folder}/timm_cls/{INDEX}"):
            kept = read(out)
            result = vit.run(*words, out)
            tally.check(result.status == 2 and "is what would be read" in result.err and read(out) == kept, f"a trace of {source} onto {out}", result)
        for time in ("once", "again"):
            result = vit.run(*words, f"{folder}/timm_cls/trace.safetensors")
            tally.check(result.status == 0, f"a trace beside {source}, {time}", result)
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
        expect(f"path{i}", move("norm.weight", path), "norm.weight", path[:3], "not the name of a file")
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


def npy(descr, shape, data, fortran=False):
    text = f"{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': {tuple(shape)!r}, }}"
    text += " " * (-(len(text) + 11) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode() + data


def write_npz(path, tensors, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, (kind, shape, values) in tensors.items():
            archive.writestr(f"{name}.npy", npy(DESCR[kind], shape, values.tobytes()))


def write_in_fortran_order(path, source):
    """The arrays of an npz, deflated, the first dimension the fastest."""
    with zipfile.ZipFile(source) as archive, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
        for name in archive.namelist():
            data = archive.read(name)
            begin = 10 + struct.unpack_from("<H", data, 8)[0]
            header = ast.literal_eval(data[10:begin].decode())
            shape, values = header["shape"], data[begin:]
            count = math.prod(shape)
            size = len(values) // count
            places = [0]
            for i, side in enumerate(shape):  # of every value, in the order of the file to be
                stride = math.prod(shape[i + 1 :])
                places = [place + k * stride for k in range(side) for place in places]
            turned = b"".join(values[place * size : (place + 1) * size] for place in places)
            out.writestr(name, npy(header["descr"], shape, turned, True))


def test_single_values(vit, tally, folder):
    """Tensors without any dimension, where one of two or three is wanted, each of them one value."""
    block = "Transformer/encoderblock/"
    shapes = {
        "embedding/kernel": [2, 2, 3, 1],
        "embedding/bias": [1],
        "cls": [1, 1, 1],
        "Transformer/posembed_input/pos_embedding": [1, 5, 1],
        f"{block}LayerNorm_0/scale": [2, 1],
        f"{block}LayerNorm_0/bias": [2, 1],
        f"{block}MultiHeadDotProductAttention_1/out/kernel": [2, 1, 1, 1],
        f"{block}MultiHeadDotProductAttention_1/out/bias": [2, 1],
        f"{block}LayerNorm_2/scale": [2, 1],
        f"{block}LayerNorm_2/bias": [2, 1],
        f"{block}MlpBlock_3/Dense_0/kernel": [2, 1, 1],
        f"{block}MlpBlock_3/Dense_0/bias": [2, 1],
        f"{block}MlpBlock_3/Dense_1/kernel": [2, 1, 1],
        f"{block}MlpBlock_3/Dense_1/bias": [2, 1],
        "Transformer/encoder_norm/scale": [1],
        "Transformer/encoder_norm/bias": [1],
        "head/kernel": [1, 1],
        "head/bias": [1],
    }
    for part in ("query", "key", "value"):
        shapes[f"{block}MultiHeadDotProductAttention_1/{part}/kernel"] = [2, 1, 1, 1]
        shapes[f"{block}MultiHeadDotProductAttention_1/{part}/bias"] = [2, 1, 1]
    picture = write(f"{folder}/1.png", png(8, 8, 1))
    whole = lambda changed: safetensors({name: ("F32", shape, [0.5] * math.prod(shape)) for name, shape in changed.items()})
    for name, shape in ((None, []), ("head/kernel", []), (f"{block}LayerNorm_0/scale", [2]), (f"{block}MlpBlock_3/Dense_0/kernel", [2])):
        path = write(f"{folder}/one.safetensors", whole({**shapes, name: shape} if name else shapes))
        result = vit.run("classify", "--model", path, picture)
        tally.check(result.status == 0, f"{name} {shape}", result)


def test_fortran_order(vit, tally, folder):
    for case in ("bigvision_scan", "bigvision_bf16", "vitjax_token"):
        source = f"{FORWARD}/{case}"
        write_in_fortran_order(f"{folder}/{case}.npz", f"{source}/model.npz")
        options = ["--input", f"{source}/input.safetensors"]
        if os.path.exists(f"{source}/case.json"):
            options += ["--config", f"{source}/case.json"]
        for compute in ("f32", "int8"):
            words = [*options, "--compute", compute]
            _, one = trace(vit, f"{source}/model.npz", f"{folder}/one.safetensors", *words)
            result, two = trace(vit, f"{folder}/{case}.npz", f"{folder}/two.safetensors", *words)
            tally.check(one and bits(one) == bits(two), f"{case} in Fortran's order, {compute}", result)
    source = "tests/golden/siglip/hf_vision"  # q, k and v of its head's attention are one tensor
    write_npz(f"{folder}/c.npz", read_safetensors(f"{source}/model.safetensors"))
    write_in_fortran_order(f"{folder}/siglip.npz", f"{folder}/c.npz")
    for name, status in (("c", 0), ("siglip", 1)):
        result = vit.run("info", "--config", f"{source}/config.json", f"{folder}/{name}.npz")
        tally.equal((result.status, "in_proj_weight" in result.err), (status, status == 1), f"{name}.npz")


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


def test_convert_to_safetensors(vit, tally, folder):
    """One file of timm's names, which needs no other, and has every bit."""
    for case in ("timm_cls", "timm_gap", "timm_f16", "timm_bf16", "hf_vit", "hf_vit_noqkvbias"):
        out = f"{folder}/{case}/model.safetensors"
        os.mkdir(f"{folder}/{case}")
        result = vit.run("convert", f"{FORWARD}/{case}", out)
        tally.check(result.status == 0 and result.err == "", f"convert {case}", result)
        inputs = ["--input", f"{FORWARD}/{case}/input.safetensors"]
        _, before = trace(vit, f"{FORWARD}/{case}", f"{folder}/before.safetensors", *inputs)
        write(f"{folder}/{case}/config.json", '{"architecture": "vit_base_patch16_224"}')  # of another model
        for path in (out, f"{folder}/{case}"):
            _, after = trace(vit, path, f"{folder}/after.safetensors", *inputs)
            tally.check(before and bits(before) == bits(after), f"{path} is the same bit for bit")
        if case.startswith("timm"):
            tally.equal(
                bits(read_safetensors(out)),
                bits(read_safetensors(f"{FORWARD}/{case}/model.safetensors")),
                f"{case}: all tensors are the same bit for bit",
            )
        vit.run("convert", out, f"{folder}/there.gguf")
        vit.run("convert", f"{FORWARD}/{case}", f"{folder}/straight.gguf")
        tally.equal(read(f"{folder}/there.gguf"), read(f"{folder}/straight.gguf"), f"{case}: nothing of it is lost")
        vit.run("convert", f"{folder}/there.gguf", f"{folder}/back.safetensors")
        tally.equal(read(f"{folder}/back.safetensors"), read(out), f"{case}: nor of GGUF")
    labels = write(f"{folder}/labels.txt", "".join(f'class "{i}"\\\n' for i in range(CLASSES)))
    vit.run("convert", "--labels", labels, MODEL, f"{folder}/labels.safetensors")
    result = vit.run("info", "--json", "--config", f"{MODEL}/config.json", f"{folder}/labels.safetensors")
    tally.equal(json.loads(result.out or "{}").get("labels"), CLASSES, "labels are kept")
    data = read(f"{folder}/labels.safetensors")
    for name, change in {
        "depth": (b'block_count\\":2', b'block_count\\":3'),
        "word": (b'activation\\":\\"gelu', b'activation\\":\\"gulu'),
        "text": (b'"{\\"general', b'"[\\"general'),
        "network": (b'architecture\\":\\"vit', b'architecture\\":\\"vet'),
        "type": (b'norm_epsilon\\":1e-06', b'norm_epsilon\\":false'),
    }.items():
        damaged = write(f"{folder}/{name}.safetensors", data.replace(*change))
        result = vit.run("classify", "--model", damaged, "x.png")
        tally.check(data != read(damaged) and result.status == 1 and damaged in result.err, f"{name} is wrong", result)


def test_convert_from_all(vit, tally, folder):
    shard("timm_cls", f"{folder}/shards")
    write_npz(f"{folder}/model.npz", read_safetensors(f"{FORWARD}/timm_cls/model.safetensors"))
    vit.run("convert", f"{FORWARD}/timm_cls", f"{folder}/whole.gguf")
    for path in (f"{folder}/shards", f"{folder}/model.npz"):
        result = vit.run("convert", "--config", f"{FORWARD}/timm_cls/config.json", path, f"{folder}/made.gguf")
        tally.check(
            result.status == 0 and read(f"{folder}/made.gguf") == read(f"{folder}/whole.gguf"), f"convert {path}", result
        )
    for out in (SHARDS[0], "model.safetensors", "model.gguf"):
        if out != SHARDS[0]:
            write(f"{folder}/shards/{out}", "x")
        result = vit.run("convert", f"{folder}/shards", f"{folder}/shards/{out}")
        tally.check(result.status == 2 and "would be read" in result.err, f"nothing that is read is replaced: {out}", result)
    for words in (["--type", "q8_0", "x.safetensors"], ["--type", "q5_0", "x.gguf"], ["--rounding", "up", "x.gguf"], ["x.npz"]):
        result = vit.run("convert", MODEL, *words[:-1], f"{folder}/{words[-1]}")
        tally.check(result.status == 2 and not os.path.exists(f"{folder}/{words[-1]}"), f"convert {words}", result)


def f16(value):
    return struct.unpack("<e", struct.pack("<e", value))[0]


def f32(value):
    return struct.unpack("<f", struct.pack("<f", value))[0]


def plain_block(kind, x):
    """As ggml rounds."""
    if kind == "q8_0":
        d = f32(max(map(abs, x)) / 127)
        inverse = f32(1 / d) if d else 0
        q = [math.copysign(math.floor(abs(f32(v * inverse)) + 0.5), v) for v in x]
        return struct.pack("<e32b", d, *(int(v) for v in q))
    d = f32(max(x, key=abs) / -8)
    inverse = f32(1 / d) if d else 0
    q = [min(15, int(f32(f32(v * inverse) + 8.5))) for v in x]
    return struct.pack("<e", d) + bytes(q[i] | q[i + 16] << 4 for i in range(16))


def block_values(kind, block):
    (d,) = struct.unpack_from("<e", block)
    if kind == "q8_0":
        return [d * q for q in struct.unpack_from("<32b", block, 2)]
    return [d * ((b & 15) - 8) for b in block[2:]] + [d * ((b >> 4) - 8) for b in block[2:]]


def test_convert_to_blocks(vit, tally, folder):
    """Bytes of plain rounding; search is never worse; what is no matrix of whole blocks stays, and is said."""
    wide_model(folder)
    weights = read_safetensors(f"{folder}/model.safetensors")
    for kind, number, size in (("q8_0", 8, 34), ("q4_0", 2, 18)):
        errors = {}
        for rounding in ("plain", "search"):
            out = f"{folder}/{kind}_{rounding}.gguf"
            result = vit.run("convert", "--type", kind, "--rounding", rounding, folder, out)
            tally.check(
                result.status == 0 and "1 weight stays F32" in result.err and "patch_embed.proj.weight" in result.err,
                f"convert to {kind}, {rounding}",
                result,
            )
            data = read(out)
            _, infos, begin = read_gguf(data)
            blocks = {name for name, (found, _, _) in infos.items() if found == number}
            tally.equal(
                blocks,
                {n for n, (_, s, _) in weights.items() if n.endswith(".weight") and len(s) == 2 and s[1] % 32 == 0},
                f"{kind}: which are blocks",
            )
            same, errors[rounding], dequantised, along, whole = True, 0, {}, 0, 0
            for name, (found, shape, offset) in infos.items():
                _, _, values = weights[name]
                at = begin + offset
                if found != number:
                    same &= found == 0 and data[at : at + 4 * len(values)] == values.tobytes()
                    dequantised[name] = weights[name]
                    continue
                dequantised[name] = ("F32", weights[name][1], [])
                for i in range(0, len(values), 32):
                    block = data[at + i // 32 * size : at + (i // 32 + 1) * size]
                    x = values[i : i + 32]
                    same &= rounding == "search" or block == plain_block(kind, x)
                    made = block_values(kind, block)
                    errors[rounding] += sum((a - b) ** 2 for a, b in zip(made, x))
                    along += sum(a * b for a, b in zip(made, x))
                    whole += sum(a * a for a in x)
                    dequantised[name][2].extend(made)
            tally.check(same, f"{kind}, {rounding}: bytes")
            if rounding == "search":
                tally.check(abs(along / whole - 1) < 1e-3, f"{kind}: blocks keep their size", along / whole)
            os.makedirs(f"{folder}/values", exist_ok=True)
            shutil.copy(f"{folder}/config.json", f"{folder}/values")
            write(f"{folder}/values/model.safetensors", safetensors(dequantised))
            picture = ["--image", f"{folder}/a.png"]
            write(f"{folder}/a.png", read("web/samples/cat.jpg"))
            _, one = trace(vit, out, f"{folder}/one.safetensors", *picture)
            _, two = trace(vit, f"{folder}/values", f"{folder}/two.safetensors", *picture)
            tally.check(one and bits(one) == bits(two), f"{kind}, {rounding}: a model of blocks is one of their values")
        tally.check(
            errors["search"] < errors["plain"] * (0.97 if kind == "q4_0" else 0.999), f"{kind}: search is better", errors
        )
    vit.run("convert", "--type", "q4_0", folder, f"{folder}/default.gguf")
    tally.equal(read(f"{folder}/default.gguf"), read(f"{folder}/q4_0_search.gguf"), "search is the default")


def test_convolutions_in_blocks(vit, tally, folder):
    """A convolution in blocks is a matrix [O,I*h*w]; its rows would be too short otherwise."""
    model, f32, q8_0 = "wasm/models/classify.gguf", f"{folder}/f32.gguf", f"{folder}/q8_0.gguf"
    vit.run("convert", "--type=f32", model, f32)
    vit.run("convert", "--type=q8_0", "--rounding=plain", f32, q8_0)
    tally.equal(vit.run("classify", "--json", "--model", f32, "web/samples").out, vit.run("classify", "--json", "web/samples").out,
                "as floats they say the same")
    whole, blocks = read_gguf(read(f32))[1], read_gguf(read(q8_0))[1]
    maps = [name for name in whole if ".conv" in name and ".stem." not in name and name.endswith(".weight")]
    tally.equal(len(maps) > 10, True, "residual units")
    for name in maps:
        *rest, outputs = whole[name][1] # the other way round in GGUF
        tally.equal(blocks[name][:2], (8, (math.prod(rest), outputs)), name)


def test_other_types(vit, tally, folder):
    """Of GGUF: listed by name, refused by name."""
    golden = "tests/golden/gguf/types/model.gguf"
    listed = {t["name"]: t["type"] for t in lines(vit.run("info", "--json", golden))[0]["tensors"]}
    tally.check(all(name == f"w.{kind}" for name, kind in listed.items()) and len(listed) == 13, "types are listed", listed)
    wide_model(folder)
    vit.run("convert", "--type", "q4_0", folder, f"{folder}/q4_0.gguf")
    data = bytearray(read(f"{folder}/q4_0.gguf"))
    name = b"blocks.0.attn.qkv.weight"
    at = data.index(name) + len(name) + 4 + 16
    tally.equal(data[at : at + 4], b"\2\0\0\0", "where the type stands")
    data[at] = 20  # IQ4_NL, whose blocks are as large
    write(f"{folder}/other.gguf", bytes(data))
    result = vit.run("classify", "--model", f"{folder}/other.gguf", "x.png")
    tally.check(result.status == 1 and name.decode() in result.err and "IQ4_NL" in result.err, "refused by name", result)
