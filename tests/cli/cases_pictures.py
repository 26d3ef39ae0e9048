"""classify, features, eval and bench on small pictures and a model with random weights."""

import array
import json
import math
import os
import tarfile

from files import png, read, read_npy, read_safetensors, safetensors, write

MODEL = "tests/golden/forward/timm_cls"
GAP_MODEL = "tests/golden/forward/timm_gap_notoken"  # no class token
CLASSES = 7
LABELS = ["red", "green", "blue, azure", "dark_grey", "light grey", "black", "ünïcode \"quoted\""]


def near(a, b, tolerance=1e-5):
    return abs(a - b) <= tolerance


def pictures(folder, names, side=(40, 48)):
    for seed, name in enumerate(names):
        write(f"{folder}/{name}", png(*side, seed))
    return [f"{folder}/{name}" for name in names]


def fed_otherwise(folder, model=MODEL):
    """The same network in other folders, each of which says something else of how pictures are fed to it."""
    config = json.loads(read(f"{model}/config.json"))
    for key, value in (("mean", [0.4, 0.5, 0.5]), ("std", [0.5, 0.5, 0.4]), ("interpolation", "bilinear"), ("crop_mode", "squash")):
        rules = {**config["pretrained_cfg"], key: value}
        write(f"{folder}/{key}/config.json", json.dumps({**config, "pretrained_cfg": rules}))
        write(f"{folder}/{key}/model.safetensors", read(f"{model}/model.safetensors"))
        yield f"{folder}/{key}"


def lines(result):
    return [json.loads(line) for line in result.out.splitlines()]


def test_classify(vit, tally, folder):
    a, b = pictures(folder, ["a.png", "b.png"])
    text = vit.run("classify", "--model", MODEL, a, b)
    tally.check(text.status == 0 and text.err == "", "classify", text)
    made = vit.run("classify", "--model", MODEL, "--json", a, b)
    tally.check(made.status == 0 and made.err == "" and made.out.endswith("}\n"), "classify --json", made)
    results = lines(made)
    tally.equal([list(result) for result in results], [["path", "top"]] * 2, "keys of classify --json")
    tally.equal([result["path"] for result in results], [a, b], "paths as they were given")
    expected = ""
    for result in results:
        tally.equal([list(top) for top in result["top"]], [["index", "label", "score"]] * 5, "five classes by default")
        scores = [top["score"] for top in result["top"]]
        tally.equal(scores, sorted(scores, reverse=True), "best first")
        tally.equal({top["label"] for top in result["top"]}, {None}, "no labels where the model has none")
        expected += (
            result["path"] + "\n" + "".join(f"  {top['score']:.4f}  class {top['index']}\n" for top in result["top"])
        )
    tally.equal(text.out, expected, "text says the same as JSON")
    everything = lines(vit.run("classify", "--model", MODEL, "--json", "--top", "1000", a))[0]["top"]
    tally.check(
        len(everything) == CLASSES and near(sum(top["score"] for top in everything), 1),
        "all classes add to 1",
        everything,
    )
    tally.equal(vit.run("classify", "--model", MODEL, "--json", a, b).out, made.out, "twice the same")
    tally.equal(
        vit.run("classify", "--model", MODEL, "--json", "--threads", "1", a, b).out, made.out, "threads change no bit"
    )
    tally.equal(vit.run("classify", "--json", a, b, VIT_MODEL=MODEL).out, made.out, "VIT_MODEL stands in for --model")
    tally.equal(
        vit.run("classify", "--json", "--model", MODEL, a, b, VIT_MODEL="nothing").out,
        made.out,
        "--model goes before VIT_MODEL",
    )
    tally.equal(
        vit.run("classify", a, "--json", f"--model={MODEL}/model.safetensors", f"--config={MODEL}/config.json", b).out,
        made.out,
        "file and config are the folder; options may come late",
    )


