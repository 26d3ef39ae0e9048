#!/usr/bin/env python3
"""What the command line does when the system fails it.

    faults.py calls PROGRAM   each call of the system on a file fails once, by strace: EIO, ENOSPC, EINTR; and each is the
                              last before the process is killed
    faults.py kill PROGRAM N  killed N times at a random moment

of `convert`, `train` and `search --index`. After a failure a sentence names the file, what was there before is as it was and
nothing temporary is left; after a kill the next run makes what it would have made undisturbed. A call that fails and does no
harm may go unsaid."""

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "cli"))
from cases_search import sorted_records
from files import png, read, write
from program import Tally

MODEL = "tests/golden/msn/hf_msn"  # which has a preprocessor_config.json as well
SMALL = "--layers 1 --width 12 --heads 1 --mlp 16 --patch 8 --size 16 --batch 4 --epochs 2 --threads 1 --loaders 0".split()
CALLS = {
    "openat": ("EIO", "EINTR"),
    "read": ("EIO", "EINTR"),
    "write": ("ENOSPC", "EIO", "EINTR"),
    "lseek": ("EIO",),
    "fsync": ("EIO",),
    "close": ("EIO",),
    "rename": ("EIO", "ENOSPC"),
    "newfstatat": ("EIO",),
    "getdents64": ("EIO",),
    "truncate": ("EIO",),
    "ftruncate": ("EIO",),
    "mkdir": ("ENOSPC",),
}
CHANGING = ("write", "fsync", "rename", "truncate", "ftruncate", "close", "openat", "mkdir")


class Task:
    """A command, and what it makes in a folder: files whose bytes are the same after every undisturbed run."""

    def __init__(self, name, words, makes, again=(), calls=CALLS, kept=()):
        self.name, self.words, self.makes, self.again, self.calls, self.kept = name, words, makes, again, calls, kept

    def made(self, folder):
        return {name: self.read(f"{folder}/{name}") for name in self.makes if os.path.exists(f"{folder}/{name}")}

    def first(self, program, out):
        return [program, *(word.replace("OUT", out) for word in self.words)]

    def next(self, program, out):
        """Goes on with what there is."""
        return [*self.first(program, out), *self.again]

    @staticmethod
    def read(path):
        data = read(path)
        if path.endswith("index"):
            return dict(sorted_records(data))  # whatever their order; a picture that could not be looked at is there twice
        # a state's note holds the length of the log, whose times differ
        return data[1000:] if path.endswith("state.safetensors") else data


def tasks(folder):
    for i in range(6):
        write(f"{folder}/data/{'ab'[i % 2]}/{'uvwxyz'[i]}.png", png(20, 18, i))
    shutil.copytree(MODEL, f"{folder}/model")
    model, data = f"{folder}/model", f"{folder}/data"
    yield Task("convert", ["convert", model, "OUT/made.gguf"], ["made.gguf"])
    yield Task("index", ["search", "--model", model, "--threads", "1", "--index", "OUT/index", data], ["index"])
    train = ["train", *SMALL, "--holdout", "0.3", "--save-minutes", "0", "--out", "OUT", data]
    yield Task("train", train, ["model.gguf", "state.safetensors"], ["--resume"])
    for i in range(40):
        write(f"{folder}/many/{i}.png", png(5, 4, i))
    features = ["features", "--model", model, "--threads", "1", "--out", "OUT/made.npy", f"{folder}/many"]
    yield Task("features", features, ["made.npy"], calls=("write", "fsync", "rename"), kept=("made.npy.part",))


def run(words):
    return subprocess.run(words, capture_output=True, stdin=subprocess.DEVNULL, timeout=120)


