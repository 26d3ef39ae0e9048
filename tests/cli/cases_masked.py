"""masked: what is hidden, what is said of it, the picture that is left."""

import json
import zlib

from files import png, png_chunk, png_header, read, read_png, write

GOLDEN = "tests/golden"
COLORS, PIXELS = (
    ["--model", f"{GOLDEN}/mpp/{kind}/model.safetensors", "--config", f"{GOLDEN}/mpp/{kind}/case.json"]
    for kind in ("loss_mean3bit", "loss_regression")
)


def flat(width, height, bright):
    """A mask: white where bright(x, y), else black."""
    rows = b"".join(b"\0" + b"".join(b"\xff\xff\xff" if bright(x, y) else b"\0\0\0" for x in range(width)) for y in range(height))
    return png_header(width, height) + png_chunk(b"IDAT", zlib.compress(rows)) + png_chunk(b"IEND", b"")


def complaints(result):
    """What is said besides how the goldens' models are fed"""
    return [line for line in result.err.splitlines() if "no preprocessor_config.json" not in line]


def test_masked(vit, tally, folder):
    picture = write(f"{folder}/a.png", png(90, 70, 3))
    out = f"{folder}/o.png"

    def run(*options):
        result = vit.run("masked", *options, "--json", "--out", out, picture)
        if not tally.check(result.status == 0 and not complaints(result), f"masked {options}", result):
            return None
        return json.loads(result.out)

    def kept(answer, what):
        """Visible patches are as they were; most hidden ones are not."""
        width, height, pixels = read_png(out)
        _, _, before = read_png(picture)
        tally.equal([width, height], [90, 70], f"{what}: size")
        rows, columns = answer["grid"]
        wrong = changed = 0
        for y in range(height):
            for x in range(width):
                patch = int((y + 0.5) * rows / height) * columns + int((x + 0.5) * columns / width)
                at = 3 * (y * width + x)
                same = pixels[at : at + 3] == before[at : at + 3]
                wrong += not answer["mask"][patch] and not same
                changed += answer["mask"][patch] and not same
        tally.check(wrong == 0 and changed > 0, f"{what}: what is kept", (wrong, changed))

    answer = run(*COLORS)
    tally.equal(list(answer), ["path", "grid", "mask", "colors", "probabilities"], "keys")
    tally.equal([answer["path"], answer["grid"], sum(answer["mask"])], [picture, [4, 5], 10], "grid and mask")
    tally.check(all((p == 1) == (not m) and 1 / 512 < p <= 1 for m, p in zip(answer["mask"], answer["probabilities"])),
                "probabilities", answer)
    kept(answer, "colours")
    first = read(out)
    tally.equal(run(*COLORS, "--threads", "1"), answer, "the same again")
    tally.equal(read(out), first, "the same picture")
    tally.check(run(*COLORS, "--raw")["colors"] == answer["colors"] and read(out) != first, "raw is another picture")
    tally.check(run(*COLORS, "--seed", "1")["mask"] != answer["mask"], "another seed")
    tally.equal(sum(run(*COLORS, "--ratio", "0.75")["mask"]), 15, "ratio")
    tally.equal(sum(run(*COLORS, "--size", "64x80", "--ratio", "0.25")["mask"]), 20, "another size")
    nothing = run(*COLORS, "--ratio", "0")
    tally.equal([sum(nothing["mask"]), read_png(out)[2]], [0, read_png(picture)[2]], "nothing hidden")

    mask = write(f"{folder}/m.png", flat(50, 40, lambda x, y: x >= 40 or (x, y) == (0, 39)))
    painted = run(*PIXELS, "--mask", mask)
    tally.equal(painted["mask"], [0, 0, 0, 0, 1] * 3 + [1, 0, 0, 0, 1], "a painted mask")
    tally.equal([p for m, p in zip(painted["mask"], painted["probabilities"]) if m], [None] * 5, "no probabilities of pixels")
    kept(painted, "pixels")
    for kind in ("hf_mae", "hf_mae_norm_pix", "hf_simmim"):
        answer = run("--model", f"{GOLDEN}/mae/{kind}")
        tally.equal(sum(answer["mask"]), 8 if kind == "hf_simmim" else 12, f"{kind}: how many are hidden")
        kept(answer, kind)

    for status, word, *arguments in (
        (2, "--out", *COLORS, picture),
        (2, ".png", *COLORS, "--out", f"{folder}/o.jpg", picture),
        (2, "--ratio", *COLORS, "--ratio", "1.5", "--out", out, picture),
        (2, "one of them", *COLORS, "--ratio", "0.5", "--mask", mask, "--out", out, picture),
        (2, "8x8", *COLORS, "--size", "4", "--out", out, picture),
        (1, "none.png", *COLORS, "--mask", f"{folder}/none.png", "--out", out, picture),
        (1, "folder", *COLORS, "--out", out, folder),
        (1, "at least 1", "--model", f"{GOLDEN}/mae/hf_mae", "--ratio", "1", "--out", out, picture),
        (1, "no decoder", "--model", f"{GOLDEN}/forward/hf_vit", "--out", out, picture),
    ):
        result = vit.run("masked", *arguments)
        tally.check(result.status == status and word in result.err, f"masked {arguments}", result)


def test_score(vit, tally, folder):
    """Fewer pictures than are predicted at a time, one of which cannot be read."""
    data, bad = f"{folder}/data", f"{folder}/data/bad.png"
    for i in range(3):
        write(f"{data}/{i}.png", png(90, 70, i))

    def score(*options):
        result = vit.run("masked", "--score", data, *options)
        return result, json.loads(result.out or "{}") if "--json" in options else result.out.split("\n")[0]

    whole = {}
    for name, model in (("mpp", COLORS), ("mae", ["--model", f"{GOLDEN}/mae/hf_mae"])):
        result, whole[name] = score(*model, "--json")
        tally.check((result.status, complaints(result), whole[name].get("pictures")) == (0, [], 3), f"{name}: three pictures", result)
    usual, other = (score("--model", f"{GOLDEN}/mae/hf_mae", "--json", "--ratio", ratio)[1] for ratio in ("0.75", "0.5"))
    tally.check(usual == whole["mae"] != other, "three quarters are hidden of a masked autoencoder", (usual, other))
    write(bad, "text")
    for name, model in (("mpp", COLORS), ("mae", ["--model", f"{GOLDEN}/mae/hf_mae"])):
        result, found = score(*model, "--json")
        tally.check((result.status, found) == (1, whole[name]) and result.err.count(bad) == 1, f"{name}: the others", result)
    for i in (1, 2):
        write(f"{data}/{i}.png", "text")
    result, line = score(*COLORS)
    tally.check(result.status == 1 and line.startswith("1 picture, loss ") and result.err.count("\n") == 3, "one of four", result)
    write(f"{data}/0.png", "text")
    result, _ = score(*COLORS, "--json")
    tally.check(result.status == 1 and result.out == "" and f"{data}: no picture could be scored" in result.err, "none", result)
