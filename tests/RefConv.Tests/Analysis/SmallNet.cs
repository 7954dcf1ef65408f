using RefConv.Kernels;
using RefConv.Layers;
using RefConv.Models;

namespace RefConv.Tests.Analysis;

/// <summary>A classifier of 32×32 pictures of the smallest kind: 1×1, depthwise k×k, classifier; with or without a batch norm.</summary>
internal sealed class SmallNet : Model
{
    public SmallNet(Device device, int channels = 8, int kernel = 3, bool norm = true)
        : base(new ModelSpec("small net") { Classes = 10, ImageSize = 32 })
    {
        var init = new Initializer(device, 3);
        Add("stem", new Conv2d(init, 3, channels, 1, stride: 4));
        Add("deep", new Conv2d(init, channels, channels, kernel, padding: kernel / 2, groups: channels, bias: !norm));
        if (norm) Add("norm", new BatchNorm2d(init, channels));
        Add("fc", new Linear(init, channels, 10));
    }

    public Conv2d Deep => (Conv2d)Find("deep");

    public override Tensor Forward(Tensor x)
    {
        var y = Child("deep").Forward(Child("stem").Forward(x).Activation(ActivationKind.ReLU));
        if (Children.Any(c => c.Key == "norm")) y = Child("norm").Forward(y);
        return Child("fc").Forward(y.Activation(ActivationKind.ReLU).GlobalAvgPool2d(Name).Flatten());
    }
}
