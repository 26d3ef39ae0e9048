"""Help, version, options."""

import json
import os
import re
import subprocess

from cases_pictures import MODEL
from files import png, read, safetensors, write

COMMANDS = ["classify", "features", "search", "attention", "masked", "fewshot", "eval", "train", "pretrain", "finetune", "plot", "trace", "init", "info", "convert", "inspect", "bench"]

# arguments: the first line on stderr. All end with exit status 2 and an empty stdout.
USAGE_ERRORS = {
    "clasify x.png": "vit: unknown command 'clasify'; did you mean 'classify'?",
    "frobnicate": "vit: unknown command 'frobnicate'",
    "help frobnicate": "vit: unknown command 'frobnicate'",
    "classify": "vit classify: expected [options] PATH...",
    "classify --tpo 3 x.png": "vit classify: unknown option --tpo; did you mean --top?",
    "classify --frobnicate x.png": "vit classify: unknown option --frobnicate",
    "classify -k 3 x.png": "vit classify: unknown option -k; options begin with --",
    "classify --top 0 x.png": "vit classify: --top '0': expected a whole number from 1 to 100000",
    "classify --top=5x x.png": "vit classify: --top '5x': expected a whole number from 1 to 100000",
    "classify --top 99999999999999999999 x.png": "vit classify: --top '99999999999999999999': expected a whole number from 1 to 100000",
    "classify x.png --top": "vit classify: --top needs a value: K",
    "classify --json=yes x.png": "vit classify: --json takes no value",
    "classify --model= x.png": "vit classify: --model is empty, expected FILE|DIR",
    "classify --size 0 x.png": "vit classify: --size '0': expected pixels, as in 224 or 160x320 (height x width)",
    "classify --size 32x x.png": "vit classify: --size '32x': expected pixels, as in 224 or 160x320 (height x width)",
    "classify --size 32x32x3 x.png": "vit classify: --size '32x32x3': expected pixels, as in 224 or 160x320 (height x width)",
    "classify --crop-pct 1.5 x.png": "vit classify: --crop-pct '1.5': expected a number from 0.01 to 1",
    "classify --crop-pct nan x.png": "vit classify: --crop-pct 'nan': expected a number from 0.01 to 1",
    "classify --threads 0 x.png": "vit classify: --threads '0': expected a whole number from 1 to 256",
    "classify --compute f64 x.png": "vit classify: --compute 'f64': expected one of f32|int8",
    "features x.png": "vit features: say where the vectors go: --out F.npy or --json",
    "features --out x.txt x.png": "vit features: --out 'x.txt': expected a name that ends in .npy or .safetensors",
    "features --pool sum --json x.png": "vit features: --pool 'sum': expected one of head|cls|mean",
    "attention --out a.png": "vit attention: expected [options] (--out O.png | --json) IMAGE",
    "attention a.png b.png": "vit attention: 'b.png' is one argument too many",
    "attention a.png": "vit attention: say where the attention goes: --out O.png or --json",
    "attention --out a.jpg a.png": "vit attention: --out 'a.jpg': expected a name that ends in .png",
    "attention --method last --json a.png": "vit attention: --method 'last': expected one of rollout|mean|head",
    "attention --method head --json a.png": "vit attention: --method head needs --head H",
    "attention --method mean --head 1 --json a.png": "vit attention: --head 1 does not go with --method mean",
    "attention --method rollout --head 1 --json a.png": "vit attention: --head 1 does not go with --method rollout",
    "attention --layer -70000 --json a.png": "vit attention: --layer '-70000': expected a whole number from -65535 to 65535",
    "attention --patch -1 --json a.png": "vit attention: --patch '-1': expected a whole number from 0 to 1073741824",
    "fewshot": "vit fewshot: expected fit|predict|eval [options] ...",
    "fewshot learn x": "vit fewshot: 'learn': expected fit, predict or eval",
    "fewshot --limits tokens=500 fit d": "vit fewshot: 'fit' comes before all options",
    "fewshot fit --out p": "vit fewshot fit: expected [options] --out P DIR",
    "fewshot fit d": "vit fewshot fit: say where the classifier goes: --out P",
    "fewshot fit --l2 0 --out p d": "vit fewshot fit: --l2 '0': expected a number from 1e-12 to 1e+12",
    "fewshot predict a.png": "vit fewshot predict: say what was learnt: --probe P",
    "fewshot eval --shots 0 d": "vit fewshot eval: --shots '0': expected up to 32 whole numbers, as in 1,5,10",
    "fewshot eval --out a.svg d": "vit fewshot eval: --out 'a.svg': expected a name that ends in .png",
    "inspect": "vit inspect: expected filters|positions|distance|cost [options] ...",
    "inspect weights": "vit inspect: 'weights': expected filters, positions, distance or cost",
    "inspect filters": "vit inspect filters: say where it goes: --out O.png or --json",
    "inspect filters x": "vit inspect filters: 'x' is one argument too many",
    "inspect filters --count 0 --json": "vit inspect filters: --count '0': expected a whole number from 1 to 100000",
    "inspect positions --out a.svg": "vit inspect positions: --out 'a.svg': expected a name that ends in .png",
    "inspect distance --json": "vit inspect distance: expected [options] (--out O.png | --json) PATH...",
    "inspect distance a.png": "vit inspect distance: say where it goes: --out O.png or --json",
    "search": "vit search: expected [options] INDEX|FOLDER [QUERY...]",
    "search tests": "vit search: 'tests': expected a QUERY, or a FOLDER and --index",
    "search --index i none x": "vit search: --index goes with a FOLDER; 'none' is not there",
    "trace --image x.png": "vit trace: expected --out, and one of --image and --input",
    "trace --image x.png --input x --out o": "vit trace: expected --out, and one of --image and --input",
    "trace --out o": "vit trace: expected --out, and one of --image and --input",
    "trace --input x --size 32 --out o": "vit trace: --size and --crop-pct are for --image; with --input the tensors give the size",
    "eval": "vit eval: expected [options] FOLDER|FILE.tar...",
    "info": "vit info: expected [options] FILE|DIR",
    "convert a": "vit convert: expected [options] IN OUT.gguf|OUT.safetensors",
    "convert a b": "vit convert: 'b': expected a name that ends in .gguf or .safetensors",
    "convert --type q5_0 a b.gguf": "vit convert: --type 'q5_0': expected one of f32|f16|bf16|q8_0|q4_0",
    "bench x": "vit bench: 'x' is one argument too many",
    "bench --runs -1": "vit bench: --runs '-1': expected a whole number from 1 to 100000",
}


