"""Exact transport by POT's network simplex, with the cost matrix or lazily, and by SciPy's assignment
solver. What a way needs of the costs it computes while its clock runs."""

import os

# POT loads every array library that it finds; only numpy is used here.
for backend in ("PYTORCH", "JAX", "CUPY", "TENSORFLOW"):
    os.environ[f"POT_BACKEND_DISABLE_{backend}"] = "1"

from common import Inputs, arguments, serve, status

# Far above what is needed; POT stops at 100 000 otherwise, short of the optimum.
PIVOTS = 1_000_000_000


class Transport:
    def __init__(self, args):
        import numpy
        import ot
        import scipy

        self.numpy, self.ot, self.inputs, self.threads = numpy, ot, Inputs(args.folder), args.threads
        self.versions = {"numpy": numpy.__version__, "scipy": scipy.__version__}
        if args.way != "assignment":
            self.versions["POT"] = ot.__version__
        solve = getattr(self, args.way)
        self.problems = {name: self.problem(e) for name, e in self.inputs.manifest.items()}
        self.work = {
            name: lambda problem=problem: solve(*problem)
            for name, problem in self.problems.items()
        }

    def problem(self, entry):
        numpy, array = self.numpy, {name: self.inputs.array(e) for name, e in entry.items()}
        if "x" in array:
            n, m = len(array["x"]), len(array["y"])
            return array["x"], array["y"], numpy.full(n, 1 / n), numpy.full(m, 1 / m)
        down, across = numpy.meshgrid(array["nodes"], array["nodes"], indexing="ij")
        nodes = numpy.stack([across.ravel(), down.ravel()], 1)
        a, b = array["a"].ravel(), array["b"].ravel()
        return nodes, nodes, a / a.sum(), b / b.sum()

    def emd2(self, x, y, a, b):
        return self.ot.emd2(a, b, self.ot.dist(x, y), numItermax=PIVOTS)

    def emd2_lazy(self, x, y, a, b):
        return self.ot.lp.emd2_lazy(x, y, a, b, numItermax=PIVOTS, return_matrix=False)

    def assignment(self, x, y, a, b):
        from scipy.optimize import linear_sum_assignment
        from scipy.spatial.distance import cdist

        costs = cdist(x, y, "sqeuclidean")
        return costs[linear_sum_assignment(costs)].mean()

    def result(self, item):
        return float(self.work[item]()), []

    def memory_kib(self, item):
        """Peak of a forked copy of this process above what it starts with; none without /proc."""
        if not os.path.exists("/proc/self/status"):
            return None
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                before = status("VmRSS")
                self.work[item]()
                os.write(writing, str(status("VmHWM") - before).encode())
            finally:
                os._exit(0)
        os.close(writing)
        with os.fdopen(reading) as answer:
            text = answer.read()
        os.waitpid(child, 0)
        return int(text) if text else None


serve(arguments(way={"choices": ["emd2", "emd2_lazy", "assignment"], "required": True}), Transport)
