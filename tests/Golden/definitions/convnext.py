"""ConvNeXt: torchvision's own."""
from torchvision import models

from definitions import Parity

MODELS = {"convnext_tiny": Parity(models.convnext_tiny)}
