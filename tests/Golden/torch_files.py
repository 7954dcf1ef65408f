"""Makes torch/*.pth: small files of every kind that torch.save writes, for the reader of PyTorch files. PyTorch 1.13, Python 3.

Run once by hand, in this folder (python3 torch_files.py); the fixtures are never made again to make a test pass.

Tensor number a of a file is filled from value(shape, a) = ((n * 7919 + a * 104729) mod 1009) / 1009 - 1/2 rounded to float32 (n counts elements in row-major
order); tensors of whole numbers hold n - 3. The tests know the rest: TorchFileTests.cs.
"""
import argparse
import collections
import math
import os
import pickle

import numpy
import torch


def value(shape, a):
    n = torch.arange(math.prod(shape), dtype=torch.int64)
    return (((n * 7919 + a * 104729) % 1009).double() / 1009 - 0.5).float().reshape(shape)


def whole(shape, dtype):
    return (torch.arange(math.prod(shape)) - 3).to(dtype).reshape(shape)


def save(name, what, **options):
    torch.save(what, os.path.join("torch", name + ".pth"), **options)


def both(name, what):
    save(name + ".zip", what)
    save(name + ".legacy", what, _use_new_zipfile_serialization=False)


os.makedirs("torch", exist_ok=True)

types = collections.OrderedDict()
types["f32"], types["f64"] = value((2, 3), 0), value((2, 3), 1).double()
types["f16"], types["bf16"] = value((2, 3), 2).half(), value((2, 3), 3).bfloat16()
for name, dtype in [("i64", torch.int64), ("i32", torch.int32), ("i16", torch.int16), ("i8", torch.int8), ("u8", torch.uint8)]:
    types[name] = whole((5,), dtype)
types["bool"] = torch.tensor([True, False, True])
types["scalar"], types["empty"] = torch.tensor(7), torch.zeros(0, 4)
both("types", types)

base = value((4, 6), 0)
views = {
    "whole": base,                              # all share one storage
    "transposed": base.t(),
    "row": base[2],
    "column": base[:, 1],
    "block": base[1:3, 2:5],
    "expanded": base[0].expand(3, 6),
    "stepped": base[::2, ::3],
    "channels_last": value((2, 3, 4, 5), 1).contiguous(memory_format=torch.channels_last),
    "parameter": torch.nn.Parameter(value((3,), 2)),
}
both("views", views)

model = torch.nn.Sequential(torch.nn.Conv2d(2, 3, 3), torch.nn.BatchNorm2d(3), torch.nn.Linear(4, 2))
for a, parameter in enumerate(model.parameters()):
    parameter.data = value(parameter.shape, a)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
for parameter in model.parameters():
    parameter.grad = torch.ones_like(parameter)
optimizer.step()
optimizer.param_groups[0]["params"][0].data = value((3, 2, 3, 3), 0)
scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, [2, 4])
both("checkpoint", {
    "epoch": 12, "arch": "tiny", "best": numpy.float64(71.5), "args": argparse.Namespace(lr=0.1, milestones=(1, 2)),
    "state_dict": collections.OrderedDict(("module." + key, tensor) for key, tensor in model.state_dict().items()),
    "optimizer": optimizer.state_dict(), "scheduler": scheduler.state_dict(), "losses": [0.5, 0.25], "big": 2 ** 80, "none": None,
})
for protocol in [3, 4, 5]:
    save(f"protocol{protocol}.zip", {"net": {"x": value((3, 2), 0)}, "note": b"bytes", "set": {1, 2}}, pickle_protocol=protocol)



class Tiny(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(value((2,), 0))


both("whole_model", Tiny())


class Harm:
    def __reduce__(self):
        return os.system, ("touch harm-was-done",)


both("harm", {"x": value((2,), 0), "y": Harm()})
with open(os.path.join("torch", "plain_pickle.pth"), "wb") as file:
    pickle.dump({"x": 1}, file, protocol=2)
both("tensor", value((2,), 0))
both("numbers", {"epoch": 1, "lr": 0.5})
both("complex", {"x": torch.zeros(2, dtype=torch.complex64)})
both("quantized", {"x": torch.quantize_per_tensor(value((4,), 0), 0.1, 0, torch.qint8)})
torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), os.path.join("torch", "script.zip.pth"))
both("half_overflow", {"x": torch.tensor([1.0, 1e6]).half()})


# Beside the weights: what training scripts leave there. Nothing of it is needed, nothing of it may be run, and none of it may keep the weights from being read.
def fake(module, name, base=object):
    """A class of a library that need not be there."""
    import sys
    import types
    for end in range(1, module.count(".") + 2):
        part = ".".join(module.split(".")[:end])
        sys.modules.setdefault(part, types.ModuleType(part))
    setattr(sys.modules[module], name, type(name, (base,), {"__module__": module}))
    return getattr(sys.modules[module], name)


def objects():
    import datetime
    import decimal
    import enum
    import fractions
    import functools
    import pathlib
    import uuid
    history = fake("training.logging", "History")()
    history.values, history.names = numpy.arange(3.0), {"loss"}
    mode = enum.Enum("Mode", {"FAST": 1}, module="training.logging")
    fake("training.logging", "Mode")
    import sys
    sys.modules["training.logging"].Mode = mode
    settings = fake("settings", "Settings", dict)(rate=0.1)
    settings.frozen = True
    tuples = collections.namedtuple("Best", "epoch score", module="settings")
    sys.modules["settings"].Best = tuples
    return {
        "history": history, "mode": mode.FAST, "settings": settings, "best": tuples(3, 0.5), "path": pathlib.PurePosixPath("a/b"), "date": datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc),
        "decimal": decimal.Decimal("1.5"), "fraction": fractions.Fraction(1, 3), "uuid": uuid.UUID(int=5), "partial": functools.partial(int, base=2), "function": print, "type": float,
        "namespace": argparse.Namespace(rate=0.1, out=pathlib.PurePosixPath("x")), "queue": collections.deque([1, 2]), "counts": collections.Counter("aab"), "lists": collections.defaultdict(list, a=[1]),
        "sets": collections.defaultdict(set), "scalar": numpy.float64(0.7), "array": numpy.arange(4), "random": numpy.random.RandomState(1).get_state(), "generator": numpy.random.RandomState(1),
        "torch random": torch.get_rng_state(), "criterion": torch.nn.CrossEntropyLoss(), "dtype": torch.float16, "size": torch.Size([3]), "device": torch.device("cpu"),
        "complex": 1 + 2j, "large": 1 << 200, "negative": -(1 << 70), "set": {1, 2}, "frozen": frozenset([1]), "slice": slice(1, 2), "range": range(3), "bytes": b"abc", "bytearray": bytearray(b"abc"),
        "ellipsis": ..., "none": None, "nested": [({"a": (1, [2.5])},)], 7: "number", (1, 2): "tuple", "harm": Harm(), "text": "ä\nb", "callbacks": {fake("training.logging", "Saver"): {"best": 1}},
    }


for protocol in [1, 2, 4, 5]:
    save(f"objects{protocol}.zip", {"weights": {"x": value((3, 2), 0)}, **objects()}, pickle_protocol=protocol)
    save(f"objects{protocol}.legacy", {"weights": {"x": value((3, 2), 0)}, **objects()}, pickle_protocol=protocol, _use_new_zipfile_serialization=False)
