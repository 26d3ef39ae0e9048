"""fewshot on small pictures and a model with random weights, and on photographs of flowers where VIT_DATA has them."""

import json
import os
import struct

from cases_pictures import GAP_MODEL, MODEL, fed_otherwise, lines, near, pictures
from files import read, read_npy, read_png, write

OTHER_MODEL = "tests/golden/forward/timm_no_embed_class"
CLASSES = {"rose": 5, "tulip": 4, "daisy é": 3}


def garden(folder, classes=CLASSES):
    """Paths by class, each class's pictures of a size of its own."""
    paths = []
    for i, (name, count) in enumerate(sorted(classes.items())):
        names = [f"{name}/{'deep/' if n % 2 else ''}{n}.png" for n in range(count)]
        paths += pictures(f"{folder}/garden", names, (20 + 14 * i, 30))
    return sorted(paths)


def features(vit, folder, paths, *options):
    result = vit.run("features", "--model", MODEL, *options, "--out", f"{folder}/f.npy", *paths)
    assert result.status == 0, result
    (rows, width), values = read_npy(f"{folder}/f.npy")
    return [values[i * width : (i + 1) * width] for i in range(rows)]


def solve(a, b):
    """a x = b for a positive definite a; b and x have a row for each of a's."""
    a, b, n = [list(row) for row in a], [list(row) for row in b], len(a)
    for i in range(n):
        for j in range(i + 1, n):
            factor = a[j][i] / a[i][i]
            a[j] = [x - factor * y for x, y in zip(a[j], a[i])]
            b[j] = [x - factor * y for x, y in zip(b[j], b[i])]
    for i in reversed(range(n)):
        for j in range(i + 1, n):
            b[i] = [x - a[i][j] * y for x, y in zip(b[i], b[j])]
        b[i] = [x / a[i][i] for x in b[i]]
    return b


def least_squares(x, y, classes, l2, others):
    """Scores of others; by the dual, whose answer is the primal's."""
    n, width = len(x), len(x[0])
    mean = [sum(row[d] for row in x) / n for d in range(width)]
    scale = [(sum((row[d] - mean[d]) ** 2 for row in x) / n) ** 0.5 + 1e-5 for d in range(width)]
    z = [[(row[d] - mean[d]) / scale[d] for d in range(width)] + [100] for row in x]
    gram = [[sum(p * q for p, q in zip(a, b)) + (l2 if i == j else 0) for j, b in enumerate(z)] for i, a in enumerate(z)]
    dual = solve(gram, [[1 if y[i] == k else -1 for k in range(classes)] for i in range(n)])
    weights = [[sum(dual[i][k] * z[i][d] for i in range(n)) for d in range(width + 1)] for k in range(classes)]
    return [
        [sum((v - m) / s * w for v, m, s, w in zip(row, mean, scale, each)) + 100 * each[-1] for each in weights]
        for row in others
    ]


def label_of(path, root):
    return path[len(root) + 1 :].split("/")[0]


