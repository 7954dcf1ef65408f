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
        ["efficientnet_b0"] = (spec, init) => new EfficientNet(spec, init),
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
        ["vgg16_bn"] = (spec, init) => new Vgg(spec, init),
    };

    // Far above what anyone asks for on purpose: a damaged file or a slip of the hand is told at once, not when memory runs out.
    private const int MostClasses = 1_000_000, MostChannels = 10_000, MostPixels = 100_000;

    /// <summary>Names that <see cref="Create"/> knows.</summary>
    public static IReadOnlyCollection<string> Names => Architectures.Keys;

    /// <summary>Builds an architecture with the initial values its authors give it.</summary>
    /// <exception cref="ArgumentException">Unknown architecture, or an option that makes no sense.</exception>
    public static Model Create(ModelSpec spec, Initializer init)
    {
        if (!Architectures.TryGetValue(spec.Architecture, out var create))
            throw new ArgumentException($"There is no architecture '{spec.Architecture}'.{Suggest.Offer(spec.Architecture, Names)} Known are {string.Join(", ", Names)}.");
        if (spec.Classes is < 2 or > MostClasses) throw new ArgumentException($"A classifier needs at least 2 classes, and {MostClasses:N0} are the most; {spec.Classes} were asked for.");
        if (!(spec.Width > 0 && spec.Width <= 16)) throw new ArgumentException($"The width multiplier must be above 0 and at most 16; it is {spec.Width}.");
        if (spec.InChannels is < 1 or > MostChannels || spec.ImageSize is < 1 or > MostPixels) throw new ArgumentException($"Images of {spec.ImageSize} pixels and {spec.InChannels} channels are not possible.");
        return create(spec, init);
    }

    /// <summary>Channels under a width multiplier, a multiple of 8 (TensorFlow's rule, torchvision's <c>_make_divisible</c>).</summary>
    internal static int MultipleOf8(double channels)
    {
        int rounded = Math.Max(8, (int)(channels + 4) / 8 * 8);
        return rounded < 0.9 * channels ? rounded + 8 : rounded;
    }
}
