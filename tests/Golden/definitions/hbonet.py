"""HBONet, the 2x main model of its authors' repository d-li14/HBONet, written again."""
import torch
from torch import nn

from definitions import Parity


def layers(cin, cout, k, stride, groups, activation=True):
    return [nn.Conv2d(cin, cout, k, stride, k // 2, groups=groups, bias=False), nn.BatchNorm2d(cout)] + ([nn.ReLU6()] if activation else [])


class InvertedResidual(nn.Module):
    def __init__(self, inp, oup, stride, t):
        super().__init__()
        hidden = inp * t
        self.identity = stride == 1 and inp == oup
        expansion = layers(inp, hidden, 1, 1, 1) if t != 1 else []
        self.conv = nn.Sequential(*expansion, *layers(hidden, hidden, 3, stride, hidden), *layers(hidden, oup, 1, 1, 1, False))

    def forward(self, x):
        return x + self.conv(x) if self.identity else self.conv(x)


class Harmonious(nn.Module):
    def __init__(self, inp, oup, stride, t):
        super().__init__()
        self.stride, self.half, self.rest = stride, oup // 2, oup - oup // 2
        self.conv = nn.Sequential(*layers(inp, inp, 5, 2, inp, False), *layers(inp, inp * t, 1, 1, 1), *layers(inp * t, inp * t, 3, 1, inp * t),
                                  *layers(inp * t, self.half, 1, 1, 1, False))
        if stride == 1:
            self.upsample = nn.Upsample(scale_factor=2)
            self.upconv = nn.Sequential(*layers(self.half, self.half, 5, 1, self.half, False))
        else:
            self.avgpool = nn.AvgPool2d(2)

    def forward(self, x):
        kept = x[:, -self.rest:]
        if self.stride == 2:
            return torch.cat((self.avgpool(kept), self.conv(x)), 1)
        return torch.cat((kept, self.upconv(x[:, :self.half] + self.upsample(self.conv(x)))), 1)


# expansion, channels (rounded to multiples of 8), blocks, stride, block
ROWS = [(1, 24, 1, 1, InvertedResidual), (2, 40, 1, 1, Harmonious), (2, 72, 3, 2, Harmonious), (2, 96, 4, 2, Harmonious), (2, 192, 4, 2, Harmonious),
        (2, 288, 1, 1, Harmonious), (0, 144, 1, 1, None), (6, 200, 2, 2, InvertedResidual), (6, 400, 1, 1, InvertedResidual)]


class HBONet(nn.Module):
    def __init__(self, classes=1000):
        super().__init__()
        channels = 32
        features = [nn.Sequential(*layers(3, channels, 3, 2, 1))]
        for t, c, n, s, block in ROWS:
            for i in range(n):
                features.append(block(channels, c, s if i == 0 else 1, t) if block else nn.Sequential(*layers(channels, c, 1, 1, 1, False)))
                channels = c
        self.features = nn.Sequential(*features)
        self.conv = nn.Sequential(*layers(channels, 1600, 1, 1, 1))
        self.classifier = nn.Linear(1600, classes)

    def forward(self, x):
        return self.classifier(self.conv(self.features(x)).mean((2, 3)))


MODELS = {"hbonet": Parity(HBONet)}
