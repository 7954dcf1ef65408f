"""Makes mobilenet_v2.* and resnet18.*: state-dict keys with shapes, and logits under a fixed filling. PyTorch 1.13, torchvision 0.14.

Run once by hand (python3 torchvision_models.py); the fixtures are never made again to make a test pass.

Every tensor of the state dict, in its order (index a = 0, 1, ...), is filled from fill(shape, a), which lies in [-0.5, 0.5):
  a weight with more than one axis   fill * sqrt(24 / fan_in), which keeps the variance through ReLU
  a norm's weight                    1 + fill / 2
  running_var                        |fill| + 0.5
  biases and running means           fill / 5
The input [1, 3, 64, 64] is fill(shape, 1000). Double precision, evaluation mode.
"""
import math

import torch
import torchvision

torch.set_default_dtype(torch.float64)


def fill(shape, a):
    n = torch.arange(math.prod(shape), dtype=torch.int64)
    return (((n * 7919 + a * 104729) % 1009).double() / 1009 - 0.5).reshape(shape)


def value(key, tensor, a):
    f = fill(tensor.shape, a)
    if key.endswith("num_batches_tracked"):
        return torch.zeros_like(tensor)
    if tensor.dim() > 1:
        return f * math.sqrt(24 / math.prod(tensor.shape[1:]))
    if key.endswith("running_var"):
        return f.abs() + 0.5
    return 1 + f / 2 if key.endswith("weight") else f / 5


for name in ["mobilenet_v2", "resnet18"]:
    model = torchvision.models.__dict__[name]().eval()
    state = model.state_dict()
    with open(name + ".keys.txt", "w") as file:
        for key, tensor in state.items():
            print(key, *tensor.shape, file=file)
    model.load_state_dict({key: value(key, tensor, a) for a, (key, tensor) in enumerate(state.items())})
    with torch.no_grad():
        logits = model(fill((1, 3, 64, 64), 1000))[0].tolist()
    with open(name + ".logits.txt", "w") as file:
        for start in range(0, 1000, 10):
            print(*("%.10g" % v for v in logits[start:start + 10]), file=file)
    print(name, len(state), "logits", min(logits), max(logits), sum(v * v for v in logits) / 1000)
