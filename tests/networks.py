#!/usr/bin/env python3
"""Every named network at its full size: `networks.py PROGRAM [--type T] [--compute C] [PREFIX...]`, from the repository's
root; PROGRAM is a command line such as build/vit or "python3 tests/wasi_run.py build/vit.wasm".

For each whose name begins with one of the prefixes (all without): `vit init` makes it with random weights, `vit features`
loads it and runs it on a picture; its features are finite and not all equal. Natively the process may hold the weights and
300 MB more. Networks that do not fit in this machine's free memory, or in 4 GB where the program is WebAssembly, are skipped."""

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

ALLOWANCE = 300e6


def largest_resident(command):
    """(exit status, text on stderr, bytes that the process held at most)."""
    with tempfile.TemporaryFile() as errors:
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        errors.seek(0)
        return child.returncode, errors.read().decode("utf-8", "replace"), usage.ru_maxrss * 1024


def command_of(vit, folder, words):
    if not vit.wasi:
        return vit.words + words
    return vit.words[: vit.runner + 1] + ["--dir", ".", "--dir", folder] + vit.words[vit.runner + 1 :] + words


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
    status, errors, _ = largest_resident(
        command_of(vit, folder, ["init", "--arch", name, "--type", options.type, model])
    )
    made = time.monotonic()
    if tally.check(status == 0, f"init of {name}", errors):
        words = ["features", "--model", model, "--compute", options.compute, "--threads", "1", "--out", f"{folder}/f.npy"]
        status, errors, resident = largest_resident(command_of(vit, folder, [*words, picture]))
        if tally.check(status == 0, f"{name} runs", errors):
            _, values = read_npy(f"{folder}/f.npy")
            tally.check(
                all(map(math.isfinite, values)) and max(values) > min(values), f"features of {name}", values[:8]
            )
            tally.check(
                vit.wasi or resident <= weights + ALLOWANCE, f"memory of {name}", f"{resident} bytes, weights {weights}"
            )
            print(
                f"{name}: made in {made - begin:.1f} s, loaded and run in {time.monotonic() - made:.1f} s, "
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
