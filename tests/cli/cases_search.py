"""search, and features as files, on small pictures and a model with random weights."""

import fcntl
import os
import resource
import signal
import struct
import subprocess

from cases_pictures import MODEL, fed_otherwise, lines, near, pictures
from cases_weights import wide_model
from files import read, read_npy, read_safetensors, write

OTHER_MODEL = "tests/golden/forward/timm_no_embed_class"
NAMES = ["c.png", "a.png", "deep/b.png", "d.png", "e.png", "f.png", "g.png"]


def cosines(vit, folder, paths):
    """{(path, path): cosine}"""
    vit.run("features", "--model", MODEL, "--out", f"{folder}/f.npy", *paths)
    (count, width), values = read_npy(f"{folder}/f.npy")
    rows = {path: values[i * width : (i + 1) * width] for i, path in enumerate(paths)}
    dot = lambda a, b: sum(x * y for x, y in zip(rows[a], rows[b]))
    return {(a, b): dot(a, b) / (dot(a, a) * dot(b, b)) ** 0.5 for a in paths for b in paths}


def test_search(vit, tally, folder):
    root, index = f"{folder}/in", f"{folder}/index"
    paths = sorted(pictures(root, NAMES))
    (query,) = pictures(folder, ["query.png"], (31, 60))
    expected = cosines(vit, folder, [*paths, query])
    best = sorted(paths, key=lambda path: -expected[query, path])
    result = vit.run("search", "--model", MODEL, "--json", root, query)
    tally.check(result.status == 0 and result.err == "", "search", result)
    (made,) = lines(result)
    tally.equal((list(made), made["path"]), (["path", "nearest"], query), "keys")
    tally.equal([hit["path"] for hit in made["nearest"]], best[:5], "five, the nearest first")
    tally.check(
        all(near(hit["score"], expected[query, hit["path"]]) for hit in made["nearest"]), "cosines", made
    )
    text = vit.run("search", "--model", MODEL, "--top", "2", root, query)
    wanted = f"{query}\n" + "".join(f"  {hit['score']:7.4f}  {hit['path']}\n" for hit in made["nearest"][:2])
    tally.equal(text.out, wanted, "text says the same")

    built = vit.run("search", "--model", MODEL, "--index", index, root)
    tally.equal((built.status, built.out, built.err), (0, f"{index}: 7 pictures\n", ""), "an index")
    for place in ([index], ["--index", index, root]):
        tally.equal(vit.run("search", "--model", MODEL, "--json", *place, query).out, result.out, f"from {place}")
    itself = lines(vit.run("search", "--model", MODEL, "--json", "--top=9", index, paths[0], root))
    tally.equal([line["path"] for line in itself], [paths[0], *paths], "a folder of queries")
    tally.check(
        all(line["path"] not in [hit["path"] for hit in line["nearest"]] and len(line["nearest"]) == 6 for line in itself),
        "all but itself",
        itself,
    )
    again = lines(vit.run("search", "--model", MODEL, "--json", "--top=9", index, f"{folder}/../{os.path.basename(folder)}/in/a.png"))
    tally.equal(len(again[0]["nearest"]), 6, "itself by another name")


def test_search_goes_on(vit, tally, folder):
    """An index that was cut off anywhere is completed; new and changed pictures are added, none is computed again."""
    root, index = f"{folder}/in", f"{folder}/index"
    paths = sorted(pictures(root, NAMES))
    run = ["search", "--model", MODEL, "--index", index]
    vit.run(*run, root)
    whole = read(index)
    size = (len(whole) - 64) // len(paths)
    for cut in (0, 1, 20, 63, 64, 65, 64 + size - 1, 64 + size, 64 + 3 * size + 30, len(whole) - 1):
        write(index, whole[:cut])
        result = vit.run(*run, root)
        tally.check(result.status == 0 and result.err == "" and read(index)[:64] == whole[:64], f"cut at {cut}", result)
        tally.equal(sorted_records(read(index)), sorted_records(whole), f"cut at {cut}: the same records")
    before = os.stat(index)
    vit.run(*run, root)
    tally.equal(os.stat(index).st_size, before.st_size, "nothing is new")
    os.remove(paths[1])
    pictures(root, ["z.png"], (50, 50))
    write(paths[0], read(paths[2]) + b"\0" * 3)
    os.utime(paths[0], (1, 1))
    result = vit.run(*run, "--json", "--top=20", root, paths[2])
    tally.equal(len(read(index)), len(whole) + 2 * size, "a new one and a changed one")
    (made,) = lines(result)
    found = {hit["path"]: hit["score"] for hit in made["nearest"]}
    tally.equal(sorted(found), sorted([paths[0], *paths[3:], f"{root}/z.png"]), "what is in the folder now")
    tally.check(near(found[paths[0]], 1), "the changed one is what it is now", found)
    only = vit.run("search", "--model", MODEL, "--json", "--top=20", index, paths[2])
    tally.equal(len(lines(only)[0]["nearest"]), 7, "the index alone has one that is gone as well")


