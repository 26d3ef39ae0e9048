#!/usr/bin/env python3
"""One of the paper's studies: trains what it needs, then writes a table and a picture.

    tests/studies/study.py positions --data cifar10 --out runs

Every training run is a folder below OUT. Ctrl-C stops them, the same command goes on; a run that is whole is not made
again. Ends with OUT/NAME.md and OUT/NAME.svg: mean and standard deviation over seeds. README.md beside this file tells
of each study."""

import argparse
import concurrent.futures
import fcntl
import json
import os
import signal
import statistics
import subprocess
import sys
import threading
import time

import chart
from studies import QUESTIONS, STUDIES

SPEED = {"ViT": 60e9, "hybrid": 26e9, "BiT": 25e9}  # FLOP a second of training on a core, for the first estimate: Zen 5
HERE = os.path.dirname(os.path.abspath(__file__))


class Stop(Exception):
    """Why nothing goes on, for people."""


class Stopped(Exception):
    """Ends a chain whose run was interrupted."""


def count_pictures(folder):
    with os.scandir(folder) as classes:
        return sum(len(os.listdir(entry.path)) for entry in classes if entry.is_dir())


def write(path, text):
    """Whole or not at all."""
    with open(f"{path}.part", "w") as file:
        file.write(text)
    os.replace(f"{path}.part", path)


def read(path):
    try:
        with open(path) as file:
            return file.read()
    except FileNotFoundError:
        return ""


def kind(network):
    arch = network[network.index("--arch") + 1] if "--arch" in network else ""
    return "BiT" if arch.startswith("bit") else "hybrid" if arch else "ViT"


class Costs:
    """Parameters and arithmetic of networks, as `vit inspect cost` computes them."""

    def __init__(self, vit):
        self.vit, self.known = vit, {}

    def of(self, network):
        """(parameters, FLOP of a picture's forward pass)"""
        if network not in self.known:
            options, arch = list(network), "vit_tiny_patch16_224"
            if "--arch" in options:
                at = options.index("--arch")
                arch = options[at + 1]
                del options[at : at + 2]
            command = [self.vit, "inspect", "cost", "--json", "--classes", "10", *options, arch]
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                raise Stop(f"{' '.join(command)}: {done.stderr.strip()}")
            answer = json.loads(done.stdout)
            self.known[network] = answer["parameters"], answer["flops"]
        return self.known[network]


