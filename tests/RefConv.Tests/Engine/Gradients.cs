using System.Reflection;
using RefConv.Kernels;

namespace RefConv.Tests.Engine;

/// <summary>The backward pass of every operation against central differences in double.</summary>
public sealed class Gradients : DeviceTest
{
    /// <summary>A row: which operation, the shapes of its leaves, and the computation over them.</summary>
    public sealed record Row(Type Op, string Name, Shape[] Leaves, Func<Tensor[], Tensor> Function)
    {
        public override string ToString() => $"{Op.Name} {Name}";
    }

    internal static IEnumerable<Row> AllRows
    {
        get
        {
            foreach (var (name, x, w, options) in ConvRows())
            {
                yield return new(typeof(Conv2dOp), name, [x, w, new Shape(w[3])], t => t[0].Conv2d(t[1], t[2], options));
                yield return new(typeof(Conv2dOp), name + " without bias", [x, w], t => t[0].Conv2d(t[1], null, options));
            }
            // Read twice: the sum's gradient is there before the operation adds its own. Whoever overwrites it is found here.
            Shape map = new(2, 4, 4, 6);
            foreach (int groups in new[] { 1, 2, 6 })
                yield return new(typeof(Conv2dOp), $"beside a skip, groups {groups}", [map, new(3, 3, 6 / groups, 6)], t => t[0].Add(t[0].Conv2d(t[1], padding: 1, groups: groups)));
            foreach (bool training in new[] { true, false })
                yield return new(typeof(BatchNorm2dOp), $"beside a skip, training={training}", [map, new(6), new(6)], t => t[0].Add(Norm(t, training, ActivationKind.ReLU)));
            yield return new(typeof(LinearOp), "beside a skip", [new(3, 5), new(5, 5)], t => t[0].Add(t[0].Linear(t[1])));
            yield return new(typeof(ActivationOp), "beside a skip", [map], t => t[0].Add(t[0].Activation(ActivationKind.SiLU)));
            yield return new(typeof(MultiplyChannelsOp), "beside a skip", [map, new(2, 1, 1, 6)], t => t[0].Add(t[0].Multiply(t[1])));
            yield return new(typeof(DropoutOp), "beside a skip", [map], t => t[0].Add(t[0].Dropout(0.3, 3, 4)));
            yield return new(typeof(ChannelShuffleOp), "beside a skip", [map], t => t[0].Add(t[0].ChannelShuffle(3)));
            yield return new(typeof(Pool2dOp), "beside a skip, average", [map], t => t[0].Add(t[0].AvgPool2d(3, 1, 1)));
            yield return new(typeof(Pool2dOp), "beside a skip, maximum", [map], t => t[0].Add(t[0].MaxPool2d(3, 1, 1)));
            yield return new(typeof(ReduceOp), "beside a skip", [map], t => t[0].Multiply(t[0].GlobalAvgPool2d()));
            yield return new(typeof(SliceOp), "beside a skip", [map], t => t[0].Add(TensorOps.Concat(t[0].SliceChannels(3, 3), t[0].SliceChannels(0, 3))));
            yield return new(typeof(RefocusOp), "beside a skip", [new(3, 3, 1, 4), new(4, 4, 3, 3)], t => t[0].Add(t[0].Refocus(t[1], new RefocusGeometry(4, 4, 4, 3, 3, 3))));
            yield return new(typeof(LinearOp), "with bias", [new(3, 5), new(5, 4), new(4)], t => t[0].Linear(t[1], t[2]));
            yield return new(typeof(LinearOp), "without bias", [new(2, 3), new(3, 7)], t => t[0].Linear(t[1]));
            foreach (var activation in new[] { ActivationKind.Identity, ActivationKind.ReLU, ActivationKind.ReLU6 })
            {
                yield return new(typeof(BatchNorm2dOp), $"training {activation}", [new(2, 3, 2, 4), new(4), new(4)], t => Norm(t, training: true, activation));
                yield return new(typeof(BatchNorm2dOp), $"evaluation {activation}", [new(2, 3, 2, 4), new(4), new(4)], t => Norm(t, training: false, activation));
                foreach (bool training in new[] { true, false })
                {
                    yield return new(typeof(BatchNorm2dOp), $"residual, training={training} {activation}", [new(2, 3, 2, 4), new(4), new(4), new(2, 3, 2, 4)],
                        t => Norm(t, training, activation, t[3]));
                    // The residual is a result (its gradient's memory is handed over), and is read a second time.
                    yield return new(typeof(BatchNorm2dOp), $"residual read twice, training={training} {activation}", [new(2, 3, 2, 4), new(4), new(4)],
                        t => ResidualReadTwice(t, training, activation));
                }
                yield return new(typeof(BatchNorm2dOp), $"known moments {activation}", [new(2, 3, 2, 5), new(4), new(4), new(1, 1, 5, 4)],
                    t => Norm([t[0].Conv2d(t[3], null, new Conv2dOptions(), moments: true), t[1], t[2]], training: true, activation));
            }
            foreach (var activation in new[] { ActivationKind.Identity, ActivationKind.ReLU, ActivationKind.ReLU6 })
            {
                Shape small = new(2, 3, 2, 4), c = new(4);
                yield return new(typeof(BatchNormSumOp), $"three {activation}", [small, c, c, small, c, c, small, c, c], t => NormSum(t, 3, activation));
                yield return new(typeof(BatchNormSumOp), $"six on two maps, residual {activation}", [small, c, c, small, c, c, small],
                    t => NormSum([t[0], t[1], t[2], t[3], t[4], t[5], t[0], t[4], t[5], t[3], t[1], t[2], t[0], t[1], t[5], t[0], t[4], t[2]], 6, activation, t[6]));
                yield return new(typeof(BatchNormSumOp), $"known moments, the residual is read twice {activation}", [new(2, 3, 2, 5), c, c, new(1, 1, 5, 4), c, c],
                    t =>
                    {
                        var map = t[0].Conv2d(t[3], null, new Conv2dOptions(), moments: true);
                        var residual = map.Activation(ActivationKind.Sigmoid);
                        return NormSum([map, t[1], t[2], residual, t[4], t[5]], 2, activation, residual).Add(residual);
                    });
            }
            foreach (var kind in Enum.GetValues<ActivationKind>())
                yield return new(typeof(ActivationOp), $"{kind}", [new(3, 11)], t => t[0].Activation(kind));
            yield return new(typeof(AddOp), "two", [new(2, 3), new(2, 3)], t => t[0].Add(t[1]));
            yield return new(typeof(AddOp), "with itself", [new(2, 3)], t => t[0].Multiply(t[0]).Add(t[0]).Add(t[0]));
            yield return new(typeof(AddOp), "of one result twice", [new(2, 3)], t => Twice(t[0].Activation(ActivationKind.Sigmoid)));
            yield return new(typeof(MultiplyOp), "two", [new(2, 3), new(2, 3)], t => t[0].Multiply(t[1]));
            yield return new(typeof(MultiplyChannelsOp), "per image", [new(2, 3, 2, 4), new(2, 1, 1, 4)], t => t[0].Multiply(t[1]));
            yield return new(typeof(MultiplyChannelsOp), "shared", [new(2, 3, 2, 4), new(1, 1, 1, 4)], t => t[0].Multiply(t[1]));
            yield return new(typeof(StochasticDepthOp), "p=0.4", [new(7, 2, 2, 3)], t => t[0].StochasticDepth(0.4, 3, 4));
            yield return new(typeof(StochasticDepthOp), "beside a skip", [new(7, 2, 2, 3)], t => t[0].Add(t[0].StochasticDepth(0.4, 3, 4)));
            yield return new(typeof(DropoutOp), "p=0.4", [new(5, 7)], t => t[0].Dropout(0.4, 3, 4));
            foreach (bool inside in new[] { false, true })
            {
                yield return new(typeof(Pool2dOp), $"average inside={inside}", [new(2, 5, 4, 3)], t => t[0].AvgPool2d(3, 2, 1, !inside));
            }
            yield return new(typeof(Pool2dOp), "average 2", [new(1, 4, 4, 2)], t => t[0].AvgPool2d(2, 2));
            yield return new(typeof(Pool2dOp), "maximum", [new(2, 5, 6, 3)], t => t[0].MaxPool2d(3, 2, 1));
            foreach (var (h, w, p, q) in new[] { (5, 4, 3, 3), (2, 3, 3, 3), (7, 7, 1, 1), (4, 6, 2, 3) })
                yield return new(typeof(AdaptiveAvgPool2dOp), $"{h}×{w} to {p}×{q}", [new(2, h, w, 3)], t => t[0].AdaptiveAvgPool2d(p, q));
            yield return new(typeof(AdaptiveAvgPool2dOp), "beside a skip", [map], t => t[0].Add(t[0].AdaptiveAvgPool2d(4, 4)));
            // Constant but at points that differences do not hit.
            yield return new(typeof(ArgMaxOp), "adds nothing", [new(2, 3, 2, 4)], t => t[0].SliceChannels(0, 1).Add(t[0].ArgMax()));
            foreach (bool outside in new[] { false, true })
            {
                yield return new(typeof(RegionConv2dOp), $"3×3 stride 2, outside={outside}", [new(2, 5, 4, 3), new(2 * 9 * 4 * 3, 5), new(5)],
                    t => Regions(t, 4, 3, new Conv2dOptions(2, 1, 1, 1), outside, t[2]));
                yield return new(typeof(RegionConv2dOp), $"dilation 2, outside={outside}", [new(1, 6, 5, 2), new(9 * 3 * 2, 3)], t => Regions(t, 3, 3, new Conv2dOptions(1, 2, 2, 1), outside));
            }
            yield return new(typeof(RegionConv2dOp), "1×1 beside a skip", [new(2, 3, 3, 4), new(2 * 2 * 4, 4)], t => t[0].Add(Regions(t, 2, 1, new Conv2dOptions(), true)));
            yield return new(typeof(ReduceOp), "global average", [new(2, 3, 4, 5)], t => t[0].GlobalAvgPool2d());
            yield return new(typeof(ReduceOp), "sum", [new(2, 3)], t => t[0].Multiply(t[0]).Sum());
            yield return new(typeof(ReduceOp), "mean", [new(2, 3)], t => t[0].Multiply(t[0]).Mean());
            yield return new(typeof(ConcatOp), "three", [new(2, 2, 1, 3), new(2, 2, 1, 1), new(2, 2, 1, 4)], t => TensorOps.Concat(t[0], t[1], t[2]));
            yield return new(typeof(SliceOp), "middle", [new(2, 2, 1, 7)], t => t[0].SliceChannels(2, 3));
            yield return new(typeof(SliceOp), "two of one", [new(2, 2, 1, 7)], t => t[0].SliceChannels(0, 3).Add(t[0].SliceChannels(2, 3)));
            yield return new(typeof(InterleaveOp), "two maps", [new(2, 2, 1, 3), new(2, 2, 1, 3)], t => TensorOps.Interleave(t[0], t[1]));
            yield return new(typeof(InterleaveOp), "a map with itself", [new(2, 2, 1, 3)], t => TensorOps.Interleave(t[0], t[0]));
            yield return new(typeof(InterleaveOp), "with a map that wants no gradient", [new(2, 2, 1, 3)], t => TensorOps.Interleave(Constant(t[0]), t[0]).Add(TensorOps.Interleave(t[0], Constant(t[0]))));
            yield return new(typeof(InterleaveOp), "a map with its own function, beside a skip", [map], t => t[0].Add(TensorOps.Interleave(t[0].SliceChannels(0, 3), t[0].SliceChannels(3, 3).Activation(ActivationKind.SiLU))));
            // Channels of a result of the tape are read where they lie, and their gradient is a part of the result's.
            Shape halves = new(2, 3, 2, 6);
            yield return new(typeof(InterleaveOp), "halves of one map, one convolved", [halves, new(1, 1, 3, 3)],
                t => Of(t[0].Activation(ActivationKind.SiLU), x => TensorOps.Interleave(x.SliceChannels(0, 3), x.SliceChannels(3, 3).Conv2d(t[1]))));
            yield return new(typeof(InterleaveOp), "channels that overlap", [halves], t => Of(t[0].Activation(ActivationKind.SiLU), x => TensorOps.Interleave(x.SliceChannels(0, 4), x.SliceChannels(1, 4))));
            yield return new(typeof(InterleaveOp), "channels that overlap, the other way", [halves], t => Of(t[0].Activation(ActivationKind.SiLU), x => TensorOps.Interleave(x.SliceChannels(2, 4), x.SliceChannels(0, 4))));
            yield return new(typeof(SliceOp), "by a 1×1 convolution and another reader", [halves, new(1, 1, 2, 4)],
                t => Of(t[0].Activation(ActivationKind.SiLU), x => x.SliceChannels(3, 2) is var s ? TensorOps.Concat(s.Conv2d(t[1]), s, s.Activation(ActivationKind.Sigmoid)) : x));
            yield return new(typeof(SliceOp), "by a 3×3 convolution", [halves, new(3, 3, 2, 4)], t => Of(t[0].Activation(ActivationKind.SiLU), x => x.SliceChannels(3, 2).Conv2d(t[1], padding: 1)));
            yield return new(typeof(SliceOp), "some channels, then all", [halves],
                t => Of(t[0].Activation(ActivationKind.SiLU), x => TensorOps.Concat(x.SliceChannels(1, 2), x.SliceChannels(4, 1), x.Activation(ActivationKind.Sigmoid))));
            yield return new(typeof(SliceOp), "of a run, beside the run and all of it", [halves],
                t => Of(t[0].Activation(ActivationKind.SiLU), x => x.SliceChannels(1, 4) is var s ? TensorOps.Concat(s.SliceChannels(2, 2), s, x, s.SliceChannels(0, 1)) : x));
            yield return new(typeof(ReplaceChannelsOp), "by channels of a result", [halves], t => Of(t[0].Activation(ActivationKind.SiLU), x => x.ReplaceChannels(x.SliceChannels(1, 2), 3)));
            yield return new(typeof(ChannelShuffleOp), "3 of 6", [new(2, 2, 1, 6)], t => t[0].ChannelShuffle(3));
            foreach (var row in NormAndResampleRows(map)) yield return row;
            yield return new(typeof(ReshapeOp), "flatten", [new(2, 2, 2, 3)], t => t[0].Activation(ActivationKind.SiLU).Flatten().Multiply(t[0].Flatten()));
            yield return new(typeof(CrossEntropyOp), "plain", [new(4, 5)], t => CrossEntropy(t[0], 0));
            yield return new(typeof(CrossEntropyOp), "smoothed", [new(4, 5)], t => CrossEntropy(t[0], 0.1));
            foreach (var kernel in new Shape[] { new(3, 3, 2, 4), new(1, 1, 5, 3), new(3, 3, 1, 6) })
            {
                Shape scale = new(kernel[3], 1, 1, 1);
                yield return new(typeof(WeightNormOp), $"plain {kernel}", [kernel, scale], t => t[0].WeightNorm(t[1]));
                yield return new(typeof(WeightNormOp), $"centred {kernel}", [kernel, scale], t => t[0].WeightNorm(t[1], center: true));
                yield return new(typeof(WeightNormOp), $"centred with a large ε {kernel}", [kernel, scale], t => t[0].WeightNorm(t[1], center: true, eps: 0.5));
                yield return new(typeof(OrthogonalizeOp), $"{kernel}", [kernel, scale], t => t[0].Orthogonalize(t[1], kernel[3] == 6 ? 2 : kernel[3]));
                yield return new(typeof(OrthogonalizeOp), $"beside a skip {kernel}", [kernel, scale], t => t[0].Add(t[0].Orthogonalize(t[1], 1)));
            }
            yield return new(typeof(LeadingProductOp), "3×3", [new(1, 1, 3, 4), new(3, 3, 4, 2)], t => t[0].LeadingProduct(t[1]));
            yield return new(typeof(LeadingProductOp), "both from one", [new(1, 1, 4, 4)], t => t[0].Add(t[0].LeadingProduct(t[0])));
            yield return new(typeof(L1LossOp), "plain", [new(4, 5)], t => L1Loss(t[0]));
            yield return new(typeof(L1LossOp), "beside a skip", [new(4, 5)], t => t[0].Sum().Add(L1Loss(t[0])));
            yield return new(typeof(ShiftOp), "beside a skip", [map], t => t[0].Multiply(t[0].Shift(-0.5)));
            foreach (var (cout, cin, g, k, mapK) in new[] { (6, 6, 6, 5, 3), (8, 4, 2, 3, 3), (3, 4, 1, 3, 3), (4, 4, 4, 7, 5), (6, 9, 3, 4, 3), (5, 5, 5, 3, 1) })
            {
                var geometry = new RefocusGeometry(cout, cin, g, k, k, mapK);
                foreach (bool shortcut in new[] { true, false })
                {
                    yield return new(typeof(RefocusOp), $"{geometry} shortcut={shortcut}", [new(k, k, cin / g, cout), ParameterLayout.RefocusMap(geometry).MemoryShape],
                        t => t[0].Refocus(t[1], geometry, shortcut: shortcut));
                }
            }
        }
    }

