namespace RefConv.Models;

/// <summary>
/// timm's names. Its MobileNets and EfficientNets are stages of blocks of <c>conv_pw, bn1, conv_dw, bn2, se, conv_pwl, bn3</c>; torchvision's are one sequence.
/// ResNets and DenseNets have torchvision's names.
/// </summary>
/// <remarks>
/// Names, and what is computed with them, are compared with timm's own code: its models' state dicts and scores are fixtures of the tests (VGG's names, which are few, were
/// read off its code). Names are all that is translated, but for MobileNetV3, whose norms have ε = 1e-5 there and 1e-3 here: see <see cref="NormEpsilon"/>. timm's <c>tf_</c> variants have the same names, but another ε in their norms and another padding, so that they would load
/// and compute something else.
/// </remarks>
internal static class TimmKeys
{
    /// <summary>Blocks of EfficientNet-B0's stages.</summary>
    private static int[] EfficientNetStages => [1, 2, 2, 3, 3, 4, 1];

    /// <summary>The first block has no expansion and is a separable block there.</summary>
    public static KeyMap MobileNetV2()
    {
        int[] stages = [1, 2, 3, 4, 3, 3, 1];
        return KeyMap.Of("timm", Rows());

        IEnumerable<(string, string)> Rows()
        {
            foreach (var row in Ends(18)) yield return row;
            foreach (var (there, i) in Flat(stages))
            {
                string here = $"features.{i + 1}.conv";
                // t = 1: a separable block, whose 1×1 convolution is the last.
                var rows = i == 0
                    ? Separable(there, $"{here}.0.0", $"{here}.0.1", null, $"{here}.1", $"{here}.2")
                    : Inverted(there, $"{here}.0.0", $"{here}.0.1", $"{here}.1.0", $"{here}.1.1", null, $"{here}.2", $"{here}.3");
                foreach (var row in rows) yield return row;
            }
        }
    }

    /// <summary>Squeeze and excitation in every block but the second and third.</summary>
    public static KeyMap MobileNetV3Small() => MobileNetV3([1, 2, 3, 2, 3], i => i is not (1 or 2));

    /// <summary>Squeeze and excitation in the blocks of 5×5 and in those of 112 channels.</summary>
    public static KeyMap MobileNetV3Large() => MobileNetV3([1, 2, 3, 4, 2, 3], i => i is 3 or 4 or 5 or >= 10);

    /// <summary>EfficientNet-B0; the first block has no expansion.</summary>
    public static KeyMap EfficientNetB0()
    {
        return KeyMap.Of("timm", Rows());

        IEnumerable<(string, string)> Rows()
        {
            foreach (var row in Ends(8)) yield return row;
            for (int s = 0; s < EfficientNetStages.Length; s++)
            {
                for (int b = 0; b < EfficientNetStages[s]; b++)
                {
                    foreach (var row in Block($"blocks.{s}.{b}", $"features.{s + 1}.{b}.block", expands: s > 0, squeezes: true)) yield return row;
                }
            }
        }
    }

    /// <summary>stem, stages.s.{downsample, blocks.b.{conv_dw, norm, mlp.fc1, mlp.fc2, gamma}}, head.{norm, fc}.</summary>
    public static KeyMap ConvNeXt(int[] depths)
    {
        return KeyMap.Of("timm", Rows());

        IEnumerable<(string, string)> Rows()
        {
            yield return ("stem", "features.0");
            for (int s = 0; s < depths.Length; s++)
            {
                if (s > 0) yield return ($"stages.{s}.downsample", $"features.{2 * s}");
                for (int b = 0; b < depths[s]; b++)
                {
                    string there = $"stages.{s}.blocks.{b}", here = $"features.{(2 * s) + 1}.{b}";
                    yield return ($"{there}.conv_dw", $"{here}.block.0");
                    yield return ($"{there}.norm", $"{here}.block.2");
                    yield return ($"{there}.mlp.fc1", $"{here}.block.3");
                    yield return ($"{there}.mlp.fc2", $"{here}.block.5");
                    yield return ($"{there}.gamma", $"{here}.layer_scale");
                }
            }
            yield return ("head.norm", "classifier.0");
            yield return ("head.fc", "classifier.2");
        }
    }

    /// <summary>A stage has its merging inside; the authors number mergings and stages through.</summary>
    public static KeyMap FasterNet()
    {
        return KeyMap.Of("timm", Rows());

        static IEnumerable<(string, string)> Rows()
        {
            for (int s = 0; s < 4; s++)
            {
                yield return ($"stages.{s}.blocks", $"stages.{2 * s}.blocks");
                if (s > 0) yield return ($"stages.{s}.downsample", $"stages.{(2 * s) - 1}");
            }
            yield return ("conv_head", "avgpool_pre_head.1");
            yield return ("classifier", "head");
        }
    }

