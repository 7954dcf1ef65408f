using System.Text.Json;
using RefConv.IO;
using RefConv.Kernels;
using RefConv.Layers;
using RefConv.Models.Data;
using RefConv.Models.Imaging;

namespace RefConv.Models;

/// <summary>A training form that a model is in.</summary>
/// <param name="Method">The method.</param>
/// <param name="Layers">The convolutions it acts on.</param>
public sealed record TrainingForm(IReparameterization Method, IReadOnlyList<string> Layers)
{
    /// <inheritdoc/>
    public override string ToString() => $"{Layers.Count} layer{(Layers.Count == 1 ? "" : "s")} in {Method.Name} form";
}

/// <summary>What pictures a model was trained on: enough to prepare one for it and to name its answer.</summary>
/// <param name="Name">Name of the data set.</param>
/// <param name="Mean">Subtracted, per channel, from values in [0, 1].</param>
/// <param name="Std">Divided by.</param>
/// <param name="ClassNames">Class names, class 0 first.</param>
public sealed record DataInfo(string Name, IReadOnlyList<float> Mean, IReadOnlyList<float> Std, IReadOnlyList<string> ClassNames)
{
    /// <summary>The filter pictures were resized with; null where nothing was resized, and in files of earlier versions.</summary>
    public Interpolation? Interpolation { get; init; }

    /// <summary>The shorter side they were brought to before the middle was cut out; null as for <see cref="Interpolation"/>.</summary>
    public int? ResizeTo { get; init; }

    /// <summary>What a checkpoint of a model that is trained on a data set says of it.</summary>
    internal static DataInfo Of(IImageDataset data)
    {
        var preprocessing = (data as ImageFolderDataset)?.Preprocessing;
        return new(data.Name, data.Statistics.Mean, data.Statistics.Std, data.ClassNames) { Interpolation = preprocessing?.Interpolation, ResizeTo = preprocessing?.ResizeTo };
    }

    /// <summary>What of it makes no sense for a model; null where all does.</summary>
    internal string? Fault(ModelSpec spec)
    {
        if (Mean.Count != spec.InChannels || Std.Count != spec.InChannels) return $"{Mean.Count} means and {Std.Count} deviations for {spec.InChannels} channels";
        if (!Mean.All(float.IsFinite) || !Std.All(s => float.IsFinite(s) && s > 0)) return "a mean is no finite number or a deviation is not above zero";
        if (ClassNames.Count is var names && names > 0 && names != spec.Classes) return $"{ClassNames.Count} class names for {spec.Classes} classes";
        return ResizeTo is { } side && (side < spec.ImageSize || side > MostResizeTo) ? $"pictures are resized to {side} before {spec.ImageSize} pixels are cut out" : null;
    }

    /// <summary>More than any picture has that a decoder here takes.</summary>
    private const int MostResizeTo = 1 << 16;
}

/// <summary>
/// Models as safetensors files. The tensors have PyTorch's keys and shapes; the file's metadata says which architecture, options and form
/// they are for, so that reading one back needs nothing else.
/// </summary>
public static class ModelFile
{
    /// <summary>Version of the metadata.</summary>
    public const int Version = 2;

    /// <summary>What the tensors begin with that training keeps beside the model (an optimiser's state, an average): no part of it.</summary>
    internal const string TrainingPrefix = "optimizer.";

    internal const string OptimizerPrefix = TrainingPrefix + "velocity.";
    internal const string MetadataKey = "refconv.model";

    /// <summary>Weights of a model that takes no memory to speak of.</summary>
    private const long SmallModel = 1 << 20;

    /// <summary>Writes a model: to a temporary name first, then renamed.</summary>
    /// <param name="model">The model, in any form.</param>
    /// <param name="path">The file.</param>
    /// <param name="data">What it was trained on.</param>
    /// <exception cref="IOException">The file cannot be written.</exception>
    public static void Save(Model model, string path, DataInfo? data = null) => Save(model, path, data, [], []);

    /// <summary>Reads a model in the form it was saved in, in evaluation mode.</summary>
    /// <param name="path">The file.</param>
    /// <param name="device">Where to put it.</param>
    /// <exception cref="FileFormatException">Damaged, or not a model of ours.</exception>
    /// <exception cref="StateDictException">The tensors do not fit the architecture that the file names.</exception>
    public static Model Load(string path, Device device) => Load(path, device, out _);

    /// <summary>Reads a model and what it was trained on.</summary>
    public static Model Load(string path, Device device, out DataInfo? data)
    {
        using var file = SafeTensorsFile.Open(path);
        var header = ReadHeader(file);
        data = header.Data;
        device.CompileAhead();
        var model = Build(path, header, device, file.Entries.Sum(e => e.Count));
        try
        {
            StateDict.LoadNew(model, Entries(file), path);
        }
        catch
        {
            model.Dispose();
            throw;
        }
        model.Eval();
        return model;
    }