def test_classify_is_trace(vit, tally, folder):
    """The scores are softmax of the logits that trace writes of the same picture."""
    (picture,) = pictures(folder, ["a.png"])
    for options in ([], ["--size", "48"], ["--size=24x40"], ["--crop-pct", "0.5"], ["--size", "16x64", "--crop-pct=1"]):
        made = lines(vit.run("classify", "--model", MODEL, "--json", "--top", "7", *options, picture))[0]["top"]
        scores = array.array("f", [top["score"] for top in sorted(made, key=lambda top: top["index"])])
        trace = f"{folder}/trace.safetensors"
        vit.run("trace", "--model", MODEL, "--image", picture, "--out", trace, *options)
        probs = read_safetensors(trace)["probs"][2]
        tally.equal(scores, probs, f"classify is trace {options}")
    tally.check(
        len(
            {
                vit.run("classify", "--model", MODEL, *options, picture).out
                for options in ([], ["--size=48"], ["--crop-pct=0.5"], ["--size=48x32"])
            }
        )
        == 4,
        "size and crop-pct matter",
    )


def test_labels(vit, tally, folder):
    (picture,) = pictures(folder, ["a.png"])
    indices = [
        top["index"] for top in lines(vit.run("classify", "--model", MODEL, "--json", "--top=7", picture))[0]["top"]
    ]
    for name, text in {
        "labels.json": json.dumps(LABELS),
        "spaced.json": "\n " + json.dumps(LABELS, ensure_ascii=False, indent=1),
        "labels.txt": "\n".join(LABELS) + "\n",
        "no_end.txt": "\n".join(LABELS),
        "dos.txt": "\r\n".join(LABELS) + "\r\n",
    }.items():
        write(f"{folder}/{name}", text)
        made = vit.run("classify", "--model", MODEL, "--json", "--top=7", "--labels", f"{folder}/{name}", picture)
        tally.equal([top["label"] for top in lines(made)[0]["top"]], [LABELS[i] for i in indices], f"labels of {name}")
    write(f"{folder}/marked.txt", b"\xef\xbb\xbf" + read(f"{folder}/labels.txt"))
    plain, marked = [vit.run("classify", "--model", MODEL, "--labels", f"{folder}/{name}.txt", picture).out for name in ("labels", "marked")]
    tally.equal(marked, plain, "labels with a byte-order mark")
    text = vit.run("classify", "--model", MODEL, "--top=1", "--labels", f"{folder}/labels.txt", picture)
    tally.equal(text.out.split("\n")[1][10:], LABELS[indices[0]], "text output has the label")
    for name, text, reason in (
        ("six.json", json.dumps(LABELS[:6]), "7"),
        ("six.txt", "\n".join(LABELS[:6]), "7"),
        ("number.json", '["a",1,"c","d","e","f","g"]', "string"),
        ("cut.json", '["a","b', ""),
    ):
        write(f"{folder}/{name}", text)
        result = vit.run("classify", "--model", MODEL, "--labels", f"{folder}/{name}", picture)
        tally.check(
            result.status == 1 and result.out == "" and name in result.err and reason in result.err,
            f"bad {name}",
            result,
        )
    result = vit.run("classify", "--model", MODEL, "--labels", f"{folder}/none.txt", picture)
    tally.check(result.status == 1 and "none.txt: no such file" in result.err, "missing labels", result)


