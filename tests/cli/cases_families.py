"""Checkpoints as timm's and Hugging Face's users have them: under other names, with more in the file than is used,
without a head, with something missing."""

import json
import math

from files import png, read, read_npy, read_safetensors, safetensors, write

GOLDEN = "tests/golden"


def load(case):
    """(config, tensors) of a golden case"""
    return json.loads(read(f"{GOLDEN}/{case}/config.json")), read_safetensors(f"{GOLDEN}/{case}/model.safetensors")


def save(folder, config, tensors):
    write(f"{folder}/config.json", json.dumps(config))
    write(f"{folder}/model.safetensors", safetensors(tensors))
    return folder


def trace(vit, model, case, folder):
    """Every result of the case's pixels through another model, as bytes; the message of an error"""
    out = f"{folder}/out.safetensors"
    result = vit.run("trace", "--model", model, "--input", f"{GOLDEN}/{case}/input.safetensors", "--out", out)
    if result.status:
        return result.err
    return {name: values.tobytes() for name, (_, _, values) in read_safetensors(out).items()}


def ones(*shape):
    count = 1
    for side in shape:
        count *= side
    return "F32", list(shape), [1.0] * count


def renamed(tensors, *pairs):
    """Tensors whose names have the first of a pair, which becomes the second"""
    names = {}
    for name, tensor in tensors.items():
        for old, new in pairs:
            if name.startswith(old):
                name = new + name[len(old) :]
                break
        names[name] = tensor
    return names


def test_other_names(vit, tally, folder):
    """Prefixes that releases of transformers have written, or left out: the same bits."""
    for case, *pairs in (
        ("clip/hf_projection", ("vision_model.", "")),
        ("clip/hf_vision", ("", "vision_model.")),
        ("siglip/hf_vision", ("", "vision_model.")),
        ("siglip/hf_classify", ("vision_model.", "")),
        ("dino/hf_dino", ("", "vit.")),
        ("msn/hf_msn", ("encoder.", "vit.encoder.")),
        ("dinov2/hf_dinov2", ("dinov2.", "")),
        ("deit/hf_deit", ("deit.", "")),
        ("mae/hf_mae", ("decoder.decoder_encoder.layer.", "decoder.decoder_layers.")),
    ):
        config, tensors = load(case)
        other = renamed(tensors, *pairs)
        tally.check(set(other) != set(tensors), f"{case} has other names")
        place = f"{folder}/{case.replace('/', '_')}"
        save(place, config, other)
        tally.equal(trace(vit, place, case, folder), trace(vit, f"{GOLDEN}/{case}", case, folder), f"names of {case}")
        info = vit.run("info", "--json", place)
        tally.equal(info.status, 0, f"info of {case}")


def test_more_than_is_used(vit, tally, folder):
    """A classifier's file with a pooler, a mask token, a text tower: the same bits."""
    for case, more in (
        ("msn/hf_msn", {"vit.pooler.dense.weight": ones(24, 24), "vit.pooler.dense.bias": ones(24)}),
        ("deit/hf_deit", {"deit.embeddings.mask_token": ones(1, 1, 24)}),
        ("clip/hf_vision", {"text_model.embeddings.token_embedding.weight": ones(3, 3), "logit_scale": ones()}),
        ("vit/timm_sam", {"head_drop.unused": ones(2)}),
    ):
        config, tensors = load(case)
        place = f"{folder}/{case.replace('/', '_')}"
        save(place, config, {**tensors, **more})
        tally.equal(trace(vit, place, case, folder), trace(vit, f"{GOLDEN}/{case}", case, folder), f"more in {case}")
        listed = vit.run("info", place).out
        for name in more:
            tally.check(name in listed, f"{name} is listed as not used", listed)


