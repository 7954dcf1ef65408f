"""MobileNetV3 as RefConv's authors trained it (their repository Aiolus-X/RefConv), written again."""
from functools import partial

from torch import nn

from definitions import Parity

R, H = nn.ReLU, nn.Hardswish
# kernel, expansion, channels, squeeze-excitation, activation, stride
LARGE = [
    (3, 16, 16, False, R, 1), (3, 64, 24, False, R, 2), (3, 72, 24, False, R, 1), (5, 72, 40, True, R, 2), (5, 120, 40, True, R, 1),
    (5, 120, 40, True, R, 1), (3, 240, 80, False, H, 2), (3, 200, 80, False, H, 1), (3, 184, 80, False, H, 1), (3, 184, 80, False, H, 1),
    (3, 480, 112, True, H, 1), (3, 672, 112, True, H, 1), (5, 672, 160, True, H, 2), (5, 960, 160, True, H, 1), (5, 960, 160, True, H, 1),
]
SMALL = [
    (3, 16, 16, True, R, 2), (3, 72, 24, False, R, 2), (3, 88, 24, False, R, 1), (5, 96, 40, True, H, 2), (5, 240, 40, True, H, 1), (5, 240, 40, True, H, 1),
    (5, 120, 48, True, H, 1), (5, 144, 48, True, H, 1), (5, 288, 96, True, H, 2), (5, 576, 96, True, H, 1), (5, 576, 96, True, H, 1),
]


class SqueezeExcitation(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.fc = nn.Sequential(nn.Linear(channels, channels // 4, bias=False), nn.ReLU(), nn.Linear(channels // 4, channels, bias=False), nn.Hardsigmoid())

    def forward(self, x):
        return x * self.fc(x.mean((2, 3)))[:, :, None, None]


class Block(nn.Module):
    def __init__(self, cin, kernel, expansion, cout, squeezes, activation, stride):
        super().__init__()
        self.skip = stride == 1 and cin == cout
        self.conv = nn.Sequential(
            nn.Conv2d(cin, expansion, 1, bias=False), nn.BatchNorm2d(expansion), activation(),
            nn.Conv2d(expansion, expansion, kernel, stride, kernel // 2, groups=expansion, bias=False), nn.BatchNorm2d(expansion),
            SqueezeExcitation(expansion) if squeezes else nn.Identity(), activation(),
            nn.Conv2d(expansion, cout, 1, bias=False), nn.BatchNorm2d(cout))

    def forward(self, x):
        return x + self.conv(x) if self.skip else self.conv(x)


class MobileNetV3(nn.Module):
    def __init__(self, rows, classes=1000):
        super().__init__()
        channels = 16
        features = [nn.Sequential(nn.Conv2d(3, channels, 3, 2, 1, bias=False), nn.BatchNorm2d(channels), H())]
        for kernel, expansion, cout, *rest in rows:
            features.append(Block(channels, kernel, expansion, cout, *rest))
            channels = cout
        last = rows[-1][1]
        features += [nn.Sequential(nn.Conv2d(channels, last, 1, bias=False), nn.BatchNorm2d(last), H()), nn.AdaptiveAvgPool2d(1), nn.Conv2d(last, 1280, 1), H()]
        self.features = nn.Sequential(*features)
        self.classifier = nn.Sequential(nn.Dropout(0.8), nn.Linear(1280, classes))

    def forward(self, x):
        return self.classifier(self.features(x).mean((2, 3)))


MODELS = {"mobilenet_v3_large_refconv": Parity(partial(MobileNetV3, LARGE)), "mobilenet_v3_small_refconv": Parity(partial(MobileNetV3, SMALL))}
