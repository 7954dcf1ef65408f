#!/usr/bin/env python3
"""PyTorch's side of the comparison. Started by the benchmark, which alternates it with our engine.

    torch_worker.py THREADS                   one JSON object a line on standard input, one answer a line on standard output:

        {"do": "load", "form": F, "work": "train" | "infer", "architecture": ..., "state": FILE, ...} -> {"variants": [...]}
        {"do": "check", "form": F}                           -> {"values": {NAME: ...}}  loss and gradients, or scores
        {"do": "export", "form": F, "onnx": FILE, "script": FILE | null} -> {}
        {"do": "layer", "x": SHAPE, "w": SHAPE, "dy": SHAPE, "file": FILE, ...} -> {"variants": [...]}  forms are then the three operations
        {"do": "layer_result", "op": OP, "file": FILE}       -> {}
        {"do": "memory", "format": V, ...as load}            -> {"megabytes": ...}  peak of training steps above the model built
        {"do": "run", "form": F, "variant": V, "times": N}   -> {"ms": milliseconds of one}
        {"do": "unload"}                                     -> {}

    torch_worker.py THREADS answer SCRIPT IMAGES n h w c     prints the scores and ends: how long does a fresh process take?

The end of the input ends the process. {"error": TEXT} answers what cannot be done.
"""
import gc
import json
import os
import signal
import sys
import time
import traceback
import warnings

# Answers go to the real standard output; whatever a library prints goes to standard error.
ANSWERS = os.fdopen(os.dup(1), "w", buffering=1)
os.dup2(2, 1)
signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is for the benchmark, which then closes our input
warnings.filterwarnings("ignore")


def answer(**values):
    ANSWERS.write(json.dumps(values) + "\n")


def first_answer(threads, script, images, *shape):
    """The quickest way from nothing: TorchScript needs neither torchvision nor the model's source."""
    import torch
    torch.set_num_threads(threads)
    with open(images, "rb") as f:
        x = torch.frombuffer(bytearray(f.read()), dtype=torch.float32).reshape([int(n) for n in shape]).permute(0, 3, 1, 2)
    with torch.inference_mode():
        answer(scores=torch.jit.load(script)(x)[0, :10].tolist())


if sys.argv[2:3] == ["answer"]:
    first_answer(int(sys.argv[1]), *sys.argv[3:])
    ANSWERS.flush()
    os._exit(0)  # what takes long to tear down is not part of the answer

try:
    import numpy
    import torch
    import torch.nn as nn
    import torch.nn.functional as F
    import torchvision
    from torch_blocks import BLOCKS, to_blocks
    from torch_models import ARCHITECTURES, to_refconv
except ImportError as e:
    answer(error=str(e))
    sys.exit(1)

FORMATS = {"nchw": torch.contiguous_format, "nhwc": torch.channels_last}


def read_safetensors(path):
    with open(path, "rb") as f:
        header = json.loads(f.read(int.from_bytes(f.read(8), "little")))
        data = f.read()
    header.pop("__metadata__", None)
    tensors = {}
    for name, info in header.items():
        first, last = info["data_offsets"]
        tensors[name] = torch.from_numpy(numpy.frombuffer(data[first:last], "<f4").copy()).reshape(info["shape"])
    return tensors


# --------------------------------------------------------------------------- the work
class Contender:
    """One form of a case's model, in every way PyTorch can run it."""

    def __init__(self, q):
        self.q = q
        self.state = read_safetensors(q["state"])
        self.images = self.state.pop("bench.images")
        self.labels = self.state.pop("bench.labels").long()
        self.ways = {}
        for name in q.get("variants", FORMATS):
            memory = FORMATS[name]
            step = self.step(self.build(memory), memory)
            if q["work"] == "train":
                self.ways[name] = step
                continue
            self.ways["eager " + name] = step
            try:
                net, x = self.build(memory), self.images.contiguous(memory_format=memory)
                frozen = torch.jit.optimize_for_inference(torch.jit.freeze(torch.jit.trace(net, x)))
                frozen(x)
                self.ways["frozen " + name] = self.infer(frozen, x)
            except Exception as e:
                print("# no frozen %s: %s" % (name, e), file=sys.stderr)

    def build(self, memory):
        q = self.q
        net = ARCHITECTURES[q["architecture"]](q["classes"], q["width"], q["small"])
        if q["form"] == "refconv":
            net = to_refconv(net)
        elif q["form"] in BLOCKS:
            net = to_blocks(net, q["form"])
        net.load_state_dict(self.state)
        return net.train(q["work"] == "train").to(memory_format=memory)

    def step(self, net, memory):
        q, x = self.q, self.images.contiguous(memory_format=memory)
        if q["work"] == "infer":
            return self.infer(net, x)
        opt = torch.optim.SGD([p for p in net.parameters() if p.requires_grad], lr=q["rate"], momentum=q["momentum"], weight_decay=q["decay"])

        def train():
            opt.zero_grad(set_to_none=True)
            F.cross_entropy(net(x), self.labels).backward()
            opt.step()
        return train

    @staticmethod
    def infer(net, x):
        def run():
            with torch.inference_mode():
                return net(x)
        return run

    def export(self, onnx, script):
        net = self.build(torch.contiguous_format)
        torch.onnx.export(net, self.images, onnx, opset_version=13, input_names=["x"], output_names=["y"])
        if script:
            torch.jit.freeze(torch.jit.trace(net, self.images)).save(script)

    def check(self):
        """What both engines must agree on, see OwnEngine.Check. Without dropout and stochastic depth, whose random numbers differ."""
        net = self.build(torch.contiguous_format)
        for m in net.modules():
            if type(m).__name__ in ("Dropout", "StochasticDepth"):
                m.p = 0.0
        scores = net(self.images)
        if self.q["work"] == "infer":
            return {"score %d" % i: v for i, v in enumerate(scores.flatten().tolist())}
        loss = F.cross_entropy(scores, self.labels)
        loss.backward()
        values = {"loss": loss.item()}
        for name, p in net.named_parameters():
            g = p.grad.double().flatten()
            values["gradient of " + name] = float(g @ torch.arange(g.numel(), dtype=torch.float64).cos())
        return values


