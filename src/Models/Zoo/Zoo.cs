using RefConv.Kernels;
using RefConv.Layers;

namespace RefConv.Models;

/// <summary>The architectures, by name. Adding one is adding a file beside this one and a row here.</summary>
public static class Zoo
{
    private static readonly Dictionary<string, Func<ModelSpec, Initializer, Model>> Architectures = new()
    {
        ["mobilenet_v1"] = (spec, init) => new MobileNetV1(spec, init),
        ["mobilenet_v2"] = (spec, init) => new MobileNetV2(spec, init),
        ["mobilenet_v3_small"] = (spec, init) => new MobileNetV3(spec, init, MobileNetV3.Small, hidden: 1024),
        ["mobilenet_v3_large"] = (spec, init) => new MobileNetV3(spec, init, MobileNetV3.Large, hidden: 1280),
        ["mobilenet_v3_small_refconv"] = (spec, init) => new MobileNetV3RefConv(spec, init, MobileNetV3.Small),
        ["mobilenet_v3_large_refconv"] = (spec, init) => new MobileNetV3RefConv(spec, init, MobileNetV3.Large),
        ["mobilenext"] = (spec, init) => new MobileNeXt(spec, init),
        ["hbonet"] = (spec, init) => new HBONet(spec, init),
        ["efficientnet_b0"] = (spec, init) => new EfficientNet(spec, init),
        ["shufflenet_v1_g3_x0_5"] = (spec, init) => new ShuffleNetV1(spec, init, groups: 3, stem: 12, [120, 240, 480]),
        ["shufflenet_v1_g3_x1_0"] = (spec, init) => new ShuffleNetV1(spec, init, groups: 3, stem: 24, [240, 480, 960]),
        ["shufflenet_v1_g3_x1_5"] = (spec, init) => new ShuffleNetV1(spec, init, groups: 3, stem: 24, [360, 720, 1440]),
        ["shufflenet_v1_g3_x2_0"] = (spec, init) => new ShuffleNetV1(spec, init, groups: 3, stem: 48, [480, 960, 1920]),
        ["shufflenet_v1_g8_x0_5"] = (spec, init) => new ShuffleNetV1(spec, init, groups: 8, stem: 16, [192, 384, 768]),
        ["shufflenet_v1_g8_x1_0"] = (spec, init) => new ShuffleNetV1(spec, init, groups: 8, stem: 24, [384, 768, 1536]),
        ["shufflenet_v1_g8_x1_5"] = (spec, init) => new ShuffleNetV1(spec, init, groups: 8, stem: 24, [576, 1152, 2304]),
        ["shufflenet_v1_g8_x2_0"] = (spec, init) => new ShuffleNetV1(spec, init, groups: 8, stem: 48, [768, 1536, 3072]),
        ["shufflenet_v2_x0_5"] = (spec, init) => new ShuffleNetV2(spec, init, [48, 96, 192], last: 1024),
        ["shufflenet_v2_x1_0"] = (spec, init) => new ShuffleNetV2(spec, init, [116, 232, 464], last: 1024),
        ["shufflenet_v2_x1_5"] = (spec, init) => new ShuffleNetV2(spec, init, [176, 352, 704], last: 1024),
        ["shufflenet_v2_x2_0"] = (spec, init) => new ShuffleNetV2(spec, init, [244, 488, 976], last: 2048),
        ["resnet18"] = (spec, init) => ResNet.ForImageNet(spec, init, [2, 2, 2, 2]),
        ["resnet34"] = (spec, init) => ResNet.ForImageNet(spec, init, [3, 4, 6, 3]),
        ["resnet50"] = (spec, init) => ResNet.ForImageNet(spec, init, [3, 4, 6, 3], bottleneck: true),
        ["resnet20"] = (spec, init) => ResNet.ForCifar(spec, init, blocks: 3),
        ["resnet32"] = (spec, init) => ResNet.ForCifar(spec, init, blocks: 5),
        ["resnet56"] = (spec, init) => ResNet.ForCifar(spec, init, blocks: 9),
        ["resnet110"] = (spec, init) => ResNet.ForCifar(spec, init, blocks: 18),
        ["resnet164"] = (spec, init) => ResNet.ForCifar(spec, init, blocks: 18, bottleneck: true),
        ["densenet121"] = (spec, init) => new DenseNet(spec, init, [6, 12, 24, 16]),
        ["fasternet_t0"] = (spec, init) => new FasterNet(spec, init, 40, [1, 2, 8, 2], ActivationKind.GELU, drop: 0),
        ["fasternet_t1"] = (spec, init) => new FasterNet(spec, init, 64, [1, 2, 8, 2], ActivationKind.GELU, drop: 0.02),
        ["fasternet_t2"] = (spec, init) => new FasterNet(spec, init, 96, [1, 2, 8, 2], ActivationKind.ReLU, drop: 0.05),
        ["fasternet_s"] = (spec, init) => new FasterNet(spec, init, 128, [1, 2, 13, 2], ActivationKind.ReLU, drop: 0.1),
        ["fasternet_m"] = (spec, init) => new FasterNet(spec, init, 144, [3, 4, 18, 3], ActivationKind.ReLU, drop: 0.2),
        ["fasternet_l"] = (spec, init) => new FasterNet(spec, init, 192, [3, 4, 18, 3], ActivationKind.ReLU, drop: 0.3),
        ["convnext_tiny"] = (spec, init) => new ConvNeXt(spec, init, [(96, 3), (192, 3), (384, 9), (768, 3)], drop: 0.1),
        ["vgg16_bn"] = (spec, init) => new Vgg(spec, init),
        ["repvgg_a0"] = (spec, init) => new RepVgg(spec, init, RepVgg.A, 0.75, 2.5),
        ["repvgg_a1"] = (spec, init) => new RepVgg(spec, init, RepVgg.A, 1, 2.5),
        ["repvgg_a2"] = (spec, init) => new RepVgg(spec, init, RepVgg.A, 1.5, 2.75),
        ["repvgg_b0"] = (spec, init) => new RepVgg(spec, init, RepVgg.B, 1, 2.5),
        ["repvgg_b1"] = (spec, init) => new RepVgg(spec, init, RepVgg.B, 2, 4),
        ["repvgg_b1g2"] = (spec, init) => new RepVgg(spec, init, RepVgg.B, 2, 4, groups: 2),
        ["repvgg_b1g4"] = (spec, init) => new RepVgg(spec, init, RepVgg.B, 2, 4, groups: 4),
        ["repvgg_b2"] = (spec, init) => new RepVgg(spec, init, RepVgg.B, 2.5, 5),
        ["repvgg_b2g2"] = (spec, init) => new RepVgg(spec, init, RepVgg.B, 2.5, 5, groups: 2),
        ["repvgg_b2g4"] = (spec, init) => new RepVgg(spec, init, RepVgg.B, 2.5, 5, groups: 4),
        ["repvgg_b3"] = (spec, init) => new RepVgg(spec, init, RepVgg.B, 3, 5),
        ["repvgg_b3g2"] = (spec, init) => new RepVgg(spec, init, RepVgg.B, 3, 5, groups: 2),
        ["repvgg_b3g4"] = (spec, init) => new RepVgg(spec, init, RepVgg.B, 3, 5, groups: 4),
        ["repvgg_d2se"] = (spec, init) => new RepVgg(spec, init, RepVgg.D, 2.5, 5, squeeze: true),
    };

