"""attention and inspect on small pictures and a model with random weights."""

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


def test_attention_errors(vit, tally, folder):
    (picture,) = pictures(folder, ["a.png"])
    bad, out = write(f"{folder}/bad.png", "text"), f"{folder}/o.png"
    for options, status, said in (
        (["--layer", "2", "--json", picture], 2, "--layer 2: this model has layers 0 to 1"),
        (["--head", "3", "--json", picture], 2, "--head 3: this model has heads 0 to 2"),
        (["--patch", "16", "--json", picture], 2, "--patch 16: there are patches 0 to 15"),
        (["--out", out, bad], 1, bad),
        (["--out", out, f"{folder}/none.png"], 1, f"{folder}/none.png"),
        (["--json", folder], 1, "is a folder, expected one picture"),
        (["--out", f"{folder}/no/o.png", picture], 1, "no such folder"),
        (["--size", "4", "--json", picture], 2, "4x4"),
    ):
        result = vit.run("attention", "--model", MODEL, *options)
        tally.check(result.status == status and result.out == "" and said in result.err, f"{options}", result)
    tally.check(not os.path.exists(out), "no picture is left by a failure")
