"""Files to refuse: every one is named with a reason, the others are done, the exit status is 1."""

import glob
import json
import os

from cases_pictures import MODEL, lines
from files import png, png_header, read, write

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
    tally.check(result.status == 1 and "is no JPEG or PNG picture" in result.err, "a sparse file of 4 GiB", result)


def test_broken_pictures(vit, tally, folder):
    good = png(40, 40, 1)
    os.mkdir(f"{folder}/folder.jpg")
    broken = {
        "missing.png": (None, "no such file"),
        "empty.png": (b"", "empty"),
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
