"""Named networks: init, and what inspect cost says of them."""

import csv
import hashlib
import io
import json
import os
import signal
import subprocess
import time

from files import read, write

TINY = "vit_tiny_patch16_224"
KINDS = ["vit_tiny_r_s16_p8_224", "bit_r50x1", "deit_tiny_distilled_patch16_224", "vit_small_patch14_reg4_dinov2"]


def lines(result):
    return [json.loads(line) for line in result.out.splitlines()]


def parameters(layers, width, hidden, patch, rows, classes):
    """Of a plain ViT, counted here."""
    block = 4 * width + 4 * width * width + 4 * width + 2 * width * hidden + hidden + width
    return 3 * patch * patch * width + width + width + rows * width + layers * block + 2 * width + (width + 1) * classes


def test_init(vit, tally, folder):
    """The same seed gives the same bytes, here and everywhere."""
    made = {}
    for name, seed in (("a", "5"), ("b", "5"), ("c", "6")):
        out = f"{folder}/{name}.gguf"
        result = vit.run("init", "--arch", TINY, "--size", "48x32", "--classes", "10", "--seed", seed, out)
        count = parameters(12, 192, 768, 16, 7, 10)
        tally.check(
            result.status == 0
            and result.err == ""
            and result.out == f"{out}: {TINY}, {count} parameters, {os.path.getsize(out)} bytes\n",
            f"init with seed {seed}",
            result,
        )
        made[name] = read(out)
    tally.equal(made["a"], made["b"], "the same seed gives the same file")
    tally.check(made["a"] != made["c"], "another seed gives another")
    weights = made["a"][-20000000:]  # without the header
    tally.equal(hashlib.sha256(weights).hexdigest()[:16], "24d5a847f262460a", "weights are the same on every host")
    info = lines(vit.run("info", "--json", "--labels", write(f"{folder}/l.txt", "x\n" * 10), f"{folder}/a.gguf"))[0]
    tally.equal(
        (info["architecture"], info["input"], info["classes"], info["positions"]["size"], info["warnings"]),
        (TINY, [48, 32], 10, [48, 32], []),
        "what was asked for is in the file",
    )
    result = vit.run("bench", "--model", f"{folder}/a.gguf", "--runs", "1", "--json")
    tally.check(result.status == 0 and lines(result)[0]["tokens"] == 7, "and it runs", result)


def test_init_stopped(vit, tally, folder):
    """Ctrl-C while a model is written leaves what was there, and nothing else."""
    if vit.wasi:
        return
    out = f"{folder}/base.gguf"
    write(out, b"before")
    process = subprocess.Popen([*vit.words, "init", "--arch", "vit_base_patch16_224", out], stdout=subprocess.DEVNULL)
    while process.poll() is None and len(os.listdir(folder)) < 2:
        time.sleep(0.001)
    process.send_signal(signal.SIGINT)
    tally.equal(process.wait(), -signal.SIGINT, "init that was stopped")
    tally.check(os.listdir(folder) == ["base.gguf"] and read(out) == b"before", "what init leaves when it is stopped", os.listdir(folder))


def test_init_types(vit, tally, folder):
    sizes = {}
    words = ["init", "--arch", TINY, "--size", "16", "--classes", "0"]
    for kind in ("f32", "f16", "bf16", "q8_0", "q4_0"):
        out = f"{folder}/{kind}.gguf"
        result = vit.run(*words, "--type", kind, out)
        tally.check(result.status == 0, f"init --type {kind}", result)
        sizes[kind] = os.path.getsize(out)
    tally.check(sizes["f16"] == sizes["bf16"] < 0.52 * sizes["f32"], "16 bits are half as large", sizes)
    tally.check(sizes["q4_0"] < sizes["q8_0"] < 0.32 * sizes["f32"], "and 8 and 4 bits smaller still", sizes)
    vit.run(*words, f"{folder}/made.safetensors")
    vit.run("convert", f"{folder}/f32.gguf", f"{folder}/converted.safetensors")
    tally.equal(read(f"{folder}/made.safetensors"), read(f"{folder}/converted.safetensors"), "init of safetensors")


