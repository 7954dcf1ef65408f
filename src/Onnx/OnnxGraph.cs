using System.Globalization;
using System.Runtime.InteropServices;
using global::Onnx;
using Google.Protobuf;

namespace RefConv.Onnx;

/// <summary>
/// The graph while it is written: nodes in the order they run, and initializers (weights and constants). A value is known by its name; the result of a
/// node is called as the node.
/// </summary>
internal sealed class OnnxGraph
{
    public const string Input = "input";

    private readonly HashSet<string> _names;
    private readonly Dictionary<string, string> _constants = new(StringComparer.Ordinal);

    /// <summary>Begins a graph.</summary>
    /// <param name="output">The name under which the file hands out its result.</param>
    public OnnxGraph(string output) => (Output, _names) = (output, new(StringComparer.Ordinal) { Input, output });

    /// <summary>The name of the result.</summary>
    public string Output { get; }

    /// <summary>What has been written.</summary>
    public GraphProto Proto { get; } = new();

    /// <summary>Bytes of all initializers.</summary>
    public long Bytes { get; private set; }

    /// <summary>
    /// Adds a node and gives the name of its result. It is called as the module it stands for; where a module takes several nodes,
    /// the later ones add their operator to its name.
    /// </summary>
    public string Node(string operatorType, string module, IEnumerable<string> inputs, params IEnumerable<AttributeProto> attributes)
    {
        string name = Unique(module.Length == 0 ? operatorType : _names.Contains(module) ? $"{module}/{operatorType}" : module);
        var node = new NodeProto { OpType = operatorType, Name = name };
        node.Input.AddRange(inputs);
        node.Output.Add(name);
        node.Attribute.AddRange(attributes);
        Proto.Node.Add(node);
        return name;
    }

    /// <summary>A node of one input.</summary>
    public string Node(string operatorType, string module, string input, params IEnumerable<AttributeProto> attributes) =>
        Node(operatorType, module, (string[])[input], attributes);

    /// <summary>Adds weights; the name gets a number where another tensor has it already.</summary>
    public string Initializer(string name, ReadOnlySpan<float> values, params ReadOnlySpan<int> sizes)
    {
        var tensor = new TensorProto { DataType = (int)TensorProto.Types.DataType.Float };
        foreach (int size in sizes) tensor.Dims.Add(size);
        return Add(name, tensor, MemoryMarshal.AsBytes(values));
    }

    /// <summary>A single number, such as a bound of Clip; nodes share it.</summary>
    public string Scalar(float value)
    {
        string name = "constant/" + value.ToString(CultureInfo.InvariantCulture);
        if (!_constants.TryGetValue(name, out string? known)) _constants[name] = known = Initializer(name, [value]);
        return known;
    }

    /// <summary>Whole numbers, such as the target of Reshape; nodes share them.</summary>
    public string Integers(params ReadOnlySpan<long> values)
    {
        string name = "constant/[" + string.Join(',', values.ToArray().Select(v => v.ToString(CultureInfo.InvariantCulture))) + "]";
        if (_constants.TryGetValue(name, out string? known)) return known;
        var tensor = new TensorProto { DataType = (int)TensorProto.Types.DataType.Int64 };
        tensor.Dims.Add(values.Length);
        return _constants[name] = Add(name, tensor, MemoryMarshal.AsBytes(values));
    }

    /// <summary>Some numbers, such as the scales of Resize; nodes share them.</summary>
    public string Floats(params ReadOnlySpan<float> values)
    {
        string name = "constant/[" + string.Join(',', values.ToArray().Select(v => v.ToString("0.0#######", CultureInfo.InvariantCulture))) + "]";
        if (!_constants.TryGetValue(name, out string? known)) _constants[name] = known = Initializer(name, values, values.Length);
        return known;
    }

    public string Reshape(string module, string input, params ReadOnlySpan<long> shape) => Node("Reshape", module, [input, Integers(shape)]);

    public string Transpose(string module, string input, params ReadOnlySpan<long> permutation) => Node("Transpose", module, input, Ints("perm", permutation));

    /// <summary>Elements start to end (not included) along some axes.</summary>
    public string Slice(string module, string input, ReadOnlySpan<long> starts, ReadOnlySpan<long> ends, ReadOnlySpan<long> axes) =>
        Node("Slice", module, [input, Integers(starts), Integers(ends), Integers(axes)]);

    /// <summary>Gives a value the name under which the file hands it out.</summary>
    public void RenameToOutput(string value)
    {
        // The input handed out as it is still needs a node of its own.
        if (Proto.Node.All(n => n.Output[0] != value)) value = Node("Identity", "", value);
        foreach (var node in Proto.Node)
        {
            if (node.Output[0] == value) node.Output[0] = Output;
            for (int i = 0; i < node.Input.Count; i++)
            {
                if (node.Input[i] == value) node.Input[i] = Output;
            }
        }
    }

    public static AttributeProto Int(string name, long value) => new() { Name = name, Type = AttributeProto.Types.AttributeType.Int, I = value };

    public static AttributeProto Float(string name, double value) => new() { Name = name, Type = AttributeProto.Types.AttributeType.Float, F = (float)value };

    public static AttributeProto Text(string name, string value) => new() { Name = name, Type = AttributeProto.Types.AttributeType.String, S = ByteString.CopyFromUtf8(value) };

    public static AttributeProto Ints(string name, params ReadOnlySpan<long> values)
    {
        var attribute = new AttributeProto { Name = name, Type = AttributeProto.Types.AttributeType.Ints };
        foreach (long value in values) attribute.Ints.Add(value);
        return attribute;
    }

    private string Add(string name, TensorProto tensor, ReadOnlySpan<byte> bytes)
    {
        if (!BitConverter.IsLittleEndian) throw new PlatformNotSupportedException("ONNX files are little-endian and are written as memory lies; this machine is big-endian.");
        // One field of a file cannot be longer, and the whole file is limited likewise: see OnnxExporter.
        tensor.Name = Unique(name);
        tensor.RawData = ByteString.CopyFrom(bytes);
        Bytes += bytes.Length;
        Proto.Initializer.Add(tensor);
        return tensor.Name;
    }

    private string Unique(string name)
    {
        string free = name;
        for (int i = 2; !_names.Add(free); i++) free = $"{name}_{i.ToString(CultureInfo.InvariantCulture)}";
        return free;
    }
}
