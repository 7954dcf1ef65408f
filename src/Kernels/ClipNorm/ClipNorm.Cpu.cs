namespace RefConv.Kernels;

internal sealed unsafe partial class CpuKernels
{
    /// <remarks>Two passes over the gradients, because the second needs what the first finds. Sums as in <see cref="SumOfSquares(BufferView, BufferView)"/>, added in the order of the gradients.</remarks>
    public void ClipNorm(in ClipNormGeometry g, BufferView norm, params BufferView[] gradients)
    {
        double squares = 0;
        foreach (var gradient in gradients) squares += SumOfSquares(gradient);
        double length = g.Scale * Math.Sqrt(squares), factor = g.Factor(length);
        *P(norm) = (float)length;
        if (factor == 1) return;
        foreach (var gradient in gradients) Scale(gradient, gradient, factor, accumulate: false);
    }
}
