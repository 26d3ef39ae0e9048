"""attention and inspect on small pictures and a model with random weights."""

import math
import os

from cases_pictures import GAP_MODEL, MODEL, lines, near, pictures
from files import read, read_png, read_safetensors, write

HEADS, TOKENS, PATCHES = 3, 17, 16  # of MODEL, which has two layers


def traced(vit, folder, picture, model=MODEL):
    vit.run("trace", "--model", model, "--image", picture, "--out", f"{folder}/t.safetensors")
    return read_safetensors(f"{folder}/t.safetensors")


def mean_heads(attention):
    """[T][T]"""
    size = TOKENS * TOKENS
    mean = [sum(attention[h * size + i] for h in range(HEADS)) / HEADS for i in range(size)]
    return [mean[t * TOKENS : (t + 1) * TOKENS] for t in range(TOKENS)]


def rolled_out(layers):
    product = [[float(i == j) for j in range(TOKENS)] for i in range(TOKENS)]
    for layer in layers:
        rows = [[(value + (i == j)) for j, value in enumerate(row)] for i, row in enumerate(layer)]
        rows = [[value / sum(row) for value in row] for row in rows]
        product = [[sum(a * b for a, b in zip(row, column)) for column in zip(*product)] for row in rows]
    return product


def test_attention(vit, tally, folder):
    (picture,) = pictures(folder, ["a.png"])
    out = f"{folder}/o.png"

    def values(*options):
        result = vit.run("attention", "--model", MODEL, "--json", *options, picture)
        tally.check(result.status == 0 and result.err == "", f"attention {options}", result)
        (line,) = lines(result)
        tally.equal([line["path"], line["grid"], len(line["values"])], [picture, [4, 4], PATCHES], "path and grid")
        tally.equal(list(line), ["path", "method", "grid", "values"], "keys")
        return line["method"], line["values"]

    tensors = traced(vit, folder, picture)
    attention = [tensors[f"attn.{layer}"][2] for layer in range(2)]
    means = [mean_heads(each) for each in attention]
    product, first = rolled_out(means), rolled_out(means[:1])

    def same(options, method, row):
        made = values(*options)
        tally.equal(made[0], method, f"the method of {options}")
        tally.check(all(near(a, b, 1e-6) for a, b in zip(made[1], row[1:])), f"values of {options}", made)

    same([], "rollout", product[0])
    same(["--method", "rollout", "--layer", "1"], "rollout", product[0])
    same(["--layer", "0"], "rollout", first[0])
    same(["--patch", "15"], "rollout", product[16])
    same(["--query", "cls"], "rollout", product[0])
    same(["--query", "mean"], "rollout", [sum(column) / PATCHES for column in zip(*product[1:])])
    same(["--method", "mean"], "mean", means[1][0])
    same(["--method", "mean", "--layer", "0", "--patch", "0"], "mean", means[0][1])
    size = TOKENS * TOKENS
    same(["--method", "head", "--head", "2"], "head", attention[1][2 * size : 2 * size + TOKENS])
    same(["--head", "1", "--layer", "0"], "head", attention[0][size : size + TOKENS])
    result = vit.run("attention", "--model", MODEL, "--out", out, picture)
    tally.equal((result.status, result.out, result.err), (0, "", ""), "a picture and no words")
    width, height, pixels = read_png(out)
    tally.equal((width, height), (448, 448), "the picture is large enough to look at")
    tally.check(len(set(pixels[i : i + 3] for i in range(0, len(pixels), 300))) > 100, "with something in it")
    both = f"{folder}/both.png"
    result = vit.run("attention", "--model", MODEL, "--json", "--out", both, "--threads", "1", picture)
    tally.equal(read(both), read(out), "the same again, with JSON and on one thread")
    tally.equal(lines(result)[0]["values"], values()[1], "and JSON too")
    wide = vit.run("attention", "--model", MODEL, "--size", "16x48", "--json", "--out", both, picture)
    tally.equal(lines(wide)[0]["grid"], [2, 6], "another size")
    tally.equal(read_png(both)[:2], (1344, 448), "as a picture")


