"""ResNets for CIFAR (arXiv 1512.03385, section 4.2): a 3x3 stem, three stages, torchvision's blocks and names, 1x1 convolutions where the shape changes."""
from functools import partial

from torch import nn
from torchvision.models.resnet import BasicBlock, Bottleneck

from definitions import Parity


class CifarResNet(nn.Module):
    def __init__(self, block, blocks, classes=10):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.relu = nn.ReLU()
        channels = 16
        for stage, width in enumerate([16, 32, 64]):
            layers = []
            for b in range(blocks):
                stride = 2 if b == 0 and stage > 0 else 1
                cout = width * block.expansion
                downsample = None
                if stride != 1 or channels != cout:
                    downsample = nn.Sequential(nn.Conv2d(channels, cout, 1, stride, bias=False), nn.BatchNorm2d(cout))
                layers.append(block(channels, width, stride, downsample))
                channels = cout
            setattr(self, f"layer{stage + 1}", nn.Sequential(*layers))
        self.fc = nn.Linear(channels, classes)

    def forward(self, x):
        x = self.layer3(self.layer2(self.layer1(self.relu(self.bn1(self.conv1(x))))))
        return self.fc(x.mean((2, 3)))


def parity(block, blocks):
    return Parity(partial(CifarResNet, block, blocks), size=16, small=True)


MODELS = {
    "resnet20": parity(BasicBlock, 3), "resnet32": parity(BasicBlock, 5), "resnet56": parity(BasicBlock, 9), "resnet110": parity(BasicBlock, 18),
    "resnet164": parity(Bottleneck, 18),
}