def test_usage_errors(vit, tally, folder):
    for line, message in USAGE_ERRORS.items():
        result = vit.run(*line.split(" "))
        tally.check(result.status == 2 and result.out == "" and result.err.split("\n")[0] == message, line, result)


def test_unknown_command_lists_commands(vit, tally, folder):
    tally.equal(
        vit.run("frobnicate").err.split("\n")[1],
        "Commands: " + " ".join(COMMANDS) + " help version",
        "an unknown command lists the commands",
    )


def test_limits(vit, tally, folder):
    """Every limit is an option, and what it refuses names it."""
    picture, model = write(f"{folder}/a.png", png(40, 48, 1)), "tests/golden/forward/timm_cls"
    for limit, words in (
        ("file_bytes=3000", ["classify", "--model", model, picture]),
        ("header_bytes=100", ["classify", "--model", model, picture]),
        ("config_bytes=10", ["classify", "--model", model, picture]),
        ("image_pixels=1919", ["classify", "--model", model, picture]),
        ("image_side=47", ["classify", "--model", model, picture]),
        ("tensors=3", ["info", f"{model}/model.safetensors"]),
        ("json_depth=1", ["info", f"{model}/model.safetensors"]),
        ("tokens=4", ["classify", "--model", model, picture]),
        ("layers=1", ["info", model]),
    ):
        for option in ([f"--limits={limit}"], ["--limits", f"tokens=500,{limit}"]):
            result = vit.run(words[0], *option, *words[1:])
            name = limit.split("=")[0]
            tally.check(result.status == 1 and f"(limit {name})" in result.err, f"{words[0]} {limit}", result)
    result = vit.run("classify", "--limits", "image_pixels=1920,image_side=48", "--model", model, picture)
    tally.equal((result.status, result.err), (0, ""), "limits that suffice")
    largest = "file_bytes=999999999999999999,image_pixels=999999999999999999,tokens=4294967295"
    tally.equal(vit.run("classify", "--limits", largest, "--model", model, picture).status, 0, largest)
    large = ("tokens=4294967296", "image_side=999999999999999999", "file_bytes=1000000000000000000", "tokens=5,layers=99999999999999999999")
    for wrong in ("pixels=3", "tokens", "tokens=", "tokens=-1", "tokens=1x", "tokens=1,", "=3", *large):
        result = vit.run("classify", "--limits", wrong, "--model", model, picture)
        told = f"--limits '{wrong.split(',')[-1]}': expected NAME=N with N below 10^18, or up to 4294967295" in result.err
        tally.check(result.status == 2 and told and "image_pixels" in result.err, wrong, result)