class Workshop:
    """Makes the chains of runs of a study, some side by side."""

    def __init__(self, args, costs):
        self.args, self.costs = args, costs
        self.train = os.path.join(args.data, "train")
        tests = [os.path.join(args.data, name) for name in ("test", "val")]
        self.test = next(filter(os.path.isdir, tests), None)
        if not os.path.isdir(self.train) or not self.test:
            raise Stop(f"{args.data}: expected the folders train, and test or val, each with a folder for each class")
        self.train_pictures, self.test_pictures = count_pictures(self.train), count_pictures(self.test)
        self.processes, self.stopped, self.guard = {}, False, threading.Lock()
        self.lock = None

    def folder(self, run, seed):
        return os.path.join(self.args.out, run.name if seed == 1 else f"{run.name}-seed{seed}")

    def flops(self, run):
        """(training, tests and questions) of a run; a backward pass is two forward passes."""
        _, forward = self.costs.of(run.network)
        tested = run.holdout * self.train_pictures if run.holdout else self.test_pictures
        asked = tested * run.tests + self.test_pictures * len(run.questions)
        return 3 * forward * run.steps * run.batch, forward * asked

    def seconds(self, run):
        """What a run takes of one core, by the first estimate."""
        return sum(self.flops(run)) / SPEED[kind(run.network)]

    def is_made(self, run, seed):
        folder = self.folder(run, seed)
        return all(os.path.exists(os.path.join(folder, file)) for file in ("done", *run.questions))

    def part(self, run, seed):
        """How much of a run is made, 0..1."""
        if self.is_made(run, seed):
            return 1
        updates = read(os.path.join(self.folder(run, seed), "log.jsonl")).rsplit('"update":', 1)[1:]
        return int(updates[0].split(",")[0]) / run.steps * 0.99 if updates else 0

    def command(self, run, seed):
        """The words of `vit` that make the run, but for threads and files."""
        shared = ["--batch", str(run.batch), "--accumulate", "1", "--warmup", "100", "--schedule", "cosine"]
        shared += ["--eval-epochs", run.every, "--seed", str(seed)]
        network = [] if run.command == "finetune" else run.network
        holdout = ["--holdout", str(run.holdout)] if run.holdout else []
        return [run.command, *shared, *network, *run.options, "--steps", str(run.steps), *holdout]

    def call(self, words, folder, answer=None):
        """`vit` with these words; what it says goes to the folder's output.txt, an answer to that file, once whole."""
        said = os.path.join(folder, "output.txt")
        path = os.path.join(folder, answer) if answer else said
        with open(said, "a") as output, open(f"{path}.part" if answer else path, "w" if answer else "a") as out:
            with self.guard:
                if self.stopped:
                    raise Stopped
                # In a session of its own: Ctrl-C reaches this program only, which passes it on. The lock lives as long
                # as the process, so that no other study writes there while it does.
                process = subprocess.Popen([self.args.vit, *words], stdin=subprocess.DEVNULL, stdout=out, stderr=output,
                                           start_new_session=True, pass_fds=[self.lock])
                self.processes[process.pid] = process
            status = process.wait()
            with self.guard:
                del self.processes[process.pid]
        if self.stopped:
            raise Stopped
        if status:
            last = read(said).strip().splitlines()[-1:]
            raise Stop(f"{folder}: vit {words[0]} ended with status {status}: {''.join(last)}")
        if answer:
            os.replace(f"{path}.part", path)

    def make(self, run, seed, before):
        folder, threads = self.folder(run, seed), ["--threads", str(self.args.threads)]
        if self.stopped:
            raise Stopped
        if self.is_made(run, seed):
            return
        words = self.command(run, seed)
        os.makedirs(folder, exist_ok=True)
        made_by, now = read(os.path.join(folder, "command.txt")).strip(), " ".join(["vit", *words])
        if made_by not in ("", now):
            raise Stop(f"{folder} was begun by another command; remove it or choose another --out\n"
                       f"  there: {made_by}\n  now:   {now}")
        write(os.path.join(folder, "command.txt"), now + "\n")
        if not os.path.exists(os.path.join(folder, "done")):
            start = ["--model", os.path.join(before, "model.gguf")] if run.command == "finetune" else []
            test = [] if run.holdout else ["--val", self.test]
            self.call([*words, *threads, "--resume", *start, *test, "--out", folder, self.train], folder)
            write(os.path.join(folder, "done"), "")
        for file in run.questions:
            if not os.path.exists(os.path.join(folder, file)):
                model = os.path.join(folder, "best.gguf" if run.tests > 1 else "model.gguf")
                self.call([*QUESTIONS[file], *threads, "--model", model, self.test], folder, file)

    def make_chain(self, chain, seed):
        """The folder of its last run, or None where all was stopped before that."""
        before = None
        try:
            for run in chain:
                self.make(run, seed, before)
                before = self.folder(run, seed)
        except Stopped:
            return None
        except BaseException:
            self.stop()  # at once: no other chain is begun
            raise
        return before

    def stop(self):
        """Training saves what it has."""
        with self.guard:
            self.stopped = True
            for process in self.processes.values():
                process.send_signal(signal.SIGINT)

    def make_all(self, name, chains):
        """chains: [(runs, seed)], made in this order."""
        runs = [(run, seed) for chain, seed in chains for run in chain]
        total, began = sum(self.seconds(run) for run, _ in runs), time.monotonic()

        def done():
            return sum(self.seconds(run) * self.part(run, seed) for run, seed in runs)

        def line():
            made, now = done(), time.monotonic() - began
            pace = now / (made - first) if made > first and now > 5 else 1 / self.args.jobs
            left = (total - made) * pace
            whole = sum(self.is_made(run, seed) for run, seed in runs)
            return f"{name}: {whole} of {len(runs)} runs, {100 * made / total:.0f} %, {duration(left)} left"

        first = done()
        with concurrent.futures.ThreadPoolExecutor(self.args.jobs) as pool:
            futures = {pool.submit(self.make_chain, chain, seed) for chain, seed in chains}
            try:
                while futures:
                    ready, futures = concurrent.futures.wait(futures, 1, concurrent.futures.FIRST_COMPLETED)
                    for future in ready:
                        folder = future.result()
                        if folder and not sys.stderr.isatty():
                            print(f"{line()}; {folder} is made", file=sys.stderr, flush=True)
                    if sys.stderr.isatty():
                        print(f"\r\033[K{line()}", end="", file=sys.stderr, flush=True)
            except BaseException:
                self.stop()
                raise
            finally:
                if sys.stderr.isatty():
                    print("\r\033[K", end="", file=sys.stderr, flush=True)