def test_huggingface_labels(vit, tally, folder):
    (picture,) = pictures(folder, ["a.png"])
    top = lines(vit.run("classify", "--model", "tests/golden/forward/hf_vit", "--json", "--top=1", picture))[0]["top"][
        0
    ]
    tally.equal(top["label"], f"LABEL_{top['index']}", "labels of config.json")
    model = "tests/golden/forward/hf_vit"
    config = json.loads(read(f"{model}/config.json"))
    names = config["id2label"]
    last = str(len(names) - 1)
    for file in ("model.safetensors", "preprocessor_config.json"):
        write(f"{folder}/m/{file}", read(f"{model}/{file}"))
    rest = {key: name for key, name in names.items() if key != last}
    for odd, why in (
        ({**names, "0": 7}, "expected class names, found 7"),
        ({**names, "0": None}, "expected class names, found null"),
        ({**rest, "x": "cat"}, f'expected the keys "0" to "{last}" once each, found "x"'),
        ({**rest, "99": "cat"}, f'expected the keys "0" to "{last}" once each, found "99"'),
        ({**rest, "-1": "cat"}, f'expected the keys "0" to "{last}" once each, found "-1"'),
        ({**rest, "00": "cat"}, f'expected the keys "0" to "{last}" once each, found "00"'),
        ("cat", 'expected class names, found "cat"'),
    ):
        path = write(f"{folder}/m/config.json", json.dumps({**config, "id2label": odd}))
        warnings = lines(vit.run("info", "--json", f"{folder}/m"))[0]["warnings"]
        tally.equal(warnings, [f"{path}: id2label: {why}: class names are not used"], f"odd class names {odd} are a warning")
        result = vit.run("classify", "--model", f"{folder}/m", "--json", "--top=1", picture)
        found = lines(result)[0]["top"][0] if result.out else {}
        tally.equal((result.status, found), (0, {**top, "label": None}), f"and the model is used without them, {odd}")


def test_folders(vit, tally, folder):
    names = [
        "B.PNG",
        "a-b/x.png",
        "a.png",
        "a/x.png",
        "a/deep/er/y.jpeg.png",
        "ä.png",
        "b.Png",
        "sp ace.png",
        "-dash.png",
    ]
    paths = sorted(pictures(f"{folder}/in", names), key=lambda path: path.encode())
    write(f"{folder}/in/notes.txt", "not a picture")
    write(f"{folder}/in/a/.hidden.png", "not looked at")
    write(f"{folder}/in/.hidden/x.png", "not looked at")
    os.mkdir(f"{folder}/in/folder.png")
    os.mkdir(f"{folder}/empty")
    for given in (f"{folder}/in", f"{folder}/in/"):
        result = vit.run("classify", "--model", MODEL, "--json", given)
        tally.check(result.status == 0 and result.err == "", f"classify {given}", result)
        tally.equal([line["path"] for line in lines(result)], paths, "pictures of a folder, sorted by bytes")
    result = vit.run(
        "classify", "--model", MODEL, "--json", paths[3], f"{folder}/empty", f"{folder}/in/a", f"{folder}/none"
    )
    tally.equal(
        [line["path"] for line in lines(result)],
        [paths[3]] + [p for p in paths if "/a/" in p],
        "arguments in the order they are given",
    )
    tally.equal(
        (result.status, result.err),
        (
            1,
            f"vit: {folder}/empty: no picture (.jpg, .jpeg, .png) in this folder\n"
            f"vit: {folder}/none: no such file\n",
        ),
        "an empty folder and a missing path",
    )
    model = os.path.abspath(MODEL)
    result = vit.run("classify", "--json", "--model", model, "--", "-dash.png", cwd=f"{folder}/in", folders=[model])
    tally.check(result.status == 0 and lines(result)[0]["path"] == "-dash.png", "-- ends the options", result)
    if not vit.wasi:
        os.symlink("..", f"{folder}/in/a/loop")
        os.symlink("../a.png", f"{folder}/in/a/link.png")
        result = vit.run("classify", "--model", MODEL, "--json", f"{folder}/in")
        tally.equal(len(lines(result)), len(paths) + 1, "links to files are followed, links to folders are not")


def test_odd_names(vit, tally, folder):
    if vit.wasi:
        return tally.skip("names that are not UTF-8: WASI has none")
    path = os.fsencode(folder) + b"/odd\xff\"\\\n.png"
    with open(path, "wb") as file:
        file.write(png(40, 40, 1))
    result = vit.run("classify", "--model", MODEL, "--json", folder)
    tally.equal(
        [line["path"] for line in lines(result)], [f"{folder}/odd\ufffd\"\\\n.png"], "JSON of a name that is not UTF-8"
    )


