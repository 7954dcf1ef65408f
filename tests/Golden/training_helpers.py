"""Makes the numbers of tests/RefConv.Tests/Models/TrainingHelpersFixture.cs: 20 steps of training with the helpers of a recipe. PyTorch 1.13, double.

Run by hand: python3 training_helpers.py > ../RefConv.Tests/Models/TrainingHelpersFixture.cs. The numbers are never made again to make a test pass. No random
generator is needed: fill(shape, a)[n] = ((n*7919 + a*104729) mod 1009)/1009 - 0.5, row-major, and a tensor is told by its sum and its sum weighted by (n mod 17) + 1.
Everything that PyTorch has is PyTorch's: optimisers, schedulers, clip_grad_norm_, AveragedModel, cross_entropy with probabilities as targets.
"""
import math

import torch
import torch.nn.functional as F
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, MultiStepLR, PolynomialLR, SequentialLR
from torch.optim.swa_utils import AveragedModel

torch.set_default_dtype(torch.float64)
STEPS, BATCH, CLASSES, WARMUP = 20, 6, 4, 4


def fill(*shape, a):
    n = torch.arange(math.prod(shape), dtype=torch.int64)
    return (((n * 7919 + a * 104729) % 1009).double() / 1009 - 0.5).reshape(shape)


def sums(t):
    flat = t.detach().reshape(-1)
    weights = (torch.arange(flat.numel()) % 17 + 1).double()
    return "%.13f, %.13f" % (flat.sum(), (flat * weights).sum())


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 5, 3, padding=1, bias=False)
        self.norm = torch.nn.BatchNorm2d(5)
        self.fc = torch.nn.Linear(5, CLASSES)
        with torch.no_grad():
            self.conv.weight.copy_(fill(5, 3, 3, 3, a=50))
            self.norm.weight.copy_(1 + 0.5 * fill(5, a=51))
            self.norm.bias.copy_(fill(5, a=52))
            self.fc.weight.copy_(2 * fill(CLASSES, 5, a=53))
            self.fc.bias.copy_(fill(CLASSES, a=54))

    def forward(self, x):
        return self.fc(F.relu(self.norm(self.conv(x))).mean((2, 3)))


def schedulers(optimizer):
    """By name; after WARMUP steps of warm-up from 5e-6 of the rate, as RefConv's recipe has it, unless it says 'alone'."""
    def warm(main):
        return SequentialLR(optimizer, [LinearLR(optimizer, 5e-6, 1, WARMUP), main], [WARMUP])

    return {
        "polynomial": lambda: warm(PolynomialLR(optimizer, STEPS - WARMUP, power=2)),
        "cosine": lambda: warm(CosineAnnealingLR(optimizer, STEPS - WARMUP, eta_min=1e-3)),
        "step": lambda: warm(MultiStepLR(optimizer, [9 - WARMUP, 15 - WARMUP], gamma=0.3)),
        "step alone": lambda: MultiStepLR(optimizer, [8, 14], gamma=0.3),
        "polynomial alone": lambda: PolynomialLR(optimizer, STEPS, power=0.5),
        "constant": lambda: warm(MultiStepLR(optimizer, [10**9])),
    }


def rates(name, rate):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=rate)
    scheduler = schedulers(optimizer)[name]()
    values = []
    for _ in range(STEPS):
        values.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return values


def train(make, schedule, rate, decay, clip=None, smoothing=0.0, mix=False, ema=None, ema_warmup=False):
    net = Net()
    groups = [
        dict(params=[net.conv.weight, net.fc.weight], weight_decay=decay),
        dict(params=[net.norm.weight, net.norm.bias, net.fc.bias], weight_decay=0),
    ]
    optimizer = make(groups)
    step_rates = rates(schedule, rate)
    step = 0

    def average(a, m, _):
        d = min(ema, 1 - (2 + step) ** (-2 / 3)) if ema_warmup else ema
        return d * a + (1 - d) * m

    averaged = AveragedModel(net, avg_fn=average, use_buffers=True)
    averaged.n_averaged += 1  # otherwise the first step would be copied instead of averaged
    losses, norms = [], []
    for step in range(STEPS):
        x = (2 * fill(BATCH, 3, 6, 6, a=60 + step)).float()
        labels = torch.tensor([(i * 7 + step * 3) % CLASSES for i in range(BATCH)])
        target = F.one_hot(labels, CLASSES).double()
        if mix:
            share = ((step * 37 + 11) % 64) / 64
            x = share * x + (1 - share) * x.flip(0)
            target = share * target + (1 - share) * target.flip(0)
        loss = F.cross_entropy(net(x.double()), target, label_smoothing=smoothing)
        optimizer.zero_grad()
        loss.backward()
        if clip:
            norms.append(float(torch.nn.utils.clip_grad_norm_(net.parameters(), clip)))
        for group in optimizer.param_groups:
            group["lr"] = step_rates[step]
        optimizer.step()
        averaged.update_parameters(net)
        losses.append(float(loss))
    if clip:
        assert any(n > clip for n in norms) and any(n < clip for n in norms), norms
    keys = ["conv.weight", "norm.weight", "norm.bias", "norm.running_mean", "norm.running_var", "fc.weight", "fc.bias"]
    state, mean = net.state_dict(), averaged.module.state_dict()
    return ", ".join("%.13f" % v for v in losses), ", ".join(sums(state[k]) for k in keys), ", ".join(sums(mean[k]) for k in keys)


print("""namespace RefConv.Tests.Models;

// Made by tests/Golden/training_helpers.py with PyTorch; not to be edited.
internal static class TrainingHelpersFixture
{
    /// <summary>Learning rate of 20 steps, by schedule.</summary>
    public static readonly (string Name, double[] Rates)[] Schedules =
    [""")
for name in schedulers(torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.2)):
    print(f'        ("{name}", [{", ".join("%.17g" % v for v in rates(name, 0.2))}]),')
print("""    ];

    /// <summary>20 steps: the losses; then sum and weighted sum of every tensor of the model, and of its average.</summary>
    public static readonly (string Name, double[] Losses, double[] Sums, double[] Average)[] Runs =
    [""")
for name, run in {
    "sgd": lambda: train(lambda g: torch.optim.SGD(g, lr=1, momentum=0.9, nesterov=True), "polynomial", 0.2, 0.01, clip=0.5, smoothing=0.1, mix=True, ema=0.9),
    "adamw": lambda: train(lambda g: torch.optim.AdamW(g, lr=1, betas=(0.9, 0.99), eps=1e-6), "step alone", 0.02, 0.05, clip=0.6, ema=0.95, ema_warmup=True),
    "adam": lambda: train(lambda g: torch.optim.Adam(g, lr=1, betas=(0.8, 0.99), eps=1e-6), "cosine", 0.02, 0.02, smoothing=0.2, mix=True, ema=0.5),
}.items():
    print('        ("%s",\n            [%s],\n            [%s],\n            [%s]),' % (name, *run()))
print("    ];\n}")
