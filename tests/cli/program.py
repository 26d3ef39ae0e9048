"""The program under test, and counting what passes."""

import os
import shlex
import subprocess
import sys


class Result:
    def __init__(self, status, out, err):
        self.status, self.out, self.err = status, out, err

    def __repr__(self):
        return f"exit {self.status}\n  stdout: {self.out[-600:]!r}\n  stderr: {self.err[-600:]!r}"


class Program:
    """A command line, e.g. 'build/vit' or 'python3 tests/wasi_run.py build/vit.wasm'; in the latter case the folders it
    may see and its environment are given to wasi_run.py."""

    def __init__(self, command):
        words = shlex.split(command)
        self.words = [os.path.abspath(word) if os.path.exists(word) else word for word in words]
        runner = [i for i, word in enumerate(words) if os.path.basename(word) == "wasi_run.py"]
        self.runner = runner[0] if runner else None
        self.wasi = self.runner is not None

    def run(self, *arguments, folders=(), cwd=None, **environment):
        if self.wasi:
            options = [word for folder in (".", *folders) for word in ("--dir", folder)]
            options += [word for item in environment.items() for word in ("--env", "=".join(item))]
            command = self.words[: self.runner + 1] + options + self.words[self.runner + 1 :]
        else:
            command = self.words
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("VIT_")}
        done = subprocess.run(
            [*command, *arguments],
            cwd=cwd,
            env={**inherited, **environment},
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=300,
        )
        return Result(done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace"))


class Tally:
    def __init__(self):
        self.passed = self.failed = self.skipped = 0

    def check(self, good, what, detail=""):
        if good:
            self.passed += 1
        else:
            self.failed += 1
            print(f"FAILED {what}" + (f"\n  {detail}" if detail != "" else ""))
        return good

    def equal(self, found, expected, what):
        return self.check(found == expected, what, f"expected {expected!r}\n  found    {found!r}")

    def skip(self, what):
        self.skipped += 1
        print(f"skipped: {what}")

    def finish(self):
        print(f"{self.passed} passed, {self.failed} failed" + (f", {self.skipped} skipped" if self.skipped else ""))
        sys.exit(1 if self.failed else 0)
