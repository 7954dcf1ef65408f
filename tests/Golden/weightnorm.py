"""Makes the numbers of tests/RefConv.Tests/Methods/WeightNormFixture.cs: Adam and training steps of WN, CWN, OWN and CLB. PyTorch 1.13, double.

Run by hand: python3 weightnorm.py > ../RefConv.Tests/Methods/WeightNormFixture.cs. The numbers are never made again to make a test pass. No random
generator is needed: fill(shape, a)[n] = ((n*7919 + a*104729) mod 1009)/1009 - 0.5, row-major, and a tensor is told by its sum and its sum weighted by (n mod 17) + 1.
Every layer is written as its paper gives it, and differentiated by autograd.
"""
import math

import torch
import torch.nn.functional as F

torch.set_default_dtype(torch.float64)


def fill(*shape, a):
    n = torch.arange(math.prod(shape), dtype=torch.int64)
    return (((n * 7919 + a * 104729) % 1009).double() / 1009 - 0.5).reshape(shape)


def sums(t):
    flat = t.detach().reshape(-1)
    weights = (torch.arange(flat.numel()) % 17 + 1).double()
    return "%.12f, %.12f" % (flat.sum(), (flat * weights).sum())


def adam():
    """20 steps on a fixed function: the value of every element after the last one."""
    rows = []
    for name, make in {
        "adam": lambda p: torch.optim.Adam(p, lr=0.01),
        "adam with decay": lambda p: torch.optim.Adam(p, lr=0.01, weight_decay=0.1),
        "amsgrad": lambda p: torch.optim.Adam(p, lr=0.01, amsgrad=True),
        "adamw": lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.1),
        "adamw amsgrad": lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.1, amsgrad=True, betas=(0.8, 0.95), eps=1e-4),
    }.items():
        w = fill(11, a=20).clone().requires_grad_()
        optimizer = make([w])
        for step in range(20):
            optimizer.zero_grad()
            # Gradients shrink as the steps go on, so that the largest square (AMSGrad) is not the last one.
            ((w * fill(11, a=21 + step)).sum() / (1 + step) + (w**2).sum() * 0.5 / (1 + step)).backward()
            optimizer.step()
        rows.append((name, ", ".join("%.15g" % v for v in w.detach())))
    return rows


def wn(v, s):
    return v / v.flatten(1).norm(dim=1).reshape(-1, 1, 1, 1) * s.reshape(-1, 1, 1, 1)


def cwn(v, s):
    c = v - v.flatten(1).mean(1).reshape(-1, 1, 1, 1)
    return c / (c.flatten(1).norm(dim=1).reshape(-1, 1, 1, 1) + 1e-5) * s.reshape(-1, 1, 1, 1)


def own(v, s, size):
    f = v.flatten(1)
    rows = []
    for z in f.split(size):
        z = z - z.mean(1, keepdim=True)
        e, u = torch.linalg.eigh(z @ z.t())
        rows.append(u @ torch.diag(e.rsqrt()) @ u.t() @ z)
    return torch.cat(rows).reshape(v.shape) * s.reshape(-1, 1, 1, 1)


def steps(kernel, shape, groups, learnt_scale):
    """Three steps of SGD with momentum on mean(y^2·target): the kernel before and after, and the parameters."""
    cout = shape[0]
    # The sine, because rows of fill are arithmetic progressions: nearly parallel when they are short.
    v = torch.sin(40 * fill(*shape, a=30)).clone().requires_grad_()
    norms = v.detach().flatten(1).norm(dim=1)
    s = (norms if learnt_scale == "norms" else torch.full((cout,), 1.414)).clone().requires_grad_()
    b = fill(cout, a=31).clone().requires_grad_()
    x = fill(2, shape[1] * groups, 7, 6, a=32)
    before = kernel(v, s).detach()
    optimizer = torch.optim.SGD([v, s, b] if learnt_scale else [v, b], lr=0.1, momentum=0.9)
    for step in range(3):
        optimizer.zero_grad()
        y = F.conv2d(x, kernel(v, s), b, stride=2, padding=shape[2] // 2, groups=groups)
        (y * y * fill(*y.shape, a=33)).mean().backward()
        optimizer.step()
    return ", ".join(sums(t) for t in (before, kernel(v, s), v, s, b))


print("""namespace RefConv.Tests.Methods;

// Made by tests/Golden/weightnorm.py with PyTorch; not to be edited.
internal static class WeightNormFixture
{
    /// <summary>Eleven weights after 20 steps.</summary>
    public static readonly (string Name, double[] Weights)[] Adam =
    [""")
for name, values in adam():
    print(f'        ("{name}", [{values}]),')
print("""    ];

    /// <summary>Three steps of SGD: sum and weighted sum of the kernel before, the kernel after, v, s and b.</summary>
    public static readonly (string Name, double[] Sums)[] Steps =
    [""")
for name, kernel, shape, groups, scale in [
    ("wn dense", wn, (6, 4, 3, 3), 1, "norms"),
    ("wn depthwise", wn, (8, 1, 3, 3), 8, "norms"),
    ("cwn dense", cwn, (6, 4, 3, 3), 1, None),
    ("cwn grouped, trained scale", cwn, (6, 2, 5, 5), 2, "1.414"),
    ("own dense", lambda v, s: own(v, s, 6), (6, 4, 3, 3), 1, None),
    ("own depthwise", lambda v, s: own(v, s, 8), (16, 1, 3, 3), 16, None),
    ("own grouped, trained scale", lambda v, s: own(v, s, 3), (6, 2, 5, 5), 2, "1.414"),
]:
    print(f'        ("{name}", [{steps(kernel, shape, groups, scale)}]),')
print("    ];\n}")
