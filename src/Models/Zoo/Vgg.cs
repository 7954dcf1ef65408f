using RefConv.Kernels;
using RefConv.Layers;

namespace RefConv.Models;

/// <summary>
/// VGG-16 with batch norm (Simonyan and Zisserman, arXiv 1409.1556), torchvision's form and keys: <c>features.i</c> (convolutions with bias, and norms),
/// <c>classifier.{0,3,6}</c>.
/// </summary>
/// <remarks>
/// The variant for small images has a single linear classifier under the key <c>classifier</c>, as is usual on CIFAR. torchvision's classifier is made for
/// maps of 7×7, which images of 224×224 give; larger ones must be a multiple of it, so that the average over windows that it puts before is one of equal windows.
/// </remarks>
public sealed class Vgg : Model
{
    private const int MaxPool = 0, Grid = 7;

    /// <summary>Output channels of each convolution.</summary>
    private static readonly int[] Layers16 = [64, 64, MaxPool, 128, 128, MaxPool, 256, 256, 256, MaxPool, 512, 512, 512, MaxPool, 512, 512, 512, MaxPool];

    private readonly int _window;

    internal Vgg(ModelSpec spec, Initializer init)
        : base(spec)
    {
        int map = spec.ImageSize / 32;
        if (spec.SmallImages ? map == 0 : map == 0 || map % Grid != 0)
            throw new ArgumentException(spec.SmallImages
                ? $"vgg16_bn halves the image five times: it must have at least 32×32 pixels, not {spec.ImageSize}×{spec.ImageSize}."
                : $"The classifier of vgg16_bn is made for images of 224×224 pixels or a multiple of it, not {spec.ImageSize}×{spec.ImageSize}. Use 224, or the variant for small images.");
        int channels = spec.InChannels;
        List<Module> features = [];
        foreach (int width in Layers16)
        {
            if (width == MaxPool)
            {
                features.Add(new MaxPool2d(2, 2));
                continue;
            }
            int next = Scaled(width);
            features.AddRange([Parts.Conv(init, channels, next, 3, bias: true), new BatchNorm2d(init, next), new Layers.Activation(ActivationKind.ReLU)]);
            channels = next;
        }
        Add("features", new Sequential([.. features]));
        if (spec.SmallImages)
        {
            Add("classifier", Parts.Linear(init, channels, spec.Classes));
            return;
        }
        _window = map / Grid;
        int hidden = Scaled(4096);
        Add("classifier", new Sequential(
            Parts.Linear(init, channels * Grid * Grid, hidden, Grid, Grid), new Layers.Activation(ActivationKind.ReLU), new Dropout(init),
            Parts.Linear(init, hidden, hidden), new Layers.Activation(ActivationKind.ReLU), new Dropout(init),
            Parts.Linear(init, hidden, spec.Classes)));

        int Scaled(int c) => Math.Max(8, (int)(c * spec.Width));
    }

    /// <inheritdoc/>
    public override Tensor Forward(Tensor x)
    {
        var y = Child("features").Forward(x);
        if (_window == 0) return Child("classifier").Forward(Parts.Pooled(y, Name)); // small images
        if (_window > 1) y = Parts.Next(y, y.AvgPool2d(_window, _window, name: Name));
        return Child("classifier").Forward(y.Flatten());
    }
}