def test_init_positions(vit, tally, folder):
    """As many values as appendix D.4 has them: a row a token; one a column and one a row; one a distance."""
    plain = 12 * (12 * 192 * 192 + 13 * 192) + (3 * 256 + 1) * 192 + 192 + 2 * 192
    counts = {"none": 0, "1d": 9 * 192, "2d": (2 + 4) * 96 + 192, "relative": 12 * 17 * 64, "sincos2d": 0}
    for kind, count in counts.items():
        out = f"{folder}/{kind}.gguf"
        words = ["init", "--arch", TINY, "--size", "64x32", "--classes", "0", "--pos", kind, out]
        tally.check(f" {plain + count} parameters" in vit.run(*words).out, f"parameters of init --pos {kind}")
        result = vit.run("info", "--json", out)
        tally.check(lines(result)[0]["config"]["pos_embed.kind"] == kind, f"{kind} is in the file", result)


def test_init_kinds(vit, tally, folder):
    """A network of each kind is made, read, and runs."""
    for name in KINDS:
        out = f"{folder}/{name}.gguf"
        result = vit.run("init", "--arch", name, "--size", "70", out)
        tally.check(result.status == 0, f"init of {name}", result)
        info = lines(vit.run("info", "--json", out))[0]
        cost = lines(vit.run("inspect", "cost", "--json", "--size", "70", name))[0]
        tally.equal((info["architecture"], info["flops"]), (name, cost["flops"]), f"{name} is read back")
        result = vit.run("bench", "--model", out, "--runs", "1", "--json", "--threads", "1")
        tally.check(
            result.status == 0 and abs(lines(result)[0]["flops"] / cost["flops"] - 1) < 1e-5, f"{name} runs", result
        )
        os.remove(out)


def test_init_errors(vit, tally, folder):
    out = f"{folder}/x.gguf"
    for words, status, reason in (
        (["--arch", "vit_tiny_patch16_242", out], 2, "did you mean 'vit_tiny_patch16_224'?"),
        (["--arch", "resnet", out], 2, "architecture 'resnet' is not known; 'vit init --list' prints those that are"),
        (["--arch", TINY, "--size", "15", out], 2, "image 15x15 is smaller than a patch of 16x16"),
        (["--arch", TINY, "--size", "65535", out], 1, "limit tokens"),
        (["--arch", TINY, "--type", "q8_0", f"{folder}/x.safetensors"], 2, "q8_0 and q4_0 are types of GGUF"),
        (["--arch", "bit_r50x1", "--pos", "2d", out], 2, "--pos and --placement are for networks with tokens, which bit_r50x1 does not have"),
        (["--arch", TINY, "--pos", "3d", out], 2, "--pos '3d': expected one of network|none|1d|2d|relative|sincos2d"),
        (["--arch", TINY, "--stem-stride", "1", out], 2, "are for convolutions, which vit_tiny_patch16_224 does not have"),
        (["--arch", "bit_r50x1", "--units", "3,x", out], 2, "--units '3,x': expected 1 to 4 numbers"),
        (["--arch", TINY, f"{folder}/x.bin"], 2, "expected a name that ends in .gguf or .safetensors"),
        (["--arch", TINY, f"{folder}/none/x.gguf"], 1, "no such folder"),
        (["--arch", TINY], 2, "expected --arch NAME and a file to write, or --list"),
        ([out], 2, "expected --arch NAME and a file to write, or --list"),
        *((words, 2, "--list goes with --json alone, and --json with --list")
          for words in (["--list", out], ["--list", "--arch", TINY], ["--list", "--classes", "3"], ["--list", "--width", "64"],
                        ["--json"], ["--json", "--arch", TINY, out])),
        (["--arch", TINY, "--seed", "-1", out], 2, "--seed '-1': expected a whole number from 0 to 2147483647"),
        (["--arch", TINY, "--classes", "1e3", out], 2, "--classes '1e3': expected a whole number from 0 to 1000000"),
    ):
        result = vit.run("init", *words)
        tally.check(
            result.status == status and result.out == "" and reason in result.err and not os.path.exists(out),
            f"init {' '.join(words)}",
            result,
        )


