using System.Globalization;
using System.Text.Json.Nodes;
using global::Onnx;
using Google.Protobuf;
using RefConv.IO;
using RefConv.Layers;
using RefConv.Models;

namespace RefConv.Onnx;

/// <summary>How a model is exported.</summary>
public sealed record OnnxOptions
{
    /// <summary>Rows and columns of the images the file takes; left out, what the model is made for.</summary>
    public int? ImageSize { get; init; }

    /// <summary>
    /// Writes a model that still has re-parameterised layers as it computes now. Left out, such a model is refused: what one deploys is the merged one.
    /// </summary>
    public bool TrainingForm { get; init; }

    /// <summary>What the model was trained on: how to prepare a picture, and the names of the classes, go into the file.</summary>
    public DataInfo? Data { get; init; }
}

/// <summary>What the file takes or gives.</summary>
/// <param name="Name">Its name in the file.</param>
/// <param name="Sizes">A number, or the name of a size that is free, for each axis: <c>batch, 3, 224, 224</c>.</param>
public sealed record OnnxValue(string Name, IReadOnlyList<string> Sizes)
{
    /// <inheritdoc/>
    public override string ToString() => $"{Name} [{string.Join(", ", Sizes)}]";
}

/// <summary>What was written.</summary>
/// <param name="Path">The file.</param>
/// <param name="Bytes">Its length.</param>
/// <param name="Operators">How often each ONNX operator occurs in it.</param>
/// <param name="Parameters">Numbers in its weights.</param>
/// <param name="Input">What it takes.</param>
/// <param name="Output">What it gives.</param>
public sealed record OnnxSummary(string Path, long Bytes, IReadOnlyDictionary<string, int> Operators, long Parameters, OnnxValue Input, OnnxValue Output);

/// <summary>
/// Writes models as ONNX (operator set 17), for other runtimes. The file takes <c>input [batch, channels, height, width]</c> and gives <c>logits</c>
/// (<c>output</c>, where that is a map); any batch size will do, and for super-resolution any picture size. Batch norms are folded into the layers before them where possible; weights and nodes keep the names they have in the model.
/// </summary>
public static class OnnxExporter
{
    private const long OperatorSet = 17, IrVersion = 8;

    // The format counts bytes in 31 bits. A little is left for the description of the graph.
    private const long MostBytes = int.MaxValue - (16 << 20);

    /// <summary>Exports a model of the zoo.</summary>
    /// <param name="model">In evaluation mode.</param>
    /// <param name="path">The file: written under a temporary name first, then renamed.</param>
    /// <param name="options">How.</param>
    /// <exception cref="InvalidOperationException">The model is in training mode, or has layers in training form.</exception>
    /// <exception cref="NotSupportedException">An operation has no counterpart in ONNX, or the file would be larger than 2 GB.</exception>
    /// <exception cref="IOException">The file cannot be written.</exception>
    public static OnnxSummary Export(Model model, string path, OnnxOptions? options = null)
    {
        options ??= new OnnxOptions();
        int size = options.ImageSize ?? model.Spec.ImageSize;
        if (size < 1) throw new ArgumentException($"Images of {size}×{size} pixels are not possible; the size must be at least 1.");
        return Write(model, new Shape(1, size, size, model.Spec.InChannels), path, options, Describe(model, size, options.Data));
    }

    /// <summary>Exports any module.</summary>
    /// <param name="module">In evaluation mode.</param>
    /// <param name="input">Shape of its input, [n, h, w, c]; the batch n is free in the file.</param>
    /// <param name="path">The file.</param>
    /// <param name="options">How.</param>
    /// <inheritdoc cref="Export(Model, string, OnnxOptions?)"/>
    public static OnnxSummary Export(Module module, Shape input, string path, OnnxOptions? options = null) =>
        Write(module, input, path, options ?? new OnnxOptions(), []);

    private static OnnxSummary Write(Module module, Shape input, string path, OnnxOptions options, IEnumerable<(string Key, string Value)> metadata)
    {
        CheckForm(module, options);
        var graph = Graph(module, input);
        CheckSize(graph.Bytes);
        graph.Proto.Name = module is Model { Spec.Architecture: var name } ? name : module.GetType().Name;
        var file = new ModelProto
        {
            IrVersion = IrVersion,
            ProducerName = "refconv",
            ProducerVersion = typeof(OnnxExporter).Assembly.GetName().Version?.ToString(3) ?? "",
            ModelVersion = 1,
            Graph = graph.Proto,
        };
        file.OpsetImport.Add(new OperatorSetIdProto { Version = OperatorSet });
        file.MetadataProps.AddRange(metadata.Select(m => new StringStringEntryProto { Key = m.Key, Value = m.Value }));
        AtomicFile.Write(path, file.WriteTo);
        return new OnnxSummary(path, file.CalculateSize(),
            graph.Proto.Node.GroupBy(n => n.OpType).OrderBy(g => g.Key, StringComparer.Ordinal).ToDictionary(g => g.Key, g => g.Count()),
            graph.Proto.Initializer.Where(i => i.DataType == (int)TensorProto.Types.DataType.Float).Sum(i => (long)i.RawData.Length / sizeof(float)),
            Told(graph.Proto.Input[0]), Told(graph.Proto.Output[0]));

        static OnnxValue Told(ValueInfoProto value) => new(value.Name,
            [.. value.Type.TensorType.Shape.Dim.Select(d => d.DimParam.Length > 0 ? d.DimParam : d.DimValue.ToString(CultureInfo.InvariantCulture))]);
    }