class Layer:
    """The three computations of a convolution. Operands come in our order: feature maps [n, h, w, c], weights [r, s, c/g, k]."""

    OPS = {"forward": None, "input_gradient": [True, False, False], "weight_gradient": [False, True, False]}

    def __init__(self, q):
        self.stride, self.pad, self.groups = [q["stride"]] * 2, [q["pad"]] * 2, q["groups"]
        data = torch.from_numpy(numpy.fromfile(q["file"], "<f4"))
        parts = data.split([int(numpy.prod(q[name])) for name in ("x", "w", "dy")])
        x, w, dy = (part.reshape(q[name]) for part, name in zip(parts, ("x", "w", "dy")))
        operands = x.permute(0, 3, 1, 2), w.permute(3, 2, 0, 1), dy.permute(0, 3, 1, 2)
        self.operands = {name: [t.clone(memory_format=memory) for t in operands] for name, memory in FORMATS.items()}

    def ways(self, op):
        return {name: self.step(op, *operands) for name, operands in self.operands.items()}

    def step(self, op, x, w, dy):
        mask = self.OPS[op]

        def forward():
            with torch.inference_mode():
                return F.conv2d(x, w, None, self.stride, self.pad, 1, self.groups)

        def backward():
            with torch.inference_mode():
                return torch.ops.aten.convolution_backward(dy, x, w, None, self.stride, self.pad, [1, 1], False, [0, 0], self.groups, mask)
        return forward if mask is None else backward

    def write(self, op, path):
        result = self.step(op, *self.operands["nchw"])()
        if op == "input_gradient":
            result = result[0]
        elif op == "weight_gradient":
            result = result[1].permute(2, 3, 1, 0)
        if op != "weight_gradient":
            result = result.permute(0, 2, 3, 1)
        result.contiguous().numpy().tofile(path)


class LayerOp:
    """One operation of a layer, in every way PyTorch can run it."""

    def __init__(self, layer, op):
        self.ways = layer.ways(op)


def resident(peak=False):
    """Megabytes of this process in memory, now or at most since the last reset."""
    with open("/proc/self/status") as f:
        return next(int(line.split()[1]) / 1024 for line in f if line.startswith("VmHWM:" if peak else "VmRSS:"))


def peak_memory(q):
    """Megabytes that training steps take above the process with the model built."""
    q = dict(q, variants=[q["format"]])
    contender = Contender(q)
    gc.collect()
    try:
        with open("/proc/self/clear_refs", "w") as f:
            f.write("5")  # the peak so far is forgotten
    except OSError:
        pass
    idle = resident()
    run(contender.ways[q["format"]], 3)
    return resident(peak=True) - idle


def run(step, times):
    # One thread by processor time, which a busy neighbour hardly changes; several, which wait for each other, by the clock on the wall.
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    started = clock()
    for _ in range(times):
        step()
    return (clock() - started) * 1e3 / times


def loaded_blas():
    torch.mm(torch.ones(64, 64), torch.ones(64, 64))  # the library is loaded by now
    try:
        with open("/proc/self/maps") as maps:
            names = {os.path.basename(line.split()[-1]) for line in maps if "blas" in line and ".so" in line}
    except OSError:
        names = set()
    return ", ".join(sorted(names)) or "unknown"


def main():
    torch.set_num_threads(int(sys.argv[1]))
    torch.manual_seed(0)
    answer(torch=torch.__version__, torchvision=torchvision.__version__, threads=torch.get_num_threads(), blas=loaded_blas())
    forms = {}
    for line in sys.stdin:
        q = json.loads(line)
        try:
            if q["do"] == "load":
                forms[q["form"]] = Contender(q)
                answer(variants=list(forms[q["form"]].ways))
            elif q["do"] == "check":
                answer(values=forms[q["form"]].check())
            elif q["do"] == "export":
                forms[q["form"]].export(q["onnx"], q["script"])
                answer()
            elif q["do"] == "layer":
                forms["layer"] = Layer(q)
                forms.update({op: LayerOp(forms["layer"], op) for op in Layer.OPS})
                answer(variants=list(FORMATS))
            elif q["do"] == "layer_result":
                forms["layer"].write(q["op"], q["file"])
                answer()
            elif q["do"] == "memory":
                answer(megabytes=peak_memory(q))
            elif q["do"] == "run":
                answer(ms=run(forms[q["form"]].ways[q["variant"]], q["times"]))
            elif q["do"] == "unload":
                forms.clear()
                gc.collect()
                answer()
            else:
                answer(error="there is no '%s'" % q["do"])
        except Exception as e:
            traceback.print_exc()
            answer(error="%s: %s" % (type(e).__name__, e))


if __name__ == "__main__":
    main()
