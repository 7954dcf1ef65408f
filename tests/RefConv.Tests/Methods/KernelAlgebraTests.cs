using RefConv.Kernels;
using RefConv.Layers;

namespace RefConv.Tests.Methods;

/// <summary>Each function of the algebra against the convolutions it speaks of, its condition, and what happens where the condition is ignored.</summary>
public sealed class KernelAlgebraTests : MethodTest
{
    private static readonly (int H, int W)[] s_sizes = [(1, 1), (3, 3), (5, 5), (2, 2), (4, 4), (1, 3), (3, 1), (3, 5), (2, 3)];

    private const double Exact = 1e-10;

    [Fact]
    public void FoldIsTheConvolutionAndItsNorm()
    {
        foreach (var k in s_sizes)
        foreach (int g in new[] { 1, 2, 4 })
        foreach (var (stride, dilation, bias) in new[] { (1, 1, false), (2, 1, true), (1, 2, true), (2, 2, false) })
        {
            using var conv = RandomConv(Reference, 4, 8, k, Same(k, stride, dilation) with { Groups = g }, bias, 1);
            using var norm = RandomNorm(Reference, 8, 2);
            AssertSame(KernelAlgebra.Fold(Kernel.Of(conv), norm), conv.Options, x => Eval(norm, conv.Forward(x)), $"{k} g{g} s{stride} d{dilation}");
        }
    }

    [Fact]
    public void FoldTakesEpsilonInsideTheRoot()
    {
        // √var + ε and √(var + ε) are far apart only where the variance is small: a random one near 1 hides the error.
        using var conv = RandomConv(Reference, 2, 3, (3, 3), Same((3, 3)), false, 1);
        using var norm = RandomNorm(Reference, 3, 2);
        norm.RunningVar.FromTorch([1e-5, 1e-6, 1e-4]);
        var good = KernelAlgebra.Fold(Kernel.Of(conv), norm);
        AssertSame(good, conv.Options, x => Eval(norm, conv.Forward(x)), "small variance");

        double[] gamma = norm.Weight.ToTorchDouble(), variance = norm.RunningVar.ToTorchDouble();
        var careless = KernelAlgebra.Scale(Kernel.Of(conv), [.. gamma.Zip(variance, (a, v) => a / (Math.Sqrt(v) + norm.Eps))]);
        Assert.True(Difference(good.Weight, careless.Weight) > 0.2);
        Assert.Contains("3 channels", Assert.Throws<ArgumentException>(() => KernelAlgebra.Fold(Kernel.Zero(4, 1, 3, 3, 1), norm)).Message);
    }

    [Fact]
    public void KernelsOfOneInputAdd()
    {
        var options = Same((3, 5), 2) with { Groups = 2 };
        using var a = RandomConv(Reference, 4, 6, (3, 5), options, true, 1);
        using var b = RandomConv(Reference, 4, 6, (3, 5), options, true, 5);
        AssertSame(KernelAlgebra.Add(Kernel.Of(a), Kernel.Of(b)), options, x => a.Forward(x).Add(b.Forward(x)), "sum");
        foreach (var other in new[] { Kernel.Zero(6, 2, 3, 3, 2), Kernel.Zero(6, 2, 5, 3, 2), Kernel.Zero(6, 2, 3, 5, 1), Kernel.Zero(5, 2, 3, 5, 2) })
            Assert.Contains("cannot be added", Assert.Throws<ArgumentException>(() => KernelAlgebra.Add(Kernel.Of(a), other)).Message);
    }

    [Fact]
    public void ScaleIsAFactorAChannel()
    {
        using var conv = RandomConv(Reference, 4, 6, (3, 3), Same((3, 3)) with { Groups = 2 }, true, 1);
        double[] v = Normal(6, 3);
        using var factors = Tensor.From(Reference, v, new Shape(1, 1, 1, 6));
        AssertSame(KernelAlgebra.Scale(Kernel.Of(conv), v), conv.Options, x => conv.Forward(x).Multiply(factors), "scale");
        Assert.Contains("5 factors", Assert.Throws<ArgumentException>(() => KernelAlgebra.Scale(Kernel.Of(conv), new double[5])).Message);
    }