def test_control_characters(vit, tally, folder):
    """What files are called and what they say does not reach the terminal as commands."""
    evil = "\x1b]0;evil\x07\nline\x7f\x9b2J é"
    shown = "\\x1b]0;evil\\x07\\x0aline\\x7f\\x9b2J é"
    (picture,) = pictures(folder, ["a.png"])
    labels = write(f"{folder}/labels.json", json.dumps([evil] * CLASSES))
    result = vit.run("classify", "--model", MODEL, "--top=1", "--labels", labels, picture)
    tally.equal(result.out.split("\n")[1][10:], shown, "a label")
    _, shape, values = read_safetensors(f"{MODEL}/model.safetensors")["norm.bias"]
    write(f"{folder}/m.safetensors", safetensors({evil: ("F32", shape, values)}))
    for options in ([], ["--json"], ["--config", f"{MODEL}/config.json"]):
        result = vit.run("info", *options, f"{folder}/m.safetensors")
        tally.equal([c for c in result.out + result.err if c != "\n" and not c.isprintable()], [], f"info {options}")
    tally.check(f"\n  {shown}  " in vit.run("info", f"{folder}/m.safetensors").out, "the name of a tensor")
    tally.equal(vit.run(evil).err.split("\n")[0], f"vit: unknown command '{shown}'", "a command")
    tally.equal(
        vit.run("info", f"{folder}/{evil}").err.count("\n"), 1, "the name of a file that is not there is one line"
    )
    if not vit.wasi:
        odd = write(f"{folder}/{evil}.png", read(picture))
        shown = f"{folder}/{shown}.png"
        tally.equal(vit.run("classify", "--model", MODEL, odd).out.split("\n")[0], shown, "the name of a picture")
        result = vit.run("features", "--model", MODEL, "--out", f"{folder}/f.npy", odd)
        tally.equal(result.out, shown + "\n", "the name of a row")


def test_features(vit, tally, folder):
    paths = pictures(f"{folder}/in", ["c.png", "a.png", "b/d.png"])
    bad = write(f"{folder}/in/bad.png", "text")
    ordered = [f"{folder}/in/{name}" for name in ("a.png", "b/d.png", "c.png")]
    made = {}
    for pool in ("head", "cls", "mean"):
        out = f"{folder}/{pool}.npy"
        result = vit.run("features", "--model", MODEL, "--pool", pool, "--out", out, f"{folder}/in")
        tally.check(
            result.status == 1 and result.err.count("\n") == 1 and bad in result.err, "a bad picture is named", result
        )
        tally.equal(result.out.splitlines(), ordered, "paths in the order of the rows")
        shape, values = read_npy(out)
        tally.equal(shape, (3, 36), "a row for each good picture")
        text = vit.run("features", "--model", MODEL, f"--pool={pool}", "--json", *ordered)
        tally.equal([list(line) for line in lines(text)], [["path", "features"]] * 3, "keys of features --json")
        tally.check(
            all(
                near(a, b, 1e-30 + 1e-7 * abs(a))
                for a, b in zip([v for line in lines(text) for v in line["features"]], values)
            ),
            f"JSON is the array, {pool}",
        )
        made[pool] = values.tobytes()
    tally.equal(made["head"], made["cls"], "this model's head sees the class token")
    tally.check(made["head"] != made["mean"], "the mean of the patches is something else")
    trace = f"{folder}/trace.safetensors"
    vit.run("trace", "--model", MODEL, "--image", ordered[0], "--out", trace)
    tensors = read_safetensors(trace)
    tally.equal(made["head"][: 36 * 4], tensors["features"][2].tobytes(), "features are trace's")
    norm = tensors["norm"][2]
    mean = [sum(norm[t * 36 + d] for t in range(1, 17)) / 16 for d in range(36)]
    tally.check(all(near(a, b) for a, b in zip(mean, read_npy(f"{folder}/mean.npy")[1])), "mean of the normed patches")
    both = vit.run("features", "--model", MODEL, "--json", "--out", f"{folder}/both.npy", *ordered)
    tally.equal(
        lines(both), [{"path": path, "row": row} for row, path in enumerate(ordered)], "--json with --out gives rows"
    )
    tally.equal(read(f"{folder}/both.npy"), read(f"{folder}/head.npy"), "head is the default")