    private static IEnumerable<Row> NormAndResampleRows(Shape map)
    {
        yield return new(typeof(LayerNormOp), "map", [new(2, 3, 2, 5), new(5), new(5)], t => t[0].LayerNorm(t[1], t[2], 1e-6));
        yield return new(typeof(LayerNormOp), "rows", [new(3, 7), new(7), new(7)], t => t[0].LayerNorm(t[1], t[2]));
        yield return new(typeof(LayerNormOp), "beside a skip", [map, new(6), new(6)], t => t[0].Add(t[0].LayerNorm(t[1], t[2])));
        yield return new(typeof(PReLUOp), "map", [new(2, 3, 2, 4), new(4)], t => t[0].PReLU(t[1]));
        yield return new(typeof(PReLUOp), "beside a skip, slopes shared by two", [map, new(6)], t => t[0].Add(t[0].PReLU(t[1]).PReLU(t[1])));
        foreach (int scale in new[] { 1, 2, 3 })
            yield return new(typeof(UpsampleNearestOp), $"by {scale}", [new(2, 2, 3, 5)], t => t[0].UpsampleNearest(scale));
        yield return new(typeof(UpsampleNearestOp), "beside a skip", [map], t => t[0].Add(t[0].AvgPool2d(2, 2).UpsampleNearest(2)).Add(t[0].UpsampleNearest(1)));
        foreach (var mode in Enum.GetValues<DepthToSpaceMode>())
        {
            yield return new(typeof(DepthToSpaceOp), $"to pixels {mode}", [new(2, 2, 3, 8)], t => t[0].DepthToSpace(2, mode));
            yield return new(typeof(DepthToSpaceOp), $"to channels {mode}", [new(2, 4, 6, 3)], t => t[0].SpaceToDepth(2, mode));
        }
        yield return new(typeof(DepthToSpaceOp), "beside a skip", [new(1, 2, 2, 4)], t => t[0].Add(t[0].PixelShuffle(2).PixelUnshuffle(2)).Add(t[0].PixelShuffle(1)));
        yield return new(typeof(ReplaceChannelsOp), "first", [map, new(2, 4, 4, 2)], t => t[0].ReplaceChannels(t[1]));
        yield return new(typeof(ReplaceChannelsOp), "middle", [map, new(2, 4, 4, 3)], t => t[0].ReplaceChannels(t[1], 2));
        yield return new(typeof(ReplaceChannelsOp), "all", [map, map], t => t[0].ReplaceChannels(t[1]));
        yield return new(typeof(ReplaceChannelsOp), "partial convolution beside a skip", [new(1, 4, 4, 8), new(3, 3, 2, 2)],
            t => t[0].Add(t[0].ReplaceChannels(t[0].SliceChannels(0, 2).Conv2d(t[1], padding: 1))));
        yield return new(typeof(LinearOp), "over the last axis of a map", [new(2, 3, 2, 5), new(5, 4), new(4)], t => t[0].Linear(t[1], t[2]));
    }

