using RefConv.Kernels;
using static RefConv.Onnx.OnnxGraph;

namespace RefConv.Onnx;

/// <summary>
/// What every operation of the engine is in ONNX (operator set 17): the table, and one method an operation. An operation is added here by a row and a
/// method; what has no row is refused by name. Operations between parameters alone (a refocused kernel) need none: their result is a weight of the file.
/// </summary>
internal static partial class OnnxOps
{
    private static readonly Dictionary<Type, Action<OnnxTranslation, Op>> Table = new()
    {
        [typeof(Conv2dOp)] = (t, op) => Conv2d(t, (Conv2dOp)op),
        [typeof(LinearOp)] = (t, op) => Linear(t, (LinearOp)op),
        [typeof(BatchNorm2dOp)] = (t, op) => BatchNorm(t, (BatchNorm2dOp)op),
        [typeof(LayerNormOp)] = (t, op) => LayerNorm(t, (LayerNormOp)op),
        [typeof(ActivationOp)] = (t, op) => Activation(t, (ActivationOp)op),
        [typeof(PReLUOp)] = (t, op) => PReLU(t, (PReLUOp)op),
        [typeof(AddOp)] = (t, op) => ElementByElement(t, op, "Add"),
        [typeof(ShiftOp)] = (t, op) => Shift(t, (ShiftOp)op),
        [typeof(MultiplyOp)] = (t, op) => ElementByElement(t, op, "Mul"),
        [typeof(MultiplyChannelsOp)] = (t, op) => MultiplyChannels(t, (MultiplyChannelsOp)op),
        [typeof(Pool2dOp)] = (t, op) => Pool2d(t, (Pool2dOp)op),
        [typeof(ReduceOp)] = (t, op) => Reduce(t, (ReduceOp)op),
        [typeof(ConcatOp)] = (t, op) => Concat(t, (ConcatOp)op),
        [typeof(SliceOp)] = (t, op) => SliceChannels(t, (SliceOp)op),
        [typeof(ReplaceChannelsOp)] = (t, op) => ReplaceChannels(t, (ReplaceChannelsOp)op),
        [typeof(InterleaveOp)] = (t, op) => Interleave(t, (InterleaveOp)op),
        [typeof(ChannelShuffleOp)] = (t, op) => ChannelShuffle(t, (ChannelShuffleOp)op),
        [typeof(UpsampleNearestOp)] = (t, op) => UpsampleNearest(t, (UpsampleNearestOp)op),
        [typeof(DepthToSpaceOp)] = (t, op) => DepthToSpace(t, (DepthToSpaceOp)op),
        [typeof(ReshapeOp)] = (t, op) => Reshape(t, (ReshapeOp)op),
        [typeof(SoftmaxOp)] = (t, op) => Softmax(t, (SoftmaxOp)op),
    };

    /// <summary>Adds an operation to the graph.</summary>
    /// <exception cref="NotSupportedException">It belongs to training, or has no row in the table.</exception>
    public static void Translate(OnnxTranslation t, Op op)
    {
        if (op.IsForTraining) throw new NotSupportedException($"{OnnxTranslation.Describe(op)} belongs to training and cannot be part of an ONNX file. Call Eval() on the model first.");
        if (!Table.TryGetValue(op.GetType(), out var translate))
            throw new NotSupportedException($"{OnnxTranslation.Describe(op)} cannot be written as ONNX: the operation has no counterpart in the table of OnnxOps. Add one there, or leave the operation out of the model.");
        translate(t, op);
    }

    private static void Activation(OnnxTranslation t, ActivationOp op)
    {
        var x = op.Inputs[0];
        string y = Activation(t.Graph, op.Function, op.Name, t.Value(x));
        // It does not mind the order of the elements, so a flattened map stays one.
        if (t.FlattenedMap(x) is { } map) t.BindFlattened(op.Output, y, map);
        else t.Bind(op.Output, y);
    }

    private static string Activation(OnnxGraph g, ActivationKind function, string module, string x) => function switch
    {
        ActivationKind.Identity => x,
        ActivationKind.ReLU => g.Node("Relu", module, x),
        ActivationKind.ReLU6 => g.Node("Clip", module, [x, g.Scalar(0), g.Scalar(6)]),
        ActivationKind.Sigmoid => g.Node("Sigmoid", module, x),
        ActivationKind.Hardsigmoid => g.Node("HardSigmoid", module, x, Float("alpha", 1.0 / 6), Float("beta", 0.5)),
        ActivationKind.Hardswish => g.Node("HardSwish", module, x),
        ActivationKind.SiLU => g.Node("Mul", module, [x, g.Node("Sigmoid", module, x)]),
        ActivationKind.GELU => Gelu(g, module, x),
        _ => throw new NotSupportedException($"The activation {function}{(module.Length == 0 ? "" : $" of '{module}'")} cannot be written as ONNX yet: it has no row in OnnxOps."),
    };

    /// <summary>x/2 · (1 + erf(x/√2)); an operator of its own came with a later operator set.</summary>
    private static string Gelu(OnnxGraph g, string module, string x)
    {
        string erf = g.Node("Erf", module, g.Node("Mul", module, [x, g.Scalar((float)Math.Sqrt(0.5))]));
        string half = g.Node("Mul", module, [x, g.Scalar(0.5f)]);
        return g.Node("Mul", module, [half, g.Node("Add", module, [erf, g.Scalar(1)])]);
    }