def test_features_replaces(vit, tally, folder):
    """Only the file that was asked for is written, also where others have names like it."""
    (picture,) = pictures(folder, ["a.png"])
    out, other = write(f"{folder}/f.npy", "old"), write(f"{folder}/f.npy.mine", "mine")
    beside = write(f"{folder}/f.npy.part", "mine too")
    vit.run("features", "--model", MODEL, "--out", out, picture)
    tally.equal(read_npy(out)[0], (1, 36), "the file is replaced")
    tally.equal((read(other), read(beside)), (b"mine", b"mine too"), "no other is")
    os.remove(beside)


def test_features_errors(vit, tally, folder):
    (picture,) = pictures(folder, ["a.png"])
    bad = write(f"{folder}/bad.png", "text")
    result = vit.run("features", "--model", GAP_MODEL, "--pool", "cls", "--json", picture)
    tally.check(result.status == 2 and "class token" in result.err, "--pool cls without a class token", result)
    result = vit.run("features", "--model", MODEL, "--out", f"{folder}/none/f.npy", picture)
    tally.check(
        result.status == 1 and f"{folder}/none/f.npy: cannot write: no such folder" in result.err, "no folder", result
    )
    os.mkdir(f"{folder}/f.npy")
    result = vit.run("features", "--model", MODEL, "--out", f"{folder}/f.npy", picture)
    tally.check(result.status == 1 and "is a folder" in result.err, "--out is a folder", result)
    result = vit.run("features", "--model", MODEL, "--out", f"{folder}/g.npy", bad)
    tally.check(
        result.status == 1 and not os.path.exists(f"{folder}/g.npy") and "not written" in result.err,
        "no good picture",
        result,
    )


def test_eval(vit, tally, folder):
    """Pictures are filed under the class the model says they are, but for one."""
    paths = pictures(f"{folder}/in", [f"{i}.png" for i in range(6)])
    best = [line["top"] for line in lines(vit.run("classify", "--model", MODEL, "--json", "--top=7", *paths))]
    wrong = best[0][6]["index"]
    names = LABELS[:6] + ["white"]
    labels = write(f"{folder}/labels.json", json.dumps(names))
    truth = [wrong] + [top[0]["index"] for top in best[1:]]
    expected = {"images": 6, "top1": 83.3333, "top5": 83.3333}
    for kind, name in {
        "files": lambda i, c: f"{c:04}_name{i}.png",
        "digits": lambda i, c: f"{c}-{i}.png",
        "folders": lambda i, c: f"{c}/{i}.png",
        "deep": lambda i, c: f"00{c}_x/train/{i}.png",
        "labels": lambda i, c: f"{names[c].split(', ')[-1].upper().replace(' ', '_')}/{i}.png",
    }.items():
        for i, c in enumerate(truth):
            write(f"{folder}/{kind}/{name(i, c)}", png(40, 48, i))
        result = vit.run("eval", "--model", MODEL, "--labels", labels, "--json", f"{folder}/{kind}")
        tally.check(result.status == 0 and result.err == "", f"eval of {kind}", result)
        tally.equal(lines(result), [expected], f"accuracy of {kind}")
    text = vit.run("eval", "--model", MODEL, f"{folder}/files/")
    tally.equal(
        (text.out, text.err, text.status), ("6 pictures  top-1 83.33 %  top-5 83.33 %\n", "", 0), "eval as text"
    )
    for c in range(CLASSES):
        write(f"{folder}/ranked/n0{c * 37 + 11:03}/x.png", png(40, 48, 1))
    result = vit.run("eval", "--model", MODEL, "--json", f"{folder}/ranked")
    tally.equal(lines(result), [{"images": 7, "top1": 14.2857, "top5": 71.4286}], "folders in the order of the classes")


