namespace RefConv.Kernels;

internal sealed partial class ReferenceKernels
{
    public void SumOfSquares(BufferView x, BufferView y)
    {
        double sum = 0;
        foreach (double value in S(x)) sum += value * value;
        S(y)[0] = sum;
    }
}
