"""ShuffleNetV1 as in its authors' repository megvii-model/ShuffleNet-Series, written again."""
from functools import partial

import torch
from torch import nn

from definitions import Parity

# stem, stages
WIDTHS = {
    3: {"0_5": (12, 120, 240, 480), "1_0": (24, 240, 480, 960), "1_5": (24, 360, 720, 1440), "2_0": (48, 480, 960, 1920)},
    8: {"0_5": (16, 192, 384, 768), "1_0": (24, 384, 768, 1536), "1_5": (24, 576, 1152, 2304), "2_0": (48, 768, 1536, 3072)},
}


class Block(nn.Module):
    def __init__(self, inp, oup, group, first_group, stride):
        super().__init__()
        self.group, self.stride = group, stride
        middle, outputs = oup // 4, oup - inp if stride == 2 else oup
        self.branch_main_1 = nn.Sequential(
            nn.Conv2d(inp, middle, 1, groups=1 if first_group else group, bias=False), nn.BatchNorm2d(middle), nn.ReLU(),
            nn.Conv2d(middle, middle, 3, stride, 1, groups=middle, bias=False), nn.BatchNorm2d(middle))
        self.branch_main_2 = nn.Sequential(nn.Conv2d(middle, outputs, 1, groups=group, bias=False), nn.BatchNorm2d(outputs))
        if stride == 2:
            self.branch_proj = nn.AvgPool2d(3, 2, 1)

    def forward(self, x):
        y = self.branch_main_1(x)
        n, c, h, w = y.shape
        y = y.reshape(n, c // self.group, self.group, h, w).permute(0, 2, 1, 3, 4).reshape(n, c, h, w)
        y = self.branch_main_2(y)
        if self.stride == 1:
            return torch.relu(x + y)
        return torch.cat((self.branch_proj(x), torch.relu(y)), 1)


class ShuffleNetV1(nn.Module):
    def __init__(self, group, widths, classes=1000):
        super().__init__()
        channels, *stages = widths
        self.first_conv = nn.Sequential(nn.Conv2d(3, channels, 3, 2, 1, bias=False), nn.BatchNorm2d(channels), nn.ReLU())
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        features = []
        for width, repeat in zip(stages, [4, 8, 4]):
            for i in range(repeat):
                features.append(Block(channels, width, group, not features, 2 if i == 0 else 1))
                channels = width
        self.features = nn.Sequential(*features)
        self.classifier = nn.Sequential(nn.Linear(channels, classes, bias=False))

    def forward(self, x):
        return self.classifier(self.features(self.maxpool(self.first_conv(x))).mean((2, 3)))


MODELS = {f"shufflenet_v1_g{group}_x{name}": Parity(partial(ShuffleNetV1, group, widths)) for group, table in WIDTHS.items() for name, widths in table.items()}
