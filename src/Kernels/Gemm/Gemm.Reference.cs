namespace RefConv.Kernels;

internal sealed partial class ReferenceKernels
{
    public void Gemm(in GemmGeometry g, BufferView a, BufferView b, BufferView c, bool accumulate)
    {
        Span<double> left = S(a), right = S(b), result = S(c);
        for (int m = 0; m < g.M; m++)
        for (int n = 0; n < g.N; n++)
        {
            double sum = 0;
            for (int k = 0; k < g.K; k++)
            {
                double l = left[g.TransposeA ? (k * g.M) + m : (m * g.K) + k];
                double r = right[g.TransposeB ? (n * g.K) + k : (k * g.N) + n];
                sum += l * r;
            }
            Put(ref result[(m * g.N) + n], sum, accumulate);
        }
    }
}
