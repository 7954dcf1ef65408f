"""MobileNeXt as in its authors' repository yitu-opensource/MobileNeXt (mnext.py), written again."""
import math

from torch import nn

from definitions import Parity

# reduction, channels, blocks, stride
ROWS = [(2, 96, 1, 2), (6, 144, 1, 1), (6, 192, 3, 2), (6, 288, 3, 2), (6, 384, 4, 1), (6, 576, 4, 2), (6, 960, 3, 1), (6, 1280, 1, 1)]


def divisible(v, divisor):
    rounded = max(divisor, int(v + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * v else rounded


class SGBlock(nn.Module):
    def __init__(self, inp, oup, stride, reduction, keep_3x3):
        super().__init__()
        hidden = inp // reduction
        if hidden < oup / 6:
            hidden = divisible(math.ceil(oup / 6), 16)
        self.identity = False
        depthwise_in = [nn.Conv2d(inp, inp, 3, 1, 1, groups=inp, bias=False), nn.BatchNorm2d(inp), nn.ReLU6()]
        pointwise = [nn.Conv2d(inp, hidden, 1, bias=False), nn.BatchNorm2d(hidden), nn.Conv2d(hidden, oup, 1, bias=False), nn.BatchNorm2d(oup), nn.ReLU6()]

        def depthwise_out(step):
            return [nn.Conv2d(oup, oup, 3, step, 1, groups=oup, bias=False), nn.BatchNorm2d(oup)]

        if reduction == 2:
            parts = depthwise_in + pointwise + depthwise_out(stride)
        elif inp != oup and stride == 1 and not keep_3x3:
            parts = pointwise
        elif inp != oup and stride == 2 and not keep_3x3:
            parts = pointwise + depthwise_out(stride)
        else:
            self.identity = not keep_3x3
            parts = depthwise_in + pointwise + depthwise_out(1)
        self.conv = nn.Sequential(*parts)

    def forward(self, x):
        return x + self.conv(x) if self.identity else self.conv(x)


class MobileNeXt(nn.Module):
    def __init__(self, classes=1000):
        super().__init__()
        channels = 32
        features = [nn.Sequential(nn.Conv2d(3, channels, 3, 2, 1, bias=False), nn.BatchNorm2d(channels), nn.ReLU6())]
        for t, c, n, s in ROWS:
            features.append(SGBlock(channels, c, s, t, n == 1 and s == 1))
            features += [SGBlock(c, c, 1, t, False) for _ in range(n - 1)]
            channels = c
        self.features = nn.Sequential(*features)
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(channels, classes))

    def forward(self, x):
        return self.classifier(self.features(x).mean((2, 3)))


MODELS = {"mobilenext": Parity(MobileNeXt)}