    [Fact]
    public void PlaceIsAlignedWithLessPadding()
    {
        // Odd, even and mixed sizes, one inside the other; padding that makes the smaller one crop; stride and dilation.
        foreach (var large in s_sizes)
        foreach (var small in s_sizes.Where(s => s.H <= large.H && s.W <= large.W))
        foreach (var (p, stride, dilation) in new[] { (0, 1, 1), (2, 1, 1), (1, 2, 1), (1, 1, 2), (3, 2, 2) })
        {
            var options = new Conv2dOptions(stride, p, dilation, 1);
            using var conv = RandomConv(Reference, 2, 3, small, Branches.Aligned(options, large, small), true, 1);
            AssertSame(KernelAlgebra.Place(Kernel.Of(conv), large.H, large.W), options, conv.Forward, $"{small} in {large} p{p} s{stride} d{dilation}");
        }
        Assert.Contains("does not fit", Assert.Throws<ArgumentException>(() => KernelAlgebra.Place(Kernel.Zero(1, 1, 3, 1, 1), 1, 3)).Message);
    }

    [Fact]
    public void PlacingRowsAndColumnsTheWrongWayRoundIsAnotherKernel()
    {
        // The Diverse Branch Block's own helper pads height by what width needs: invisible until a kernel is not square.
        var line = new Kernel(1, 1, 1, 3, 1, [1, 2, 3], [0]);
        var placed = KernelAlgebra.Place(line, 5, 5);
        Assert.Equal([0, 1, 2, 3, 0], placed.Weight[10..15]);
        Assert.Equal(6, placed.Weight.Sum());
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(4)]
    [InlineData(8)]
    public void IdentityCountsInsideTheGroup(int groups)
    {
        foreach (var k in new[] { (1, 1), (3, 3), (5, 3) })
        {
            var identity = KernelAlgebra.Identity(8, k.Item1, k.Item2, groups);
            AssertSame(identity, Same(k) with { Groups = groups }, x => x, $"identity {k} g{groups}");
            if (groups == 1) continue;
            // Without the remainder the index runs past the group's channels: one past the row where it still lies in memory.
            var careless = Kernel.Zero(8, 8 / groups, k.Item1, k.Item2, groups);
            for (int o = 0; o < 8; o++)
            {
                long at = ((((long)o * careless.GroupIn) + o) * careless.Area) + (careless.Area / 2);
                if (at < careless.Weight.Length) careless.Weight[at] = 1;
            }
            Assert.NotEqual(identity.Weight, careless.Weight);
        }
        Assert.Contains("no middle", Assert.Throws<ArgumentException>(() => KernelAlgebra.Identity(8, 3, 2, groups)).Message);
        Assert.Contains("must divide", Assert.Throws<ArgumentException>(() => KernelAlgebra.Identity(9, 3, 3, groups == 1 ? 2 : groups)).Message);
    }

    [Fact]
    public void AveragingIsAConvolutionIfPaddingCounts()
    {
        foreach (int g in new[] { 1, 2, 4 })
        foreach (var (k, stride, p) in new[] { (3, 1, 1), (3, 2, 1), (5, 1, 2), (2, 2, 0), (4, 1, 2) })
            AssertSame(KernelAlgebra.Average(4, k, k, g), new Conv2dOptions(stride, p, 1, g), x => x.AvgPool2d(k, stride, p), $"average {k} s{stride} p{p} g{g}");

        // Windows that are not square: every element counts 1/(kh·kw).
        Assert.Equal(Enumerable.Repeat(1.0 / 6, 12), KernelAlgebra.Average(2, 2, 3, 2).Weight);
        Assert.Contains("padding", Assert.Throws<ArgumentException>(() => KernelAlgebra.Average(4, 3, 3, 1, countIncludePad: false)).Message);
        using var x = Normal(Reference, new(2, 6, 5, 4), 9);
        using var conv = KernelAlgebra.Average(4, 3, 3, 4).ToConv2d(Reference, new Conv2dOptions(1, 1, 1, 4));
        using var tape = Tape.Inference();
        var (border, interior) = Differences(x.AvgPool2d(3, 1, 1, countIncludePad: false), conv.Forward(x));
        Assert.True(border > 0.3, $"border {border}");
        Assert.True(interior < Exact, $"interior {interior}");
    }