def test_missing(vit, tally, folder):
    """What is missing is named as the family's files name it, and what is wrong says what was expected."""
    for case, name in (
        ("clip/hf_projection", "vision_model.pre_layrnorm.weight"),
        ("clip/hf_projection", "vision_model.encoder.layers.1.self_attn.k_proj.bias"),
        ("siglip/hf_classify", "vision_model.post_layernorm.bias"),
        ("siglip/hf_vision", "head.attention.in_proj_weight"),
        ("dinov2/hf_dinov2", "dinov2.encoder.layer.0.mlp.fc2.weight"),
        ("dinov2/hf_dinov2_registers", "dinov2_with_registers.encoder.layer.1.layer_scale2.lambda1"),
        ("deit/hf_deit_distilled", "distillation_classifier.weight"),
        ("mae/hf_mae", "decoder.decoder_embed.bias"),
        ("vit/timm_reg_positions", "attn_pool.kv.bias"),
        ("clip/timm_clip", "norm_pre.bias"),
    ):
        config, tensors = load(case)
        part = name.split(".", 1)[1] if name.startswith(("vision_model", "dinov2")) else name
        place = f"{folder}/missing_{name.replace('.', '_')}"
        save(place, config, {key: tensor for key, tensor in tensors.items() if key != name})
        result = vit.run("info", place)
        tally.check(result.status == 1 and "missing" in result.err and part in result.err, f"without {name}", result)
    for case, name in (
        ("siglip/hf_vision", "head.attention.in_proj_weight"),
        ("clip/hf_projection", "visual_projection.weight"),
        ("dinov2/hf_dinov2_swiglu", "dinov2.encoder.layer.0.mlp.weights_in.weight"),
        ("dinov2/hf_dinov2", "classifier.weight"),
        ("mae/hf_mae", "decoder.decoder_pred.weight"),
    ):
        config, tensors = load(case)
        kind, shape, values = tensors[name]
        place = f"{folder}/shape_{name.replace('.', '_')}"
        save(place, config, {**tensors, name: (kind, shape[::-1], values)})
        result = vit.run("info", place)
        tally.check(result.status == 1 and name in result.err and "expected" in result.err, f"shape of {name}", result)


def test_without_a_head(vit, tally, folder):
    """classify says so; features work, as wide as what a head would see."""
    picture = write(f"{folder}/a.png", png(50, 40, 3))
    for case, width in (
        ("clip/hf_vision", 24),
        ("clip/hf_projection", 12),
        ("clip/hf_both", 12),
        ("siglip/hf_vision", 24),
        ("dino/hf_dino", 24),
        ("vit/hf_pooler", 24),
        ("mae/hf_mae", 24),
        ("mae/hf_simmim", 24),
        ("siglip/timm_siglip", 24),
    ):
        model = f"{GOLDEN}/{case}"
        result = vit.run("classify", "--model", model, picture)
        tally.check(result.status == 1 and not result.out and "no classification head" in result.err, case, result)
        result = vit.run("features", "--model", model, "--out", f"{folder}/f.npy", picture)
        tally.check(result.status == 0, f"features of {case}", result)
        if result.status == 0:
            tally.equal(read_npy(f"{folder}/f.npy")[0], (1, width), f"width of features of {case}")


def test_converted(vit, tally, folder):
    """A GGUF says all that config.json and preprocessor_config.json did."""
    for case in (
        "clip/hf_projection",
        "clip/timm_quickgelu",
        "siglip/hf_vision",
        "dinov2/hf_dinov2_registers",
        "dinov2/timm_dinov2_swiglu",
        "deit/hf_deit_distilled",
        "deit/timm_deit3",
        "vit/timm_reg_positions",
        "vit/hf_pooler",
        "mae/hf_mae_norm_pix",
        "mae/hf_simmim",
    ):
        model = f"{folder}/{case.replace('/', '_')}.gguf"
        result = vit.run("convert", f"{GOLDEN}/{case}", model)
        tally.check(result.status == 0, f"convert {case}", result)
        tally.equal(trace(vit, model, case, folder), trace(vit, f"{GOLDEN}/{case}", case, folder), f"{case} as GGUF")
        known = [json.loads(vit.run("info", "--json", path).out) for path in (model, f"{GOLDEN}/{case}")]
        for key in ("config", "preprocess", "parameters", "flops"):
            tally.equal(known[0][key], known[1][key], f"{key} of {case} as GGUF")