    /// <summary>Stem and stages of blocks of the authors' three branches, or of the one that they were folded into, under other names.</summary>
    public static KeyMap RepVgg()
    {
        var names = KeyMap.Of("timm", Rows());
        return names with { Prepare = state => RepVggTrained.Deploy(state.ToDictionary(e => names.Rename(e.Key), e => e.Value, StringComparer.Ordinal)) ?? state };

        static IEnumerable<(string, string)> Rows()
        {
            const int MostBlocks = 24; // of a stage, in the largest of the family
            yield return ("head.fc", "linear");
            foreach (var (there, here) in Enumerable.Range(0, 4).SelectMany(s => Enumerable.Range(0, MostBlocks).Select(b => ($"stages.{s}.{b}", $"stage{s + 1}.{b}"))).Prepend(("stem", "stage0")))
            {
                yield return ($"{there}.conv_kxk", $"{here}.rbr_dense");
                yield return ($"{there}.conv_1x1", $"{here}.rbr_1x1");
                yield return ($"{there}.identity", $"{here}.rbr_identity");
                yield return ($"{there}.reparam_conv", $"{here}.rbr_reparam");
            }
        }
    }

    /// <summary>The linear layers are convolutions of 7×7 and 1×1 there. Not compared with a published file.</summary>
    public static KeyMap Vgg() => KeyMap.Of("timm", [("pre_logits.fc1", "classifier.0"), ("pre_logits.fc2", "classifier.3"), ("head.fc", "classifier.6")]);

    private static KeyMap MobileNetV3(int[] stages, Func<int, bool> squeezes)
    {
        return KeyMap.Of("timm", Rows()) with { Prepare = state => state.ContainsKey("conv_stem.weight") ? NormEpsilon.Change(state, there: 1e-5, here: Models.MobileNetV3.Eps) : null };

        IEnumerable<(string, string)> Rows()
        {
            int blocks = stages.Sum();
            yield return ("conv_stem", "features.0.0");
            yield return ("bn1", "features.0.1");
            foreach (var (there, i) in Flat(stages))
            {
                foreach (var row in Block(there, $"features.{i + 1}.block", expands: i > 0, squeezes(i))) yield return row;
            }
            yield return ($"blocks.{stages.Length}.0.conv", $"features.{blocks + 1}.0");
            yield return ($"blocks.{stages.Length}.0.bn1", $"features.{blocks + 1}.1");
            yield return ("conv_head", "classifier.0");
            yield return ("classifier", "classifier.3");
        }
    }

    private static IEnumerable<(string, string)> Ends(int last) =>
    [
        ("conv_stem", "features.0.0"), ("bn1", "features.0.1"), ("conv_head", $"features.{last}.0"), ("bn2", $"features.{last}.1"), ("classifier", "classifier.1"),
    ];

    /// <summary>torchvision's block: a sequence of expansion, depthwise convolution, squeeze and excitation, projection, those that there are.</summary>
    private static IEnumerable<(string, string)> Block(string there, string here, bool expands, bool squeezes)
    {
        int depthwise = expands ? 1 : 0, squeeze = depthwise + 1, project = squeeze + (squeezes ? 1 : 0);
        string? se = squeezes ? $"{here}.{squeeze}" : null;
        return expands
            ? Inverted(there, $"{here}.0.0", $"{here}.0.1", $"{here}.{depthwise}.0", $"{here}.{depthwise}.1", se, $"{here}.{project}.0", $"{here}.{project}.1")
            : Separable(there, $"{here}.{depthwise}.0", $"{here}.{depthwise}.1", se, $"{here}.{project}.0", $"{here}.{project}.1");
    }

    private static IEnumerable<(string, string)> Inverted(string there, string conv1, string norm1, string conv2, string norm2, string? se, string conv3, string norm3) =>
    [
        ($"{there}.conv_pw", conv1), ($"{there}.bn1", norm1), ($"{there}.conv_dw", conv2), ($"{there}.bn2", norm2), .. Squeeze(there, se),
        ($"{there}.conv_pwl", conv3), ($"{there}.bn3", norm3),
    ];

    private static IEnumerable<(string, string)> Separable(string there, string conv1, string norm1, string? se, string conv2, string norm2) =>
        [($"{there}.conv_dw", conv1), ($"{there}.bn1", norm1), .. Squeeze(there, se), ($"{there}.conv_pw", conv2), ($"{there}.bn2", norm2)];

    private static IEnumerable<(string, string)> Squeeze(string there, string? se) =>
        se is null ? [] : [($"{there}.se.conv_reduce", $"{se}.fc1"), ($"{there}.se.conv_expand", $"{se}.fc2")];

    private static IEnumerable<(string There, int Index)> Flat(int[] stages)
    {
        int index = 0;
        for (int s = 0; s < stages.Length; s++)
        {
            for (int b = 0; b < stages[s]; b++) yield return ($"blocks.{s}.{b}", index++);
        }
    }
}
