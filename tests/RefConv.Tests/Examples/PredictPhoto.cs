using RefConv.Kernels;
using RefConv.Models;
using RefConv.Models.Imaging;

namespace RefConv.Tests.Examples;

/// <summary>The README's second example: what stands between the markers is shown there line for line, and run by ReadmeTests.</summary>
internal static class PredictPhoto
{
    public static string Run()
    {
        // <example>
        // example: what is on a photo
        using var device = new CpuDevice();
        using var model = ModelFile.Load("model.safetensors", device, out var data);
        var preprocessing = ImagePreprocessing.For(model.Spec, data); // resize, crop and normalise as the model wants
        float[] scores = model.Predict(preprocessing.Apply(ImageFile.Load("photo.png")), batch: 1);
        int best = Array.IndexOf(scores, scores.Max());
        Console.WriteLine($"It is a {data?.ClassNames[best] ?? $"thing of class {best}"}, says the model.");
        // </example>
        return data!.ClassNames[best];
    }
}
