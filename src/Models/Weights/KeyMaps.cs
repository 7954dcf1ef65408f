namespace RefConv.Models;

/// <summary>
/// Whose names are known for which architecture, beside the zoo's own (torchvision's, or the official repository's where torchvision has none).
/// A map is used when more of the model's names are found with it than without.
/// </summary>
/// <remarks>
/// Rows for Ding's MobileNetV1 and ResNet were read off those repositories' code; timm's are compared with what timm computes (see <see cref="TimmKeys"/>). The rest,
/// marked so, follows the published files' names and was not compared with the files themselves; a map that is wrong finds no names, and the error lists what is
/// missing. Repositories whose layers compute something else under other names have no map, so that their weights are refused: efficientnet_pytorch has norms of
/// ε = 1e-3 and TensorFlow's padding, which is uneven where a stride is 2.
/// </remarks>
internal static class KeyMaps
{
    /// <summary>The maps of an architecture.</summary>
    public static IEnumerable<KeyMap> For(ModelSpec spec) => spec.Architecture switch
    {
        "mobilenet_v1" => [KeyMap.Of("Ding", DingMobileNetV1())],
        "mobilenet_v2" => [TimmKeys.MobileNetV2(), KeyMap.Of("flat blocks", FlatMobileNetV2())],
        "mobilenet_v3_small" => [TimmKeys.MobileNetV3Small()],
        "mobilenet_v3_large" => [TimmKeys.MobileNetV3Large()],
        "efficientnet_b0" => [TimmKeys.EfficientNetB0()],
        "densenet121" => [KeyMap.Of("torchvision before 0.3", OldDenseNet([6, 12, 24, 16]))],
        "convnext_tiny" => [KeyMap.Of("facebookresearch", FacebookConvNeXt([3, 3, 9, 3])), TimmKeys.ConvNeXt([3, 3, 9, 3])],
        "vgg16_bn" => [TimmKeys.Vgg()],
        _ when spec.Architecture.StartsWith("resnet", StringComparison.Ordinal) => [KeyMap.Of("Ding", DingResNet())],
        _ when spec.Architecture.StartsWith("fasternet_", StringComparison.Ordinal) => [TimmKeys.FasterNet()],
        _ when spec.Architecture.StartsWith("repvgg_", StringComparison.Ordinal) => [RepVggTrained.Map, TimmKeys.RepVgg()],
        _ => [],
    };

    /// <summary>DiverseBranchBlock and ACNet: conv1, stem.i.{depthwise,pointwise}, linear, each convolution a pair of conv and bn.</summary>
    private static IEnumerable<(string, string)> DingMobileNetV1()
    {
        yield return ("conv1.conv", "model.0.0");
        yield return ("conv1.bn", "model.0.1");
        for (int i = 0; i < 13; i++)
        {
            yield return ($"stem.{i}.depthwise.conv", $"model.{i + 1}.0");
            yield return ($"stem.{i}.depthwise.bn", $"model.{i + 1}.1");
            yield return ($"stem.{i}.pointwise.conv", $"model.{i + 1}.3");
            yield return ($"stem.{i}.pointwise.bn", $"model.{i + 1}.4");
        }
        yield return ("linear", "fc");
    }

    /// <summary>The same repositories' ResNets: stage0.conv1, stageS.b.{conv1,conv2,conv3,shortcut}, linear.</summary>
    private static IEnumerable<(string, string)> DingResNet()
    {
        yield return ("stage0.conv1.conv", "conv1");
        yield return ("stage0.conv1.bn", "bn1");
        for (int stage = 1; stage <= 4; stage++)
        {
            for (int b = 0; b < 36; b++) // more than any ResNet has
            {
                for (int c = 1; c <= 3; c++)
                {
                    yield return ($"stage{stage}.{b}.conv{c}.conv", $"layer{stage}.{b}.conv{c}");
                    yield return ($"stage{stage}.{b}.conv{c}.bn", $"layer{stage}.{b}.bn{c}");
                }
                yield return ($"stage{stage}.{b}.shortcut.conv", $"layer{stage}.{b}.downsample.0");
                yield return ($"stage{stage}.{b}.shortcut.bn", $"layer{stage}.{b}.downsample.1");
            }
        }
        yield return ("linear", "fc");
    }

    /// <summary>tonylins and d-li14: blocks as one flat sequence of conv, norm, activation. Not compared with a published file.</summary>
    private static IEnumerable<(string, string)> FlatMobileNetV2()
    {
        for (int i = 1; i <= 17; i++)
        {
            string block = $"features.{i}.conv";
            (int There, string Here)[] rows = i == 1
                ? [(0, "0.0"), (1, "0.1"), (3, "1"), (4, "2")]
                : [(0, "0.0"), (1, "0.1"), (3, "1.0"), (4, "1.1"), (6, "2"), (7, "3")];
            foreach (var (there, here) in rows) yield return ($"{block}.{there}", $"{block}.{here}");
        }
        yield return ("conv", "features.18");
        yield return ("classifier", "classifier.1");
    }

    /// <summary>torchvision's files of 2017 write norm.1 for norm1, and so for the other three.</summary>
    private static IEnumerable<(string, string)> OldDenseNet(int[] blocks)
    {
        for (int b = 0; b < blocks.Length; b++)
        {
            for (int l = 1; l <= blocks[b]; l++)
            {
                foreach (string part in (string[])["norm", "conv"])
                {
                    for (int n = 1; n <= 2; n++) yield return ($"features.denseblock{b + 1}.denselayer{l}.{part}.{n}", $"features.denseblock{b + 1}.denselayer{l}.{part}{n}");
                }
            }
        }
    }

    /// <summary>The authors' own names; gamma is [C] there and [C, 1, 1] here.</summary>
    private static IEnumerable<(string, string)> FacebookConvNeXt(int[] depths)
    {
        for (int s = 0; s < depths.Length; s++)
        {
            for (int j = 0; j < 2; j++) yield return ($"downsample_layers.{s}.{j}", $"features.{2 * s}.{j}");
            for (int b = 0; b < depths[s]; b++)
            {
                string there = $"stages.{s}.{b}", here = $"features.{(2 * s) + 1}.{b}";
                yield return ($"{there}.dwconv", $"{here}.block.0");
                yield return ($"{there}.norm", $"{here}.block.2");
                yield return ($"{there}.pwconv1", $"{here}.block.3");
                yield return ($"{there}.pwconv2", $"{here}.block.5");
                yield return ($"{there}.gamma", $"{here}.layer_scale");
            }
        }
        yield return ("norm", "classifier.0");
        yield return ("head", "classifier.2");
    }
}