def test_processor(vit, tally, folder):
    """transformers 5 keeps the image processor of several inputs in processor_config.json; it counts before
    preprocessor_config.json."""
    case = "clip/hf_projection"
    picture = f"{GOLDEN}/{case}/picture.png"
    rules = json.loads(read(f"{GOLDEN}/{case}/preprocessor_config.json"))
    expected = read_safetensors(f"{GOLDEN}/{case}/expected.safetensors")["picture.x"]
    other = {**rules, "size": {"shortest_edge": 60}}
    for name, files in {
        "nested": {"processor_config.json": {"image_processor": rules, "processor_class": "CLIPProcessor"}},
        "both": {"processor_config.json": {"image_processor": rules}, "preprocessor_config.json": other},
        "empty": {"processor_config.json": {"processor_class": "CLIPProcessor"}, "preprocessor_config.json": rules},
    }.items():
        place = save(f"{folder}/{name}", *load(case))
        for file, content in files.items():
            write(f"{place}/{file}", json.dumps(content))
        out = f"{place}/out.safetensors"
        result = vit.run("trace", "--model", place, "--image", picture, "--out", out)
        tally.check(result.status == 0, f"{name} processor", result)
        found = read_safetensors(out)["x"] if result.status == 0 else (0, 0, [])
        tally.equal(found[1], expected[1], f"shape of {name} processor")
        differences = [abs(a - b) for a, b in zip(found[2], expected[2])]
        tally.check(differences and max(differences) < 1e-6, f"pixels of {name} processor")


def test_no_processor(vit, tally, folder):
    """Where no file says how pictures are fed, the family's own class does, and a warning says so: not in timm's files,
    whose configuration says it, or leaves it to timm's defaults."""
    for case, name, expected in (
        ("clip/hf_classify", "CLIP", ("bicubic", "short_floor", 0.48145466, 1)),
        ("deit/hf_deit", "DeiT", ("bicubic", "squash_floor", 0.5, 0.875)),
        ("dinov2/hf_dinov2", "Bit", ("bicubic", "short_floor", 0.48145466, 1)),
        ("mae/hf_mae", "ViT", ("bilinear", "squash", 0.5, 1)),
        ("siglip/hf_vision", "Siglip", ("bicubic", "squash", 0.5, 1)),
        ("vit/timm_sam", None, ("bicubic", "center", 0.485, 0.875)),
    ):
        config, tensors = load(case)
        for key in ("mean", "std", "crop_pct", "crop_mode", "interpolation"):
            config.get("pretrained_cfg", {}).pop(key, None)
        place = save(f"{folder}/{case.replace('/', '_')}", config, tensors)
        if not name:
            write(f"{place}/preprocessor_config.json", json.dumps({"image_processor_type": "CLIPImageProcessor"}))
        info = json.loads(vit.run("info", "--json", place).out)
        rules = info["preprocess"]
        found = rules["filter"], rules["crop"], rules["mean"][0], rules["crop_pct"]
        tally.check(found[:2] == expected[:2], f"filter and crop of {case}", found)
        tally.check(all(abs(a - b) < 1e-6 for a, b in zip(found[2:], expected[2:])), f"numbers of {case}", found)
        warning = f"as {name}ImageProcessor does by default"
        tally.check(warning in str(info["warnings"]) if name else not info["warnings"], f"warnings of {case}", info)
        result = vit.run("features", "--json", "--model", place, write(f"{folder}/a.png", png(50, 40, 3)))
        tally.check(result.status == 0 and (not name or warning in result.err), f"warning of features, {case}", result)