def test_init_list(vit, tally, folder):
    listed = lines(vit.run("init", "--list", "--json"))
    text = vit.run("init", "--list")
    tally.equal(
        [line.split() for line in text.out.splitlines()],
        [[line["architecture"], str(line["parameters"]), "parameters"] for line in listed],
        "the list is the same as text and as JSON",
    )
    known = {line["architecture"]: line for line in listed}
    for name, count in {
        TINY: 5717416,
        "vit_small_patch16_224": 22050664,
        "vit_base_patch16_224": 86567656,
        "vit_large_patch16_224": 304326632,
        "vit_huge_patch14_224": 632045800,
    }.items():
        tally.equal(known[name]["parameters"], count, f"parameters of {name}")
    tally.equal(len(known), len(listed), "no name is there twice")


def test_cost(vit, tally, folder):
    """All that is computed needs no weights, and is the same in every form."""
    result = vit.run("inspect", "cost", "--json")
    tally.check(result.status == 0 and result.err == "", "inspect cost", result)
    rows = {row["architecture"]: row for row in lines(result)}
    tally.equal(
        list(rows), [line["architecture"] for line in lines(vit.run("init", "--list", "--json"))], "all of the list"
    )
    macs = 196 * 768 * 192 + 12 * (197 * (4 * 192 * 192 + 2 * 192 * 768) + 2 * 197 * 197 * 192) + 192 * 1000
    row = rows[TINY]
    tally.equal((row["parameters"], row["flops"]), (5717416, 2 * macs), "parameters and multiply-adds of Ti/16")
    tally.check(abs(row["pretraining_exaflops"] - 305e6 * 7 * 3 * 2 * macs / 1e18) < 1e-3, "exaFLOP", row)
    tally.check(row["images_per_second"] is None and row["epochs"] == 7, "nothing is measured unless asked", row)
    tally.equal(rows["vit_huge_patch14_224"]["epochs"], 14, "epochs of H/14")
    table = list(csv.DictReader(io.StringIO(vit.run("inspect", "cost", "--csv").out)))
    tally.equal(
        [(row["architecture"], row["parameters"], row["largest_batch"]) for row in table],
        [(row["architecture"], str(row["parameters"]), str(row["largest_batch"])) for row in rows.values()],
        "CSV and JSON agree",
    )
    text = vit.run("inspect", "cost", TINY).out.splitlines()
    tally.check(len(text) == 3 and text[2].split()[:2] == [TINY, "5717416"], "text of one network", text)
    words = ["--json", "--images", "1.28e6", "--epochs", "300", "--size", "32"]
    asked = lines(vit.run("inspect", "cost", *words, TINY))[0]
    tally.check(
        abs(asked["pretraining_exaflops"] / (1.28e6 * 300 * 3 * asked["flops"] / 1e18) - 1) < 1e-5
        and asked["flops"] < row["flops"] / 40,
        "pictures, epochs and size are what was asked for",
        asked,
    )


