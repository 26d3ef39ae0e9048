"""train and finetune: what a run leaves, that it goes on after it was killed, what is said of wrong things."""

import fcntl
import json
import os
import pty
import re
import resource
import shutil
import signal
import struct
import subprocess
import tarfile
import termios
import time
import xml.etree.ElementTree

from files import png, read, read_png, write

SMALL = ["--layers", "2", "--width", "24", "--heads", "3", "--mlp", "32", "--patch", "4", "--size", "16", "--batch", "8"]


TWICE = ("steps", "epochs", "warmup", "warmup-epochs", "crop", "pad")  # pairs that say the same in other words


def pictures(folder):
    for kind in range(3):
        for i in range(12):
            write(f"{folder}/class {kind}/{i:02}.png", png(18, 20, 7 * kind + i % 3))
    return folder


def log(run):
    return [json.loads(line) for line in read(f"{run}/log.jsonl").decode().splitlines()]


def same_run(tally, a, b, what):
    for file in ("model.gguf", "state.safetensors"):
        x, y = read(f"{a}/{file}"), read(f"{b}/{file}")
        # a state's note holds the length of the log, whose times differ
        tally.check(x == y or (file[0] == "s" and len(x) == len(y) and x[1000:] == y[1000:]), f"{what}: {file}")


def test_train(vit, tally, folder):
    data, val = pictures(f"{folder}/data"), pictures(f"{folder}/val")
    rest = ["--epochs", "6", "--lr", "0.003", "--average", "0.5", "--randaugment", "2", "--mixup", "0.2"]
    rest += ["--dropout", "0.1"]
    result = vit.run("train", *SMALL, *rest, "--val", val, "--out", f"{folder}/a", data)
    tally.check(result.status == 0 and result.out.count("test accuracy") == 6, "train", result)
    lines = log(f"{folder}/a")
    tally.equal(sum("test_accuracy" in line for line in lines), 6, "evaluations in the log")
    tally.equal(max(line["update"] for line in lines), 27, "updates in the log")
    info = vit.run("info", f"{folder}/a/model.gguf")
    tally.check(info.status == 0 and "vit_d24_l2_patch4_16" in info.out, "info of the model", info)
    result = vit.run("eval", "--json", "--model", f"{folder}/a/model.gguf", data)
    accuracy = json.loads(result.out)["top1"]
    tally.check(abs(accuracy - lines[-1]["test_accuracy"]) < 0.01, "eval agrees with the log", result)
    best = max(line.get("test_accuracy", 0) for line in lines)
    result = vit.run("eval", "--json", "--model", f"{folder}/a/best.gguf", data)
    tally.check(abs(json.loads(result.out)["top1"] - best) < 0.01, "best.gguf is the best", result)

    result = vit.run("train", *SMALL, *rest, "--threads", "1", "--loaders", "0", "--out", f"{folder}/b", data)
    tally.check(result.status == 0, "train on one thread", result)
    same_run(tally, f"{folder}/a", f"{folder}/b", "threads change nothing")
    result = vit.run("train", *SMALL, *rest, "--seed", "1", "--out", f"{folder}/c", data)
    tally.check(read(f"{folder}/c/model.gguf") != read(f"{folder}/a/model.gguf"), "another seed, another model")

    result = vit.run("train", *SMALL, *rest, "--out", f"{folder}/a", data)
    tally.check(result.status == 1 and "--resume" in result.err, "a folder with a run", result)
    result = vit.run("train", *SMALL, *rest, "--lr", "0.1", "--resume", "--out", f"{folder}/a", data)
    tally.check(result.status == 1 and "cannot go on" in result.err, "resume with other settings", result)
    tally.check("run.json: begun with --lr \"0.003\", not \"0.1\"" in result.err and result.err.count("run.json: ") == 2, "what is other", result)
    for other in (["--weight-decay", "0.3"], ["--clip", "0"], ["--flip", "0"], ["--schedule", "constant"], ["--batch", "4", "--accumulate", "2"]):
        result = vit.run("train", *SMALL, *rest, *other, "--resume", "--out", f"{folder}/a", data)
        tally.check(result.status == 1 and ("cannot go on" in result.err or "batches for" in result.err), f"resume with {other}", result)
        tally.check(f"begun with {other[0]} " in result.err and f", not {json.dumps(other[1]) if other[0] == '--schedule' else other[1]}\n" in result.err, f"what is other of {other}", result)
    begun = json.loads(read(f"{folder}/a/run.json"))
    options = begun["options"]
    tally.equal((begun["command"], begun["data"], options["epochs"], options["lr"], options["optimizer"], options["size"], options["steps"]),
                ("train", [data], 6, "0.003", "adamw", "16x16", None), "what run.json says")
    result = vit.run("train", *SMALL, *rest, "--seed", "2", "--resume", "--out", f"{folder}/a", data)
    tally.check(result.status == 1 and "begun with --seed 0, not 2" in result.err, "resume with another seed", result)
    os.rename(f"{folder}/a/run.json", f"{folder}/a/run.old")
    for text in (b"", b"[1", b'{"options":{"lr":[]}}', b'{"options":{"lr":{"a":1},"clip":"\xff"}}'):
        write(f"{folder}/a/run.json", text)
        result = vit.run("train", *SMALL, *rest, "--lr", "0.1", "--resume", "--out", f"{folder}/a", data)
        tally.check(result.status == 1 and "cannot go on" in result.err, f"a run.json of {text}", result)
    os.replace(f"{folder}/a/run.old", f"{folder}/a/run.json")
    result = vit.run("train", "--recipe", "cifar10-hybrid", "--clip", "2", "--show", data)
    shown = json.loads(result.out)["options"]
    tally.equal((shown["units"], shown["clip"], shown["optimizer"]), ("2,2,2", 2, "sgd"), "--show")
    for command, recipe in (("train", "paper-jft"), ("train", "cifar10-hybrid"), ("finetune", "paper-small"), ("pretrain", "paper")):
        shown = json.loads(vit.run(command, "--recipe", recipe, "--show").out)["options"]
        given = [f"--{name}={value}" for name, value in shown.items()
                 if value is not None and not isinstance(value, bool) and name != "recipe" and (value or name not in TWICE)]
        again = json.loads(vit.run(command, *given, "--show").out)["options"]
        tally.equal({**again, "recipe": recipe}, shown, f"what {recipe} comes to, said as options")

    result = vit.run("train", *SMALL, "--steps", "2", "--subset", "20", "--holdout", "0.3", "--out", f"{folder}/e", data)
    tally.check(result.status == 0 and "vit: 20 pictures" in result.err, "a subset", result)
    result = vit.run("train", *SMALL, "--steps", "2", "--bf16", "--out", f"{folder}/h", data)
    tally.check(result.status == 0 or (result.status == 1 and "AMX" in result.err and not os.path.exists(f"{folder}/h/model.gguf")),
                "products of bfloat16, or why not", result)
    result = vit.run("train", *SMALL, "--steps", "2", "--bf16", "--kernels", "scalar", "--out", f"{folder}/i", data)
    tally.check(result.status in (1, 2) and ("scalar" in result.err or "AMX" in result.err), "bfloat16 of tables that have none", result)
    still = ["--loss", "sigmoid", "--label-smoothing", "0", "--crop", "0", "--flip", "0", "--lr", "1e-20", "--batch", "36", "--steps", "1"]
    result = vit.run("train", *SMALL, *still, "--val", val, "--out", f"{folder}/sigmoid", data)
    lines = log(f"{folder}/sigmoid")
    tally.check(abs(lines[0]["loss"] - lines[1]["test_loss"]) < 1e-4, "the loss of a test is that of training", lines)
    for option in (["--units", "2,2"], ["--unit-width", "8"], ["--norm-groups", "4"], ["--stem-stride", "2"]):
        result = vit.run("train", *SMALL, "--steps", "1", *option, "--out", f"{folder}/u", data)
        tally.check(result.status == 2 and "are for convolutions, which" in result.err, f"{option} of a network without convolutions", result)
    result = vit.run("train", *SMALL, "--warmup", "0", "--steps", "1", "--lr", "0.001", "--out", f"{folder}/w", data)
    tally.check(result.status == 0 and log(f"{folder}/w")[0]["rate"] == 0.001, "no warm-up, where the recipe has one", result)
    result = vit.run("finetune", "--steps", "1", "--batch", "2", "--accumulate", "1", "--out", f"{folder}/k", data)
    info = vit.run("info", f"{folder}/k/model.gguf")
    tally.check(result.status == 0 and "known_percent" not in info.out, "a new head does not know yet what it does not know", info)
    positions = ["--pos", "2d", "--placement", "layers"]
    result = vit.run("train", *SMALL, *positions, "--recipe", "paper-imagenet", "--accumulate", "2", "--epochs", "0.1",
                     "--out", f"{folder}/f", data)
    tally.check(result.status == 0 and ", 1 updates" in result.err, "epochs instead of a recipe's", result)
    info = vit.run("info", f"{folder}/f/model.gguf")
    tally.check("blocks.1.pos_x" in info.out, "positions of every layer", info)
    result = vit.run("finetune", "--model", f"{folder}/a/model.gguf", "--size", "24", "--epochs", "2", "--batch", "6",
                     "--freeze", "blocks.0", "--lr", "0.01,0.02", "--holdout", "0.2", "--out", f"{folder}/d", data)
    tally.check(result.status == 0 and "is chosen" in result.out, "finetune", result)
    result = vit.run("classify", "--model", f"{folder}/d/model.gguf", f"{data}/class 1/03.png")
    tally.check(result.status == 0 and "class 1" in result.out, "classify with it", result)


