#!/usr/bin/env python3
"""Tests of study.py with generated pictures and few updates: `check.py build/vit`, from the repository's root."""

import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import xml.etree.ElementTree

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "../cli"), HERE]
from files import png, read, write
from program import Result, Tally

STUDY = [sys.executable, "-B", os.path.join(HERE, "study.py")]


def study(*words):
    done = subprocess.run([*STUDY, *words, "--vit", sys.argv[1]], capture_output=True, text=True)
    return Result(done.returncode, done.stdout, done.stderr)


def table(out, name):
    """Cells of the lines below the heading."""
    lines = read(f"{out}/{name}.md").decode().splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")][2:]


def circles(out, name):
    svg = xml.etree.ElementTree.parse(f"{out}/{name}.svg")
    return len(svg.findall(".//{*}g/{*}circle"))


def made_at(out):
    models = (f"{out}/{run}/model.gguf" for run in os.listdir(out))
    return {model: os.stat(model).st_mtime_ns for model in models if os.path.exists(model)}


def test_positions(tally, data, out):
    """Stopped, gone on with, asked again."""
    words = ["positions", "--data", data, "--out", out, "--scale", "0.003", "--seeds", "2", "--jobs", "1"]
    plan = study(*words, "--plan")
    tally.check(plan.status == 0 and "8 runs" in plan.err and not os.path.exists(out), "plan", plan)
    begun = subprocess.Popen([*STUDY, *words, "--vit", sys.argv[1]], stderr=subprocess.PIPE, text=True)
    for line in begun.stderr:
        if "is made" in line:
            begun.send_signal(signal.SIGINT)
            break
    said = begun.stderr.read()
    tally.check(begun.wait() == 130 and "goes on" in said, "stopped", said)
    made = sum(os.path.exists(f"{out}/{run}/done") for run in os.listdir(out))
    tally.check(1 <= made < 8 and not os.path.exists(f"{out}/positions.md"), "runs made until then", made)

    result = study(*words)
    tally.check(result.status == 0 and "8 of 8 runs" in result.err, "gone on with", result)
    rows = table(out, "positions")
    tally.equal([row[0] for row in rows], ["none", "1-D", "2-D", "relative"], "rows of the table")
    logs = [read(f"{out}/positions-2d{seed}/log.jsonl").splitlines() for seed in ("", "-seed2")]
    last = [json.loads(lines[-1])["test_accuracy"] for lines in logs]
    tally.equal(rows[2][-1], f"{statistics.mean(last):.2f} ± {statistics.stdev(last):.2f}", "mean and deviation")
    tally.equal(circles(out, "positions"), 4, "points in the picture")
    tally.check(read(f"{out}/positions.md").decode() == result.out, "the table is printed as well", result)

    times = made_at(out)
    result = study(*words)
    tally.check(result.status == 0 and " 0 are to be made" in result.err, "asked again", result)
    tally.check(len(times) == 8 and made_at(out) == times, "nothing is made again", times)
    os.remove(f"{out}/positions-none/done")
    result = study(*words, "--scale", "0.004")
    said = f"{out}/positions-none was begun by another command"
    tally.check(result.status == 1 and said in result.err, "another scale", result)


def test_data_size(tally, data, out):
    """Tests on pictures held out, and questions about the best model."""
    result = study("data-size", "--data", data, "--out", out, "--scale", "0.0006", "--seeds", "1")
    tally.check(result.status == 0, "data-size", result)
    expected = [[name, size] for name in ("ViT", "BiT") for size in ("10", "10", "10", "29")]
    tally.equal([row[:2] for row in table(out, "data-size")], expected, "rows of the table")
    answer = json.loads(read(f"{out}/data-vit-29/eval.json"))
    row = table(out, "data-size")[3]
    tally.check(answer["images"] == 24 and row[-2] == f"{answer['top1']:.2f}", "accuracy of the test set", row)
    tally.equal(circles(out, "data-size"), 16, "points in both pictures")


def test_complaints(tally, data, out):
    result = study("positions", "--data", out, "--out", out)
    tally.check(result.status == 1 and f"{out}: expected the folders train" in result.err, "no pictures", result)
    result = study("everything", "--data", data)
    tally.check(result.status == 2 and "everything" in result.err, "no such study", result)
    kind = sorted(os.listdir(f"{data}/train"))[0]
    write(f"{data}/train/{kind}/bad.png", b"no picture")
    shutil.copytree(f"{data}/test/{kind}", f"{data}/test/never trained")
    result = study("steps", "--data", data, "--out", out, "--scale", "0.001", "--jobs", "1")
    said = read(f"{out}/steps-375/output.txt").decode()
    named = f"{out}/steps-" in result.err and "bad.png" in said
    tally.check(result.status == 1 and named, "a run that fails is named", result)


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    tally = Tally()
    os.makedirs("build", exist_ok=True)
    work = os.path.relpath(tempfile.mkdtemp(prefix="test-studies-", dir="build"))
    try:
        for kind in range(3):
            for i in range(40):
                write(f"{work}/data/train/class {kind}/{i:02}.png", png(32, 32, 7 * kind + i % 5))
            for i in range(8):
                write(f"{work}/data/test/class {kind}/{i:02}.png", png(32, 32, 7 * kind + i))
        for test in (test_positions, test_data_size, test_complaints):
            test(tally, f"{work}/data", f"{work}/{test.__name__}")
        left = [file for _, _, files in os.walk(work) for file in files if ".part" in file]
        tally.equal(left, [], "temporary files left behind")
    finally:
        shutil.rmtree(work)
    tally.finish()


main()
