"""The architectures of the comparison in PyTorch, under the keys of our state dicts, and the RefConv form of them."""
import torch.nn as nn
import torch.nn.functional as F
import torchvision


class MobileNetV1(nn.Module):
    BLOCKS = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)] + [(512, 1)] * 5 + [(1024, 2), (1024, 1)]

    def __init__(self, classes, width, small):
        super().__init__()
        scaled = lambda c: max(8, int(c * width))
        c = scaled(32)
        model = [self.block(nn.Conv2d(3, c, 3, 1 if small else 2, 1, bias=False))]
        for out, stride in self.BLOCKS:
            model.append(self.block(nn.Conv2d(c, c, 3, stride, 1, groups=c, bias=False), nn.Conv2d(c, scaled(out), 1, bias=False)))
            c = scaled(out)
        self.model = nn.Sequential(*model)
        self.fc = nn.Linear(c, classes)

    @staticmethod
    def block(*convs):
        return nn.Sequential(*[layer for c in convs for layer in (c, nn.BatchNorm2d(c.out_channels), nn.ReLU(True))])

    def forward(self, x):
        return self.fc(self.model(x).mean((2, 3)))


def mobilenet_v1(classes, width, small):
    return MobileNetV1(classes, width, small)


def mobilenet_v2(classes, width, small):
    net = torchvision.models.mobilenet_v2(weights=None, num_classes=classes, width_mult=width)
    if small:
        net.features[0][0].stride = (1, 1)
        net.features[2].conv[1][0].stride = (1, 1)
    return net


def resnet18(classes, width, small):
    if width != 1:
        raise ValueError("torchvision's resnet18 has no width multiplier")
    net = torchvision.models.resnet18(weights=None, num_classes=classes)
    if small:
        net.conv1 = nn.Conv2d(3, 64, 3, 1, 1, bias=False)
        net.maxpool = nn.Identity()
    return net


def from_torchvision(name):
    """An architecture whose keys are torchvision's, for large images at full width."""
    def build(classes, width, small):
        if width != 1 or small:
            raise ValueError("torchvision's %s has no width multiplier and no variant for small images" % name)
        return getattr(torchvision.models, name)(weights=None, num_classes=classes)
    return build


ARCHITECTURES = {"mobilenet_v1": mobilenet_v1, "mobilenet_v2": mobilenet_v2, "resnet18": resnet18}
for other in ("shufflenet_v2_x1_0", "mobilenet_v3_small", "efficientnet_b0"):
    ARCHITECTURES[other] = from_torchvision(other)


class RefConv2d(nn.Module):
    """Kernel = W + convmap(W seen as one image of D = out * in / g channels), with W frozen."""

    def __init__(self, conv, map_k=3):
        super().__init__()
        out, in_g, k, _ = conv.weight.shape
        self.conv_args = (conv.stride, conv.padding, conv.dilation, conv.groups)
        self.register_buffer("weight", conv.weight.detach().clone())
        d = out * in_g
        self.convmap = nn.Conv2d(d, d, map_k, 1, map_k // 2, groups=conv.in_channels * out // conv.groups ** 2, bias=False)
        self.bias = conv.bias

    def forward(self, x):
        w = self.weight
        kernel = w + self.convmap(w.reshape(1, -1, *w.shape[2:])).reshape(w.shape)
        return F.conv2d(x, kernel, self.bias, *self.conv_args)


def to_refconv(module):
    for key, child in module.named_children():
        if isinstance(child, nn.Conv2d) and child.kernel_size[0] >= 3:
            setattr(module, key, RefConv2d(child))
        else:
            to_refconv(child)
    return module
