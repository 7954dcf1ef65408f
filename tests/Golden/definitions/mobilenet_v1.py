"""MobileNetV1 as in hunto's repository image_classification_sota (and the DBB repository), written again."""
from torch import nn

from definitions import Parity

BLOCKS = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)] + [(512, 1)] * 5 + [(1024, 2), (1024, 1)]


def layers(cin, cout, k, stride, groups):
    return [nn.Conv2d(cin, cout, k, stride, k // 2, groups=groups, bias=False), nn.BatchNorm2d(cout), nn.ReLU()]


class MobileNetV1(nn.Module):
    def __init__(self, classes=1000):
        super().__init__()
        channels = 32
        model = [nn.Sequential(*layers(3, channels, 3, 2, 1))]
        for cout, stride in BLOCKS:
            model.append(nn.Sequential(*layers(channels, channels, 3, stride, channels), *layers(channels, cout, 1, 1, 1)))
            channels = cout
        self.model = nn.Sequential(*model)
        self.fc = nn.Linear(channels, classes)

    def forward(self, x):
        return self.fc(self.model(x).mean((2, 3)))


MODELS = {"mobilenet_v1": Parity(MobileNetV1)}
