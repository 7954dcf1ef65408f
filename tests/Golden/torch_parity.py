"""What PyTorch computes with the architectures of the zoo: makes parity/NAME.txt for every definition, or for those named.

    python3 tests/Golden/torch_parity.py [NAME ...]

PyTorch 1.13, torchvision 0.14. Run by hand; a fixture is never made again to make a test pass.

A file in definitions/ says what stands beside the architectures: `MODELS = {name: Parity(build, ...)}`. To add one, add a file.

Everything is filled by the rule of the golden values, ((m * 7919 + a * 104729) mod 1009) / 1009 - 1/2, which lies in [-0.5, 0.5). Element n takes the value
of place m = n (n + 1) / 2: at places 0, 1, 2, ... the rule is one sawtooth, every filter would be that of its neighbour a few pixels on, maps would hardly
differ, and a batch norm divides by how much they do: gradients in single precision would agree with those in double to a digit or two, PyTorch's own included.
Every tensor of the state dict, in its order (a = 0, 1, ...):
  a weight with more than one axis   fill * sqrt(24 / fan_in), which keeps the variance through ReLU
  a norm's weight                    0.4 (1 + fill / 2)
  a batch norm's bias                1 + |fill|, negative where fill < -1/4
  running_var                        (|fill| + 0.5) / 2
  other biases, running means, ...   fill / 5
so that batch norms put most elements well to one side of the kink of the ReLU behind them, some channels to the left and more to the right. One element that
rounding moves across a kink changes the gradients of everything before it, by a hundredth and more: it must not come to that, on no processor.
The image [1, c, h, w] is fill(shape, 1000), the batch of the training step fill(shape, 1001), the label of image i (7 i + 3) mod classes.
All in double precision.

A fixture is text: a line on the model; a line for every tensor of the state dict (key, shape, and what one training step made of it, see `digest`);
the loss of that step; the class scores of the image in evaluation mode, before the step.
"""
import importlib
import math
import pathlib
import pkgutil
import sys

import torch

import definitions

torch.set_default_dtype(torch.float64)
FOLDER = pathlib.Path(__file__).parent / "parity"


def fill(shape, a):
    n = torch.arange(math.prod(shape), dtype=torch.int64) % 1009
    return (((n * (n + 1) // 2 * 7919 + a * 104729) % 1009).double() / 1009 - 0.5).reshape(shape)


def value(key, state, a):
    tensor = state[key]
    f = fill(tensor.shape, a)
    owner, _, kind = key.rpartition(".")
    if kind == "num_batches_tracked":
        return torch.zeros_like(tensor)
    if tensor.dim() > 1:
        return f * math.sqrt(24 / math.prod(tensor.shape[1:]))
    if kind == "running_var":
        return (f.abs() + 0.5) / 2
    if kind == "weight":
        return 0.4 * (1 + f / 2)
    if kind == "bias" and owner + ".running_mean" in state:
        return torch.where(f < -0.25, -1.0, 1.0) * (1 + f.abs())
    return f / 5


def digest(tensor):
    """Its norm, and its products with two fixed vectors whose elements have mean square 1: an error of norm e changes them by about e."""
    t = tensor.detach().double().flatten()
    return [t.norm(), *((t * fill(t.shape, a)).sum() * math.sqrt(12) for a in (2000, 2001))]


def switch_off_randomness(model):
    for module in model.modules():
        if type(module).__name__ in ("Dropout", "StochasticDepth"):
            module.eval()


def watch_kinks(model):
    """Collects how near the inputs of all ReLU modules come to 0, relative to their root mean square: should be well above the rounding of single precision."""
    nearest = []
    for module in model.modules():
        if isinstance(module, (torch.nn.ReLU, torch.nn.ReLU6)):
            module.register_forward_hook(lambda _, inputs, __: nearest.append(float(inputs[0].detach().abs().min() / inputs[0].detach().pow(2).mean().sqrt())))
    return nearest


def numbers(values):
    return " ".join(f"{float(v):.8g}" for v in values)


def write(name, parity):
    model = parity.build()
    state = model.state_dict()
    model.load_state_dict({key: value(key, state, a) for a, key in enumerate(state)})
    shape = (parity.channels, parity.size, parity.size)
    model.eval()
    with torch.no_grad():
        logits = model(fill((1, *shape), 1000))[0]
    classes = len(logits)

    model.train()
    switch_off_randomness(model)
    nearest = watch_kinks(model)
    labels = torch.tensor([(7 * i + 3) % classes for i in range(parity.batch)])
    loss = torch.nn.functional.cross_entropy(model(fill((parity.batch, *shape), 1001)), labels)
    loss.backward()
    gradients = {key: p.grad for key, p in model.named_parameters()}
    with open(FOLDER / f"{name}.txt", "w") as file:
        print(f"model {parity.architecture or name} classes {classes} width {parity.width} size {parity.size} "
              f"channels {parity.channels} small {int(parity.small)} batch {parity.batch}", file=file)
        for key, tensor in model.state_dict().items():
            print(key, "x".join(map(str, tensor.shape)) or "scalar", numbers(digest(gradients.get(key, tensor))), file=file)
        print("loss", numbers([loss]), file=file)
        for start in range(0, classes, 10):
            print("logits", numbers(logits[start:start + 10]), file=file)
    norms = sorted(float(g.norm()) for g in gradients.values())
    print(f"{name}: {len(state)} tensors, logits {float(logits.min()):.3g} to {float(logits.max()):.3g}, loss {float(loss):.4g}, "
          f"gradient norms {norms[0]:.2g} to {norms[-1]:.2g}, nearest to a kink {min(nearest, default=math.inf):.1e}", flush=True)


def main():
    models = {}
    for module in pkgutil.iter_modules(definitions.__path__):
        models |= getattr(importlib.import_module(f"definitions.{module.name}"), "MODELS", {})
    for name in sys.argv[1:] or sorted(models):
        write(name, models[name])


if __name__ == "__main__":
    main()
