"""Files to refuse: every one is named with a reason, the others are done, the exit status is 1."""

import glob
import json
import os
import struct
import subprocess
import zlib

from cases_pictures import MODEL, lines
from files import png, png_chunk, png_header, read, write

ERRORS = "tests/golden/errors"


def test_no_regular_files(vit, tally, folder):
    """What one could wait for without end is refused at once."""
    if vit.wasi:
        return
    pipe, picture = f"{folder}/pipe.gguf", write(f"{folder}/1.png", png(40, 40, 1))
    os.mkfifo(pipe)
    for arguments in (
        ["classify", "--model", pipe, picture],
        ["classify", "--model", MODEL, pipe],
        ["info", pipe],
        ["search", "--model", MODEL, pipe, picture],
        ["search", "--model", MODEL, "--index", pipe, folder],
        ["plot", pipe, "--out", f"{folder}/o.svg"],
        ["plot", "/dev/zero", "--out", f"{folder}/o.svg"],
    ):
        result = vit.run(*arguments)
        tally.check(result.status == 1 and result.err.startswith("vit: "), f"{arguments}", result)


def test_sparse_picture(vit, tally, folder):
    """Of what is no picture the first bytes are read, and not all of them."""
    path = f"{folder}/large.jpg"
    with open(path, "wb") as file:
        file.truncate(4 << 30)
    result = vit.run("classify", "--model", MODEL, path)
    tally.check(result.status == 1 and "is not a JPEG or PNG picture" in result.err, "a sparse file of 4 GiB", result)
    write(path, png(40, 40, 1))
    with open(path, "r+b") as file:
        file.truncate(1 << 31)
    result = vit.run("classify", "--model", MODEL, path)
    tally.check(result.status == 1 and "2147483648 bytes, expected a picture of at most 2147483647" in result.err, "more bytes than a picture has", result)


def indexed(*chunks):
    """A PNG with a palette, of these chunks in this order; IDAT again has no bytes."""
    data = {b"PLTE": bytes(range(6)), b"IDAT": zlib.compress(bytes(4 * 2)), b"tEXt": b"a\0b"}
    body = b"".join(png_chunk(kind, data[kind] if chunks.index(kind) == i else b"") if kind == b"IDAT" else png_chunk(kind, data[kind])
                    for i, kind in enumerate(chunks))
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", struct.pack(">IIBBBBB", 4, 4, 1, 3, 0, 0, 0)) + body + png_chunk(b"IEND", b"")