def test_train_begins(vit, tally, folder):
    """A network that cannot be is told before pictures are looked for; what cannot begin leaves no folder behind."""
    out = f"{folder}/run"
    for command in ("train", "pretrain"):
        for words, reason in (
            (["--arch", "vit_tiny_patch16_242"], "architecture 'vit_tiny_patch16_242' is not known; did you mean 'vit_tiny_patch16_224'?"),
            (["--arch", "vit_giga"], "architecture 'vit_giga' is not known; 'vit init --list' prints those that are"),
            (["--heads", "5"], "5 heads"),
            (["--size", "15"], "image 15x15 is smaller than a patch of 16x16"),
            (["--units", "2,2"], "are for convolutions, which vit_tiny_patch16_224 does not have"),
        ):
            for more in ([], ["--show"]):
                result = vit.run(command, *words, *more, "--out", out, f"{folder}/none")
                told = result.err.startswith(f"vit {command}: ") and reason in result.err
                tally.check((result.status, result.out, os.path.exists(out)) == (2, "", False) and told, f"{command} {words} {more}", result)
    data = pictures(f"{folder}/data")
    for words in (
        ["train", f"{folder}/none"],
        ["pretrain", f"{folder}/none"],
        ["train", "--val", f"{folder}/none", data],
        ["finetune", "--model", f"{folder}/none", data],
        ["finetune", "--freeze", "hat", data],
        ["finetune", "--model", "tests/golden/siglip/timm_siglip", data],  # whose pooling cannot be trained
        ["train", *SMALL, "--pad", "65535", data],
        ["train", *SMALL, "--pad", "65535", "--lr", "0.1,0.2", "--holdout", "0.3", data],
        ["train", *SMALL, "--lr", "0.1,0.2", "--holdout", "1e-9", data],
        ["pretrain", *SMALL, "--corrupt-masked", "0.95", data],
        ["train", *SMALL, "--val", f"{data}/class 1", data],
    ):
        result = vit.run(*words, "--out", out)
        tally.check(result.status in (1, 2) and result.err and not os.path.exists(out), f"nothing is left of {words}", result)
        write(f"{folder}/kept/mine", "mine")
        vit.run(*words, "--out", f"{folder}/kept")
        tally.equal(os.listdir(f"{folder}/kept"), ["mine"], f"nor in a folder that was there, of {words}")
    os.remove(f"{folder}/kept/mine")
    vit.run("train", f"{folder}/none", "--out", f"{folder}/kept")
    tally.check(os.path.exists(f"{folder}/kept"), "an empty folder that was there stays")


def test_train_options(vit, tally, folder):
    """Optimisers, schedules and what else changes a run: each says something else; what does not, says the same."""
    data = pictures(f"{folder}/data")
    command = ["train", *SMALL, "--steps", "4", "--warmup", "0", "--lr", "0.01", "--weight-decay", "0.1"]
    choices = [["--optimizer", kind] for kind in ("adamw", "adam", "adam-l2", "sgd")] + [["--optimizer", "sgd", "--momentum-type", "bf16"]]
    choices += [["--schedule", "linear"], ["--schedule", "constant"], ["--loss", "sigmoid"], ["--final-lr", "0.001"], ["--label-smoothing", "0.2"]]
    models = []
    for i, choice in enumerate(choices):
        result = vit.run(*command, *choice, "--out", f"{folder}/{i}", data)
        tally.equal(result.status, 0, f"train {choice}")
        models.append(read(f"{folder}/{i}/model.gguf"))
    tally.equal(len(set(models)), len(choices), "each is another model")
    tally.check(abs(log(f"{folder}/5")[-1]["rate"] - 0.0025) < 1e-9, "the last of 4 rates of a line to 0", log(f"{folder}/5"))
    for i, choice in enumerate((["--recompute"], ["--threads", "2", "--loaders", "3"])):
        result = vit.run(*command, *choice, "--out", f"{folder}/same{i}", data)
        tally.check(result.status == 0 and read(f"{folder}/same{i}/model.gguf") == models[0], f"the same with {choice}", result)