def test_attention_without_class_token(vit, tally, folder):
    (picture,) = pictures(folder, ["a.png"])
    made = lines(vit.run("attention", "--model", GAP_MODEL, "--method", "mean", "--json", picture))[0]
    patches = len(made["values"])
    _, shape, attention = traced(vit, folder, picture, GAP_MODEL)[f"attn.1"]
    tally.equal(shape[2], patches, "all tokens are patches")
    mean = [sum(attention[i::patches]) / shape[1] / patches for i in range(patches)]
    tally.check(all(near(a, b, 1e-6) for a, b in zip(made["values"], mean)), "the mean over all patches", made)
    result = vit.run("attention", "--model", GAP_MODEL, "--query", "cls", "--json", picture)
    tally.check(result.status == 2 and "no class token" in result.err, "no class token", result)


def test_attention_of_networks(vit, tally, folder):
    """Registers and distillation tokens are no patches; hybrids show the mean of patches; a ResNet has no attention."""
    (picture,) = pictures(folder, ["a.png"])
    for name, is_mean in (
        ("dinov2/hf_dinov2_registers", False),
        ("deit/timm_deit_distilled", False),
        ("siglip/timm_siglip", True),
        ("hybrid/timm_stem_only", True),
    ):
        model = f"tests/golden/{name}"
        made = lines(vit.run("attention", "--model", model, "--method=mean", "--json", picture))[0]
        tensors = traced(vit, folder, picture, model)
        layers = sum(key.startswith("attn.") for key in tensors)
        _, (_, heads, tokens, _), attention = tensors[f"attn.{layers - 1}"]
        patches = made["grid"][0] * made["grid"][1]
        first = tokens - patches
        rows = range(first, tokens) if is_mean else [0]
        for i, value in enumerate(made["values"]):
            cells = [attention[(h * tokens + row) * tokens + first + i] for h in range(heads) for row in rows]
            tally.check(near(value, sum(cells) / len(cells), 1e-6), f"{name}: patch {i}", value)
    result = vit.run("attention", "--model", "tests/golden/bit/timm", "--json", picture)
    tally.check(result.status == 2 and "this network has none" in result.err, "a ResNet", result)


def test_attention_errors(vit, tally, folder):
    (picture,) = pictures(folder, ["a.png"])
    bad, out = write(f"{folder}/bad.png", "text"), f"{folder}/o.png"
    for options, status, said in (
        (["--layer", "2", "--json", picture], 2, "attention: layer 2, this model has 2: 0 to 1"),
        (["--head", "3", "--json", picture], 2, "attention: head 3, this model has 3: 0 to 2"),
        (["--patch", "16", "--json", picture], 2, "--patch 16: there are patches 0 to 15"),
        (["--query", "cls", "--patch", "0", "--json", picture], 2, "--query and --patch do not go together"),
        (["--out", out, bad], 1, bad),
        (["--out", out, f"{folder}/none.png"], 1, f"{folder}/none.png"),
        (["--json", folder], 1, "is a folder, expected one picture"),
        (["--out", f"{folder}/no/o.png", picture], 1, "no such folder"),
        (["--size", "4", "--json", picture], 2, "4x4"),
    ):
        result = vit.run("attention", "--model", MODEL, *options)
        tally.check(result.status == status and result.out == "" and said in result.err, f"{options}", result)
    tally.check(not os.path.exists(out), "no picture is left by a failure")


def test_filters(vit, tally, folder):
    out = f"{folder}/o.png"
    result = vit.run("inspect", "filters", "--model", MODEL, "--json", "--out", out)
    tally.check(result.status == 0 and result.err == "", "inspect filters", result)
    (made,) = lines(result)
    tally.equal(list(made), ["filters", "shape", "strengths", "components"], "keys")
    tally.equal((made["filters"], made["shape"], len(made["components"])), (36, [3, 8, 8], 28), "28 components of 8x8")
    _, _, weights = read_safetensors(f"{MODEL}/model.safetensors")["patch_embed.proj.weight"]
    mean = [sum(weights[i::192]) / 36 for i in range(192)]
    for component, strength in zip(made["components"], made["strengths"]):
        along = [sum((weights[f * 192 + i] - mean[i]) * component[i] for i in range(192)) for f in range(36)]
        tally.check(near(math.sqrt(sum(a * a for a in along)), strength, 1e-5), "strength is the spread along it")
        tally.check(near(sum(v * v for v in component), 1), "a unit vector")
    tally.equal(made["strengths"], sorted(made["strengths"], reverse=True), "strongest first")
    width, height, pixels = read_png(out)
    tally.equal((width, height), (2 * 24 + 7 * 104 - 8, 2 * 24 + 4 * 104 - 8), "seven in a row")
    first = made["components"][0]
    most = max(map(abs, first))
    for y, x in ((0, 0), (3, 5), (7, 7)):
        at = ((24 + y * 12 + 6) * width + 24 + x * 12 + 6) * 3
        expected = [127.5 + 127.5 * first[c * 64 + y * 8 + x] / most for c in range(3)]
        tally.check(all(abs(p - e) <= 1 for p, e in zip(pixels[at : at + 3], expected)), "its pixels", (y, x))
    two = vit.run("inspect", "filters", "--model", MODEL, "--count", "2", "--json")
    tally.equal(lines(two)[0]["components"], made["components"][:2], "--count")
    result = vit.run("inspect", "filters", "--model", MODEL, "--count", "37", "--json")
    tally.check(result.status == 2 and "--count 37: this model has 36 components" in result.err, "too many", result)


