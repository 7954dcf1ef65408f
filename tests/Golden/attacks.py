"""Makes tests/RefConv.Tests/Analysis/AttackFixture.cs: gradients of pictures and attacked pictures. PyTorch 1.13, double.

Run by hand: python3 attacks.py > ../RefConv.Tests/Analysis/AttackFixture.cs. The numbers are never made again to make a test pass.

The network is CIFAR's ResNet-20 in evaluation mode with the weights of torch_parity.py's rule, on two pictures of 16x16 whose channels, in [0, 1), are
fill(shape, 1001) + 1/2 rounded to single precision, of the classes 3 and 0. Here pictures are attacked as they are, in [0, 1], and normalised inside
the model, so nothing of the arithmetic of normalised pictures is shared with what is tested. A tensor is told by its digest (torch_parity.py), channels last.
"""
import torch
import torch.nn.functional as F

from definitions import cifar_resnet
from torch_parity import digest, fill, value

torch.set_default_dtype(torch.float64)
MEAN, STD = (torch.tensor(v).reshape(3, 1, 1) for v in ([0.4914, 0.4822, 0.4465], [0.2470, 0.2435, 0.2616]))
LABELS = torch.tensor([3, 0])


def normalise(pixels):
    return (pixels - MEAN) / STD


def loss_and_gradient(model, pixels):
    pixels = pixels.detach().requires_grad_()
    loss = F.cross_entropy(model(normalise(pixels)), LABELS)
    return loss.detach(), torch.autograd.grad(loss, pixels)[0]


def attack(model, clean, epsilon, step, steps):
    pixels = clean
    for _ in range(steps):
        pixels = pixels + step * loss_and_gradient(model, pixels)[1].sign()
        pixels = torch.maximum(torch.minimum(pixels, clean + epsilon), clean - epsilon).clamp(0, 1)
    return pixels


def row(loss, tensor):
    return ", ".join("%.10g" % float(v) for v in [loss, *digest(tensor.permute(0, 2, 3, 1).contiguous())])


def main():
    model = cifar_resnet.MODELS["resnet20"].build()
    state = model.state_dict()
    model.load_state_dict({key: value(key, state, a) for a, key in enumerate(state)})
    model.eval()
    clean = (fill((2, 3, 16, 16), 1001) + 0.5).float().double()
    loss, gradient = loss_and_gradient(model, clean)
    print("namespace RefConv.Tests.Analysis;\n\n// Made by tests/Golden/attacks.py with PyTorch; not to be edited.")
    print("internal static class AttackFixture\n{")
    print("    /// <summary>Loss, and digest of its gradient in the normalised pictures.</summary>")
    print(f"    public static readonly double[] Gradient = [{row(loss, gradient * STD)}];\n")
    print("    /// <summary>Epsilon, step size and steps in 255ths; loss on the attacked pictures, and their digest, normalised.</summary>")
    print("    public static readonly (double Epsilon, double StepSize, int Steps, double[] Result)[] Attacks =\n    [")
    for epsilon, step, steps in [(2, 2, 1), (8, 8, 1), (4, 1.5, 4)]:
        pixels = attack(model, clean, epsilon / 255, step / 255, steps)
        print(f"        ({epsilon}, {step}, {steps}, [{row(loss_and_gradient(model, pixels)[0], normalise(pixels))}]),")
    print("    ];\n}")


if __name__ == "__main__":
    main()