def list_calls(program, task, folder):
    """[(call, its number among those of its name, the file)] of what the command does to files of ours."""
    out, trace = f"{folder}/traced", f"{folder}/trace"
    os.makedirs(out)
    run(["strace", "-f", "-y", "-s", "0", "-o", trace, "-e", "trace=" + ",".join(CALLS), *task.first(program, out)])
    counts, found = {}, []
    for line in open(trace, errors="replace"):
        match = re.match(r"\d+ +(\w+)\((.*)", line)
        if not match or match[1] not in task.calls:
            continue
        counts[match[1]] = counts.get(match[1], 0) + 1
        if folder in match[2]:
            found.append((match[1], counts[match[1]]))
    shutil.rmtree(out)
    return found


def inject(program, task, folder, call, fault, number):
    out, trace = f"{folder}/faulty", f"{folder}/trace"
    shutil.rmtree(out, ignore_errors=True)
    os.makedirs(out)
    what = ["-e", f"trace={call}", "-e", f"inject={call}:{fault}:when={number}"]
    return out, run(["strace", "-f", "-o", trace, *what, *task.first(program, out)])


def calls(program, tally, folder):
    for task in tasks(folder):
        out = f"{folder}/right"
        os.makedirs(out)
        undisturbed = run(task.first(program, out))
        tally.check(undisturbed.returncode == 0, f"{task.name}", undisturbed)
        expected, faults = task.made(out), 0
        shutil.rmtree(out)
        for call, number in list_calls(program, task, folder):
            for error in CALLS[call]:
                out, result = inject(program, task, folder, call, f"error={error}", number)
                what, said = f"{task.name}: {call} {number} {error}", result.stderr.decode("utf-8", "replace")
                faults += 1
                left = [name for name in os.listdir(out) if ".part" in name and name not in task.kept]
                tally.check(result.returncode in (0, 1, 2) and not left, f"{what}: exit {result.returncode}, {left}", said)
                if result.returncode:
                    tally.check(folder in said, f"{what}: names no file", said)
                else:
                    same = task.made(out) == expected or "takes its place" in said
                    tally.check(same, f"{what}: succeeds, but other bytes", said)
                if "takes its place" not in said:
                    run(task.next(program, out))
                    tally.check(task.made(out) == expected, f"{what}: not made by the next run", said)
            if call in CHANGING:
                out, result = inject(program, task, folder, call, "signal=KILL", number)
                faults += 1
                result = run(task.next(program, out))
                same = result.returncode == 0 and task.made(out) == expected
                tally.check(same, f"{task.name}: killed at {call} {number}", result)
        print(f"{task.name}: {faults} faults")


def kill(program, tally, folder, times):
    chance = random.Random(1)
    for task in tasks(folder):
        out = f"{folder}/right"
        os.makedirs(out)
        begin = time.time()
        run(task.first(program, out))
        took, expected, kills = time.time() - begin, task.made(out), 0
        while kills < times:
            shutil.rmtree(out)
            os.makedirs(out)
            for attempt in range(12):
                process = subprocess.Popen(task.next(program, out), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
                if attempt < 11 and kills < times:
                    time.sleep(chance.random() * took)
                    process.send_signal(signal.SIGKILL)
                said = process.communicate()[1]
                kills += process.returncode == -signal.SIGKILL
                if process.returncode != -signal.SIGKILL:
                    break
            if not tally.check(process.returncode == 0 and task.made(out) == expected, f"{task.name} after kills", said):
                break
        shutil.rmtree(out)
        print(f"{task.name}: killed {kills} times")


def main():
    if len(sys.argv) < 3 or sys.argv[1] not in ("calls", "kill"):
        sys.exit(__doc__)
    tally, program = Tally(), os.path.abspath(sys.argv[2])
    os.makedirs("build", exist_ok=True)
    folder = os.path.relpath(tempfile.mkdtemp(prefix="test-faults-", dir="build"))
    try:
        if sys.argv[1] == "kill":
            kill(program, tally, folder, int(sys.argv[3]))
        elif run(["strace", "-e", "inject=read:error=EIO:when=1", "true"]).returncode not in (0, 1, 127):
            tally.skip("failing calls: strace cannot be used here")
        else:
            calls(program, tally, folder)
    finally:
        shutil.rmtree(folder)
    tally.finish()


main()
