"""Pictures to train on and to test on: folders, archives, what is passed over, links, kinds of files."""

import io
import json
import os
import shutil
import tarfile

from cases_train import SMALL, log, pictures, same_run
from files import png, read, write

DECODE = "tests/golden/preprocess/decode"


def test_val(vit, tally, folder):
    """Several data sets to test on, none of which is trained on."""
    data, val, more = (pictures(f"{folder}/{name}") for name in ("data", "val", "more"))
    shutil.rmtree(f"{more}/class 2")
    for command in ("train", "pretrain"):
        small = [command, *SMALL, "--steps", "2", "--out", f"{folder}/{command}"]
        result = vit.run(*small, "--val", val, f"--val={more}", data)
        whole = vit.run(*small[:-1], f"{folder}/{command} alone", "--val", val, data)
        begun = json.loads(read(f"{folder}/{command}/run.json"))["options"]["val"]
        tally.check((result.status, begun) == (0, [val, more]), f"{command}: two to test on", result)
        tally.check(whole.status == 0 and log(f"{folder}/{command}")[-1]["test_loss"] != log(f"{folder}/{command} alone")[-1]["test_loss"],
                    "the second counts", whole)
        left = sorted(os.listdir(folder))
        for same in (data, f"{data}/", f"{data}/class 1", folder, f"{val}/../data"):
            result = vit.run(*small[:-1], f"{folder}/x", "--val", val, "--val", same, data)
            tally.check(result.status == 2 and f"--val '{same}' shares pictures with DATA '{data}'" in result.err, f"{command}: {same} is trained on", result)
        for words in (["--val", val, more, "--out", f"{folder}/x", data], [data, "--val", val, more, "--out", f"{folder}/x"]):
            result = vit.run(*small[:-2], *words)
            tally.check(result.status == 2 and "expected --val before each" in result.err, f"{command} {words}: what a shell writes for --val *", result)
        tally.equal(sorted(os.listdir(folder)), left, "nothing is begun")
    if not vit.wasi:
        os.symlink("../data", f"{folder}/val/link")
        result = vit.run(*small[:-1], f"{folder}/x", "--val", f"{val}/link", data)
        tally.check(result.status == 2 and "shares pictures" in result.err, "by a link", result)
        result = vit.run(*small[:-1], f"{folder}/x", "--val", f"{folder}/data/class 0", f"{val}/link")
        tally.check(result.status == 2 and "shares pictures" in result.err, "below a link", result)


def test_taken(vit, tally, folder):
    """What is not taken of the pictures is told; a tar of folders is as those folders; links are followed, by eval too."""
    data, val = pictures(f"{folder}/data"), pictures(f"{folder}/val")
    write(f"{data}/top.png", png(9, 9, 1))
    with tarfile.open(f"{folder}/data.tar", "w") as tar:
        tar.add(data, "data")
    write(f"{data}/cats/1.webp", b"RIFF")
    write(f"{data}/cats/2.webp", b"RIFF")
    os.mkdir(f"{data}/dogs")
    write(f"{val}/class 1/3.gif", b"GIF8")
    result = vit.run("train", *SMALL, "--steps", "2", "--val", val, "--out", f"{folder}/a", data)
    told = ("2 folders have no picture (.jpg, .jpeg, .png) and are no class; the first: ", "data/cats\n", "3 files are passed over", "1 file is passed over", "3.gif",
            "3 classes (class 0, class 1, class 2)")
    tally.check(result.status == 0 and all(word in result.err for word in told), "what is not taken", result)
    result = vit.run("train", *SMALL, "--steps", "2", "--val", val, "--out", f"{folder}/b", f"{folder}/data.tar")
    tally.check(result.status == 0 and "1 file is passed over" in result.err and "data.tar: data/top.png" in result.err, "a picture beside folders in a tar", result)
    same_run(tally, f"{folder}/a", f"{folder}/b", "packed or not")
    result = vit.run("eval", "--json", "--model", f"{folder}/b/model.gguf", f"{folder}/data.tar")
    tally.check(json.loads(result.out)["images"] == 36 and "1 file is passed over" in result.err, "eval tells it too", result)
    for i in range(36):
        write(f"{folder}/webp/{'ab'[i % 2]}/{i:02}.jpg", b"RIFF\0\0\0\0WEBPVP8 " + bytes(99))
    result = vit.run("train", *SMALL, "--steps", "2", "--out", f"{folder}/w", f"{folder}/webp")
    tally.check(result.status == 1 and "none of the 36 pictures" in result.err and result.err.count("a WebP picture") > 20 and "takes its place" not in result.err,
                "why no picture can be used", result)
    if not vit.wasi:
        shutil.move(f"{data}/class 1", f"{folder}/elsewhere")
        os.symlink("../elsewhere", f"{data}/class 1")
        os.symlink(".", f"{folder}/elsewhere/back")
        result = vit.run("train", *SMALL, "--steps", "2", "--out", f"{folder}/l", data)
        tally.check(result.status == 0 and "36 pictures" in result.err and "3 classes" in result.err, "a class that is a link", result)
        os.remove(f"{data}/top.png")
        result = vit.run("eval", "--json", "--model", f"{folder}/l/model.gguf", data)
        tally.check(result.status == 0 and json.loads(result.out)["images"] == 36, "eval follows it", result)


def test_kinds(vit, tally, folder):
    """Grey, transparent, 16-bit, CMYK and other pictures of JPEG and PNG."""
    names = sorted(name for name in os.listdir(DECODE) if name.endswith((".png", ".jpg")) and not name.startswith("wide"))
    for i, name in enumerate(names):
        write(f"{folder}/data/{'ab'[i % 2]}/{name}", read(f"{DECODE}/{name}"))
    result = vit.run("train", *SMALL, "--epochs", "2", "--val", shutil.copytree(f"{folder}/data", f"{folder}/val"), "--out", f"{folder}/a", f"{folder}/data")
    last = log(f"{folder}/a")[-2]
    tally.check(result.status == 0 and f"{len(names)} pictures" in result.err and last["bad_images"] == 0 and f"{folder}/val" not in result.err, f"{len(names)} kinds", result)


