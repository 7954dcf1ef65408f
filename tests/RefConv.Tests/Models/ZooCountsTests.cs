using System.Text.RegularExpressions;
using RefConv.Layers;
using RefConv.Models;
using RefConv.Models.Analysis;

namespace RefConv.Tests.Models;

/// <summary>
/// What architectures have at ImageNet size, plain and refocused at map_k = 3: weights and multiply-adds as tests/Golden/counts.py counts them in PyTorch,
/// and the names of the convolutions that RefConv takes over. Counting needs no values, so the largest are counted whole.
/// </summary>
public sealed class ZooCountsTests
{
    /// <summary>What <c>counts.py</c> prints.</summary>
    /// <param name="Parameters">Weights of the plain model.</param>
    /// <param name="Macs">Multiply-adds of one image of 224×224.</param>
    /// <param name="Convs">Convolutions larger than 1×1.</param>
    /// <param name="Frozen">Their weights.</param>
    /// <param name="Refocus">Refocus weights.</param>
    /// <param name="RefocusMacs">Multiply-adds of all transforms, a step.</param>
    public sealed record Counts(long Parameters, long Macs, int Convs, long Frozen, long Refocus, long RefocusMacs);

    /// <summary>Names of the convolutions larger than 1×1, and of nothing else; without a pattern, where even and odd blocks differ, the kernel size must do.</summary>
    private static readonly (string Architecture, string? Convs)[] s_names =
    [
        ("shufflenet_v1", @"^first_conv\.0$|branch_main_1\.3$"),
        ("fasternet", @"^patch_embed\.proj$|^stages\.[135]\.reduction$|partial_conv3$"),
        ("convnext", @"^features\.0\.0$|^features\.[246]\.1$|^features\.[1357]\.\d+\.block\.0$"),
        ("repvgg", @"rbr_reparam$"),
        ("mobilenext", null), ("hbonet", null),
    ];

    public static TheoryData<string, Counts> Published => new()
    {
        { "mobilenext", new(3_535_416, 311_342_592, 34, 137_520, 90_836_064, 817_524_576) },
        { "hbonet", new(4_562_116, 305_572_480, 41, 108_804, 42_265_296, 417_876_048) },
        { "shufflenet_v1_g3_x0_5", new(717_324, 37_589_856, 17, 10_044, 810_324, 7_292_916) },
        { "shufflenet_v1_g3_x1_0", new(1_864_728, 137_460_672, 17, 20_088, 3_240_648, 29_165_832) },
        { "shufflenet_v1_g3_x1_5", new(3_441_168, 292_443_552, 17, 29_808, 7_290_648, 65_615_832) },
        { "shufflenet_v1_g3_x2_0", new(5_449_776, 524_045_184, 17, 40_176, 12_961_296, 116_651_664) },
        { "shufflenet_v1_g8_x0_5", new(1_010_448, 40_469_760, 17, 15_984, 2_074_032, 18_666_288) },
        { "shufflenet_v1_g8_x1_0", new(2_433_768, 138_365_952, 17, 31_752, 8_295_048, 74_655_432) },
        { "shufflenet_v1_g8_x1_5", new(4_268_952, 290_188_800, 17, 47_304, 18_663_048, 167_967_432) },
        { "shufflenet_v1_g8_x2_0", new(6_521_232, 521_942_016, 17, 63_504, 33_178_896, 298_610_064) },
        { "fasternet_t0", new(3_905_500, 335_422_720, 17, 509_220, 306_780, 2_432_580) },
        { "fasternet_t1", new(7_595_368, 850_511_872, 17, 1_301_760, 784_320, 6_210_816) },
        { "fasternet_t2", new(14_982_888, 1_904_334_848, 17, 2_926_656, 1_763_424, 13_953_600) },
        { "fasternet_s", new(31_181_032, 4_549_740_544, 22, 5_938_176, 3_871_104, 31_423_488) },
        { "fasternet_m", new(53_521_464, 8_721_938_432, 32, 9_310_896, 6_695_136, 55_928_880) },
        { "fasternet_l", new(93_465_192, 15_494_383_616, 32, 16_549_632, 11_900_736, 99_401_472) },
        { "convnext_tiny", new(28_589_128, 4_455_531_264, 22, 1_877_472, 29_503_008, 1_428_143_616) },
        { "repvgg_a0", new(8_309_384, 1_361_451_008, 22, 7_023_888, 7_023_888, 63_214_992) },
        { "repvgg_a1", new(12_789_864, 2_363_967_488, 22, 11_503_296, 11_503_296, 103_529_664) },
        { "repvgg_a2", new(25_499_944, 5_116_951_552, 22, 24_083_136, 24_083_136, 216_748_224) },
        { "repvgg_b0", new(14_339_048, 3_057_600_512, 28, 13_051_584, 13_051_584, 117_464_256) },
        { "repvgg_b1", new(51_829_480, 11_815_485_440, 28, 49_768_128, 49_768_128, 447_913_152) },
        { "repvgg_b1g2", new(41_360_104, 8_809_742_336, 28, 39_298_752, 49_768_128, 447_913_152) },
        { "repvgg_b1g4", new(36_125_416, 7_306_870_784, 28, 34_064_064, 49_768_128, 447_913_152) },
        { "repvgg_b2", new(80_315_112, 18_376_609_792, 28, 77_738_688, 77_738_688, 699_648_192) },
        { "repvgg_b2g2", new(63_956_712, 13_680_136_192, 28, 61_380_288, 77_738_688, 699_648_192) },
        { "repvgg_b2g4", new(55_777_512, 11_331_899_392, 28, 53_201_088, 77_738_688, 699_648_192) },
        { "repvgg_b3", new(110_960_872, 26_208_882_688, 28, 108_381_888, 108_381_888, 975_436_992) },
        { "repvgg_b3g2", new(87_404_776, 19_445_960_704, 28, 84_825_792, 108_381_888, 975_436_992) },
        { "repvgg_b3g4", new(75_626_728, 16_064_499_712, 28, 73_047_744, 108_381_888, 975_436_992) },
    };