    public static TheoryData<string> Rows => new(AllRows.Select(r => r.ToString()));

    [Theory]
    [MemberData(nameof(Rows))]
    public void AgreeWithDifferences(string name)
    {
        var row = AllRows.First(r => r.ToString() == name);
        var leaves = row.Leaves.Select((shape, i) => Normal(Reference, shape, (ulong)(100 + i), requiresGrad: true)).ToArray();
        try
        {
            var result = GradCheck.Run(leaves, () => row.Function(leaves), epsilon: 1e-6);
            Assert.True(result.MaxError < 1e-6, $"{name}: {result}");
            Assert.True(result.Checked > 0);
        }
        finally
        {
            foreach (var leaf in leaves) leaf.Dispose();
        }
    }

    [Fact]
    public void EveryOperationWithAGradientHasARow()
    {
        var covered = AllRows.Select(r => r.Op).ToHashSet();
        var missing = typeof(Op).Assembly.GetTypes()
            .Where(t => t.IsSubclassOf(typeof(Op)) && !t.IsAbstract && !covered.Contains(t) && t != typeof(SoftmaxOp)) // SoftmaxOp refuses to be differentiated
            .Select(t => t.Name).ToArray();
        Assert.True(missing.Length == 0, "Operations without a gradient row: " + string.Join(", ", missing));
    }