def duration(seconds):
    minutes = round(seconds / 60)
    return f"{seconds:.0f} s" if seconds < 90 else f"{minutes} min" if minutes < 90 else f"{minutes / 60:.1f} h"


def value_of(folder, measure):
    for line in reversed(read(os.path.join(folder, measure.file)).splitlines()):
        if f'"{measure.key}"' in line:
            return json.loads(line)[measure.key]
    raise Stop(f"{folder}/{measure.file} has no {measure.key}")


class Results:
    """What the runs of a study say."""

    def __init__(self, study, workshop, seeds):
        self.study, self.workshop = study, workshop
        self.values = [  # [point][measure][seed]
            [[value_of(workshop.folder(point.chain[m.run], seed), m) for seed in range(1, seeds + 1)]
             for m in study.measures]
            for point in study.points
        ]

    def rows(self):
        several = any(point.series for point in self.study.points)
        yield [*([""] * several), self.study.axis, "parameters", "MFLOP a picture", "TFLOP of training",
               *(f"{measure.label}, %" for measure in self.study.measures)]
        for point, measured in zip(self.study.points, self.values):
            parameters, forward = self.workshop.costs.of(point.chain[-1].network)
            training = sum(self.workshop.flops(run)[0] for run in point.chain)
            yield [*([point.series] * several), shown(point.x), f"{parameters:,}", f"{forward / 1e6:.2f}",
                   f"{training / 1e12:.3g}", *(mean_and_deviation(values) for values in measured)]

    def choices(self):
        """Which x of each series is the best by the measure that chooses."""
        labels, best = [measure.label for measure in self.study.measures], {}
        if not self.study.choose:
            return
        by = labels.index(self.study.choose)
        for point, measured in zip(self.study.points, self.values):
            mean = statistics.mean(measured[by])
            if point.series not in best or mean > best[point.series][0]:
                best[point.series] = mean, point.x, measured
        for series, (_, x, measured) in best.items():
            said = [f"{label} {mean_and_deviation(values)} %" for label, values in zip(labels, measured)]
            yield f"{series}: {self.study.axis} {shown(x)} is the best by {labels[by]}. There: {', '.join(said)}."

    def markdown(self, name, words):
        rows = list(self.rows())
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        lines = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |" for row in rows]
        lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
        title = self.study.title
        text = [f"# {title}", f"`{words}`", "\n".join(lines), *self.choices(), f"![{title}]({name}.svg)"]
        return "\n\n".join(text) + "\n"

    def picture(self):
        panels = []
        for i, measure in enumerate(self.study.measures):
            lines = {}
            for point, measured in zip(self.study.points, self.values):
                x = self.workshop.costs.of(point.chain[-1].network)[1] / 1e6 if self.study.over_cost else point.x
                deviation = statistics.stdev(measured[i]) if len(measured[i]) > 1 else 0
                lines.setdefault(point.series, []).append((x, statistics.mean(measured[i]), deviation))
            panels.append((f"{measure.label}, %", lines))
        axis = "MFLOP of a picture's forward pass" if self.study.over_cost else self.study.axis
        return chart.draw(self.study.title, axis, panels, self.study.logarithmic)


