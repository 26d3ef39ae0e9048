#!/usr/bin/env python3
"""Tests of the command line: `run.py PROGRAM [KIND]...`, from the repository's root, where PROGRAM is a command line such as
build/vit or "python3 tests/wasi_run.py build/vit.wasm". What is expected does not depend on it. Of KINDs, those tests alone.

Real photographs and weights are looked for in VIT_DATA (default ../shared); what needs them is skipped without."""

import importlib
import os
import shutil
import sys
import tempfile
import traceback

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from program import Program, Tally


KINDS = (
    "usage",
    "pictures",
    "inside",
    "masked",
    "fewshot",
    "search",
    "weights",
    "formats",
    "architectures",
    "families",
    "broken",
    "train",
    "data",
    "real",
)


def main():
    kinds = sys.argv[2:] or KINDS
    if len(sys.argv) < 2 or not set(kinds) <= set(KINDS):
        sys.exit(__doc__)
    program, tally = Program(sys.argv[1]), Tally()
    os.makedirs("build", exist_ok=True)
    work = os.path.relpath(tempfile.mkdtemp(prefix="test-cli-", dir="build"))
    try:
        for kind in kinds:
            module = importlib.import_module(f"cases_{kind}")
            for name, case in vars(module).items():
                if not name.startswith("test_"):
                    continue
                folder = os.path.join(work, name[5:])
                os.mkdir(folder)
                try:
                    case(program, tally, folder)
                except Exception:
                    tally.check(False, name, traceback.format_exc())
                left = [file for _, _, files in os.walk(folder) for file in files if ".part" in file]
                tally.equal(left, [], f"{name}: temporary files left behind")
    finally:
        shutil.rmtree(work)
    tally.finish()


main()