def test_eval_errors(vit, tally, folder):
    good = write(f"{folder}/in/{0}_a.png", png(40, 48, 0))
    write(f"{folder}/in/1_bad.png", "text")
    write(f"{folder}/in/7_seven.png", png(40, 48, 0))
    write(f"{folder}/in/name.png", png(40, 48, 0))
    write(f"{folder}/in/thing/x.png", png(40, 48, 0))
    result = vit.run("eval", "--model", MODEL, "--json", f"{folder}/in")
    tally.equal((result.status, lines(result)[0]["images"]), (1, 1), "what cannot be judged is left out")
    errors = result.err.splitlines()
    tally.equal(
        [line for line in errors if "1_bad" not in line],
        [
            f"vit: {folder}/in/7_seven.png: class 7, the model has 7",
            f"vit: {folder}/in/name.png: the name does not begin with a class index, as in 0007_cock.jpg",
            f"vit: {folder}/in/thing/x.png: folder 'thing' is neither a class index nor a label of the model",
            "vit: 4 left out",
        ],
        "and named",
    )
    tally.equal(len(errors), 5, "and the one that is no picture")
    with tarfile.open(f"{folder}/in.tar", "w") as tar:
        for name in ("0/a.png", "thing/b.png", "thing/c.png"):
            tar.add(good, name)
    result = vit.run("eval", "--model", MODEL, f"{folder}/in.tar")
    said = "vit: folder 'thing' is neither a class index nor a label of the model\nvit: 2 left out\n"
    tally.equal((result.status, result.err), (1, said), "a class of an archive is named once")
    for path, reason in (
        (good, "is a file, expected a folder or a .tar file"),
        (f"{folder}/none", "no such folder, expected a folder or a .tar file"),
    ):
        result = vit.run("eval", "--model", MODEL, path)
        tally.equal((result.status, result.out, result.err), (1, "", f"vit: {path}: {reason}\n"), f"eval {path}")
    labels = write(f"{folder}/labels.txt", "crane\nb\ncrane\nd\ne\nf\ng\n")
    write(f"{folder}/twice/crane/x.png", png(40, 48, 0))
    result = vit.run("eval", "--model", MODEL, "--labels", labels, f"{folder}/twice")
    tally.check(
        result.status == 1 and "'crane' names more than one class" in result.err, "a label of two classes", result
    )


def test_eval_of_no_numbers(vit, tally, folder):
    """A model whose scores are not numbers is right about nothing."""
    tensors = read_safetensors(f"{MODEL}/model.safetensors")
    tensors["head.bias"] = ("F32", [CLASSES], [math.nan] * CLASSES)
    write(f"{folder}/m/model.safetensors", safetensors(tensors))
    write(f"{folder}/m/config.json", read(f"{MODEL}/config.json"))
    for c in range(CLASSES):
        write(f"{folder}/in/{c}.png", png(40, 48, c))
    result = vit.run("eval", "--model", f"{folder}/m", "--json", f"{folder}/in")
    tally.equal(lines(result), [{"images": CLASSES, "top1": 0, "top5": 0}], "scores that are NaN")
    result = vit.run("classify", "--model", f"{folder}/m", f"{folder}/in/0.png")
    tally.check(result.status == 1 and result.out == "" and "0.png: the model's scores" in result.err, "classify says so", result)
    tensors["norm.bias"] = ("F32", [36], [math.nan] * 36)
    write(f"{folder}/m/model.safetensors", safetensors(tensors))
    for words in (["features", "--json"], ["search", f"{folder}/in"]):
        result = vit.run(words[0], "--model", f"{folder}/m", *words[1:], f"{folder}/in/0.png")
        tally.check(result.status == 1 and "nan" not in result.out and "0.png: the model's features" in result.err, f"{words[0]} says so", result)
    config = json.loads(read(f"{MODEL}/config.json"))
    for mean, std in (([0.5] * 3, [1e-44] * 3), ([3e38] * 3, [0.5] * 3)):
        config["pretrained_cfg"] = {**config["pretrained_cfg"], "mean": mean, "std": std}
        write(f"{folder}/odd/config.json", json.dumps(config))
        write(f"{folder}/odd/model.safetensors", read(f"{MODEL}/model.safetensors"))
        result = vit.run("classify", "--model", f"{folder}/odd", f"{folder}/in/0.png")
        tally.check(result.status == 1 and "cannot be used" in result.err, f"pixels of mean {mean[0]} and deviation {std[0]}", result)


