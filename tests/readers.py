#!/usr/bin/env python3
"""Weight files as Python reads them: safetensors, gguf and numpy.

    readers.py PROGRAM [FILES [SEED]]   PROGRAM is tests/readers.c

The files are those of the fuzz corpora and of tests/golden/errors, and FILES more that are mutated from them. Where the program
accepts one, Python's reader must find the same tensors, bytes and all, or refuse the file for a reason in REASONS."""

import collections
import io
import os
import random
import shutil
import struct
import subprocess
import sys
import tarfile
import tempfile
import warnings
import zlib

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "cli"))
import gguf
import numpy
import safetensors
from program import Tally

FORMATS = ("safetensors", "gguf", "npz")
# The program's words for types of numpy's.
WORDS = {"F32": "<f4", "F16": "<f2", "F64": "<f8"}
# (format, part of what Python says): why it may refuse what is accepted here.
REASONS = [
    ("npz", "File is not a zip file", "takes bytes of the archive's comment for a record of its end"),
    ("npz", "zip file version", "believes the version that an entry says it needs"),
    ("GGUF", "array is too big", "has no arrays without values whose other sides are that long"),
]
BATCH = 500


# ---- The files ----


def seeds(format):
    """[bytes], sorted by name."""
    found = []
    with tarfile.open(f"tests/fuzz/corpus/{format}.tar.gz") as corpus:
        for member in sorted(corpus.getmembers(), key=lambda member: member.name):
            if member.isfile():
                found.append(corpus.extractfile(member).read())
    folder = f"tests/golden/errors/{format}"
    for name in sorted(os.listdir(folder)):
        with open(f"{folder}/{name}", "rb") as file:
            found.append(file.read())
    return found


def mend(data):
    """Checksums of an archive's stored members."""
    at = data.find(b"PK\1\2")
    while 0 <= at <= len(data) - 46:
        method, bytes_, local = struct.unpack_from("<H8xI18xI", data, at + 10)
        if method == 0 and local <= len(data) - 30:
            begin = local + 30 + sum(struct.unpack_from("<HH", data, local + 26))
            if begin + bytes_ <= len(data):
                sum_ = struct.pack("<I", zlib.crc32(data[begin : begin + bytes_]))
                data[at + 16 : at + 20] = data[local + 14 : local + 18] = sum_
        at = data.find(b"PK\1\2", at + 4)


def mutate(chance, all_seeds, good, format):
    data = bytearray(chance.choice(good if chance.random() < 0.8 else all_seeds))
    for _ in range(chance.choice((1, 1, 1, 2, 3, 4))):
        if not data:
            break
        # half of the places lie in the header's part
        at = chance.randrange(min(len(data), 400) if chance.random() < 0.5 else len(data))
        kind = chance.randrange(7)
        if kind == 0:
            data[at] ^= 1 << chance.randrange(8)
        elif kind == 1:
            data[at] = chance.choice((0, 1, 2, 4, 8, 32, 127, 128, 255))
        elif kind == 2:
            data[at : at + 1] = bytes(chance.randrange(256) for _ in range(chance.randint(1, 4)))
        elif kind == 3:
            del data[at : at + chance.randint(1, 16)]
        elif kind == 4:
            data[at:at] = data[at : at + chance.randint(1, 40)]
        elif kind == 5:
            other = chance.choice(all_seeds)
            begin = chance.randrange(len(other) or 1)
            data[at : at + 8] = other[begin : begin + 8]
        else:  # a digit or a letter becomes another
            places = [i for i in range(max(0, at - 50), min(len(data), at + 50)) if chr(data[i]).isalnum()]
            if places:
                data[chance.choice(places)] = ord(chance.choice("0123456789FIUb"))
    if format == "npz" and chance.random() < 0.9:
        mend(data)
    return bytes(data)


# ---- The readers: {name: (type, shape, bytes)} ----


def read_safetensors(path, data):
    return {name: (t["dtype"], list(t["shape"]), bytes(t["data"])) for name, t in safetensors.deserialize(data)}


def read_gguf(path, data):
    found = {}
    for t in gguf.GGUFReader(path).tensors:
        found[t.name] = (t.tensor_type.name, [int(n) for n in reversed(t.shape)], t.data.tobytes())
    return found


