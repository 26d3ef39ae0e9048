"""Real photographs and weights, where VIT_DATA has them."""

import os

from cases_pictures import lines
from files import read_safetensors

DATA = os.environ.get("VIT_DATA", "../shared")
MODEL = f"{DATA}/data/vit_tiny_patch16_224"
PHOTOGRAPHS = f"{DATA}/data/imagenet_50"
LOGITS = f"{DATA}/golden/real/logits_50/expected.safetensors"
NEAR_TIE = 0.2  # JPEG decoders differ by a few levels, which moves logits by up to 0.1


def test_photographs(vit, tally, folder):
    """Top-1 equals timm's wherever it is no near tie, and 41 of 50 are right."""
    if not all(map(os.path.exists, (MODEL, PHOTOGRAPHS, LOGITS))):
        return tally.skip("no photographs and weights in VIT_DATA")
    paths = sorted(f"{PHOTOGRAPHS}/{name}" for name in os.listdir(PHOTOGRAPHS))
    expected = read_safetensors(LOGITS)
    reach = dict(folders=[DATA])
    count = 8 if vit.wasi else len(paths)
    result = vit.run("classify", "--model", MODEL, "--json", "--top=1", *paths[:count], **reach)
    made = lines(result)
    tally.check(result.status == 0 and len(made) == count, "classify photographs", result)
    for i, line in enumerate(made):
        logits = expected["logits"][2][i * 1000 : (i + 1) * 1000]
        best = max(range(1000), key=logits.__getitem__)
        if expected["margin"][2][i] > NEAR_TIE:
            tally.equal(line["top"][0]["index"], best, f"top-1 of {line['path']}")
    tally.equal(made[0]["top"][0]["label"], "cock", "ImageNet's labels are there")
    if not vit.wasi:
        made = vit.run("eval", "--model", MODEL, "--json", PHOTOGRAPHS)
        tally.equal((made.status, made.out), (0, '{"images":50,"top1":82,"top5":98}\n'), "accuracy of 50 photographs")


def test_int8(vit, tally, folder):
    """int8 keeps the answer of at least 49 of the 50 photographs, and logits move by 0.12 on average at most."""
    if not all(map(os.path.exists, (MODEL, PHOTOGRAPHS))):
        return tally.skip("no photographs and weights in VIT_DATA")
    names = sorted(os.listdir(PHOTOGRAPHS))[: 2 if vit.wasi else 50]
    same, distance = 0, 0
    for name in names:
        logits = []
        for compute in ("f32", "int8"):
            out = f"{folder}/{compute}.safetensors"
            words = ("--model", MODEL, "--image", f"{PHOTOGRAPHS}/{name}", "--out", out, "--compute", compute)
            result = vit.run("trace", *words, folders=[DATA])
            tally.check(result.status == 0, f"trace of {name} in {compute}", result)
            logits.append(read_safetensors(out)["logits"][2])
        f32, int8 = logits
        same += max(range(1000), key=f32.__getitem__) == max(range(1000), key=int8.__getitem__)
        distance += sum(abs(a - b) for a, b in zip(f32, int8)) / 1000
    tally.check(same >= len(names) - 1, "int8 changes at most one answer", same)
    tally.check(distance / len(names) <= 0.12, "mean distance of int8's logits", distance / len(names))


def test_blocks(vit, tally, folder):
    """Q8_0 keeps the answer of at least 49 of the 50 photographs, Q4_0 with searched scales of more than 45."""
    if vit.wasi or not all(map(os.path.exists, (MODEL, PHOTOGRAPHS))):
        return tally.skip("Q8_0 and Q4_0 of photographs and weights in VIT_DATA")

    def answers(model):
        return [line["top"][0]["index"] for line in lines(vit.run("classify", "--json", "--model", model, PHOTOGRAPHS))]

    exact = answers(MODEL)
    for kind, least in (("q8_0", 49), ("q4_0", 46)):
        result = vit.run("convert", "--type", kind, MODEL, f"{folder}/{kind}.gguf")
        same = sum(a == b for a, b in zip(exact, answers(f"{folder}/{kind}.gguf")))
        tally.check(result.status == 0 and len(exact) == 50 and same >= least, f"answers of {kind} that are f32's", same)


def test_exact_pixels(vit, tally, folder):
    """From the pixels as PNG, logits equal timm's."""
    if not all(map(os.path.exists, (MODEL, LOGITS))):
        return tally.skip("no golden pixels in VIT_DATA")
    for case, names, tolerance in (
        ("pixels_224", ("0007", "0207", "0407", "0607", "0807"), 1e-4),
        ("pixels_384x384", ("0007", "0207", "0407"), 2e-4),
        ("pixels_160x320", ("0007", "0207", "0407"), 2e-4),
    ):
        expected = read_safetensors(f"{DATA}/golden/real/{case}/expected.safetensors")
        for name in names[:1] if vit.wasi else names:
            out = f"{folder}/{name}.safetensors"
            result = vit.run(
                "trace",
                "--model",
                MODEL,
                "--image",
                f"{DATA}/golden/real/{case}/{name}.png",
                "--out",
                out,
                "--crop-pct=1",
                f"--size={case[7:]}",
                folders=[DATA],
            )
            if tally.check(result.status == 0, f"trace of {case}/{name}", result):
                worst = max(
                    abs(a - b) for a, b in zip(read_safetensors(out)["logits"][2], expected[f"{name}.logits"][2])
                )
                tally.check(worst <= tolerance, f"logits of {case}/{name}", worst)