    [Theory]
    [MemberData(nameof(Published))]
    public void CountsAtImageNetSize(string name, Counts expected)
    {
        using var device = new ShapeDevice();
        using var model = Zoo.Create(new ModelSpec(name), Initializer.ForLoading(device));
        var plain = ModelSummary.Of(model);
        Assert.Equal((expected.Parameters, expected.Parameters), (plain.TrainParameters, plain.DeployParameters));
        Assert.Equal((expected.Macs, expected.Macs, 0), (plain.TrainMacs, plain.DeployMacs, plain.TransformMacs));

        using var refocused = model.Expand(new RefConvMethod(new RefConvOptions { Init = RefocusInit.Zero }), LayerPolicy.LargerThan1);
        var layers = refocused.NamedModules().Where(m => m.Module is RefConv2d).Select(m => (RefConv2d)m.Module).ToArray();
        Assert.Equal(expected.Convs, layers.Length);
        Assert.Equal(expected.Frozen, layers.Where(l => !l.Basis.Trainable).Sum(l => l.Basis.Data.Length));
        Assert.Equal(expected.Refocus, layers.Sum(l => l.Map.Data.Length));
        Assert.Equal(expected.Parameters + expected.Refocus - expected.Frozen, refocused.TrainableParameters().Sum(p => p.Data.Length));

        var summary = ModelSummary.Of(refocused);
        Assert.Equal(expected.Parameters + expected.Refocus, summary.TrainParameters);
        Assert.Equal(expected.Parameters, summary.DeployParameters);
        Assert.Equal((expected.Macs, expected.Macs, expected.RefocusMacs), (summary.TrainMacs, summary.DeployMacs, summary.TransformMacs));

        string[] large = [.. model.NamedModules().Where(m => m.Module is Conv2d { KernelSize.H: > 1 }).Select(m => m.Name)];
        Assert.Equal(large, refocused.Forms[0].Layers);
        if (s_names.Single(n => name.StartsWith(n.Architecture, StringComparison.Ordinal)).Convs is { } pattern)
            Assert.Equal(large, model.NamedModules().Where(m => m.Module is Conv2d && Regex.IsMatch(m.Name, pattern)).Select(m => m.Name));
    }
}
