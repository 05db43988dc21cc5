"""PyTorch on the CPU, eager, denormals flushed: training steps of the paper's network and of another one."""

import os

from common import Inputs, arguments, serve
from torch_peer import Torch


class Both(Torch):
    def __init__(self, args):
        super().__init__(args)
        own = Inputs(os.path.join(args.folder, "own"))
        nn, widths = self.torch.nn, own["widths"]
        layers = []
        for inputs, outputs in zip(widths, widths[1:]):
            layers += [nn.Linear(inputs, outputs), nn.SiLU()]
        self.net = nn.Sequential(*layers[:-1])
        with self.torch.no_grad():
            for parameter, values in zip(self.net.parameters(), own.parameters()):
                parameter.copy_(self.tensor(values))
        self.batch = [self.tensor(own.array(own[name])) for name in ("t", "x", "target")]
        self.work["own_step"] = lambda: self.gradient("own_step")

    def gradient(self, item):
        if item != "own_step":
            return super().gradient(item)
        t, x, target = self.batch
        loss = (self.net(self.torch.cat([t, x], 1)) - target).square().mean()
        return loss, self.torch.autograd.grad(loss, list(self.net.parameters()))

    def result(self, item):
        if item != "own_step":
            return super().result(item)
        loss, grads = self.gradient(item)
        return loss.item(), [g.numpy() for g in grads]


if __name__ == "__main__":
    serve(arguments(flush={"action": "store_true"}), Both)
