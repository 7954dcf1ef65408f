"""Structural re-parameterisation blocks in PyTorch as their authors write them: ACB, RepVGG and DBB, under the keys of our state dicts."""
import torch
import torch.nn as nn
import torch.nn.functional as F


class Named(nn.Module):
    """Layers one after another, with names."""

    def __init__(self, **layers):
        super().__init__()
        for name, layer in layers.items():
            self.add_module(name, layer)

    def forward(self, x):
        for layer in self.children():
            x = layer(x)
        return x


def conv_bn(cin, cout, k, stride, padding, groups):
    return Named(conv=nn.Conv2d(cin, cout, k, stride, padding, groups=groups, bias=False), bn=nn.BatchNorm2d(cout))


class Acb(nn.Module):
    def __init__(self, cin, cout, k, stride, groups):
        super().__init__()
        for name, size in (("square", (k, k)), ("hor", (1, k)), ("ver", (k, 1))):
            self.add_module(name + "_conv", nn.Conv2d(cin, cout, size, stride, (size[0] // 2, size[1] // 2), groups=groups, bias=False))
            self.add_module(name + "_bn", nn.BatchNorm2d(cout))

    def forward(self, x):
        return self.square_bn(self.square_conv(x)) + self.hor_bn(self.hor_conv(x)) + self.ver_bn(self.ver_conv(x))


class RepVgg(nn.Module):
    def __init__(self, cin, cout, k, stride, groups):
        super().__init__()
        self.rbr_identity = nn.BatchNorm2d(cin) if cin == cout and stride == 1 else None
        self.rbr_dense = conv_bn(cin, cout, k, stride, k // 2, groups)
        self.rbr_1x1 = conv_bn(cin, cout, 1, stride, 0, groups)

    def forward(self, x):
        y = self.rbr_dense(x) + self.rbr_1x1(x)
        return y if self.rbr_identity is None else y + self.rbr_identity(x)


class IdentityConv(nn.Conv2d):
    """1x1, kernel = weight + I."""

    def __init__(self, channels, groups):
        super().__init__(channels, channels, 1, groups=groups, bias=False)
        identity = torch.zeros(channels, channels // groups, 1, 1)
        identity[torch.arange(channels), torch.arange(channels) % (channels // groups)] = 1
        self.register_buffer("identity", identity, persistent=False)
        nn.init.zeros_(self.weight)

    def forward(self, x):
        return F.conv2d(x, self.weight + self.identity, groups=self.groups)


class PaddedNorm(nn.Module):
    """Batch norm, then a border of what it makes of zero, by its running statistics and without a gradient."""

    def __init__(self, padding, channels):
        super().__init__()
        self.bn = nn.BatchNorm2d(channels)
        self.padding = padding

    def forward(self, x):
        y, bn, p = self.bn(x), self.bn, self.padding
        v = bn.bias.detach() - bn.running_mean * bn.weight.detach() / torch.sqrt(bn.running_var + bn.eps)
        y = F.pad(y, [p] * 4)
        v = v.view(1, -1, 1, 1)
        y[:, :, :p], y[:, :, -p:], y[:, :, :, :p], y[:, :, :, -p:] = v, v, v, v
        return y


class Dbb(nn.Module):
    def __init__(self, cin, cout, k, stride, groups):
        super().__init__()
        p = k // 2
        self.dbb_origin = conv_bn(cin, cout, k, stride, p, groups)
        if groups < cout:
            self.dbb_avg = Named(conv=nn.Conv2d(cin, cout, 1, groups=groups, bias=False), bn=PaddedNorm(p, cout),
                                 avg=nn.AvgPool2d(k, stride), avgbn=nn.BatchNorm2d(cout))
            self.dbb_1x1 = conv_bn(cin, cout, 1, stride, 0, groups)
            inner, first = cin, {"idconv1": IdentityConv(cin, groups)}
        else:
            self.dbb_avg = Named(avg=nn.AvgPool2d(k, stride, p), avgbn=nn.BatchNorm2d(cout))
            inner, first = 2 * cin, {"conv1": nn.Conv2d(cin, 2 * cin, 1, groups=groups, bias=False)}
        self.dbb_1x1_kxk = Named(**first, bn1=PaddedNorm(p, inner), conv2=nn.Conv2d(inner, cout, k, stride, groups=groups, bias=False), bn2=nn.BatchNorm2d(cout))

    def forward(self, x):
        y = self.dbb_origin(x) + self.dbb_avg(x) + self.dbb_1x1_kxk(x)
        return y + self.dbb_1x1(x) if hasattr(self, "dbb_1x1") else y


BLOCKS = {"acb": (Acb, 7), "repvgg": (RepVgg, 1 << 30), "dbb": (Dbb, 7)}


def to_blocks(module, form):
    """Puts blocks in the place of k×k convolutions and the norms behind them."""
    block, limit = BLOCKS[form]
    children = list(module.named_children())
    for (key, child), (next_key, following) in zip(children, children[1:] + [("", None)]):
        if isinstance(child, nn.Conv2d) and isinstance(following, nn.BatchNorm2d) and 1 < child.kernel_size[0] < limit:
            setattr(module, key, block(child.in_channels, child.out_channels, child.kernel_size[0], child.stride[0], child.groups))
            setattr(module, next_key, nn.Identity())
        else:
            to_blocks(child, form)
    return module
