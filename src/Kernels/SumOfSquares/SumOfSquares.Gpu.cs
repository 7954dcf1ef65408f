namespace RefConv.Kernels;

internal sealed partial class GpuKernels
{
    public void SumOfSquares(BufferView x, BufferView y) => SumColumns<ProductFunction>(new(1, x.Length, 1), x, x, y, 1, accumulate: false);
}
