#!/usr/bin/env python3
"""Tests of the command line: `run.py PROGRAM`, from the repository's root, where PROGRAM is a command line such as
build/vit or "python3 tests/wasi_run.py build/vit.wasm". What is expected does not depend on it.

Real photographs and weights are looked for in VIT_DATA (default ../shared); what needs them is skipped without."""

import os
import shutil
import sys
import tempfile
import traceback

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import cases_architectures
import cases_broken
import cases_families
import cases_fewshot
import cases_formats
import cases_inside
import cases_masked
import cases_pictures
import cases_real
import cases_search
import cases_train
import cases_usage
import cases_weights
from program import Program, Tally


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    program, tally = Program(sys.argv[1]), Tally()
    os.makedirs("build", exist_ok=True)
    work = os.path.relpath(tempfile.mkdtemp(prefix="test-cli-", dir="build"))
    try:
        for module in (
            cases_usage,
            cases_pictures,
            cases_inside,
            cases_masked,
            cases_fewshot,
            cases_search,
            cases_weights,
            cases_formats,
            cases_architectures,
            cases_families,
            cases_broken,
            cases_train,
            cases_real,
        ):
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
