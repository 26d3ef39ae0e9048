"""trace, convert and info of models with random weights."""

import json
import math
import os
import random
import re
import struct

from cases_pictures import CLASSES, LABELS, MODEL, lines
from files import gguf_as_q8_0, png, read, read_safetensors, safetensors, write

FORWARD = "tests/golden/forward"
CASES = [
    "timm_cls",
    "timm_gap",
    "timm_gap_notoken",
    "timm_no_embed_class",
    "timm_noqkvbias",
    "timm_f16",
    "timm_bf16",
    "hf_vit",
    "hf_vit_noqkvbias",
]


def trace(vit, model, out, *options):
    result = vit.run("trace", "--model", model, "--out", out, *options)
    return result, read_safetensors(out) if result.status == 0 else {}


def bits(tensors):
    return {name: (shape, values.tobytes()) for name, (_, shape, values) in tensors.items()}


def test_trace_goldens(vit, tally, folder):
    for case in CASES:
        result, made = trace(
            vit, f"{FORWARD}/{case}", f"{folder}/out.safetensors", "--input", f"{FORWARD}/{case}/input.safetensors"
        )
        tally.check(result.status == 0 and result.out == "" and result.err == "", f"trace of {case}", result)
        for name, (_, shape, values) in read_safetensors(f"{FORWARD}/{case}/expected.safetensors").items():
            kind, found_shape, found = made.get(name, ("nothing", [], []))
            if not tally.equal((kind, found_shape), ("F32", shape), f"{case}: {name}"):
                continue
            worst = max(abs(a - b) / (3e-5 + 1e-5 * abs(a)) for a, b in zip(values, found))
            tally.check(worst <= 1, f"{case}: {name}", f"{worst:.3g} times its tolerance")


