using RefConv.Kernels;

namespace RefConv;

/// <summary>Worst disagreement found by <see cref="GradCheck"/>.</summary>
/// <param name="MaxError">|analytic − numeric| / max(1, |analytic|, |numeric|), the largest.</param>
/// <param name="Tensor">Index of the leaf it was found in.</param>
/// <param name="Element">Its element, in memory order.</param>
/// <param name="Analytic">What the backward pass says.</param>
/// <param name="Numeric">What the difference quotient says.</param>
/// <param name="Checked">How many elements were compared.</param>
public readonly record struct GradCheckResult(double MaxError, int Tensor, long Element, double Analytic, double Numeric, int Checked);

/// <summary>
/// Compares the backward pass of any computation with central differences, in double precision on the reference device.
/// The result is projected on a random direction first: a plain sum would hide errors in everything whose outputs sum to a
/// constant, such as softmax and batch norm.
/// </summary>
public static class GradCheck
{
    /// <summary>Checks the gradients of <paramref name="function"/> with respect to <paramref name="leaves"/>.</summary>
    /// <param name="leaves">Tensors on a <see cref="ReferenceDevice"/> that want gradients; they are changed and put back.</param>
    /// <param name="function">The computation; called under a tape, many times. It must give the same result for the same leaves.</param>
    /// <param name="epsilon">Step of the differences.</param>
    /// <param name="maxElements">At most so many elements of each leaf are compared, spread evenly.</param>
    /// <returns>The worst disagreement; about 1e-8 when all is right.</returns>
    /// <exception cref="ArgumentException">A leaf is not on a reference device, or does not want a gradient.</exception>
    public static GradCheckResult Run(IReadOnlyList<Tensor> leaves, Func<Tensor> function, double epsilon = 1e-5, int maxElements = 150)
    {
        foreach (var leaf in leaves)
        {
            if (leaf.Device is not ReferenceDevice) throw new ArgumentException("GradCheck needs its tensors on a ReferenceDevice: differences in single precision prove nothing.", nameof(leaves));
            if (!leaf.RequiresGrad) throw new ArgumentException("A leaf does not want a gradient: make it with requiresGrad: true, or unfreeze the parameter.", nameof(leaves));
            leaf.ZeroGrad();
        }
        double[] direction;
        using (var tape = Tape.Train())
        {
            var result = function();
            var random = new RandomStream(97, 1);
            direction = new double[result.Shape.Count];
            for (int i = 0; i < direction.Length; i++) direction[i] = random.NextNormal();
            using var gradient = Tensor.From(result.Device, direction, result.Shape);
            tape.Backward(result, gradient);
        }
        var worst = default(GradCheckResult);
        int count = 0;
        for (int t = 0; t < leaves.Count; t++)
        {
            var leaf = leaves[t];
            double[] values = leaf.ToDoubleArray();
            double[] analytic = leaf.HasGradient ? leaf.GradientToDoubleArray() : new double[values.Length];
            int step = Math.Max(1, values.Length / maxElements);
            for (int i = 0; i < values.Length; i += step)
            {
                double kept = values[i];
                values[i] = kept + epsilon;
                double above = Project(leaf, values, function, direction);
                values[i] = kept - epsilon;
                double below = Project(leaf, values, function, direction);
                values[i] = kept;
                double numeric = (above - below) / (2 * epsilon);
                double error = Math.Abs(analytic[i] - numeric) / Math.Max(1, Math.Max(Math.Abs(analytic[i]), Math.Abs(numeric)));
                count++;
                if (error > worst.MaxError || double.IsNaN(error)) worst = new GradCheckResult(double.IsNaN(error) ? double.PositiveInfinity : error, t, i, analytic[i], numeric, count);
            }
            leaf.CopyFrom(values);
            leaf.ZeroGrad();
        }
        return worst with { Checked = count };
    }

    private static double Project(Tensor leaf, double[] values, Func<Tensor> function, double[] direction)
    {
        leaf.CopyFrom(values);
        using var tape = Tape.Inference();
        double[] result = function().ToDoubleArray();
        double sum = 0;
        for (int i = 0; i < result.Length; i++) sum += result[i] * direction[i];
        return sum;
    }
}
