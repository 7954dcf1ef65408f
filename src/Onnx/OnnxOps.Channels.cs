using RefConv.Kernels;
using static RefConv.Onnx.OnnxGraph;

namespace RefConv.Onnx;

/// <summary>Operations that compute nothing and move channels or pixels.</summary>
internal static partial class OnnxOps
{
    private static void Concat(OnnxTranslation t, ConcatOp op) => t.Bind(op.Output,
        t.Graph.Node("Concat", op.Name, op.Inputs.Select(t.PlainValue), Int("axis", OnnxTranslation.ChannelAxis(op.Output))));

    private static void SliceChannels(OnnxTranslation t, SliceOp op)
    {
        var (start, count) = op.Channels;
        t.Bind(op.Output, t.Graph.Slice(op.Name, t.PlainValue(op.Inputs[0]), [start], [start + count], [OnnxTranslation.ChannelAxis(op.Output)]));
    }

    private static void ChannelShuffle(OnnxTranslation t, ChannelShuffleOp op) => t.Bind(op.Output, Shuffled(t, op, t.Value(op.Inputs[0]), op.Groups));

    /// <summary>A concatenation and a shuffle with a group for each of its inputs.</summary>
    private static void Interleave(OnnxTranslation t, InterleaveOp op) =>
        t.Bind(op.Output, Shuffled(t, op, t.Graph.Node("Concat", "", op.Inputs.Select(t.PlainValue), Int("axis", OnnxTranslation.ChannelAxis(op.Output))), op.Inputs.Count));

    private static string Shuffled(OnnxTranslation t, Op op, string x, int groups)
    {
        var shape = op.Output.Shape;
        if (shape.Rank != 4) throw new NotSupportedException($"{OnnxTranslation.Describe(op)} of {shape} cannot be written as ONNX: only the shuffle of a map can.");
        // The last of the three has the module's name: it is the one that others read.
        int c = shape[3];
        string split = t.Graph.Reshape("", x, 0, groups, c / groups, (long)shape[1] * shape[2]);
        string swapped = t.Graph.Transpose("", split, 0, 2, 1, 3);
        return t.Graph.Reshape(op.Name, swapped, 0, c, shape[1], shape[2]);
    }

    /// <summary>The channels before the part, the part, and the channels behind it.</summary>
    private static void ReplaceChannels(OnnxTranslation t, ReplaceChannelsOp op)
    {
        var (x, part) = (op.Inputs[0], op.Inputs[1]);
        long axis = OnnxTranslation.ChannelAxis(x);
        int end = op.Start + part.Shape[-1], channels = x.Shape[-1];
        List<string> pieces = [];
        if (op.Start > 0) pieces.Add(t.Graph.Slice("", t.PlainValue(x), [0], [op.Start], [axis]));
        pieces.Add(t.PlainValue(part));
        if (end < channels) pieces.Add(t.Graph.Slice("", t.PlainValue(x), [end], [channels], [axis]));
        t.Bind(op.Output, t.Graph.Node("Concat", op.Name, pieces, Int("axis", axis)));
    }

    private static void UpsampleNearest(OnnxTranslation t, UpsampleNearestOp op)
    {
        var x = op.Inputs[0];
        float scale = op.Output.Shape[1] / (float)x.Shape[1];
        // The second input, a region, is only for another mode: an empty name leaves it out. Pixel i is copied from pixel ⌊i/scale⌋.
        t.Bind(op.Output, t.Graph.Node("Resize", op.Name, [t.Value(x), "", t.Graph.Floats(1, 1, scale, scale)],
            Text("mode", "nearest"), Text("coordinate_transformation_mode", "asymmetric"), Text("nearest_mode", "floor")));
    }

    private static void DepthToSpace(OnnxTranslation t, DepthToSpaceOp op)
    {
        var x = op.Inputs[0];
        int block = op.Block;
        bool toWide = op.Output.Shape[1] == x.Shape[1] * block && x.Shape[3] == op.Output.Shape[3] * block * block;
        if (toWide)
            t.Bind(op.Output, t.Graph.Node("DepthToSpace", op.Name, t.Value(x), Int("blocksize", block), Text("mode", op.Mode.ToString())));
        else if (op.Mode == DepthToSpaceMode.DCR)
            t.Bind(op.Output, t.Graph.Node("SpaceToDepth", op.Name, t.Value(x), Int("blocksize", block)));
        else
            t.Bind(op.Output, SpaceToDepthInOrderCrd(t, op, block));
    }

    /// <summary>ONNX has no operator for it: [n, c, h, b, w, b] to [n, c, b, b, h, w].</summary>
    private static string SpaceToDepthInOrderCrd(OnnxTranslation t, DepthToSpaceOp op, int block)
    {
        Shape x = op.Inputs[0].Shape, y = op.Output.Shape;
        string split = t.Graph.Reshape("", t.Value(op.Inputs[0]), 0, x[3], y[1], block, y[2], block);
        return t.Graph.Reshape(op.Name, t.Graph.Transpose("", split, 0, 1, 3, 5, 2, 4), 0, y[3], y[1], y[2]);
    }
}
