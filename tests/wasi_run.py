"""Runs a WASI program as `wasmtime run` does, with wasmtime from PATH or else its Python package.

    wasi_run.py [--dir FOLDER]... [--env NAME=VALUE]... PROGRAM.wasm [ARGUMENT]...

The program sees the given folders, each under the name it is given by (`.` and absolute paths alike), this process's
standard streams, and only the given environment. The exit status is the program's; 134 if it trapped.
"""

import os
import shutil
import sys


def parse(arguments):
    folders, environment = [], []
    while arguments and arguments[0].startswith("--"):
        option, equals, value = arguments.pop(0).partition("=")
        if not equals and arguments:
            value = arguments.pop(0)
        if option == "--dir":
            folders.append(value)
        elif option == "--env":
            name, _, text = value.partition("=")
            environment.append((name, text))
        else:
            sys.exit(__doc__)
    if not arguments:
        sys.exit(__doc__)
    return folders, environment, arguments


def run_with_program(wasmtime, folders, environment, arguments):
    command = [wasmtime, "run", "-W", "relaxed-simd=y"]
    for folder in folders:
        command += ["--dir", folder]
    for name, value in environment:
        command += ["--env", f"{name}={value}"]
    os.execv(wasmtime, command + arguments)


def run_with_package(folders, environment, arguments):
    import wasmtime

    config = wasmtime.Config()
    config.wasm_relaxed_simd = True
    config.cache = True  # compiled programs, kept in the user's cache folder
    engine = wasmtime.Engine(config)
    wasi = wasmtime.WasiConfig()
    wasi.argv = arguments
    wasi.env = environment
    wasi.inherit_stdin()
    wasi.inherit_stdout()
    wasi.inherit_stderr()
    for folder in folders:
        wasi.preopen_dir(folder, folder)
    linker = wasmtime.Linker(engine)
    linker.define_wasi()
    store = wasmtime.Store(engine)
    store.set_wasi(wasi)
    module = wasmtime.Module.from_file(engine, arguments[0])
    try:
        instance = linker.instantiate(store, module)
        instance.exports(store)["_start"](store)
    except wasmtime.ExitTrap as exit:
        return exit.code
    except wasmtime.Trap as trap:
        print(f"{arguments[0]}: {trap}", file=sys.stderr)
        return 134
    return 0


def main():
    folders, environment, arguments = parse(sys.argv[1:])
    wasmtime = shutil.which("wasmtime")
    if wasmtime:
        run_with_program(wasmtime, folders, environment, arguments)
    sys.exit(run_with_package(folders, environment, arguments))


main()