def test_fewshot(vit, tally, folder):
    paths, root, probe = garden(folder), f"{folder}/garden", f"{folder}/p"
    labels = sorted(CLASSES)
    result = vit.run("fewshot", "fit", "--model", MODEL, "--l2", "2", "--json", "--out", probe, root)
    tally.check(result.status == 0 and result.err == "", "fewshot fit", result)
    (made,) = lines(result)
    tally.equal(list(made), ["examples", "l2", "leave_one_out", "classes"], "keys of fit --json")
    tally.equal(made["classes"], [{"label": name, "examples": CLASSES[name]} for name in labels], "classes")
    tally.equal((made["examples"], made["l2"]), (12, 2), "examples and l2")

    rows = features(vit, folder, paths)
    expected = least_squares(rows, [labels.index(label_of(path, root)) for path in paths], 3, 2, rows)
    result = vit.run("fewshot", "predict", "--model", MODEL, "--probe", probe, "--json", root)
    tally.check(result.status == 0 and result.err == "", "fewshot predict", result)
    tally.equal([line["path"] for line in lines(result)], paths, "all pictures in order")
    for line, scores in zip(lines(result), expected):
        top = line["top"]
        tally.equal([t["index"] for t in top], sorted(range(3), key=lambda k: -scores[k]), "best first")
        tally.equal([t["label"] for t in top], [labels[t["index"]] for t in top], "labels")
        tally.check(all(near(t["score"], scores[t["index"]], 1e-4) for t in top), "scores", (top, scores))
    text = vit.run("fewshot", "predict", "--model", MODEL, "--probe", probe, "--top", "1", paths[0])
    best = lines(result)[0]["top"][0]
    tally.equal(text.out, f"{paths[0]}\n  {best['score']:7.4f}  {best['label']}\n", "text says the same")

    result = vit.run("fewshot", "predict", "--model", MODEL, "--probe", probe, "--neighbours=1", "--json", *paths)
    for path, line in zip(paths, lines(result)):
        first = (line["top"][0]["label"], line["top"][0]["score"])
        tally.equal(first, (label_of(path, root), 1), "an example is its own nearest")

    again = f"{folder}/again"
    vit.run("fewshot", "fit", "--model", MODEL, "--l2", "2", "--out", again, "--threads", "1", f"{root}/")
    tally.equal(read(again), read(probe), "the same file again, on one thread, with a slash")
    chosen = vit.run("fewshot", "fit", "--model", MODEL, "--out", again, root)
    tally.check(
        chosen.status == 0 and chosen.out.startswith("3 classes, 12 examples  l2 ") and chosen.out.endswith(" %\n"),
        "l2 is chosen",
        chosen,
    )


def test_fewshot_adds(vit, tally, folder):
    root = f"{folder}/garden"
    garden(folder)
    whole, part, added = (f"{folder}/{name}" for name in ("whole", "part", "added"))
    vit.run("fewshot", "fit", "--model", MODEL, "--l2", "8", "--pool", "mean", "--out", whole, root)
    for name in sorted(CLASSES)[1:]:
        os.rename(f"{root}/{name}", f"{folder}/{name}")
    vit.run("fewshot", "fit", "--model", MODEL, "--pool=mean", "--out", part, root)
    os.rename(f"{root}/{sorted(CLASSES)[0]}", f"{folder}/done")
    for name in sorted(CLASSES)[1:]:
        os.rename(f"{folder}/{name}", f"{root}/{name}")
    result = vit.run("fewshot", "fit", "--model", MODEL, "--l2", "8", "--add", part, "--out", added, root)
    tally.check(result.status == 0 and read(added) == read(whole), "adding to a file is fitting all", result)
    result = vit.run("fewshot", "fit", "--model", MODEL, "--add", part, "--pool", "mean", "--out", added, root)
    tally.check(result.status == 2 and "--pool does not go with --add" in result.err, "--add and --pool", result)


def test_fewshot_eval(vit, tally, folder):
    paths, root, out = garden(folder, {"a": 6, "b": 7, "c": 9}), f"{folder}/garden", f"{folder}/o.png"
    labels = [label_of(path, root) for path in paths]
    run = ["fewshot", "eval", "--model", MODEL, "--shots", "1,4", "--repeats", "6", "--l2", "64"]
    result = vit.run(*run, "--json", "--out", out, root)
    tally.check(result.status == 0 and result.err == "", "fewshot eval", result)
    rows = features(vit, folder, paths)
    tally.equal([line["shots"] for line in lines(result)], [1, 4], "a line for each number of shots")
    drawn = set()
    for line in lines(result):
        percents = []
        tally.equal(list(line), ["shots", "trials", "accuracy", "deviation", "votes"], "keys of eval --json")
        tally.equal(len(line["trials"]), 6, "trials")
        for trial in line["trials"]:
            chosen = trial["rows"]
            drawn.add(tuple(chosen))
            tally.equal(
                [labels[row] for row in chosen], [name for name in "abc" for _ in range(line["shots"])], "as many of each"
            )
            others = [i for i in range(len(paths)) if i not in chosen]
            scores = least_squares(
                [rows[i] for i in chosen], ["abc".index(labels[i]) for i in chosen], 3, 64, [rows[i] for i in others]
            )
            right = sum(labels[i] == "abc"[s.index(max(s))] for i, s in zip(others, scores))
            tally.equal((trial["right"], trial["others"], trial["l2"]), (right, len(others), 64), "what is right")
            percents.append(100 * right / len(others))
        mean = sum(percents) / 6
        deviation = (sum((p - mean) ** 2 for p in percents) / 6) ** 0.5
        tally.check(near(line["accuracy"], mean, 1e-3) and near(line["deviation"], deviation, 1e-3), "mean", line)
    tally.check(len(drawn) > 8, "draws differ")
    tally.equal(read_png(out)[:2], (960, 640), "a diagram")
    tally.equal(vit.run(*run, "--json", root).out, result.out, "twice the same")
    tally.check(vit.run(*run, "--json", "--seed", "1", root).out != result.out, "another seed")
    text = vit.run(*run, root)
    tally.equal(len(text.out.splitlines()), 3, "text: a heading and a line for each")
    for line, made in zip(text.out.splitlines()[1:], lines(result)):
        words = line.split()
        tally.equal(words[:2], [str(made["shots"]), f"{made['accuracy']:.2f}"], "text says the same")
    usual = lines(vit.run("fewshot", "eval", "--model", MODEL, "--repeats=1", "--json", root))
    tally.equal([line["shots"] for line in usual], [1, 2, 5], "shots by default")


