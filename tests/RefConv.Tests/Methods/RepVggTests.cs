using RefConv.Kernels;
using RefConv.Layers;

namespace RefConv.Tests.Methods;

/// <summary>RepVGG blocks.</summary>
public sealed class RepVggTests : MethodTest
{
    [Theory]
    [InlineData("cpu")]
    [InlineData("reference")]
    public void TheMergedKernelComputesTheSame(string device)
    {
        foreach (var k in new[] { (3, 3), (5, 5), (7, 7), (2, 2), (1, 3), (3, 5) })
        foreach (var (stride, dilation) in new[] { (1, 1), (2, 1), (1, 2), (2, 2) })
        {
            if (dilation * Math.Max(k.Item1, k.Item2) > 10) continue;
            foreach (var shape in Shapes(k, Same(k, stride, dilation))) CheckMerge(new RepVggMethod(), Get(device), shape);
        }
        for (int p = 0; p <= 3; p++) CheckMerge(new RepVggMethod(), Get(device), new(4, 4, (3, 3), new Conv2dOptions(1, p, 1, 2)));
        foreach (int groups in new[] { 1, 2, 4, 8 })
            CheckMerge(new RepVggMethod(new RepVggOptions { Identity = IdentityBranch.Required }), Get(device), new(8, 8, (3, 3), new Conv2dOptions(1, 1, 1, groups)));
    }

    [Fact]
    public void DilationLeavesTheOtherBranchesAtTheMiddleTap()
    {
        // The published block takes a dilation, trains without it and deploys with it. Here it is the k×k branch's, before and after.
        using var conv = RandomConv(Reference, 4, 4, (3, 3), new Conv2dOptions(1, 2, 2, 1), true, 1);
        using var block = Randomise(new RepVggMethod().Expand(Site(conv), new Initializer(Reference, 3)));
        Assert.NotNull(block.Find("rbr_identity"));
        using var x = Normal(Reference, new(2, 8, 7, 4), 4);
        double[] expected = Run(block, x);
        var kernel = ((BranchBlock)block).ToKernel();
        using var dilated = kernel.ToConv2d(Reference, conv.Options);
        using var careless = kernel.ToConv2d(Reference, new Conv2dOptions(1, 1, 1, 1));
        AssertClose(expected, Run(dilated, x), 1e-10, "dilated");
        Assert.True(Difference(expected, Run(careless, x)) > 0.1);
    }

    [Fact]
    public void TheIdentityBranchIsThereWhereShapesAgree()
    {
        Assert.True(Has(new(4, 4, (3, 3), new Conv2dOptions(1, 1, 1, 1))));
        Assert.True(Has(new(4, 4, (3, 5), Same((3, 5), 1, 2) with { Groups = 4 })));
        foreach (var (shape, reason) in new (LayerShape, string)[]
        {
            (new(4, 6, (3, 3), new Conv2dOptions(1, 1, 1, 1)), "4 input channels become 6"),
            (new(4, 4, (3, 3), new Conv2dOptions(2, 1, 1, 1)), "stride is 2×2"),
            (new(4, 4, (3, 3), new Conv2dOptions(1, 0, 1, 1)), "padding"),
            (new(4, 4, (3, 3), new Conv2dOptions(1, 1, 2, 1)), "padding"),
        })
        {
            Assert.False(Has(shape));
            using var conv = RandomConv(Reference, shape.In, shape.Out, shape.Kernel, shape.Options, true, 1);
            string? refusal = new RepVggMethod(new RepVggOptions { Identity = IdentityBranch.Required }).Refusal(Site(conv));
            Assert.Contains(reason, refusal);
            Assert.Contains("WherePossible", refusal);
        }
        using var pointwise = RandomConv(Reference, 2, 2, (1, 1), new Conv2dOptions(), true, 1);
        Assert.Contains("1×1", new RepVggMethod().Refusal(Site(pointwise)));

        bool Has(LayerShape s)
        {
            using var conv = RandomConv(Reference, s.In, s.Out, s.Kernel, s.Options, true, 1);
            using var block = new RepVggMethod().Expand(Site(conv), new Initializer(Reference, 3));
            using var without = new RepVggMethod(new RepVggOptions { Identity = IdentityBranch.Never }).Expand(Site(conv), new Initializer(Reference, 3));
            Assert.DoesNotContain(without.NamedParameters(), p => p.Name.StartsWith("rbr_identity", StringComparison.Ordinal));
            return block.NamedParameters().Any(p => p.Name == "rbr_identity.weight");
        }
    }

    [Fact]
    public void StateIsThatOfTheAuthorsCode()
    {
        using var conv = RandomConv(Reference, 4, 4, (3, 3), new Conv2dOptions(1, 1, 1, 2), false, 1);
        using var norm = RandomNorm(Reference, 4, 2);
        using var block = new RepVggMethod().Expand(Site(conv, norm), new Initializer(Reference, 3));
        string[] norms = ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"];
        Assert.Equal(
            [.. norms.Select(n => "rbr_identity." + n), "rbr_dense.conv.weight", .. norms.Select(n => "rbr_dense.bn." + n), "rbr_1x1.conv.weight", .. norms.Select(n => "rbr_1x1.bn." + n)],
            block.NamedParameters().Select(p => p.Name));
        // in·out/g + 2·out + 2·C more.
        Assert.Equal(conv.ParameterCount() + norm.ParameterCount() + 8 + 8 + 8, block.ParameterCount());
        Assert.Equal(IdentityBranch.Never, ((RepVggMethod)Reparameterizations.Create("repvgg", new RepVggMethod(new RepVggOptions { Identity = IdentityBranch.Never }).Options)).Settings.Identity);
    }

    [Fact]
    public void ABranchWhoseNormIsAnotherMethodsIsNotMergedAsIfItHadNone()
    {
        using var conv = RandomConv(Reference, 4, 4, (3, 3), new Conv2dOptions(1, 1, 1, 1), false, 1);
        using var norm = RandomNorm(Reference, 4, 2);
        using var scaled = new AsrMethod().Expand(Site(conv, norm), new Initializer(Reference, 3));
        Assert.Contains("Merge that form first", Assert.Throws<InvalidOperationException>(() => new ConvNormPair(conv, scaled).ToKernel()).Message);
        Assert.Equal(KernelAlgebra.Fold(Kernel.Of(conv), norm).Weight, new ConvNormPair(conv, norm).ToKernel().Weight);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Gradients(bool training)
    {
        CheckGradients(new RepVggMethod(), new(4, 4, (3, 3), new Conv2dOptions(1, 1, 1, 2)), training);
        CheckGradients(new RepVggMethod(), new(2, 3, (3, 3), new Conv2dOptions(2, 1, 1, 1), Bias: true), training);
    }
}
