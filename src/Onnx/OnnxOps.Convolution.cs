using RefConv.Kernels;
using static RefConv.Onnx.OnnxGraph;

namespace RefConv.Onnx;

/// <summary>Convolutions and linear layers, the batch norms that are folded into them, and other norms.</summary>
internal static partial class OnnxOps
{
    private static void Conv2d(OnnxTranslation t, Conv2dOp op)
    {
        var g = op.Geometry;
        CheckConstant(op, op.Weight, op.Bias);
        string x = Cropped(t, op, t.Value(op.Input));
        var (weights, bias, norm) = Fold(t, op, op.Weight, op.Bias);
        var layout = ParameterLayout.Conv2d(g.K, g.GroupC, g.R, g.S);
        string weight = Weight(t, op, op.Weight, layout, weights);
        // ONNX wants the beginnings of all axes, then the ends.
        string y = t.Graph.Node("Conv", op.Name, [x, weight, .. Bias(t, op, op.Bias, bias)],
            Ints("kernel_shape", g.R, g.S), Ints("strides", g.StrideH, g.StrideW), Ints("dilations", g.DilationH, g.DilationW), Int("group", g.Groups),
            Ints("pads", Math.Max(0, g.PadTop), Math.Max(0, g.PadLeft), Math.Max(0, g.PadBottom), Math.Max(0, g.PadRight)));
        Bind(t, op, norm, y);
    }

    private static void Linear(OnnxTranslation t, LinearOp op)
    {
        CheckConstant(op, op.Weight, op.Bias);
        var (weights, bias, norm) = Fold(t, op, op.Weight, op.Bias);
        int outFeatures = op.Weight.Shape[-1];
        if (op.Input.Shape.Rank == 4)
        {
            // Over the channels of a map it is a convolution of 1×1, which spares two transpositions.
            string kernel = Weight(t, op, op.Weight, ParameterLayout.Conv2d(outFeatures, op.Input.Shape[3], 1, 1), weights);
            Bind(t, op, norm, t.Graph.Node("Conv", op.Name, [t.Value(op.Input), kernel, .. Bias(t, op, op.Bias, bias)], Ints("kernel_shape", 1, 1)));
            return;
        }
        if (op.Input.Shape.Rank != 2) throw new NotSupportedException($"{OnnxTranslation.Describe(op)} of {op.Input.Shape} cannot be written as ONNX: only linear layers of maps and of [rows, features] can.");
        // Of a flattened map the file counts the elements (c, h, w), and so must the columns of the matrix.
        var layout = t.FlattenedMap(op.Input) is { } map
            ? ParameterLayout.Linear(outFeatures, op.Input.Shape[1], map[1], map[2])
            : ParameterLayout.Linear(outFeatures, op.Input.Shape[1]);
        string weight = Weight(t, op, op.Weight, layout, weights);
        Bind(t, op, norm, t.Graph.Node("Gemm", op.Name, [t.Value(op.Input), weight, .. Bias(t, op, op.Bias, bias)], Int("transB", 1)));
    }

    /// <summary>The operator normalises the last axes, so maps become channels-last for it.</summary>
    private static void LayerNorm(OnnxTranslation t, LayerNormOp op)
    {
        var x = op.Inputs[0];
        bool transposes = x.Shape.Rank == 4 && x.Shape[1] * x.Shape[2] > 1;
        string value = t.PlainValue(x);
        if (x.Shape.Rank == 4) value = transposes ? t.Graph.Transpose("", value, 0, 2, 3, 1) : t.Graph.Reshape("", value, 0, 1, 1, x.Shape[3]);
        string[] parameters = [t.Vector(op.Inputs[1], op.Name + ".weight"), t.Vector(op.Inputs[2], op.Name + ".bias")];
        value = t.Graph.Node("LayerNormalization", op.Name, [value, .. parameters], Int("axis", -1), Float("epsilon", op.Geometry.Epsilon));
        if (x.Shape.Rank == 4) value = transposes ? t.Graph.Transpose("", value, 0, 3, 1, 2) : t.Graph.Reshape("", value, 0, x.Shape[3], 1, 1);
        t.Bind(op.Output, value);
    }

    private static void BatchNorm(OnnxTranslation t, BatchNorm2dOp op)
    {
        if (op.IsTraining)
            throw new InvalidOperationException($"Batch norm '{op.Name}' is in training mode, where the result depends on the batch. Call Eval() on the model first.");
        string y = t.Folded(op) ?? Normalized(t, op);
        if (op.ResidualInput is { } residual) y = t.Graph.Node("Add", op.Name, [y, t.PlainValue(residual)]);
        t.Bind(op.Output, Activation(t.Graph, op.Geometry.Activation, op.Name, y));
    }

