"""Makes the golden numbers of RefConv2d in tests/RefConv.Tests/Layers/RefConvTests.cs. PyTorch 1.13, double precision.

Run by hand (python3 refconv.py); the numbers are never made again to make a test pass. No random generator is needed:
fill(shape, a)[n] = ((n*7919 + a*104729) mod 1009)/1009 - 0.5, row-major, and a tensor is told by the sum of its elements and the sum
weighted by (n mod 17) + 1.

The layer is written here as the paper gives it: the basis Wb, seen as one picture of D = out*in/g channels, goes through a grouped
convolution Wr with g channels a group, and the result is added to it.
"""
import math

import torch
import torch.nn.functional as F

torch.set_default_dtype(torch.float64)


def fill(*shape, a):
    n = torch.arange(math.prod(shape), dtype=torch.int64)
    return (((n * 7919 + a * 104729) % 1009).double() / 1009 - 0.5).reshape(shape)


def checksums(tensor):
    flat = tensor.detach().reshape(-1)
    weights = (torch.arange(flat.numel()) % 17 + 1).double()
    return "%.12f, %.12f" % (flat.sum(), (flat * weights).sum())


CASES = {  # in, out, groups, kernel, map
    "depthwise": (6, 6, 6, 5, 3),
    "grouped": (4, 8, 2, 3, 3),
    "dense": (4, 3, 1, 3, 3),
    "depthwise 7x7 map 5": (4, 4, 4, 7, 5),
}

for name, (cin, cout, g, K, k) in CASES.items():
    D = cout * cin // g
    Wb = fill(cout, cin // g, K, K, a=1).requires_grad_()
    Wr = fill(D, g, k, k, a=2).requires_grad_()
    Wt = Wb + F.conv2d(Wb.reshape(1, D, K, K), Wr, padding=k // 2, groups=D // g).reshape(Wb.shape)
    y = F.conv2d(fill(2, cin, 8, 7, a=3), Wt, stride=2, padding=K // 2, groups=g)
    (y * fill(*y.shape, a=4)).sum().backward()
    print(name, [cin, cout, g, K, k], "Wt, y, dWr, dWb:", *(checksums(t) for t in (Wt, y, Wr.grad, Wb.grad)), sep="\n  ")
