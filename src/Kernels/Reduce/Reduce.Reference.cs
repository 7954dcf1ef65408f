namespace RefConv.Kernels;

internal sealed partial class ReferenceKernels
{
    public void ReduceSum(in ReduceGeometry g, BufferView x, BufferView y, double scale, bool accumulate)
    {
        var xs = S(x); // [Outer, Length, Inner]
        var ys = S(y); // [Outer, Inner]
        for (long o = 0; o < g.Outer; o++)
        for (long i = 0; i < g.Inner; i++)
        {
            double sum = 0;
            for (long l = 0; l < g.Length; l++) sum += xs[(int)((((o * g.Length) + l) * g.Inner) + i)];
            Put(ref ys[(int)((o * g.Inner) + i)], scale * sum, accumulate);
        }
    }

    public void ReduceBroadcast(in ReduceGeometry g, BufferView x, BufferView y, double scale, bool accumulate)
    {
        var xs = S(x); // [Outer, Inner]
        var ys = S(y); // [Outer, Length, Inner]
        for (long o = 0; o < g.Outer; o++)
        for (long l = 0; l < g.Length; l++)
        for (long i = 0; i < g.Inner; i++)
            Put(ref ys[(int)((((o * g.Length) + l) * g.Inner) + i)], scale * xs[(int)((o * g.Inner) + i)], accumulate);
    }
}