    private static void PReLU(OnnxTranslation t, PReLUOp op)
    {
        var x = op.Inputs[0];
        t.Bind(op.Output, t.Graph.Node("PRelu", op.Name, [t.PlainValue(x), t.PerChannel(op.Inputs[1], x, op.Name + ".weight")]));
    }

    private static void Shift(OnnxTranslation t, ShiftOp op) =>
        t.Bind(op.Output, t.Graph.Node("Add", op.Name, [t.PlainValue(op.Inputs[0]), t.Graph.Scalar((float)op.Amount)]));

    private static void ElementByElement(OnnxTranslation t, Op op, string operatorType)
    {
        var (a, b) = (op.Inputs[0], op.Inputs[1]);
        // Two flattened maps of one shape have their elements in the same places; anything else is compared in the engine's order.
        if (t.FlattenedMap(a) is { } map && t.FlattenedMap(b) is { } other && map == other)
            t.BindFlattened(op.Output, t.Graph.Node(operatorType, op.Name, [t.Value(a), t.Value(b)]), map);
        else
            t.Bind(op.Output, t.Graph.Node(operatorType, op.Name, [t.PlainValue(a), t.PlainValue(b)]));
    }

    private static void MultiplyChannels(OnnxTranslation t, MultiplyChannelsOp op)
    {
        var (x, s) = (op.Inputs[0], op.Inputs[1]);
        if (!s.IsSymbolic && s.Shape.Count == s.Shape[-1])
        {
            t.Bind(op.Output, t.Graph.Node("Mul", op.Name, [t.PlainValue(x), t.PerChannel(s, x, op.Name + ".scale")]));
            return;
        }
        string factors = t.PlainValue(s);
        // One factor an image and channel, as [n, c, 1, 1] (or [1, c, 1, 1]), broadcasts over a map; [n, c] over other tensors of two axes.
        bool fits = x.Shape.Rank == s.Shape.Rank && (x.Shape.Rank == 4 ? s.Shape[1] * s.Shape[2] == 1 : x.Shape.Rank == 2);
        if (!fits)
        {
            int c = s.Shape[-1];
            long images = s.Shape.Count == c ? 1 : s.Shape[0] == t.Batch ? 0 : -1; // 0: as many as there were, -1: as many as there must be
            long[] rest = x.Shape.Rank == 4 ? [c, 1, 1] : [.. Enumerable.Repeat(1L, x.Shape.Rank - 2), c];
            factors = t.Graph.Reshape(op.Name, factors, [images, .. rest]);
        }
        t.Bind(op.Output, t.Graph.Node("Mul", op.Name, [t.PlainValue(x), factors]));
    }

    private static void Pool2d(OnnxTranslation t, Pool2dOp op)
    {
        var g = op.Geometry;
        var window = (ReadOnlySpan<long>)[g.R, g.S];
        List<global::Onnx.AttributeProto> attributes = [Ints("kernel_shape", window), Ints("strides", g.Stride, g.Stride), Ints("pads", g.Padding, g.Padding, g.Padding, g.Padding)];
        if (!op.IsMax) attributes.Add(Int("count_include_pad", g.CountIncludePad ? 1 : 0));
        t.Bind(op.Output, t.Graph.Node(op.IsMax ? "MaxPool" : "AveragePool", op.Name, t.Value(op.Inputs[0]), attributes));
    }

    private static void Reduce(OnnxTranslation t, ReduceOp op)
    {
        if (!op.IsGlobalAverage)
            throw new NotSupportedException($"{OnnxTranslation.Describe(op)} joins the images of a batch and cannot be written as ONNX. Export a model that answers each image by itself.");
        t.Bind(op.Output, t.Graph.Node("GlobalAveragePool", op.Name, t.Value(op.Inputs[0])));
    }

    private static void Reshape(OnnxTranslation t, ReshapeOp op)
    {
        var x = op.Inputs[0];
        Shape from = x.Shape, to = op.Output.Shape;
        if (from.Rank == 4 && to.Rank == 2 && from[0] == to[0])
        {
            string flat = t.Graph.Node("Flatten", op.Name, t.Value(x), Int("axis", 1));
            if (from[1] * from[2] == 1) t.Bind(op.Output, flat);
            else t.BindFlattened(op.Output, flat, from);
            return;
        }
        if (to.Rank == 0 || to[0] % t.Batch != 0)
            throw new NotSupportedException($"{OnnxTranslation.Describe(op)} from {from} to {to} joins the images of a batch and cannot be written as ONNX. Keep the batch as the first axis.");
        // In general: to the engine's order, the new shape, and back to the file's order.
        string value = t.PlainValue(x);
        if (from.Rank == 4 && from[1] * from[2] > 1) value = t.Graph.Transpose("", value, 0, 2, 3, 1);
        long first = to[0] == from[0] ? 0 : -1;
        bool transposes = to.Rank == 4 && to[1] * to[2] > 1;
        long[] rest = [.. to.Sizes[1..].ToArray().Select(s => (long)s)];
        if (to.Rank == 4 && !transposes) rest = [to[3], to[1], to[2]];
        value = t.Graph.Reshape(transposes ? "" : op.Name, value, [first, .. rest]);
        t.Bind(op.Output, transposes ? t.Graph.Transpose(op.Name, value, 0, 3, 1, 2) : value);
    }

    private static void Softmax(OnnxTranslation t, SoftmaxOp op) =>
        t.Bind(op.Output, t.Graph.Node("Softmax", op.Name, t.PlainValue(op.Inputs[0]), Int("axis", -1)));
}
