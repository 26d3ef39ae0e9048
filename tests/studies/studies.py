"""What the studies are made of: runs of `vit`, the points of a figure, what is read from them. study.py makes them."""

from typing import NamedTuple

BATCH = 64


class Run(NamedTuple):
    """A training run: its folder's name, and `vit` COMMAND with the options of NETWORK and OPTIONS."""

    name: str
    command: str  # train, pretrain; finetune begins with the run before it in its chain
    network: tuple  # options; those of a finetune are for the estimate only
    options: tuple
    steps: int
    batch: int = BATCH
    holdout: float = 0  # share of the pictures that it is tested on, instead of the test set
    every: str = "0"  # passes between tests; 0: one, at the end
    tests: int = 1  # how many that makes
    questions: tuple = ()  # files with the answers of other commands about its model


class Point(NamedTuple):
    series: str
    x: object  # a number, or words
    chain: tuple  # runs, one after the other


class Measure(NamedTuple):
    """The last value of KEY, percent, in FILE of a run of each chain."""

    label: str
    file: str
    key: str
    run: int = -1  # its place in the chain


class Study(NamedTuple):
    title: str
    axis: str  # what x is
    points: list
    measures: list
    seeds: int = 3
    logarithmic: bool = False
    over_cost: bool = False  # the picture's x is arithmetic
    choose: str = ""  # the measure by which the best x of each series is chosen


TEST = Measure("test accuracy", "log.jsonl", "test_accuracy")
HELD_OUT = Measure("held-out accuracy", "log.jsonl", "test_accuracy")
ANSWERED = Measure("test accuracy", "eval.json", "top1")
FEW_SHOT = Measure("5-shot accuracy", "fewshot.json", "accuracy")

QUESTIONS = {  # the commands behind the answers, about the model {model}, asked of the pictures {test}
    "eval.json": ("eval", "--json"),
    "fewshot.json": ("fewshot", "eval", "--json", "--shots", "5"),
}

ADAM = ("--optimizer", "adamw", "--lr", "0.002")
SGD = ("--optimizer", "sgd", "--lr", "0.3", "--weight-decay", "0.0001")  # of BiT: what its study found best
AUGMENT = ("--flip", "0.5", "--pad", "4")


