using RefConv.Layers;

namespace RefConv.Models.Analysis;

/// <summary>
/// The two directions along which the weights of a training run differ most: principal components of its epochs. A plane through the last weights and along
/// them shows the way that training took, which random directions are all but orthogonal to.
/// </summary>
/// <param name="X">First component, of length 1.</param>
/// <param name="Y">Second component, of length 1; null where the path is a straight line.</param>
/// <param name="Explained">Share of the path's variance along each of the two.</param>
/// <param name="Coordinates">Where the epochs lie in the plane, the end being (0, 0).</param>
public sealed record PathDirections(LandscapeDirection X, LandscapeDirection? Y, IReadOnlyList<double> Explained, IReadOnlyList<(double X, double Y)> Coordinates)
{
    /// <summary>A second component below this share of the first is rounding.</summary>
    private const double Straight = 1e-10;

    /// <summary>The components of a path. As for random directions, norms and biases are left out.</summary>
    /// <param name="epochs">Weights in memory order by state-dict key: see <see cref="TrainingPath"/>.</param>
    /// <param name="end">The model the path leads to, whose weights are the origin of the plane.</param>
    /// <exception cref="ArgumentException">Fewer than two epochs, weights that do not fit, or a path that does not move.</exception>
    public static PathDirections Of(IReadOnlyList<IReadOnlyDictionary<string, float[]>> epochs, Module end)
    {
        if (epochs.Count < 2) throw new ArgumentException($"A path needs the weights of at least two epochs; there {(epochs.Count == 1 ? "is one" : "are none")}. Train with --keep-epochs.");
        var differences = Differences(epochs, end);
        int n = epochs.Count;
        double[] gram = Gram(differences, n), centred = Centre(gram, n);
        // Eigenvectors u of the small matrix D·Dᵀ of centred differences give those of the large one: v = Dᵀ·u / √λ.
        var (values, vectors) = SymmetricMatrix.Eigen(centred, n);
        double variance = values.Sum(v => Math.Max(v, 0));
        if (!(variance > 0)) throw new ArgumentException("The weights of all epochs are the same: there is no path to follow.");
        bool straight = values[1] <= Straight * values[0];
        var first = Component(0);
        var second = straight ? ([], new double[n]) : Component(1);
        return new PathDirections(new LandscapeDirection(first.Steps), straight ? null : new LandscapeDirection(second.Item1),
            [values[0] / variance, straight ? 0 : values[1] / variance], [.. Enumerable.Range(0, n).Select(i => (first.At[i], second.Item2[i]))]);

        (Dictionary<string, float[]> Steps, double[] At) Component(int k)
        {
            double length = Math.Sqrt(values[k]);
            double[] u = [.. vectors[k].Select(v => v / length)];
            double[] at = [.. Enumerable.Range(0, n).Select(i => Enumerable.Range(0, n).Sum(j => u[j] * gram[(i * n) + j]))];
            // Either sign is an eigenvector: the one on whose positive side training begins is taken, so that a path is always drawn the same way.
            if (at[0] < 0) (u, at) = ([.. u.Select(v => -v)], [.. at.Select(v => -v)]);
            return (differences.ToDictionary(d => d.Key, d => Combine(d.Value, u)), at);
        }
    }

    /// <summary>Weights of every epoch minus those of the end.</summary>
    private static Dictionary<string, float[][]> Differences(IReadOnlyList<IReadOnlyDictionary<string, float[]>> epochs, Module end)
    {
        var result = new Dictionary<string, float[][]>();
        foreach (var (name, parameter) in end.NamedParameters().Where(p => LandscapeDirection.Moves(p.Parameter)))
        {
            float[] last = parameter.ToArray();
            result[name] = [.. epochs.Select((epoch, i) =>
            {
                if (!epoch.TryGetValue(name, out float[]? weights) || weights.Length != last.Length)
                    throw new ArgumentException($"Epoch {i} of the path has no weights like '{name}' of the model. Give the run that the model was trained in.");
                float[] d = new float[last.Length];
                for (int k = 0; k < d.Length; k++) d[k] = weights[k] - last[k];
                return d;
            })];
        }
        return result;
    }

    /// <summary>All scalar products, [n, n].</summary>
    private static double[] Gram(Dictionary<string, float[][]> differences, int n)
    {
        double[] gram = new double[n * n];
        Parallel.For(0, n, i =>
        {
            foreach (float[][] d in differences.Values)
            {
                for (int j = 0; j <= i; j++) gram[(i * n) + j] += Dot(d[i], d[j]);
            }
        });
        for (int i = 0; i < n; i++)
        {
            for (int j = i + 1; j < n; j++) gram[(i * n) + j] = gram[(j * n) + i];
        }
        return gram;
    }

    /// <summary>The products of differences from their mean.</summary>
    private static double[] Centre(double[] gram, int n)
    {
        double[] mean = [.. Enumerable.Range(0, n).Select(i => gram.AsSpan(i * n, n).ToArray().Average())];
        double all = mean.Average();
        return [.. gram.Select((v, k) => v - mean[k / n] - mean[k % n] + all)];
    }

    private static double Dot(float[] a, float[] b)
    {
        double sum = 0;
        for (int i = 0; i < a.Length; i++) sum += (double)a[i] * b[i];
        return sum;
    }

    /// <summary>Σ u[i]·d[i]. The mean need not be taken off: the elements of an eigenvector of the centred matrix sum to 0.</summary>
    private static float[] Combine(float[][] d, double[] u)
    {
        double[] sum = new double[d[0].Length];
        for (int i = 0; i < u.Length; i++)
        {
            for (int k = 0; k < sum.Length; k++) sum[k] += u[i] * d[i][k];
        }
        return Array.ConvertAll(sum, v => (float)v);
    }
}