def test_size(vit, tally, folder):
    """A size that was asked for and cannot be is a usage error; one that the model asks for is not."""
    (picture,) = pictures(folder, ["a.png"])
    config = json.loads(read(f"{MODEL}/config.json"))
    config["pretrained_cfg"]["input_size"] = [3, 4, 4]
    write(f"{folder}/m/model.safetensors", read(f"{MODEL}/model.safetensors"))
    write(f"{folder}/m/config.json", json.dumps(config))
    out = ["--out", f"{folder}/o.safetensors"]
    for words in (["classify", picture], ["bench", "--runs=1"], ["trace", "--image", picture, *out]):
        result = vit.run(*words, "--model", MODEL, "--size=4")
        tally.check(result.status == 2 and result.out == "" and "4x4" in result.err, f"{words[0]} --size=4", result)
        result = vit.run(*words, "--model", f"{folder}/m")
        tally.check(result.status == 1 and result.out == "", f"{words[0]} of a model of 4x4 pixels", result)


def test_bench(vit, tally, folder):
    (picture,) = pictures(folder, ["a.png"])
    result = vit.run("bench", "--model", MODEL, "--runs", "2", "--image", picture, "--json")
    tally.check(result.status == 0 and result.err == "", "bench --json", result)
    made = lines(result)[0]
    tally.equal(
        list(made),
        [
            "command",
            "architecture",
            "machine",
            "kernels",
            "threads",
            "input",
            "tokens",
            "runs",
            "min_ms",
            "median_ms",
            "flops",
            "gflops",
            "peak_gflops",
            "image",
            "stages",
        ],
        "keys of bench --json",
    )
    tally.check(0 < made["min_ms"] <= made["median_ms"] and made["runs"] == 2 and made["tokens"] == 17, "bench", made)
    names = [stage["name"] for stage in made["stages"]]
    tally.check(len(set(names)) == len(names) and {"patch_embed", "attn", "logits"} <= set(names), "stages", names)
    tally.check(
        sum(stage["ms"] for stage in made["stages"]) <= made["min_ms"] * 1.001 + 0.001, "stages add to the whole", made
    )
    text = vit.run("bench", "--model", MODEL, "--runs=1", "--size=16x64", "--threads=1")
    tally.check(
        text.status == 0
        and text.err == ""
        and "16x64 pixels" in text.out
        and "1 thread\n" in text.out
        and "\nstage " in text.out,
        "bench as text",
        text,
    )


def test_kernels(vit, tally, folder):
    (picture,) = pictures(folder, ["a.png"])
    reference = None
    f32, int8 = (line.split(":", 1)[1].split() for line in vit.run("version").out.splitlines()[1:])
    for name in f32:
        for how in (dict(arguments=["--kernels", name]), dict(environment={"VIT_KERNELS": name})):
            result = vit.run(
                "classify",
                "--model",
                MODEL,
                "--json",
                "--top=7",
                picture,
                *how.get("arguments", []),
                **how.get("environment", {}),
            )
            scores = {top["index"]: top["score"] for top in lines(result)[0]["top"]}
            reference = reference or scores
            tally.check(all(near(scores[i], reference[i]) for i in scores), f"kernels {how} agree", (scores, reference))
        used = lines(vit.run("bench", "--model", MODEL, "--runs=1", "--json", "--kernels", name))[0]["kernels"]
        tally.equal(used, name, "--kernels is what is used")
    for name in int8:
        words = ("--model", MODEL, "--compute=int8", "--json", "--kernels", name)
        top = lines(vit.run("classify", "--top=7", picture, *words))[0]["top"]
        close = all(abs(one["score"] - reference[one["index"]]) < 0.05 for one in top)
        tally.check(close, f"{name} agrees", (top, reference))
        used = lines(vit.run("bench", "--runs=1", *words))[0]["kernels"]
        isa, variant = name.split(",")
        tally.check(used.startswith(isa + ":") and used.endswith("," + variant), f"{name} is what is used", used)
    result = vit.run("classify", "--model", MODEL, "--kernels", "sse9", picture)
    tally.check(result.status == 2 and "sse9" in result.err and result.out == "", "unknown kernels", result)
    result = vit.run("trace", "--model", MODEL, "--image", picture, "--out", f"{folder}/o", VIT_KERNELS="sse9")
    tally.check(result.status == 2 and "sse9" in result.err and result.out == "", "in the environment", result)


