"""PyTorch on the CPU. Eager: the score and the Laplacian by autograd, as in the authors' code.
Compiled: the losses and a step of the sampler by `torch.compile`, the Laplacian carried forward through
the layers by hand, which is the fastest of what was tried."""

from common import Inputs, Variants, arguments, serve

# Particles that a block of the sampler holds.
BLOCK = 2500


class Torch:
    def __init__(self, args):
        import torch

        # Threads inherit it, so it comes before the first of them.
        if args.flush and not torch.set_flush_denormal(True):
            raise RuntimeError("this processor cannot flush denormals")
        torch.set_num_threads(args.threads)
        self.torch, self.inputs = torch, Inputs(args)
        self.threads = torch.get_num_threads()
        self.versions = {"torch": torch.__version__}

        v, tensors = self.inputs.values, self.tensors
        self.beta, self.a, self.g = v["beta"], v["drift"], v["diffusion"]
        self.prior_std, self.times, self.particles = v["prior_std"], v["times"], v["particles"]
        self.parameters = [p.requires_grad_() for p in tensors("parameters").values()]
        self.frozen = [p.detach() for p in self.parameters]
        self.dsm, self.points = tensors("batch"), tensors("points")
        square = (v["side"], v["side"])
        self.matrices = [torch.randn(square), torch.randn(square)]
        self.work = {
            "sgemm": lambda: torch.mm(*self.matrices),
            "dsm": lambda: self.gradient("dsm"),
            "dsm_fp": lambda: self.gradient("dsm_fp"),
            "sample": Variants(
                {
                    "all at once": lambda: self.samples(self.particles),
                    f"blocks of {BLOCK}": lambda: self.samples(BLOCK),
                }
            ),
        }
        if "own_step" in self.inputs.items:
            self.work["own_step"] = lambda: self.gradient("own_step")
            self.own_parameters = [p.requires_grad_() for p in tensors("own_step/parameters").values()]
            self.own_batch = tensors("own_step")

    def tensors(self, prefix):
        return {name: self.torch.from_numpy(array) for name, array in self.inputs.arrays(prefix).items()}

    def potential(self, parameters, t, x):
        h = self.torch.cat([t, x], 1)
        for i in range(0, len(parameters) - 2, 2):
            z = self.torch.nn.functional.linear(h, parameters[i], parameters[i + 1])
            h = self.torch.nn.functional.softplus(z, beta=self.beta)
        return self.torch.nn.functional.linear(h, parameters[-2], parameters[-1])

    def own_loss(self):
        """Three hidden layers with SiLU, under the noise that was added."""
        p, batch = self.own_parameters, self.own_batch
        h = self.torch.cat([batch["t"], batch["x"]], 1)
        for i in range(0, len(p), 2):
            h = self.torch.nn.functional.linear(h, p[i], p[i + 1])
            h = h if i + 2 == len(p) else self.torch.nn.functional.silu(h)
        return (h - batch["target"]).square().mean()

    def dsm_loss(self):
        t, x, target = (self.dsm[name] for name in ("t", "x", "target"))
        x = x.detach().requires_grad_()
        phi = self.potential(self.parameters, t, x)
        (score,) = self.torch.autograd.grad(phi.sum(), x, create_graph=True)
        return (score - target).square().mean()

    def residual_loss(self):
        t, x = (self.points[name].detach().requires_grad_() for name in ("t", "x"))
        phi = self.potential(self.parameters, t, x)
        d_t, s = self.torch.autograd.grad(phi.sum(), (t, x), create_graph=True)
        laplacian = 0.0
        for i in range(x.shape[1]):
            (row,) = self.torch.autograd.grad(s[:, i].sum(), x, create_graph=True)
            laplacian = laplacian + row[:, i]
        return self.residual(x, d_t[:, 0], s, laplacian)

    def residual(self, x, d_t, s, laplacian):
        advection = self.a * (x.shape[1] + (x * s).sum(1))
        diffusion = 0.5 * self.g**2 * (laplacian + s.square().sum(1))
        return (d_t + advection - diffusion).square().mean()

    def gradient(self, item):
        if item == "own_step":
            loss = self.own_loss()
            return loss, self.torch.autograd.grad(loss, self.own_parameters)
        loss = self.dsm_loss()
        if item == "dsm_fp":
            loss = loss + self.residual_loss()
        # The last bias shifts the potential by a constant: no loss depends on it.
        return loss, self.torch.autograd.grad(loss, self.parameters, allow_unused=True)

    def score(self, t, x):
        x = x.detach().requires_grad_()
        phi = self.potential(self.frozen, self.torch.full((len(x), 1), t), x)
        return self.torch.autograd.grad(phi.sum(), x)[0]

    def solve(self, x, eta):
        """Euler-Maruyama from `x` on; `eta` 0 is the flow ODE."""
        for t, after in zip(self.times, self.times[1:]):
            h, c = after - t, -0.5 * (1.0 + eta**2) * self.g**2
            drift = self.a * x + c * self.score(t, x)
            x = x + h * drift
            if eta:
                x = x + eta * self.g * (-h) ** 0.5 * self.torch.randn(x.shape)
        return x

    def samples(self, block):
        starts = (self.prior_std * self.torch.randn(block, 2) for _ in range(self.particles // block))
        return self.torch.cat([self.solve(x, 1.0) for x in starts])

    def result(self, item):
        if item == "sample":
            return [self.solve(self.torch.from_numpy(self.inputs.files["starts"]), 0.0)]
        loss, grads = self.gradient(item)
        zeros = map(self.torch.zeros_like, self.own_parameters if item == "own_step" else self.parameters)
        return [loss.detach()] + [z.detach() if g is None else g for g, z in zip(grads, zeros)]


class Compiled(Torch):
    """Needs a C++ compiler, which PyTorch looks for when the first function is called."""

    def __init__(self, args):
        super().__init__(args)
        torch = self.torch
        self.loss = {
            item: torch.compile(function, fullgraph=True, dynamic=False)
            for item, function in (("dsm", self.dsm_loss), ("dsm_fp", self.both))
        }
        self.step = torch.compile(self.one_step, fullgraph=True, dynamic=False)
        # Compiles now, so that a missing compiler shows before anything is timed.
        for item in self.loss:
            self.gradient(item)
        for rows in (BLOCK, self.particles):
            self.solve(torch.zeros(rows, 2), 1.0, steps=2)

    def dsm_loss(self):
        t, x, target = (self.dsm[name] for name in ("t", "x", "target"))
        return (self.score_at(self.parameters, t, x) - target).square().mean()

    def both(self):
        return self.dsm_loss() + self.residual_loss()

    def residual_loss(self):
        linear, t, x = self.torch.nn.functional.linear, self.points["t"], self.points["x"]
        weights, biases = self.parameters[0::2], self.parameters[1::2]
        z = linear(self.torch.cat([t, x], 1), weights[0], biases[0])
        # At first the tangents are columns of the matrix, the same for every sample.
        tangents = [column[None, :] for column in weights[0].T]
        second = self.torch.zeros(1, len(biases[0]))
        for weight, bias in zip(weights[1:], biases[1:]):
            slope = self.torch.sigmoid(self.beta * z)
            bend = self.beta * slope * (1.0 - slope)
            second = bend * sum(j * j for j in tangents[1:]) + slope * second
            tangents = [linear(slope * j, weight) for j in tangents]
            second = linear(second, weight)
            z = linear(self.torch.nn.functional.softplus(z, beta=self.beta), weight, bias)
        d_t, s, laplacian = tangents[0][:, 0], self.torch.cat(tangents[1:], 1), second[:, 0]
        return self.residual(x, d_t, s, laplacian)

    def gradient(self, item):
        loss = self.loss[item]()
        return loss, self.torch.autograd.grad(loss, self.parameters, allow_unused=True)

    def score_at(self, parameters, t, x):
        potential = lambda x: self.potential(parameters, t, x).sum()
        return self.torch.func.grad(potential)(x)

    def one_step(self, x, t, h, c, noise):
        score = self.score_at(self.frozen, t.expand(len(x), 1), x)
        return x + h * (self.a * x + c * score) + noise

    def solve(self, x, eta, steps=None):
        tensor, c = self.torch.tensor, self.torch.tensor(-0.5 * (1.0 + eta**2) * self.g**2)
        for t, after in list(zip(self.times, self.times[1:]))[:steps]:
            noise = eta * self.g * (t - after) ** 0.5 * self.torch.randn(x.shape)
            with self.torch.no_grad():
                x = self.step(x, tensor(t), tensor(after - t), c, noise)
        return x


args = arguments(flush={"action": "store_true"}, compile={"action": "store_true"})
serve(args, Compiled if args.compile else Torch)