def sorted_records(data):
    """(path, vector) of each."""
    (width,) = struct.unpack_from("<I", data, 8)
    records, at = [], 64
    while at < len(data):
        (length,) = struct.unpack_from("<I", data, at + 4)
        end = at + 24 + length + 4 * width
        records.append((data[at + 24 : at + 24 + length], data[at + 24 + length : end]))
        at = end
    return sorted(records)


def test_search_errors(vit, tally, folder):
    root, index = f"{folder}/in", f"{folder}/index"
    paths = sorted(pictures(root, NAMES[:3]))
    vit.run("search", "--model", MODEL, "--index", index, root)
    whole = read(index)
    bad = write(f"{folder}/bad.png", "text")
    for options, status, said in (
        ([root], 2, "expected a QUERY, or a FOLDER and --index"),
        ([index], 2, "expected a QUERY, or a FOLDER and --index"),
        (["--index", index, paths[0], paths[1]], 2, "--index goes with a FOLDER"),
        ([paths[0], paths[1]], 1, "is not a feature index"),
        ([f"{folder}/none", paths[0]], 1, "no such file or folder"),
        (["--index", f"{folder}/no/index", root], 1, "no such folder"),
        (["--index", bad, root], 1, f"{bad}: is not a feature index"),
        (["--pool", "mean", index, paths[0]], 1, "was made with another network, preprocessing or --pool"),
        (["--size", "24x40", index, paths[0]], 1, "was made with --size 32x32 --crop-pct 0.9, this is 24x40 and 0.9"),
        (["--crop-pct", "0.5", index, paths[0]], 1, "was made with --size 32x32 --crop-pct 0.9, this is 32x32 and 0.5"),
        *((["--model", other, index, paths[0]], 1, "was made with another network, preprocessing or --pool")
          for other in (OTHER_MODEL, *fed_otherwise(folder))),
    ):
        result = vit.run("search", "--model", MODEL, *options)
        tally.check(result.status == status and result.out == "" and said in result.err, f"{options}", result)
    result = vit.run("search", "--model", MODEL, "--json", index, bad, paths[0])
    tally.check(result.status == 1 and bad in result.err and len(lines(result)) == 1, "a bad query", result)
    write(f"{root}/bad.png", "text")
    result = vit.run("search", "--model", MODEL, "--index", index, root)
    tally.check(
        result.status == 1 and f"{root}/bad.png" in result.err and read(index) == whole, "a bad picture", result
    )
    os.remove(f"{root}/bad.png")
    for at in (64, 68, 90, 64 + (len(whole) - 64) // 3 + 20):
        write(index, whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
        result = vit.run("search", "--model", MODEL, index, paths[0])
        tally.check(result.status == 1 and "damaged" in result.err, f"byte {at} is noticed", result)
    write(index, whole[:68] + b"\x0a\x80" + whole[70:])  # a record that would go beyond the end
    result = vit.run("search", "--model", MODEL, "--index", index, root)
    tally.check(result.status == 1 and "is damaged at byte 64" in result.err, "a length is noticed", result)
    tally.equal(len(read(index)), len(whole), "and nothing is cut off")
    (path_bytes,), (width,) = struct.unpack_from("<I", whole, 68), struct.unpack_from("<I", whole, 8)
    record = whole[68 : 88 + path_bytes] + struct.pack("<f", float("nan")) + whole[88 + path_bytes + 4 : 88 + path_bytes + 4 * width]
    checksum = 2166136261
    for byte in record:
        checksum = (checksum ^ byte) * 16777619 % 2**32
    write(index, whole[:64] + struct.pack("<I", checksum) + record + whole[68 + len(record) :])
    result = vit.run("search", "--model", MODEL, index, paths[0])
    tally.check(result.status == 1 and "is damaged at byte 64" in result.err, "a vector that is no number, with a good checksum", result)
    write(index, whole[:40])
    result = vit.run("search", "--model", MODEL, index, paths[0])
    tally.check(result.status == 1 and "is not a feature index" in result.err, "half a header", result)
    empty = f"{folder}/empty"
    os.makedirs(empty)
    result = vit.run("search", "--model", MODEL, "--json", empty, paths[0])
    tally.check(result.status == 1 and lines(result)[0]["nearest"] == [], "an empty folder", result)


def test_features_safetensors(vit, tally, folder):
    paths = pictures(folder, NAMES[:3])
    vit.run("features", "--model", MODEL, "--out", f"{folder}/f.npy", *paths)
    result = vit.run("features", "--model", MODEL, "--out", f"{folder}/f.safetensors", *paths)
    tally.check(result.status == 0 and result.out.splitlines() == paths, "features to safetensors", result)
    kind, shape, values = read_safetensors(f"{folder}/f.safetensors")["features"]
    tally.equal((kind, tuple(shape), values), ("F32", *read_npy(f"{folder}/f.npy")), "as in .npy")
    listed = vit.run("info", f"{folder}/f.safetensors")
    tally.check(listed.status == 0 and "features" in listed.out, "info reads it", listed)
    result = vit.run("features", "--model", MODEL, "--out", f"{folder}/g.npy", write(f"{folder}/bad.png", "text"))
    tally.check(result.status == 1 and not os.path.exists(f"{folder}/g.npy"), "nothing to write", result)


def test_features_go_on(vit, tally, folder):
    """A run that was killed goes on: what it has computed is not computed again, and the file is the same."""
    if vit.wasi:
        return tally.skip("killing a run under WASI")
    paths = pictures(f"{folder}/in", [f"{i:03d}.png" for i in range(240)], (8, 8))
    model = f"{folder}/model"
    wide_model(model)
    command = ["features", "--model", model, "--threads", "1", "--out"]
    whole, out = f"{folder}/whole.npy", f"{folder}/f.npy"
    part = f"{out}.part"
    vit.run(*command, whole, f"{folder}/in")
    tally.equal(read_npy(whole)[0][0], 240, "a row for each")

    def limit():  # who writes more bytes is killed
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (8000, 8000))

    killed = subprocess.run([*vit.words, *command, out, f"{folder}/in"], stdout=subprocess.DEVNULL, preexec_fn=limit)
    tally.equal(killed.returncode, -signal.SIGXFSZ, "killed in the middle")
    tally.check(os.path.exists(part) and not os.path.exists(out), "what it leaves")
    kept, first = read(part), os.stat(paths[0])
    write(part, kept[:-3])
    write(paths[0], b"?" * first.st_size)  # would not be read again
    os.utime(paths[0], ns=(first.st_atime_ns, first.st_mtime_ns))
    result = vit.run(*command, out, f"{folder}/in")
    tally.check(result.status == 0 and result.out.splitlines() == paths, "it goes on", result)
    tally.equal((read(out), os.path.exists(part)), (read(whole), False), "the same file")
    for kind in ("f16", "q8_0", "q4_0"):
        vit.run("convert", "--type", kind, model, f"{folder}/{kind}.gguf")
    others = [*(f"{folder}/{kind}.gguf" for kind in ("f16", "q8_0", "q4_0")), *fed_otherwise(folder, model)]
    for options in (["--pool", "mean"], ["--compute", "int8"], ["--size", "16"], ["--crop-pct", "0.5"], *(["--model", other] for other in others)):
        write(part, kept)
        result = vit.run(*command, out, *options, f"{folder}/in")
        tally.check(result.status == 1 and paths[0] in result.err, f"{options}: nothing that was kept is of use", result)
    write(part, kept)
    result = vit.run(*command, out, paths[1], paths[2], paths[1])
    tally.equal((result.status, read_npy(out)[0][0], read(out)[128:256]), (0, 3, read(whole)[256:384]), "of other paths")


def test_files_in_use(vit, tally, folder):
    """Two programs do not write one file at a time: the second one says so, and changes nothing."""
    if vit.wasi:
        return tally.skip("locks under WASI")
    paths = pictures(f"{folder}/in", ["a/1.png", "b/2.png"], (16, 16))
    index, part = f"{folder}/index", f"{folder}/f.npy.part"
    vit.run("search", "--model", MODEL, "--index", index, paths[0])
    train = ["train", "--width", "16", "--layers", "1", "--heads", "1", "--mlp", "16", "--size", "16", "--patch", "8"]
    train += ["--steps", "1", "--batch", "2", "--resume", "--out", f"{folder}/run", f"{folder}/in"]
    vit.run(*train)
    for file, command in (
        (index, ["search", "--model", MODEL, "--index", index, f"{folder}/in"]),
        (part, ["features", "--model", MODEL, "--out", f"{folder}/f.npy", *paths]),
        (f"{folder}/run/log.jsonl", train),
    ):
        with open(file, "ab") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            before = read(file)
            result = vit.run(*command)
            tally.check(result.status == 1 and f"{file}: another vit is writing it" in result.err, f"{file} in use", result)
            tally.equal(read(file), before, f"{file} is as it was")
        result = vit.run(*command)
        tally.check(result.status == 0, f"{file} is free again", result)


def test_features_memory(vit, tally, folder):
    """Memory does not grow with the number of pictures."""
    if vit.wasi:
        return tally.skip("memory of a program under WASI")
    pictures(folder, ["large.png"], (500, 500))  # 0.75 MB, decoded: 300 are more than this program, whose memory is counted too
    for most in (10, 300):
        os.mkdir(f"{folder}/{most}")
        for i in range(most):
            os.symlink("../large.png", f"{folder}/{most}/{i}.png")
    for command in (["features", "--out", f"{folder}/f.npy"], ["search", "--index", f"{folder}/index"]):
        peaks = []
        for most in (10, 300):
            running = [*vit.words, *command, "--model", MODEL, "--threads", "1", f"{folder}/{most}"]
            process = subprocess.Popen(running, stdout=subprocess.DEVNULL)
            peaks.append(os.wait4(process.pid, 0)[2].ru_maxrss)
            process.returncode = 0
        tally.check(peaks[1] < peaks[0] + 512, f"{command[0]}: kB of 10 and of 300 pictures", peaks)
