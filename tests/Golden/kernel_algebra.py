"""Makes the golden numbers of tests/RefConv.Tests/Methods/KernelAlgebraTests.cs. PyTorch 1.13, double precision.

Run by hand (python3 kernel_algebra.py); the numbers are never made again to make a test pass. fill and checksums are those of refconv.py.
The merged kernel is found by asking: what comes out of the two convolutions for a single 1 in the input is the kernel turned round.
"""
import math

import torch
import torch.nn.functional as F

torch.set_default_dtype(torch.float64)


def fill(*shape, a):
    n = torch.arange(math.prod(shape), dtype=torch.int64)
    return (((n * 7919 + a * 104729) % 1009).double() / 1009 - 0.5).reshape(shape)


def checksums(tensor):
    flat = tensor.reshape(-1)
    weights = (torch.arange(flat.numel()) % 17 + 1).double()
    return "%.12f, %.12f" % (flat.sum(), (flat * weights).sum())


def kernel_of(net, cin, groups, k):
    """[out, in/g, k, k] and [out] of a linear layer without padding."""
    size = 2 * k - 1
    bias = net(torch.zeros(1, cin, size, size))[0, :, 0, 0]
    x = torch.zeros(cin, cin, size, size)
    x[torch.arange(cin), torch.arange(cin), k - 1, k - 1] = 1
    dense = (net(x) - bias.view(1, -1, 1, 1)).flip(2, 3).transpose(0, 1)
    out, each = len(bias) // groups, cin // groups
    return torch.cat([dense[q * out:(q + 1) * out, q * each:(q + 1) * each] for q in range(groups)]), bias


w1, b1, w2, b2 = fill(6, 2, 1, 1, a=9), fill(6, a=10), fill(8, 3, 3, 3, a=11), fill(8, a=12)
for t in kernel_of(lambda x: F.conv2d(F.conv2d(x, w1, b1, groups=2), w2, b2, groups=2), 4, 2, 3):
    print("1x1 then 3x3, two groups:", checksums(t))
w3, b3, w4, b4 = fill(12, 4, 3, 3, a=5), fill(12, a=7), fill(5, 12, 1, 1, a=6), fill(5, a=8)
for t in kernel_of(lambda x: F.conv2d(F.conv2d(x, w3, b3), w4, b4), 4, 1, 3):
    print("3x3 then 1x1:", checksums(t))