def test_built_in_model(vit, tally, folder):
    a, b = pictures(folder, ["a.png", "b.jpg"])
    for words, of in (
        (["classify", "--json", a, b], "classify"),
        (["features", "--out", f"{folder}/f.npy", a], "classify"),
        (["masked", "--ratio=0.4", "--seed=3", "--json", "--out", f"{folder}/m.png", a], "masked"),
    ):
        given = vit.run(words[0], "--model", f"wasm/models/{of}.gguf", *words[1:])
        for empty in ({}, {"VIT_MODEL": ""}):
            built_in = vit.run(*words, **empty)
            tally.check(built_in.status == 0 and built_in.err == "", f"{words[0]} without a model", built_in)
            tally.equal(built_in.out, given.out, f"{words[0]} without a model is with wasm/models/{of}.gguf")
    result = vit.run("classify", "--config", "config.json", a)
    tally.check(result.status == 1 and "--model" in result.err, "a config alone", result)
    result = vit.run("classify", "--labels", "nothing.txt", a)
    tally.check(result.status == 1 and "nothing.txt" in result.err, "labels that are not there", result)


def test_known(vit, tally, folder):
    """Scores that are too low for a picture of the classes."""
    a, b = pictures(folder, ["a.png", "b.jpg"])
    for percent in (0, 100):
        out = f"{folder}/known.gguf"
        vit.run("convert", "--known-percent", str(percent), MODEL, out)
        for line in lines(vit.run("classify", "--json", "--model", out, a, b)):
            tally.equal(line.get("known"), False if percent else None, f"known, {percent} percent")
        text = vit.run("classify", "--top=1", "--model", out, a).out
        tally.equal("none of the" in text, percent > 0, f"in words, {percent} percent")
    for percent in ("-1", "101", "x"):
        tally.equal(vit.run("convert", "--known-percent", percent, MODEL, out).status, 2, f"--known-percent {percent}")


def test_unknown(vit, tally, folder):
    """eval --unknown: the scores of two folders, and how often the first has the higher one."""
    known, others = f"{folder}/known", f"{folder}/others"
    for of, names in ((known, ["0000_a.png", "0001_b.png", "0002_c.png"]), (others, ["d.png", "e.png"])):
        os.makedirs(of)
        pictures(of, names)
    result = vit.run("eval", "--json", "--model", MODEL, "--unknown", others, known)
    (found,) = lines(result)
    best = [[line["top"][0]["score"] for line in lines(vit.run("classify", "--json", "--model", MODEL, of))] for of in (known, others)]
    wins = [(x > y) + (x == y) / 2 for x in best[0] for y in best[1]]
    tally.equal(found["auroc"], round(sum(wins) / len(wins), 4), "AUROC")
    tally.equal(found["known_percent"], int(100 * min(best[0])), "known percent")
    tally.equal(found["rejected"], 100 * sum(100 * y < found["known_percent"] for y in best[1]) / 2, "rejected")
    tally.equal((found["images"], found["unknown"]), (3, 2), "pictures")
    tally.check("AUROC" in vit.run("eval", "--model", MODEL, "--unknown", others, known).out, "in words", result)
    result = vit.run("eval", "--model", MODEL, "--unknown", f"{folder}/none", known)
    tally.check(result.status == 1 and "none" in result.err and result.out == "", "no such folder", result)


def test_other_folder(vit, tally, folder):
    (picture,) = pictures(folder, ["a.png"])
    model, here = os.path.abspath(MODEL), vit.run("classify", "--model", MODEL, "--json", picture)
    there = vit.run("classify", "--model", model, "--json", "a.png", cwd=folder, folders=[model])
    tally.check(there.status == 0 and there.err == "", "from another folder", there)
    tally.equal([line["top"] for line in lines(there)], [line["top"] for line in lines(here)], "and the same answer")
