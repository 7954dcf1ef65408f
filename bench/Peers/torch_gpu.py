#!/usr/bin/env python3
"""PyTorch's training steps and inference on a GPU: the baseline of bench/gpu.sh. Prints a JSON object a line.

    torch_gpu.py [--batch 128] [--size 224] [--device cuda] [--only NAME]

For every model: the training step (forward, cross-entropy, backward, SGD with momentum 0.9 and weight decay 1e-4) and inference, eager, channels first and
channels last, TF32 off and on. Timed by events, warm, the median of repeats of five steps. `ms` is the best with TF32 off, which is what an engine in 32-bit
floats is compared with; `variants` has all of them.
"""
import argparse
import json
import statistics
import time

import torch
import torch.nn as nn
import torch.nn.functional as F
try:
    import torchvision
except ImportError:  # then there is MobileNetV1, which is written here
    torchvision = None


class MobileNetV1(nn.Module):
    """torchvision has none."""
    BLOCKS = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)] + [(512, 1)] * 5 + [(1024, 2), (1024, 1)]

    def __init__(self):
        super().__init__()
        c, layers = 32, self.block(nn.Conv2d(3, 32, 3, 2, 1, bias=False))
        for out, stride in self.BLOCKS:
            layers += self.block(nn.Conv2d(c, c, 3, stride, 1, groups=c, bias=False)) + self.block(nn.Conv2d(c, out, 1, bias=False))
            c = out
        self.features, self.fc = nn.Sequential(*layers), nn.Linear(c, 1000)

    @staticmethod
    def block(conv):
        return [conv, nn.BatchNorm2d(conv.out_channels), nn.ReLU(True)]

    def forward(self, x):
        return self.fc(self.features(x).mean((2, 3)))


MODELS = {
    "mobilenet_v1": MobileNetV1,
    "mobilenet_v2": lambda: torchvision.models.mobilenet_v2(weights=None),
    "mobilenet_v3_small": lambda: torchvision.models.mobilenet_v3_small(weights=None),
    "shufflenet_v2_x1_0": lambda: torchvision.models.shufflenet_v2_x1_0(weights=None),
    "resnet18": lambda: torchvision.models.resnet18(weights=None),
}
if torchvision is None:
    MODELS = {"mobilenet_v1": MobileNetV1}


def milliseconds(work, cuda, steps=5, repeats=9):
    for _ in range(6):
        work()
    times = []
    for _ in range(repeats):
        if cuda:
            torch.cuda.synchronize()
            start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
            start.record()
            for _ in range(steps):
                work()
            end.record()
            end.synchronize()
            times.append(start.elapsed_time(end) / steps)
        else:
            t = time.perf_counter()
            for _ in range(steps):
                work()
            times.append((time.perf_counter() - t) * 1e3 / steps)
    return statistics.median(times)


def steps_of(net, x, y):
    """The training step and the inference of one network, as functions without arguments."""
    optimizer = torch.optim.SGD(net.parameters(), 0.01, momentum=0.9, weight_decay=1e-4)

    def train():
        loss = F.cross_entropy(net(x), y)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    def infer():
        with torch.inference_mode():
            net(x)

    return {"train": train, "infer": infer}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    cuda = options.device.startswith("cuda")
    torch.backends.cudnn.benchmark = True
    print(json.dumps({"torch": torch.__version__, "cudnn": torch.backends.cudnn.version(), "device": torch.cuda.get_device_name() if cuda else "cpu"}), flush=True)
    for name, build in MODELS.items():
        if options.only not in name:
            continue
        variants = {"train": {}, "infer": {}}
        for layout, memory_format in (("nchw", torch.contiguous_format), ("nhwc", torch.channels_last)):
            torch.manual_seed(1)
            net = build().to(options.device, memory_format=memory_format)
            x = torch.randn(options.batch, 3, options.size, options.size, device=options.device).contiguous(memory_format=memory_format)
            y = torch.arange(options.batch, device=options.device) % 1000
            for tf32 in ((False, True) if cuda else (False,)):
                torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = tf32
                for work, run in steps_of(net, x, y).items():
                    net.train(work == "train")
                    variants[work]["%s %s" % (layout, "tf32" if tf32 else "fp32")] = milliseconds(run, cuda)
            del net, x, y
            if cuda:
                torch.cuda.empty_cache()
        for work, times in variants.items():
            row = {"name": "%s.%s.b%d" % (work, name, options.batch), "ms": min(v for k, v in times.items() if k.endswith("fp32")), "variants": times}
            if cuda:
                row["tf32Ms"] = min(v for k, v in times.items() if k.endswith("tf32"))
            print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
