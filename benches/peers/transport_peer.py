"""Exact transport by POT's network simplex, with the cost matrix or lazily, and by SciPy's assignment
solver. What a way needs of the costs it computes while its clock runs."""

import os

# POT loads every array library that it finds; only numpy is used here.
for backend in ("PYTORCH", "JAX", "CUPY", "TENSORFLOW"):
    os.environ[f"POT_BACKEND_DISABLE_{backend}"] = "1"

from common import Inputs, arguments, serve

# Far above what is needed; POT stops at 100 000 otherwise, short of the optimum.
PIVOTS = 1_000_000_000


class Transport:
    # How often an item is done when its memory is measured, as on our side.
    memory_runs = 1

    def __init__(self, args):
        import numpy
        import ot
        import scipy

        self.numpy, self.ot, self.inputs, self.threads = numpy, ot, Inputs(args), args.threads
        self.versions = {"numpy": numpy.__version__, "scipy": scipy.__version__}
        items = self.inputs.items
        if args.way == "assignment":
            # It takes clouds of equal size only.
            items = [item for item in items if not item.startswith("hist/")]
        else:
            self.versions["POT"] = ot.__version__
        solve = getattr(self, args.way)
        problems = {item: self.problem(**self.inputs.arrays(item)) for item in items}
        self.work = {item: lambda item=item: solve(*problems[item]) for item in items}

    def problem(self, x=None, y=None, a=None, b=None, nodes=None):
        numpy = self.numpy
        if x is not None:
            return x, y, numpy.full(len(x), 1 / len(x)), numpy.full(len(y), 1 / len(y))
        down, across = numpy.meshgrid(nodes, nodes, indexing="ij")
        grid = numpy.stack([across.ravel(), down.ravel()], 1)
        return grid, grid, a.ravel() / a.sum(), b.ravel() / b.sum()

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
        return [self.work[item]()]


serve(arguments(way={"choices": ["emd2", "emd2_lazy", "assignment"], "required": True}), Transport)