def test_help(vit, tally, folder):
    for command in COMMANDS:
        result = vit.run("help", command)
        tally.check(result.status == 0 and result.err == "", f"help {command}", result)
        tally.check(
            result.out.startswith(f"vit {command}: ")
            and f"\nUsage: vit {command} " in result.out
            and f"\nExamples:\n  vit {command} " in result.out,
            f"help {command} has usage and examples",
            result,
        )
        body = result.out.split("\nExamples:")[0].split("\n")
        tally.equal(
            [line for line in body if len(line) > 79 or line.endswith(" ")], [], f"help {command} fits a terminal"
        )
        for words in ([command, "--help"], [command, "-h"]):
            tally.equal(vit.run(*words).out, result.out, f"{' '.join(words)} is help {command}")
    for command in ("fewshot fit", "fewshot predict", "fewshot eval", "inspect filters", "inspect cost"):
        result = vit.run("help", *command.split())
        tally.check(result.status == 0 and result.err == "" and result.out.startswith(f"vit {command}: "), f"help {command}", result)
        tally.equal(result.out, vit.run(*command.split(), "--help").out, f"{command} --help is help {command}")


def test_overview(vit, tally, folder):
    result = vit.run()
    tally.check(result.status == 2 and result.out == "", "without a command", result)
    asked = vit.run("help")
    tally.check(asked.status == 0 and asked.err == "", "help", asked)
    tally.equal(result.err, asked.out, "the overview is the same asked for or not")
    for words in (["--help"], ["help", "help"], ["help", "--help"], ["help", "version"], ["help", "-h"]):
        result = vit.run(*words)
        tally.check((result.status, result.out, result.err) == (0, asked.out, ""), f"{' '.join(words)} is help", result)
    tally.check(all(f"\n  {command} " in asked.out for command in COMMANDS), "the overview names every command", asked)


def test_version(vit, tally, folder):
    result = vit.run("--version")
    with open("package.json") as package:
        tally.equal(result.out.split()[1], json.load(package)["version"], "the package's version")
    tally.check(
        result.status == 0
        and re.fullmatch(r"vit \d+\.\d+\.\d+\nkernels:( \w+:\d+x\d+)+\nint8 kernels:( \w+,\w+:\d+x\d+)+\n", result.out),
        "--version",
        result,
    )
    tally.equal(vit.run("version").out, result.out, "version is --version")


def test_own_output(vit, tally, folder):
    """What a command reads is not replaced by what it makes: --out is refused before anything is read."""
    own, other = write(f"{folder}/own.png", png(40, 40, 1)), write(f"{folder}/other.png", png(40, 40, 2))
    below = write(f"{folder}/in/a/1.png", png(40, 40, 3))
    rows = write(f"{folder}/rows.npy", png(40, 40, 4))  # as long as its name is all that is looked at
    tensors = write(f"{folder}/x.safetensors", safetensors({"x": ("F32", [1], [0])}))
    weights, config = (write(f"{folder}/m/{name}", read(f"{MODEL}/{name}")) for name in ("model.safetensors", "config.json"))
    model = ["--model", f"{folder}/m"]
    again = f"{folder}/in/../own.png"
    for out, *command in (
        (own, "attention", own),
        (again, "attention", own),
        (own, "masked", own),
        (own, "masked", "--mask", own, other),
        (own, "trace", "--image", own),
        (tensors, "trace", "--input", tensors),
        (weights, "trace", *model, "--image", own),
        (weights, "trace", "--model", weights, "--config", config, "--image", own),
        (config, "trace", "--model", weights, "--config", config, "--image", own),
        (rows, "features", *model, own, rows),
        (weights, "features", *model, own),
        (below, "fewshot", "fit", f"{folder}/in"),
        (weights, "fewshot", "fit", *model, f"{folder}/in"),
        (below, "fewshot", "eval", f"{folder}/in"),
        (own, "inspect", "distance", other, own),
        (below, "inspect", "distance", own, f"{folder}/in"),
        (own, "plot", other, own),
    ):
        before = read(out)
        result = vit.run(*command, "--out", out)
        told = result.err.startswith(f"vit {' '.join(command[:1 + (command[0] in ('fewshot', 'inspect'))])}: '{out}' is what would be read")
        tally.check(result.status == 2 and told and read(out) == before, f"{' '.join(command)} --out {out}", result)
    result = vit.run("features", "--out", weights, own, VIT_MODEL=f"{folder}/m")
    tally.check(result.status == 2 and "is what would be read" in result.err, "a model of VIT_MODEL", result)


