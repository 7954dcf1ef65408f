using System.Text.RegularExpressions;
using RefConv.Layers;
using RefConv.Models;
using RefConv.Models.Analysis;

namespace RefConv.Tests.Models;

/// <summary>
/// What architectures have, plain and refocused, and the names of the convolutions that RefConv takes over. Counting needs no values, so the largest are
/// counted whole.
/// </summary>
public sealed class ZooCountsTests
{
    /// <summary>What an architecture has at ImageNet size, refocused at map_k = 3.</summary>
    /// <param name="Parameters">Weights of the plain model.</param>
    /// <param name="Macs">Multiply-adds of one image of 224×224.</param>
    /// <param name="Convs">Convolutions larger than 1×1.</param>
    /// <param name="Frozen">Their weights.</param>
    /// <param name="Refocus">Refocus weights.</param>
    /// <param name="RefocusMacs">Multiply-adds of all transforms, a step.</param>
    public sealed record Counts(long Parameters, long Macs, int Convs, long Frozen, long Refocus, long RefocusMacs);

    /// <summary>
    /// Parameters and MACs as PyTorch counts them in torchvision's models (otherwise: in the authors' definitions; tests/Golden/counts.py);
    /// refocus weights Cin·Cout·k², their transform k²·K² for every pair of channels.
    /// </summary>
    public static TheoryData<string, Counts> Published => new()
    {
        { "mobilenet_v1", new(4_231_976, 568_740_352, 14, 45_504, 25_114_464, 226_030_176) },
        { "mobilenet_v2", new(3_504_872, 300_774_272, 18, 65_088, 40_611_168, 365_500_512) },
        { "mobilenet_v3_small", new(2_542_856, 56_510_400, 12, 59_016, 8_273_520, 204_932_592) },
        { "mobilenet_v3_large", new(5_483_032, 216_589_760, 16, 92_040, 28_670_832, 593_380_080) },
        { "mobilenet_v3_small_refconv", new(2_938_368, 60_119_520, 12, 59_016, 8_273_520, 204_932_592) },
        { "mobilenet_v3_large_refconv", new(5_476_416, 219_799_200, 16, 92_040, 28_670_832, 593_380_080) },
        { "efficientnet_b0", new(5_288_548, 385_814_752, 17, 182_880, 67_692_384, 1_422_082_656) },
        { "shufflenet_v2_x0_5", new(1_366_792, 40_476_448, 20, 9_936, 627_912, 5_651_208) },
        { "shufflenet_v2_x1_0", new(2_278_604, 144_907_992, 20, 22_788, 3_638_952, 32_750_568) },
        { "shufflenet_v2_x1_5", new(3_503_624, 295_759_392, 20, 34_128, 8_369_352, 75_324_168) },
        { "shufflenet_v2_x2_0", new(7_393_996, 583_253_464, 20, 46_980, 16_080_552, 144_724_968) },
        { "resnet18", new(11_689_512, 1_814_073_344, 17, 10_994_880, 10_987_200, 98_953_920) },
        { "resnet34", new(21_797_672, 3_663_761_408, 33, 21_095_616, 21_087_936, 189_860_544) },
        { "resnet50", new(25_557_032, 4_089_184_256, 17, 11_326_656, 11_318_976, 101_939_904) },
        { "densenet121", new(7_978_856, 2_834_161_664, 59, 2_147_520, 2_139_840, 19_327_680) },
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
        { "repvgg_d2se", new(120_387_572, 32_829_551_104, 48, 115_524_288, 115_524_288, 1_039_718_592) },
        { "vgg16_bn", new(138_365_992, 15_470_264_320, 13, 14_710_464, 14_710_464, 132_394_176) },
    };

    /// <summary>The same of what is made for CIFAR, in images of 32×32 and 10 classes.</summary>
    public static TheoryData<string, Counts> OnCifar => new()
    {
        { "vgg16_bn", new(14_728_266, 313_201_664, 13, 14_710_464, 14_710_464, 132_394_176) },
        { "resnet20", new(272_474, 40_813_184, 19, 267_696, 267_696, 2_409_264) },
        { "resnet32", new(466_906, 69_124_736, 31, 461_232, 461_232, 4_151_088) },
        { "resnet56", new(855_770, 125_747_840, 55, 848_304, 848_304, 7_634_736) },
        { "resnet110", new(1_730_714, 253_149_824, 109, 1_719_216, 1_719_216, 15_472_944) },
        { "resnet164", new(1_704_154, 247_646_720, 55, 871_344, 871_344, 7_842_096) },
    };