def test_record_of_model(vit, tally, folder):
    """run.json names the model that was tuned, wherever its name was from."""
    data, model = pictures(f"{folder}/data"), f"{folder}/base/model.gguf"
    vit.run("train", *SMALL, "--steps", "1", "--out", f"{folder}/base", data)
    command = ["finetune", "--steps", "1", "--batch", "4", "--accumulate", "1", "--out", f"{folder}/a"]
    result = vit.run(*command, data, VIT_MODEL=model)
    named = json.loads(read(f"{folder}/a/run.json"))["options"]["model"]
    tally.equal((result.status, named), (0, model), "of VIT_MODEL")
    tally.equal(vit.run(*command, "--resume", "--model", model, data).status, 0, "and goes on where --model names it")
    for words, environment, expected in ((["--model", model], {"VIT_MODEL": "other"}, model), ([], {"VIT_MODEL": ""}, None), ([], {}, None)):
        shown = json.loads(vit.run("finetune", *words, "--show", **environment).out)["options"]
        tally.equal(shown["model"], expected, f"of {words} and {environment}")
    tally.check("model" not in json.loads(vit.run("train", "--show", VIT_MODEL=model).out)["options"], "train has none")


def test_train_few(vit, tally, folder):
    """A handful of pictures, and what is tested on lacks a class."""
    data = pictures(f"{folder}/data")
    vit.run("train", *SMALL, "--steps", "1", "--out", f"{folder}/base", data)
    result = vit.run("finetune", "--model", f"{folder}/base/model.gguf", "--subset", "20", "--out", f"{folder}/few", data)
    tally.check(result.status == 0 and "1 update will hardly teach it" in result.err and "warm-up" not in result.err, "finetune on 20 pictures", result)
    tally.check(log(f"{folder}/few")[0]["rate"] > 0, "their one update has a rate", log(f"{folder}/few"))
    shutil.copytree(f"{data}/class 2", f"{folder}/val/class 2")
    shutil.copytree(f"{data}/class 0", f"{folder}/val/class 0")
    result = vit.run("train", *SMALL, "--steps", "40", "--lr", "0.003", "--val", f"{folder}/val", "--out", f"{folder}/part", data)
    score = json.loads(vit.run("eval", "--json", "--model", f"{folder}/part/model.gguf", f"{folder}/val").out)
    tally.check(result.status == 0 and abs(log(f"{folder}/part")[-1]["test_accuracy"] - score["top1"]) < 0.01, "two of three classes to test on", result)
    os.rename(f"{folder}/val/class 2", f"{folder}/val/class 3")
    result = vit.run("train", *SMALL, "--steps", "1", "--val", f"{folder}/val", "--out", f"{folder}/other", data)
    tally.check(result.status == 1 and "'class 3' is none of those 3" in result.err, "a class that is not trained", result)
    result = vit.run("train", "--recipe", "soup", "--steps", "1", "--epochs", "1", "--help")
    tally.check(result.status == 0 and "--accumulate" in result.out and not result.err, "help, whatever else is said", result)
    result = vit.run("train", *SMALL, "--steps", "1", "--out", f"{folder}/dashes", "--", "--recipe=soup")
    tally.check(result.status == 1 and "--recipe=soup" in result.err and "no recipe" not in result.err, "what follows -- is DATA", result)


def test_pretrain(vit, tally, folder):
    """Without labels: what a run says, that it goes on to the bit, what the model is good for."""
    data, val = pictures(f"{folder}/data"), pictures(f"{folder}/val")
    command = ["pretrain", *SMALL, "--epochs", "3", "--lr", "0.003", "--crop", "0", "--average", "0.5"]
    result = vit.run(*command, "--val", val, "--out", f"{folder}/a", data)
    tally.check(result.status == 0 and "distance^-6" in result.out, "pretrain", result)
    last = log(f"{folder}/a")[-1]
    tally.check(last["model_accuracy"] == last["test_accuracy"] and 0 < last["test_loss"] < 6.3, "log", last)
    for who in ("model", "frequent", "mean", "distance"):
        tally.check(0 <= last[f"{who}_accuracy"] <= 100 and 0 < last[f"{who}_color_error"] < 128, f"{who}'s figures", last)
    result = vit.run("masked", "--model", f"{folder}/a/model.gguf", "--score", data, "--json")
    scores = json.loads(result.out)
    same = all(scores[key] == last[key] for key in scores if key not in ("pictures", "loss"))
    tally.check(same and scores["pictures"] == 36 and abs(scores["loss"] - last["test_loss"]) < 1e-4, "masked --score", result)
    more = vit.run("masked", "--model", f"{folder}/a/model.gguf", "--score", data, "--ratio", "0.9", "--threads", "1")
    tally.check(more.status == 0 and more.out.startswith("36 pictures") and more.out.count("\n") == 5, "another ratio", more)
    flat = f"{folder}/flat"
    os.mkdir(flat)
    for label in sorted(os.listdir(data)):
        for name in sorted(os.listdir(f"{data}/{label}")):
            shutil.copy(f"{data}/{label}/{name}", f"{flat}/{label} {name}")
    shutil.copytree(flat, f"{folder}/flat val")
    result = vit.run(*command, "--val", f"{folder}/flat val", "--out", f"{folder}/f", flat)
    tally.check(result.status == 0 and log(f"{folder}/f")[-1]["mean_accuracy"] == last["mean_accuracy"], "no folders of classes", result)
    result = vit.run("masked", "--model", f"{folder}/a/model.gguf", "--score", flat, "--json")
    tally.check(result.status == 0 and json.loads(result.out)["pictures"] == 36, "masked --score of a flat folder", result)
    result = vit.run("masked", "--model", f"{folder}/a/model.gguf", "--score", data, f"{data}/class 1/03.png")
    tally.check(result.status == 2 and "--score" in result.err, "a picture as well", result)
    result = vit.run(*command, "--threads", "1", "--loaders", "0", "--out", f"{folder}/b", data)
    same_run(tally, f"{folder}/a", f"{folder}/b", "threads change nothing")
    rates = [("--corrupt", "0.5", "--corrupt-masked", "0.8", "--corrupt-swapped", "0.1"), ("--corrupt", "0.15"),
             ("--corrupt-masked", "0.5"), ("--corrupt-swapped", "0"), ("--corrupt-masked", "0", "--corrupt-swapped", "1")]
    for i, words in enumerate(rates):
        result = vit.run(*command, "--epochs", "1", *words, "--out", f"{folder}/rates{i}", data)
        tally.check(result.status == 0, f"pretrain {words}", result)
    models = [read(f"{folder}/rates{i}/model.gguf") for i in range(len(rates))]
    result = vit.run(*command, "--epochs", "1", "--out", f"{folder}/c", data)
    tally.check(models[0] == read(f"{folder}/c/model.gguf") and len(set(models)) == len(rates), "other rates are other models")
    result = vit.run(*command, "--corrupt-masked", "0.95", "--out", f"{folder}/rates", data)
    tally.check(result.status == 1 and "share of other patches" in result.err, "more than all of them", result)
    for target in ("down4x4", "pixels"):
        result = vit.run(*command, "--target", target, "--epochs", "0.5", "--holdout", "0.2", "--out", f"{folder}/{target}", data)
        tally.check(result.status == 0 and "distance^-6" in result.out, target, result)
        result = vit.run("masked", "--model", f"{folder}/{target}/model.gguf", "--json", f"{data}/class 1/03.png")
        tally.check(result.status == 0 and len(json.loads(result.out)["colors"]) == 16, f"masked by {target}", result)
    result = vit.run("finetune", "--model", f"{folder}/a/model.gguf", "--epochs", "1", "--batch", "6", "--out", f"{folder}/d", data)
    tally.check(result.status == 0, "finetune what was pre-trained", result)
    result = vit.run("classify", "--model", f"{folder}/d/model.gguf", f"{data}/class 1/03.png")
    tally.check(result.status == 0 and "class 1" in result.out, "classify with it", result)
    result = vit.run(*command, "--epochs", "0.5", "--subset", "20", "--holdout", "0.2", "--out", f"{folder}/subset", data)
    hidden = log(f"{folder}/subset")[-1]
    whole = vit.run(*command, "--epochs", "0.5", "--holdout", "0.2", "--out", f"{folder}/holdout", data)
    tally.check(result.status == 0 and hidden["mean_accuracy"] == log(f"{folder}/holdout")[-1]["mean_accuracy"], "a subset leaves what is tested on", whole)
    write(f"{folder}/bad/0.png", b"no picture")
    result = vit.run(*command, "--val", f"{folder}/bad", "--out", f"{folder}/unread", data)
    tally.check(result.status == 0 and "the run goes on without" in result.err and result.err.count("bad/0.png") == 1, "nothing to test on can be read", result)
    for option in (["--loss", "sigmoid"], ["--label-smoothing", "0.1"], ["--corrupt", "0"], ["--hidden-head", "8"]):
        result = vit.run(*command, *option, "--out", f"{folder}/odd", data)
        tally.check(result.status == 2 and option[0] in result.err, f"pretrain {option}", result)
    result = vit.run(*command, "--target", "down4x4", "--patch", "2", "--out", f"{folder}/e", data)
    tally.check(result.status == 1 and "2x2" in result.err, "patches that cannot be 4x4", result)


