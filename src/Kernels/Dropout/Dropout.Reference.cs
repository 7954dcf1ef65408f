namespace RefConv.Kernels;

internal sealed partial class ReferenceKernels
{
    public void Dropout(ulong seed, ulong stream, double p, BufferView x, BufferView y, bool accumulate)
    {
        var xs = S(x);
        var ys = S(y);
        for (int i = 0; i < ys.Length; i++)
        {
            bool keep = Philox.Uniform(seed, stream, (ulong)i) >= p;
            Put(ref ys[i], keep ? xs[i] / (1 - p) : 0, accumulate);
        }
    }
}
