"""JAX on the CPU, compiled (`jit`): gradients by reverse mode; the Laplacian by reverse mode over
reverse mode, or carried forward through the layers by hand."""

import os

from common import Inputs, Variants, arguments, serve

# Particles that a block of the sampler holds.
BLOCK = 2500


class Jax:
    def __init__(self, args):
        import jax
        import jax.numpy as jnp
        import jaxlib

        self.jax, self.jnp, self.inputs = jax, jnp, Inputs(args)
        # XLA takes the number of its threads from here and does not say what it made of it.
        self.threads = int(os.environ["PJRT_NPROC"])
        self.versions = {"jax": jax.__version__, "jaxlib": jaxlib.__version__}

        v, arrays = self.inputs.values, lambda name: jax.tree.map(jnp.asarray, self.inputs.arrays(name))
        self.beta, self.a, self.g = v["beta"], v["drift"], v["diffusion"]
        self.prior_std, self.times, self.particles = v["prior_std"], v["times"], v["particles"]
        self.softplus = self.activation()
        self.parameters = list(arrays("parameters").values())
        dsm, points = arrays("batch"), arrays("points")
        derivatives = {"reverse": self.reverse, "forward": self.forward}[args.laplacian]

        def both(parameters, dsm, points):
            residual = self.residual_loss(derivatives, parameters, **points)
            return self.dsm_loss(parameters, **dsm) + residual

        step = jax.jit(jax.value_and_grad(lambda parameters, dsm: self.dsm_loss(parameters, **dsm)))
        step_fp = jax.jit(jax.value_and_grad(both))
        self.steps = {
            "dsm": lambda: jax.block_until_ready(step(self.parameters, dsm)),
            "dsm_fp": lambda: jax.block_until_ready(step_fp(self.parameters, dsm, points)),
        }
        square = (v["side"], v["side"])
        matrices = [jax.random.normal(jax.random.key(seed), square) for seed in (1, 2)]
        product = jax.jit(jnp.matmul)
        self.work = {
            "sgemm": lambda: jax.block_until_ready(product(*matrices)),
            **self.steps,
            "sample": Variants(dict(self.samplers())),
        }

    def activation(self):
        jax, jnp, beta = self.jax, self.jnp, self.beta

        # Its derivative is the sigmoid; that of JAX's own softplus takes longer.
        @jax.custom_jvp
        def softplus(z):
            return jnp.maximum(z, 0.0) + jnp.log1p(jnp.exp(-jnp.abs(beta * z))) / beta

        @softplus.defjvp
        def tangent(primals, tangents):
            return softplus(*primals), jax.nn.sigmoid(beta * primals[0]) * tangents[0]

        return softplus

    def potential(self, parameters, t, x):
        h = self.jnp.concatenate([t, x], 1)
        for i in range(0, len(parameters) - 2, 2):
            h = self.softplus(h @ parameters[i].T + parameters[i + 1])
        return h @ parameters[-2].T + parameters[-1]

    def score(self, parameters, t, x):
        return self.jax.grad(lambda x: self.potential(parameters, t, x).sum())(x)

    def dsm_loss(self, parameters, t, x, target):
        return self.jnp.square(self.score(parameters, t, x) - target).mean()

    def reverse(self, parameters, t, x):
        """`d_t phi`, `grad phi` and `Lap phi`, every derivative by reverse mode."""
        grad = self.jax.grad
        potential = lambda t, x: self.potential(parameters, t, x).sum()
        d_t, s = grad(potential, (0, 1))(t, x)
        laplacian = 0.0
        for i in range(x.shape[1]):
            row = grad(lambda x: grad(potential, 1)(t, x)[:, i].sum())(x)
            laplacian = laplacian + row[:, i]
        return d_t[:, 0], s, laplacian

    def forward(self, parameters, t, x):
        """The same from tangents of every input and the sum of second derivatives, layer by layer."""
        jnp, weights, biases = self.jnp, parameters[0::2], parameters[1::2]
        z = jnp.concatenate([t, x], 1) @ weights[0].T + biases[0]
        # At first the tangents are columns of the matrix, the same for every sample.
        tangents = [column[None, :] for column in weights[0].T]
        second = 0.0
        for weight, bias in zip(weights[1:], biases[1:]):
            slope = self.jax.nn.sigmoid(self.beta * z)
            bend = self.beta * slope * (1.0 - slope)
            second = bend * sum(j * j for j in tangents[1:]) + slope * second
            tangents = [(slope * j) @ weight.T for j in tangents]
            second = second @ weight.T
            z = self.softplus(z) @ weight.T + bias
        return tangents[0][:, 0], jnp.concatenate(tangents[1:], 1), second[:, 0]

    def residual_loss(self, derivatives, parameters, t, x):
        d_t, s, laplacian = derivatives(parameters, t, x)
        advection = self.a * (x.shape[1] + (x * s).sum(1))
        diffusion = 0.5 * self.g**2 * (laplacian + self.jnp.square(s).sum(1))
        return self.jnp.square(d_t + advection - diffusion).mean()

    def solve(self, parameters, x, key, eta):
        """Euler-Maruyama from `x` on; `eta` 0 is the flow ODE."""
        jax, jnp, times = self.jax, self.jnp, self.times
        starts = jnp.asarray(times[:-1])
        lengths = jnp.asarray([after - t for t, after in zip(times, times[1:])])

        def step(i, x):
            h, c = lengths[i], -0.5 * (1.0 + eta**2) * self.g**2
            t = jnp.broadcast_to(starts[i], (len(x), 1))
            x_next = x + h * (self.a * x + c * self.score(parameters, t, x))
            if eta:
                z = jax.random.normal(jax.random.fold_in(key, i), x.shape)
                x_next = x_next + eta * self.g * jnp.sqrt(-h) * z
            return x_next

        return jax.lax.fori_loop(0, len(times) - 1, step, x)

    def samplers(self):
        """Every generator, all particles at once or block by block; a new key at every call."""
        jax, std = self.jax, self.prior_std

        def run(parameters, key, block):
            def one(key):
                start, noise = jax.random.split(key)
                x = std * jax.random.normal(start, (block, 2))
                return self.solve(parameters, x, noise, 1.0)

            if block == self.particles:
                return one(key)
            return jax.lax.map(one, jax.random.split(key, self.particles // block))

        run = jax.jit(run, static_argnums=2)
        for generator in ("threefry2x32", "unsafe_rbg"):
            for block, name in ((self.particles, "all at once"), (BLOCK, f"blocks of {BLOCK}")):
                keys = jax.random.split(jax.random.key(0, impl=generator), 4096)
                compiled = run.lower(self.parameters, keys[0], block).compile()
                way = lambda keys=iter(keys), compiled=compiled: jax.block_until_ready(
                    compiled(self.parameters, next(keys))
                )
                yield f"{name}, {generator}", way

    def result(self, item):
        if item == "sample":
            starts = self.jnp.asarray(self.inputs.files["starts"])
            solve = self.jax.jit(lambda parameters, x: self.solve(parameters, x, None, 0.0))
            return [solve(self.parameters, starts)]
        loss, grads = self.steps[item]()
        return [loss, *grads]


serve(arguments(laplacian={"choices": ["reverse", "forward"], "required": True}), Jax)
