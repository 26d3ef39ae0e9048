#!/usr/bin/env python3
"""Every named network at its full size: `networks.py PROGRAM [--type T] [--compute C] [PREFIX...]`, from the
repository's root; PROGRAM is a command line such as build/vit or "python3 tests/wasi_run.py build/vit.wasm".

For each whose name begins with one of the prefixes (all without): `vit init` makes it with random weights, `vit
features` loads it and runs it on a picture; its features are finite and not all equal. Natively loading may hold the
weights, the largest of them and 16 MB, running the weights and 300 MB more. Networks that do not fit in this machine's
free memory, or in 4 GB where the program is WebAssembly, are skipped."""

import argparse
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "cli"))
from files import png, read_npy, write
from program import Program, Tally

LOADING, RUNNING = 16e6, 300e6  # bytes beside the weights


def run(vit, *words):
    """(exit status, texts on stdout and stderr, bytes that the process held at most)."""
    command = vit.words + list(words)
    if vit.wasi:
        command[vit.runner + 1 : vit.runner + 1] = ["--dir", "."]
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors:
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=errors)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        texts = []
        for file in (out, errors):
            file.seek(0)
            texts.append(file.read().decode("utf-8", "replace"))
        return child.returncode, *texts, usage.ru_maxrss * 1024


def check_load(vit, tally, name, model):
    status, out, errors, resident = run(vit, "info", "--json", model)
    if not tally.check(status == 0, f"info of {name}", errors):
        return
    info = json.loads(out)
    largest = 4 * max(math.prod(tensor["shape"]) for tensor in info["tensors"])
    tally.check(
        vit.wasi or resident <= info["weight_bytes"] + largest + LOADING,
        f"memory of loading {name}",
        f"{resident} bytes, weights {info['weight_bytes']}, the largest {largest}",
    )
    print(f"{name}: loading held {(resident - info['weight_bytes']) / 1e6:.1f} MB more than the weights", flush=True)


def check_network(vit, tally, network, options, folder):
    name, model = network["architecture"], f"{folder}/model.gguf"
    picture = write(f"{folder}/picture.png", png(160, 120, 3))
    weights = network["weight_bytes"]
    room = 3.9e9 if vit.wasi else os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    held = max(weights, 4 * network["parameters"]) + 2 * network["session_bytes"] + 64e6
    if held > room or 4.2 * network["parameters"] > shutil.disk_usage(folder).free:
        tally.skip(f"{name}: {held / 1e6:.0f} MB, there are {room / 1e6:.0f}")
        return
    begin = time.monotonic()
    status, _, errors, _ = run(vit, "init", "--arch", name, "--type", options.type, model)
    made = time.monotonic()
    if tally.check(status == 0, f"init of {name}", errors):
        check_load(vit, tally, name, model)
        loaded = time.monotonic()
        words = ["features", "--model", model, "--compute", options.compute, "--threads", "1"]
        status, _, errors, resident = run(vit, *words, "--out", f"{folder}/f.npy", picture)
        if tally.check(status == 0, f"{name} runs", errors):
            _, values = read_npy(f"{folder}/f.npy")
            tally.check(
                all(map(math.isfinite, values)) and max(values) > min(values), f"features of {name}", values[:8]
            )
            tally.check(
                vit.wasi or resident <= weights + RUNNING, f"memory of {name}", f"{resident} bytes, weights {weights}"
            )
            print(
                f"{name}: made in {made - begin:.1f} s, loaded and run in {time.monotonic() - loaded:.1f} s, "
                f"weights {weights / 1e6:.0f} MB, held {resident / 1e6:.0f} MB",
                flush=True,
            )
    if os.path.exists(model):
        os.remove(model)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program")
    parser.add_argument("prefix", nargs="*")
    parser.add_argument("--type", default="f32")
    parser.add_argument("--compute", default="f32")
    options = parser.parse_args()
    vit, tally = Program(options.program), Tally()
    os.makedirs("build", exist_ok=True)
    folder = os.path.relpath(tempfile.mkdtemp(prefix="test-networks-", dir="build"))
    try:
        names = [json.loads(line)["architecture"] for line in vit.run("init", "--list", "--json").out.splitlines()]
        for name in names:
            if not options.prefix or any(name.startswith(prefix) for prefix in options.prefix):
                cost = vit.run("inspect", "cost", "--json", "--threads", "1", "--compute", options.compute, name)
                check_network(vit, tally, json.loads(cost.out), options, folder)
    finally:
        shutil.rmtree(folder)
    tally.finish()


main()