def shown(x):
    return x if isinstance(x, str) else f"{x:g}" if isinstance(x, float) else f"{x:,}"


def mean_and_deviation(values):
    return f"{statistics.mean(values):.2f}" + (f" ± {statistics.stdev(values):.2f}" if len(values) > 1 else "")


def parse():
    def at_least(least, convert):
        def read_number(text):
            if not convert(text) >= least:
                raise ValueError
            return convert(text)

        read_number.__name__ = f"number (at least {least})"
        return read_number

    names = "\n".join(f"  {name:<11}{make.__doc__}" for name, make in STUDIES.items())
    parser = argparse.ArgumentParser(description=__doc__, epilog=f"studies:\n{names}",
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    option = parser.add_argument
    option("name", metavar="NAME", choices=STUDIES, help="which study")
    option("--data", required=True, help="folder with train, and test or val, such as CIFAR-10 of 32x32 pixels")
    option("--out", default="runs", help="where runs, table and picture go (default: runs)")
    option("--jobs", type=at_least(1, int), default=os.cpu_count(), help="runs side by side (default: a processor each)")
    option("--threads", type=at_least(1, int), default=1, help="of each (default: 1; more jobs are better)")
    option("--seeds", type=at_least(1, int), help="how many (default: the study's)")
    option("--scale", type=at_least(1e-6, float), default=1, help="times as many updates and pictures (default: 1)")
    option("--plan", action="store_true", help="say what would be made, and make nothing")
    option("--vit", default=os.path.join(HERE, "../../build/vit"), help="the program (default: build/vit)")
    return parser.parse_args()


def take_lock(out):
    """A file that only one study at a time holds; runs that outlive it hold it on."""
    os.makedirs(out, exist_ok=True)
    lock = os.open(os.path.join(out, ".lock"), os.O_CREAT | os.O_RDWR, 0o666)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise Stop(f"{out}: another study is at work there; choose another --out, or wait") from None
    return lock


def main():
    args = parse()
    study = STUDIES[args.name](lambda count: max(10, round(count * args.scale)))
    seeds = args.seeds or study.seeds
    workshop = Workshop(args, Costs(args.vit))
    chains = list(dict.fromkeys((point.chain, seed) for seed in range(1, seeds + 1) for point in study.points))
    runs = [(run, seed) for chain, seed in chains for run in chain]
    left = [(run, seed) for run, seed in runs if not workshop.is_made(run, seed)]
    flops = sum(sum(workshop.flops(run)) for run, _ in runs)
    work = sum(workshop.seconds(run) * (1 - workshop.part(run, seed)) for run, seed in left)
    seconds = work / args.jobs / args.threads
    print(f"{args.name}: {len(runs)} runs of {flops / 1e12:.3g} TFLOP in all, {len(left)} are to be made, "
          f"about {duration(seconds)} with {args.jobs} side by side", file=sys.stderr, flush=True)
    if args.plan:
        return
    workshop.lock = take_lock(args.out)
    workshop.make_all(args.name, chains)
    results = Results(study, workshop, seeds)
    words = f"tests/studies/study.py {args.name} --data {os.path.basename(os.path.normpath(args.data))} --seeds {seeds}"
    text = results.markdown(args.name, words + (f" --scale {args.scale:g}" if args.scale != 1 else ""))
    write(os.path.join(args.out, f"{args.name}.svg"), results.picture())
    write(os.path.join(args.out, f"{args.name}.md"), text)
    print(text, end="")


def interrupt(signal_number, frame):
    raise KeyboardInterrupt


if __name__ == "__main__":
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)  # SIGINT, too: a shell that starts this with & has it ignored
    try:
        main()
    except Stop as problem:
        sys.exit(f"study.py: {problem}")
    except OSError as problem:
        sys.exit(f"study.py: {problem.filename}: {problem.strerror}")
    except KeyboardInterrupt:
        print("study.py: stopped; the same command goes on", file=sys.stderr)
        sys.exit(130)
