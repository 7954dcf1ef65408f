using RefConv.Layers;

namespace RefConv.Models.Analysis;

/// <summary>A table of numbers with equal rows.</summary>
/// <param name="Rows">Rows.</param>
/// <param name="Columns">Columns.</param>
/// <param name="Values">Row by row.</param>
public sealed record Matrix(int Rows, int Columns, double[] Values)
{
    /// <summary>One element.</summary>
    public double this[int row, int column] => Values[(row * Columns) + column];

    /// <summary>Mean of the elements off the diagonal; NaN where there are none.</summary>
    public double MeanOffDiagonal()
    {
        double sum = 0;
        long count = 0;
        for (int i = 0; i < Rows; i++)
        {
            for (int j = 0; j < Columns; j++)
            {
                if (i == j) continue;
                sum += this[i, j];
                count++;
            }
        }
        return count == 0 ? double.NaN : sum / count;
    }
}

/// <summary>
/// What can be read off kernels: the measures by which the RefConv paper (arXiv 2310.10563) argues that refocusing makes kernel channels cooperate and less
/// redundant. A kernel channel is one k×k plane, D = out·in/g of them, counted row by row as in state dicts. All in double.
/// </summary>
public static class KernelAnalysis
{
    /// <summary>Channels that the paper's maps show.</summary>
    public const int DefaultChannels = 64;

    /// <summary>
    /// Connection degree M[i,j] = Σ_{u,v} |Wr[i,j,u,v]|: how much of basis channel j goes into channel i of the kernel that is used. For a depthwise
    /// layer j is a channel; for others, one of the g channels of i's refocus group. At most <paramref name="channels"/> rows and columns.
    /// </summary>
    public static Matrix ConnectionDegree(RefConv2d layer, int channels = DefaultChannels)
    {
        var g = layer.Geometry;
        return ConnectionDegree(layer.Map.ToTorchDouble(), g.D, g.Groups, g.MapK * g.MapK, channels);
    }

    /// <summary>As above, of refocus weights [d, g, k, k].</summary>
    internal static Matrix ConnectionDegree(ReadOnlySpan<double> map, int d, int groups, int area, int channels)
    {
        int rows = Math.Min(d, channels), columns = Math.Min(groups, channels);
        double[] values = new double[rows * columns];
        for (int i = 0; i < rows; i++)
        {
            for (int j = 0; j < columns; j++)
            {
                foreach (double w in map.Slice(((i * groups) + j) * area, area)) values[(i * columns) + j] += Math.Abs(w);
            }
        }
        return new Matrix(rows, columns, values);
    }

    /// <summary>
    /// Redundancy of channels: each of the first <paramref name="channels"/> planes, through softmax, is a distribution p_i over its k² positions;
    /// KL[i,j] = Σ p_i ln(p_i/p_j). Equal channels give 0: the larger the mean, the less redundant the channels.
    /// </summary>
    public static Matrix Redundancy(Kernel kernel, int channels = DefaultChannels)
    {
        int n = Math.Min(Planes(kernel), channels), area = kernel.Area;
        double[][] log = [.. Enumerable.Range(0, n).Select(i => LogSoftmax(Plane(kernel, i)))];
        double[] values = new double[n * n];
        for (int i = 0; i < n; i++)
        {
            for (int j = 0; j < n; j++)
            {
                for (int t = 0; t < area; t++) values[(i * n) + j] += Math.Exp(log[i][t]) * (log[i][t] - log[j][t]);
            }
        }
        return new Matrix(n, n, values);
    }

    /// <summary>The skeleton: mean magnitude of every position of the kernel over all planes, each plane first divided by its largest magnitude. Planes of zeros count as zeros.</summary>
    public static Matrix Skeleton(Kernel kernel)
    {
        double[] mean = new double[kernel.Area];
        int planes = Planes(kernel);
        for (int p = 0; p < planes; p++)
        {
            var plane = Plane(kernel, p);
            double largest = 0;
            foreach (double w in plane) largest = Math.Max(largest, Math.Abs(w));
            if (largest == 0) continue;
            for (int t = 0; t < plane.Length; t++) mean[t] += Math.Abs(plane[t]) / largest / planes;
        }
        return new Matrix(kernel.Height, kernel.Width, mean);
    }

    /// <summary>Cosine of the angle between kernel channels i and j; 0 where one of them is zero.</summary>
    public static Matrix CosineSimilarity(Kernel kernel, int channels = DefaultChannels)
    {
        int n = Math.Min(Planes(kernel), channels);
        double[] values = new double[n * n];
        for (int i = 0; i < n; i++)
        {
            for (int j = 0; j < n; j++)
            {
                double norms = Math.Sqrt(Dot(kernel, i, i)) * Math.Sqrt(Dot(kernel, j, j));
                values[(i * n) + j] = norms == 0 ? 0 : Dot(kernel, i, j) / norms;
            }
        }
        return new Matrix(n, n, values);
    }

    /// <summary>
    /// Effective rank (Roy and Vetterli 2007) of the matrix whose rows are the kernel channels: exp of the entropy of its normalised singular values, between
    /// 1 (all channels are multiples of one) and k². 0 for a kernel of zeros.
    /// </summary>
    public static double EffectiveRank(Kernel kernel)
    {
        // Singular values are the roots of the eigenvalues of the small side's Gram matrix, k²×k².
        int area = kernel.Area, planes = Planes(kernel);
        double[] gram = new double[area * area];
        for (int p = 0; p < planes; p++)
        {
            var plane = Plane(kernel, p);
            for (int a = 0; a < area; a++)
            {
                for (int b = 0; b < area; b++) gram[(a * area) + b] += plane[a] * plane[b];
            }
        }
        double[] singular = [.. SymmetricMatrix.Eigen(gram, area).Values.Select(e => Math.Sqrt(Math.Max(0, e)))];
        double sum = singular.Sum();
        if (sum == 0) return 0;
        // What is below rounding of the largest one is no direction.
        double entropy = 0;
        foreach (double s in singular.Where(s => s > 1e-7 * sum)) entropy -= s / sum * Math.Log(s / sum);
        return Math.Exp(entropy);
    }

    private static int Planes(Kernel kernel) => kernel.Out * kernel.GroupIn;

    private static ReadOnlySpan<double> Plane(Kernel kernel, int index) => kernel.Weight.AsSpan(index * kernel.Area, kernel.Area);

    private static double Dot(Kernel kernel, int i, int j)
    {
        ReadOnlySpan<double> a = Plane(kernel, i), b = Plane(kernel, j);
        double sum = 0;
        for (int t = 0; t < a.Length; t++) sum += a[t] * b[t];
        return sum;
    }

    private static double[] LogSoftmax(ReadOnlySpan<double> x)
    {
        double largest = double.NegativeInfinity, sum = 0;
        foreach (double v in x) largest = Math.Max(largest, v);
        foreach (double v in x) sum += Math.Exp(v - largest);
        double shift = largest + Math.Log(sum);
        double[] result = [.. x];
        for (int t = 0; t < result.Length; t++) result[t] -= shift;
        return result;
    }
}