def test_cost_of_changed(vit, tally, folder):
    """A network's cost before there is one: as 'vit train' would make it."""
    words = ["--layers", "2", "--width", "64", "--heads", "2", "--patch", "4", "--size", "32", "--pos", "2d", "--pool", "mean"]
    row = lines(vit.run("inspect", "cost", "--json", "--classes", "10", *words, TINY))[0]
    per_layer = 4 * 64 * 65 + 4 * 64 + 2 * 64 * 256 + 256 + 64
    tally.equal(row["parameters"], 49 * 64 + 2 * 8 * 32 + 2 * per_layer + 2 * 64 + 650, "parameters")
    macs = 64 * 48 * 64 + 2 * (64 * (4 * 64 * 64 + 2 * 64 * 256) + 2 * 64 * 64 * 64) + 640
    tally.equal(row["flops"], 2 * macs, "multiply-adds")
    relative = lines(vit.run("inspect", "cost", "--json", "--classes", "10", *words, "--pos", "relative", TINY))[0]
    tally.equal(relative["flops"] - row["flops"], 2 * 2 * 64 * 64 * 64, "products with relative positions")
    words = ["--json", "--size", "32", "--stem-size", "3", "--stem-stride", "1"]
    rows = [lines(vit.run("inspect", "cost", *words, "--units", units, "bit_r50x1"))[0]["flops"] for units in ("1,1", "2,1")]
    tally.check(0 < rows[0] < rows[1], "units of a BiT", rows)
    result = vit.run("inspect", "cost", "--units", "1,x", TINY)
    tally.check(result.status == 2 and "--units '1,x'" in result.err, "units that are none", result)
    result = vit.run("inspect", "cost", "--heads", "5", TINY)
    tally.check(result.status == 1 and "5 heads" in result.err, "heads that do not fit", result)


def test_cost_memory(vit, tally, folder):
    """The largest batch fits, and one more does not: what is held is linear in it."""

    def held(*words):
        row = lines(vit.run("inspect", "cost", "--json", "--threads", "1", *words, TINY))[0]
        return row["weight_bytes"] + row["session_bytes"], row["largest_batch"]

    _, batch = held("--memory", "0.1")
    tally.check(batch > 1, "some pictures fit in 100 MB", batch)
    tally.check(
        held("--batch", str(batch))[0] <= 0.1e9 < held("--batch", str(batch + 1))[0], "the largest batch fits", batch
    )
    tally.equal(held("--memory", "0.02")[1], 0, "not even one where the weights are larger")
    tally.check(held("--compute", "int8")[0] < 0.5 * held()[0], "integers take less")


def test_cost_measured(vit, tally, folder):
    result = vit.run("inspect", "cost", "--measure", "--json", "--size", "32", "--threads", "1", TINY)
    tally.check(result.status == 0 and lines(result)[0]["images_per_second"] > 1, "inspect cost --measure", result)
    result = vit.run("inspect", "cost", "--measure", "--json", "--memory", "0.01", TINY)
    tally.check(
        result.status == 0 and lines(result)[0]["images_per_second"] is None, "what does not fit is not run", result
    )


def test_cost_errors(vit, tally, folder):
    for words, status, reason in (
        (["cost", "resnet"], 2, "'resnet': no network of this name; 'vit init --list' prints those there are"),
        (["cost", "--json", "--csv"], 2, "--json or --csv, not both"),
        (["cost", "--images", "nan"], 2, "--images 'nan': expected a number from 1 to 1e+15"),
        (["cost", "--kernels", "frobnicate"], 2, "kernels 'frobnicate': not known"),
        (["frobnicate"], 2, "vit inspect: 'frobnicate': expected"),
        ([], 2, "vit inspect: expected"),
    ):
        result = vit.run("inspect", *words)
        tally.check(
            result.status == status and result.out == "" and reason in result.err, f"inspect {' '.join(words)}", result
        )
    result = vit.run("inspect", "cost", "--json", "--size", "15", TINY, "vit_small_patch8_224")
    tally.check(
        result.status == 1
        and [row["architecture"] for row in lines(result)] == ["vit_small_patch8_224"]
        and f"vit: {TINY}: input size 15x15" in result.err
        and result.err.count("\n") == 1,
        "a size that one cannot take is said, the others are there",
        result,
    )
    result = vit.run("inspect", "cost", "--help")
    tally.check(result.status == 0 and "\nUsage: vit inspect cost " in result.out, "inspect cost --help", result)