    /// <summary>
    /// Copies weights from a safetensors or PyTorch file (<c>.pth</c>, <c>.pt</c>, <c>.bin</c>) into a model: a state dict, also inside a checkpoint, under
    /// PyTorch's keys or the names of a known repository (see <see cref="KeyMaps"/>). Nothing is changed when they do not fit.
    /// </summary>
    /// <param name="model">Where to.</param>
    /// <param name="path">The file.</param>
    /// <param name="strict">Missing or unexpected keys are an error.</param>
    /// <param name="classifier">False leaves the last layer as it is: for training on other classes than the file's.</param>
    /// <returns>Keys that did not fit.</returns>
    /// <exception cref="FileFormatException">Damaged, or a weight is NaN or infinite.</exception>
    /// <exception cref="StateDictException">They do not fit.</exception>
    public static StateMismatch LoadWeights(Model model, string path, bool strict = true, bool classifier = true) => WeightLoader.Load(model, path, strict, classifier);

    /// <summary>
    /// Writes a model's tensors as a PyTorch file, which <c>torch.load</c> reads as a state dict. It does not say of which architecture it is: to read it back
    /// here, build the model and use <see cref="LoadWeights"/>.
    /// </summary>
    /// <exception cref="IOException">The file cannot be written.</exception>
    public static void SaveTorch(Model model, string path) => TorchWriter.Write(path, StateEntries(model));

    /// <summary>Whether a file of weights, of any kind, says of which model it is, so that <see cref="Load(string, Device)"/> can read it.</summary>
    /// <exception cref="FileFormatException">Damaged.</exception>
    public static bool IsModelFile(string path)
    {
        using var file = TensorFile.Open(path);
        return file is SafeTensorsFile own && own.Metadata.ContainsKey(MetadataKey);
    }

    internal static void Save(Model model, string path, DataInfo? data, IEnumerable<SafeTensorsEntry> more, IEnumerable<KeyValuePair<string, string>> metadata)
    {
        var header = new ModelHeader(Version, model.Spec, [.. model.Forms.Select(f => new ModelHeader.Form(f.Method.Name, f.Method.Describe(model), f.Layers))], data);
        Dictionary<string, string> all = new(metadata) { [MetadataKey] = header.ToJson() };
        SafeTensorsWriter.Write(path, StateEntries(model).Concat(more), all);
    }

    private static Dictionary<string, StateEntry> Entries(SafeTensorsFile file) => file.Entries
        .Where(e => !e.Name.StartsWith(TrainingPrefix, StringComparison.Ordinal))
        .ToDictionary(e => e.Name, e => StateEntry.Of(file, e));

    /// <summary>Builds the model that a file describes, which may be any, in memory that the weights in the file justify.</summary>
    private static Model Build(string path, ModelHeader header, Device device, long elements)
    {
        Model? model = null;
        // Every step of the construction may make the whole model anew and some values on the way. Small models are built whatever is in the file, so that it can be said which weights are missing.
        long most = (4 * elements) + SmallModel;
        // A training form can only be made from weights that are not all zero; a plain model gets all its values from the file.
        bool isPlain = header.Forms.Count == 0;
        var budget = new ParameterBudget(most, zeros: !isPlain);
        try
        {
            model = Zoo.Create(header.Spec, isPlain ? Initializer.ForLoading(device) : new Initializer(device));
            foreach (var form in header.Forms)
            {
                budget.Dispose();
                budget = new ParameterBudget(most);
                using var inner = model;
                model = inner.Expand(Reparameterizations.Create(form.Method, form.Options), LayerPolicy.Named(form.Layers));
            }
            return model;
        }
        catch (Exception e) when (e is ArgumentException or OverflowException or OutOfMemoryException or InvalidOperationException or KeyNotFoundException)
        {
            model?.Dispose();
            budget.Abandon();
            throw new FileFormatException(path, $"the file names a model that cannot be built. {e.Message}", e);
        }
        finally
        {
            budget.Dispose();
        }
    }

    private static IEnumerable<SafeTensorsEntry> StateEntries(Model model)
    {
        foreach (var (name, parameter) in model.NamedParameters())
        {
            long[] shape = [.. parameter.TorchShape.Sizes.ToArray().Select(s => (long)s)];
            yield return parameter.IsInteger
                ? SafeTensorsEntry.FromInt64(name, shape, parameter.ToTorch().Select(v => (long)v).ToArray())
                : SafeTensorsEntry.FromFloats(name, shape, parameter.ToTorch());
        }
    }

    private static ModelHeader ReadHeader(SafeTensorsFile file)
    {
        if (!file.Metadata.TryGetValue(MetadataKey, out string? json))
            throw new FileFormatException(file.Path, "the file holds tensors but does not say of which model. Give a file written by this tool, or make one of it: refconv convert IN OUT.safetensors --model NAME.");
        ModelHeader? header;
        try
        {
            header = ModelHeader.Parse(json);
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or FormatException or ArgumentException) // the last for text that is no Unicode
        {
            throw new FileFormatException(file.Path, $"the description of the model in it is damaged ({e.Message}). Use another copy of the file.", e);
        }
        if (header == null) throw new FileFormatException(file.Path, "the description of the model in it is empty. Use another copy of the file.");
        if (header.Version > Version)
            throw new FileFormatException(file.Path, $"the file was written by a newer version of this tool (format {header.Version}, this one reads up to {Version}). Update the tool.");
        if (header.Data?.Fault(header.Spec) is { } fault)
            throw new FileFormatException(file.Path, $"the description of the pictures it was trained on is damaged ({fault}). Use another copy of the file.");
        return header;
    }
}
