"""PyTorch on the CPU, eager, channels last: a convolution with both its gradients, diffusers' U-Nets."""

from common import Inputs, arguments, serve


class Convolution:
    def __init__(self, torch, arrays):
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
    def __init__(self, torch, arrays, parameters, config, trains):
        from diffusers import UNet2DModel

        self.torch, self.trains = torch, trains
        self.model = UNet2DModel(**config)
        self.model.load_state_dict(parameters)
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
    # How often an item is done when its memory is measured, as on our side.
    memory_runs = 3

    def __init__(self, args):
        import torch

        torch.set_num_threads(args.threads)
        # Denormal numbers cost both sides nothing.
        torch.set_flush_denormal(True)
        self.torch, self.inputs, self.threads = torch, Inputs(args), torch.get_num_threads()
        self.versions = {"torch": torch.__version__}
        self.problems = {item: self.problem(item) for item in self.inputs.items}
        self.work = {item: problem.compute for item, problem in self.problems.items()}

    def problem(self, item):
        arrays, config = self.tensors(item), self.inputs.values[item].get("config")
        if config is None:
            return Convolution(self.torch, arrays)
        import diffusers

        self.versions["diffusers"] = diffusers.__version__
        parameters = self.tensors(f"{item}/parameters")
        return Network(self.torch, arrays, parameters, config, item.endswith("_step"))

    def tensors(self, prefix):
        return {name: self.torch.from_numpy(array) for name, array in self.inputs.arrays(prefix).items()}

    def result(self, item):
        return self.problems[item].result()


serve(arguments(), Torch)
