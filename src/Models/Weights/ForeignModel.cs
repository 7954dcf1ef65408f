using System.Text.RegularExpressions;
using RefConv.IO;
using RefConv.Kernels;
using RefConv.Layers;

namespace RefConv.Models;

/// <summary>
/// Makes a model of weights from elsewhere, which do not say of what they are. What has to be known beside them is asked for, or follows from their shapes, or is said.
/// </summary>
/// <param name="Spec">What they are for, but for <see cref="ModelSpec.SmallImages"/>.</param>
/// <param name="SmallImages">Whether they are of the variant for small images; null: of the network as published, unless their shapes say otherwise.</param>
/// <param name="Method">The method in whose training form they are; null for plain weights.</param>
public sealed partial record ForeignModel(ModelSpec Spec, bool? SmallImages, string? Method)
{
    /// <summary>Images of at most so many rows are what the variants for small images are trained on here.</summary>
    private const int SmallSize = 64;

    /// <summary>Architectures that timm has twice, once with TensorFlow's padding and ε.</summary>
    private static readonly string[] s_tensorFlow = ["tf_efficientnet_b0", "tf_mobilenet_v3_small", "tf_mobilenet_v3_large"];

    /// <summary>Methods in whose training form weights can be.</summary>
    public static IReadOnlyList<string> Methods => TrainedForms.Methods;

    /// <summary>Reads them.</summary>
    /// <param name="path">The file.</param>
    /// <param name="request">Which weights of the file.</param>
    /// <param name="device">Where to put the model.</param>
    /// <param name="seed">Seed of a classifier that is not in the file.</param>
    /// <param name="report">What was taken.</param>
    /// <exception cref="StateDictException">They do not fit.</exception>
    public Model Read(string path, WeightRequest request, Device device, ulong seed, out WeightReport report)
    {
        using var file = TensorFile.Open(path);
        CheckName(path);
        var variant = Spec with { SmallImages = SmallImages ?? false };
        try
        {
            var model = Read(variant, file, request, device, seed, out report);
            if (SmallImages is null && Spec.ImageSize <= SmallSize && VariantMatters(device))
                report = report with { Notes = [.. report.Notes, "It is the network as published, with all its strides. Weights of the variant for small images, which is trained here up to 64 pixels, have the same shapes: for those, --small-images."] };
            if (report.Names == "timm" && s_tensorFlow.Contains("tf_" + Spec.Architecture))
                report = report with { Notes = [.. report.Notes, $"timm's models of TensorFlow's weights have the same names and compute something else: if these are of one, convert them with --model tf_{Spec.Architecture}."] };
            return model;
        }
        catch (StateDictException) when (SmallImages is null && TryRead(variant with { SmallImages = true }, file, request, device, seed, out var small, out report!))
        {
            report = report with { Notes = [.. report.Notes, "It is the variant for small images: its shapes say so."] };
            return small!;
        }
        catch (StateDictException e) when (Method is null && TrainedForms.Recognise(WeightLoader.Entries(file).Keys) is { } form)
        {
            throw new StateDictException($"{path} is in the training form of {form.Method} ('{WeightReport.Visible(form.Key)}'). Say so: --method {form.Method}.", e.Mismatch);
        }
    }

    

    /// <summary>Whether the variant for small images is another network with the same tensors: they have the same shapes, and its maps have other sizes somewhere.</summary>
    private bool VariantMatters(Device device)
    {
        using var small = Zoo.Create(Spec with { SmallImages = true }, Initializer.ForLoading(device));
        using var plain = Zoo.Create(Spec with { SmallImages = false }, Initializer.ForLoading(device));
        return WeightLoader.Wanted(small).SequenceEqual(WeightLoader.Wanted(plain))
            && !ConvSites.Of(small, small.InputShape(2)).Select(s => s.MapSize).SequenceEqual(ConvSites.Of(plain, plain.InputShape(2)).Select(s => s.MapSize));
    }

    private bool TryRead(ModelSpec spec, ITensorFile file, WeightRequest request, Device device, ulong seed, out Model? model, out WeightReport? report)
    {
        try
        {
            model = Read(spec, file, request, device, seed, out report);
            return true;
        }
        catch (StateDictException)
        {
            (model, report) = (null, null);
            return false;
        }
    }

    private Model Read(ModelSpec spec, ITensorFile file, WeightRequest request, Device device, ulong seed, out WeightReport report)
    {
        // A training form is made of weights that are not all zero.
        bool filled = Method is not null || !request.Classifier;
        var model = Zoo.Create(spec, filled ? new Initializer(device, seed) : Initializer.ForLoading(device));
        try
        {
            IReadOnlyList<KeyMap> maps = [.. KeyMaps.For(spec)];
            if (Method is not null)
            {
                using var plain = model;
                model = TrainedForms.Expand(plain, Method, WeightLoader.Entries(file), request, out maps);
            }
            WeightLoader.Load(model, file, request, maps, out report);
            return model;
        }
        catch
        {
            model.Dispose();
            throw;
        }
    }

    /// <summary>timm's tf_ models have the names and shapes of others; the files of some say in their own name what they are.</summary>
    private void CheckName(string path)
    {
        var match = TensorFlowName().Match(Path.GetFileName(path));
        if (!match.Success || Spec.Architecture.StartsWith("tf_", StringComparison.Ordinal)) return;
        throw new ArgumentException($"{path} calls itself '{match.Groups[1].Value}': timm's models of TensorFlow's weights have the same names as {Spec.Architecture} and compute something else (uneven padding, ε = 1e-3). " +
            (s_tensorFlow.Contains("tf_" + Spec.Architecture) ? $"Convert it with --model tf_{Spec.Architecture}, or rename it if it is not one." : "That architecture is not here; rename it if it is not one."));
    }

    [GeneratedRegex("(?:^|[^a-z])(tf_(?:efficientnet|mobilenet)[a-z0-9_]*)")]
    private static partial Regex TensorFlowName();
}