def vit(width=64, layers=4, mlp=128, patch=4, pos="2d", pool="cls"):
    """Heads of 32 channels."""
    heads = max(1, width // 32)
    sizes = {"pos": pos, "pool": pool, "layers": layers, "width": width, "heads": heads, "mlp": mlp, "patch": patch}
    return tuple(word for key, value in sizes.items() for word in (f"--{key}", str(value))) + ("--size", "32")


def convolutions(arch, units, width=32):
    stem = ("--stem-width", "32", "--stem-size", "3", "--stem-stride", "2")
    return ("--arch", arch, *stem, "--unit-width", str(width), "--units", units, "--size", "32")


def hybrid(units, width, layers):
    rest = ("--layers", str(layers), "--width", str(width), "--heads", "2", "--mlp", str(2 * width), "--patch", "1")
    return convolutions("vit_tiny_r_s16_p8_224", units) + rest


def bit(units, width=32):
    return convolutions("bit_r50x1", units, width)


def trained(name, network, steps, options=ADAM, **rest):
    return (Run(name, "train", network, (*options, *AUGMENT), steps, **rest),)


# ---- The paper's studies ----


def data_size(scale):
    """Figures 3 and 4: subsets of growing size, the model that was best on pictures held out, ViT beside BiT."""
    points, steps, tests = [], scale(1400), 8
    for name, network, options in (("ViT", vit(layers=2), ADAM), ("BiT", bit("2,2"), SGD)):
        for size in (1000, 4000, 16000, 49000):
            every = f"{steps * BATCH / scale(size) / tests:.6g}"
            run = trained(f"data-{name.lower()}-{scale(size)}", network, steps, (*options, "--subset", str(scale(size))),
                          holdout=0.02, every=every, tests=tests, questions=("eval.json", "fewshot.json"))
            points.append(Point(name, scale(size), run))
    return Study("Accuracy over the size of the training set", "training pictures", points, [ANSWERED, FEW_SHOT],
                 logarithmic=True)


def positions(scale):
    """Appendix D.4, table 8: position embeddings."""
    names = {"none": "none", "1d": "1-D", "2d": "2-D", "relative": "relative"}
    points = [Point("", names[pos], trained(f"positions-{pos}", vit(pos=pos), scale(2800))) for pos in names]
    return Study("Position embeddings", "position embeddings", points, [TEST])


def rates(prefix, series, values, steps):
    """Each of series at every learning rate; the best is chosen on pictures held out."""
    return [
        Point(name, float(rate), trained(f"{prefix}-{key}-{rate}", network, steps, (*options, "--lr", rate),
                                         holdout=0.04, questions=("eval.json",)))
        for key, (name, network, options) in series.items()
        for rate in values[key]
    ]


def pooling(scale):
    """Appendix D.3, figure 9: class token and mean of the patches (GAP), each at its own learning rate."""
    options = ("--optimizer", "adamw")
    series = {"cls": ("class token", vit(), options), "gap": ("mean of the patches", vit(pool="mean"), options)}
    tried = ("0.0005", "0.001", "0.002", "0.004", "0.008")
    points = rates("pooling", series, {"cls": tried, "gap": tried}, scale(1200))
    return Study("Class token and mean of the patches", "learning rate", points, [HELD_OUT, ANSWERED], logarithmic=True,
                 choose=HELD_OUT.label)


def shape(scale):
    """Appendix D.2, figure 8: depth, width, MLP and patches scaled one at a time from one network."""
    base = {"width": 64, "layers": 4, "mlp": 128, "patch": 8}
    scaled = {"layers": (1, 2, 4, 8), "width": (32, 64, 128, 192), "mlp": (64, 128, 256, 512), "patch": (32, 16, 8, 4)}
    names = {"layers": "depth", "width": "width", "mlp": "MLP", "patch": "patch"}
    points = []
    for key, values in scaled.items():
        for value in values:
            name = "shape-base" if value == base[key] else f"shape-{key}-{value}"
            points.append(Point(names[key], value, trained(name, vit(**{**base, key: value}), scale(2200))))
    return Study("The shape of the network", "its value", points, [TEST], logarithmic=True, over_cost=True)


def optimizer(scale):
    """Appendix D.1, table 7: SGD and Adam for BiT, each at its own learning rate."""
    series = {"sgd": ("SGD, momentum 0.9", bit("2,2"), ("--optimizer", "sgd", "--weight-decay", "0.0001")),
              "adam": ("Adam", bit("2,2"), ("--optimizer", "adam-l2", "--weight-decay", "0.0001"))}
    tried = {"sgd": ("0.03", "0.1", "0.3", "1"), "adam": ("0.001", "0.003", "0.01", "0.03")}
    points = rates("optimizer", series, tried, scale(900))
    return Study("SGD and Adam for BiT", "learning rate", points, [HELD_OUT, ANSWERED], logarithmic=True,
                 choose=HELD_OUT.label)


def cost(scale):
    """Figure 5: accuracy over arithmetic, four networks of each kind, of equal cost in threes."""
    families = {
        "ViT": (vit(48, 2, 96), vit(64, 2), vit(64, 3), vit(96, 2, 192)),
        "hybrid": (hybrid("1", 48, 1), hybrid("2", 64, 1), hybrid("2", 64, 2), hybrid("2", 64, 3)),
        "BiT": (bit("1,1"), bit("2,2"), bit("2,2,2"), bit("2,2,2,2")),
    }
    points = [Point(name, i + 1, trained(f"cost-{name.lower()}-{i + 1}", network, scale(800), SGD if name == "BiT" else ADAM))
              for name, networks in families.items() for i, network in enumerate(networks)]
    return Study("Accuracy over arithmetic", "size", points, [TEST], logarithmic=True, over_cost=True)


# ---- Masked patch prediction (section 4.6, appendix B.1.2) ----

MASKED = tuple("--pool mean --pos 2d --layers 4 --width 128 --heads 4 --mlp 256 --patch 4 --size 32".split())
MASKED_BATCH = 32
FINE = 1200  # updates of fine-tuning
ADAMW = ("--optimizer", "adamw", "--lr", "0.001")
COLORS_RIGHT = Measure("hidden colours right", "log.jsonl", "model_accuracy", 0)
FINE_TUNED = Measure("accuracy after fine-tuning", "log.jsonl", "test_accuracy")


def from_scratch(name, steps):
    return (Run(name, "train", MASKED, (*ADAMW, *AUGMENT), steps, MASKED_BATCH),)


def pretrained(scale, name="mean3bit", steps=3000, *options):
    """Pre-trained, then fine-tuned."""
    pretraining = (*ADAMW, "--flip", "0.5", "--crop", "0", "--average", "0.998", *options)
    return (Run(name, "pretrain", MASKED, pretraining, scale(steps), MASKED_BATCH),
            Run(f"{name}-fine", "finetune", MASKED, (*ADAMW, *AUGMENT), scale(FINE), MASKED_BATCH))


def masked_scratch(scale):
    """Pre-trained, and from scratch with as many steps of fine-tuning or as many in all."""
    steps, fine = scale(3000), scale(FINE)
    points = [Point("", f"{fine} from scratch", from_scratch("scratch", fine)),
              Point("", f"{steps + fine} from scratch", from_scratch("scratch-long", steps + fine)),
              Point("", f"{steps}, then {fine}", pretrained(scale))]
    return Study("With and without masked pre-training", "steps", points, [TEST], seeds=1)


def masked_targets(scale):
    """The three targets: mean colour, 4x4 colours, pixels."""
    targets = {"mean3bit": (), "down4x4": ("--target", "down4x4"), "pixels": ("--target", "pixels")}
    points = [Point("", name, pretrained(scale, name, 3000, *option)) for name, option in targets.items()]
    return Study("Targets of masked patch prediction", "target", points, [FINE_TUNED], seeds=1)


def masked_share(scale):
    """15 % of the patches corrupted, and 50 %."""
    points = [Point("", 0.15, pretrained(scale, "share-0.15", 3000, "--corrupt", "0.15")),
              Point("", 0.5, pretrained(scale))]
    return Study("Share of corrupted patches", "share corrupted", points, [COLORS_RIGHT, FINE_TUNED], seeds=1)


def masked_steps(scale):
    """Accuracy after fine-tuning over steps of pre-training."""
    points = [Point("", scale(steps), pretrained(scale, f"steps-{steps}", steps)) for steps in (375, 750, 1500)]
    points.append(Point("", scale(3000), pretrained(scale)))
    return Study("Steps of masked patch prediction", "steps of pre-training", points, [COLORS_RIGHT, FINE_TUNED],
                 seeds=1, logarithmic=True)


STUDIES = {
    "data-size": data_size,
    "positions": positions,
    "pooling": pooling,
    "shape": shape,
    "optimizer": optimizer,
    "cost": cost,
    "scratch": masked_scratch,
    "targets": masked_targets,
    "share": masked_share,
    "steps": masked_steps,
}