def test_trace_names(vit, tally, folder):
    """An input called x gives plain names; other tensors of the file are passed over."""
    _, shape, values = read_safetensors(f"{FORWARD}/timm_cls/input.safetensors")["24x40.x"]
    _, whole = trace(vit, MODEL, f"{folder}/whole.safetensors", "--input", f"{FORWARD}/timm_cls/input.safetensors")
    write(
        f"{folder}/x.safetensors",
        safetensors({"y": ("I32", [3], [1, 2, 3]), "box": ("F32", [1], [0]), "x": ("F32", shape, values)}),
    )
    result, plain = trace(vit, MODEL, f"{folder}/plain.safetensors", "--input", f"{folder}/x.safetensors")
    tally.check(result.status == 0, "trace of x", result)
    tally.equal(
        bits(plain),
        {name[6:]: value for name, value in bits(whole).items() if name.startswith("24x40.")},
        "x alone is NAME.x among others",
    )
    names = {"patch_embed", "embed", "norm", "features", "logits", "probs"}
    tally.check(names <= set(plain) and {"block.0", "block.1", "attn.0", "attn.1"} <= set(plain), "names", list(plain))
    for threads in ("1", "2", "3"):
        _, other = trace(
            vit, MODEL, f"{folder}/t.safetensors", "--input", f"{folder}/x.safetensors", "--threads", threads
        )
        tally.equal(bits(other), bits(plain), f"{threads} threads change no bit")
    write(f"{folder}/one.safetensors", safetensors({"x": ("F32", [1] + shape[1:], values[len(values) // 2 :])}))
    _, one = trace(vit, MODEL, f"{folder}/t.safetensors", "--input", f"{folder}/one.safetensors")
    tally.equal(one["logits"][2].tobytes(), plain["logits"][2][CLASSES:].tobytes(), "a batch changes no bit")


def test_trace_image(vit, tally, folder):
    picture = write(f"{folder}/a.png", png(40, 48, 3))
    result, made = trace(vit, MODEL, f"{folder}/image.safetensors", "--image", picture, "--size", "32x48")
    tally.check(result.status == 0 and result.out == "" and result.err == "", "trace --image", result)
    tally.equal(made["x"][1], [1, 32, 48, 3], "x is written too")
    write(f"{folder}/x.safetensors", safetensors({"x": made["x"]}))
    _, again = trace(vit, MODEL, f"{folder}/input.safetensors", "--input", f"{folder}/x.safetensors")
    del made["x"]
    tally.equal(bits(again), bits(made), "trace of that x is the same")
    tally.check(
        all(abs(value) <= 1 for value in read_safetensors(f"{folder}/x.safetensors")["x"][2]), "x is normalised"
    )


def test_trace_errors(vit, tally, folder):
    pixels = [0.0] * (32 * 32 * 3)
    inputs = {
        "empty": (b"", "is empty"),
        "text": ("<html>404</html>", "text"),
        "no_x": (safetensors({"y": ("F32", [1], [0])}), "no tensor called x or NAME.x"),
        "rank": (safetensors({"x": ("F32", [32, 32, 3], pixels)}), "expected f32 [B,H,W,3]"),
        "channels": (safetensors({"x": ("F32", [1, 3, 32, 32], pixels)}), "expected f32 [B,H,W,3]"),
        "type": (safetensors({"x": ("U8", [1, 32, 32, 3], [0] * len(pixels))}), "expected f32 [B,H,W,3]"),
        "none": (safetensors({"x": ("F32", [0, 32, 32, 3], [])}), "expected f32 [B,H,W,3]"),
        "small": (safetensors({"x": ("F32", [1, 4, 4, 3], pixels[:48])}), "x"),
        "long": (safetensors({"n" * 300 + ".x": ("F32", [1, 32, 32, 3], pixels)}), "the name has 302 bytes"),
        "one_good": (safetensors({"a.x": ("F32", [1, 32, 32, 3], pixels), "b.x": ("F32", [1], [0])}), "b.x"),
    }
    for name, (data, reason) in inputs.items():
        path = write(f"{folder}/{name}.safetensors", data)
        result, _ = trace(vit, MODEL, f"{folder}/out.safetensors", "--input", path)
        tally.check(
            result.status == 1
            and result.out == ""
            and reason in result.err
            and not os.path.exists(f"{folder}/out.safetensors"),
            f"trace of {name}",
            result,
        )
    result, _ = trace(vit, MODEL, f"{folder}/none/out.safetensors", "--input", f"{FORWARD}/timm_cls/input.safetensors")
    tally.check(result.status == 1 and "no such folder" in result.err, "trace into a missing folder", result)


def test_convert(vit, tally, folder):
    """Converted models give the same results, bit for bit, from one file."""
    for case in CASES:
        out = f"{folder}/{case}.gguf"
        result = vit.run("convert", f"{FORWARD}/{case}", out)
        tally.check(
            result.status == 0
            and result.err == ""
            and re.fullmatch(rf"{re.escape(out)}: \w+, \d+ parameters, {os.path.getsize(out)} bytes\n", result.out)
            is not None,
            f"convert {case}",
            result,
        )
        inputs = ["--input", f"{FORWARD}/{case}/input.safetensors"]
        _, before = trace(vit, f"{FORWARD}/{case}", f"{folder}/before.safetensors", *inputs)
        _, after = trace(vit, out, f"{folder}/after.safetensors", *inputs)
        tally.check(before and bits(before) == bits(after), f"{case} as GGUF is the same bit for bit")
    vit.run(
        "convert",
        f"{FORWARD}/timm_cls/model.safetensors",
        f"{folder}/file.gguf",
        "--config",
        f"{FORWARD}/timm_cls/config.json",
    )
    tally.equal(read(f"{folder}/file.gguf"), read(f"{folder}/timm_cls.gguf"), "a file with --config is the folder")
    vit.run("convert", f"{folder}/timm_cls.gguf", f"{folder}/again.gguf")
    tally.equal(read(f"{folder}/again.gguf"), read(f"{folder}/timm_cls.gguf"), "GGUF to GGUF is a copy")
    result = vit.run("convert", f"{folder}/timm_cls.gguf", f"{folder}/again.gguf")
    tally.check(result.status == 0, "an existing file is replaced", result)


def test_convert_types(vit, tally, folder):
    inputs = ["--input", f"{FORWARD}/timm_cls/input.safetensors"]
    _, exact = trace(vit, MODEL, f"{folder}/f32.safetensors", *inputs)
    for kind, tolerance in (("f32", 0), ("f16", 0.01), ("bf16", 0.1)):
        out = f"{folder}/{kind}.gguf"
        result = vit.run("convert", "--type", kind, MODEL, out)
        tally.check(result.status == 0, f"convert --type {kind}", result)
        types = {tensor["name"]: tensor["type"] for tensor in lines(vit.run("info", "--json", out))[0]["tensors"]}
        tally.equal(
            (types["blocks.0.mlp.fc1.weight"].lower(), types["blocks.0.norm1.bias"]), (kind, "F32"), f"types in {kind}"
        )
        _, made = trace(vit, out, f"{folder}/{kind}.safetensors", *inputs)
        worst = max(
            abs(a - b) for name in exact for a, b in zip(exact[name][2], made[name][2]) if name.endswith("logits")
        )
        tally.check(worst <= tolerance and (worst > 0) == (tolerance > 0), f"{kind} is as near as it should be", worst)
    for kind in ("f16", "bf16"):  # what is 16 bits wide already stays what it is
        vit.run("convert", "--type", kind, f"{FORWARD}/timm_{kind}", f"{folder}/typed.gguf")
        vit.run("convert", f"{FORWARD}/timm_{kind}", f"{folder}/kept.gguf")
        inputs = ["--input", f"{FORWARD}/timm_{kind}/input.safetensors"]
        _, typed = trace(vit, f"{folder}/typed.gguf", f"{folder}/typed.safetensors", *inputs)
        _, kept = trace(vit, f"{folder}/kept.gguf", f"{folder}/kept.safetensors", *inputs)
        tally.check(kept and bits(typed) == bits(kept), f"{kind} stays {kind}")
    tally.check(
        os.path.getsize(f"{folder}/f16.gguf") < 0.6 * os.path.getsize(f"{folder}/f32.gguf"), "f16 is half as large"
    )


def wide_model(folder):
    """One block whose rows are whole blocks of Q8_0."""
    width, hidden = 32, 64
    shapes = {
        "patch_embed.proj.weight": [width, 3, 8, 8],
        "cls_token": [1, 1, width],
        "pos_embed": [1, 17, width],
        "blocks.0.attn.qkv.weight": [3 * width, width],
        "blocks.0.attn.proj.weight": [width, width],
        "blocks.0.mlp.fc1.weight": [hidden, width],
        "blocks.0.mlp.fc2.weight": [width, hidden],
        "head.weight": [7, width],
    }
    for name in [name for name in shapes if name.endswith(".weight")]:
        shapes[name.replace(".weight", ".bias")] = shapes[name][:1]
    for name in ("blocks.0.norm1", "blocks.0.norm2", "norm"):
        shapes[f"{name}.weight"] = shapes[f"{name}.bias"] = [width]
    random.seed(1)
    tensors = {name: ("F32", s, [random.gauss(0, 0.3) for _ in range(math.prod(s))]) for name, s in shapes.items()}
    config = json.loads(read(f"{MODEL}/config.json"))
    config["model_args"].update(embed_dim=width, depth=1, num_heads=2, mlp_ratio=2)
    write(f"{folder}/model.safetensors", safetensors(tensors))
    write(f"{folder}/config.json", json.dumps(config).encode())


def test_q8_0(vit, tally, folder):
    """A Q8_0 file gives the bits of an F32 file with the same values, in f32 and in int8."""
    wide_model(f"{folder}/wide")
    result = vit.run("convert", f"{folder}/wide", f"{folder}/f32.gguf")
    tally.check(result.status == 0, "convert the wide model", result)
    for name, data in zip(("q8_0", "rounded"), gguf_as_q8_0(read(f"{folder}/f32.gguf"))):
        write(f"{folder}/{name}.gguf", data)
    types = [tensor["type"] for tensor in lines(vit.run("info", "--json", f"{folder}/q8_0.gguf"))[0]["tensors"]]
    tally.check(types.count("Q8_0") > 4, "matrices are Q8_0", types)
    inputs = ["--input", f"{FORWARD}/timm_cls/input.safetensors"]
    for compute in ("f32", "int8"):
        words = [*inputs, "--compute", compute]
        result, made = trace(vit, f"{folder}/q8_0.gguf", f"{folder}/q.safetensors", *words)
        _, wanted = trace(vit, f"{folder}/rounded.gguf", f"{folder}/r.safetensors", *words)
        tally.check(result.status == 0 and bits(made) == bits(wanted), f"Q8_0 in {compute}", result)


def test_convert_labels(vit, tally, folder):
    labels = write(f"{folder}/labels.json", json.dumps(LABELS))
    picture = write(f"{folder}/a.png", png(40, 48, 0))
    vit.run("convert", MODEL, f"{folder}/labelled.gguf", "--labels", labels)
    inside = lines(vit.run("classify", "--model", f"{folder}/labelled.gguf", "--json", picture))
    outside = lines(vit.run("classify", "--model", MODEL, "--labels", labels, "--json", picture))
    tally.equal(inside, outside, "labels travel in the file")
    vit.run("convert", f"{FORWARD}/hf_vit", f"{folder}/hf.gguf")
    tally.equal(
        lines(vit.run("classify", "--model", f"{folder}/hf.gguf", "--json", picture)),
        lines(vit.run("classify", "--model", f"{FORWARD}/hf_vit", "--json", picture)),
        "and those of config.json",
    )


def test_names_of_letters(vit, tally, folder):
    """Names are cut between letters; class names that are no UTF-8 are refused before anything is written."""
    config = json.loads(read(f"{MODEL}/config.json"))
    write(f"{folder}/m/model.safetensors", read(f"{MODEL}/model.safetensors"))
    for ahead in range(2):
        config["architecture"] = "vit_" + "x" * ahead + "é" * 60
        write(f"{folder}/m/config.json", json.dumps(config))
        for name in ("out.gguf", "out.safetensors"):
            result = vit.run("convert", f"{folder}/m", f"{folder}/{name}")
            tally.check(result.status == 0, f"convert {config['architecture']} to {name}", result)
            result = vit.run("info", f"{folder}/{name}")
            tally.check(result.status == 0 and "é" * 28 in result.out and "�" not in result.out, f"{name} is read", result)
    labels = write(f"{folder}/labels.txt", b"caf\xe9\nb\nc\nd\ne\nf\ng\n")
    for words in (["convert", MODEL, f"{folder}/no.safetensors", "--labels", labels], ["classify", "--model", MODEL, "--labels", labels, f"{folder}/none.png"]):
        result = vit.run(*words)
        tally.check(result.status == 1 and 'the name of class 0, "caf?", is not UTF-8' in result.err, f"{words[0]} with labels of Latin-1", result)
    tally.check(not os.path.exists(f"{folder}/no.safetensors"), "nothing is written")


def test_convert_errors(vit, tally, folder):
    write(f"{folder}/in/model.safetensors", read(f"{MODEL}/model.safetensors"))
    write(f"{folder}/in/config.json", read(f"{MODEL}/config.json"))
    vit.run("convert", f"{folder}/in", f"{folder}/in/model.gguf")
    before = read(f"{folder}/in/model.gguf")
    for source in (f"{folder}/in/model.gguf", f"{folder}/in", f"{folder}/in/../in/model.gguf"):
        result = vit.run("convert", source, f"{folder}/in/model.gguf")
        tally.check(
            result.status == 2 and "is what would be read" in result.err, f"convert {source} onto itself", result
        )
    tally.equal(read(f"{folder}/in/model.gguf"), before, "and nothing is written")
    for out, reason in ((f"{folder}/none/x.gguf", "no such folder"), (f"{folder}/f.gguf", "is a folder")):
        os.makedirs(f"{folder}/f.gguf", exist_ok=True)
        result = vit.run("convert", MODEL, out)
        tally.check(result.status == 1 and reason in result.err, f"convert to {out}", result)
    for source, reason in ((f"{folder}/none", "none"), (f"{folder}/f.gguf", "f.gguf")):
        result = vit.run("convert", source, f"{folder}/new.gguf")
        tally.check(
            result.status == 1 and reason in result.err and not os.path.exists(f"{folder}/new.gguf"),
            f"convert {source}",
            result,
        )


def test_info_file(vit, tally, folder):
    path = f"{MODEL}/model.safetensors"
    text = vit.run("info", path)
    tally.check(text.status == 0 and text.err == "", "info of a file", text)
    tally.equal(
        text.out.split("\n")[0], f"{path}: safetensors, 32 tensors, {os.path.getsize(path)} bytes", "first line"
    )
    tally.check(
        re.search(r"^  blocks\.0\.attn\.qkv\.weight +F32 +\[108,36\]$", text.out, re.M), "a tensor's line", text
    )
    made = lines(vit.run("info", "--json", path))[0]
    expected = read_safetensors(path)
    tally.equal(
        {tensor["name"]: (tensor["type"], tensor["shape"]) for tensor in made["tensors"]},
        {name: (kind, shape) for name, (kind, shape, _) in expected.items()},
        "tensors as JSON",
    )
    tally.equal((made["path"], made["format"]), (path, "safetensors"), "path and format")
    vit.run("convert", MODEL, f"{folder}/model.gguf")
    made = lines(vit.run("info", "--json", f"{folder}/model.gguf"))[0]
    tally.equal(
        (
            made["format"],
            made["metadata"]["general.architecture"],
            made["metadata"]["vit.block_count"],
            made["metadata"]["vit.embedding_length"],
        ),
        ("GGUF", "vit", "2", "36"),
        "metadata of GGUF",
    )
    tally.equal(
        (made["parameters"], made["source"], made["tensors"][0]["used"]),
        (sum(math.prod(shape) for _, shape, _ in expected.values()), "GGUF", True),
        "a file that is a model is told to be one",
    )
    other = write(f"{folder}/other.safetensors", safetensors({"what": ("I32", [2, 3], range(6))}))
    result = vit.run("info", other)
    tally.check(result.status == 0 and "what" in result.out and "I32" in result.out, "any container is listed", result)


def test_info_model(vit, tally, folder):
    text = vit.run("info", MODEL)
    tally.check(text.status == 0 and text.err == "", "info of a folder", text)
    made = lines(vit.run("info", "--json", MODEL))[0]
    parameters = sum(math.prod(shape) for _, shape, _ in read_safetensors(f"{MODEL}/model.safetensors").values())
    expected = {
        "path": MODEL,
        "architecture": "vit_tiny_patch16_224",
        "parameters": parameters,
        "layers": 2,
        "width": 36,
        "heads": 3,
        "mlp_width": 80,
        "patch": [8, 8],
        "activation": "gelu",
        "norm_eps": 1e-6,
        "pool": "cls",
        "class_token": True,
        "pre_logits": 0,
        "positions": {"size": [32, 32], "resample": "timm"},
        "input": [32, 32],
        "preprocess": {
            "filter": "bicubic",
            "crop": "center",
            "crop_pct": 0.9,
            "mean": [0.5] * 3,
            "std": [0.5] * 3,
            "size": [32, 32],
        },
        "network": "vit",
        "source": "safetensors, timm",
        "built_as": None,
        "types": {"F32": {"tensors": 32, "bytes": 4 * parameters}},
        "classes": 7,
        "labels": 0,
        "warnings": [],
    }
    tally.equal({key: made.get(key) for key in expected}, expected, "info --json")
    macs = 16 * 192 * 36 + 2 * (17 * (4 * 36 * 36 + 2 * 36 * 80) + 2 * 17 * 17 * 36) + 36 * 7
    tally.equal(made["flops"], 2 * macs, "multiply-adds of a pass")
    tally.equal([tensor["name"] for tensor in made["tensors"] if not tensor["used"]], [], "every tensor is used")
    tally.check(
        (made["config"]["block_count"], made["config"]["pos_embed.kind"], made["config"]["image_size"])
        == (2, "1d", [32, 32]),
        "the configuration by GGUF's keys",
        made["config"],
    )
    larger = lines(vit.run("info", "--json", "--size", "64x48", MODEL))[0]
    macs = 48 * 192 * 36 + 2 * (49 * (4 * 36 * 36 + 2 * 36 * 80) + 2 * 49 * 49 * 36) + 36 * 7
    tally.equal((larger["input"], larger["flops"]), ([64, 48], 2 * macs), "multiply-adds of another size")
    result = vit.run("info", "--size", "7", MODEL)
    tally.check(
        result.status == 2 and "--size 7x7: this network takes no pictures of that size" in result.err,
        "a size below a patch",
        result,
    )
    tally.check("\n  types          32 of F32 (" in text.out and "attn.qkv" not in text.out, "text sums types up", text)
    every = vit.run("info", "--tensors", MODEL).out
    tally.equal(len(re.findall(r"^  \S+ +F32 +\[", every, re.M)), 32, "--tensors lists them")
    tally.equal(
        lines(vit.run("info", "--json", "--config", f"{MODEL}/config.json", f"{MODEL}/model.safetensors"))[0][
            "parameters"
        ],
        parameters,
        "a file with --config is validated as a model",
    )
    tensors = read_safetensors(f"{MODEL}/model.safetensors")
    tensors["pooler.extra"] = ("F32", [2], [1, 2])
    tensors["norm.bias"] = ("F32", [36], [math.nan] + [0] * 35)
    write(f"{folder}/m/model.safetensors", safetensors(tensors))
    write(f"{folder}/m/config.json", read(f"{MODEL}/config.json"))
    made = lines(vit.run("info", "--json", f"{folder}/m"))[0]
    tally.equal(
        [tensor["name"] for tensor in made["tensors"] if not tensor["used"]],
        ["pooler.extra"],
        "a tensor nobody asked for",
    )
    tally.check(len(made["warnings"]) == 1 and "norm.bias" in made["warnings"][0], "NaN is a warning", made["warnings"])


def test_wrong_models(vit, tally, folder):
    """Models that cannot be: named on stderr by info of the folder and by classify, exit status 1."""
    config = json.loads(read(f"{MODEL}/config.json"))
    good = read_safetensors(f"{MODEL}/model.safetensors")
    missing = {name: tensor for name, tensor in good.items() if name != "blocks.1.mlp.fc2.weight"}
    kind, shape, values = good["blocks.0.attn.qkv.weight"]
    data = read(f"{MODEL}/model.safetensors")
    wrong = {
        "missing": (safetensors(missing), config, "blocks.1.mlp.fc2.weight"),
        "transposed": (
            safetensors({**good, "blocks.0.attn.qkv.weight": (kind, shape[::-1], values)}),
            config,
            "blocks.0.attn.qkv.weight",
        ),
        "integers": (safetensors({**good, "norm.bias": ("I32", [36], [0] * 36)}), config, "norm.bias"),
        "cut": (data[:-100], config, "model.safetensors"),
        "cut_header": (data[:900], config, "model.safetensors"),
        "lying": (struct.pack("<Q", 1 << 60) + data[8:], config, "model.safetensors"),
        "page": (
            "<!DOCTYPE html><html><head><title>404</title></head><body>Not found</body></html>\n" * 20,
            config,
            "model.safetensors",
        ),
        "empty": (b"", config, "model.safetensors"),
        "no_config": (data, None, "config.json"),
        "not_json": (data, "{oops", "config.json"),
        "heads": (data, {**config, "model_args": {**config["model_args"], "num_heads": 5}}, "5"),
    }
    picture = write(f"{folder}/a.png", png(40, 40, 0))
    for name, (weights, meaning, reason) in wrong.items():
        write(f"{folder}/{name}/model.safetensors", weights)
        if meaning is not None:
            write(f"{folder}/{name}/config.json", meaning if isinstance(meaning, str) else json.dumps(meaning))
        for words in (
            ["info", f"{folder}/{name}"],
            ["classify", "--model", f"{folder}/{name}", picture],
            ["convert", f"{folder}/{name}", f"{folder}/out.gguf"],
        ):
            result = vit.run(*words)
            tally.check(
                result.status == 1 and result.out == "" and reason in result.err and result.err.count("\n") == 1,
                f"{words[0]} of model {name}",
                result,
            )
    tally.check(not os.path.exists(f"{folder}/out.gguf"), "nothing is written of them")
    vit.run("convert", MODEL, f"{folder}/good.gguf")
    gguf = read(f"{folder}/good.gguf")
    for name, data in {
        "cut": gguf[:-100],
        "cut_header": gguf[:300],
        "magic": b"GGUX" + gguf[4:],
        "count": gguf[:8] + struct.pack("<Q", 1 << 60) + gguf[16:],
        "page": b"<html>" * 100,
    }.items():
        path = write(f"{folder}/{name}.gguf", data)
        for words in (["info", path], ["classify", "--model", path, picture], ["convert", path, f"{folder}/out.gguf"]):
            result = vit.run(*words)
            tally.check(
                result.status == 1
                and result.out == ""
                and f"{name}.gguf" in result.err
                and result.err.count("\n") == 1,
                f"{words[0]} of {name}.gguf",
                result,
            )