def test_registers_positions(vit, tally, folder):
    """The positions of a model whose registers have none: the class token's, then zeros, then the patches'."""
    case = "dinov2/hf_dinov2_registers"
    config, tensors = load(case)
    width, registers = config["hidden_size"], config["num_register_tokens"]
    table = next(values for name, (_, _, values) in tensors.items() if name.endswith("position_embeddings"))
    out = f"{folder}/out.safetensors"
    result = vit.run("trace", "--model", f"{GOLDEN}/{case}", "--input", f"{GOLDEN}/{case}/input.safetensors", "--out", out)
    if tally.check(result.status == 0, "trace", result):
        positions = next(values for name, (_, _, values) in read_safetensors(out).items() if name.endswith("pos_embedding"))
        rows = [list(positions[i * width : (i + 1) * width]) for i in range(registers + 1)]
        tally.equal(rows, [list(table[:width])] + [[0.0] * width] * registers, "the first rows of the positions")


def test_several_labels(vit, tally, folder):
    """problem_type of Hugging Face, and heads of one class: each score is a sigmoid, also as GGUF."""
    picture = write(f"{folder}/a.png", png(50, 40, 3))
    config, tensors = load("clip/hf_classify")
    config["problem_type"] = "multi_label_classification"
    several = save(f"{folder}/several", config, tensors)
    config, tensors = load("clip/hf_classify")
    config["id2label"] = {"0": "only"}
    for name in ("classifier.weight", "classifier.bias"):
        kind, shape, values = tensors[name]
        tensors[name] = kind, [1, *shape[1:]], values[: len(values) // shape[0]]
    one = save(f"{folder}/one", config, tensors)
    for place in (several, one):
        result = vit.run("convert", place, f"{place}.gguf")
        tally.check(result.status == 0, f"convert {place}", result)
        out = f"{folder}/out.safetensors"
        vit.run("trace", "--model", place, "--image", picture, "--out", out)
        traced = read_safetensors(out)
        expected = [1 / (1 + math.exp(-logit)) for logit in traced["logits"][2]]
        tally.check(max(abs(a - b) for a, b in zip(traced["probs"][2], expected)) < 1e-6, f"probs of {place}", traced)
        for model in (place, f"{place}.gguf"):
            result = vit.run("classify", "--json", "--top", "9", "--model", model, picture)
            found = [one["score"] for one in json.loads(result.out)["top"]] if result.status == 0 else []
            tally.check(len(found) == len(expected) and
                        all(abs(a - b) < 1e-6 for a, b in zip(found, sorted(expected, reverse=True))),
                        f"scores of {model}", result)
    config, tensors = load("clip/hf_classify")
    config["problem_type"] = "regression"
    result = vit.run("info", save(f"{folder}/regression", config, tensors))
    tally.check(result.status == 1 and 'problem_type "regression"' in result.err, "regression", result)


def test_other_configurations(vit, tally, folder):
    """What would be another network, or another reading of the same, is not passed over."""
    for case, change, told in (
        ("dino/hf_dino", {"hidden_act": "tanh"}, 'hidden_act "tanh"'),
        ("vit/timm_sam", {"model_args": {"act_layer": "tanh"}}, "act_layer"),
        ("vit/timm_sam", {"model_args": {"dynamic_img_pad": True}}, 'model_args "dynamic_img_pad"'),
        ("bit/timm", {"model_args": {"act_layer": "silu"}}, 'model_args "act_layer"'),
        ("bit/timm", {"model_args": {"patch_size": 4}}, 'model_args "patch_size"'),
    ):
        config, tensors = load(case)
        for key, value in change.items():
            config[key] = {**config.get(key, {}), **value} if isinstance(value, dict) else value
        result = vit.run("info", save(f"{folder}/{case.replace('/', '_')}", config, tensors))
        tally.check(result.status == 1 and told in result.err, f"{case} with {change}", result)
    config, tensors = load("clip/hf_both")
    config["vision_config_dict"], config["vision_config"] = config["vision_config"], {"hidden_size": 7}
    place = save(f"{folder}/dict", config, tensors)
    tally.equal(trace(vit, place, "clip/hf_both", folder), trace(vit, f"{GOLDEN}/clip/hf_both", "clip/hf_both", folder),
                "vision_config_dict")
