"""Weights and multiply-adds of the definitions at 224 x 224, one line a model: the numbers in tests/RefConv.Tests/Models/ZooCounts.cs.

    python3 tests/Golden/counts.py [NAME ...]

A multiply-add is one of a convolution or a linear layer. Where a family is compared narrower than it is (its WHOLE says what it is), the whole is counted.
For refocusing: convolutions larger than 1x1, their weights, and the refocus weights cin * cout * k * k with k = 3 (1 where the kernel is smaller than
3), which is what a D-channel grouped convolution over each kernel has, and its multiply-adds.
"""
import importlib
import pkgutil
import sys

import torch
from torch import nn

import definitions


def counts(model):
    macs = 0

    def hook(module, _, output):
        nonlocal macs
        macs += output.numel() * module.weight[0].numel()

    convs = []
    for module in model.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            module.register_forward_hook(hook)
        if isinstance(module, nn.Conv2d) and max(module.kernel_size) > 1:
            convs.append(module)
    with torch.no_grad():
        model.eval()(torch.zeros(1, 3, 224, 224))
    frozen = sum(c.weight.numel() for c in convs)
    refocus, refocus_macs = 0, 0
    for c in convs:
        k, size = 3 if c.kernel_size[0] >= 3 else 1, c.kernel_size[0]
        d = c.weight.shape[0] * c.weight.shape[1]
        refocus += d * c.groups * k * k
        refocus_macs += d * c.groups * k * k * size * size
    return sum(p.numel() for p in model.parameters()), macs, len(convs), frozen, refocus, refocus_macs


def main():
    models = {}
    for info in pkgutil.iter_modules(definitions.__path__):
        module = importlib.import_module(f"definitions.{info.name}")
        models |= {name: parity.build for name, parity in getattr(module, "MODELS", {}).items()} | getattr(module, "WHOLE", {})
    for name in sys.argv[1:] or sorted(models):
        print(name, *counts(models[name]()), flush=True)


if __name__ == "__main__":
    main()
