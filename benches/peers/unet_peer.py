"""PyTorch on the CPU, eager, channels last: a convolution with both its gradients, diffusers' U-Nets."""

import json
import subprocess
import sys

from common import Inputs, arguments, serve, status

# Times that the work is done when its memory is measured, as in `unet/memory.rs`.
TIMES = 3


class Convolution:
    def __init__(self, torch, arrays, _):
        self.torch = torch
        # Images are channels last in memory, and in PyTorch's order of dimensions.
        x, dy = (arrays[name].permute(0, 3, 1, 2) for name in ("x", "dy"))
        w = arrays["w"].to(memory_format=torch.channels_last)
        self.x, self.w, self.dy = x.requires_grad_(), w.requires_grad_(), dy

    def compute(self):
        y = self.torch.nn.functional.conv2d(self.x, self.w, padding=1)
        dx, dw = self.torch.autograd.grad(y, (self.x, self.w), self.dy)
        return y.detach(), dx, dw

    def result(self):
        y, dx, dw = self.compute()
        return [y.permute(0, 2, 3, 1).contiguous(), dx.permute(0, 2, 3, 1).contiguous(), dw.contiguous()]


class Network:
    def __init__(self, torch, arrays, config, trains):
        from diffusers import UNet2DModel

        self.torch, self.trains = torch, trains
        self.model = UNet2DModel(**config)
        prefix = "parameters/"
        state = {name[len(prefix):]: array for name, array in arrays.items() if name.startswith(prefix)}
        self.model.load_state_dict(state)
        self.model.to(memory_format=torch.channels_last)
        self.x, self.target = (arrays[name].to(memory_format=torch.channels_last) for name in ("x", "target"))
        self.t = arrays["t"]
        self.adam = torch.optim.Adam(self.model.parameters(), lr=1e-6)

    def loss(self):
        y = self.model(self.x, self.t).sample
        return y, (y - self.target).square().mean()

    def compute(self):
        if not self.trains:
            with self.torch.no_grad():
                return self.model(self.x, self.t).sample
        self.adam.zero_grad(set_to_none=True)
        self.loss()[1].backward()
        self.adam.step()

    def result(self):
        y, loss = self.loss()
        found = [y.detach().contiguous()]
        if self.trains:
            weights = [self.model.conv_in.weight, self.model.conv_out.weight]
            found += [g.contiguous() for g in self.torch.autograd.grad(loss, weights)]
        return found


class Torch:
    def __init__(self, args):
        import torch

        torch.set_num_threads(args.threads)
        # Denormal numbers cost both sides nothing.
        torch.set_flush_denormal(True)
        self.torch, self.inputs, self.args = torch, Inputs(args.folder), args
        self.threads = torch.get_num_threads()
        self.versions = {"torch": torch.__version__}
        items = [args.memory] if args.memory else self.inputs.manifest
        self.problems = {item: self.problem(item) for item in items}
        self.work = {item: problem.compute for item, problem in self.problems.items()}

    def problem(self, item):
        entries = dict(self.inputs[item])
        config = entries.pop("config", None)
        arrays = {name: self.torch.from_numpy(self.inputs.array(entry).copy()) for name, entry in entries.items()}
        if config is None:
            return Convolution(self.torch, arrays, item)
        import diffusers

        self.versions["diffusers"] = diffusers.__version__
        return Network(self.torch, arrays, config, item.endswith("_step"))

    def result(self, item):
        return None, self.problems[item].result()

    def memory_kib(self, item):
        """Peak of a new process above what it holds with the network and its inputs; none without /proc."""
        if item.startswith("conv"):
            return None
        words = [__file__, self.args.folder, "--threads", str(self.args.threads), "--memory", item]
        done = subprocess.run([sys.executable, *words], capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"memory of {item}: {done.stderr}")
        return json.loads(done.stdout.splitlines()[-1])

    def memory_here(self, item):
        try:
            with open("/proc/self/clear_refs", "w") as file:
                file.write("5")
        except OSError:
            return None
        before = status("VmRSS")
        for _ in range(TIMES):
            self.work[item]()
        return status("VmHWM") - before


if __name__ == "__main__":
    args = arguments(memory={"metavar": "ITEM"})
    if args.memory:
        print(json.dumps(Torch(args).memory_here(args.memory)))
    else:
        serve(args, Torch)
