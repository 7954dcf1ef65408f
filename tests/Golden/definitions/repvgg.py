"""RepVGG's deployed form, as in its authors' repository DingXiaoH/RepVGG, written again. All are compared narrower and on small
images, and counted whole: without norms nothing keeps elements away from the kinks of the ReLUs, so there must not be many."""
from functools import partial

from torch import nn

from definitions import Parity


def divisible(v):
    rounded = max(8, int(v + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * v else rounded


class Squeeze(nn.Module):
    def __init__(self, channels, middle):
        super().__init__()
        self.down = nn.Conv2d(channels, middle, 1)
        self.up = nn.Conv2d(middle, channels, 1)

    def forward(self, x):
        return x * self.up(self.down(x.mean((2, 3), keepdim=True)).relu()).sigmoid()


class Block(nn.Module):
    def __init__(self, cin, cout, stride, groups, squeeze):
        super().__init__()
        self.rbr_reparam = nn.Conv2d(cin, cout, 3, stride, 1, groups=groups)
        self.nonlinearity = nn.ReLU()
        self.se = Squeeze(cout, max(1, cout // 16)) if squeeze else nn.Identity()

    def forward(self, x):
        return self.nonlinearity(self.se(self.rbr_reparam(x)))


class RepVGG(nn.Module):
    def __init__(self, blocks, a, b, groups=1, squeeze=False, width=1, classes=1000):
        super().__init__()
        channels, layer = divisible(min(64, 64 * a) * width), 1
        self.stage0 = Block(3, channels, 2, 1, squeeze)
        for s, (count, c) in enumerate(zip(blocks, [64 * a, 128 * a, 256 * a, 512 * b])):
            stage = []
            for i in range(count):
                stage.append(Block(channels, divisible(c * width), 2 if i == 0 else 1, groups if layer in range(2, 27, 2) else 1, squeeze))
                channels = divisible(c * width)
                layer += 1
            setattr(self, f"stage{s + 1}", nn.Sequential(*stage))
        self.linear = nn.Linear(channels, classes)

    def forward(self, x):
        x = self.stage4(self.stage3(self.stage2(self.stage1(self.stage0(x)))))
        return self.linear(x.mean((2, 3)))


A, B, D = (2, 4, 14, 1), (4, 6, 16, 1), (8, 14, 24, 1)
# blocks, widths a and b, groups, squeeze-excitation
SIZES = {
    "repvgg_a0": (A, 0.75, 2.5), "repvgg_a1": (A, 1, 2.5), "repvgg_a2": (A, 1.5, 2.75),
    "repvgg_b0": (B, 1, 2.5), "repvgg_b1": (B, 2, 4), "repvgg_b1g2": (B, 2, 4, 2), "repvgg_b1g4": (B, 2, 4, 4),
    "repvgg_b2": (B, 2.5, 5), "repvgg_b2g2": (B, 2.5, 5, 2), "repvgg_b2g4": (B, 2.5, 5, 4),
    "repvgg_b3": (B, 3, 5), "repvgg_b3g2": (B, 3, 5, 2), "repvgg_b3g4": (B, 3, 5, 4), "repvgg_d2se": (D, 2.5, 5, 1, True),
}
WHOLE = {name: partial(RepVGG, *size) for name, size in SIZES.items()}
MODELS = {
    name: Parity(partial(RepVGG, *size, width=width), size=32, batch=1, width=width) for name, size in SIZES.items() for width in [0.25 if size[0] == A else 0.125]
}