    [Fact]
    public void SoftmaxRefusesToBeDifferentiated()
    {
        using var x = Normal(Reference, new(2, 3), 1, requiresGrad: true);
        using var tape = Tape.Train();
        var loss = x.Softmax().Sum();
        Assert.Contains("CrossEntropy", Assert.Throws<NotSupportedException>(() => tape.Backward(loss)).Message);
    }

    [Fact]
    public void AWrongGradientIsFound()
    {
        using var x = Normal(Reference, new(2, 3), 1, requiresGrad: true);
        var result = GradCheck.Run([x], () => new SquareWithWrongGradient(x).Go());
        Assert.True(result.MaxError > 0.1);
    }

    private sealed class SquareWithWrongGradient(Tensor x) : Op("Wrong", null, x)
    {
        public Tensor Go() => Run(x.Shape);

        protected override void Forward(IKernels kernels) => kernels.Multiply(x.Data, x.Data, Output.Data, false);

        protected internal override void Backward(IKernels kernels, BufferView dy) => kernels.Multiply(x.Data, dy, Gradient(x, out bool accumulate), accumulate); // lacks the 2
    }

    /// <summary>The guide is a constant: what comes back to it is no derivative of the mask, and has tests of its own.</summary>
    private static Tensor Regions(Tensor[] t, int regions, int k, Conv2dOptions options, bool outside, Tensor? bias = null)
    {
        var (h, w) = (Size(t[0].Shape[1]), Size(t[0].Shape[2]));
        using var guide = Normal(t[0].Device, new Shape(t[0].Shape[0], h, w, regions), 9);
        var held = OnTape(guide);
        return t[0].RegionConv2d(held, held.ArgMax(), t[1], bias, (k, k), options, outside);

        int Size(int length) => ((length + (2 * options.PadTop) - (options.DilationH * (k - 1)) - 1) / options.StrideH) + 1;
    }