    private static readonly Dictionary<string, Func<ModelSpec, Initializer, Model>> Enlargers = new()
    {
        ["sesr_m3_x2"] = (spec, init) => new Sesr(spec, init, blocks: 3, features: 16, scale: 2),
        ["sesr_m5_x2"] = (spec, init) => new Sesr(spec, init, blocks: 5, features: 16, scale: 2),
        ["sesr_m7_x2"] = (spec, init) => new Sesr(spec, init, blocks: 7, features: 16, scale: 2),
        ["sesr_m11_x2"] = (spec, init) => new Sesr(spec, init, blocks: 11, features: 16, scale: 2),
        ["sesr_xl_x2"] = (spec, init) => new Sesr(spec, init, blocks: 11, features: 32, scale: 2),
        ["sesr_m3_x4"] = (spec, init) => new Sesr(spec, init, blocks: 3, features: 16, scale: 4),
        ["sesr_m5_x4"] = (spec, init) => new Sesr(spec, init, blocks: 5, features: 16, scale: 4),
        ["sesr_m7_x4"] = (spec, init) => new Sesr(spec, init, blocks: 7, features: 16, scale: 4),
        ["sesr_m11_x4"] = (spec, init) => new Sesr(spec, init, blocks: 11, features: 16, scale: 4),
        ["sesr_xl_x4"] = (spec, init) => new Sesr(spec, init, blocks: 11, features: 32, scale: 4),
    };

    // Far above what anyone asks for on purpose: a damaged file or a slip of the hand is told at once, not when memory runs out.
    private const int MostClasses = 1_000_000, MostChannels = 10_000, MostPixels = 100_000;

    /// <summary>Names that <see cref="Create"/> knows.</summary>
    public static IReadOnlyCollection<string> Names { get; } = [.. Architectures.Keys, .. Enlargers.Keys];

    /// <summary>Those that are for one task.</summary>
    public static IReadOnlyCollection<string> NamesOf(ModelTask task) => task == ModelTask.Classification ? Architectures.Keys : Enlargers.Keys;

    /// <summary>Builds an architecture with the initial values its authors give it.</summary>
    /// <exception cref="ArgumentException">Unknown architecture, or an option that makes no sense.</exception>
    public static Model Create(ModelSpec spec, Initializer init)
    {
        if (!Architectures.TryGetValue(spec.Architecture, out var create) && !Enlargers.TryGetValue(spec.Architecture, out create))
            throw new ArgumentException($"There is no architecture '{spec.Architecture}'.{Suggest.Offer(spec.Architecture, Names)} Known are {string.Join(", ", Names)}.");
        if (spec.Classes is < 2 or > MostClasses) throw new ArgumentException($"A classifier needs at least 2 classes, and {MostClasses:N0} are the most; {spec.Classes} were asked for.");
        if (!(spec.Width > 0 && spec.Width <= 16)) throw new ArgumentException($"The width multiplier must be above 0 and at most 16; it is {spec.Width}.");
        if (spec.InChannels is < 1 or > MostChannels || spec.ImageSize is < 1 or > MostPixels) throw new ArgumentException($"Images of {spec.ImageSize} pixels and {spec.InChannels} channels are not possible.");
        return create(spec, init);
    }

    /// <summary>Channels under a width multiplier, a multiple of 8 (TensorFlow's rule, torchvision's <c>_make_divisible</c>).</summary>
    internal static int MultipleOf8(double channels) => MultipleOf(channels, 8);

    /// <summary>The same for any divisor.</summary>
    internal static int MultipleOf(double channels, int divisor)
    {
        int rounded = Math.Max(divisor, (int)(channels + (divisor / 2.0)) / divisor * divisor);
        return rounded < 0.9 * channels ? rounded + divisor : rounded;
    }
}
