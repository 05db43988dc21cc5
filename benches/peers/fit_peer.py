"""The training of `experiment fit IMAGES` beside the same recipe in PyTorch, in turns.

python fit_peer.py EXPERIMENT IMAGES.npy OUT [--labels LABELS.npy] [--minutes M] [--rounds N] [--steps K]

EXPERIMENT is the release binary, IMAGES.npy whole grey levels [n, height, width] or [n, channels, height, width], OUT a new folder
for the runs. Every round fits a model for M minutes, then takes K steps of PyTorch from its weights. Rows a second of ours are
of all training: losses on withheld rows, sheets of samples, averages and checkpoints included; those of PyTorch are of steps
alone: draw rows, dequantise, noise, loss, gradient, clipping, Adam, three averages. Before the first steps the network in PyTorch,
with the weights of ours, must denoise as ours does.
"""

import argparse
import json
import math
import statistics
import struct
import subprocess
import time
import tomllib
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

HALF = math.sqrt(0.5)


class Block(nn.Module):
    """A block of EDM's SongUNet; `sample` is 0, or -1 and 1 where it halves and doubles the sides."""

    def __init__(self, inputs, outputs, embedding, dropout, attention=False, sample=0):
        super().__init__()
        self.dropout, self.sample = dropout, sample
        self.norm0 = nn.GroupNorm(min(32, inputs // 4), inputs, eps=1e-6)
        self.conv0 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.affine = nn.Linear(embedding, outputs)
        self.norm1 = nn.GroupNorm(min(32, outputs // 4), outputs, eps=1e-6)
        self.conv1 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.skip = nn.Conv2d(inputs, outputs, 1) if inputs != outputs or sample else None
        self.qkv = None
        if attention:
            self.norm2 = nn.GroupNorm(min(32, outputs // 4), outputs, eps=1e-6)
            self.qkv = nn.Conv2d(outputs, 3 * outputs, 1)
            self.proj = nn.Conv2d(outputs, outputs, 1)

    def resampled(self, x):
        if self.sample > 0:
            return F.interpolate(x, scale_factor=2, mode="nearest")
        return F.avg_pool2d(x, 2) if self.sample < 0 else x

    def forward(self, x, embedding):
        y = self.conv0(self.resampled(F.silu(self.norm0(x))))
        y = F.silu(self.norm1(y + self.affine(embedding)[:, :, None, None]))
        y = self.conv1(F.dropout(y, self.dropout, self.training))
        x = x if self.skip is None else self.skip(self.resampled(x))
        x = (x + y) * HALF
        if self.qkv is not None:
            b, c, h, w = x.shape
            q, k, v = self.qkv(self.norm2(x)).reshape(b, c, 3, h * w).permute(2, 0, 3, 1)
            found = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, c, h, w)
            x = (self.proj(found) + x) * HALF
        return x


class SongUNet(nn.Module):
    def __init__(self, args):
        super().__init__()
        width, levels, dropout = args["model_channels"], args["channel_mult"], args["dropout"]
        emb, (height, _) = 4 * width, args["img_resolution"]
        attended, blocks = args["attn_resolutions"], args["num_blocks"]
        self.width = width
        self.map_label = nn.Linear(args["label_dim"], width) if args["label_dim"] else None
        self.map_layer0, self.map_layer1 = nn.Linear(width, emb), nn.Linear(emb, emb)
        self.enc, self.dec, skips, c = nn.ModuleDict(), nn.ModuleDict(), [], args["in_channels"]
        for level, mult in enumerate(levels):
            res = height >> level
            if level == 0:
                self.enc[f"{res}x{res}_conv"] = nn.Conv2d(c, width, 3, padding=1)
                c = width
            else:
                self.enc[f"{res}x{res}_down"] = Block(c, c, emb, dropout, sample=-1)
            skips.append(c)
            for i in range(blocks):
                self.enc[f"{res}x{res}_block{i}"] = Block(c, mult * width, emb, dropout, res in attended)
                c = mult * width
                skips.append(c)
        for level, mult in reversed(list(enumerate(levels))):
            res = height >> level
            if level == len(levels) - 1:
                self.dec[f"{res}x{res}_in0"] = Block(c, c, emb, dropout, True)
                self.dec[f"{res}x{res}_in1"] = Block(c, c, emb, dropout)
            else:
                self.dec[f"{res}x{res}_up"] = Block(c, c, emb, dropout, sample=1)
            for i in range(blocks + 1):
                attention = i == blocks and res in attended
                self.dec[f"{res}x{res}_block{i}"] = Block(c + skips.pop(), mult * width, emb, dropout, attention)
                c = mult * width
            if level == 0:
                self.dec[f"{res}x{res}_aux_norm"] = nn.GroupNorm(min(32, c // 4), c, eps=1e-6)
                self.dec[f"{res}x{res}_aux_conv"] = nn.Conv2d(c, args["out_channels"], 3, padding=1)

    def forward(self, x, noise, labels):
        half = self.width // 2
        freqs = (1 / 10000) ** (torch.arange(half) / (half - 1))
        angles = noise[:, None] * freqs
        emb = torch.cat([angles.sin(), angles.cos()], 1)
        if self.map_label is not None:
            emb = emb + self.map_label(labels * math.sqrt(self.map_label.in_features))
        emb = F.silu(self.map_layer1(F.silu(self.map_layer0(emb))))
        skips = []
        for block in self.enc.values():
            x = block(x, emb) if isinstance(block, Block) else block(x)
            skips.append(x)
        for name, block in self.dec.items():
            if "aux" in name:
                x = block(F.silu(x) if name.endswith("conv") else x)
            else:
                x = block(torch.cat([x, skips.pop()], 1) if "block" in name else x, emb)
        return x


def checkpoint(path):
    """Our weights by name, and the model's configuration."""
    with open(path, "rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
        body = file.read()
    config = json.loads(header.pop("__metadata__")["score-model"])["config"]
    arrays = {
        name: torch.from_numpy(
            np.frombuffer(body[t["data_offsets"][0] : t["data_offsets"][1]], "<f4").reshape(t["shape"]).copy()
        )
        for name, t in header.items()
        if "resample_filter" not in name
    }
    return arrays, config


class Recipe:
    """Steps of the recipe in PyTorch."""

    def __init__(self, images, labels, weights, config, batch):
        self.net = SongUNet(config["network"]["args"])
        self.net.load_state_dict(weights)
        self.net.to(memory_format=torch.channels_last).train()
        self.images, self.labels, self.batch = images, labels, batch
        self.classes = config["network"]["args"]["label_dim"]
        self.sd = config["sigma-data"]
        affine = config["data"]["transform"]["maps"][0]["affine"]
        self.scale, self.shift = affine["scale"], affine["shift"]
        self.params = list(self.net.parameters())
        self.adam = torch.optim.Adam(self.params, lr=1e-6, fused=True)
        self.averages = [[p.detach().clone() for p in self.params] for _ in range(3)]

    def loss(self, y, noise, eps, labels):
        s = noise[:, None, None, None]
        c = (s**2 + self.sd**2).sqrt()
        x = (y + s * eps).contiguous(memory_format=torch.channels_last)
        out = self.net(x / c, noise.log() / 4, labels)
        skip = self.sd**2 / c**2
        return (out - (y - skip * x) * c / (s * self.sd)).square().mean()

    def step(self):
        rows = torch.randint(len(self.images), (self.batch,))
        y = self.images[rows]
        y = (y + torch.rand_like(y) - self.shift) / self.scale
        noise = (-1.2 + 1.2 * torch.randn(self.batch)).exp()
        labels = F.one_hot(self.labels[rows], max(self.classes, 1)).float()
        labels = labels * (torch.rand(self.batch, 1) >= 0.1)
        self.adam.zero_grad(set_to_none=True)
        self.loss(y, noise, torch.randn_like(y), labels).backward()
        nn.utils.clip_grad_norm_(self.params, 1.0)
        self.adam.step()
        with torch.no_grad():
            for average in self.averages:
                torch._foreach_lerp_(average, self.params, 1e-3)

    def rows_a_second(self, steps):
        self.step()
        start = time.perf_counter()
        for _ in range(steps):
            self.step()
        return steps * self.batch / (time.perf_counter() - start)


def agree(recipe, experiment, model, folder):
    """How far apart the denoised images of both sides are, relative to the largest, before any step of ours is taken."""
    x = np.random.default_rng(0).standard_normal((4, *recipe.images.shape[1:]))
    labels, sigma = np.arange(4) % max(recipe.classes, 1), 0.5
    for name, array in (("x", x), ("t", np.array([sigma])), ("labels", labels)):
        np.save(folder / f"{name}.npy", array)
    words = [experiment, "forward", model, "--denoised"]
    words += [w for name in ("x", "t") for w in (f"--{name}", folder / f"{name}.npy")]
    words += ["--labels", folder / "labels.npy"] if recipe.classes else []
    subprocess.run([*map(str, words), "--out", str(folder / "y.npy")], check=True, capture_output=True)
    ours, c = np.load(folder / "y.npy"), math.sqrt(sigma**2 + recipe.sd**2)
    recipe.net.eval()
    with torch.no_grad():
        xt = torch.from_numpy(x).float()
        one = F.one_hot(torch.from_numpy(labels), max(recipe.classes, 1)).float()
        f = recipe.net(xt / c, torch.full((4,), math.log(sigma) / 4), one)
        theirs = (recipe.sd**2 / c**2 * xt + sigma * recipe.sd / c * f).numpy()
    recipe.net.train()
    return float(np.abs(ours - theirs).max() / np.abs(theirs).max())


def fit(experiment, data, out, minutes, more):
    """Rows a second of all training of `experiment fit`, and the seconds of it."""
    words = [experiment, "fit", data, "--minutes", minutes, "--out", out, *more]
    subprocess.run([str(w) for w in words], check=True, capture_output=True)
    trained = json.loads((out / "results.json").read_text())["trained"]
    batch = tomllib.loads((out / "config.toml").read_text())["training"]["batch"]
    return trained["steps"] * batch / trained["seconds"], trained


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiment")
    parser.add_argument("data")
    parser.add_argument("out", type=Path)
    parser.add_argument("--labels", help="labels [n] of the images")
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.set_flush_denormal(True)
    args.out.mkdir(parents=True)
    images = np.load(args.data)
    images = torch.from_numpy(images.reshape(len(images), -1, *images.shape[-2:])).float()
    labels = torch.from_numpy(np.load(args.labels)).long() if args.labels else torch.zeros(len(images)).long()
    more = ["--labels", args.labels] if args.labels else []
    ours, theirs = [], []
    for k in range(args.rounds):
        run = args.out / f"run-{k}"
        rate, trained = fit(args.experiment, args.data, run, args.minutes, more + ["--seed", k])
        model = run / "checkpoints/model.safetensors"
        weights, config = checkpoint(model)
        recipe = Recipe(images, labels, weights, config, 128)
        if k == 0:
            error = agree(recipe, args.experiment, model, args.out)
            print(f"{trained['parameters']} parameters; denoised images of both differ by {error:.1e} of the largest")
            assert error < 1e-4, "the two networks are not the same"
        ours.append(rate)
        theirs.append(recipe.rows_a_second(args.steps))
        print(f"round {k}: ours {ours[-1]:.0f} rows/s ({trained['steps']} steps), PyTorch {theirs[-1]:.0f}", flush=True)
    a, b = statistics.median(ours), statistics.median(theirs)
    print(f"medians: ours {a:.0f}, PyTorch {b:.0f} rows/s: {a / b:.2f} times (PyTorch {torch.__version__})")


if __name__ == "__main__":
    main()
