"""Runs the commands of README.md as they are written, from the repository's root, and compares what they print.

Blocks marked `sh` are commands. In blocks marked `console`, lines after `$ ` are commands and those between are what they
print, to the letter, where there are any. `./build.sh demo` is asked for its page and stopped. The model folder
vit_tiny_patch16_224 is looked for in VIT_DATA (default ../shared); without it, what names it is skipped. Where there is
no `wasmtime` on PATH, tests/wasi_run.py stands in."""

import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import urllib.request

MODEL = "vit_tiny_patch16_224"
BIN = os.path.abspath("build/test/bin")


def commands(text):
    """(command, expected output or None) of each, in order."""
    found = []
    for kind, block in re.findall(r"^```(sh|console)\n(.*?)^```", text, re.M | re.S):
        for line in block.splitlines(keepends=True):
            if kind == "sh":
                if line.strip() and not line.startswith("#"):
                    found.append([line.strip(), None])
            elif line.startswith("$ "):
                found.append([line[2:].strip(), None])
            elif line.strip():
                found[-1][1] = (found[-1][1] or "") + line
    return found


def make_wasmtime():
    """A program `wasmtime` in BIN, if the system has none."""
    if shutil.which("wasmtime"):
        return
    os.makedirs(BIN, exist_ok=True)
    path = os.path.join(BIN, "wasmtime")
    with open(path, "w") as file:
        runner = os.path.abspath("tests/wasi_run.py")
        file.write(f'#!/bin/sh\nshift\nPATH=${{PATH#*:}} exec "{sys.executable}" "{runner}" "$@"\n')
    os.chmod(path, os.stat(path).st_mode | stat.S_IXUSR)


def run(command, expected, environment):
    done = subprocess.run(["bash", "-c", command], env=environment, capture_output=True, text=True, timeout=600)
    if done.returncode != 0:
        return f"exit status {done.returncode}\n{done.stderr}"
    if expected is not None and done.stdout.rstrip() != expected.rstrip():
        return f"expected\n{expected}found\n{done.stdout}"
    return None


def ask_demo(command, environment):
    """Starts the server at any free port, asks for the page, stops it."""
    command = command.split("#")[0] + " --port 0"
    server = subprocess.Popen(["bash", "-c", command], env=environment, stdout=subprocess.PIPE, text=True,
                              start_new_session=True)
    try:
        for line in server.stdout:
            address = re.search(r"http://\S+", line)
            if address:
                with urllib.request.urlopen(address[0], timeout=30) as answer:
                    isolated = answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
                    good = isolated and b"<title" in answer.read()
                    return None if good else "the page lacks its headers or its title"
        return "ended without an address"
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait()


def main():
    model = os.path.join(os.environ.get("VIT_DATA", "../shared"), "data", MODEL)
    make_wasmtime()
    environment = {**os.environ, "PATH": BIN + ":" + os.environ["PATH"]}
    passed = failed = skipped = 0
    for command, expected in commands(open("README.md").read()):
        located = re.sub(rf"(?<![\w/]){MODEL}(?![\w/])", model, command)
        if located != command and not os.path.isdir(model):
            print(f"skipped: {command}")
            skipped += 1
            continue
        if "./build.sh demo" in command:
            problem = ask_demo(located, environment)
        else:
            problem = run(located, expected, environment)
        passed += problem is None
        failed += problem is not None
        print(("ok      " if problem is None else "FAILED  ") + command)
        if problem:
            print(problem)
    print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
    sys.exit(failed > 0)


main()