def test_archives(vit, tally, folder):
    """A tar of such folders, and shards with class numbers beside the pictures."""
    data = pictures(f"{folder}/data")
    with tarfile.open(f"{folder}/folders.tar", "w") as tar:
        tar.add(data, arcname="a rather long name of a folder above, so that it takes two headers or a prefix " * 2)
    for shard in range(2):
        with tarfile.open(f"{folder}/shard{shard}.tar", "w", format=tarfile.USTAR_FORMAT) as tar:
            for i in range(6):
                for name, content in ((f"{i}.a.png", png(18, 20, i)), (f"{i}.cls", b"%d" % (9 + i % 2))):
                    member = tarfile.TarInfo(name)
                    member.size = len(content)
                    tar.addfile(member, io.BytesIO(content))
    result = vit.run("train", *SMALL, "--steps", "2", "--val", data, "--out", f"{folder}/a", f"{folder}/folders.tar")
    words = "36 pictures" in result.err and "3 classes" in result.err
    tally.check(result.status == 0 and words, "a tar of folders", result)
    os.mkdir(f"{folder}/shards")
    for shard in range(2):
        os.rename(f"{folder}/shard{shard}.tar", f"{folder}/shards/{shard}.tar")
    result = vit.run("train", *SMALL, "--steps", "2", "--out", f"{folder}/b", f"{folder}/shards")
    words = "12 pictures" in result.err and "2 classes" in result.err
    tally.check(result.status == 0 and words, "shards", result)
    result = vit.run("train", *SMALL, "--steps", "2", "--out", f"{folder}/g", f"{folder}/shards/0.tar", f"{folder}/shards/1.tar")
    tally.check(result.status == 0 and "12 pictures" in result.err and read(f"{folder}/g/model.gguf") == read(f"{folder}/b/model.gguf"), "each shard named", result)
    result = vit.run("eval", "--json", "--model", f"{folder}/g/model.gguf", f"{folder}/shards/0.tar", f"{folder}/shards/1.tar")
    tally.check(result.status == 0 and json.loads(result.out)["images"] == 12, "shards are judged", result)
    result = vit.run("train", *SMALL, "--out", f"{folder}/h", f"{folder}/shards/0.tar", f"{folder}/absent.tar")
    tally.check(result.status == 1 and "absent.tar" in result.err, "one of several is absent", result)
    if not vit.wasi: # whose names are UTF-8
        for name in (b"caf\xe9", b"tea"):
            path = os.fsencode(f"{folder}/latin/") + name
            os.makedirs(path)
            write(path + b"/1.png", png(16, 16, 1))
        result = vit.run("train", *SMALL, "--out", f"{folder}/i", f"{folder}/latin")
        tally.check(result.status == 1 and "caf?: the name of the class is not UTF-8" in result.err, "a folder's name of Latin-1", result)
    with tarfile.open(f"{folder}/folders.tar", "a") as tar:
        tar.addfile(tarfile.TarInfo("above/class 1/empty.png"))
    result = vit.run("train", *SMALL, "--steps", "8", "--out", f"{folder}/d", f"{folder}/folders.tar")
    tally.check(result.status == 0 and "37 pictures" in result.err and "empty.png is empty" in result.err, "an empty picture in a tar", result)
    with tarfile.open(f"{folder}/odd.tar", "w", format=tarfile.PAX_FORMAT) as tar:
        tar.add(data, arcname="data")
        for kind, name in ((tarfile.LNKTYPE, "hard.png"), (tarfile.SYMTYPE, "soft.png")):
            link = tarfile.TarInfo(f"data/class 1/{name}")
            link.type, link.linkname = kind, "data/class 1/00.png"
            tar.addfile(link)
        late = tarfile.TarInfo("data/class 3/" + "long " * 60 + ".png")
        late.size, late.pax_headers = len(png(9, 9, 1)), {"comment": "x" * 9000}  # before the path
        tar.addfile(late, io.BytesIO(png(9, 9, 1)))
    result = vit.run("train", *SMALL, "--steps", "12", "--out", f"{folder}/e", f"{folder}/odd.tar")
    words = all(word in result.err for word in ("39 pictures", "4 classes", "hard.png is a link", "soft.png is a link"))
    tally.check(result.status == 0 and words, "links, and a long pax header", result)
    with tarfile.open(f"{folder}/name.tar", "w", format=tarfile.GNU_FORMAT) as tar:
        tar.addfile(tarfile.TarInfo("data/class 3/" + "n" * 1100 + ".png"))
    result = vit.run("train", *SMALL, "--steps", "8", "--out", f"{folder}/f", f"{folder}/name.tar")
    tally.check(result.status == 1 and "a name of 1117 bytes, expected at most 1023" in result.err, "a name too long", result)
    whole = read(f"{folder}/shards/0.tar")
    write(f"{folder}/cut.tar", whole[:3000])
    result = vit.run("train", *SMALL, "--out", f"{folder}/c", f"{folder}/cut.tar")
    tally.check(result.status == 1 and "ends within" in result.err, "half a tar", result)
    write(f"{folder}/noise.tar", whole[:512] + b"x" * 1024)
    result = vit.run("train", *SMALL, "--out", f"{folder}/c", f"{folder}/noise.tar")
    tally.check(result.status == 1 and "noise.tar" in result.err, "no tar", result)