    private static Tensor Of(Tensor t, Func<Tensor, Tensor> read) => read(t);

    private static Tensor Twice(Tensor t) => t.Add(t);

    private static Tensor Constant(Tensor like) => Tape.Current.Constant(like.Device, like.Shape, 0.5);

    private static Tensor Norm(Tensor[] t, bool training, ActivationKind activation, Tensor? residual = null)
    {
        using var mean = Normal(t[0].Device, t[1].Shape, 7);
        using var variance = Tensor.From(t[0].Device, Normal(t[1].Shape.Count, 8).Select(v => (v * v) + 0.3).ToArray(), t[1].Shape);
        return t[0].BatchNorm2d(t[1], t[2], OnTape(mean), OnTape(variance), training, activation: activation, residual: residual);
    }

    private static Tensor NormSum(Tensor[] t, int terms, ActivationKind activation, Tensor? residual = null)
    {
        using var mean = Normal(t[0].Device, t[1].Shape, 7);
        using var variance = Tensor.Full(t[0].Device, t[1].Shape, 1);
        return TensorOps.BatchNormSum([.. Enumerable.Range(0, terms).Select(i =>
            new NormTerm(t[3 * i], t[(3 * i) + 1], t[(3 * i) + 2], OnTape(mean), OnTape(variance), 0.1, i % 2 == 0 ? 1e-5 : 1e-2))], activation, residual);
    }