def read_npz(path, data):
    found = {}
    with numpy.load(io.BytesIO(data), allow_pickle=False) as archive:
        for member in archive.zip.namelist():
            if member.endswith(".npy"):
                found[member[:-4]] = archive[member]
    return found


def same(format, ours, theirs):
    """Whether tensors are equal; what is not."""
    if set(ours) != set(theirs):
        return f"names {sorted(ours)} and {sorted(theirs)}"
    for name, (type_, shape, fortran, data) in ours.items():
        other = theirs[name]
        if format == "npz":
            type_ = numpy.dtype(WORDS.get(type_, type_.replace("big-endian ", ">"))).str
            other = (other.dtype.str, list(other.shape), other.tobytes("F" if fortran else "C"))
        if (type_, shape, data) != other:
            return f"{name!r}: {type_} {shape} {data[:40]} and {other[0]} {other[1]} {other[2][:40]}"
    return None


# ---- The program ----


def parse(stream):
    """What the program says of one file: None, or its format and {name: (type, shape, fortran, bytes)}."""
    format = stream.readline().decode().rstrip("\n")
    if format.startswith("refused "):
        return None
    tensors = {}
    while True:
        line = stream.readline().decode("utf-8", "replace").rstrip("\n")
        if line == "end":
            return format, tensors
        if not line.startswith("tensor "):
            raise SystemExit(f"the program said {line!r}")
        rank, rest = line[7:].split(" ", 1)
        *numbers, type_ = rest.split(" ", int(rank) + 3)
        *shape, fortran, count, length = map(int, numbers)
        name = stream.read(length).decode("utf-8", "surrogateescape")
        tensors[name] = (type_, shape, fortran, stream.read(count))


def ask(program, folder, files):
    paths = []
    for i, data in enumerate(files):
        paths.append(f"{folder}/{i}")
        with open(paths[-1], "wb") as file:
            file.write(data)
    done = subprocess.run([program], input="\n".join(paths).encode(), stdout=subprocess.PIPE, timeout=300)
    stream = io.BytesIO(done.stdout)
    return [(path, data, parse(stream)) for path, data in zip(paths, files)]


def compare(tally, counts, path, data, said):
    counts["files"] += 1
    if not said:
        counts["refused"] += 1
        return
    format, ours = said
    try:
        theirs = {"safetensors": read_safetensors, "GGUF": read_gguf, "npz": read_npz}[format](path, data)
    except Exception as error:
        said = f"{type(error).__name__}: {error}"
        reason = next((why for kind, part, why in REASONS if kind == format and part in said), None)
        counts[f"accepted, but Python: {reason}"] += 1
        if not tally.check(reason, f"{format}: accepted with {len(ours)} tensors; Python refuses it", said[:300]):
            shutil.copy(path, f"build/test/readers-{tally.failed}.{format}")
        return
    counts["equal"] += 1
    wrong = same(format, ours, theirs)
    if not tally.check(not wrong, f"{format}: other tensors", wrong):
        shutil.copy(path, f"build/test/readers-{tally.failed}.{format}")


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    program, files, seed = sys.argv[1], int((sys.argv[2:] or [3000])[0]), int((sys.argv[3:] or [1])[0])
    warnings.simplefilter("ignore")
    tally, chance = Tally(), random.Random(seed)
    os.makedirs("build/test", exist_ok=True)
    folder = tempfile.mkdtemp(prefix="readers-", dir="build/test")
    try:
        for format in FORMATS:
            all_seeds, counts = seeds(format), collections.Counter()
            good = [data for _, data, said in ask(program, folder, all_seeds) if said]
            for begin in range(0, len(all_seeds) + files, BATCH):
                end = min(begin + BATCH, len(all_seeds) + files)
                some = [all_seeds[i] if i < len(all_seeds) else mutate(chance, all_seeds, good, format) for i in range(begin, end)]
                for path, data, said in ask(program, folder, some):
                    compare(tally, counts, path, data, said)
            print(f"{format}: " + ", ".join(f"{count} {what}" for what, count in counts.items()))
    finally:
        shutil.rmtree(folder)
    tally.finish()


main()
