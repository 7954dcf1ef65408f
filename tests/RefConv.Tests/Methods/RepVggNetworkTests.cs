using RefConv.Kernels;
using RefConv.Layers;
using RefConv.Models;

namespace RefConv.Tests.Methods;

/// <summary>The method on the architecture it was made for: the networks that RepVGG's authors train.</summary>
public sealed class RepVggNetworkTests : MethodTest
{
    [Theory]
    [InlineData("repvgg_a0", 8_309_384, 9_108_968)]
    [InlineData("repvgg_a1", 12_789_864, 14_092_264)]
    [InlineData("repvgg_b0", 14_339_048, 15_817_960)]
    public void HasTheWeightsOfTheAuthorsNetworks(string architecture, long deployed, long training)
    {
        using var plain = Zoo.Create(new ModelSpec(architecture) { ImageSize = 64 }, Initializer.ForLoading(Cpu));
        Assert.Equal(deployed, plain.ParameterCount());
        using var model = plain.Expand(new RepVggMethod());
        Assert.Equal(training, model.ParameterCount());
        string[] blocks = [.. model.NamedModules().Where(m => m.Module is RepVggBlock).Select(m => m.Name)];
        Assert.Equal("stage0.rbr_reparam", blocks[0]);
        // Only blocks that keep stride and channels have the identity: all but the first of each stage.
        Assert.Equal(blocks.Length - 5, blocks.Count(b => model.NamedParameters().Any(p => p.Name == b + ".rbr_identity.weight")));
    }
}