def test_odd_output(vit, tally, folder):
    """What cannot be written is told before anything is read, here a model that is not there."""
    none = ["--model", f"{folder}/none"]
    for ending, *command in (
        ("safetensors", "trace", *none, "--image", "x.png", "--out"),
        ("npy", "features", *none, "x.png", "--out"),
        ("probe", "fewshot", "fit", *none, folder, "--out"),
        ("png", "fewshot", "eval", *none, folder, "--out"),
        ("png", "attention", *none, "x.png", "--out"),
        ("png", "masked", *none, "x.png", "--out"),
        ("png", "inspect", "filters", *none, "--out"),
        ("png", "inspect", "positions", *none, "--out"),
        ("png", "inspect", "distance", *none, "x.png", "--out"),
        ("svg", "plot", f"{folder}/none", "--out"),
        ("gguf", "convert", f"{folder}/none"),
        ("gguf", "init", "--arch", "vit_tiny_patch16_224"),
    ):
        out = f"{folder}/folder.{ending}"
        os.makedirs(out, exist_ok=True)
        places = [(out, "is a folder, expected the name of a file to write"), (f"{folder}/no/o.{ending}", "cannot write: no such folder")]
        if not vit.wasi:  # which has no pipes
            pipe = f"{folder}/pipe.{ending}"
            if not os.path.exists(pipe):
                os.mkfifo(pipe)
            places.append((pipe, "cannot write: is not a regular file"))
        for out, why in places:
            result = vit.run(*command, out)
            tally.check((result.status, result.out, result.err) == (1, "", f"vit: {out}: {why}\n"), f"{' '.join(command)} {out}", result)


def test_linked_output(vit, tally, folder):
    """A link to where nothing is yet is written through, and told before the work where it leads to no folder."""
    if vit.wasi:
        return tally.skip("links to elsewhere under WASI")
    picture = write(f"{folder}/a.png", png(40, 40, 1))
    for name, target in (("to.npy", "there/f.npy"), ("far.npy", "to.npy"), ("loop.npy", "loop.npy"), ("folder.npy", "in")):
        os.symlink(target, f"{folder}/{name}")
    os.mkdir(f"{folder}/in")
    links = {"to.npy": "cannot write: no such folder", "far.npy": "cannot write: no such folder", "loop.npy": "cannot write: ",
             "folder.npy": "is a folder, expected the name of a file to write"}
    for name, why in links.items():
        result = vit.run("features", "--model", f"{folder}/none", "--out", f"{folder}/{name}", picture)
        tally.check(result.status == 1 and result.err.startswith(f"vit: {folder}/{name}: {why}") and "none" not in result.err, name, result)
    os.mkdir(f"{folder}/there")
    for name in ("to.npy", "far.npy"):
        result = vit.run("features", "--out", f"{folder}/{name}", picture)
        good = result.status == 0 and os.path.islink(f"{folder}/{name}") and os.path.isfile(f"{folder}/there/f.npy")
        tally.check(good, f"through {name}", result)
        os.remove(f"{folder}/there/f.npy")


def test_full_output(vit, tally, folder):
    """A standard output that takes nothing ends the work, and is said once."""
    if vit.wasi or not os.path.exists("/dev/full"):
        return
    for i in range(3):
        write(f"{folder}/{i}.png", png(20, 20, i))
    write(f"{folder}/9.png", b"no picture")
    for command in (["classify"], ["features", "--json"]):
        with open("/dev/full", "w") as full:
            made = subprocess.run([*vit.words, *command, folder], stdin=subprocess.DEVNULL, stdout=full, stderr=subprocess.PIPE, text=True)
        said = made.stderr.count("cannot write to standard output: No space left on device")
        tally.check(made.returncode == 1 and said == 1 and "9.png" not in made.stderr, f"{command[0]} into a full disk", made.stderr)
