"""What timm computes with its own models, under its own names: makes timm/NAME.txt for every model below, or for those named.

    python3 tests/Golden/timm_parity.py [NAME ...]

timm 1.0.29.dev0 (its repository at aa4b5850), PyTorch 1.13. Run by hand; a fixture is never made again to make a test pass. Weights and images are filled as
torch_parity.py says, a being the place in timm's state dict. A fixture is text: a line on the model; a line for every tensor of timm's state dict (key, shape);
the class scores of one image in evaluation mode, in double precision.
"""
import pathlib
import sys

import timm
import torch

from torch_parity import fill, numbers, value

torch.set_default_dtype(torch.float64)
FOLDER = pathlib.Path(__file__).parent / "timm"

# Name of the zoo: how timm makes it, width here. ConvNeXt is narrow, so that the test is quick; VGG-16 with its 138 million weights has no narrow form there.
MODELS = {
    "mobilenet_v2": ("mobilenetv2_100", {}, 1),
    "mobilenet_v3_small": ("mobilenetv3_small_100", {}, 1),
    "mobilenet_v3_large": ("mobilenetv3_large_100", {}, 1),
    "efficientnet_b0": ("efficientnet_b0", {}, 1),
    "convnext_tiny": ("convnext_tiny", {"dims": (24, 48, 96, 192)}, 0.25),
    "fasternet_t0": ("fasternet_t0", {}, 1),
    "repvgg_a0": ("repvgg_a0", {}, 1),
    "repvgg_b1g4": ("repvgg_b1g4", {"width_factor": 0.125, "stem_chs": 64}, 0.125),
}


def write(name, size=64):
    there, options, width = MODELS[name]
    model = timm.create_model(there, pretrained=False, **options).double().eval()
    state = model.state_dict()
    model.load_state_dict({key: value(key, state, a) for a, key in enumerate(state)})
    with torch.no_grad():
        logits = model(fill((1, 3, size, size), 1000))[0]
    with open(FOLDER / f"{name}.txt", "w") as file:
        print(f"model {name} classes {len(logits)} width {width} size {size} channels 3 small 0 batch 1", file=file)
        for key, tensor in state.items():
            print(key, "x".join(map(str, tensor.shape)) or "scalar", file=file)
        for start in range(0, len(logits), 10):
            print("logits", numbers(logits[start:start + 10]), file=file)
    print(f"{name}: {len(state)} tensors, logits {float(logits.min()):.3g} to {float(logits.max()):.3g}")


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for chosen in sys.argv[1:] or MODELS:
        write(chosen)
