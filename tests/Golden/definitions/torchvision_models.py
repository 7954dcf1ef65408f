"""The architectures that torchvision has."""
from functools import partial

from torch import nn
from torchvision import models
from torchvision.models import vgg

from definitions import Parity

NAMES = [
    "mobilenet_v2", "mobilenet_v3_small", "mobilenet_v3_large", "efficientnet_b0",
    "shufflenet_v2_x0_5", "shufflenet_v2_x1_0", "shufflenet_v2_x1_5", "shufflenet_v2_x2_0",
    "resnet18", "densenet121",
]


def vgg16_bn(small, divisor=1, classes=1000):
    """torchvision's layers in widths divided by a number; for small images with one linear layer for a classifier."""
    model = vgg.VGG(vgg.make_layers([c if c == "M" else c // divisor for c in vgg.cfgs["D"]], batch_norm=True), num_classes=classes, init_weights=False)
    last, hidden = 512 // divisor, 4096 // divisor
    if small:
        model.avgpool, model.classifier = nn.Identity(), nn.Linear(last, classes)
    else:
        for i, (cin, cout) in {0: (last * 7 * 7, hidden), 3: (hidden, hidden), 6: (hidden, classes)}.items():
            model.classifier[i] = nn.Linear(cin, cout)
    return model


MODELS = {name: Parity(getattr(models, name)) for name in NAMES} | {
    "resnet34": Parity(models.resnet34),
    "resnet50": Parity(models.resnet50),
    # The whole of VGG-16 has 138 million weights, 124 of them in its classifier: compared narrow, and its features whole.
    "vgg16_bn": Parity(partial(vgg16_bn, small=False, divisor=8, classes=100), size=224, batch=1, width=0.125),
    "vgg16_bn_small": Parity(partial(vgg16_bn, small=True, classes=10), size=32, small=True, batch=8, architecture="vgg16_bn"),
}
