"""Models that stand beside the zoo's: torchvision's own, and others written again from their authors' definitions, one family a file."""
from dataclasses import dataclass
from typing import Callable, Optional

import torch


@dataclass(frozen=True)
class Parity:
    """A model and what to compare it on."""
    build: Callable[[], torch.nn.Module]
    size: int = 64                       # rows and columns of the images
    batch: int = 2                       # images of the training step
    small: bool = False                  # the zoo's variant for small images
    width: float = 1                     # the zoo's width multiplier
    channels: int = 3
    architecture: Optional[str] = None   # the zoo's name, where the fixture bears another one