    /// <summary>A norm that could not be folded.</summary>
    private static string Normalized(OnnxTranslation t, BatchNorm2dOp op)
    {
        string x = t.PlainValue(op.Input);
        if (op.Input.Shape.Rank is not (2 or 4)) throw new NotSupportedException($"{OnnxTranslation.Describe(op)} of {op.Input.Shape} cannot be written as ONNX: only norms of maps and of [rows, features] can.");
        string[] names = ["weight", "bias", "running_mean", "running_var"];
        var parameters = names.Select((name, i) => t.Vector(op.Inputs[i + 1], $"{op.Name}.{name}"));
        return t.Graph.Node("BatchNormalization", op.Name, [x, .. parameters], Float("epsilon", op.Geometry.Epsilon));
    }

    /// <summary>
    /// Weights in memory order and bias, multiplied by the batch norm that reads the result if nothing else does; nulls where there is nothing to fold.
    /// </summary>
    private static (double[]? Weights, double[]? Bias, BatchNorm2dOp? Norm) Fold(OnnxTranslation t, Op op, Tensor weight, Tensor? bias)
    {
        if (t.OnlyReaderIsNorm(op.Output) is not { } norm) return default;
        var (scale, shift) = norm.AsAffine();
        double[] weights = weight.ToDoubleArray();
        // Output channels are the last axis in memory, for convolutions and matrices alike.
        for (int i = 0; i < weights.Length; i += scale.Length)
        {
            for (int c = 0; c < scale.Length; c++) weights[i + c] *= scale[c];
        }
        double[] folded = bias?.ToDoubleArray() ?? new double[scale.Length];
        for (int c = 0; c < scale.Length; c++) folded[c] = (folded[c] * scale[c]) + shift[c];
        return (weights, folded, norm);
    }

    /// <summary>Weights in the file's order, under their state-dict key. As they are, they may serve several layers.</summary>
    private static string Weight(OnnxTranslation t, Op op, Tensor weight, ParameterLayout layout, double[]? folded)
    {
        string name = t.Key(weight, op.Name.Length == 0 ? "weight" : op.Name + ".weight");
        if (folded == null) return t.Shared(weight, layout, () => t.Graph.Initializer(name, layout.ToTorch<float>(weight.ToArray()), layout.TorchShape.Sizes));
        return t.Graph.Initializer(name, layout.ToTorch<float>(Rounded(folded)), layout.TorchShape.Sizes);
    }

    /// <summary>The bias as the node's last input; none where there is none.</summary>
    private static string[] Bias(OnnxTranslation t, Op op, Tensor? bias, double[]? folded)
    {
        string name = op.Name.Length == 0 ? "bias" : op.Name + ".bias";
        if (folded != null) return [t.Graph.Initializer(bias == null ? name : t.Key(bias, name), Rounded(folded), folded.Length)];
        return bias == null ? [] : [t.Vector(bias, name)];
    }

    private static void Bind(OnnxTranslation t, Op op, BatchNorm2dOp? norm, string value)
    {
        t.Bind(op.Output, value);
        if (norm != null) t.SetFolded(norm, value);
    }

    /// <summary>Negative padding crops the input, which is an operator of its own in ONNX.</summary>
    private static string Cropped(OnnxTranslation t, Conv2dOp op, string x)
    {
        var g = op.Geometry;
        if (Math.Min(Math.Min(g.PadTop, g.PadBottom), Math.Min(g.PadLeft, g.PadRight)) >= 0) return x;
        return t.Graph.Slice(op.Name.Length == 0 ? "" : op.Name + "/crop", x,
            [Math.Max(0, -g.PadTop), Math.Max(0, -g.PadLeft)], [g.H + Math.Min(0, g.PadBottom), g.W + Math.Min(0, g.PadRight)], [2, 3]);
    }

    private static void CheckConstant(Op op, Tensor weight, Tensor? bias)
    {
        if (weight.IsSymbolic || bias is { IsSymbolic: true })
            throw new NotSupportedException($"{OnnxTranslation.Describe(op)} has weights that are computed from the input, which cannot be written as ONNX yet.");
    }

    private static float[] Rounded(double[] values) => Array.ConvertAll(values, v => (float)v);
}
