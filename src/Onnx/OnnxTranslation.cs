namespace RefConv.Onnx;

/// <summary>
/// Recorded operations on their way into a graph: which value of the file each tensor has become. In the file maps are <c>[n, c, h, w]</c>; every
/// other tensor is as it is in the engine, except a flattened map, whose elements the file counts (c, h, w) like PyTorch.
/// </summary>
internal sealed class OnnxTranslation
{
    private readonly Dictionary<Tensor, string> _values = [];
    private readonly Dictionary<Tensor, Shape> _flattened = [];
    private readonly Dictionary<Tensor, List<Op>> _readers = [];
    private readonly Dictionary<BatchNorm2dOp, string> _folded = [];
    private readonly Dictionary<(Tensor, Shape), string> _weights = [];
    private readonly IReadOnlyDictionary<Tensor, string> _keys;
    private readonly Tensor _output;

    /// <summary>Translates what an output depends on.</summary>
    /// <param name="nodes">Recorded operations, in order.</param>
    /// <param name="input">What the file is given.</param>
    /// <param name="output">What it answers.</param>
    /// <param name="keys">State-dict keys of the parameters.</param>
    public OnnxTranslation(IReadOnlyList<Op> nodes, Tensor input, Tensor output, IReadOnlyDictionary<Tensor, string> keys)
    {
        (_keys, _output, Batch) = (keys, output, input.Shape[0]);
        // Scores of classes are called so; a map is just the result.
        Graph = new OnnxGraph(output.Shape.Rank == 4 ? "output" : "logits");
        _values[input] = OnnxGraph.Input;
        var needed = PlanBuilder.Needed(nodes, output);
        foreach (var node in needed)
        {
            foreach (var tensor in node.Inputs.Distinct())
            {
                if (!_readers.TryGetValue(tensor, out var readers)) _readers[tensor] = readers = [];
                readers.Add(node);
            }
        }
        foreach (var node in needed) OnnxOps.Translate(this, node);
        Graph.RenameToOutput(Value(output));
    }

    public OnnxGraph Graph { get; }

    /// <summary>Size of the batch in the recording: an axis of this size in front is the batch of the file, whatever it will be.</summary>
    public int Batch { get; }

    /// <summary>The value a tensor has become; a parameter becomes an initializer.</summary>
    public string Value(Tensor tensor)
    {
        if (_values.TryGetValue(tensor, out string? value)) return value;
        return _values[tensor] = Constant(tensor, "constant");
    }

    /// <summary>A tensor's value with the elements counted as in the engine, also where it is a flattened map.</summary>
    public string PlainValue(Tensor tensor)
    {
        string value = Value(tensor);
        if (!_flattened.Remove(tensor, out var map)) return value;
        value = Graph.Reshape("", value, 0, map[3], map[1], map[2]);
        value = Graph.Transpose("", value, 0, 2, 3, 1);
        return _values[tensor] = Graph.Reshape("", value, 0, tensor.Shape[1]);
    }

    public void Bind(Tensor tensor, string value) => _values[tensor] = value;

    /// <summary>The result is a map of this shape, flattened: the file counts its elements (c, h, w).</summary>
    public void BindFlattened(Tensor tensor, string value, Shape map)
    {
        _values[tensor] = value;
        _flattened[tensor] = map;
    }

    /// <summary>The map that was flattened into this tensor, if its elements are in another order in the file; or null.</summary>
    public Shape? FlattenedMap(Tensor tensor) => _flattened.TryGetValue(tensor, out var map) ? map : null;

    /// <summary>
    /// The batch norm that reads a result and is the only one to: it can be folded into the operation that computes it.
    /// </summary>
    public BatchNorm2dOp? OnlyReaderIsNorm(Tensor result) =>
        result != _output && _readers.TryGetValue(result, out var readers) && readers is [BatchNorm2dOp { IsTraining: false } norm] && norm.Input == result && norm.ResidualInput != result
            ? norm : null;

    /// <summary>Says that the scaling of a norm is done already, and which value it gave.</summary>
    public void SetFolded(BatchNorm2dOp norm, string value) => _folded[norm] = value;

    /// <summary>The value of a norm that was folded into the operation before it; null if it was not.</summary>
    public string? Folded(BatchNorm2dOp norm) => _folded.GetValueOrDefault(norm);

    /// <summary>A tensor of one axis as an initializer under its state-dict key.</summary>
    public string Vector(Tensor tensor, string name)
    {
        if (_values.TryGetValue(tensor, out string? value)) return value;
        return _values[tensor] = Graph.Initializer(Key(tensor, name), tensor.ToArray(), (int)tensor.Shape.Count);
    }

    /// <summary>A constant of one number a channel, in a form that broadcasts over a tensor.</summary>
    public string PerChannel(Tensor constant, Tensor over, string name)
    {
        int[] sizes = over.Shape.Rank == 4 ? [over.Shape[-1], 1, 1] : [over.Shape[-1]];
        return Shared(constant, new ParameterLayout(constant.Shape, new Shape(sizes), []), () => Graph.Initializer(Key(constant, name), constant.ToArray(), sizes));
    }

    /// <summary>Weights that are written once for all layers that read them in this order.</summary>
    public string Shared(Tensor weight, ParameterLayout layout, Func<string> write)
    {
        if (!_weights.TryGetValue((weight, layout.View), out string? name)) _weights[(weight, layout.View)] = name = write();
        return name;
    }

    /// <summary>The state-dict key of a parameter; another name for what was computed from parameters.</summary>
    public string Key(Tensor tensor, string otherwise) => _keys.GetValueOrDefault(tensor, otherwise);

    /// <summary>Channels are the second axis of maps and the last one of everything else.</summary>
    public static int ChannelAxis(Tensor tensor) => tensor.Shape.Rank == 4 ? 1 : tensor.Shape.Rank - 1;

    /// <summary>An operation and its module, for messages.</summary>
    public static string Describe(Op op) => op.Name.Length == 0 ? op.Kind : $"{op.Kind} '{op.Name}'";

    private string Constant(Tensor tensor, string name)
    {
        if (tensor.IsSymbolic) throw new InvalidOperationException($"A tensor {tensor.Shape} is read before it is computed. Please report this: the order of the recorded operations is wrong.");
        float[] values = tensor.ToArray();
        int[] sizes = tensor.Shape.Sizes.ToArray();
        if (sizes.Length != 4) return Graph.Initializer(Key(tensor, name), values, sizes);
        // A map of constants, such as one factor a channel.
        var layout = new ParameterLayout(new Shape(sizes[0], sizes[3], sizes[1], sizes[2]), new Shape(sizes[0], sizes[3], sizes[1], sizes[2]), [0, 2, 3, 1]);
        return Graph.Initializer(Key(tensor, name), layout.ToTorch<float>(values), layout.TorchShape.Sizes);
    }
}