def test_fewshot_errors(vit, tally, folder):
    paths, root, probe = garden(folder), f"{folder}/garden", f"{folder}/p"
    vit.run("fewshot", "fit", "--model", MODEL, "--out", probe, root)
    predict = ["fewshot", "predict", "--probe", probe]
    feeding = (["--size", "24x40"], ["--crop-pct", "0.5"])
    for options in (*(["--model", other] for other in (OTHER_MODEL, *fed_otherwise(folder))), *feeding):
        for words in ([*predict, paths[0]], ["fewshot", "fit", "--add", probe, "--out", f"{folder}/left", root]):
            result = vit.run(*words, "--model", MODEL, *options)
            told = "was made with another network, or pictures fed otherwise" in result.err
            tally.check(result.status == 1 and result.out == "" and told, f"{words[1]} with {options}", result)
    for options in feeding:
        vit.run("fewshot", "fit", "--model", MODEL, *options, "--out", f"{folder}/fed", root)
        result = vit.run("fewshot", "predict", "--probe", f"{folder}/fed", "--model", MODEL, *options, paths[0])
        tally.check(result.status == 0 and result.err == "", f"a classifier of {options}", result)
    result = vit.run(*predict, "--model", MODEL, "--size", "32", "--crop-pct", "0.9", paths[0])
    tally.check(result.status == 0 and result.err == "", "what the model says, said once more", result)
    bad = write(f"{folder}/bad.png", "text")
    result = vit.run(*predict, "--model", MODEL, "--json", bad, paths[0])
    tally.check(result.status == 1 and bad in result.err and len(lines(result)) == 1, "a bad picture", result)
    write(f"{root}/rose/bad.png", "text")
    pictures(root, ["stray.png"])
    other = f"{folder}/other"
    result = vit.run("fewshot", "fit", "--model", MODEL, "--out", other, root)
    tally.check(
        result.status == 1
        and result.err.count("\n") == 2
        and f"{root}/stray.png: lies in no folder that names its class" in result.err
        and f"{root}/rose/bad.png" in result.err
        and "12 examples" in result.out,
        "the others are learnt from",
        result,
    )
    one = f"{folder}/one"
    pictures(one, ["a/1.png"])
    result = vit.run("fewshot", "fit", "--model", MODEL, "--out", other, "--l2", "1", one)
    tally.check(result.status == 0 and result.out.startswith("1 class, 1 example  l2 1 "), "one example", result)
    os.makedirs(f"{folder}/empty")
    left = f"{folder}/left"
    for options, status, said in (
        (["fit", "--out", left, f"{folder}/none"], 1, "none: no such folder"),
        (["fit", "--out", left, paths[0]], 1, "is a file, expected a folder"),
        (["fit", "--out", left, f"{folder}/empty"], 1, "there is no example to learn from"),
        (["fit", "--out", f"{folder}/none/p", root], 1, "no such folder"),
        (["fit", "--add", paths[0], "--out", left, root], 1, paths[0]),
        (["fit", "--add", f"{MODEL}/model.safetensors", "--out", left, root], 1, "is not a few-shot file"),
        (["predict", "--probe", f"{MODEL}/model.safetensors", paths[0]], 1, "is not a few-shot file"),
        (["predict", "--probe", f"{folder}/none", paths[0]], 1, f"{folder}/none"),
        (["eval", "--shots", "3", root], 2, "--shots 3: the smallest class has 3 pictures"),
        (["eval", "--shots", "1,x", root], 2, "--shots '1,x': expected"),
        (["eval", "--shots", "1,,2", root], 2, "--shots '1,,2': expected"),
        (["eval", f"{root}/tulip"], 1, "expected two classes"),
        (["eval", f"{folder}/empty"], 1, "expected two classes"),
    ):
        result = vit.run("fewshot", options[0], "--model", MODEL, *options[1:])
        tally.check(result.status == status and said in result.err, f"fewshot {options}", result)
    tally.check(not os.path.exists(left), "nothing is left by a failure")
    result = vit.run("fewshot", "fit", "--model", GAP_MODEL, "--pool", "cls", "--out", left, root)
    tally.check(result.status == 2 and "no class token" in result.err, "no class token", result)
    data = read(probe)
    (length,) = struct.unpack("<Q", data[:8])
    begin = 8 + length + json.loads(data[8 : 8 + length])["weights"]["data_offsets"][0]
    write(probe, data[:begin] + struct.pack("<d", float("nan")) + data[begin + 8 :])
    result = vit.run(*predict, "--model", MODEL, paths[0])
    tally.check(result.status == 1 and "numbers that none can have" in result.err, "a broken classifier", result)
    for name, value in (("weights", 1e308), ("scale", 5e-324), ("mean", -1e300)):
        at = 8 + length + json.loads(data[8 : 8 + length])[name]["data_offsets"][0]
        write(probe, data[:at] + struct.pack("<d", value) + data[at + 8 :])
        result = vit.run(*predict, "--model", MODEL, paths[0])
        tally.check(result.status == 1 and "numbers that none can have" in result.err, f"{name} of {value}", result)
    header = json.loads(data[8 : 8 + length])
    header["__metadata__"]["label.1"] = header["__metadata__"]["label.0"]
    header = json.dumps(header).encode()
    write(probe, struct.pack("<Q", len(header)) + header + data[8 + length :])
    result = vit.run(*predict, "--model", MODEL, paths[0])
    tally.check(result.status == 1 and "is there twice" in result.err, "two classes of one name", result)


