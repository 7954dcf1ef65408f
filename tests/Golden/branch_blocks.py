"""Makes the golden numbers of the branch blocks in tests/RefConv.Tests/Methods/BranchBlockGoldenTests.cs. PyTorch 1.13, double precision.

Run by hand (python3 branch_blocks.py); the numbers are never made again to make a test pass. fill and checksums are those of refconv.py.
Tensors of the state are filled in the order of their keys: number i (from 1) with fill(a=i), running variances with 1 more. One training step
is then told by the checksums of its result, of all gradients one after another, and of all running statistics; and last the evaluation.
"""
import math
import os
import sys

import torch

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../../bench/Peers/Workers"))
from torch_blocks import Acb, Dbb, RepVgg

torch.set_default_dtype(torch.float64)


def fill(*shape, a):
    n = torch.arange(math.prod(shape), dtype=torch.int64)
    return (((n * 7919 + a * 104729) % 1009).double() / 1009 - 0.5).reshape(shape)


def checksums(*tensors):
    flat = torch.cat([t.detach().reshape(-1) for t in tensors])
    weights = (torch.arange(flat.numel()) % 17 + 1).double()
    return "%.12f, %.12f" % (flat.sum(), (flat * weights).sum())


CASES = [  # block, in, out, kernel, stride, groups
    (Acb, 4, 6, 3, 1, 1), (Acb, 4, 4, 5, 2, 2), (RepVgg, 4, 4, 3, 1, 2), (RepVgg, 4, 6, 3, 2, 1),
    (Dbb, 4, 6, 3, 1, 1), (Dbb, 4, 6, 3, 2, 2), (Dbb, 5, 5, 5, 1, 5),
]

for block, cin, cout, k, stride, groups in CASES:
    net = block(cin, cout, k, stride, groups)
    state = {key: t for key, t in sorted(net.state_dict().items()) if not key.endswith("num_batches_tracked")}
    for i, (key, t) in enumerate(state.items()):
        t.copy_(fill(*t.shape, a=i + 1) + (1 if key.endswith("running_var") else 0))
    x = fill(2, cin, 7, 6, a=50).requires_grad_()
    y = net(x)
    (y * fill(*y.shape, a=51)).sum().backward()
    grads = [p.grad for _, p in sorted(net.named_parameters())]
    running = [t for key, t in state.items() if "running" in key]
    print('{ "%s", [%d, %d, %d, %d, %d], [' % (block.__name__.lower(), cin, cout, k, stride, groups)
          + ", ".join([checksums(y), checksums(*grads), checksums(x.grad), checksums(*running), checksums(net.eval()(x))]) + "] },")
