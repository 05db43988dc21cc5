"""What every peer does alike: reading the inputs, and one line of JSON for every line it is told."""

import argparse
import json
import os
import statistics
import sys
import time


def arguments(**flags):
    """The folder of the inputs, the number of threads, and the flags of one peer."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("--threads", type=int, required=True)
    for name, options in flags.items():
        parser.add_argument(f"--{name}", **options)
    return parser.parse_args()


class Inputs:
    """The manifest, its arrays read where they are asked for."""

    def __init__(self, folder):
        # Here and not above, so that a missing package is an answer and no traceback.
        import numpy

        self.numpy, self.folder = numpy, folder
        with open(os.path.join(folder, "manifest.json")) as file:
            self.manifest = json.load(file)

    def __getitem__(self, name):
        return self.manifest[name]

    def array(self, entry):
        values = self.numpy.fromfile(os.path.join(self.folder, entry["file"]), dtype=entry.get("dtype", "<f4"))
        return values.reshape(entry["shape"])

    def parameters(self):
        return [self.array(entry) for entry in self["parameters"]]


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


def status(key):
    """A line of the kernel's account of this process, in KiB."""
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(key + ":"))


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


def answer(peer, folder, word, item):
    """The answer to one line. A peer has `work[item]`, which returns when the result is there."""
    if word == "check":
        # Before the result, which would leave its memory behind.
        memory = peer.memory_kib(item) if hasattr(peer, "memory_kib") else None
        loss, arrays = peer.result(item)
        asarray = peer.inputs.numpy.asarray
        name = f"answer.{os.getpid()}.{item}.bin".replace("/", ".")
        with open(os.path.join(folder, name), "wb") as file:
            for array in arrays:
                file.write(asarray(array, dtype="<f4").tobytes())
        return {"loss": loss, "memory_kib": memory, "file": name}
    if word != "time":
        raise ValueError(f"neither check nor time: {word}")
    work = peer.work[item]
    if isinstance(work, Variants):
        return work.time()
    return {"seconds": settled(work)}


def serve(args, start):
    """Answers until standard input closes; `start(args)` makes the peer."""
    # What a library prints must not end up among the answers.
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def say(value):
        print(json.dumps(value), file=out, flush=True)

    try:
        peer = start(args)
        python = ".".join(map(str, sys.version_info[:3]))
        say({"versions": {"python": python, **peer.versions}, "threads": peer.threads})
        for line in sys.stdin:
            say(answer(peer, args.folder, *line.split()))
    except Exception as error:
        say({"error": " ".join(f"{type(error).__name__}: {error}".split())})