DATA = os.environ.get("VIT_DATA", "../shared")
REAL, FLOWERS = f"{DATA}/data/vit_tiny_patch16_224", f"{DATA}/data/flowers_500"


def test_flowers(vit, tally, folder):
    """5-shot and 10-shot accuracy over 20 draws are those of plain arithmetic on the same features."""
    if not (os.path.exists(REAL) and os.path.exists(FLOWERS)):
        return tally.skip("no photographs of flowers and weights in VIT_DATA")
    if vit.wasi:
        return tally.skip("500 photographs take long under WASI")
    vit.run("features", "--model", REAL, "--out", f"{folder}/f.npy", FLOWERS)
    result = vit.run("fewshot", "eval", "--model", REAL, "--shots", "5,10", "--l2", "1024", "--json", FLOWERS)
    five, ten = lines(result)
    tally.check(result.status == 0 and len(five["trials"]) == 20, "fewshot eval", result)
    (count, width), values = read_npy(f"{folder}/f.npy")
    rows = [values[i * width : (i + 1) * width] for i in range(count)]
    for line in (five, ten):
        percents = []
        for trial in line["trials"]:
            chosen = trial["rows"]
            others = [i for i in range(count) if i not in chosen]
            x, y = [rows[i] for i in chosen], [i // 100 for i in chosen]
            scores = least_squares(x, y, 5, 1024, [rows[i] for i in others])
            percents.append(100 * sum(s.index(max(s)) == i // 100 for i, s in zip(others, scores)) / len(others))
        tally.equal((len(trial["rows"]), len(percents)), (5 * line["shots"], 20), f"{line['shots']} of each, 20 times")
        tally.check(near(sum(percents) / 20, line["accuracy"], 0.1), "accuracy", (line["shots"], percents, line["accuracy"]))
    tally.check(55 < five["accuracy"] < 62 < ten["accuracy"] + 2, "flowers are told apart", (five["accuracy"], ten["accuracy"]))
