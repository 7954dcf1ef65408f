using RefConv.Kernels;
using RefConv.Layers;

namespace RefConv.Models.Analysis;

/// <summary>A direction in the space of a model's weights: a step for every parameter that moves, by its state-dict key, in memory order.</summary>
/// <param name="Steps">Parameters that are not there do not move.</param>
public sealed record LandscapeDirection(IReadOnlyDictionary<string, float[]> Steps)
{
    // Streams of one seed are told apart by their highest byte; these belong to this class.
    private const ulong Streams = 0xD5UL << 56;

    /// <summary>
    /// A random direction, filter-normalised (Li et al., arXiv 1712.09913): normally distributed numbers, each filter (first index in PyTorch's order) scaled
    /// to the norm of the model's own filter, d_f ← d_f·‖w_f‖/(‖d_f‖ + 1e-10), so that models whose weights are of different size can be compared. Norms
    /// and biases (one axis) do not move. Models of the same shapes get the same numbers before they are scaled.
    /// </summary>
    /// <param name="model">The model.</param>
    /// <param name="seed">Seed.</param>
    /// <param name="index">Which of the directions of this seed: 0, 1.</param>
    public static LandscapeDirection Random(Module model, ulong seed, int index)
    {
        var steps = new Dictionary<string, float[]>();
        foreach (var (name, parameter) in model.NamedParameters().Where(p => Moves(p.Parameter)))
        {
            var random = new RandomStream(seed, Streams | ((ulong)index << 32) | (uint)steps.Count);
            double[] weights = parameter.ToTorchDouble(), d = new double[weights.Length];
            for (int i = 0; i < d.Length; i++) d[i] = random.NextNormal();
            int filter = d.Length / parameter.TorchShape[0];
            for (int f = 0; f < d.Length; f += filter)
            {
                double scale = Norm(weights.AsSpan(f, filter)) / (Norm(d.AsSpan(f, filter)) + 1e-10);
                for (int i = f; i < f + filter; i++) d[i] *= scale;
            }
            steps[name] = Array.ConvertAll(parameter.Layout.ToMemory<double>(d), v => (float)v);
        }
        return new LandscapeDirection(steps);
    }

    /// <summary>A weight that directions move: trained, with more than one axis.</summary>
    internal static bool Moves(Parameter parameter) => parameter.Trainable && parameter.TorchShape.Rank > 1;

    private static double Norm(ReadOnlySpan<double> values)
    {
        double sum = 0;
        foreach (double v in values) sum += v * v;
        return Math.Sqrt(sum);
    }
}
