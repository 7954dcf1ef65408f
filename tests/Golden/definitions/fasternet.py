"""FasterNet as in its authors' repository JierunChen/FasterNet, written again. The large ones are compared narrower, and counted whole."""
from functools import partial

import torch
from torch import nn

from definitions import Parity


class PartialConv(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.part = dim // 4
        self.partial_conv3 = nn.Conv2d(self.part, self.part, 3, 1, 1, bias=False)

    def forward(self, x):
        first, rest = x[:, :self.part], x[:, self.part:]
        return torch.cat((self.partial_conv3(first), rest), 1)


class Block(nn.Module):
    def __init__(self, dim, activation):
        super().__init__()
        self.mlp = nn.Sequential(nn.Conv2d(dim, 2 * dim, 1, bias=False), nn.BatchNorm2d(2 * dim), activation(), nn.Conv2d(2 * dim, dim, 1, bias=False))
        self.spatial_mixing = PartialConv(dim)

    def forward(self, x):
        return x + self.mlp(self.spatial_mixing(x))


class Stage(nn.Module):
    def __init__(self, dim, depth, activation):
        super().__init__()
        self.blocks = nn.Sequential(*(Block(dim, activation) for _ in range(depth)))

    def forward(self, x):
        return self.blocks(x)


class Patches(nn.Module):
    def __init__(self, name, cin, cout, k):
        super().__init__()
        self.conv = name
        setattr(self, name, nn.Conv2d(cin, cout, k, k, bias=False))
        self.norm = nn.BatchNorm2d(cout)

    def forward(self, x):
        return self.norm(getattr(self, self.conv)(x))


class FasterNet(nn.Module):
    def __init__(self, dim, depths, activation, classes=1000):
        super().__init__()
        self.patch_embed = Patches("proj", 3, dim, 4)
        stages = []
        for depth in depths:
            if stages:
                stages.append(Patches("reduction", dim, 2 * dim, 2))
                dim *= 2
            stages.append(Stage(dim, depth, activation))
        self.stages = nn.Sequential(*stages)
        self.avgpool_pre_head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(dim, 1280, 1, bias=False), activation())
        self.head = nn.Linear(1280, classes)

    def forward(self, x):
        return self.head(self.avgpool_pre_head(self.stages(self.patch_embed(x))).flatten(1))


# embedding, depths, activation
SIZES = {
    "fasternet_t0": (40, (1, 2, 8, 2), nn.GELU), "fasternet_t1": (64, (1, 2, 8, 2), nn.GELU), "fasternet_t2": (96, (1, 2, 8, 2), nn.ReLU),
    "fasternet_s": (128, (1, 2, 13, 2), nn.ReLU), "fasternet_m": (144, (3, 4, 18, 3), nn.ReLU), "fasternet_l": (192, (3, 4, 18, 3), nn.ReLU),
}
WHOLE = {name: partial(FasterNet, *size) for name, size in SIZES.items()}
MODELS = {"fasternet_t0": Parity(WHOLE["fasternet_t0"])} | {
    name: Parity(partial(FasterNet, dim // 4, depths, activation), width=0.25) for name, (dim, depths, activation) in SIZES.items() if name not in ("fasternet_t0", "fasternet_m")
} | {"fasternet_m": Parity(partial(FasterNet, 72, *SIZES["fasternet_m"][1:]), width=0.5)}