    [Theory]
    [InlineData(1, 3)]
    [InlineData(2, 3)]
    [InlineData(4, 5)]
    public void PointwiseThenConvNeedsTheBiasAsBorder(int groups, int k)
    {
        using var first = RandomConv(Reference, 4, 8, (1, 1), new Conv2dOptions(groups), true, 1);
        using var second = RandomConv(Reference, 8, 12, (k, k), new Conv2dOptions(1, 0, 1, groups), true, 3);
        var merged = KernelAlgebra.Then(Kernel.Of(first), Kernel.Of(second), borderIsBias: true);
        using var one = merged.ToConv2d(Reference, new Conv2dOptions(1, k / 2, 1, groups));
        using var x = Normal(Reference, new(2, 7, 6, 4), 9);
        using var tape = Tape.Inference();

        // The image padded with 0 before the 1×1: then the map between has a border of b₁.
        using var wide = RandomConv(Reference, 4, 8, (1, 1), new Conv2dOptions(1, k / 2, 1, groups), true, 1);
        AssertClose(one.Forward(x).ToDoubleArray(), second.Forward(wide.Forward(x)).ToDoubleArray(), Exact, "border of b₁");

        // The same with a border of 0: exact inside, wrong at the edge.
        using var padded = Padded(second, k / 2);
        var (border, interior) = Differences(padded.Forward(first.Forward(x)), one.Forward(x));
        Assert.True(interior < Exact, $"interior {interior}");
        Assert.True(border > 0.1, $"border {border}");
        Assert.Contains("border", Assert.Throws<ArgumentException>(() => KernelAlgebra.Then(Kernel.Of(first), Kernel.Of(second), borderIsBias: false)).Message);

        // Without a bias there is nothing to pad with.
        first.Bias!.FromTorch(new double[8]);
        using var free = KernelAlgebra.Then(Kernel.Of(first), Kernel.Of(second), borderIsBias: false).ToConv2d(Reference, new Conv2dOptions(1, k / 2, 1, groups));
        AssertClose(free.Forward(x).ToDoubleArray(), padded.Forward(first.Forward(x)).ToDoubleArray(), Exact, "no bias");
    }

    [Theory]
    [InlineData(1, 3, 3)]
    [InlineData(2, 3, 5)]
    [InlineData(4, 2, 3)]
    public void TwoConvsInARowAreALargerOneWhereNothingIsPaddedBetweenThem(int groups, int k, int l)
    {
        using var first = RandomConv(Reference, 4, 8, (k, k), new Conv2dOptions(1, 0, 1, groups), true, 1);
        using var second = RandomConv(Reference, 8, 12, (l, k), new Conv2dOptions(2, 0, 1, groups), true, 3);
        var merged = KernelAlgebra.Then(Kernel.Of(first), Kernel.Of(second), borderIsBias: true);
        Assert.Equal((k + l - 1, k + k - 1), (merged.Height, merged.Width));
        using var one = merged.ToConv2d(Reference, second.Options);
        using var x = Normal(Reference, new(2, 13, 12, 4), 9);
        using var tape = Tape.Inference();
        AssertClose(one.Forward(x).ToDoubleArray(), second.Forward(first.Forward(x)).ToDoubleArray(), Exact, "no padding");

        // "Same" padding with zeros on each: the border is another, with or without a bias.
        int p = (k + l - 2) / 2;
        if (k % 2 == 0) return;
        foreach (bool bias in new[] { true, false })
        {
            if (!bias) first.Bias!.FromTorch(new double[8]);
            using var wide = KernelAlgebra.Then(Kernel.Of(first), Kernel.Of(second), borderIsBias: true).ToConv2d(Reference, new Conv2dOptions(groups) { PadTop = p, PadBottom = p, PadLeft = k - 1, PadRight = k - 1 });
            using var a = Padded(first, k / 2);
            using var b = Kernel.Of(second).ToConv2d(Reference, new Conv2dOptions(groups) { PadTop = l / 2, PadBottom = l / 2, PadLeft = k / 2, PadRight = k / 2 });
            Assert.True(Difference(wide.Forward(x).ToDoubleArray(), b.Forward(a.Forward(x)).ToDoubleArray()) > 0.1);
            Assert.Contains("Pad the input", Assert.Throws<ArgumentException>(() => KernelAlgebra.Then(Kernel.Of(first), Kernel.Of(second), borderIsBias: false)).Message);
        }
    }

