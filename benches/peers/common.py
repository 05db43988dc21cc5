"""What every peer does alike: reading the inputs, and one line of JSON for every line it is told."""

import argparse
import json
import os
import statistics
import sys
import time


def arguments(**flags):
    """The folder of the inputs, the number of threads, an item whose memory is asked for, and the
    flags of one peer."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--memory", metavar="ITEM")
    for name, options in flags.items():
        parser.add_argument(f"--{name}", **options)
    return parser.parse_args()


class Inputs:
    """`inputs.npz` and `inputs.json`; arrays are read where they are asked for."""

    def __init__(self, args):
        # Here and not above, so that a missing package is an answer and no traceback.
        import numpy

        self.numpy, self.files = numpy, numpy.load(os.path.join(args.folder, "inputs.npz"))
        with open(os.path.join(args.folder, "inputs.json")) as file:
            self.values = json.load(file)
        # What the peer is started for.
        self.items = [args.memory] if args.memory else self.values["items"]

    def arrays(self, prefix):
        """Those called `prefix/name`, by name and in order of names."""
        pairs = sorted(file.rsplit("/", 1) for file in self.files if "/" in file)
        return {name: self.files[f"{prefix}/{name}"] for folder, name in pairs if folder == prefix}


class Variants:
    """Several ways to do one thing: the first time all are timed, from then on the fastest is used."""

    def __init__(self, ways):
        self.ways, self.seconds, self.best = ways, {}, None

    def time(self):
        if self.best is None:
            self.seconds = {name: timed(way) for name, way in self.ways.items()}
            self.best = min(self.seconds, key=self.seconds.get)
            seconds = self.seconds[self.best]
        else:
            seconds = settled(self.ways[self.best])
        others = {name: s for name, s in self.seconds.items() if name != self.best}
        return {"seconds": seconds, "variant": self.best, "others": others}


def timed(work):
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def settled(work):
    """Seconds of a call, by the same rule as on our side (`timing.rs`): the first one does not count,
    and of those that fit in a quarter of a second the median does; one of a second is the only one."""
    first = timed(work)
    if first > 1.0:
        return first
    start, all_seconds = time.perf_counter(), []
    while not all_seconds or time.perf_counter() - start < 0.25:
        all_seconds.append(timed(work))
    return statistics.median(all_seconds)


def peak_kib(work, runs):
    """Peak of the memory while `work` is done so often, above what the process held before, as on our
    side (`machine.rs`); none where the kernel does not tell."""

    def status(key):
        with open("/proc/self/status") as file:
            return next(int(line.split()[1]) for line in file if line.startswith(key + ":"))

    try:
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
    except OSError:
        return None
    before = status("VmRSS")
    for _ in range(runs):
        work()
    return status("VmHWM") - before


def answer(peer, folder, word, item):
    """The answer to one line. A peer has `work[item]`, which returns when the result is there."""
    if word == "check":
        asarray = peer.inputs.numpy.asarray
        parts = [asarray(part, dtype="<f8").ravel() for part in peer.result(item)]
        name = f"answer.{os.getpid()}.{item}.npy".replace("/", ".")
        peer.inputs.numpy.save(os.path.join(folder, name), peer.inputs.numpy.concatenate(parts))
        return {"file": name}
    if word != "time":
        raise ValueError(f"neither check nor time: {word}")
    work = peer.work[item]
    if isinstance(work, Variants):
        return work.time()
    return {"seconds": settled(work)}


def serve(args, start):
    """Answers until standard input closes; `start(args)` makes the peer, which has `inputs`, `work` by
    item, `result(item)`, `versions`, `threads` and, where memory is measured, `memory_runs`."""
    # What a library prints must not end up among the answers.
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def say(value):
        print(json.dumps(value), file=out, flush=True)

    try:
        peer = start(args)
        if args.memory:
            return say(peak_kib(peer.work[args.memory], peer.memory_runs))
        versions = {"python": ".".join(map(str, sys.version_info[:3])), **peer.versions}
        items = [item for item in peer.inputs.items if item in peer.work]
        say({"versions": versions, "threads": peer.threads, "items": items})
        for line in sys.stdin:
            say(answer(peer, args.folder, *line.split()))
    except Exception as error:
        say({"error": " ".join(f"{type(error).__name__}: {error}".split())})