    private static Tensor ResidualReadTwice(Tensor[] t, bool training, ActivationKind activation)
    {
        var residual = t[0].Activation(ActivationKind.Sigmoid);
        return Norm(t, training, activation, residual).Add(residual);
    }

    private static Tensor CrossEntropy(Tensor x, double smoothing) => x.CrossEntropy(Labels(x.Device, x.Shape[0], x.Shape[1]), smoothing);

    private static Tensor L1Loss(Tensor x)
    {
        using var target = Normal(x.Device, x.Shape, 9);
        return x.L1Loss(OnTape(target));
    }

    private static Tensor Labels(Device device, int rows, int classes)
    {
        using var labels = Tensor.From(device, Enumerable.Range(0, rows).Select(i => (double)(i * 3 % classes)).ToArray(), new Shape(rows));
        return OnTape(labels);
    }

    /// <summary>x + 0: the same values as a result of the tape, which lives until the backward pass is done.</summary>
    private static Tensor OnTape(Tensor x)
    {
        using var zero = Tensor.Full(x.Device, x.Shape, 0);
        return x.Add(zero);
    }

    private static IEnumerable<(string Name, Shape X, Shape W, Conv2dOptions Options)> ConvRows()
    {
        yield return ("3×3", new(2, 4, 5, 3), new(3, 3, 3, 4), new(1, 1, 1, 1));
        yield return ("3×3 stride 2", new(2, 5, 5, 2), new(3, 3, 2, 3), new(2, 1, 1, 1));
        yield return ("3×3 dilation 2", new(1, 6, 5, 2), new(3, 3, 2, 2), new(1, 2, 2, 1));
        yield return ("grouped", new(1, 4, 4, 4), new(3, 3, 2, 6), new(1, 1, 1, 2));
        yield return ("depthwise", new(2, 4, 4, 5), new(3, 3, 1, 5), new(1, 1, 1, 5));
        yield return ("depthwise 5×5 stride 2", new(1, 7, 6, 3), new(5, 5, 1, 3), new(2, 2, 1, 3));
        yield return ("1×1", new(2, 3, 3, 4), new(1, 1, 4, 3), new(1, 0, 1, 1));
        yield return ("even 2×2 stride 2", new(1, 4, 4, 2), new(2, 2, 2, 3), new(2, 0, 1, 1));
        yield return ("1×3 padded on one side", new(1, 4, 5, 2), new(1, 3, 2, 2), new Conv2dOptions { PadLeft = 2 });
        yield return ("cropped", new(1, 6, 6, 2), new(3, 3, 2, 2), new Conv2dOptions { PadTop = -1, PadRight = -2 });
    }
}