    [Fact]
    public void ConvThenPointwiseNeedsNoCare()
    {
        foreach (int g in new[] { 1, 2, 4 })
        foreach (var k in new[] { (3, 3), (4, 4), (1, 3) })
        {
            using var first = RandomConv(Reference, 4, 8, k, Same(k, 2) with { Groups = g }, true, 1);
            using var second = RandomConv(Reference, 8, 12, (1, 1), new Conv2dOptions(g), true, 3);
            AssertSame(KernelAlgebra.ThenPointwise(Kernel.Of(first), Kernel.Of(second)), first.Options, x => second.Forward(first.Forward(x)), $"{k} g{g}");
        }
        Kernel three = Kernel.Zero(4, 4, 3, 3, 1), point = Kernel.Zero(4, 4, 1, 1, 1), grouped = Kernel.Zero(4, 2, 1, 1, 2), wide = Kernel.Zero(4, 5, 1, 1, 1);
        Assert.Contains("must be 1×1", Assert.Throws<ArgumentException>(() => KernelAlgebra.ThenPointwise(point, three)).Message);
        Assert.Contains("do not follow", Assert.Throws<ArgumentException>(() => KernelAlgebra.ThenPointwise(three, grouped)).Message);
        Assert.Contains("do not follow", Assert.Throws<ArgumentException>(() => KernelAlgebra.Then(wide, Kernel.Zero(4, 5, 3, 3, 1), true)).Message);
    }

    [Fact]
    public void ConcatJoinsChannelsAndGroups()
    {
        using var a = RandomConv(Reference, 2, 3, (3, 3), Same((3, 3)), true, 1);
        using var b = RandomConv(Reference, 2, 3, (3, 3), Same((3, 3)), true, 3);
        AssertSame(KernelAlgebra.Concat(1, Kernel.Of(a), Kernel.Of(b)), a.Options, x => TensorOps.Concat(a.Forward(x), b.Forward(x)), "one input");
        AssertSame(KernelAlgebra.Concat(2, Kernel.Of(a), Kernel.Of(b)), a.Options with { Groups = 2 },
            x => TensorOps.Concat(a.Forward(x.SliceChannels(0, 2)), b.Forward(x.SliceChannels(2, 2))), "an input each");
        Assert.Contains("nothing to join", Assert.Throws<ArgumentException>(() => KernelAlgebra.Concat(1)).Message);
        Assert.Contains("agree", Assert.Throws<ArgumentException>(() => KernelAlgebra.Concat(1, Kernel.Of(a), Kernel.Zero(3, 2, 1, 3, 1))).Message);
        Assert.Contains("make 3 groups", Assert.Throws<ArgumentException>(() => KernelAlgebra.Concat(3, Kernel.Of(a), Kernel.Of(b))).Message);
        Assert.Contains("make 2 groups", Assert.Throws<ArgumentException>(() => KernelAlgebra.Concat(2, Kernel.Of(a), Kernel.Zero(4, 2, 3, 3, 1))).Message);
    }

    [Fact]
    public void RefocusIsTheLayersTransform()
    {
        foreach (var (cin, cout, g, k, mapK) in new[] { (6, 6, 6, (5, 5), 3), (4, 8, 2, (3, 3), 3), (4, 3, 1, (3, 3), 3), (4, 4, 4, (7, 7), 5), (4, 6, 2, (3, 5), 1) })
        {
            using var conv = RandomConv(Reference, cin, cout, k, Same(k) with { Groups = g }, true, 1);
            using var layer = (RefConv2d)new RefConvMethod(new RefConvOptions { MapK = mapK }).Expand(Site(conv), new Initializer(Reference, 2));
            using var merged = layer.Merge();
            AssertClose(Kernel.Of(merged).Weight, KernelAlgebra.Refocus(Kernel.Of(conv), layer.Map.ToTorchDouble(), mapK).Weight, Exact, $"refocus g{g}");
        }
        var basis = Kernel.Zero(4, 2, 3, 3, 2) with { Weight = Normal(72, 1) };
        Assert.Contains("odd", Assert.Throws<ArgumentException>(() => KernelAlgebra.Refocus(basis, new double[32 * 4], 2)).Message);
        Assert.Contains("odd", Assert.Throws<ArgumentException>(() => KernelAlgebra.Refocus(basis, new double[8 * 2 * 25], 5)).Message);
        Assert.Contains("weights", Assert.Throws<ArgumentException>(() => KernelAlgebra.Refocus(basis, new double[7], 3)).Message);

        // Refocus groups are runs of g neighbours in filter-major order, not "the same place in every group".
        double[] map = Normal(8 * 2 * 9, 2), swapped = [.. map];
        for (int d = 0; d < 8; d++)
        for (int i = 0; i < 9; i++) (swapped[(d * 18) + i], swapped[(d * 18) + 9 + i]) = (map[(d * 18) + 9 + i], map[(d * 18) + i]);
        Assert.True(Difference(KernelAlgebra.Refocus(basis, map, 3).Weight, KernelAlgebra.Refocus(basis, swapped, 3).Weight) > 0.1);
    }

