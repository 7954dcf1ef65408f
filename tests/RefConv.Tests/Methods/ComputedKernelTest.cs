using RefConv.Kernels;
using RefConv.Layers;

namespace RefConv.Tests.Methods;

/// <summary>What the tests of WN, CWN, OWN and CLB share: plain layers of every kind, and the kernels that forms use.</summary>
public abstract class ComputedKernelTest : MethodTest
{
    /// <summary>The shape of a plain layer.</summary>
    protected sealed record Layer(int In, int Out, (int H, int W) Kernel, Conv2dOptions Options, bool Bias)
    {
        public override string ToString() => $"{In}→{Out} {Kernel.H}×{Kernel.W} {Options}{(Bias ? " with bias" : "")}";
    }

    /// <summary>Kernels 1, 3, 5, 7 and oblong, strides and dilations 1 and 2, groups 1, some and one a channel, with bias and without.</summary>
    protected static IEnumerable<Layer> Layers
    {
        get
        {
            foreach (var k in new[] { (1, 1), (3, 3), (5, 5), (7, 7), (1, 3), (5, 3), (2, 4) })
            foreach (var (stride, dilation) in new[] { (1, 1), (2, 1), (1, 2), (2, 2) })
            {
                var options = new Conv2dOptions(stride, 0, dilation, 1)
                {
                    PadTop = dilation * (k.Item1 / 2), PadBottom = dilation * (k.Item1 / 2), PadLeft = dilation * (k.Item2 / 2), PadRight = dilation * (k.Item2 / 2),
                };
                bool bias = (stride + dilation + k.Item1) % 2 == 0;
                yield return new(4, 6, k, options, bias);
                yield return new(6, 6, k, options, !bias);
                yield return new(4, 6, k, options with { Groups = 2 }, bias);
                yield return new(6, 6, k, options with { Groups = 6 }, !bias);
            }
        }
    }

    protected Conv2d Random(Device device, Layer layer, ulong tag = 1)
    {
        var conv = new Conv2d(device, layer.In, layer.Out, layer.Kernel, layer.Options, layer.Bias);
        conv.Weight.FromTorch([.. Normal(conv.Weight.Data.Length, tag).Select(v => 0.1 + (0.3 * v))]);
        conv.Bias?.FromTorch(Normal(layer.Out, tag + 1));
        return conv;
    }

    /// <summary>The kernel that a form uses, in PyTorch's order: one filter after the other.</summary>
    internal static double[] EffectiveKernel(Module form)
    {
        using var merged = ((IReparameterized)form).Merge();
        return merged.Weight.ToTorchDouble();
    }

    internal static T Expand<T>(IReparameterization method, Conv2d conv) where T : Module =>
        (T)method.Expand(new ConvSite("conv", conv), new Initializer(conv.Weight.Device, 3));
}