def test_broken_pictures(vit, tally, folder):
    good = png(40, 40, 1)
    os.mkdir(f"{folder}/folder.jpg")
    broken = {
        "missing.png": (None, "no such file"),
        "empty.png": (b"", "empty"),
        "late.png": (indexed(b"IDAT", b"PLTE"), "no palette before"),
        "again.png": (indexed(b"PLTE", b"IDAT", b"PLTE"), "PLTE behind the image data"),
        "twice.png": (indexed(b"PLTE", b"PLTE", b"IDAT"), "a second palette"),
        "split.png": (indexed(b"PLTE", b"IDAT", b"tEXt", b"IDAT"), "IDAT behind the image data"),
        "text.jpg": ("This is no picture.\n" * 9, None),
        "page.png": ("<!DOCTYPE html><html><body>404</body></html>", None),
        "cut.png": (good[: len(good) // 2], None),
        "cut_header.png": (good[:20], None),
        "huge.png": (png_header(60000, 60000) + good[33:], "60000"),
        "huge_side.png": (png_header(70000, 1) + good[33:], "70000"),
        "nothing.png": (png_header(0, 40) + good[33:], None),
        "picture.gif": (b"GIF89a" + bytes(40), "GIF"),
        "picture.bmp": (b"BM" + bytes(60), "BMP"),
        "weights.png": (read(f"{MODEL}/model.safetensors"), None),
    }
    first, last = write(f"{folder}/1.png", good), write(f"{folder}/2.png", png(40, 40, 2))
    paths = []
    for name, (data, _) in broken.items():
        paths.append(f"{folder}/{name}")
        if data is not None:
            write(paths[-1], data)
    for path, (_, reason) in zip(paths, broken.values()):
        result = vit.run("classify", "--model", MODEL, path)
        tally.check(
            result.status == 1
            and result.out == ""
            and result.err.startswith(f"vit: {path}: ")
            and result.err.count("\n") == 1
            and (reason is None or reason in result.err),
            f"classify {path}",
            result,
        )
    result = vit.run("classify", "--json", "--model", MODEL, first, *paths, f"{folder}/folder.jpg", last)
    tally.equal([line["path"] for line in lines(result)], [first, last], "the good ones are done")
    tally.equal(
        (result.status, sorted(line.split(": ")[1] for line in result.err.splitlines())),
        (1, sorted(paths + [f"{folder}/folder.jpg"])),
        "the bad ones are named, once each",
    )
    result = vit.run("classify", "--json", "--model", MODEL, folder)
    tally.equal([line["path"] for line in lines(result)], [first, last], "in a folder as well")
    tally.equal(result.err.count("\n"), len(broken) - 3, "and those that are called pictures named")
    for words in (["trace", "--image", paths[2], "--out", f"{folder}/o.safetensors"], ["bench", "--image", paths[2]]):
        result = vit.run(words[0], "--model", MODEL, *words[1:])
        tally.check(result.status == 1 and result.out == "" and paths[2] in result.err, f"{words[0]} of text", result)


def test_names(vit, tally, folder):
    """Names that are long, empty or in capitals; a model over a limit; files that are replaced."""
    far = "/".join([folder] + ["d" * 200] * 3 + ["x.jpg"])
    result = vit.run("classify", "--model", MODEL, far)
    tally.check(result.status == 1 and result.err.endswith("x.jpg: no such file\n"), "a long path", result)
    result = vit.run("convert", "", f"{folder}/e.gguf")
    tally.check(result.status == 1 and "is empty" in result.err and not os.path.exists(f"{folder}/e.gguf"), "no name", result)
    result = vit.run("convert", MODEL, f"{folder}/A.SafeTensors")
    tally.check(result.status == 0 and read(f"{folder}/A.SafeTensors")[8:9] == b"{", "an ending in capitals", result)
    deep = b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", struct.pack(">IIBBBBB", 30, 30, 16, 2, 0, 0, 0))
    deep += png_chunk(b"IDAT", zlib.compress(bytes(30 * 181))) + png_chunk(b"IEND", b"")
    picture = write(f"{folder}/deep.png", deep)
    for pixels, status in ((1800, 0), (1799, 1)):
        result = vit.run("classify", "--limits", f"image_pixels={pixels}", "--model", MODEL, picture)
        tally.check(result.status == status and ("of 16 bits" in result.err) == status, f"16 bits, {pixels} pixels", result)
    result = vit.run("info", "--limits", "layers=1", MODEL)
    tally.check(result.status == 1 and "limit layers" in result.err, "info knows limits", result)
    if vit.wasi:
        return
    private = write(f"{folder}/private.gguf", "old")
    os.chmod(private, 0o600)
    result = vit.run("convert", MODEL, private)
    tally.check(result.status == 0 and os.stat(private).st_mode & 0o777 == 0o600, "who may read a file stays so", result)
    os.symlink("b", f"{folder}/a")
    os.symlink("a", f"{folder}/b")
    result = vit.run("features", "--model", MODEL, "--out", f"{folder}/a", write(f"{folder}/1.png", png(9, 9, 1)))
    tally.check(result.status != 0 and os.path.islink(f"{folder}/a"), "links that lead nowhere", result)


def test_closed_streams(vit, tally, folder):
    """What is said to a closed stream goes nowhere, and not into the file that is open in its place."""
    if vit.wasi:
        return tally.skip("closed streams under WASI")
    good, bad = write(f"{folder}/in/1.png", png(40, 40, 1)), write(f"{folder}/in/2.png", "text")
    index = f"{folder}/index"
    command = [*vit.words, "search", "--model", MODEL, "--index", index, f"{folder}/in"]
    done = subprocess.run(["sh", "-c", 'exec "$@" 2>&-', "sh", *command], stdin=subprocess.DEVNULL, timeout=60)
    tally.equal(done.returncode, 1, "a bad picture, and nowhere to say it")
    result = vit.run("search", "--model", MODEL, index, good)
    tally.check(result.status == 0 and bad not in result.err, "the index is whole", result)
    done = subprocess.run(["sh", "-c", 'exec "$@" >&-', "sh", *vit.words, "version"], stderr=subprocess.DEVNULL, timeout=60)
    tally.equal(done.returncode, 1, "nowhere to print")


def test_jpeg_damage(vit, tally, folder):
    whole = sorted(glob.glob("tests/golden/preprocess/decode/*.jpg"))[:1]
    if not whole:
        return tally.skip("no JPEG among the goldens")
    data = read(whole[0])
    picture = write(f"{folder}/whole.JPEG", data)
    result = vit.run("classify", "--model", MODEL, picture)
    tally.check(result.status == 0 and result.err == "", "a JPEG", result)
    for name, damaged in {"half": data[: len(data) * 2 // 3], "header": data[:60], "start": data[:2]}.items():
        path = write(f"{folder}/{name}.jpg", damaged)
        result = vit.run("classify", "--model", MODEL, path)
        tally.check(
            result.status == 1 and result.out == "" and result.err.startswith(f"vit: {path}: "),
            f"{name} of a JPEG",
            result,
        )


def golden_errors():
    """(path, what to expect) of every list there is."""
    for table in sorted(glob.glob(f"{ERRORS}/*.json")):
        for entry in json.loads(read(table)):
            path = f"{ERRORS}/{entry['file']}"
            if os.path.exists(path):
                yield path, entry["expect"]


def test_golden_errors(vit, tally, folder):
    ran = 0
    for path, expect in golden_errors():
        words = ["classify", "--model", MODEL] if "/images/" in path else ["info"]
        result = vit.run(*words, path)
        ran += 1
        allowed = {"accept": (0,), "error": (1,), "either": (0, 1)}[expect]
        tally.check(result.status in allowed, f"{path}: expected {expect}", result)
        if result.status == 1:
            tally.check(
                result.out == "" and path in result.err and result.err.count("\n") == 1 and len(result.err) < 700,
                f"{path} is named",
                result,
            )
    tally.check(ran > 0, "there are golden errors")
