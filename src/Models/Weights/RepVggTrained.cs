using RefConv.IO;
using RefConv.Layers;

namespace RefConv.Models;

/// <summary>
/// RepVGG as its authors train it: each block has a 3×3 and a 1×1 convolution with a batch norm each and, where shapes allow, a batch norm alone
/// (<c>rbr_dense.{conv,bn}</c>, <c>rbr_1x1.{conv,bn}</c>, <c>rbr_identity</c>), and as timm does under other names (<see cref="TimmKeys.RepVgg"/>). The zoo has the deployed form, so the branches are folded and added, in double
/// precision, as the authors' own conversion does.
/// </summary>
internal static class RepVggTrained
{
    /// <summary>ε of the authors' batch norms, PyTorch's default.</summary>
    private const double Epsilon = 1e-5;

    private const string Dense = ".rbr_dense.conv.weight";

    /// <summary>All names but the blocks' are the zoo's.</summary>
    public static KeyMap Map { get; } = new("the authors' training form", new Dictionary<string, string>()) { Prepare = Deploy };

    /// <summary>The deployed form's state dict, or null where there is no block in training form.</summary>
    internal static Dictionary<string, StateEntry>? Deploy(Dictionary<string, StateEntry> state)
    {
        string[] blocks = [.. state.Keys.Where(k => k.EndsWith(Dense, StringComparison.Ordinal)).Select(k => k[..^Dense.Length])];
        if (blocks.Length == 0) return null;
        Dictionary<string, StateEntry> deployed = new(StringComparer.Ordinal);
        foreach (var (key, entry) in state.Where(e => !e.Key.Contains(".rbr_", StringComparison.Ordinal))) deployed[key] = entry;
        foreach (string block in blocks)
        {
            var shape = state[block + Dense].Shape;
            if (shape.Rank != 4 || shape[2] != 3 || shape[3] != 3 || !HasAll(state, block, shape)) return null;
            var kernel = new Lazy<(float[] Weight, float[] Bias)>(() => Fold(state, block, shape));
            deployed[block + ".rbr_reparam.weight"] = new StateEntry(shape, () => kernel.Value.Weight)
            {
                Check = threads =>
                {
                    CheckAll(state, block, threads);
                    CheckFolded(kernel.Value, block, state[block + Dense].Source);
                },
            };
            deployed[block + ".rbr_reparam.bias"] = new StateEntry(new Shape(shape[0]), () => kernel.Value.Bias);
        }
        return deployed;
    }

    private static bool HasAll(Dictionary<string, StateEntry> state, string block, Shape shape)
    {
        string[] norms = [block + ".rbr_dense.bn", block + ".rbr_1x1.bn", .. state.ContainsKey(block + ".rbr_identity.weight") ? (string[])[block + ".rbr_identity"] : []];
        return state.TryGetValue(block + ".rbr_1x1.conv.weight", out var pointwise) && pointwise.Shape == new Shape(shape[0], shape[1], 1, 1)
            && norms.All(n => s_norm.All(part => state.TryGetValue($"{n}.{part}", out var e) && e.Shape == new Shape(shape[0])));
    }

    private static readonly string[] s_norm = ["weight", "bias", "running_mean", "running_var"];

    /// <summary>Finite branches can become what is no number: a variance below zero has no root, and large weights can leave the range of a float.</summary>
    private static void CheckFolded((float[] Weight, float[] Bias) kernel, string block, string? source)
    {
        if (kernel.Weight.Any(float.IsNaN) || kernel.Bias.Any(float.IsNaN))
            throw new FileFormatException(source ?? "The state dict", $"the branches of '{block}' do not fold into one kernel, because a running variance is below zero. Use an earlier checkpoint.");
        if (!kernel.Weight.All(float.IsFinite) || !kernel.Bias.All(float.IsFinite))
            throw new FileFormatException(source ?? "The state dict", $"the branches of '{block}' fold into a kernel with values too large for single precision. Use an earlier checkpoint.");
    }

    private static void CheckAll(Dictionary<string, StateEntry> state, string block, int threads)
    {
        foreach (var (key, entry) in state)
        {
            if (key.StartsWith(block + ".rbr_", StringComparison.Ordinal)) entry.Check?.Invoke(threads);
        }
    }

    private static (float[] Weight, float[] Bias) Fold(Dictionary<string, StateEntry> state, string block, Shape shape)
    {
        const int Area = 9, Centre = 4;
        int rows = shape[0], columns = shape[1];
        double[] weight = new double[rows * columns * Area], bias = new double[rows];
        float[] dense = Read($"{block}{Dense}"), pointwise = Read($"{block}.rbr_1x1.conv.weight");
        AddBranch($"{block}.rbr_dense.bn", (row, scale) =>
        {
            for (int i = row * columns * Area; i < (row + 1) * columns * Area; i++) weight[i] += dense[i] * scale;
        });
        AddBranch($"{block}.rbr_1x1.bn", (row, scale) =>
        {
            for (int i = row * columns; i < (row + 1) * columns; i++) weight[(i * Area) + Centre] += pointwise[i] * scale;
        });
        // With groups, output channel r reads its own input, which is number r mod columns of its group.
        if (state.ContainsKey($"{block}.rbr_identity.weight"))
            AddBranch($"{block}.rbr_identity", (row, scale) => weight[(((row * columns) + (row % columns)) * Area) + Centre] += scale);
        return ([.. weight.Select(w => (float)w)], [.. bias.Select(b => (float)b)]);

        float[] Read(string key) => state[key].Read();

        void AddBranch(string norm, Action<int, double> add)
        {
            float[] gamma = Read($"{norm}.weight"), beta = Read($"{norm}.bias"), mean = Read($"{norm}.running_mean"), variance = Read($"{norm}.running_var");
            for (int row = 0; row < rows; row++)
            {
                double scale = gamma[row] / Math.Sqrt(variance[row] + Epsilon);
                bias[row] += beta[row] - (mean[row] * scale);
                add(row, scale);
            }
        }
    }
}