    /// <summary>Records one forward pass without computing it, and translates the recording.</summary>
    private static OnnxGraph Graph(Module module, Shape input)
    {
        if (input.Rank != 4) throw new ShapeException($"The input of an exported module must be [n, h, w, c], it is {input}.");
        var parameters = module.NamedParameters().ToArray();
        if (parameters.Length == 0) throw new InvalidOperationException("A module without parameters has nothing to export.");
        using var tape = Tape.Symbolic();
        // Two images: an operation that mixes up the batch with something else shows.
        var x = tape.SymbolicInput(parameters[0].Parameter.Device, new Shape(2, input[1], input[2], input[3]));
        var y = module.Forward(x);
        if (!y.IsSymbolic) throw new InvalidOperationException("The result does not depend on the input: there is nothing to export.");
        Dictionary<Tensor, string> keys = [];
        foreach (var (name, parameter) in parameters) keys.TryAdd(parameter, name);
        var graph = new OnnxTranslation(tape.Nodes, x, y, keys).Graph;
        bool anySize = module is Model { Task: ModelTask.SuperResolution };
        graph.Proto.Input.Add(Value(OnnxGraph.Input, x.Shape, anySize ? ("height", "width") : null));
        graph.Proto.Output.Add(Value(graph.Output, y.Shape, anySize ? ("output_height", "output_width") : null));
        return graph;
    }

    private static void CheckForm(Module module, OnnxOptions options)
    {
        if (module.NamedModules().FirstOrDefault(m => m.Module.Training) is { Module: not null } training)
            throw new InvalidOperationException($"Export needs the model in evaluation mode, but {(training.Name.Length == 0 ? "it" : $"'{training.Name}'")} is in training mode. Call Eval() first.");
        if (!options.TrainingForm && module.NamedModules().FirstOrDefault(m => Reparameterization.IsTrainingForm(m.Module)) is { Module: not null } form)
            throw new InvalidOperationException($"The model is in training form ('{form.Name}' is still to be merged), which nobody wants to deploy by accident. Merge it first (refconv merge, or export --merge), or ask for this form (export --training-form).");
    }

    /// <summary>Refuses weights that do not fit into one file.</summary>
    internal static void CheckSize(long bytes)
    {
        if (bytes > MostBytes)
            throw new NotSupportedException($"The weights take {(bytes / 1e9).ToString("0.0", CultureInfo.InvariantCulture)} GB, and an ONNX file that keeps them inside can have 2 GB. Export a smaller model.");
    }

    /// <summary>What the file says of a value: [n, h, w, c] here is [batch, c, h, w] there.</summary>
    private static ValueInfoProto Value(string name, Shape shape, (string Height, string Width)? free)
    {
        var sizes = new TensorShapeProto();
        sizes.Dim.Add(new TensorShapeProto.Types.Dimension { DimParam = "batch" });
        int[] rest = shape.Rank == 4 ? [shape[3], shape[1], shape[2]] : shape.Sizes[1..].ToArray();
        sizes.Dim.AddRange(rest.Select((size, i) => free is { } names && i > 0
            ? new TensorShapeProto.Types.Dimension { DimParam = i == 1 ? names.Height : names.Width }
            : new TensorShapeProto.Types.Dimension { DimValue = size }));
        return new ValueInfoProto
        {
            Name = name,
            Type = new TypeProto { TensorType = new TypeProto.Types.Tensor { ElemType = (int)TensorProto.Types.DataType.Float, Shape = sizes } },
        };
    }

    /// <summary>What one has to know to use the file, as far as it is known. Lists are JSON.</summary>
    private static IEnumerable<(string Key, string Value)> Describe(Model model, int size, DataInfo? data)
    {
        yield return ("architecture", model.Spec.Architecture);
        yield return ("classes", Number(model.Spec.Classes));
        yield return ("image_size", Number(size));
        if (model.Forms.Count > 0) yield return ("training_form", string.Join(", ", model.Forms.Select(f => f.Method.Name)));
        if (data == null) yield break;
        yield return ("data", data.Name);
        // Where pictures were resized: to which shorter side, before the middle is cut out, and with which filter.
        if (data.ResizeTo is { } side) yield return ("resize_to", Number(side));
        if (data.Interpolation is { } filter) yield return ("interpolation", filter.ToString().ToLowerInvariant());
        yield return ("mean", List(data.Mean.Select(v => (JsonNode)v)));
        yield return ("std", List(data.Std.Select(v => (JsonNode)v)));
        yield return ("class_names", List(data.ClassNames.Select(v => (JsonNode)v!)));

        static string Number(int value) => value.ToString(CultureInfo.InvariantCulture);

        static string List(IEnumerable<JsonNode> values) => new JsonArray([.. values]).ToJsonString();
    }
}