def test_positions(vit, tally, folder):
    out = f"{folder}/o.png"
    result = vit.run("inspect", "positions", "--model", MODEL, "--json", "--out", out)
    tally.check(result.status == 0 and result.err == "", "inspect positions", result)
    (made,) = lines(result)
    tally.equal((list(made), made["grid"]), (["grid", "similarity"], [4, 4]), "keys and grid")
    _, _, table = read_safetensors(f"{MODEL}/model.safetensors")["pos_embed"]
    rows = [table[36 + i * 36 : 72 + i * 36] for i in range(16)]
    for i, row in enumerate(made["similarity"]):
        for j, cosine in enumerate(row):
            dot = [sum(a * b for a, b in zip(rows[p], rows[q])) for p, q in ((i, j), (i, i), (j, j))]
            tally.check(near(cosine, dot[0] / math.sqrt(dot[1] * dot[2])), "a cosine", (i, j, cosine))
    tally.check(read_png(out)[0] > 500, "a picture")
    wide = vit.run("inspect", "positions", "--model", MODEL, "--size", "16x48", "--json", "--out", out)
    tally.equal((lines(wide)[0]["grid"], len(lines(wide)[0]["similarity"])), ([2, 6], 12), "another size")
    result = vit.run("inspect", "positions", "--model", "tests/golden/posemb/variant_none", "--json", "--config",
                     "tests/golden/posemb/variant_none/case.json")
    tally.check(result.status == 1 and "has none for each patch" in result.err, "no positions", result)


def test_distance(vit, tally, folder):
    paths = pictures(folder, ["a.png", "b.png"])
    out = f"{folder}/o.png"
    sums = [[[0.0] * HEADS for _ in range(2)] for _ in range(2)]
    for path in paths:
        tensors = traced(vit, folder, path)
        for layer in range(2):
            attention = tensors[f"attn.{layer}"][2]
            for head in range(HEADS):
                for query in range(PATCHES):
                    row = attention[(head * TOKENS + query + 1) * TOKENS :][1:TOKENS]
                    far = [8 * math.hypot(query // 4 - key // 4, query % 4 - key % 4) for key in range(PATCHES)]
                    reach = sum(weight * distance for weight, distance in zip(row, far))
                    sums[0][layer][head] += reach / PATCHES / 2
                    sums[1][layer][head] += reach / sum(row) / PATCHES / 2
    for options, expected in (([], sums[0]), (["--renormalize"], sums[1])):
        result = vit.run("inspect", "distance", "--model", MODEL, "--json", "--out", out, *options, *paths)
        tally.check(result.status == 0 and result.err == "", f"inspect distance {options}", result)
        (made,) = lines(result)
        tally.equal((made["pictures"], made["renormalized"]), (2, bool(options)), "what it is of")
        for found, wanted in zip(made["distance"], expected):
            tally.check(all(near(a, b, 1e-4) for a, b in zip(found, wanted)) and len(found) == HEADS, "distances", found)
        tally.equal(read_png(out)[:2], (960, 640), "a diagram")
    bad = write(f"{folder}/bad.png", "text")
    result = vit.run("inspect", "distance", "--model", MODEL, "--json", bad, paths[0])
    tally.check(
        result.status == 1 and bad in result.err and lines(result)[0]["pictures"] == 1, "a bad picture is left out", result
    )
    result = vit.run("inspect", "distance", "--model", MODEL, "--json", bad)
    tally.check(result.status == 1 and result.out == "" and "no picture to look at" in result.err, "nothing", result)