    [Fact]
    public void GoldenValues()
    {
        // T3 in two groups; see tests/Golden/kernel_algebra.py.
        var first = new Kernel(6, 2, 1, 1, 2, Golden(12, 9), Golden(6, 10));
        var second = new Kernel(8, 3, 3, 3, 2, Golden(216, 11), Golden(8, 12));
        var merged = KernelAlgebra.Then(first, second, borderIsBias: true);
        var (sum, weighted) = Checksum(merged.Weight);
        Assert.Equal(1.926675775307, sum, 1e-10);
        Assert.Equal(40.439166922868, weighted, 1e-9);
        Assert.Equal(-0.192282342957, Checksum(merged.Bias).Sum, 1e-10);

        // Collapsing k×k and 1×1.
        var collapsed = KernelAlgebra.ThenPointwise(new Kernel(12, 4, 3, 3, 1, Golden(432, 5), Golden(12, 7)), new Kernel(5, 12, 1, 1, 1, Golden(60, 6), Golden(5, 8)));
        (sum, weighted) = Checksum(collapsed.Weight);
        Assert.Equal(-0.056148282897, sum, 1e-10);
        Assert.Equal(-5.460052785584, weighted, 1e-9);
        (sum, weighted) = Checksum(collapsed.Bias);
        Assert.Equal(-0.757978982026, sum, 1e-10);
        Assert.Equal(1.080061900772, weighted, 1e-10);
    }

    /// <summary>The kernel as a convolution computes what the expression does.</summary>
    private void AssertSame(Kernel kernel, Conv2dOptions options, Func<Tensor, Tensor> expected, string what)
    {
        using var conv = kernel.ToConv2d(Reference, options);
        using var x = Normal(Reference, new(2, 9, 8, kernel.In), 9);
        using var tape = Tape.Inference();
        AssertClose(expected(x).ToDoubleArray(), conv.Forward(x).ToDoubleArray(), Exact, what);
    }

    private static Tensor Eval(BatchNorm2d norm, Tensor x)
    {
        norm.Eval();
        return norm.Forward(x);
    }

    private Conv2d Padded(Conv2d conv, int p)
    {
        var padded = new Conv2d(Reference, conv.InChannels, conv.OutChannels, conv.KernelSize, new Conv2dOptions(1, p, 1, conv.Options.Groups), bias: true);
        padded.Weight.FromTorch(conv.Weight.ToTorchDouble());
        padded.Bias!.FromTorch(conv.Bias!.ToTorchDouble());
        return padded;
    }

    /// <summary>Largest differences on the outermost pixels, and two pixels and more inside.</summary>
    private static (double Border, double Interior) Differences(Tensor a, Tensor b)
    {
        double[] x = a.ToDoubleArray(), y = b.ToDoubleArray();
        int h = a.Shape[1], w = a.Shape[2], c = a.Shape[3];
        double border = 0, interior = 0;
        for (int i = 0; i < x.Length; i++)
        {
            int pixel = i / c % (h * w), row = pixel / w, column = pixel % w, edge = Math.Min(Math.Min(row, h - 1 - row), Math.Min(column, w - 1 - column));
            double d = Math.Abs(x[i] - y[i]);
            if (edge == 0) border = Math.Max(border, d);
            if (edge >= 2) interior = Math.Max(interior, d);
        }
        return (border, interior);
    }
}