def test_train_killed(vit, tally, folder):
    """Killed at moments of no choice, and gone on with: the same bytes as without."""
    if vit.wasi:
        return
    data = pictures(f"{folder}/data")
    command = ["train", *SMALL, "--steps", "400", "--lr", "0.003", "--clip", "1", "--save-minutes", "0.001"]
    command += ["--flip", "0.5", "--drop-path", "0.1", data]
    result = vit.run(*command, "--out", f"{folder}/whole")
    tally.check(result.status == 0, "a run without a stop", result)
    state = f"{folder}/parts/state.safetensors"
    for stop in (signal.SIGKILL, signal.SIGKILL, signal.SIGINT):
        before = os.stat(state).st_mtime_ns if os.path.exists(state) else 0
        process = subprocess.Popen([*vit.words, *command, "--resume", "--out", f"{folder}/parts"],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        while process.poll() is None and not (os.path.exists(state) and os.stat(state).st_mtime_ns > before):
            time.sleep(0.001)
        process.send_signal(stop)
        _, err = process.communicate()
        if stop == signal.SIGINT and process.returncode == 130:
            tally.check(b"--resume" in err, "Ctrl-C says how to go on", err)
    slow = ["train", *SMALL, "--accumulate", "1000000", "--steps", "2", "--out", f"{folder}/slow", data]
    process = subprocess.Popen([*vit.words, *slow], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    while process.poll() is None and not os.path.exists(f"{folder}/slow/run.json"):
        time.sleep(0.001)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=200)
    kept = os.path.exists(f"{folder}/slow/state.safetensors") and not log(f"{folder}/slow")
    tally.check(process.returncode == 130 and b"stopped at update 0" in err and kept, "Ctrl-C within an update", err)
    whole_log = read(f"{folder}/slow/log.jsonl")
    tally.equal(whole_log, b"", "no line without an update")
    write(f"{folder}/parts/state.safetensors.part77", b"what a kill leaves of a file that was being written")
    result = vit.run(*command, "--resume", "--out", f"{folder}/parts")
    tally.check(result.status == 0, "the last part", result)
    same_run(tally, f"{folder}/whole", f"{folder}/parts", "killed and resumed")
    updates = [line["update"] for line in log(f"{folder}/parts")]
    tally.check(updates == sorted(set(updates)), "no line of the log is there twice", updates)
    long = ["train", *SMALL, "--steps", "2000", "--lr", "0.003", "--out", f"{folder}/lost", data]
    process = subprocess.Popen([*vit.words, *long], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    while process.poll() is None and not (os.path.exists(f"{folder}/lost/log.jsonl") and len(log(f"{folder}/lost")) > 2):
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=200)
    lines = read(f"{folder}/lost/log.jsonl")
    write(f"{folder}/lost/log.jsonl", lines[: len(lines) // 2])
    result = vit.run(*long[:-3], "--resume", *long[-3:])
    tally.check(result.status == 0 and "its curve is lost" in result.err, "a log that was lost in part", result)
    tally.check(all(line["update"] for line in log(f"{folder}/lost")), "its lines are whole")


def test_train_resumed(vit, tally, folder):
    """All that is random and all that is kept, killed after a checkpoint and gone on with on other threads: the same bytes."""
    if vit.wasi:
        return
    data = pictures(f"{folder}/data")
    vit.run("train", *SMALL, "--steps", "1", "--out", f"{folder}/base", data)
    steps = ["--steps", "120", "--lr", "0.003", "--accumulate", "2", "--clip", "1", "--save-minutes", "0.0005", "--average", "0.9", "--dropout", "0.1",
             "--drop-path", "0.1", "--randaugment", "2", "--erase", "0.3", "--eval-epochs", "4", "--holdout", "0.2"]
    mixed = ["--mixup", "0.2", "--cutmix", "0.5"]
    for name, command in (
        ("train", [*SMALL, *mixed, "--optimizer", "sgd", "--momentum-type", "bf16", "--schedule", "linear"]),
        ("finetune", [*mixed, "--model", f"{folder}/base/model.gguf", "--batch", "8", "--optimizer", "adam", "--freeze", "blocks.0"]),
        ("pretrain", [*SMALL, "--optimizer", "adam-l2", "--average", "0"]),
    ):
        command = [name, *steps, *command]
        whole = vit.run(*command, "--out", f"{folder}/{name}", data)
        tally.check(whole.status == 0, f"{name} without a stop", whole)
        state, kills = f"{folder}/{name} in parts/state.safetensors", 0
        for others in (["--threads", "1", "--loaders", "0"], ["--threads", "2", "--loaders", "2", "--recompute"]):
            before = os.stat(state).st_mtime_ns if os.path.exists(state) else 0
            process = subprocess.Popen([*vit.words, *command, *others, "--resume", "--out", f"{folder}/{name} in parts", data],
                                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            while process.poll() is None and not (os.path.exists(state) and os.stat(state).st_mtime_ns > before):
                time.sleep(0.001)
            process.kill()
            kills += process.wait() == -signal.SIGKILL
        rest = vit.run(*command, "--threads", "3", "--resume", "--out", f"{folder}/{name} in parts", data)
        tally.check(rest.status == 0 and "going on from" in rest.err and kills >= 1, f"{name}: the last part", rest)
        same_run(tally, f"{folder}/{name}", f"{folder}/{name} in parts", f"{name}, killed and resumed")


def test_train_bar(vit, tally, folder):
    """The bar stays on one line of the terminal, however narrow it is."""
    if vit.wasi:
        return
    data, val = pictures(f"{folder}/data"), pictures(f"{folder}/val")
    for columns in (24, 60, 80, 200):
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        process = subprocess.Popen([*vit.words, "train", *SMALL, "--steps", "60", "--eval-epochs", "0", "--val", val, "--out", f"{folder}/{columns}", data],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=theirs)
        os.close(theirs)
        text = b""
        try:
            while part := os.read(ours, 65536):
                text += part
        except OSError:  # Linux says so of a terminal whose other end is closed
            pass
        os.close(ours)
        process.wait()
        bars = [bar for bar in text.decode().split("\r\x1b[K") if "images/s" in bar or "epoch" in bar]
        drawn = [bar for bar in bars if "\n" not in bar]
        tally.check(process.returncode == 0 and drawn and max(map(len, drawn)) < columns, f"a bar in {columns} columns", text[-300:])
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 200, 0, 0))
    process = subprocess.Popen([*vit.words, "train", *SMALL, "--steps", "2000000000", "--accumulate", "1000000", "--out", f"{folder}/long", data],
                               stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=theirs)
    os.close(theirs)
    text = b""
    while b" left" not in text and (part := os.read(ours, 65536)):
        text += part
    process.send_signal(signal.SIGINT)
    process.wait()
    os.close(ours)
    left = re.search(rb"(\d+):\d\d:\d\d left", text)
    tally.check(left and int(left[1]) > 2**31 / 3600, "more seconds left than an int holds", text)


def test_train_full_disk(vit, tally, folder):
    """What cannot be written is said; the last checkpoint stays, and the run goes on from it."""
    if vit.wasi:
        return
    data = pictures(f"{folder}/data")
    command = ["train", *SMALL, "--steps", "6", "--lr", "0.003", "--save-minutes", "0", data]

    def limited(run, size, *more):  # files of at most so many bytes
        def limit():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
        return subprocess.run([*vit.words, *command, *more, "--out", f"{folder}/{run}"], stdin=subprocess.DEVNULL,
                              capture_output=True, preexec_fn=limit)

    whole = vit.run(*command, "--out", f"{folder}/whole")
    tally.check(whole.status == 0, "a run with room", whole)
    model, state = (os.path.getsize(f"{folder}/whole/{file}") for file in ("model.gguf", "state.safetensors"))
    tally.check(model < state, "sizes", (model, state))
    done = limited("a", model // 2)
    tally.check(done.returncode == 1 and b"a/state.safetensors: cannot write" in done.stderr, "no room for the state", done)
    tally.equal(sorted(os.listdir(f"{folder}/a")), ["log.jsonl", "run.json"], "nothing is left of it")
    done = vit.run(*command[:-1], "--resume", "--out", f"{folder}/a", data)
    same_run(tally, f"{folder}/whole", f"{folder}/a", "begun again with room")

    process = subprocess.Popen([*vit.words, *command, "--steps", "100000", "--save-minutes", "10", "--out", f"{folder}/b"],
                               stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None and not os.path.exists(f"{folder}/b/run.json"):
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    process.wait()
    kept = {file: read(f"{folder}/b/{file}") for file in ("model.gguf", "state.safetensors")}
    done = limited("b", model // 2, "--steps", "100000", "--resume")
    words = b"cannot write" in done.stderr and b"the last checkpoint is kept" in done.stderr
    tally.check(done.returncode == 1 and words, "no room to go on", done)
    for file, content in kept.items():
        tally.check(read(f"{folder}/b/{file}") == content, f"{file} is kept")
    tally.equal(sorted(os.listdir(f"{folder}/b")), ["log.jsonl", "model.gguf", "run.json", "state.safetensors"], "nothing half-written")


def test_train_rates(vit, tally, folder):
    """Trials of several rates come after everything that can be refused, and once."""
    data = pictures(f"{folder}/data")
    command = ["train", *SMALL, "--steps", "4", "--lr", "0.01,0.001"]
    result = vit.run(*command, "--out", f"{folder}/a", "no such folder")
    tally.check(result.status == 2 and "needs --holdout" in result.err, "no pictures to choose by", result)
    command += ["--holdout", "0.3", "--out", f"{folder}/a", data]
    result = vit.run(*command)
    tally.check(result.status == 0 and result.out.count("held out") == 2, "two trials", result)
    kept = [sorted(os.listdir(f"{folder}/a/rate-{rate}")) for rate in ("0.01", "0.001")]
    tally.equal(kept, [["log.jsonl"]] * 2, "what is kept of trials")
    result = vit.run(*command)
    tally.check(result.status == 1 and "--resume" in result.err and "held out" not in result.out, "a folder with a run", result)
    result = vit.run(*command, "--resume")
    tally.check(result.status == 0 and "held out" not in result.out, "it goes on with the rate that was chosen", result)
    result = vit.run(*command, "--resume", "--lr", "0.5,0.6")
    tally.check(result.status == 1 and "none of 0.5,0.6" in result.err, "other rates", result)
    result = vit.run(*command, "--lr", "0.1,0.01,0.1")
    tally.check(result.status == 2 and "0.1 is there twice" in result.err, "a rate that is there twice", result)
    if not vit.wasi:
        long = ["train", *SMALL, "--steps", "600", "--lr", "0.01,0.001", "--holdout", "0.3", "--eval-epochs", "0", data, "--out"]
        process = subprocess.Popen([*vit.words, *long, f"{folder}/f"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        while process.poll() is None and not (os.path.exists(f"{folder}/f/rate-0.001/log.jsonl") and os.path.getsize(f"{folder}/f/rate-0.001/log.jsonl")):
            time.sleep(0.001)
        process.send_signal(signal.SIGINT)
        said = process.communicate()[1].decode()
        tally.check(process.returncode == 130 and "--resume goes on" in said, "Ctrl-C in the second trial", said)
        result = vit.run(*long, f"{folder}/f")
        tally.check(result.status == 1 and "--resume" in result.err, "trials that were begun are not begun again", result)
        more = vit.run(*long, f"{folder}/f", "--resume")
        whole = vit.run(*long, f"{folder}/g")
        tally.check(more.status == 0 and "rate-0.01/state" in more.err, "trials go on", more)
        tally.check(read(f"{folder}/f/model.gguf") == read(f"{folder}/g/model.gguf"), "trials that were stopped choose the same", whole)
    command = ["train", *SMALL, "--steps", "8", "--optimizer", "sgd", "--clip", "0", "--warmup", "0", "--holdout", "0.3"]
    result = vit.run(*command, "--lr", "1e6,0.01,1e5", "--out", f"{folder}/d", data)
    tally.check(result.status == 0 and result.out.count("diverged") == 2 and "rate 0.01 is chosen" in result.out, "rates that diverge", result)
    result = vit.run(*command, "--lr", "1e6,1e5", "--out", f"{folder}/e", data)
    tally.check(result.status == 1 and "none of the rates 1e6,1e5" in result.err, "all rates diverge", result)


def test_train_choice(vit, tally, folder):
    """The best rate is chosen, on the pictures held out, and then all are trained on, or the subset."""
    data = pictures(f"{folder}/data")
    command = ["train", *SMALL, "--epochs", "20", "--eval-epochs", "5", "--holdout", "0.3", "--average", "0", "--val", pictures(f"{folder}/val")]
    for name, rates in (("a", "0.01,1e-9"), ("b", "1e-9,0.01")):
        result = vit.run(*command, "--lr", rates, "--out", f"{folder}/{name}", data)
        tally.check(result.status == 0 and "rate 0.01 is chosen" in result.out, f"of {rates}", result)
        tests = {kind: [line for line in log(f"{folder}/{name}/{kind}") if "test_accuracy" in line] for kind in ("rate-0.01", "")}
        held, whole = tests["rate-0.01"][-1]["test_accuracy"] / 100 * 12, tests[""][-1]["test_accuracy"] / 100 * 36
        tally.check(abs(held - round(held)) < 1e-3 and abs(whole - round(whole)) < 1e-2, "trials are tested on the 12 held out, the run on --val", tests)
        last = log(f"{folder}/{name}")[-1]
        tally.equal((last["update"], last["epoch"]), (90, 20), "the run has all 36 pictures")
    result = vit.run(*command, "--lr", "0.01,0.001", "--subset", "16", "--out", f"{folder}/c", data)
    last = log(f"{folder}/c")[-1]
    tally.equal((result.status, last["update"], last["epoch"]), (0, 40, 20), "a subset stays so many")


def test_train_guards(vit, tally, folder):
    """What would go wrong in silence is told: other pictures, files of others, runs that cannot learn."""
    data = pictures(f"{folder}/data")
    other, val = pictures(f"{folder}/other"), pictures(f"{folder}/val")
    os.rename(f"{other}/class 1/03.png", f"{other}/class 1/zz.png")
    shutil.copytree(val, f"{folder}/more")
    command = ["train", *SMALL, "--epochs", "2", "--val", val, "--out", f"{folder}/a"]
    result = vit.run(*command, data, other)
    tally.check(result.status == 0, "two folders", result)
    for what, words in (("another order", [other, data]), ("other names", [data, data]), ("another test", ["--val", f"{folder}/more", data, other])):
        result = vit.run(*command, "--resume", *words)
        tally.check(result.status == 1 and "with other pictures, in another order" in result.err, what, result)
    tally.equal(vit.run(*command, "--resume", data, other).status, 0, "the same")
    was = read(f"{data}/class 0/00.png")
    write(f"{data}/class 0/00.png", png(30, 31, 5))
    result = vit.run(*command, "--resume", data, other)
    tally.check(result.status == 1 and "with other pictures, in another order" in result.err, "a picture of another size", result)
    write(f"{data}/class 0/00.png", was)
    for name in ("best.gguf", "log.jsonl"):
        write(f"{folder}/kept/{name}", read(f"{folder}/a/{name}"))
        result = vit.run("train", *SMALL, "--out", f"{folder}/kept", data)
        tally.check(result.status == 1 and "choose another folder" in result.err, f"{name} of before is kept", result)
        os.remove(f"{folder}/kept/{name}")
    write(f"{data}/class 1/photo.webp", b"RIFF")
    write(f"{data}/top.png", png(9, 9, 1))
    result = vit.run("train", *SMALL, "--epochs", "20", "--average", "0.9999", "--subset", "99", "--out", f"{folder}/b", data)
    tally.check(
        result.status == 0 and "2 files are passed over" in result.err and "photo.webp" in result.err
        and "--average 0.9999 is too long" in result.err and "there are 36 pictures" in result.err, "what is told", result)
    sizes = [tensor["shape"] for tensor in json.loads(vit.run("info", "--json", "--tensors", f"{folder}/b/model.gguf").out)["tensors"] if "pre_logits" in tensor["name"]]
    tally.equal(sizes, [], "no hidden layer in the head")
    result = vit.run("train", *SMALL, "--hidden-head", "20", "--pos", "2d", "--steps", "2", "--out", f"{folder}/h", data)
    sizes = [tensor["shape"] for tensor in json.loads(vit.run("info", "--json", "--tensors", f"{folder}/h/model.gguf").out)["tensors"] if "pre_logits" in tensor["name"]]
    tally.equal((result.status, sorted(sizes)), (0, [[20], [20, 24]]), "one of 20")
    finetune = ["finetune", "--steps", "2", "--batch", "4", "--accumulate", "1", "--warmup", "0", "--model", f"{folder}/h/model.gguf"]
    result = vit.run(*finetune, "--size", "24", "--out", f"{folder}/s", data)
    tally.check(result.status == 0 and "24x24 pixels" in result.err, "positions of 2 axes at another size", result)
    result = vit.run(*finetune, "--freeze", "patch_embed,blocks,norm,pos,cls,head", "--out", f"{folder}/f", data)
    tally.check(result.status == 1 and "nothing is left to train" in result.err, "all is frozen", result)
    for label in ("Cat", "cat", "rot, hell"):
        for i in range(4):
            write(f"{folder}/names/{label}/{i}.png", png(16, 16, len(label) + ord(label[0])))
    result = vit.run("train", *SMALL, "--epochs", "1", "--out", f"{folder}/n", f"{folder}/names")
    judged = vit.run("eval", "--json", "--model", f"{folder}/n/model.gguf", f"{folder}/names")
    tally.check(judged.status == 0 and json.loads(judged.out)["images"] == 12, "labels as they stand", judged)
    if not vit.wasi:
        process = subprocess.Popen([*vit.words, "train", *SMALL, "--steps", "1000000", "--out", f"{folder}/hup", data], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while process.poll() is None and not (os.path.exists(f"{folder}/hup/log.jsonl") and os.path.getsize(f"{folder}/hup/log.jsonl")):
            time.sleep(0.001)
        process.send_signal(signal.SIGHUP)
        tally.equal((process.wait(), os.path.exists(f"{folder}/hup/state.safetensors")), (130, True), "a terminal that is closed")


def test_train_plot(vit, tally, folder):
    lines = [
        {"update": 50 * i, "epoch": i / 2, "loss": 2.5 - i / 10, "accuracy": 10 + 5 * i} for i in range(9)
    ] + [{"update": 400, "epoch": 4, "test_accuracy": 61.25, "test_loss": 1.5}]
    write(f"{folder}/a & b.jsonl", "".join(json.dumps(line) + "\n" for line in lines) + "half a li")
    result = vit.run("plot", "--title", "<two>", "--out", f"{folder}/o.svg", *[f"{folder}/a & b.jsonl"] * 2)
    tally.check(result.status == 0 and "1 line left out" in result.err, "plot", result)
    root = xml.etree.ElementTree.parse(f"{folder}/o.svg").getroot()
    drawn = [len(e.get("points").split()) for e in root.iter("{http://www.w3.org/2000/svg}polyline")]
    tally.equal(drawn, [9, 9, 2, 2] * 2, "points of the curves, one twice that is alone")
    texts = [e.text for e in root.iter("{http://www.w3.org/2000/svg}text")]
    legends = sum("a & b.jsonl: test accuracy 61.25 %" in text for text in texts)
    tally.check("<two>" in texts and legends == 2, "texts", texts)
    tally.check(not any(name.endswith(".part") for name in os.listdir(folder)), "nothing temporary is left", os.listdir(folder))
    result = vit.run("plot", "--out", f"{folder}/o.png", f"{folder}/a & b.jsonl")
    width, height, pixels = read_png(f"{folder}/o.png")
    blue = sum(pixels[i : i + 3] == bytes((0x2F, 0x6F, 0xB0)) for i in range(0, len(pixels), 3))
    tally.check(result.status == 0 and (width, height) == (1880, 900) and blue > 200, "as PNG", (width, height, blue))
    for name, losses in (("high", (4e9,)), ("higher", (1e16, 1.0000000000000002e16)), ("wide", (-1e300, 1e300, 1e308)), ("caf\udce9", (1, 2))):
        if vit.wasi and not name.isascii():
            continue
        path = os.fsencode(f"{folder}/{name}.jsonl")
        with open(path, "w") as file:
            file.writelines(f'{{"epoch" : {i}, "loss": {loss}}}\n' for i, loss in enumerate(losses))
        for kind in ("svg", "png"):
            result = vit.run("plot", "--title", "\ufffe", "--out", f"{folder}/odd.{kind}", path)
            tally.check(result.status == 0, f"losses {losses} as {kind}", result)
        drawn = xml.etree.ElementTree.parse(f"{folder}/odd.svg").getroot()
        tally.check("nan" not in read(f"{folder}/odd.svg").decode() and os.path.getsize(f"{folder}/odd.svg") < 20000, f"curve of {losses}", drawn)
    write(f"{folder}/other", "{}\n")
    for arguments, status in (
        ([f"{folder}/other", "--out", f"{folder}/x.svg"], 1),
        (["none", "--out", f"{folder}/x.svg"], 1),
        ([f"{folder}/other", "--out", f"{folder}/x.gif"], 2),
        ([f"{folder}/other"], 2),
    ):
        result = vit.run("plot", *arguments)
        tally.check(result.status == status and result.err, f"plot {arguments}", result)


def test_train_traps(vit, tally, folder):
    """Numbers for names, test pictures that cannot be read, divergence after the last update, another network on resume."""
    small = ["train", *SMALL, "--warmup", "0", "--crop", "0"]
    for i in range(24):
        write(f"{folder}/numbers/{1 + i % 3}/{i}.png", png(16, 16, 30 * (i % 3)))
    numbers = f"{folder}/numbers"
    tests = shutil.copytree(numbers, f"{folder}/tests")
    result = vit.run(*small, "--steps", "40", "--lr", "0.01", "--val", tests, "--out", f"{folder}/n", numbers)
    tally.check(result.status == 0, "classes that are numbers", result)
    result = vit.run("eval", "--json", "--model", f"{folder}/n/model.gguf", numbers)
    told = log(f"{folder}/n")[-1]["test_accuracy"]
    tally.check(told > 90 and abs(json.loads(result.out)["top1"] - told) < 0.01, f"labels before indices ({told})", result)
    os.makedirs(f"{folder}/packed")
    for name in ("all.tar", "packed/0.tar"):
        with tarfile.open(f"{folder}/{name}", "w") as tar:
            tar.add(numbers, "numbers")
    for packed in (f"{folder}/all.tar", f"{folder}/packed"):
        again = vit.run("eval", "--json", "--model", f"{folder}/n/model.gguf", packed)
        tally.equal(again.out, result.out, f"eval of {packed}")
    result = vit.run("eval", "--json", "--model", f"{folder}/n/model.gguf", "--unknown", f"{folder}/all.tar", numbers)
    tally.check(result.status == 0 and json.loads(result.out)["auroc"] == 0.5, "other things in an archive", result)

    for kind in "123":
        write(f"{folder}/unreadable/{kind}/x.png", "text")
    result = vit.run(*small, "--steps", "3", "--val", f"{folder}/unreadable", "--out", f"{folder}/u", numbers)
    saved = os.path.exists(f"{folder}/u/model.gguf")
    tally.check(result.status == 0 and "no picture to test on" in result.err and saved, "no test picture can be read", result)

    wild = ["--batch", "24", "--optimizer", "sgd", "--clip", "0", "--lr", "1e6", "--val", tests]
    result = vit.run(*small, *wild, "--steps", "3", "--out", f"{folder}/wild", numbers)
    tally.check(result.status == 1 and "lower" in result.err and "nan" not in result.out, "a network that diverges last", result)
    tally.check(all(isinstance(line, dict) for line in log(f"{folder}/wild")), "its log is JSON")
    wild = [*wild[:-2], "--schedule", "constant"] # nothing is tested on
    result = vit.run(*small, *wild, "--steps", "2", "--out", f"{folder}/untested", numbers)
    tally.check(result.status == 1 and "lower" in result.err, "a network that diverges last, untested", result)
    result = vit.run("classify", "--model", f"{folder}/untested/model.gguf", f"{numbers}/{sorted(os.listdir(numbers))[0]}")
    tally.check(result.status == 0, "what was saved after the update before is kept", result)
    result = vit.run(*small, *wild, "--steps", "9", "--save-minutes", "0", "--out", f"{folder}/saved", numbers)
    state = read(f"{folder}/saved/state.safetensors") if os.path.exists(f"{folder}/saved/state.safetensors") else b""
    tally.check(result.status == 1 and "lower" in result.err, "a network that diverges on the way", result)
    result = vit.run("eval", "--json", "--model", f"{folder}/saved/model.gguf", numbers) if state else None
    tally.check(not state or result.status == 0, "what was saved before is kept", result)

    data = pictures(f"{folder}/data")
    run = [*small, "--steps", "2", "--out", f"{folder}/r"]
    vit.run(*run, data)
    for other in (["--heads", "4", data], ["--pos", "sincos2d", data], [numbers]):
        result = vit.run(*run, "--resume", *other)
        told = "cannot go on" in result.err or "of another network" in result.err
        tally.check(result.status == 1 and told, f"resume with {other}", result)

    result = vit.run(*small, "--steps", "4", "--lr", "0.01,0.02", "--holdout", "0.3", "--out", f"{folder}/all", data)
    line = log(f"{folder}/all")[-1]
    tally.check(result.status == 0 and abs(line["epoch"] - 4 * 8 / 36) < 1e-3, f"the last run is on all pictures: {line}", result)
    tune = ["finetune", "--model", f"{folder}/n/model.gguf", "--batch", "4", "--accumulate", "1", "--steps", "3", "--randaugment", "2"]
    for name, options in (("d", []), ("9", ["--magnitude", "9"]), ("0", ["--magnitude", "0"])):
        vit.run(*tune, *options, "--out", f"{folder}/tune{name}", data)
    made = [read(f"{folder}/tune{name}/model.gguf") for name in "d90"]
    tally.check(made[0] == made[1] != made[2], "magnitude 9, unless it is said")
    result = vit.run(*small, "--batch", "1", "--mixup", "0.2", "--out", f"{folder}/x", data)
    tally.check(result.status == 2 and "--batch of 2" in result.err, "nothing to mix with", result)
    result = vit.run("train", "--recipe", "cifar10-hybrid", "--arch", "vit_tiny_patch16_224", "--layers", "1", "--steps", "1",
                     "--batch", "2", "--out", f"{folder}/arch", data)
    tally.check(result.status == 0 and "vit_d192_l1_patch16_32" in result.err, "a recipe with another network", result)

    os.makedirs(f"{folder}/taken")
    for name in ("thesis.part2", "movie.mkv.part", "model.gguf.part12"):
        write(f"{folder}/taken/{name}", "x")
    result = vit.run(*small, "--steps", "1", "--out", f"{folder}/taken", data)
    left = sorted(name for name in os.listdir(f"{folder}/taken") if ".part" in name)
    tally.check(result.status == 0 and left == ["movie.mkv.part", "thesis.part2"], f"files of others stay: {left}", result)
    for name in left:
        os.remove(f"{folder}/taken/{name}")
    write(f"{folder}/mine/log.jsonl", '{"mine":1}\n')
    result = vit.run(*small, "--steps", "1", "--out", f"{folder}/mine", data)
    kept = read(f"{folder}/mine/log.jsonl") == b'{"mine":1}\n'
    tally.check(result.status == 1 and "log that is not of vit" in result.err and kept, "another log stays", result)


def test_train_complaints(vit, tally, folder):
    data = pictures(f"{folder}/data")
    write(f"{data}/class 2/03.png", b"no picture")
    write(f"{data}/class 0/04.png", read(f"{data}/class 0/04.png")[:60])
    result = vit.run("train", *SMALL, "--epochs", "3", "--out", f"{folder}/a", data)
    named = [name for name in ("class 2/03.png", "class 0/04.png") if result.err.count(name) == 1]
    tally.check(result.status == 0 and len(named) == 2 and "takes its place" in result.err, "each bad picture is named once", result)
    tally.equal(log(f"{folder}/a")[-1]["bad_images"], 2, "and counted once")
    result = vit.run("train", *SMALL, "--epochs", "3", "--val", shutil.copytree(data, f"{folder}/tests"), "--out", f"{folder}/val", data)
    named = [result.err.count(name) for name in ("class 2/03.png", "class 0/04.png")]
    tally.check(result.status == 0 and named == [2, 2], "one to test on is named once too", result)
    for i in range(100):
        write(f"{folder}/bad/a/{i:03d}.png", b"no picture")
    result = vit.run("train", *SMALL, "--steps", "1", "--out", f"{folder}/none", f"{folder}/bad")
    tally.check(result.status == 1 and "none of the 100 pictures can be used" in result.err, "not one good picture", result)
    write(f"{folder}/bad/b/0.png", png(18, 20, 1))
    result = vit.run("train", *SMALL, "--steps", "1", "--out", f"{folder}/one", f"{folder}/bad")
    tally.check(result.status == 0 and log(f"{folder}/one")[0]["bad_images"] > 64, "one good picture after many", result)
    for i in range(400):
        write(f"{folder}/many/{'ab'[i % 2]}/{i:03d}.png", b"no picture")
    pictures(f"{folder}/many")
    result = vit.run("train", *SMALL, "--batch", "250", "--steps", "12", "--out", f"{folder}/b", f"{folder}/many")
    tally.check(result.status == 0 and " more pictures that cannot be used" in result.err, "very many bad pictures", result)
    result = vit.run("train", *SMALL, "--lr", "1e5", "--optimizer", "sgd", "--clip", "0", "--out", f"{folder}/nan", data)
    tally.check(result.status == 1 and "lower rate" in result.err, "a loss that is not finite", result)
    for arguments, words in (
        ([data], "--out"),
        (["--out", f"{folder}/x", f"{folder}/nothing"], "nothing"),
        (["--out", f"{folder}/x", "--recipe", "soup", data], "no recipe 'soup'"),
        (["--out", f"{folder}/x", "--lr", "fast", data], "--lr"),
        (["--out", f"{folder}/x", "--lr", "1,2", data], "--holdout"),
        (["--out", f"{folder}/x", *SMALL, "--average", "1", data], "--average"),
        (["--out", f"{folder}/x", "--val", f"{data}/class 0", data], "class 0"),
        (["--out", f"{folder}/x"], "expected DATA"),
        (["--out", f"{folder}/x", "--steps", "3", "--epochs", "1", data], "--epochs and --steps"),
        (["--out", f"{folder}/x", "--warmup", "3", "--warmup-epochs", "1", data], "--warmup"),
        (["--out", f"{folder}/x", "--crop=0.5", "--pad=3", data], "--crop and --pad"),
    ):
        result = vit.run("train", *arguments)
        tally.check(result.status in (1, 2) and words in result.err, f"train {' '.join(arguments)}", result)
    result = vit.run("train", *SMALL, "--steps", "2", "--warmup", "3", "--out", f"{folder}/warm", data)
    tally.check(result.status == 0 and "warm-up of 3 updates" in result.err, "a warm-up longer than the run", result)
    result = vit.run("finetune", "--model", f"{folder}/warm/model.gguf", "--freeze", "head", "--out", f"{folder}/x", data)
    tally.check(result.status == 1 and "the head is new" in result.err, "a head of zeros that is frozen", result)
    result = vit.run("finetune", "--model", f"{folder}/warm/model.gguf", "--freeze", "blocks,hat", "--out", f"{folder}/x", data)
    tally.check(result.status == 1 and 'begins with "hat"' in result.err, "what is no weight cannot be frozen", result)