    /// <summary>Names of the convolutions larger than 1×1, and of nothing else.</summary>
    private static readonly (string Architecture, string Convs)[] s_largeConvs =
    [
        ("mobilenet_v1", @"^model\.\d+\.0$"),
        ("mobilenet_v2", @"^features\.0\.0$|^features\.1\.conv\.0\.0$|^features\.([2-9]|1[0-7])\.conv\.1\.0$"),
        ("mobilenet_v3_(small|large)_refconv", @"^features\.0\.0$|^features\.\d+\.conv\.3$"),
        ("mobilenet_v3_large", @"^features\.0\.0$|^features\.1\.block\.0\.0$|^features\.([2-9]|1[0-5])\.block\.1\.0$"),
        ("mobilenet_v3_small", @"^features\.0\.0$|^features\.1\.block\.0\.0$|^features\.([2-9]|1[01])\.block\.1\.0$"),
        ("efficientnet_b0", @"^features\.0\.0$|^features\.1\.0\.block\.0\.0$|^features\.[2-7]\.\d\.block\.1\.0$"),
        ("shufflenet_v2_.*", @"^conv1\.0$|^stage[234]\.0\.branch1\.0$|^stage[234]\.\d\.branch2\.3$"),
        ("resnet(50|164)", @"^conv1$|^layer\d\.\d+\.conv2$"),
        ("resnet.*", @"^conv1$|^layer\d\.\d+\.conv[12]$"),
        ("densenet121", @"^features\.conv0$|denselayer\d+\.conv2$"),
        ("mobilenext", @"^features\.0\.0$|^features\.(1|2|4|5|7|8|10|11|12|14|15|16|18|19|20)\.conv\.[08]$|^features\.(3|6|13)\.conv\.5$"),
        ("hbonet", @"^features\.0\.0$|^features\.1\.conv\.0$|^features\.([2-9]|1[0-4])\.conv\.[05]$|upconv\.0$|^features\.1[678]\.conv\.3$"),
        ("shufflenet_v1_.*", @"^first_conv\.0$|branch_main_1\.3$"),
        ("fasternet_.*", @"^patch_embed\.proj$|^stages\.[135]\.reduction$|partial_conv3$"),
        ("convnext_tiny", @"^features\.0\.0$|^features\.[246]\.1$|^features\.[1357]\.\d+\.block\.0$"),
        ("repvgg_.*", @"rbr_reparam$"),
        ("vgg16_bn", @"^features\.(0|3|7|10|14|17|20|24|27|30|34|37|40)$"),
    ];

    [Theory]
    [MemberData(nameof(Published))]
    public void CountsAtImageNetSize(string name, Counts expected) => CompareCounts(new ModelSpec(name), expected);

    [Theory]
    [MemberData(nameof(OnCifar))]
    public void CountsAtCifarSize(string name, Counts expected) => CompareCounts(new ModelSpec(name) { Classes = 10, ImageSize = 32, SmallImages = true }, expected);

    /// <summary>Where kernels differ in size, refocusing kernels as large as they are: the largest odd size up to k, for every k of the network.</summary>
    [Theory]
    [InlineData("mobilenet_v3_small", 22_770_288)]
    [InlineData("mobilenet_v3_large", 65_931_120)]
    [InlineData("efficientnet_b0", 158_009_184)]
    [InlineData("hbonet", 46_430_672)]
    [InlineData("convnext_tiny", 158_895_648)]
    public void RefocusWeightsAtTheLargestSize(string name, long expected)
    {
        using var device = new ShapeDevice();
        using var model = Zoo.Create(new ModelSpec(name), Initializer.ForLoading(device));
        using var refocused = model.Expand(new RefConvMethod(new RefConvOptions { MapK = 99, Init = RefocusInit.Zero }), LayerPolicy.LargerThan1);
        var maps = refocused.NamedModules().Select(m => m.Module).OfType<RefConv2d>().ToArray();
        Assert.Equal(expected, maps.Sum(l => l.Map.Data.Length));
        Assert.Equal(expected, ModelSummary.Of(refocused).TrainParameters - model.ParameterCount());
    }

    private static void CompareCounts(ModelSpec spec, Counts expected)
    {
        using var device = new ShapeDevice();
        using var model = Zoo.Create(spec, Initializer.ForLoading(device));
        var plain = ModelSummary.Of(model);
        Assert.Equal((expected.Parameters, expected.Parameters), (plain.TrainParameters, plain.DeployParameters));
        Assert.Equal((expected.Macs, expected.Macs, 0), (plain.TrainMacs, plain.DeployMacs, plain.TransformMacs));
        Assert.True(model.Training); // counting leaves the model in the mode it was in

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

        // The patterns match the large convolutions one for one, and the refocused model says so of itself.
        string[] convs = [.. model.NamedModules().Where(m => m.Module is Conv2d { KernelSize.H: > 1 }).Select(m => m.Name)];
        string pattern = s_largeConvs.First(p => Regex.IsMatch(spec.Architecture, $"^{p.Architecture}$")).Convs;
        Assert.Equal(convs, model.NamedModules().Where(m => m.Module is Conv2d && Regex.IsMatch(m.Name, pattern)).Select(m => m.Name));
        Assert.Equal(convs, refocused.Forms[0].Layers);
    }
}
